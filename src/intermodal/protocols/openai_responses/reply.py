"""The reply of OpenAI's responses: typed server-sent events, or one JSON document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from intermodal.protocols.calls import (
    Candidates,
    Error,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.json_body import count, dumps, items, mapping, word
from intermodal.protocols.openai_chat.reply import FINISH_REASONS, read_usage
from intermodal.protocols.reply_decoder import UNEXPLAINED, Decoding, arguments_of, call_named

OWN = "openai_responses"  # of content.Opaque
ENDED = frozenset({"", "completed", "incomplete", "failed"})  # states of a response at its end; some servers say none
_TEXT: Mapping[str, Callable[..., ReasoningDelta | RefusalDelta]] = {
    "response.reasoning_summary_text.delta": partial(ReasoningDelta, summary=True),
    "response.reasoning_text.delta": ReasoningDelta,
    "response.refusal.delta": RefusalDelta,
}


class Decoder(Decoding):
    """Its proper end is ``response.completed`` or ``response.incomplete``, which hold the usage, too."""

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(endpoint, headers=headers)
        self._calls: dict[int, int] = {}  # place of an item -> which tool call it is

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        kind = word(tree.get("type")) or name
        place = count(tree.get("output_index")) or 0
        if kind == "response.output_text.delta":
            self._out.append(TextDelta(text=word(tree.get("delta"))))
            self._read_logprobs(tree.get("logprobs"))
        elif kind in _TEXT:
            self._refused = self._refused or kind == "response.refusal.delta"
            self._out.append(_TEXT[kind](text=word(tree.get("delta"))))
        elif kind == "response.output_item.added":
            item = mapping(tree.get("item"))
            if item.get("type") == "function_call":
                self._read_call(place, item)
        elif kind == "response.function_call_arguments.delta" and place in self._calls:
            self._out.append(ToolCallDelta(index=self._calls[place], arguments=word(tree.get("delta"))))
        elif kind == "response.output_item.done":
            self._read_thought(mapping(tree.get("item")))
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._read_end(mapping(tree.get("response")))

    def _read_reply(self, tree: Mapping[str, Any]) -> None:
        if not isinstance(tree.get("output"), list) and tree.get("status") != "failed":
            self._fail("sent a reply that is no answer")
            return
        for place, item in enumerate(map(mapping, items(tree.get("output")))):
            if item.get("type") == "message":
                self._read_message(item)
            elif item.get("type") == "function_call":
                self._read_call(place, item)
            elif item.get("type") == "reasoning":
                for field in ("summary", "content"):
                    for told in items(item.get(field)):
                        said = word(mapping(told).get("text"))
                        self._out.append(ReasoningDelta(text=said, summary=field == "summary"))
                self._read_thought(item)
        self._read_end(tree)

    def _read_message(self, item: Mapping[str, Any]) -> None:
        for part in map(mapping, items(item.get("content"))):
            if part.get("type") == "output_text":
                self._out.append(TextDelta(text=word(part.get("text"))))
                self._read_logprobs(part.get("logprobs"))
            elif part.get("type") == "refusal":
                self._refused = True
                self._out.append(RefusalDelta(text=word(part.get("refusal"))))

    def _read_call(self, place: int, item: Mapping[str, Any]) -> None:
        index = self._calls.setdefault(place, len(self._calls))
        self._out.append(
            ToolCallDelta(
                index=index,
                id=call_named(word(item.get("call_id")) or word(item.get("id"))),
                name=word(item.get("name")),
                arguments=arguments_of(item.get("arguments")),
            )
        )

    def _read_thought(self, item: Mapping[str, Any]) -> None:
        """A whole item of reasoning. Only one that is encrypted can go back, as nothing is kept at the host."""
        if item.get("type") == "reasoning" and item.get("encrypted_content"):
            self._out.append(OpaqueBlock(wire=OWN, body=dumps(item).decode()))

    def _read_logprobs(self, places: Any) -> None:
        for place in map(mapping, items(places)):
            words = tuple(
                (row["token"], float(row["logprob"]))
                for row in map(mapping, items(place.get("top_logprobs")))
                if isinstance(row.get("token"), str) and isinstance(row.get("logprob"), (int, float))
            )
            if words:
                self._out.append(Candidates(words=words))

    def _read_end(self, response: Mapping[str, Any]) -> None:
        if isinstance(usage := response.get("usage"), Mapping):
            self._usage = read_usage(usage, word(response.get("service_tier")))
        if response.get("status") == "failed" or response.get("error"):
            self._out_usage()
            self._end(Error(error=classification.classify(200, self._headers, response, self._endpoint)))
            return
        reason, state = word(mapping(response.get("incomplete_details")).get("reason")), word(response.get("status"))
        if state not in ENDED or (state == "incomplete" and not reason):
            self._fail(UNEXPLAINED)
            return
        if reason:
            self._reason = FINISH_REASONS.get(reason, classification.quote(reason.lower())[:40])
        else:
            self._reason = "tool_call" if self._calls else "stop"
        self.complete = True
        self._finish()
