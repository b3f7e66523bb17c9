"""Media inside a JSON body, decoded in place: their base64 never becomes a string.

A parser would make a string of the body's megabytes, and decoding would copy it again: two and a half times the body in
memory, and at 20 MB most of the time goes into page faults. Here long base64 strings are cut out of the bytes
(``extract_media``) and decoded from there, and a short placeholder stands for each while the rest is parsed.

The result does not depend on where such a string occurs. A reader takes media with ``decode_base64``; if a decoded
string was taken by no reader (base64 pasted into a prompt), the body is read again without decoding.
"""

from __future__ import annotations

import re
import secrets
from base64 import b64decode, b64encode
from binascii import Error, a2b_base64
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import Any, TypeVar

from intermodal.protocols.framing.json_body import loads

# Cuts large media out of a JSON body, so that a parser reads only the small rest.
#
# A parser visits an image character by character (0.9 ms per megabyte, during which no other client is served);
# finding its end takes a thirtieth of that. Each image is replaced by an unguessable placeholder, also in base64.
#
# The rest means the same as the whole: base64 contains neither backslash nor quote, so the first quote after it ends
# its string. Everything that was cut out must turn out to be an image with valid base64; if anything is not (text that
# quotes an image, a duplicate key), the body is read as received.


_NAME = b64encode(secrets.token_bytes(18))  # of this process, 24 characters
_WORD = _NAME.decode()
_DIGITS = 8
_LENGTH = len(_NAME) + _DIGITS  # whole groups of four
LEAST = 4 << 10  # minimum characters of base64 that are cut out
_MARK = b";base64,"
_HEAD = 64  # characters within which a data URI states that base64 follows
_CODED = re.compile(rb"[A-Za-z0-9+/]{256}")  # occurs in no natural language


class ExtractedBody:
    """A client's body. ``text`` is the JSON without the extracted media."""

    def __init__(self, text: bytes, media: tuple[memoryview, ...] = ()) -> None:
        self.text = text
        self._media = media
        self.lifted = bool(media)  # something was extracted
        self._found: set[int] = set()

    @property
    def complete(self) -> bool:
        """True if every extracted medium was requested."""
        return len(self._found) == len(self._media)

    @property
    def count(self) -> int:
        """The number of extracted media."""
        return len(self._media)

    def split(self, word: str) -> tuple[str, memoryview] | None:
        """Return the text before the medium that ends a string, and its base64; None for any other string."""
        before, name, number = word.rpartition(_WORD)
        if not name or not (number.isascii() and number.isdigit()) or int(number) >= len(self._media):
            return None
        return before, self._media[int(number)]

    def media(self, coded: memoryview) -> memoryview:
        """Return the base64 behind a placeholder; the argument itself if it was left in the text."""
        if not self._media or len(coded) != _LENGTH or coded[: len(_NAME)] != _NAME:
            return coded
        number = int(bytes(coded[len(_NAME) :]))
        self._found.add(number)
        return self._media[number]

    def is_placeholder(self, word: str) -> bool:
        """Return True if a word is the placeholder of extracted media."""
        return word.startswith(_WORD)

    def restore(self, text: memoryview) -> list[memoryview]:
        """Return a piece of the text with the media restored."""
        if not self._media:
            return [text]
        raw, pieces, position = bytes(text), list[memoryview](), 0
        while (begin := raw.find(_NAME, position)) >= 0:
            number = begin + len(_NAME)
            pieces += [text[position:begin], self._media[int(raw[number : number + _DIGITS])]]
            position = number + _DIGITS
        pieces.append(text[position:])
        return pieces


def extract_media(body: bytes, least: int = LEAST) -> ExtractedBody:
    """Extract the media with at least ``least`` characters of base64 from a body.

    >>> small = extract_media(b'{"url":"data:image/png;base64,%b"}' % (b"QUJD" * 2048))
    >>> len(small.text), small.lifted
    (64, True)
    """
    if len(body) < least:
        return ExtractedBody(body)
    view, pieces, media, copied, position = memoryview(body), list[bytes | memoryview](), list[memoryview](), 0, 0
    while len(body) - position > least:
        quote = body.rfind(b'"', position, position + least)
        if quote >= 0:
            position = quote + 1
            continue
        begin, position = position, body.find(b'"', position + least)
        if position < 0:
            break
        mark = body.find(_MARK, begin, begin + _HEAD)
        if mark >= 0:
            begin = mark + len(_MARK)
        if _CODED.match(body, begin):
            pieces += [view[copied:begin], b"%b%0*d" % (_NAME, _DIGITS, len(media))]
            media.append(view[begin:position])
            copied = position
        position += 1
    if not media:
        return ExtractedBody(body)
    pieces.append(view[copied:])
    return ExtractedBody(b"".join(pieces), tuple(media))


