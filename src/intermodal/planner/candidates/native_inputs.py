"""Parts that reach the answering endpoint unconverted: media it accepts, and text files."""

from __future__ import annotations

from typing import Literal

from intermodal.content import Kind
from intermodal.cost_model.image_tokens import image_tokens
from intermodal.cost_model.levels import quantity
from intermodal.cost_model.token_rules import (
    TokenRules,
    native_audio_tokens,
    native_document_tokens,
    native_video_tokens,
)
from intermodal.cost_model.tokens import Vocabulary, text_part_tokens
from intermodal.planner.conversion.conversion_option import ConversionOption, PartConversion, native_tokens
from intermodal.planner.conversion.conversion_steps import as_range
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import NativeInput
from intermodal.quantity import Quantity, exact, total

TOGETHER = 8  # parts alike up to which each is listed by itself


def text_file_inputs(case: PlanningCase, vocabulary: Vocabulary) -> list[NativeInput]:
    """Return the texts given as files, without what the sender says; many files as one entry."""
    texts = case.text_files
    if len(texts) > TOGETHER:
        chars = sum(part.chars for part in texts)
        title = f"{texts[0].name} and {len(texts) - 1} more, {chars:,} chars"
        tokens = total([text_part_tokens(part, vocabulary) for part in texts])
        return [NativeInput(part=texts[0].index, title=title, kind="text", tokens=tokens, count=len(texts))]
    return [
        NativeInput(
            part=part.index, title=f"{part.name} {part.chars:,} chars", kind="text",
            tokens=text_part_tokens(part, vocabulary),
        )
        for part in texts
    ]  # fmt: skip


def native_inputs(bundle: Bundle, way: ConversionOption, book: TokenRules) -> list[NativeInput]:
    """Return the parts that go in without becoming text; many alike as one entry."""
    if len(bundle.parts) > TOGETHER:
        basis = _taken_tokens(way.passages[0], book).basis
        tokens = total([quantity(each, basis, 0) for each in native_tokens(way, book)])
        return [
            NativeInput(
                part=bundle.parts[0].index,
                title=bundle.title,
                kind=bundle.kind,
                tokens=tokens,
                count=len(bundle.parts),
                counted_as=_counted_as(bundle, way.passages[0]),
            )
        ]
    found: list[NativeInput] = []
    for part, passage in zip(bundle.parts, way.passages, strict=True):
        if way.name in ("watch", "frames", "resized") and passage.pieces:
            found += _apart(part, passage, book)
            continue
        title = f"{part.name} {_size_words(part, passage)}"
        found.append(
            NativeInput(
                part=part.index, title=title, kind=bundle.kind, tokens=_taken_tokens(passage, book),
                counted_as=_counted_as(bundle, passage),
            )
        )  # fmt: skip
    return found


def _counted_as(bundle: Bundle, passage: PartConversion) -> Kind | Literal[""]:
    """Return "image" for pages that are shown, which count as pictures."""
    return "image" if bundle.kind == "document" and passage.pictures else ""


def _apart(part: PartFacts, passage: PartConversion, book: TokenRules) -> list[NativeInput]:
    """Return a video or an animation in tracks: its frames, and its sound where that goes in unconverted."""
    found: list[NativeInput] = []
    for piece in passage.pieces:
        if piece.shown and piece.op == "demux":
            found.append(
                NativeInput(
                    part=part.index,
                    title=f"{part.name} {piece.title}",
                    kind="audio",
                    tokens=native_audio_tokens(book.audio, passage.sound),
                )
            )
        if piece.shown and piece.op in ("frames", "resize"):
            title = f"{part.name} {piece.title}"
            found.append(NativeInput(part=part.index, title=title, kind="image", tokens=_pictured(passage, book.image)))
    return found


def _taken_tokens(passage: PartConversion, book: TokenRules) -> Quantity:
    if passage.leaves:
        return native_document_tokens(book, passage.leaves)
    if passage.film is not None:
        return native_video_tokens(book.video, passage.film)
    return _pictured(passage, book.image) if passage.pictures else native_audio_tokens(book.audio, passage.sound)


def _pictured(passage: PartConversion, rule: str) -> Quantity:
    tokens = exact(0.0)
    for width, height, detail in passage.pictures:
        tokens = tokens + image_tokens(rule, width, height, detail).times(as_range(passage.many))
    return tokens


def _size_words(part: PartFacts, passage: PartConversion) -> str:
    if part.kind in ("audio", "video"):
        return f"{part.seconds.mid:.3g} s"
    if part.kind == "image":
        return f"{part.width}x{part.height}"
    count = len(passage.leaves or passage.pictures)
    return (
        f"{count} page{'s' if count != 1 else ''}"
        if passage.leaves
        else f"{count} picture{'s' if count != 1 else ''} of pages"
    )
