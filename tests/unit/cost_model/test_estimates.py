"""Tokens, money and seconds: more content never costs less, unknowns stay unknown, statistics outrank the catalog."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.plans import catalogs

from intermodal.catalog.types import Price
from intermodal.core.quantity import between, exact, unknown
from intermodal.cost_model.call_cost import (
    generate_seconds,
    ocr_price,
    token_price,
    transcription_price_by_length,
    transcription_seconds,
)
from intermodal.cost_model.levels import levels, quantity
from intermodal.cost_model.memory import fits_in_memory
from intermodal.cost_model.rates import UNKNOWN_CONTEXT, Rates, endpoint_rates, ideal_rates, rate_dimensions
from intermodal.cost_model.tokens import (
    Vocabulary,
    letter_tokens,
    ocr_tokens,
    text_part_tokens,
    text_tokens,
    transcript_tokens,
    unknown_audio_tokens,
    unknown_document_tokens,
)
from intermodal.local.embedded.tesseract import SCRIPTS
from intermodal.plans.facts import PartFacts
from intermodal.plans.machine import Machine
from intermodal.plans.statistics import Statistics

AS_OF = "2026-11-24"
NONE = Statistics()


def of(endpoint: object, statistics: Statistics = NONE, as_of: str = AS_OF) -> Rates:
    return endpoint_rates(endpoint, statistics, as_of)  # type: ignore[arg-type]


# ---- tokens -----------------------------------------------------------------------------------


@given(st.integers(0, 10**7), st.integers(0, 10**6))
def test_more_characters_are_not_fewer_tokens(chars: int, more: int) -> None:
    fewer, many = text_tokens(chars), text_tokens(chars + more)
    assert fewer.low <= many.low and fewer.mid <= many.mid and fewer.high <= many.high


@given(st.floats(0, 1e5), st.floats(0, 1e5))
def test_more_seconds_are_not_fewer_tokens(seconds: float, more: float) -> None:
    for count in (transcript_tokens, unknown_audio_tokens):
        fewer, many = count(exact(seconds)), count(exact(seconds + more))
        assert fewer.low <= many.low and fewer.mid <= many.mid and fewer.high <= many.high


@given(st.floats(0, 50), st.floats(0, 1), st.floats(0, 0.5))
def test_denser_pictures_hold_more_text(megapixels: float, density: float, more: float) -> None:
    fewer, many = ocr_tokens(megapixels, exact(density)), ocr_tokens(megapixels, exact(density + more))
    assert fewer.mid <= many.mid and fewer.high <= many.high


def test_a_count_of_the_right_vocabulary_is_exact_and_another_is_a_range() -> None:
    part = PartFacts(index=0, name="prompt", kind="text", chars=400, size=400, tokens={"smollm2": 93})
    assert text_part_tokens(part, Vocabulary("smollm2")) == exact(93.0, "counted")
    other = text_part_tokens(part, Vocabulary("o200k"))
    assert other.certainty == "estimated" and other.low < other.mid == 100 < other.high


def test_scripts_of_many_bytes_have_more_tokens_a_character() -> None:
    assert text_tokens(300, 900).mid > 2 * text_tokens(300, 300).mid


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_letters_of_a_picture_in_another_script_take_the_tokens_of_that_script(script: str) -> None:
    """A Latin letter takes a quarter of a token, and what runs on Latin images gave says nothing of others."""
    letters, learned = between(240.0, 400.0, 800.0, "counted"), between(0.5, 0.6, 0.7, "12 runs")
    found = letter_tokens(letters, learned, script)
    assert found == letter_tokens(letters, None, script)
    assert found.mid > letter_tokens(letters).mid and found.high > letter_tokens(letters).high


def test_what_earlier_runs_gave_replaces_the_rule_of_thumb() -> None:
    assert transcript_tokens(exact(100.0), between(2.0, 2.5, 3.0, "median of 9 runs")).mid == 250
    assert ocr_tokens(2.0, unknown("not sampled"), exact(80.0)).mid == 160


def test_a_document_taken_whole_counts_its_text_and_its_pages() -> None:
    one, ten = unknown_document_tokens(1, 2000), unknown_document_tokens(10, 20000)
    assert one.high < ten.high and one.mid * 10 == pytest.approx(ten.mid)


# ---- money ------------------------------------------------------------------------------------


def test_money_is_tokens_times_the_price_of_their_kind() -> None:
    endpoint = msgspec.structs.replace(
        catalogs.acme()[0],
        price=Price(input_mtok=2.5, output_mtok=10.0, input_image_mtok=5.0, input_audio_mtok=40.0, request=0.001),
    )
    assert token_price(of(endpoint), 1e6, 1e6, 1e6, 1e6) == pytest.approx(2.5 + 5.0 + 40.0 + 10.0 + 0.001)


def test_published_bills() -> None:
    # whisper-1 at $0.006 a minute; mistral-ocr at $4 per 1,000 pages; text-embedding-3-small at $0.02 per million.
    ear = msgspec.structs.replace(catalogs.acme()[3], price=Price(second=0.0001))
    assert transcription_price_by_length(of(ear), 3600) == pytest.approx(0.36)
    assert ocr_price(of(msgspec.structs.replace(ear, price=Price(page=0.004))), 1000) == pytest.approx(4.0)
    assert token_price(of(catalogs.acme()[4]), 1e6, 0, 0, 0) == pytest.approx(0.02)


def test_nothing_times_an_unknown_price_is_nothing_and_something_is_unknown() -> None:
    mystery = of(catalogs.plain()[1])
    assert token_price(mystery, 0, 0, 0, 0) == 0
    assert token_price(mystery, 1, 0, 0, 0) == math.inf
    assert not quantity((math.inf, math.inf, math.inf), "price", 8).known


def test_a_price_that_does_not_hold_yet_is_not_known() -> None:
    endpoint = msgspec.structs.replace(
        catalogs.acme()[0], price=Price(input_mtok=1.0, output_mtok=1.0, effective_from="2027-01-01")
    )
    assert token_price(of(endpoint), 10, 0, 0, 10) == math.inf
    assert token_price(of(endpoint, as_of="2027-01-01"), 10, 0, 0, 10) < math.inf


def test_on_this_machine_there_is_nothing_to_pay_even_without_a_price() -> None:
    endpoint = msgspec.structs.replace(catalogs.desk()[0], price=Price())
    assert token_price(of(endpoint), 1e6, 0, 0, 1e6) == 0


# ---- time and memory --------------------------------------------------------------------------


def test_statistics_outrank_the_catalog() -> None:
    ear = catalogs.ear()
    seen = Statistics(epoch=3, rows={f"{ear.id}|realtime_factor": between(0.4, 0.5, 0.6, "median of 9 runs")})
    assert transcription_seconds(of(ear, seen), 1, 100.0) == pytest.approx(50.0)
    assert transcription_seconds(of(ear), 1, 100.0) < 20


def test_an_endpoint_without_any_figure_is_slow_rather_than_instant() -> None:
    bare = msgspec.structs.replace(catalogs.acme()[0], speed=type(catalogs.acme()[0].speed)(), context=None)
    bare = msgspec.structs.replace(bare, model=msgspec.structs.replace(bare.model, context=None))
    assert generate_seconds(of(bare), 1, 1000, 200) > 1.0
    assert generate_seconds(of(bare), 2, 1000, 200) > generate_seconds(of(bare), 0, 1000, 200)
    assert of(bare).context == UNKNOWN_CONTEXT


def test_the_ideal_of_a_class_is_no_worse_than_any_member_in_anything() -> None:
    members = [of(endpoint) for endpoint in catalogs.many(60).endpoints]
    best = rate_dimensions(ideal_rates(members))
    assert all(a <= b for member in members for a, b in zip(best, rate_dimensions(member), strict=True))


def test_a_machine_that_says_nothing_refuses_nothing() -> None:
    assert fits_in_memory(Machine(), 1e12)
    assert not fits_in_memory(Machine(memory=8 << 30, free=1 << 30), 2 << 30)
    assert levels(unknown("?"))[2] == math.inf
