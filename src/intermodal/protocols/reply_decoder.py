"""The base of every protocol's reply decoder: collects bytes, recognises the proper end, and reports a truncated reply.

A decoder ends in exactly one :class:`Finish` or :class:`Error`. A reply that stops before its protocol's proper end was
truncated, and passing it off as an answer would be false. A stream that closes properly but gives no finish reason
counts as truncated as well, since a proxy that lost its server closes a stream in the same way. Content after the
finish reason is ignored. The meaning of a protocol's events is in ``reply.py`` of its folder, or in ``codec.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from intermodal import errors
from intermodal.protocols.calls import Error, Finish, TokenLogprobs, WireEvent, WireUsage
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.event_streams import LineTooLong, NdjsonReader, SseEvent, SseReader
from intermodal.protocols.framing.host_json import HostDecoder, HostReply, Parsed
from intermodal.protocols.framing.json_body import as_list, as_mapping, as_text, dumps, loads
from intermodal.protocols.framing.surrogates import EventSurrogateJoiner, join_all_surrogates, loads_with_surrogates

MAX_DOCUMENT = 64 << 20  # bytes of a reply that is one JSON document
UNFINISHED = "the stream ended in the middle of the answer"
NO_ANSWER = "sent a reply that is not a valid completion"
UNEXPLAINED = "ended its answer without saying why"
NO_REASON = "no_finish_reason"  # the quirk of hosts whose streams end without a finish reason
BLANK = b"\xef\xbb\xbf \t\r\n"  # a BOM and whitespace, which may precede the content


class InvalidContent(Exception):
    """The content of an answer has a type that its protocol does not have, such as a number in place of a text."""


def content_text(value: Any) -> str:
    """Return a piece of an answer's text; "" for null.

    Raises InvalidContent for another type: if it were left out, the rest, or nothing, would pass for the answer.
    """
    text: str = _content(value, str, "")
    return text


def content_list(value: Any) -> Sequence[Any]:
    """Return an array of an answer's content; an empty one for null. Raises InvalidContent for another type."""
    found: Sequence[Any] = _content(value, list, ())
    return found


def content_object(value: Any) -> Mapping[str, Any]:
    """Return an object of an answer's content; an empty one for null. Raises InvalidContent for another type."""
    found: Mapping[str, Any] = _content(value, Mapping, {})
    return found


def _content(value: Any, type_: type, empty: Any) -> Any:
    if value is None:
        return empty
    if not isinstance(value, type_):
        raise InvalidContent
    return value


def map_reason(reasons: Mapping[str, str], reason: str) -> str:
    """Return OpenTelemetry GenAI's name of a finish reason; a reason missing in ``reasons`` as its host wrote it."""
    return reasons[reason] if reason in reasons else classification.quote(reason.lower())[:40]


def tool_call_id(host_id: str) -> str:
    """Return the host's id of a tool call, or a unique id if it gives none: clients match results by it."""
    return host_id or f"call_{uuid4().hex[:24]}"


def arguments_as_json(arguments: Any) -> str:
    """Return a tool call's arguments as JSON text; some servers send an object where OpenAI has a string."""
    return dumps(arguments).decode() if isinstance(arguments, (Mapping, list)) else as_text(arguments)


def read_object(
    body: bytes, endpoint: str, headers: Mapping[str, str] | None, *,
    holds: Callable[[Mapping[str, Any]], bool] = lambda tree: True, parse: Callable[[bytes], Any] = loads,
) -> Mapping[str, Any]:  # fmt: skip
    """Return a 2xx reply that is one JSON object.

    Raises CallError for an error inside it, or if it lacks the requested content; StreamCut for a truncated reply.
    """
    try:
        tree = parse(body)
    except ValueError:
        raise errors.StreamCut("the reply is not whole JSON", where=endpoint, todo="ask again") from None
    if not isinstance(tree, Mapping) or tree.get("error") or not holds(tree):
        raise classification.classify(200, headers or {}, tree if isinstance(tree, Mapping) else {}, endpoint)
    return tree


