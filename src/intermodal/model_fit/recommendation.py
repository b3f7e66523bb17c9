"""Recommend the strongest model of ``pull --list`` that fits a machine, for a kind of work.

Strength is ranked as in ``fit --all``: by tier, evidence and parameter count. For chat, text-only models come before
vision models of the same tier, which spend some of their parameters on images.

Pulled models run on the processor even if the machine has a GPU, so they are compared with main memory.
"""

from __future__ import annotations

from typing import Final, Literal

from intermodal.catalog.types import Model, Task
from intermodal.core.content import Value
from intermodal.core.quantity import Quantity, between
from intermodal.core.request import Tier
from intermodal.local.weights.registry import WeightsRow
from intermodal.local.weights.store import WeightsStore
from intermodal.model_fit.ranking import (
    fetched_size,
    memory_needed,
    row_model,
    served_row,
    strength_rank,
    strength_size,
)
from intermodal.plans.machine import Machine
from intermodal.sizing.machines import without_cards
from intermodal.sizing.placement import CapacityCheck, Verdict, check_capacity
from intermodal.sizing.speed import speed_of_parameters

Work = Literal["chat", "sight", "speech", "embedding"]
_TASKS: Final[dict[Work, Task]] = {
    "chat": "text-generation", "sight": "image-text-to-text", "speech": "automatic-speech-recognition",
    "embedding": "feature-extraction",
}  # fmt: skip
PROMPT, ANSWER = 1000, 200  # tokens of the question and the answer that are timed
SPEECH: Final = 60.0  # seconds of audio
SLOW: Final = 3.0  # tokens per second; people read faster than this


class ModelProposal(Value):
    """A model that could be pulled, or is already here.

    Attributes:
        size: bytes to fetch. check: memory needed and free. tier: "" if unknown.
        evidence, weight: as in ``RankedModel``.
        alone: whether it is specialized in this work; a vision model is not specialized in chat.
        seconds: time for ``what``, unknown if not measured. decode: tokens per second of an answer.
    """

    name: str
    title: str
    work: Work
    tier: Tier | Literal[""]
    evidence: str
    parameters: float
    weight: float
    alone: bool
    size: float
    check: CapacityCheck
    seconds: Quantity
    what: str
    decode: Quantity
    is_pulled: bool

    @property
    def verdict(self) -> Verdict:
        return self.check.verdict

    @property
    def slow(self) -> bool:
        """Return whether it answers slower than people read, or transcribes slower than real time."""
        if self.work == "speech":
            return self.seconds.known and self.seconds.mid > SPEECH
        return self.decode.known and 0 < self.decode.mid < SLOW


class Recommendation(Value):
    """The ``chosen`` model out of ``candidates``, and why. ``chosen`` is None if no model fits."""

    work: Work
    chosen: ModelProposal | None
    why: str
    candidates: tuple[ModelProposal, ...]


def recommend(machine: Machine, weights: WeightsStore, work: Work) -> Recommendation:
    """Return the strongest model that certainly fits, preferring models that are not slow."""
    candidates = tuple(_proposals(machine, weights, work))
    fitting = [each for each in candidates if each.verdict == "fits"]
    quick = [each for each in fitting if not each.slow]
    if not fitting:
        return Recommendation(
            work=work, chosen=None, why=f"none of {len(candidates)} models certainly fits", candidates=candidates
        )
    best = sorted(quick or fitting, key=_strength)[-1]  # of equals, the later row, which is newer
    stronger = [each for each in candidates if _strength(each) > _strength(best)]
    large = [each.name for each in stronger if each.verdict != "fits"]
    slow = [each.name for each in stronger if each.verdict == "fits"]
    why = f"the strongest that fits, of {len(candidates)} known: {_strength_text(best)}"
    why += f"; stronger, and not certain to fit here: {', '.join(large)}" if large else ""
    than = "speech" if work == "speech" else "one reads"
    why += f"; stronger, and slower than {than} here: {', '.join(slow)}" if slow else ""
    return Recommendation(work=work, chosen=best, why=why, candidates=candidates)


def _strength(each: ModelProposal) -> tuple[float, ...]:
    return *strength_rank(each.tier, each.evidence), each.alone, each.weight, each.decode.mid, each.is_pulled


def _strength_text(each: ModelProposal) -> str:
    size = f"{each.parameters / 1e9:.1f}B" if each.parameters >= 1e9 else f"{each.parameters / 1e6:.0f}M"
    return f"{each.tier or 'of unknown strength'} by its {size} parameters"


def _proposals(machine: Machine, weights: WeightsStore, work: Work) -> list[ModelProposal]:
    machine = without_cards(machine)
    found = []
    for row in weights.rows():
        model = row_model(row.name, weights)
        if model is None or not _does_work(model, work):
            continue
        needed, parameters = memory_needed(row, model)
        seconds, what, decode = _seconds(row, model, work, parameters, machine)
        strength = next((each for each in model.strength if each.task == _TASKS[work]), None)
        found.append(
            ModelProposal(
                name=row.name,
                title=row.title,
                work=work,
                tier=strength.tier if strength is not None else "",
                evidence=strength.evidence.level if strength is not None else "",
                parameters=model.parameters or 0.0,
                weight=strength_size(model.parameters or 0.0, model.active),
                alone=work != "chat" or set(model.input) <= {"text", "document"},
                size=fetched_size(row, model),
                check=check_capacity(needed, machine),
                seconds=seconds,
                what=what,
                decode=decode,
                is_pulled=weights.path(row.name) is not None,
            )
        )
    return found


def _does_work(model: Model, work: Work) -> bool:
    """Return whether a model does this work. An embedding model also has to accept ``PROMPT`` tokens."""
    long = work != "embedding" or model.context is None or model.context >= PROMPT
    return _TASKS[work] in model.tasks and long


def _seconds(
    row: WeightsRow, model: Model, work: Work, parameters: float, machine: Machine
) -> tuple[Quantity, str, Quantity]:
    """Return the seconds for a typical piece of work, what it is, and the decode speed in tokens per second."""
    if work == "speech":
        shipped_row = served_row(row.name)
        factor = (
            shipped_row.speed.realtime_factor if shipped_row is not None and shipped_row.speed is not None else None
        )
        basis = shipped_row.speed.basis if shipped_row is not None and shipped_row.speed is not None else ""
        timed = between(*factor, basis).scaled(SPEECH) if factor is not None else Quantity()
        return timed, f"{SPEECH:.0f} s of speech", Quantity()
    pace = speed_of_parameters(parameters, model.active or parameters, machine, prompt=PROMPT)
    if work == "embedding":
        return pace.first_word, f"a text of {PROMPT:,} tokens", Quantity()
    if not (pace.decode.known and pace.first_word.known):
        return Quantity(), f"an answer of {ANSWER} tokens", pace.decode
    rate, first = pace.decode, pace.first_word
    seconds = between(
        first.low + ANSWER / rate.high, first.mid + ANSWER / rate.mid, first.high + ANSWER / rate.low,
        "by its parameters and this machine's bandwidth",
    )  # fmt: skip
    return seconds, f"a prompt of {PROMPT:,} tokens and an answer of {ANSWER}", rate
