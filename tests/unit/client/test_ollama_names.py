"""Names of Ollama's library: read where a model is only asked about, suggested where something would run on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.conftest import Cli, cli, own_weights
from tests.unit.gateway.gateway_server import GatewayServer, priced

import intermodal

__all__ = ["cli", "own_weights"]  # fixtures, for pytest
TAG, MODEL = "llama3.1:8b", "meta/llama-3.1-8b-instruct"
SUGGESTS = f"did you mean {MODEL}?"


@pytest.fixture
def served(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is paid for serves the model that the name means; there is no Ollama."""
    path = tmp_path / "intermodal.toml"
    path.write_text(priced("cloud", "http://127.0.0.1:9/v1", 1.0, model=MODEL))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))


RUNS: dict[str, Callable[[Any], Any]] = {
    "plan": lambda client: client.plan("Hi", model=TAG),
    "ask": lambda client: client.ask("Hi", model=TAG),
    "models": lambda client: client.models(TAG),
    "find": lambda client: client.find("a dog", ["a.png"], model=TAG),
}


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("verb", RUNS)
def test_a_name_of_ollamas_library_is_suggested_its_model_where_it_would_run(verb: str) -> None:
    with intermodal.Client() as client, pytest.raises(intermodal.UnknownModel) as caught:
        RUNS[verb](client)
    assert SUGGESTS in caught.value.todo


CALLS = {
    "probe": ("probe", TAG),
    "bench": ("bench", TAG),
    "find": ("find", "a dog", "a.png", "--model", TAG),
    "explain": ("explain", "Hi", "--model", TAG),
    "eval": ("eval", "questions.jsonl", "--model", TAG),
    "rerank": ("rerank", "a dog", "words.txt", "--model", TAG),
}


@pytest.mark.parametrize("verb", CALLS)
def test_the_model_is_suggested_whoever_serves_it(
    cli: Cli, verb: str, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is suggested before the user consented to a host that has it, and before any file is opened."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "questions.jsonl").write_text('{"id": "1", "prompt": "Hi", "expected": "Ho", "compare": "exact"}\n')
    (tmp_path / "words.txt").write_text("A dog.")
    done = cli(*CALLS[verb])
    assert done.code == 2 and SUGGESTS in done.err


@pytest.mark.parametrize("verb", ["pull", "up"])
def test_names_of_weights_are_suggested_where_weights_are_named(cli: Cli, verb: str, own_weights: Path) -> None:
    assert "did you mean qwen3-4b?" in cli(verb, "qwen3:4b").err
    assert "did you mean llama-3.2-3b-instruct?" in cli(verb, "llama3.2:3b-instruct-q4_K_M").err


@pytest.mark.usefixtures("served")
def test_estimate_reads_the_ollama_name_of_a_model() -> None:
    with intermodal.Client() as client:
        made = client.estimate("Hi", model=TAG)
    assert (made.model, made.reading) == (MODEL, f"{TAG}: read as Ollama's name for {MODEL}")


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize(
    ("path", "field"),
    [("/v1/chat/completions", "messages"), ("/v1/messages", "messages"), ("/api/chat", "messages"),
     ("/v1/responses", "input"), ("/v1/explain", "messages")],
)  # fmt: skip
def test_the_gateway_answers_404_with_the_suggestion(path: str, field: str) -> None:
    with GatewayServer() as house:
        body = {"model": TAG, field: [{"role": "user", "content": "Hi"}], "max_tokens": 20}
        found = house.post(path, {name: value for name, value in body.items() if path != "/v1/responses"
                                  or name != "max_tokens"})  # fmt: skip
    assert found.status_code == 404 and SUGGESTS in found.text
