"""What is said of a chat before anything is sent: its plan, and that its schema is none."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.gateway.apis.test_chat import image, picture
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.testing import FakeHost

pytestmark = pytest.mark.usefixtures("either_way")


@pytest.mark.parametrize(
    "schema", [{"type": "obj"}, {"$ref": "#/nope"}, {"minimum": "x"}, {"$ref": "https://x.example/s"}]
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat"])
def test_a_schema_that_is_none_is_refused_before_anything_is_sent(
    house: GatewayServer, host: FakeHost, path: str, schema: dict[str, Any]
) -> None:
    messages = {"messages": [{"role": "user", "content": "JSON"}]}
    asked: dict[str, Any] = {
        "/v1/chat/completions": {
            **messages, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        },
        "/v1/responses": {"input": "JSON", "text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}},
        "/v1/messages": {
            **messages, "max_tokens": 100, "output_config": {"format": {"type": "json_schema", "schema": schema}},
        },
        "/api/chat": {**messages, "format": schema},
    }  # fmt: skip
    found = house.post(path, {"model": "cloud/strong", **asked[path]})
    assert found.status_code == 400 and "the schema" in found.text, found.text
    assert not host.attempts


@pytest.mark.parametrize("words", ["openai", "responses", "anthropic", "ollama"])
def test_a_chat_is_explained_in_the_format_of_every_api(house: GatewayServer, host: FakeHost, words: str) -> None:
    asked, url, data = "What is this?", picture(), picture().partition(",")[2]
    source = {"type": "base64", "media_type": "image/png", "data": data}
    given: dict[str, Any] = {
        "openai": {"messages": [{"role": "user", "content": [{"type": "text", "text": asked}, image(url)]}]},
        "responses": {"input": [{"role": "user", "content": [
            {"type": "input_text", "text": asked}, {"type": "input_image", "image_url": url},
        ]}]},
        "anthropic": {"max_tokens": 50, "messages": [{"role": "user", "content": [
            {"type": "text", "text": asked}, {"type": "image", "source": source},
        ]}]},
        "ollama": {"messages": [{"role": "user", "content": asked, "images": [data]}]},
    }[words]  # fmt: skip
    headers = {"anthropic_version": "2023-06-01"} if words == "anthropic" else {}
    found = house.post("/v1/explain", {"model": "cloud/seeing", **given}, **headers)
    assert found.status_code == 200, found.text
    assert [taken["kind"] for taken in found.json()["plan"]["chosen"]["takes"]] == ["image"]
    assert not host.attempts


@pytest.mark.parametrize("by", ["direct", "executor"])
def test_options_of_ollama_s_that_nobody_is_told_are_named(house: GatewayServer, host: FakeHost, by: str) -> None:
    options = {"temperature": 0.5, "top_k": 3, "num_ctx": 4096}
    tree = {"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}], "options": options}
    found = house.post("/api/chat", tree | ({} if by == "direct" else {"think": False}))
    assert found.headers["x-intermodal-ignored"].split(", ")[:2] == ["options.num_ctx", "options.top_k"]
    assert host.attempts[-1].json["temperature"] == 0.5
