"""What a model thinks aloud reaches the client in its API's form, and goes back with the next turn as it came."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config, sse, through_the_executor

from intermodal.testing import FakeHost, FakeVendor
from intermodal.testing.protocols import SIGNATURE

THOUGHT = "Blue light is scattered more."
ANSWER = "It is blue."
VENDORS = ("anthropic", "openai-responses", "ollama")
TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
ASKED = [{"role": "user", "content": "Why is the sky blue?"}]


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A gateway before a vendor that thinks."""

    @contextmanager
    def served(name: Any, **more: Any) -> Iterator[tuple[GatewayServer, FakeVendor]]:
        with FakeVendor(name, ANSWER, thought=THOUGHT, **more) as vendor:
            path = tmp_path / f"{name}.toml"
            rows = STRONG.replace("; ", "\n")
            path.write_text(
                f'[hosts.cloud]\nbase_url = "{vendor.base_url}"\nzone = "internet"\nprotocol = "{name}"\n'
                f"[[hosts.cloud.models]]\n{rows}\n"
            )
            monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
            with GatewayServer() as house:
                yield house, vendor

    return served


def whole(house: GatewayServer, client: str) -> tuple[str, str]:
    """What was thought and what was said, in an answer that is not streamed."""
    if client == "chat":
        message = house.post("/v1/chat/completions", {"model": "cloud/strong", "messages": ASKED}).json()["choices"][0]
        return message["message"]["reasoning_content"], message["message"]["content"]
    if client == "messages":
        tree = {"model": "cloud/strong", "max_tokens": 99, "messages": ASKED}
        blocks = house.post("/v1/messages", tree).json()["content"]
        assert [block["type"] for block in blocks] == ["thinking", "text"]
        return blocks[0]["thinking"], blocks[1]["text"]
    if client == "responses":
        items = house.post("/v1/responses", {"model": "cloud/strong", "input": ASKED}).json()["output"]
        assert [item["type"] for item in items] == ["reasoning", "message"]
        said = items[0].get("content") or items[0]["summary"]
        return "".join(part["text"] for part in said), items[1]["content"][0]["text"]
    tree = {"model": "cloud/strong", "stream": False, "messages": ASKED}
    message = house.post("/api/chat", tree).json()["message"]
    return message["thinking"], message["content"]


def streamed(house: GatewayServer, client: str) -> tuple[str, str]:
    more = {"model": "cloud/strong", "stream": True}
    if client == "chat":
        events = sse(house.post("/v1/chat/completions", {**more, "messages": ASKED}).text).events
        deltas = [choice["delta"] for event in events for choice in event["choices"]]
        thought = "".join(delta.get("reasoning_content") or "" for delta in deltas)
        return thought, "".join(delta.get("content") or "" for delta in deltas)
    if client == "messages":
        events = sse(house.post("/v1/messages", {**more, "max_tokens": 99, "messages": ASKED}).text).events
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        return "".join(delta.get("thinking", "") for delta in deltas), "".join(d.get("text", "") for d in deltas)
    if client == "responses":
        events = sse(house.post("/v1/responses", {**more, "input": ASKED}).text).events
        thought = [event["delta"] for event in events if event["type"].startswith("response.reasoning")
                   and event["type"].endswith(".delta")]  # fmt: skip
        return "".join(thought), "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    lines = list(map(json.loads, house.post("/api/chat", {**more, "messages": ASKED}).text.splitlines()))
    said = [line["message"] for line in lines]
    return "".join(m.get("thinking", "") for m in said), "".join(m["content"] for m in said)


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_client_is_told_what_was_thought(before: Callable[..., Any], vendor: str) -> None:
    with before(vendor) as (house, _):
        for client in ("chat", "messages", "responses", "ollama"):
            assert whole(house, client) == (THOUGHT, ANSWER), client
            assert streamed(house, client) == (THOUGHT, ANSWER), client
        assert house.log == []


def test_a_thought_goes_back_to_anthropic_with_its_signature(before: Callable[..., Any]) -> None:
    tools = [{"name": "weather", "description": "it", "input_schema": TOOL}]
    more = {"model": "cloud/strong", "max_tokens": 99, "tools": tools}
    with before("anthropic", calls=(("weather", {"city": "Basel"}),)) as (house, vendor):
        for stream in (False, True):
            found = house.post("/v1/messages", {**more, "messages": ASKED, "stream": stream})
            blocks = _blocks(sse(found.text).events) if stream else found.json()["content"]
            assert [block["type"] for block in blocks] == ["thinking", "text", "tool_use"]
            assert blocks[0] == {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}
            result = {"type": "tool_result", "tool_use_id": blocks[2]["id"], "content": "rain"}
            turns = [*ASKED, {"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
            second = house.post("/v1/messages", {**more, "messages": turns})
            assert second.status_code == 200, second.text
            assert vendor.attempts[-1].json["messages"][1]["content"][0] == blocks[0]


def _blocks(events: list[Any]) -> list[Any]:
    """As Anthropic's client puts a stream together."""
    blocks: list[Any] = []
    written = ""
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
            written = ""
        elif event["type"] == "content_block_delta":
            for name, value in event["delta"].items():
                if name == "partial_json":
                    written += value
                    blocks[-1]["input"] = written
                elif name != "type":
                    blocks[-1][name] = blocks[-1].get(name, "") + value
        elif event["type"] == "content_block_stop" and blocks[-1]["type"] == "tool_use":
            blocks[-1]["input"] = json.loads(written)
    return blocks


def test_what_openai_reasoned_goes_back_as_it_came(before: Callable[..., Any]) -> None:
    tools = [{"type": "function", "name": "weather", "description": "it", "parameters": TOOL}]
    more = {"model": "cloud/strong", "tools": tools, "store": False}
    with before("openai-responses", calls=(("weather", {"city": "Basel"}),)) as (house, vendor):
        items = house.post("/v1/responses", {**more, "input": ASKED}).json()["output"]
        assert [item["type"] for item in items] == ["reasoning", "message", "function_call"]
        result = {"type": "function_call_output", "call_id": items[2]["call_id"], "output": "rain"}
        second = house.post("/v1/responses", {**more, "input": [*ASKED, *items, result]})
        assert second.status_code == 200, second.text
        (back,) = [item for item in vendor.attempts[-1].json["input"] if item.get("type") == "reasoning"]
        assert back["encrypted_content"] == items[0]["encrypted_content"]


@pytest.mark.parametrize("is_direct", [True, False], ids=["direct", "executor"])
def test_a_client_without_a_limit_leaves_a_model_room_to_think(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_direct: bool
) -> None:
    """Else a model that thinks may end without a word. A limit that the client states is kept as it is."""
    rows = "\n".join(STRONG.replace("cloud/strong", name) for name in ("openai/o3", "openai/gpt-4.1"))
    with FakeHost(answer=ANSWER) as host:
        path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, rows), more="[serve]\nmax_tokens = 1000")
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer(before=None if is_direct else through_the_executor) as house:
            limits = []
            for model, more in (("openai/o3", {}), ("openai/o3", {"max_tokens": 70}), ("openai/gpt-4.1", {})):
                assert house.chat(model=f"cloud:{model}", **more).status_code == 200
                limits.append(host.attempts[-1].json["max_tokens"])
            assert house.taken == (3 if is_direct else 0)
    assert limits == [1000 + 8192, 70, 1000]  # o3 thinks at medium effort, for 8,192 tokens at most
