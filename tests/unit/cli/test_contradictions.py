"""What sources contradict each other about: the page of a model says it, estimates say it, and no plan goes by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.cli.conftest import Cli


@pytest.mark.parametrize("model", ["qwen/qwen3.6-27b", "qwen/qwen3.5-397b-a17b", "openai/gpt-5.1"])
def test_the_page_of_a_model_says_what_is_contested_and_does_not_list_it(cli: Cli, model: str) -> None:
    figures = {
        each["name"]: each["value"] for each in cli("models", "show", model, "--json").document["model"]["figures"]
    }
    assert "audio" not in figures["input"]
    assert any("audio input" in each and "plans do not rely on it" in each for each in figures["contested"])


def test_an_estimate_of_what_is_contested_is_counted_and_says_so(cli: Cli) -> None:
    done = cli("estimate", "--model", "alibaba:qwen/qwen3.6-27b", "--audio", "60s", "--json").document
    assert done["rejected"] is None
    assert "claim audio input" in done["parts"][0]["basis"]


def test_a_search_for_what_hears_finds_nobody_whose_claim_most_contradict(cli: Cli) -> None:
    found = {row["model"] for row in cli("models", "--in", "audio", "--all", "--json").document["models"]}
    assert "google/gemini-2.5-flash" in found
    assert "qwen/qwen3.6-27b" not in found


@pytest.mark.slow
def test_a_plan_for_a_named_model_says_why_its_claim_is_not_taken(
    cli: Cli, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DASHSCOPE_API_KEY", "GROQ_API_KEY"):
        monkeypatch.setenv(name, "sk-test")
    recording = str(media / "jfk.wav")
    done = cli("explain", "--model", "alibaba:qwen/qwen3.6-27b", "--host", "alibaba", "--host", "groq", "Is he angry?",
               recording)  # fmt: skip
    assert done.code == 0
    assert "7 of 28 rows claim audio input" in " ".join(done.out.split())


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--objective", "cheapest")])
def test_a_search_whose_price_is_not_known_is_not_chosen_for_its_tokens_but_by_name(
    cli: Cli, media: Path, more: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    asked = ("explain", "What breed is the cat?", str(media / "photo-cat.jpg"), "--host", "openai", *more)
    assert "-search-" not in cli(*asked, "--json").document["plan"]["chosen"]["steps"][-1]["endpoint"]
    named = cli(*asked, "--model", "openai:gpt-4o-mini-search-preview")
    assert "no price of the web search that each call makes is known" in " ".join(named.out.split())


@pytest.mark.parametrize(("option", "limit"), [("--max-cost", "0.0001"), ("--deadline", "5")])
def test_a_refused_thinker_says_of_which_shortened_answer_its_high_end_is(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, option: str, limit: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    asked = ("explain", "Hello", "--model", "openai:o3", "--host", "openai")
    said = " ".join(cli(*asked, option, limit).err.split())
    assert "tokens of thought and answer, and the" in said
    assert "tokens of thought and answer, and the" not in cli(*asked, option, "100000").out
