"""Sound, video, documents, drawn images and sums: by rule, ranged where nobody publishes one, priced or unknown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.catalog.token_rule_rows import ModelTokenRules
from intermodal.catalog.types import Price
from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.cost_model import image_tokens
from intermodal.cost_model import token_rules as audio_rules
from intermodal.cost_model import token_rules as document_rules
from intermodal.cost_model import token_rules as video_rules
from intermodal.cost_model.token_counts import CountablePart, CountedPart, count_tokens
from intermodal.cost_model.token_rules import DocumentSize, VideoSize, audio_tokens, document_tokens, video_tokens
from intermodal.cost_model.usage_price import billed_usage, price_of_parts, usage_price
from intermodal.errors import UsageError

GEMINI_2, GEMINI_3 = "gemini_seconds:258:64:5:32", "gemini_frames:70:280:25:32"


@pytest.mark.parametrize(
    ("rule", "seconds", "low", "high"),
    [
        ("rate:10", 60, 600, 600), ("rate:32", 10, 320, 320), ("rate:25:32", 10, 250, 320), ("rate:10", 0.01, 1, 1),
        ("window:30:375", 1, 375, 375), ("window:30:375", 30, 375, 375), ("window:30:187", 31, 374, 374),
        ("by_time", 3600, 0, 0), ("window:30:750:25", 4, 100, 750), ("window:30:750:25", 30, 750, 750),
    ],
)  # fmt: skip
def test_sound_by_rule(rule: str, seconds: float, low: float, high: float) -> None:
    found = audio_tokens(rule, seconds)
    assert (found.low, found.high) == (low, high)
    assert found.certainty == ("exact" if low == high else "estimated")


@pytest.mark.parametrize(
    ("rule", "video", "low", "mid", "high"),
    [
        (GEMINI_2, VideoSize(seconds=10.0), 2630, 2630, 2630),
        (GEMINI_2, VideoSize(seconds=10.0, fps=2.0), 5160, 5210, 5480),
        (GEMINI_2, VideoSize(seconds=10.0, detail="low"), 640, 690, 960),
        (GEMINI_3, VideoSize(seconds=10.0, sound=False), 350, 700, 700),
        (GEMINI_3, VideoSize(seconds=10.0, detail="high", sound=True), 1650, 3050, 3120),
        ("qwen:28", VideoSize(seconds=10.0, fps=1.0, width=640, height=360), 1495, 1495, 1495),  # 5 pairs of 23 x 13
        ("qwen:28", VideoSize(seconds=1.0, width=640, height=360), 598, 598, 598),  # at least 4 frames
        ("qwen:32", VideoSize(seconds=10.0), 1280, 4608, 7680),  # 10 pairs of 128 to 768
    ],
)
def test_video_by_rule(rule: str, video: VideoSize, low: float, mid: float, high: float) -> None:
    found = video_tokens(rule, video)
    assert (found.low, found.mid, found.high) == (low, mid, high)


def test_documents_by_rule() -> None:
    assert document_tokens("page:258", DocumentSize(pages=10), "").mid == 2580
    gemini = document_tokens("gemini_pages:280:560:1120", DocumentSize(pages=10, chars=0), "")
    assert gemini.mid == gemini.high == 5600
    tile, claude = "openai_tile:85:170", "anthropic:1568:1568"
    ten = document_tokens("anthropic_pdf:1500:3000", DocumentSize(pages=10), claude)
    assert 15_000 < ten.low < ten.mid < ten.high <= 30_000 + 15_680
    scanned = document_tokens("anthropic_pdf:1500:3000", DocumentSize(pages=10, chars=0), claude)
    assert scanned.high <= 15_680
    words = document_tokens("openai_pdf", DocumentSize(pages=1, chars=4000), tile)
    assert words.low < 1000 < words.mid < words.high
    assert document_tokens("by_page", DocumentSize(pages=1000), "").mid == 0


def test_drawn_pictures_are_from_tables_and_else_unknown() -> None:
    assert image_tokens.generated_image_tokens("table:gpt-image-1", 1536, 1024, "medium").mid == 1568
    assert image_tokens.generated_image_tokens("table:gpt-image-2", 1024, 1024, "high").mid == 7024
    assert not image_tokens.generated_image_tokens("table:gpt-image-2", 1024, 1024, "low").known
    assert not image_tokens.generated_image_tokens("table:gpt-image-1", 999, 999, "low").known
    assert not image_tokens.generated_image_tokens("", 1024, 1024, "low").known


@pytest.mark.parametrize("rule", ["", "none:1", "rate", "rate:0", "window:30", "rate:a", "rate:10 x=1", "page:1:2"])
def test_a_rule_that_cannot_be_followed_is_a_wide_range_that_says_so(rule: str) -> None:
    heard, watched = audio_tokens(rule, 10), video_tokens(rule, VideoSize(seconds=10.0))
    read = document_tokens(rule, DocumentSize(pages=3), "")
    for found, said in (
        (heard, audio_rules._UNKNOWN_AUDIO_RULE),
        (watched, video_rules._UNKNOWN_VIDEO_RULE),
        (read, document_rules._UNKNOWN_DOCUMENT_RULE),
    ):
        assert found.basis == said and found.certainty == "estimated" and found.high >= 5 * found.low


@given(
    st.sampled_from(("", "rate:10", "rate:25:32", "window:30:375", GEMINI_2, GEMINI_3, "qwen:28", "qwen:32")),
    st.floats(0.01, 100_000), st.sampled_from((0.0, 0.5, 1.0, 30.0)), st.integers(0, 4000), st.integers(0, 4000),
)  # fmt: skip
def test_more_seconds_are_never_fewer_tokens(rule: str, seconds: float, fps: float, wide: int, high: int) -> None:
    def both(length: float) -> list[Quantity]:
        return [
            audio_tokens(rule, length),
            video_tokens(rule, VideoSize(seconds=length, fps=fps)),
        ]

    for less, more in zip(both(seconds), both(seconds * 2), strict=True):
        assert 0 < less.low <= less.mid <= less.high
        assert less.high <= more.high
    sized = video_tokens(rule, VideoSize(seconds=seconds, fps=fps, width=wide, height=high))
    assert 0 < sized.low <= sized.mid <= sized.high


RULES = ModelTokenRules(name="v/eye", rules={"image": "fixed:100", "audio": "rate:10"}, sources={"image": "a page"})


def test_a_count_is_the_sum_of_its_parts_each_with_its_source() -> None:
    pieces = (
        CountablePart(kind="image", width=9, height=9),
        CountablePart(kind="audio", seconds=2.0),
        CountablePart(kind="text", tokens=7),
        CountablePart(kind="output", tokens=5),
    )
    found = count_tokens(pieces, RULES, takes=("text",))
    assert found.tokens == exact(132.0, "sum") and found.rejected == ""
    assert found.parts[0].source == "a page" and found.parts[2].tokens.basis == "counted"


def test_framing_is_a_range_and_makes_the_sum_one() -> None:
    found = count_tokens((CountablePart(kind="image", width=9, height=9), CountablePart(kind="framing")), RULES)
    assert found.tokens.certainty == "estimated" and found.tokens.low > 100
    own = count_tokens((CountablePart(kind="framing"),), ModelTokenRules(framing=(1.0, 2.0, 3.0)))
    assert (own.tokens.low, own.tokens.high) == (1, 3)


def test_a_kind_whose_first_rule_is_of_a_later_day_is_an_error() -> None:
    later = ModelTokenRules(name="v/eye", later={"video": "2027-01-01"})
    with pytest.raises(UsageError, match="2027-01-01"):
        count_tokens((CountablePart(kind="video", seconds=1.0),), later, model="v/eye")


def counted(kind: Any, tokens: Quantity, **more: Any) -> CountedPart:
    return CountedPart(piece=CountablePart(kind=kind, **more), tokens=tokens)


def test_money_keeps_ranges_and_modalities_apart() -> None:
    rates = usage_price(Price(input_mtok=1.0, output_mtok=4.0, input_audio_mtok=10.0, request=0.5))
    parts = (
        counted("text", between(100.0, 200.0, 300.0, "")), counted("audio", exact(1000.0)),
        counted("output", exact(50.0)),
    )  # fmt: skip
    found = price_of_parts(parts, rates)
    assert (found.low, found.mid, found.high) == (0.5103, 0.5104, 0.5105)
    assert found.certainty == "estimated"


def test_money_of_cached_text_has_a_price_of_its_own_or_is_unknown() -> None:
    parts = (counted("text", exact(1000.0)), counted("image", exact(50.0)))
    assert not price_of_parts(parts, usage_price(Price(input_mtok=1.0)), cached=10).known
    assert billed_usage(parts, 1, cached=400) == {
        "input_tokens": 1050,
        "input_image_tokens": 50,
        "cache_read_tokens": 400,
    }
    more = billed_usage(parts, 1, cached=1020)  # text before images
    assert (more["cache_read_tokens"], more["cache_image_read_tokens"]) == (1020, 20)
    assert billed_usage(parts, 1, cached=5000)["cache_read_tokens"] == 1050


@pytest.mark.parametrize("kind", ["text", "image", "audio", "video", "document", "output", "drawn", "speech"])
def test_a_count_without_a_price_is_unknown_and_none_needs_no_price(kind: Any) -> None:
    nothing = usage_price(Price())
    assert not price_of_parts((counted(kind, exact(1.0)),), nothing).known
    assert not price_of_parts(
        (counted(kind, unknown("why")),), usage_price(Price(input_mtok=1.0, output_mtok=1.0))
    ).known
    assert price_of_parts((counted(kind, exact(0.0)),), nothing).mid == 0.0


def test_what_is_billed_by_time_or_page_needs_that_price() -> None:
    by_time = counted("audio", exact(0.0), seconds=60.0)
    assert price_of_parts((by_time,), usage_price(Price(second=0.0001))).mid == 0.006
    assert not price_of_parts((by_time,), usage_price(Price(input_mtok=1.0))).known
    by_page = counted("document", exact(0.0), pages=3)
    assert not price_of_parts((by_page,), usage_price(Price(input_mtok=1.0))).known


@pytest.mark.parametrize("rule", ["rate:10", "rate:25:32", "rate:32", "window:30:375", "window:30:750:25"])
def test_a_model_without_a_rule_for_sound_never_ranks_before_one_that_has_one(rule: str) -> None:
    assert all(audio_tokens("", length).mid >= audio_tokens(rule, length).mid for length in (30.0, 60.0, 3_600.0))


@pytest.mark.parametrize(
    ("rule", "size", "quality", "low", "high"),
    [
        ("pixels:6000000:1120:24000000:2000", (1024, 1024), "high", 1120, 1120),
        ("pixels:6000000:1120:24000000:2000", (2752, 1536), "high", 1120, 1120),
        ("pixels:6000000:1120:24000000:2000", (4096, 4096), "high", 2000, 2000),
        ("table:gpt-image-1:gpt-image-1-mini", (1024, 1024), "high", 4160, 4500),
    ],
)  # fmt: skip
def test_drawn_pictures_by_size_and_by_two_tables(
    rule: str, size: tuple[int, int], quality: str, low: float, high: float
) -> None:
    found = image_tokens.generated_image_tokens(rule, *size, quality)
    assert (found.low, found.high) == (low, high)
    assert not image_tokens.generated_image_tokens("pixels:6000000:1120", 9000, 9000, quality).known
