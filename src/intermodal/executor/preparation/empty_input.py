"""Were there files, was anything found in them, and could it be read? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from intermodal.content import Kind, Text
from intermodal.executor.preparation.model_inputs import ModelInput, TextInput
from intermodal.executor.preparation.prompt import is_empty
from intermodal.local.embedded.ocr_layout import UnreadShare
from intermodal.plans.facts import Facts, PartFacts
from intermodal.request import Request

SPEECH, TEXT, PICTURE = "speech", "text", "picture that could be described"


class EmptyFile(msgspec.Struct, frozen=True):
    """What was looked for in a file of the question, and not found."""

    part: int  # place among all parts of the request
    name: str  # of the file, or of the share of it that was looked at
    looked_for: tuple[str, ...]  # words for a reader, at least one

    def covers(self, op: str, part: int) -> bool:
        """Whether this says already that a step of this op found nothing in this part."""
        return part == self.part and (SPEECH if op == "transcribe" else TEXT) in self.looked_for


def empty_files(
    request: Request, stands_for: Mapping[int, tuple[ModelInput, ...]], facts: Facts
) -> tuple[EmptyFile, ...]:
    """One a file, where files came with the question and none of the conversation holds anything; else ().

    A question without a file is never answered this way: it may be about what was said before.
    """
    given = [(index, part) for index, _, part in request.parts() if not isinstance(part, Text) or part.name]
    first_of_question = sum(len(message.parts) for message in request.messages[:-1])
    for index, part in given:
        found = stands_for.get(index, ())
        if isinstance(part, Text) or not found or not all(map(is_empty, found)):
            return ()
    asked = [facts.parts[index] for index, _ in given if index >= first_of_question]
    return tuple(
        EmptyFile(
            part.index,
            _looked_at(part),
            tuple(dict.fromkeys(_what(piece, part.kind) for piece in stands_for[part.index])),
        )
        for part in asked
    )


def unreadable_files(
    request: Request, stands_for: Mapping[int, tuple[ModelInput, ...]], facts: Facts
) -> tuple[PartFacts, ...]:
    """Files of the question of whose words most are in a script that was not read, where no other file of the
    conversation has more to give; else ()."""
    given = [index for index, _, part in request.parts() if not isinstance(part, Text) or part.name]
    if any(not stands_for.get(index) or not all(map(is_nearly_empty, stands_for[index])) for index in given):
        return ()
    first_of_question = sum(len(message.parts) for message in request.messages[:-1])
    asked = [index for index in given if index >= first_of_question]
    return tuple(facts.parts[index] for index in asked if not all(map(is_empty, stands_for[index])))


def partly_unread_files(stands_for: Mapping[int, tuple[ModelInput, ...]], facts: Facts) -> tuple[str, ...]:
    """Names of the files of whose words some or most were not read, and that nobody sees besides."""
    return tuple(
        facts.parts[index].name
        for index, pieces in sorted(stands_for.items())
        if any(_missing(piece) for piece in pieces) and not any(map(_seen, pieces))
    )


def is_nearly_empty(piece: ModelInput) -> bool:
    """Whether a model would learn next to nothing from it: it is empty, or most of its words were not read."""
    return is_empty(piece) or _missing(piece) == "most"


def _missing(piece: ModelInput) -> UnreadShare:
    return piece.unread if isinstance(piece, TextInput) else ""


def _seen(piece: ModelInput) -> bool:
    return not isinstance(piece, TextInput) or (piece.source == "seen" and not is_empty(piece))


def describe_empty(nothing: Sequence[EmptyFile]) -> str:
    """For the reader, one sentence a file.

    >>> sentence([Nothing(part=1, name="film.mp4", looked_for=("speech", "text"))])
    'No speech and no text was found in film.mp4.'
    """
    return " ".join(f"No {' and no '.join(each.looked_for)} was found in {each.name}." for each in nothing)


def _looked_at(part: PartFacts) -> str:
    """A moving picture is read by its first frame alone."""
    moving = part.kind == "image" and part.frames > 1
    return f"the first of {part.frames} frames of {part.name}" if moving else part.name


def _what(piece: ModelInput, kind: Kind) -> str:
    """What a piece would hold if there were anything."""
    how = piece.source if isinstance(piece, TextInput) else ""
    if how == "said" or (not how and kind == "audio"):
        return SPEECH
    return PICTURE if how == "seen" else TEXT
