"""``plan``: builds the planning case, searches for routes, chooses one, and explains the rejections."""

from __future__ import annotations

import hashlib
import math

import msgspec
from msgspec import Struct

from intermodal.catalog.types import Catalog
from intermodal.core.hints import Surface, command, hint
from intermodal.core.request import TIERS, Request
from intermodal.errors import NoRoute, UnknownModel
from intermodal.planner.candidates.candidate_builder import CandidateBuilder
from intermodal.planner.conversion.conversion_outcomes import may_redo
from intermodal.planner.conversion.fidelity import MUST_KEEP
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import (
    EligibleEndpoints,
    EndpointRejection,
    eligible_endpoints,
    needed_jobs,
)
from intermodal.planner.eligibility.strength_floors import DEFAULT_FLOOR, FloorSearch, floor_notes, search_with_floors
from intermodal.planner.explanation.notes import plan_notes
from intermodal.planner.explanation.plan_text import headline, part_needs, policy_line
from intermodal.planner.explanation.remedies import remedy
from intermodal.planner.explanation.verdict_builder import verdict_of
from intermodal.planner.exploration import exploration_note, exploration_route
from intermodal.planner.planning_case import PlanningCase, inputs_digest, make_case
from intermodal.planner.recognition import asks_for_recognition, plan_recognition
from intermodal.planner.route_estimates.call_demand import answering_task
from intermodal.planner.route_estimates.routes import Route
from intermodal.planner.route_estimates.voice import Voice
from intermodal.planner.session_affinity import prefer_previous_endpoint
from intermodal.planner.speech_translation import plan_translation, planning_cases
from intermodal.plans import numbers
from intermodal.plans.explain import fold_rejections
from intermodal.plans.facts import ConversionOutcome, Facts
from intermodal.plans.machine import Machine
from intermodal.plans.plan import Candidate, Inputs, Outranked, Plan, Rejected, for_surface, why_not_direct
from intermodal.plans.statistics import Statistics
from intermodal.plans.verdict import joined_names

FALLBACKS = 3
MAX_OUTRANKED = 5


class PlanDecision(Struct):
    """A finished search with its choice. ``why_not`` uses it to answer further questions."""

    case: PlanningCase
    left: EligibleEndpoints
    floor_search: FloorSearch
    chosen: Route
    fallbacks: list[Route]
    notes: list[str]
    voice: Voice | None
    explored: Route | None = None


def plan(
    request: Request,
    facts: Facts,
    catalog: Catalog,
    machine: Machine,
    statistics: Statistics,
    as_of: str,
    surface: Surface = "command line",
) -> Plan:
    """Choose a route. Pure: no clock, network, environment or randomness; equal inputs give equal bytes.

    Args:
        facts: the results of probing, one entry per part of the request.
        as_of: the date for which to plan, ISO; prices are dated.
        surface: the surface (command line, Python, HTTP) whose names for settings are used in sentences. The plan's id
            is the same for all surfaces.

    Raises:
        NoRoute: no route satisfies the request and the policy, or a host named for this request cannot be called.
            ``reasons`` has one sentence per rule, nearest miss first.
        UnknownModel: ``policy.model`` names no model, or several.
        UsageError: a label or page number matches no part, or a transcript is requested without exactly one recording.
    """
    case = make_case(request, facts, catalog, machine, statistics, as_of)
    return with_id(case, _plan_case(case), surface)


def plan_without_id(
    request: Request, facts: Facts, catalog: Catalog, machine: Machine, statistics: Statistics, as_of: str
) -> Plan:
    """Return the plan without its id and the digest of its inputs.

    Over a large catalog these take longer than the choice, so callers that compare many plans omit them. Its texts are
    spelled by the caller.
    """
    return _plan_case(make_case(request, facts, catalog, machine, statistics, as_of))


