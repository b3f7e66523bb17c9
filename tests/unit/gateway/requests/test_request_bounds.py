"""What one request may hold, and what is said to one that holds more."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import SEEING, STRONG, VECTORS, GatewayServer, config

from intermodal.gateway.http1.http_types import HttpLimits
from intermodal.gateway.requests.body_limits import MAX_DEPTH, MAX_FIELDS
from intermodal.gateway.state import conversations
from intermodal.testing import FakeHost
from intermodal.testing.images import png

TEXT, MEDIA = 200_000, 20
CHATS = ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/chat")
DOORS = (*CHATS, "/v1/explain", "/v1/messages/count_tokens")
PICTURE = base64.b64encode(png("a fake")).decode()


@pytest.fixture
def house(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, f"{STRONG}\n{SEEING}\n{VECTORS}"))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer(limits=HttpLimits(text=TEXT, media=MEDIA)) as served:
        yield served


def said(path: str, content: Any = "What is it?", **more: Any) -> dict[str, Any]:
    field = "input" if path == "/v1/responses" else "messages"
    tree = {"model": "cloud/strong", "stream": False, field: [{"role": "user", "content": content}], **more}
    return {**tree, "max_tokens": 50} if path == "/v1/messages" else tree


def pictures(path: str, count: int) -> dict[str, Any]:
    uri = f"data:image/png;base64,{PICTURE}"
    part: dict[str, Any] = {"type": "image_url", "image_url": {"url": uri}}
    if path.startswith("/v1/messages"):
        part = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}
    elif path == "/v1/responses":
        part = {"type": "input_image", "image_url": uri}
    if path == "/api/chat":
        message = {"role": "user", "content": "What are they?", "images": [PICTURE] * count}
        return {"model": "cloud/seeing", "stream": False, "messages": [message]}
    words = {"type": "input_text" if path == "/v1/responses" else "text", "text": "What are they?"}
    return {**said(path, [*[part] * count, words]), "model": "cloud/seeing"}


@pytest.mark.parametrize("path", DOORS)
def test_more_text_than_is_taken_is_refused_before_it_is_read(house: GatewayServer, host: FakeHost, path: str) -> None:
    found = house.post(path, said(path, "some words " * (TEXT // 11)))
    assert found.status_code == 413, found.text
    assert "besides images, sound and other media" in found.text and "max_text" in found.text
    assert not host.attempts


@pytest.mark.parametrize("path", [path for path in DOORS if path != "/v1/messages/count_tokens"])
def test_media_are_no_text(house: GatewayServer, path: str) -> None:
    sound = base64.b64encode(bytes(TEXT)).decode()
    tree = json.loads(json.dumps(pictures(path, 1)).replace(PICTURE, sound))
    found = house.post(path, tree)
    assert "besides images" not in found.text, found.text


@pytest.mark.parametrize("path", DOORS)
def test_more_pictures_than_are_taken_are_refused(house: GatewayServer, host: FakeHost, path: str) -> None:
    found = house.post(path, pictures(path, MEDIA + 1))
    assert found.status_code == 413, found.text
    assert f"{MEDIA} are taken" in found.text and "max_media" in found.text
    assert not host.attempts


@pytest.mark.parametrize("open_, close", [('{"a":', "}"), ("[", "]")])
@pytest.mark.parametrize("path", [*DOORS, "/v1/embeddings"])
def test_what_is_nested_deeper_than_is_taken_is_refused_in_words(
    house: GatewayServer, path: str, open_: str, close: str
) -> None:
    tree = {"model": "cloud/vectors", "input": "x"} if path == "/v1/embeddings" else said(path)
    for depth in (MAX_DEPTH, 20_000):
        nested = open_ * depth + "1" + close * depth
        body = json.dumps({**tree, "metadata": 0, "moderation": "HERE"}).replace('"HERE"', nested)
        found = house.http.post(path, content=body, headers={"content-type": "application/json"})
        assert found.status_code == 400, found.text
        assert f"more than {MAX_DEPTH} objects and arrays in each other" in found.text


def test_a_body_of_the_largest_allowed_depth_is_accepted(house: GatewayServer) -> None:
    nested: Any = 1
    for _ in range(MAX_DEPTH - 1):
        nested = {"a": nested}
    assert house.chat(moderation=nested).status_code == 200


def test_brackets_in_words_nest_nothing(house: GatewayServer) -> None:
    assert house.chat("[" * 5_000 + '\\"{' * 5_000, moderation=1).status_code == 200


def test_more_fields_than_any_api_has_are_refused(house: GatewayServer) -> None:
    found = house.chat(**{f"f{number}": 1 for number in range(MAX_FIELDS)})
    assert found.status_code == 400 and f"more than {MAX_FIELDS:,} fields" in found.text


def test_items_that_are_named_count_as_often_as_they_are_named(
    house: GatewayServer, host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answer = " ".join(f"word {number}" for number in range(1_000))
    first = house.post("/v1/responses", {"model": "cloud/strong", "input": "Tell me all."}).json()
    name = next(item["id"] for item in first["output"] if item["type"] == "message")

    def ask(times: int) -> Any:
        named = [{"type": "item_reference", "id": name} for _ in range(times)]
        question = {"role": "user", "content": "And?"}
        return house.post("/v1/responses", {"model": "cloud/strong", "input": [*named, question]})

    monkeypatch.setattr(conversations, "MAX_REFERENCED_BYTES", 40_000)
    assert ask(1).status_code == 200
    found = ask(10)
    assert found.status_code == 413 and "items that are named" in found.text


@pytest.mark.parametrize("path", CHATS)
def test_a_conversation_of_thousands_of_messages_reaches_the_host_whole(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    rows = STRONG.replace("32000", "1000000")
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "intermodal.toml", ("cloud", host.base_url, rows))))
    turns = [{"role": ("user", "assistant")[number % 2], "content": f"turn {number}"} for number in range(3_001)]
    field = "input" if path == "/v1/responses" else "messages"
    with GatewayServer() as house:
        found = house.post(path, {**said(path), field: turns})
        assert found.status_code == 200, found.text
        [attempt] = host.attempts
        sent = json.loads(attempt.body)["messages"]
        assert [message["role"] for message in sent] == [turn["role"] for turn in turns]
        assert sent[-1]["content"] == "turn 3000"


def test_the_config_says_how_much_is_taken(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = "[serve]\nmax_text = 1\nmax_media = 3\n"
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, f"{STRONG}\n{SEEING}"), more=more)
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    with GatewayServer() as house:
        assert house.chat("some words " * 110_000).status_code == 413
        assert house.post(DOORS[0], pictures(DOORS[0], 4)).status_code == 413
        assert house.post(DOORS[0], pictures(DOORS[0], 3)).status_code == 200
