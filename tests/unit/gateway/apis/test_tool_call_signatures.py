"""Tools of a host that signs its calls and refuses them unsigned, for clients of every API: none has a place for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from tests.unit.gateway.gateway_server import Before, GatewayServer, sse

from intermodal.core.content import Part, Text, ToolCall
from intermodal.core.request import Message, Request
from intermodal.events import Finished
from intermodal.gateway.state.conversations import ToolCallSignatures, conversation_digest
from intermodal.gateway.workers.shared_state import ChunkedSharedTable, SharedTable
from intermodal.protocols.gemini.thought_signatures import signature_block, signatures_by_call
from intermodal.testing import FakeVendor
from intermodal.testing.protocols import SIGNATURE, UNSIGNED

MODEL = "vendor/opus"
SCHEMA = {"type": "object", "properties": {"at": {"type": "string"}}}
CALLS = (("weather", {"at": "Bonn"}), ("clock", {"at": "Rome"}))
NAMES = [name for name, _ in CALLS]
FUNCTIONS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in NAMES]
STREAMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


class Made(NamedTuple):
    """A call as a client has it: ``own`` is all that its API says of it."""

    id: str
    name: str
    arguments: Any
    own: Any


Turns = list[dict[str, Any]]


class Chat:
    """OpenAI's chat. ``keeps``: the client sends back what it does not know."""

    def __init__(self, *, keeps: bool = False) -> None:
        self._keeps = keeps

    def ask(self, house: GatewayServer, turns: Turns, *, stream: bool) -> list[Made]:
        tree = {"model": MODEL, "messages": turns, "tools": FUNCTIONS, "stream": stream}
        found = house.post("/v1/chat/completions", tree)
        assert found.status_code == 200, found.text
        if not stream:
            calls = found.json()["choices"][0]["message"].get("tool_calls") or ()
        else:
            deltas = [choice["delta"] for event in sse(found.text).events for choice in event["choices"]]
            calls = [call for delta in deltas for call in delta.get("tool_calls") or ()]
        return [Made(c["id"], c["function"]["name"], c["function"]["arguments"], c) for c in calls]

    def back(self, calls: list[Made]) -> Turns:
        said = [{"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls]
        if self._keeps:
            said = [c.own for c in calls]
        results = [{"role": "tool", "tool_call_id": c.id, "content": "rain"} for c in calls]
        return [{"role": "assistant", "content": None, "tool_calls": said}, *results]


class Responses:
    def ask(self, house: GatewayServer, turns: Turns, *, stream: bool) -> list[Made]:
        tools = [{"type": "function", "name": name, "parameters": SCHEMA} for name in NAMES]
        found = house.post("/v1/responses", {"model": MODEL, "input": turns, "tools": tools, "stream": stream})
        assert found.status_code == 200, found.text
        response = sse(found.text).events[-1]["response"] if stream else found.json()
        calls = [item for item in response["output"] if item["type"] == "function_call"]
        return [Made(c["call_id"], c["name"], c["arguments"], c) for c in calls]

    def back(self, calls: list[Made]) -> Turns:
        return [
            *({"type": "function_call", "call_id": c.id, "name": c.name, "arguments": c.arguments} for c in calls),
            *({"type": "function_call_output", "call_id": c.id, "output": "rain"} for c in calls),
        ]


class Messages:
    def ask(self, house: GatewayServer, turns: Turns, *, stream: bool) -> list[Made]:
        tools = [{"name": name, "input_schema": SCHEMA} for name in NAMES]
        tree = {"model": MODEL, "messages": turns, "tools": tools, "stream": stream, "max_tokens": 50}
        found = house.post("/v1/messages", tree)
        assert found.status_code == 200, found.text
        if not stream:
            blocks = [block for block in found.json()["content"] if block["type"] == "tool_use"]
            return [Made(b["id"], b["name"], b["input"], b) for b in blocks]
        events = sse(found.text).events
        begun = {e["index"]: e["content_block"] for e in events if e["type"] == "content_block_start"}
        pieces = {e["index"]: e["delta"]["partial_json"] for e in events if "partial_json" in e.get("delta", ())}
        return [Made(begun[n]["id"], begun[n]["name"], json.loads(given), begun[n]) for n, given in pieces.items()]

    def back(self, calls: list[Made]) -> Turns:
        said = [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in calls]
        results = [{"type": "tool_result", "tool_use_id": c.id, "content": "rain"} for c in calls]
        return [{"role": "assistant", "content": said}, {"role": "user", "content": results}]


class Ollama:
    """``ids``: the client sends them back; Ollama's own does not know of any."""

    def __init__(self, *, ids: bool = False) -> None:
        self._ids = ids

    def ask(self, house: GatewayServer, turns: Turns, *, stream: bool) -> list[Made]:
        found = house.post("/api/chat", {"model": MODEL, "messages": turns, "tools": FUNCTIONS, "stream": stream})
        assert found.status_code == 200, found.text
        lines = [json.loads(line) for line in found.text.splitlines()]
        calls = [call for line in lines for call in line["message"].get("tool_calls") or ()]
        return [Made(c["id"], c["function"]["name"], c["function"]["arguments"], c) for c in calls]

    def back(self, calls: list[Made]) -> Turns:
        said = [
            {**({"id": c.id} if self._ids else {}), "function": {"name": c.name, "arguments": c.arguments}}
            for c in calls
        ]
        results = [{"role": "tool", "tool_name": c.name, "content": "rain"} for c in calls]
        return [{"role": "assistant", "content": "", "tool_calls": said}, *results]


Client = Chat | Responses | Messages | Ollama
CLIENTS: dict[str, Callable[[], Client]] = {
    "chat": Chat, "responses": Responses, "messages": Messages,
    "ollama": Ollama, "ollama ids": lambda: Ollama(ids=True),
}  # fmt: skip
EACH = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)


def begun(question: str = "hello there") -> Turns:
    return [{"role": "user", "content": question}]


def round_of(house: GatewayServer, vendor: FakeVendor, client: Client, turns: Turns, *, stream: bool) -> None:
    """The model calls its tools, and is told what they gave when it is asked again."""
    vendor.calls, vendor.answer = CALLS, ""
    calls = client.ask(house, turns, stream=stream)
    assert [call.name for call in calls] == NAMES
    turns += client.back(calls)
    vendor.calls, vendor.answer = (), "It rains."


def signatures(vendor: FakeVendor) -> list[str]:
    """What the vendor was sent last with each call."""
    parts = [part for content in vendor.attempts[-1].json["contents"] for part in content["parts"]]
    return [part.get("thoughtSignature", "") for part in parts if "functionCall" in part]


@EACH
@STREAMS
def test_a_call_goes_back_with_the_signature_it_came_with(
    before: Before, client: Callable[[], Client], stream: bool
) -> None:
    """Two rounds of tools, of a client that keeps no more of a call than it needs."""
    house, vendor = before("gemini")
    turns = begun()
    round_of(house, vendor, client(), turns, stream=stream)
    round_of(house, vendor, client(), turns, stream=stream)
    client().ask(house, turns, stream=stream)
    assert signatures(vendor) == [SIGNATURE, ""] * 2
    assert house.log == []


@EACH
@STREAMS
def test_a_lost_signature_is_replaced_by_a_placeholder(
    before: Before, client: Callable[[], Client], stream: bool
) -> None:
    """The gateway was started again, or another model made the call."""
    house, vendor = before("gemini")
    turns = begun()
    round_of(house, vendor, client(), turns, stream=stream)
    house.gateway.context = replace(house.gateway.context, signatures=ToolCallSignatures())
    client().ask(house, turns, stream=stream)
    assert signatures(vendor) == [UNSIGNED, ""]


@STREAMS
def test_openai_s_clients_that_keep_what_they_do_not_know_lose_none(before: Before, stream: bool) -> None:
    """In Google's own place for it."""
    house, vendor = before("gemini")
    turns, client = begun(), Chat(keeps=True)
    round_of(house, vendor, client, turns, stream=stream)
    first, second = turns[1]["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": SIGNATURE}} and "extra_content" not in second
    house.gateway.context = replace(house.gateway.context, signatures=ToolCallSignatures())
    client.ask(house, turns, stream=stream)
    assert signatures(vendor) == [SIGNATURE, ""]