def _plan_case(case: PlanningCase) -> Plan:
    _check_hosts(case)
    if asks_for_recognition(case):
        return plan_recognition(case, _route_and_plan)
    kinds = planning_cases(case)
    return plan_translation(kinds, _route_and_plan) if len(kinds) > 1 else _route_and_plan(case)[1]


def _route_and_plan(case: PlanningCase) -> tuple[Route, Plan]:
    decision = search_and_choose(case)
    return decision.chosen, plan_of_decision(decision)


def plan_from(inputs: Inputs, surface: Surface = "command line") -> Plan:
    """Return the plan for these inputs. Raises as ``plan``."""
    return plan(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of, surface)


def search_and_choose(case: PlanningCase) -> PlanDecision:
    """Search for routes and choose one. If there is none, search again under looser assumptions."""
    left = eligible_endpoints(case, needed_jobs(case))
    floor_search = search_with_floors(case, left)
    if not floor_search.found.routes and _shorter_answer_may_help(case, floor_search):
        case.tight = True
        floor_search = search_with_floors(case, left)
    if not floor_search.found.routes and _too_many_tools(case, floor_search):
        case.hopeful = True
        floor_search = search_with_floors(case, left)
    floor_search = _search_with_less_loss(case, left, floor_search)
    if not floor_search.found.routes:
        raise no_route(case, [*left.refused, *floor_search.found.refused])
    best = floor_search.found.routes[0]
    chosen_route, reason = prefer_previous_endpoint(case, left, floor_search, best)
    fallbacks = _fallbacks(case, floor_search.found.routes, chosen_route)
    found = exploration_route(case, chosen_route, floor_search.found.routes)
    if found is not None:
        fallbacks = [*(route for route in fallbacks if route.endpoint.id != found.endpoint.id), found]
    return PlanDecision(case, left, floor_search, chosen_route, fallbacks, reason, case.voice, found)


def _check_hosts(case: PlanningCase) -> None:
    """Raise NoRoute if a host named in the policy cannot be called, because the caller expects its answer.

    Not checked when replanning during a run, because other hosts may take over there.
    """
    if case.is_replanning:
        return
    for name in case.policy.hosts:
        host_endpoints = [endpoint for endpoint in case.index.catalog.endpoints if endpoint.host.id == name]
        if any(endpoint.ready for endpoint in host_endpoints):
            continue
        missing = dict.fromkeys(endpoint.missing or "not ready" for endpoint in host_endpoints)
        why = (
            next(iter(missing))
            if len(missing) == 1
            else "none of its models is ready"
            if host_endpoints
            else "no model of it is known"
        )
        todo = next((endpoint.todo for endpoint in host_endpoints if endpoint.todo), "") or "run intermodal doctor"
        error = NoRoute(
            hint("cannot be used: {}", why),
            where=f"host {name}",
            todo=hint("{}, or name another host, or none", command(todo)),
        )
        error.rule = "not_ready"
        raise error
    named_ids = {f"{name}:{case.policy.model}".lower() for name in case.policy.hosts}
    withdrawn = [each for each in case.index.catalog.uncallable if each.name in named_ids]
    if withdrawn and not any(id.partition(":")[0] in case.policy.hosts for id in case.named_endpoints or ()):
        raise UnknownModel(
            hint("{} cannot be called: {}", withdrawn[0].id, withdrawn[0].why), todo=command(withdrawn[0].todo)
        )


def _shorter_answer_may_help(case: PlanningCase, floor_search: FloorSearch) -> bool:
    """Return whether an endpoint was rejected for context, cost or time, which a shorter answer might avoid."""
    return case.job == "generate" and any(
        row.rule in ("context", "max_cost", "deadline") for row in floor_search.found.refused
    )


def _too_many_tools(case: PlanningCase, floor_search: FloorSearch) -> bool:
    """Return whether an endpoint was rejected for its context, which a lower count of tool tokens might avoid."""
    return bool(case.request.tools) and any(row.rule == "context" for row in floor_search.found.refused)


