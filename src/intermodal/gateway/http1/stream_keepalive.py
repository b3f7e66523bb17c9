"""Keeping a stream open while nothing is said: a client that hears nothing for long gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from intermodal.gateway.http1.response_writer import ResponseWriter


class StreamKeepalive:
    """``say`` puts a word of ours into the stream; it is not called where nobody listens any more."""

    def __init__(self, reply: ResponseWriter, say: Callable[[], None]) -> None:
        self._reply = reply
        self._say = say
        self._timer: asyncio.TimerHandle | None = None

    def last(self, seconds: float) -> None:
        """Let it last so long, then say something."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._break)

    def end(self) -> None:
        """Something was said, or nothing will be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """End it for good, and hold whoever would have spoken no longer: with it goes the body of its request."""
        self.end()
        self._say = _nothing

    def _break(self) -> None:
        if not self._reply.gone and not self._reply.ended:
            self._say()


def _nothing() -> None:
    """What is said in the end."""
