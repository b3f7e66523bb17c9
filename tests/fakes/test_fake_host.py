"""The fake host, asked by a client that shares no code with it or with us: OpenAI's own, and the standard library."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from base64 import b64encode
from typing import Any

import pytest

from intermodal.testing import CUTS, MANNERS, REFUSALS, Attempt, FakeHost, Fault

PNG = b"\x89PNG not really"


def post(host: FakeHost, path: str, body: Any, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(
        f"{host.base_url}{path}", json.dumps(body).encode(), {"content-type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=300) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def chat(text: str = "hello", model: str = "fake/model", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def content(reply: bytes) -> str:
    return json.loads(reply)["choices"][0]["message"]["content"]


def test_says_what_arrived() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + b64encode(PNG).decode()}}
    with FakeHost() as host:
        body = chat()
        body["messages"][0]["content"] = [{"type": "text", "text": "what is it"}, image]
        status, reply = post(host, "/chat/completions", body, authorization="Bearer sk-very-secret")
    assert status == 200
    assert content(reply) == "I got 1 images, 0 recordings and these words: what is it"
    (attempt,) = host.attempts
    assert attempt.images == (PNG,)
    assert attempt.key
    assert "sk-very-secret" not in repr(attempt)
    assert json.loads(attempt.body) == body
    assert attempt.began <= attempt.ended


def test_an_answer_may_depend_on_what_arrived() -> None:
    def shout(attempt: Attempt) -> str:
        return attempt.text.upper()

    with FakeHost(answer=shout) as host:
        assert content(post(host, "/chat/completions", chat("quiet"))[1]) == "QUIET"


def test_streams_tokens_usage_and_done() -> None:
    with FakeHost(answer="one two three") as host:
        wanted = chat(stream=True, stream_options={"include_usage": True})
        lines = post(host, "/chat/completions", wanted)[1].decode().split("\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    words = "".join(event["choices"][0]["delta"].get("content", "") for event in events if event["choices"])
    assert words == "one two three"
    assert events[-1]["usage"] == {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
    assert lines[-2] == "data: [DONE]"


def test_a_forced_schema_gets_a_document_that_fits() -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "ages": {"type": "array", "minItems": 1, "items": {"type": "integer"}},
        },
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    with FakeHost() as host:
        reply = post(host, "/chat/completions", chat(response_format=wanted))[1]
    assert json.loads(content(reply)) == {"name": "fake", "ages": [1]}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_a_model_name_chooses_a_refusal(name: str) -> None:
    with FakeHost() as host:
        connection = http.client.HTTPConnection(host.base_url.split("/")[2], timeout=300)
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(chat(model=f"m-fault-{name}")),
            {"content-type": "application/json"},
        )
        reply = connection.getresponse()
        reply.read()
        connection.close()
    assert reply.status == REFUSALS[name][0]
    assert (reply.headers["retry-after"] == "1") == (name == "limited")
    assert (host.bill > 0) == (name in ("broken", "gateway"))


def test_a_fault_can_pass() -> None:
    with FakeHost(answer="fine") as host:
        statuses = [post(host, "/chat/completions", chat(model="m-fault-unavailable-x2"))[0] for _ in range(3)]
    assert statuses == [503, 503, 200]


@pytest.mark.parametrize("name", sorted(set(CUTS) - {"stall"}))
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_stream_can_be_cut_after_any_token(name: str, after: int) -> None:
    with FakeHost(answer="one two three") as host:
        connection = http.client.HTTPConnection(host.base_url.split("/")[2], timeout=300)
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(chat(model=f"m-fault-{name}-{after}", stream=True)),
            {"content-type": "application/json"},
        )
        reply = connection.getresponse()
        body = b""
        try:
            while piece := reply.read1(65536):
                body += piece
            ended_well = True
        except (http.client.IncompleteRead, ConnectionResetError):
            ended_well = False
        reply.close()
        connection.close()
    assert b"[DONE]" not in body
    assert b'"finish_reason": "' not in body
    if name != "reset":  # a reset may overtake what was sent before it
        assert body.count(b'"content": "') == after + 1
        assert ended_well == (name in ("end", "inband", "malformed"))
    else:
        assert not ended_well


def test_a_client_that_hangs_up_is_noticed() -> None:
    with FakeHost() as host:
        address = host.base_url.split("/")[2].split(":")
        body = json.dumps(chat(model="m-fault-silent"))
        with socket.create_connection((address[0], int(address[1]))) as client:
            client.sendall(f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
            while not host.attempts or host.attempts[0].fault == "":
                time.sleep(0.001)
            left = host.now()
        while host.attempts[0].client_left is None:
            time.sleep(0.001)
    assert 0 <= host.attempts[0].client_left - left < 100


def test_a_key_is_asked_for_when_there_is_one() -> None:
    with FakeHost(key="k") as host:
        assert post(host, "/chat/completions", chat())[0] == 401
        assert post(host, "/chat/completions", chat(), authorization="Bearer k")[0] == 200


def test_embeddings_are_the_same_for_the_same_text() -> None:
    with FakeHost() as host:
        rows = json.loads(post(host, "/embeddings", {"model": "e", "input": ["a", "b", "a"]})[1])["data"]
    assert rows[0]["embedding"] == rows[2]["embedding"] != rows[1]["embedding"]


def test_every_fault_is_explained() -> None:
    assert all(CUTS.values())
    assert all(MANNERS.values())
    with pytest.raises(ValueError, match="no fault is called 'flood'"):
        Fault("flood")


def test_openai_s_own_client_gets_along_with_it() -> None:
    openai = pytest.importorskip("openai")
    with (
        FakeHost(answer="Paris.", transcript="bonjour") as host,
        openai.OpenAI(base_url=host.base_url, api_key="k", max_retries=0) as client,
    ):
        said = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "capital?"}])
        stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)
        streamed = "".join(piece.choices[0].delta.content or "" for piece in stream)
        heard = client.audio.transcriptions.create(model="w", file=("a.wav", b"RIFF"), response_format="verbose_json")
        assert [model.id for model in client.models.list()] == ["fake/model"]
    assert said.choices[0].message.content == streamed == "Paris."
    assert heard.text == "bonjour"
    assert host.attempts[2].audios == (b"RIFF",)


# ---- speech and probabilities -------------------------------------------------------------------------


def openai_client(host: FakeHost) -> Any:
    import openai

    return openai.OpenAI(base_url=host.base_url, api_key="k", max_retries=0)


def test_speech_is_a_beep_a_word_in_a_file_that_openai_s_client_can_save() -> None:
    with FakeHost() as host, openai_client(host) as client:
        reply = client.audio.speech.create(model="fake/voice", voice="alloy", input="one two", response_format="wav")
        data = reply.read()
        assert data[:4] == b"RIFF"
        assert len(data) - 44 == pytest.approx(2 * 24_000 * 0.2, abs=8)
        assert host.attempts[0].text == "one two"
        assert post(host, "/audio/speech", {"model": "m", "input": "x" * 4097, "voice": "a"})[0] == 400


def test_a_chat_speaks_when_it_is_asked_to() -> None:
    with FakeHost(answer="one two") as host, openai_client(host) as client:
        whole = client.chat.completions.create(
            model="fake/model", modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"},
            messages=[{"role": "user", "content": "hi"}],
        )  # fmt: skip
        audio = whole.choices[0].message.audio
        assert audio.transcript == "one two"
        stream = client.chat.completions.create(
            model="fake/model", modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"}, stream=True,
            messages=[{"role": "user", "content": "hi"}],
        )  # fmt: skip
        pieces = [(chunk.choices[0].delta.model_dump().get("audio") or {}) for chunk in stream if chunk.choices]
    assert "".join(piece.get("transcript") or "" for piece in pieces) == "one two"
    assert any(piece.get("data") for piece in pieces)


def test_probabilities_come_only_when_they_are_asked_for_and_known() -> None:
    with FakeHost(likely={"A": 0.7, "B": 0.3}) as host, openai_client(host) as client:
        asked: Any = {"model": "fake/model", "messages": [{"role": "user", "content": "hi"}]}
        told = client.chat.completions.create(**asked, logprobs=True, top_logprobs=2)
        assert [row.token for row in told.choices[0].logprobs.content[0].top_logprobs] == ["A", "B"]
        assert told.choices[0].message.content == "A"
        assert client.chat.completions.create(**asked).choices[0].logprobs is None
