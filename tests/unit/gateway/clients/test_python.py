"""Clients for Python besides OpenAI's, as they are installed, against the gateway. The host behind it is a fake."""

from __future__ import annotations

import base64
import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import ollama
import pytest
from tests.unit.gateway.apis.test_chat import picture
from tests.unit.gateway.apis.test_clients import CALLED, HELLO, TOOL, Place
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.testing import FakeHost


@pytest.fixture
def client(house: GatewayServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=house.gateway.url, api_key="none", max_retries=0) as made:
        yield made


def test_anthropic_asks_streams_and_counts(client: anthropic.Anthropic, host: FakeHost) -> None:
    made = client.messages.create(model="cloud/strong", max_tokens=50, messages=HELLO)
    assert made.content[0].type == "text" and made.content[0].text == "the hosted answer"
    assert made.stop_reason == "end_turn"
    with client.messages.stream(model="cloud/strong", max_tokens=50, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "the hosted answer"
    source: Any = {"type": "base64", "media_type": "image/png", "data": picture().partition(",")[2]}
    content: Any = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    made = client.messages.create(model="cloud/seeing", max_tokens=50, messages=[{"role": "user", "content": content}])
    assert len(host.attempts[-1].images) == 1
    before = len(host.attempts)
    counted = client.messages.count_tokens(model="cloud/strong", messages=[{"role": "user", "content": "hello " * 100}])
    assert 50 < counted.input_tokens < 300
    assert len(host.attempts) == before
    with pytest.raises(anthropic.NotFoundError, match="no model named"):
        client.messages.create(model="no/such-model", max_tokens=50, messages=HELLO)
    assert {model.id for model in client.models.list()} >= {"auto", "cloud/strong"}


def test_anthropic_calls_a_tool_and_answers_it(client: anthropic.Anthropic, host: FakeHost) -> None:
    host.calls = CALLED
    tools: Any = [{"name": "weather", "description": "Weather of a place.", "input_schema": {"type": "object"}}]
    made = client.messages.create(model="cloud/strong", max_tokens=50, messages=HELLO, tools=tools)
    with client.messages.stream(model="cloud/strong", max_tokens=50, messages=HELLO, tools=tools) as stream:
        streamed = stream.get_final_message()
    for message in (made, streamed):
        assert message.stop_reason == "tool_use"
        [call] = (block for block in message.content if block.type == "tool_use")
        assert (call.name, call.input) == ("weather", {"place": "Bonn"})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    turns: Any = [*HELLO, {"role": "assistant", "content": made.content}, {"role": "user", "content": [result]}]
    made = client.messages.create(model="cloud/strong", max_tokens=50, messages=turns, tools=tools)
    assert made.content[0].type == "text" and made.content[0].text == "the hosted answer"
    assert host.attempts[-1].json["messages"][-1]["content"] == "rain"


def test_ollama_chats_lists_and_shows(house: GatewayServer, host: FakeHost) -> None:
    with ollama.Client(host=house.gateway.url) as client:
        made = client.chat(model="cloud/strong", messages=HELLO)
        assert made.message.content == "the hosted answer"
        assert made.eval_count == 3
        streamed = client.chat(model="cloud/strong", messages=HELLO, stream=True)
        assert "".join(part.message.content or "" for part in streamed) == "the hosted answer"
        data = base64.b64decode(picture().partition(",")[2])
        client.chat(model="cloud/seeing", messages=[{"role": "user", "content": "What is this?", "images": [data]}])
        assert len(host.attempts[-1].images) == 1
        assert "cloud/strong" in [model.model for model in client.list().models]
        assert client.show("cloud/seeing").capabilities is not None
        assert "vision" in (client.show("cloud/seeing").capabilities or ())
        host.calls = CALLED
        [call] = client.chat(model="cloud/strong", messages=HELLO, tools=[TOOL]).message.tool_calls or ()
        assert (call.function.name, call.function.arguments) == ("weather", {"place": "Bonn"})
        with pytest.raises(ollama.ResponseError, match="no model named"):
            client.chat(model="no/such-model", messages=HELLO)
        assert client.ps().models == []  # a host elsewhere has nothing in this machine's memory


def test_langchain_asks_streams_parses_and_calls_tools(house: GatewayServer, host: FakeHost) -> None:
    with warnings.catch_warnings(), httpx.Client(timeout=300) as line:  # it closes no line that it makes itself
        warnings.simplefilter("ignore")  # of its own imports
        from langchain_openai import ChatOpenAI

        asked: Any = {"base_url": house.base_url, "api_key": "none", "max_retries": 0, "http_client": line}
        model = ChatOpenAI(model="cloud/strong", **asked)
        assert model.invoke("hello").content == "the hosted answer"
        assert "".join(str(chunk.content) for chunk in model.stream("hello")) == "the hosted answer"
        host.calls = CALLED
        [call] = model.bind_tools([TOOL]).invoke("hello").tool_calls
        assert (call["name"], call["args"]) == ("weather", {"place": "Bonn"})
        host.calls, host.answer = (), '{"city": "Paris"}'
        assert model.with_structured_output(Place).invoke("hello") == Place(city="Paris")


def test_llm_asks(house: GatewayServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """simonw/llm with a model of ``extra-openai-models.yaml``, as its documentation says."""
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: ours\n  model_name: cloud/strong\n  api_base: {house.base_url}\n"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import llm

        assert llm.get_model("ours").prompt("hello", key="none").text() == "the hosted answer"
        gc.collect()  # it closes no connection: here the one it left may be found, not in a test that allows no warning
