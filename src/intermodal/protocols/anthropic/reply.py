"""The reply to an Anthropic message: named server-sent events, or one JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.protocols.calls import (
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDelta,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.framing.json_body import as_list, as_mapping, as_text, as_token_count, dumps
from intermodal.protocols.reply_decoder import ReplyDecoder, map_reason

# Anthropic's words for why the answer ended -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_call", "refusal": "content_filter",
}  # fmt: skip


class AnthropicDecoder(ReplyDecoder):
    """Decodes a message. It properly ends with a stop reason; ``message_stop`` after it is the last event."""

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._counts = AnthropicUsage()
        self._calls: dict[int, int] = {}  # index of a block -> which tool call it is

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        kind = tree.get("type")
        if kind == "message_start":
            self._read_usage(as_mapping(tree.get("message")).get("usage"))
        elif kind == "content_block_start":
            self._read_block(as_token_count(tree.get("index")) or 0, as_mapping(tree.get("content_block")), whole=False)
        elif kind == "content_block_delta":
            self._read_delta(as_token_count(tree.get("index")) or 0, as_mapping(tree.get("delta")))
        elif kind == "message_delta":
            self._read_usage(tree.get("usage"))
            self._read_end(as_mapping(tree.get("delta")))
        elif kind == "message_stop":
            self._last_word()

    def _read_reply(self, tree: Mapping[str, Any]) -> None:
        for index, block in enumerate(as_list(tree.get("content"))):
            self._read_block(index, as_mapping(block), whole=True)
        self._read_usage(tree.get("usage"))
        self._read_end(tree)

    def _read_block(self, index: int, block: Mapping[str, Any], *, whole: bool) -> None:
        kind = block.get("type")
        if kind == "text":
            if text := as_text(block.get("text")):
                self._out.append(WireTextDelta(text=text))
        elif kind == "thinking":
            text, signature = as_text(block.get("thinking")), as_text(block.get("signature"))
            if text or signature:
                self._out.append(ReasoningDelta(text=text, signature=signature))
        elif kind == "tool_use":
            call = self._calls.setdefault(index, len(self._calls))
            given = block.get("input")
            said = dumps(as_mapping(given)).decode() if given or whole else ""
            self._out.append(
                ToolCallDelta(index=call, id=as_text(block.get("id")), name=as_text(block.get("name")), arguments=said)
            )
        elif kind:  # hidden reasoning, and results of the vendor's own tools
            self._out.append(OpaqueBlock(wire="anthropic", body=dumps(block).decode()))

    def _read_delta(self, index: int, delta: Mapping[str, Any]) -> None:
        kind = delta.get("type")
        if kind == "text_delta":
            self._out.append(WireTextDelta(text=as_text(delta.get("text"))))
        elif kind == "thinking_delta":
            self._out.append(ReasoningDelta(text=as_text(delta.get("thinking"))))
        elif kind == "signature_delta":
            self._out.append(ReasoningDelta(text="", signature=as_text(delta.get("signature"))))
        elif kind == "input_json_delta" and index in self._calls and delta.get("partial_json"):
            self._out.append(ToolCallDelta(index=self._calls[index], arguments=as_text(delta.get("partial_json"))))

    def _read_end(self, delta: Mapping[str, Any]) -> None:
        reason = as_text(delta.get("stop_reason"))
        if not reason:
            return
        said = as_text(as_mapping(delta.get("stop_details")).get("explanation"))
        if reason == "refusal" and said:
            self._out.append(RefusalDelta(text=said))
        self.complete = True
        self._reason = map_reason(FINISH_REASONS, reason)

    def _read_usage(self, usage: Any) -> None:
        self._usage = self._counts.add(usage) or self._usage


class AnthropicUsage:
    """The usage of one message. Counts come in two events, and the later ones are the totals."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._tier = ""

    def add(self, usage: Any) -> WireUsage | None:
        """Add a usage object; return the sum so far, None if nothing is known. ``input_tokens`` excludes cached
        tokens.
        """
        found = as_mapping(usage)
        details, kept = as_mapping(found.get("output_tokens_details")), as_mapping(found.get("cache_creation"))
        self._tier = as_text(found.get("service_tier")) or self._tier
        nested = (
            ("thinking_tokens", details.get("thinking_tokens")),
            ("kept_1h", kept.get("ephemeral_1h_input_tokens")),
        )
        for name, value in (*found.items(), *nested):
            number = as_token_count(value)
            if number is not None:
                self._told[name] = number
        if not self._told:
            return None
        told = self._told.get
        read, written = told("cache_read_input_tokens"), told("cache_creation_input_tokens")
        given = told("input_tokens")
        return WireUsage(
            input_tokens=None if given is None else given + (read or 0) + (written or 0),
            output_tokens=told("output_tokens"),
            cached_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=told("thinking_tokens"),
            cache_write_1h_tokens=told("kept_1h"),
            tier=self._tier.lower(),
        )
