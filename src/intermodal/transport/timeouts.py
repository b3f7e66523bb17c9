"""Timeouts of a host, in seconds: to connect, to begin, to continue; and the deadlines that enforce them."""

from __future__ import annotations

import math
from types import TracebackType
from typing import TYPE_CHECKING

from msgspec.structs import replace

from intermodal.catalog.types import TimeoutSettings
from intermodal.core.content import Value

if TYPE_CHECKING:
    import asyncio

    from anyio import CancelScope


CONNECT_TIMEOUT = 10.0  # seconds
FIRST_BYTE_TIMEOUT = 300.0  # seconds; a local model may read a long prompt for minutes
_TRIAL_TIMEOUT = 30.0  # seconds to the first byte of an endpoint that is called as a trial while another route is left
IDLE_TIMEOUT = 60.0  # seconds between two chunks of a reply that has begun
KEEP_ALIVE = 4.0  # seconds; below the 5 s after which common servers close, so that a reuse does not race with it


class Timeouts(Value, frozen=True):
    """Timeouts in seconds.

    ``connect``: to connect. ``first_byte``: from the end of the request to the first word, or byte, of the reply's
    body. ``idle``: between two pieces of the answer. ``thinking``: between two pieces while the host shows signs of
    life. ``total``: for the whole call, enforced by the caller. ``trial``: to the first word of an endpoint that is
    called as a trial or a probe.
    """

    connect: float = CONNECT_TIMEOUT
    first_byte: float = FIRST_BYTE_TIMEOUT
    idle: float = IDLE_TIMEOUT
    thinking: float = 0.0
    total: float = math.inf
    trial: float = _TRIAL_TIMEOUT

    def as_said(self, waits: TimeoutSettings) -> Timeouts:
        """Return these timeouts with the configured ones in place."""
        return Timeouts(
            connect=waits.connect or self.connect, first_byte=waits.first_token or self.first_byte,
            idle=waits.between_tokens or self.idle, thinking=waits.thinking or self.thinking,
            total=waits.total or self.total, trial=waits.trial or self.trial,
        )  # fmt: skip

    def on_trial(self) -> Timeouts:
        """Return these timeouts for a trial or probe of an endpoint while another route is left."""
        return replace(self, connect=min(self.connect, self.trial), first_byte=min(self.first_byte, self.trial))

    def limited_to(self, seconds: float) -> Timeouts:
        """Return these timeouts, each limited to ``seconds``."""
        return Timeouts(
            connect=min(self.connect, seconds), first_byte=min(self.first_byte, seconds),
            idle=min(self.idle, seconds), thinking=min(self.thinking, seconds), total=self.total, trial=self.trial,
        )  # fmt: skip


# Deadlines that do not charge a host for delays of this process.
#
# A process that was stopped, or was not scheduled on a busy machine, wakes after the deadline with the answer in its
# socket. So at the deadline the event loop first reads what has arrived, and only then cancels the wait.


class Deadline:
    """A context whose body is cancelled at the deadline; ``over`` tells afterwards whether it was.

    ``deadline`` is on the clock of the event loop (``time.monotonic``), and may be changed while the context is
    entered.
    """

    def __init__(self, deadline: float = math.inf) -> None:
        self.over = False
        self._deadline = deadline
        self._scope: CancelScope | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Deadline:
        import anyio

        self._scope = anyio.CancelScope()
        self._scope.__enter__()
        self.set_deadline(self._deadline)
        return self

    def set_deadline(self, deadline: float) -> None:
        """Set the deadline. Has no effect after the context was left."""
        self._deadline = deadline
        if self._scope is None:
            return
        self._stop()
        if deadline < math.inf:
            import asyncio  # a program that only reads addresses starts without an event loop

            self._timer = asyncio.get_running_loop().call_at(deadline, self._on_expiry)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        assert self._scope is not None
        self._stop()
        scope, self._scope = self._scope, None
        swallowed = bool(scope.__exit__(kind, error, trace))
        self.over = scope.cancelled_caught
        return swallowed

    def _on_expiry(self) -> None:
        """Cancel in the next turn of the event loop: timers run after received data, so the data is read first."""
        import asyncio

        assert self._scope is not None
        self._timer = asyncio.get_running_loop().call_later(0, self._scope.cancel)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


# How long an answer that has begun may pause. Pure: times are passed in.


class IdleTimeout:
    """Computes the deadline for the next piece of an answer that has begun.

    Any byte shows that the connection is alive, which is waited for ``idle`` seconds; only words show progress, which
    may take ``thinking`` seconds if that is longer. An answer that arrives as one document has no words before its end:
    then ``thinking`` limits the whole of it.
    """

    __slots__ = ("_idle", "_said_at", "_thinking")

    def __init__(self, idle: float, thinking: float) -> None:
        self._idle = idle
        self._thinking = max(idle, thinking)
        self._said_at = -math.inf

    def record_answer_piece(self, now: float) -> None:
        """Record that a piece of the answer arrived."""
        self._said_at = now

    def add_pause(self, seconds: float) -> None:
        """Record that nothing was read for ``seconds`` because the reader of the answer was behind."""
        self._said_at += seconds

    def deadline_after(self, now: float) -> float:
        """Return the time at which the host has been silent for too long, given that a byte arrived ``now``."""
        return min(now + self._idle, self._said_at + self._thinking)
