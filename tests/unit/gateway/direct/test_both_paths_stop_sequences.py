"""How many words an answer may stop at is the protocol's to say, on the direct path as through the executor."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.gateway.gateway_server import Before, GatewayServer
from tests.unit.gateway.requests.test_client_fields import asked

FIVE = ["one", "two", "three", "four", "five"]


def test_a_host_of_openai_is_asked_for_no_more_than_four_words_to_stop_at(house: GatewayServer) -> None:
    four = asked("/v1/chat/completions", model="cloud/strong", stop=FIVE[:4])
    assert house.post("/v1/chat/completions", four).status_code == 200
    assert house.taken == 1
    found = house.post("/v1/chat/completions", four | {"stop": FIVE})
    assert found.status_code == 400
    assert "more than 4 stop words" in found.text
    assert house.taken == 1


@pytest.mark.parametrize(
    ("protocol", "path", "more"),
    [
        ("anthropic", "/v1/messages", {"stop_sequences": FIVE}),
        ("ollama", "/api/chat", {"options": {"stop": FIVE}}),
    ],
)
def test_other_hosts_take_more_words_to_stop_at(before: Before, protocol: str, path: str, more: dict[str, Any]) -> None:
    house, vendor = before(protocol)
    assert house.post(path, asked(path, **more)).status_code == 200
    assert house.taken == 1
    sent = vendor.attempts[-1].json
    assert sent.get("stop_sequences") == FIVE or sent["options"]["stop"] == FIVE
