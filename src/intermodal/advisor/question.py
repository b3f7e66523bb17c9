"""The question that advice answers: inputs and outputs, their sizes, the request volume, and the limits.

``hypothetical_request`` turns it into a request without files, with the facts that probing would find.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import msgspec

from intermodal.advisor.advise_options import ImageContent
from intermodal.core.content import KINDS, BytesSource, File, Image, Kind, Part, Text, Value
from intermodal.core.hints import hint, setting
from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.core.request import (
    DEFAULT_TIME_VALUE,
    Aspect,
    EmbeddingOutput,
    ImageOutput,
    JsonOutput,
    Licence,
    Message,
    Objective,
    Output,
    Policy,
    Request,
    Retention,
    ScoresOutput,
    SpeechOutput,
    TextOutput,
    Tier,
    TranscriptOutput,
)
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import UsageError
from intermodal.plans.facts import Facts, PageFacts, PartFacts, QuestionFacts
from intermodal.plans.machine import Machine

OutputName = Literal["text", "json", "transcript", "scores", "embedding", "speech", "image"]
MAKES: tuple[OutputName, ...] = ("text", "json", "transcript", "scores", "embedding", "speech", "image")

PROMPT = "Answer the request about what is given."  # a neutral prompt
DAYS = 365.25 / 12  # days per month
MONTHS = 36.0  # default depreciation period of hardware

# Assumed sizes of media whose size is not stated.
DEFAULTS: dict[Kind, CountablePart] = {
    "text": CountablePart(kind="text", name="text of 500 words", chars=3_000, size=3_000),
    "image": CountablePart(kind="image", name="image 1240x1754", width=1240, height=1754),
    "audio": CountablePart(kind="audio", name="audio 60s", seconds=60.0),
    "video": CountablePart(kind="video", name="video 60s@1", seconds=60.0, fps=1.0),
    "document": CountablePart(kind="document", name="pdf 10p", pages=10),
}
_HAS: dict[Kind, tuple[Aspect, ...]] = {
    "text": ("words",),
    "image": ("words", "layout", "appearance", "figures"),
    "audio": ("words", "speakers", "tone", "timing"),
    "video": ("words", "layout", "appearance", "figures", "speakers", "tone", "timing", "motion", "alignment"),
    "document": ("words", "layout", "appearance", "figures"),
}
OPTION_NAMES: Mapping[str, str] = {
    "text": "text",
    "image": "image",
    "audio": "audio",
    "video": "video",
    "document": "pdf",
}
LABELS = ("an invoice", "a letter", "something else")  # if no labels are given
PAGE = (595.0, 842.0)  # A4, in points
PAGE_CHARS = 2_500  # characters on a page of running text
FIGURE_SIZE = 0.2  # share of a page covered by a figure
DENSE, LETTERS = 0.25, 1_500.0  # share of the area covered by text, and characters, in an image full of text
VIDEO_SIZE = (1280, 720)
_ANSWER = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def option_name(kind: str) -> str:
    """Return the name that options use for a kind."""
    return OPTION_NAMES.get(kind, kind)


class RequestVolume(Value):
    """The request rate: ``per_month`` requests; ``words`` as stated."""

    per_month: float
    words: str


class Hardware(Value):
    """The hardware for local models.

    ``words`` describe it. ``cards``: number of GPUs, if hardware was stated. ``users``: requests that an own server
    answers at once.
    """

    machine: Machine
    words: str
    is_stated: bool = False
    users: int = 1

    @property
    def cards(self) -> int:
        return len(self.machine.gpus) if self.is_stated else 0


class OwnedHardware(Value):
    """The cost of owned hardware: price in USD, months of use, power in watts, USD per kWh."""

    price: float
    months: float = MONTHS
    watts: float = 0.0
    kwh: float = 0.0

    @property
    def per_month(self) -> float:
        """Return the USD per machine and month, running all the time."""
        return self.price / self.months + self.watts / 1000 * 24 * DAYS * self.kwh


class AdviceQuestion(Value):
    """All inputs of advice except the catalog.

    Attributes:
        takes: input kinds, besides the prompt. parts: at least one piece per kind.
        shows: content of images: "text" or a "scene"; "" if unstated. scanned: pages without a text layer.
        figures: pages with drawings.
        out_tokens: length of the answer, None to estimate it from the prompt.
        hosts: the only hosts to consider; () for all of the snapshot.
        latency: maximum in seconds. max_cost: maximum in USD per request.
        licence, regions, retention: as in ``Policy``. trusted: hosts that may be named, () for all.
        waits: whether a person waits for each answer, so that seconds count besides money; None if unstated.
        time_value: USD per second of waiting.
        question_facts: what the prompt needs of the media, None if only its keywords are known.
        labels: to be scored; () for three default labels. translate: the target language for speech, "" for none.
        assumed: sentences about assumptions. beside: outputs besides ``makes``.
    """

    takes: tuple[Kind, ...]
    makes: OutputName
    parts: tuple[CountablePart, ...]
    hardware: Hardware
    prompt: str = PROMPT
    volume: RequestVolume | None = None
    shows: ImageContent | Literal[""] = ""
    scanned: bool = False
    figures: bool = False
    verbatim: bool = False
    out_tokens: int | None = None
    objective: Objective = "default"
    at_least: Tier | None = None
    private: tuple[str, ...] = ()
    release: tuple[str, ...] = ()
    keep: tuple[Aspect, ...] = ()
    language: str = ""
    translate: str = ""
    labels: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    local: bool = False
    latency: float | None = None
    max_cost: float | None = None
    owned: OwnedHardware | None = None
    licence: Licence = "commercial"
    regions: tuple[str, ...] = ()
    retention: Retention = "any"
    trusted: tuple[str, ...] = ()
    waits: bool | None = None
    time_value: float = DEFAULT_TIME_VALUE
    question_facts: QuestionFacts | None = None
    assumed: tuple[str, ...] = ()
    beside: tuple[OutputName, ...] = ()

    @property
    def somebody_waits(self) -> bool:
        """Return whether seconds count. With a monthly volume they do only if a person was stated to wait."""
        return self.volume is None if self.waits is None else self.waits

    @property
    def by_bill(self) -> bool:
        """Return whether hosts' bills alone rank. An own server is then not treated as free because it has no price."""
        return self.objective == "default" and not self.somebody_waits and not self.local

    @property
    def by(self) -> str:
        """Return what routes are ranked by, in words."""
        ranked = {"cheapest": "money", "fastest": "waiting", "best": "strength"}
        return ranked.get(self.objective, "money and waiting" if self.somebody_waits else "money")

    @property
    def policy(self) -> Policy:
        """Return the planner's policy. Cost is unlimited unless a limit was stated, because nothing is spent."""
        return Policy(
            objective=self.objective,
            time_value=self.time_value if self.somebody_waits else 0.0,
            licence=self.licence,
            regions=self.regions,
            retention=self.retention,
            at_least=self.at_least,
            max_cost=math.inf if self.max_cost is None else self.max_cost,
            deadline=self.latency,
            farthest="machine" if self.local else "internet",
            private=self.private,
            release=self.release,
            keep=self.keep,
            language=self.language,
            translate=self.translate,
        )


