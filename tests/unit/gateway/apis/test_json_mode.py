"""JSON mode, in the words of each client, before hosts that are held to it and hosts that have no words for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import VENDOR, GatewayServer

from intermodal.testing import FakeVendor

MODEL = "vendor/opus"
FOUND = {"name": "Bo", "meta": {"age": 7}}
HELLO: Any = [{"role": "user", "content": "hello there"}]
OPEN: Any = {"type": "object", "properties": {"name": {"type": "string"}, "meta": {"type": "object"}}}
CLOSABLE: Any = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "meta": {"type": "object", "properties": {"age": {"type": "integer"}}}},
}
Held = Callable[[Any], tuple[GatewayServer, FakeVendor]]


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    """A gateway before a vendor that can be held to schemas."""
    with ExitStack() as stack:

        def served(protocol: Any) -> tuple[GatewayServer, FakeVendor]:
            vendor = stack.enter_context(FakeVendor(protocol, json.dumps(FOUND), key="secret"))
            path = tmp_path / "intermodal.toml"
            row = VENDOR.format(url=vendor.base_url, protocol=protocol)
            path.write_text(row.replace('zone = "internet"', 'zone = "internet"\nforced_json = true'))
            monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
            monkeypatch.setenv("VENDOR_KEY", "secret")
            return stack.enter_context(GatewayServer()), vendor

        yield served


def asked(house: GatewayServer, kind: str, schema: Any = None) -> Any:
    """What an answer holds; ``schema`` None: in JSON mode."""
    if kind == "chat":
        form = {"type": "json_object"} if schema is None else {"type": "json_schema", "json_schema": {"schema": schema}}
        found = house.post(
            "/v1/chat/completions", {"model": MODEL, "messages": HELLO, "max_tokens": 50, "response_format": form}
        )
        said = found.json()["choices"][0]["message"]["content"]
    elif kind == "responses":
        form = {"type": "json_object"} if schema is None else {"type": "json_schema", "name": "x", "schema": schema}
        text = {"format": form}
        found = house.post("/v1/responses", {"model": MODEL, "input": "hello there", "text": text, "store": False})
        said = found.json()["output"][-1]["content"][0]["text"]
    else:
        form = "json" if schema is None else schema
        found = house.post("/api/chat", {"model": MODEL, "messages": HELLO, "format": form, "stream": False})
        said = found.json()["message"]["content"]
    assert found.status_code == 200, found.text
    return json.loads(said)


@pytest.mark.parametrize("schema", [None, OPEN], ids=["json mode", "open inside"])
@pytest.mark.parametrize("kind", ["chat", "responses", "ollama"])
def test_an_open_object_is_not_closed_but_asked_for_in_words(held: Held, kind: str, schema: Any) -> None:
    house, vendor = held("anthropic")
    vendor.answer = f"Here you are:\n```json\n{json.dumps(FOUND)}\n```"
    assert asked(house, kind, schema) == FOUND
    (sent,) = vendor.attempts
    assert "output_config" not in sent.json
    assert json.dumps(schema or {"type": "object"}, separators=(",", ":")) in sent.text


def test_a_schema_whose_objects_can_be_closed_is_forced(held: Held) -> None:
    house, vendor = held("anthropic")
    assert asked(house, "chat", CLOSABLE) == FOUND
    schema = vendor.attempts[-1].json["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is schema["properties"]["meta"]["additionalProperties"] is False


def test_an_answer_in_words_that_is_no_object_is_asked_for_again(held: Held) -> None:
    house, vendor = held("anthropic")
    answers = iter(["[1]", json.dumps(FOUND)])
    vendor.answer = lambda attempt: next(answers)
    assert asked(house, "chat") == FOUND
    assert len(vendor.attempts) == 2


def test_a_plan_says_whether_a_schema_is_forced(held: Held) -> None:
    house, _ = held("anthropic")
    for schema, how in ((OPEN, "prompted"), (CLOSABLE, "told")):
        form = {"type": "json_schema", "json_schema": {"schema": schema}}
        told = house.post("/v1/explain", {"model": MODEL, "messages": HELLO, "response_format": form})
        assert f'"json": "{how}"' in json.dumps(told.json()) or f'["json", "{how}"]' in json.dumps(told.json())


def test_json_mode_is_json_mode_at_a_host_of_openai_s(held: Held) -> None:
    """Which wants the word to be there."""
    house, vendor = held("openai-responses")
    assert asked(house, "ollama") == FOUND
    sent = vendor.attempts[-1]
    assert sent.json["text"]["format"] == {"type": "json_object"}
    assert "JSON" in sent.text


@pytest.mark.parametrize("words", ["hello there", "hello there, in json"])
def test_json_mode_goes_on_to_an_openai_host(house: GatewayServer, host: Any, words: str) -> None:
    host.answer = json.dumps(FOUND)
    found = house.chat(words, response_format={"type": "json_object"})
    assert json.loads(found.json()["choices"][0]["message"]["content"]) == FOUND
    sent = host.attempts[-1]
    assert sent.json["response_format"] == {"type": "json_object"}
    assert sent.text.startswith(words) and ("JSON" in sent.text) is ("json" not in words)


@pytest.mark.parametrize("protocol", ["anthropic", "openai-responses", "gemini", "ollama"])
@pytest.mark.parametrize("note", [{"type": 3}, {"type": None, "properties": [1]}, {"properties": 7, "$ref": 8}])
def test_what_stands_under_a_word_that_no_schema_knows_may_be_anything(held: Held, protocol: str, note: Any) -> None:
    house, _ = held(protocol)
    for kind in ("chat", "responses", "ollama"):
        assert asked(house, kind, {**CLOSABLE, "x-note": note}) == FOUND
