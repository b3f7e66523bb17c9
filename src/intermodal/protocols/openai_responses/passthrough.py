"""Parse replies of OpenAI's Responses API as far as the direct path needs, and write them with run metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from intermodal.protocols.calls import WireUsage
from intermodal.protocols.framing.json_body import (
    TokenCount,
    add_run_metadata,
    dumps,
    has_valid_counts,
    join_object,
    split_object,
)
from intermodal.protocols.openai_chat.reply import read_usage, with_reasoning
from intermodal.protocols.openai_responses import server
from intermodal.protocols.openai_responses.reply import explains_end, finish_reason
from intermodal.protocols.reply_chunk import ReplyChunk

UNCOUNTED = dumps(server.write_usage(WireUsage()))
# Characters of a unique id. Clients refer to the response by it later, so a short one, which may repeat, is replaced.
OWN_ID = 20
_NULL = b"null"
_COUNTS = tuple(
    b'"%b"' % name
    for name in (
        b"input_tokens", b"input_tokens_details", b"cached_tokens", b"cache_write_tokens", b"output_tokens",
        b"output_tokens_details", b"reasoning_tokens", b"total_tokens",
    )
)  # fmt: skip
_NEEDED = ("input_tokens", "output_tokens", "total_tokens")
_Detail = TokenCount | msgspec.UnsetType | None
# Fields that clients rely on, for hosts that omit them.
_USUAL: Mapping[str, msgspec.Raw] = split_object(
    b'{"object":"response","error":null,"incomplete_details":null,"instructions":null,"metadata":{},'
    b'"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"temperature":null,"top_p":null,'
    b'"max_output_tokens":null}'
)


class _InputDetails(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: _Detail = msgspec.UNSET
    cache_write_tokens: _Detail = msgspec.UNSET


class _OutputDetails(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: _Detail = msgspec.UNSET


class _Counts(msgspec.Struct, forbid_unknown_fields=True):
    """Usage as OpenAI and most others write it."""

    input_tokens: TokenCount
    output_tokens: TokenCount
    total_tokens: TokenCount
    input_tokens_details: _InputDetails
    output_tokens_details: _OutputDetails


class OutputPart(msgspec.Struct):
    type: str = ""
    text: str | None = None
    annotations: list[msgspec.Raw] | None = None
    logprobs: list[msgspec.Raw] | None = None
    refusal: str | None = None

    @property
    def plain(self) -> bool:
        """Written as everybody writes it."""
        if self.type == "output_text":
            return self.text is not None and self.annotations is not None and self.logprobs is not None
        return self.type == "refusal" and self.refusal is not None


class OutputItem(msgspec.Struct):
    type: str = ""
    id: str = ""
    status: str = ""
    role: str = ""
    content: list[OutputPart] | None = None
    summary: list[OutputPart] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str | None = None

    @property
    def thoughts(self) -> list[OutputPart]:
        """The reasoning, in summary or in full."""
        return [*(self.summary or ()), *(self.content or ())]

    @property
    def plain(self) -> bool:
        """Written as everybody writes it."""
        if len(self.id) < OWN_ID:
            return False
        if self.type == "reasoning":
            return True
        if self.type == "message":
            return self.role == "assistant" and bool(self.status) and all(part.plain for part in self.content or ())
        called = self.type == "function_call" and bool(self.call_id and self.name and self.status)
        return called and self.arguments is not None


class IncompleteDetails(msgspec.Struct):
    reason: str | None = None


class ResponseObject(msgspec.Struct):
    """A response, as far as it is looked at."""

    id: str = ""
    created_at: float | None = None
    status: str | None = None
    error: msgspec.Raw = msgspec.Raw()
    incomplete_details: IncompleteDetails | None = None
    output: list[OutputItem] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    model: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None

    @property
    def failed(self) -> bool:
        error = bytes(self.error)
        return self.status == "failed" or (bool(error) and error != _NULL)

    @property
    def ended(self) -> bool:
        """Whether the response has ended and states why."""
        return self.status is not None and explains_end(self.status, self._reason)

    @property
    def plain(self) -> bool:
        """Whether it has every field from which clients assemble an answer."""
        known = bool(self.id) and self.created_at is not None and self.status is not None
        return known and self.output is not None and all(item.plain for item in self.output)

    def counted(self) -> tuple[WireUsage | None, bytes]:
        """Return the usage, and the same in the client's format. Raises MsgspecError for invalid counts."""
        raw = bytes(self.usage)
        if not raw or raw == _NULL:
            return None, b""
        tier = self.service_tier or ""
        try:
            usage, plain = _usage_of(_counts.decode(raw), tier)
        except msgspec.ValidationError:
            tree = _any.decode(raw)
            usage = read_usage(tree, tier)
            plain = all(name in raw for name in _COUNTS) and has_valid_counts(tree, _NEEDED)
        return usage, raw if plain else dumps(server.write_usage(usage))

    def ending(self, *, called: bool) -> str:
        """Why it ended, in the words of everything else."""
        return finish_reason(self._reason, called=called)

    @property
    def _reason(self) -> str:
        return (self.incomplete_details and self.incomplete_details.reason) or ""


