"""Timeouts of a host, in seconds: to connect, to begin, to continue."""

from __future__ import annotations

import math

from msgspec.structs import replace

from intermodal.catalog.types import TimeoutSettings
from intermodal.content import Value

CONNECT_TIMEOUT = 10.0  # seconds
FIRST_BYTE_TIMEOUT = 300.0  # seconds; a local model may read a long prompt for minutes
TRIAL_TIMEOUT = 30.0  # the same, of an endpoint that is called to measure it while another route is left
IDLE_TIMEOUT = 60.0  # seconds between two chunks of a reply that has begun
KEEP_ALIVE = 4.0  # seconds; below the 5 s after which common servers close, so that a reuse does not race with it


class Timeouts(Value, frozen=True):
    """Seconds: to connect; from the end of the request to the first word, or byte, of the reply's body; between two
    pieces of the answer; between two of them while the host shows signs of life; for all of it, which is the caller's
    to keep. ``trial``: to the first word of an endpoint that is tried out or probed."""

    connect: float = CONNECT_TIMEOUT
    first_byte: float = FIRST_BYTE_TIMEOUT
    idle: float = IDLE_TIMEOUT
    thinking: float = 0.0
    total: float = math.inf
    trial: float = TRIAL_TIMEOUT

    def as_said(self, waits: TimeoutSettings) -> Timeouts:
        """Return these timeouts with the stated ones in place."""
        return Timeouts(
            connect=waits.connect or self.connect, first_byte=waits.first_token or self.first_byte,
            idle=waits.between_tokens or self.idle, thinking=waits.thinking or self.thinking,
            total=waits.total or self.total, trial=waits.trial or self.trial,
        )  # fmt: skip

    def on_trial(self) -> Timeouts:
        """These for an endpoint that is tried out or probed while another route is left."""
        return replace(self, connect=min(self.connect, self.trial), first_byte=min(self.first_byte, self.trial))

    def within(self, seconds: float) -> Timeouts:
        """None of them longer than so many seconds."""
        return Timeouts(
            connect=min(self.connect, seconds), first_byte=min(self.first_byte, seconds),
            idle=min(self.idle, seconds), thinking=min(self.thinking, seconds), total=self.total, trial=self.trial,
        )  # fmt: skip
