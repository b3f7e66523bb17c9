"""OpenAI's client for Node.js, as it is installed, against the gateway. The host behind it is a fake."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.unit.gateway.apis.test_chat import picture
from tests.unit.gateway.clients.player import Player

from intermodal.testing import FakeHost, Fault
from intermodal.testing.fake_host import until_answered

STRONG, SEEING = "cloud/strong", "cloud/seeing"
CALLED = until_answered(("weather", {"place": "Bonn"}))


def test_the_client_chats(openai_node: Player, url: str) -> None:
    made = openai_node.play("chat", url=url, model=STRONG)
    assert (made["text"], made["finish"], made["route"]) == ("the hosted answer", "stop", "cloud:cloud/strong")
    assert made["usage"]["completion_tokens"] == 3
    assert made["usage"]["intermodal"]["route"] == "cloud:cloud/strong"


def test_the_client_reads_a_stream(openai_node: Player, url: str) -> None:
    made = openai_node.play("chatStream", url=url, model=STRONG)
    assert "".join(made["pieces"]) == made["text"] == "the hosted answer"
    assert len(made["pieces"]) > 1
    assert (made["finish"], made["usage"]["completion_tokens"]) == ("stop", 3)


def test_leaving_a_stream_ends_the_call(openai_node: Player, url: str, host: FakeHost) -> None:
    host.answer = "word " * 5
    host.fault = Fault("stall", 2)
    assert openai_node.play("chatLeft", url=url, model=STRONG) == "word"
    until = time.monotonic() + 300
    while host.attempts[0].client_left is None and time.monotonic() < until:
        time.sleep(0.01)
    assert host.attempts[0].client_left is not None


def test_the_client_gets_an_error_for_a_broken_stream(openai_node: Player, url: str, host: FakeHost) -> None:
    host.fault = Fault("cut", 2)
    made = openai_node.play("brokenStreams", url=url, model=STRONG)
    assert made["chat"]["error"] == "APIError" and "closed the connection" in made["chat"]["message"]
    assert made["responses"] == {"last": "response.failed"}


def test_a_picture_reaches_a_model_that_sees(openai_node: Player, url: str, host: FakeHost) -> None:
    assert openai_node.play("chatMedia", url=url, model=SEEING, picture=picture())["text"] == "the hosted answer"
    assert len(host.attempts[0].images) == 1
    assert openai_node.play("responsesMedia", url=url, model=SEEING, picture=picture()) == "the hosted answer"
    assert host.attempts[1].images == host.attempts[0].images


def test_sound_and_a_pdf_reach_a_model_that_reads(openai_node: Player, url: str, host: FakeHost, media: Path) -> None:
    host.transcript = "the words of the recording"
    given = {"sound": str(media / "jfk.wav"), "pdf": str(media / "report.pdf")}
    made = openai_node.play("chatMedia", url=url, model=STRONG, **given)
    assert made["text"] == "the hosted answer" and "transcribe cloud:cloud/ear" in made["steps"]
    chat = host.attempts[-1]
    assert b"the words of the recording" in chat.body and b"Ingrid Solheim" in chat.body
    assert (chat.audios, chat.documents) == ((), ())
    assert openai_node.play("responsesMedia", url=url, model=STRONG, pdf=given["pdf"]) == "the hosted answer"
    assert b"Ingrid Solheim" in host.attempts[-1].body


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_tool_loop_of_the_client_ends_with_an_answer(
    openai_node: Player, url: str, host: FakeHost, stream: bool
) -> None:
    host.calls = until_answered(("weather", {"place": "Bonn"}), ("weather", {"place": "Ulm"}))
    made = openai_node.play("chatTools", url=url, model=STRONG, stream=stream)
    assert made == {"places": ["Bonn", "Ulm"], "text": "the hosted answer"}
    results = [(message["role"], message["content"]) for message in host.attempts[1].json["messages"][-2:]]
    assert results == [("tool", "rain in Bonn"), ("tool", "rain in Ulm")]


def test_the_client_parses_json_by_a_schema(openai_node: Player, url: str, host: FakeHost) -> None:
    host.answer = '{"city": "Paris", "people": 2}'
    made = [openai_node.play(case, url=url, model=STRONG) for case in ("chatParsed", "responsesParsed")]
    assert made == [{"city": "Paris", "people": 2}] * 2
    assert all((attempt.schema or {})["required"] == ["city", "people"] for attempt in host.attempts)


def test_the_client_reads_responses_whole_and_streamed(openai_node: Player, url: str, host: FakeHost) -> None:
    made = openai_node.play("responses", url=url, model=STRONG)
    assert (made["text"], made["status"], made["usage"]["output_tokens"]) == ("the hosted answer", "completed", 3)
    assert json.loads(host.attempts[0].body)["messages"][0] == {"role": "system", "content": "Be brief."}
    made = openai_node.play("responsesStream", url=url, model=STRONG)
    assert "".join(made["pieces"]) == made["text"] == "the hosted answer"
    assert (made["status"], made["usage"]["output_tokens"]) == ("completed", 3)


def test_responses_call_a_tool_and_take_its_result(openai_node: Player, url: str, host: FakeHost) -> None:
    host.calls = CALLED
    made = openai_node.play("responsesTools", url=url, model=STRONG)
    assert made == {"name": "weather", "arguments": {"place": "Bonn"}, "text": "the hosted answer"}
    assert json.loads(host.attempts[1].body)["messages"][-1]["content"] == "rain"


def test_the_client_transcribes_files(openai_node: Player, url: str, host: FakeHost, media: Path) -> None:
    host.transcript = "the words of the host"
    made = openai_node.play("transcripts", url=url, model="cloud/ear", sound=str(media / "jfk.wav"))
    assert made["text"] == "the words of the host"
    assert made["seconds"] == pytest.approx(11, abs=0.5)
    assert made["segments"] == 1
    assert "-->" in made["srt"]


def test_the_client_generates_speech_and_images(openai_node: Player, url: str) -> None:
    assert openai_node.play("speech", url=url, model="cloud/voice") == "RIFF"
    assert openai_node.play("pictures", url=url, model="cloud/brush") == ["PNG", "PNG"]


def test_the_client_embeds(openai_node: Player, url: str) -> None:
    made = openai_node.play("vectors", url=url, model="cloud/vectors", input=["one", "two"])
    assert made["packed"][0] == pytest.approx(made["plain"][0], abs=1e-6)
    assert made["packed"][1] == pytest.approx(made["plain"][1], abs=1e-6)
    assert made["packed"][0] != made["packed"][1]


def test_the_client_lists_models(openai_node: Player, url: str) -> None:
    made = openai_node.play("models", url=url)
    assert {"auto", STRONG, SEEING} <= set(made["names"])
    assert made["one"]["id"] == STRONG


def test_the_client_maps_errors_to_its_own_classes(openai_node: Player, url: str, host: FakeHost) -> None:
    made = openai_node.play("errors", url=url)
    for asked in ("model", "stream"):
        assert (made[asked]["kind"], made[asked]["status"], made[asked]["code"]) == (
            "NotFoundError", 404, "model_not_found",
        )  # fmt: skip
    assert (made["body"]["kind"], made["body"]["status"]) == ("BadRequestError", 400)
    assert host.attempts == []
