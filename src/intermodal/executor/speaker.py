"""The gate between an attempt at an answer and the user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from intermodal import errors
from intermodal.events import Committed, Event, TextDelta


class Speaker:
    """Nothing of an attempt is shown before its first visible word, then everything is."""

    MOST_HELD = 256 << 10  # characters of nothing visible: an answer that never begins is none

    def __init__(self, endpoint: str, emit: Callable[[Event], Awaitable[None]], *, live: bool) -> None:
        self.committed = False
        self._endpoint = endpoint
        self._emit = emit
        self._live = live
        self._held: list[str] = []
        self._held_size = 0

    async def say(self, text: str) -> None:
        if self.committed:
            await self._emit(TextDelta(text=text))
            return
        self._held.append(text)
        self._held_size += len(text)
        if self._live and text.strip():
            await self._commit()
        elif self._live and self._held_size > self.MOST_HELD:
            raise errors.StreamCut("sends nothing but blanks", where=self._endpoint, todo="ask again")

    def retract(self) -> None:
        self._held.clear()
        self._held_size = 0

    async def finish(self) -> None:
        """What was held until the whole answer was found good."""
        if not self.committed and any(text.strip() for text in self._held):
            await self._commit()

    async def _commit(self) -> None:
        self.committed = True
        await self._emit(Committed(endpoint=self._endpoint))
        await self._emit(TextDelta(text="".join(self._held)))
        self._held.clear()
