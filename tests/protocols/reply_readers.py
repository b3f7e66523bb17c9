"""One reply of a host, read by both of its readers: the decoder of a run, and the passthrough of a direct call.

What either makes of it is put side by side: what is shown, what is recorded, what is counted, and how it fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from intermodal.errors import IntermodalError
from intermodal.executor.api import ADAPTERS
from intermodal.executor.direct.protocol_adapters import ProtocolAdapter
from intermodal.protocols.answer_state import AnswerState, is_output, is_visible
from intermodal.protocols.calls import Error, ReasoningDelta, RefusalDelta, WireEvent, WireUsage
from intermodal.protocols.conversation import collect_turn
from intermodal.protocols.upstream_response import BufferedResponse, StreamContext, StreamedResponse, UpstreamResponse

BY_PROTOCOL: Mapping[str, ProtocolAdapter] = {adapter.protocol: adapter for adapter in ADAPTERS.values()}
ENDPOINT = "cloud/model"
_MADE_ID = len("call_") + 24  # of an id that we make


@dataclass
class Reading:
    """What a reader makes of a reply. ``visible``, ``output``: the piece in which either began, None for none."""

    text: str = ""
    thoughts: str = ""
    calls: tuple[tuple[str, str, str], ...] = ()
    refusal: str = ""
    finish: str = ""
    usage: WireUsage | None = None
    error: tuple[str, str, str] | None = None
    visible: int | None = None
    output: int | None = None
    recorded: tuple[str, tuple[tuple[str, str], ...]] = field(default=("", ()))

    @property
    def refused(self) -> bool:
        return self.finish == "content_filter" and not self.calls and not self.text.strip()


def unlike(run: Reading, passed: Reading) -> dict[str, Any]:
    """Return the fields in which the two differ. Of what failed or was refused nothing but why is compared."""
    names = {"error", "usage"}
    if run.error is None and passed.error is None:
        names = {each.name for each in fields(Reading)}
        if run.refused:  # nothing of it is shown
            names -= {"text", "thoughts", "calls", "recorded", "visible", "output"}
        if run.visible is None:  # a stream that ends without a word begins at its end
            names -= {"visible"}
    return {name: (getattr(run, name), getattr(passed, name)) for name in names
            if getattr(run, name) != getattr(passed, name)}  # fmt: skip


def read_in_run(protocol: str, pieces: Sequence[bytes], *, stream: bool, limit: int | None = None) -> Reading:
    """Read a reply as ``executor/drivers/http.py`` does."""
    decoder = BY_PROTOCOL[protocol].decode(ENDPOINT, headers={})
    state = AnswerState(ENDPOINT, limit=limit, streamed=stream)
    kept: list[WireEvent] = []
    found = Reading()

    def take(events: Iterable[WireEvent], number: int) -> None:
        for event in events:
            if stream and found.visible is None and is_visible(event):
                found.visible = number
            if stream and found.output is None and is_output(event):
                found.output = number
            if (shown := state.record_event(event)) is not None:
                kept.append(shown)
            if isinstance(event, Error):
                found.error = _failure(state.mark_billed(event.error))

    for number, piece in enumerate(pieces):
        if decoder.done:
            break
        take(decoder.feed(piece), number)
    take(decoder.close(), len(pieces) - 1)
    _tell(found, kept)
    found.usage = _counted(state.usage)
    found.recorded = (found.text, tuple(call[:2] for call in found.calls))
    return found


class _Clock:
    """A clock that stands still, and its timers."""

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return 0.0

    def later(self, seconds: float, do: object) -> _Clock:
        return self

    def cancel(self) -> None: ...


class _Client:
    """A client that takes everything at once."""

    status = 0
    ended = disconnected = is_reader_behind = False
    data = b""

    def when_caught_up(self, do: object) -> None: ...

    def write_unbuffered(self, data: bytes) -> None:
        self.data += data

    def write_last(self, data: bytes) -> None:
        self.data += data


def read_directly(protocol: str, pieces: Sequence[bytes], *, stream: bool, limit: int | None = None) -> Reading:
    """Read a reply as ``executor/direct/direct_attempt.py`` does."""
    adapter, clock, client = BY_PROTOCOL[protocol], _Clock(), _Client()
    reply: UpstreamResponse
    if stream:
        context = StreamContext(
            client, "ours", begin=lambda: None, metadata=lambda live: b'{"cost":1}', wrong=lambda live: None,
            tokens=len, wants_usage=True, guarded=False, fields={}, reasonless=False, limit=limit, silent=False,
        )  # fmt: skip
        reply = adapter.live(ENDPOINT, "", adapter, clock, context)
    else:
        reply = BufferedResponse(ENDPOINT, "", adapter, clock, limit)
    reply.head(200, {})
    found = Reading()

    def note(number: int) -> None:
        if stream and found.visible is None and reply.first_at is not None:
            found.visible = number
        if stream and found.output is None and reply.output_seen:
            found.output = number

    for number, piece in enumerate(pieces):
        if reply.over:
            break
        reply.data(piece)
        note(number)
    reply.end()
    note(len(pieces) - 1)
    found.error = None if reply.error is None else _failure(reply.error)
    got = client.data if isinstance(reply, StreamedResponse) else getattr(reply, "raw", b"")
    if found.error is None and got:
        decoder = adapter.decode(ENDPOINT, headers={})
        _tell(found, [*decoder.feed(got), *decoder.close()])
    found.finish, found.usage, found.refusal = reply.finish, _counted(reply.usage), "".join(reply.refusal)
    found.recorded = ("".join(reply.text), tuple((_plain(id_), name) for _, (id_, name) in sorted(reply.calls.items())))
    return found


def _tell(found: Reading, events: Sequence[WireEvent]) -> None:
    turn = collect_turn(events)
    found.text, found.finish = turn.text, turn.finish
    found.thoughts = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    found.refusal = "".join(event.text for event in events if isinstance(event, RefusalDelta))
    found.calls = tuple((_plain(call.id), call.name, call.arguments) for call in turn.calls)


def _counted(usage: WireUsage | None) -> WireUsage | None:
    return None if usage is None or usage.is_empty else usage


def _plain(id_: str) -> str:
    return "made" if id_.startswith("call_") and len(id_) == _MADE_ID else id_


def _failure(error: IntermodalError) -> tuple[str, str, str]:
    return type(error).__name__, str(error), str(getattr(error, "billing", ""))


def typed_event(tree: Any, *, named: bool) -> bytes:
    """Return a server-sent event. ``named``: after its type, if the tree has one."""
    kind = tree.get("type") if named and isinstance(tree, dict) else None
    return (b"event: %b\n" % str(kind).encode() if kind else b"") + b"data: " + json.dumps(tree).encode() + b"\n\n"
