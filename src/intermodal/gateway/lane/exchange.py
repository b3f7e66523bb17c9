"""One call passed on: what its host sends is handed to the client in the callback that received it.

``Exchange`` hears one reply. ``Whole`` gathers an answer that is not streamed; ``Live`` lets a stream through, from its
first visible word on: what fails before that was never shown, and another route may answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, Protocol

from intermodal import errors
from intermodal.executor.guard import LoopGuard
from intermodal.executor.speaker import Speaker
from intermodal.gateway.dialects import Encoder
from intermodal.gateway.lane.pipes import Pipe
from intermodal.gateway.lane.replies import DONE, Piece, read, rewritten
from intermodal.gateway.reply import Reply
from intermodal.wire import status
from intermodal.wire._json import dumps
from intermodal.wire.call import Error, Usage
from intermodal.wire.decoding import Decoding

MAX_REPLY = 64 << 20  # bytes of a whole answer
MAX_EVENT = 8 << 20  # bytes of one event of a stream
MAX_ERROR = 1 << 20  # bytes of a reply that is an error
_LOOK = 120  # characters between two looks for an answer that repeats itself
_LAST_WORDS = 0.5  # seconds to wait for usage or [DONE] after the finish reason

End = Literal["", "done", "looped"]


class Reader(Protocol):
    """How a wire's replies are read (``tongues.py``)."""

    def read(self, data: bytes) -> Piece | None:
        """A whole reply; None for what is none."""
        ...

    def decoder(self, endpoint: str, headers: Mapping[str, str]) -> Decoding:
        """The codec that reads them everywhere else."""
        ...

    def encoder(self, model: str) -> Encoder:
        """What tells a whole answer as a stream, without its usage."""
        ...


