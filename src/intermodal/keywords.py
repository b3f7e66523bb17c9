"""Our errors in words of Python: keyword arguments where a command line has options.

Errors are written where they arise, in words of the command line. A program that called ``ask`` has no ``--max-cost``,
but ``max_cost=``. Commands that are named whole stay: ``intermodal pull`` is run in a shell by whoever programs, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from intermodal.errors import IntermodalError

# An option of the command line -> the keyword, where it is not the same word.
_KEYWORDS: Mapping[str, str] = {
    "date": "day", "format": "output", "host": "hosts", "in": "takes", "life": "life_months", "out": "makes",
    "save-derived": "result.derived",
}  # fmt: skip
_SEVERAL = frozenset({"host"})
_WHOLE: Mapping[str, str] = {
    "--local": 'farthest="machine"', "run intermodal explain --save again": "plan it again",
}  # fmt: skip
_COMMAND = re.compile(r"(intermodal [a-z]+(?: (?:--?)?[\w:./=-]*[\w])*)")
_QUOTED = re.compile(r'("[^"]*")')
_VALUES = re.compile(
    r"(?<![\w-])--(at-least|objective|language|release|private|host|keep) "
    r"(?!(?:asks|for|is|out|and|or|if|to|with|allows|keeps)\b)([\w.-]+(?::[a-z]+)?)"
)
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")


def in_python(text: str) -> str:
    """A sentence of ours without options of the command line. What is in quotes stays as it was said.

    >>> in_python("would cost up to $0.2; raise --max-cost, or --host openai for this once")
    'would cost up to $0.2; raise max_cost, or hosts=("openai",) for this once'
    """
    if "--" not in text:
        return text
    for phrase, said in _WHOLE.items():
        text = text.replace(phrase, said)
    pieces = _QUOTED.split(text)
    return "".join(piece if number % 2 else _outside_commands(piece) for number, piece in enumerate(pieces))


def _outside_commands(piece: str) -> str:
    parts = _COMMAND.split(piece)
    return "".join(part if number % 2 else _said(part) for number, part in enumerate(parts))


def _said(piece: str) -> str:
    return _OPTION.sub(lambda option: _keyword(option[1]), _VALUES.sub(_with_value, piece))


def _with_value(option: re.Match[str]) -> str:
    name, value = option[1], f'"{option[2]}"'
    return f"{_keyword(name)}=({value},)" if name in _SEVERAL else f"{_keyword(name)}={value}"


def _keyword(option: str) -> str:
    return _KEYWORDS.get(option, option.replace("-", "_"))


@contextmanager
def python_words() -> Iterator[None]:
    """Errors that leave this block speak of keyword arguments."""
    try:
        yield
    except IntermodalError as error:
        error.what, error.where, error.todo = map(in_python, (error.what, error.where, error.todo))
        error.reasons = tuple(map(in_python, error.reasons))
        error.args = (error.what, *error.args[1:])
        raise
