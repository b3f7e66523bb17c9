"""EXPLAIN ANALYZE: compare estimates with actuals step by step, graded by q-error."""

from __future__ import annotations

import math

from intermodal.core.quantity import Quantity, q_error, total
from intermodal.events import Actual, AttemptFailed, Result
from intermodal.plans import numbers
from intermodal.plans.plan import Candidate, Plan, input_steps
from intermodal.plans.plan_graph import checks_by_step
from intermodal.plans.step import Call, Check, Step
from intermodal.plans.timeline import finding_text, milliseconds, unplanned_label

_CENT = 1e-9  # USD; smaller differences are floating-point error
_NEGLIGIBLE = 0.05  # seconds; shorter times measure the clock, not the estimate


def explain_analyze(plan: Plan, result: Result) -> str:
    """Return the EXPLAIN ANALYZE text: estimate, actual and q-error of each step (1.0 is perfect).

    Token counts and costs outside the estimated range are marked. Cached steps are marked and not graded, because they
    do not test the estimate. If some steps were cached or did not run, the total covers only the steps that ran.
    Findings of checks, failed attempts and replanning follow the steps.
    """
    actuals = {actual.step: actual for actual in result.actuals}
    route = _route(plan, result)
    steps = tuple(step for step in route.steps if not isinstance(step, Check))
    lines: list[str] = []
    errors: list[float] = []
    for step in steps:
        actual = actuals.get(step.id)
        head = f"{step.op.replace('_', ' ').capitalize()}  {_step_actor(step)}"
        if actual is None:
            lines.append(f"{head}  did not run")
        elif actual.cached:
            lines.append(f"{head}  cached, not graded")
        else:
            rows = _rows(step, actual)
            errors += [row[3] for row in rows if row[3] is not None]
            lines.append(head)
            lines += [_row_line(row) for row in rows]
    step_of_id = {step.id: step for candidate in (plan.chosen, *plan.fallbacks) for step in candidate.steps}
    for actual in result.actuals:
        if actual.step not in {step.id for step in steps}:
            lines.append(_unplanned_step_line(actual, step_of_id.get(actual.step), result))
    lines += _check_lines(route, result)
    lines += map(_failure_line, result.failures)
    lines += _replanning_lines(plan, result)
    lines.append(_total(plan, result, steps, actuals))
    if errors:
        ordered = sorted(errors)
        lines.append(
            f"q-error: median {ordered[len(ordered) // 2]:.2f}, worst {ordered[-1]:.2f}, over {len(ordered)} estimates"
        )
    return "\n".join(lines)


def _route(plan: Plan, result: Result) -> Candidate:
    """Return the route that answered: the chosen one, or the fallback that replaced it."""
    for candidate in (plan.chosen, *plan.fallbacks):
        if candidate.endpoint == result.endpoint:
            return candidate
    return plan.chosen


def _unplanned_step_line(actual: Actual, step: Step | None, result: Result) -> str:
    """Return the line for a step that the plan did not contain, as far as the run describes it."""
    words = "  ".join(word for word in unplanned_label(actual, step, result) if word)
    took = "cached" if actual.cached else f"{numbers.plain_seconds(actual.seconds)} s"
    return f"not in the plan: {words[:1].upper()}{words[1:]}  {took}"


def _check_lines(route: Candidate, result: Result) -> list[str]:
    """Return one line per check with findings, and the upper bound of the escalations that were not needed.

    Covers the planned checks first, then other checks that found problems.
    """
    checks = list(dict.fromkeys(check for checks_of_step in checks_by_step(route).values() for check in checks_of_step))
    lines: list[str] = []
    spared: list[Check] = []
    reported: set[tuple[str, str]] = set()
    for check in checks:
        checked_steps = set(input_steps(check))
        found = [each for each in result.checks if each.check == check.op and each.step in checked_steps]
        wrong = [each for each in found if each.problem]
        reported |= {(each.step, each.check) for each in found}
        if not wrong:
            spared.append(check)
        if found:
            finding = "; ".join(dict.fromkeys(finding_text(each) for each in wrong)) or "fine"
            lines.append(f"Check {_check_title(check)}: {finding}")
    for each in result.checks:
        if each.problem and (each.step, each.check) not in reported:
            lines.append(f"Check {each.check.replace('_', ' ')}: {finding_text(each)}")
    return [*lines, *_escalation_lines(spared)]


def _check_title(check: Check) -> str:
    return check.title or check.op.replace("_", " ")


def _escalation_lines(checks: list[Check]) -> list[str]:
    """Return the cost and time of the escalations that did not happen, or no line if they were free."""
    cost = total([check.estimate.cost for check in checks])
    seconds = total([check.estimate.seconds for check in checks])
    words = [f"${numbers.plain_money(cost.high)}"] if cost.known and cost.high else []
    words += [f"{numbers.plain_seconds(seconds.high)} s"] if seconds.known and seconds.high else []
    return [f"not needed: up to {', '.join(words)} for what the checks did not find"] if words else []