def _search_with_less_loss(case: PlanningCase, left: EligibleEndpoints, floor_search: FloorSearch) -> FloorSearch:
    """Search again if the best route loses an aspect that another route would keep with more room in its context.

    Room is gained by an answer shorter than the stated limit, and by counting images of unknown token count at their
    low estimate.
    """
    if case.is_replanning or not any(group.inputs - {"text"} for group in left.by_job[case.job]):
        return floor_search
    has_stated_limit = case.request.sampling.max_tokens is not None
    for hopeful in (False, True):
        if floor_search.found.routes and floor_search.found.routes[0].loss == (0, 0):
            break
        before = case.tight, case.hopeful_images
        case.tight, case.hopeful_images = case.tight or has_stated_limit, hopeful
        if before == (case.tight, case.hopeful_images):
            continue
        other = search_with_floors(case, left)
        if _loses_less_than(other, floor_search):
            floor_search = other
        else:
            case.tight, case.hopeful_images = before
    return floor_search


def _loses_less_than(other: FloorSearch, floor_search: FloorSearch) -> bool:
    other_routes, now = other.found.routes, floor_search.found.routes
    return bool(other_routes) and (not now or other_routes[0].loss < now[0].loss)


def _fallbacks(case: PlanningCase, routes: list[Route], chosen_route: Route) -> list[Route]:
    """Return the best route of each other endpoint; routes that keep the needed aspects come first.

    A fallback runs without approval. For example, a route that would answer a question about a colour from OCR text
    comes after routes whose model sees the photo.
    """
    good: dict[str, Route] = {}
    rest: dict[str, Route] = {}
    loss = chosen_route.loss
    for route in routes:
        id = route.endpoint.id
        if id != chosen_route.endpoint.id and id not in good:
            (good if route.loss <= loss else rest).setdefault(id, route)
    found = [*good.values(), *(route for name, route in rest.items() if name not in good)][:FALLBACKS]
    if found and all(_converts_with_answering_endpoint(route, chosen_route) for route in found):
        # All of them use the endpoint of the chosen route, and would fail with it.
        others = (route for route in routes if route.endpoint.id != chosen_route.endpoint.id)
        alone = next((route for route in others if not _converts_with_answering_endpoint(route, chosen_route)), None)
        if alone is not None:
            found = _with_route(found, alone)
    if case.job == "transcribe" and (better := _better_transcriber(case, routes, chosen_route)) is not None:
        found = _with_route(found, better)
    return found


def _with_route(routes: list[Route], added: Route) -> list[Route]:
    """Return the list with ``added``, replacing any other route of its endpoint."""
    if added in routes:
        return routes
    return [*[route for route in routes if route.endpoint.id != added.endpoint.id][: FALLBACKS - 1], added]


def _better_transcriber(case: PlanningCase, routes: list[Route], chosen_route: Route) -> Route | None:
    """Return the strongest route that may transcribe again after a bad transcript; None if there is none.

    It must be a fallback, because only fallbacks replace the chosen route.
    """
    bad = ConversionOutcome(op="transcribe", endpoint=chosen_route.endpoint.id, problem="empty")
    usable_routes = [route for route in routes if may_redo(case, route.endpoint, bad)]
    return max(usable_routes, key=lambda route: (route.own_tier, -route.score), default=None)


def _converts_with_answering_endpoint(route: Route, chosen_route: Route) -> bool:
    """Return whether a route uses the answering endpoint of the chosen route as a converter."""
    return any(used.id == chosen_route.endpoint.id for option in route.assignment.options for used in option.converters)


