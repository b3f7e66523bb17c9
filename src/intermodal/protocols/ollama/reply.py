"""The reply of Ollama's chat: lines of JSON of which the last has ``done``, or that line alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from intermodal.protocols.calls import ReasoningDelta, ToolCallDelta, WireTextDelta, WireUsage
from intermodal.protocols.framing.event_streams import NdjsonReader
from intermodal.protocols.framing.json_body import as_list, as_mapping, as_text, as_token_count, dumps
from intermodal.protocols.reply_decoder import ReplyDecoder, map_reason, read_logprobs, tool_call_id

# Ollama's words for why the answer ended -> OpenTelemetry GenAI's.
FINISH_REASONS: Mapping[str, str] = {"stop": "stop", "length": "length", "": "stop"}


class OllamaDecoder(ReplyDecoder):
    """Decodes a reply. It properly ends with the line that has ``done``; an error after the start is a line with status
    200.
    """

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._calls = 0

    def _lines(self) -> NdjsonReader:
        return NdjsonReader()

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        message = as_mapping(tree.get("message"))
        if text := as_text(message.get("thinking")):
            self._out.append(ReasoningDelta(text=text))
        if text := as_text(message.get("content")):
            self._out.append(WireTextDelta(text=text))
        for call in as_list(message.get("tool_calls")):
            self._read_call(as_mapping(call))
        self._out += read_logprobs(tree.get("logprobs"))
        if tree.get("done") is not True:
            return
        self._usage = WireUsage(
            input_tokens=as_token_count(tree.get("prompt_eval_count")),
            output_tokens=as_token_count(tree.get("eval_count")),
        )
        reason = as_text(tree.get("done_reason"))
        self._reason = finish_reason(reason, called=self._calls > 0)
        self.complete = True
        self._finish()

    def _read_call(self, call: Mapping[str, Any]) -> None:
        """Read a whole call. One without an id gets one, so that its result can refer to it."""
        function = as_mapping(call.get("function"))
        index, self._calls = self._calls, self._calls + 1
        self._out.append(
            ToolCallDelta(
                index=index,
                id=tool_call_id(as_text(call.get("id"))),
                name=as_text(function.get("name")),
                arguments=dumps(as_mapping(function.get("arguments"))).decode(),
            )
        )


def finish_reason(said: str, *, called: bool) -> str:
    """Return why an answer ended. Ollama says "stop" where tools are called."""
    reason = map_reason(FINISH_REASONS, said)
    return "tool_call" if called and reason == "stop" else reason
