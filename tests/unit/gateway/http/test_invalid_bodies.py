"""Bodies that no model could answer: text that is none, and chats in which nobody says anything."""

from __future__ import annotations

import pytest
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.testing import FakeHost

pytestmark = pytest.mark.usefixtures("either_way")

CHATS = {
    "/v1/chat/completions": "messages",
    "/v1/responses": "input",
    "/v1/messages": "messages",
    "/api/chat": "messages",
}


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize(
    ("text", "word"),
    [(b"caf\xe9", "text that is not UTF-8 (byte 0xe9); send it in UTF-8"),
     (rb"a \ud83d b", r"half a character: \ud83d without its other half; escape both halves"),
     (rb"a\ud83d", r"half a character: \ud83d without"), (rb"\ude00\ud83d\ude00", r"half a character: \ude00 without"),
     (b'"', "the body is not a JSON object"), (rb"\ud83d\ude00" b'"', "the body is not a JSON object")],
)  # fmt: skip
def test_text_that_is_none_is_said_to_be_none(
    house: GatewayServer, host: FakeHost, path: str, text: bytes, word: str
) -> None:
    start = b'{"model": "cloud/strong", "max_tokens": 9, "' + CHATS[path].encode()
    body = start + b'": [{"role": "user", "content": "' + text + b'"}]}'
    for _ in range(2):
        found = house.http.post(path, content=body, headers={"content-type": "application/json"})
        assert found.status_code == 400, found.text
        told = found.json()["error"]
        told = told if path == "/api/chat" else told["message"]
        assert word in told and "codec" not in told
    assert host.attempts == []


@pytest.mark.parametrize("path", CHATS)
@pytest.mark.parametrize(
    ("said", "word"),
    [([""], "[0] says nothing"), ([" \n\t"], "[0] says nothing"), (["", " "], "[0] to %s[1] say nothing"),
     ([[{"type": "text", "text": " "}]], "[0] says nothing"), ([[]], "[0] says nothing"),
     ([None], "[0] says nothing"), ([], "there are no messages")],
)  # fmt: skip
def test_a_chat_without_text_is_refused_and_not_billed(
    house: GatewayServer, host: FakeHost, path: str, said: list[object], word: str
) -> None:
    name = CHATS[path]
    given = [{"role": "user"} if each is None else {"role": "user", "content": each} for each in said]
    more: dict[str, object] = {"max_tokens": 9} if path == "/v1/messages" else {}
    for _ in range(2):
        found = house.post(path, {"model": "cloud/strong", name: given, **more})
        assert found.status_code == 400, found.text
        if path in ("/v1/responses", "/v1/messages") and said == [None]:
            word = "'content' is missing"
        if path == "/api/chat" and said and isinstance(said[0], list):
            word = "content must be a string"
        told = word if word[0] != "[" else name + word.replace("%s", name)
        assert told in found.text
    assert host.attempts == []


def test_an_input_that_is_one_text_may_not_be_empty(house: GatewayServer, host: FakeHost) -> None:
    found = house.post("/v1/responses", {"model": "cloud/strong", "input": " "})
    assert found.status_code == 400 and "input says nothing" in found.json()["error"]["message"]
    assert host.attempts == []


@pytest.mark.parametrize("path", CHATS)
def test_who_says_nothing_between_others_is_left_out(house: GatewayServer, host: FakeHost, path: str) -> None:
    given = [("user", "hi"), ("assistant", "hello"), ("user", " ")]
    said = {"model": "cloud/strong", CHATS[path]: [{"role": role, "content": text} for role, text in given]}
    found = house.post(path, said | ({"max_tokens": 9} if path == "/v1/messages" else {}))
    assert found.status_code == 200, found.text
    assert [each["role"] for each in host.attempts[-1].json["messages"]] == ["user", "assistant"]
