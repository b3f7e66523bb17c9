"""EXPLAIN ANALYZE grades estimates and leaves out what says nothing about them."""

from __future__ import annotations

from tests.plans import runner

from intermodal.events import Actual, Result, Usage
from intermodal.planner import plan
from intermodal.plans.analyze import explain_analyze
from intermodal.plans.plan import Plan


def made() -> Plan:
    inputs = runner.inputs_of(runner.parse(runner.FOLDER / "call_and_invoice.case")[0])
    return plan(inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of)


def test_each_step_has_its_estimate_beside_its_actual() -> None:
    planned = made()
    hear, read, last = planned.chosen.steps
    result = Result(
        endpoint=planned.chosen.endpoint,
        seconds=20.0,
        actuals=(
            Actual(step=hear.id, seconds=4.1, load_seconds=0.5, usage=Usage(output_tokens=85)),
            Actual(step=read.id, seconds=0.0, cached=True),
            Actual(step=last.id, seconds=5.0, usage=Usage(input_tokens=700, output_tokens=60)),
        ),
    )
    text = explain_analyze(planned, result)
    assert "170 (25..284)" in text and "-> 85" in text and "q 2.00" in text
    assert "cached, not graded" in text
    assert "q-error: median" in text and "over 5 estimates" in text
    assert "$0 -> $0" in text
    assert "total of the steps that ran: " in text and " -> 9.6 s" in text, "20 s on the clock, 9.6 s in two steps"


def test_a_step_that_did_not_run_is_said() -> None:
    planned = made()
    text = explain_analyze(planned, Result(endpoint=planned.chosen.endpoint, actuals=()))
    assert text.count("did not run") == 3


def test_a_total_grades_nothing_when_everything_came_from_the_cache() -> None:
    planned = made()
    cached = tuple(Actual(step=step.id, seconds=0.0, cached=True) for step in planned.chosen.steps)
    text = explain_analyze(planned, Result(endpoint=planned.chosen.endpoint, seconds=0.06, actuals=cached))
    assert "total: nothing had to run, $0, 0.06 s" in text and "q " not in text.splitlines()[-1]
