"""Media in a JSON body, decoded where they lie: no string of base64 is ever made of them.

A parser makes a string of the body's megabytes, and decoding copies that again: two and a half times the body in
memory, and at 20 MB most of the time goes into fetching pages for it. Here long strings of base64 are found in the
bytes, decoded from there, and a short word stands for each in what is parsed.

It must not matter where such a string stands. A reader that wants media takes them with ``unbase64``; where one was
found that nobody took (base64 pasted into a prompt), the body is read again, plainly.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from binascii import Error, a2b_base64
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any, TypeVar

from intermodal.protocols.framing.json_body import loads

T = TypeVar("T")
SCAN_STEP = 1 << 15  # bytes without a quotation mark that make it worth looking; every string of twice that has some
_QUOTE = b'"'
_SLICE = 1 << 20  # letters of base64 that are decoded at once, in 2 ms: whole groups of four
_URI = b";base64,"


class InlineMedia(str):
    """A string whose base64 was decoded already: ``prefix`` is what stood before it, as in a data URI."""

    __slots__ = ("data", "prefix", "taken")
    data: bytes
    prefix: str
    taken: bool

    @classmethod
    def of(cls, word: str, prefix: str, data: bytes) -> InlineMedia:
        made = cls(word)
        made.prefix, made.data, made.taken = prefix, data, False
        return made


def decode_base64(text: str) -> bytes:
    """The bytes of a string that is base64, be it in lines or not. Raises ValueError where it is none."""
    if isinstance(text, InlineMedia) and not text.prefix:
        text.taken = True
        return text.data
    try:
        return b64decode("".join(text.split()), validate=True)  # many programs end a line after 76 characters
    except ValueError as broken:
        raise ValueError(f"media that is not whole, plain base64: {broken}") from broken


def split_data_uri(url: str) -> tuple[str, bytes | str]:
    """What stands before the comma of a URI, and what after it: bytes where that was decoded already."""
    if isinstance(url, InlineMedia) and url.prefix:
        url.taken = True
        return url.prefix.removesuffix(","), url.data
    head, comma, rest = url.partition(",")
    return (head, rest) if comma else (url, "")


def read_json_with_media(body: bytes, read: Callable[[Any], T]) -> T:
    """What ``read`` makes of a body's JSON. Raises ValueError for what is no JSON, and whatever ``read`` raises."""
    tree, held = parse_with_media(body)
    try:
        made = read(tree)
        if all(each.taken for each in held):
            return made
    except Exception:
        if all(each.taken for each in held):
            raise
    return read(loads(body))  # a word stood in place of a string that somebody wanted as it is


def parse_with_media(body: bytes) -> tuple[Any, list[InlineMedia]]:
    """A body's JSON, with ``Held`` in place of long strings of base64, and those."""
    found = _found(body)
    if not found:
        return loads(body), []
    view, kept, at = memoryview(body), list[bytes | memoryview](), 0
    for start, end, _ in found:
        kept.append(view[at:start])
        at = end
    kept.append(view[at:])
    # No text can hold a hash of itself, so no sender can write one of these words.
    digest = hashlib.sha256()
    for piece in kept:
        digest.update(piece)
    mark = digest.hexdigest()
    pieces = [kept[0]]
    for number, piece in enumerate(kept[1:]):
        pieces += [f"{mark}:{number}:".encode(), piece]
    held: list[InlineMedia] = []
    tree = _with_held(loads(b"".join(pieces)), mark, [data for *_, data in found], held)
    return (tree, held) if len(held) == len(found) else (loads(body), [])  # one was the name of a field


def _found(body: bytes) -> list[tuple[int, int, bytes]]:
    """Where long strings of base64 are, and what they hold."""
    view = memoryview(body)
    found: list[tuple[int, int, bytes]] = []
    at = 0
    while at + SCAN_STEP <= len(body):
        if body.find(_QUOTE, at, at + SCAN_STEP) >= 0:
            at += SCAN_STEP
            continue
        start, end = body.rfind(_QUOTE, 0, at) + 1, body.find(_QUOTE, at + SCAN_STEP)
        if not start or end < 0:
            break
        if body[start - 2 : start - 1] != b"\\":
            uri = body.find(_URI, start, start + 100)
            first = uri + len(_URI) if uri >= 0 else start
            with suppress(Error):  # words, numbers, base64 of another alphabet: read as what it is
                found.append((first, end, _decoded(view[first:end])))
        at = end + 1
    return found


def _decoded(coded: memoryview) -> bytes:
    """The bytes of base64, a slice at a time: whoever decodes holds the interpreter. Raises Error where it is none."""
    made = BytesIO()  # which gives its bytes away without a copy
    for start in range(0, len(coded), _SLICE):
        piece = a2b_base64(coded[start : start + _SLICE], strict_mode=True)
        if len(piece) != _SLICE // 4 * 3 and start + _SLICE < len(coded):
            raise Error("padded in the middle")
        made.write(piece)
    return made.getvalue()


def _with_held(tree: Any, mark: str, data: list[bytes], held: list[InlineMedia]) -> Any:
    if isinstance(tree, dict):
        return {name: _with_held(value, mark, data, held) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_with_held(value, mark, data, held) for value in tree]
    if isinstance(tree, str) and mark in tree:
        prefix, _, number = tree.removesuffix(":").partition(f"{mark}:")
        made = InlineMedia.of(tree, prefix, data[int(number)])
        held.append(made)
        return made
    return tree
