"""The line of a TOML file on which a key begins. The parser does not tell, so beginnings of the file are parsed.

This runs for errors only, on files of tens of lines, so parsing once a line is fast enough.
"""

from __future__ import annotations

import tomllib
from typing import Any


def line_of_key(text: str, key: tuple[str | int, ...]) -> int | None:
    """Return the line, from 1, on which the value at ``key`` begins; that of the table above where there is none.

    >>> line_of_key('a = 1\\n[b]\\nc = [\\n  2]\\n', ("b", "c"))
    3
    >>> line_of_key('a = 1\\n[b]\\nc = 2\\n', ("b", "d"))
    2
    """
    lines = text.splitlines(keepends=True)
    for depth in range(len(key), 0, -1):
        begins = 1
        for end in range(1, len(lines) + 1):
            try:
                table = tomllib.loads("".join(lines[:end]))
            except tomllib.TOMLDecodeError:
                continue  # in the middle of a value that takes several lines
            if _is_there(table, key[:depth]):
                return begins
            begins = end + 1
    return None


def _is_there(table: Any, key: tuple[str | int, ...]) -> bool:
    for step in key:
        try:
            table = table[step]
        except (KeyError, IndexError, TypeError):
            return False
    return True
