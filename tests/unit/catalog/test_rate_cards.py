"""What a usage costs: every token once, at its own price, dated; and unknown where nobody says."""

from __future__ import annotations

import pytest

from intermodal.catalog.load import load_snapshot
from intermodal.catalog.rate_cards import RateCard, effective_rates, itemize, rate_thresholds

TEXT = RateCard(units={"input_mtok": 3.0, "output_mtok": 15.0, "cache_read_mtok": 0.3})
TODAY = "2026-11-25"


def cost(host: str, name: str, usage: dict[str, float], day: str = TODAY, **said: str) -> float | None:
    row = load_snapshot().find_by_host(host, name)
    assert row is not None, f"{host} {name} is not in the snapshot"
    return itemize(effective_rates(row.dated_prices, day, **said), usage).usd


@pytest.mark.parametrize(
    ("host", "name", "usage", "usd"),
    [
        ("openai", "whisper-1", {"audio_seconds": 3600}, 0.36),
        ("openai", "whisper-1", {"input_audio_seconds": 3600}, 0.36),
        ("groq", "whisper-large-v3", {"audio_seconds": 3600}, 0.111),
        ("openai", "text-embedding-3-small", {"input_tokens": 1_000_000}, 0.02),
        ("openai", "gpt-image-1", {"output_tokens": 4160, "output_image_tokens": 4160}, 0.1664),
        ("google", "gemini-2.5-flash", {"input_tokens": 420, "input_audio_tokens": 320}, 0.00035),
        ("openai", "gpt-realtime", {"input_tokens": 600, "input_audio_tokens": 600}, 0.0192),
        ("openai", "gpt-realtime", {"output_tokens": 1200, "output_audio_tokens": 1200}, 0.0768),
        ("anthropic", "claude-haiku-4-5", {"input_tokens": 1296}, 0.001296),
        ("anthropic", "claude-opus-5", {"input_tokens": 4784}, 0.02392),
        ("mistral", "mistral-ocr-2512", {"input_document_pages": 1000}, None),
    ],
)
def test_published_examples_cost_what_they_say(
    host: str, name: str, usage: dict[str, float], usd: float | None
) -> None:
    found = cost(host, name, usage)
    assert found is not None
    if usd is not None:
        assert found == pytest.approx(usd, abs=1e-12)


def test_a_thousand_pages_of_reading_cost_four_dollars_somewhere_in_the_line() -> None:
    pages = {"input_document_pages": 1000}
    costs = {cost("mistral", row.name, pages) for row in load_snapshot().of_host("mistral") if "ocr" in row.name}
    assert any(usd == pytest.approx(4.0) for usd in costs if usd is not None)


def test_a_part_is_billed_once_and_at_its_own_price() -> None:
    found = itemize(TEXT, {"input_tokens": 1000, "cache_read_tokens": 400, "output_tokens": 10})
    assert found.usd == pytest.approx(600 * 3e-6 + 400 * 0.3e-6 + 10 * 15e-6)
    assert {line.counts: line.count for line in found.lines} == {
        "input_tokens": 600, "cache_read_tokens": 400, "output_tokens": 10,
    }  # fmt: skip


def test_a_part_without_a_price_of_its_own_is_billed_as_what_it_is_part_of() -> None:
    assert itemize(TEXT, {"input_tokens": 100, "input_image_tokens": 100}).usd == pytest.approx(100 * 3e-6)
    assert itemize(TEXT, {"output_tokens": 10, "output_reasoning_tokens": 10}).usd == pytest.approx(10 * 15e-6)


def test_sound_is_never_billed_at_the_price_of_text() -> None:
    found = itemize(TEXT, {"input_tokens": 100, "input_audio_tokens": 60})
    assert (found.usd, found.unpriced) == (None, ("input_audio_tokens",))


@pytest.mark.parametrize("counts", ["input_document_pages", "audio_seconds", "input_characters", "web_searches"])
def test_a_count_without_a_price_is_unknown_and_a_count_of_nothing_is_nothing(counts: str) -> None:
    assert itemize(TEXT, {counts: 1}).usd is None
    assert itemize(TEXT, {counts: 0}).usd == 0.0
    assert itemize(None, {counts: 2}).unpriced == (counts,)


