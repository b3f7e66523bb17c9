"""LiteLLM as a client, as it is installed, against the gateway, by three of its protocols. The host is a fake."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.apis.test_chat import picture
from tests.unit.gateway.clients.player import Player
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.testing import FakeHost
from intermodal.testing.fake_host import until_answered

# What stands before a model's name says which protocol LiteLLM speaks; each wants another address.
PROTOCOLS = pytest.mark.parametrize("by", ["openai", "anthropic", "ollama_chat"])


@pytest.fixture(scope="session")
def litellm() -> Iterator[Player]:
    more = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}  # it would fetch its price list
    with Player(sys.executable, str(Path(__file__).parent / "litellm_cases.py"), more=more) as player:
        yield player


def at(house: GatewayServer, by: str, model: str = "cloud/strong") -> dict[str, str]:
    return {"model": f"{by}/{model}", "url": house.base_url if by == "openai" else house.gateway.url}


@PROTOCOLS
def test_the_client_completes_and_streams(litellm: Player, house: GatewayServer, by: str) -> None:
    made = litellm.play("text", **at(house, by))
    assert made == {"text": "the hosted answer", "finish": "stop", "tokens": 3}
    made = litellm.play("stream", **at(house, by))
    assert "".join(made["pieces"]) == made["text"] == "the hosted answer" and len(made["pieces"]) > 1
    assert (made["finish"], made["tokens"]) == ("stop", 3)
    assert litellm.play("text_awaited", **at(house, by)) == ["the hosted answer"] * 2


@PROTOCOLS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_client_receives_tool_calls_and_answers_them(
    litellm: Player, house: GatewayServer, host: FakeHost, by: str, stream: bool
) -> None:
    host.calls = until_answered(("weather", {"place": "Bonn"}))
    made = litellm.play("tools", **at(house, by), stream=stream)
    assert made == {
        "name": "weather", "arguments": {"place": "Bonn"}, "finish": "tool_calls", "text": "the hosted answer",
    }  # fmt: skip
    assert host.attempts[1].json["messages"][-1]["content"] == "rain"


@PROTOCOLS
def test_images_of_the_client_reach_the_model(litellm: Player, house: GatewayServer, host: FakeHost, by: str) -> None:
    parts = [{"type": "image_url", "image_url": {"url": picture()}}]
    assert litellm.play("media", **at(house, by, "cloud/seeing"), parts=parts) == "the hosted answer"
    assert len(host.attempts[0].images) == 1


def test_audio_and_documents_of_the_client_are_converted_to_text(
    litellm: Player, house: GatewayServer, host: FakeHost, media: Path
) -> None:
    def spelled(name: str) -> str:
        return base64.b64encode((media / name).read_bytes()).decode()

    host.transcript = "the words of the recording"
    parts: list[Any] = [
        {"type": "input_audio", "input_audio": {"data": spelled("jfk.wav"), "format": "wav"}},
        {"type": "file", "file": {"filename": "report.pdf",
                                  "file_data": f"data:application/pdf;base64,{spelled('report.pdf')}"}},
    ]  # fmt: skip
    assert litellm.play("media", **at(house, "openai"), parts=parts) == "the hosted answer"
    assert b"the words of the recording" in host.attempts[-1].body and b"Ingrid Solheim" in host.attempts[-1].body


@PROTOCOLS
def test_the_client_gets_json_by_a_schema(litellm: Player, house: GatewayServer, host: FakeHost, by: str) -> None:
    host.answer = '{"city": "Paris", "people": 2}'
    if by == "anthropic":  # there it asks for a call of a tool whose arguments are the answer
        host.calls = (("json_tool_call", {"city": "Paris", "people": 2}),)
    assert litellm.play("parsed", **at(house, by)) == {"city": "Paris", "people": 2}
    tools = host.attempts[0].json.get("tools") or [{}]
    schema = host.attempts[0].schema or tools[0]["function"]["parameters"]
    assert set(schema["required"]) == {"city", "people"}


def test_the_client_embeds_transcribes_and_generates_speech(
    litellm: Player, house: GatewayServer, host: FakeHost, media: Path
) -> None:
    made = litellm.play("vectors", **at(house, "openai", "cloud/vectors"), texts=["one", "two"])
    assert len(made["vectors"]) == 2 and made["vectors"][0] != made["vectors"][1]
    assert made["tokens"] == 2
    host.transcript = "the words of the host"
    at_ear = at(house, "openai", "cloud/ear")
    assert litellm.play("transcript", **at_ear, path=str(media / "jfk.wav")) == "the words of the host"
    assert litellm.play("speech", **at(house, "openai", "cloud/voice")) == "RIFF"


def test_the_client_reads_responses(litellm: Player, house: GatewayServer) -> None:
    made = litellm.play("responses", **at(house, "openai"))
    assert made == {"text": "the hosted answer", "last": "response.completed"}


@PROTOCOLS
def test_the_client_maps_errors_to_its_own_classes(
    litellm: Player, house: GatewayServer, host: FakeHost, by: str
) -> None:
    made = litellm.play("error", **at(house, by, "no/such-model"))
    assert (made["kind"], made["status"]) == ("NotFoundError", 404)
    assert "no model named no/such-model" in made["message"]
    assert host.attempts == []