def no_route(case: PlanningCase, refused: list[EndpointRejection]) -> NoRoute:
    """Return the error for a request without a route, with all reasons."""
    named_rejections = _named_rejections(case)
    named_ids = {row.ids for row in named_rejections}
    rows = fold_rejections(rejected_rows([*named_rejections, *(row for row in refused if row.ids not in named_ids)]))
    telling = [row for row in rows if row.rule not in ("output", "model")] or list(rows)
    reasons = tuple(hint("{}: {}", _rejected_subject(row), row.reason) for row in telling) or ("no endpoint is known",)
    with_model = f" with {case.policy.model}" if case.policy.model else ""
    what = {
        "translation": f"translate this into {case.into or case.translating}",
        "text": "answer this", "json": "answer this as JSON", "transcript": "transcribe this",
        "speech": "answer this aloud", "scores": "score these labels",
        "image": "draw this",
    }.get("translation" if case.into or case.translating else case.output, "embed this")  # fmt: skip
    cause = _rule_behind(case, telling[0]) if telling else ""
    todo = remedy(case, telling[0], refused, cause) if telling else "run intermodal doctor"
    error = NoRoute(hint("no available model can {}{}: {}", what, with_model, reasons[0]), todo=todo, reasons=reasons)
    error.rule = cause
    return error


def _rule_behind(case: PlanningCase, row: Rejected) -> str:
    """Return the rule of a rejection; for a named model, the rule that prevents calling it."""
    group = case.index.group_of.get(row.endpoints[0]) if row.rule == "named" and row.endpoints else None
    reason = rules.endpoint_rejection(group, case.job, case) if group is not None else None
    return reason[0] if reason is not None else row.rule


def _named_rejections(case: PlanningCase) -> list[EndpointRejection]:
    """Return why the named models cannot be called. These reasons come first."""
    found = []
    for name in sorted(case.named_endpoints or ()):
        reason = rules.endpoint_rejection(case.index.group_of[name], case.job, case)
        if reason is not None:
            found.append(EndpointRejection("named", reason[1], 1, (name,)))
    return found


def _rejected_subject(row: Rejected) -> str:
    if row.count == 1 and row.endpoints:
        return row.endpoints[0]
    return f"{row.count:,} endpoints"


# ---- the plan ---------------------------------------------------------------------------------


def plan_of_decision(decision: PlanDecision) -> Plan:
    """Return the decision as a plan: candidates with steps, rejections and sentences. ``with_id`` adds the id."""
    case, chosen_route, found = decision.case, decision.chosen, decision.floor_search.found
    builder = CandidateBuilder(case, found.conversions, [route.endpoint for route in decision.fallbacks])
    head = builder.candidate(chosen_route)
    fallbacks = tuple(builder.candidate(route) for route in decision.fallbacks)
    notes = [
        *decision.notes,
        *found.search.avoidable_loss_notes(chosen_route),
        *floor_notes(case, decision.left, decision.floor_search, chosen_route),
        *plan_notes(case, chosen_route, head),
        *([exploration_note(decision.explored.endpoint.id)] if decision.explored is not None else ()),
    ]
    verdict = verdict_of(case, chosen_route, found, decision.floor_search.floors.answer)
    return Plan(
        id="",
        headline=headline(case, chosen_route.assignment, chosen_route.endpoint, verdict),
        policy_line=policy_line(case, TIERS[DEFAULT_FLOOR]),
        objective=case.policy.objective,
        chosen=head,
        fallbacks=fallbacks,
        outranked=outranked_routes(case, chosen_route, decision.fallbacks, found.routes, builder),
        rejected=rejected_rows([*decision.left.refused, *found.refused, *decision.floor_search.passed_over]),
        notes=tuple(dict.fromkeys(notes)),
        catalog=case.index.catalog.version,
        statistics=case.statistics.epoch,
        as_of=case.as_of,
        explores=decision.explored.endpoint.id if decision.explored is not None else "",
        needs=part_needs(case),
        verdict=verdict,
        not_direct=why_not_direct(head, chosen_route.endpoint),
    )