@pytest.mark.parametrize(
    "usage",
    [
        {"input_token": 3},
        {"input_tokens": -1},
        {"input_tokens": 5, "cache_read_tokens": 6},
        {"input_tokens": 5, "cache_read_tokens": 3, "input_audio_tokens": 3},
    ],
)
def test_a_usage_that_cannot_be_is_refused(usage: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="counted|negative|parts"):
        itemize(TEXT, usage)


def test_above_a_step_every_token_costs_the_dearer_price() -> None:
    stepped = RateCard(units={"input_mtok": ((0, 1.0), (200_000, 2.0)), "output_mtok": ((0, 5.0), (200_000, 8.0))})
    assert rate_thresholds(stepped) == (200_000,)
    assert itemize(stepped, {"input_tokens": 200_000, "output_tokens": 10}).usd == pytest.approx(0.2 + 50e-6)
    assert itemize(stepped, {"input_tokens": 200_001, "output_tokens": 10}).usd == pytest.approx(200_001 * 2e-6 + 80e-6)


def test_the_price_of_a_day_is_the_last_that_began() -> None:
    dated = (
        RateCard(units={"input_mtok": 5.0}),
        RateCard(units={"input_mtok": 4.0}, since="2026-08-21"),
        RateCard(units={"input_mtok": 3.0}, since="2026-12-01"),
    )
    asked = {day: effective_rates(dated, day) for day in ("2026-08-20", "2026-08-21", "2026-11-30", "2026-12-01")}
    assert [vector.units["input_mtok"] for vector in asked.values() if vector] == [5.0, 4.0, 4.0, 3.0]


def test_nothing_held_before_the_first_price() -> None:
    assert effective_rates((RateCard(units={"input_mtok": 1.0}, since="2026-01-01"),), "2025-12-31") is None


def test_a_price_by_the_hour_is_the_hour_s_own_and_the_dearest_where_nobody_says_when() -> None:
    night = RateCard(units={"input_mtok": 2.0}, hours=(22 * 60, 4 * 60))
    dated = (RateCard(units={"input_mtok": 1.0}), night)
    hours = {clock: effective_rates(dated, f"{TODAY}T{clock}") for clock in ("21:59", "22:00", "03:59", "04:00")}
    assert [vector.units["input_mtok"] for vector in hours.values() if vector] == [1.0, 2.0, 2.0, 1.0]
    dearest = effective_rates(dated, TODAY)
    assert dearest is not None
    assert dearest.units["input_mtok"] == 2.0


def test_a_batch_costs_its_own_price_from_its_own_day_and_only_what_says_so() -> None:
    batch = RateCard(units={"input_mtok": 1.5, "output_mtok": 7.5}, since="2026-10-14", when={"processing": "batch"})
    dated = (TEXT, batch)
    usage = {"input_tokens": 1_000_000, "cache_read_tokens": 0, "output_tokens": 0}
    assert itemize(effective_rates(dated, TODAY, processing="batch"), usage).usd == pytest.approx(1.5)
    assert itemize(effective_rates(dated, "2026-10-13", processing="batch"), usage).usd == pytest.approx(3.0)
    assert itemize(effective_rates(dated, TODAY, processing="now"), usage).usd == pytest.approx(3.0)
    cached = {"input_tokens": 1_000_000, "cache_read_tokens": 1_000_000}
    assert itemize(effective_rates(dated, TODAY, processing="batch"), cached).usd == pytest.approx(0.3)


def test_the_snapshot_s_batch_prices_are_half_where_the_vendor_says_half() -> None:
    usage = {"input_tokens": 1000.0, "output_tokens": 1000.0}
    now, batch = cost("openai", "gpt-4o", usage), cost("openai", "gpt-4o", usage, processing="batch")
    assert now is not None and batch is not None
    assert batch == pytest.approx(now / 2)
