"""How an endpoint stands with this client when it is to be called, or failed: asked, waited for or passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from intermodal import errors
from intermodal.events import Retrying
from intermodal.executor.attempt.retry import (
    FIRST_WAIT,
    NO_MORE,
    REROUTE_AFTER,
    RetryDecision,
    RetryLimits,
    decide,
    reason_of,
)
from intermodal.executor.drivers.interface import CallJob
from intermodal.hints import hint
from intermodal.plans.step import Call

if TYPE_CHECKING:
    from intermodal.executor.attempt.caller import StepCaller


_SPENT = "and too many of our calls to it were sent again already"


def breaker_error(caller: StepCaller, job: CallJob) -> errors.CallError | None:
    """Why it is not asked now: it failed again and again, and somebody else may do it. None when it is asked."""
    seconds = caller.world.upstreams.seconds_open(job.endpoint.id, caller.world.clock())
    if not seconds or caller.force:
        return None
    what = "failed again and again and is left alone for a moment"
    error = errors.Overloaded(what, where=job.endpoint.id, todo="try again later", sent=False, retry_after=seconds)
    error.step = job.step.id
    return error


def is_resend(caller: StepCaller, job: CallJob) -> bool:
    """Whether this run asked it before, and passed it over because it wanted to be waited for: then this is a resend.

    Raises Reroute where the host's budget of resends does not allow it.
    """
    from intermodal.executor.attempt.caller import Reroute

    error = caller.passed_over.pop(job.endpoint.id, None)
    if error is None:
        return False
    upstreams, host = caller.world.upstreams, job.endpoint.host.id
    if not is_free_resend(error) and not upstreams.acquire(host, caller.world.clock()):
        raise Reroute(error, job.step, f"{reason_of(error)} {_SPENT}")
    return True


async def wait_to_resend(
    caller: StepCaller, error: errors.IntermodalError, job: CallJob, decision: RetryDecision
) -> None:
    """Wait before the same endpoint is asked again. Who leaves meanwhile leaves the resend to others."""
    delay, reason = round(decision.delay, 3), f"{job.endpoint.id} {decision.reason}"
    try:
        await caller.emit(Retrying(step=job.step.id, reason=reason, delay=delay, at=caller.at()))
        await caller.sleep(decision.delay)
    except BaseException:
        if not is_free_resend(error):
            caller.world.upstreams.give_back(job.endpoint.host.id, caller.world.clock())
        raise


async def wait_for_retry_after(caller: StepCaller, job: CallJob) -> None:
    """What an endpoint asked for when it was passed over, before it is asked again.

    Raises RateLimited where that is longer than there is time.
    """
    name, world = job.endpoint.id, caller.world
    seconds = world.upstreams.paused_for(name, world.clock()) if caller.force else 0.0
    if not seconds:
        return
    if caller.remaining is not None and seconds >= caller.remaining:
        what = f"wants to be asked again in {seconds:.0f} s, and there is less time"
        raise errors.RateLimited(
            what,
            where=name,
            todo=hint("allow more time ({deadline})"),
            step=job.step.id,
            retry_after=seconds,
            sent=False,
        )
    seconds += world.jitter() * FIRST_WAIT
    reason = f"{name} is asked again, as nobody else is left"
    await caller.emit(Retrying(step=job.step.id, reason=reason, delay=round(seconds, 3), at=caller.at()))
    await caller.sleep(seconds)


def as_trial(caller: StepCaller, job: CallJob) -> CallJob:
    """The job, as a trial where it is done to find out what its endpoint is like, or whether that is back, while
    another route is left: then it is waited for less long, and streamed, so that a first word shows."""
    name, world = job.endpoint.id, caller.world
    finds_out = name == caller.exploring or world.upstreams.is_open(name)
    if not finds_out or caller.force or not world.pay_twice or not _has_alternative(caller, name):
        return job
    chat = job.chat and msgspec.structs.replace(job.chat, stream=True)
    return msgspec.structs.replace(job, trial=True, chat=chat)


def _has_alternative(caller: StepCaller, name: str) -> bool:
    """Whether a route is left that asks this endpoint nothing."""
    calls = ({step.endpoint for step in route.steps if isinstance(step, Call)} for route in caller.others)
    return any(name not in endpoints for endpoints in calls)


def should_reroute(caller: StepCaller, error: errors.IntermodalError, job: CallJob, decision: RetryDecision) -> bool:
    """Whether another route is taken while this endpoint wants to be waited for. It is come back to if need be."""
    asked = error.retry_after if isinstance(error, errors.CallError) else None
    if decision.kind != "resend" or asked is None or asked <= REROUTE_AFTER or caller.force:
        return False
    name = job.endpoint.id
    caller.world.upstreams.pause(name, caller.world.clock() + asked)
    return _has_alternative(caller, name)


def decide_next(
    caller: StepCaller, error: errors.IntermodalError, job: CallJob, number: int, committed: bool
) -> tuple[RetryDecision, bool]:
    """What follows attempt ``number``, by the table and by what is left of the host's budget of resends, and whether it
    is come back to later (``rather_elsewhere``).

    A resend is paid for here, before it is waited for: whoever is decided a moment later finds the budget without it.
    """
    world = caller.world
    now, jitter = world.clock(), world.jitter()

    def after(attempt: int) -> RetryDecision:
        return decide(
            error,
            attempt=attempt,
            committed=committed,
            allowed=RetryLimits(pay_twice=world.pay_twice, resends=world.resends),
            remaining=caller.remaining,
            jitter=jitter,
            paid=caller.ledger.maybe_paid,
        )

    decision = after(NO_MORE if job.endpoint.id == caller.exploring else number)
    if decision.kind != "resend":
        return decision, False
    if not caller.force and world.upstreams.seconds_open(job.endpoint.id, now) > 0:
        why = "and fails again and again"
    elif should_reroute(caller, error, job, decision):
        return msgspec.structs.replace(decision, kind="reroute", delay=0.0), True
    elif is_free_resend(error) or world.upstreams.acquire(job.endpoint.host.id, now):
        return decision, False
    else:
        why = _SPENT
    decision = after(NO_MORE)
    return msgspec.structs.replace(decision, reason=f"{decision.reason} {why}"), False


def is_free_resend(error: errors.IntermodalError) -> bool:
    """Whether a resend costs the host nothing: it said itself when to come back, or has not read the request."""
    return error.stale or (isinstance(error, errors.RateLimited) and error.retry_after is not None)