def with_defaults(
    takes: tuple[Kind, ...], parts: tuple[CountablePart, ...]
) -> tuple[tuple[CountablePart, ...], tuple[str, ...]]:
    """Return at least one piece for every input kind, and the assumptions made.

    Raises:
        UsageError: a size is given for a kind that is not an input.
    """
    for piece in parts:
        if piece.kind not in takes:
            name = option_name(piece.kind)
            raise UsageError(
                f"a size is given, and no {name} goes in",
                where=setting(name),
                todo=hint("add {} to {in}, or leave it out", name),
            )
    found: list[CountablePart] = []
    assumed: list[str] = []
    for kind in takes:
        some = [piece for piece in parts if piece.kind == kind]
        if not some:
            some = [DEFAULTS[kind]]
            assumed.append(DEFAULTS[kind].name)
        found += some
    return tuple(found), tuple(assumed)


def check(question: AdviceQuestion) -> None:
    """Raise UsageError if options contradict each other."""
    takes, makes = set(question.takes), question.makes
    available_aspects = {aspect for kind in takes for aspect in _HAS[kind]}
    if sum(piece.kind == "image" for piece in question.parts) > 1:
        available_aspects.add("comparison")
    for aspect in question.keep:
        if aspect not in available_aspects:
            raise UsageError(f"nothing that goes in has {aspect} to keep", where=setting("keep"), todo="leave it out")
    for kind in question.private:
        if kind not in takes:
            name = option_name(kind)
            raise UsageError(
                f"no {name} goes in", where=setting("private"), todo=hint("leave it out, or add it to {in}")
            )
    if makes == "transcript" and len([p for p in question.parts if p.kind in ("audio", "video")]) != 1:
        raise UsageError(
            "a transcript is made of one recording",
            where=setting("out"),
            todo=hint("write {in=} {out=}", "audio", "transcript"),
        )
    if makes == "embedding" and takes & {"audio", "video"}:
        raise UsageError(
            "no endpoint is known that embeds sound or video", where=setting("out"), todo="transcribe it first"
        )
    if question.labels and makes != "scores":
        raise UsageError(
            "labels are told apart by scores", where=setting("labels"), todo=hint("write {out=}", "scores")
        )
    if question.translate and not takes & {"audio", "video"}:
        raise UsageError(
            "nothing that goes in is spoken",
            where=setting("translate"),
            todo=hint("add audio to {in}, or leave it out"),
        )
    if question.verbatim and (makes != "speech" or takes != {"text"}):
        raise UsageError(
            "text alone is spoken as it is",
            where=setting("verbatim"),
            todo=hint("write {in=} {out=}", "text", "speech"),
        )
    if question.shows and not takes & {"image", "video"}:
        raise UsageError("no image goes in", where=setting("shows"), todo=hint("leave it out, or add image to {in}"))
    if (question.scanned or question.figures) and "document" not in takes:
        where = setting("scanned") if question.scanned else setting("figures")
        raise UsageError("no document goes in", where=where, todo=hint("leave it out, or add pdf to {in}"))
    if question.scanned and question.figures:
        raise UsageError("a scanned page is one image, text and figures alike", where=setting("figures"),
                         todo=hint("leave {scanned} or {figures} out"))  # fmt: skip
    if question.hosts and question.local:
        raise UsageError("a host is away from this machine, and nothing may leave it", where=setting("local"),
                         todo=hint("leave {host} or {local} out"))  # fmt: skip


