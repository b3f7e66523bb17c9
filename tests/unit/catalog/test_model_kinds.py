"""What a model is called follows from facts, and every fact of a shipped row says where it is from."""

from __future__ import annotations

import re
from datetime import date

import pytest

from intermodal.catalog.model_kinds import MODEL_KINDS, is_foundation_model, kind_of
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.types import Model

TODAY = date.today().isoformat()


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("meta/llama-3.1-8b-instruct", "LLM"),
        ("cohere/command-r-v01", "LLM"),
        ("microsoft/phi-4", "LLM"),
        ("google/bert-base-uncased", "encoder language model"),
        ("meta/llama-3.2-11b-vision-instruct", "vision-language"),
        ("mistral/pixtral-12b", "vision-language"),
        ("qwen/qwen3-vl-8b-instruct", "vision-language"),
        ("liuhaotian/llava-v1.5-7b", "vision-language"),
        ("anthropic/claude-opus-5.5", "vision-language"),
        ("google/gemini-3.8-flash", "multimodal"),
        ("openai/gpt-4o-audio-preview", "omni"),
        ("openai/whisper-base", "speech recognition"),
        ("facebook/seamless-m4t-large", "speech translation"),
        ("rhasspy/piper-en_US-joe-medium", "speech synthesis"),
        ("openai/clip-vit-base-patch32", "contrastive image-text"),
        ("intfloat/multilingual-e5-small", "embedding"),
        ("baai/bge-reranker-v2-m3", "reranker"),
        ("openai/dall-e-3", "image generation"),
        ("openai/gpt-image-2", "image generation"),
        ("compvis/stable-diffusion-v1", "image generation"),
        ("paddlepaddle/ppocr-v6-small", "text recognition"),
    ],
)
def test_a_model_people_know_is_called_what_people_call_it(model: str, kind: str) -> None:
    assert shipped_rows().models[model].kind == kind


@pytest.mark.parametrize(
    ("tasks", "into", "out", "objective", "kind"),
    [
        (("text-generation",), ("text",), ("text",), (), "LLM"),
        (("text-generation",), ("text", "document"), ("text",), (), "LLM"),
        (("text-generation", "audio-text-to-text"), ("text", "audio"), ("text",), (), "audio-language"),
        (("text-generation",), ("text", "image", "audio", "video"), ("text", "audio"), (), "omni"),
        (("text-generation",), ("text",), ("text", "image"), (), "image generation"),
        (("text-to-video",), ("text", "image"), ("video",), (), "video generation"),
        (("feature-extraction",), ("text",), ("embedding",), ("contrastive",), "embedding"),
        (("feature-extraction",), ("text", "image"), ("embedding",), (), "embedding"),
        (("feature-extraction",), ("text", "image"), ("embedding",), ("contrastive",), "contrastive image-text"),
        ((), (), (), (), "not known"),
    ],
)
def test_a_kind_follows_from_what_goes_in_what_comes_out_and_how_it_learned(
    tasks: tuple[str, ...], into: tuple[str, ...], out: tuple[str, ...], objective: tuple[str, ...], kind: str
) -> None:
    assert kind_of(tasks, into, out, objective) == kind


def test_a_kind_is_never_stored() -> None:
    assert "kind" not in Model.__struct_fields__


def test_a_foundation_model_is_pretrained_and_turned_to_many_tasks() -> None:
    assert is_foundation_model("instructions", ("next-token",), ("text",)) is True
    assert is_foundation_model("fine-tuning", ("masked-token",), ("text",)) is True
    assert is_foundation_model("one task", ("sequence-to-sequence",), ("speech-text pairs",)) is False
    assert is_foundation_model("", ("supervised",), ()) is False
    assert is_foundation_model("", (), ()) is None


def test_a_checked_row_has_an_address_that_was_opened_on_a_day_that_was() -> None:
    for row in shipped_rows().rows.values():
        if row.checked:
            assert row.source.startswith("https://"), row.id
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", row.checked), row.id
            assert "2026-11-01" <= row.checked <= max(TODAY, "2026-11-30"), row.id


def test_what_opened_sources_corrected_stays_so() -> None:
    rows = shipped_rows().rows
    assert rows["openai/whisper-large-v3"].licence == "MIT"  # the repository's README, of code and weights
    assert rows["qwen/qwen3-32b"].context == 32_768  # more with YaRN only
    assert rows["deepseek/deepseek-flash"].input == ("text", "image")
    assert rows["anthropic/claude-haiku-5.5"].max_output == 128_000


def test_every_tier_says_why() -> None:
    for row in shipped_rows().rows.values():
        assert row.tier is not None and row.tier_source, row.id
        assert row.tier_level == "proxy", "a benchmark needs data that may be passed on"


def test_a_closed_model_claims_no_figures_that_its_vendor_does_not_publish() -> None:
    for row in shipped_rows().rows.values():
        if row.id.startswith("google/gemini-gemma"):  # open weights, under the name that Google's API has for them
            continue
        if row.id.startswith(("openai/gpt-4", "openai/gpt-5", "openai/gpt-6", "anthropic/", "google/gemini")):
            assert row.parameters is None and not row.objective and not row.trained_on, row.id


@pytest.mark.parametrize("id", ["mistral/mistral-nemo", "mistral/open-mistral-nemo"])
def test_a_size_that_is_published_and_not_in_the_name_is_known(id: str) -> None:
    row = shipped_rows().rows[id]
    assert row.parameters == 12e9 and row.source


def test_every_kind_of_the_documentation_is_one_that_can_be_derived() -> None:
    from pathlib import Path

    text = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    table = re.findall(r"^\| \*\*([^*]+)\*\* \|", text, re.M)
    assert set(table) == set(MODEL_KINDS) - {"not known"}
