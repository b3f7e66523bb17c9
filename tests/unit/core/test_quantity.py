"""A Quantity never pretends to know more than it does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.core.quantity import Quantity, between, exact, q_error, total, unknown

numbers = st.floats(min_value=0, max_value=1e12, allow_nan=False)


@st.composite
def quantities(draw: st.DrawFn) -> Quantity:
    low, mid, high = sorted(draw(st.tuples(numbers, numbers, numbers)))
    kind = draw(st.sampled_from(["exact", "estimated", "unknown"]))
    if kind == "exact":
        return exact(mid, "counted")
    return between(low, mid, high, "guessed") if kind == "estimated" else unknown("nobody measured it")


@given(quantities(), quantities())
def test_a_sum_with_an_unknown_is_unknown(a: Quantity, b: Quantity) -> None:
    nothing = {exact(0, "counted")}
    if not a.known and b not in nothing:
        assert not (a + b).known
        assert not (b + a).known


@given(quantities(), quantities())
def test_a_sum_is_exact_only_of_exact_parts(a: Quantity, b: Quantity) -> None:
    if (a + b).certainty == "exact":
        assert a.certainty == b.certainty == "exact"


@given(quantities(), quantities())
def test_sums_and_products_stay_ordered(a: Quantity, b: Quantity) -> None:
    for made in (a + b, a.times(b), a.scaled(3)):
        assert 0 <= made.low <= made.mid <= made.high


@given(st.lists(quantities(), max_size=5))
def test_the_total_does_not_depend_on_the_order(items: list[Quantity]) -> None:
    forwards, backwards = total(items), total(list(reversed(items)))
    assert forwards.certainty == backwards.certainty
    assert forwards.high == pytest.approx(backwards.high)


def test_limits_use_the_high_end_and_ranking_the_middle() -> None:
    guess = between(1, 2, 5, "guessed")
    assert guess.for_limit() == 5
    assert guess.for_ranking() == 2


def test_an_unknown_breaks_every_limit_and_sorts_last() -> None:
    assert unknown("no price").for_limit() == math.inf
    assert unknown("no price").for_ranking() == math.inf


@pytest.mark.parametrize("triple", [(2, 1, 3), (1, 3, 2), (-1, 0, 1), (1, math.nan, 2)])
def test_a_range_that_is_none_is_refused(triple: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="not a range"):
        between(*triple, "wrong")


@given(st.floats(min_value=1e-6, max_value=1e6), st.floats(min_value=1e-6, max_value=1e6))
def test_q_error_is_symmetric_and_at_least_one(estimate: float, actual: float) -> None:
    assert q_error(estimate, actual) == q_error(actual, estimate) >= 1


def test_q_error_of_nothing_is_one_and_of_a_missed_nothing_infinite() -> None:
    assert q_error(0, 0) == 1
    assert q_error(0, 3) == q_error(3, 0) == math.inf
