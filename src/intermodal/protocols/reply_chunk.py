"""The content of one reply of a host, or one chunk of its stream, beside the bytes that are forwarded to the client.

Each protocol's ``passthrough.py`` reads it; ``rewrite_reply`` puts the client's model name and the summary of the run
into those bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import uuid4

import msgspec

from intermodal.core.content import ToolCall
from intermodal.protocols.calls import WireUsage
from intermodal.protocols.framing.json_body import add_run_metadata, dumps, join_object, split_object
from intermodal.protocols.framing.surrogates import without_lone_surrogates

_NONE = msgspec.Raw(b"[]")


@lru_cache(maxsize=1024)
def _json_string(model: str) -> msgspec.Raw:
    return msgspec.Raw(dumps(model))


class ReplyChunk(msgspec.Struct, frozen=True):
    """The content of one reply, or of one chunk of a stream.

    ``usage``: its counts, None if it has none; ``raw_usage``: the same in raw form. ``calls``: with their index. A
    refusal alone is not visible: it is an error, as everywhere else. ``beside``: reasoning, and the arguments of tool
    calls.
    """

    text: str
    visible: bool
    refusal: str
    finish: str
    usage: WireUsage | None
    raw_usage: bytes
    model: bytes
    calls: tuple[tuple[int, str, str], ...]
    halved: bool = False  # there are lone surrogates in the text
    alive: bool = True  # it is a piece of the answer, not something that only keeps the connection open
    indexes: tuple[Any, ...] = (0,)  # of its choices
    beside: str = ""

    @property
    def of_an_answer(self) -> bool:
        """True if it contains a part of an answer or its end, not only counts."""
        return bool(self.text or self.visible or self.refusal or self.finish or self.calls)

    @property
    def is_text_only(self) -> bool:
        """True if it contains text and nothing else."""
        more = self.refusal or self.finish or self.calls or self.usage is not None
        return bool(self.text) and self.visible and not more

    def unclear(self, begun_calls: Mapping[int, tuple[str, str]]) -> bool:
        """Return True if a call begins without an id, or at the index of another one.

        ``begun_calls``: id and name of the calls before, by index.
        """
        call_ids = {index: id_ for index, (id_, _) in begun_calls.items()}
        for index, id_, _ in self.calls:
            before = call_ids.get(index)
            if (before is None and not id_) or (before and id_ and id_ != before):
                return True
            call_ids[index] = before or id_
        return False


def calls_of(found: Mapping[int, tuple[str, str]]) -> tuple[ToolCall, ...]:
    """Return tool calls with id and name only, by which a conversation is recognised."""
    return tuple(ToolCall(id=call, name=name, arguments="") for _, (call, name) in sorted(found.items()))


def rewrite_reply(
    data: bytes | memoryview, model: str | None, raw_usage: bytes | None, metadata: bytes, *, chunk: bool = False
) -> bytes:
    """Return a reply with the client's name of the model, and the run metadata beside its counts.

    ``raw_usage``: its usage in raw form; None leaves it out. ``chunk``: it is the last chunk of a stream, which carries
    nothing else.
    """
    try:
        fields = split_object(data)
    except msgspec.DecodeError:
        mark = uuid4().hex.encode()
        without = without_lone_surrogates(
            bytes(data), mark, keep=True
        )  # its text is passed on unchanged, lone surrogates included
        if without is None:
            raise
        return rewrite_reply(without, model, raw_usage, metadata, chunk=chunk).replace(mark, b"\\")
    if model is not None:
        fields["model"] = _json_string(model)
    if raw_usage is None:
        fields.pop("usage", None)
    else:
        fields["usage"] = msgspec.Raw(add_run_metadata(raw_usage, metadata))
    if chunk:
        fields["choices"] = _NONE
    return join_object(fields)