@pytest.mark.parametrize("said", [None, "x", [], {"google": None}, {"google": {"thought_signature": 7}}, {"other": {}}])
def test_an_invalid_signature_is_ignored(before: Before, said: Any) -> None:
    house, vendor = before("gemini")
    turns, client = begun(), Chat(keeps=True)
    round_of(house, vendor, client, turns, stream=False)
    turns[1]["tool_calls"][0]["extra_content"] = said
    house.gateway.context = replace(house.gateway.context, signatures=ToolCallSignatures())
    client.ask(house, turns, stream=False)
    assert signatures(vendor) == [UNSIGNED, ""]


@pytest.mark.parametrize("protocol", ["anthropic", "ollama", "openai-responses"])
def test_other_hosts_are_told_nothing_of_it(before: Before, protocol: str) -> None:
    """A conversation that began at a host that signs goes on elsewhere."""
    house, vendor = before(protocol)
    turns, client = begun(), Chat(keeps=True)
    round_of(house, vendor, client, turns, stream=False)
    turns[1]["tool_calls"][0]["extra_content"] = {"google": {"thought_signature": SIGNATURE}}
    vendor.thought = ""
    client.ask(house, turns, stream=False)
    assert SIGNATURE not in vendor.attempts[-1].body.decode()


def test_a_conversation_with_other_words_has_none_of_it(before: Before) -> None:
    """Without ids it is the words that tell one from another."""
    house, vendor = before("gemini")
    client = Ollama()
    turns = begun()
    round_of(house, vendor, client, turns, stream=False)
    client.ask(house, [*begun("another beginning"), *turns[1:]], stream=False)
    assert signatures(vendor) == [UNSIGNED, ""]


