"""Holds an answer back until its first visible word, so that a failed attempt can still be replaced.

A direct stream is shown from its first word, thought or tool call on: ``protocols/upstream_response.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from intermodal.events import Committed, Event, TextDelta, Thought


class FirstWordGate:
    """Holds the output of an attempt back until its first visible word, and passes it on from then on."""

    def __init__(self, endpoint: str, emit: Callable[[Event], Awaitable[None]], *, live: bool) -> None:
        self.committed = False
        self._endpoint = endpoint
        self._emit = emit
        self._live = live
        # Consecutive pieces of text are one list: a long answer has hundreds of thousands of them.
        self._pending: list[list[str] | Thought] = []

    async def think(self, thought: Thought) -> None:
        """Show reasoning as it arrives after the first word, and hold it back before that: another endpoint may still
        answer.
        """
        if self.committed:
            await self._emit(thought)
        else:
            self._pending.append(thought)

    async def say(self, text: str) -> None:
        if self.committed:
            await self._emit(TextDelta(text=text))
            return
        if self._pending and isinstance(self._pending[-1], list):
            self._pending[-1].append(text)
        else:
            self._pending.append([text])
        if self._live and text.strip():
            await self._commit()

    def retract(self) -> None:
        self._pending.clear()

    def correct(self, text: str) -> None:
        """Replace the text that is held back; reasoning stays."""
        self._pending = [*(pending for pending in self._pending if isinstance(pending, Thought)), [text]]

    async def finish(self) -> None:
        """Show the text that was held back until the whole answer was validated."""
        if not self.committed and any(isinstance(piece, Thought) or "".join(piece).strip() for piece in self._pending):
            await self._commit()

    async def _commit(self) -> None:
        self.committed = True
        await self._emit(Committed(endpoint=self._endpoint))
        pending, self._pending = self._pending, []
        for piece in pending:
            await self._emit(piece if isinstance(piece, Thought) else TextDelta(text="".join(piece)))
