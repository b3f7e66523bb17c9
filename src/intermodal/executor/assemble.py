"""From representations to messages: pure.

Text that came out of media is data: it stands in the user's message, in a block with a label that
says where it is from, never in a system or tool message. Invisible characters are taken out of it.
Data first, the question last: small models answer what they read last. What is said between files stays between them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from intermodal.content import Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from intermodal.executor import timeline
from intermodal.executor.pieces import Film, Paper, Piece, Pixels, Sound, Words
from intermodal.request import JsonOutput, Request
from intermodal.wire.call import (
    AudioFormat,
    WireAudio,
    WireDocument,
    WireImage,
    WireMedia,
    WireMessage,
    WirePart,
    WireText,
    WireVideo,
)

NOTHING_HEARD = timeline.NOTHING["said"]
NOTHING_READ = timeline.NOTHING["on screen"]
NOTHING_SEEN = timeline.NOTHING["seen"]

# Characters nobody sees, which can carry instructions past a reader: controls (but tab and newline), soft hyphen,
# zero-width space, marks and overrides of direction, invisible operators, byte-order mark, Mongolian separator,
# interlinear marks, tags and variation selectors of plane 14. https://www.unicode.org/reports/tr36/ and tr9
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Joiners are letters' business in Persian, Hindi and emoji; between ASCII they only hide something.
# Only where a run of them begins: each later place of a long run would be looked at to the end of it.
_JOINERS = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]+|(?<![\u200c\u200d])[\u200c\u200d]++(?![^\x00-\x7f])")


def visible(text: str) -> str:
    """The text without characters that cannot be seen; line ends as newlines.

    >>> visible("total\\u200b 7\\u202e42\\r\\n")
    'total 742\\n'
    """
    return _JOINERS.sub("", _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def label(what: str, name: str, page: int = 0) -> str:
    """The first line of a block of data. The name is the sender's, so it gets one line and 80 characters.

    >>> label("Text", "report.pdf", 2)
    'Text of report.pdf, page 2'
    """
    joined = f"{what} {_LINKS.get(what.rpartition(' ')[2], 'of')} {shown_name(name)}"
    return f"{joined}, page {page}" if page else joined


_LINKS = {"read": "from", "seen": "in"}  # by the last word of what it is


def shown_name(name: str) -> str:
    """A sender's name of a file, in one line of at most 80 characters that can be seen."""
    short = " ".join(visible(name).split())
    return short if len(short) <= 80 else f"{short[:77]}..."


def empty(piece: Piece) -> bool:
    """Whether nothing was found in what this piece stands for."""
    return isinstance(piece, Words) and visible(piece.text).strip() in ("", *timeline.NOTHING.values())


def block(words: Words) -> str:
    """A piece of text as the model gets it."""
    text = visible(words.text).strip() or NOTHING_READ
    return f"{words.label}:\n{text}" if words.label else text


def messages(
    request: Request, stands_for: Mapping[int, tuple[Piece, ...]], names: Mapping[int, str] | None = None
) -> tuple[WireMessage, ...]:
    """The conversation as messages; ``stands_for`` has the pieces of every part that is not sent as it is.

    Text parts of the sender need no entry. A part without pieces is left out. ``names`` are those of the parts, for
    the heading of a video.
    """
    made: list[WireMessage] = []
    index = 0
    for message in request.messages:
        if any(isinstance(part, TURN) for part in message.parts):  # it stands as it was said
            kept = (_as_said(part) for part in message.parts)
            made.append(WireMessage(role=message.role, parts=tuple(part for part in kept if part is not None)))
            index += len(message.parts)
            continue
        given: list[Piece | str] = []
        for part in message.parts:
            if isinstance(part, Text) and part.name:
                given.append(Words(text=part.text, label=label("Text", part.name)))
            elif isinstance(part, Text):
                given += [part.text] if part.text.strip() else []
            else:
                given.extend(in_order(stands_for.get(index, ()), (names or {}).get(index, "")))
            index += 1
        parts = _message_parts(given)
        if parts:
            made.append(WireMessage(role=message.role, parts=parts))
    return tuple(made)


TURN = (ToolCall, ToolResult, Reasoning, Refusal, Opaque)


def _as_said(part: Part) -> WirePart | None:
    if isinstance(part, Text):
        return WireText(text=part.text) if part.text.strip() else None
    return part if isinstance(part, TURN) else None


