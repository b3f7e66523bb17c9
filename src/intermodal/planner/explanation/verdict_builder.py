"""Builds the verdict of a plan: needs and losses of the parts, the best route in words, and routes not chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from operator import attrgetter, itemgetter

import msgspec

from intermodal.catalog.types import Endpoint, Task
from intermodal.core.content import Kind
from intermodal.core.hints import hint
from intermodal.core.quantity import Quantity, exact, unknown
from intermodal.core.request import Aspect, ScoresOutput
from intermodal.planner.catalog_index import EndpointGroup, Job, tier_name
from intermodal.planner.conversion.conversion_option import TEXT, ConversionOption, distinct_parts, without_reading
from intermodal.planner.conversion.converters import TASKS
from intermodal.planner.conversion.fidelity import (
    MUST_KEEP,
    figure_pages,
    in_aspect_order,
    lost_aspects,
    medium_of,
    pages_with_figures,
)
from intermodal.planner.conversion.script_support import unreadable_scripts
from intermodal.planner.conversion.video_options import aspects_lost_as_text
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.eligible_endpoints import GroupBatch, group_batches, members_to_price
from intermodal.planner.eligibility.strength_floors import DEFAULT_FLOOR
from intermodal.planner.explanation.plan_text import describers, route_summary
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase, make_case
from intermodal.planner.route_estimates.assignment import Assignment, assign
from intermodal.planner.route_estimates.call_demand import answering_tier, call_demand
from intermodal.planner.route_estimates.routes import Route, price_route, priced_route
from intermodal.planner.route_estimates.voice_selection import is_mute
from intermodal.planner.route_search.assignment_pools import least_lossy, linear_score, open_options
from intermodal.planner.route_search.lower_bounds import known_coefficients
from intermodal.planner.route_search.search import Search, SearchResult
from intermodal.plans.facts import needs_looks
from intermodal.plans.step import SPEED_BASIS
from intermodal.plans.verdict import Instead, Judged, Other, Verdict, VerdictName, judge

# ---- route in words ---------------------------------------------------------------------------------
#
# The best route on which all media are converted to text for a language model.
#
# A plan names it if a multimodal model answers although text would suffice. The search that found the answer prunes
# endpoints that are not among the best, so its own text routes may not include the best one.

MAX_PRICED_ENDPOINTS = (
    64  # maximum number of endpoints priced: a limit that excludes this many of the best excludes nearly all
)
_BY_KEY = attrgetter("key")
# Lower bound of a group's routes, number of the group, the group, its batch, the text assignment, and what the
# assignment adds to the objective: a fixed part, and tokens.
_QueuedGroup = tuple[float, int, EndpointGroup, GroupBatch, Assignment, float, float]


def best_route_in_words(search: Search, lost: int) -> Route | None:
    """Return the best text route that loses no more needs than ``lost``; None if there is none."""
    sends_media = {assignment: assignment.sends_media for assignment in {route.assignment for route in search.routes}}
    found = [route for route in search.routes if route.demand.lost <= lost and not sends_media[route.assignment]]
    best = min(found, key=_BY_KEY, default=None)
    if not search.is_pruned:
        return best
    tried = 0
    for least, _, group, row, assignment, fixed, tokens in sorted(_groups(search, lost)):
        if tried >= MAX_PRICED_ENDPOINTS or (best is not None and (*assignment.loss, least) >= best.key):
            break
        pool = search.pools.pool(group)
        for endpoint, number in _members(search, group, row, fixed, tokens):
            if best is not None and (*assignment.loss, number) >= best.key:
                break
            tried += 1
            rates = search.case.rates(endpoint)
            route = search.route(endpoint, group, rates, assignment, pool.demand(assignment), [])
            if route is not None and (best is None or route.key < best.key):
                best = route
    return best


def _members(
    search: Search, group: EndpointGroup, row: GroupBatch, fixed: float, tokens: float
) -> list[tuple[Endpoint, float]]:
    """Return the members worth pricing, each with a lower bound of its route, in increasing order."""
    members = members_to_price(search.case, group, search.case.job, search.only)
    if group.number in search.case.special:
        return [(endpoint, -math.inf) for endpoint in members]
    prices = known_coefficients(search.case, row, search.weights, group)
    numbers = [base + fixed + tokens * text for base, text, *_ in prices]
    return sorted(zip(members, numbers, strict=True), key=itemgetter(1))


def _groups(search: Search, lost: int) -> Iterator[_QueuedGroup]:
    case = search.case
    speaks_alone = case.output == "speech"
    words = {option for choices in search.choices for option in choices if not option.sends_media}
    assignment_of_usable: dict[int, Assignment | None] = {}
    score_of_assignment: dict[Assignment, tuple[float, float]] = {}
    assignment_of_choices: dict[tuple[tuple[ConversionOption, ...], ...], Assignment | None] = {}
    for row in group_batches(case, search.left, search.floors.answer)[0]:
        usable = search.pools.usable(row.groups[0])
        if not isinstance(usable, list) or (row.remote and case.private_text):
            continue
        if id(usable) not in assignment_of_usable:
            choices = tuple(
                [tuple([option for option in bundle_options if option in words]) for bundle_options in usable]
            )
            if choices not in assignment_of_choices:
                assignment_of_choices[choices] = _assignment(search, row, choices) if all(choices) else None
            assignment_of_usable[id(usable)] = assignment_of_choices[choices]
        assignment = assignment_of_usable[id(usable)]
        if assignment is None or assignment.lost > lost:
            continue
        if assignment not in score_of_assignment:
            score_of_assignment[assignment] = linear_score(assignment, search.weights)[:2]
        fixed, tokens = score_of_assignment[assignment]
        tokens += search.pools.text_tokens(row.vocabulary, row.schema_by, row.tool_rule)
        for group, prices in zip(row.groups, known_coefficients(case, row, search.weights), strict=True):
            if speaks_alone and is_mute(case, group.first):
                continue
            least = -math.inf if group.number in case.special else prices[0] + fixed + tokens * prices[1]
            yield least, group.number, group, row, assignment, fixed, tokens


def _assignment(search: Search, row: GroupBatch, choices: tuple[tuple[ConversionOption, ...], ...]) -> Assignment:
    """Return the options that look best for the first group of a batch."""
    options = open_options([least_lossy(list(bundle_options)) for bundle_options in choices], search.case.machine.cores)
    prices = known_coefficients(search.case, row, search.weights)[0]
    return assign(search.case, options.picks(row.token_rules, prices, search.weights, waits=True), row.token_rules)


__all__ = ["best_route_in_words"]


# ---- verdict builder --------------------------------------------------------------------------------

# How media are converted to text without a vision model.
_AS_TEXT = {"audio": "transcribe", "image": "read", "document": "extract"}
_LOOKS: tuple[Aspect, ...] = ("appearance",)
_AS_PDF = Other(endpoint="", summary="", kept_out="it is read as text here; saved as a PDF it could be seen")
_JOBS_WITHOUT_ANSWER = ("transcribe", "embed", "speak", "draw")  # jobs that no language model does
Rank = tuple[float, bool, bool, float, float, str]


def verdict_of(case: PlanningCase, chosen_route: Route, search_result: SearchResult, floor: int) -> Verdict:
    """Return the verdict on the chosen route. ``floor``: the final one of the answering endpoint."""
    parts = part_judgements(case, chosen_route.assignment)
    value = judge(parts, answers=answers_in_words(case, chosen_route))
    if value == "not_enough":
        in_file = judge(parts[: len(case.bundles)]) != "not_enough"
        return Verdict(
            value=value, parts=parts, keeps=_AS_PDF if in_file else _keeping(case, chosen_route, search_result, floor)
        )
    if value == "no_language_model":
        letter_model = _letter_model(case, chosen_route, search_result, floor) if case.job == "score" else None
        return Verdict(value=value, parts=parts, instead=instead_of(case, chosen_route), language_model=letter_model)
    if case.job == "score" and value == "broader_needed":
        return Verdict(value=value, parts=parts, contrastive=_contrastive(case, chosen_route, search_result, floor))
    if _of_text(case, chosen_route):
        return Verdict(value=value, parts=parts, encoder=_encoder(case, chosen_route, search_result, floor))
    if value in ("enough", "enough_with_loss") and chosen_route.assignment.sends_media:
        return Verdict(value=value, parts=parts, language_model=_text_alternative(case, chosen_route, search_result))
    return Verdict(value=value, parts=parts)


def instead_of(case: PlanningCase, route: Route) -> Instead:
    """Return the kind of model used if no language model is needed."""
    if route.endpoint.model.matches_images:
        return "contrastive model"
    if case.job == "transcribe" and case.into:
        return "speech translation"
    if route.endpoint.model.head_task is not None:
        return "encoder"
    return _INSTEAD.get(case.job, "embedding model")


_INSTEAD: dict[Job, Instead] = {
    "transcribe": "speech recognition",
    "speak": "speech synthesis",
    "draw": "image generator",
}


def _contrastive(case: PlanningCase, chosen_route: Route, search_result: SearchResult, floor: int) -> Other | None:
    """Return the nearest contrastive model for labels of images, if a generative model chooses among them."""
    matching = [group for group in case.index.groups if group.first.model.matches_images]
    keepers = _keepers(case, matching, chosen_route, search_result)
    as_images = ((group, options) for group, options in keepers if all(option.kinds == {"image"} for option in options))
    return _nearest_keeper(case, as_images, floor)


def _of_text(case: PlanningCase, route: Route) -> bool:
    """Return whether labels are scored against text alone."""
    return case.job == "score" and not route.assignment.sends_media


def _letter_model(case: PlanningCase, chosen_route: Route, search_result: SearchResult, floor: int) -> Other | None:
    """Return the nearest generative model for labels that another kind of model scores.

    It receives text if the scored part is text, and images if it is an image. None without labels. A named model does
    not restrict the comparison.
    """
    output = case.request.output
    if not isinstance(output, ScoresOutput) or not output.labels:
        return None
    case = msgspec.structs.replace(case, named_endpoints=None)
    writing = [group for group in case.index.groups if group.first.model.answers_in_words]
    keepers = _keepers(case, writing, chosen_route, search_result)
    return _nearest_keeper(case, _as_text_only(keepers) if _of_text(case, chosen_route) else keepers, floor)


def _encoder(case: PlanningCase, chosen_route: Route, search_result: SearchResult, floor: int) -> Other | None:
    """Return the nearest encoder for labels of a text, if a generative model chooses among them."""
    silent = [
        group for group in case.index.groups
        if not (group.first.model.answers_in_words or group.first.model.matches_images)
        and rules.labels(group, case.job, case) == ""
    ]  # fmt: skip
    return _nearest_keeper(case, _as_text_only(_keepers(case, silent, chosen_route, search_result)), floor)


def _as_text_only(
    keepers: Iterable[tuple[EndpointGroup, tuple[ConversionOption, ...]]],
) -> Iterator[tuple[EndpointGroup, tuple[ConversionOption, ...]]]:
    return ((group, options) for group, options in keepers if all(option.kinds <= TEXT for option in options))


def verdict_name(case: PlanningCase, route: Route) -> VerdictName:
    """Return the name of the verdict on any route."""
    return judge(part_judgements(case, route.assignment), answers=answers_in_words(case, route))


def answers_in_words(case: PlanningCase, route: Route) -> bool:
    """Return whether a generative model answers, picks a label, or describes parts for a model that scores them."""
    if case.job in _JOBS_WITHOUT_ANSWER:
        return False
    return route.endpoint.model.answers_in_words or bool(describers(route.assignment))


def part_judgements(case: PlanningCase, assignment: Assignment) -> tuple[Judged, ...]:
    """Return each bundle with its needs and losses."""
    if case.job == "transcribe":
        return ()  # only the words of a recording are needed
    found: list[Judged] = []
    for bundle, option in zip(case.bundles, assignment.options, strict=True):
        judged = case.judged.get(option)
        if judged is None:
            judged = case.judged[option] = _judge_option(case, bundle, option)
        found.append(judged)
    return (*found, *_extracted_texts(case))


def _extracted_texts(case: PlanningCase) -> Iterator[Judged]:
    """Yield the texts of office files whose appearance the question needs.

    Fills and fonts are lost in the extraction, and no route renders such a file. Images in a file are separate parts:
    if the appearance of one of them is needed, the question may refer to that. A chart is no loss, because its numbers
    are in the text.
    """
    if case.job != "generate" or not needs_looks(case.question_facts):
        return
    bundles = (bundle for bundle in case.bundles if bundle.needs.get("appearance") == MUST_KEEP)
    pictured = {name for bundle in bundles for part in bundle.parts for name in part.origins}
    for part in case.facts.parts:
        if part.kind == "text" and "document" in part.origins and part.name not in pictured:
            yield Judged(title=part.name, needs=_LOOKS, as_text=_LOOKS, loses=_LOOKS)


def _judge_option(case: PlanningCase, bundle: Bundle, option: ConversionOption) -> Judged:
    as_text = _as_text(bundle)
    if not option.kinds <= TEXT and any(unreadable_scripts(case, part) for part in bundle.parts):
        as_text |= {"words"}  # this route uses no reader that supports them
    needs: set[Aspect] = {aspect for aspect, price in bundle.needs.items() if price == MUST_KEEP}
    if case.policy.keep:
        needs |= set(case.policy.keep) & {*option.keeps, *option.loses, *as_text}
    return Judged(
        title=bundle.title,
        needs_known=needs_are_known(case, bundle),
        needs=in_aspect_order(needs),
        unsure=in_aspect_order(_uncertain_aspects(case, bundle) - needs),
        as_text=in_aspect_order(as_text),
        loses=in_aspect_order(option.loses),
        left_out=option.left_out,
    )


def needs_are_known(case: PlanningCase, bundle: Bundle) -> bool:
    """Return whether the question or the media determine the needs of these parts.

    A question that needs one aspect needs only that. Otherwise, a page of text and a sampled image show what they are
    about; a recording, a video or a page with figures may be needed for more than its words, and nothing is known about
    an unsampled image.
    """
    medium_needs = case.question_facts.needs_of(medium_of(bundle.parts[0]))
    if medium_needs.needed or medium_needs.properties_alone or case.policy.keep or case.job == "score":
        return True
    if bundle.kind == "image":
        return all(part.text_density.known for part in bundle.parts)
    if bundle.kind == "document":
        return all(figure_pages(part) or not pages_with_figures(part) for part in bundle.parts)
    return False


def _uncertain_aspects(case: PlanningCase, bundle: Bundle) -> set[Aspect]:
    """Return the aspects that the question may need of these parts."""
    unsure = case.question_facts.needs_of(medium_of(bundle.parts[0])).unsure
    if bundle.compared:
        unsure = (*unsure, *case.question_facts.needs_of("pictures").unsure)
    return {need.aspect for need in unsure if need.aspect in bundle.needs}


def _as_text(bundle: Bundle) -> set[Aspect]:
    """Return the aspects of these parts that a language model would lose, whichever model converts them."""
    if bundle.kind == "video":
        return {aspect for part in bundle.parts for aspect in aspects_lost_as_text(part)}
    option = _AS_TEXT.get(bundle.kind)
    if option is None:
        return set()
    every = [lost_aspects(option, part, is_compared=bundle.compared) for part in distinct_parts(bundle)]
    return {aspect for lost in every for aspect in lost}


# ---- routes that were not taken ------------------------------------------------------------------------


def _text_alternative(case: PlanningCase, chosen_route: Route, search_result: SearchResult) -> Other:
    """Return the best route on which a language model answers from text and keeps the needs."""
    route = best_route_in_words(search_result.search, chosen_route.demand.lost)
    if route is not None:
        return Other(
            endpoint=route.endpoint.id, summary=route_summary(case, route.assignment), cost=_usd(route.numbers.cost)
        )
    for bundle, choices in zip(case.bundles, search_result.search.choices, strict=True):
        if not any(option.kinds <= TEXT for option in choices):
            return Other(endpoint="", summary="", kept_out=_not_as_text(case, search_result, bundle))
    return Other(endpoint="", summary="", kept_out="no such route is open here")


def _not_as_text(case: PlanningCase, search_result: SearchResult, bundle: Bundle) -> str:
    """Return why nothing converts these parts to text: no endpoint could, or why the best one is excluded."""
    job: Job = "transcribe" if bundle.kind in ("audio", "video") else "read"
    job_groups = [group for group in case.index.groups if job in group.jobs]
    if not job_groups:
        return f"no available model can {job} {bundle.title}"
    best = max(job_groups, key=lambda group: (_rule_index(rules.endpoint_rejection(group, job, case)), -group.number))
    subject = f"{best.ids[0]}, which could {job} {bundle.title},"
    reason = rules.endpoint_rejection(best, job, case)
    if reason is not None:
        return hint("{} is out: {}", subject, reason[1])
    tier, floor = best.tier(TASKS[job]), search_result.search.floors.floor_of(job)
    return (
        f"{subject} is {tier_name(tier)}, below {tier_name(floor)}"
        if tier < floor
        else f"{subject} may not be given it"
    )


def _rule_index(reason: rules.Reason | None) -> float:
    """Return the index of the rule that rejects; infinite if none does."""
    return math.inf if reason is None else rules.rule_order(reason[0])


def _usd(cost: float) -> Quantity:
    return exact(cost, "price list") if cost < math.inf else unknown("price not known")


def _keeping(case: PlanningCase, chosen_route: Route, search_result: SearchResult, floor: int) -> Other | None:
    """Return the nearest route that would keep the needs.

    The later a rule rejects it, the nearer it is; then routes that need only consent, routes of sufficient strength,
    and cheaper routes come first. Includes hosts without consent and weights that are not installed.
    """
    if case.index.catalog.beyond and case.named_endpoints is None:
        case = make_case(
            case.request, case.facts, case.index.catalog.with_beyond, case.machine, case.statistics, case.as_of
        )
    keepers = _keepers(case, case.index.groups, chosen_route, search_result)
    return _nearest_keeper(case, keepers, floor) or _unconsented_keeper(case, chosen_route)


def _keepers(
    case: PlanningCase, groups: Iterable[EndpointGroup], chosen_route: Route, search_result: SearchResult
) -> Iterator[tuple[EndpointGroup, tuple[ConversionOption, ...]]]:
    """Yield the groups that could answer without losing a need, with the options for it."""
    for group in groups:
        options = _keeping_options(case, group, chosen_route, search_result)
        if options is not None:
            yield group, options


def _nearest_keeper(
    case: PlanningCase, keepers: Iterable[tuple[EndpointGroup, tuple[ConversionOption, ...]]], floor: int
) -> Other | None:
    """Return the best endpoint of these groups by rank, with these options."""
    ranked = (
        each
        for group, options in keepers
        for each in _priced_endpoints(case, group, assign(case, options, case.token_rules(group)), floor)
    )
    best = min(ranked, key=lambda each: each[0], default=None)
    return best[1] if best is not None else None


def _unconsented_keeper(case: PlanningCase, chosen_route: Route) -> Other | None:
    """Return the hosts without consent that are only counted and have models for the lost kinds."""
    pairs = zip(case.bundles, chosen_route.assignment.options, strict=True)
    tasks = {_TASK_OF_KIND[bundle.kind] for bundle, option in pairs if option.lost}
    places = [
        place for place in case.index.catalog.elsewhere if tasks <= {task for task, count in place.tasks if count}
    ]
    if not places or case.job != "generate":
        return None
    hosts = "one more host" if len(places) == 1 else f"{len(places):,} more hosts"
    return Other(endpoint="", summary="", kept_out=f"models of {hosts} may keep it, and there is no consent for them")


_TASK_OF_KIND: dict[Kind, Task] = {
    "image": "image-text-to-text",
    "document": "image-text-to-text",
    "video": "image-text-to-text",
    "audio": "audio-text-to-text",
    "text": "text-generation",
}


def _keeping_options(
    case: PlanningCase, group: EndpointGroup, chosen_route: Route, search_result: SearchResult
) -> tuple[ConversionOption, ...] | None:
    """Return the options through which the parts could reach a group without losing a need, ignoring rules.

    None if a bundle has no such option.
    """
    if case.job not in group.jobs:
        return None
    chosen_options: list[ConversionOption] = []
    for bundle, choices in zip(case.bundles, search_result.search.choices, strict=True):
        accepted = [option for option in choices if option.kinds - TEXT <= group.inputs and option.name != "read_along"]
        open_options = [without_reading(option, bundle) for option in accepted] if group.cannot_read else accepted
        keeping = [
            option for option in open_options if not option.lost and not set(case.policy.keep) & set(option.loses)
        ]
        if not keeping:
            return None
        chosen_options.append(keeping[0])
    return tuple(chosen_options)


def _priced_endpoints(
    case: PlanningCase, group: EndpointGroup, assignment: Assignment, floor: int
) -> Iterator[tuple[Rank, Other]]:
    """Yield the endpoints of a group with the cost of this assignment, and the reason that excludes them."""
    needs = call_demand(case, group, assignment)
    weak, option = answering_tier(case, group, needs) < DEFAULT_FLOOR, route_summary(case, assignment)
    first = rules.endpoint_rejection(group, case.job, case)
    others = rules.endpoint_rejection(group, case.job, case, consented=True) or _options_rejection(
        case, group, assignment
    )
    for endpoint in members_to_price(case, group, case.job, None) or group.members:
        rates = case.rates(endpoint)
        numbers = price_route(case, endpoint, group.remote, rates, needs)
        more = others or rules.route_rejection(priced_route(case, endpoint, group, rates, needs, numbers, floor), case)
        rule, _ = first or more or ("", "")
        _, words = more or first or ("", "")  # if consent alone would not suffice, the other reason
        seconds = exact(round(numbers.seconds, 3), SPEED_BASIS) if case.job == "score" else None
        kept_out = Other(endpoint=endpoint.id, summary=option, cost=_usd(numbers.cost), seconds=seconds, kept_out=words)
        yield (
            (
                -rules.rule_order(rule) if rule else -math.inf,
                more is not None,
                weak,
                numbers.cost,
                numbers.seconds,
                endpoint.id,
            ),
            kept_out,
        )


def _options_rejection(case: PlanningCase, group: EndpointGroup, assignment: Assignment) -> rules.Reason | None:
    for bundle, option in zip(case.bundles, assignment.options, strict=True):
        reason = rules.option_rejection(group, option, bundle, case)
        if reason is not None:
            return reason
    return None


__all__ = [
    "answers_in_words",
    "instead_of",
    "needs_are_known",
    "part_judgements",
    "verdict_name",
    "verdict_of",
]
