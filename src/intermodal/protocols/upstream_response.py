"""The reply to one direct call, passed on to the client in the callback that received it.

``UpstreamResponse`` handles one reply. ``BufferedResponse`` collects an unstreamed answer. A ``StreamedResponse``
passes a stream through from its first word, thought or tool call on: a failure before that was never shown, so another
route may answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from intermodal import errors
from intermodal.core.content import Refusal
from intermodal.protocols.answer_state import MAX_REPLY, AnswerState, is_output, trailing_timeout
from intermodal.protocols.calls import (
    Error,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    ReplyEncoder,
    WireEvent,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import collect_turn
from intermodal.protocols.errors import classification
from intermodal.protocols.framing.event_streams import MAX_PIECE, EventSplitter, LineSplitter, LineTooLong
from intermodal.protocols.framing.json_body import split_object
from intermodal.protocols.framing.surrogates import SurrogateJoiner, join_surrogates
from intermodal.protocols.reply_chunk import ReplyChunk
from intermodal.protocols.reply_decoder import BLANK, NO_ANSWER, UNEXPLAINED, UNFINISHED, ReplyDecoder

MAX_ERROR = 1 << 20  # bytes of an error reply

End = Literal["", "done", "stopped"]
_UNCUT = (WireTextDelta, ReasoningDelta, RefusalDelta, WireUsage)  # what remains of an answer that was cut


class ClientWriter(Protocol):
    """Writes an answer to a client, which may be slow or gone. ``status`` is 0 until the head is written."""

    status: int
    ended: bool

    @property
    def disconnected(self) -> bool:
        """True if the client left."""
        ...

    @property
    def is_reader_behind(self) -> bool:
        """True if the reader is slow and enough data is waiting for it."""
        ...

    def when_caught_up(self, do: Callable[[], None] | None) -> None:
        """Call ``do`` each time a slow reader has caught up."""
        ...

    def write_unbuffered(self, data: bytes) -> None:
        """Write a piece of a stream without waiting for a slow reader."""
        ...

    def write_last(self, data: bytes) -> None:
        """Write the last piece of a stream, and end it."""
        ...


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Tells the time, and calls back. ``time``: seconds since the epoch."""

    def monotonic(self) -> float: ...

    def time(self) -> float: ...

    def later(self, seconds: float, do: Callable[[], None]) -> Timer: ...


class HostSide(Protocol):
    """The connection that a reply arrives on. ``wordless``: the first-word timeout runs, as nothing visible came."""

    wordless: bool

    @property
    def is_reader_behind(self) -> bool:
        """True if more has arrived than was read."""
        ...

    def pause(self) -> None:
        """Stop reading until the client has caught up."""
        ...


class PendingCheck(Protocol):
    """The unfinished check of an answer: a future of its error, or None."""

    def cancelled(self) -> bool: ...

    def result(self) -> errors.IntermodalError | None: ...

    def add_done_callback(self, do: Callable[[Any], object], /) -> object: ...


class ReplyReader(Protocol):
    """The reader of a protocol's replies: its row of ``executor/direct/protocol_adapters.py``."""

    def read(self, data: bytes, /) -> ReplyChunk | None:
        """Parse a whole reply; None if it is unusual or an error."""
        ...

    def decoder(self, endpoint: str, headers: Mapping[str, str]) -> ReplyDecoder:
        """Return the codec's decoder, as used by runs."""
        ...

    def encode_reply(self, events: Iterable[WireEvent]) -> bytes:
        """Return a whole reply, encoded from events."""
        ...

    def encoder(self, model: str, **more: Any) -> ReplyEncoder:
        """Return the encoder that writes a whole answer as a stream, without its usage."""
        ...

    def failure_event(self, error: BaseException, /) -> bytes:
        """Return the last event of a stream that failed."""
        ...

    def items(self, data: bytes, /) -> list[dict[str, Any]]:
        """Return the items of a whole reply that clients may refer to later."""
        ...


