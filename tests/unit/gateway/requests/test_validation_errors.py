"""What is said of a request that is refused: the client's own names, what is wrong, what there is instead."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.gateway.gateway_server import BY_EXECUTOR, Before, GatewayServer

from intermodal.testing import FakeHost

CHAT, RESPONSES, MESSAGES, OLLAMA = "/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat"
SPEECH, PICTURES, VECTORS = "/v1/audio/speech", "/v1/images/generations", "/v1/embeddings"
BODIES: dict[str, dict[str, Any]] = {
    SPEECH: {"input": "x"}, PICTURES: {"prompt": "x"}, VECTORS: {"input": "x"}, RESPONSES: {"input": "hello"},
}  # fmt: skip
SOUND = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "ogg"}}


def user(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


def result(*content: Any) -> dict[str, Any]:
    use = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    turns = [{"role": "assistant", "content": [use]}]
    return {"messages": [*turns, *user({"type": "tool_result", "tool_use_id": "c", "content": content})["messages"]]}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    # a place of ours in place of the client's name
    (CHAT, {"temperature": "hot"}, "temperature: expected `float | null`, got `str`"),
    (RESPONSES, {"max_output_tokens": "x"}, "max_output_tokens: expected"),
    (MESSAGES, {"temperature": "hot"}, "temperature: expected"),
    (OLLAMA, {"options": {"num_predict": "x"}}, "options.num_predict: expected"),
    (CHAT, user(SOUND), "input_audio.format must be one of mp3, wav, not 'ogg'"),
    (RESPONSES, {"input": user(SOUND)["messages"]}, "input_audio.format must be one of mp3, wav, not 'ogg'"),
    (CHAT, {"modalities": ["audio"], "audio": {"voice": 1, "format": "wav"}}, "audio.voice: expected `str`"),
    (CHAT, {"modalities": ["audio"], "audio": {"voice": "a", "format": "opus"}},
     "audio.format is 'opus', and may be wav, mp3 or pcm16"),
    (PICTURES, {"n": "two"}, "n: expected `int`"),
    (PICTURES, {"quality": "best"}, "quality is 'best', and may be auto, standard, hd, low, medium or high"),
    # a fragment
    (CHAT, {"messages": [{"role": "tool", "tool_call_id": "c", "content": [SOUND | {"input_audio": "aGk="}]}]},
     "a tool's result has words alone here: send its media in a message of the user"),
    (CHAT, {"tools": [{"type": "web_search"}]}, "a tool of type 'web_search', which only its vendor runs"),
    (MESSAGES, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "which only its vendor runs: leave it out"),
    (RESPONSES, {"input": [{"type": "web_search_call", "id": "w"}]}, "is not read here: leave it out. There are"),
    (CHAT, {"messages": [{"role": "critic", "content": "x"}]},
     "the role 'critic', which is not one of system, developer, user, assistant, tool, function"),
    (RESPONSES, {"input": [{"role": "tool", "content": "x"}]}, "the role 'tool', which is not one of"),
    (MESSAGES, {"messages": [{"role": "tool", "content": "x"}]},
     "the role 'tool', which is not one of user, assistant"),
    (OLLAMA, {"messages": [{"role": "function", "content": "x"}]}, "the role 'function', which is not one of system"),
    (CHAT, {"tool_choice": "bogus"}, "tool_choice is 'bogus', and may be auto, none, required"),
    (MESSAGES, {"tool_choice": {"type": "bogus"}}, "whose type is one of auto, any, tool, none"),
    (MESSAGES, {"tool_choice": "auto"}, "an object whose type is one of auto, any, tool, none"),
    (CHAT, user({"type": "file", "file": {"file_id": "file-1"}}), "file_id names a file that is kept elsewhere"),
    (RESPONSES, {"input": user({"type": "input_file", "file_id": "file-1"})["messages"]}, "file_id names a file"),
    (RESPONSES, {"input": user({"type": "input_image", "file_id": "file-1"})["messages"]}, "file_id names an image"),
    (CHAT, user({"type": "sculpture"}), "a part of type 'sculpture' is not read here: there are text, image_url"),
    (SPEECH, {"response_format": "opus"}, "response_format is 'opus', and may be mp3 or wav"),
    (VECTORS, {"encoding_format": "hex"}, "encoding_format is 'hex', and may be float or base64"),
    (OLLAMA, {"format": "xml"}, "format is 'xml', and may be json, or a JSON schema"),
    (MESSAGES, {"stop_sequences": "END"}, "stop_sequences must be an array"),
    (CHAT, {"stop": {"END": 1}}, "stop must be a string or an array of strings"),
    (CHAT, {"n": 2}, "leave n out"),
    (MESSAGES, user({"type": "search_result", "content": []}), "a block of type 'search_result' is not read here"),
    (MESSAGES, result({"type": "search_result", "content": []}), "a block of type 'search_result' is not read here"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "change", "said"), WRONG, ids=[f"{path} {said[:30]}" for path, _, said in WRONG])
def test_what_is_wrong_is_said_in_the_words_of_the_client(
    house: GatewayServer, host: FakeHost, path: str, change: dict[str, Any], said: str
) -> None:
    usual = BODIES.get(path, {"messages": [{"role": "user", "content": "hello"}]})
    limit = {"max_tokens": 50} if path == MESSAGES else {}
    found = house.post(path, {"model": "cloud/strong", **usual, **limit, **change})
    error = found.json()["error"]
    message = error if isinstance(error, str) else error["message"]
    assert found.status_code == 400 and said in message, message
    assert "$." not in message
    assert host.attempts == []


def test_a_block_that_is_not_read_is_refused_before_its_own_vendor_is_asked(before: Before) -> None:
    house, vendor = before("anthropic")
    tree = {"model": "vendor/opus", "max_tokens": 50, **user({"type": "search_result", "content": []})}
    assert "is not read here" in house.post(MESSAGES, {**tree, **BY_EXECUTOR}).text
    assert vendor.attempts == []


def test_who_asks_over_http_is_sent_to_what_is_there(house: GatewayServer) -> None:
    unknown = house.chat(model="no/such-model").json()["error"]["message"]
    assert "see /v1/models" in unknown and "intermodal models" not in unknown
    refused = house.chat(model="openai/gpt-4o").json()["error"]["message"]
    assert ";)" not in refused and "intermodal models" not in refused, refused
    picture = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/a.png"}}
    blocked = house.chat([picture, {"type": "text", "text": "?"}], model="cloud/seeing").json()["error"]["message"]
    assert "path" not in blocked, blocked
