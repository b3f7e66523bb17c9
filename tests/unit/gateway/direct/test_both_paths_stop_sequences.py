"""Words at which an answer stops, on the direct path as through the executor: how many a protocol takes, and how an
Anthropic client learns which of them ended its answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.gateway.direct.both_paths import BothPaths, Case, unlike
from tests.unit.gateway.direct.test_both_paths_thoughts import blocks, case, stream, whole_message
from tests.unit.gateway.gateway_server import Before, GatewayServer
from tests.unit.gateway.requests.test_client_fields import asked

FIVE = ["one", "two", "three", "four", "five"]
ENDED: Mapping[str, Any] = {"reason": "stop_sequence", "stop": "END"}
CASES: Mapping[str, Case] = {
    "whole": case("messages", whole_message({"type": "text", "text": "Paris"}, **ENDED), live=False),
    "live": case("messages", stream("messages", blocks((0, "text", "Paris"), **ENDED))),
    "rewritten": case(  # a whole answer that the direct path decodes and writes again
        "messages", whole_message({"type": "text", "text": "Paris", "odd": [1]}, **ENDED), live=True
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_anthropic_client_learns_which_words_ended_its_answer(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []
    for way in ("direct", "executor"):
        beside.ask(way, name)
        compact = beside.text.replace(" ", "")
        assert '"stop_reason":"stop_sequence"' in compact and '"stop_sequence":"END"' in compact


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
