"""Were there files, and was anything found in them? Pure."""

from __future__ import annotations

from collections.abc import Mapping

from intermodal.content import Kind, Text
from intermodal.executor.assemble import empty
from intermodal.executor.pieces import Piece, Words
from intermodal.plans.facts import Facts
from intermodal.request import Request


def nothing_found(request: Request, stands_for: Mapping[int, tuple[Piece, ...]], facts: Facts) -> str:
    """One sentence a file, where files came with the question and none of the conversation holds anything; else "".

    A question without a file is never answered this way: it may be about what was said before.
    """
    given = [(index, part) for index, _, part in request.parts() if not isinstance(part, Text) or part.name]
    first_of_question = sum(len(message.parts) for message in request.messages[:-1])
    if not any(index >= first_of_question for index, _ in given):
        return ""
    for index, part in given:
        found = stands_for.get(index, ())
        if isinstance(part, Text) or not found or not all(map(empty, found)):
            return ""
    said: list[str] = []
    for index, _ in given:
        if index >= first_of_question:
            looked_for = dict.fromkeys(_what(piece, facts.parts[index].kind) for piece in stands_for[index])
            said.append(f"No {' and no '.join(looked_for)} was found in {facts.parts[index].name}.")
    return " ".join(said)


def says(nothing: str, op: str, name: str) -> bool:
    """Whether a sentence of ``nothing_found`` is about what this step was to find in this file.

    >>> says("No text was found in film.mp4.", "transcribe", "film.mp4")
    False
    """
    what = "speech" if op == "transcribe" else "text"
    about = [sentence for sentence in nothing.split("No ") if sentence.strip().endswith(f" was found in {name}.")]
    return any(what in sentence.split(" was found in ")[0] for sentence in about)


def _what(piece: Piece, kind: Kind) -> str:
    """What a piece would hold if there were anything."""
    how = piece.how if isinstance(piece, Words) else ""
    if how == "said" or (not how and kind == "audio"):
        return "speech"
    return "picture that could be described" if how == "seen" else "text"
