"""Parts that reach the answering endpoint as they are: media it takes itself, and text files."""

from __future__ import annotations

from intermodal.costing.images import image_tokens
from intermodal.costing.levels import quantity
from intermodal.costing.tokens import audio_tokens, document_tokens, part_tokens
from intermodal.planner.case import Bundle, Case, text_files
from intermodal.planner.routes import as_quantity, picture_tokens
from intermodal.planner.ways import Passage, Way
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import Taken
from intermodal.quantity import Quantity, exact, total

TOGETHER = 8  # parts alike up to which each is listed by itself


def named_texts(case: Case, tokenizer: str) -> list[Taken]:
    """Text that was given as a file, not what the sender says; many files as one."""
    if not case.labelled:
        return []
    texts = text_files(case.request, case.facts)
    if len(texts) > TOGETHER:
        chars = sum(part.chars for part in texts)
        title = f"{texts[0].name} and {len(texts) - 1} more, {chars:,} chars"
        tokens = total([part_tokens(part, tokenizer) for part in texts])
        return [Taken(part=texts[0].index, title=title, kind="text", tokens=tokens, count=len(texts))]
    return [
        Taken(
            part=part.index, title=f"{part.name} {part.chars:,} chars", kind="text",
            tokens=part_tokens(part, tokenizer),
        )
        for part in texts
    ]  # fmt: skip


def taken(bundle: Bundle, way: Way, rule: str) -> list[Taken]:
    """Parts that go in without becoming text; many alike as one."""
    if len(bundle.parts) > TOGETHER:
        tokens = quantity(picture_tokens(way, rule), "sum", 0) + audio_tokens(as_quantity(way.sound))
        pages = sum(passage.pages for passage in way.passages)
        tokens = tokens + document_tokens(pages, sum(passage.chars for passage in way.passages))
        return [
            Taken(
                part=bundle.parts[0].index, title=bundle.title, kind=bundle.kind, tokens=tokens, count=len(bundle.parts)
            )
        ]
    return [
        Taken(
            part=part.index, title=f"{part.name} {_size_words(part, passage)}", kind=bundle.kind,
            tokens=_taken_tokens(passage, rule),
        )
        for part, passage in zip(bundle.parts, way.passages, strict=True)
    ]  # fmt: skip


def _taken_tokens(passage: Passage, rule: str) -> Quantity:
    if passage.pages:
        return document_tokens(passage.pages, passage.chars)
    if not passage.pictures:
        return audio_tokens(passage.sound)
    tokens = exact(0.0)
    for width, height, detail in passage.pictures:
        tokens = tokens + image_tokens(rule, width, height, detail)
    return tokens


def _size_words(part: PartFacts, passage: Passage) -> str:
    if part.kind == "audio":
        return f"{part.seconds.mid:.3g} s"
    if part.kind == "image":
        return f"{part.width}x{part.height}"
    count = passage.pages or len(passage.pictures)
    return (
        f"{count} page{'s' if count != 1 else ''}"
        if passage.pages
        else f"{count} picture{'s' if count != 1 else ''} of pages"
    )
