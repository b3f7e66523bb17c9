"""Media inside a JSON body, decoded in place: no string of their base64 is ever made.

A parser would make a string of the body's megabytes, and decoding would copy it again: two and a half times the body in
memory, and at 20 MB most of the time goes into fetching pages for it. Here long base64 strings are found in the bytes
and decoded from there, and a short placeholder stands for each while the rest is parsed.

The result does not depend on where such a string stands. A reader takes media with ``decode_base64``; where a string
was decoded that no reader took (base64 pasted into a prompt), the body is read again without decoding.
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
SCAN_STEP = 1 << 15  # bytes without a quotation mark: a string twice as long is always found
_QUOTE = b'"'
_SLICE = 1 << 20  # base64 characters decoded at once, in 2 ms: whole groups of four
_URI = b";base64,"


class InlineMedia(str):
    """A string whose base64 is already decoded: ``data`` are the bytes, ``prefix`` what preceded them, as in a data
    URI."""

    __slots__ = ("data", "prefix", "taken")
    data: bytes
    prefix: str
    taken: bool

    @classmethod
    def of(cls, word: str, prefix: str, data: bytes) -> InlineMedia:
        """Return the placeholder ``word`` with its decoded data."""
        made = cls(word)
        made.prefix, made.data, made.taken = prefix, data, False
        return made


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 string, with or without line breaks. Raises ValueError for anything else."""
    if isinstance(text, InlineMedia) and not text.prefix:
        text.taken = True
        return text.data
    try:
        return b64decode("".join(text.split()), validate=True)  # many programs break lines after 76 characters
    except ValueError as broken:
        raise ValueError(f"media that is not whole, plain base64: {broken}") from broken


def split_data_uri(url: str) -> tuple[str, bytes | str]:
    """Return what precedes a URI's comma and what follows it: bytes where that is already decoded."""
    if isinstance(url, InlineMedia) and url.prefix:
        url.taken = True
        return url.prefix.removesuffix(","), url.data
    head, comma, rest = url.partition(",")
    return (head, rest) if comma else (url, "")


def read_json_with_media(body: bytes, read: Callable[[Any], T]) -> T:
    """Return what ``read`` makes of a body's JSON. Raises ValueError for invalid JSON, and whatever ``read`` raises."""
    tree, held = parse_with_media(body)
    try:
        made = read(tree)
        if all(each.taken for each in held):
            return made
    except Exception:
        if all(each.taken for each in held):
            raise
    return read(loads(body))  # a placeholder stood for a string that the reader wanted unchanged


def parse_with_media(body: bytes) -> tuple[Any, list[InlineMedia]]:
    """Return a body's JSON with ``InlineMedia`` in place of long base64 strings, and the list of those."""
    found = _found(body)
    if not found:
        return loads(body), []
    view, kept, at = memoryview(body), list[bytes | memoryview](), 0
    for start, end, _ in found:
        kept.append(view[at:start])
        at = end
    kept.append(view[at:])
    # No text can contain its own hash, so no sender can write one of these placeholders.
    digest = hashlib.sha256()
    for piece in kept:
        digest.update(piece)
    mark = digest.hexdigest()
    pieces = [kept[0]]
    for number, piece in enumerate(kept[1:]):
        pieces += [f"{mark}:{number}:".encode(), piece]
    held: list[InlineMedia] = []
    tree = _with_held(loads(b"".join(pieces)), mark, [data for *_, data in found], held)
    return (tree, held) if len(held) == len(found) else (loads(body), [])  # one string was the name of a field


def _found(body: bytes) -> list[tuple[int, int, bytes]]:
    """Return the positions of long base64 strings, and their bytes."""
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
            with suppress(Error):  # text, or base64 of another alphabet: left as it is
                found.append((first, end, _decoded(view[first:end])))
        at = end + 1
    return found


def _decoded(coded: memoryview) -> bytes:
    """Return the bytes of base64, decoded slice by slice so that other threads can run. Raises Error where it is
    invalid."""
    made = BytesIO()  # getvalue() returns its bytes without a copy
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
