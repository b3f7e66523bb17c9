"""How many values a body of JSON may hold. A megabyte has room for half a million of them, and each costs a hundred
times its bytes once it is read; so they are counted before, by the marks between them, outside of strings."""

from __future__ import annotations

import re

from intermodal.wire.served import Refused

VALUES = 100_000
_MARKS = (b",", b"[", b"{")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|$)', re.DOTALL)


def check_values(body: bytes) -> None:
    """Raises Refused, 413, for more than so many.

    >>> check_values(b'{"text": "' + b"1,2,3," * VALUES + b'"}')
    """
    if len(body) <= VALUES or sum(map(body.count, _MARKS)) <= VALUES:
        return
    found = begin = 0
    for string in _STRING.finditer(body):
        found += sum(body.count(mark, begin, string.start()) for mark in _MARKS)
        begin = string.end()
        if found > VALUES:
            break
    if found + sum(body.count(mark, begin) for mark in _MARKS) > VALUES:
        raise Refused(f"the body holds more than {VALUES:,} values", status=413, todo="send fewer parts")