T = TypeVar("T")
SCAN_STEP = 1 << 15  # characters of a base64 string that is decoded in place
_SLICE = 1 << 20  # base64 characters decoded at a time, in 2 ms; whole groups of four


class InlineMedia(str):
    """A string whose base64 is already decoded: ``data`` holds the bytes, ``prefix`` the text before it, as in a data
    URI.
    """

    __slots__ = ("consumed", "data", "prefix")
    data: bytes
    prefix: str
    consumed: bool

    @classmethod
    def decode(cls, word: str, prefix: str, data: bytes) -> InlineMedia:
        """Return the placeholder ``word`` with its decoded data."""
        placeholder = cls(word)
        placeholder.prefix, placeholder.data, placeholder.consumed = prefix, data, False
        return placeholder


def decode_base64(text: str) -> bytes:
    """Return the bytes of a base64 string, with or without line breaks. Raises ValueError for anything else."""
    if isinstance(text, InlineMedia) and not text.prefix:
        text.consumed = True
        return text.data
    try:
        return b64decode("".join(text.split()), validate=True)  # many programs break lines after 76 characters
    except ValueError as broken:
        raise ValueError(f"media that is not whole, plain base64: {broken}") from broken


def split_data_uri(url: str) -> tuple[str, bytes | str]:
    """Return the parts of a URI before and after its comma; the latter as bytes if it is already decoded."""
    if isinstance(url, InlineMedia) and url.prefix:
        url.consumed = True
        return url.prefix.removesuffix(","), url.data
    head, comma, rest = url.partition(",")
    return (head, rest) if comma else (url, "")


def read_json_with_media(body: bytes, read: Callable[[Any], T]) -> T:
    """Return the result of ``read`` on a body's JSON.

    Raises ValueError for invalid JSON, and whatever ``read`` raises.
    """
    tree, placeholders = parse_with_media(body)
    try:
        result = read(tree)
        if all(each.consumed for each in placeholders):
            return result
    except Exception:
        if all(each.consumed for each in placeholders):
            raise
    return read(loads(body))  # a placeholder stood for a string that the reader wanted unchanged


def parse_with_media(body: bytes) -> tuple[Any, list[InlineMedia]]:
    """Return a body's JSON with ``InlineMedia`` in place of long base64 strings, and the list of those."""
    small = extract_media(body, SCAN_STEP)
    if small.lifted:
        placeholders: list[InlineMedia] = []
        with suppress(ValueError):  # text, or base64 of another alphabet, was cut out
            tree = _with_placeholders(loads(small.text), small, placeholders)
            if len(placeholders) == small.count:
                return tree, placeholders
    return loads(body), []


def _decode_base64(coded: memoryview) -> bytes:
    """Return the bytes of base64, decoded in slices so that other threads can run. Raises Error if it is invalid."""
    decoded = BytesIO()  # getvalue() returns its bytes without a copy
    for start in range(0, len(coded), _SLICE):
        piece = a2b_base64(coded[start : start + _SLICE], strict_mode=True)
        if len(piece) != _SLICE // 4 * 3 and start + _SLICE < len(coded):
            raise Error("padded in the middle")
        decoded.write(piece)
    return decoded.getvalue()


def _with_placeholders(tree: Any, small: ExtractedBody, placeholders: list[InlineMedia]) -> Any:
    if isinstance(tree, dict):
        return {name: _with_placeholders(value, small, placeholders) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_with_placeholders(value, small, placeholders) for value in tree]
    if isinstance(tree, str) and (found := small.split(tree)) is not None:
        placeholder = InlineMedia.decode(tree, found[0], _decode_base64(found[1]))
        placeholders.append(placeholder)
        return placeholder
    return tree
