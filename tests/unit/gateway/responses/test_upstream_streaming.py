"""How a host is asked on behalf of a client: as a stream where somebody reads along."""

from __future__ import annotations

from tests.unit.gateway.gateway_server import GatewayServer, until

from intermodal.testing import FakeHost


def test_a_short_answer_that_nobody_reads_along_is_asked_for_whole(house: GatewayServer, host: FakeHost) -> None:
    whole = house.chat(max_tokens=100)
    assert whole.json()["choices"][0]["message"]["content"] == "the hosted answer"
    assert host.attempts[-1].json.get("stream") is not True
    assert whole.json()["usage"]["completion_tokens"] > 0
    until(lambda: house.gateway.client.store.attempts(1))
    row = house.gateway.client.store.attempts(1)[0]
    assert row.state == "settled"
    assert row.outcome is not None
    assert row.outcome.first_seconds is None  # its first word came with its last, and says nothing of waiting


def test_a_long_answer_shows_signs_of_life_though_nobody_reads_along(house: GatewayServer, host: FakeHost) -> None:
    said = house.chat(max_tokens=16000)
    assert said.json()["choices"][0]["message"]["content"] == "the hosted answer"
    assert host.attempts[-1].json["stream"] is True


def test_who_reads_along_gets_a_stream_from_a_stream(house: GatewayServer, host: FakeHost) -> None:
    said = house.chat(max_tokens=100, stream=True)
    assert "[DONE]" in said.text
    assert host.attempts[-1].json["stream"] is True
