r"""Surrogate pairs that a server cut in half: an emoji is two UTF-16 code units, and some servers split text between
them.

JSON can write one unit alone (``"\ud83d"``); no text encoding can. Most clients join the pieces and find the
character whole again; our parser refuses such a piece. What it refused is read once more here: two halves that meet
become one character, and one that stays alone becomes U+FFFD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace

from intermodal.protocols.calls import (
    Finish,
    ReasoningDelta,
    RefusalDelta,
    TokenLogprobs,
    ToolCallDelta,
    WireEvent,
    WireTextDelta,
)
from intermodal.protocols.framing.json_body import loads

REPLACEMENT = "\ufffd"
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# A lone surrogate. The backslash before it is not itself escaped.
_ALONE = re.compile(
    rb"(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
_Piece = WireTextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta


def without_lone_surrogates(data: bytes, mark: bytes = rb"\ufffd", *, keep: bool = False) -> bytes | None:
    r"""Return JSON without lone surrogates, for a parser that refuses them; None if there are none.

    ``mark`` replaces each; with ``keep`` it replaces the backslash alone, so that restoring the backslash restores the
    original.
    """
    if b"\\ud" not in data and b"\\uD" not in data:
        return None
    found = False

    def instead(escape: re.Match[bytes]) -> bytes:
        nonlocal found
        if escape[1] is None:
            return escape[0]
        found = True
        return mark + escape[1] if keep else mark

    cleaned = _ESCAPE.sub(instead, data)
    return cleaned if found else None


def first_lone_surrogate(data: bytes) -> str:
    r"""Return the first lone surrogate, as JSON writes it; "" if there is none.

    >>> first_lone_surrogate(rb'"a \ud83d\ude00 b \\ud83d c \ud83d d"'), first_lone_surrogate(rb'"\ud83d\ude00"')
    ('\\ud83d', '')
    >>> first_lone_surrogate(rb'"\ude00"')
    '\\ude00'
    """
    found = _ALONE.search(data)
    return found[0][-6:].decode() if found is not None else ""


def loads_with_surrogates(data: bytes | str) -> Any:
    """Return parsed JSON with its lone surrogates. Raises ValueError where it has none, or is invalid otherwise."""
    raw = data.encode() if isinstance(data, str) else data
    without = without_lone_surrogates(raw)
    if without is None:
        raise ValueError("no half characters")
    loads(without)  # by the same rules as everything else
    try:
        return json.loads(raw)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def loads_joined(data: bytes) -> Any:
    """Parse JSON like ``loads``, with lone surrogates replaced. Raises ValueError."""
    try:
        return loads(data)
    except ValueError:
        return join_all_surrogates(loads_with_surrogates(data))


def join_surrogates(text: str) -> str:
    """Return the text with adjacent halves joined and lone ones replaced by U+FFFD.

    >>> join_surrogates("\\ud83d\\ude00") == "😀" and join_surrogates("a\\ud83d") == "a\\ufffd"
    True
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def join_all_surrogates(value: Any) -> Any:
    """Return a parsed document with ``join_surrogates`` applied to every text in it."""
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, dict):
        return {join_surrogates(name): join_all_surrogates(item) for name, item in value.items()}
    return [join_all_surrogates(item) for item in value] if isinstance(value, list) else value


class SurrogateJoiner:
    """Joins pieces of a text. ``pending``: the half that the next piece may complete, "" for none."""

    def __init__(self) -> None:
        self.pending = ""

    def join(self, piece: str) -> str:
        """Return the text that can be passed on now."""
        text = self.pending + piece
        self.pending = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return join_surrogates(text.removesuffix(self.pending)) if self.pending else join_surrogates(text)


class EventSurrogateJoiner:
    """Joins pieces of a reply's text, reasoning, refusal and tool calls, each separately."""

    def __init__(self) -> None:
        self._halves = SurrogateJoiner()
        self._half_event: _Piece | None = None  # an event of the stream to which the held half belongs

    @property
    def pending(self) -> bool:
        return bool(self._halves.pending)

    def join(self, events: Iterable[WireEvent]) -> list[WireEvent]:
        return [joined_event for event in events for joined_event in self._join_event(event)]

    def _join_event(self, event: WireEvent) -> Iterator[WireEvent]:
        if isinstance(event, (WireTextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)):
            if self._half_event is not None and _kind(event) != _kind(self._half_event):
                yield from self._flush_lone()
            yield from self._join_piece(event)
        elif isinstance(event, TokenLogprobs):
            yield replace(event, words=tuple((join_surrogates(word), chance) for word, chance in event.words))
        else:
            if isinstance(event, Finish):
                yield from self._flush_lone()
                event = replace(event, reason=join_surrogates(event.reason))
            yield event

    def _join_piece(self, event: _Piece) -> Iterator[WireEvent]:
        if isinstance(event, ToolCallDelta):
            text = self._halves.join(event.arguments)
            joined_event: _Piece = replace(
                event, id=join_surrogates(event.id), name=join_surrogates(event.name), arguments=text
            )
            empty = not (text or event.id or event.name)
        else:
            text = self._halves.join(event.text)
            joined_event = replace(event, text=text)
            empty = not (text or (isinstance(event, ReasoningDelta) and event.signature))
        self._half_event = event if self._halves.pending else None
        if not empty:
            yield joined_event

    def _flush_lone(self) -> Iterator[WireEvent]:
        event, self._half_event, self._halves.pending = self._half_event, None, ""
        if isinstance(event, ToolCallDelta):
            yield ToolCallDelta(index=event.index, arguments=REPLACEMENT)
        elif event is not None:
            yield type(event)(text=REPLACEMENT)


def _kind(event: _Piece) -> tuple[type, int]:
    return type(event), event.index if isinstance(event, ToolCallDelta) else 0
