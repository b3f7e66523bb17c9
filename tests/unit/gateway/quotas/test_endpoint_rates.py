"""The rate of an endpoint is drawn by each call of it, whichever way the call came about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply, refusal
from tests.unit.gateway.direct.test_both_paths_openai_chat import GOOD
from tests.unit.gateway.gateway_server import BY_EXECUTOR, GatewayServer, priced

DIRECT_AND_RUN = pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["direct", "executor"])


@contextmanager
def served(
    folder: Path, patch: pytest.MonkeyPatch, rates: str, plays: Mapping[str, ScriptedReply]
) -> Iterator[tuple[GatewayServer, FaultyHost]]:
    """A gateway before two hosts of one model, ``cheap`` and ``dear``, with these rates."""
    with FaultyHost(lambda model, number: plays[model]) as wall:
        path = folder / "intermodal.toml"
        path.write_text(f"{rates}\n{priced('cheap', wall.base_url, 0.1)}\n{priced('dear', wall.base_url, 0.2)}")
        patch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            yield house, wall


def rate(endpoint: str, requests: int) -> str:
    return f'[serve.rates."{endpoint}:cloud/strong"]\nrpm = {requests}\n'


def ask(house: GatewayServer, more: Mapping[str, Any]) -> httpx.Response:
    return house.chat(max_tokens=20, **more)


@DIRECT_AND_RUN
def test_a_fallback_draws_from_its_own_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    with served(tmp_path, monkeypatch, rate("dear", 2), {"cheap": refusal(401), "dear": GOOD}) as (house, wall):
        found = [ask(house, more) for _ in range(4)]
        assert [each.status_code for each in found[:2]] == [200, 200]
        assert wall.asked("dear") == 2, "a third call within a minute is not made"
        assert {each.json()["error"]["code"] for each in found[2:]} == {"credentials_refused"}, "the failure before it"
        assert "the rate that the config of this server allows" in found[2].text


@DIRECT_AND_RUN
def test_the_first_endpoint_draws_once_for_a_call_and_nothing_for_those_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]
) -> None:
    rates = rate("cheap", 3) + rate("dear", 3)
    with served(tmp_path, monkeypatch, rates, {"cheap": GOOD, "dear": GOOD}) as (house, wall):
        found = [ask(house, more).status_code for _ in range(4)]
        assert found == [200, 200, 200, 429]
        assert (wall.asked("cheap"), wall.asked("dear")) == (3, 0)
