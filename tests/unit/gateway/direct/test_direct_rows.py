"""What the direct path writes of a conversation, and knows it again by, is what the executor would have written."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.catalog.types import Host
from intermodal.client_apis import OLLAMA_CHAT, OPENAI_RESPONSES, ClientApi
from intermodal.executor.preparation import prompt
from intermodal.gateway.direct.direct_chats import TextSizeCache
from intermodal.gateway.requests.request_from_call import request_from_call
from intermodal.gateway.state.conversations import _digest
from intermodal.planner.planning_case import question_of
from intermodal.protocols.calls import ChatCall
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.protocols.ollama import codec as ollama_codec
from intermodal.protocols.ollama import passthrough as ollama_passthrough
from intermodal.protocols.openai_responses import codec as openai_responses_codec
from intermodal.protocols.openai_responses import passthrough as openai_responses_passthrough
from intermodal.protocols.parsed_chat import ParsedChat

SEED = 20_261_126
WORDS = ("hello", " and ", "\n", "Ärger", "日本", '"quoted"', "\\", "a" * 90, "\u2028", "", " ", "{}", "😀")
HOST = Host(id="h", name="h", base_url="http://127.0.0.1:9", protocol="openai", zone="internet")


def text(chance: random.Random) -> str:
    return "".join(chance.choice(WORDS) for _ in range(chance.choice((1, 1, 2, 4, 12))))


def arguments(chance: random.Random) -> dict[str, Any]:
    return {text(chance): chance.choice((text(chance), 1, None, [1.5, True])) for _ in range(chance.randrange(3))}


def item(chance: random.Random) -> dict[str, Any]:
    """One of OpenAI's responses."""
    kind = chance.choice(("text", "text", "parts", "said", "call", "result", "result", "thought"))
    name = f"call_{chance.randrange(3)}"
    if kind == "text":
        typed = chance.choice(({}, {"type": "message"}))
        return {**typed, "role": chance.choice(("user", "user", "developer", "assistant")), "content": text(chance)}
    if kind == "parts":
        parts = [{"type": "input_text", "text": text(chance)} for _ in range(chance.choice((0, 1, 1, 2, 3)))]
        return {"type": "message", "role": chance.choice(("user", "system")), "content": parts}
    if kind == "said":
        part = {"type": "output_text", "text": text(chance), "annotations": []}
        return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    if kind == "call":
        said = chance.choice((json.dumps(arguments(chance)), "", "{}", "no JSON"))
        return {"type": "function_call", "id": "fc_1", "call_id": name, "name": "weather", "arguments": said}
    if kind == "result":
        parts = [{"type": "input_text", "text": text(chance)} for _ in range(chance.randrange(3))]
        return {"type": "function_call_output", "call_id": name, "output": chance.choice((text(chance), parts))}
    own = chance.choice(("rs_0123", "resp_0123_0"))
    return {"type": "reasoning", "id": own, "summary": [], "encrypted_content": text(chance) or "x"}


def message(chance: random.Random) -> dict[str, Any]:
    """One of Ollama's chat."""
    role = chance.choice(("user", "user", "system", "assistant", "assistant", "tool"))
    made: dict[str, Any] = {"role": role, "content": text(chance)}
    if role == "tool":
        named = chance.choice(({}, {"tool_name": "weather"}, {"tool_call_id": f"call_{chance.randrange(2)}"}))
        return {**made, **named, "images": None}
    if role == "assistant" and chance.random() < 0.5:
        made["thinking"] = text(chance)
    if role == "assistant" and chance.random() < 0.5:
        function = {"name": "weather", "arguments": chance.choice((arguments(chance), {}, None))}
        named = chance.choice(({}, {"id": f"call_{chance.randrange(3)}"}))
        made["tool_calls"] = [{**named, "type": "function", "function": function}] * chance.choice((1, 2))
    if chance.random() < 0.2:
        made["content"] = chance.choice(("", None))
    return made


def input_of(chance: random.Random) -> dict[str, Any]:
    told = chance.choice(({}, {"instructions": text(chance)}, {"instructions": None}))
    if chance.random() < 0.1:
        return {**told, "input": text(chance)}
    return {**told, "input": [item(chance) for _ in range(chance.choice((1, 2, 3, 6)))]}


def messages_of(chance: random.Random) -> dict[str, Any]:
    return {"messages": [message(chance) for _ in range(chance.choice((1, 2, 3, 6)))]}


Reads = Callable[[ExtractedBody, str, Any], ParsedChat | None]


@pytest.mark.parametrize("name", ["input", "messages"])
def test_a_conversation_is_written_and_known_again_as_by_the_executor(
    house: GatewayServer, name: str, full_gates: bool
) -> None:
    make, reads, dialect, codec = _WIRES[name]
    chance, measures = random.Random(SEED), TextSizeCache(house.gateway.client)
    taken = 0
    for _ in range(20_000 if full_gates else 1500):
        body = json.dumps({"model": "m", **make(chance)}, ensure_ascii=chance.random() < 0.5).encode()
        chat = reads(ExtractedBody(body), "owner", measures)
        if chat is None:
            continue
        taken += 1
        request = request_from_call(dialect.decode(body))
        call = ChatCall(model="m", messages=prompt.chat_messages(request, {}), stream=False)
        sent = json.loads(b"".join(codec.encode_request(call, HOST).segments))
        assert json.loads(b"".join(map(bytes, chat.rewritten_fields[name]))) == sent[name], body
        last = max((n for n, said in enumerate(request.messages) if said.role == "assistant"), default=-1)
        assert chat.before == (None if last < 0 else _digest(request.messages[: last + 1], "owner")), body
        assert chat.conversation_digest.digest() == _digest(request.messages, "owner"), body
        assert chat.messages == len(call.messages), body
        assert chat.shape[4] == measures.question(question_of(request), pictured=False), body
    assert taken > 300


_WIRES: dict[str, tuple[Callable[[random.Random], dict[str, Any]], Reads, ClientApi, Any]] = {
    "input": (input_of, openai_responses_passthrough.chat_of, OPENAI_RESPONSES, openai_responses_codec),
    "messages": (messages_of, ollama_passthrough.chat_of, OLLAMA_CHAT, ollama_codec),
}  # fmt: skip
