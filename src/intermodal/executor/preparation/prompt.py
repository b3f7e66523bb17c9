"""Builds the messages of a chat from the request and the prepared inputs. Pure.

Text from media is data: it appears in a user message, never in a system, assistant or tool message, in a block that
names its source and ends at a boundary word that no data of the message contains. A file may contain anything,
including "Text of contract.pdf:" or an imitation of the user's question; so each block is enclosed by two lines
``---bako``, like a part of a MIME message. Of seven formats tried with the smallest model (135M parameters; three
questions, five words each) this one had the most correct answers: 14 of 15, where "up to [bako]" after the label had 9.
The word is a digest of all data of the message, so the same message always has the same word (runs can be compared, and
prompt caches stay valid).

Invisible characters are removed from data, and chat template marks are broken up (``protocols/special_tokens.py``).
The prompt stays as it is. Data comes first and the question last, since small models answer what they read
last; text between files stays between them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from intermodal.core.content import Opaque, Reasoning, Refusal, Role, Text, ToolCall, ToolResult
from intermodal.core.request import Request
from intermodal.executor.preparation import video_timeline
from intermodal.executor.preparation.model_inputs import (
    AudioInput,
    DocumentInput,
    ImageInput,
    ModelInput,
    TextInput,
    VideoInput,
)
from intermodal.media.text.invisible_characters import strip_invisible
from intermodal.plans.facts import PartFacts
from intermodal.protocols.calls import (
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
from intermodal.protocols.special_tokens import SpecialTokens, special_tokens

NOTHING_HEARD = video_timeline.NOTHING_FOUND["said"]
NOTHING_READ = video_timeline.NOTHING_FOUND["on screen"]
NOTHING_SEEN = video_timeline.NOTHING_FOUND["seen"]
_SPECIAL_TOKENS = special_tokens()


def sanitize(text: str, marks: SpecialTokens = _SPECIAL_TOKENS) -> str:
    """Return the visible text of media without chat template marks, safe to pass to a model.

    >>> sanitize("7\\u202e42<|im_\\u200bend|>")
    '742<|im_end| >'
    """
    return marks.break_tokens(strip_invisible(text))


def label(what: str, name: str, page: int = 0) -> str:
    """Return the heading of a data block.

    The file name is the sender's: one line, at most 80 characters, quoted if it could be mistaken for our own words.

    >>> label("Text", "report.pdf", 2), label("Text", "yes: obey.pdf")
    ('Text of report.pdf, page 2', 'Text of "yes: obey.pdf"')
    """
    heading = f"{what} {_PREPOSITIONS.get(what.rpartition(' ')[2], 'of')} {_quote_name(shown_name(name))}"
    return f"{heading}, page {page}" if page else heading


_PREPOSITIONS = {"read": "from", "seen": "in"}  # the preposition for a block, by the last word of its title
_PLAIN = re.compile(r"[\w.()+-]+")
_QUOTE_REPLACEMENTS = str.maketrans({'"': "'", "[": "(", "]": ")", "`": "'"})


def shown_name(name: str) -> str:
    """Return a file name as one line of at most 80 visible characters, without chat template marks."""
    short = " ".join(sanitize(name).split())
    return short if len(short) <= 80 else f"{short[:77]}..."


def _quote_name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f'"{name.translate(_QUOTE_REPLACEMENTS)}"'


def is_empty(piece: ModelInput) -> bool:
    """Return True if the conversion behind this input found nothing."""
    return isinstance(piece, TextInput) and strip_invisible(piece.text).strip() in (
        "",
        *video_timeline.NOTHING_FOUND.values(),
    )


class DataBlock(NamedTuple):
    """The data of one file as it appears in a prompt: a heading, and texts with the images between them."""

    label: str
    body: tuple[str | ImageInput, ...]


PromptItem = ModelInput | DataBlock | str  # media, data, and the prompt


def chat_messages(
    request: Request,
    stands_for: Mapping[int, tuple[ModelInput, ...]],
    facts: Sequence[PartFacts] = (),
    marks: tuple[str, ...] = (),
) -> tuple[WireMessage, ...]:
    """Return the conversation as messages.

    A part without inputs is left out.

    Args:
        stands_for: the inputs of each part that is not the sender's own text.
        facts: facts of the parts, for the heading of a video.
        marks: chat template marks of the model, besides the known ones.
    """
    messages: list[WireMessage] = []
    template_marks = special_tokens(marks)
    carried: list[PromptItem] = []  # data of a message of another role, which goes into the next user message
    index = 0
    for message in request.messages:
        turn = any(isinstance(part, TURN_PARTS) for part in message.parts)
        items: list[PromptItem] = []
        turn_parts: list[WirePart] = []  # parts of a turn with tool calls or results: sent unchanged
        for part in message.parts:
            if isinstance(part, Text) and part.name:
                items.append(_block(TextInput(text=part.text, label=label("Text", part.name)), template_marks))
            elif isinstance(part, Text):
                if part.text.strip():
                    turn_parts.append(WireText(text=part.text)) if turn else items.append(part.text)
            elif isinstance(part, TURN_PARTS):
                turn_parts.append(part)
            else:
                items += order_inputs(
                    stands_for.get(index, ()), facts[index].name if index < len(facts) else "", template_marks
                )
            index += 1
        if message.role == "user":
            items, carried = [*carried, *items], []
        else:
            carried += [each for each in items if isinstance(each, DataBlock)]
            items = [each for each in items if not isinstance(each, DataBlock)]
        after = max((place for place, part in enumerate(turn_parts) if isinstance(part, TURN_PARTS)), default=-1) + 1
        messages += _message(message.role, (*turn_parts[:after], *_message_parts(items), *turn_parts[after:]))
    messages += _message("user", _message_parts(carried))
    return tuple(messages)


def _message(role: Role, parts: tuple[WirePart, ...]) -> list[WireMessage]:
    return [WireMessage(role=role, parts=parts)] if parts else []


TURN_PARTS = (ToolCall, ToolResult, Reasoning, Refusal, Opaque)


def order_inputs(
    pieces: tuple[ModelInput, ...], name: str = "", marks: SpecialTokens = _SPECIAL_TOKENS
) -> list[PromptItem]:
    """Return the inputs of one part in the order in which a model gets them: by page, or by time for a video."""
    if not any(map(video_timeline.is_timed, pieces)):
        return [_block(piece, marks) if isinstance(piece, TextInput) else piece for piece in sorted(pieces, key=_page)]
    sanitized = tuple(
        msgspec.structs.replace(piece, text=sanitize(piece.text, marks)) if isinstance(piece, TextInput) else piece
        for piece in pieces
    )
    still, heading, moving = video_timeline.order_by_time(sanitized)
    untimed = [_block(piece, marks) if isinstance(piece, TextInput) else piece for piece in still]
    return [*untimed, DataBlock(f"{heading} {_quote_name(shown_name(name)) if name else 'the video'}", moving)]


def _block(words: TextInput, marks: SpecialTokens) -> DataBlock:
    return DataBlock(words.label or "Text", (sanitize(words.text, marks).strip() or NOTHING_READ,))


def _page(piece: ModelInput) -> int:
    return piece.page if isinstance(piece, (TextInput, ImageInput)) else 0


def _message_parts(items: Sequence[PromptItem]) -> tuple[WirePart, ...]:
    """Return media and blocks of data in order, then the prompt; adjacent texts are joined into one part.

    If the prompt is in several places, each piece may be about the file beside it, and stays there.
    """
    text_places = [place for place, each in enumerate(items) if isinstance(each, str)]
    if text_places and text_places[-1] - text_places[0] == len(text_places) - 1:
        items = [*(each for each in items if not isinstance(each, str)), *items[text_places[0] : text_places[-1] + 1]]
    blocks = [each for each in items if isinstance(each, DataBlock)]
    texts = [text for block in blocks for text in (block.label, *block.body) if isinstance(text, str)]
    word = boundary_of(texts) if texts else ""
    parts: list[WirePart] = []
    waiting: list[str] = []

    def add_media(media: ImageInput | AudioInput | VideoInput | DocumentInput) -> None:
        if waiting:
            parts.append(WireText(text="\n\n".join(waiting)))
            waiting.clear()
        parts.append(_media(media))

    for each in items:
        if isinstance(each, str):
            waiting.append(each)
        elif isinstance(each, DataBlock):
            for piece in _fence(each, word):
                waiting.append(piece) if isinstance(piece, str) else add_media(piece)
        elif not isinstance(each, TextInput):
            add_media(each)
    if waiting:
        parts.append(WireText(text="\n\n".join(waiting)))
    return tuple(parts)


def _fence(block: DataBlock, word: str) -> list[str | ImageInput]:
    """Return a block enclosed by its first line and a last line that no data can imitate.

    >>> _fence(DataBlock("Text of a.txt", ("yes",)), "bako")
    ['Text of a.txt:\\n---bako\\nyes\\n---bako']
    """
    first, last = f"{block.label}:\n---{word}", f"---{word}"
    body = list(block.body)
    body[:1] = [f"{first}\n{body[0]}"] if body and isinstance(body[0], str) else [first, *body[:1]]
    body[-1:] = [f"{body[-1]}\n{last}"] if isinstance(body[-1], str) else [body[-1], last]
    return body


def _media(piece: ImageInput | AudioInput | VideoInput | DocumentInput) -> WireMedia:
    if isinstance(piece, ImageInput):
        return WireImage(data=piece.data, media_type=piece.media_type, detail=piece.detail)
    if isinstance(piece, VideoInput):
        return WireVideo(data=piece.data, media_type=piece.media_type)
    if isinstance(piece, DocumentInput):
        return WireDocument(data=piece.data, name=piece.name)
    return WireAudio(data=piece.data, format=AUDIO_FORMATS[piece.media_type])


AUDIO_FORMATS: Mapping[str, AudioFormat] = {
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3",
}  # fmt: skip


def with_instruction(messages: tuple[WireMessage, ...], instruction: str) -> tuple[WireMessage, ...]:
    """Return the messages with an instruction at the end of the last user message."""
    *before, last = messages
    parts = list(last.parts)
    if parts and isinstance(parts[-1], WireText):
        parts[-1] = WireText(text=f"{parts[-1].text}\n\n{instruction}")
    else:
        parts.append(WireText(text=instruction))
    return (*before, WireMessage(role=last.role, parts=tuple(parts)))


def with_repair(messages: tuple[WireMessage, ...], answer: str, problem: str) -> tuple[WireMessage, ...]:
    """Return the messages of the repair call, with the invalid answer and its problem.

    No user has seen the answer, and text that it copied from a file is still data.
    """
    ask = f"That is not valid: {problem}. Answer again, with only the corrected JSON."
    return (
        *messages,
        WireMessage(role="assistant", parts=(WireText(text=_SPECIAL_TOKENS.break_tokens(answer)),)),
        WireMessage(role="user", parts=(WireText(text=_SPECIAL_TOKENS.break_tokens(ask)),)),
    )


def all_text(messages: tuple[WireMessage, ...]) -> str:
    """Return the text of all messages, for counting."""
    parts = [part for message in messages for part in message.parts]
    return "\n".join(
        part.arguments if isinstance(part, ToolCall) else part.text
        for part in parts
        if isinstance(part, (WireText, ToolCall, ToolResult, Reasoning, Refusal))
    )


def media_to_embed(stands_for: Mapping[int, tuple[ModelInput, ...]]) -> tuple[WireMedia, ...]:
    """Return the media of an embedding call, in the order of the parts."""
    pieces = (piece for index in sorted(stands_for) for piece in stands_for[index])
    return tuple(_media(piece) for piece in pieces if not isinstance(piece, TextInput))


def text_to_embed(request: Request, stands_for: Mapping[int, tuple[ModelInput, ...]]) -> str:
    """Return one text for an embedding: the words alone, in order, without headings."""
    texts = []
    for index, _, part in request.parts():
        if isinstance(part, Text):
            texts.append(sanitize(part.text) if part.name else part.text)
        else:
            texts.append(sanitize(joined_part_text(stands_for.get(index, ()))))
    return "\n\n".join(text.strip() for text in texts if text.strip())


def joined_part_text(pieces: tuple[ModelInput, ...], *, speakers: bool = False) -> str:
    """Return the text of one part in order, by page, or by time for a video, without headings; "" if there is none.

    Properties of the file come first. ``speakers``: prefix speech with its speaker, if known.
    """
    of_file = [piece.text for piece in pieces if isinstance(piece, TextInput) and piece.of_file]
    if of_file:
        words = tuple(piece for piece in pieces if not (isinstance(piece, TextInput) and piece.of_file))
        return "\n\n".join(filter(None, (*of_file, joined_part_text(words, speakers=speakers))))
    if any(map(video_timeline.is_timed, pieces)):
        return video_timeline.text_of(pieces, speakers=speakers)
    found = (piece.text for piece in sorted(pieces, key=_page) if isinstance(piece, TextInput) and not is_empty(piece))
    return "\n\n".join(filter(None, map(str.strip, found)))


# A pronounceable pair of letters is one or two tokens in today's vocabularies; digits take one each.
_CONSONANTS, _VOWELS = "bcdfghjklmnprstvwxz", "aeiou"

_SHORTEST, _LONGEST = 2, 16  # syllables; a megabyte of text has most words of two, no text has all of seven

_TRIES = 4  # words tried of each length


def boundary_of(texts: Sequence[str]) -> str:
    """Return a word that occurs in none of the texts, ignoring case.

    >>> boundary_of(["Text of a.txt", "yes"]) == boundary_of(["Text of a.txt", "yes"])
    True
    """
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    seed = digest.digest()
    folded = [text.casefold() for text in texts]
    word = ""
    for syllables in range(_SHORTEST, _LONGEST + 1):
        for turn in range(_TRIES):
            word = _pronounceable_word(hashlib.sha256(seed + bytes((syllables, turn))).digest(), syllables)
            if not any(word in text for text in folded):
                return word
    raise AssertionError(f"{word} and all others are in the texts")  # 95 ** 16 words do not fit into memory


def _pronounceable_word(data: bytes, syllables: int) -> str:
    pairs = zip(data[::2], data[1::2], strict=True)
    letters = [_CONSONANTS[first % len(_CONSONANTS)] + _VOWELS[second % len(_VOWELS)] for first, second in pairs]
    return "".join(letters[:syllables])
