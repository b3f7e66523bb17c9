"""Split a JSON object into its raw fields, and join raw fields into an object."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from intermodal.protocols.framing.json_body import dumps

split_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


_encode = msgspec.json.Encoder().encode


def join_object(fields: Mapping[str, msgspec.Raw], ours: Mapping[str, bytes] = MappingProxyType({})) -> bytes:
    """Return an object of raw fields; those of ``ours`` stand in place of the same of ``fields``, or behind them."""
    return _encode({**fields, **{name: msgspec.Raw(raw) for name, raw in ours.items()}})


_listed = msgspec.json.Decoder(list[msgspec.Raw]).decode
_content = msgspec.json.Decoder(str | list[msgspec.Raw]).decode
_kind = msgspec.json.Decoder(str).decode
_WORDS = ("text", "input_text")


def append_words(messages: bytes, words: str) -> bytes | None:
    """The messages with more words at the end of the last one; None where that does not end in words of a user."""
    listed = _listed(messages)
    last = split_object(listed[-1]) if listed else {}
    if _kind(last.get("role", b'""')) != "user":
        return None
    content: Any = _content(last.get("content", b'""'))
    if isinstance(content, str):
        more = dumps(f"{content}\n\n{words}")
    else:
        block = split_object(content[-1]) if content else {}
        if _kind(block.get("type", b'""')) not in _WORDS:
            return None
        said = dumps(f"{_kind(block['text'])}\n\n{words}")
        more = b"[" + b",".join([*content[:-1], join_object(block, {"text": said})]) + b"]"
    return b"[" + b",".join([*listed[:-1], join_object(last, {"content": more})]) + b"]"


def last_words(messages: bytes) -> str:
    """The words at the end of the last message."""
    content: Any = _content(split_object(_listed(messages)[-1]).get("content", b'""'))
    return content if isinstance(content, str) else _kind(split_object(content[-1])["text"])


def add_run_metadata(counted: bytes, about: bytes) -> bytes:
    """Return the usage unchanged, with the run metadata in it."""
    inside = counted.strip()[1:-1].strip()
    return b"{" + inside + (b"," if inside else b"") + b'"intermodal":' + about + b"}"
