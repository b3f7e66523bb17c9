"""Earlier OCR runs and transcripts: how much of an aspect they leave, and which converters may repeat them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from intermodal.catalog.types import Endpoint
from intermodal.core.request import Aspect
from intermodal.planner.conversion.conversion_option import TASK_OF, ConversionStep, PartConversion
from intermodal.planner.planning_case import PlanningCase
from intermodal.plans.facts import ConversionOutcome, PartFacts
from intermodal.plans.step import Call, Portion, SampleFrames, Step, Transform

# Aspects that are lost if a scene is not sampled.
_VISUAL_ASPECTS: tuple[Aspect, ...] = ("words", "layout", "appearance", "figures")


def partial_aspects(
    case: PlanningCase, part: PartFacts, step: ConversionStep, conversion: PartConversion, keeps: Collection[Aspect]
) -> tuple[Portion, ...]:
    """Return the shares of aspects that a step keeps.

    They count the scenes sampled, or the lines, pages or seconds that an earlier reading was confident of.
    """
    sampling = _sampling(step, conversion)
    if sampling is not None and part.kind == "video":
        most, scenes = sampling.most or 0, 1 + len(part.cuts)
        if not sampling.by_scene or most >= scenes:
            return ()
        return tuple(
            Portion(aspect=each, kept=most, of=scenes, unit="scenes") for each in _VISUAL_ASPECTS if each in keeps
        )
    if "words" not in keeps or step.endpoint is None:
        return ()
    if step.op == "transcribe":
        return transcribed_portion(case, part, step.endpoint)
    portion = earlier_portion(part, step.pages) if step.op == "read" and part.kind != "video" else None
    return (portion,) if portion is not None else ()


def transcribed_portion(case: PlanningCase, part: PartFacts, transcriber: Endpoint) -> tuple[Portion, ...]:
    """Return the share of speech that an earlier transcript recognised with confidence.

    Empty if that was nearly all, if this transcriber is better than the earlier one, or if it is remote, because
    nothing is known about it.
    """
    portion = earlier_portion(part)
    before = ConversionOutcome(op="transcribe", endpoint=part.read_by, problem="confidence")
    if portion is None or transcriber.host.zone != "process" or may_redo(case, transcriber, before):
        return ()
    return (portion,)


def earlier_portion(part: PartFacts, pages: Collection[int] = ()) -> Portion | None:
    """Return the share of an image, scanned pages or speech read with confidence before; None if nearly all."""
    kept, of = part.read_before
    if not part.pages:
        unit: Literal["seconds", "lines"] = "seconds" if part.kind in ("audio", "video") else "lines"
        return Portion(aspect="words", kept=kept, of=of, unit=unit) if of else None
    scans = [page for page in part.pages if (page.number in pages if pages else page.scanned)]
    bad = sum(page.read_before != (0, 0) for page in scans)
    return Portion(aspect="words", kept=len(scans) - bad, of=len(scans), unit="pages") if bad else None


def portion_notes(steps: Iterable[Step], names: dict[int, str]) -> list[str]:
    """Return the notes on doubtful words. Notes on scenes are written per video (``video_options.scene_notes``)."""
    return [
        f"{each.amount} of the words of {names[step.part]} arrive as they are: {confidence_text(each)}"
        for step in steps
        if isinstance(step, Call | Transform)
        for each in step.partly
        if each.unit != "scenes"
    ]


def confidence_text(portion: Portion) -> str:
    """Return the confidence of an earlier reading as text."""
    how, what = ("hearing", "seconds of speech") if portion.unit == "seconds" else ("reading", portion.unit)
    return f"an earlier {how} was sure of {portion.kept:,} of {portion.of:,} {what}"


def _sampling(step: ConversionStep, conversion: PartConversion) -> SampleFrames | None:
    """Return the sampling of the frames that a step produces, reads or describes; None if it has no frames."""
    own = step.parameters
    given = own if isinstance(own, SampleFrames) or step.of < 0 else conversion.steps[step.of].parameters
    return given if isinstance(given, SampleFrames) else None


def may_redo(case: PlanningCase, after: Endpoint, done: ConversionOutcome) -> bool:
    """Return whether a converter may repeat a conversion.

    The same converter, or one no stronger, would not do better.
    """
    if after.id == done.endpoint:
        return False
    if done.problem == "language":
        languages = after.model.languages
        return not languages or (done.language in languages if done.language else False)
    failed, task = case.index.group_of.get(done.endpoint), TASK_OF[done.op]
    return failed is None or case.index.group_of[after.id].tier(task) > failed.tier(task)
