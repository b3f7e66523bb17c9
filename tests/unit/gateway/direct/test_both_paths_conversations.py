"""A conversation whose turns go by the direct path and by the executor, in any order, stays where it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import BY_EXECUTOR, SEEING, STRONG, GatewayServer, config, sse

from intermodal.testing import FakeHost, FakeVendor

pytestmark = pytest.mark.usefixtures("either_way")

WAYS: dict[str, dict[str, Any]] = {"direct": {}, "executor": BY_EXECUTOR}


def said(house: GatewayServer, model: str, turns: list[dict[str, Any]], way: str, *, stream: bool) -> str:
    """The answer. It went by this way, to the host's dearer model."""
    before = house.taken
    tree = {"model": model, "messages": turns, "stream": stream, "max_tokens": 50, **WAYS[way]}
    found = house.post("/v1/chat/completions", tree)
    assert found.status_code == 200, found.text
    assert found.headers["x-intermodal-route"] == "cloud:cloud/seeing"
    assert house.taken - before == (way == "direct")
    if not stream:
        return str(found.json()["choices"][0]["message"]["content"])
    chunks = [event["choices"][0]["delta"].get("content") for event in sse(found.text).events if event["choices"]]
    return "".join(chunk or "" for chunk in chunks)


@pytest.mark.parametrize("seed", range(6))
def test_a_conversation_keeps_its_model_on_either_path(house: GatewayServer, host: FakeHost, seed: int) -> None:
    chance = random.Random(seed)
    turns: list[dict[str, Any]] = [{"role": "user", "content": f"the beginning of number {seed}"}]
    model = "cloud/seeing"  # named once; "auto" would go to the cheaper one
    for number in range(5):
        way, host.answer = chance.choice(list(WAYS)), f"answer {number} of {seed}"
        text = said(house, model, turns, way, stream=chance.random() < 0.5)
        assert text == host.answer
        turns += [{"role": "assistant", "content": text}, {"role": "user", "content": f"and {number}?"}]
        model = "auto"
    alone = [{"role": "user", "content": "another beginning"}, *turns[1:]]
    found = house.post("/v1/chat/completions", {"model": "auto", "messages": alone})
    assert found.headers["x-intermodal-route"] == "cloud:cloud/strong"


TWINS = """
id = "cloud/castor"; input = ["text"]; tier = "large"; input_mtok = 1.0; output_mtok = 2.0
id = "cloud/pollux"; input = ["text"]; tier = "large"; input_mtok = 1.0; output_mtok = 2.0
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_model_that_is_named_answers_though_one_like_it_answered_before(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, TWINS))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    turns: list[dict[str, Any]] = [{"role": "user", "content": "the beginning"}]
    with GatewayServer() as house:
        for model in ("castor", "pollux", "castor", "castor", "pollux"):
            tree = {"model": f"cloud/{model}", "messages": turns, "max_tokens": 50, **WAYS[way]}
            found = house.post("/v1/chat/completions", tree)
            assert found.headers["x-intermodal-route"] == f"cloud:cloud/{model}", found.text
            assert host.attempts[-1].model == f"cloud/{model}"
            turns += [{"role": "assistant", "content": host.answer}, {"role": "user", "content": "and then?"}]


@pytest.fixture
def thinking(protocol: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    """A gateway before a vendor that thinks and has two models."""
    with FakeVendor(protocol, "It is blue.", thought="Blue light is scattered more.") as vendor:
        rows = "".join(f"[[hosts.cloud.models]]\n{row}\n" for row in (STRONG, SEEING)).replace("; ", "\n")
        path = tmp_path / "intermodal.toml"
        path.write_text(
            f'[hosts.cloud]\nbase_url = "{vendor.base_url}"\nzone = "internet"\nprotocol = "{protocol}"\n{rows}'
        )
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            yield house


@pytest.mark.parametrize("back", [True, False], ids=["with thoughts", "without"])
@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("protocol", ["anthropic", "openai-responses"])
def test_a_conversation_keeps_its_model_with_and_without_reasoning(
    thinking: GatewayServer, protocol: str, first: str, second: str, back: bool
) -> None:
    path, asks, says = "/v1/messages", "messages", "content"
    asked: dict[str, Any] = {"max_tokens": 50}
    if protocol == "openai-responses":
        path, asks, says, asked = "/v1/responses", "input", "output", {}
    turns: list[Any] = [{"role": "user", "content": "Why is the sky blue?"}]
    made = thinking.post(path, {"model": "cloud/seeing", asks: turns, **asked, **WAYS[first]}).json()[says]
    said = made if back else made[1:]
    assert len(made) == 2
    turns += [{"role": "assistant", "content": said}] if says == "content" else said
    turns += [{"role": "user", "content": "And at night?"}]
    found = thinking.post(path, {"model": "auto", asks: turns, **asked, **WAYS[second]})
    assert found.headers["x-intermodal-route"] == "cloud:cloud/seeing"
    assert thinking.taken == (first == "direct") + (second == "direct")
