"""Media inside a JSON body, decoded in place: no string of their base64 is ever made.

A parser would make a string of the body's megabytes, and decoding would copy it again: two and a half times the body in
memory, and at 20 MB most of the time goes into fetching pages for it. Here long base64 strings are cut out of the bytes
(``media_extraction.py``) and decoded from there, and a short placeholder stands for each while the rest is parsed.

The result does not depend on where such a string stands. A reader takes media with ``decode_base64``; where a string
was decoded that no reader took (base64 pasted into a prompt), the body is read again without decoding.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error, a2b_base64
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any, TypeVar

from intermodal.protocols.framing.json_body import loads
from intermodal.protocols.framing.media_extraction import ExtractedBody, extract_media

T = TypeVar("T")
SCAN_STEP = 1 << 15  # characters of a base64 string that is decoded in place
_SLICE = 1 << 20  # base64 characters decoded at once, in 2 ms: whole groups of four


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
    """Return the result of ``read`` on a body's JSON. Raises ValueError for invalid JSON, and whatever ``read``
    raises.
    """
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
    small = extract_media(body, SCAN_STEP)
    if small.lifted:
        held: list[InlineMedia] = []
        with suppress(ValueError):  # text, or base64 of another alphabet, was cut out
            tree = _with_held(loads(small.text), small, held)
            if len(held) == small.count:
                return tree, held
    return loads(body), []


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


def _with_held(tree: Any, small: ExtractedBody, held: list[InlineMedia]) -> Any:
    if isinstance(tree, dict):
        return {name: _with_held(value, small, held) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_with_held(value, small, held) for value in tree]
    if isinstance(tree, str) and (found := small.split(tree)) is not None:
        made = InlineMedia.of(tree, found[0], _decoded(found[1]))
        held.append(made)
        return made
    return tree
