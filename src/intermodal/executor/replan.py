"""Replanning of the rest of a run when the result of a step differs from the plan.

The planner gets finished conversions as facts (``PartFacts.outcomes``), and the remaining budget and time. It may find
another route for the parts; the answering endpoint changes at most to a planned fallback. The content of media decides
nothing here: only its size, its language, whether there is any, and the findings of checks.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

from intermodal.catalog.types import Catalog
from intermodal.core.content import Value
from intermodal.core.hints import hint, join_sentences, setting
from intermodal.core.request import TIERS, ZONES, Aspect, Policy, Request
from intermodal.errors import CallError, IntermodalError, NoRoute
from intermodal.events import Event, Note, Replanned
from intermodal.executor.attempt.ledger import RunLedger
from intermodal.executor.attempt.step_caller import ReplanReason
from intermodal.executor.conversion import checks as conversion_checks
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.preparation.model_inputs import ImageInput, StepProduct, TextInput
from intermodal.executor.preparation.prompt import is_empty
from intermodal.executor.run_state import FinishedConversion, RunState
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.facts import ConversionOutcome, Facts
from intermodal.plans.plan import Candidate, PartNeeds, Plan
from intermodal.plans.step import Call, Check, Step, Transform
from intermodal.plans.verdict import joined_names

MAX_REPLANS = 3  # times a run may be replanned
_MAX_FOR_SIZE = 2  # of these, if only the size differs
_LEAST_TIME = 0.001  # seconds; an expired deadline is still a deadline


class Replanner:
    """Replans one run. Without ``plan_again`` among the dependencies it never does."""

    def __init__(
        self,
        plan: Plan,
        request: Request,
        facts: Facts,
        dependencies: Dependencies,
        ledger: RunLedger,
        *,
        started: float,
        emit: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._request = request
        self._facts = facts
        self._dependencies = dependencies
        self._ledger = ledger
        self._started = started
        self._emit = emit
        self._times = 0
        self._refused = False
        self._nothing_read = False
        # Only endpoints that the user was shown may answer.
        self._answering = {candidate.endpoint for candidate in (plan.chosen, *plan.fallbacks)}

    def should_replan(self, surprise: ReplanReason) -> bool:
        """Return True if the run may still be replanned for this reason."""
        if self._dependencies.plan_again is None or self._refused:
            return False
        return self._times < (_MAX_FOR_SIZE if surprise.only_size else MAX_REPLANS)

    def limit(self, candidate: Candidate, finished_steps: Iterable[str], step: str) -> ReplanReason | None:
        """Return a reason to replan if the rest of a route may exceed the cost limit or the deadline; None
        if it fits.
        """
        finished = set(finished_steps)
        policy = self._request.policy
        rest = [each for each in candidate.steps if each.id not in finished and not isinstance(each, Check)]
        cost = sum(each.estimate.cost.high for each in rest if each.estimate.cost.known)
        spent = self._ledger.spent + self._ledger.reserved
        if cost > 0 and spent + cost > policy.max_cost + 1e-9 and self._ledger.spent > 0:
            reason = f"${spent:.4f} is spent and the rest may cost ${cost:.4f}, more than ${policy.max_cost:.4f} allows"
            return ReplanReason(step=step, reason=reason)
        if policy.deadline is None:
            return None
        took = self._dependencies.clock() - self._started
        left = _seconds_left(candidate, rest, finished)
        if took + left > policy.deadline:
            reason = f"{took:.1f} s are over and the rest may take {left:.1f} s, more than {policy.deadline:g} s allow"
            return ReplanReason(step=step, reason=reason)
        return None

    async def replan_routes(self, surprise: ReplanReason, current: Candidate, state: RunState) -> tuple[Candidate, ...]:
        """Return the routes to take instead, best first; () to continue as before, with a note if a check found
        something.
        """
        import anyio.to_thread

        planner = self._dependencies.plan_again
        if planner is None:
            return ()
        self._times += 1
        began = self._dependencies.clock()
        routes: tuple[Candidate, ...] = ()
        lost: tuple[Aspect, ...] = ()
        plan: Plan | None = None
        self._nothing_read |= surprise.nothing_read
        facts = self._with_outcomes(state)
        try:
            for request in self._requests(current):
                plan = await anyio.to_thread.run_sync(planner, request, facts)
                routes = tuple(route for route in (plan.chosen, *plan.fallbacks) if self._is_permitted(route, state))
                if surprise.blocked or surprise.answers:
                    routes = tuple(route for route in routes if _differs(route, current))
                if not surprise.blocked:  # then the run can continue as it is
                    poorer = [lost_aspects(route, current, plan.needs, request.policy) for route in routes]
                    lost = next(filter(None, poorer), lost)
                    routes = tuple(route for route, is_poorer in zip(routes, poorer, strict=True) if not is_poorer)
                if routes:
                    break
        except NoRoute:
            await self._continue_as_before(surprise, "there is no other route")
            return ()
        now = self._dependencies.clock()
        if plan is None or not routes:
            why = (
                f"another way would lose {joined_names(lost)}"
                if lost
                else "another route would change the answering endpoint"
            )
            await self._continue_as_before(surprise, why)
            return ()
        first = routes[0]
        await self._emit(
            Replanned(
                step=surprise.step, reason=surprise.reason, before=current.id, after=first.id, endpoint=first.endpoint,
                plan=plan.id, seconds=round(now - began, 6), at=round(now - self._started, 6),
                **state.egress.switch_route(first),
            )
        )  # fmt: skip
        if first.endpoint != current.endpoint:
            await self._emit(Note(text=f"{surprise.reason}: {first.endpoint} answers instead of {current.endpoint}"))
        known_loss = _losses(first) <= _losses(current)  # worded differently: of one page instead of several
        for warning in first.warnings:  # a new loss that the shown plan did not have
            if warning not in current.warnings and not (known_loss and warning.startswith("loses ")):
                await self._emit(Note(text=hint("the new plan {}", warning), step=surprise.step, warns=True))
        return routes

    async def _continue_as_before(self, surprise: ReplanReason, why: str) -> None:
        if surprise.only_size:
            self._refused = True  # nothing was wrong, and another size changes nothing
            return
        if surprise.blocked:
            return  # the failure itself is reported, or the fallback that recovers from it
        if surprise.already_reported:
            return
        note = f"{surprise.reason}; {why}, so the run goes on as it is"
        await self._emit(Note(text=note, step=surprise.step, warns=True))

    async def local_alternative(self, failed: frozenset[str], error: IntermodalError) -> str:
        """Return which endpoint on this machine would answer under another policy; "" if none would.

        Called if the policy leaves no endpoint. The result is only a suggestion: a weaker endpoint replaces one that is
        down only if the user allows it. ``error``: the error that ends the run; if no call failed, no other endpoint
        would help.
        """
        import anyio.to_thread

        planner, policy = self._dependencies.plan_again, self._request.policy
        if planner is None or policy.model or not isinstance(error, CallError):
            return ""
        options = {
            setting("local"): msgspec.structs.replace(policy, farthest="machine"),
            hint("{at-least=}", TIERS[0]): msgspec.structs.replace(policy, at_least=TIERS[0]),
        }
        found: dict[str, list[str]] = {}
        for option, other in options.items():
            try:
                request = msgspec.structs.replace(self._request, policy=other)
                plan = await anyio.to_thread.run_sync(planner, request, self._facts)
            except IntermodalError:
                continue
            for route in (plan.chosen, *plan.fallbacks):
                if self._runs_on_this_machine(route, failed):
                    found.setdefault(route.endpoint, []).append(option)
                    break
        return join_sentences(
            "; ",
            (
                hint("{}, would do it here with {}", join_sentences(", or ", settings), model_name)
                for model_name, settings in found.items()
            ),
        )

    def _runs_on_this_machine(self, route: Candidate, failed: frozenset[str]) -> bool:
        """Return True if every call of a route is made on this machine, by an endpoint that has not failed."""
        by_id = self._dependencies.catalog.by_id
        names = {step.endpoint for step in route.steps if isinstance(step, Call)}
        return not names & failed and all(name in by_id and by_id[name].host.zone in LOCAL_ZONES for name in names)

    def _requests(self, current: Candidate) -> tuple[Request, ...]:
        """Return the request with its remaining limits; then the same request restricted to the current endpoint."""
        policy = self._request.policy
        left = msgspec.structs.replace(policy, max_cost=max(0.0, policy.max_cost - self._ledger.spent))
        if policy.deadline is not None:
            remaining = policy.deadline - (self._dependencies.clock() - self._started)
            left = msgspec.structs.replace(left, deadline=max(_LEAST_TIME, remaining))
        free = msgspec.structs.replace(self._request, policy=left)
        if policy.model:
            return (free,)
        unchanged = msgspec.structs.replace(self._request, policy=msgspec.structs.replace(left, model=current.endpoint))
        return (free, unchanged)

    def _with_outcomes(self, state: RunState) -> Facts:
        outcomes: dict[int, list[ConversionOutcome]] = {}
        for finished in state.finished.values():
            outcome = _outcome(finished)
            if self._nothing_read and outcome.op == "read" and all(map(is_empty, finished.product.pieces)):
                outcome = msgspec.structs.replace(outcome, problem="empty")
            outcomes.setdefault(finished.product.part, []).append(outcome)
        parts = tuple(
            msgspec.structs.replace(part, outcomes=tuple(outcomes[part.index])) if part.index in outcomes else part
            for part in self._facts.parts
        )
        return msgspec.structs.replace(self._facts, parts=parts)

    def _is_permitted(self, route: Candidate, state: RunState) -> bool:
        """Return True if a new route uses only endpoints that were shown, and sends nothing where the policy forbids
        it.
        """
        if route.endpoint not in self._answering:
            return False
        calls = [step for step in route.steps if isinstance(step, Call) and step.id not in state.products]
        return all(may_receive_data(call.endpoint, self._request.policy, self._dependencies.catalog) for call in calls)


def lost_aspects(
    route: Candidate, before: Candidate, needs: Iterable[PartNeeds], policy: Policy
) -> tuple[Aspect, ...]:  # fmt: skip
    """Return the aspects that a new route loses, that the old one kept, and that the request needs.

    Needed are words always, what the question needs or may need, and what the policy keeps. A doubtful transcript is
    better than none.
    """
    needed: set[Aspect] = {"words", *policy.keep}
    for each in needs:
        needed |= {need.aspect for need in (*each.needed, *each.unsure)}
    return tuple(aspect for aspect in before.keeps if aspect in needed and aspect not in route.keeps)


def _differs(route: Candidate, before: Candidate) -> bool:
    """Return True if a route has different steps; the same steps would exceed the same limit again."""
    return {step.id for step in route.steps} != {step.id for step in before.steps}


def may_receive_data(endpoint: str, policy: Policy, catalog: Catalog) -> bool:
    """Return True if an endpoint may be sent data: it is known, within the farthest allowed zone, and consented to."""
    found = catalog.by_id.get(endpoint)
    if found is None or ZONES.index(found.host.zone) > ZONES.index(policy.farthest):
        return False
    return found.host.zone in LOCAL_ZONES or found.host.id in (*catalog.consent, *policy.hosts)


def _seconds_left(candidate: Candidate, rest: Sequence[Step], finished: set[str]) -> float:
    """Return the maximum seconds that the rest may take: the route's highest estimate minus that of finished steps."""
    total = candidate.total.seconds
    if not total.known or not total.high:
        return 0.0
    finished_seconds = sum(_high_seconds(step) for step in candidate.steps if step.id in finished)
    return max(total.high - finished_seconds, max((_high_seconds(step) for step in rest), default=0.0), 0.0)