class UpstreamResponse(AnswerState):
    """One reply. ``over``: nothing more is awaited; ``error``: why it failed, None if it did not; ``problem``: an
    internal error."""

    waits = False
    output_seen = False
    judging = False  # the answer is complete and its check still runs
    # Class attributes hold the defaults that most replies keep; see ``AnswerState``.
    error: errors.IntermodalError | None = None
    problem: Exception | None = None
    items: Sequence[Mapping[str, Any]] = ()  # that clients may refer to later
    counted_here: int | None = None  # tokens of an answer that was stopped before its host counted them
    over = False
    _then: Callable[[errors.IntermodalError | None], None] | None = None
    _size = 0

    def __init__(
        self, endpoint: str, secret: str, reader: ReplyReader, clock: Clock, limit: int | None, *,
        guarded: bool = False, streamed: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(endpoint, limit=limit, guarded=guarded, streamed=streamed)
        self._secret = secret
        self._reader = reader
        self._clock = clock
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._body: list[bytes] = []

    # ---- for the waiting client

    def call_at_end(self, do: Callable[[errors.IntermodalError | None], None]) -> None:
        """Call ``do`` once when the reply is over. It must not raise."""
        self._then = do

    # ---- callbacks of the connection (transport.http1.Listener)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self._status, self._headers = status, headers
        if 200 <= status < 300 and classification.announces_web_page(headers):
            self._fail_with(classification.web_page_error(self._endpoint, status))
            self._run_callback()

    def data(self, data: bytes) -> None:
        if not 200 <= self._status < 300:
            if self._size < MAX_ERROR:
                self._collect(data)
        elif not self.over and not self.judging:
            try:  # ``_read_guarded`` without its call, for every piece of a stream
                self._receive(data)
            except Exception as problem:
                self._end_internally(problem)
            if self.over:
                self._run_callback()

    def end(self) -> None:
        if self.over or self.judging:
            return
        self._read_guarded(self._on_body_end if 200 <= self._status < 300 else self._on_error_status)
        self._run_callback()

    def on_failure(self, error: errors.CallError) -> None:
        if self.over or self.judging:
            return
        if not 200 <= self._status < 300 and self._status:  # only the status is available
            self._read_guarded(self._on_error_status)
        else:
            self._read_guarded(self._on_broken_reply, error)
        self._run_callback()

    def _run_callback(self) -> None:
        """Run the callback once everything received is processed: content before a failure counts, too."""
        if self.over and self._then is not None:
            then, self._then = self._then, None
            then(self.error)

    def failure_event(self, error: BaseException) -> bytes:
        """Return the last event of a stream that failed."""
        return self._reader.failure_event(error)

    # ---- for the two kinds

    def _receive(self, data: bytes) -> None:
        raise NotImplementedError

    def _on_body_end(self) -> None:
        raise NotImplementedError

    def _collect(self, data: bytes) -> None:
        self._size += len(data)
        self._body.append(data)

    def _note(self, piece: ReplyChunk) -> None:
        """Record the content of a piece other than its text and its refusal."""
        for place, name, call in piece.calls:
            before = self.calls.get(place, ("", ""))
            self.calls[place] = (before[0] or name, before[1] or call)
        if piece.usage is not None:
            self.usage = piece.usage
        self.finish = piece.finish or self.finish
        if self.finish and self.refusal and not self.overran:
            self.finish = "content_filter"

    def _note_whole(self, piece: ReplyChunk) -> None:
        """Record a reply that arrived in one piece, with split characters joined."""
        if piece.refusal:
            self.refusal.append(piece.refusal)
        self._note(piece)
        self.text.append(join_surrogates(piece.text) if piece.halved else piece.text)

    def _on_error_status(self) -> None:
        """End a reply whose status is no success. It may have broken off."""
        body, secrets = b"".join(self._body)[:MAX_ERROR], (self._secret,)
        error = classification.classify(
            self._status, self._headers, body, self._endpoint, secrets=secrets, now=self._clock.time()
        )
        self._fail_with(error)

    def _fail_with(self, error: errors.IntermodalError) -> None:
        if not self.over:
            self._end(self.mark_billed(classification.hide_key(error, self._secret)))

    def _succeed(self) -> None:
        if not self.over:
            self._end(None)

    def _end(self, error: errors.IntermodalError | None) -> None:
        self.over, self.error = True, error

    def _read_guarded(self, read: Callable[..., None], *args: Any) -> None:
        """Read a part of the reply; an internal error ends it."""
        try:
            read(*args)
        except Exception as problem:
            self._end_internally(problem)

    def _end_internally(self, problem: Exception) -> None:
        """End the reply with an internal error: a connection would drop it, and the client would wait."""
        self.problem = problem
        self._end(None)

    def events(self) -> Sequence[WireEvent]:
        """Return the decoded events of the answer, once it is over."""
        raise NotImplementedError

    def _on_broken_reply(self, error: errors.CallError) -> None:
        """Handle a reply that broke off or timed out."""
        self._fail_with(error)

    def _decode_unusual(self, data: bytes, *, part: bool = False) -> list[WireEvent] | None:
        """Decode a reply in an unusual format with the protocol's codec; None if it failed.

        ``part``: it is one event of a stream, and need not have an end. [] if it is an error after the whole answer.
        """
        if part:
            decoder = self._part_decoder()
            data = b"data: " + data if data[:1] in b"{[" else data  # it is a bare line, and no document
        else:
            decoder = self._reader.decoder(self._endpoint, self._headers)
        now = decoder.feed(data)
        later = [event for event in decoder.close() if not (part and isinstance(event, Error))]
        if (error := self._error_in([*now, *later])) is not None:
            if part and self._has_whole_answer:
                return []
            if not part and any(map(is_output, now)):  # it may be charged, as an answer that began
                self.first_at = self.first_at or self._clock.monotonic()
            self._fail_with(error)
            return None
        return [*now, *later]

    @property
    def _has_whole_answer(self) -> bool:
        """True if the reason for its end and its counts have arrived: nothing is missing."""
        return bool(self.finish) and self.usage is not None

    def _part_decoder(self) -> ReplyDecoder:
        """Return a decoder of one event of a stream: of one after the end nothing but counts and errors are read."""
        decoder = self._reader.decoder(self._endpoint, self._headers)
        decoder.complete = bool(self.finish)
        return decoder

    def _invalid_reply_error(self, data: bytes) -> errors.CallError:
        """Return the error for an invalid reply, according to the protocol's codec."""
        decoder = self._reader.decoder(self._endpoint, self._headers)
        error = self._error_in([*decoder.feed(data), *decoder.close()])
        return error or errors.StreamCut(NO_ANSWER, where=self._endpoint, todo="ask again")

    def _error_in(self, events: Iterable[WireEvent]) -> errors.CallError | None:
        """Return the error that a reply ends in, with its usage recorded: it is charged; None if it has no error."""
        usage: WireUsage | None = None
        for event in events:
            if isinstance(event, WireUsage):
                usage = event
            elif isinstance(event, Error):
                self.usage = usage or self.usage
                return event.error
        return None


class BufferedResponse(UpstreamResponse):
    """An unstreamed answer."""

    raw = b""
    raw_usage = b""  # its usage, unchanged

    def _receive(self, data: bytes) -> None:
        if not self._body:
            data = data.lstrip(BLANK)  # some servers send blanks while their model works
            if not data:
                return
        self.output_seen = True
        self._collect(data)
        if self._size > MAX_REPLY:
            what = f"sent more than {MAX_REPLY >> 20} MiB"
            self._fail_with(errors.StreamCut(what, where=self._endpoint, todo="ask for less"))

    def _on_body_end(self) -> None:
        self.raw = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        piece = self._reader.read(self.raw)
        if piece is None or not piece.finish or len(piece.indexes) > 1:
            events = self._decode_unusual(self.raw)
            if events is None:
                return
            self.raw = self._reader.encode_reply(events)
            piece = piece_of(events, self.raw)
        if self.may_exceed(piece.text + piece.beside + piece.refusal):
            piece = self._cut_to_limit(piece)
        self.first_at = self._clock.monotonic()
        self._note_whole(piece)
        if piece.usage is not None:
            self.raw_usage = piece.raw_usage
        self.items = self._reader.items(self.raw)
        self._succeed()

    def _on_broken_reply(self, error: errors.CallError) -> None:
        """Accept a reply that broke off if it is a stream, though none was requested, whose answer had ended."""
        decoder = self._reader.decoder(self._endpoint, self._headers)
        failed = self._error_in(decoder.feed(b"".join(self._body))) is not None
        if decoder.complete and not failed:
            self._on_body_end()
        else:
            self._fail_with(error)

    def events(self) -> Sequence[WireEvent]:
        return self._decode_unusual(self.raw) or ()

    def _cut_to_limit(self, piece: ReplyChunk) -> ReplyChunk:
        """Return the answer with its text and reasoning cut to the limit, and its counts unchanged, since they are
        billed.

        If it was cut, tool calls are dropped, as they may be incomplete.
        """
        state = AnswerState(self._endpoint, limit=self.limit, streamed=False)
        events = [
            answer_event
            for event in self._decode_unusual(self.raw) or ()
            if (answer_event := state.record_event(event)) is not None
        ]
        if not state.overran:
            return piece
        self.stopped = "limit"
        events = [*(event for event in events if isinstance(event, _UNCUT)), Finish(reason=state.stop_reason)]
        self.raw = self._reader.encode_reply(events)
        return piece_of(events, self.raw)


class StreamContext(NamedTuple):
    """The properties of a request that its stream depends on.

    Attributes:
        model: the client's name of it.
        begin: writes the head of the answer; called once, at the first visible word.
        metadata: returns the run metadata, written beside the usage at the end.
        wrong: returns the error found at the end, or a future that resolves to it.
        silent: nothing is shown of an answer without a visible word.
        tokens: counts the tokens of a text, if nothing else does.
        wants_usage: the client requests the usage. guarded: an answer that repeats itself is stopped.
        fields: the request's, unchanged.
        reasonless: the host is known not to state why an answer ended. limit: allowed tokens.
    """

    reply: ClientWriter
    model: str
    begin: Callable[[], None]
    metadata: Callable[[StreamedResponse], bytes]
    wrong: Callable[[StreamedResponse], errors.IntermodalError | PendingCheck | None]
    tokens: Callable[[str], int]
    wants_usage: bool
    guarded: bool
    fields: Mapping[str, Any]
    reasonless: bool
    limit: int | None
    silent: bool


class StreamedResponse(UpstreamResponse):
    """A streamed answer. It arrives in pieces, events or lines, into which ``_split`` cuts it."""

    waits = True
    _split: type[LineSplitter] = EventSplitter
    _piece = "an event"

    def __init__(self, endpoint: str, secret: str, reader: ReplyReader, clock: Clock, teller: StreamContext) -> None:
        super().__init__(endpoint, secret, reader, clock, teller.limit, guarded=teller.guarded, streamed=True)
        self.connection: HostSide | None = None
        self.begun = False
        self._teller = teller
        self._reply = teller.reply
        self._model = teller.model
        self._is_document: bool | None = None  # True if it is not a stream; None if nothing arrived yet
        self._first = b""  # data received before its kind is known
        self._splitter = self._split()
        self._pending: list[bytes] = []
        self._timer: Timer | None = None
        self._until = 0.0  # when the timer is due
        self._halves = SurrogateJoiner()  # for the recorded text

    # ---- what each protocol does in its own way

    def _event(self, event: bytes, through: list[bytes]) -> End:
        """Process an event; append the part of it to forward to ``through``."""
        raise NotImplementedError

    def _encode_delta(self, words: str, thoughts: str) -> bytes:
        """Return an event with this text or reasoning."""
        raise NotImplementedError

    def _finish(self, data: bytes, *, stopped: bool = False) -> None:
        """Write the end of the answer after ``data``. ``stopped``: we ended it."""
        raise NotImplementedError

    def _stream_whole_reply(self, data: bytes) -> None:
        """Send a whole answer as a stream."""
        raise NotImplementedError

    def _end_without_reason(self, through: list[bytes]) -> End:
        """Return the end of a stream that did not state why it ended."""
        self._pass_before_failure(through)
        self._fail_with(self._truncated_error(UNEXPLAINED))
        return ""

    # ---- for all of them

    def _receive(self, data: bytes) -> None:
        if self._is_document is None:  # decided by its first byte: headers are not reliable
            data = (self._first + data).lstrip(BLANK)
            self._first = b""
            if not data or (len(data) < 3 and BLANK[:3].startswith(data)):
                self._first = data
                return
            if classification.begins_with_markup(data):
                self._fail_with(classification.markup_error(self._endpoint))
                return
            self._is_document = data[:1] in b"{["
        if self._is_document:  # a stream was requested
            self._collect(data)
            if self._size > MAX_REPLY:
                self._fail_with(self._truncated_error(f"sent more than {MAX_REPLY >> 20} MiB"))
            return
        self._process_bytes(data, self._event)

    def _process_bytes(self, data: bytes, look: Callable[[bytes, list[bytes]], End]) -> None:
        """Process each event that the bytes complete, and pass on the forwarded parts."""
        try:
            events = self._splitter.feed(data)
        except LineTooLong:
            self._fail_with(self._truncated_error(f"sent {self._piece} without end"))
            return
        if not events:
            return
        through: list[bytes] = []
        end: End = ""
        for event in events:
            end = look(event, through)
            if end or self.over:
                break
        if not self.over:
            self._forward(through, end)

    def _is_cut(self, through: list[bytes], *, called: bool = False) -> bool:
        """Return True if the last piece of the answer is not forwarded unchanged, but only its allowed part.

        ``called``: it has arguments, which are useless if truncated.
        """
        if self.stopped == "blanks":
            self._fail_with(self.blanks_error())
            return True
        if not self.overran:
            return False
        words, other_output = self.allowed
        if other_output and called:
            self.beside.pop()
            other_output = ""
        if words or other_output:
            through.append(self._encode_delta(words, other_output))
            self.first_at = self.first_at or self._clock.monotonic()
        return True

    def _note(self, piece: ReplyChunk) -> None:
        super()._note(piece)
        self.output_seen |= piece.alive

    def _forward(self, through: list[bytes], end: End) -> None:
        if not self.begun:
            if (self.first_at is None or self._unsaid) and not self.finish and not end:  # nothing to show yet
                self._pending += through
                self._size += sum(map(len, through))
                if self.first_at is None and self._size > MAX_PIECE:
                    self._fail_with(self.blanks_error())
                elif self._size > MAX_REPLY:
                    self._fail_with(self._truncated_error(f"sent more than {MAX_REPLY >> 20} MiB"))
                return
            if end == "stopped" and self.refusal and self.wordless:
                self._count_stopped_output()
            if self.refused or self._unsaid:  # nothing of it is shown; its cost may still be reported
                if end:
                    self._succeed()
                else:
                    self._wait_for_more()
                return
            self.begun = True
            self._teller.begin()
            if self.connection is not None:
                self.connection.wordless = False
            through = self._pending + through
            self._pending = []
        data = self._join_events(through)
        if end and self.refused:  # thoughts were shown: the error is the last event
            if data:
                self._reply.write_unbuffered(data)
            self._succeed()
            return
        if end:
            self._finish(data, stopped=end == "stopped")
            return
        if data:
            self._reply.write_unbuffered(data)
            if self._reply.is_reader_behind and self.connection is not None:
                self.connection.pause()
        if self.finish and not self.over:
            self._wait_for_more()

    @property
    def _unsaid(self) -> bool:
        return self._teller.silent and self.wordless

    def events(self) -> Sequence[WireEvent]:
        found: list[WireEvent] = [WireTextDelta(text="".join(self.text))]
        found += [] if self.usage is None or self.usage.is_empty else [self.usage]
        return [*found, Finish(reason=self.finish)]

    def _pass_before_failure(self, through: list[bytes]) -> None:
        """Pass on the content that arrived before and with a failure."""
        if self.begun or self.first_at is not None:
            self._forward(through, "")
            through.clear()

    def _join_events(self, through: list[bytes]) -> bytes:
        return b"\n\n".join(through) + b"\n\n" if through else b""

    def _wait_for_more(self) -> None:
        """Wait for the counts, and then for the end of the stream."""
        seconds = trailing_timeout(has_usage=self.usage is not None)
        until = self._clock.monotonic() + seconds
        if self._timer is None or until < self._until:
            if self._timer is not None:
                self._timer.cancel()
            self._until, self._timer = until, self._clock.later(seconds, self._on_wait_over)

    def _on_wait_over(self) -> None:
        self._timer = None
        if (
            self.connection is not None and self.connection.is_reader_behind
        ):  # the end may have arrived without having been read
            self._wait_for_more()
        else:
            self.end()

    def _end(self, error: errors.IntermodalError | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super()._end(error)

    def _count_stopped_output(self) -> WireUsage:
        """Count the output of a stopped answer here and return it as usage: counts before the end are not
        the answer's.
        """
        self.finish, self.usage = self.stop_reason, None
        self.counted_here = self._teller.tokens("".join([*self.text, *self.beside]))
        return WireUsage(output_tokens=self.counted_here)

    def _found_wrong(self, data: bytes) -> bool:
        """Return True if the complete answer is rejected or still being checked.

        ``data``: the last of it, which is shown.
        """
        wrong = self._teller.wrong(self)
        if wrong is None:
            return False
        if data:
            self._reply.write_unbuffered(data)
        if isinstance(wrong, errors.IntermodalError):
            self._fail_with(wrong)
        else:
            self.judging = True
            if self._timer is not None:
                self._timer.cancel()
            wrong.add_done_callback(self._on_check_result)
        return True

    def _on_check_result(self, verdict: PendingCheck) -> None:
        """End the answer by the result of its check."""
        self.judging = False
        if self.over or verdict.cancelled():
            return
        self._read_guarded(self._end_checked, verdict)
        self._run_callback()

    def _end_checked(self, verdict: PendingCheck) -> None:
        wrong = verdict.result()
        if wrong is not None:
            self._fail_with(wrong)
        else:
            self._finish(b"")

    def _on_body_end(self) -> None:
        if self.over:
            return
        if self._splitter.pending and not self._is_document:  # the last line may lack its line end
            self._receive(b"\n\n")
            if self.over:
                return
        if self._is_document:
            self._stream_whole_reply(b"".join(self._body))
        elif self.finish and self.begun and not self.refused:
            self._finish(b"")
        elif self.refused or (self.finish and self._unsaid):
            self._succeed()
        else:
            self._fail_with(self._truncated_error(UNFINISHED))

    def _on_broken_reply(self, error: errors.CallError) -> None:
        if self.finish and (self.begun or self.refused or self._unsaid):
            self._on_body_end()
        else:
            self._fail_with(error)

    def _truncated_error(self, what: str) -> errors.CallError:
        return errors.StreamCut(what, where=self._endpoint, todo="ask again")


def piece_of(events: Sequence[WireEvent], encoded: bytes) -> ReplyChunk:
    """Return the content of a reply that a codec decoded. ``encoded``: the same, encoded again."""
    found = collect_turn(events)
    refusal = "".join(part.text for part in found.parts if isinstance(part, Refusal))
    counts = next((event for event in events if isinstance(event, WireUsage)), None)
    calls = tuple((place, call.id, call.name) for place, call in enumerate(found.calls))
    raw_usage = bytes(split_object(encoded).get("usage", b""))
    return ReplyChunk(found.text, True, refusal, found.finish, counts, raw_usage, b"", calls, beside=found.beside)
