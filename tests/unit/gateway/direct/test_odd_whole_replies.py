"""Whole replies that break their own API reach the client as a run would write them, by the direct path, too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply, refusal
from tests.unit.gateway.gateway_server import BY_EXECUTOR, GatewayServer, priced

LEFT_OUT = object()
HELLO = [{"role": "user", "content": "hello"}]


def with_fields(tree: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in {**tree, **fields}.items() if value is not LEFT_OUT}


# ---- OpenAI's chat ---------------------------------------------------------------------------------

FUNCTION = {"name": "f", "arguments": "{}"}
CALL = {"id": "c1", "type": "function", "function": FUNCTION}
SAID = {"role": "assistant", "content": "Paris"}


def chat(message: Mapping[str, Any]) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
    used = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    return {"id": "w", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": used}


def calling(**fields: Any) -> dict[str, Any]:
    return chat({"role": "assistant", "content": None, "tool_calls": [with_fields(CALL, **fields)]})


CHATS = {
    **{f"arguments are {value}": calling(function={**FUNCTION, "arguments": value})
       for value in ({}, {"a": 1}, [], None, 0, False, "")},
    "no arguments": calling(function=with_fields(FUNCTION, arguments=LEFT_OUT)),
    "no name": calling(function=with_fields(FUNCTION, name=LEFT_OUT)),
    "the name is null": calling(function={**FUNCTION, "name": None}),
    "no function": calling(function=LEFT_OUT),
    "the function is null": calling(function=None),
    "no type": calling(type=LEFT_OUT),
    "the type is null": calling(type=None),
    "no id": calling(id=LEFT_OUT),
    "the id is null": calling(id=None),
    "the refusal is a list": chat({**SAID, "refusal": []}),
    "the content is a list": chat({**SAID, "content": []}),
}  # fmt: skip

# ---- Anthropic's messages --------------------------------------------------------------------------

USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
TEXT = {"type": "text", "text": "Paris"}


def message(*blocks: Mapping[str, Any]) -> dict[str, Any]:
    reason = "tool_use" if any(block.get("type") == "tool_use" for block in blocks) else "end_turn"
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": list(blocks),
        "stop_reason": reason, "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 5},
    }  # fmt: skip


MESSAGES = {
    **{f"the input is {value!r}": message(with_fields(USE, input=value)) for value in ('{"a":1}', "", None, [], 0)},
    "no input": message(with_fields(USE, input=LEFT_OUT)),
    **{f"the id is {value!r}": message(with_fields(USE, id=value)) for value in (None, "")},
    "no id": message(with_fields(USE, id=LEFT_OUT)),
    "the name is null": message(with_fields(USE, name=None)),
    "no name": message(with_fields(USE, name=LEFT_OUT)),
    "the text is null": message({**TEXT, "text": None}, TEXT),
    "no text": message({"type": "text"}, TEXT),
    "a block without a type": message({"text": "or not"}, TEXT),
    "thoughts without a signature": message({"type": "thinking", "thinking": "hm"}, TEXT),
    "the content is null": {**message(), "content": None},
}


def without_made_ids(message: Any) -> Any:
    """Return what a client got, with an id that was made for a tool call told apart from one of the host only."""
    if isinstance(message, list):
        return [without_made_ids(each) for each in message]
    if not isinstance(message, dict):
        return message
    return {name: "made" if name == "id" and value and value not in ("c1", "t1") else without_made_ids(value)
            for name, value in message.items()}  # fmt: skip


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_an_odd_reply_reaches_the_client_as_a_run_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """That each of them is as the gateway's OpenAPI document says is checked with every answer."""
    path = tmp_path / "intermodal.toml"
    play = [ScriptedReply()]
    with FaultyHost(lambda model, number: play[0]) as wall:
        path.write_text(priced("first", wall.base_url, 1.0, protocol=protocol))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:

            def ask(**more: Any) -> Any:
                tree: dict[str, Any] = {"model": "cloud/strong", "messages": HELLO, "max_tokens": 50, **more}
                if protocol == "anthropic":
                    tools = [{"name": "f", "input_schema": {"type": "object"}}]
                    found = house.post("/v1/messages", {**tree, "tools": tools}).json()
                    return found["stop_reason"], without_made_ids(found["content"])
                tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
                (choice,) = house.post("/v1/chat/completions", {**tree, "tools": tools}).json()["choices"]
                return choice["finish_reason"], without_made_ids(choice["message"])

            wrong: dict[str, Any] = {}
            for name, reply in (CHATS if protocol == "openai" else MESSAGES).items():
                play[0] = refusal(200, reply, paid=True)
                before = house.taken
                try:
                    passed, direct = ask(), house.taken - before
                except Exception as error:  # the check of the document
                    wrong[name] = str(error)
                    continue
                run = ask(**BY_EXECUTOR)
                if direct != 1 or house.taken != before + 1 or passed != run:
                    wrong[name] = (direct, passed, run)
                if " id" in name:
                    (call,) = run[1] if protocol == "anthropic" else run[1]["tool_calls"]
                    assert call["id"] == "made", name
            assert wrong == {}
