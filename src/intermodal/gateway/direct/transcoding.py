"""A stream that is decoded by its protocol's codec and written again by the protocol's server side.

That costs a few microseconds an event more than passing it through. It is for protocols whose clients assemble an
answer from many kinds of events, some of which servers leave out.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any

from msgspec.structs import replace

from intermodal.executor.api import is_output
from intermodal.gateway.client_apis import ReplyEncoder
from intermodal.gateway.direct.upstream_response import End, StreamedResponse
from intermodal.protocols.calls import (
    Error,
    Finish,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDelta,
    WireEvent,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import TurnBuilder
from intermodal.protocols.framing.json_body import loads
from intermodal.protocols.reply_decoder import ReplyDecoder


class TranscodedStream(StreamedResponse):
    """A stream that is decoded and written again, event by event. Tool calls come whole, at its end."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._decoder: ReplyDecoder | None = None
        self._writer: ReplyEncoder | None = None
        self._called = TurnBuilder()

    def _take(self, data: bytes) -> None:
        self._hear(self._decoding.feed(data))

    def _ended(self) -> None:
        if not self.over:
            self._hear(self._decoding.close())

    @property
    def _decoding(self) -> ReplyDecoder:
        if self._decoder is None:
            self._decoder = self._reader.decoder(self._endpoint, self._headers)
            self._decoder.reasonless = self._teller.reasonless
        return self._decoder

    @property
    def _writing(self) -> ReplyEncoder:
        if self._writer is None:
            self._writer = self._fresh()
        return self._writer

    def _fresh(self) -> ReplyEncoder:
        return self._reader.encoder(self._model)

    def _hear(self, events: Iterable[WireEvent]) -> None:
        through: list[bytes] = []
        end = self._told_anew(events, through)
        if not self.over:
            self._pass(through, end)

    def _told_anew(self, events: Iterable[WireEvent], through: list[bytes]) -> End:
        for event in events:
            if isinstance(event, Error):
                if through:
                    self._pass(through, "")
                self._fail(event.error)
                return ""
            end = self._tell(event, through)
            if end:
                return end
        return ""

    def _tell(self, event: WireEvent, through: list[bytes]) -> End:
        """Write it; what of it goes on is put into ``through``."""
        self.said = self.said or is_output(event)
        if isinstance(event, Finish):
            self.finish = event.reason
            return "done"
        if isinstance(event, WireUsage):
            self.usage = event
        elif isinstance(event, RefusalDelta):
            self.refusal.append(event.text)
        elif isinstance(event, ToolCallDelta):
            self._called.add(event)
            name, tool = self.calls.get(event.index, ("", ""))
            self.calls[event.index] = (name or event.id, tool or event.name)
            if self._exceeds("", event.arguments):
                self.first_at = self.first_at or monotonic()  # it is an answer, of which nothing can be shown
                return "looped"
        elif isinstance(event, (WireTextDelta, ReasoningDelta, OpaqueBlock)):
            return self._say(event, through)
        return ""

    def _say(self, event: WireTextDelta | ReasoningDelta | OpaqueBlock, through: list[bytes]) -> End:
        said = event.text if isinstance(event, WireTextDelta) else ""
        if self._exceeds(said, event.text if isinstance(event, ReasoningDelta) else ""):
            return "looped"
        through.append(self._writing.feed(event))
        if said:
            self.text.append(said)
        if self.first_at is None and (said.strip() or not isinstance(event, WireTextDelta)):
            self.first_at = monotonic()
        return "looped" if self._guard is not None and said and self._loops(said) else ""

    def _joined(self, through: list[bytes]) -> bytes:
        return b"".join(through)

    def _finish(self, data: bytes, *, looped: bool = False) -> None:
        if looped:
            self._stopped()
        elif self._found_wrong(data):
            return
        about = loads(self._teller.told(self))
        writing = self._writing
        if not looped:
            for place, call in enumerate(self._called.turn().calls):
                said = ToolCallDelta(index=place, id=call.id, name=call.name, arguments=call.arguments)
                data += writing.feed(said)
        end = writing.feed(replace(self.usage or WireUsage(), about=about)) + writing.feed(Finish(reason=self.finish))
        self._reply.last(data + self._ending(end))
        self._succeed()

    def _ending(self, data: bytes) -> bytes:
        return data

    def broken(self, error: BaseException) -> bytes:
        writing = self._writing if self.begun else self._fresh()  # what was held was not shown
        return writing.feed(Error(error=error))  # type: ignore[arg-type]
