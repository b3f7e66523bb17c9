"""Runs a plan: the chosen route, and fallbacks until output has been shown.

``PlanRun._run_routes`` is the loop of a run. For each route it runs the conversions (``RouteRun.prepare_answer``),
makes the answering call in one or more attempts (``attempt/step_caller.py``), checks the results
(``conversion/checks.py``, ``outputs/``), plans again if a result differs from the plan (``replan.py``), and settles the
cost of every attempt (``attempt/ledger.py``).
"""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from intermodal import errors
from intermodal.catalog.reasoning_effort import thinking_request_of
from intermodal.catalog.types import Endpoint
from intermodal.concurrency.offload import is_long, offload
from intermodal.core.content import Kind, Part
from intermodal.core.hints import hint
from intermodal.core.request import Request
from intermodal.cost_model import answer_length
from intermodal.events import (
    Committed,
    Event,
    Finished,
    Note,
    Rerouted,
    Sketched,
    StepFinished,
    StepProgress,
    TextDelta,
)
from intermodal.executor.attempt.answer_notes import deadline_error
from intermodal.executor.attempt.ledger import (
    AllowanceExceeded,
    AllowanceLike,
    EndpointRateExceeded,
    RunLedger,
    original_failure,
    write_in_group_commit,
)
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.attempt.step_caller import PriorAttempt, ReplanReason, ReplanRequested, StepCaller
from intermodal.executor.background_stream import ItemSender, stream_from_task
from intermodal.executor.dependencies import Dependencies, OpenedMediaLike
from intermodal.executor.outputs.answer_call import run_to_answer
from intermodal.executor.replan import Replanner
from intermodal.executor.route_run import RouteRun
from intermodal.executor.run_state import RunState
from intermodal.plans.plan import EXPLORED_MOST, Candidate, Plan
from intermodal.plans.step import Call
from intermodal.store.attempts import utc_now_text
from intermodal.store.rows import RunRow, stored_names

_SMALLER = 0.9  # share of a refused size that may fit: models count the same text differently
_WAITING_EVENTS = 64  # a slow reader slows the run instead of filling the memory


async def run(
    plan: Plan, request: Request, opened_media: OpenedMediaLike, dependencies: Dependencies,
    prior: PriorAttempt | None = None, allowance: AllowanceLike | None = None,
    unread: Callable[[Event], None] | None = None,
) -> AsyncGenerator[Event, None]:  # fmt: skip
    """Run a plan; yield its events as they happen, ``Finished`` last.

    The run is a task of its own. Leaving the iterator (``break``, ``aclose``, a cancelled reader) cancels the task
    within a second: calls stop, child processes end, rows are closed. ``contextlib.aclosing`` waits for the clean-up; a
    plain ``break`` does not. Requires asyncio.

    Args:
        prior: a first attempt that was made before the run; None if the run makes the first.
        allowance: the budget that pays for the run; checked before each attempt.
        unread: receives the events that a reader who leaves has not read, such as the end of the attempt in progress.

    Raises:
        CallError: an endpoint failed and no fallback could take over.
        OutputInvalid, BudgetExceeded, InputError: see ``intermodal.errors``.
        StoreError: the attempt could not be recorded, so nothing was sent.
    """

    async def drive(send: ItemSender[Event]) -> None:
        await PlanRun(plan, request, opened_media, dependencies, send, prior, allowance).execute()

    async with aclosing(
        stream_from_task(drive, ahead=_WAITING_EVENTS, owner=dependencies.store, unread=unread)
    ) as events:
        async for event in events:
            yield event


def _parts_of(request: Request) -> list[Part]:
    return [part for _, _, part in request.parts()]


