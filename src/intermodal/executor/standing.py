"""How an endpoint stands with this client when it is to be called, or failed: asked, waited for or passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from intermodal import errors
from intermodal.events import Retrying
from intermodal.executor.job import Job
from intermodal.executor.retry import FIRST_WAIT, NO_MORE, PATIENCE, Decision, decide, may_resend
from intermodal.plans.step import Call

if TYPE_CHECKING:
    from intermodal.executor.call import Caller


def shut(caller: Caller, job: Job) -> errors.CallError | None:
    """Why it is not asked now: it failed again and again, and somebody else may do it. None when it is asked."""
    seconds = caller.world.upstreams.shut_for(job.endpoint.id, caller.world.clock())
    if not seconds or caller.insist:
        return None
    what = "failed again and again and is left alone for a moment"
    error = errors.Overloaded(what, where=job.endpoint.id, todo="try again later", sent=False, retry_after=seconds)
    error.step = job.step.id
    return error


async def wait_out(caller: Caller, job: Job) -> None:
    """What an endpoint asked for when it was passed over, before it is asked again.

    Raises RateLimited where that is longer than there is time.
    """
    name, world = job.endpoint.id, caller.world
    seconds = world.upstreams.paused_for(name, world.clock()) if caller.insist else 0.0
    if not seconds:
        return
    if caller.remaining is not None and seconds >= caller.remaining:
        what = f"wants to be asked again in {seconds:.0f} s, and there is less time"
        raise errors.RateLimited(
            what, where=name, todo="allow more time (--deadline)", step=job.step.id, retry_after=seconds, sent=False
        )
    seconds += world.jitter() * FIRST_WAIT
    reason = f"{name} is asked again, as nobody else is left"
    await caller.emit(Retrying(step=job.step.id, reason=reason, delay=round(seconds, 3), at=caller.at()))
    await caller.sleep(seconds)


def rather_elsewhere(caller: Caller, error: errors.IntermodalError, job: Job, decision: Decision) -> bool:
    """Whether another route is taken while this endpoint wants to be waited for. It is come back to if need be."""
    asked = error.retry_after if isinstance(error, errors.CallError) else None
    if decision.kind != "resend" or asked is None or asked <= PATIENCE or caller.insist:
        return False
    name = job.endpoint.id
    caller.world.upstreams.pause(name, caller.world.clock() + asked)
    calls = ({step.endpoint for step in route.steps if isinstance(step, Call)} for route in caller.others)
    return any(name not in endpoints for endpoints in calls)


def decided(caller: Caller, error: errors.IntermodalError, job: Job, number: int, committed: bool) -> Decision:
    """What follows attempt ``number``, by the table and by what is left of the host's budget of resends."""
    world = caller.world
    now = world.clock()
    closed = not caller.insist and world.upstreams.shut_for(job.endpoint.id, now) > 0
    affordable = not closed and (welcome(error) or world.upstreams.affords(job.endpoint.host.id, now))
    decision = decide(
        error,
        attempt=number if affordable else NO_MORE,
        committed=committed,
        pay_twice=world.pay_twice,
        remaining=caller.remaining,
        jitter=world.jitter(),
        paid=caller.ledger.maybe_paid,
    )
    if decision.kind == "resend" or affordable or committed or not may_resend(error, number):
        return decision
    why = "and fails again and again" if closed else "and too many of our calls to it were sent again already"
    return msgspec.structs.replace(decision, reason=f"{decision.reason} {why}")


def welcome(error: errors.IntermodalError) -> bool:
    """Whether the endpoint itself said when to come back."""
    return isinstance(error, errors.RateLimited) and error.retry_after is not None
