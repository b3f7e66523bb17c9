"""Ollama's own chat, as a host answers: one set of types, read by a run and by a direct call.

A reply is a sequence of JSON lines, the last of which has ``done``, or only that line. ``OllamaDecoder`` makes events
of them; ``read_reply`` and ``plain_line`` tell of those that a passthrough forwards what it needs to know of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from intermodal.protocols.calls import ReasoningDelta, ToolCallDelta, WireTextDelta, WireUsage
from intermodal.protocols.framing.event_streams import NdjsonReader
from intermodal.protocols.framing.host_json import NOT_DECODED, HostDecoder, HostObject, HostReply
from intermodal.protocols.framing.json_body import as_mapping, as_token_count, dumps, loads
from intermodal.protocols.reply_chunk import ReplyChunk
from intermodal.protocols.reply_decoder import ReplyDecoder, map_reason, read_logprobs, tool_call_id

# Ollama's finish reasons -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {"stop": "stop", "length": "length", "": "stop"}


# ---- the types of a reply ----------------------------------------------------------------------


class OllamaFunction(HostObject):
    index: int | None = None
    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()


class OllamaToolCall(HostObject):
    id: str | None = None
    function: OllamaFunction | None = None

    @property
    def is_plain(self) -> bool:
        """True if clients can tell it apart from others, and its arguments are an object."""
        called = self.function or _NO_FUNCTION
        return bool(self.id and called.name) and called.index is not None and bytes(called.arguments)[:1] == b"{"


class OllamaMessage(HostObject):
    CONTENT = frozenset({"content"})

    role: str | None = None
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[OllamaToolCall] | None = None


class OllamaLine(HostReply):
    """A line of a stream, or a whole reply."""

    CONTENT = frozenset({"message"})

    model: msgspec.Raw = msgspec.Raw()
    created_at: str | None = None
    message: OllamaMessage | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Any = msgspec.UNSET
    eval_count: Any = msgspec.UNSET
    logprobs: Any = None

    def read_usage(self) -> WireUsage:
        """Return the usage; counts that are not valid are left out."""
        return WireUsage(
            input_tokens=as_token_count(self.prompt_eval_count), output_tokens=as_token_count(self.eval_count)
        )  # fmt: skip

    @property
    def odd_counts(self) -> bool:
        """True if a count is no number of tokens, or both are 0, which says that nothing was counted."""
        counts = (self.prompt_eval_count, self.eval_count)
        odd = any(count is not msgspec.UNSET and as_token_count(count) is None for count in counts)
        return odd or counts == (0, 0)


_NO_FUNCTION, _NOTHING = OllamaFunction(), OllamaMessage()
_replies = HostDecoder(OllamaLine)
_line = _replies.decode


def finish_reason(done_reason: str, *, called: bool) -> str:
    """Return why an answer ended. Ollama reports "stop" if tools are called."""
    reason = map_reason(FINISH_REASONS, done_reason)
    return "tool_call" if called and reason == "stop" else reason


# ---- a reply as events -------------------------------------------------------------------------


class OllamaDecoder(ReplyDecoder):
    """Decodes a reply. It properly ends with the line that has ``done``; a late error is a line with status 200."""

    replies = _replies

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._calls = 0

    def _new_event_reader(self) -> NdjsonReader:
        return NdjsonReader()

    def _read_event(self, line: OllamaLine, name: str) -> None:
        message = line.message or _NOTHING
        if message.thinking:
            self._out.append(ReasoningDelta(text=message.thinking))
        if message.content:
            self._out.append(WireTextDelta(text=message.content))
        for call in message.tool_calls or ():
            self._read_call(call)
        if line.logprobs:
            self._out += read_logprobs(line.logprobs)
        if line.done:
            self._read_counts(line)
            self._reason = finish_reason(line.done_reason or "", called=self._calls > 0)
            self.complete = True
            self._finish()

    def _read_counts(self, line: OllamaLine) -> None:
        if line.done:
            self._usage = line.read_usage()

    def _read_call(self, call: OllamaToolCall) -> None:
        """Read a whole call. A call without an id gets one, so that its result can refer to it."""
        function = call.function or _NO_FUNCTION
        index, self._calls = self._calls, self._calls + 1
        arguments = as_mapping(loads(bytes(function.arguments) or b"{}"))
        self._out.append(
            ToolCallDelta(
                index=index, id=tool_call_id(call.id or ""), name=function.name or "",
                arguments=dumps(arguments).decode(),
            )
        )  # fmt: skip


# ---- a reply as it is forwarded ----------------------------------------------------------------

UNCOUNTED = b"{}"


def read_reply(data: bytes | memoryview) -> ReplyChunk | None:
    """Return what a reply holds; None if it is unusual or an error: then it is decoded, and written again."""
    try:
        reply = _line(data)
    except NOT_DECODED:
        return None
    message, reason = reply.message or _NOTHING, reply.done_reason
    usual = reply.done and reason and reason in FINISH_REASONS and reply.created_at is not None
    if not usual or message.role != "assistant" or message.content is None or reply.is_error or reply.odd_counts:
        return None
    tool_calls = message.tool_calls or ()
    if not (bytes(reply.model) and all(call.is_plain for call in tool_calls)):
        return None
    functions = [call.function or _NO_FUNCTION for call in tool_calls]
    calls = tuple((place, call.id or "", functions[place].name or "") for place, call in enumerate(tool_calls))
    arguments = [bytes(function.arguments).decode(errors="replace") for function in functions]
    return ReplyChunk(
        message.content, True, "", finish_reason(reason or "", called=bool(calls)), reply.read_usage(), UNCOUNTED,
        bytes(reply.model), calls, beside="".join([message.thinking or "", *arguments]),
    )  # fmt: skip


def plain_line(data: bytes) -> tuple[bytes, str, str] | None:
    """Return the model's name, the text and the reasoning of a line of a stream that can be forwarded unchanged.

    None if it is unusual, ends the answer, calls tools, or is an error.
    """
    try:
        line = _line(data)
    except NOT_DECODED:
        return None
    message = line.message
    if message is None or message.content is None or message.role != "assistant" or message.tool_calls is not None:
        return None
    if line.done is not False or line.created_at is None or line.is_error:
        return None
    return bytes(line.model), message.content, message.thinking or ""


Decoder = OllamaDecoder  # the name that every protocol has for it
