"""Log the events of a run through the standard ``logging`` module, under the logger ``intermodal.run``.

Silent unless the program configures logging, as is usual for libraries. Each line is made from an event, and no line
contains a prompt, an answer, or text of a file: only steps, endpoints, counts, money and seconds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from intermodal.events import (
    AttemptFailed,
    Checked,
    Committed,
    Event,
    Finished,
    Replanned,
    Rerouted,
    Retrying,
    StepFinished,
    StepStarted,
)
from intermodal.plans.plan import Plan

logging.getLogger("intermodal").addHandler(logging.NullHandler())  # otherwise Python prints warnings to stderr
LOG = logging.getLogger("intermodal.run")


def log_plan(plan: Plan) -> None:
    """Log the initial route of a run."""
    chosen_route = plan.chosen
    LOG.info("plan %s: %s by %s", plan.id, chosen_route.summary, chosen_route.endpoint or "no model")


def log_event(event: Event) -> None:
    """Log an event of a run: progress at DEBUG, steps at INFO, failures and changes of route at WARNING."""
    log = _LOGGED.get(type(event))
    if log is not None:
        log(event)


def _step_started(event: StepStarted) -> None:
    LOG.debug("step %s starts: %s %s", event.step, event.op, event.endpoint)


def _step_finished(event: StepFinished) -> None:
    actual = event.actual
    LOG.info("step %s took %.2f s, %s%s", actual.step, actual.seconds, _cost(actual.cost), _tokens(event))


def _attempt_failed(event: AttemptFailed) -> None:
    LOG.warning(
        "attempt at %s failed: %s (status %s, charged: %s), then %s",
        event.endpoint, event.code, event.status or "none", event.charged, event.then,
    )  # fmt: skip


def _retrying(event: Retrying) -> None:
    LOG.info("step %s is sent again in %.1f s", event.step, event.delay)


def _log_rerouted(event: Rerouted) -> None:
    LOG.warning("rerouted to %s", event.endpoint)


def _log_replanned(event: Replanned) -> None:
    LOG.warning("replanned after step %s: %s, plan %s", event.step, event.endpoint, event.plan)


def _log_checked(event: Checked) -> None:
    LOG.debug("check %s of step %s: %s", event.check, event.step, "problem" if event.problem else "fine")


def _log_committed(event: Committed) -> None:
    LOG.debug("first words from %s", event.endpoint)


def _log_finished(event: Finished) -> None:
    LOG.info("finished by %s: %s", event.endpoint, event.finish_reason)


# A table, since text arrives in thousands of events, none of which is logged.
_LOGGED: dict[type, Callable[[Any], None]] = {
    StepStarted: _step_started,
    StepFinished: _step_finished,
    AttemptFailed: _attempt_failed,
    Retrying: _retrying,
    Rerouted: _log_rerouted,
    Replanned: _log_replanned,
    Checked: _log_checked,
    Committed: _log_committed,
    Finished: _log_finished,
}


def _cost(cost: float | None) -> str:
    return "cost unknown" if cost is None else f"${cost:.6g}"


def _tokens(event: StepFinished) -> str:
    usage = event.actual.usage
    if usage.input_tokens is None and usage.output_tokens is None:
        return ""
    input_tokens, output_tokens = (
        "?" if count is None else f"{count:,}" for count in (usage.input_tokens, usage.output_tokens)
    )
    return f", {input_tokens} tokens in, {output_tokens} out"
