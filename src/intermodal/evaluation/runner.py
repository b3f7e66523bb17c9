"""Run every item over every route: all items are planned first, then run and stored one by one.

``report`` grades and aggregates the trials, also those of an evaluation that was stopped.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from intermodal.catalog.model_names import resolve_name
from intermodal.client.async_client import AsyncClient, PreparedRequest
from intermodal.core.content import Text
from intermodal.core.hints import MODELS, hint
from intermodal.core.request import Request
from intermodal.errors import CallError, IntermodalError, NoRoute, StoreError, UsageError
from intermodal.evaluation import aggregation, tiers
from intermodal.evaluation.aggregation import EvaluationReport
from intermodal.evaluation.dataset import Dataset, EvalItem, item_request
from intermodal.evaluation.trial_journal import EvaluatedRoute, StepActuals, Trial, TrialJournal, evaluated_route
from intermodal.events import Event, Result, fold
from intermodal.planner.alternatives import alternatives, plan_of_candidate
from intermodal.plans.plan import Candidate, Inputs
from intermodal.plans.step import Call

MOST_ROUTES = 8
_EVERY = 40  # routes per item from which the most common ones are chosen
_MOST_FAILURES_IN_A_ROW = 3  # consecutive failures after which a route's remaining items are not run
_OF_ITEM = ("input_", "no_content_found")  # prefixes of error codes that concern one file only
_CONVERTS = ("read", "transcribe")  # jobs whose output is the text of a conversion, not an answer


@dataclass(frozen=True)
class EvaluationSettings:
    """The items, routes and limits of an evaluation.

    Attributes:
        only: endpoints or models; routes that call none of them are left out. () for all.
        most_routes: maximum number of routes, preferring those that most items can take.
        repeat: runs of each. limit: number of items, None for all. max_cost: USD in total, earlier runs included.
        common: options of every request, by the names of ``make_request``.
    """

    only: tuple[str, ...] = ()
    most_routes: int = MOST_ROUTES
    repeat: int = 1
    limit: int | None = None
    max_cost: float = 1.0
    common: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class PlannedItem:
    """An item with its routes by id, in the planner's order; ``why`` is the reason if there are none."""

    item: EvalItem
    digest: str = ""
    inputs: Inputs | None = None
    routes: dict[str, tuple[EvaluatedRoute, Candidate]] = field(default_factory=dict)
    why: str = ""


