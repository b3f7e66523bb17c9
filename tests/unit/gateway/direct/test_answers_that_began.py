"""An answer that fails after it began may have to be paid for, so its endpoint is not asked again, on either path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.gates.faulty_host import BROKEN, HEAD, LAST, ROLE, FaultyHost, ScriptedReply, chunk, delta, sse, usage
from tests.unit.gateway.gateway_server import BY_EXECUTOR, STRONG, GatewayServer, config

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"at"'}}
BUSY = sse({"error": {"message": "slow down", "type": "rate_limit_error", "code": 429}})
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
JSON = {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}}
# What the host sends, and the rest of the request.
BEGUN: Mapping[str, tuple[Sequence[bytes], Mapping[str, Any]]] = {
    "tool call": ((delta(tool_calls=[CALL]), BROKEN), {"tools": [TOOL]}),
    "thought": ((delta(reasoning_content="Let me see"), BROKEN), {}),
    "thought, rate limited": ((delta(reasoning_content="Let me see"), BUSY), {}),
    "thought before JSON": ((delta(reasoning_content="Let me see"), BROKEN), JSON),
}


@pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["direct", "executor"])
@pytest.mark.parametrize("pay_twice", ["true", "false"])
@pytest.mark.parametrize("name", BEGUN)
def test_an_answer_that_began_is_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, pay_twice: str, more: Mapping[str, Any]
) -> None:
    data, body = BEGUN[name]
    play = ScriptedReply((HEAD, chunk(ROLE), *map(chunk, data), LAST), paid=True)
    with FaultyHost(lambda model, number: play) as wall:
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            headers = {"x-intermodal-pay-twice": pay_twice}
            found = house.chat(max_tokens=50, stream=True, headers=headers, **body, **more)
            house.until_written()
            assert found.is_error or '"error"' in found.text
            assert wall.asked("cloud/strong") == 1
            assert [row.state for row in house.gateway.client.store.attempts(-1)] == ["estimated"]


@pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["direct", "executor"])
def test_an_error_after_the_reason_and_the_counts_ends_an_answer_that_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    """It costs what its host counted."""
    events = (ROLE, delta("Paris"), delta(None, "stop"), usage(1), BROKEN)
    with FaultyHost(lambda model, number: ScriptedReply((HEAD, *map(chunk, events), LAST), paid=True)) as wall:
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            found = house.chat(max_tokens=50, stream=True, **more)
            house.until_written()
            assert found.text.endswith("data: [DONE]\n\n") and '"error"' not in found.text
            (row,) = house.gateway.client.store.attempts(-1)
            assert (row.state, row.spent) == ("settled", pytest.approx((7 * 0.1 + 1 * 0.4) / 1e6))
