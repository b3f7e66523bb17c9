"""How an answer is judged while it streams: signs of life, its token limit, loops, and how long its end is waited for.

Pure: times are handed in. The executor and direct mode both use it, so that a host is treated alike in either.
"""

from __future__ import annotations

import math
import re
from itertools import islice

from msgspec.structs import replace

from intermodal.errors import CallError
from intermodal.hints import hint
from intermodal.protocols.calls import (
    Error,
    Finish,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    ToolCallDelta,
    WireEvent,
    WireTextDelta,
    WireUsage,
)


def is_output(event: WireEvent) -> bool:
    """Return whether an event is a piece of the answer: words, reasoning, sound, or a part of a tool call.

    Blanks, empty pieces and usage are no sign of life: a server sends them, like comments and pings, whether its model
    works or hangs.
    """
    if isinstance(event, WireTextDelta | RefusalDelta):
        return bool(event.text.strip())
    if isinstance(event, ReasoningDelta):
        return bool(event.signature or event.text.strip())
    if isinstance(event, ToolCallDelta):
        return bool(event.name or event.arguments.strip())
    return isinstance(event, OpaqueBlock) or (isinstance(event, SpeechDelta) and bool(event.data))


def output_length(event: WireEvent) -> int:
    """Return the length of a piece of an answer in characters: words, reasoning, or arguments of a tool call."""
    if isinstance(event, ToolCallDelta):
        return len(event.arguments)
    return len(event.text) if isinstance(event, WireTextDelta | ReasoningDelta | RefusalDelta) else 0


_LOOK = 4  # characters for each token that is allowed, before anything is counted
_LONGEST = 256  # characters; no vocabulary in use has a longer token, and those are runs of blanks or of one sign
# A word begins with a letter or a figure and goes on to the next blank or ASCII sign; an apostrophe is a part of it. A
# token holds at most one of them, in any vocabulary that cuts a text into words first, and one has 64 characters.
_WORD = re.compile(r"[^\W_][^\s!-&(-/:-@\[-`{-~]{0,63}")
_UNBROKEN = 4096  # characters without a blank that are counted though a word may go on


class TokenLimiter:
    """Stops an answer with more tokens than were allowed, whatever its vocabulary.

    Reasoning and the arguments of tool calls consist of tokens as words do, and hosts limit them together. The limiter
    counts the fewest tokens that a text can have and adds an eighth and 16, so that no host that keeps to its limit is
    stopped. ``room``: characters that may follow before the next check, so that a caller pays for one subtraction a
    piece.
    """

    def __init__(self, limit: int | None) -> None:
        self._most = math.inf if limit is None else limit + max(16, limit // 8)
        self.stopped = False  # it was too long
        self._words = 0
        self._before = 0  # words before the text that was seen last
        self._chars = 0
        self._last = ["", ""]  # what may be a part of a word: of the answer's words, and of what is beside them
        self._begun = False
        self.room: float = math.inf if limit is None else max(_LOOK * limit, 64)

    def kept(self, event: WireEvent) -> WireEvent | None:
        """Return the part of an event that is still allowed, None for nothing of it. Usage and the finish event always
        are.

        Blanks before the first word do not begin an answer.
        """
        if isinstance(event, ToolCallDelta):
            text = event.arguments
        elif isinstance(event, WireTextDelta | ReasoningDelta | RefusalDelta):
            text = event.text
        else:
            return event if not self.stopped or isinstance(event, WireUsage | Finish | Error) else None
        if self.stopped:
            return None
        self._begun = self._begun or bool(text.strip())
        if not self._begun or not self.over(text, beside=isinstance(event, ReasoningDelta | ToolCallDelta)):
            return event
        most = self.within(text)
        if isinstance(event, ToolCallDelta) or not most:
            return None
        return replace(event, text=most, **({"signature": ""} if isinstance(event, ReasoningDelta) else {}))

    def over(self, text: str, *, beside: bool = False) -> bool:
        """Return whether the answer is too long with this text. ``beside``: it is reasoning or arguments, not words."""
        self._chars += len(text)
        self._before = self._words
        said = self._last[beside] + text
        at = max(said.rfind(" "), said.rfind("\n")) + 1
        at = len(said) if len(said) - at > _UNBROKEN else at
        self._words += sum(1 for _ in _WORD.finditer(said, 0, at))
        self._last[beside] = said[at:]
        made = max(self._words, self._chars // _LONGEST)
        self.room = 2 * (self._most - made)  # a word takes two characters with what parts it from the next
        self.stopped = made > self._most
        return self.stopped

    def within(self, text: str) -> str:
        """Return as much of the text that was checked last as is still allowed."""
        if self._most == math.inf:
            return text
        most = max(0, int(self._most) - self._before)
        found = next(islice(_WORD.finditer(text), most, None), None)
        return text[: min(len(text) if found is None else found.start(), most * _LONGEST)]


def overrun_note(endpoint: str, limit: int | None) -> str:
    """Return the note on an answer that was stopped at its limit because its host ignored it."""
    return f"{endpoint} went on after the {limit} tokens that were allowed, and was stopped"


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
    """Detects, piece by piece, an answer that repeats itself.

    A loop is the same sentence or line, or the same few in turn, four times in a row, whatever numbers precede them; or
    the same phrase of 3 to 40 words six times in a row. It has at least 20 characters.
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


_COUNTS = 2.0  # seconds after the finish reason in which a stream may say what it counts: some hosts add that up late

_LAST_WORD = 0.5  # seconds where it did, and only [DONE] is missing, which some hosts never send


def trailing_timeout(*, counted: bool) -> float:
    """Return the seconds to keep reading once an answer is complete. Its words and its finish reason are shown by then.

    Without usage a call is booked at its highest cost, so usage is waited for longer than the end of the stream.
    """
    return _LAST_WORD if counted else _COUNTS


def deadline_missed(seconds: float, endpoint: str) -> CallError:
    """Return the error of a run that its deadline ended. ``endpoint``: of the route that was planned."""
    return CallError(
        f"took longer than the deadline of {seconds:g} s",
        where=endpoint,
        todo=hint("allow more time ({deadline}), or plan for speed ({objective=})", "fastest"),
    )