def with_id(case: PlanningCase, plan: Plan, surface: Surface = "command line") -> Plan:
    """Return the plan with the digest of its inputs and its id, which is computed from the command line's wording."""
    plan = msgspec.structs.replace(plan, inputs=inputs_digest(case))
    plain = for_surface(plan, "command line")
    worded_plan = plain if surface == "command line" else for_surface(plan, surface)
    return msgspec.structs.replace(worded_plan, id=plan_id(plain))


def plan_id(plan: Plan) -> str:
    """Return the first 12 hex digits of a SHA-256 over the plan, with candidates represented by their ids."""
    parts = (
        plan.headline, plan.policy_line, plan.objective, plan.chosen.id, [c.id for c in plan.fallbacks],
        plan.outranked, plan.rejected, plan.notes, plan.inputs, plan.catalog,
        plan.statistics, plan.as_of, *((plan.explores,) if plan.explores else ()),
        *((plan.needs,) if plan.needs else ()),
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:12]


def outranked_routes(
    case: PlanningCase, chosen_route: Route, fallbacks: list[Route], routes: list[Route], builder: CandidateBuilder
) -> tuple[Outranked, ...]:
    """Return the next best routes, each compared with the chosen one."""
    identities = {(route.endpoint.id, builder.summary(route)) for route in (chosen_route, *fallbacks)}
    found: list[Outranked] = []
    for route in routes:
        identity = (route.endpoint.id, builder.summary(route))
        if identity in identities:
            continue
        identities.add(identity)
        found.append(
            Outranked(
                endpoint=route.endpoint.id,
                summary=identity[1],
                total=builder.total(route),
                reason=compare_routes(case, route, chosen_route),
            )
        )
        if len(found) == MAX_OUTRANKED:
            break
    return tuple(found)


def compare_routes(case: PlanningCase, route: Route, chosen_route: Route) -> str:
    """Return why a feasible route was not chosen, with the figures that the objective compares."""
    if route.key < chosen_route.key and route.key[:-1] == chosen_route.key[:-1]:
        return "equal in every number, and the conversation stays with the endpoint of its last turn"
    if route.key < chosen_route.key:
        return "better by the objective, but the conversation stays with the endpoint of its last turn"
    if route.loss > chosen_route.loss:
        return _greater_loss_text(case, route, chosen_route)
    objective = case.policy.objective
    own_route, best = route, chosen_route
    if objective == "fastest" and own_route.seconds != best.seconds:
        return f"{_seconds(own_route.seconds)} > {_seconds(best.seconds)}"
    if objective == "best" and own_route.tier != best.tier:
        return f"{TIERS[own_route.tier]} < {TIERS[best.tier]}"
    if objective == "best" and route.demand.missed != chosen_route.demand.missed:
        return "loses more of what the question seems to need"
    if objective == "best" and (why := _distinction_from_chosen(case, route, chosen_route)):
        return why
    if objective == "fastest":
        return _same_time(own_route, best)
    if own_route.cost == math.inf:
        return "its price is not known, so it sorts last"
    if objective == "default":
        return (
            f"{_objective_text(case, route)} > {_money(chosen_route.score)}"
            if route.score > chosen_route.score
            else _tie_reason(route, chosen_route)
        )
    if own_route.cost != best.cost:
        return f"{_money(own_route.cost)} > {_money(best.cost)}"
    if objective == "cheapest" and (why := _affinity_loss_text(case, route, chosen_route)):
        return why
    if own_route.seconds != best.seconds:
        return f"same cost, {_seconds(own_route.seconds)} > {_seconds(best.seconds)}"
    return _tie_reason(route, chosen_route)


def _tie_reason(route: Route, best: Route) -> str:
    """Return what decided between two routes with equal objective values."""
    if route.seconds > best.seconds:
        return f"a tie, and slower: {_seconds(route.seconds)} > {_seconds(best.seconds)}"
    if route.demand.kept_aspects != best.demand.kept_aspects:
        return "a tie, and it keeps less"
    if best.cost < route.cost < math.inf:
        return f"a tie, and more expensive: {_money(route.cost)} > {_money(best.cost)}"
    return "a tie; the first by name was taken"


