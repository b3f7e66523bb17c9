"""The server side of OpenAI's responses API: writes the answer. Clients fold typed events, so none may be missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from intermodal.protocols.calls import (
    Error,
    Finish,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    TokenLogprobs,
    ToolCallDelta,
    WireEvent,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.errors.responses import error_response
from intermodal.protocols.framing.json_body import dumps, loads
from intermodal.protocols.openai_chat.server import sse_event, with_run_summary, write_error
from intermodal.protocols.openai_responses.reply import OWN

Keep = Callable[[Mapping[str, Any]], None]
# Fields of a request that its response says again, each with how it begins where it is what it should be.
_SAID_AGAIN: Mapping[str, bytes] = {
    "instructions": b'"', "metadata": b"{", "max_output_tokens": b"123456789", "temperature": b"0123456789",
    "top_p": b"0123456789", "tools": b"[", "tool_choice": b'"{', "parallel_tool_calls": b"tf",
}  # fmt: skip
STREAM_TYPE = "text/event-stream"
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


def echoed_fields(fields: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Return the fields of a request that its response repeats, unchanged."""
    there = [name for name in _SAID_AGAIN if name in fields]
    return {name: fields[name] for name in there if memoryview(fields[name])[0] in _SAID_AGAIN[name]}


class OpenAIResponsesStreamEncoder:
    """Writes events as the bytes of a stream.

    Items are numbered; one is open at a time, and its content grows in ``item`` until it is closed.

    Args:
        name: the model as the client named it. created: seconds since the epoch.
        asked: the fields of the request that the response repeats.
        keep: receives the items of an answer that ended properly.
    """

    def __init__(
        self, name: str, *, id: str, created: int, keep: Keep | None = None, asked: Mapping[str, Any] | None = None
    ) -> None:
        self._keep = keep
        self.response: dict[str, Any] = {
            "id": id, "object": "response", "created_at": created, "model": name, "status": "in_progress",
            "output": [], "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": None, "top_p": None,
            "max_output_tokens": None, "usage": None, **(asked or {}),
        }  # fmt: skip
        self.error: BaseException | None = None
        self._number = 0  # of the next event
        self._kind = ""  # of the item that is open, "" for none
        self._item: dict[str, Any] = {}
        self._call = -1
        self._usage = WireUsage()
        self._refused = False

    def feed(self, event: WireEvent) -> bytes:
        return b"".join(sse_event(tree, tree["type"]) for tree in self._feed(event))

    def _feed(self, event: WireEvent) -> Iterator[dict[str, Any]]:
        if not self._number:
            for kind in ("response.created", "response.in_progress"):
                yield self._event(kind, response={**self.response})
        if isinstance(event, WireUsage):
            self._usage = event
        elif isinstance(event, WireTextDelta):
            yield from self._part("message", {"type": "output_text", "text": "", "annotations": [], "logprobs": []})
            yield self._grow("response.output_text.delta", "text", event.text, logprobs=[])
        elif isinstance(event, TokenLogprobs):
            yield from self._part("message", {"type": "output_text", "text": "", "annotations": [], "logprobs": []})
            yield self._grow("response.output_text.delta", "text", "", logprobs=[_told(event)])
            self._item["content"][-1]["logprobs"].append(_told(event))
        elif isinstance(event, RefusalDelta):
            self._refused = True
            yield from self._part("message", {"type": "refusal", "refusal": ""})
            yield self._grow("response.refusal.delta", "refusal", event.text)
        elif isinstance(event, ReasoningDelta):
            yield from self._thought(event)
        elif isinstance(event, ToolCallDelta):
            yield from self._tool_call(event)
        elif isinstance(event, OpaqueBlock):
            if event.wire == OWN:
                yield from self._opaque(loads(event.body))
        elif isinstance(event, (Finish, Error)):
            cut = self._cut(event)
            yield from self._close("incomplete" if cut or isinstance(event, Error) else "completed")
            yield self._end(event, cut)

    # ---- items

    def _part(self, kind: str, part: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Return an item of this kind whose last part has this type; open it where it is not open."""
        if self._kind != kind:
            more: dict[str, Any] = {"role": "assistant"} if kind == "message" else {"summary": []}
            yield from self._open(kind, {**more, "content": []})
        parts = self._item["content"]
        if not parts or parts[-1]["type"] != part["type"]:
            yield from self._close_part()
            parts.append(part)
            if kind == "message":
                yield self._of_part("response.content_part.added", part={**part})

    def _open(self, kind: str, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from self._close()
        self._kind = kind
        name = f"{self.response['id']}_{len(self.response['output'])}"
        self._item = {"type": kind, "id": name, "status": "in_progress", **item}
        yield self._event("response.output_item.added", output_index=self._place, item={**self._item})

    def _grow(self, kind: str, field: str, text: str, **more: Any) -> dict[str, Any]:
        self._item["content"][-1][field] += text
        return self._of_part(kind, delta=text, **more)

    def _thought(self, event: ReasoningDelta) -> Iterator[dict[str, Any]]:
        """A summary has a place of its own in the item, and events of its own, which clients wait for."""
        if not event.summary:
            yield from self._part("reasoning", {"type": "reasoning_text", "text": ""})
            yield self._grow("response.reasoning_text.delta", "text", event.text)
            return
        if self._kind != "reasoning":
            yield from self._open("reasoning", {"summary": [], "content": []})
        if not self._item["summary"]:
            self._item["summary"].append({"type": "summary_text", "text": ""})
            yield self._of_summary("part.added", part={**self._item["summary"][0]})
        self._item["summary"][0]["text"] += event.text
        yield self._of_summary("text.delta", delta=event.text)

    def _tool_call(self, event: ToolCallDelta) -> Iterator[dict[str, Any]]:
        if self._kind != "function_call" or event.index != self._call:
            self._call = event.index
            yield from self._open("function_call", {"call_id": event.id, "name": event.name, "arguments": ""})
        if event.arguments:
            self._item["arguments"] += event.arguments
            yield self._of_item("response.function_call_arguments.delta", delta=event.arguments)

    def _opaque(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """A block of this wire's own, whole. What was thought aloud before it stands in it, under the id it began by:
        clients do not take an item that ends as another."""
        if self._kind == "reasoning":
            yield from self._close_part()
            item = {**item, "id": self._item["id"]}
            self._kind = ""
        else:
            yield from self._close()
            yield self._event("response.output_item.added", output_index=self._place, item=item)
        yield self._event("response.output_item.done", output_index=self._place, item=item)
        self.response["output"].append(item)

    def _close_part(self) -> Iterator[dict[str, Any]]:
        for part in self._item.get("summary") or ():
            yield self._of_summary("text.done", text=part["text"])
            yield self._of_summary("part.done", part=part)
        parts = self._item.get("content") or []
        if not parts:
            return
        part = parts[-1]
        if part["type"] == "output_text":
            yield self._of_part("response.output_text.done", text=part["text"], logprobs=part["logprobs"])
        elif part["type"] == "refusal":
            yield self._of_part("response.refusal.done", refusal=part["refusal"])
        else:
            yield self._of_part("response.reasoning_text.done", text=part["text"])
        if self._kind == "message":
            yield self._of_part("response.content_part.done", part=part)

    def _close(self, status: str = "completed") -> Iterator[dict[str, Any]]:
        if not self._kind:
            return
        if self._kind == "function_call":
            arguments = self._item["arguments"] = self._item["arguments"] or "{}"
            name = self._item["name"]
            yield self._of_item("response.function_call_arguments.done", arguments=arguments, name=name)
        else:
            yield from self._close_part()
        self._item["status"] = status
        yield self._event("response.output_item.done", output_index=self._place, item=self._item)
        self.response["output"].append(self._item)
        self._kind, self._item = "", {}

    @property
    def _place(self) -> int:
        return len(self.response["output"])

    # ---- events

    def _cut(self, event: Finish | Error) -> str | None:
        """Why the answer is not whole. A refusal in words is a whole one; one that a filter stopped is not."""
        refused = isinstance(event, Error) or (self._refused and event.reason == "content_filter")
        return None if refused else _INCOMPLETE.get(event.reason)  # type: ignore[union-attr]

    def _end(self, event: Finish | Error, cut: str | None) -> dict[str, Any]:
        if isinstance(event, Error):
            self.error = event.error
            told = error_response(event.error)
            failed = {"code": told.code or told.openai, "message": told.message, **told.told}
            self.response |= {"status": "failed", "error": failed}
            return self._event("response.failed", response=self.response)
        if self._keep is not None:
            for item in self.response["output"]:
                self._keep(item)
        self.response["usage"] = write_usage(self._usage)
        self.response["status"] = "incomplete" if cut else "completed"
        self.response["incomplete_details"] = {"reason": cut} if cut else None
        return self._event(f"response.{self.response['status']}", response=self.response)

    def _of_item(self, kind: str, **more: Any) -> dict[str, Any]:
        return self._event(kind, item_id=self._item["id"], output_index=self._place, **more)

    def _of_part(self, kind: str, **more: Any) -> dict[str, Any]:
        return self._of_item(kind, content_index=len(self._item["content"]) - 1, **more)

    def _of_summary(self, kind: str, **more: Any) -> dict[str, Any]:
        return self._of_item(f"response.reasoning_summary_{kind}", summary_index=0, **more)

    def _event(self, kind: str, **more: Any) -> dict[str, Any]:
        tree = {"type": kind, "sequence_number": self._number, **more}
        self._number += 1
        return tree


StreamEncoder = OpenAIResponsesStreamEncoder  # the name that every server side has for it


def encode_reply(
    events: Iterable[WireEvent], name: str, *, id: str, created: int, keep: Keep | None = None,
    asked: Mapping[str, Any] | None = None,
) -> tuple[int, bytes]:  # fmt: skip
    """HTTP status and body of a reply that is not streamed: what a stream's last event holds."""
    encoder = OpenAIResponsesStreamEncoder(name, id=id, created=created, keep=keep, asked=asked)
    for event in events:
        encoder.feed(event)
    if encoder.error is not None:
        return error_response(encoder.error).status, dumps({"error": write_error(encoder.error)})
    return 200, dumps(encoder.response)


def write_usage(usage: WireUsage) -> dict[str, Any]:
    given, out = usage.input_tokens or 0, usage.output_tokens or 0
    read = {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": usage.cache_write_tokens or 0}
    tree = {
        "input_tokens": given,
        "input_tokens_details": read,
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": given + out,
    }
    return with_run_summary(tree, usage)


def _told(event: TokenLogprobs) -> dict[str, Any]:
    rows = [
        {"token": word, "bytes": list(word.encode("utf-8", "replace")), "logprob": share} for word, share in event.words
    ]
    return {**rows[0], "top_logprobs": rows}
