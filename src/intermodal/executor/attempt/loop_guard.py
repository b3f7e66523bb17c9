"""Noticing, while an answer streams, that the model has begun to say the same thing over and over. Pure."""

from __future__ import annotations

import re

TIMES = 4  # so often in a row the same is said
SHORTEST = 20  # characters of it, each sentence counted once: a column of thirty times "no" may be right
_UNITS = 6  # sentences or lines that may alternate
_WORDS = range(3, 41)  # of a phrase that no full stop ends
_PHRASES = 6  # times in a row
_END = re.compile(r"(?<=[.!?。！？])\s+|\n+|(?<=[。！？])")
_LETTER = re.compile(r"[^\W\d_]")
_LOOK_BACK = 4000  # characters
_EVERY = 120  # characters between two looks for phrases
LOOP_STOPPED = "the answer began to repeat itself and was stopped: ask differently, or use a stronger model"


class LoopGuard:
    """Fed the pieces of an answer; true from the piece on that makes it a loop.

    A loop is the same sentence or line, or the same few in turn, four times in a row, whatever numbers
    stand before them; or the same phrase of 3 to 40 words six times in a row. 20 characters and more.
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
        return self._phrases()

    def _sentences(self) -> bool:
        *whole, _ = _END.split(self._tail)  # the last one is not finished
        # Without letters it is the number of a list's item, or the rule of a table.
        said = [" ".join(unit.lower().split()) for unit in whole if unit and _LETTER.search(unit)]
        for size in range(1, _UNITS + 1):
            last = said[-size:]
            if len(said) < size * TIMES:
                return False
            if said[-size * TIMES :] == last * TIMES and sum(map(len, set(last))) >= SHORTEST:
                return True
        return False

    def _phrases(self) -> bool:
        *words, _ = self._tail.lower().split(" ")  # the last one is not finished
        for size in _WORDS:
            last = words[-size:]
            if len(words) < size * _PHRASES:
                return False
            long = len(" ".join(last)) >= SHORTEST and len(set(last)) >= _WORDS.start
            if long and words[-size * _PHRASES :] == last * _PHRASES and _LETTER.search(" ".join(last)):
                return True
        return False