def _high_seconds(step: Step) -> float:
    estimate = step.estimate
    return sum(
        each.high for each in (estimate.seconds, estimate.load_seconds) if each.known and math.isfinite(each.high)
    )


def _outcome(finished: FinishedConversion) -> ConversionOutcome:
    step, product = finished.step, finished.product
    return ConversionOutcome(
        op=step.op,
        endpoint=step.endpoint if isinstance(step, Call) else "",
        params=step.params,
        chars=sum(len(piece.text) for piece in product.pieces if isinstance(piece, TextInput)),
        tokens=finished.tokens,
        pictures=sum(isinstance(piece, ImageInput) for piece in product.pieces),
        language=product.transcript.language if product.transcript is not None else "",
        problem=finished.problem,
        message=finished.message,
    )


def judge_conversion(
    step: Transform | Call, product: StepProduct, checks: tuple[Check, ...], state: RunState
) -> ConversionJudgement:
    """Run the checks of a finished conversion and return their findings."""
    text = "\n".join(piece.text for piece in product.pieces if isinstance(piece, TextInput))
    count = state.dependencies.count
    tokens = {name: found for name in state.tokenizers if (found := count(name, text)) is not None} if text else {}
    subject = conversion_checks.CheckSubject(
        step=step,
        product=product,
        facts=state.opened_media.facts.parts[product.part],
        endpoint=state.dependencies.catalog.by_id.get(step.endpoint) if isinstance(step, Call) else None,
        language=state.request.policy.language,
        tokens=tokens.get("smollm2", round(len(text) / 4)),
    )
    findings = tuple((each, conversion_checks.run_check(each.op, subject)) for each in checks)
    size = conversion_checks.run_check("size", subject)
    wrong = next(
        (finding for _, finding in findings if finding.problem not in ("", "size")), conversion_checks.CheckFinding()
    )
    finished = FinishedConversion(
        step=step, product=product, tokens=tokens, problem=wrong.problem, message=wrong.message
    )
    if wrong.problem:
        remarked = wrong.problem in ("empty", "script")  # it is reported once
        surprise = ReplanReason(step=step.id, reason=wrong.message, already_reported=remarked)
        return ConversionJudgement(finished=finished, findings=findings, surprise=surprise)
    if size.problem:
        surprise = ReplanReason(step=step.id, reason=size.message, only_size=True)
        return ConversionJudgement(finished=finished, findings=findings, surprise=surprise)
    return ConversionJudgement(finished=finished, findings=findings)


class ConversionJudgement(Value, frozen=True):
    """A finished conversion, the findings of its checks, and the reason to replan if there is one."""

    finished: FinishedConversion
    findings: tuple[tuple[Check, conversion_checks.CheckFinding], ...] = ()
    surprise: ReplanReason | None = None


def _losses(route: Candidate) -> set[tuple[int, Aspect]]:
    """Return the losses of a route: each aspect with the index of its part."""
    return {(step.part, aspect) for step in route.steps if isinstance(step, Call | Transform) for aspect in step.loses}