def _failure_line(each: AttemptFailed) -> str:
    """Return the line for a failed attempt: time, reason, charge, and the action that followed."""
    status = f" ({each.status})" if each.status else ""
    then = {
        "resend": f"sent again after {numbers.plain_seconds(each.delay)} s",
        "reroute": "another way was taken",
        "stop": "nothing more was tried",
    }[each.then]
    spent = "not charged"
    if each.charged != "no":
        spent = "may be charged" if each.cost is None else f"${numbers.plain_money(each.cost)}"
    took = f"{numbers.plain_seconds(each.seconds)} s"
    return f"Attempt failed: {each.endpoint} {each.reason}{status}, {took}, {spent}; {then}"


def _replanning_lines(plan: Plan, result: Result) -> list[str]:
    """Return one line per replanning: reason, duration, and the new answering endpoint if it changed."""
    lines: list[str] = []
    answers = plan.chosen.endpoint
    for each in result.replans:
        now = f"; {each.endpoint} answers instead of {answers}" if each.endpoint != answers else ""
        timing = f"after {numbers.plain_seconds(each.at)} s, in {milliseconds(each.seconds)}"
        lines.append(f"Planned again {timing}: {each.reason}{now}")
        answers = each.endpoint
    return lines


def _step_actor(step: Step) -> str:
    if isinstance(step, Call):
        return f"{step.endpoint}  {step.title}".rstrip()
    return step.title


Row = tuple[str, str, str, float | None, str]


def _rows(step: Step, actual: Actual) -> list[Row]:
    estimate = step.estimate
    found: list[Row] = []
    _tokens(found, "tokens in", estimate.input_tokens, actual.usage.input_tokens)
    _tokens(found, "tokens out", estimate.output_tokens, actual.usage.output_tokens)
    graded = estimate.seconds.known and max(estimate.seconds.mid, actual.seconds) >= _NEGLIGIBLE
    found.append(
        (
            "seconds", numbers.seconds(estimate.seconds), f"{numbers.plain_seconds(actual.seconds)} s",
            _middle_q_error(estimate.seconds, actual.seconds) if graded else None, "",
        )
    )  # fmt: skip
    if estimate.load_seconds.high or actual.load_seconds:
        found.append(
            (
                "loading", numbers.seconds(estimate.load_seconds),
                f"{numbers.plain_seconds(actual.load_seconds)} s", None, "",
            )
        )  # fmt: skip
    if estimate.cost.high or actual.cost or not estimate.cost.known:
        spent = "unknown" if actual.cost is None else f"${numbers.plain_money(actual.cost)}"
        error = None if actual.cost is None else _middle_q_error(estimate.cost, actual.cost)
        found.append(
            ("cost", numbers.money(estimate.cost), spent, error, _range_remark(estimate.cost, actual.cost, _CENT))
        )
    if actual.peak_memory:
        found.append(("memory", numbers.memory(estimate.memory), f"{actual.peak_memory / 2**30:.1f} GiB", None, ""))
    return found


def _tokens(rows: list[Row], name: str, estimate: Quantity, actual: int | None) -> None:
    if actual is None and not estimate.high:
        return
    text = "not reported" if actual is None else f"{actual:,}"
    error = None if actual is None else _middle_q_error(estimate, float(actual))
    rows.append((name, numbers.count(estimate), text, error, _range_remark(estimate, actual, 0.5)))


def _range_remark(estimate: Quantity, actual: float | None, slack: float) -> str:
    """Return "above the range" or "below the range" for an actual outside the estimate, "" otherwise."""
    if actual is None or not estimate.known or not estimate.high:
        return ""
    if actual > estimate.high + slack:
        return "above the range"
    return "below the range" if actual < estimate.low - slack else ""


def _middle_q_error(estimate: Quantity, actual: float) -> float | None:
    """Return the q-error of the middle estimate, or None if the estimate or the actual is zero or unknown."""
    if not estimate.known or not estimate.mid or not actual:
        return None
    error = q_error(estimate.mid, actual)
    return error if error < math.inf else None


def _row_line(row: Row) -> str:
    name, estimate, actual, error, outside = row
    grade = ", ".join(word for word in (f"q {error:.2f}" if error is not None else "", outside) if word)
    return f"    {name:<11}{estimate:<28}-> {actual:<14}{grade}".rstrip()


def _total(plan: Plan, result: Result, steps: tuple[Step, ...], actuals: dict[str, Actual]) -> str:
    """Return the total line, estimate against actual; if steps were cached or skipped, only of the steps that ran."""
    ran = [step for step in steps if step.id in actuals and not actuals[step.id].cached]
    spent = "unknown" if result.cost is None else f"${numbers.plain_money(result.cost)}"
    if not ran:
        return f"total: nothing had to run, {spent}, {numbers.plain_seconds(result.seconds)} s"
    cost, expected, took, scope = plan.chosen.total.cost, plan.chosen.total.seconds, result.seconds, ""
    if len(ran) < len(steps):
        cost = total([step.estimate.cost for step in ran])
        expected = total([step.estimate.seconds + step.estimate.load_seconds for step in ran])
        took = sum(actuals[step.id].seconds + actuals[step.id].load_seconds for step in ran)
        scope = " of the steps that ran"
    grade = _middle_q_error(expected, took)
    error = f", q {grade:.2f}" if grade is not None else ""
    return (
        f"total{scope}: {numbers.money(cost)} -> {spent}, "
        f"{numbers.seconds(expected)} -> {numbers.plain_seconds(took)} s{error}"
    )
