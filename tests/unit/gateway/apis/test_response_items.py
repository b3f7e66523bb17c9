"""Items of answers that clients refer to by their ids, as OpenAI's responses allow."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.unit.gateway.gateway_server import GatewayServer, sse

from intermodal.gateway.state.conversations import ResponseItems
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.testing import FakeHost


def asked(house: GatewayServer, *items: Any, **more: Any) -> httpx.Response:
    return house.post("/v1/responses", {"model": "cloud/strong", "input": [*items, said("and now?")], **more})


def said(words: str) -> dict[str, Any]:
    return {"role": "user", "content": words}


def reference(item: dict[str, Any]) -> dict[str, str]:
    return {"type": "item_reference", "id": item["id"]}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_may_be_referred_to_in_the_next_turn(house: GatewayServer, host: FakeHost, stream: bool) -> None:
    found = asked(house, stream=stream)
    [item] = (sse(found.text).events[-1]["response"] if stream else found.json())["output"]
    assert asked(house, said("hello"), reference(item)).status_code == 200
    assert [(each["role"], each["content"]) for each in host.attempts[1].json["messages"]] == [
        ("user", "hello"), ("assistant", "the hosted answer"), ("user", "and now?"),
    ]  # fmt: skip


def test_a_call_of_a_tool_may_be_referred_to(house: GatewayServer, host: FakeHost) -> None:
    host.answer, host.calls = "", (("weather", {"place": "Bonn"}),)
    tools = [{"type": "function", "name": "weather", "parameters": {"type": "object"}}]
    [call] = asked(house, tools=tools).json()["output"]
    host.calls = ()
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
    assert asked(house, said("hello"), reference(call), result, tools=tools).status_code == 200
    [made] = host.attempts[1].json["messages"][1]["tool_calls"]
    assert made["function"] == {"name": "weather", "arguments": '{"place": "Bonn"}'}


def test_what_is_not_stored_cannot_be_referred_to(house: GatewayServer, host: FakeHost) -> None:
    [item] = asked(house, store=False).json()["output"]
    found = asked(house, reference(item))
    assert found.status_code == 404
    assert found.json()["error"]["code"] == "item_not_found" and item["id"] in found.json()["error"]["message"]
    assert len(host.attempts) == 1


def test_a_key_cannot_read_items_of_another_key() -> None:
    items = ResponseItems()
    items.keeper("one")({"id": "a", "text": "secret"})
    assert items.finder("one")("a") == {"id": "a", "text": "secret"}
    with pytest.raises(RequestRefused, match="there is no item 'a'"):
        items.finder("another")("a")


def test_the_latest_are_kept_so_many_and_so_many_bytes() -> None:
    few = ResponseItems(most=2)
    for name in ("a", "b", "c"):
        few.keeper("one")({"id": name})
    with pytest.raises(RequestRefused):
        few.finder("one")("a")
    assert few.finder("one")("c") == {"id": "c"}
    small = ResponseItems(room=100)
    for name in ("a", "b", "b"):  # what is said again takes no room twice
        small.keeper("one")({"id": name, "text": "x" * 25})
    assert small.finder("one")("a") and small.finder("one")("b")
    small.keeper("one")({"id": "c", "text": "x" * 200})
    for name in ("a", "b", "c"):
        with pytest.raises(RequestRefused):
            small.finder("one")(name)