class Exchange:
    """A reply on its way. ``outcome`` is set when there is nothing more to wait for: None, or why it failed."""

    waits = False

    def __init__(self, endpoint: str, secret: str, reader: Reader, loop: asyncio.AbstractEventLoop) -> None:
        self.outcome: asyncio.Future[errors.CallError | None] = loop.create_future()
        self.first_at: float | None = None
        self.usage: Usage | None = None
        self.text: list[str] = []
        self.calls: dict[int, tuple[str, str]] = {}
        self.finish = ""
        self.looped = False
        self._endpoint = endpoint
        self._secret = secret
        self._reader = reader
        self._loop = loop
        self._status = 0
        self._headers: Mapping[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0

    # ---- what the connection says (pipes.Listener)

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        self._status, self._headers = status, dict(headers)
        if 200 <= status < 300 and headers.get("content-type", "").lower().startswith("text/html"):
            what = "answered with a web page and not as a model's server does"
            self._fail(errors.CallError(what, where=self._endpoint, todo="check the host's base_url", status=status))

    def data(self, data: bytes) -> None:
        if not 200 <= self._status < 300:
            if self._size < MAX_ERROR:
                self._gather(data)
        elif not self.outcome.done():
            self._take(data)

    def end(self) -> None:
        if self.outcome.done():
            return
        if 200 <= self._status < 300:
            self._ended()
        else:
            self._fail(self._classified(b"".join(self._body)[:MAX_ERROR]))

    def failed(self, error: errors.CallError) -> None:
        if not 200 <= self._status < 300 and self._status:  # the status alone must do
            error = self._classified(b"".join(self._body)[:MAX_ERROR])
        self._fail(error)

    # ---- for the two kinds

    def _take(self, data: bytes) -> None:
        raise NotImplementedError

    def _ended(self) -> None:
        raise NotImplementedError

    def _gather(self, data: bytes) -> None:
        self._size += len(data)
        self._body.append(data)

    def _note(self, piece: Piece) -> None:
        if piece.text:
            self.text.append(piece.text)
        for place, name, call in piece.calls:
            before = self.calls.get(place, ("", ""))
            self.calls[place] = (before[0] or name, before[1] or call)
        if piece.usage is not None:
            self.usage = piece.usage
        self.finish = piece.finish or self.finish

    def _classified(self, body: bytes) -> errors.CallError:
        return status.classify(self._status, self._headers, body, self._endpoint, secrets=(self._secret,))

    def _fail(self, error: errors.CallError) -> None:
        if not self.outcome.done():
            if self.usage is not None and self.usage.output_tokens:
                error.billing = "billed"
            self.outcome.set_result(error)

    def _succeed(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(None)

    def _wrong(self, data: bytes) -> errors.CallError:
        """What a reply that is none stands for, by the codec that reads it everywhere else."""
        decoder = self._reader.decoder(self._endpoint, self._headers)
        for event in (*decoder.feed(data), *decoder.close()):
            if isinstance(event, Error) and isinstance(event.error, errors.CallError):
                return event.error
        what = "sent a reply that is no answer"
        return errors.StreamCut(what, where=self._endpoint, todo="ask again")


class Whole(Exchange):
    """An answer that comes at once."""

    raw = b""
    counted: bytes | None = None

    def _take(self, data: bytes) -> None:
        self._gather(data)
        if self._size > MAX_REPLY:
            what = f"sent more than {MAX_REPLY >> 20} MiB"
            self._fail(errors.StreamCut(what, where=self._endpoint, todo="ask for less"))

    def _ended(self) -> None:
        self.raw = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        piece = self._reader.read(self.raw)
        if piece is None or not piece.finish:
            self._fail(self._wrong(self.raw))
            return
        self.first_at = self._loop.time()
        self._note(piece)
        self.counted = piece.counted if piece.usage is not None else None
        self._succeed()


class Teller(NamedTuple):
    """What a stream needs of its request.

    Attributes:
        model: as the client calls it.
        begin: writes the head of the answer; called once, at the first visible word.
        told: what is said of the run beside its usage, at its end.
        wanted: the client asked for the usage. guarded: an answer that repeats itself is stopped.
    """

    reply: Reply
    model: str
    begin: Callable[[], None]
    told: Callable[[Live], bytes]
    wanted: bool
    guarded: bool


class Live(Exchange):
    """An answer that is streamed."""

    waits = True

    def __init__(
        self, endpoint: str, secret: str, reader: Reader, loop: asyncio.AbstractEventLoop, teller: Teller
    ) -> None:
        super().__init__(endpoint, secret, reader, loop)
        self.pipe: Pipe | None = None
        self.begun = False
        self._teller = teller
        self._reply = teller.reply
        self._model = teller.model
        self._guard = LoopGuard() if teller.guarded else None
        self._unlooked: list[str] = []
        self._whole = False  # it does not come as a stream
        self._rest = b""
        self._held: list[bytes] = []
        self._renamed: tuple[bytes, bytes] | None = None
        self._last = b""  # the event with the usage
        self._counted = b""
        self._sample = b""  # any event, to make others like it
        self._timer: asyncio.TimerHandle | None = None

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        super().head(status, headers)
        self._whole = "event-stream" not in headers.get("content-type", "").lower()

    def _take(self, data: bytes) -> None:
        if self._whole:  # it was asked for a stream
            self._gather(data)
            if self._size > MAX_REPLY:
                self._fail(self._cut(f"sent more than {MAX_REPLY >> 20} MiB"))
            return
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        data = self._rest + data if self._rest else data
        cut = data.rfind(b"\n\n") + 2
        if cut < 2:
            self._rest = data
            if len(data) > MAX_EVENT:
                self._fail(errors.StreamCut("sent an event without end", where=self._endpoint, todo="ask again"))
            return
        self._rest = data[cut:]
        through: list[bytes] = []
        end: End = ""
        for event in data[: cut - 2].split(b"\n\n"):
            end = self._event(event, through)
            if end or self.outcome.done():
                break
        if not self.outcome.done():
            self._pass(through, end)

    def _event(self, event: bytes, through: list[bytes]) -> End:
        """Look at an event; what of it goes on is put into ``through``."""
        payload = event[6:] if event.startswith(b"data: ") else _payload(event)
        if not payload:
            return ""
        if payload == b"[DONE]":
            if self.finish:
                return "done"
            self._fail(self._cut("stopped without saying why"))
            return ""
        piece = read(payload)
        if piece is None:
            self._fail(self._wrong(b"data: " + payload + b"\n\n"))
            return ""
        self._note(piece)
        self._sample = payload
        if self._renamed is None:
            self._rename(payload, piece.model)
        if piece.usage is not None:
            self._last, self._counted = payload, piece.counted
            if piece.text or piece.calls or piece.finish:
                through.append(b"data: " + rewritten(payload, self._model, None, b""))
        else:
            through.append(b"data: " + payload)
        if piece.visible and self.first_at is None:
            self.first_at = self._loop.time()
        if self._guard is not None and piece.text and self._loops(piece.text):
            return "looped"
        return ""

    def _rename(self, payload: bytes, model: bytes) -> None:
        """How this host writes its model's name, and what the client calls it."""
        self._renamed = (b"", b"")
        name = dumps(self._model)
        if model and model != name:
            for between in (b"", b" "):
                said = b'"model":' + between + model
                if said in payload:
                    self._renamed = (said, b'"model":' + name)

    def _loops(self, text: str) -> bool:
        assert self._guard is not None
        self._unlooked.append(text)
        if sum(map(len, self._unlooked)) < _LOOK:
            return False
        said, self._unlooked = "".join(self._unlooked), []
        return self._guard.looped(said)

    def _pass(self, through: list[bytes], end: End) -> None:
        if not self.begun:
            if self.first_at is None and not self.finish:  # nothing that can be seen yet
                self._held += through
                self._size += sum(map(len, through))
                if self._size > Speaker.MOST_HELD:
                    self._fail(self._cut("sends nothing but blanks"))
                return
            self.begun = True
            self._teller.begin()
            if self.pipe is not None:
                self.pipe.wordless = False
            through = self._held + through
            self._held = []
        data = b"\n\n".join(through) + b"\n\n" if through else b""
        if self._renamed is not None and self._renamed[0] and data:
            data = data.replace(*self._renamed)
        if end:
            self._finish(data, looped=end == "looped")
            return
        if data:
            self._reply.put(data)
            if self._reply.behind and self.pipe is not None:
                self.pipe.pause()
        if self.finish and self._timer is None:
            self._timer = self._loop.call_later(_LAST_WORDS, self._ended)

    def _finish(self, data: bytes, *, looped: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if looped:
            self.looped, self.finish = True, "length"
            data += (
                b'data: {"object":"chat.completion.chunk","model":%b,"choices":[{"index":0,"delta":{},'
                % dumps(self._model)
                + b'"finish_reason":"length"}]}\n\n'
            )
        told = self._teller.told(self)
        if self._teller.wanted:
            payload, counted = (self._last, self._counted) if self._last else (self._sample, b"{}")
            data += b"data: " + rewritten(payload, self._model, counted, told, chunk=True) + b"\n\n"
        self._reply.last(data + DONE)
        self._succeed()

    def _ended(self) -> None:
        if self.outcome.done():
            return
        if self._whole:
            self._come_whole(b"".join(self._body))
        elif self.finish and self.begun:
            self._finish(b"")
        else:
            self._fail(self._cut("ended in the middle of its answer" if self.begun else "ended without an answer"))

    def _come_whole(self, data: bytes) -> None:
        """An answer at once, told as a stream."""
        piece = self._reader.read(data)
        if piece is None or not piece.finish:
            self._fail(self._wrong(data))
            return
        self._note(piece)
        self.first_at = self._loop.time()
        self.begun = True
        self._teller.begin()
        decoder, encoder = self._reader.decoder(self._endpoint, self._headers), self._reader.encoder(self._model)
        events = [*decoder.feed(data), *decoder.close()]
        self._told_whole(b"".join(map(encoder.feed, events)), piece)

    def _told_whole(self, data: bytes, piece: Piece) -> None:
        self._sample = data.partition(b"\n\n")[0].removeprefix(b"data: ")
        self._counted, self._last = piece.counted or b"{}", self._sample
        self._finish(data.removesuffix(DONE))

    def failed(self, error: errors.CallError) -> None:
        if self.finish and self.begun and not self.outcome.done():
            self._finish(b"")
        else:
            super().failed(error)

    def _fail(self, error: errors.CallError) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super()._fail(error)

    def _cut(self, what: str) -> errors.CallError:
        return errors.StreamCut(what, where=self._endpoint, todo="ask again")


def _payload(event: bytes) -> bytes:
    """The data of an event that is not one line of it: comments and other fields are left out."""
    lines = [line[5:].lstrip(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines).strip()
