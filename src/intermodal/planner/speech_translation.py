"""Translation of speech: plans two kinds of routes separately and chooses the better one.

    a transcriber that translates   transcribes into another language in one call (Whisper: English only)
    a model that translates         receives a transcript, or the audio itself, and writes the translation

The second is planned as the answer to a request that asks for a translation in words, so its limits, prices and floors
are those of any answer; the executor keeps the times of the segments (``executor/outputs/translation.py``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from intermodal.catalog.types import Endpoint, Model
from intermodal.core.content import Text
from intermodal.core.hints import PULL_LIST, hint
from intermodal.core.languages import name_of
from intermodal.core.request import TIERS, TextOutput
from intermodal.cost_model.answer_length import AnswerLength
from intermodal.cost_model.levels import HIGH, levels, times
from intermodal.cost_model.tokens import transcript_tokens
from intermodal.errors import NoRoute
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.strength_floors import DEFAULT_FLOOR
from intermodal.planner.explanation.plan_text import or_language_model, policy_line
from intermodal.planner.planning_case import PlanningCase, make_case
from intermodal.planner.route_estimates.routes import Route
from intermodal.plans import numbers
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import Candidate, Outranked, Plan, Rejected
from intermodal.plans.verdict import Other, joined_names

T = TypeVar("T")

_MAX_NAMED_LANGUAGES = 8  # maximum number of languages named in a comparison
_LONGER = 1.5  # maximum length of a translation relative to the transcript; languages differ, and lines are numbered
_NUMBER = 4  # tokens of a line number; speech has a line every few seconds
FALLBACKS = 4
_ANOTHER_KIND = "this request asks for another output"  # the reason given for the other kind of endpoint


def translation_instruction(into: str) -> str:
    """Return the instruction for a model that translates a transcript."""
    return (
        f"Translate what is said into {name_of(into)}. Where lines have numbers, answer with the same numbers, one "
        "line for each. Write the translation and nothing else."
    )


def _as_instruction(case: PlanningCase) -> PlanningCase:
    """Return the request as an instruction to a generative model: transcript in, translation out."""
    request, into = case.request, case.into
    instruction = translation_instruction(into)
    parts = (
        *case.facts.parts,
        PartFacts(index=len(case.facts.parts), name="instruction", kind="text", chars=len(instruction)),
    )
    last = request.messages[-1]
    instructed = msgspec.structs.replace(
        request,
        messages=(*request.messages[:-1], msgspec.structs.replace(last, parts=(*last.parts, Text(text=instruction)))),
        output=TextOutput(),
        answer_tokens=math.ceil(_tokens(case)[HIGH]) + 16,
    )
    facts = msgspec.structs.replace(case.facts, parts=parts)
    instruction_case = make_case(instructed, facts, case.index.catalog, case.machine, case.statistics, case.as_of)
    instruction_case.translating = into
    instruction_case.texts = [parts[-1]]
    instruction_case.text_files, instruction_case.bundles, instruction_case.ignored = [], case.bundles, case.ignored
    low, mid, _ = _tokens(case)
    instruction_case.typical_answer = AnswerLength(low, mid, mid)
    instruction_case.ranked_answer = instruction_case.paid_answer = mid
    return instruction_case


def planning_cases(case: PlanningCase) -> tuple[PlanningCase, ...]:
    """Return the cases to plan for a request: the request itself, or the two kinds of translation."""
    return (case, _as_instruction(case)) if case.job == "transcribe" and case.into else (case,)


def case_for(kinds: Sequence[PlanningCase], endpoint: Endpoint) -> PlanningCase:
    """Return the case in which an endpoint would answer."""
    transcribers = "transcribe" in kinds[0].index.group_of[endpoint.id].jobs
    return kinds[0] if transcribers else kinds[-1]


def plan_each(kinds: Iterable[PlanningCase], make: Callable[[PlanningCase], T]) -> tuple[list[T], list[NoRoute]]:
    """Return the result for each case, and the errors of those without a route."""
    found: list[T] = []
    errors: list[NoRoute] = []
    for each in kinds:
        try:
            found.append(make(each))
        except NoRoute as error:
            errors.append(error)
    return found, errors


def fallback_order(own_routes: Sequence[T], others: Sequence[T], name: Callable[[T], str]) -> list[T]:
    """Return the order in which routes are tried: the chosen one, its fallbacks, then at least one of the other kind.

    Each endpoint (``name``) occurs once.

    >>> fallback_order(["whisper"], ["writer", "whisper"], str), fallback_order(list("abcde"), ["writer", "other"], str)
    (['whisper', 'writer'], ['a', 'b', 'c', 'd', 'e', 'writer'])
    """
    found: dict[str, T] = {}
    for each in (*own_routes, *others):
        found.setdefault(name(each), each)
    return list(found.values())[: 1 + max(FALLBACKS, len(own_routes))]


def _tokens(case: PlanningCase) -> tuple[float, float, float]:
    """Return the tokens of the translation, about as many as of the speech."""
    part = case.bundles[0].parts[0]
    low, mid, high = levels(transcript_tokens(part.seconds, None))
    lines = part.seconds.high / 3.0 * _NUMBER if part.seconds.known else 0.0
    return low, mid, times((high, high, high), _LONGER)[HIGH] + lines


def plan_translation(kinds: Sequence[PlanningCase], plan_of: Callable[[PlanningCase], tuple[Route, Plan]]) -> Plan:
    """Return the plan of the better kind of route, with the best of the other kind as a fallback and for comparison.

    Raises NoRoute if neither is available, with the reasons of both.
    """
    case = kinds[0]
    found, errors = plan_each(kinds, plan_of)
    if not found:
        raise _no_route_of_either_kind(case, errors)
    (_, plan), *others = sorted(found, key=lambda each: translation_order(case, each[0]))
    plan = msgspec.structs.replace(plan, policy_line=policy_line(case, TIERS[DEFAULT_FLOOR]))
    if plan.verdict.instead == "speech translation":
        alternative = (
            _language_model_alternative(others[0][1].chosen)
            if others
            else Other(endpoint="", summary="", kept_out=_closed_reason(errors[0]))
        )
        verdict = msgspec.structs.replace(plan.verdict, language_model=alternative)
        plan = msgspec.structs.replace(
            plan, verdict=verdict, headline=hint("{}{}", plan.headline, or_language_model(verdict))
        )
    if others:
        return _with(case, plan, others[0][1])
    closed = hint("no other route translates into {}: {}", case.into, _closed_reason(errors[0]))
    return msgspec.structs.replace(plan, notes=(*plan.notes, _comparison(case, plan.chosen), closed))


def _closed_reason(error: NoRoute) -> str:
    """Return why one kind of route is not available: its nearest miss."""
    return error.hints.reasons[0] if error.hints.reasons else error.hints.what


def _language_model_alternative(candidate: Candidate) -> Other:
    """Return the figures of a language model's route, to compare with a translating transcriber."""
    total = candidate.total
    return Other(endpoint=candidate.endpoint, summary=candidate.summary, cost=total.cost, seconds=total.seconds)


