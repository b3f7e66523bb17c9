"""A chat that goes through as it came is known again, counted and planned as the executor has it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.gateway.direct.test_direct_rows import input_of, messages_of
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.client_apis import ANTHROPIC_MESSAGES, OLLAMA_CHAT, OPENAI_CHAT, OPENAI_RESPONSES, ClientApi
from intermodal.core.content import sum_scripts
from intermodal.executor.preparation import prompt
from intermodal.gateway.direct.direct_chats import TextSizeCache
from intermodal.gateway.requests.request_from_call import request_from_call
from intermodal.gateway.state.conversations import _digest
from intermodal.media.text.script_counts import count_scripts
from intermodal.planner.planning_case import question_of
from intermodal.protocols.anthropic import passthrough as anthropic_passthrough
from intermodal.protocols.calls import WireText
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.ollama import passthrough as ollama_passthrough
from intermodal.protocols.openai_chat import passthrough as openai_chat_passthrough
from intermodal.protocols.openai_responses import passthrough as openai_responses_passthrough

SEED = 20_261_130
WORDS = ("hello", " and ", "\n", "Ärger", "日本", '"quoted"', "\\", "a" * 90, "\u2028", "", " ", "{}", "😀")


def text(chance: random.Random) -> str:
    return "".join(chance.choice(WORDS) for _ in range(chance.choice((1, 1, 2, 4, 12))))


def openai_chat(chance: random.Random) -> dict[str, Any]:
    def message() -> dict[str, Any]:
        role = chance.choice(("user", "user", "system", "assistant", "assistant", "tool"))
        made: dict[str, Any] = {"role": role, "content": text(chance)}
        if role == "tool":
            made["tool_call_id"] = "call_1"
        if role == "assistant" and chance.random() < 0.4:
            call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": text(chance)}}
            made |= {"tool_calls": [call] * chance.choice((1, 2)), "content": chance.choice((None, text(chance)))}
        return made

    return {"messages": [message() for _ in range(chance.choice((1, 2, 3, 6)))]}


def anthropic(chance: random.Random) -> dict[str, Any]:
    def block(role: str) -> dict[str, Any]:
        kind = chance.choice(("text", "text", "tool"))
        if kind == "text":
            return {"type": "text", "text": text(chance)}
        if role == "user":
            inner = [{"type": "text", "text": text(chance)} for _ in range(chance.randrange(3))]
            return {"type": "tool_result", "tool_use_id": "toolu_1", "content": chance.choice((text(chance), inner))}
        if chance.random() < 0.5:
            return {"type": "thinking", "thinking": text(chance), "signature": "s"}
        return {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": text(chance)}}

    def content(role: str) -> Any:
        return text(chance) if chance.random() < 0.5 else [block(role) for _ in range(chance.choice((1, 2, 3)))]

    roles = [("user", "assistant")[n % 2] for n in range(chance.choice((1, 2, 3, 5)))]
    blocks = [{"type": "text", "text": text(chance)} for _ in range(chance.randrange(3))]
    system = chance.choice(({}, {"system": text(chance)}, {"system": blocks}))
    return {"max_tokens": 9, **system, "messages": [{"role": role, "content": content(role)} for role in roles]}


_APIS: dict[str, tuple[Callable[[random.Random], dict[str, Any]], Any, ClientApi]] = {
    "openai_chat": (openai_chat, openai_chat_passthrough, OPENAI_CHAT),
    "anthropic": (anthropic, anthropic_passthrough, ANTHROPIC_MESSAGES),
    "openai_responses": (input_of, openai_responses_passthrough, OPENAI_RESPONSES),
    "ollama": (messages_of, ollama_passthrough, OLLAMA_CHAT),
}


@pytest.mark.parametrize("name", _APIS)
def test_a_chat_that_goes_through_is_known_and_measured_as_by_the_executor(
    house: GatewayServer, name: str, full_gates: bool
) -> None:
    make, shape, api = _APIS[name]
    chance, measures = random.Random(SEED), TextSizeCache(house.gateway.client)
    taken = plain = 0
    for _ in range(20_000 if full_gates else 1500):
        body = json.dumps({"model": "m", **make(chance)}, ensure_ascii=chance.random() < 0.5).encode()
        chat = shape.chat_of(ExtractedBody(body), "owner", measures)
        if chat is None:
            continue
        taken += 1
        request = request_from_call(api.decode(body))
        messages = prompt.chat_messages(request, {})
        last = max((n for n, said in enumerate(request.messages) if said.role == "assistant"), default=-1)
        assert chat.before == (None if last < 0 else _digest(request.messages[: last + 1], "owner")), body
        assert chat.conversation_digest.digest() == _digest(request.messages, "owner"), body
        assert chat.shape[4] == measures.question(question_of(request), pictured=False), body
        parts = [part for message in messages for part in message.parts]
        assert chat.plain == all(isinstance(part, WireText) for part in parts), body
        if chat.plain:  # what the row of the attempt says of its weight
            plain += 1
            assert chat.messages == len(messages), body
            said = prompt.all_text(messages)
            chars = sum(each.chars for each in chat.texts) + len(chat.texts) - 1
            size = sum(each.size for each in chat.texts) + len(chat.texts) - 1
            assert (chars, size) == (len(said), len(said.encode("utf-8", "replace"))), body
            made_of = sum_scripts(count_scripts(part.text) for part in parts if isinstance(part, WireText))
            assert sum_scripts(each.scripts for each in chat.texts) == made_of, body
    assert taken > 200 and plain > 100


def test_marks_of_openai_tools_are_named_and_not_sent(house: GatewayServer) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "tools": [tool]}
    measures = TextSizeCache(house.gateway.client)

    def taken() -> bool:
        found = openai_chat_passthrough.chat_of(ExtractedBody(json.dumps(body).encode()), "owner", measures)
        return found is not None

    assert taken()
    body["tools"] = [{**tool, "cache_control": {"type": "ephemeral"}}]
    assert not taken()
