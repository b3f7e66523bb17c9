"""Builds the steps before the last call, once per plan and shared by all routes with the same assignment."""

from __future__ import annotations

from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.core.quantity import Quantity
from intermodal.core.request import Aspect
from intermodal.cost_model.levels import Levels, levels, quantity
from intermodal.cost_model.tokens import CHARS_OF_TOKEN
from intermodal.planner.candidates.quality_checks import conversion_checks
from intermodal.planner.conversion.conversion_option import (
    TASK_OF,
    ConversionOption,
    ConversionStep,
    ConvertersByJob,
    PartConversion,
)
from intermodal.planner.conversion.conversion_outcomes import partial_aspects
from intermodal.planner.conversion.conversion_steps import pages_title
from intermodal.planner.conversion.fidelity import KEPT_BY_STEP, LOST_BY_STEP, in_aspect_order
from intermodal.planner.explanation.plan_text import route_summary, route_warnings, strength_text
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment, parts_with_loaded_converters
from intermodal.plans.cpu_schedule import core_use
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import PartRef, StepRef
from intermodal.plans.step import (
    Call,
    CallOp,
    Check,
    SelectPages,
    Step,
    StepEstimate,
    TranscribeSpeech,
    Transform,
    TransformOp,
    step_id,
)

Steps = tuple[tuple[Step, ...], tuple[str, ...]]  # steps of a part, and references to their results
_TRANSFORMS: dict[str, TransformOp] = {
    "extract": "extract",
    "render": "render",
    "frames": "frames",
    "demux": "demux",
    "resize": "resize",
    "subtitles": "subtitles",
    "properties": "properties",
}
_CALLS: dict[str, CallOp] = {"read": "read", "transcribe": "transcribe", "describe": "describe"}


class PreparationSteps(Struct, frozen=True):
    """The steps before the last call, references to their results, and their summary."""

    steps: tuple[Step, ...]
    inputs: tuple[str, ...]
    names: str
    keeps: tuple[Aspect, ...]
    loses: tuple[Aspect, ...]
    warnings: tuple[str, ...]
    summary: str
    checks: tuple[Check, ...]