def translation_order(case: PlanningCase, route: Route) -> tuple[float | str, ...]:
    """Return the sort key: losses first, then whether the default strength is reached, then the objective."""
    policy = case.policy
    quality_first = policy.objective != "fastest" and policy.at_least is None and case.named_endpoints is None
    return (*route.loss, -min(route.tier, DEFAULT_FLOOR) if quality_first else 0, *route.key)


def _with(case: PlanningCase, plan: Plan, other: Plan) -> Plan:
    own_candidates, others = (plan.chosen, *plan.fallbacks), (other.chosen, *other.fallbacks)
    _, *fallbacks = fallback_order(own_candidates, others, lambda each: each.endpoint)
    endpoints = {each.endpoint for each in (*own_candidates, *others)}
    rows = [each for each in (*plan.outranked, *other.outranked) if each.endpoint not in endpoints]
    best = plan.chosen.score
    why = f"{_score(case, other.chosen)} > {_score(case, plan.chosen)}"
    if other.chosen.score <= best:
        why = f"its weakest link is {other.chosen.tier}, and that of the chosen one {plan.chosen.tier}"
    own_comparison, other_ = _comparison(case, plan.chosen), _comparison(case, other.chosen)
    options = [f"two routes into {case.into}: {own_comparison}; then {other_}: {why}"]
    return msgspec.structs.replace(
        plan, fallbacks=tuple(fallbacks), outranked=tuple(_distinct_rows(rows)),
        rejected=_own_rejections(plan, other), notes=(*plan.notes, *options),
    )  # fmt: skip


