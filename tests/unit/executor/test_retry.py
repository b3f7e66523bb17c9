"""The retry table, row by row (reliability ids A3, A5, A6, A8, A9, A12)."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from intermodal import errors
from intermodal.executor.attempt.retry import MAX_PAID_ATTEMPTS, RetryDecision, RetryLimits, decide_retry


def ask(error: errors.IntermodalError, **changes: Any) -> RetryDecision:
    settings: dict[str, Any] = {"attempt": 1, "committed": False, "remaining": None, "jitter": 0.5}
    leave = {name: changes.pop(name) for name in ("pay_twice", "resends") if name in changes}
    return decide_retry(error, allowed=RetryLimits(**leave), **(settings | changes))


def every_error() -> list[errors.IntermodalError]:
    found: list[errors.IntermodalError] = []
    waiting: list[type[errors.IntermodalError]] = [errors.IntermodalError]
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if issubclass(kind, errors.CallError):
            found += [kind("x", status=status, sent=sent) for status in (0, 400, 500) for sent in (True, False)]
        else:
            found.append(kind("x"))
    return found


@pytest.mark.parametrize(
    ("error", "kinds"),
    [
        # (error, what happens after the 1st, 2nd, 3rd attempt at the same endpoint)
        (errors.Unreachable("refused", sent=False), ["resend", "resend", "reroute"]),
        (errors.Unreachable("gone", sent=True), ["reroute"]),
        (errors.Unreachable("bad gateway", sent=True, status=502), ["reroute"]),
        (errors.RateLimited("slow down", status=429), ["resend", "resend", "reroute"]),
        (errors.Overloaded("busy", status=503), ["resend", "resend", "reroute"]),
        (errors.CallError("oops", status=500), ["resend", "reroute"]),
        (errors.StreamCut("cut"), ["reroute"]),
        (errors.RuntimeCrashed("died"), ["resend", "reroute"]),
        (errors.ContextExceeded("too long", status=400), ["reroute"]),
        (errors.UnsupportedModality("no images", status=500), ["reroute"]),
        (errors.CredentialsRefused("bad key", status=401), ["reroute"]),
        (errors.ContentRefused("no", status=400), ["stop"]),
        (errors.CallError("bad request", status=422), ["stop"]),
        (errors.OutputInvalid("not the schema"), ["stop"]),
        (errors.BudgetExceeded("too dear"), ["stop"]),
        (errors.NotInstalled("no weights"), ["reroute"]),
    ],
    ids=lambda value: f"{value.code}-{getattr(value, 'status', 0)}" if isinstance(value, Exception) else "",
)
def test_row_says_what_follows_each_attempt(error: errors.IntermodalError, kinds: list[str]) -> None:
    assert [ask(error, attempt=number).kind for number in range(1, len(kinds) + 1)] == kinds


def test_A6_nothing_is_tried_again_once_output_was_shown() -> None:
    assert {ask(error, committed=True).kind for error in every_error()} == {"stop"}


def test_A6_same_endpoint_gets_it_again_only_when_unpaid_or_after_one_plain_500() -> None:
    for error in every_error():
        decision = ask(error)
        if decision.kind != "resend":
            continue
        unpaid = isinstance(error, (errors.RateLimited, errors.Overloaded, errors.RuntimeCrashed))
        unsent = isinstance(error, errors.CallError) and not error.sent
        plain_500 = type(error) is errors.CallError and error.status == 500
        assert unpaid or unsent or plain_500, error.code


@pytest.mark.parametrize(("resends", "sent_again"), [(None, 2), (0, 0), (1, 1), (5, 5)])
def test_a_request_says_how_often_the_same_endpoint_gets_it_again(resends: int | None, sent_again: int) -> None:
    busy = errors.Overloaded("x", status=503)
    kinds = [ask(busy, attempt=attempt, resends=resends).kind for attempt in range(1, 8)]
    assert kinds == ["resend"] * sent_again + ["reroute"] * (7 - sent_again)


def test_a_request_that_allows_resends_resends_nothing_that_may_have_been_paid() -> None:
    lost = errors.Unreachable("x", status=0, sent=True)
    assert ask(lost, resends=5).kind == ask(lost).kind != "resend"


def test_A6_without_leave_to_pay_twice_a_sent_request_is_not_rerouted() -> None:
    for error in (errors.Unreachable("gone", sent=True), errors.StreamCut("cut")):
        assert ask(error, pay_twice=False).kind == "stop"
    assert ask(errors.CallError("oops", status=500), attempt=2, pay_twice=False).kind == "stop"


def test_A6_without_leave_to_pay_twice_an_unpaid_failure_still_reroutes() -> None:
    for error in (
        errors.Unreachable("refused", sent=False),
        errors.Overloaded("busy", status=503),
        errors.ContextExceeded("long", status=400),
        errors.CredentialsRefused("no", status=401),
    ):
        assert ask(error, attempt=3, pay_twice=False).kind == "reroute"


def test_A6_the_third_paid_attempt_is_the_last() -> None:
    error = errors.CallError("oops", status=500)
    assert ask(error, paid=MAX_PAID_ATTEMPTS - 1).kind == "resend"
    assert ask(error, paid=MAX_PAID_ATTEMPTS).kind == "stop"


@pytest.mark.parametrize("asked", [0.0, 0.25, 1.0, 59.9, 60.0])
def test_A3_waits_at_least_as_long_as_asked(asked: float) -> None:
    for jitter in (0.0, 0.99):
        decision = ask(errors.RateLimited("slow", status=429, retry_after=asked), jitter=jitter)
        assert decision.kind == "resend"
        assert asked <= decision.delay <= asked + 1


@pytest.mark.parametrize("asked", [60.1, 86400.0, 1e300])
def test_A3_asked_for_more_than_a_minute_it_goes_elsewhere_at_once(asked: float) -> None:
    assert ask(errors.RateLimited("slow", status=429, retry_after=asked)) == RetryDecision(
        kind="reroute", reason="is rate limited"
    )


def test_A5_no_tenth_of_a_second_holds_more_than_15_percent_of_a_bursts_retries() -> None:
    draw = random.Random(5)
    delays = [ask(errors.Overloaded("busy", status=503), jitter=draw.random()).delay for _ in range(500)]
    assert max(Counter(int(delay * 10) for delay in delays).values()) <= 75


def test_A8_overflow_is_never_resent_at_the_same_size() -> None:
    for attempt in range(1, 5):
        assert ask(errors.ContextExceeded("long", status=400), attempt=attempt).kind == "reroute"


def test_A9_a_refusal_is_one_attempt_and_no_fallback() -> None:
    for pay_twice in (True, False):
        assert ask(errors.ContentRefused("policy", status=400), pay_twice=pay_twice).kind == "stop"


def test_A12_a_wait_that_would_outlast_the_deadline_is_not_begun() -> None:
    error = errors.RateLimited("slow", status=429, retry_after=5.0)
    assert ask(error, remaining=4.0).kind == "reroute"
    assert ask(error, remaining=30.0).kind == "resend"
    assert ask(error, remaining=0.0).kind == "stop"
