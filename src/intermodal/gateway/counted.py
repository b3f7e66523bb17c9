"""How large a body of JSON may be, and how a large one is read.

A megabyte has room for half a million values, and each costs a hundred times its bytes once it is read; so they are
counted before, by the marks between them, outside of strings, and once for each request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from intermodal.wire.served import Refused

if TYPE_CHECKING:
    from intermodal.gateway.messages import Asked

T = TypeVar("T")
VALUES = 100_000
LARGE = 2 << 20  # bytes of a body that is read in a thread, so that other clients do not wait for it
_MARKS = (b",", b"[", b"{")
_MEDIA = b";base64,"
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|$)', re.DOTALL)


def check_values(asked: Asked, most: int = VALUES) -> None:
    """Raises Refused, 413, for more than so many. A body that was found to be in order is not looked through again."""
    if not asked.checked and len(asked.body) > most and more_than(most, asked.body):
        raise Refused(f"the body holds more than {most:,} values", status=413, todo="send fewer parts")
    asked.checked = True


async def read_large(read: Callable[[bytes], T], body: bytes) -> T:
    """What is read of a body, in a thread where it is large. Raises what reading raises."""
    return await asyncio.to_thread(read, body) if len(body) > LARGE else read(body)


def more_than(most: int, body: bytes) -> bool:
    """Whether a body holds more than so many values.

    >>> more_than(VALUES, b'{"text": "' + b"1,2,3," * VALUES + b'"}'), more_than(2, b"[1, 2, 3]")
    (False, True)
    """
    if _besides_media(body, most) <= most or sum(map(body.count, _MARKS)) <= most:
        return False
    found = begin = 0
    for string in _STRING.finditer(body):
        found += sum(body.count(mark, begin, string.start()) for mark in _MARKS)
        begin = string.end()
        if found > most:
            break
    return found + sum(body.count(mark, begin) for mark in _MARKS) > most


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
