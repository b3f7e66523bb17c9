"""Names of Ollama's library: read where a model is only asked about, suggested where something would run on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import GatewayServer, priced

import intermodal

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


@pytest.mark.usefixtures("served")
def test_it_is_read_where_a_model_is_only_asked_about() -> None:
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
