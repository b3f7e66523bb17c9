"""How an answer is judged while it comes: what counts as a sign of life, and until when one is waited for. Pure.

The executor and the gateway's lane both ask here, so that a host is treated alike in either. Times are handed in.
"""

from __future__ import annotations

import math
import re
from itertools import islice

from msgspec.structs import replace

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
    """Return whether an event is a piece of the answer: words, thoughts, sound, a part of a call of a tool.

    Blanks, empty pieces and counts say nothing: a server sends them, as it sends comments and pings, whether its model
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
    """Return how many characters a piece of an answer has: words, thoughts, or arguments of a call."""
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
    """Notices that an answer has more tokens than were allowed, whatever vocabulary it was written in.

    Thoughts and the arguments of calls are made of tokens as words are, and hosts bound them all together. It counts
    the fewest that a text can have, and leaves an eighth and 16 more, so that no host that keeps to its limit is ever
    cut. ``room``: characters that may follow before the next look; a caller that keeps count of these pays for a
    subtraction a piece.
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
        """Return what of an event is still allowed, None for nothing of it. Counts and ends always are.

        Blanks before the first word do not begin an answer, which is judged elsewhere.
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
        """Return whether it is too long with this text, which follows what was seen so far: of the words, or of the
        thoughts and arguments ``beside`` them."""
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
        """Return as much of the text that was seen last as was still allowed."""
        if self._most == math.inf:
            return text
        most = max(0, int(self._most) - self._before)
        found = next(islice(_WORD.finditer(text), most, None), None)
        return text[: min(len(text) if found is None else found.start(), most * _LONGEST)]


def overrun_note(endpoint: str, limit: int | None) -> str:
    """Return the note on an answer that was stopped at its limit, because its host went on."""
    return f"{endpoint} went on after the {limit} tokens that were allowed, and was stopped"
