"""Tokens of texts without their vocabulary, held against what real tokenizers counted.

``data/text_counts.jsonl`` has texts written for this test, none of which the factors were fitted on, with their counts
by the tokenizers that ``benchmarks/text_sources.py`` names. ``benchmarks/results/text_factors.md`` has the same of
1,200 texts of others.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.catalog.token_rule_rows import ASSUMED_PREFIX, vocabulary_of
from intermodal.core.quantity import Quantity
from intermodal.cost_model.text_factors import FACTORS
from intermodal.cost_model.tokens import text_tokens
from intermodal.media.text.script_counts import NAMES, count_scripts

TEXTS = [json.loads(line) for line in (Path(__file__).parent / "data" / "text_counts.jsonl").read_text().splitlines()]
KNOWN = sorted(FACTORS.keys() - {"", "open"})
MIXED = st.text("The same, абв λόγος 漢字かな 한글 نص ไทย 😀 12 {}();=\n", max_size=300)


def estimated(text: str, vocabulary: str) -> Quantity:
    return text_tokens(len(text), len(text.encode("utf-8", "replace")), count_scripts(text), vocabulary)


def test_every_vocabulary_has_a_factor_for_every_script() -> None:
    for name, factors in FACTORS.items():
        assert set(factors) == set(NAMES), name
        assert all(0 <= low <= mid <= high for low, mid, high in factors.values()), name


def test_97_of_100_true_counts_lie_within_their_range_and_the_middle_is_near() -> None:
    found = [(estimated(each["text"], name), each["tokens"][name]) for each in TEXTS for name in KNOWN]
    inside = [quantity.low <= real <= quantity.high for quantity, real in found]
    assert len(found) > 400 and sum(inside) / len(inside) >= 0.97
    assert median(max(quantity.mid / real, real / quantity.mid) for quantity, real in found) <= 1.1
    assert median(quantity.high / quantity.low for quantity, _ in found) <= 1.5 / 0.55  # as wide as one factor for all


@pytest.mark.parametrize("what", [each["what"] for each in TEXTS])
def test_no_language_is_beyond_the_range_of_an_unknown_vocabulary_in_half_of_those_it_may_be(what: str) -> None:
    each = next(each for each in TEXTS if each["what"] == what)
    quantity = estimated(each["text"], "")
    inside = [quantity.low <= each["tokens"][name] <= quantity.high for name in KNOWN]
    assert sum(inside) / len(inside) >= 0.5


def test_a_model_of_open_weights_that_nobody_knows_counts_like_one_of_them() -> None:
    open_weights = [name for name in KNOWN if not name.startswith(("claude", "cl100k"))]
    found = [(estimated(each["text"], "open"), each["tokens"][name]) for each in TEXTS for name in open_weights]
    inside = [quantity.low <= real <= quantity.high for quantity, real in found]
    assert sum(inside) / len(inside) >= 0.95
    anyone = [estimated(each["text"], "") for each in TEXTS]
    narrower = [one.high <= two.high for (one, _), two in zip(found[:: len(open_weights)], anyone, strict=True)]
    assert sum(narrower) > 0.5 * len(narrower)


@given(vocabulary=st.sampled_from(["", *KNOWN]), text=MIXED, more=MIXED)
def test_a_text_is_never_free_and_a_longer_one_of_the_same_scripts_never_cheaper(
    vocabulary: str, text: str, more: str
) -> None:
    one, two = estimated(text, vocabulary), estimated(f"{text} {text}{more}", vocabulary)
    assert one.mid >= 1 or not text
    assert two.high >= 0.9 * one.high - 1 and 0 <= one.low <= one.mid <= one.high


def test_newer_claude_counts_more_tokens_of_english_and_its_basis_says_whose_factors() -> None:
    older, newer = vocabulary_of("anthropic/claude-opus-4.6"), vocabulary_of("anthropic/claude-opus-4.7")
    text = TEXTS[0]["text"]
    assert estimated(text, newer).mid > 1.2 * estimated(text, older).mid
    assert (estimated(text, older).basis, estimated(text, newer).basis) == (
        "by script, claude3's factors", "by script, claude4.7's factors",
    )  # fmt: skip


def test_a_vocabulary_that_is_assumed_has_a_wider_range_and_says_so() -> None:
    text = TEXTS[0]["text"]
    known, assumed = estimated(text, "gemma3"), estimated(text, f"{ASSUMED_PREFIX}gemma3")
    assert assumed.low < known.low and known.high < assumed.high and assumed.mid == known.mid
    assert assumed.basis == "by script, gemma3's factors assumed"
    assert estimated(text, "").basis == "by script, its vocabulary is not known"


@pytest.mark.parametrize(
    ("model", "vocabulary"),
    [
        ("anthropic/claude-3-haiku", "claude3"), ("claude-sonnet-4-20250514", "claude3"),
        ("anthropic/claude-opus-4.8", "claude4.7"), ("anthropic/claude-sonnet-5", "claude4.7"),
        ("anthropic/claude-opus-5.5", "like claude4.7"), ("google/gemini-1.5-pro", "gemma2"),
        ("google/gemini-2.5-flash", "gemma3"), ("google/gemini-3.5-flash", "like gemma3"),
        ("meta/llama-3.3-70b-instruct", "llama3"), ("deepseek-r1-distill-llama-70b", "llama3"),
        ("qwen/qwen3-8b", "qwen3"), ("qwen/qwen3.5-9b", "qwen3.5"), ("qwen/qwen3.8-max", "like qwen3.5"),
        ("mistral/mistral-nemo", "tekken"), ("mistral/mistral-large-latest", "like tekken"),
        ("openai/gpt-5-mini", "o200k_base"), ("openai/gpt-4-turbo", "cl100k_base"), ("x-ai/grok-4", ""),
    ],
)  # fmt: skip
def test_a_model_has_the_vocabulary_of_its_family(model: str, vocabulary: str) -> None:
    assert vocabulary_of(model) == vocabulary and vocabulary.removeprefix(ASSUMED_PREFIX) in FACTORS
