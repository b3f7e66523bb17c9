"""The errors of JSON Schema: ``InvalidSchema``, and ``Violation``, which says which value is wrong and why.

Messages stay short even if the value is large.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any

# ---- JSON Pointer -----------------------------------------------------------------------------------
#
# JSON Pointers (RFC 6901): the path to a value in a JSON document.


def pointer(path: Iterable[str | int]) -> str:
    """Return the pointer to a path; "" is the whole document.

    >>> pointer(("items", 0, "price/unit"))
    '/items/0/price~1unit'
    """
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def steps(pointer: str) -> list[str]:
    """Return the steps of a pointer; text before the first slash is ignored.

    >>> steps("/items/0/price~1unit"), steps("#/$defs/a"), steps("")
    (['items', '0', 'price/unit'], ['$defs', 'a'], [])
    """
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


# ---- errors -----------------------------------------------------------------------------------------


class InvalidSchema(Exception):
    """An invalid schema.

    ``place``: the JSON Pointer of the error, "" for the schema itself. ``todo``: how to correct it.
    """

    def __init__(self, what: str, place: str = "", todo: str = "correct the schema") -> None:
        super().__init__(what)
        self.what = what
        self.place = place
        self.todo = todo


_LONGEST = 200  # characters of a message


class _Short(reprlib.Repr):
    """A ``repr`` that reads only the beginning of a value."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxstring, self.maxlong, self.maxother = 4, 8, 8, 80, 40, 80

    def repr_int(self, x: int, level: int) -> str:
        return f"an integer of {x.bit_length():,} bits" if x.bit_length() > 512 else repr(x)

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        # Keep the order, unlike reprlib: sorting would read the whole dict.
        if not x:
            return "{}"
        if level <= 0:
            return "{...}"
        pieces = []
        for number, (key, value) in enumerate(x.items()):
            if number == self.maxdict:
                pieces.append("...")
                break
            pieces.append(f"{self.repr1(key, level - 1)}: {self.repr1(value, level - 1)}")
        return "{" + ", ".join(pieces) + "}"


_SHORT = _Short()


def shorten(value: Any) -> str:
    """Return the beginning of a value, for a message.

    >>> shorten({"a": [1, 2]}), len(shorten("x" * 1_000_000))
    ("{'a': [1, 2]}", 80)
    """
    return _SHORT.repr(value)


class Violation:
    """One violation.

    Attributes:
        keyword: the violated keyword, "" for the schema ``false``.
        steps: the path to the value, innermost step first.
        template: the message, with a ``{}`` for each of ``about``. It is formatted only when read, since most
            violations belong to an ``anyOf`` branch that is discarded because another branch matches.
    """

    __slots__ = ("about", "keyword", "steps", "template")

    def __init__(self, keyword: str, template: str, *about: Any) -> None:
        self.keyword = keyword
        self.template = template
        self.about = about
        self.steps: list[str | int] = []

    def prefixed_with(self, step: str | int) -> Violation:
        """Add a step towards the root to the path, and return this violation."""
        self.steps.append(step)
        return self

    @property
    def path(self) -> str:
        return "/".join(str(step)[:80] for step in reversed(self.steps[-20:]))

    def __str__(self) -> str:
        message = self.template.format(*map(shorten, self.about))
        message = message if len(message) <= _LONGEST else f"{message[: _LONGEST - 3]}..."
        return f"at {self.path}: {message}" if self.steps else message


def nearest_violation(violations: list[Violation], otherwise: Violation) -> Violation:
    """Return the violation of the branch that matched furthest, since that branch was probably meant.

    Returns ``otherwise`` if several branches matched equally far.
    """
    deepest = max(len(each.steps) for each in violations) if violations else 0
    best = [each for each in violations if len(each.steps) == deepest]
    if len(best) > 1 and not deepest:
        best = [each for each in best if each.keyword != "type"]
    return best[0] if len(best) == 1 else otherwise
