"""Tools in Ollama's API, whose clients tell calls and results by names and order alone."""

from __future__ import annotations

import json
from typing import Any

import ollama
import openai
import pytest
from tests.unit.gateway.gateway_server import Before, GatewayServer, through_the_executor

from intermodal.testing import FakeHost, FakeVendor, fake_host

MODEL = "vendor/opus"
TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("weather", "clock")
]
CALLS = (("weather", {"at": "Bonn"}), ("clock", {"at": "Rome"}), ("weather", {"at": "Oslo"}))
FEW: Any = {"num_predict": 50}


def sent(attempt: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """What a host was sent: by id the arguments of each call, and each result."""
    calls, results = {}, {}
    for message in attempt.json["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else ()
        for call in message.get("tool_calls") or ():
            said = call["function"]["arguments"]
            calls[call["id"]] = said if isinstance(said, dict) else json.loads(said)
        for block in blocks:
            if block["type"] == "tool_use":
                calls[block["id"]] = block["input"]
            elif block["type"] == "tool_result":
                results[block["tool_use_id"]] = block["content"]
        if message["role"] == "tool":
            results[message["tool_call_id"]] = message["content"]
    return calls, results


def rounds(house: GatewayServer, model: str, names: bool, *, more: Any = None) -> list[Any]:
    """Two turns of an official client's loop, results of the clock first; the messages in the end."""
    turns: list[Any] = [{"role": "user", "content": "hello there"}]
    for number in range(2):
        tree = {"model": model, "messages": turns, "tools": TOOLS, "options": FEW, "stream": False, **(more or {})}
        found = house.post("/api/chat", tree)
        assert found.status_code == 200, found.text
        message = ollama.ChatResponse.model_validate(found.json()).message
        turns.append(message.model_dump(exclude_none=True))
        assert message.tool_calls is not None and len(message.tool_calls) == 3
        calls = sorted(message.tool_calls, key=lambda call: call.function.name if names else "")
        for call in calls:
            said = {"role": "tool", "content": f"{number} {call.function.arguments['at']}"}
            turns.append({**said, "tool_name": call.function.name} if names else said)
    return turns


def check(attempt: Any) -> None:
    calls, results = sent(attempt)
    assert len(calls) == 6, "a call of a later turn has an id of its own"
    assert {name: text.partition(" ")[2] for name, text in results.items()} == {
        name: given["at"] for name, given in calls.items()
    }


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "executor"])
@pytest.mark.parametrize("names", [True, False], ids=["named", "in order"])
@pytest.mark.parametrize("protocol", ["ollama", "anthropic"])
def test_a_result_goes_on_as_that_of_the_call_it_answers(
    before: Before, protocol: str, names: bool, direct: bool
) -> None:
    house, vendor = before(protocol)
    through_the_executor(house.gateway, every=not direct)
    vendor.calls, vendor.answer = CALLS, ""
    turns = rounds(house, MODEL, names, more={})
    vendor.calls, vendor.answer = (), "It rains."
    found = house.post("/api/chat", {"model": MODEL, "messages": turns, "tools": TOOLS, "stream": False})
    assert found.json()["message"]["content"] == "It rains."
    check(vendor.attempts[-1])
    assert house.taken == (3 if protocol == "ollama" and direct else 0)
    if protocol == "ollama":
        said = [message["tool_name"] for message in vendor.attempts[-1].json["messages"] if message["role"] == "tool"]
        assert said == (["clock", "weather", "weather"] if names else ["weather", "clock", "weather"]) * 2


@pytest.mark.parametrize("names", [True, False], ids=["named", "in order"])
def test_a_result_goes_to_a_host_of_openai_s_as_that_of_the_call_it_answers(
    house: GatewayServer, host: FakeHost, names: bool
) -> None:
    host.calls = CALLS
    turns = rounds(house, "cloud/strong", names)
    host.calls = ()
    assert house.post("/api/chat", {"model": "cloud/strong", "messages": turns, "stream": False}).status_code == 200
    check(host.attempts[-1])


def test_ids_that_a_client_sends_stay(before: Before) -> None:
    house, vendor = before("anthropic")
    calls = [{"id": f"mine_{name}", "function": {"name": name, "arguments": {}}} for name in ("weather", "clock")]
    turns = [
        {"role": "user", "content": "hello there"}, {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "content": "rain", "tool_name": "weather"},
        {"role": "tool", "content": "noon", "tool_call_id": "mine_clock", "tool_name": "weather"},
    ]  # fmt: skip
    asked = {"model": MODEL, "messages": turns, "tools": TOOLS, "stream": False}
    assert house.post("/api/chat", asked).status_code == 200
    assert sent(vendor.attempts[-1])[1] == {"mine_weather": "rain", "mine_clock": "noon"}


