"""JSON bodies in pieces: structure as JSON, media as base64 segments that nothing ever joins into one string."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec

_CHUNK = 3 << 18  # bytes per base64 segment; a multiple of 3, so that the pieces concatenate without padding


class BodyWriter:
    """Collects a body. ``raw`` and ``value`` grow the current segment, ``base64`` adds segments of its own."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._open = bytearray()

    def raw(self, text: str) -> None:
        """Structure written by us: braces, keys, commas."""
        self._open += text.encode()

    def value(self, value: Any) -> None:
        self._open += dumps(value)

    def base64(self, data: bytes) -> None:
        self._flush()
        view = memoryview(data)
        for start in range(0, len(view), _CHUNK):
            self._done.append(b64encode(view[start : start + _CHUNK]))

    def segments(self) -> tuple[bytes, ...]:
        self._flush()
        return tuple(self._done)

    def _flush(self) -> None:
        if self._open:
            self._done.append(bytes(self._open))
            self._open.clear()


def dumps(value: Any) -> bytes:
    """Compact JSON in UTF-8. A lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole(value))


def whole(text: str) -> str:
    """The text as UTF-8 can carry it."""
    return text.encode("utf-8", "replace").decode()


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole(str(name)): _whole(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole(item) for item in value]
    return value


def loads(data: bytes | str) -> Any:
    """Parsed JSON. Raises ValueError for anything that is not."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


def count(value: Any) -> int | None:
    """A token count a host reported; None for anything that is not a non-negative whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
