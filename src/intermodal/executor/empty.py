"""Were there files, and was anything found in them? Pure."""

from __future__ import annotations

from collections.abc import Mapping

from intermodal.content import Text
from intermodal.executor.assemble import empty
from intermodal.executor.pieces import Piece
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
            what = "speech" if facts.parts[index].kind == "audio" else "text"
            said.append(f"No {what} was found in {facts.parts[index].name}.")
    return " ".join(said)
