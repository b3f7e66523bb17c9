"""Vercel's AI SDK, as it is installed, against the gateway, by each provider and API of it. The host is a fake.

It holds every answer against a schema of its own, so that a field that is missing or null where it may not be fails.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.gateway.apis.test_chat import picture
from tests.unit.gateway.clients.player import Player

from intermodal.testing import FakeHost, Fault
from intermodal.testing.fake_host import until_answered

STRONG, SEEING = "cloud/strong", "cloud/seeing"
PROVIDERS = pytest.mark.parametrize("by", ["responses", "chat", "compatible"])


@PROVIDERS
def test_the_client_generates_text(ai_sdk: Player, url: str, host: FakeHost, by: str) -> None:
    made = ai_sdk.play("text", url=url, model=STRONG, by=by)
    assert (made["text"], made["finishReason"], made["route"]) == ("the hosted answer", "stop", "cloud:cloud/strong")
    assert (made["usage"]["inputTokens"], made["usage"]["outputTokens"]) == (host.attempts[0].input_tokens, 3)
    assert made["warnings"] == []
    assert json.loads(host.attempts[0].body)["messages"][0] == {"role": "system", "content": "Be brief."}


@PROVIDERS
def test_the_client_streams_text(ai_sdk: Player, url: str, by: str) -> None:
    made = ai_sdk.play("textStream", url=url, model=STRONG, by=by)
    assert "".join(made["pieces"]) == "the hosted answer" and len(made["pieces"]) > 1
    assert (made["finishReason"], made["usage"]["outputTokens"]) == ("stop", 3)


@PROVIDERS
def test_the_client_gets_an_error_for_a_broken_stream(ai_sdk: Player, url: str, host: FakeHost, by: str) -> None:
    host.fault = Fault("cut", 2)
    made = ai_sdk.play("brokenStream", url=url, model=STRONG, by=by)
    assert made["pieces"] and made["errors"]


@PROVIDERS
@pytest.mark.parametrize("case", ["tools", "toolsStream"])
def test_the_tool_loop_of_the_client_ends_with_an_answer(
    ai_sdk: Player, url: str, host: FakeHost, by: str, case: str
) -> None:
    host.calls = until_answered(("weather", {"place": "Bonn"}), ("weather", {"place": "Ulm"}))
    made = ai_sdk.play(case, url=url, model=STRONG, by=by)
    assert made == {"places": ["Bonn", "Ulm"], "text": "the hosted answer", "steps": ["tool-calls", "stop"]}
    results = [message["content"] for message in host.attempts[1].json["messages"][-2:]]
    assert "rain in Bonn" in results[0] and "rain in Ulm" in results[1]


@PROVIDERS
def test_the_client_generates_objects_by_a_schema(ai_sdk: Player, url: str, host: FakeHost, by: str) -> None:
    host.answer = '{"city": "Paris", "people": 2}'
    made = ai_sdk.play("object", url=url, model=STRONG, by=by)
    assert made == [{"city": "Paris", "people": 2}] * 3
    assert all((attempt.schema or {})["required"] == ["city", "people"] for attempt in host.attempts)


@PROVIDERS
def test_images_and_documents_of_the_client_reach_the_model(
    ai_sdk: Player, url: str, host: FakeHost, media: Path, by: str
) -> None:
    assert ai_sdk.play("media", url=url, model=SEEING, by=by, picture=picture()) == "the hosted answer"
    assert len(host.attempts[0].images) == 1
    assert ai_sdk.play("media", url=url, model=STRONG, by=by, pdf=str(media / "report.pdf")) == "the hosted answer"
    assert b"Ingrid Solheim" in host.attempts[1].body and host.attempts[1].documents == ()


@pytest.mark.parametrize("by", ["chat", "compatible"])
def test_recordings_of_the_client_are_transcribed_for_a_text_model(
    ai_sdk: Player, url: str, host: FakeHost, media: Path, by: str
) -> None:
    host.transcript = "the words of the recording"
    assert ai_sdk.play("media", url=url, model=STRONG, by=by, sound=str(media / "jfk.wav")) == "the hosted answer"
    assert b"the words of the recording" in host.attempts[-1].body


def test_the_client_embeds_transcribes_and_generates_speech_and_images(
    ai_sdk: Player, url: str, host: FakeHost, media: Path
) -> None:
    made = ai_sdk.play("vectors", url=url, model="cloud/vectors", values=["one", "two"])
    assert made["many"][0] == made["many"][1] and made["many"][0][0] == made["one"] != made["many"][0][1]
    assert made["tokens"] == 1
    host.transcript = "the words of the host"
    made = ai_sdk.play("transcript", url=url, model="cloud/ear", sound=str(media / "jfk.wav"))
    assert made["text"] == "the words of the host"
    assert ai_sdk.play("speech", url=url, model="cloud/voice") == "RIFF"
    assert ai_sdk.play("pictures", url=url, model="cloud/brush") == ["image/png", "image/png"]


@PROVIDERS
def test_the_client_gets_the_error_and_whether_it_is_retryable(
    ai_sdk: Player, url: str, host: FakeHost, by: str
) -> None:
    made = ai_sdk.play("error", url=url, model="no/such-model", by=by)
    assert (made["name"], made["statusCode"], made["isRetryable"]) == ("AI_APICallError", 404, False)
    assert "no model named no/such-model" in made["message"]
    assert host.attempts == []
