"""A refusal after words is a part of the answer, in every API that has a place for it and in Python."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gates.faulty_host import DONE, HEAD, LAST, ROLE, FaultyHost, ScriptedReply, chunk, delta, usage
from tests.unit.gateway.direct.test_both_paths_openai_chat import whole
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config

from intermodal import Client
from intermodal.core.content import Refusal, Text
from intermodal.core.request import Message, Policy, Request
from intermodal.events import Finished
from intermodal.gateway.state.conversations import Conversations, conversation_digest

WORDS, REFUSED = "Paris. ", "I will not say more."
EVENTS = (ROLE, delta(WORDS), delta(refusal="I will not "), delta(refusal="say more."), delta(None, "stop"), usage(9))
STREAMED = ScriptedReply((HEAD, *map(chunk, (*EVENTS, DONE)), LAST), paid=True)
NOTE = f'the model refused to go on: "{REFUSED}"'


@pytest.fixture(autouse=True)
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHost]:
    plays = {True: STREAMED, False: whole(WORDS, refusal=REFUSED)}
    host = FaultyHost(lambda model, number: plays[False], reader=lambda body: plays[body.get("stream", False)])
    with host as wall:
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield wall


def test_the_library_returns_the_refusal_beside_the_text() -> None:
    with Client() as client:
        result = client.run("hello", model="cloud/strong")
    assert (result.text, result.refusal, result.finish_reason) == (WORDS, REFUSED, "content_filter")
    assert result.parts == (Text(text=WORDS), Refusal(text=REFUSED)), "what the next request sends back"
    assert NOTE in result.notes


PATHS: dict[str, dict[str, Any]] = {
    "/v1/messages": {"max_tokens": 50},
    "/v1/responses": {},
    "/api/chat": {"stream": False},
}


@pytest.mark.parametrize("path", PATHS)
def test_a_client_of_another_api_than_the_hosts_gets_the_refusal(path: str) -> None:
    field = "input" if path == "/v1/responses" else "messages"
    tree = {"model": "cloud/strong", field: [{"role": "user", "content": "hello"}], **PATHS[path]}
    with GatewayServer() as house:
        found = house.post(path, tree).json()
    if path == "/v1/messages":
        assert found["content"] == [{"type": "text", "text": WORDS}]
        assert (found["stop_reason"], found["stop_details"]["explanation"]) == ("refusal", REFUSED)
    elif path == "/v1/responses":
        said, refused = found["output"][0]["content"]
        assert (said["text"], refused) == (WORDS, {"type": "refusal", "refusal": REFUSED})
        assert found["status"] == "completed", "a refusal in words is complete"
    else:  # it has no field for it
        assert found["message"]["content"] == WORDS + REFUSED


def test_a_conversation_goes_on_where_it_was_refused() -> None:
    asked = Request(messages=(Message(role="user", parts=(Text(text="hello"),)),))
    finished = Finished(endpoint="cloud:cloud/strong", refusal=REFUSED)
    conversations = Conversations()
    conversations.store_route(conversation_digest(asked, WORDS, finished, "me"), finished.endpoint, Policy())
    answer = Message(role="assistant", parts=(Text(text=WORDS), Refusal(text=REFUSED)))
    again = Request(messages=(*asked.messages, answer, *asked.messages))
    assert asyncio.run(conversations.continue_conversation(again, "me")).previous_endpoint == finished.endpoint