class PlanRun:
    """One run of a plan: runs its routes, emits its events and writes its row."""

    def __init__(
        self, plan: Plan, request: Request, opened_media: OpenedMediaLike, dependencies: Dependencies, send:
        ItemSender[Event], prior: PriorAttempt | None = None, allowance: AllowanceLike | None = None,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._request = request
        self._opened_media = opened_media
        self._dependencies = dependencies
        self._send = send
        self._id = uuid.uuid4().hex if prior is None else prior.run
        self._started = dependencies.clock() - (0.0 if prior is None else prior.seconds)
        self._finished: Finished | None = None
        self._committed = False
        self._endpoint = plan.chosen.endpoint  # of the route in progress
        self._waiting_events: list[Event] = []  # events of the clean-up that found the queue full
        self._too_long: list[Reroute] = []  # endpoints for which the prompt was too long
        deadline = request.policy.deadline
        self._ledger = RunLedger(dependencies.store, self._id, request.policy.max_cost, allowance)
        self._ledger.answer = answer_length.kind_of_request(request)
        self._ledger.effort = thinking_request_of(request.settings)
        self._caller = StepCaller(
            dependencies, self._ledger, self._emit, self._hint, None if deadline is None else self._started + deadline,
            self._started,
        )  # fmt: skip
        if prior is not None:
            self._caller.prior = prior
            self._ledger.contacted |= {prior.endpoint} if prior.sent else set()
            self._ledger.add_prior(prior.ending)

    async def execute(self) -> None:
        """Execute the run and write its row: ``finished``, ``cancelled`` or the code of the error it ended with."""
        import anyio

        row = RunRow(
            id=self._id,
            plan=self._plan.id,
            inputs=self._plan.inputs,
            endpoint=self._plan.chosen.endpoint,
            objective=self._plan.objective,
            parts=stored_names([part.name for part in self._opened_media.facts.parts]),
            started=utc_now_text(),
        )
        self._ledger.begin = lambda: self._dependencies.store.start_run(row)
        outcome = "cancelled"
        try:
            await self._run_within_deadline()
            outcome = "finished"
        except errors.IntermodalError as error:
            outcome = error.code
            raise
        except Exception:
            outcome = "internal"
            raise
        finally:
            if self._finished is None:
                self._caller.report_rest(self._plan.chosen.last.id)
            with anyio.CancelScope(shield=True):
                await self._close_row(row, outcome)
            del self._caller  # its callback makes a reference cycle, which would keep the request and its media
            await self._emit_waiting()
        if self._finished is not None:
            await self._emit(self._finished)

    async def _close_row(self, row: RunRow, outcome: str) -> None:
        import msgspec

        closed = msgspec.structs.replace(
            row,
            outcome=outcome,
            endpoint=self._finished.endpoint if self._finished is not None else row.endpoint,
            cost=self._ledger.charges.cost,
            seconds=round(self._dependencies.clock() - self._started, 3),
        )
        begin, self._ledger.begin = self._ledger.begin, None

        def write() -> None:
            if begin is not None:  # no attempt was made, so the row was not started
                begin()
            self._dependencies.store.finish_run(closed)

        try:
            await write_in_group_commit(self._dependencies.store, write, later=True)
        except errors.IntermodalError:
            # The rows that count money are closed already. The answer matters more than this row.
            return

    async def _run_within_deadline(self) -> None:
        import anyio

        limit, left = self._request.policy.deadline, self._caller.remaining
        if limit is None or left is None:
            await self._run_routes()
            return
        with anyio.move_on_after(left) as scope:
            await self._run_routes()
        if scope.cancelled_caught:
            raise deadline_error(limit, self._endpoint)

    async def _run_routes(self) -> None:
        """Run the chosen route, then fallbacks or replanned routes. Raises the error of the last one if none answers.

        The traceback of the error refers to this frame, so no frame here may refer to the error.
        """
        failed = await self._failed_routes()
        self._too_long.clear()
        if failed is not None:
            try:
                raise failed
            finally:
                del failed

    async def _failed_routes(self) -> errors.IntermodalError | None:
        """Run routes until one has answered; each reuses finished conversions. Return the error if none has."""
        parts = await offload(is_long(self._request.messages), _parts_of, self._request)
        state = RunState(self._request, self._opened_media, self._dependencies, self._caller, self._emit, parts)
        replanner = Replanner(
            self._plan, self._request, self._opened_media.facts, self._dependencies, self._ledger,
            started=self._started, emit=self._emit,
        )  # fmt: skip
        failures: list[Reroute] = []
        passed_over: list[tuple[Candidate, Reroute]] = []  # routes whose endpoint may not be called for a while
        waiting = [self._plan.chosen, *self._plan.fallbacks]
        state.egress.route = self._plan.chosen
        await self._explore(waiting)
        while waiting or (passed_over and not self._caller.force):
            if not waiting:
                # No other endpoint is left, so those with an open circuit breaker are called after all.
                waiting, passed_over = [candidate for candidate, _ in passed_over], []
                self._caller.force = True
            candidate = waiting.pop(0)
            if self._is_too_long(candidate, state) or not await self._fail_prior(
                candidate, waiting, failures, passed_over
            ):
                continue
            before = [*failures, *(failure for _, failure in passed_over)]
            if before:
                if not _may_replace(candidate, before, state, self._dependencies):
                    continue
                last = before[-1]
                what = "" if candidate is self._plan.chosen else "the fallback "
                reason = f"{last.endpoint} {last.reason}: going on with {what}{candidate.endpoint}"
                await self._emit(Note(text=reason, step=last.step))
                for warning in candidate.warnings:
                    if warning not in self._plan.chosen.warnings:
                        await self._emit(Note(text=f"the fallback {warning}", step=last.step, warns=True))
            if candidate is not state.egress.route:
                route_fields = state.egress.switch_route(candidate)
                await self._emit(Rerouted(after=candidate.id, endpoint=candidate.endpoint, **route_fields))
            self._caller.others = tuple(waiting)
            self._endpoint = candidate.endpoint
            try:
                self._finished = await run_to_answer(RouteRun(candidate, state, self._ledger, self._started, replanner))
                return None
            except ReplanRequested as again:
                routes = await replanner.replan_routes(again.surprise, candidate, state)
                waiting = list(routes) or [candidate, *waiting]
            except (Reroute, errors.BudgetExceeded) as failure:
                routes = await self._replanned_routes(failure, candidate, state, replanner, waiting)
                if routes:
                    waiting = list(routes)
                elif isinstance(failure, Reroute) and failure.passed_over:
                    passed_over.append((candidate, failure))
                elif isinstance(failure, Reroute):
                    failures.append(failure)
                else:
                    raise original_failure(failure, failures[-1].error if failures else None) from None
        error = _final_error(failures or self._too_long)
        instead = await replanner.local_alternative(frozenset(failure.endpoint for failure in failures), error)
        if instead:
            error.todo = hint("{}; {}", error.hints.todo, instead) if error.todo else instead
        return error

    async def _fail_prior(
        self, candidate: Candidate, waiting: list[Candidate], failures: list[Reroute],
        passed_over: list[tuple[Candidate, Reroute]],
    ) -> bool:  # fmt: skip
        """Treat the attempt that was made before the run as failed, unless this route makes the same call.

        The run was planned after the attempt, so its plan may call another endpoint, or convert what the attempt sent
        as it is. Routes in ``waiting`` that make the same call are not taken, unless it requested a pause. Return False
        if this route has to wait for that pause, too.
        """
        prior = self._caller.prior
        if prior is None or _is_call_of(candidate, prior.endpoint):
            return True
        kinds: dict[Kind, None] = {part.kind: None for part in self._opened_media.facts.parts if part.kind != "text"}
        failure = await self._caller.fail_prior(candidate.last.id, tuple(kinds), self._request.tools)
        same = [route for route in waiting if _is_call_of(route, failure.endpoint)]
        waiting[:] = [route for route in waiting if not _is_call_of(route, failure.endpoint)]
        again = any(step.endpoint == failure.endpoint for step in candidate.steps if isinstance(step, Call))
        if failure.passed_over and (again or same):
            passed_over.extend((route, failure) for route in ([candidate, *same] if again else same))
            return not again
        if self._replan_reason(failure) is None and not (again and failure.resendable):
            failures.append(failure)
        else:  # the endpoint may still be called in another way: only this call failed, or exceeded a limit of it
            text = f"{failure.endpoint} {failure.reason}: going on with {candidate.endpoint}"
            await self._emit(Note(text=text, step=failure.step))
        return True

    async def _replanned_routes(
        self, failure: Reroute | errors.BudgetExceeded, candidate: Candidate, state: RunState, replanner: Replanner,
        waiting: list[Candidate],
    ) -> tuple[Candidate, ...]:  # fmt: skip
        """Return routes that were planned again after a limit was exceeded, or nothing was found to read.

        Returns () if the failure is neither, or no other route exists, or one in ``waiting`` may look at what was only
        read.
        """
        if isinstance(failure, Reroute):
            failure.with_traceback(None)  # its frames refer to the failure, and both to the request
            if _exceeded_context(failure) and failure.sent:
                self._too_long.append(failure)
        surprise = None if waiting and _found_nothing(failure) else self._replan_reason(failure)
        if surprise is None or not replanner.should_replan(surprise):
            return ()
        found = await replanner.replan_routes(surprise, candidate, state)
        return tuple(route for route in found if not self._is_too_long(route, state))

    def _is_too_long(self, candidate: Candidate, state: RunState) -> bool:
        """Return True if a route would send a prompt to an endpoint that has refused one of that length."""
        return any(_is_too_long_again(candidate, failure, state, self._dependencies) for failure in self._too_long)

    async def _explore(self, waiting: list[Candidate]) -> None:
        """Move the endpoint that the plan explores to the front if it is this run's turn to measure it."""
        name, dependencies = self._plan.explores, self._dependencies
        route = next((each for each in waiting if each.endpoint == name), None)
        if route is None or self._caller.prior is not None:
            return
        number = dependencies.upstreams.explore(name, dependencies.clock())
        if number is None:
            return
        why = f"explores {name}: not measured yet (request {number} of {EXPLORED_MOST})"
        await self._emit(Note(text=why if number else f"asks {name} first, to find out whether it is back"))
        waiting.remove(route)
        waiting.insert(0, route)
        self._caller.exploring = name

    def _replan_reason(self, failure: Reroute | errors.BudgetExceeded) -> ReplanReason | None:
        """Return a reason to replan if a limit was exceeded before any output was shown; None for other failures."""
        error = failure.error if isinstance(failure, Reroute) else failure
        limits = (errors.ContextExceeded, errors.UnsupportedModality, errors.BudgetExceeded, errors.NoContentFound)
        taught = isinstance(error, errors.CallError) and error.taught
        if self._committed or isinstance(error, AllowanceExceeded) or not (taught or isinstance(error, limits)):
            return None
        what = f"{error.where}: {error.what}" if error.where else error.what
        return ReplanReason(step=error.step, reason=what, blocked=True, nothing_read=_found_nothing(failure))

    async def _emit(self, event: Event) -> None:
        self._committed |= isinstance(event, Committed)
        # Only text must reach the reader immediately; other events may be queued.
        if isinstance(event, TextDelta) or not self._queue(event):
            await self._send.send(event)
        self._note_reported(event)

    def _hint(self, event: Event) -> None:
        """Send an event without waiting. If the reader is behind, progress is dropped; other events are kept."""
        import anyio

        self._note_reported(event)
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            if not self._queue(event) and not isinstance(event, (Sketched, StepProgress)):
                self._waiting_events.append(event)

    def _queue(self, event: Event) -> bool:
        """Queue an event; return False if there is no room."""
        import anyio

        try:
            self._send.send_nowait(event)
        except anyio.WouldBlock:
            return False
        return True

    async def _emit_waiting(self) -> None:
        """Send the events that found no room; if the reader leaves meanwhile, it has made room for the rest."""
        import anyio

        waiting = self._waiting_events
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            try:
                while waiting:
                    await self._send.send(waiting[0])
                    del waiting[0]
            finally:
                for event in waiting:
                    self._queue(event)

    def _note_reported(self, event: Event) -> None:
        """Note that the calls of a step are reported by its end."""
        if isinstance(event, StepFinished):
            self._caller.unreported.pop(event.actual.step, None)


def _is_call_of(route: Candidate, endpoint: str) -> bool:
    """Return True if a route is a single call of this endpoint, as the plan of an attempt before the run is."""
    return [step.endpoint for step in route.steps if isinstance(step, Call)] == [endpoint]


def _final_error(failures: list[Reroute]) -> errors.IntermodalError:
    """Return the error that ends the run: that of the last failed call, else the last error.

    A failed call comes first because it is the cause: if a vision model was down and text recognition found no text in
    the photo, the missing model is what has to be fixed. The error also names endpoints whose rate had no room; if no
    call failed, it is that of the endpoint which has room soonest.
    """
    calls = (failure.error for failure in reversed(failures) if isinstance(failure.error, errors.CallError))
    exceeded = [failure.error for failure in failures if isinstance(failure.error, EndpointRateExceeded)]
    error = next(calls, failures[-1].error)
    if isinstance(error, EndpointRateExceeded):
        error = min(exceeded, key=_wait)
    for each in exceeded:
        if each is not error:
            error.todo = hint("{}; {} {}", error.hints.todo, each.where, each.hints.what)
    return error


def _wait(error: EndpointRateExceeded) -> float:
    return math.inf if error.retry_after is None else error.retry_after


def _may_replace(candidate: Candidate, failures: list[Reroute], state: RunState, dependencies: Dependencies) -> bool:
    """Return True if a fallback may be tried: it repeats no failed call and uses no unreachable endpoint.

    If a prompt was too long, the fallback also needs a larger context window.
    """
    failed = {(failure.endpoint, failure.op) for failure in failures if not _found_nothing(failure)}
    unreachable = {failure.endpoint for failure in failures if isinstance(failure.error, errors.Unreachable)}
    todo = [step for step in candidate.steps if isinstance(step, Call) and step.id not in state.products]
    if any((step.endpoint, step.op) in failed or step.endpoint in unreachable for step in todo):
        return False
    after = dependencies.catalog.by_id.get(candidate.endpoint)
    for failure in failures:
        before = dependencies.catalog.by_id.get(failure.endpoint)
        if _exceeded_context(failure) and before and _context_of(after) <= (before.context_limit or 0):
            return False
    return True


def _found_nothing(failure: Reroute | errors.BudgetExceeded) -> bool:
    """Return True if no text was found in the images and pages, so that the route's endpoint was not called."""
    return isinstance(failure, Reroute) and isinstance(failure.error, errors.NoContentFound)


def _exceeded_context(failure: Reroute) -> bool:
    """Return True if the prompt was too long for the endpoint.

    Limits on bytes or on the number of files do not count, since they say nothing about other endpoints.
    """
    error = failure.error
    return isinstance(error, errors.ContextExceeded) and not isinstance(error, errors.RequestTooLarge)


def _is_too_long_again(candidate: Candidate, failure: Reroute, state: RunState, dependencies: Dependencies) -> bool:
    """Return True if a route sends an endpoint at least as many tokens as it has refused.

    A server that truncates prompts silently does so for all its models, so a failure there also excludes its other
    models, except those known to have a larger context window.
    """
    before = dependencies.catalog.by_id.get(failure.endpoint)
    cut = isinstance(failure.error, errors.ContextExceeded) and failure.error.cut is not None
    for step in candidate.steps:
        if not isinstance(step, Call) or step.op != failure.op or step.id in state.products:
            continue
        after = dependencies.catalog.by_id.get(step.endpoint)
        near = cut and before is not None and after is not None and before.host.id == after.host.id
        if step.endpoint == failure.endpoint or (near and _context_of(after) <= _context_of(before)):
            input_tokens = step.estimate.input_tokens
            if failure.size is None or not input_tokens.known or input_tokens.high >= _SMALLER * failure.size:
                return True
    return False


def _context_of(endpoint: Endpoint | None) -> float:
    """Return the known context length in tokens; infinity if it is unknown."""
    context = None if endpoint is None else endpoint.context_limit
    return math.inf if context is None else context