def read_logprobs(places: Any, *, rows: str = "top_logprobs", share: str = "logprob") -> Iterator[TokenLogprobs]:
    """Yield the log-probabilities of each token that came with alternatives.

    ``rows``, ``share``: a protocol's names of the alternatives and their log-probabilities, if not OpenAI's.
    """
    for place in map(as_mapping, as_list(places)):
        words = tuple(
            (row["token"], float(row[share]))
            for row in map(as_mapping, as_list(place.get(rows)))
            if isinstance(row.get("token"), str) and isinstance(row.get(share), (int, float))
        )
        if words:
            yield TokenLogprobs(words=words)


def _is_error(reply: HostReply | Mapping[str, Any]) -> bool:
    if isinstance(reply, HostReply):
        return reply.is_error
    return bool(reply.get("error")) or "error" in (reply.get("object"), reply.get("type"))


def _trees(data: bytes | str) -> list[Mapping[str, Any]]:
    """Return the objects of a document, with lone surrogates replaced."""
    try:
        found = loads(data)
    except ValueError:
        found = join_all_surrogates(loads_with_surrogates(data))
    return [tree for tree in (found if isinstance(found, list) else [found]) if isinstance(tree, Mapping)]


class ReplyDecoder:
    """Converts the body of a 2xx reply to events: ``feed`` it as it arrives, then ``close`` it.

    Attributes:
        done: the protocol's last event or an error was read; read no further.
        complete: the finish reason was read. Some hosts send usage after it, others nothing while the connection stays
            open, so wait only briefly before closing.
        reasonless: the host is known to give no finish reason, so the last event alone ends the answer.
        replies: reads replies by their types; None for a protocol whose replies are read as trees. documents: reads
            whole ones, if their type is another.
    """

    reasonless = False
    replies: HostDecoder[Any] | None = None
    documents: HostDecoder[Any] | None = None

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        """``headers`` of the reply, with lower-case names, help to classify an error inside it."""
        self.done = False
        self.complete = False
        self._endpoint = endpoint
        self._headers = headers or {}
        self._started = False
        self._document: bytearray | None = None  # set once the reply proves to be one JSON document
        self._reader: SseReader | NdjsonReader = self._new_event_reader()
        self._reason = self._stop_sequence = ""
        self._refused = False
        self._usage: WireUsage | None = None
        self._out: list[WireEvent] = []
        self._data: bytes | str = b""  # the document or event that is read
        self._halves: EventSurrogateJoiner | None = None  # set once a surrogate pair arrived cut in half

    @property
    def holds_half_surrogate(self) -> bool:
        """True if half of a surrogate pair is held back until the next piece."""
        return self._halves is not None and self._halves.pending

    @property
    def begun(self) -> bool:
        """True if anything but whitespace arrived."""
        return self._started

    @property
    def document(self) -> bool:
        """True if the reply is one JSON document and not a stream."""
        return self._document is not None

    @property
    def pending(self) -> int:
        """The size of an unfinished document or line; its end causes work in proportion."""
        return self._reader.pending if self._document is None else len(self._document)

    @property
    def has_usage(self) -> bool:
        """True if the reply reported usage."""
        return self._usage is not None

    def _new_event_reader(self) -> SseReader | NdjsonReader:
        """Return the reader that splits a stream of this protocol into events."""
        return SseReader()

    def _read_event(self, tree: Any, name: str, /) -> None:
        """Read one event of a stream. ``name`` is "" unless the server named it."""
        raise NotImplementedError

    def _read_reply(self, tree: Any, /) -> None:
        """Read a reply that is one JSON document."""
        self._read_event(tree, "")

    def _read_counts(self, reply: Any, /) -> None:
        """Read the usage in a reply, or in an event, whose content is invalid."""

    # ---- from bytes to events

    def feed(self, chunk: bytes) -> list[WireEvent]:
        if not self._started:
            chunk = chunk.lstrip(BLANK)
            if chunk:
                self._started = True
                if classification.begins_with_markup(chunk):
                    self._end(Error(error=classification.markup_error(self._endpoint)))
                    return self._decode_events()
                # No event stream begins like JSON; a stream of JSON lines always does.
                is_document = chunk[:1] in b"{[" and isinstance(self._reader, SseReader)
                self._document = bytearray() if is_document else None
        if self.done or not chunk:
            return []
        if self._document is None:
            try:
                self._read_events(self._reader.feed(chunk))
            except LineTooLong:
                self._raise_invalid("sent a line without end")
        elif len(self._document) + len(chunk) > MAX_DOCUMENT:
            self._raise_invalid("sent a reply without end")
        else:
            self._document += chunk
        return self._decode_events()

    def close(self) -> list[WireEvent]:
        """Process the end of the body.

        Return the last events, ending in Finish or Error unless one was returned before.
        """
        if not self.done:
            if self._document is not None:
                self._read_json(bytes(self._document), is_document=True)
            else:
                self._read_events(self._reader.close())
        if not self.done:
            if self.complete:
                self._finish()
            else:
                self._raise_invalid(UNFINISHED)
        return self._decode_events()

    def _decode_events(self) -> list[WireEvent]:
        out, self._out = self._out, []
        return out if self._halves is None else self._halves.join(out)

    def _read_events(self, events: list[SseEvent]) -> None:
        for event in events:
            if self.done:
                return
            data = event.data.strip()
            if data == "[DONE]":
                self._last_word()
            elif data:  # an empty event keeps a connection alive
                self._read_json(event.data, name=event.event)

    @property
    def _tree(self) -> Mapping[str, Any]:
        """The reply that is read, with all of its fields."""
        return _trees(self._data)[0]

    def _tree_in(self, field: str, index: int) -> Mapping[str, Any]:
        """Return an object of a list in the reply that is read, with all of its fields."""
        return [each for each in self._tree[field] if isinstance(each, Mapping)][index]

    def _read_json(self, data: bytes | str, *, name: str = "", is_document: bool = False) -> None:
        self._data = data
        try:
            found = self._parse(data, is_document=is_document)
        except ValueError:
            self._raise_invalid("the stream broke: what came is not whole JSON")
            return
        for number, (reply, valid, halved) in enumerate(found):
            if self.done:
                return
            if halved and self._halves is None:
                self._halves = EventSurrogateJoiner()
            if name == "error" or _is_error(reply):
                self._fail(classification.classify(200, self._headers, _trees(data)[number], self._endpoint))
            elif self.complete and not is_document:
                self._read_after_end(reply, name)
            elif valid:
                self._read_answer(reply, name, is_document=is_document)
            else:
                self._read_counts(reply)
                self._raise_invalid(NO_ANSWER)

    def _read_answer(self, reply: Any, name: str, *, is_document: bool) -> None:
        try:
            if is_document:
                self._read_reply(reply)
            else:
                self._read_event(reply, name)
        except InvalidContent:
            self._raise_invalid(NO_ANSWER)

    def _read_after_end(self, reply: Any, name: str) -> None:
        """Read an event after the finish reason: usage and errors count, content is dropped."""
        before, reason, refused = len(self._out), self._reason, self._refused
        with suppress(InvalidContent):
            self._read_event(reply, name)
        self._out[before:] = [event for event in self._out[before:] if isinstance(event, (WireUsage, Finish, Error))]
        self._reason, self._refused = reason, refused

    def _parse(self, data: bytes | str, *, is_document: bool) -> list[Parsed[Any]]:
        """Parse JSON: one reply, or a list of them, as Google sends it. Raises ValueError."""
        if self.replies is not None:
            return ((is_document and self.documents) or self.replies).read(data)
        try:
            found, halved = loads(data), False
        except ValueError:
            found, halved = loads_with_surrogates(data), True
        replies = found if isinstance(found, list) else [found]
        return [Parsed(tree, halved=halved) for tree in replies if isinstance(tree, Mapping)]

    # ---- the end

    def _last_word(self) -> None:
        """Handle the protocol's sign that nothing more follows."""
        if self.complete or self.reasonless:
            self._finish()
        else:
            self._raise_invalid(UNEXPLAINED)

    def _finish(self) -> None:
        self._emit_usage()
        reason = "content_filter" if self._refused else self._reason or "stop"
        self._end(Finish(reason=reason, stop_sequence=self._stop_sequence))

    def _raise_invalid(self, what: str) -> None:
        self._fail(errors.StreamCut(what, where=self._endpoint, todo="ask again"))

    def _fail(self, error: errors.CallError) -> None:
        """End with an error, unless the stream has given a reason for its end and its counts: nothing is missing."""
        if self.complete and self.has_usage and self._document is None:
            self._finish()
        else:
            self._emit_usage()
            self._end(Error(error=error))

    def _emit_usage(self) -> None:
        if self._usage is not None and not self._usage.is_empty:
            self._out.append(self._usage)

    def _end(self, event: Finish | Error) -> None:
        self.done = True
        self._out.append(event)