def test_ids_of_results_alone_are_none(before: Before) -> None:
    """LiteLLM leaves out those of calls and sends those of results; an id of a call that says its own stays."""
    house, vendor = before("anthropic")
    call = {"function": {"name": "weather", "arguments": {}}}
    results = [{"role": "tool", "content": said, "tool_call_id": f"its_{said}"} for said in ("rain", "sun")]
    turns = [
        {"role": "user", "content": "hello there"}, {"role": "assistant", "content": "", "tool_calls": [call, call]},
        *results, {"role": "assistant", "content": "", "tool_calls": [{**call, "id": "mine"}]},
        {"role": "tool", "content": "noon", "tool_call_id": "nobodys"},
    ]  # fmt: skip
    asked = {"model": MODEL, "messages": turns, "tools": TOOLS, "stream": False}
    assert house.post("/api/chat", asked).status_code == 200
    assert sent(vendor.attempts[-1])[1] == {"call_0": "rain", "call_1": "sun", "nobodys": "noon"}


def test_a_result_is_never_that_of_an_earlier_turn(before: Before) -> None:
    """A call that nobody answered stays without an answer."""
    house, vendor = before("anthropic")
    call = {"function": {"name": "weather", "arguments": {}}}
    turns = [
        {"role": "user", "content": "hello there"}, {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "content": "rain"}, {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "sun"},
    ]  # fmt: skip
    asked = {"model": MODEL, "messages": turns, "tools": TOOLS, "stream": False}
    assert house.post("/api/chat", asked).status_code == 200
    assert sent(vendor.attempts[-1])[1] == {"call_0": "rain", "call_2": "sun"}


def ids(house: GatewayServer, kind: str) -> list[str]:
    """Ids of the calls of one answer, as this kind of client gets them."""
    hello: Any = [{"role": "user", "content": "hello there"}]
    if kind == "openai":
        with openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as client:
            made = client.chat.completions.create(model=MODEL, messages=hello, tools=TOOLS, max_tokens=50)
        return [call.id for call in made.choices[0].message.tool_calls or ()]
    if kind == "anthropic":
        tools = [{"name": "weather", "input_schema": {"type": "object"}}]
        asked = {"model": MODEL, "messages": hello, "max_tokens": 50, "tools": tools}
        return [block["id"] for block in house.post("/v1/messages", asked).json()["content"] if "id" in block]
    asked = {"model": MODEL, "messages": hello, "tools": TOOLS, "stream": kind == "lines"}
    found = house.post("/api/chat", asked)
    lines = map(json.loads, found.text.splitlines())
    return [call["id"] for line in lines for call in line["message"].get("tool_calls") or ()]


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("kind", ["openai", "anthropic", "ollama", "lines"])
@pytest.mark.parametrize("protocol", ["ollama", "gemini"])
def test_each_call_has_an_id_that_no_other_has(before: Before, protocol: str, kind: str) -> None:
    """Hosts that give none make the same calls in every turn, and clients keep results by their ids."""
    house, vendor = before(protocol)
    assert isinstance(vendor, FakeVendor)
    vendor.calls, vendor.answer = CALLS, ""
    found = ids(house, kind) + ids(house, kind)
    assert len(found) == len(set(found)) == 6


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "executor"])
def test_a_conversation_with_tools_stays_where_it_was(
    house: GatewayServer, host: FakeHost, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its client sends back no id of a call."""
    through_the_executor(house.gateway, every=not direct)
    made_up = fake_host.message_tool_calls
    own = {"id": "its_own"}
    monkeypatch.setattr(fake_host, "message_tool_calls", lambda made: [{**call, **own} for call in made_up(made)])
    host.calls = CALLS[:1]
    turns: list[Any] = [{"role": "user", "content": "hello there"}]
    asked: dict[str, Any] = {"tools": TOOLS, "stream": False}
    made = house.post("/api/chat", {"model": "cloud/seeing", "messages": turns, **asked}).json()
    turns += [ollama.ChatResponse.model_validate(made).message.model_dump(exclude_none=True)]
    turns += [{"role": "tool", "content": "rain", "tool_name": "weather"}]
    found = house.post("/api/chat", {"model": "auto", "messages": turns, **asked})
    assert found.headers["x-intermodal-route"] == "cloud:cloud/seeing"