@dataclass
class Evaluation:
    """One evaluation. Call ``plan`` first, then ``run``; both report progress and can be cancelled at any time."""

    client: AsyncClient
    data: Dataset
    settings: EvaluationSettings
    journal: TrialJournal
    requests: Mapping[str, Request] = field(default_factory=dict)  # by item, if not derived from the item
    planned: list[PlannedItem] = field(default_factory=list)
    routes: dict[str, EvaluatedRoute] = field(default_factory=dict)
    stopped: str = ""  # why it ended early
    left_out: dict[str, str] = field(default_factory=dict)  # route -> why its remaining items were not run
    _fresh: dict[str, StepActuals] = field(default_factory=dict)

    # ---- planning -------------------------------------------------------------------------------

    async def plan(self) -> AsyncGenerator[int]:
        """Plan every item and yield how many are planned. Contacts no model and spends nothing.

        Raises what the request of an item raises, with its line number; NoRoute if no item has a route.
        """
        items = self.data.items[: self.settings.limit]
        endpoint_ids = self._wanted_endpoints()
        for number, item in enumerate(items, start=1):
            self.planned.append(await self._plan_one(item, endpoint_ids))
            yield number
        if not any(each.routes for each in self.planned):
            raise self._no_route_error(endpoint_ids)
        self._choose()

    def _wanted_endpoints(self) -> frozenset[str]:
        catalog = self.client.catalog_with((), tuple(self.settings.only))
        return frozenset(endpoint.id for name in self.settings.only for endpoint in resolve_name(catalog, name))

    async def _plan_one(self, item: EvalItem, endpoint_ids: frozenset[str]) -> PlannedItem:
        try:
            request = self.requests.get(item.id)
            if request is None:
                request = item_request(item, Path(self.data.path).parent, **self.settings.common)
            prepared = await self.client.prepare(request)
            found = PlannedItem(item=item, digest=request_digest(prepared), inputs=prepared.inputs)
            candidates = alternatives(prepared.inputs, most=_EVERY)
        except NoRoute as error:
            return PlannedItem(item=item, why=error.wording_for("command line").what)
        except IntermodalError as error:
            place = f"{self.data.name} line {item.line}"
            error.where = hint("{}, {}", place, error.hints.where) if error.where else place
            raise
        for candidate in candidates:
            route = evaluated_route(candidate)
            if not endpoint_ids or endpoint_ids & set(route.endpoints):
                found.routes.setdefault(route.id, (route, candidate))
        if not found.routes:
            found.why = "none of the named endpoints can answer it"
        return found

    def _no_route_error(self, endpoint_ids: frozenset[str]) -> NoRoute:
        why = self.planned[0].why
        if endpoint_ids and all(each.why == why for each in self.planned):
            why = f"none of the named endpoints can answer any item: {', '.join(sorted(endpoint_ids))}"
        return NoRoute(why, where=self.data.name, todo=hint("see {}", MODELS))

    def _choose(self) -> None:
        """Choose the routes that most items can take, and among equals those that the planner ranks higher."""
        count: Counter[str] = Counter()
        place: Counter[str] = Counter()
        route_by_id: dict[str, EvaluatedRoute] = {}
        for each in self.planned:
            for rank, (key, (route, _)) in enumerate(each.routes.items()):
                count[key] += 1
                place[key] += rank
                route_by_id[key] = route
        ordered = sorted(route_by_id, key=lambda key: (-count[key], place[key] / count[key], key))
        self.routes = {key: route_by_id[key] for key in ordered[: self.settings.most_routes]}

    @property
    def hidden_routes(self) -> int:
        """Return the number of routes that were found but are not run."""
        return len({key for each in self.planned for key in each.routes}) - len(self.routes)

    # ---- remaining work -------------------------------------------------------------------------

    def planned_runs(self) -> list[tuple[PlannedItem, EvaluatedRoute, Candidate, int, int]]:
        """Return every run to be made: item, route, candidate, rank, repeat; the routes of an item are adjacent."""
        return [
            (each, route, candidate, rank, repeat)
            for each in self.planned
            for rank, (key, (route, candidate)) in enumerate(each.routes.items())
            if key in self.routes
            for repeat in range(self.settings.repeat)
        ]

    def most_it_costs(self) -> float:
        """Return the maximum USD of the remaining runs; infinite if a price is unknown."""
        return sum(
            candidate.total.cost.for_limit()
            for each, route, candidate, _, repeat in self.planned_runs()
            if self.journal.finished_trial((each.digest, route.id, repeat)) is None
        )

    def trials(self) -> list[Trial]:
        """Return the finished runs of this evaluation's items and routes, in order."""
        found = []
        for each, route, _, rank, repeat in self.planned_runs():
            trial = self.journal.trials.get((each.digest, route.id, repeat))
            if trial is not None:
                found.append(msgspec.structs.replace(trial, item=each.item.id, rank=rank))
        return found

    # ---- running --------------------------------------------------------------------------------

    async def run(self) -> AsyncGenerator[Trial]:
        """Make every run that is not in the journal and yield each as it ends. Fills ``stopped`` and ``left_out``."""
        for trial in self.journal.trials.values():
            self._remember(trial)
        prepared: PreparedRequest | None = None
        failed: Counter[str] = Counter()
        for each, route, candidate, rank, repeat in self.planned_runs():
            key = (each.digest, route.id, repeat)
            if route.id in self.left_out or self.journal.finished_trial(key) is not None:
                continue
            if not self._affordable(candidate, route):
                if self.stopped:
                    return
                continue
            if prepared is None or prepared.inputs.request != each.inputs.request:  # type: ignore[union-attr]
                prepared = await self._reopen_item(each)
            trial = await self._run_trial(prepared, each, route, candidate, rank, repeat)
            self.journal.add(trial)
            self._remember(trial)
            yield trial
            own = bool(trial.error) and not trial.error.startswith(_OF_ITEM)
            failed[route.id] = failed[route.id] + 1 if own else 0
            if failed[route.id] >= _MOST_FAILURES_IN_A_ROW:
                self.left_out[route.id] = f"failed {_MOST_FAILURES_IN_A_ROW} times in a row, last: {trial.message}"

    def _affordable(self, candidate: Candidate, route: EvaluatedRoute) -> bool:
        """Return whether the highest cost of a run is within the limit; if not, record why."""
        most = candidate.total.cost.for_limit()
        if math.isinf(most):
            self.left_out[route.id] = hint("its price is not known, so it cannot be kept under {max-cost}")
            return False
        if most > 0 and self.journal.spent + most > self.settings.max_cost + 1e-9:
            self.stopped = hint(
                "the next run may cost up to ${}, and ${} of the ${} allowed is spent; raise {max-cost}, and the same "
                "command goes on",
                *(f"{usd:.4f}" for usd in (most, self.journal.spent, self.settings.max_cost)),
            )
            return False
        return True

    async def _reopen_item(self, each: PlannedItem) -> PreparedRequest:
        """Open the item's files again. Raises UsageError if they changed after planning."""
        assert each.inputs is not None
        prepared = await self.client.prepare(each.inputs.original)
        if request_digest(prepared) != each.digest:
            raise UsageError(
                "changed since the evaluation began", where=f"{self.data.name} line {each.item.line}",
                todo="run it again",
            )  # fmt: skip
        return dataclasses.replace(prepared, inputs=each.inputs)

    async def _run_trial(
        self,
        prepared: PreparedRequest,
        each: PlannedItem,
        route: EvaluatedRoute,
        candidate: Candidate,
        rank: int,
        repeat: int,
    ) -> Trial:
        inputs = prepared.inputs
        plan = plan_of_candidate(inputs, candidate)
        events: list[Event] = []
        error: IntermodalError | None = None
        try:
            async with aclosing(self.client.execute(self._with_remaining_budget(prepared), plan)) as stream:
                async for event in stream:
                    events.append(event)
        except StoreError:
            raise  # if results cannot be recorded, nothing more may be spent
        except IntermodalError as failure:
            error = failure
        result = fold(events)
        trial = Trial(
            item=each.item.id,
            digest=each.digest,
            route=route,
            repeat=repeat,
            rank=rank,
            answer=result.text,
            data=result.data,
            scores=result.scores,
            finish_reason=result.finish_reason,
            loses=candidate.loses,
            replans=len(result.replans),
            when=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        return self._with_measurements(trial, result, error, candidate, _conversion_keys(candidate, inputs))

    def _with_remaining_budget(self, prepared: PreparedRequest) -> PreparedRequest:
        """Return the request limited to the evaluation's remaining budget."""
        request = prepared.inputs.request
        left = max(0.0, self.settings.max_cost - self.journal.spent)
        policy = msgspec.structs.replace(request.policy, max_cost=min(request.policy.max_cost, left))
        inputs = msgspec.structs.replace(prepared.inputs, request=msgspec.structs.replace(request, policy=policy))
        return dataclasses.replace(prepared, inputs=inputs)

    def _with_measurements(
        self,
        trial: Trial,
        result: Result,
        error: IntermodalError | None,
        candidate: Candidate,
        keys: Mapping[str, str],
    ) -> Trial:
        """Return the trial with its measurements.

        A cached conversion counts with the time it took when it was made in this evaluation.
        """
        steps = tuple(
            StepActuals(key=keys.get(a.step, a.step), seconds=a.seconds, cost=a.cost, cached=a.cached)
            for a in result.actuals
        )
        saved_seconds, saved_cost, guessed = 0.0, 0.0, False
        for step, actual in zip(steps, result.actuals, strict=True):
            if step.cached:
                first = self._fresh.get(step.key)
                guessed = guessed or first is None
                first = first or _planned_actuals(step, actual.step, candidate)
                saved_seconds, saved_cost = saved_seconds + first.seconds, saved_cost + (first.cost or 0.0)
        loading = sum(actual.load_seconds for actual in result.actuals)
        spent = _billed_usd(result, error, candidate)
        answering = {step.id for step in candidate.steps if isinstance(step, Call) and step.op not in _CONVERTS}
        used = [actual.usage for actual in result.actuals if actual.step in answering]
        return msgspec.structs.replace(
            trial,
            error=error.code if error is not None else "",
            message=str(error.wording_for("command line")) if error is not None else "",
            wall=round(result.seconds, 4),
            load_seconds=round(loading, 4),
            seconds=round(max(0.0, result.seconds - loading) + saved_seconds, 4),
            cost=None if result.cost is None else result.cost + saved_cost,
            spent=spent,
            guessed=guessed,
            input_tokens=_sum_known([usage.input_tokens for usage in used]),
            output_tokens=_sum_known([usage.output_tokens for usage in used]),
            steps=steps,
        )

    def _remember(self, trial: Trial) -> None:
        for step in trial.steps:
            if not step.cached:
                self._fresh.setdefault(step.key, step)


def report(evaluation: Evaluation, date: str, reused: int = 0) -> EvaluationReport:
    """Return the report of all finished runs, also of an evaluation that was stopped."""
    trials = evaluation.trials()
    rows = aggregation.grade_trials(evaluation.data.items, trials)
    routes = aggregation.report_routes(rows, evaluation.left_out)
    runs = [(row.trial, row.grade.right) for row in rows]
    return EvaluationReport(
        data=evaluation.data.name,
        digest=evaluation.data.digest,
        date=date,
        items=len(evaluation.planned),
        without_route={each.item.id: each.why for each in evaluation.planned if not each.routes},
        runs=len(rows),
        missing=len(evaluation.planned_runs()) - len(rows),
        reused=reused,
        routes=routes,
        comparisons=aggregation.compare_routes(rows, routes),
        measured=tiers.measure_tiers(runs, evaluation.client.catalog),
        spent=evaluation.journal.spent,
        max_cost=evaluation.settings.max_cost,
        hidden=evaluation.hidden_routes,
        stopped=evaluation.stopped,
        graded=rows,
    )


def _conversion_keys(candidate: Candidate, inputs: Inputs) -> dict[str, str]:
    """Return the shortened cache key of each conversion step."""
    from intermodal.executor.conversion.conversions import Converters, cache_keys

    makers = Converters(catalog=inputs.catalog, language=inputs.request.policy.language)
    found = cache_keys(candidate.steps, inputs.facts, makers)
    return {step: key[:16] for step, key in found.items()}


def _planned_actuals(step: StepActuals, name: str, candidate: Candidate) -> StepActuals:
    """Return the plan's estimate for a step whose result was cached before the evaluation."""
    planned = next((each for each in candidate.steps if each.id == name), None)
    if planned is None:
        return step
    seconds, cost = planned.estimate.seconds, planned.estimate.cost
    return StepActuals(
        key=step.key, seconds=seconds.mid if seconds.known else 0.0, cost=cost.mid if cost.known else None
    )  # fmt: skip


def _billed_usd(result: Result, error: IntermodalError | None, candidate: Candidate) -> float:
    """Return the USD billed; the highest estimate if a call failed after it was sent, or if its cost is unknown."""
    known_cost = sum(actual.cost or 0.0 for actual in result.actuals)
    if error is None:
        return result.cost if result.cost is not None else candidate.total.cost.high
    return candidate.total.cost.high if isinstance(error, CallError) and error.sent else known_cost


def _sum_known(counts: list[int | None]) -> int | None:
    known_counts = [count for count in counts if count is not None]
    return sum(known_counts) if known_counts else None


def request_digest(prepared: PreparedRequest) -> str:
    """Return a digest of everything that determines the request, except its limits, and of the content of its files."""
    request = prepared.inputs.request
    policy = request.policy
    parts = (
        [(m.role, [part.text for part in m.parts if isinstance(part, Text)]) for m in request.messages],
        [(part.name, part.kind, part.digest) for part in prepared.inputs.facts.parts],
        request.output, request.sampling, policy.language, policy.pages, policy.deadline,
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]
