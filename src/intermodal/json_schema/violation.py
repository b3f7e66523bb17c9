"""What is wrong with a value: where, and in words that are as short for a large value as for a small one."""

from __future__ import annotations

import reprlib
from typing import Any

_LONGEST = 200  # characters of a message


class _Short(reprlib.Repr):
    """``repr`` that looks at the beginning of a value alone."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxstring, self.maxlong, self.maxother = 4, 8, 8, 80, 40, 80

    def repr_int(self, x: int, level: int) -> str:
        return f"an integer of {x.bit_length():,} bits" if x.bit_length() > 512 else repr(x)

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        # As written, and not sorted as reprlib does: sorting would look at all of it.
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


def shown(value: Any) -> str:
    """A value in a message: the beginning of it.

    >>> shown({"a": [1, 2]}), len(shown("x" * 1_000_000))
    ("{'a': [1, 2]}", 80)
    """
    return _SHORT.repr(value)


class Violation:
    """One thing that is wrong.

    Attributes:
        keyword: of the schema, "" for the schema ``false``.
        steps: the way to the value, the last step first.
        said: the message, with ``{}`` for each of ``about``; put together once somebody reads it, since most
            violations are those of one branch of an ``anyOf`` of which another fits.
    """

    __slots__ = ("about", "keyword", "said", "steps")

    def __init__(self, keyword: str, said: str, *about: Any) -> None:
        self.keyword = keyword
        self.said = said
        self.about = about
        self.steps: list[str | int] = []

    def at(self, step: str | int) -> Violation:
        """The same, found one step further from the root."""
        self.steps.append(step)
        return self

    @property
    def path(self) -> str:
        return "/".join(str(step)[:80] for step in reversed(self.steps[-20:]))

    def __str__(self) -> str:
        message = self.said.format(*map(shown, self.about))
        message = message if len(message) <= _LONGEST else f"{message[: _LONGEST - 3]}..."
        return f"at {self.path}: {message}" if self.steps else message


def nearest(found: list[Violation], otherwise: Violation) -> Violation:
    """Of what is wrong in each branch, the one that got farthest, for that is the branch that was meant.

    ``otherwise`` where several got equally far.
    """
    deepest = max(len(each.steps) for each in found) if found else 0
    best = [each for each in found if len(each.steps) == deepest]
    if len(best) > 1 and not deepest:
        best = [each for each in best if each.keyword != "type"]
    return best[0] if len(best) == 1 else otherwise
