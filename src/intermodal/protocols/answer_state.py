"""How an answer is judged while it arrives: first word, token limit, blanks, loops, and the wait for its end.

Pure: times are passed in. A run and a direct call both use it, so that a host is treated alike in either. Notes on a
finished answer are in ``executor/attempt/answer_notes.py``.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import Literal

from msgspec.structs import replace

from intermodal.errors import CallError, IntermodalError, StreamCut
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
from intermodal.protocols.reply_decoder import MAX_DOCUMENT


def is_output(event: WireEvent) -> bool:
    """Return True if an event is a piece of the answer: text, reasoning, audio, or a part of a tool call.

    Blanks, empty pieces and usage are no sign of progress: a server sends them, like comments and pings, whether its
    model works or hangs.
    """
    if isinstance(event, WireTextDelta | RefusalDelta):
        return bool(event.text.strip())
    if isinstance(event, ReasoningDelta):
        return bool(event.signature or event.text.strip())
    if isinstance(event, ToolCallDelta):
        return bool(event.name or event.arguments.strip())
    return isinstance(event, OpaqueBlock) or (isinstance(event, SpeechDelta) and bool(event.data))


def is_visible(event: WireEvent) -> bool:
    """Return True if an event begins a visible answer. A refusal alone does not: it is an error."""
    return is_output(event) and not isinstance(event, RefusalDelta)


def output_length(event: WireEvent) -> int:
    """Return the length of a piece of an answer in characters: text, reasoning, or arguments of a tool call."""
    if isinstance(event, ToolCallDelta):
        return len(event.arguments)
    return len(event.text) if isinstance(event, WireTextDelta | ReasoningDelta | RefusalDelta) else 0


def is_wordless(texts: Iterable[str], *, called: bool) -> bool:
    """Return True if an answer with this text has neither a visible word nor a tool call."""
    return not called and not any(text.strip() for text in texts)


def is_refusal(finish: str, texts: Iterable[str], *, called: bool) -> bool:
    """Return True if an answer with this finish reason is a refusal: it is empty on purpose."""
    return finish == "content_filter" and is_wordless(texts, called=called)


_LONGEST = 256  # characters; no vocabulary in use has a longer token, and the longest are runs of blanks or of one sign
# A word begins with a letter or digit and extends to the next blank or ASCII sign; an apostrophe is part of it. A token
# holds at most one word in any vocabulary that splits text into words first, and has at most 64 characters.
_WORD = re.compile(r"[^\W_][^\s!-&(-/:-@\[-`{-~]{0,63}")
_SURE = 32  # characters of remaining room below which words are counted
_AT_ONCE = 64 << 10  # characters whose words are counted as a list, which takes half as long
_UNBROKEN = 4096  # characters without a blank that are counted although a word may continue


_INSIDE = (string.ascii_letters + string.digits + "'").encode()  # bytes that do not separate words


def most_words(text: str) -> int:
    """Return an upper bound of the number of words in a text; ten times as fast as counting them."""
    return len(text.encode("utf-8", "surrogatepass").translate(None, _INSIDE)) + len(text) // 64 + 2


def _largest_count(limit: int | None) -> float:
    return math.inf if limit is None else limit + max(16, limit // 8)


@lru_cache(maxsize=256)
def safe_length(limit: int | None) -> float:
    """Return the number of characters that an answer within this limit may have, whatever they are."""
    return 2 * _largest_count(limit) - 2


class TokenLimiter:
    """Stops an answer that exceeds its token limit, whatever its vocabulary.

    Reasoning and the arguments of tool calls consist of tokens as text does, and hosts limit them together. The limiter
    counts the minimum number of tokens that a text can have and allows an eighth and 16 more, so that no host that
    keeps to its limit is stopped. ``room``: characters that may follow before the next check, since no shorter text is
    too much.
    """

    def __init__(self, limit: int | None) -> None:
        self._most = _largest_count(limit)
        self.stopped = False  # the limit was exceeded
        self.least_tokens = 0  # minimum number of tokens so far
        self._words = 0
        self._before = 0  # words before the text that was checked last
        self._chars = 0
        self._last = ["", ""]  # the unfinished word at the end of the text, and of the output beside it
        self.room = safe_length(limit)

    def exceeds_limit(self, text: str, *, is_other_output: bool = False) -> bool:
        """Return True if the answer exceeds its limit with this text.

        ``is_other_output``: it is reasoning or arguments, not text.
        """
        self._chars += len(text)
        self._before = self._words
        unchecked = self._last[is_other_output] + text
        end = max(unchecked.rfind(" "), unchecked.rfind("\n")) + 1
        end = len(unchecked) if len(unchecked) - end > _UNBROKEN else end
        self._words += self._count(unchecked, end)
        self._last[is_other_output] = unchecked[end:]
        self.least_tokens = max(self._words, self._chars // _LONGEST)
        # A word takes two characters including its separator; the last word of either kind may lack it.
        self.room = 2 * (self._most - self.least_tokens) - 2
        self.stopped = self.least_tokens > self._most
        return self.stopped

    def _count(self, text: str, end: int) -> int:
        """Count the words of ``text[:end]``, and stop at the first slice that exceeds the limit.

        A host may answer with megabytes, and counting all their words takes 40 ms per megabyte.
        """
        count = start = 0
        while start < end and self._words + count <= self._most:
            cut = end if end - start <= _AT_ONCE else text.rfind(" ", start, start + _AT_ONCE) + 1
            if cut <= start:  # no blank in so many characters
                words, left = _WORD.finditer(text, start, end), self._most - self._words - count
                return count + sum(1 for _ in (words if left == math.inf else islice(words, int(left) + 1)))
            count += len(_WORD.findall(text, start, cut))
            start = cut
        return count

    def allowed_part(self, text: str) -> str:
        """Return the part of the text checked last that is still within the limit."""
        if self._most == math.inf:
            return text
        most = max(0, int(self._most) - self._before)
        found = next(islice(_WORD.finditer(text), most, None), None)
        return text[: min(len(text) if found is None else found.start(), most * _LONGEST)]


TIMES = 4  # consecutive repetitions that count as a loop

SHORTEST = 20  # repeated characters, each sentence counted once: a column of thirty times "no" may be right

_UNITS = 6  # maximum number of sentences or lines that alternate

_WORDS = range(3, 41)  # words in a phrase without a full stop

_PHRASES = 6  # consecutive repetitions of a phrase

_END = re.compile(r"(?<=[.!?。！？])\s+|\n+|(?<=[。！？])")

_LETTER = re.compile(r"[^\W\d_]")

_LOOK_BACK = 4000  # characters

_EVERY = 120  # characters between two checks

MOST_BLANKS = 256 << 10  # blank characters after which an answer that never begins is stopped


class LoopGuard:
    """Detects, piece by piece, an answer that repeats itself.

    A loop is the same sentence or line, or the same few in turn, four times in a row, whatever numbers precede them; or
    the same phrase of 3 to 40 words six times in a row. It has at least 20 characters.
    """

    def __init__(self) -> None:
        self._tail = ""
        self._new: list[str] = []
        self._size = 0

    def record_piece(self, piece: str) -> bool:
        """Record a piece; return True if the answer loops. Checks only every few pieces, since a check is expensive."""
        self._new.append(piece)
        self._size += len(piece)
        if self._size < _EVERY:
            return False
        new, self._new, self._size = "".join(self._new), [], 0
        self._tail = (self._tail + new)[-_LOOK_BACK:]
        return bool(_END.search(self._tail[-len(new) - 2 :]) and self._sentences()) or self._phrases()

    def _sentences(self) -> bool:
        *units, _ = _END.split(self._tail)  # the last one is not finished
        # Without letters it is the number of a list item, or the rule of a table.
        sentences = [" ".join(unit.lower().split()) for unit in units if unit and _LETTER.search(unit)]
        for size in range(1, _UNITS + 1):
            last = sentences[-size:]
            if len(sentences) < size * TIMES:
                return False
            if sentences[-size * TIMES :] == last * TIMES and sum(map(len, set(last))) >= SHORTEST:
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


Stop = Literal["", "limit", "loop", "blanks"]


class AnswerState:
    """One answer while it arrives: its content so far, and whether it continues.

    The reader of an answer reports each piece before it is shown: the executor its decoded events (``record_event``),
    the direct path the text that it found in an event of its host (``record_text``). Both are stopped at the same
    place, so that an answer does not depend on which of them made the call.

    Args:
        limit: the requested token limit. guarded: stop the answer if it repeats itself.
        streamed: it arrives in pieces. An unstreamed answer is complete and paid for: it is only cut at its limit.

    Attributes:
        text: the pieces of its text. beside: its reasoning, and the arguments of its tool calls.
        refusal: the model's reasons for a refusal. calls: id and name of each tool call, by index.
        usage: the host's counts. finish: why it ended, "" while it continues.
        first_at: when its first visible piece arrived. worded: a visible word arrived.
        stopped: why it was stopped. allowed: text and reasoning of the last piece that are still within the limit.
    """

    # Class attributes hold the defaults that most answers keep, so that creating an answer is cheap. Attributes used
    # for each piece are set on the instance, where lookup is faster.
    usage: WireUsage | None = None
    finish = ""
    first_at: float | None = None
    worded = False
    allowed = ("", "")
    _meter: TokenLimiter | None = None
    _begun = False  # more than blanks arrived
    _blanks = 0
    _at_most = 0  # upper bound of the words seen
    _checked = _checked_beside = _metered = _metered_beside = 0  # pieces whose words were bounded, and counted

    def __init__(
        self, endpoint: str, *, limit: int | None = None, guarded: bool = False, streamed: bool = True
    ) -> None:
        self.text: list[str] = []
        self.beside: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, tuple[str, str]] = {}
        self.limit = limit
        self.stopped: Stop = ""
        self._endpoint = endpoint
        self._streamed = streamed
        self._room = safe_length(limit)
        self._guard = LoopGuard() if guarded and streamed else None

    def restart(self) -> None:
        """Reset the state: the whole answer is repeated, and none of it was shown."""
        for pieces in (self.text, self.beside, self.refusal, self.calls):
            pieces.clear()
        self.first_at, self.worded, self.stopped = None, False, ""
        self._begun, self._blanks, self._at_most, self._meter = False, 0, 0, None
        self._checked = self._checked_beside = self._metered = self._metered_beside = 0
        self._room = safe_length(self.limit)
        self._guard = None if self._guard is None else LoopGuard()

    @property
    def overran(self) -> bool:
        """True if it exceeded its token limit."""
        return self.stopped == "limit"

    @property
    def stopped_for_loop(self) -> bool:
        """True if it was stopped for repeating itself."""
        return self.stopped == "loop"

    @property
    def wordless(self) -> bool:
        """True if neither a visible word nor a tool call arrived."""
        return is_wordless(self.text, called=bool(self.calls))

    @property
    def refused(self) -> bool:
        """True if the model's answer is empty on purpose."""
        return is_refusal(self.finish, self.text, called=bool(self.calls))

    def record_text(self, words: str, other_output: str = "") -> bool:
        """Record a piece of the answer; return True if the answer ends with it.

        Of a piece that exceeds the limit only the ``allowed`` part is recorded and shown.
        """
        if not self._begun:
            if not words.strip() and not other_output.strip():  # blanks do not use up the limit yet
                if words:
                    self.text.append(words)
                    self._checked = self._metered = len(self.text)
                return self._is_too_blank(len(words))
            self._begun = True
        self._room -= len(words) + len(other_output)
        if self._room < 0 and self._exceeds_limit(words, other_output):
            self.stopped = "limit"
            words, other_output = self.allowed
        if other_output:
            self.beside.append(other_output)
        if words:
            self.text.append(words)
            if not self.worded:
                if words.isspace():
                    return self._is_too_blank(len(words))
                self.worded = True
            if self._guard is not None and not self.stopped and self._guard.record_piece(words):
                self.stopped = "loop"
        return self.stopped != ""

    def refuse(self, words: str) -> bool:
        """Record a piece of the model's reasons for a refusal; return True if the answer ends with it.

        It counts against the limit, and is cut, as reasoning is.
        """
        ends = self.record_text("", words)
        if allowed_words := self.allowed[1] if self.overran else words:
            self.refusal.append(allowed_words)
        return ends

    @property
    def stop_reason(self) -> Literal["length", "content_filter"]:
        """Why an answer that was stopped ended: reasons for a refusal alone are no answer, however long they are."""
        return "content_filter" if self.refusal and self.wordless else "length"

    def may_exceed(self, answer: str) -> bool:
        """Return True if an unstreamed answer may exceed its token limit, so that it must be counted."""
        return len(answer) > self._room and most_words(answer) > _largest_count(self.limit)

    def _exceeds_limit(self, words: str, other_output: str) -> bool:
        """Bound the words since the last check; count them if the bound does not settle it."""
        since = "".join([*self.text[self._checked :], *self.beside[self._checked_beside :], words, other_output])
        self._at_most += most_words(since)
        self._checked, self._checked_beside = len(self.text) + bool(words), len(self.beside) + bool(other_output)
        self._room = safe_length(self.limit) - 2 * self._at_most
        return self._room < _SURE and self._count_words(words, other_output)

    def _count_words(self, words: str, other_output: str) -> bool:
        """Count the pieces that were not counted yet, and then this piece."""
        meter = self._meter = self._meter or TokenLimiter(self.limit)
        meter.exceeds_limit("".join(self.text[self._metered :]))
        meter.exceeds_limit("".join(self.beside[self._metered_beside :]), is_other_output=True)
        self._metered, self._metered_beside = self._checked, self._checked_beside
        if other_output and meter.exceeds_limit(other_output, is_other_output=True):
            self.allowed = ("", meter.allowed_part(other_output))
        elif words and meter.exceeds_limit(words):
            self.allowed = (meter.allowed_part(words), other_output)
        self._at_most, self._room = meter.least_tokens, meter.room
        return meter.stopped

    def _is_too_blank(self, size: int) -> bool:
        self._blanks += size
        if self._blanks > MOST_BLANKS and self._streamed and not self.stopped:
            self.stopped = "blanks"
        return bool(self.stopped)

    def record_event(self, event: WireEvent) -> WireEvent | None:
        """Record a decoded event; return the part of it to show, None for nothing.

        Usage, the end and errors are always shown.
        """
        if isinstance(event, WireUsage):
            self.usage = event
        elif isinstance(event, Finish):
            self.finish = event.reason
        elif not isinstance(event, Error) and self.stopped:
            return None
        elif isinstance(event, WireTextDelta):
            if self.record_text(event.text) and self.overran:
                return replace(event, text=self.allowed[0]) if self.allowed[0] else None
        elif isinstance(event, ReasoningDelta | RefusalDelta | ToolCallDelta):
            return self._visible_non_text(event)
        return event

    def _visible_non_text(self, event: ReasoningDelta | RefusalDelta | ToolCallDelta) -> WireEvent | None:
        if isinstance(event, RefusalDelta):
            ends = self.refuse(event.text)
        else:
            ends = self.record_text("", event.arguments if isinstance(event, ToolCallDelta) else event.text)
        if not ends or not self.overran:
            return event
        if isinstance(event, ToolCallDelta):
            self.beside.pop()  # truncated arguments are useless
            return None
        most = self.allowed[1]
        if not most:
            return None
        return replace(event, text=most, **({"signature": ""} if isinstance(event, ReasoningDelta) else {}))

    def blanks_error(self) -> StreamCut:
        """Return the error of a stream that was stopped because it has no visible content."""
        return StreamCut("sends nothing but blanks", where=self._endpoint, todo="ask again")

    def mark_billed(self, error: IntermodalError) -> IntermodalError:
        """Mark an error as billed if the host counted output tokens, whatever its kind usually implies; return it."""
        if isinstance(error, CallError) and self.usage is not None and self.usage.output_tokens:
            error.billing = "billed"
        return error


MAX_REPLY = MAX_DOCUMENT  # bytes of a reply that is not streamed

_USAGE_WAIT = 2.0  # seconds after the finish reason in which a stream may still report usage: some hosts count late

_DONE_WAIT = 0.5  # seconds if it did, and only [DONE] is missing, which some hosts never send


def trailing_timeout(*, has_usage: bool) -> float:
    """Return the seconds to keep reading once an answer is complete. Its text and finish reason are shown by then.

    Without usage a call is booked at its highest cost, so usage is waited for longer than the end of the stream.
    """
    return _DONE_WAIT if has_usage else _USAGE_WAIT
