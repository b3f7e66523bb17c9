"""Images are counted as their vendors count them: published vectors, exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.cost_model.image_tokens import DETAILS, IMAGE_RULES, UNKNOWN_RULE, image_refusal, image_tokens

GPT_4O = "openai_tile:85:170"
MINI = "openai_tile:2833:5667"
LEVELS = "openai_levels:1.2 low=512 high=2048/2500 original=65535 auto=original"
CLAUDE, CLAUDE_HIGH = "anthropic:1568:1568", "anthropic:2576:4784"

# Sources: OpenAI "Images and vision" guide, Anthropic "Vision" documentation, Google "Understand and count tokens",
# qwen-vl-utils, mistral-common; as they stood in 2026-11.
VECTORS = [
    (GPT_4O, 1024, 1024, "high", 765), (GPT_4O, 2048, 4096, "high", 1105), (GPT_4O, 2048, 4096, "low", 85),
    (GPT_4O, 512, 512, "auto", 255), (GPT_4O, 513, 513, "auto", 765), (GPT_4O, 1920, 1080, "auto", 1105),
    (GPT_4O, 200, 200, "auto", 255), (MINI, 1024, 1024, "auto", 25501), (MINI, 1024, 1024, "low", 2833),
    ("openai_tile:70:140", 1024, 1024, "auto", 630), ("openai_tile:75:150", 1024, 1024, "auto", 675),
    ("openai_patch:2500:2048:1.2", 1024, 1024, "high", 1229), ("openai_patch:2500:2048:1.2", 2048, 2048, "high", 3000),
    ("openai_patch:2500:65535:1.2", 4096, 512, "high", 2458), ("openai_patch:1536:2048:1.72", 1800, 2400, "auto", 2498),
    ("openai_patch:6144:2048:1.62", 1800, 2400, "auto", 4977),
    (CLAUDE, 200, 200, "auto", 64), (CLAUDE, 1000, 1000, "auto", 1296), (CLAUDE, 1092, 1092, "auto", 1521),
    (CLAUDE, 1920, 1080, "auto", 1560), (CLAUDE, 2000, 1500, "auto", 1564), (CLAUDE, 3840, 2160, "auto", 1560),
    (CLAUDE, 1075, 1520, "auto", 1551), (CLAUDE_HIGH, 1920, 1080, "auto", 2691),
    (CLAUDE_HIGH, 2000, 1500, "auto", 3888), (CLAUDE_HIGH, 3840, 2160, "auto", 4784),
    ("gemini_tile:258", 384, 384, "auto", 258), ("gemini_tile:258", 960, 540, "auto", 1548),
    ("qwen:28:12845056", 1024, 1024, "auto", 1369), ("qwen:28:1003520", 1024, 1024, "auto", 1225),
    ("qwen:28:12845056", 224, 224, "auto", 64), ("qwen:32:12845056", 1920, 1080, "auto", 2040),
    ("mistral:16:1:1024", 1024, 1024, "auto", 4160), ("mistral:16:1:1024", 2048, 1024, "auto", 2080),
    ("mistral:14:2:1540", 1540, 1540, "auto", 3080), ("fixed:576", 9999, 1, "auto", 576),
    ("latent", 512, 512, "auto", 0),
    # By the code of transformers 5.24, compared with it in tests/differential; by the vendors' tables.
    (LEVELS, 1024, 1024, "low", 308), (LEVELS, 2048, 2048, "high", 3000), (LEVELS, 2048, 2048, "auto", 4916),
    ("openai_tile:85:170 rounding=open", 1024, 1024, "high", 765),
    ("openai_drawing:65:129:4160:6240", 1024, 1024, "auto", 194),
    ("openai_drawing:65:129:4160:6240", 1024, 1536, "high", 6563),
    ("gemini_tile:258:64:256", 4000, 3000, "low", 64), ("gemini_tile:258:64:256", 4000, 3000, "medium", 256),
    ("gemini_budget:280:560:1120:2240", 1024, 1024, "low", 280),
    ("gemini_budget:280:560:1120:2240", 1024, 1024, "ultra", 2240), ("gemma3:256", 1024, 1024, "auto", 256),
    ("gemma3:256", 2000, 500, "high", 1280), ("gemma4:70:280:560:1120", 1024, 1024, "auto", 256),
    ("gemma4:70:280:560:1120", 1920, 1080, "auto", 264), ("llama32:1601:560:4", 560, 560, "auto", 1601),
    ("llama32:1601:560:4", 1120, 1120, "auto", 6404), ("llama4:144:336:16", 336, 336, "auto", 144),
    ("llama4:144:336:16", 1344, 1344, "auto", 2448), ("idefics:512:2048:64", 256, 256, "auto", 1088),
    ("idefics:512:2048:64", 256, 256, "low", 64), ("internvl:256:448:12", 448, 448, "auto", 256),
    ("internvl:256:448:12", 1344, 896, "auto", 1792), ("llava_next", 1000, 1000, "auto", 2928),
    ("llava_next", 672, 336, "auto", 1752), ("cohere:256:512:12", 512, 512, "auto", 259),
    ("aya:169:364:12", 364, 364, "auto", 169), ("grok:256:448", 448, 448, "auto", 512),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "width", "height", "detail", "tokens"), VECTORS)
def test_published_counts(rule: str, width: int, height: int, detail: str, tokens: int) -> None:
    found = image_tokens(rule, width, height, detail)
    assert found.mid == tokens
    assert found.low <= tokens <= found.high


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "made_up:1",
        "openai_tile",
        "openai_tile:85",
        "openai_tile:a:b",
        "openai_tile:85:170 rounding=up",
        "openai_levels:1.2 low=512",
        "openai_levels:1.2 high=0",
        "openai_levels:1.2 high=2048 auto=low",
        "qwen:0:5",
        "fixed:576 low=3",
        "openai_levels:1.2 high",
    ],
)
def test_an_unknown_rule_is_a_wide_range_that_says_so(rule: str) -> None:
    found = image_tokens(rule, 1024, 1024)
    assert found.certainty == "estimated" and found.basis == UNKNOWN_RULE
    assert found.low <= 255 and found.high >= 2500


EXAMPLES = (
    GPT_4O,
    "openai_patch:1536:2048:1.62",
    CLAUDE,
    "gemini_tile:258",
    "qwen:28:12845056",
    "mistral:16:1:1024",
    "",
    *dict.fromkeys(rule for rule, *_ in VECTORS if rule != "latent"),  # which is no tokens
)


@given(st.sampled_from(EXAMPLES), st.integers(1, 9000), st.integers(1, 9000), st.sampled_from(DETAILS))
def test_every_picture_has_a_sensible_count(rule: str, width: int, height: int, detail: str) -> None:
    found = image_tokens(rule, width, height, detail)
    assert 0 < found.low <= found.mid <= found.high < 3_000_000


def test_every_rule_is_covered_by_a_vector() -> None:
    assert {rule.partition(" ")[0].partition(":")[0] for rule, *_ in VECTORS} == set(IMAGE_RULES)


@pytest.mark.parametrize(
    ("rule", "width", "height", "detail", "why"),
    [
        (LEVELS, 6000, 6000, "auto", "35,344 patches of 32 pixels"), (LEVELS, 6000, 6000, "ultra", "no detail"),
        ("openai_levels:1.62 high=2048/6144", 100, 100, "original", "no detail 'original'"),
        (GPT_4O, 100, 100, "original", "no detail 'original'"), (CLAUDE, 8001, 10, "auto", "8,001 pixels"),
        ("qwen:28:12845056", 4000, 10, "auto", "200 times as long as wide"),
        ("gemini_tile:258:64:256", 100, 100, "original", "no detail 'original'"),
    ],
)  # fmt: skip
def test_a_picture_over_a_published_limit_is_refused(rule: str, width: int, height: int, detail: str, why: str) -> None:
    assert why in image_refusal(rule, width, height, detail)


@pytest.mark.parametrize(
    ("rule", "width", "height", "detail"),
    [
        (LEVELS, 5536, 5536, "auto"),  # 173 * 173 = 29,929 patches
        (LEVELS, 60_000, 60_000, "high"),  # a budget shrinks it instead
        (CLAUDE, 8000, 8000, "auto"),
        ("", 100_000, 100_000, "original"),
        ("qwen:28:12845056", 4000, 20, "auto"),
    ],
)
def test_a_picture_within_the_limits_is_not_refused(rule: str, width: int, height: int, detail: str) -> None:
    assert image_refusal(rule, width, height, detail) == ""


def test_sources_that_differ_are_a_range() -> None:
    cut = image_tokens("llama32:1601:560:4", 2000, 560)
    assert (cut.low, cut.high) == (3202, 6404) and cut.certainty == "estimated"
    small = image_tokens("qwen:32:16777216:4096:65536", 100, 100)
    assert (small.low, small.high) == (9, 64) and small.certainty == "estimated"
    assert image_tokens("qwen:32:16777216:4096:65536", 256, 256).certainty == "exact"
    photo = image_tokens("gemini_tile:258", 4000, 3000)
    assert (photo.low, photo.high) == (1032, 6192)
    assert image_tokens("openai_tile:85:170 rounding=open", 1199, 1600).certainty == "estimated"
