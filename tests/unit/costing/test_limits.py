"""Published limits of a request: what breaks them is said in words, and nothing else is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from intermodal.catalog.shipped_rows import shipped_families
from intermodal.costing.limits import Held, Limits, breaks, limits_of, refusal

COUNTS = st.integers(0, 50)
LIMITS = st.builds(
    Limits, most_images=COUNTS, many_images=st.none() | st.tuples(COUNTS, st.integers(1, 5000)), most_pages=COUNTS,
    small_context=st.none() | st.tuples(st.integers(1, 10**6), COUNTS), most_seconds=COUNTS, most_bytes=COUNTS,
)  # fmt: skip
HELD = st.builds(
    Held, pictures=COUNTS, longest=st.integers(0, 9000), pages=COUNTS, seconds=st.floats(0, 100), size=COUNTS
)


@given(LIMITS, HELD, st.floats(1, 1e7))
def test_a_reason_is_given_exactly_where_a_limit_is_broken(limits: Limits, held: Held, context: float) -> None:
    assert breaks(limits, held, context) is bool(refusal(limits, held, context))


def limits(model: str, day: str) -> Limits:
    found = limits_of(shipped_families().sheet(model, day))
    assert found is not None
    return found


def test_claude_takes_600_pages_and_100_in_a_small_context_and_32_mb() -> None:
    claude = limits("anthropic/claude-opus-4.6", "2026-11-24")
    assert not breaks(claude, Held(pages=600), 1_000_000) and breaks(claude, Held(pages=601), 1_000_000)
    assert not breaks(claude, Held(pages=100), 200_000) and breaks(claude, Held(pages=101), 200_000)
    assert not breaks(claude, Held(size=24_000_000)) and breaks(claude, Held(size=24_000_001))  # base64 adds a third


def test_what_gemini_takes_inline_grew_in_january_2026() -> None:
    before, after = (limits("google/gemini-2.5-flash", day) for day in ("2026-01-11", "2026-01-12"))
    assert breaks(before, Held(size=20_000_000)) and not breaks(after, Held(size=20_000_000))
    assert breaks(after, Held(pages=1_001)) and not breaks(after, Held(pages=1_000))
    assert breaks(after, Held(seconds=34_201.0)) and not breaks(after, Held(seconds=34_200.0))
