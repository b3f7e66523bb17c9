"""Functions, which tools replaced: they are sent as tools, and answered in the words of the client that has none."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from tests.unit.gateway.gateway_server import BY_EXECUTOR, Before, GatewayServer, sse

from intermodal.testing import FakeHost

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WEATHER: Any = {"name": "weather", "description": "Of a town.", "parameters": {"type": "object", "properties": {}}}
TIME: Any = {"name": "time", "parameters": {"type": "object", "properties": {}}}
ASKED: Any = [{"role": "user", "content": "Is it wet in Oslo?"}]
CALL = {"name": "weather", "arguments": '{"town":"Oslo"}'}
HISTORY: Any = [
    *ASKED,
    {"role": "assistant", "content": None, "function_call": CALL},
    {"role": "function", "name": "weather", "content": "wet"},
]


@pytest.fixture
def client(house: GatewayServer, host: FakeHost) -> openai.OpenAI:
    host.calls = (("weather", {"town": "Oslo"}), ("time", {}))
    return openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0)


def test_a_function_is_called_in_the_words_of_functions(client: openai.OpenAI, host: FakeHost) -> None:
    made = client.chat.completions.create(model="cloud/strong", messages=ASKED, functions=[WEATHER, TIME])
    choice = made.choices[0]
    assert choice.finish_reason == "function_call" and choice.message.tool_calls is None
    called = choice.message.function_call
    assert called is not None and called.name == "weather" and json.loads(called.arguments) == {"town": "Oslo"}
    sent = host.attempts[-1].json
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["weather", "time"]
    assert sent["parallel_tool_calls"] is False
    assert "functions" not in sent and "function_call" not in sent


def test_a_function_is_called_in_a_stream(client: openai.OpenAI) -> None:
    name, arguments, reasons = "", "", []
    for chunk in client.chat.completions.create(
        model="cloud/strong", messages=ASKED, functions=[WEATHER, TIME], function_call="auto", stream=True
    ):
        for choice in chunk.choices:
            assert not choice.delta.tool_calls
            if choice.delta.function_call is not None:
                name += choice.delta.function_call.name or ""
                arguments += choice.delta.function_call.arguments or ""
            reasons.append(choice.finish_reason)
    assert (name, json.loads(arguments)) == ("weather", {"town": "Oslo"})
    assert reasons[-1] == "function_call" and set(reasons[:-1]) == {None}


@pytest.mark.parametrize("way", [{}, BY_EXECUTOR], ids=["as it comes", "by the executor"])
def test_a_call_and_its_result_go_back_as_those_of_a_tool(
    house: GatewayServer, host: FakeHost, way: dict[str, Any]
) -> None:
    found = house.post("/v1/chat/completions", {"model": "cloud/strong", "messages": HISTORY, **way})
    assert found.status_code == 200, found.text
    _, said, result = host.attempts[-1].json["messages"]
    (call,) = said["tool_calls"]
    assert call["function"] == CALL
    assert result == {"role": "tool", "tool_call_id": call["id"], "content": "wet"}


def test_two_results_of_one_function_answer_their_own_calls(house: GatewayServer, host: FakeHost) -> None:
    messages = [*HISTORY, *HISTORY[1:]]
    messages[-1] = {**messages[-1], "content": "dry"}
    assert house.post("/v1/chat/completions", {"model": "cloud/strong", "messages": messages}).status_code == 200
    sent = host.attempts[-1].json["messages"]
    calls = [message["tool_calls"][0]["id"] for message in sent if message.get("tool_calls")]
    assert [message["tool_call_id"] for message in sent if message["role"] == "tool"] == calls
    assert len(set(calls)) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_functions_reach_a_host_of_another_protocol(before: Before, stream: bool) -> None:
    house, vendor = before("anthropic")
    vendor.calls = (("weather", {"town": "Oslo"}),)
    tree = {"model": "vendor/opus", "messages": HISTORY, "functions": [WEATHER, TIME], "stream": stream}
    found = house.post("/v1/chat/completions", {**tree, "function_call": {"name": "weather"}})
    assert found.status_code == 200, found.text
    sent = vendor.attempts[-1].json
    assert [tool["name"] for tool in sent["tools"]] == ["weather"]
    assert sent["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    if stream:
        deltas = [choice["delta"] for event in sse(found.text).events for choice in event["choices"]]
        calls = [delta["function_call"] for delta in deltas if "function_call" in delta]
        called = {"name": calls[0]["name"], "arguments": "".join(call["arguments"] for call in calls)}
    else:
        called = found.json()["choices"][0]["message"]["function_call"]
    assert (called["name"], json.loads(called["arguments"])) == ("weather", {"town": "Oslo"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"functions": [WEATHER], "tools": [{"type": "function", "function": WEATHER}]}, "send tools alone"),
        ({"function_call": "auto"}, "there are none: send tools and tool_choice"),
        ({"functions": [], "function_call": {"name": "weather"}}, "there are none: send tools and tool_choice"),
        ({"functions": [WEATHER], "function_call": {"name": "time"}}, "'time', which is not among the tools"),
        ({"functions": [WEATHER], "function_call": "required"}, "function_call is 'required'"),
        ({"functions": {"name": "weather"}}, "functions must be an array"),
    ],
)
def test_contradictory_function_fields_are_refused(
    house: GatewayServer, host: FakeHost, fields: dict[str, Any], said: str
) -> None:
    found = house.post("/v1/chat/completions", {"model": "cloud/strong", "messages": ASKED, **fields})
    assert found.status_code == 400 and said in found.json()["error"]["message"], found.text
    assert host.attempts == []


def test_a_host_that_cannot_be_told_to_call_one_at_a_time_is_not_asked(before: Before) -> None:
    house, vendor = before("ollama")
    found = house.post("/v1/chat/completions", {"model": "vendor/opus", "messages": ASKED, "functions": [WEATHER]})
    assert found.status_code == 400 and "one at a time" in found.json()["error"]["message"], found.text
    assert vendor.attempts == []


@pytest.mark.parametrize("nothing", [{"functions": None}, {"function_call": None}])
def test_null_is_no_function(house: GatewayServer, host: FakeHost, nothing: dict[str, Any]) -> None:
    host.calls = (("weather", {}),)
    tree = {"model": "cloud/strong", "messages": ASKED, "tools": [{"type": "function", "function": WEATHER}]}
    found = house.post("/v1/chat/completions", {**tree, **nothing})
    assert found.json()["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "weather"
