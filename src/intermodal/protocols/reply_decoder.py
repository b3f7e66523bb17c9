"""What every wire's reply decoder does alike: collect what arrives, notice the proper end, call a cut a cut.

A decoder ends in exactly one :class:`Finish` or :class:`Error`. A reply that stops before its wire's proper end was
cut; selling its text as an answer would be a lie. A stream that ends in good order without a reason is taken for cut,
too: a proxy that lost its server closes what it began in just this way. What a reply says after its reason for the end
is no part of the answer. What the events of a wire mean is in the file of that wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from intermodal import errors
from intermodal.protocols.calls import Error, Finish, WireEvent, WireUsage
from intermodal.protocols.errors import classification, web_pages
from intermodal.protocols.framing.json_body import as_text, dumps, loads
from intermodal.protocols.framing.ndjson import NdjsonReader
from intermodal.protocols.framing.sse import LineTooLong, SseEvent, SseReader
from intermodal.protocols.framing.surrogates import EventSurrogateJoiner, join_all_surrogates, loads_with_surrogates

MAX_DOCUMENT = 64 << 20  # bytes of a reply that is not a stream
UNEXPLAINED = "ended its answer without saying why"
NO_REASON = "no_finish_reason"  # the quirk of a host whose streams end so
_BLANK = b"\xef\xbb\xbf \t\r\n"  # what may stand before the first byte that means something


def tool_call_id(said: str) -> str:
    """The id of a call of a tool. One that came without gets one that no other of the conversation has: clients keep
    results by it."""
    return said or f"call_{uuid4().hex[:24]}"


def arguments_as_json(said: Any) -> str:
    """The arguments of a call as JSON. Some servers write an object where OpenAI has a string that holds one."""
    return dumps(said).decode() if isinstance(said, (Mapping, list)) else as_text(said)


class ReplyDecoder:
    """Feed it the body of a 2xx reply as it arrives, then ``close`` it.

    ``done`` becomes True at the wire's last word or an error: read no further. ``complete`` becomes True with the
    reason for the end: some hosts then send usage, some nothing and keep the connection open, so wait a
    moment at most and close. ``reasonless``: its host is known to give no reason, so the last word alone is an end.
    """

    reasonless = False

    def __init__(self, endpoint: str = "", *, headers: Mapping[str, str] | None = None) -> None:
        """``headers`` of the reply, with lower-case names, help to classify an error inside it."""
        self.done = False
        self.complete = False
        self._endpoint = endpoint
        self._headers = headers or {}
        self._started = False
        self._document: bytearray | None = None  # not None once the reply turned out to be one JSON document
        self._reader: SseReader | NdjsonReader = self._lines()
        self._reason = ""
        self._refused = False
        self._usage: WireUsage | None = None
        self._out: list[WireEvent] = []
        self._halves: EventSurrogateJoiner | None = None  # not None once a character came in halves

    @property
    def waits(self) -> bool:
        """What comes next may complete a character."""
        return self._halves is not None and self._halves.held

    @property
    def begun(self) -> bool:
        """Something came, and not only blanks."""
        return self._started

    @property
    def document(self) -> bool:
        """It comes as one document, and not as a stream."""
        return self._document is not None

    @property
    def pending(self) -> int:
        """Bytes of a document, or of a line, whose end did not come yet: the end makes work for all of them."""
        return self._reader.pending if self._document is None else len(self._document)

    @property
    def counted(self) -> bool:
        """It said what it counts."""
        return self._usage is not None

    def _lines(self) -> SseReader | NdjsonReader:
        """How a stream of this wire is cut into events."""
        return SseReader()

    def _read_event(self, tree: Mapping[str, Any], name: str) -> None:
        """One event of a stream. ``name`` is "" unless the server named it."""
        raise NotImplementedError

    def _read_reply(self, tree: Mapping[str, Any]) -> None:
        """A reply that is one JSON document."""
        self._read_event(tree, "")

    # ---- bytes to events

    def feed(self, chunk: bytes) -> list[WireEvent]:
        if not self._started:
            chunk = chunk.lstrip(_BLANK)
            if chunk:
                self._started = True
                if web_pages.begins_with_markup(chunk):
                    self._end(Error(error=web_pages.markup_error(self._endpoint)))
                    return self._take()
                # No stream of events begins like JSON; one of lines does nothing else.
                whole = chunk[:1] in b"{[" and isinstance(self._reader, SseReader)
                self._document = bytearray() if whole else None
        if self.done or not chunk:
            return []
        if self._document is None:
            try:
                self._read_events(self._reader.feed(chunk))
            except LineTooLong:
                self._fail("sent a line without end")
        elif len(self._document) + len(chunk) > MAX_DOCUMENT:
            self._fail("sent a reply without end")
        else:
            self._document += chunk
        return self._take()

    def close(self) -> list[WireEvent]:
        """The body ended. Gives what is left, ending in Finish or Error unless that was given already."""
        if not self.done:
            if self._document is not None:
                self._read_json(bytes(self._document), whole=True)
            else:
                self._read_events(self._reader.close())
        if not self.done:
            if self.complete:
                self._finish()
            else:
                self._fail("the stream ended in the middle of the answer")
        return self._take()

    def _take(self) -> list[WireEvent]:
        out, self._out = self._out, []
        return out if self._halves is None else self._halves.whole(out)

    def _read_events(self, events: list[SseEvent]) -> None:
        for event in events:
            if self.done:
                return
            data = event.data.strip()
            if data == "[DONE]":
                self._last_word()
            elif data:  # an event of nothing keeps a connection alive
                self._read_json(event.data, name=event.event)

    def _read_json(self, data: bytes | str, *, name: str = "", whole: bool = False) -> None:
        try:
            found = self._parsed(data)
        except ValueError:
            self._fail("the stream broke: what came is not whole JSON")
            return
        for tree in found if isinstance(found, list) else [found]:  # Google's: a list of what a stream would hold
            if not isinstance(tree, Mapping) or self.done:
                continue
            if name == "error" or tree.get("error") or "error" in (tree.get("object"), tree.get("type")):
                self._out_usage()
                tree = tree if self._halves is None else join_all_surrogates(tree)
                self._end(Error(error=classification.classify(200, self._headers, tree, self._endpoint)))
            elif whole:
                self._read_reply(tree)
            elif self.complete:
                self._read_more(tree, name)
            else:
                self._read_event(tree, name)

    def _read_more(self, tree: Mapping[str, Any], name: str) -> None:
        """An event after the one with the reason: it counts, or says that something failed; its words are dropped."""
        before, reason, refused = len(self._out), self._reason, self._refused
        self._read_event(tree, name)
        self._out[before:] = [event for event in self._out[before:] if isinstance(event, (WireUsage, Finish, Error))]
        self._reason, self._refused = reason, refused

    def _parsed(self, data: bytes | str) -> Any:
        """Raises ValueError for what is no JSON."""
        try:
            return loads(data)
        except ValueError:
            found = loads_with_surrogates(data)
        self._halves = self._halves or EventSurrogateJoiner()
        return found

    # ---- the end

    def _last_word(self) -> None:
        """The wire's sign that nothing more comes."""
        if self.complete or self.reasonless:
            self._finish()
        else:
            self._fail(UNEXPLAINED)

    def _finish(self) -> None:
        self._out_usage()
        self._end(Finish(reason="content_filter" if self._refused else self._reason or "stop"))

    def _fail(self, what: str) -> None:
        self._out_usage()
        self._end(Error(error=errors.StreamCut(what, where=self._endpoint, todo="ask again")))

    def _out_usage(self) -> None:
        if self._usage is not None:
            self._out.append(self._usage)

    def _end(self, event: Finish | Error) -> None:
        self.done = True
        self._out.append(event)