class StepBuilder:
    """Builds the steps of assignments."""

    def __init__(self, case: PlanningCase, conversions: ConvertersByJob) -> None:
        self.case = case
        self.conversions = conversions
        self._steps: dict[tuple[int, int, frozenset[str]], Steps] = {}
        self._estimates: dict[tuple[int, bool], StepEstimate] = {}
        self._befores: dict[tuple[object, ...], PreparationSteps] = {}

    def preparation_steps(self, assignment: Assignment) -> PreparationSteps:
        """Return the steps shared by all routes with this assignment, cached."""
        key = (assignment.cold, *map(id, assignment.options))
        found = self._befores.get(key)
        if found is None:
            case = self.case
            steps, inputs = self._conversions(assignment)
            loses = {aspect for option in assignment.options for aspect in option.loses}
            keeps = {aspect for option in assignment.options for aspect in option.keeps} - loses
            found = self._befores[key] = PreparationSteps(
                steps=tuple(steps),
                inputs=tuple(inputs),
                names=",".join([step.id for step in steps]),
                keeps=in_aspect_order(keeps),
                loses=in_aspect_order(loses),
                warnings=route_warnings(case, assignment),
                summary=route_summary(case, assignment),
                checks=conversion_checks(case, self.conversions, assignment, steps),
            )
        return found

    def _conversions(self, assignment: Assignment) -> tuple[list[Step], list[str]]:
        """Return the steps in part order, and the references that represent the parts."""
        case = self.case
        by_part: dict[int, Steps] = {}
        for bundle, option, place, cold in parts_with_loaded_converters(case, assignment.options, assignment.cold):
            part, conversion = bundle.parts[place], option.conversions[place]
            if conversion.steps:
                by_part[part.index] = self._part_steps(bundle, option, place, part, conversion, cold)
            else:
                by_part[part.index] = ((), (str(PartRef(part.index)),))
        if case.job != "transcribe" and not case.translating:  # the translation instruction is not part of the request
            for text in case.texts:
                by_part[text.index] = ((), (str(PartRef(text.index)),))
        steps: list[Step] = []
        inputs: list[str] = []
        for index in sorted(by_part):
            part_steps, stands_for = by_part[index]
            steps += part_steps
            inputs += stands_for
        return steps, inputs

    def _part_steps(
        self,
        bundle: Bundle,
        option: ConversionOption,
        place: int,
        part: PartFacts,
        conversion: PartConversion,
        cold: frozenset[str],
    ) -> Steps:
        key = (id(option), part.index, cold)
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = self._make_part(bundle, option, place, part, conversion, cold)
        return found

    def _make_part(
        self,
        bundle: Bundle,
        option: ConversionOption,
        place: int,
        part: PartFacts,
        conversion: PartConversion,
        cold: frozenset[str],
    ) -> Steps:
        steps: list[Step] = []
        step_refs: list[str] = []
        ends: list[str] = []
        source = str(PartRef(part.index))
        if bundle.kind == "document" and option.left_out:
            steps.append(_select_step(part, source, conversion, bundle, place))
            source = str(StepRef(steps[0].id))
        if option.name in ("native", "read_along"):
            ends.append(source)
        warmed: set[str] = set()
        for conversion_step in conversion.steps:
            input_ref = step_refs[conversion_step.source_step] if conversion_step.source_step >= 0 else source
            step: Step
            if conversion_step.endpoint is None:
                step = self._transform(conversion_step, part, input_ref, option, conversion)
            else:
                starts = conversion_step.endpoint.id in cold and conversion_step.endpoint.id not in warmed
                warmed.add(conversion_step.endpoint.id)
                step = self._call(
                    conversion_step, conversion_step.endpoint, part, input_ref, (option, conversion), starts
                )
            step_refs.append(str(StepRef(step.id)))
            steps.append(step)
            if conversion_step.for_final_call:
                ends.append(step_refs[-1])
        return tuple(steps), tuple(ends)

    def _call(
        self,
        step: ConversionStep,
        endpoint: Endpoint,
        part: PartFacts,
        source: str,
        on: tuple[ConversionOption, PartConversion],
        cold: bool,
    ) -> Call:
        task, (option, conversion), params = TASK_OF[step.op], on, step.parameters.pairs()
        keeps, loses = _own_aspects(step, option)
        return Call(
            id=step_id(step.op, endpoint.id, params, (source,)), op=_CALLS[step.op], task=task,
            endpoint=endpoint.id, inputs=(source,), part=part.index, title=f"{part.name} {step.title}",
            params=params, keeps=keeps, loses=loses, note=strength_text(endpoint, task),
            estimate=self._estimate(step, cold),
            partly=partial_aspects(self.case, part, step, conversion, keeps),
        )  # fmt: skip

    def _transform(
        self,
        step: ConversionStep,
        part: PartFacts,
        source: str,
        option: ConversionOption,
        conversion: PartConversion,
    ) -> Transform:
        keeps, loses = _own_aspects(step, option)
        params = step.parameters.pairs()
        return Transform(
            id=step_id(step.op, "", params, (source,)),
            op=_TRANSFORMS[step.op],
            inputs=(source,),
            part=part.index,
            title=f"{part.name} {step.title}",
            params=params,
            keeps=keeps,
            loses=loses,
            estimate=self._estimate(step, False),
            partly=partial_aspects(self.case, part, step, conversion, keeps),
        )

    def _estimate(self, step: ConversionStep, cold: bool) -> StepEstimate:
        key = (id(step), cold)
        found = self._estimates.get(key)
        if found is None:
            endpoint = step.endpoint
            rates = self.case.rates(endpoint) if endpoint is not None else None
            found = self._estimates[key] = StepEstimate(
                input_tokens=quantity(step.reads, "counted and estimated", 0) if step.op == "describe" else Quantity(),
                output_tokens=step.tokens if endpoint is not None else Quantity(),
                cost=quantity(step.cost, "price list", 8),
                seconds=quantity(step.seconds, "speed", 3),
                load_seconds=quantity(rates.load, "cold start", 3) if rates is not None and cold else Quantity(),
                memory=quantity(rates.memory, "resident when loaded", 0) if rates is not None else Quantity(),
                cores=core_use(endpoint, self.case.machine.cores).cores,
                text=quantity(_chars(step.tokens), "4 characters a token", 0),
            )
        return found


def _own_aspects(step: ConversionStep, option: ConversionOption) -> tuple[tuple[Aspect, ...], tuple[Aspect, ...]]:
    """Return the aspects that a step keeps and loses; if several steps convert a part, only this step's share."""
    if step.op == "properties":
        return (), (option.loses if option.name == "properties" else ())
    if option.name in ("mixed", "figured", "watch", "both", "read_along"):
        if not step.for_final_call:
            return (), ()
        own: set[Aspect] = {*KEPT_BY_STEP.get(step.op, ())}
        if isinstance(step.parameters, TranscribeSpeech) and step.parameters.separate_channels:
            own.add("speakers")
        lost = {*LOST_BY_STEP.get(step.op, ())} | ({"words"} & own if step.op == "transcribe" else set())
        lost |= {"timing"} & own  # words are joined without their times
        arrives = own - (lost & {*option.loses})
        keeps = in_aspect_order(arrives)
        return keeps, tuple(aspect for aspect in option.loses if aspect in lost)
    if step.op == "render":
        return (option.keeps if option.name == "render" else ()), ()
    return option.keeps, option.loses


def _select_step(part: PartFacts, source: str, conversion: PartConversion, bundle: Bundle, place: int) -> Transform:
    selected = tuple(sorted({page for step in conversion.steps for page in step.pages}))
    out = tuple(page.number for page in bundle.pages[place] if page.number not in selected)
    params = SelectPages(pages=selected, left_out=out).pairs()
    return Transform(
        id=step_id("select", "", params, (source,)), op="select", inputs=(source,), part=part.index,
        title=f"{part.name} {pages_title(selected)}", params=params,
        note=f"leaves out {pages_title(out)}" if out else "",
    )  # fmt: skip


def _chars(tokens: Quantity) -> Levels:
    low, mid, high = levels(tokens)
    return (low * CHARS_OF_TOKEN, mid * CHARS_OF_TOKEN, high * CHARS_OF_TOKEN)
