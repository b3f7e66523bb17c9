"""The passages of files: pages of documents that have a text layer, and texts in pieces, by their paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from intermodal.content import Text
from intermodal.retrieval.passage_ranking import Passage

if TYPE_CHECKING:
    from intermodal.media.request_media import OpenedRequest
    from intermodal.media.worker_client import MediaWorker
    from intermodal.request import Request

HEADING: Final = 20  # characters: less is no passage by itself
PIECE: Final = 1_200  # characters of a passage, about 300 tokens: what such models were trained to rank
_PARAGRAPHS: Final = re.compile(r"\n[ \t]*\n\s*")


async def passages(
    request: Request, opened: OpenedRequest, media: MediaWorker, *, besides: str = ""
) -> tuple[list[Passage], list[str]]:
    """Passages of what was given as files, in order; and the names of what has no text of its own."""
    found: list[Passage] = []
    without: list[str] = []
    for index, _, given in request.parts():
        if isinstance(given, Text) and given.name in ("", besides):  # the query, and texts that are passages already
            continue
        part, before = opened.facts.parts[index], len(found)
        if part.kind == "text":
            found += [Passage(text=piece, file=part.name) for piece in split_text(opened.text(index))]
        elif part.kind == "document":
            numbers = tuple(page.number for page in part.pages if page.chars)
            texts = await media.page_text(opened.data(index), numbers, name=part.name) if numbers else ()
            pairs = zip(numbers, texts, strict=True)
            found += [Passage(text=text, file=part.name, page=number) for number, text in pairs if text.strip()]
        if len(found) == before:
            without.append(part.name)
    return found, without


def split_text(text: str) -> Iterator[str]:
    """A text by its paragraphs, a heading with what follows it, long ones in pieces.

    >>> list(split_text("Rent\\n\\nIt is 20 euro, due on the first.\\n\\nKeys are at the desk of the porter."))
    ['Rent\\n\\nIt is 20 euro, due on the first.', 'Keys are at the desk of the porter.']
    """
    held = ""
    for paragraph in _PARAGRAPHS.split(text.strip()):
        held = f"{held}\n\n{paragraph}" if held else paragraph
        while len(held) > PIECE:
            cut = held.rfind(" ", PIECE // 2, PIECE) + 1 or PIECE
            yield held[:cut].strip()
            held = held[cut:]
        if len(held) >= HEADING:
            yield held
            held = ""
    if held.strip():
        yield held
