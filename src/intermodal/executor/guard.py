"""Noticing, while an answer streams, that the model has begun to say the same thing over and over. Pure."""

from __future__ import annotations

import re

from intermodal.executor.check import repeats

TIMES = 4  # so often in a row the same is said
SHORTEST = 20  # characters of it; "No. No. No. No." is a style
_UNITS = 6  # sentences or lines that may alternate
_END = re.compile(r"(?<=[.!?。！？])\s+|\n+|(?<=[。！？])")
_LETTER = re.compile(r"[^\W\d_]")
_LOOK_BACK = 4000  # characters
_EVERY = 120  # characters between two looks for phrases that no full stop ends
STOPPED = "the answer began to repeat itself and was stopped: ask differently, or use a stronger model"


class LoopGuard:
    """Fed the pieces of an answer; true from the piece on that makes it a loop.

    A loop is the same sentence or line, or the same few in turn, four times in a row (20 characters and
    more, letters among them), or what ``check.repeats`` calls one.
    """

    def __init__(self) -> None:
        self._tail = ""
        self._since = 0

    def looped(self, piece: str) -> bool:
        self._tail = (self._tail + piece)[-_LOOK_BACK:]
        self._since += len(piece)
        if _END.search(self._tail[-len(piece) - 2 :]) and self._sentences():
            return True
        if self._since < _EVERY:
            return False
        self._since = 0
        return repeats(self._tail)

    def _sentences(self) -> bool:
        *whole, _ = _END.split(self._tail)  # the last one is not finished
        said = [" ".join(unit.lower().split()) for unit in whole if unit and unit.strip()]
        for size in range(1, _UNITS + 1):
            last = said[-size:]
            text = " ".join(last)
            if len(said) < size * TIMES:
                return False
            if len(text) >= SHORTEST and _LETTER.search(text) and said[-size * TIMES :] == last * TIMES:
                return True
        return False
