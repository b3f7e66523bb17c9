"""JSON, written and read: bodies in segments, values of any type, objects in raw fields, and unfinished objects.

Media in a written body are base64 segments, which are never joined into one string. A forwarded body is split into its
raw fields, and joined again.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

import msgspec

_LETTERS = 1 << 18  # characters escaped at a time, in at most 2 ms, since encoding holds the interpreter lock
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
        """Write a JSON value; a long string is escaped in slices so that other threads can run."""
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
    """Return compact JSON in UTF-8. A lone surrogate, which UTF-8 cannot encode, becomes a question mark."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_lone_surrogates(value))


def valid_utf8(text: str) -> str:
    """Return the text with lone surrogates, which UTF-8 cannot encode, replaced by question marks."""
    return text.encode("utf-8", "replace").decode()


def _without_lone_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return valid_utf8(value)
    if isinstance(value, dict):
        return {valid_utf8(str(name)): _without_lone_surrogates(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_lone_surrogates(item) for item in value]
    return value


def loads(data: bytes | str) -> Any:
    """Return parsed JSON. Raises ValueError for anything else."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(utf8_error(data) or str(error)) from None


def utf8_error(data: bytes | str) -> str:
    """Return a description of invalid UTF-8 with its remedy; "" for valid text."""
    try:
        if not isinstance(data, str):
            str(data, "utf-8")
    except UnicodeDecodeError as error:
        return f"text that is not UTF-8 (byte 0x{error.object[error.start]:02x}); send it in UTF-8"
    return ""


MAX_TOKEN_COUNT = 10**12  # tokens: a larger count is a host's error, and its price would not fit into a row
TokenCount = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKEN_COUNT)]


def as_token_count(value: Any) -> int | None:
    """Return a token count reported by a host; None for anything but an integer from 0 to ``MAX_TOKEN_COUNT``."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKEN_COUNT else None


def has_valid_counts(usage: Mapping[str, Any], names: Iterable[str] = ()) -> bool:
    """Return True if a usage object can be passed to a client unchanged.

    The named counts must be present, and every count must be valid or null.

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


# ---- an object that was cut off ------------------------------------------------------------------

_BLANK = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


def complete_members(text: str) -> dict[str, Any]:
    """Return the members of a truncated object that arrived complete. A number at the very end may lack digits.

    >>> complete_members('{"place": "Bonn", "days": [1, 2], "unit": "cel')
    {'place': 'Bonn', 'days': [1, 2]}
    >>> complete_members('{"days": 1')
    {}
    """
    found: dict[str, Any] = {}
    place = _skip_whitespace(text, 0)
    before = "{"
    while text[place : place + 1] == before:
        before = ","
        try:
            name, place = _decoder.raw_decode(text, _skip_whitespace(text, place + 1))
            place = _skip_whitespace(text, place)
            if not isinstance(name, str) or text[place : place + 1] != ":":
                break
            value, place = _decoder.raw_decode(text, _skip_whitespace(text, place + 1))
        except (ValueError, RecursionError):
            break
        place = _skip_whitespace(text, place)
        if place == len(text) and not isinstance(value, (str, dict, list)):
            break
        found[name] = value
    return found


def _skip_whitespace(text: str, place: int) -> int:
    """Return the position after whitespace."""
    blank = _BLANK.match(text, place)
    return blank.end() if blank is not None else place


# ---- objects in raw fields -----------------------------------------------------------------------

split_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def join_object(fields: Mapping[str, msgspec.Raw], own_fields: Mapping[str, bytes] = MappingProxyType({})) -> bytes:
    """Return an object of raw fields, in which ``own_fields`` replace fields of the same name or follow the others."""
    return _encode({**fields, **{name: msgspec.Raw(raw) for name, raw in own_fields.items()}})


_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_content = msgspec.json.Decoder(str | list[msgspec.Raw]).decode
_kind = msgspec.json.Decoder(str).decode
_WORDS = ("text", "input_text")


def append_words(messages: bytes, words: str) -> bytes | None:
    """Return the messages with ``words`` appended to the last one; None if that does not end in text of a user."""
    message_list = _decode_list(messages)
    last = split_object(message_list[-1]) if message_list else {}
    if _kind(last.get("role", b'""')) != "user":
        return None
    content: Any = _content(last.get("content", b'""'))
    if isinstance(content, str):
        more = dumps(f"{content}\n\n{words}")
    else:
        block = split_object(content[-1]) if content else {}
        if _kind(block.get("type", b'""')) not in _WORDS:
            return None
        text = dumps(f"{_kind(block['text'])}\n\n{words}")
        more = b"[" + b",".join([*content[:-1], join_object(block, {"text": text})]) + b"]"
    return b"[" + b",".join([*message_list[:-1], join_object(last, {"content": more})]) + b"]"


def last_words(messages: bytes) -> str:
    """Return the text at the end of the last message."""
    content: Any = _content(split_object(_decode_list(messages)[-1]).get("content", b'""'))
    return content if isinstance(content, str) else _kind(split_object(content[-1])["text"])


def add_run_metadata(raw_usage: bytes, metadata: bytes) -> bytes:
    """Return the usage object with the run metadata added."""
    inside = raw_usage.strip()[1:-1].strip()
    return b"{" + inside + (b"," if inside else b"") + b'"intermodal":' + metadata + b"}"
