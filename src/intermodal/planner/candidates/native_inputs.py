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
    """Return the texts given as files, without the prompt itself; many files as one entry."""
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


def native_inputs(bundle: Bundle, option: ConversionOption, token_rules: TokenRules) -> list[NativeInput]:
    """Return the parts that go in without becoming text; many alike as one entry."""
    if len(bundle.parts) > TOGETHER:
        basis = _native_tokens(option.conversions[0], token_rules).basis
        tokens = total([quantity(each, basis, 0) for each in native_tokens(option, token_rules)])
        return [
            NativeInput(
                part=bundle.parts[0].index,
                title=bundle.title,
                kind=bundle.kind,
                tokens=tokens,
                count=len(bundle.parts),
                counted_as=_counted_as(bundle, option.conversions[0]),
            )
        ]
    found: list[NativeInput] = []
    for part, conversion in zip(bundle.parts, option.conversions, strict=True):
        if option.name in ("watch", "frames", "resized") and conversion.steps:
            found += _apart(part, conversion, token_rules)
            continue
        title = f"{part.name} {_size_text(part, conversion)}"
        found.append(
            NativeInput(
                part=part.index, title=title, kind=bundle.kind, tokens=_native_tokens(conversion, token_rules),
                counted_as=_counted_as(bundle, conversion),
            )
        )  # fmt: skip
    return found


def _counted_as(bundle: Bundle, conversion: PartConversion) -> Kind | Literal[""]:
    """Return "image" for pages that are shown, which count as pictures."""
    return "image" if bundle.kind == "document" and conversion.pictures else ""


def _apart(part: PartFacts, conversion: PartConversion, token_rules: TokenRules) -> list[NativeInput]:
    """Return a video or an animation in tracks: its frames, and its sound where that goes in unconverted."""
    found: list[NativeInput] = []
    for step in conversion.steps:
        if step.shown and step.op == "demux":
            found.append(
                NativeInput(
                    part=part.index,
                    title=f"{part.name} {step.title}",
                    kind="audio",
                    tokens=native_audio_tokens(token_rules.audio, conversion.sound),
                )
            )
        if step.shown and step.op in ("frames", "resize"):
            title = f"{part.name} {step.title}"
            found.append(
                NativeInput(part=part.index, title=title, kind="image", tokens=_pictured(conversion, token_rules.image))
            )
    return found


def _native_tokens(conversion: PartConversion, token_rules: TokenRules) -> Quantity:
    if conversion.leaves:
        return native_document_tokens(token_rules, conversion.leaves)
    if conversion.film is not None:
        return native_video_tokens(token_rules.video, conversion.film)
    return (
        _pictured(conversion, token_rules.image)
        if conversion.pictures
        else native_audio_tokens(token_rules.audio, conversion.sound)
    )


def _pictured(conversion: PartConversion, rule: str) -> Quantity:
    tokens = exact(0.0)
    for width, height, detail in conversion.pictures:
        tokens = tokens + image_tokens(rule, width, height, detail).times(as_range(conversion.many))
    return tokens


def _size_text(part: PartFacts, conversion: PartConversion) -> str:
    if part.kind in ("audio", "video"):
        return f"{part.seconds.mid:.3g} s"
    if part.kind == "image":
        return f"{part.width}x{part.height}"
    count = len(conversion.leaves or conversion.pictures)
    return (
        f"{count} page{'s' if count != 1 else ''}"
        if conversion.leaves
        else f"{count} picture{'s' if count != 1 else ''} of pages"
    )
