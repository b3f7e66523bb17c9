"""The reply to an Anthropic message: named server-sent events, or one JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.protocols.calls import OpaqueBlock, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta, Usage
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.json_body import count, dumps, items, mapping, word
from intermodal.protocols.reply_decoder import Decoding

# Anthropic's words for why the answer ended -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_call", "refusal": "content_filter",
}  # fmt: skip


class Decoder(Decoding):
    """Its proper end is the reason to stop; ``message_stop`` after it is the last word."""

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._counts = Counts()
        self._calls: dict[int, int] = {}  # index of a block -> which tool call it is

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        kind = tree.get("type")
        if kind == "message_start":
            self._read_usage(mapping(tree.get("message")).get("usage"))
        elif kind == "content_block_start":
            self._read_block(count(tree.get("index")) or 0, mapping(tree.get("content_block")), whole=False)
        elif kind == "content_block_delta":
            self._read_delta(count(tree.get("index")) or 0, mapping(tree.get("delta")))
        elif kind == "message_delta":
            self._read_usage(tree.get("usage"))
            self._read_end(mapping(tree.get("delta")))
        elif kind == "message_stop":
            self._last_word()

    def _read_reply(self, tree: Mapping[str, Any]) -> None:
        for index, block in enumerate(items(tree.get("content"))):
            self._read_block(index, mapping(block), whole=True)
        self._read_usage(tree.get("usage"))
        self._read_end(tree)

    def _read_block(self, index: int, block: Mapping[str, Any], *, whole: bool) -> None:
        kind = block.get("type")
        if kind == "text":
            if text := word(block.get("text")):
                self._out.append(TextDelta(text=text))
        elif kind == "thinking":
            text, signature = word(block.get("thinking")), word(block.get("signature"))
            if text or signature:
                self._out.append(ReasoningDelta(text=text, signature=signature))
        elif kind == "tool_use":
            call = self._calls.setdefault(index, len(self._calls))
            given = block.get("input")
            said = dumps(mapping(given)).decode() if given or whole else ""
            self._out.append(
                ToolCallDelta(index=call, id=word(block.get("id")), name=word(block.get("name")), arguments=said)
            )
        elif kind:  # thinking that is not shown, and what tools of the vendor's own did
            self._out.append(OpaqueBlock(wire="anthropic", body=dumps(block).decode()))

    def _read_delta(self, index: int, delta: Mapping[str, Any]) -> None:
        kind = delta.get("type")
        if kind == "text_delta":
            self._out.append(TextDelta(text=word(delta.get("text"))))
        elif kind == "thinking_delta":
            self._out.append(ReasoningDelta(text=word(delta.get("thinking"))))
        elif kind == "signature_delta":
            self._out.append(ReasoningDelta(text="", signature=word(delta.get("signature"))))
        elif kind == "input_json_delta" and index in self._calls and delta.get("partial_json"):
            self._out.append(ToolCallDelta(index=self._calls[index], arguments=word(delta.get("partial_json"))))

    def _read_end(self, delta: Mapping[str, Any]) -> None:
        reason = word(delta.get("stop_reason"))
        if not reason:
            return
        said = word(mapping(delta.get("stop_details")).get("explanation"))
        if reason == "refusal" and said:
            self._out.append(RefusalDelta(text=said))
        self.complete = True
        self._reason = FINISH_REASONS.get(reason, classification.quote(reason.lower())[:40])

    def _read_usage(self, usage: Any) -> None:
        self._usage = self._counts.add(usage) or self._usage


class Counts:
    """What a message says it took. Counts come in two places, and the later ones are the totals."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._tier = ""

    def add(self, usage: Any) -> Usage | None:
        """A usage object; what is known with it, None where nothing is. What was cached is not in ``input_tokens``."""
        found = mapping(usage)
        details, kept = mapping(found.get("output_tokens_details")), mapping(found.get("cache_creation"))
        self._tier = word(found.get("service_tier")) or self._tier
        nested = (
            ("thinking_tokens", details.get("thinking_tokens")),
            ("kept_1h", kept.get("ephemeral_1h_input_tokens")),
        )
        for name, value in (*found.items(), *nested):
            number = count(value)
            if number is not None:
                self._told[name] = number
        if not self._told:
            return None
        told = self._told.get
        read, written = told("cache_read_input_tokens"), told("cache_creation_input_tokens")
        given = told("input_tokens")
        return Usage(
            input_tokens=None if given is None else given + (read or 0) + (written or 0),
            output_tokens=told("output_tokens"),
            cached_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=told("thinking_tokens"),
            cache_write_1h_tokens=told("kept_1h"),
            tier=self._tier.lower(),
        )