def in_order(pieces: tuple[Piece, ...], name: str = "") -> tuple[Piece, ...]:
    """The pieces of one part as a model gets them: by page, or a video's by time."""
    if not any(map(timeline.timed, pieces)):
        return tuple(sorted(pieces, key=_page))
    seen = tuple(
        Words(text=visible(piece.text), label=piece.label, how=piece.how, at=piece.at)
        if isinstance(piece, Words)
        else piece
        for piece in pieces
    )
    return timeline.in_time(seen, shown_name(name or "the video"))


def _page(piece: Piece) -> int:
    return piece.page if isinstance(piece, (Words, Pixels)) else 0


def _message_parts(given: list[Piece | str]) -> tuple[WirePart, ...]:
    """Media and blocks of data in their order, then what the sender says; neighbouring text in one part. Where the
    sender says something here and something there, it may be about what stands beside it, and stays there."""
    told = [place for place, each in enumerate(given) if isinstance(each, str)]
    if told and told[-1] - told[0] == len(told) - 1:
        given = [*(each for each in given if not isinstance(each, str)), *given[told[0] : told[-1] + 1]]
    parts: list[WirePart] = []
    waiting: list[str] = []
    for piece in given:
        if isinstance(piece, (Words, str)):
            waiting.append(block(piece) if isinstance(piece, Words) else piece)
            continue
        if waiting:
            parts.append(WireText(text="\n\n".join(waiting)))
            waiting = []
        parts.append(_media(piece))
    if waiting:
        parts.append(WireText(text="\n\n".join(waiting)))
    return tuple(parts)


def _media(piece: Pixels | Sound | Film | Paper) -> WireMedia:
    if isinstance(piece, Pixels):
        return WireImage(data=piece.data, media_type=piece.media_type, detail=piece.detail)
    if isinstance(piece, Film):
        return WireVideo(data=piece.data, media_type=piece.media_type)
    if isinstance(piece, Paper):
        return WireDocument(data=piece.data, name=piece.name)
    return WireAudio(data=piece.data, format=AUDIO_FORMATS[piece.media_type])


AUDIO_FORMATS: Mapping[str, AudioFormat] = {
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3",
}  # fmt: skip


def asking_for_json(output: JsonOutput) -> str:
    """The instruction for an endpoint whose wire cannot force a schema."""
    import msgspec

    schema = msgspec.json.encode(output.schema).decode()
    return f"Answer with one JSON value that matches this JSON Schema, and with nothing else:\n{schema}"


def with_instruction(made: tuple[WireMessage, ...], instruction: str) -> tuple[WireMessage, ...]:
    """The messages with one more instruction at the end of the last user message."""
    *before, last = made
    parts = list(last.parts)
    if parts and isinstance(parts[-1], WireText):
        parts[-1] = WireText(text=f"{parts[-1].text}\n\n{instruction}")
    else:
        parts.append(WireText(text=instruction))
    return (*before, WireMessage(role=last.role, parts=tuple(parts)))


def with_repair(made: tuple[WireMessage, ...], answer: str, problem: str) -> tuple[WireMessage, ...]:
    """The messages of the one repair call: what was answered, and what is wrong with it."""
    ask = f"That is not valid: {problem}. Answer again, with only the corrected JSON."
    return (
        *made,
        WireMessage(role="assistant", parts=(WireText(text=answer),)),
        WireMessage(role="user", parts=(WireText(text=ask),)),
    )


def text_of(made: tuple[WireMessage, ...]) -> str:
    """All text of the messages, for counting."""
    parts = [part for message in made for part in message.parts]
    return "\n".join(
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in parts
        if isinstance(part, (WireText, ToolCall, ToolResult, Reasoning, Refusal))
    )


def media_to_embed(stands_for: Mapping[int, tuple[Piece, ...]]) -> tuple[WireMedia, ...]:
    """What goes into a vector as it is, in the order of the parts."""
    pieces = (piece for index in sorted(stands_for) for piece in stands_for[index])
    return tuple(_media(piece) for piece in pieces if not isinstance(piece, Words))


def text_to_embed(request: Request, stands_for: Mapping[int, tuple[Piece, ...]]) -> str:
    """One text for an embedding: the words alone, in order, without labels."""
    texts = []
    for index, _, part in request.parts():
        if isinstance(part, Text):
            texts.append(part.text)
        else:
            pieces = stands_for.get(index, ())
            if any(map(timeline.timed, pieces)):
                texts.append(visible(timeline.text_of(pieces)))
                continue
            texts += [visible(p.text) for p in sorted(pieces, key=_page) if isinstance(p, Words) and not empty(p)]
    return "\n\n".join(text.strip() for text in texts if text.strip())
