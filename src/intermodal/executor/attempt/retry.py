"""The decision after a failed attempt (resend, reroute or stop), with the waits, breaker checks and budgets around it.

``decide_retry`` is pure: no clock, no randomness. ``decide_next`` applies it to a call of a run. An error's class of
retry and billing comes from the table in ``protocols/errors/``. These rules override that table. After the first output
nothing is retried: the model is committed. The same endpoint is called again only if the failed attempt cannot have
been paid for, and once after a plain 500 or after a kept-alive connection was closed. A reroute after the body was sent
may pay twice, so it needs the policy's permission (``pay_twice``). An attempt that began to answer may have been paid
for, whatever its error and whether or not it was shown: its account marks the error (``AttemptAccount.fail``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import msgspec

from intermodal import errors
from intermodal.core.content import Value
from intermodal.core.hints import hint
from intermodal.events import Retrying
from intermodal.executor.attempt.circuit_breaker import requested_pause
from intermodal.executor.drivers.interface import CallJob
from intermodal.plans.step import Call

if TYPE_CHECKING:
    from intermodal.events import Event
    from intermodal.executor.attempt.ledger import RunLedger
    from intermodal.executor.dependencies import Dependencies
    from intermodal.plans.plan import Candidate

MAX_PAID_ATTEMPTS = 3  # attempts of one run that may have cost money
MAX_WAIT = 60.0  # seconds; if an endpoint states a longer wait, another route is better
FIRST_WAIT = 1.0  # seconds; the width of the first full-jitter window, doubled for each further attempt
NO_MORE = 1_000  # an attempt number above any limit on resends
LAST_WAIT = 8.0  # seconds; the widest window

# How often a request is resent to the same endpoint; any other retry goes elsewhere.
RESENDS: Mapping[errors.Retry, int] = {"resend": 2, "wait": 2, "once": 1}


class Reroute(Exception):
    """Another endpoint may make a call that this one cannot make.

    ``reason`` continues a sentence that begins with the endpoint's name. ``passed_over``: its circuit breaker is open,
    or it requested a long pause; it may be called if no other endpoint is left. ``resendable``: it may be called in
    another way at once.
    """

    def __init__(
        self, error: errors.IntermodalError, step: Call, reason: str, *, passed_over: bool = False,
        resendable: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(reason)
        input_tokens = step.estimate.input_tokens
        self.error = error
        self.endpoint = step.endpoint
        self.size = input_tokens.high if input_tokens.known else None  # tokens of the request
        self.sent = isinstance(error, errors.CallError) and error.sent
        self.step = step.id
        self.op = step.op
        self.reason = reason
        self.passed_over = passed_over
        self.resendable = resendable


class RunCaller(Protocol):
    """The caller of a run (``step_caller.StepCaller``), as far as waits and retry decisions need it."""

    dependencies: Dependencies
    ledger: RunLedger
    emit: Callable[[Event], Awaitable[None]]
    force: bool
    exploring: str
    others: Sequence[Candidate]
    passed_over: dict[str, PassedOver]

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline; None if there is none."""

    def elapsed(self) -> float:
        """Return seconds since the run began."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class RetryDecision(Value, frozen=True):
    """``resend`` to the same endpoint after ``delay`` seconds, ``reroute`` to the next candidate, or ``stop``."""

    kind: Literal["resend", "reroute", "stop"]
    delay: float = 0.0
    reason: str = ""


class RetryLimits(Value, frozen=True):
    """The limits on retries in the request's policy.

    Attributes:
        pay_twice: reroute even if that may pay a second time.
        resends: maximum resends to one endpoint; None for as many as the error's class allows.
    """

    pay_twice: bool = True
    resends: int | None = None


# The reason in a run's notes, after the endpoint's name. Most specific class first; the first match decides.
_REASONS: tuple[tuple[type[errors.IntermodalError], str], ...] = (
    (errors.RateLimited, "is rate limited"),
    (errors.Overloaded, "is overloaded"),
    (errors.RuntimeCrashed, "crashed"),
    (errors.StreamCut, "stopped in the middle of its answer"),
    (errors.RequestTooLarge, "cannot take a request of this size"),
    (errors.ContextExceeded, "cannot hold a request of this size"),
    (errors.UnsupportedModality, "cannot take this kind of part"),
    (errors.CredentialsRefused, "refused our credentials"),
    (errors.ContentRefused, "refused the content"),
    (errors.NotInstalled, "is not installed"),
)


def reason_of(error: errors.IntermodalError) -> str:
    """Return what the endpoint did, in words that continue a sentence begun with its name."""
    for kind, words in _REASONS:
        if isinstance(error, kind):
            return words
    if not isinstance(error, errors.CallError):
        return "failed"
    if error.stale:
        return "closed a connection that had been kept open"
    if isinstance(error, errors.Unreachable) or not error.status:
        return "gave no answer after the request was sent" if error.sent else "could not be reached"
    if error.status < 300:
        return "sent a reply that is not a valid completion"
    if error.status < 500 and error.retry == "reroute":
        return "does not serve this model"
    return "failed inside" if error.status >= 500 else "refused the request as wrong"


def _classes(error: errors.IntermodalError) -> tuple[errors.Retry, errors.Billing]:
    if isinstance(error, errors.CallError):
        return error.retry, error.billing
    return ("reroute" if isinstance(error, errors.NotInstalled) else "never"), "free"


def decide_retry(
    error: errors.IntermodalError,
    *,
    attempt: int,
    committed: bool,
    allowed: RetryLimits,
    remaining: float | None,
    jitter: float,
    paid: int = 0,
) -> RetryDecision:
    """Return the decision after ``error``.

    Args:
        attempt: attempts made at this endpoint for this step, including the failed one; 1 is the first, ``NO_MORE``
            if the host's retry budget is spent (``circuit_breaker.py``).
        committed: output was shown, or a tool call emitted.
        allowed: limits of the request's policy.
        remaining: seconds until the deadline; None if there is none.
        jitter: a number in [0, 1) drawn by the caller.
        paid: attempts of the whole call so far that may have cost money.
    """
    retry, billing = _classes(error)
    reason = reason_of(error)
    if committed:
        return RetryDecision(kind="stop", reason=f"{reason}; part of its answer was already shown")
    if remaining is not None and remaining <= 0:
        return RetryDecision(kind="stop", reason=f"{reason}; no time is left")
    if paid >= MAX_PAID_ATTEMPTS:
        return RetryDecision(kind="stop", reason=f"{reason}; {paid} attempts may have been paid already")
    if attempt <= _resends(error, retry, billing, allowed.resends) and (allowed.pay_twice or not error.stale):
        delay = 0.0 if error.stale else _delay(error, attempt, jitter)
        if delay is not None and (remaining is None or delay < remaining):
            return RetryDecision(kind="resend", delay=delay, reason=reason)
    if retry == "never":
        return RetryDecision(kind="stop", reason=reason)
    if billing != "free" and not allowed.pay_twice:
        return RetryDecision(kind="stop", reason=f"{reason}; another route might pay twice")
    return RetryDecision(kind="reroute", reason=reason)


def _resends(error: errors.IntermodalError, retry: errors.Retry, billing: errors.Billing, most: int | None) -> int:
    if billing == "billed" or (isinstance(error, errors.CallError) and error.resendable is False):
        return 0
    usual = RESENDS.get(retry, 0)
    if most is None or not usual:
        return usual
    return min(usual, most) if retry == "once" else most


def _delay(error: errors.IntermodalError, attempt: int, jitter: float) -> float | None:
    """Return the seconds to wait, never less than the endpoint requested; None if it requested too long a wait."""
    window = min(LAST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1))
    retry_after = error.retry_after if isinstance(error, errors.CallError) else None
    if retry_after is None:
        return jitter * window
    if retry_after > MAX_WAIT:
        return None
    return max(0.0, retry_after) + jitter * FIRST_WAIT


_RETRIES_SPENT_NOTE = "and too many of our calls to it were sent again already"


def breaker_error(caller: RunCaller, job: CallJob) -> errors.CallError | None:
    """Return the error for an endpoint whose circuit breaker is open, or that requested a pause of any request while
    another route is left; None if it may be called.
    """
    upstreams, name, now = caller.dependencies.upstreams, job.endpoint.id, caller.dependencies.clock()
    if caller.force:
        return None
    if seconds := upstreams.seconds_open(name, now):
        what = "failed again and again and is left alone for a moment"
    elif (seconds := upstreams.pause_left(name, now)) and _has_alternative(caller, name):
        what = f"asked not to be called for {seconds:.0f} s"
    else:
        return None
    error = errors.Overloaded(what, where=name, todo="try again later", sent=False, retry_after=seconds)
    error.step = job.step.id
    return error


class PassedOver(NamedTuple):
    """An endpoint that failed and may be called again: its last error, and how often it was called."""

    error: errors.IntermodalError
    attempts: int


async def return_to_endpoint(caller: RunCaller, job: CallJob) -> int:
    """Wait as long as the endpoint requested if it is called again. Return how often it was called for this request.

    Raises Reroute if the host's retry budget does not allow a resend, RateLimited if the wait exceeds the remaining
    time or ``MAX_WAIT``. A wait that is not completed returns its resend to the budget. An endpoint that requested a
    pause of more than ``MAX_WAIT`` from other requests alone is called at once: it may answer this one.
    """
    upstreams, host = caller.dependencies.upstreams, job.endpoint.host.id
    found = caller.passed_over.pop(job.endpoint.id, None)
    seconds = upstreams.pause_left(job.endpoint.id, caller.dependencies.clock()) if caller.force else 0.0
    if found is None:
        if seconds <= MAX_WAIT:
            await _wait_for_retry_after(caller, job, seconds)
        return 0
    if not is_free_resend(found.error) and not upstreams.acquire_resend(host, caller.dependencies.clock()):
        raise Reroute(found.error, job.step, f"{reason_of(found.error)} {_RETRIES_SPENT_NOTE}")
    with _resend_held(caller, found.error, host):
        await _wait_for_retry_after(caller, job, seconds)
    return found.attempts


@contextmanager
def _resend_held(caller: RunCaller, error: errors.IntermodalError, host: str) -> Iterator[None]:
    """Hold a resend that was taken after ``error`` through a wait; one that is not completed returns it."""
    try:
        yield
    except BaseException:
        if not is_free_resend(error):
            caller.dependencies.upstreams.return_resend(host, caller.dependencies.clock())
        raise


async def wait_to_resend(
    caller: RunCaller, error: errors.IntermodalError, job: CallJob, decision: RetryDecision
) -> None:
    """Wait before the same endpoint is called again. A cancelled wait returns its resend to the budget."""
    delay, reason = round(decision.delay, 3), f"{job.endpoint.id} {decision.reason}"
    with _resend_held(caller, error, job.endpoint.host.id):
        await caller.emit(Retrying(step=job.step.id, reason=reason, delay=delay, at=caller.elapsed()))
        await caller.sleep(decision.delay)


async def _wait_for_retry_after(caller: RunCaller, job: CallJob, seconds: float) -> None:
    """Wait the rest of the pause that a passed-over endpoint requested, before it is called again; 0 if it is over.

    Raises RateLimited if that exceeds the remaining time or ``MAX_WAIT``.
    """
    if not seconds:
        return
    name = job.endpoint.id
    if seconds > MAX_WAIT or (caller.remaining is not None and seconds >= caller.remaining):
        long = seconds > MAX_WAIT
        what = f"wants to be asked again in {seconds:.0f} s, and "
        what += f"no request waits longer than {MAX_WAIT:.0f} s" if long else "there is less time"
        todo = "try again later" if long else hint("allow more time ({deadline})")
        raise errors.RateLimited(what, where=name, todo=todo, step=job.step.id, retry_after=seconds, sent=False)
    seconds += caller.dependencies.jitter() * FIRST_WAIT
    reason = f"{name} is called again, as no other endpoint is left"
    await caller.emit(Retrying(step=job.step.id, reason=reason, delay=round(seconds, 3), at=caller.elapsed()))
    await caller.sleep(seconds)


def as_trial(caller: RunCaller, job: CallJob) -> CallJob:
    """Return the call as a trial if it measures or probes its endpoint while another route is left.

    A trial has shorter timeouts, and is streamed so that the first word shows that the endpoint works.
    """
    name, dependencies = job.endpoint.id, caller.dependencies
    finds_out = name == caller.exploring or dependencies.upstreams.is_open(name)
    if not finds_out or caller.force or not dependencies.pay_twice or not _has_alternative(caller, name):
        return job
    chat = job.chat and msgspec.structs.replace(job.chat, stream=True)
    return msgspec.structs.replace(job, trial=True, chat=chat)


def _has_alternative(caller: RunCaller, name: str) -> bool:
    """Return True if a route is left that does not call this endpoint."""
    calls = ({step.endpoint for step in route.steps if isinstance(step, Call)} for route in caller.others)
    return any(name not in endpoints for endpoints in calls)


def decide_next(
    caller: RunCaller, error: errors.IntermodalError, job: CallJob, number: int, committed: bool
) -> tuple[RetryDecision, bool]:
    """Return the decision after attempt ``number``, and whether the endpoint is passed over for now because it
    requested a pause.

    A resend is taken from the host's retry budget here, before the wait, so concurrent calls cannot take the same one.
    """
    dependencies = caller.dependencies
    now, jitter = dependencies.clock(), dependencies.jitter()
    after = partial(_decide, caller, error, committed=committed, jitter=jitter)
    decision = after(NO_MORE if job.endpoint.id == caller.exploring else number)
    if decision.kind != "resend":
        return decision, False
    if not caller.force and dependencies.upstreams.seconds_open(job.endpoint.id, now) > 0:
        why = "and fails again and again"
    elif requested_pause(error) and not caller.force and _has_alternative(caller, job.endpoint.id):
        return msgspec.structs.replace(decision, kind="reroute", delay=0.0), True
    elif is_free_resend(error) or dependencies.upstreams.acquire_resend(job.endpoint.host.id, now):
        return decision, False
    else:
        why = _RETRIES_SPENT_NOTE
    decision = after(NO_MORE)
    return msgspec.structs.replace(decision, reason=f"{decision.reason} {why}"), False


def decide_elsewhere(caller: RunCaller, error: errors.IntermodalError) -> tuple[RetryDecision, bool, bool]:
    """Return the decision after an attempt that the next route does not repeat: reroute or stop.

    Also return whether the endpoint is passed over for now because it requested a pause, and whether it may be called
    again.
    """
    resendable = _decide(caller, error, 1, committed=False, jitter=0.0).kind == "resend"
    passed_over = resendable and bool(requested_pause(error)) and not caller.force
    return _decide(caller, error, NO_MORE, committed=False, jitter=0.0), passed_over, resendable


def _decide(
    caller: RunCaller, error: errors.IntermodalError, attempt: int, *, committed: bool, jitter: float
) -> RetryDecision:
    return decide_retry(
        error,
        attempt=attempt,
        committed=committed,
        allowed=RetryLimits(pay_twice=caller.dependencies.pay_twice, resends=caller.dependencies.resends),
        remaining=caller.remaining,
        jitter=jitter,
        paid=caller.ledger.maybe_paid,
    )


def is_free_resend(error: errors.IntermodalError) -> bool:
    """Return True if a resend needs no budget: the host named a time to retry, or has not read the request."""
    return error.stale or (isinstance(error, errors.RateLimited) and error.retry_after is not None)