def _comparison(case: PlanningCase, candidate: Candidate) -> str:
    """Return the description of one kind of route: cost, time, languages, and whether the original words are kept."""
    total, last = candidate.total, candidate.call
    model = case.index.catalog.by_id[last.endpoint].model
    costs = f"{numbers.money(total.cost)}, {numbers.seconds(total.seconds)}; {_languages(model, last.op)}"
    if last.op == "transcribe":
        return (
            f"{last.endpoint} translates into {case.into} while transcribing ({costs}; the original words are not kept)"
        )
    transcribers = [step.endpoint for step in candidate.steps if step.op == "transcribe"]
    source = f"the transcript of {transcribers[0]}" if transcribers else "the audio"
    note = "the original words are kept" if transcribers else "the original words are not kept"
    return f"{last.endpoint} translates {source} ({costs}; {note})"


def _languages(model: Model, op: str) -> str:
    """Return the output languages of a model, as stated in its row."""
    if op == "transcribe":
        return f"into {joined_names(model.translates)} only"
    if not model.languages:
        return "its languages are not stated"
    languages = (
        joined_names(model.languages)
        if len(model.languages) <= _MAX_NAMED_LANGUAGES
        else f"{len(model.languages)} languages"
    )
    return f"into {languages}"


def _score(case: PlanningCase, candidate: Candidate) -> str:
    return (
        f"{candidate.score:.2g} s" if case.policy.objective == "fastest" else f"${numbers.plain_money(candidate.score)}"
    )


def _distinct_rows(rows: list[Outranked]) -> list[Outranked]:
    return list({(row.endpoint, row.summary): row for row in rows}.values())


def _own_rejections(plan: Plan, other: Plan) -> tuple[Rejected, ...]:
    """Return the rejections of both kinds, without those that only reflect the other kind of endpoint."""
    used = {plan.chosen.endpoint, other.chosen.endpoint}
    rows = [row for row in (*plan.rejected, *other.rejected) if row.rule != "output" and not used & set(row.endpoints)]
    return tuple({(row.rule, row.reason): row for row in rows}.values())


def _no_route_of_either_kind(case: PlanningCase, errors: list[NoRoute]) -> NoRoute:
    """Return the error with the reasons against both kinds."""
    every = dict.fromkeys(reason for error in errors for reason in error.hints.reasons)
    reasons = tuple(each for each in every if not str(each).endswith(_ANOTHER_KIND)) or tuple(every)
    transcriber, other = errors
    nearer = rules.rule_order(other.rule) > max(rules.rule_order(transcriber.rule), rules.rule_order("translation"))
    first, second = (other, transcriber) if nearer else (transcriber, other)
    todo: str = hint("allow a language model to translate the transcript: intermodal hosts add NAME, or {}", PULL_LIST)
    if nearer:
        todo = other.hints.todo
    if case.named_endpoints is not None:
        first = next((error for error in errors if error.rule != "output"), first)
        todo = "name a model that translates into it, or none"
    with_model = f" with {case.policy.model}" if case.policy.model else ""
    about = first.hints.reasons[0] if first.reasons else first.hints.what
    what = hint("no available model can translate this into {}{}: {}", case.into, with_model, about)
    combined = NoRoute(what, todo=todo, reasons=reasons)
    combined.rule = first.rule or second.rule
    return combined


__all__ = [
    "case_for",
    "planning_cases",
    "fallback_order",
    "translation_instruction",
    "translation_order",
    "plan_translation",
    "plan_each",
]