ASKED = Request(messages=(Message(role="user", parts=(Text(text="hello there"),)),))
CALL = ToolCall(id="a", name="weather", arguments="{}")
AGAIN = Request(messages=(*ASKED.messages, Message(role="assistant", parts=(CALL,))))


def keep(at: ToolCallSignatures, signature: Part) -> None:
    finished = Finished(endpoint="e", parts=(signature, CALL))
    at.store_signatures(conversation_digest(ASKED, "", finished, "one"), finished, "one")


def kept(at: ToolCallSignatures, owner: str) -> dict[str, str]:
    return signatures_by_call(asyncio.run(at.restore_signatures(AGAIN, owner)).messages[-1].parts)


def test_a_key_cannot_read_signatures_of_another_key() -> None:
    known = ToolCallSignatures()
    keep(known, signature_block("one's"))
    assert kept(known, "one") == {"a": "one's"} and kept(known, "another") == {}


def test_another_worker_knows_it() -> None:
    shared = ChunkedSharedTable(SharedTable(memoryview(bytearray(64 * 1024)), 1024))
    keep(ToolCallSignatures(shared), signature_block("its"))
    assert kept(ToolCallSignatures(shared), "one") == {"a": "its"}


def test_a_call_of_another_tool_by_that_id_gets_none() -> None:
    known = ToolCallSignatures()
    keep(known, signature_block("its"))
    other = ToolCall(id="a", name="clock", arguments="{}")
    request = Request(messages=(*ASKED.messages, Message(role="assistant", parts=(other,))))
    assert signatures_by_call(asyncio.run(known.restore_signatures(request, "one")).messages[-1].parts) == {}
