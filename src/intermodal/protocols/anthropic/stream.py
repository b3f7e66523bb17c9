"""Pass a stream of Anthropic's Messages API through; see ``upstream_response.py``.

Usage comes in the event before the last, so run metadata is added there.
"""

from __future__ import annotations

from intermodal.protocols.anthropic.passthrough import AnthropicEvent, counts_in, event_of, with_usage
from intermodal.protocols.anthropic.reply import AnthropicUsage
from intermodal.protocols.anthropic.server import write_usage
from intermodal.protocols.calls import WireUsage
from intermodal.protocols.framing.event_streams import event_data
from intermodal.protocols.framing.json_body import dumps
from intermodal.protocols.openai_chat.server import sse_event
from intermodal.protocols.reply_chunk import rewrite_reply
from intermodal.protocols.reply_decoder import NO_ANSWER
from intermodal.protocols.upstream_response import End, StreamedResponse

_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def _named(event: bytes, name: str) -> bytes:
    """An event with its name before its data: Anthropic's clients go by that, and pass over what has none."""
    if event.startswith(b"event:") or b"\nevent:" in event:
        return event
    return b"event: " + name.encode() + b"\n" + event


class AnthropicStream(StreamedResponse):
    """A stream of Anthropic's events."""

    _counts: AnthropicUsage | None = None
    _ending = False  # the event with its counts went out
    _place = 0  # of the block that was begun last

    def _event(self, event: bytes, through: list[bytes]) -> End:
        payload = event_data(event)
        if not payload:
            return ""
        found = event_of(payload)
        if found is None:
            self._pass_before_failure(through)
            self._fail(self._wrong(event + b"\n\n"))
            return ""
        if found.type == "message_stop":
            return "done" if self.finish else self._unexplained(through)
        counted = self._counted_in(found)
        if self.finish:  # it has ended: usage is still read, words are not
            return ""
        for place, call, tool in found.started:
            self.calls[place] = (call, tool)
        found = self._heard(found)
        if self.say(found.text, found.beside) and self._cuts(through, called=b"input_json_delta" in payload):
            return "stopped"
        if found.type == "message_start" and counted:
            event = b"event: message_start\ndata: " + with_usage(payload, self.usage)
        if found.type == "message_start" and found.model:
            name = b'"model":' + dumps(self._model)
            for field in (b'"model":' + found.model, b'"model": ' + found.model):
                event = event.replace(field, name, 1)
        elif found.type == "content_block_start":
            self._place += 1
        elif found.type == "message_delta" and found.finish:
            if self._teller.wrong(self) is not None:
                return "done"  # reported before any end of the answer
            self._ending = True
            event = self._end_of(payload, counted or found.usage)
        through.append(_named(event, found.type))
        return "stopped" if self.stopped else ""

    def _part(self, words: str, thoughts: str) -> bytes:
        delta = {"type": "text_delta", "text": words} if words else {"type": "thinking_delta", "thinking": thoughts}
        tree = {"type": "content_block_delta", "index": max(0, self._place - 1), "delta": delta}
        return sse_event(tree, "content_block_delta").removesuffix(b"\n\n")

    def _unexplained(self, through: list[bytes]) -> End:
        if not self._teller.reasonless:
            return super()._unexplained(through)
        self.finish = "stop"  # written together with the run's metadata
        return "done"

    def _counted_in(self, found: AnthropicEvent) -> bytes:
        """Record the event's counts. Return counts in the client's format if the host's are invalid; else nothing."""
        if not found.usage:
            return b""
        self._counts = self._counts or AnthropicUsage()
        usage, plain = counts_in(self._counts, found)
        self.usage = usage or self.usage
        return b"" if plain else dumps(write_usage(self.usage or WireUsage()))

    def _heard(self, found: AnthropicEvent) -> AnthropicEvent:
        """Record the event's text, with split characters joined."""
        if found.halved or self._halves.held:
            found = found._replace(text=self._halves.join(found.text))
        self.output_seen |= found.alive
        self.finish = found.finish or self.finish
        if found.visible and self.first_at is None:
            self.first_at = self._clock.monotonic()
        return found

    def _end_of(self, payload: bytes, counted: bytes) -> bytes:
        metadata = self._teller.metadata(self)
        return b"event: message_delta\ndata: " + rewrite_reply(payload, None, counted or b"{}", metadata)

    def _finish(self, data: bytes, *, stopped: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
        counted = b""
        if stopped:
            counted = dumps(write_usage(self._stopped()))
            data += sse_event({"type": "content_block_stop", "index": max(0, self._place - 1)}, "content_block_stop")
        elif not self._ending and self._found_wrong(data):
            return
        if not self._ending:
            if not stopped and self.usage is not None:
                counted = dumps(write_usage(self.usage))
            cut = stopped or self.finish == "length"
            reason = {"stop_reason": "max_tokens" if cut else "end_turn", "stop_sequence": None}
            data += self._end_of(dumps({"type": "message_delta", "delta": reason}), counted) + b"\n\n"
        self._reply.last(data + _STOP)
        self._succeed()

    def _come_whole(self, data: bytes) -> None:
        """Send a whole reply as a stream, without the encoder's own end: ours holds the run metadata."""
        piece, events = self._reader.read(data), self._reread(data)
        if events is None:
            return
        if piece is None or not piece.finish:
            self._fail(self._cut(NO_ANSWER))
            return
        self._note_whole(piece)
        if self.refused:
            self._succeed()
            return
        self.first_at = self._clock.monotonic()
        self.begun = True
        self._teller.begin()
        through = b"".join(map(self._reader.encoder(self._model).feed, events))
        self._finish(through[: through.rindex(b"event: message_delta")])
