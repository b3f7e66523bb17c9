r"""Half characters: an emoji is two code units of UTF-16, and some servers cut their text between the two.

JSON can write a unit by itself (``"\ud83d"``), and no encoding of text can. Most clients put the pieces together as
they come and find the character whole again; our parser refuses such a piece. So what it refused is looked at here
once more: halves that meet are one character, and one that stays alone is U+FFFD.
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
# One that has no other beside it. The backslash before it is none that another one makes a letter.
_ALONE = re.compile(
    rb"(?<!\\)(?:\\\\)*(?:\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2})"
)
_Piece = WireTextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta


def without_lone_surrogates(data: bytes, mark: bytes = rb"\ufffd", *, keep: bool = False) -> bytes | None:
    r"""JSON without half characters, for a parser that refuses them; None where there are none.

    ``mark`` stands where each stood; with ``keep`` it stands for the backslash alone, so that what comes out of
    putting the backslash back is what was given.
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

    said = _ESCAPE.sub(instead, data)
    return said if found else None


def first_lone_surrogate(data: bytes) -> str:
    r"""The first half that has no other, as JSON writes it; "" where there is none.

    >>> half_alone(rb'"a \ud83d\ude00 b \\ud83d c \ud83d d"'), half_alone(rb'"\ud83d\ude00"'), half_alone(rb'"\ude00"')
    ('\\ud83d', '', '\\ude00')
    """
    found = _ALONE.search(data)
    return found[0][-6:].decode() if found is not None else ""


def loads_with_surrogates(data: bytes | str) -> Any:
    """Parsed JSON, half characters as they stand there. Raises ValueError for what has none, or is wrong otherwise."""
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
    """As ``loads`` has it, without half characters. Raises ValueError."""
    try:
        return loads(data)
    except ValueError:
        return join_all_surrogates(loads_with_surrogates(data))


def join_surrogates(text: str) -> str:
    """Halves that stand side by side as the characters they are, and the others as U+FFFD.

    >>> joined("\\ud83d\\ude00") == "😀" and joined("a\\ud83d") == "a\\ufffd"
    True
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def join_all_surrogates(value: Any) -> Any:
    """A parsed document without halves."""
    if isinstance(value, str):
        return join_surrogates(value)
    if isinstance(value, dict):
        return {join_surrogates(name): join_all_surrogates(item) for name, item in value.items()}
    return [join_all_surrogates(item) for item in value] if isinstance(value, list) else value


class SurrogateJoiner:
    """Puts pieces of a text together. ``held``: the half that its next piece may complete, "" for none."""

    def __init__(self) -> None:
        self.held = ""

    def join(self, piece: str) -> str:
        """What can be said now."""
        said = self.held + piece
        self.held = said[-1:] if "\ud800" <= said[-1:] <= "\udbff" else ""
        return join_surrogates(said.removesuffix(self.held)) if self.held else join_surrogates(said)


class EventSurrogateJoiner:
    """The same for events of a reply: pieces of its text, its thoughts, a refusal, and each call of a tool."""

    def __init__(self) -> None:
        self._halves = SurrogateJoiner()
        self._of: _Piece | None = None  # an event like the one whose half is held

    @property
    def held(self) -> bool:
        return bool(self._halves.held)

    def whole(self, events: Iterable[WireEvent]) -> list[WireEvent]:
        return [said for event in events for said in self._said(event)]

    def _said(self, event: WireEvent) -> Iterator[WireEvent]:
        if isinstance(event, (WireTextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta)):
            if self._of is not None and _kind(event) != _kind(self._of):
                yield from self._alone()
            yield from self._joined(event)
        elif isinstance(event, TokenLogprobs):
            yield replace(event, words=tuple((join_surrogates(word), chance) for word, chance in event.words))
        else:
            if isinstance(event, Finish):
                yield from self._alone()
                event = replace(event, reason=join_surrogates(event.reason))
            yield event

    def _joined(self, event: _Piece) -> Iterator[WireEvent]:
        if isinstance(event, ToolCallDelta):
            said = self._halves.join(event.arguments)
            whole: _Piece = replace(
                event, id=join_surrogates(event.id), name=join_surrogates(event.name), arguments=said
            )
            empty = not (said or event.id or event.name)
        else:
            said = self._halves.join(event.text)
            whole = replace(event, text=said)
            empty = not (said or (isinstance(event, ReasoningDelta) and event.signature))
        self._of = event if self._halves.held else None
        if not empty:
            yield whole

    def _alone(self) -> Iterator[WireEvent]:
        event, self._of, self._halves.held = self._of, None, ""
        if isinstance(event, ToolCallDelta):
            yield ToolCallDelta(index=event.index, arguments=REPLACEMENT)
        elif event is not None:
            yield type(event)(text=REPLACEMENT)


def _kind(event: _Piece) -> tuple[type, int]:
    return type(event), event.index if isinstance(event, ToolCallDelta) else 0
