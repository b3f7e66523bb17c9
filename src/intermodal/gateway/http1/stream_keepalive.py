"""Comments that keep a silent stream open: clients close a stream that sends nothing for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from intermodal.gateway.http1.response_writer import ResponseWriter

FIRST_COMMENT_SECONDS = (
    5.0  # seconds of silence after which a stream begins with a comment; until then an error has its own status
)
COMMENT_SECONDS = 10.0  # seconds of silence between two comments


class StreamKeepalive:
    """Calls ``say`` after a silence, unless the client is gone or the response has ended."""

    def __init__(self, reply: ResponseWriter, say: Callable[[], None]) -> None:
        self._reply = reply
        self._say = say
        self._timer: asyncio.TimerHandle | None = None

    def last(self, seconds: float) -> None:
        """Call ``say`` after ``seconds`` unless ``end`` comes first."""
        self._timer = asyncio.get_running_loop().call_later(seconds, self._break)

    def end(self) -> None:
        """Stop waiting: something was written, or nothing will be."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def close(self) -> None:
        """Stop for good and release the callback, which holds the request's body."""
        self.end()
        self._say = _nothing

    def _break(self) -> None:
        if not self._reply.gone and not self._reply.ended:
            self._say()


def _nothing() -> None:
    """Do nothing: what a closed keepalive calls."""
