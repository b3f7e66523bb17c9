"""Rows that say how models count: every shipped one can be followed, names find theirs, days are respected."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from intermodal.catalog.shipped_rows import shipped_families
from intermodal.catalog.token_rule_rows import ASPECTS, ModelFamilies, ModelFamily, TokenRule, bare_name
from intermodal.cost_model.image_tokens import is_generated_image_rule, is_image_rule
from intermodal.cost_model.token_rules import is_audio_rule, is_document_rule, is_video_rule
from intermodal.cost_model.tool_tokens import is_tool_rule
from intermodal.errors import ConfigError, UsageError
from intermodal.local.tokenizers.byte_pair import ENCODINGS

FOLLOWED = {
    "text": lambda rule: rule in ENCODINGS, "image": is_image_rule, "audio": is_audio_rule, "video": is_video_rule,
    "document": is_document_rule, "drawn": is_generated_image_rule, "speech": is_audio_rule, "tools": is_tool_rule,
}  # fmt: skip
RULES = [(row, rule) for row in shipped_families().rows for rule in row.rules]


@pytest.mark.parametrize(("row", "rule"), RULES, ids=[f"{row.names[0]} {rule.effective_from}" for row, rule in RULES])
def test_every_shipped_rule_can_be_followed_and_has_its_day_and_source(row: ModelFamily, rule: TokenRule) -> None:
    assert rule.source
    assert date.fromisoformat(rule.effective_from) <= date.fromisoformat(rule.checked or "2026-11-25")
    for aspect in ASPECTS:
        stated = getattr(rule, aspect)
        assert not stated or FOLLOWED[aspect](stated), (aspect, stated)


def test_no_name_is_in_two_rows_and_no_day_twice_in_one() -> None:
    names = [bare_name(name) for row in shipped_families().rows for name in row.names]
    assert sorted(set(names)) == sorted(names)
    for row in shipped_families().rows:
        days = [rule.effective_from for rule in row.rules]
        assert len(set(days)) == len(days)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4o", "openai/gpt-4o"),
        ("openai:openai/gpt-4o-2024-11-20", "openai/gpt-4o"),
        ("openrouter:openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("claude-haiku-4-5-20251001", "anthropic/claude-haiku-4.5"),
        ("anthropic/claude-3.5-sonnet:beta", "anthropic/claude-3.5-sonnet"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen/qwen2.5-vl"),
        ("google/gemma-3-27b-it", "google/gemma-3"),
        ("gemma-3n-e4b-it", "google/gemma-3n"),
        ("llava-v1.6-mistral-7b-hf", "liuhaotian/llava-v1.6"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "meta/llama-4-scout"),
        ("InternVL3_5-8B", "opengvlab/internvl3.5"),
        ("ollama:gemma3:4b", "google/gemma3"),
        ("llama3.2-vision:11b", "meta/llama3.2-vision"),
        ("groq:pixtral-12b", "mistral/pixtral-12b"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic/claude-sonnet-4.5"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", "anthropic/claude-3.5-sonnet"),
        ("fixie-ai/ultravox-v0_5-llama-3_1-8b", "fixie-ai/ultravox-v0.5-llama-3.1"),
    ],
)
def test_a_name_finds_its_family_through_vendors_sizes_and_dates(name: str, family: str) -> None:
    found = shipped_families().of(name)
    assert found is not None and found[0] == family


@pytest.mark.parametrize(
    "name",
    ["gpt-4oo", "gpt-4o-mini-vision", "gpt-5-codex", "claude-opus-4-9", "gpt-5.4-pro", "gemini-2.5-flash-tts", "", "-"],
)
def test_another_word_in_a_name_is_another_model(name: str) -> None:
    assert shipped_families().of(name) is None


TWO = ModelFamilies(
    rows=(
        ModelFamily(
            names=("v/eye",),
            rules=(
                TokenRule(effective_from="2026-06-01", image="fixed:2", source="later"),
                TokenRule(effective_from="2026-01-01", image="fixed:1", audio="rate:10", source="first"),
                TokenRule(effective_from="2026-09-01", video="qwen:28", source="last"),
            ),
        ),
    )
)


def test_the_rule_in_force_on_a_day_is_the_last_that_began() -> None:
    assert TWO.sheet("eye", "2026-05-31").rules == {"image": "fixed:1", "audio": "rate:10"}
    later = TWO.sheet("eye", "2026-06-01")
    assert later.rules["image"] == "fixed:2" and later.rules["audio"] == "rate:10"
    assert later.sources["image"].startswith("later") and later.sources["audio"].startswith("first")
    assert later.later == {"video": "2026-09-01"}
    assert TWO.newest("eye", "image") == "fixed:2" and TWO.newest("eye", "document") == ""


def test_a_day_before_any_rule_is_an_error_that_names_the_first() -> None:
    with pytest.raises(UsageError, match="no rule of v/eye is known for 2025-12-31; its first is of 2026-01-01"):
        TWO.sheet("eye", "2025-12-31")


def test_an_unknown_name_has_no_rules() -> None:
    assert TWO.sheet("nobody", "2026-01-01").rules == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[families]]\nnames = ['a']\n", "lacks rules"),
        ("[[families]]\nnames = ['a']\nrules = []\n", "has no names or no rules"),
        ("[[families]]\nnames = ['a']\n[[families.rules]]\neffective_from = '2026-01-01'\nimages = 'x'\n", "images"),
        ("[[families]\n", "is not TOML"),
    ],
)
def test_a_row_with_a_slip_is_an_error_that_names_the_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "slip.toml").write_text(text)
    with pytest.raises(ConfigError, match="catalog/counting/slip.toml") as caught:
        shipped_families(tmp_path)
    assert said in str(caught.value)


def test_a_rule_says_when_its_source_was_opened_or_that_nobody_did() -> None:
    assert shipped_families().sheet("openai/gpt-4o", "2026-11-24").sources["image"].endswith(", read 2026-11-25")
    assert shipped_families().sheet("openai/gpt-4o", "2026-11-24").sources["text"].endswith(", read 2026-11-25")
    assert shipped_families().sheet("x-ai/grok-4", "2026-11-24").sources["image"].endswith("; unverified")


def test_how_many_pictures_claude_takes_follows_how_much_it_holds() -> None:
    assert shipped_families().sheet("anthropic/claude-haiku-4.5", "2026-11-24").most_images == 100
    assert shipped_families().sheet("anthropic/claude-opus-4.6", "2026-11-24").most_images == 600


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("google/gemini-flash-lite-latest", "google/gemini-flash-lite-latest"),
        ("google/gemini-2.5-flash-lite-preview-09-2025", "google/gemini-2.5-flash-lite"),
        ("google/gemini-3.1-flash-lite-preview-09-2025", "google/gemini-3.1-flash-lite-preview"),
        ("google/gemini-2.5-flash-preview-05-20", "google/gemini-2.5-flash"),
        ("claude-sonnet-4@20250514", "anthropic/claude-sonnet-4"),
        ("claude-3-5-sonnet-v2@20241022", "anthropic/claude-3.5-sonnet"),
        ("HuggingFaceM4/Idefics3-8B-Llama3", "huggingfacem4/idefics3"),
        ("grok-4.20-0309-non-reasoning", "x-ai/grok-4.20"),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct-Turbo", "meta/llama-3.2-11b-vision-instruct-turbo"),
        ("gpt_4.1_mini", "openai/gpt-4.1-mini"),
    ],
)
def test_an_alias_and_a_dated_name_take_their_familys_rule(name: str, family: str) -> None:
    found = shipped_families().of(name)
    assert found is not None and found[0] == family
