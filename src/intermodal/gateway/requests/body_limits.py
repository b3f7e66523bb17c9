"""Limits on the JSON of a request body, and decoding of large bodies.

A megabyte has room for half a million values, each of which takes a hundred times its size once decoded. So values are
counted first, by the separators outside strings, once per request. Media are not searched. Everything else is text, for
which a parser holds the interpreter lock the whole time. The limit in bytes (``max_body``) is enforced where the body
is received: ``gateway/http1/connection.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from intermodal.concurrency.offload import LONG, offload
from intermodal.gateway.http1.http_types import MAX_TEXT, GatewayRequest
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.protocols.framing.inline_media import extract_media

T = TypeVar("T")
MAX_VALUES = 100_000
MAX_FIELDS = 10_000  # fields of the body itself: no API has a hundredth of them
MAX_DEPTH = 128  # nesting of objects and arrays; code that walks a tree recurses once for each level
LARGE_BODY = 2 << 20  # bytes of a body that is not searched on the event loop, not even for media
_MARKS = (b",", b"[", b"{")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|$)', re.DOTALL)
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def check_values(request: GatewayRequest, most: int = MAX_VALUES, text: int = MAX_TEXT) -> None:
    """Raise RequestRefused (413) for a body with more than ``most`` values or ``text`` bytes of text.

    A body that passed is not searched again.
    """
    if not request.checked and len(request.body) > min(most, text):
        words = extract_media(request.body).text
        if len(words) > text:
            what = f"the body holds more than {text >> 20} MiB besides images, sound and other media"
            raise RequestRefused(what, status=413, todo="send less text, or set max_text in [serve]")
        if has_more_values(most, words):
            raise RequestRefused(f"the body holds more than {most:,} values", status=413, todo="send fewer parts")
    request.checked = True


def check_media_count(count: int, most: int) -> None:
    """Raise RequestRefused (413) for more than ``most`` media: each is opened, measured and planned for."""
    if count > most:
        what = f"the request holds {count:,} images, recordings and other files, and {most:,} are taken"
        raise RequestRefused(what, status=413, todo="send fewer, or set max_media in [serve]")


async def decode_body(read: Callable[[bytes], T], body: bytes) -> T:
    """Return ``read(body)``, in a thread if the body is large. Raises what ``read`` raises."""
    return await offload(len(body) > LONG, read, body)


def has_more_values(most: int, body: bytes) -> bool:
    """Return True if a body holds more than ``most`` values.

    >>> text = b'{"text": "' + b"1,2,3," * MAX_VALUES + b'"}'
    >>> has_more_values(MAX_VALUES, text), has_more_values(2, b"[1, 2, 3]")
    (False, True)
    """
    if len(body) <= most or sum(map(body.count, _MARKS)) <= most:
        return False
    found = begin = 0
    for string in _STRING.finditer(body):
        found += sum(body.count(mark, begin, string.start()) for mark in _MARKS)
        begin = string.end()
        if found > most:
            break
    return found + sum(body.count(mark, begin) for mark in _MARKS) > most


def _without_strings(body: bytes) -> bytes:
    """Return the body without its strings.

    Strings are removed one by one, since a single ``sub`` would hold the interpreter lock throughout.
    """
    kept_pieces, begin = [], 0
    for string in _STRING.finditer(body):
        kept_pieces.append(body[begin : string.start()])
        begin = string.end()
    return b"".join([*kept_pieces, body[begin:]])


def is_deeper(most: int, body: bytes) -> bool:
    """Return True if objects and arrays are nested deeper than ``most``. Invalid JSON is measured by its brackets.

    >>> is_deeper(2, b'{"a": [{}, {}, "[[[["]}'), is_deeper(3, b'{"a": [{}, {}, "[[[["]}')
    (True, False)
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    left = _without_strings(body).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(most):  # the innermost brackets are removed, level by level
        left = left.replace(b"[]", b"")
        if not left:
            return False
    return True