def _distinction_from_chosen(case: PlanningCase, route: Route, chosen_route: Route) -> str:
    """Return what distinguishes two routes of the same tier; "" if only time and cost do."""
    own_figures, best = (
        case.index.tie_break_key(each.endpoint.id, answering_task(case, each.demand)) for each in (route, chosen_route)
    )
    if own_figures[0] != best[0]:
        return f"as strong, by weaker evidence ({_evidence(case, route)} and not {_evidence(case, chosen_route)})"
    if own_figures[1] != best[1]:
        return (
            f"as strong by the same evidence, and sold for less (${-own_figures[1]:g} < ${-best[1]:g} a million tokens)"
        )
    if own_figures[2] != best[2]:
        return "as strong by the same evidence, and smaller"
    return _affinity_loss_text(case, route, chosen_route)


def _affinity_loss_text(case: PlanningCase, route: Route, chosen_route: Route) -> str:
    third_party = case.index.third_party_rank(route.endpoint.id) > case.index.third_party_rank(chosen_route.endpoint.id)
    return "equal, and not served by the model's own vendor" if third_party else ""


def _evidence(case: PlanningCase, route: Route) -> str:
    strength = route.endpoint.tier(answering_task(case, route.demand)) or route.endpoint.tier("text-generation")
    if strength is None:
        return "none"
    unverified = strength.evidence.level == "proxy" and not strength.evidence.checked
    return f"{strength.evidence.level}{', unverified' if unverified else ''}"


def _same_time(route: Route, best: Route) -> str:
    """Return what decided between routes of equal time: first fidelity, then cost, then the name."""
    if route.demand.kept_aspects != best.demand.kept_aspects:
        return "same time, keeps less"
    if route.cost == best.cost:
        return "a tie; the first by name was taken"
    if route.cost == math.inf:
        return "same time, and its price is not known"
    return f"same time, {_money(route.cost)} > {_money(best.cost)}"


def _greater_loss_text(case: PlanningCase, route: Route, chosen_route: Route) -> str:
    """Return the loss that ranks a route lower, regardless of price and speed."""
    pairs = zip(case.bundles, route.assignment.options, chosen_route.assignment.options, strict=True)
    for bundle, option, better in pairs:
        if option.diverted > better.diverted:
            return f"{bundle.title} would not reach the named model as it is"
        lost = [each for each in option.missed if each not in better.missed and bundle.needs.get(each) == MUST_KEEP]
        if lost:
            return f"loses {joined_names(list(lost))} of {bundle.title}"
    return "loses more of what the question seems to need"


def _objective_text(case: PlanningCase, route: Route) -> str:
    parts = [_money(route.cost), _seconds(route.seconds)]
    if route.demand.penalty:
        parts.append(f"{_money(route.demand.penalty)} for what is lost")
    return f"{' + '.join(parts)} = {_money(route.score)}"


def _money(value: float) -> str:
    return f"${numbers.plain_money(value)}"


def _seconds(value: float) -> str:
    return f"{numbers.plain_seconds(value)} s"


def rejected_rows(refused: list[EndpointRejection]) -> tuple[Rejected, ...]:
    """Return the rejections, nearest miss first: endpoints that passed the most rules of ``RULES``."""
    ordered = sorted(refused, key=lambda each: (-rules.rule_order(each.rule), each.miss, each.reason, each.ids))
    return tuple(
        Rejected(rule=each.rule, reason=each.reason, count=each.count, endpoints=each.ids, hosts=each.hosts)
        for each in ordered
    )


__all__ = ["Candidate", "PlanDecision", "plan_without_id", "search_and_choose", "plan_of_decision", "with_id", "plan"]