def hypothetical_request(question: AdviceQuestion) -> tuple[Request, Facts]:
    """Return the request for a question, and its facts. Parts have no bytes, so nothing can be sent."""
    parts: list[Part] = []
    facts: list[PartFacts] = []
    described = question.makes == "image" and "text" in question.takes  # the text describes the image
    if question.makes not in ("embedding", "transcript", "scores") and not described and not question.verbatim:
        parts.append(Text(text=question.prompt))
        facts.append(_text_part_facts(0, "prompt", len(question.prompt)))
    for piece, name in zip(question.parts, part_names(question.parts), strict=True):
        part, found = _part_with_facts(question, piece, name, len(facts))
        parts.append(part)
        facts.append(found)
    request = Request(
        messages=(Message(role="user", parts=tuple(parts)),),
        output=_output(question),
        policy=question.policy,
        answer_tokens=question.out_tokens,
    )
    return request, Facts(parts=tuple(facts), question=question.question_facts)


def part_names(pieces: tuple[CountablePart, ...]) -> list[str]:
    """Return the names of parts: their kind, numbered if there are several of a kind."""
    found: list[str] = []
    for place, piece in enumerate(pieces):
        name = OPTION_NAMES[_kind(piece)]
        same_kind = [each for each in pieces if each.kind == piece.kind]
        earlier = sum(each.kind == piece.kind for each in pieces[:place])
        found.append(f"{name} {earlier + 1}" if len(same_kind) > 1 else name)
    return found


def _kind(piece: CountablePart) -> Kind:
    """Return the kind of an input piece."""
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


def _text_part_facts(index: int, name: str, chars: int) -> PartFacts:
    return PartFacts(index=index, name=name, kind="text", chars=chars, size=chars)


def _part_with_facts(question: AdviceQuestion, piece: CountablePart, name: str, index: int) -> tuple[Part, PartFacts]:
    kind = _kind(piece)
    if kind == "text":
        text_name = "" if question.verbatim else name
        return Text(text="", name=text_name), _text_part_facts(index, name, piece.chars or 0)
    source = BytesSource(data=b"", name=name)
    density, letters = _looks(question)
    facts = PartFacts(
        index=index,
        name=name,
        kind=kind,
        # Documents of one size look identical; the name as digest keeps them apart.
        digest=name if kind == "document" else "",
        width=piece.width or (VIDEO_SIZE[0] if kind == "video" else 0),
        height=piece.height or (VIDEO_SIZE[1] if kind == "video" else 0),
        text_density=density if kind in ("image", "video") else unknown("no image"),
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
    """Return identical pages: text with or without a figure, or scans."""
    if question.scanned:
        page = PageFacts(
            number=1, width=PAGE[0], height=PAGE[1], letters=exact(float(PAGE_CHARS), "stated: a scan"),
            text_density=between(DENSE * 0.8, DENSE, DENSE * 1.2, "stated: a scan"),
        )  # fmt: skip
    else:
        share = FIGURE_SIZE if question.figures else 0.0
        page = PageFacts(number=1, width=PAGE[0], height=PAGE[1], chars=PAGE_CHARS, figure_share=share)
    return tuple(msgspec.structs.replace(page, number=number) for number in range(1, piece.pages + 1))
