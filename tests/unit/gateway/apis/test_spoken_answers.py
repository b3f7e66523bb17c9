"""Chats whose answers are heard: in the format that was asked for, and as OpenAI's clients have them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionAudio
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config, sse

from intermodal.media.audio.encoding import samples
from intermodal.testing import FakeHost

VOICE = 'id = "cloud/voice"; tasks = ["text-to-speech"]; input_mchar = 1.0; tier = "large"; input = ["text"]'
PATH = "/v1/chat/completions"


@pytest.fixture
def speaking(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    """Before a model that writes, and a voice."""
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, f"{STRONG}\n{VOICE}"))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer() as served:
        yield served


def aloud(form: str, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    audio = {"format": form, "voice": "alloy"}
    messages = [{"role": "user", "content": "hello there"}, *turns]
    return {"model": "auto", "messages": messages, "modalities": ["text", "audio"], "audio": audio, **more}


def heard(house: GatewayServer, form: str, *, stream: bool) -> bytes:
    found = house.post(PATH, aloud(form, stream=stream))
    assert found.status_code == 200, found.text
    if not stream:
        return b64decode(found.json()["choices"][0]["message"]["audio"]["data"])
    deltas = [choice["delta"] for event in sse(found.text).events for choice in event["choices"]]
    return b"".join(b64decode(delta["audio"]["data"]) for delta in deltas if "audio" in delta)


@pytest.mark.parametrize("stream", [False, True])
def test_samples_alone_are_given_where_they_are_asked_for(speaking: GatewayServer, stream: bool) -> None:
    file, bare = (heard(speaking, form, stream=stream) for form in ("wav", "pcm16"))
    pcm, rate = samples(file)
    assert rate == 24_000 and len(pcm) > 1000
    assert bare == pcm


def test_openai_reads_an_answer_that_is_heard(speaking: GatewayServer, host: FakeHost) -> None:
    with openai.OpenAI(base_url=speaking.base_url, api_key="none", max_retries=0) as client:
        made = client.chat.completions.create(**aloud("wav"))
        message = made.choices[0].message
        assert message.audio is not None
        spoken = ChatCompletionAudio.model_validate(message.audio.model_dump(), strict=True)
        assert spoken.transcript == message.content == host.answer
        assert spoken.expires_at == made.created and spoken.id.startswith("audio_")
        turns: Any = [message.model_dump(exclude_none=True), {"role": "user", "content": "and now?"}]
        client.chat.completions.create(**aloud("wav", *turns))
        assert [each["content"] for each in host.attempts[-2].json["messages"]][1] == host.answer


def test_an_answer_goes_back_by_its_words_and_not_by_the_id_of_its_sound(
    speaking: GatewayServer, host: FakeHost
) -> None:
    user = {"role": "user", "content": "and now?"}
    told = {"role": "assistant", "content": None, "audio": {"id": "audio_1", "transcript": "Four."}}
    found = speaking.post(PATH, {"model": "cloud/strong", "messages": [user, told, user]})
    assert found.status_code == 200, found.text
    assert host.attempts[-1].json["messages"][1]["content"] == "Four."
    named = {"role": "assistant", "audio": {"id": "audio_1"}}
    refused = speaking.post(PATH, {"model": "cloud/strong", "messages": [user, named, user]})
    assert refused.status_code == 400 and "send its transcript" in refused.json()["error"]["message"]
    assert len(host.attempts) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_heard_counts_its_words(speaking: GatewayServer, host: FakeHost, stream: bool) -> None:
    """To say them takes none: what the model counted is told, and not what it may have been at most."""
    found = speaking.post(PATH, aloud("pcm16", stream=stream, stream_options={"include_usage": True}))
    usage = sse(found.text).events[-1]["usage"] if stream else found.json()["usage"]
    written = next(attempt for attempt in host.attempts if "messages" in attempt.json)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (written.input_tokens, written.output_tokens)
