"""The question that advice answers: inputs and outputs, their sizes, the volume, and the limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from intermodal.content import Kind, Value
from intermodal.cost_model.token_counts import CountablePart
from intermodal.errors import UsageError
from intermodal.hints import hint, setting
from intermodal.plans.facts import QuestionFacts
from intermodal.plans.machine import Machine
from intermodal.request import DEFAULT_TIME_VALUE, Aspect, Licence, Objective, Policy, Retention, Tier

OutputName = Literal["text", "json", "transcript", "scores", "embedding", "speech", "image"]
MAKES: tuple[OutputName, ...] = ("text", "json", "transcript", "scores", "embedding", "speech", "image")
PictureContent = Literal["text", "scene"]

PROMPT = "Answer the request about what is given."  # a neutral prompt
DAYS = 365.25 / 12  # of a month
MONTHS = 36.0  # over which hardware is written off, by default

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


def option_name(kind: str) -> str:
    """A kind in the words of the options."""
    return OPTION_NAMES.get(kind, kind)


class RequestVolume(Value):
    """The rate of requests. ``per_month`` requests; ``words`` as stated."""

    per_month: float
    words: str


class Hardware(Value):
    """The hardware for local models. ``words`` describe it. ``cards``: graphics cards, if one was stated. ``users``:
    requests that a server of one's own answers at once.
    """

    machine: Machine
    words: str
    stated: bool = False
    users: int = 1

    @property
    def cards(self) -> int:
        return len(self.machine.gpus) if self.stated else 0


class OwnedHardware(Value):
    """The cost of hardware of one's own: USD to buy, months that it lasts, watts it draws, USD per kWh."""

    price: float
    months: float = MONTHS
    watts: float = 0.0
    kwh: float = 0.0

    @property
    def per_month(self) -> float:
        """USD of one machine a month, on all the time."""
        return self.price / self.months + self.watts / 1000 * 24 * DAYS * self.kwh


class AdviceQuestion(Value):
    """Everything advice depends on besides the catalog.

    Attributes:
        takes: input kinds, besides the prompt. parts: one piece for each of them at least.
        shows: the content of pictures: "text" or a "scene"; "" if unstated. scanned: pages without a text layer.
        figures: pages with something drawn on them.
        out_tokens: length of an answer, None for the estimate by the prompt's words.
        hosts: the only hosts to consider; () for all of the snapshot.
        latency: seconds, at most. max_cost: USD a request, at most.
        licence, regions, retention: as in ``Policy``. trusted: hosts that may be named, () for all.
        waits: a person waits for each answer, so that seconds count beside money; None if unstated.
        time_value: USD that one such second is worth. told: the prompt's needs of such media, None if only its keywords
            are known.
        labels: to be scored; () for three of a word or two. translate: the language that speech is translated into, ""
            for its own.
        assumed: sentences about assumptions. beside: outputs besides ``makes``.
    """

    takes: tuple[Kind, ...]
    makes: OutputName
    parts: tuple[CountablePart, ...]
    hardware: Hardware
    prompt: str = PROMPT
    volume: RequestVolume | None = None
    shows: PictureContent | Literal[""] = ""
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
    told: QuestionFacts | None = None
    assumed: tuple[str, ...] = ()
    beside: tuple[OutputName, ...] = ()

    @property
    def somebody_waits(self) -> bool:
        """Return whether a second counts. Of a monthly bill money alone does, unless a person is stated to wait."""
        return self.volume is None if self.waits is None else self.waits

    @property
    def by_bill(self) -> bool:
        """Return whether hosts' bills alone rank. A server of one's own is then not free for lack of a price."""
        return self.objective == "default" and not self.somebody_waits and not self.local

    @property
    def by(self) -> str:
        """Return the ranking, in words."""
        ranked = {"cheapest": "money", "fastest": "waiting", "best": "strength"}
        return ranked.get(self.objective, "money and waiting" if self.somebody_waits else "money")

    @property
    def policy(self) -> Policy:
        """Return the planner's policy. No limit on cost unless one was stated: nothing is spent."""
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
    """Return a piece for every input kind, and the assumptions made.

    Raises:
        UsageError: a size of a kind that does not go in.
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
    """Raise UsageError for what contradicts itself."""
    takes, makes = set(question.takes), question.makes
    there = {aspect for kind in takes for aspect in _HAS[kind]}
    if sum(piece.kind == "image" for piece in question.parts) > 1:
        there.add("comparison")
    for aspect in question.keep:
        if aspect not in there:
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
        raise UsageError("no picture goes in", where=setting("shows"), todo=hint("leave it out, or add image to {in}"))
    if (question.scanned or question.figures) and "document" not in takes:
        where = setting("scanned") if question.scanned else setting("figures")
        raise UsageError("no document goes in", where=where, todo=hint("leave it out, or add pdf to {in}"))
    if question.scanned and question.figures:
        raise UsageError("a scanned page is one picture, text and figures alike", where=setting("figures"),
                         todo=hint("leave {scanned} or {figures} out"))  # fmt: skip
    if question.hosts and question.local:
        raise UsageError("a host is away from this machine, and nothing may leave it", where=setting("local"),
                         todo=hint("leave {host} or {local} out"))  # fmt: skip
