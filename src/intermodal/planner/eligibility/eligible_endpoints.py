"""The endpoints that pass the endpoint rules, by job, and the rejections with their counts.

The result depends on the shape of a request and not on its sizes, so it is cached per shape on the index: a second
request of the same shape starts at pricing. ``RejectionLog`` collects the rejections of one search, one row per reason;
if a limit is numeric, the nearest miss is shown.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.core.hints import consent_to, hint
from intermodal.core.request import ScoresOutput
from intermodal.cost_model.rates import Rates
from intermodal.cost_model.token_rules import TokenRules
from intermodal.cost_model.tokens import Vocabulary
from intermodal.planner.catalog_index import JOBS, MAX_LISTED_IDS, EndpointGroup, Job, tier_name
from intermodal.planner.conversion.fidelity import needs_vision
from intermodal.planner.eligibility import rules
from intermodal.planner.eligibility.rules import PricedRoute, Reason
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.image_generation import input_images, stated_settings


class EndpointRejection(Struct, gc=False):
    """Endpoints rejected for one reason. ``missed_amount``: by how much, if the limit is numeric.

    ``hosts``: number of hosts in addition to those of ``ids``.
    """

    rule: str
    reason: str
    count: int
    ids: tuple[str, ...]
    miss: float = 0.0
    hosts: int = 0  # hosts in addition to those of ``ids``


class GroupBatch(Struct, eq=False):
    """Groups with the same input profile and token rules, queued by the search as one entry.

    ``ideals``: the best value of each figure per group; ``coefficients``: cached coefficients derived from them.
    """

    remote: bool
    token_rules: TokenRules
    vocabulary: Vocabulary
    schema_by: str
    tool_rule: str
    groups: list[EndpointGroup]
    ideals: list[Rates]
    coefficients: dict[object, list[tuple[float, float, float, float, float]]]


class EligibleEndpoints(Struct):
    """The result of the endpoint rules.

    Attributes:
        by_job: groups in catalog order.
        strongest: maximum strength by job, over all groups or only local ones; filled on demand.
        rows: batches for the answering job, by floor; filled on demand.
    """

    by_job: dict[Job, list[EndpointGroup]]
    refused: list[EndpointRejection]
    strongest: dict[tuple[Job, bool], int]
    rows: dict[tuple[int, bool], tuple[list[GroupBatch], EndpointRejection | None]]


def group_batches(
    case: PlanningCase, left: EligibleEndpoints, floor: int
) -> tuple[list[GroupBatch], EndpointRejection | None]:
    """Return the answering groups at or above ``floor`` in batches, and the rejection of the weaker ones."""
    key_ = (floor, case.policy.at_least is not None)  # a stated floor is worded differently
    found = left.rows.get(key_)
    if found is None:
        by_key: dict[tuple[object, ...], GroupBatch] = {}
        weak: list[EndpointGroup] = []
        for group in left.by_job[case.job]:
            if group.strongest < floor:
                weak.append(group)
                continue
            model, schema_by = group.first.model, case.schema_by(group)
            token_rules = case.token_rules(group)
            tool_rule = case.tool_rule(group)
            vocabulary = case.vocabulary(model)
            key = (group.input_profile, token_rules, vocabulary, schema_by, tool_rule)
            row = by_key.get(key)
            if row is None:
                row = by_key[key] = GroupBatch(group.remote, token_rules, vocabulary, schema_by, tool_rule, [], [], {})
            row.groups.append(group)
            row.ideals.append(case.index.best_rates(group, case.as_of, case.effort))
        refusal = None
        if weak:
            count = sum(len(group.members) for group in weak)
            words = rules.below_floor(case, floor)
            if not by_key:
                best = max(weak, key=lambda group: (group.strongest, -group.number))
                subject = f"the strongest, {best.ids[0]}," if count > 1 else "it"
                words += f"; {subject} is {tier_name(best.strongest)}"
            refusal = EndpointRejection("floor", words, count, first_ids(weak))
        found = left.rows[key_] = (list(by_key.values()), refusal)
    return found


class EndpointFilter(Struct, frozen=True):
    """Restricts a job to one endpoint."""

    endpoint: str
    job: Job


def needed_jobs(case: PlanningCase) -> tuple[Job, ...]:
    """Return the answering job, followed by the conversion jobs that could be useful."""
    found: list[Job] = [case.job]
    if case.job != "transcribe" and any(map(_has_speech, case.bundles)):
        found.append("transcribe")
    if any(
        bundle.kind in ("image", "video")
        or any(page.scanned or page.figures for pages in bundle.pages for page in pages)
        for bundle in case.bundles
    ):
        found.append("read")
    looked_at = [bundle for bundle in case.bundles if bundle.kind in ("image", "video", "document")]
    if looked_at and case.job != "transcribe":
        has_outcomes = any(part.outcomes for bundle in looked_at for part in bundle.parts)
        if has_outcomes or any(needs_vision(case.policy.keep, bundle.needs) for bundle in looked_at):
            found.append("describe")
    if case.job == "generate" and case.output == "speech":
        found.append("speak")
    return tuple(found)


def _labels(case: PlanningCase) -> tuple[str, ...]:
    output = case.request.output
    return output.labels if isinstance(output, ScoresOutput) else ()


def _tools(case: PlanningCase) -> tuple[object, ...]:
    request = case.request
    return (request.tool_choice, request.parallel_tools) if request.tools else ()


def _has_speech(bundle: Bundle) -> bool:
    return bundle.kind == "audio" or (bundle.kind == "video" and any(part.channels for part in bundle.parts))


def _failed_transcripts(case: PlanningCase) -> tuple[tuple[str, str, str], ...]:
    """Return endpoint, problem and language of failed transcripts, which decide who may repeat them."""
    if case.job != "transcribe":
        return ()
    parts = [part for bundle in case.bundles for part in bundle.parts]
    return tuple((outcome.endpoint, outcome.problem, outcome.language) for part in parts for outcome in part.outcomes)


def eligible_endpoints(case: PlanningCase, jobs: tuple[Job, ...]) -> EligibleEndpoints:
    """Apply the endpoint rules, cached by shape of request."""
    policy = case.policy
    recording = next((bundle.title for bundle in case.bundles if bundle.kind in ("audio", "video")), "")
    key = (
        jobs, policy.model, policy.farthest, case.consented, case.languages, recording, case.as_of, case.output,
        _labels(case), bool(case.bundles), _failed_transcripts(case), stated_settings(case.request),
        _input_image_count(case),
        _tools(case),
        case.without_free_tiers, case.effort, policy.licence, policy.regions, policy.retention, case.into,
        case.translating,
    )  # fmt: skip
    survivors = case.index.survivors
    found = survivors.get(key)
    if not isinstance(found, EligibleEndpoints):
        found = survivors[key] = _apply(case, jobs)
    return found


def _input_image_count(case: PlanningCase) -> int:
    """Return the number of input images of an image generation; local diffusion models accept one."""
    return len(input_images(case.facts)) if case.job == "draw" else 0


def _apply(case: PlanningCase, jobs: tuple[Job, ...]) -> EligibleEndpoints:
    by_job: dict[Job, list[EndpointGroup]] = {job: [] for job in jobs}
    groups_by_reason: dict[tuple[str, str], list[EndpointGroup]] = {}
    for group in case.index.groups:
        reasons = []
        for job in jobs:
            reason = rules.endpoint_rejection(group, job, case)
            if reason is None:
                by_job[job].append(group)
            else:
                reasons.append(reason)
        if len(reasons) == len(jobs):
            nearest = max(reasons, key=lambda reason: rules.rule_order(reason[0]))
            groups_by_reason.setdefault(nearest, []).append(group)
    refused = [
        EndpointRejection(
            rule, reason, sum(len(g.members) for g in groups), first_ids(groups), _smallest_missing_memory(rule, groups)
        )
        for (rule, reason), groups in groups_by_reason.items()
    ]
    return EligibleEndpoints(by_job=by_job, refused=[*refused, *_counted_only(case)], strongest={}, rows={})


def _counted_only(case: PlanningCase) -> list[EndpointRejection]:
    """Return the rejection of hosts without consent whose endpoints are only counted in the catalog."""
    hosts = endpoints = 0
    for place in case.index.catalog.elsewhere:
        endpoint_count = max((count for task, count in place.tasks if case.job in JOBS.get(task, ())), default=0)
        if endpoint_count and place.host not in case.consented:
            hosts, endpoints = hosts + (place.host not in case.index.hosts), endpoints + endpoint_count
    if not endpoints:
        return []
    words = hint("no consent for {} more hosts: {}", hosts, consent_to())
    return [EndpointRejection("consent", words, endpoints, (), hosts=hosts)]


def _smallest_missing_memory(rule: str, groups: list[EndpointGroup]) -> float:
    """Return the memory of the smallest model that is not ready, which is the quickest to fetch; 0 for other rules."""
    if rule != "not_ready":
        return 0.0
    return min(endpoint.memory.mid for group in groups for endpoint in group.members)


def first_ids(groups: list[EndpointGroup]) -> tuple[str, ...]:
    """Return the first few ids in alphabetical order."""
    return tuple(sorted(name for group in groups for name in group.ids)[:MAX_LISTED_IDS])


def members_to_price(
    case: PlanningCase, group: EndpointGroup, job: Job, only: EndpointFilter | None
) -> tuple[Endpoint, ...]:
    """Return the endpoints of a group worth pricing for a job.

    These are the undominated ones, and those known beyond the catalog: measured, loaded, named and previous endpoints.
    """
    if only is not None and only.job == job:
        return tuple(e for e in group.members if e.id == only.endpoint)
    if case.named_endpoints is not None and job == case.job:
        return tuple(e for e in group.members if e.id in case.named_endpoints)
    if case.policy.objective == "best" and job == case.job:
        return tuple(group.members)  # the band keeps cheap and fast members, but neither criterion decides here
    band = case.index.band(group, case.as_of, case.effort)
    if group.number in case.special and len(band) < len(group.members):
        special = case.special[group.number]
        return (*band, *(e for e in group.members if e.id in special and e not in band))
    return band


_MISS: dict[str, Callable[[PricedRoute], float]] = {  # amount by which a limit was missed
    "media": lambda route: float(
        route.media_amounts.pages
        + route.media_amounts.pictures
        + route.media_amounts.seconds
        + route.media_amounts.size
    ),
    "images": lambda route: float(route.pictures - (route.max_images or 0)),
    "context": lambda route: route.tokens + route.answer - route.context,
    "memory": lambda route: route.memory,
    "max_cost": lambda route: route.cost_high,
    "deadline": lambda route: route.seconds_high,
}


def missed_amount(reason: Reason, priced: PricedRoute) -> float:
    """Return the amount by which a limit was missed; 0 for a rule without a number."""
    measure = _MISS.get(reason[0])
    return measure(priced) if measure is not None else 0.0


class RejectionLog:
    """Collects the rejections of one search."""

    def __init__(self, case: PlanningCase) -> None:
        self.case = case
        self._rows: dict[tuple[str, str], EndpointRejection] = {}
        # The endpoint whose reason a row shows; "" for the ideal member of a group.
        self._nearest: dict[tuple[str, str], str] = {}
        self._several: set[tuple[str, str]] = set()  # rows with several reasons

    def rows(self) -> list[EndpointRejection]:
        """Return the rejections. If the reasons in a row differ, the nearest miss is named."""
        found: list[EndpointRejection] = []
        for key, row in self._rows.items():
            if key in self._several:
                subject = f", {self._nearest[key]}," if self._nearest[key] else ""
                row = EndpointRejection(
                    row.rule, hint("the nearest{} {}", subject, row.reason), row.count, row.ids, row.miss
                )
            found.append(row)
        return found

    def add(self, new: EndpointRejection) -> None:
        """Add a rejection.

        Rules with numbers have one row, represented by the nearest miss; others one row per reason.
        """
        key = (new.rule, "" if new.rule in _MISS else new.reason)
        priced = self._rows.get(key)
        near = priced if priced is not None and priced.miss <= new.miss else new
        if near is new:
            self._nearest[key] = new.ids[0] if new.count == 1 and new.ids else ""
        if priced is None:
            self._rows[key] = new
            return
        if priced.reason != new.reason:
            self._several.add(key)
        ids = tuple(sorted({*priced.ids, *new.ids}))[:MAX_LISTED_IDS]
        self._rows[key] = EndpointRejection(new.rule, near.reason, priced.count + new.count, ids, near.miss)

    def add_nearest(self, reasons: list[tuple[Reason, PricedRoute]], ids: tuple[str, ...], count: int) -> None:
        """Add the rejection of the route that passed the most rules."""
        reason, priced = max(reasons, key=lambda each: (rules.rule_order(each[0][0]), -missed_amount(*each)))
        self.add(EndpointRejection(reason[0], reason[1], count, ids, missed_amount(reason, priced)))

    def add_earlier(self, before: RejectionLog, *, contexts: bool) -> None:
        """Add the rows of an earlier pass that are missing here. Context rejections only if ``contexts``."""
        for key, row in before._rows.items():
            if (contexts or key[0] != "context") and key not in self._rows:
                self._rows[key], self._nearest[key] = row, before._nearest[key]
                if key in before._several:
                    self._several.add(key)
