"""Ollama's ``/api/generate`` and ``/api/embed``, through Ollama's own client and as bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ollama
import pytest
from tests.unit.gateway.apis.test_chat import picture
from tests.unit.gateway.apis.test_clients import WORKING
from tests.unit.gateway.gateway_server import Before, GatewayServer, config

from intermodal.testing import FakeHost, Fault


@pytest.fixture
def client(house: GatewayServer) -> Iterator[ollama.Client]:
    with ollama.Client(host=house.gateway.url) as made:
        yield made


def test_a_prompt_is_answered_whole_and_streamed(client: ollama.Client, host: FakeHost) -> None:
    whole = client.generate(model="cloud/strong", prompt="hello", system="Be short.")
    assert (whole.response, whole.done, whole.done_reason, whole.eval_count) == ("the hosted answer", True, "stop", 3)
    assert whole.total_duration and whole.created_at
    pieces = list(client.generate(model="cloud/strong", prompt="hello", system="Be short.", stream=True))
    assert "".join(piece.response for piece in pieces) == "the hosted answer"
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    sent = [attempt.json["messages"] for attempt in host.attempts]
    assert sent == [[{"role": "system", "content": "Be short."}, {"role": "user", "content": "hello"}]] * 2


def test_a_stream_is_what_is_given_unless_it_is_declined(house: GatewayServer) -> None:
    found = house.post("/api/generate", {"model": "cloud/strong", "prompt": "hello"})
    assert found.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in found.text.splitlines()]
    assert len(lines) > 2 and "message" not in lines[0] and lines[-1]["done"]
    assert found.headers["x-intermodal-route"] == "cloud:cloud/strong"


def test_settings_and_pictures_go_along(client: ollama.Client, host: FakeHost) -> None:
    client.generate(
        model="cloud/seeing", prompt="what is it?", images=[picture().partition(',')[2]],
        options={"num_predict": 7, "temperature": 0.5, "seed": 3, "stop": ["END"]},
    )  # fmt: skip
    (attempt,) = host.attempts
    assert [part["type"] for part in attempt.json["messages"][-1]["content"]].count("image_url") == 1
    assert (attempt.json["temperature"], attempt.json["seed"], attempt.json["stop"]) == (0.5, 3, ["END"])
    assert 7 in (attempt.json.get("max_tokens"), attempt.json.get("max_completion_tokens"))


def test_an_answer_by_a_schema_is_checked(client: ollama.Client, host: FakeHost) -> None:
    host.answer = '{"city": "Bonn"}'
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    assert json.loads(client.generate(model="cloud/strong", prompt="where?", format=schema).response) == {
        "city": "Bonn"
    }


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_stand_beside_the_words(before: Before, stream: bool) -> None:
    house, _ = before("ollama")
    found = house.post("/api/generate", {"model": "vendor/opus", "prompt": "hello", "stream": stream})
    told = house.post("/api/chat", {"model": "vendor/opus", "messages": [{"role": "user", "content": "hello"}],
                                    "stream": stream})  # fmt: skip
    generated = [json.loads(line) for line in found.text.splitlines()]
    chatted = [json.loads(line)["message"] for line in told.text.splitlines()]
    for key, mine in (("content", "response"), ("thinking", "thinking")):
        said = "".join(line.get(key) or "" for line in chatted)
        assert "".join(line.get(mine) or "" for line in generated) == said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"raw": True}, "raw cannot be set"),
        ({"template": "{{ .Prompt }}"}, "template cannot be set"),
        ({"context": [1, 2, 3]}, "context cannot be set"),
        ({"suffix": "}"}, "suffix cannot be set"),
        ({"prompt": ""}, "prompt says nothing"),
        ({"prompt": None}, "prompt says nothing"),
        ({"model": "no/such"}, "no/such"),
    ],
)
def test_unsupported_fields_are_refused_by_name(
    house: GatewayServer, host: FakeHost, change: dict[str, Any], said: str
) -> None:
    found = house.post("/api/generate", {"model": "cloud/strong", "prompt": "hello", **change})
    assert found.status_code in (400, 404) and said in found.json()["error"]
    assert host.attempts == []


def test_neutral_values_are_taken(house: GatewayServer) -> None:
    neutral = {"raw": False, "template": "", "context": [], "suffix": "", "system": "", "images": None, "stream": False}
    assert house.post("/api/generate", {"model": "cloud/strong", "prompt": "hello", **neutral}).status_code == 200
    without = house.post("/api/generate", {"model": "cloud/strong", "stream": False})
    assert (without.status_code, "prompt" in without.json()["error"]) == (400, True)


def test_fields_that_nobody_is_told_are_named(house: GatewayServer) -> None:
    found = house.post("/api/generate", {"model": "cloud/strong", "prompt": "hello", "keep_alive": "5m", "width": 512})
    ignored = found.headers["x-intermodal-ignored"].split(", ")
    assert {"keep_alive", "width"} <= set(ignored)


def test_a_failure_before_the_first_word_has_a_status(house: GatewayServer, host: FakeHost) -> None:
    host.fault = Fault("unavailable")
    found = house.post("/api/generate", {"model": "cloud/strong", "prompt": "hello"})
    assert found.status_code >= 500 and found.json()["error"]


def test_a_generate_request_can_be_explained_without_a_call(house: GatewayServer, host: FakeHost) -> None:
    found = house.post("/v1/explain", {"model": "cloud/strong", "prompt": "hello", "system": "Be short."})
    assert found.status_code == 200 and "cloud:cloud/strong" in found.json()["text"]
    assert host.attempts == []


# ---- vectors -------------------------------------------------------------------------------------------


@pytest.fixture
def vectors(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "vectors.toml", ("cloud", host.base_url, WORKING))))
    with GatewayServer() as made:
        yield made


def test_embed_gives_the_vectors_of_the_openai_api(vectors: GatewayServer, host: FakeHost) -> None:
    texts = ["a cat", "a kitten", "a stock"]
    with ollama.Client(host=vectors.gateway.url) as client:
        several = client.embed(model="cloud/vectors", input=texts)
        one = client.embed(model="cloud/vectors", input="a cat")
    known = vectors.post("/v1/embeddings", {"model": "cloud/vectors", "input": texts}).json()
    assert [list(row) for row in several.embeddings] == [row["embedding"] for row in known["data"]]
    assert list(one.embeddings[0]) == list(several.embeddings[0])
    assert several.prompt_eval_count == known["usage"]["prompt_tokens"] and several.total_duration


def test_a_truncation_that_is_not_done_is_named(vectors: GatewayServer) -> None:
    for truncate, named in ((None, False), (False, False), (True, True)):
        more = {} if truncate is None else {"truncate": truncate}
        found = vectors.post("/api/embed", {"model": "cloud/vectors", "input": "a", **more})
        assert found.status_code == 200
        assert ("truncate" in found.headers.get("x-intermodal-ignored", "")) == named


@pytest.mark.parametrize(
    "change", [{"input": ""}, {"input": ["a", " "]}, {"input": []}, {"input": 3}, {"dimensions": 8}]
)
def test_what_cannot_be_embedded_is_refused_before_anything_is_paid(
    vectors: GatewayServer, host: FakeHost, change: dict[str, Any]
) -> None:
    found = vectors.post("/api/embed", {"model": "cloud/vectors", "input": "a", **change})
    assert found.status_code == 400 and found.json()["error"]
    assert host.attempts == []
