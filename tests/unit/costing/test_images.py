"""Pictures are counted as their vendors count them: published vectors, exact."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.costing.images import RULES, UNKNOWN_RULE, image_tokens

GPT_4O = "openai_tile:85:170"
MINI = "openai_tile:2833:5667"
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
]  # fmt: skip


@pytest.mark.parametrize(("rule", "width", "height", "detail", "tokens"), VECTORS)
def test_published_counts(rule: str, width: int, height: int, detail: str, tokens: int) -> None:
    found = image_tokens(rule, width, height, detail)
    assert found.mid == tokens
    assert found.low <= tokens <= found.high


@pytest.mark.parametrize("rule", ["", "made_up:1", "openai_tile", "openai_tile:85", "openai_tile:a:b"])
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
)


@given(st.sampled_from(EXAMPLES), st.integers(1, 9000), st.integers(1, 9000), st.sampled_from(("low", "high", "auto")))
def test_every_picture_has_a_sensible_count(rule: str, width: int, height: int, detail: str) -> None:
    found = image_tokens(rule, width, height, detail)
    assert 0 < found.low <= found.mid <= found.high < 3_000_000


def test_every_rule_is_covered_by_a_vector() -> None:
    assert {rule.partition(":")[0] for rule, *_ in VECTORS} == set(RULES)
