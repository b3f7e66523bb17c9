"""Cut large media out of a JSON body, so that a parser reads the small rest.

A parser visits a picture letter by letter (0.9 ms a megabyte, during which no other client is served); finding its end
takes a thirtieth of that. Each picture is replaced by an unguessable name, in base64 too.

The rest means the same as the whole: base64 holds neither backslash nor quote, so the first quote after it ends its
string. Everything that was cut out must turn out to be a picture with valid base64; if anything is not (words that
quote a picture, a key that comes twice), the body is read as it came.
"""

from __future__ import annotations

import re
import secrets
from base64 import b64encode

_NAME = b64encode(secrets.token_bytes(18))  # of this process, 24 letters
_WORD = _NAME.decode()
_DIGITS = 8
_LENGTH = len(_NAME) + _DIGITS  # whole groups of four
LEAST = 4 << 10  # letters of base64 that are worth it
_MARK = b";base64,"
_HEAD = 64  # characters within which a data URI states that base64 follows
_CODED = re.compile(rb"[A-Za-z0-9+/]{256}")  # no language writes so


class ExtractedBody:
    """A client's body. ``text`` is the JSON without the media that were cut out."""

    def __init__(self, text: bytes, media: tuple[memoryview, ...] = ()) -> None:
        self.text = text
        self._media = media
        self.lifted = bool(media)  # something is not in the text
        self._found: set[int] = set()

    @property
    def complete(self) -> bool:
        """All that was lifted was asked for."""
        return len(self._found) == len(self._media)

    @property
    def count(self) -> int:
        """How many media were cut out."""
        return len(self._media)

    def split(self, word: str) -> tuple[str, memoryview] | None:
        """Return what precedes the medium that a string ends in, and its base64; None for any other string."""
        before, name, number = word.rpartition(_WORD)
        if not name or not (number.isascii() and number.isdigit()) or int(number) >= len(self._media):
            return None
        return before, self._media[int(number)]

    def media(self, coded: memoryview) -> memoryview:
        """The base64 that is meant: itself, where it was left in the text."""
        if not self._media or len(coded) != _LENGTH or coded[: len(_NAME)] != _NAME:
            return coded
        number = int(bytes(coded[len(_NAME) :]))
        self._found.add(number)
        return self._media[number]

    def stands_in(self, word: str) -> bool:
        """Return whether a word is the placeholder of extracted media."""
        return word.startswith(_WORD)

    def whole(self, text: memoryview) -> list[memoryview]:
        """A piece of the text with the media in their places."""
        if not self._media:
            return [text]
        raw, pieces, at = bytes(text), list[memoryview](), 0
        while (begin := raw.find(_NAME, at)) >= 0:
            number = begin + len(_NAME)
            pieces += [text[at:begin], self._media[int(raw[number : number + _DIGITS])]]
            at = number + _DIGITS
        pieces.append(text[at:])
        return pieces


def extract_media(body: bytes, least: int = LEAST) -> ExtractedBody:
    """A body, and apart from it its media of at least so many letters of base64.

    >>> small = extract_media(b'{"url":"data:image/png;base64,%b"}' % (b"QUJD" * 2048))
    >>> len(small.text), small.lifted
    (64, True)
    """
    if len(body) < least:
        return ExtractedBody(body)
    whole, pieces, media, kept, at = memoryview(body), list[bytes | memoryview](), list[memoryview](), 0, 0
    while len(body) - at > least:
        quote = body.rfind(b'"', at, at + least)
        if quote >= 0:
            at = quote + 1
            continue
        begin, at = at, body.find(b'"', at + least)
        if at < 0:
            break
        mark = body.find(_MARK, begin, begin + _HEAD)
        if mark >= 0:
            begin = mark + len(_MARK)
        if _CODED.match(body, begin):
            pieces += [whole[kept:begin], b"%b%0*d" % (_NAME, _DIGITS, len(media))]
            media.append(whole[begin:at])
            kept = at
        at += 1
    if not media:
        return ExtractedBody(body)
    pieces.append(whole[kept:])
    return ExtractedBody(b"".join(pieces), tuple(media))
