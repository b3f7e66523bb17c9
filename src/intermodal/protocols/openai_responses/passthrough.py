"""The passthrough of OpenAI's Responses API: the shape of requests, and the direct path's parsing of replies.

Clients send back items that came from elsewhere, with ids that no host knows. So the server side reads the items and
the codec writes them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from intermodal.protocols.answer_state import is_output
from intermodal.protocols.calls import (
    CodedImage,
    Error,
    Finish,
    ReplyEncoder,
    ToolCallDelta,
    WireEvent,
    WireTextDelta,
)
from intermodal.protocols.conversation import result_without_call
from intermodal.protocols.errors.responses import error_response
from intermodal.protocols.framing.event_streams import event_data
from intermodal.protocols.framing.host_json import NOT_DECODED
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.framing.json_body import (
    add_run_metadata,
    dumps,
    join_object,
    loads,
    split_object,
)
from intermodal.protocols.framing.surrogates import loads_with_surrogates, without_lone_surrogates
from intermodal.protocols.openai_chat.server import sse_event
from intermodal.protocols.openai_responses.codec import write_turns
from intermodal.protocols.openai_responses.reply import (
    OWN_ID,
    UNCOUNTED,
    OpenAIResponsesDecoder,
    OutputItem,
    ResponseEvent,
    event_of,
    item_of,
    response_of,
)
from intermodal.protocols.openai_responses.server import echoed_fields, read_turns, write_usage
from intermodal.protocols.parsed_chat import (
    VARYING,
    ConversationReader,
    ParsedChat,
    TextMeasurer,
    TopLevelFields,
    read_conversation,
    settings_in,
)
from intermodal.protocols.reply_decoder import UNFINISHED
from intermodal.protocols.request_fields import direct_fields
from intermodal.protocols.request_validation import require_text
from intermodal.protocols.transcoding import TranscodedStream
from intermodal.protocols.upstream_response import End

KEPT = ("input",)
_TAKEN = direct_fields("openai-responses")
_NOT_ASKED = frozenset({"model", "instructions", "input", "stream", "store", "include", *VARYING})
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
_EMPTY_VALUES = (b"null", b'""')


def chat_of(body: ExtractedBody, owner: str, measure: TextMeasurer) -> ParsedChat | None:
    """Return the chat in a body; None if it is not for the direct path."""
    return read_conversation(body, owner, measure, _TAKEN, _parse_chat, unread="openai-responses")


def _parse_chat(body: ExtractedBody, top_level: TopLevelFields, turns: ConversationReader) -> ParsedChat | None:
    fields = top_level[0]
    if any(name in fields and bytes(fields[name]) not in _EMPTY_VALUES for name in _KEPT_ELSEWHERE):
        return None
    tree = {name: loads(bytes(fields[name])) for name in ("instructions", "input") if name in fields}
    messages = read_turns(tree, image=_coded_image)
    if result_without_call(messages) is not None:
        return None  # it is refused
    recorded_messages = turns.add_messages(messages, lambda image: turns.image_url(image.coded, image.detail))
    rewritten_input = body.restore(memoryview(dumps(write_turns(recorded_messages))))
    return turns.chat(
        "responses", body, top_level, settings_in(fields, _NOT_ASKED), rewritten_fields={"input": rewritten_input}
    )


def _coded_image(url: Any, detail: Any) -> CodedImage:
    return CodedImage(coded=require_text(url, "an image's url"), detail=detail)


# Fields that clients rely on, for hosts that omit them.
_USUAL: Mapping[str, msgspec.Raw] = split_object(
    b'{"object":"response","error":null,"incomplete_details":null,"instructions":null,"metadata":{},'
    b'"parallel_tool_calls":true,"tool_choice":"auto","tools":[],"temperature":null,"top_p":null,'
    b'"max_output_tokens":null}'
)


_output = msgspec.json.Decoder(list[dict[str, Any]])


def rewrite_response(
    data: bytes | memoryview, model: str, raw_usage: bytes, metadata: bytes, request_fields: Mapping[str, msgspec.Raw]
) -> bytes:
    """Return a response with the client's name of the model, its request fields, and the run metadata.

    The host received a different name and different fields. The metadata is added to the usage.
    """
    own_fields = {"model": dumps(model), "usage": add_run_metadata(raw_usage, metadata)}
    return join_object({**_USUAL, **split_object(data), **request_fields}, own_fields)


def rewrite_begun_response(data: bytes | msgspec.Raw, model: str, request_fields: Mapping[str, msgspec.Raw]) -> bytes:
    """Return a response that has begun, rewritten in the same way."""
    return join_object({**_USUAL, **split_object(data), **request_fields}, {"model": dumps(model)})


def items_of(data: bytes | memoryview) -> list[dict[str, Any]]:
    """Return the items of a response that clients may refer to later."""
    return [item for item in _output.decode(split_object(data)["output"]) if isinstance(item.get("id"), str)]


# Passes a stream of OpenAI's Responses API through; see ``upstream_response.py``.
#
# Clients assemble the answer from many kinds of events and notice every missing one. So a stream is passed through only
# if it begins as OpenAI's own do: the response, an item in it, a part in that, then text. Any other stream, and one
# that may have to be stopped midway, is decoded and written again.


_NAMES = frozenset({"message", "function_call", "reasoning"})
_BEGINS = frozenset({"response.created", "response.in_progress", "response.queued"})
_ENDS = frozenset({"response.completed", "response.incomplete"})
_PARTS = frozenset({"response.output_item.added", "response.output_item.done", "response.content_part.added"})
_ARGUMENTS = "response.function_call_arguments"
_BESIDE = ("response.reasoning", _ARGUMENTS)  # kinds of deltas that are not text
_FAILS = frozenset({"response.failed", "error"})
_INCOMPLETE = {"length": b'{"reason":"max_output_tokens"}', "content_filter": b'{"reason":"content_filter"}'}
_NOTHING = ResponseEvent()


class OpenAIResponsesStream(TranscodedStream):
    """A stream of OpenAI's typed events."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._echoed_fields = echoed_fields(self._teller.fields)
        self._through = True  # passed through so far
        self._unshown_events: list[bytes] = []  # the whole response, until something is shown
        self._started: Mapping[str, msgspec.Raw] = {}
        self._items: dict[int, OutputItem] = {}  # items that have begun, by index
        self._done: dict[int, bytes] = {}
        self._parts: dict[tuple[int | None, int | None], list[str]] = {}  # the text of each part that has begun
        self._refusals = set[tuple[int | None, int | None]]()  # the parts that are reasons for a refusal
        self._item_texts: dict[int, list[str]] = {}  # reasoning or arguments of each item that has begun
        self._number = 0
        self._closing = b""  # the events that end an answer which is stopped midway
        self._answer: tuple[str, bytes, bytes] = ("", b"", b"")  # the last event: kind, response, and its usage

    def _new_encoder(self) -> ReplyEncoder:
        self.items = items = list[Mapping[str, Any]]()
        return self._reader.encoder(self._model, keep=items.append, request_fields=self._echoed_fields)

    # ---- bytes to events

    def _on_body_end(self) -> None:
        if self._splitter.pending and not self._is_document and not self.over:  # the last line may lack its line end
            self._receive(b"\n\n")
        if self.over:
            return
        if self._is_document:  # not a stream, although one was requested
            self._through = False
            self._process_events(self._decoding.feed(b"".join(self._body)))
        if self._through:
            self._fail_with(self._truncated_error(UNFINISHED))
        else:
            super()._on_body_end()

    def _event(self, event: bytes, through: list[bytes]) -> End:
        if not self._through:
            return self._rewrite_event(event, through)
        if not self.begun:
            self._unshown_events.append(event)
        payload = event_data(event)
        if not payload:
            return ""
        if payload == b"[DONE]":
            return self._end_without_reason(through) if self.begun else self._start_anew(through)
        found = _NOTHING
        try:
            found = self._parse_event(payload)
            end = self._process_own_event(found)
        except NOT_DECODED:
            end = None
        if end is None:
            if not self.begun:
                return self._start_anew(through)
            end = self._process_unexpected(event, through)
        if end == "stopped" and (part := self._shown_part(payload)):
            through.append(part)
        elif not end and not self.over:
            through.append(self._beginning(found) if found.type in _BEGINS else event + b"\n\n")
        return end

    # ---- events let through

    def _parse_event(self, payload: bytes) -> ResponseEvent:
        """Parse an event. Raises MsgspecError. Split characters are forwarded unchanged and recorded joined."""
        try:
            found = event_of(payload)
        except msgspec.DecodeError:
            without = without_lone_surrogates(payload)
            if without is None:
                raise
            found = event_of(without)
            if found.delta:
                found.delta = self._halves.join(loads_with_surrogates(payload)["delta"])
        else:
            if self._halves.pending and found.delta:
                found.delta = self._halves.join(found.delta)
        return found

    def _process_own_event(self, parsed_event: ResponseEvent) -> End | None:
        """Process an event and return the end that it brings; None if the event is not as expected."""
        kind, number, delta = parsed_event.type or "", parsed_event.sequence_number, parsed_event.delta
        delta = "" if delta is None else delta
        if number is None or parsed_event.is_error or type(delta) is not str:
            return None
        if number > self._number:
            self._number = number
        if kind == "response.output_text.delta":
            part = self._parts.get((parsed_event.output_index, parsed_event.content_index))
            if part is None or parsed_event.logprobs is msgspec.UNSET:
                return None
            ends = self.record_text(delta)
            part.append(self.allowed[0] if self.overran else delta)
            if self.first_at is None and delta.strip():
                self._mark_output_seen()
            return self._stop() if ends else ""
        if kind in _BEGINS:
            self._started = split_object(parsed_event.response)
            return "" if response_of(parsed_event.response).is_plain else None
        if kind in _ENDS:
            return self._process_end_event(parsed_event)
        if kind in _PARTS:
            return (
                None
                if parsed_event.output_index is None
                else self._process_part_event(kind, parsed_event.output_index, parsed_event)
            )
        if kind == "response.refusal.delta":
            self.output_seen = self.output_seen or delta.strip() != ""
            place = parsed_event.output_index, parsed_event.content_index
            ends = self.refuse(delta)
            if (part := self._parts.get(place)) is not None:
                part.append(self.allowed[1] if self.overran else delta)
                self._refusals.add(place)
            return self._stop() if ends else ""
        if kind in _FAILS or not self._started:
            return None
        elif kind.startswith(_BESIDE) and delta:
            ends = self.record_text("", delta)
            if self.overran and kind.startswith(_ARGUMENTS):
                self.beside.pop()  # truncated arguments are useless
                self.allowed = ("", "")
            self._item_texts.setdefault(parsed_event.output_index or 0, []).append(
                self.allowed[1] if self.overran else delta
            )
            if self.first_at is None and delta.strip():
                self._mark_output_seen()
            return self._stop() if ends else ""
        return ""

    def _process_part_event(self, kind: str, place: int, parsed_event: ResponseEvent) -> End | None:
        """Process an event by which an item or a part of one begins or ends."""
        if kind == "response.content_part.added":
            if self._id_of(place) != parsed_event.item_id or parsed_event.content_index is None:
                return None
            self._parts.setdefault((place, parsed_event.content_index), [])
            return ""
        item = item_of(parsed_event.item)
        if kind == "response.output_item.added":
            return self._begin_item(place, item)
        if self._id_of(place) != item.id:
            return None
        self._done[place] = bytes(parsed_event.item)
        if item.is_resendable:
            self._mark_output_seen()
        return ""

    def _mark_output_seen(self) -> None:
        self.output_seen = True
        if self.first_at is None:
            self.first_at = self._clock.monotonic()

    def _begin_item(self, place: int, item: OutputItem) -> End | None:
        if not self._started or item.type not in _NAMES or len(item.id or "") < OWN_ID:
            return None
        self._items[place] = item
        if item.type == "function_call":
            self.calls[place] = (item.call, item.name or "")
            if item.name:
                self._mark_output_seen()
        return ""

    def _process_end_event(self, parsed_event: ResponseEvent) -> End | None:
        reply = response_of(parsed_event.response)
        count = len(reply.output or ())
        is_known = self.begun or (count == len(self._done) and reply.is_plain)
        if reply.has_failed or not reply.has_ended or not self._started or not is_known:
            return None
        raw = bytes(parsed_event.response)
        if count < len(self._done):
            raw = join_object(split_object(raw), {"output": self._output()})
        self.usage, raw_usage = reply.read_usage()
        self._write_end(reply.finish_reason(called=bool(self.calls)))
        self._answer = (parsed_event.type or "", raw, raw_usage)
        return "done"

    def _shown_part(self, payload: bytes) -> bytes:
        """Return the event of the last shown piece, reduced to its allowed part."""
        tree = split_object(payload)
        if self.overran:
            part = "".join(self.allowed)
            if not part:
                return b""
            tree["delta"] = msgspec.Raw(dumps(part))
        kind = str(msgspec.json.decode(tree.get("type", b"null")))
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), join_object(tree))

    def _stop(self) -> End:
        """End an answer that is stopped; its output so far is the whole answer."""
        if self.stopped == "blanks":
            self._fail_with(self.blanks_error())
            return ""
        usage = dumps(write_usage(self._count_stopped_output()))
        self._closing = b"".join(self._closing_events())
        ended = {"status": b'"incomplete"', "incomplete_details": _INCOMPLETE[self.finish]}
        raw = join_object(self._started, {**ended, "output": self._output()})
        self._number += 1
        self._answer = ("response.incomplete", raw, usage)
        return "stopped"

    def _closing_events(self) -> Iterator[bytes]:
        """Yield the events that close open elements: a text, the part that contains it, and the part's item."""
        for place, first in self._items.items():
            if place in self._done:
                continue
            name, parts = first.id or "", list[dict[str, Any]]()
            for output_index, number in [part for part in self._parts if part[0] == place]:
                text = "".join(self._parts[output_index, number])
                inside = {"item_id": name, "output_index": place, "content_index": number}
                if (output_index, number) in self._refusals:
                    part: dict[str, Any] = {"type": "refusal", "refusal": text}
                    yield self._encode_event("response.refusal.done", {**inside, "refusal": text})
                else:
                    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
                    yield self._encode_event("response.output_text.done", {**inside, "text": text, "logprobs": []})
                yield self._encode_event("response.content_part.done", {**inside, "part": part})
                parts.append(part)
            item = self._truncated_item(place, first, parts)
            self._done[place] = dumps(item)
            yield self._encode_event("response.output_item.done", {"output_index": place, "item": item})

    def _truncated_item(self, place: int, first: OutputItem, parts: list[dict[str, Any]]) -> dict[str, Any]:
        """Return an item that has begun, with its content so far."""
        item = {"id": first.id, "type": first.type, "status": "incomplete"}
        text = "".join(self._item_texts.get(place, ()))
        if first.type == "function_call":
            return {**item, "call_id": first.call_id, "name": first.name, "arguments": text}
        if first.type == "reasoning":
            return {**item, "summary": [{"type": "summary_text", "text": text}] if text else []}
        return {**item, "role": "assistant", "content": parts}

    def _id_of(self, place: int) -> str | None:
        first = self._items.get(place)
        return None if first is None else first.id

    def _encode_event(self, kind: str, tree: dict[str, Any]) -> bytes:
        self._number += 1
        return sse_event({"type": kind, "sequence_number": self._number, **tree}, kind)

    def _write_end(self, reason: str) -> None:
        self.finish = "content_filter" if self.refusal else reason

    def _end_without_reason(self, through: list[bytes]) -> End:
        if not self._teller.reasonless:
            return super()._end_without_reason(through)
        return self._rewrite_end("tool_call" if self.calls else "stop")

    def _rewrite_end(self, reason: str) -> End:
        """Write the end of an answer whose own cannot be forwarded."""
        self._write_end(reason)
        self._number += 1
        ended = {"status": b'"completed"', "output": self._output()}
        kind, why = "response.completed", None if self.refusal else _INCOMPLETE.get(self.finish)
        if why is not None:
            kind, ended = "response.incomplete", {**ended, "status": b'"incomplete"', "incomplete_details": why}
        raw_usage = b"" if self.usage is None else dumps(write_usage(self.usage))
        self._answer = (kind, join_object(self._started, ended), raw_usage)
        return "done"

    def _process_unexpected(self, event: bytes, through: list[bytes]) -> End:
        """Record what an unexpected event holds after output was shown. Forward it unchanged, unless it is the end."""
        decoder = self._decoding
        assert isinstance(decoder, OpenAIResponsesDecoder)
        decoder.calls |= {place: number for number, place in enumerate(self.calls) if place not in decoder.calls}
        for found in decoder.feed((b"data: " if event[:1] == b"{" else b"") + event + b"\n\n"):
            if isinstance(found, Error):
                self._forward(through, "")
                self._fail_with(found.error)
                return ""
            if isinstance(found, Finish):
                return self._rewrite_end(found.reason)
            self._record(found, decoder)
            if self.stopped:
                return self._stop()
        return ""

    def _record(self, event: WireEvent, decoder: OpenAIResponsesDecoder) -> None:
        """Record an event that was decoded, as those are that are let through."""
        self.output_seen = self.output_seen or is_output(event)
        self.record_event(event)
        if isinstance(event, WireTextDelta) and self._parts:
            self._parts[next(reversed(self._parts))].append(self.allowed[0] if self.overran else event.text)
        elif isinstance(event, ToolCallDelta) and event.id:
            place = next(place for place, number in decoder.calls.items() if number == event.index)
            self.calls[place] = (event.id, event.name)

    def _beginning(self, parsed_event: ResponseEvent) -> bytes:
        response = rewrite_begun_response(parsed_event.response, self._model, self._echoed_fields)
        return self._final_event(parsed_event.type or "", parsed_event.sequence_number or 0, response)

    def _output(self) -> bytes:
        return b"[" + b",".join(self._done.values()) + b"]"

    def _final_event(self, kind: str, number: int, response: bytes) -> bytes:
        name = kind.encode()
        return b'event: %b\ndata: {"type":"%b","sequence_number":%d,"response":%b}\n\n' % (name, name, number, response)

    # ---- rewritten events

    def _start_anew(self, through: list[bytes]) -> End:
        """Decode the stream from its beginning, since none of it was shown."""
        self._through = False
        through.clear()
        self._pending.clear()
        self._size = 0
        self.restart()
        events, self._unshown_events = self._unshown_events, []
        end: End = ""
        for event in events:
            end = self._rewrite_event(event, through)
            if end or self.over:
                break
        return end

    def _rewrite_event(self, event: bytes, through: list[bytes]) -> End:
        return self._pass_decoded(self._decoding.feed(event + b"\n\n"), through)

    # ---- the end

    def _finish(self, data: bytes, *, stopped: bool = False) -> None:
        if not self._through:
            super()._finish(data, stopped=stopped)
            return
        if not stopped and self._found_wrong(data):
            return
        data += self._closing
        kind, raw, raw_usage = self._answer
        response = rewrite_response(
            raw, self._model, raw_usage or UNCOUNTED, self._teller.metadata(self), self._echoed_fields
        )
        self.items = items_of(response)
        self._reply.write_last(data + self._final_event(kind, self._number, response))
        self._succeed()

    def failure_event(self, error: BaseException) -> bytes:
        if not (self._through and self.begun):
            return super().failure_event(error)
        answer = error_response(error)
        failed = {
            "status": b'"failed"', "output": self._output(),
            "error": dumps({"code": answer.code or answer.openai, "message": answer.message, **answer.summary_field}),
        }  # fmt: skip
        response = rewrite_begun_response(join_object(self._started, failed), self._model, self._echoed_fields)
        return self._final_event("response.failed", self._number + 1, response)
