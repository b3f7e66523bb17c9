"""The gate between an attempt at an answer and the user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from intermodal.events import Committed, Event, TextDelta


class Speaker:
    """Nothing of an attempt is shown before its first visible word, then everything is."""

    def __init__(self, endpoint: str, emit: Callable[[Event], Awaitable[None]], *, live: bool) -> None:
        self.committed = False
        self._endpoint = endpoint
        self._emit = emit
        self._live = live
        self._held: list[str] = []

    async def say(self, text: str) -> None:
        if self.committed:
            await self._emit(TextDelta(text=text))
            return
        self._held.append(text)
        if self._live and text.strip():
            await self._commit()

    def retract(self) -> None:
        self._held.clear()

    async def finish(self) -> None:
        """What was held until the whole answer was found good."""
        if not self.committed and any(text.strip() for text in self._held):
            await self._commit()

    async def _commit(self) -> None:
        self.committed = True
        await self._emit(Committed(endpoint=self._endpoint))
        await self._emit(TextDelta(text="".join(self._held)))
        self._held.clear()
