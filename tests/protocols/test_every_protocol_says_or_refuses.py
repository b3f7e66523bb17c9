"""Whatever a call asks for, a wire says it or refuses it before anything is sent. Nothing is left out in silence."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.protocols.calls import WIRES, Wire

from intermodal.catalog.types import Host
from intermodal.core.content import Reasoning, Refusal, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, Tool
from intermodal.protocols.calls import ChatCall, NotExpressible, WireMessage, WireText

HOST = Host(id="h", forced_json=True, quirks=("reasoning_back",))
ASKED = ChatCall(model="m", messages=(WireMessage(role="user", parts=(WireText(text="?"),)),))
TOOLS = (Tool(name="f", schema={"type": "object", "properties": {}}),)
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
# What is asked for, and who refuses it. Of all others the decoded request has it.
WISHES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "length": ({"sampling": Sampling(max_tokens=9)}, set()),
    "temperature": ({"sampling": Sampling(temperature=0.5)}, set()),
    "top_p": ({"sampling": Sampling(top_p=0.5)}, set()),
    "stop": ({"sampling": Sampling(stop=("END",))}, {"openai_responses"}),
    "seed": ({"sampling": Sampling(seed=7)}, {"anthropic", "openai_responses"}),
    "probabilities": ({"candidates": 3}, {"anthropic"}),
    "schema": ({"output": JsonOutput(schema=SCHEMA)}, set()),
    "tools": ({"tools": TOOLS}, set()),
    "no tool": ({"tools": TOOLS, "tool_choice": "none"}, set()),
    "a tool must be called": ({"tools": TOOLS, "tool_choice": "required"}, {"ollama"}),
    "one tool at a time": ({"tools": TOOLS, "parallel_tools": False}, {"gemini", "ollama"}),
    "no stream": ({"stream": False}, set()),
}


@pytest.mark.parametrize("wish", WISHES)
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_a_wish_is_said_or_refused(wire: Wire, wish: str) -> None:
    fields, refusing = WISHES[wish]
    call = msgspec.structs.replace(ASKED, **fields)
    if wire.name in refusing:
        with pytest.raises(NotExpressible):
            wire.module.encode_request(call, HOST)
        return
    encoded = wire.module.encode_request(call, HOST)
    found = wire.decode(b"".join(encoded.segments), encoded)
    if fields.get("tool_choice") == "none" and not found.tools:
        return  # a model that is told of no tool calls none
    for name, value in fields.items():
        got = getattr(found, name)
        if isinstance(value, JsonOutput):
            got, value = got.schema, value.schema  # only some wires have a name for it
        if isinstance(value, Sampling) and value.max_tokens is None:
            got = msgspec.structs.replace(got, max_tokens=None)  # some wires must say a length, and say a usual one
        assert got == value


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
def test_a_turn_with_thoughts_refusal_and_calls_goes_back_with_all_of_its_words(wire: Wire) -> None:
    said = (
        Reasoning(text="I think.", signature="c2ln"), WireText(text="Well."), Refusal(text="Not that."),
        ToolCall(id="c1", name="f", arguments='{"n":1}'), ToolCall(id="c2", name="f", arguments='{"n":2}'),
    )  # fmt: skip
    results = (ToolResult(id="c1", text="one"), ToolResult(id="c2", text="two"))
    call = msgspec.structs.replace(
        ASKED,
        tools=TOOLS,
        messages=(
            *ASKED.messages,
            WireMessage(role="assistant", parts=said),
            WireMessage(role="tool", parts=results),
        ),
    )
    encoded = wire.module.encode_request(call, HOST)
    body = b"".join(encoded.segments).decode()
    for words in ("Well.", "Not that.", "one", "two"):
        assert words in body
    if wire.name != "openai_responses":  # it takes thoughts back encrypted alone
        assert "I think." in body
    if wire.name in ("anthropic", "gemini"):
        assert "c2ln" in body
    found = wire.decode(body.encode(), encoded)
    calls = [part for message in found.messages for part in message.parts if isinstance(part, ToolCall)]
    assert [(part.name, part.arguments) for part in calls] == [("f", '{"n":1}'), ("f", '{"n":2}')]
    answers = [part for message in found.messages for part in message.parts if isinstance(part, ToolResult)]
    assert [part.text for part in answers] == ["one", "two"]
    assert [part.id for part in answers] == [part.id for part in calls]
