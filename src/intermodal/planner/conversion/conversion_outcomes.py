"""Outcomes of earlier conversions: how much of an aspect OCR or a transcript left, and what may repeat them."""

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
    if step.op != "read" or part.kind == "video":
        return ()
    local = step.endpoint.host.zone == "process"
    unread = {page.number for page in part.pages if local and page.scanned and case.is_unreadable(page.script)}
    portion = portion_read_before(part, step.pages, unread)
    return (portion,) if portion is not None else ()


def transcribed_portion(case: PlanningCase, part: PartFacts, transcriber: Endpoint) -> tuple[Portion, ...]:
    """Return the share of speech that an earlier transcript recognised with confidence.

    Empty if that was nearly all, if this transcriber is better than the earlier one, or if it is remote, because
    nothing is known about it.
    """
    portion = portion_read_before(part)
    before = ConversionOutcome(op="transcribe", endpoint=part.read_by, problem="confidence")
    if portion is None or transcriber.host.zone != "process" or may_redo(case, transcriber, before):
        return ()
    return (portion,)


def portion_read_before(
    part: PartFacts, pages: Collection[int] = (), unread: Collection[int] = ()
) -> Portion | None:  # fmt: skip
    """Return the share of the words of an image, a document or speech read with confidence before; None if nearly all.

    ``pages``: those that are read, by default the scanned ones. ``unread``: those in a script that no reader supports.
    """
    read_amount, total = part.read_before
    if not part.pages:
        unit: Literal["seconds", "lines"] = "seconds" if part.kind in ("audio", "video") else "lines"
        return Portion(aspect="words", kept=read_amount, of=total, unit=unit) if total else None
    read = {page.number for page in part.pages if (page.number in pages if pages else page.scanned)}
    doubted_pages = {page.number for page in part.pages if page.read_before != (0, 0) or page.number in unread} & read
    return _document_portion(part, doubted_pages, unread) if doubted_pages else None


def _document_portion(part: PartFacts, doubted_pages: Collection[int], unread: Collection[int]) -> Portion:
    """Return the share of a document's letters that are read with confidence: what is lost counts, not the worst page.

    ``doubted_pages``: those that are not. Whole pages are counted if the letters of no scan are known.
    """
    letter_counts = [page.letters.mid for page in part.pages if page.scanned and page.letters.known]
    if not letter_counts:
        return Portion(aspect="words", kept=len(part.pages) - len(doubted_pages), of=len(part.pages), unit="pages")
    kept_letters = total_letters = 0.0
    for page in part.pages:
        letters_estimate = page.figure_letters if not page.scanned else page.letters
        letters = (
            letters_estimate.mid
            if letters_estimate.known
            else sum(letter_counts) / len(letter_counts)
            if page.scanned
            else 0.0
        )
        sure, lines = page.read_before
        share = 0.0 if page.number in unread else sure / lines if page.number in doubted_pages and lines else 1.0
        text = 0 if page.scanned else page.chars + page.over
        kept_letters += text + share * letters
        total_letters += text + letters
    rounded_total = max(1, round(total_letters))
    return Portion(aspect="words", kept=min(rounded_total - 1, round(kept_letters)), of=rounded_total, unit="letters")


def portion_notes(steps: Iterable[Step], names: dict[int, str]) -> list[str]:
    """Return the notes on doubtful words. Notes on scenes are written per video (``video_options.scene_notes``)."""
    found = (
        f"{each.amount} of the words of {names[step.part]} arrive as they are: {confidence_text(each)}"
        for step in steps
        if isinstance(step, Call | Transform)
        for each in step.partly
        if each.unit != "scenes"
    )
    return list(dict.fromkeys(found))


def confidence_text(portion: Portion) -> str:
    """Return the confidence of an earlier reading as text."""
    if portion.unit in ("letters", "pages"):
        about = "about " if portion.unit == "letters" else ""
        return f"{about}{portion.kept:,} of its {portion.of:,} {portion.unit} can be read with confidence"
    activity, what = ("hearing", "seconds of speech") if portion.unit == "seconds" else ("reading", portion.unit)
    return f"an earlier {activity} was sure of {portion.kept:,} of {portion.of:,} {what}"


def _sampling(step: ConversionStep, conversion: PartConversion) -> SampleFrames | None:
    """Return the sampling of the frames that a step produces, reads or describes; None if it has no frames."""
    own = step.parameters
    parameters = (
        own if isinstance(own, SampleFrames) or step.source_step < 0 else conversion.steps[step.source_step].parameters
    )
    return parameters if isinstance(parameters, SampleFrames) else None


def may_redo(case: PlanningCase, after: Endpoint, outcome: ConversionOutcome) -> bool:
    """Return whether a converter may repeat a conversion.

    The same converter, or one no stronger, would not do better.
    """
    if after.id == outcome.endpoint:
        return False
    if outcome.problem == "language":
        languages = after.model.languages
        return not languages or (outcome.language in languages if outcome.language else False)
    failed, task = case.index.group_of.get(outcome.endpoint), TASK_OF[outcome.op]
    return failed is None or case.index.group_of[after.id].tier(task) > failed.tier(task)
