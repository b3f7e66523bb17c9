"""The reply of OpenAI's responses API: typed server-sent events, or one JSON document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from intermodal.protocols.calls import (
    Error,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDelta,
    WireTextDelta,
)
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.json_body import as_list, as_mapping, as_text, as_token_count, dumps
from intermodal.protocols.openai_chat.reply import FINISH_REASONS, read_usage
from intermodal.protocols.reply_decoder import (
    NO_ANSWER,
    UNEXPLAINED,
    ReplyDecoder,
    arguments_as_json,
    map_reason,
    read_logprobs,
    tool_call_id,
)

OWN = "openai_responses"  # of content.Opaque
ENDED = frozenset({"", "completed", "incomplete", "failed"})  # final states of a response; some servers omit the state
_TEXT: Mapping[str, Callable[..., ReasoningDelta | RefusalDelta]] = {
    "response.reasoning_summary_text.delta": partial(ReasoningDelta, summary=True),
    "response.reasoning_text.delta": ReasoningDelta,
    "response.refusal.delta": RefusalDelta,
}


class OpenAIResponsesDecoder(ReplyDecoder):
    """Decodes a response. It properly ends with ``response.completed`` or ``response.incomplete``, which also hold the
    usage."""

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._calls: dict[int, int] = {}  # place of an item -> which tool call it is

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        kind = as_text(tree.get("type")) or name
        place = as_token_count(tree.get("output_index")) or 0
        if kind == "response.output_text.delta":
            self._out.append(WireTextDelta(text=as_text(tree.get("delta"))))
            self._out += read_logprobs(tree.get("logprobs"))
        elif kind in _TEXT:
            self._refused = self._refused or kind == "response.refusal.delta"
            self._out.append(_TEXT[kind](text=as_text(tree.get("delta"))))
        elif kind == "response.output_item.added":
            item = as_mapping(tree.get("item"))
            if item.get("type") == "function_call":
                self._read_call(place, item)
        elif kind == "response.function_call_arguments.delta" and place in self._calls:
            self._out.append(ToolCallDelta(index=self._calls[place], arguments=as_text(tree.get("delta"))))
        elif kind == "response.output_item.done":
            self._read_thought(as_mapping(tree.get("item")))
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._read_end(as_mapping(tree.get("response")))

    def _read_reply(self, tree: Mapping[str, Any]) -> None:
        if not isinstance(tree.get("output"), list) and tree.get("status") != "failed":
            self._fail(NO_ANSWER)
            return
        for place, item in enumerate(map(as_mapping, as_list(tree.get("output")))):
            if item.get("type") == "message":
                self._read_message(item)
            elif item.get("type") == "function_call":
                self._read_call(place, item)
            elif item.get("type") == "reasoning":
                for field in ("summary", "content"):
                    for told in as_list(item.get(field)):
                        said = as_text(as_mapping(told).get("text"))
                        self._out.append(ReasoningDelta(text=said, summary=field == "summary"))
                self._read_thought(item)
        self._read_end(tree)

    def _read_message(self, item: Mapping[str, Any]) -> None:
        for part in map(as_mapping, as_list(item.get("content"))):
            if part.get("type") == "output_text":
                self._out.append(WireTextDelta(text=as_text(part.get("text"))))
                self._out += read_logprobs(part.get("logprobs"))
            elif part.get("type") == "refusal":
                self._refused = True
                self._out.append(RefusalDelta(text=as_text(part.get("refusal"))))

    def _read_call(self, place: int, item: Mapping[str, Any]) -> None:
        index = self._calls.setdefault(place, len(self._calls))
        self._out.append(
            ToolCallDelta(
                index=index,
                id=tool_call_id(as_text(item.get("call_id")) or as_text(item.get("id"))),
                name=as_text(item.get("name")),
                arguments=arguments_as_json(item.get("arguments")),
            )
        )

    def _read_thought(self, item: Mapping[str, Any]) -> None:
        """Read a whole reasoning item. Only an encrypted one can go back, as nothing is stored at the host."""
        if item.get("type") == "reasoning" and item.get("encrypted_content"):
            self._out.append(OpaqueBlock(wire=OWN, body=dumps(item).decode()))

    def _read_end(self, response: Mapping[str, Any]) -> None:
        if isinstance(usage := response.get("usage"), Mapping):
            self._usage = read_usage(usage, as_text(response.get("service_tier")))
        if response.get("status") == "failed" or response.get("error"):
            self._out_usage()
            self._end(Error(error=classification.classify(200, self._headers, response, self._endpoint)))
            return
        reason, state = (
            as_text(as_mapping(response.get("incomplete_details")).get("reason")),
            as_text(response.get("status")),
        )
        if not explains_end(state, reason):
            self._fail(UNEXPLAINED)
            return
        self._reason = finish_reason(reason, called=bool(self._calls))
        self.complete = True
        self._finish()


def explains_end(status: str, reason: str) -> bool:
    """Return whether a response is at its end, and says why. ``reason``: of its incomplete_details, "" for none."""
    return status in ENDED and (status != "incomplete" or bool(reason))


def finish_reason(reason: str, *, called: bool) -> str:
    """Return why a response ended that explains its end."""
    if reason:
        return map_reason(FINISH_REASONS, reason)
    return "tool_call" if called else "stop"
