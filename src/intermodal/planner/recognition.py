"""Requests for the words or properties of files and nothing else.

Text or speech recognition alone, or no model at all, answers them, as an alternative to routes on which a model
answers. Such a route consists of the conversions without a final call: the same steps, estimates and checks as if a
model received the words. It is considered only if the whole question asks for the words of such files
(``QuestionFacts.words_alone``), or if a recognition model was named. Its losses count as on any route, and the
objective decides between the two. If the question certainly asks only for properties of the files
(``MediumNeeds.properties_answer``), the answer consists of the properties found by probing: exact and free. If it asks
for both, the words follow the properties.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.core.hints import hint
from intermodal.core.request import TIERS
from intermodal.cost_model.levels import HIGH, MID, ZEROS, quantity
from intermodal.cost_model.token_rules import NO_RULES
from intermodal.errors import NoRoute
from intermodal.planner.candidates.egress import converter_sends
from intermodal.planner.candidates.step_builder import PreparationSteps, StepBuilder
from intermodal.planner.catalog_index import Job, tier_name
from intermodal.planner.conversion.conversion_option import (
    TEXT,
    ConversionOption,
    ConversionStep,
    ConvertersByJob,
    Loss,
)
from intermodal.planner.conversion.conversion_options import conversion_options
from intermodal.planner.conversion.converters import StrengthFloors, shortlist_converters
from intermodal.planner.conversion.fidelity import in_aspect_order, medium_of
from intermodal.planner.eligibility.eligible_endpoints import eligible_endpoints, needed_jobs
from intermodal.planner.eligibility.strength_floors import DEFAULT_FLOOR
from intermodal.planner.explanation.notes import file_notes
from intermodal.planner.explanation.plan_text import loss_reason, lossy_verdict, part_needs, policy_line
from intermodal.planner.explanation.verdict_builder import part_judgements
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase, make_case
from intermodal.planner.route_estimates.assignment import Assignment, assign
from intermodal.planner.route_estimates.routes import Route, peak_memory_levels, route_limits
from intermodal.planner.route_search.objectives import objective_number
from intermodal.plans import numbers
from intermodal.plans.numbers import with_noun
from intermodal.plans.plan import Candidate, Outranked, Plan, StepRef, parse_reference
from intermodal.plans.step import ConcatenateTexts, Step, StepEstimate, Transform, step_id
from intermodal.plans.verdict import Instead, Other, Verdict, joined_names, judge

_JOBS: tuple[Job, ...] = ("read", "transcribe")  # recognition jobs
# The option of a route that ends with properties, and the operations of routes that end with words.
_PROPERTIES = "properties"
_STEPS = ("extract", "render", "read", "demux", "subtitles", "transcribe", _PROPERTIES)
_INSTEAD: dict[frozenset[str], Instead] = {
    frozenset(): "text extraction",
    frozenset(("read",)): "text recognition",
    frozenset(("transcribe",)): "speech recognition",
    frozenset(("read", "transcribe")): "text and speech recognition",
}
NOT_DIRECT = "no model answers"


class _Recognition(Struct):
    """A route that ends with the words of files. ``number``: the value that the objective minimises.

    ``endpoint``: the last recognition endpoint; None if all words are extracted.
    """

    case: PlanningCase
    conversions: ConvertersByJob
    assignment: Assignment
    endpoint: Endpoint | None
    number: float

    @property
    def name(self) -> str:
        return "" if self.endpoint is None else self.endpoint.id

    @property
    def order(self) -> tuple[float | str, ...]:
        return (*self.assignment.loss, self.number, self.assignment.before[MID], self.name)

    @property
    def instead(self) -> Instead:
        """Return what replaces an answering model."""
        if asks_for_properties(self.case):
            return "file properties"
        return _INSTEAD[frozenset(step.op for step in _steps(self.assignment) if step.op in _JOBS)]

    @property
    def summary(self) -> str:
        return f"{self.instead} and file properties" if _adds_properties(self.case) else f"{self.instead} alone"


def _steps(assignment: Assignment) -> Iterator[ConversionStep]:
    for option in assignment.options:
        for conversion in option.conversions:
            yield from conversion.steps


def asks_for_recognition(case: PlanningCase) -> bool:
    """Return whether the words or the properties of the files may be the answer.

    True only if the question asks for nothing else, of any file.
    """
    request = case.request
    if case.job != "generate" or case.output != "text" or request.tools or len(request.messages) != 1:
        return False
    if case.text_files or case.policy.translate or not case.bundles:
        return False
    if asks_for_properties(case):
        return case.named_endpoints is None
    images = (part for bundle in case.bundles if bundle.kind == "image" for part in bundle.parts)
    if any(part.frames > 1 for part in images):  # read frame by frame, which these routes do not join
        return False
    words_alone = all(bundle.kind in case.question_facts.words_alone for bundle in case.bundles)
    if case.named_endpoints is None:
        return words_alone
    groups = [case.index.group_of[name] for name in case.named_endpoints]
    return all({*group.jobs} & {*_JOBS} for group in groups) and (words_alone or not case.question.strip())


def _adds_properties(case: PlanningCase) -> bool:
    """Return whether the question asks for properties beside the words."""
    return not asks_for_properties(case) and any(bundle.properties for bundle in case.bundles)


def asks_for_properties(case: PlanningCase) -> bool:
    """Return whether the question certainly asks only for properties, of every file."""
    if not case.bundles or case.policy.keep:
        return False
    question_facts = case.question_facts
    return all(
        each.properties and question_facts.needs_of(medium_of(each.parts[0])).properties_answer for each in case.bundles
    )


def plan_recognition(case: PlanningCase, plan_of: Callable[[PlanningCase], tuple[Route, Plan]]) -> Plan:
    """Return the plan of the better route: recognition alone, or an answering model.

    Raises NoRoute if neither is available.
    """
    try:
        route, plan = plan_of(case)
    except NoRoute as error:
        found = _best_recognition(case)
        if found is None:
            raise
        # With a named model, no alternative is searched.
        return _plan(found, None, error if case.named_endpoints is None else None)
    found = _best_recognition(case)
    if found is None:
        return plan
    why = _reason_for_model(found, route)
    if why:
        return msgspec.structs.replace(plan, outranked=(_outranked_route(found, why), *plan.outranked))
    return _plan(found, plan, None)


def recognition_candidate(case: PlanningCase) -> Candidate | None:
    """Return the route of recognition alone if it may answer this request; None otherwise."""
    found = _best_recognition(case) if asks_for_recognition(case) else None
    return None if found is None else _candidate(found)


def _best_recognition(case: PlanningCase) -> _Recognition | None:
    """Return the best route of recognition alone within the limits of the request; None if there is none."""
    if case.named_endpoints is not None:
        request = case.request
        free = msgspec.structs.replace(request, policy=msgspec.structs.replace(case.policy, model=""))
        unnamed = make_case(free, case.facts, case.index.catalog, case.machine, case.statistics, case.as_of)
        found = [
            each
            for each in _recognition_routes(unnamed)
            if set() < _recognizers(each.assignment) <= case.named_endpoints
        ]
    else:
        found = _recognition_routes(case)
    return min(filter(_is_within_limits, found), key=lambda each: each.order, default=None)


def _recognizers(assignment: Assignment) -> set[str]:
    """Return the endpoints that recognise text or speech on a route."""
    return {used.id for option in assignment.options for used in option.converters}


def _recognition_routes(case: PlanningCase) -> list[_Recognition]:
    """Return the routes under the highest floors at which every file has one."""
    jobs, required_tier = needed_jobs(case), case.policy.at_least
    left = eligible_endpoints(case, jobs)
    floors = range(DEFAULT_FLOOR, -1, -1) if required_tier is None else (TIERS.index(required_tier),)
    steps = itertools.product(*(floors if job in jobs else (0,) for job in ("transcribe", "read")))
    for hear, read in sorted(steps, key=lambda each: (-sum(each), each)):
        conversions, _ = shortlist_converters(case, left, StrengthFloors(answer=0, hear=hear, read=read), None)
        options = [_word_options(case, bundle, conversions) for bundle in case.bundles]
        if all(options):
            return [
                _recognition(case, conversions, chosen_options)
                for pair in itertools.product(*([*conversions.get(job, []), None] for job in _JOBS))
                if (chosen_options := _options_using(pair, options)) is not None
            ]
    return []


def _word_options(case: PlanningCase, bundle: Bundle, conversions: ConvertersByJob) -> list[ConversionOption]:
    options = conversion_options(case, bundle, conversions)
    if asks_for_properties(case):
        return [option for option in options if option.name == _PROPERTIES]
    found = map(_without_times, filter(_ends_with_words, options))
    return [each for each in found if not set(case.policy.keep) & set(each.loses)]


def _without_times(option: ConversionOption) -> ConversionOption:
    """Return the option with its times lost, because the answer is plain words."""
    if "timing" not in option.keeps:
        return option
    keeps = tuple(aspect for aspect in option.keeps if aspect != "timing")
    loses = in_aspect_order({*option.loses, "timing"})
    return msgspec.structs.replace(option, keeps=keeps, loses=loses, refused={}, weighted_scores={}, options={})


def _options_using(
    used: tuple[Endpoint | None, ...], options: list[list[ConversionOption]]
) -> tuple[ConversionOption, ...] | None:
    """Return the option of each bundle with the least loss that uses these endpoints.

    None if a bundle has no such option, or if an endpoint is not used.
    """
    names = {each.id for each in used if each is not None}
    usable_options = [
        [each for each in bundle_options if {converter.id for converter in each.converters} <= names]
        for bundle_options in options
    ]
    if not all(usable_options):
        return None
    chosen_options = tuple(min(bundle_options, key=_option_order) for bundle_options in usable_options)
    return (
        chosen_options
        if {converter.id for option in chosen_options for converter in option.converters} == names
        else None
    )


def _option_order(option: ConversionOption) -> tuple[Loss, float, float, float]:
    return option.loss, option.penalty, option.cost[MID], option.chain[MID]


def _ends_with_words(option: ConversionOption) -> bool:
    """Return whether an option consists of the extracted or recognised words of the complete files.

    Their properties may be beside them.
    """
    ops_by_part = [{step.op for step in conversion.steps} for conversion in option.conversions]
    return option.kinds <= TEXT and not option.left_out and all(
        ops <= {*_STEPS} and ops - {_PROPERTIES} for ops in ops_by_part
    )  # fmt: skip


def _recognition(
    case: PlanningCase, conversions: ConvertersByJob, options: tuple[ConversionOption, ...]
) -> _Recognition:
    endpoint = _last_recognizer(case, options)
    rules = NO_RULES if endpoint is None else case.token_rules(case.index.group_of[endpoint.id])
    assignment = assign(case, options, rules)
    number = objective_number(case.policy, assignment.cost[MID], assignment.before[MID], assignment.penalty)
    return _Recognition(case, conversions, assignment, endpoint, round(number, 9))


def _last_recognizer(case: PlanningCase, options: tuple[ConversionOption, ...]) -> Endpoint | None:
    """Return the endpoint of the last recognition call in part order; None if all words are extracted."""
    found = [
        (part.index, place, step.endpoint)
        for bundle, option in zip(case.bundles, options, strict=True)
        for part, conversion in zip(bundle.parts, option.conversions, strict=True)
        for place, step in enumerate(conversion.steps)
        if step.endpoint is not None
    ]
    return max(found, key=lambda each: each[:2])[2] if found else None


def _is_within_limits(recognition: _Recognition) -> bool:
    assignment = recognition.assignment
    return route_limits(recognition.case, 0).afford(
        assignment.cost[HIGH], assignment.before[HIGH], assignment.peak[HIGH]
    )


def _reason_for_model(recognition: _Recognition, route: Route) -> str:
    """Return why a route with an answering model is better; "" if it is not."""
    case, assignment = recognition.case, recognition.assignment
    if assignment.loss != route.loss:
        return "loses words that the question asks for" if assignment.loss > route.loss else ""
    objective = case.policy.objective
    if objective == "best":
        return f"{tier_name(assignment.tier)} < {tier_name(route.tier)}" if assignment.tier < route.tier else ""
    model_value = {"default": route.score, "fastest": route.seconds}.get(objective, route.cost)
    if recognition.number <= model_value:
        return ""
    if objective == "fastest":
        return f"{numbers.plain_seconds(recognition.number)} s > {numbers.plain_seconds(model_value)} s"
    return f"${numbers.plain_money(recognition.number)} > ${numbers.plain_money(model_value)}"


def _with_comparison(recognition: _Recognition, other: Outranked) -> Outranked:
    """Return an outranked route of the answering plan, compared with this route instead."""
    cost, seconds, objective = other.total.cost, other.total.seconds, recognition.case.policy.objective
    if not (cost.known and seconds.known) or objective == "best" or other.reason.startswith("loses"):
        return other
    money, time = f"${numbers.plain_money(cost.mid)}", f"{numbers.plain_seconds(seconds.mid)} s"
    if objective == "fastest":
        return msgspec.structs.replace(other, reason=f"{time} > {numbers.plain_seconds(recognition.number)} s")
    spent = f"{money} + {time}" if objective == "default" else money
    return msgspec.structs.replace(other, reason=f"{spent} > ${numbers.plain_money(recognition.number)}")


def _outranked_route(recognition: _Recognition, why: str) -> Outranked:
    return Outranked(endpoint=recognition.name, summary=recognition.summary, total=_total(recognition), reason=why)


def _total(recognition: _Recognition) -> StepEstimate:
    assignment = recognition.assignment
    return StepEstimate(
        output_tokens=quantity(assignment.output_tokens, "sum", 0),
        cost=quantity(assignment.cost, "price not known" if assignment.cost[HIGH] == math.inf else "price list", 8),
        seconds=quantity(assignment.before, "schedule over cores and network", 3),
        load_seconds=quantity(assignment.load, "cold start", 3),
        memory=quantity(peak_memory_levels(assignment, ZEROS, ends=False), "of what is loaded for it", 0),
    )


def _candidate(recognition: _Recognition) -> Candidate:
    case, assignment = recognition.case, recognition.assignment
    before, total = StepBuilder(case, recognition.conversions).preparation_steps(assignment), _total(recognition)
    steps = _answering_steps(case, before)
    names = ",".join(step.id for step in steps)
    hashed = hashlib.sha256(msgspec.json.encode((names, recognition.summary, total, recognition.number)))
    return Candidate(
        id=hashed.hexdigest()[:12],
        steps=steps,
        endpoint=recognition.name,
        total=total,
        score=recognition.number,
        tier=tier_name(min(assignment.tier, len(TIERS) - 1)),
        keeps=before.keeps,
        loses=before.loses,
        sends=tuple(converter_sends(case, assignment, {})),
        warnings=before.warnings,
        summary=recognition.summary,
        checks=tuple(each for each in before.checks if each.op != "size"),  # no model receives the result
        lost=assignment.lost,
        verdict=_verdict(recognition, None).value,
        cores=case.machine.cores,
        decoders=assignment.decoders,
    )


def _answering_steps(case: PlanningCase, before: PreparationSteps) -> tuple[Step, ...]:
    """Return the steps; if several produce words, with a final step that concatenates them."""
    words = tuple(each for each in before.inputs if isinstance(parse_reference(each), StepRef))
    if len(words) == 1:
        return before.steps
    files = with_noun(sum(len(bundle.parts) for bundle in case.bundles), "file")
    params = ConcatenateTexts().pairs()
    concat = Transform(
        id=step_id("concat", "", params, words), op="concat", inputs=words, part=-1, title=f"texts of {files}",
        params=params, keeps=before.keeps, loses=before.loses,
    )  # fmt: skip
    return (*before.steps, concat)


def _verdict(recognition: _Recognition, alternative: Other | None, keeps: Other | None = None) -> Verdict:
    parts = part_judgements(recognition.case, recognition.assignment)
    value = judge(parts, answers=False)
    keeps = keeps if value == "not_enough" else None
    return Verdict(value=value, parts=parts, instead=recognition.instead, language_model=alternative, keeps=keeps)


def _plan(recognition: _Recognition, plan: Plan | None, error: NoRoute | None) -> Plan:
    """Return the plan of recognition alone. ``plan``: the plan of an answering model; ``error``: why there is none."""
    case, candidate = recognition.case, _candidate(recognition)
    alternative = _model_alternative(plan, error)
    # If the other route loses it too, its plan knows what would keep it.
    verdict = _verdict(recognition, alternative, alternative if plan is None else plan.verdict.keeps)
    others = () if plan is None else (plan.chosen, *plan.fallbacks)
    return Plan(
        id="",
        headline=_headline(recognition, alternative, verdict),
        policy_line=policy_line(case, TIERS[DEFAULT_FLOOR]),
        objective=case.policy.objective,
        chosen=candidate,
        fallbacks=others,
        outranked=() if plan is None else tuple(_with_comparison(recognition, each) for each in plan.outranked),
        rejected=() if plan is None else plan.rejected,
        notes=_notes(recognition, candidate),
        catalog=case.index.catalog.version,
        statistics=case.statistics.epoch,
        as_of=case.as_of,
        needs=part_needs(case),
        verdict=verdict,
        not_direct=NOT_DIRECT,
    )


def _model_alternative(plan: Plan | None, error: NoRoute | None) -> Other:
    """Return the route with an answering model and its figures, or why there is none."""
    if plan is not None:
        total = plan.chosen.total
        return Other(endpoint=plan.chosen.endpoint, summary=plan.chosen.summary, cost=total.cost, seconds=total.seconds)
    reason = "" if error is None else str(error.hints.reasons[0] if error.reasons else error.hints.what)
    return Other(endpoint="", summary="", kept_out=reason)


def _notes(recognition: _Recognition, chosen_candidate: Candidate) -> tuple[str, ...]:
    limit, output_tokens = recognition.case.request.sampling.max_tokens, recognition.assignment.output_tokens[MID]
    notes = [*chosen_candidate.warnings]
    if limit is not None and output_tokens > limit:
        cut = "the words are about {} tokens, and are cut after {} ({max-tokens})"
        notes.append(hint(cut, f"{output_tokens:,.0f}", f"{limit:,}"))
    return tuple(dict.fromkeys([*notes, *file_notes(recognition.case, recognition.assignment, chosen_candidate)]))


def _headline(recognition: _Recognition, alternative: Other, verdict: Verdict) -> str:
    words = "the words and properties" if _adds_properties(recognition.case) else "the words"
    asked_for = "properties" if asks_for_properties(recognition.case) else words
    what = f"only {asked_for} of {joined_names(bundle.title for bundle in recognition.case.bundles)} are asked for"
    short = lossy_verdict(verdict, loss_reason(recognition.case, verdict))
    text = hint("no language model needed: {}, as {}{}", recognition.summary, what, short)
    if not alternative.endpoint or alternative.seconds is None:
        return (
            hint("{}; no model that answers is open: {}", text, alternative.kept_out) if alternative.kept_out else text
        )
    price = f"{numbers.money(alternative.cost)}, {numbers.seconds(alternative.seconds)}"
    return hint("{}; a model that answers: {} ({})", text, alternative.endpoint, price)


__all__ = ["asks_for_recognition", "plan_recognition", "recognition_candidate"]
