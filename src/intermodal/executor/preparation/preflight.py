"""Preflight checks before the answering call: modalities, the context window, and files without content.

A request is refused, never truncated silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.core.content import Kind, Text
from intermodal.core.quantity import exact
from intermodal.core.request import Request
from intermodal.cost_model.memory import TEMPLATE_TOKENS
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.preparation.model_inputs import ModelInput, TextInput
from intermodal.executor.preparation.prompt import is_empty
from intermodal.local.embedded.ocr_layout import UnreadShare
from intermodal.plans.facts import Facts, PartFacts
from intermodal.plans.step import Call
from intermodal.protocols.calls import ChatCall, WireAudio, WireDocument, WireImage, WirePart, WireVideo

_KINDS: tuple[tuple[type[WirePart], Kind, str], ...] = (
    (WireImage, "image", "images"),
    (WireAudio, "audio", "sound"),
    (WireVideo, "video", "video"),
    (WireDocument, "document", "documents"),
)


def kinds_in(call: ChatCall) -> tuple[Kind, ...]:
    """Return the kinds of media that a call carries."""
    parts = [part for message in call.messages for part in message.parts]
    return tuple(kind for of_wire, kind, _ in _KINDS if any(isinstance(part, of_wire) for part in parts))


def check_modalities(endpoint: Endpoint, call: ChatCall, step: Call) -> None:
    """Raise UnsupportedModality before anything is sent if the endpoint does not accept a kind of part.

    The planner makes no such plan, but one that is old or written by hand may contain such a call.
    """
    kinds = kinds_in(call)
    for _, kind, what in _KINDS:
        if kind not in endpoint.input and kind in kinds:
            raise errors.UnsupportedModality(
                f"takes no {what}", where=endpoint.id, todo="plan again", step=step.id, sent=False
            )


def check_context_window(
    step: Call, endpoint: Endpoint, text: str, limit: int | None, dependencies: Dependencies
) -> Call:
    """Return the step, its cost raised if the prompt has more tokens than planned and can be counted.

    Raises ContextExceeded with the numbers if prompt and reserved answer do not fit. If only the host can count, the
    host itself refuses, which costs nothing.
    """
    prompt_tokens = dependencies.count(endpoint.model.tokenizer, text) if endpoint.model.tokenizer else None
    if prompt_tokens is None:
        return step
    context = endpoint.context_limit
    needed = prompt_tokens + TEMPLATE_TOKENS + (limit or 0)
    if context is not None and needed > context:
        raise errors.ContextExceeded(
            f"the prompt has {prompt_tokens:,} tokens and the answer may take {limit or 0:,}, "
            f"together more than the {context:,} it can hold",
            where=endpoint.id,
            todo="send less (a shorter text, fewer pages), or let a model with a longer context answer",
            step=step.id,
            sent=False,
        )
    # Only a larger prompt changes the reservation, which never falls below what was approved.
    estimate = step.estimate
    if not estimate.input_tokens.known or prompt_tokens <= estimate.input_tokens.high:
        return step
    cost = estimate.cost
    rate = endpoint.price.of_request(prompt_tokens).input_mtok
    if cost.known and rate:
        cost = cost + exact((prompt_tokens - estimate.input_tokens.high) * rate / 1e6, cost.basis)
    return msgspec.structs.replace(step, estimate=msgspec.structs.replace(estimate, cost=cost))


SPEECH, TEXT, PICTURE = "speech", "text", "image that could be described"


class EmptyFile(msgspec.Struct, frozen=True):
    """A file of the question that was searched for content, and nothing was found."""

    part: int  # index among all parts of the request
    name: str  # of the file
    looked_for: tuple[str, ...]  # terms for the reader, at least one

    def covers_step(self, op: str, part: int) -> bool:
        """Return True if this covers a step of this op that found nothing in this part."""
        return part == self.part and (SPEECH if op == "transcribe" else TEXT) in self.looked_for


def empty_files(
    request: Request, stands_for: Mapping[int, tuple[ModelInput, ...]], facts: Facts
) -> tuple[EmptyFile, ...]:
    """Return the files of the question if nothing was found in any file of the conversation; else ().

    A question without a file is never refused: it may be about earlier messages.
    """
    files = [(index, part) for index, _, part in request.parts() if not isinstance(part, Text) or part.name]
    first_of_question = sum(len(message.parts) for message in request.messages[:-1])
    for index, part in files:
        found = stands_for.get(index, ())
        if isinstance(part, Text) or not found or not all(map(is_empty, found)):
            return ()
    in_question = [facts.parts[index] for index, _ in files if index >= first_of_question]
    return tuple(
        EmptyFile(
            part.index,
            part.name,
            tuple(dict.fromkeys(_kind_of_content(piece, part.kind) for piece in stands_for[part.index])),
        )
        for part in in_question
    )


def unreadable_files(
    request: Request, stands_for: Mapping[int, tuple[ModelInput, ...]], facts: Facts
) -> tuple[PartFacts, ...]:
    """Return the files of the question most of whose text is in an unreadable script; () if another file
    has content.
    """
    files = [index for index, _, part in request.parts() if not isinstance(part, Text) or part.name]
    contents = {index: _content_inputs(stands_for.get(index, ())) for index in files}
    if any(not pieces or not all(map(is_nearly_empty, pieces)) for pieces in contents.values()):
        return ()
    first_of_question = sum(len(message.parts) for message in request.messages[:-1])
    in_question = [index for index in files if index >= first_of_question]
    return tuple(facts.parts[index] for index in in_question if not all(map(is_empty, contents[index])))


def _content_inputs(pieces: Iterable[ModelInput]) -> tuple[ModelInput, ...]:
    """Return the inputs made from a file's contents, without its properties, which say nothing about them."""
    return tuple(piece for piece in pieces if not (isinstance(piece, TextInput) and piece.of_file))


def partly_unread_files(stands_for: Mapping[int, tuple[ModelInput, ...]], facts: Facts) -> tuple[str, ...]:
    """Return the names of files with unread words that no vision model sees."""
    unread = {  # no function is called per part: a conversation may have tens of thousands
        index: pieces
        for index, pieces in stands_for.items()
        for piece in pieces
        if type(piece) is TextInput and piece.unread
    }
    return tuple(facts.parts[index].name for index in sorted(unread) if not any(map(_is_visual, unread[index])))


def is_nearly_empty(piece: ModelInput) -> bool:
    """Return True if an input is empty, or most of its words were not read."""
    return is_empty(piece) or _unread_share(piece) == "most"


def _unread_share(piece: ModelInput) -> UnreadShare:
    return piece.unread if isinstance(piece, TextInput) else ""


def _is_visual(piece: ModelInput) -> bool:
    return not isinstance(piece, TextInput) or (piece.source == "seen" and not is_empty(piece))


def describe_empty(nothing: Sequence[EmptyFile]) -> str:
    """Return one sentence per empty file, for the reader.

    >>> describe_empty([EmptyFile(part=1, name="film.mp4", looked_for=("speech", "text"))])
    'No speech and no text was found in film.mp4.'
    """
    return " ".join(f"No {' and no '.join(each.looked_for)} was found in {each.name}." for each in nothing)


def _kind_of_content(piece: ModelInput, kind: Kind) -> str:
    """Return the kind of content that a piece would hold if it were not empty."""
    source = piece.source if isinstance(piece, TextInput) else ""
    if source == "said" or (not source and kind == "audio"):
        return SPEECH
    return PICTURE if source == "seen" else TEXT
