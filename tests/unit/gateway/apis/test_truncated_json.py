"""JSON that the client's own limit cuts: an answer that is cut, as with its vendor, and no failure of the server."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel
from tests.unit.gateway.gateway_server import GatewayServer, sse

from intermodal.testing import FakeHost


class Place(BaseModel):
    city: str
    country: str


WHOLE = '{"city": "Paris", "country": "France"}'
SCHEMA = {"type": "json_schema", "name": "place", "schema": Place.model_json_schema()}
WAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {
        "max_tokens": 2, "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    }),
    "responses": ("/v1/responses", {"max_output_tokens": 2, "text": {"format": SCHEMA}}),
    "messages": ("/v1/messages", {"max_tokens": 2, "output_config": {"format": SCHEMA}}),
    "ollama": ("/api/chat", {"options": {"num_predict": 2}, "format": Place.model_json_schema()}),
}  # fmt: skip


def end_of(way: str, tree: dict[str, Any]) -> tuple[str, str]:
    """What was said, and why no more."""
    if way == "chat":
        return tree["choices"][0]["message"]["content"], tree["choices"][0]["finish_reason"]
    if way == "responses":
        return tree["output"][0]["content"][0]["text"], tree["incomplete_details"]["reason"]
    if way == "messages":
        return tree["content"][0]["text"], tree["stop_reason"]
    return tree["message"]["content"], tree["done_reason"]


@pytest.mark.parametrize("way", WAYS)
def test_json_that_is_cut_is_said_as_far_as_it_goes(house: GatewayServer, host: FakeHost, way: str) -> None:
    host.answer = WHOLE
    path, asked = WAYS[way]
    given = {"input": "Where is it?"} if way == "responses" else {"messages": [{"role": "user", "content": "Where?"}]}
    found = house.post(path, {"model": "cloud/strong", "stream": False, **given, **asked})
    assert found.status_code == 200, found.text
    said, why = end_of(way, found.json())
    assert said and WHOLE.startswith(said) and len(said) < len(WHOLE)
    assert why in ("length", "max_tokens", "max_output_tokens")
    assert float(found.headers["x-intermodal-cost"]) > 0


def test_a_stream_of_json_that_is_cut_ends_as_one_that_is_cut(house: GatewayServer, host: FakeHost) -> None:
    host.answer = WHOLE
    stream = sse(house.chat(stream=True, **WAYS["chat"][1]).text)
    assert stream.done and not any("error" in event for event in stream.events)
    assert stream.events[-1]["choices"][0]["finish_reason"] == "length"


def test_openai_s_client_knows_it(house: GatewayServer, host: FakeHost) -> None:
    host.answer = WHOLE
    with (
        openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0) as client,
        pytest.raises(openai.LengthFinishReasonError),
    ):
        client.chat.completions.parse(
            model="cloud/strong", messages=[{"role": "user", "content": "?"}], response_format=Place, max_tokens=2
        )


def test_json_that_is_whole_and_wrong_is_an_error_still(house: GatewayServer, host: FakeHost) -> None:
    host.answer = '{"city": "Paris"}'
    found = house.chat(**{**WAYS["chat"][1], "max_tokens": 50})
    assert found.status_code == 502 and "breaks the schema" in found.text
