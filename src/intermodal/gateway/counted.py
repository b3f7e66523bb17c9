"""How many values a body of JSON may hold. A megabyte has room for half a million of them, and each costs a hundred
times its bytes once it is read; so they are counted before, by the marks between them, outside of strings."""

from __future__ import annotations

import re

from intermodal.wire.served import Refused

VALUES = 100_000
_MARKS = (b",", b"[", b"{")
_MEDIA = b";base64,"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|$)', re.DOTALL)


def check_values(body: bytes, most: int = VALUES) -> None:
    """Raises Refused, 413, for more than so many.

    >>> check_values(b'{"text": "' + b"1,2,3," * VALUES + b'"}')
    """
    if _besides_media(body, most) <= most or sum(map(body.count, _MARKS)) <= most:
        return
    found = begin = 0
    for string in _STRING.finditer(body):
        found += sum(body.count(mark, begin, string.start()) for mark in _MARKS)
        begin = string.end()
        if found > most:
            break
    if found + sum(body.count(mark, begin) for mark in _MARKS) > most:
        raise Refused(f"the body holds more than {most:,} values", status=413, todo="send fewer parts")


def _besides_media(body: bytes, most: int) -> int:
    """Bytes that are in no media: what a picture is made of needs not be looked through.

    Outside of a string, what begins one is no JSON, and nothing after it is read.
    """
    rest, at = len(body), 0
    while rest > most:
        begin = body.find(_MEDIA, at)
        end = body.find(b'"', begin) if begin >= 0 else -1
        if end < 0:
            break
        rest, at = rest - (end - begin), end
    return rest
