"""OpenAI's responses, as its clients read them beside the words: what was asked, items that are cut, summaries."""

from __future__ import annotations

import base64
from typing import Any

import openai
import pytest
from tests.unit.gateway.gateway_server import Before, GatewayServer, sse, through_the_executor

from intermodal.testing import FakeHost
from intermodal.testing.images import png

pytestmark = pytest.mark.usefixtures("either_way")

PATH = "/v1/responses"
MODEL = "vendor/opus"
WAYS = pytest.mark.parametrize("direct", [True, False], ids=["direct", "executor"])
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
TOOL = {
    "type": "function", "name": "weather", "strict": None, "description": "What it is like outside.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}  # fmt: skip
ASKED: dict[str, Any] = {
    "instructions": "Be brief.", "metadata": {"of": "a test"}, "max_output_tokens": 50, "temperature": 0.25,
    "top_p": 0.5, "tools": [TOOL], "tool_choice": {"type": "function", "name": "weather"}, "parallel_tool_calls": False,
}  # fmt: skip
PICTURE = "data:image/png;base64," + base64.b64encode(png("a fake")).decode()
UNASKED: dict[str, Any] = {
    "instructions": None, "metadata": {}, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True,
}  # fmt: skip


def responses(found: Any) -> list[Any]:
    """Each time that the response is told."""
    assert found.status_code == 200, found.text
    if not found.headers["content-type"].startswith("text/event-stream"):
        return [found.json()]
    return [event["response"] for event in sse(found.text).events if "response" in event]


@WAYS
@STREAMS
@pytest.mark.parametrize("protocol", ["openai-responses", "anthropic"])
def test_a_response_says_again_what_was_asked(before: Before, protocol: str, stream: bool, direct: bool) -> None:
    """As the client asked it, and not as the host was asked, which has the instructions among the messages."""
    house, vendor = before(protocol)
    through_the_executor(house.gateway, every=not direct)
    if protocol == "anthropic":
        vendor.calls, vendor.answer = (("weather", {"at": "Bonn"}),), ""
    asked = {"model": MODEL, "input": "hello there", "stream": stream}
    told = responses(house.post(PATH, {**asked, **ASKED}))
    assert len(told) == (3 if stream else 1)
    for response in told:
        assert {name: response[name] for name in ASKED} == ASKED
    for response in responses(house.post(PATH, {**asked, "metadata": None, "tools": None, "instructions": None})):
        assert {name: response[name] for name in UNASKED} == UNASKED
        assert "max_output_tokens" in response
    assert house.taken == (2 if protocol == "openai-responses" and direct else 0)


@WAYS
@STREAMS
@pytest.mark.parametrize("protocol", ["openai-responses", "anthropic"])
def test_a_message_that_was_cut_is_not_said_to_be_whole(
    before: Before, protocol: str, stream: bool, direct: bool
) -> None:
    house, vendor = before(protocol)
    through_the_executor(house.gateway, every=not direct)
    vendor.answer = "Four, and no more. " * 20
    asked = {"model": MODEL, "input": "hello there", "max_output_tokens": 16, "stream": stream}
    found = house.post(PATH, asked)
    last = responses(found)[-1]
    assert last["status"] == "incomplete" and last["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["status"] for item in last["output"]] == ["incomplete"]
    if stream:
        done = [event["item"] for event in sse(found.text).events if event["type"] == "response.output_item.done"]
        assert [item["status"] for item in done] == ["incomplete"]


@WAYS
def test_a_summary_of_what_was_thought_is_streamed_as_one(before: Before, direct: bool) -> None:
    house, vendor = before("openai-responses")
    through_the_executor(house.gateway, every=not direct)
    vendor.thought = "two and two"
    events = sse(house.post(PATH, {"model": MODEL, "input": "hello there", "stream": True}).text).events
    kinds = [event["type"].removeprefix("response.reasoning_") for event in events if "reasoning_" in event["type"]]
    assert list(dict.fromkeys(kinds)) == [
        "summary_part.added",
        "summary_text.delta",
        "summary_text.done",
        "summary_part.done",
    ]
    said = "".join(event["delta"] for event in events if event["type"] == "response.reasoning_summary_text.delta")
    [item] = [item for item in events[-1]["response"]["output"] if item["type"] == "reasoning"]
    assert said == "two and two" and [part["text"] for part in item["summary"]] == [said]
    assert {event["item_id"] for event in events if "reasoning_" in event["type"]} == {item["id"]}


def test_what_is_thought_aloud_is_no_summary(before: Before) -> None:
    house, vendor = before("anthropic")
    vendor.thought = "two and two"
    events = sse(house.post(PATH, {"model": MODEL, "input": "hello there", "stream": True}).text).events
    assert "response.reasoning_text.delta" in {event["type"] for event in events}
    assert not [event for event in events if "summary" in event["type"]]


@WAYS
@pytest.mark.parametrize("called", [[], ["call_8"]])
def test_a_result_of_a_call_that_nobody_made_is_refused(
    house: GatewayServer, host: FakeHost, direct: bool, called: list[str]
) -> None:
    through_the_executor(house.gateway, every=not direct)
    calls = [{"type": "function_call", "call_id": name, "name": "weather", "arguments": "{}"} for name in called]
    result = {"type": "function_call_output", "call_id": "call_9", "output": "rain"}
    turns = [{"role": "user", "content": "hello there"}, *calls, result]
    for stream in (False, True):
        found = house.post(PATH, {"model": "cloud/strong", "input": turns, "stream": stream})
        assert found.status_code == 400
        said = "No tool call found for function call output with call_id call_9"
        assert found.json()["error"]["message"].startswith(said)
    assert host.attempts == []


@WAYS
def test_an_item_is_named_by_its_id_alone(before: Before, direct: bool) -> None:
    """What kind of item it is may be left out; and a call that is named so has its result."""
    house, vendor = before("openai-responses")
    through_the_executor(house.gateway, every=not direct)
    vendor.calls, vendor.answer = (("weather", {"at": "Bonn"}),), ""
    with openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as client:
        tools: Any = [TOOL]
        made = client.responses.create(model=MODEL, input="hello there", tools=tools)
        [call] = [item for item in made.output if item.type == "function_call"]
        vendor.calls, vendor.answer = (), "It rains."
        turns: Any = [
            {"role": "user", "content": "hello there"}, {"id": call.id},
            {"type": "function_call_output", "call_id": call.call_id, "output": "rain"},
        ]  # fmt: skip
        assert client.responses.create(model=MODEL, input=turns, tools=tools).output_text == "It rains."
        sent = vendor.attempts[-1].json["input"]
        assert [item["call_id"] for item in sent if "call_id" in item] == [call.call_id] * 2
        with pytest.raises(openai.NotFoundError):
            client.responses.create(model=MODEL, input=[{"id": "msg_gone"}])  # type: ignore[list-item,misc]


@WAYS
@pytest.mark.parametrize("detail", [{"type": "text"}, ["low"], 3])
def test_a_detail_that_is_no_word_is_refused(before: Before, direct: bool, detail: object) -> None:
    house, _ = before("openai-responses")
    through_the_executor(house.gateway, every=not direct)
    picture = {"type": "input_image", "image_url": PICTURE, "detail": detail}
    parts = [{"type": "input_text", "text": "What is it?"}, picture]
    found = house.post(PATH, {"model": MODEL, "input": [{"role": "user", "content": parts}]})
    assert found.status_code == 400, found.text
    assert "detail" in found.json()["error"]["message"]