_reply = msgspec.json.Decoder(ResponseObject)
_any = msgspec.json.Decoder(dict[str, Any])
_counts = msgspec.json.Decoder(_Counts)
_output = msgspec.json.Decoder(list[dict[str, Any]])


def _usage_of(told: _Counts, tier: str) -> tuple[WireUsage, bool]:
    """Return the usage as ``read_usage`` does, and whether it has every count that clients rely on."""
    given, made = told.input_tokens_details, told.output_tokens_details
    cached, written, thought = given.cached_tokens, given.cache_write_tokens, made.reasoning_tokens
    plain = cached is not msgspec.UNSET and written is not msgspec.UNSET and thought is not msgspec.UNSET
    thought = None if thought is msgspec.UNSET else thought
    usage = WireUsage(
        input_tokens=told.input_tokens,
        output_tokens=with_reasoning(told.input_tokens, told.output_tokens, thought, told.total_tokens),
        cached_tokens=None if cached is msgspec.UNSET else cached,
        cache_write_tokens=None if written is msgspec.UNSET else written,
        reasoning_tokens=thought, tier=tier.lower(),
    )  # fmt: skip
    return usage, plain


def reply_of(data: bytes | msgspec.Raw) -> ResponseObject:
    """Parse a response. Raises MsgspecError if it is not one."""
    return _reply.decode(data)


def read(data: bytes | memoryview) -> ReplyChunk | None:
    """Parse a response; None if it is not one, is unusual, or is an error: then the codec identifies it."""
    try:
        reply = _reply.decode(data)
        if reply.failed or not reply.ended or not reply.plain or reply.output is None:
            return None
        usage, counted = reply.counted()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    calls = tuple(
        (place, item.call_id, item.name) for place, item in enumerate(reply.output) if item.type == "function_call"
    )
    parts = [part for item in reply.output if item.type == "message" for part in item.content or ()]
    text = "".join(part.text or "" for part in parts)
    refusal = "".join(part.refusal or "" for part in parts)
    thoughts = [part for item in reply.output if item.type == "reasoning" for part in item.thoughts]
    beside = "".join([*(part.text or "" for part in thoughts), *(item.arguments or "" for item in reply.output)])
    finish = reply.ending(called=bool(calls))
    seen = bool(reply.output)
    return ReplyChunk(text, seen, refusal, finish, usage, counted, bytes(reply.model), calls, beside=beside)


def finished(
    data: bytes | memoryview, model: str, counted: bytes, about: bytes, asked: Mapping[str, msgspec.Raw]
) -> bytes:
    """Return a response with the client's name of the model and request fields, since the host received different ones,
    and the run metadata beside its counts.
    """
    ours = {"model": dumps(model), "usage": add_run_metadata(counted, about)}
    return join_object({**_USUAL, **split_object(data), **asked}, ours)


def begun(data: bytes | msgspec.Raw, model: str, asked: Mapping[str, msgspec.Raw]) -> bytes:
    """Return a response that has begun, rewritten in the same way."""
    return join_object({**_USUAL, **split_object(data), **asked}, {"model": dumps(model)})


def items_of(data: bytes | memoryview) -> list[dict[str, Any]]:
    """Return the items of a response that clients may refer to later."""
    return [item for item in _output.decode(split_object(data)["output"]) if isinstance(item.get("id"), str)]
