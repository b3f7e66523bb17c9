"""Every case gives exactly the EXPLAIN text it expects. ``--bless`` rewrites them; the diff is the review."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.plans import invariants, runner

from intermodal.errors import IntermodalError, NoRoute
from intermodal.plans.plan import Candidate, Inputs, Send

UNMET: dict[str, str] = {  # what a case shows to be wrong today; the mark fails as soon as it is right
}
CASES = pytest.mark.parametrize("path", runner.cases(), ids=lambda path: path.stem)


@CASES
def test_the_plan_is_explained_as_the_case_says(path: Path, bless: bool) -> None:
    if bless:
        runner.rewrite(path)
    case, expected = runner.parse(path)
    said = runner.run(case)
    if said != expected:
        diff = difflib.unified_diff(expected.split("\n"), said.split("\n"), "expected", "said now", lineterm="")
        pytest.fail("\n".join([f"{path.name}: make bless, if this is what it should say", *diff]), pytrace=False)


@CASES
def test_what_must_hold_whatever_the_text_says(path: Path, request: pytest.FixtureRequest) -> None:
    if path.stem in UNMET:
        request.applymarker(pytest.mark.xfail(reason=UNMET[path.stem], strict=True, raises=AssertionError))
    inputs = runner.inputs_of(runner.parse(path)[0])
    try:
        made = invariants.plan_of(inputs)
    except IntermodalError as error:
        assert not isinstance(error, NoRoute) or (error.reasons and all(error.reasons))
        invariants.same_refusal_again(inputs, error)
    else:
        invariants.check(inputs, made)


@CASES
def test_the_text_is_readable(path: Path) -> None:
    header, _, expected = path.read_text().partition(runner.SPLIT)
    assert header.startswith("# "), "a case begins by saying what it shows"
    for line in expected.splitlines():
        assert line == line.rstrip()
        if not line.startswith(("NoRoute", "- ", "UsageError", "UnknownModel")) and ": " not in line:
            assert len(line) <= 116, line
    for odd in ("nan", "inf ", "None", " 0x", "1 endpoints", "Quantity(", "  ,", "()"):
        assert odd not in expected, f"the text has {odd!r}"


def test_there_are_enough_cases() -> None:
    assert len(runner.cases()) >= 60


# ---- the invariants can fail ------------------------------------------------------------------


def _planned(name: str) -> tuple[Inputs, Candidate]:
    inputs = runner.inputs_of(runner.parse(runner.FOLDER / f"{name}.case")[0])
    return inputs, invariants.plan_of(inputs).chosen


def _broken(candidate: Candidate, **fields: object) -> Candidate:
    return msgspec.structs.replace(candidate, **fields)


def _leak(candidate: Candidate) -> Candidate:
    sent = Send(what="9 tok text", kind="text", origin="call.wav", host="acme", url="https://x.test", zone="internet")
    return _broken(candidate, sends=(sent,))


BREAKS: dict[str, tuple[str, Callable[[Inputs, Candidate], None], Callable[[Candidate], Candidate]]] = {
    "a private transcript in the sends": ("private_audio", invariants.nothing_private_leaves, _leak),
    "the last endpoint swapped for one elsewhere": (
        "private_audio",
        invariants.nothing_private_leaves,
        lambda c: _broken(c, steps=(c.steps[0], msgspec.structs.replace(c.steps[1], endpoint="acme:acme/vista"))),
    ),
    "a send unsaid": ("private_released", invariants.all_that_leaves_is_said, lambda c: _broken(c, sends=c.sends[:1])),
    "a send that is none": ("audio", invariants.all_that_leaves_is_said, _leak),
    "steps in the wrong order": (
        "call_and_invoice",
        invariants.steps_can_run,
        lambda c: _broken(c, steps=tuple(reversed(c.steps))),
    ),
    "a part forgotten": (
        "call_and_invoice",
        invariants.last_step_answers,
        lambda c: _broken(
            c, steps=(*c.steps[:-1], msgspec.structs.replace(c.steps[-1], inputs=c.steps[-1].inputs[1:]))
        ),
    ),
    "a cost left out": (
        "max_cost",
        lambda _, c: invariants.sums_are_right(c),
        lambda c: _broken(c, total=msgspec.structs.replace(c.total, cost=c.steps[0].estimate.cost)),
    ),
    "a limit overrun": (
        "max_cost",
        invariants.within_limits,
        lambda c: _broken(
            c, total=msgspec.structs.replace(c.total, cost=msgspec.structs.replace(c.total.cost, high=0.03))
        ),
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_an_invariant_notices(name: str) -> None:
    case, check, spoil = BREAKS[name]
    inputs, candidate = _planned(case)
    check(inputs, candidate)
    with pytest.raises(AssertionError):
        check(inputs, spoil(candidate))
