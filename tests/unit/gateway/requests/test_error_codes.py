"""The words of errors that programs act on: a code is one of OpenAI's where there is one, a word of ours, or null."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest
from tests.gates.faulty_host import FaultyHost, refusal
from tests.unit.gateway.gateway_server import BY_EXECUTOR, STRONG, GatewayServer, house_before

from intermodal.gateway.http1.http_types import HttpLimits
from intermodal.testing import FakeHost
from intermodal.testing.fake_host import Fault

CHAT = "/v1/chat/completions"
HELLO = [{"role": "user", "content": "hello"}]
LONG = [{"role": "user", "content": "all work and no play " * 20_000}]  # for a context of 32,000
MODEL = "cloud/strong"


@pytest.mark.parametrize(
    ("method", "path", "kind", "body", "status", "code"),
    [("POST", CHAT, "application/json", b"{}", 400, None), ("POST", CHAT, "application/json", b"[", 400, None),
     ("GET", CHAT, "application/json", b"", 405, None), ("POST", CHAT, "text/plain", b"{}", 415, None),
     ("POST", CHAT, "application/json", b" " * 5000, 413, None),
     ("POST", "/v1/audio/transcriptions", "multipart/form-data; boundary=x", b"--y", 400, None),
     ("POST", "/nowhere", "application/json", b"{}", 404, "not_found")],
)  # fmt: skip
def test_a_code_is_a_word_or_null(
    configured: Any, method: str, path: str, kind: str, body: bytes, status: int, code: str | None
) -> None:
    with GatewayServer(limits=HttpLimits(body=4096)) as house:
        found = house.http.request(method, path, content=body, headers={"content-type": kind})
    assert (found.status_code, found.json()["error"]["code"]) == (status, code)


def test_what_failed_inside_has_no_code(house: GatewayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*asked: object, **more: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr("intermodal.gateway.endpoints.chat.plan_request", broken)
    found = house.chat(of_no_client=True)  # so that it is planned and not passed on
    assert (found.status_code, found.json()["error"]["code"]) == (500, None)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("told", ["by the plan", "by the host"])
def test_a_prompt_that_is_too_long_has_openai_s_code(house: GatewayServer, host: FakeHost, told: str) -> None:
    """Frameworks shorten the conversation where they read it."""
    said = LONG
    if told == "by the host":
        host.fault, said = Fault("context"), HELLO
    with openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as client:
        asks: Any = [
            lambda: client.chat.completions.create(model=MODEL, messages=said, max_tokens=9),  # type: ignore[arg-type]
            lambda: client.chat.completions.create(model=MODEL, messages=said, max_tokens=9, stream=True),  # type: ignore[call-overload]
            lambda: client.responses.create(model=MODEL, input=said, max_output_tokens=16),  # type: ignore[arg-type]
        ]
        for ask in asks:
            with pytest.raises(openai.BadRequestError) as failed:
                ask()
            assert (failed.value.code, failed.value.type) == ("context_length_exceeded", "invalid_request_error")
    found = house.post("/v1/messages", {"model": MODEL, "messages": said, "max_tokens": 9})
    assert (found.status_code, found.json()["error"]["type"]) == (400, "invalid_request_error")


def test_another_reason_why_nobody_answers_is_not_a_prompt_that_is_too_long(house: GatewayServer) -> None:
    found = house.chat("hello", model=MODEL, intermodal={"farthest": "machine"})
    assert (found.status_code, found.json()["error"]["code"]) == (400, "no_route")


@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
def test_a_model_that_is_not_there_has_openai_s_code(house: GatewayServer, path: str) -> None:
    said = "input" if path == "/v1/responses" else "messages"
    found = house.post(path, {"model": "no/such", said: HELLO})
    error = found.json()["error"]
    assert (found.status_code, error["code"], error["type"]) == (404, "model_not_found", "invalid_request_error")
    found = house.http.get("/v1/models/no/such")
    assert (found.status_code, found.json()["error"]["code"]) == (404, "model_not_found")
    found = house.post("/v1/messages", {"model": "no/such", "messages": HELLO, "max_tokens": 9})
    assert (found.status_code, found.json()["error"]["type"]) == (404, "not_found_error")


OBJECT = {"type": "object"}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": OBJECT}}
WITH_TOOLS: dict[str, dict[str, Any]] = {
    CHAT: {"messages": HELLO, "tools": [FUNCTION]},
    "/v1/messages": {"messages": HELLO, "max_tokens": 50, "tools": [{"name": "f", "input_schema": OBJECT}]},
    "/v1/responses": {"input": "hello", "tools": [{"type": "function", "name": "f", "parameters": OBJECT}]},
    "/api/chat": {"messages": HELLO, "tools": [FUNCTION], "stream": False},
}


@pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["direct", "executor"])
@pytest.mark.parametrize("path", WITH_TOOLS)
def test_a_host_that_refuses_the_schema_of_a_tool_refuses_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, more: dict[str, Any]
) -> None:
    """Its words are those with which it would refuse the schema of an answer; the client can correct either."""
    what = "Invalid schema for function 'f': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."
    refuses = refusal(400, {"error": {"message": what, "type": "invalid_request_error", "param": "tools[0]"}})
    with (
        FaultyHost(lambda model, number: refuses) as wall,
        house_before(monkeypatch, tmp_path, ("cloud", wall.base_url, STRONG)) as house,
    ):
        found = house.post(path, {"model": MODEL, **WITH_TOOLS[path], **more})
    assert found.status_code == 400 and "Invalid schema for function" in found.text
    assert len(wall.hits) == 1
