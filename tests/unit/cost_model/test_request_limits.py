"""Published limits of a request: what breaks them is said in words, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from intermodal.catalog.shipped_rows import shipped_families
from intermodal.cost_model.request_limits import (
    MediaAmounts,
    RequestLimits,
    exceeded_limit,
    exceeds_limits,
    request_limits,
)

COUNTS = st.integers(0, 50)
LIMITS = st.builds(
    RequestLimits,
    most_images=COUNTS,
    many_images=st.none() | st.tuples(COUNTS, st.integers(1, 5000)),
    most_pages=COUNTS,
    small_context=st.none() | st.tuples(st.integers(1, 10**6), COUNTS),
    most_seconds=COUNTS,
    most_bytes=COUNTS,
)
HELD = st.builds(
    MediaAmounts, pictures=COUNTS, longest=st.integers(0, 9000), pages=COUNTS, seconds=st.floats(0, 100), size=COUNTS
)


@given(LIMITS, HELD, st.floats(1, 1e7))
def test_a_reason_is_given_exactly_where_a_limit_is_broken(
    limits: RequestLimits, held: MediaAmounts, context: float
) -> None:
    assert exceeds_limits(limits, held, context) is bool(exceeded_limit(limits, held, context))


def limits(model: str, day: str) -> RequestLimits:
    found = request_limits(shipped_families().sheet(model, day))
    assert found is not None
    return found


def test_claude_takes_600_pages_and_100_in_a_small_context_and_32_mb() -> None:
    claude = limits("anthropic/claude-opus-4.6", "2026-11-24")
    assert not exceeds_limits(claude, MediaAmounts(pages=600), 1_000_000) and exceeds_limits(
        claude, MediaAmounts(pages=601), 1_000_000
    )
    assert not exceeds_limits(claude, MediaAmounts(pages=100), 200_000) and exceeds_limits(
        claude, MediaAmounts(pages=101), 200_000
    )
    assert not exceeds_limits(claude, MediaAmounts(size=24_000_000)) and exceeds_limits(
        claude, MediaAmounts(size=24_000_001)
    )  # base64 adds a third


def test_what_gemini_takes_inline_grew_in_january_2026() -> None:
    before, after = (limits("google/gemini-2.5-flash", day) for day in ("2026-01-11", "2026-01-12"))
    assert exceeds_limits(before, MediaAmounts(size=20_000_000)) and not exceeds_limits(
        after, MediaAmounts(size=20_000_000)
    )
    assert exceeds_limits(after, MediaAmounts(pages=1_001)) and not exceeds_limits(after, MediaAmounts(pages=1_000))
    assert exceeds_limits(after, MediaAmounts(seconds=34_201.0)) and not exceeds_limits(
        after, MediaAmounts(seconds=34_200.0)
    )
