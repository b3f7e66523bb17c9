"""JSON bodies in segments: structure as JSON, media as base64 segments that are never joined into one string."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

_LETTERS = 1 << 18  # characters escaped at once, at most 2 ms, since encoding holds the interpreter
_CHUNK = 3 << 18  # bytes per base64 segment; a multiple of 3, so that segments concatenate without padding


class Base64(NamedTuple):
    """Media in a tree for ``BodyWriter.tree``: written as the string ``prefix`` + base64 of ``data``."""

    data: bytes
    prefix: str = ""


class BodyWriter:
    """Collects a body. ``raw`` and ``value`` extend the current segment; ``base64`` adds segments of its own."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._open = bytearray()

    def raw(self, text: str) -> None:
        """Write structure: braces, keys, commas."""
        self._open += text.encode()

    def value(self, value: Any) -> None:
        """Write a JSON value; a long string is escaped slice by slice so that other threads can run."""
        if isinstance(value, str) and len(value) > _LETTERS:
            self._open += b'"'
            for start in range(0, len(value), _LETTERS):
                self._open += memoryview(dumps(value[start : start + _LETTERS]))[1:-1]
            self._open += b'"'
        else:
            self._open += dumps(value)

    def tree(self, value: Any) -> None:
        """Write a JSON value in which media are ``Base64``."""
        if isinstance(value, Base64):
            self.raw(f'"{value.prefix}')
            self.base64(value.data)
            self.raw('"')
        elif isinstance(value, dict):
            self.raw("{")
            for number, (name, item) in enumerate(value.items()):
                self.raw("," if number else "")
                self.value(name)
                self.raw(":")
                self.tree(item)
            self.raw("}")
        elif isinstance(value, list):
            self.raw("[")
            for number, item in enumerate(value):
                self.raw("," if number else "")
                self.tree(item)
            self.raw("]")
        else:
            self.value(value)

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


def segments(tree: Any) -> tuple[bytes, ...]:
    """Return a whole body from a tree in which media are ``Base64``."""
    body = BodyWriter()
    body.tree(tree)
    return body.segments()


def dumps(value: Any) -> bytes:
    """Return compact JSON in UTF-8. A lone surrogate, which UTF-8 cannot hold, becomes a question mark."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_whole(value))


def valid_utf8(text: str) -> str:
    """Return the text with what UTF-8 cannot hold (lone surrogates) replaced by question marks."""
    return text.encode("utf-8", "replace").decode()


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return valid_utf8(value)
    if isinstance(value, dict):
        return {valid_utf8(str(name)): _whole(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_whole(item) for item in value]
    return value


def loads(data: bytes | str) -> Any:
    """Return parsed JSON. Raises ValueError for anything else."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(utf8_error(data) or str(error)) from None


def utf8_error(data: bytes | str) -> str:
    """Return the error in bytes that are not UTF-8, and the fix; "" for valid text."""
    try:
        if not isinstance(data, str):
            str(data, "utf-8")
    except UnicodeDecodeError as error:
        return f"text that is not UTF-8 (byte 0x{error.object[error.start]:02x}); send it in UTF-8"
    return ""


MAX_TOKEN_COUNT = 10**12  # tokens: a larger count is a host's error, and its price would not fit into a row


def as_token_count(value: Any) -> int | None:
    """Return a token count that a host reported; None for anything but an integer from 0 to ``MAX_TOKEN_COUNT``."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKEN_COUNT else None


def has_valid_counts(usage: Mapping[str, Any], names: Iterable[str] = ()) -> bool:
    """Return whether a usage object can be passed to a client unchanged: the named counts are present, and every count
    is valid or null.

    >>> has_valid_counts({"total_tokens": 7, "details": {"cached_tokens": None}, "cost": 0.1}, ["total_tokens"])
    True
    >>> has_valid_counts({"total_tokens": 7, "details": {"cached_tokens": -1}})
    False
    """
    if any(as_token_count(usage.get(name)) is None for name in names):
        return False
    return all(
        has_valid_counts(value) if isinstance(value, Mapping)
        else value is None or not name.endswith("_tokens") or as_token_count(value) is not None
        for name, value in usage.items()
    )  # fmt: skip


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is an object, else an empty one: hosts omit unknown fields."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: Any) -> Sequence[Any]:
    """Return the value if it is an array, else an empty one."""
    return value if isinstance(value, list) else ()


def as_text(value: Any) -> str:
    """Return the value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""
