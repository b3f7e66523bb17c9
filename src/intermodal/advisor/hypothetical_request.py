"""Requests without files: stated sizes, with the facts that probing would find."""

from __future__ import annotations

import math

import msgspec

from intermodal.advisor.question import OPTION_NAMES, AdviceQuestion
from intermodal.content import KINDS, BytesSource, File, Image, Kind, Part, Text
from intermodal.cost_model.token_counts import CountablePart
from intermodal.plans.facts import Facts, PageFacts, PartFacts
from intermodal.quantity import Quantity, between, exact, unknown
from intermodal.request import (
    EmbeddingOutput,
    ImageOutput,
    JsonOutput,
    Message,
    Output,
    Request,
    ScoresOutput,
    SpeechOutput,
    TextOutput,
    TranscriptOutput,
)

LABELS = ("an invoice", "a letter", "something else")  # if no labels are given
PAGE = (595.0, 842.0)  # A4, in points
PAGE_CHARS = 2_500  # letters of a page of running text
FIGURE_SIZE = 0.2  # share of a page that a figure takes
DENSE, LETTERS = 0.25, 1_500.0  # share of the area that is text, and letters, of a picture full of text
VIDEO_SIZE = (1280, 720)
_ANSWER = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def hypothetical_request(question: AdviceQuestion) -> tuple[Request, Facts]:
    """The request of a question and its facts. No part has bytes: nothing can be sent."""
    parts: list[Part] = []
    facts: list[PartFacts] = []
    described = question.makes == "image" and "text" in question.takes  # the text says what to draw
    if question.makes not in ("embedding", "transcript", "scores") and not described and not question.verbatim:
        parts.append(Text(text=question.prompt))
        facts.append(_words(0, "prompt", len(question.prompt)))
    for piece, name in zip(question.parts, part_names(question.parts), strict=True):
        part, found = _part(question, piece, name, len(facts))
        parts.append(part)
        facts.append(found)
    request = Request(
        messages=(Message(role="user", parts=tuple(parts)),),
        output=_output(question),
        policy=question.policy,
        answer_tokens=question.out_tokens,
    )
    return request, Facts(parts=tuple(facts), question=question.told)


def part_names(pieces: tuple[CountablePart, ...]) -> list[str]:
    """Return the names of parts: their kind, numbered if there are several of it."""
    found: list[str] = []
    for place, piece in enumerate(pieces):
        name = OPTION_NAMES[_kind(piece)]
        alike = [each for each in pieces if each.kind == piece.kind]
        earlier = sum(each.kind == piece.kind for each in pieces[:place])
        found.append(f"{name} {earlier + 1}" if len(alike) > 1 else name)
    return found


def _kind(piece: CountablePart) -> Kind:
    """Only what goes in is imagined."""
    return next(kind for kind in KINDS if kind == piece.kind)


def _output(question: AdviceQuestion) -> Output:
    if question.makes == "json":
        return JsonOutput(schema=_ANSWER)
    if question.makes == "transcript":
        return TranscriptOutput()
    if question.makes == "embedding":
        return EmbeddingOutput()
    if question.makes == "image":
        return ImageOutput()
    if question.makes == "scores":
        return ScoresOutput(labels=question.labels or LABELS)
    return SpeechOutput(verbatim=question.verbatim) if question.makes == "speech" else TextOutput()


def _words(index: int, name: str, chars: int) -> PartFacts:
    return PartFacts(index=index, name=name, kind="text", chars=chars, size=chars)


def _part(question: AdviceQuestion, piece: CountablePart, name: str, index: int) -> tuple[Part, PartFacts]:
    kind = _kind(piece)
    if kind == "text":
        spoken = "" if question.verbatim else name
        return Text(text="", name=spoken), _words(index, name, piece.chars or 0)
    source = BytesSource(data=b"", name=name)
    density, letters = _looks(question)
    facts = PartFacts(
        index=index,
        name=name,
        kind=kind,
        # Parts of one size are one shape; their names keep documents apart.
        digest=name if kind == "document" else "",
        width=piece.width or (VIDEO_SIZE[0] if kind == "video" else 0),
        height=piece.height or (VIDEO_SIZE[1] if kind == "video" else 0),
        text_density=density if kind in ("image", "video") else unknown("no picture"),
        letters=letters if kind == "image" else unknown("not sampled"),
        seconds=exact(piece.seconds, "stated"),
        fps=piece.fps or (25.0 if kind == "video" else 0.0),
        frames=max(1, math.ceil(piece.seconds * (piece.fps or 25.0))) if kind == "video" else 1,
        sample_rate=16_000 if kind in ("audio", "video") else 0,
        channels=0 if kind not in ("audio", "video") or piece.sound is False else 1,
        pages=_pages(question, piece) if kind == "document" else (),
    )
    detail = piece.detail if piece.detail in ("low", "high", "original") else "auto"
    part: Part = Image(source=source, detail=detail) if kind == "image" else File(source=source)  # type: ignore[arg-type]
    return part, facts


def _looks(question: AdviceQuestion) -> tuple[Quantity, Quantity]:
    if question.shows == "text":
        return between(DENSE * 0.8, DENSE, DENSE * 1.2, "stated: full of text"), exact(LETTERS, "stated")
    if question.shows == "scene":
        return exact(0.0, "stated: a scene"), exact(0.0, "stated")
    return unknown("its content is not stated"), unknown("not sampled")


def _pages(question: AdviceQuestion, piece: CountablePart) -> tuple[PageFacts, ...]:
    """Pages alike: running text with or without a figure, or scans of it."""
    if question.scanned:
        page = PageFacts(
            number=1, width=PAGE[0], height=PAGE[1], letters=exact(float(PAGE_CHARS), "stated: a scan"),
            text_density=between(DENSE * 0.8, DENSE, DENSE * 1.2, "stated: a scan"),
        )  # fmt: skip
    else:
        share = FIGURE_SIZE if question.figures else 0.0
        page = PageFacts(number=1, width=PAGE[0], height=PAGE[1], chars=PAGE_CHARS, figure_share=share)
    return tuple(msgspec.structs.replace(page, number=number) for number in range(1, piece.pages + 1))
