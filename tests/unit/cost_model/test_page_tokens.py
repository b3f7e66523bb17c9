"""Scanned pages and the seconds of media steps, held against what was measured on real pages."""

from __future__ import annotations

from itertools import pairwise

import pytest

from intermodal.catalog.load import load_catalog
from intermodal.core.quantity import between, exact, unknown
from intermodal.cost_model.call_cost import extract_seconds, ocr_seconds, page_ocr_seconds, render_seconds
from intermodal.cost_model.rates import DEFAULT_MEDIA_RATES, Rates, endpoint_rates
from intermodal.cost_model.tokens import READ_PER_PAGE, page_tokens
from intermodal.plans.statistics import Statistics

# (megapixels at 150 dpi, share of text as probed, tokens that PP-OCR read, in SmolLM2's vocabulary)
MEASURED = {
    "a notice, 11 lines": (2.18, 0.113, 116),
    "a notice, 8 lines": (2.18, 0.085, 88),
    "10 points, full": (2.18, 0.602, 1266),
    "11 points, full": (2.18, 0.673, 1363),
    "11 points, full, a poor copy": (2.18, 0.673, 1365),
    "10 points, typewritten": (2.18, 0.661, 1097),
    "12 points, double spaced": (2.11, 0.567, 709),
    "12 points, half a page": (2.18, 0.327, 410),
    "14 points, 6 lines": (2.11, 0.120, 95),
    "a title of 28 points": (2.11, 0.032, 36),
    "a slide": (2.25, 0.340, 162),
    "blank": (2.18, 0.0, 0),
}


@pytest.mark.parametrize("name", MEASURED)
def test_the_text_read_on_a_page_lies_in_the_estimated_range(name: str) -> None:
    megapixels, density, tokens = MEASURED[name]
    found = page_tokens(megapixels, density=between(density / 2, density, min(1.0, 2 * density + 0.02), ""))
    assert found.low <= tokens <= found.high
    assert tokens == 0 or max(found.mid / tokens, tokens / found.mid) < 3
    assert found.high <= READ_PER_PAGE[2] * megapixels / 2.1


def test_two_sparse_pages_and_an_answer_fit_into_a_small_context() -> None:
    two = [page_tokens(2.18, density=exact(density)).high for density in (0.113, 0.085)]
    assert sum(two) + 600 < 2048


def test_a_page_that_was_not_sampled_keeps_the_wide_range_and_statistics_outrank_both() -> None:
    assert page_tokens(2.2).high == page_tokens(2.2, density=unknown("not sampled")).high == READ_PER_PAGE[2]
    assert page_tokens(2.0, exact(10.0), exact(0.5)).mid == 20.0


def test_more_writing_is_never_fewer_tokens() -> None:
    found = [page_tokens(2.2, density=exact(share / 50)) for share in range(51)]
    for fewer, many in pairwise(found):
        assert fewer.low <= many.low and fewer.mid <= many.mid and fewer.high <= many.high


# ---- seconds ----------------------------------------------------------------------------------


def reader() -> Rates:
    everything = dict.fromkeys(("llama", "whisper", "ocr", "e5", "openai"), "")
    eye = load_catalog(installed=everything, weights=frozenset()).by_id["embedded:paddlepaddle/ppocr-v6-small"]
    return endpoint_rates(eye, Statistics(), "2026-11-25")


@pytest.mark.parametrize(("megapixels", "tokens", "measured"), [(0.378, 65, 0.84), (0.24, 0, 0.4)])
def test_a_picture_is_read_in_the_estimated_time(megapixels: float, tokens: float, measured: float) -> None:
    """By its size and by what is written on it: an invoice, and a photo without words, on a quiet machine."""
    low, mid, high = (ocr_seconds(reader(), level, megapixels, tokens) for level in (0, 1, 2))
    assert low < measured < high and max(mid / measured, measured / mid) < 1.3
    assert mid == page_ocr_seconds(reader(), 1, 1, megapixels, tokens), "the row does not time pages, so pixels do"


def test_media_steps_do_not_pay_again_for_the_worker_that_probing_started() -> None:
    # Measured for three pages that are laid out: 7.7 ms, 40 to 45 ms where the worker lays out its first.
    assert extract_seconds(DEFAULT_MEDIA_RATES, 0, 3) < 0.0077 and extract_seconds(DEFAULT_MEDIA_RATES, 2, 3) > 0.045
    assert extract_seconds(DEFAULT_MEDIA_RATES, 1, 3) == pytest.approx(0.019, rel=0.5)
    assert (
        render_seconds(DEFAULT_MEDIA_RATES, 0, 2.18) < 0.047 < render_seconds(DEFAULT_MEDIA_RATES, 2, 2.18)
    )  # measured for one page at 150 dpi
    assert render_seconds(DEFAULT_MEDIA_RATES, 1, 2.18) == pytest.approx(0.047, rel=0.5)
