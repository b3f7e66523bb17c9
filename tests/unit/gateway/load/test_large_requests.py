"""Requests as large as they are taken: what is kept of them, and that nothing walks through them on the loop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.gates.slow_inputs import CHATS, EXPLAIN, Door, config_of, grown
from tests.unit.gateway.apis.test_streams import until
from tests.unit.gateway.gateway_server import BY_EXECUTOR, GatewayServer

from intermodal.gateway.requests import body_limits
from intermodal.media.text import script_counts
from intermodal.store.rows import PARTS, stored_names
from intermodal.testing import FakeHost


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    with FakeHost(answer="fine") as host:
        path = tmp_path / "intermodal.toml"
        path.write_text(config_of(host.base_url))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            yield house


@pytest.mark.parametrize("turns", [90, 2_000])
@pytest.mark.parametrize("more", [{}, BY_EXECUTOR], ids=["direct", "executor"])
def test_a_row_names_the_first_parts_and_counts_the_others(
    house: GatewayServer, turns: int, more: dict[str, Any]
) -> None:
    """Through the direct path and through the executor."""
    said = [{"role": "user", "content": f"number {number}"} for number in range(turns)]
    found = house.post("/v1/chat/completions", {"model": "cloud/strong", "messages": said, **more})
    assert found.status_code == 200, found.text
    until(lambda: house.gateway.client.store.runs())
    (row,) = house.gateway.client.store.runs()
    assert row.parts[0] == "prompt" and row.parts[PARTS - 1] == f"prompt ({PARTS})"
    assert row.parts[PARTS:] == (f"… and {turns - PARTS:,} more",)


def test_a_long_name_is_cut() -> None:
    assert stored_names(["n" * 5_000, "short"]) == ("n" * 199 + "…", "short")


def test_explain_names_countless_unknown_fields_in_a_head_that_clients_read(house: GatewayServer) -> None:
    body = grown(EXPLAIN, ("fields", 5_000))
    found = house.http.post(body.path, content=body.data, headers={"content-type": body.kind})
    assert found.status_code == 200, found.text
    assert len(found.headers["x-intermodal-ignored"]) <= 1000
    assert found.headers["x-intermodal-ignored"].endswith("more")


class Texts:
    """A regular expression that knows how long the texts were that it was given, each all at once."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self._pattern = pattern
        self.longest = 0

    def findall(self, text: Any) -> Any:
        self.longest = max(self.longest, len(text))
        return self._pattern.findall(text)

    def finditer(self, text: Any) -> Any:  # others have their turn between two strings
        return self._pattern.finditer(text)

    def sub(self, instead: Any, text: Any) -> Any:
        self.longest = max(self.longest, len(text))
        return self._pattern.sub(instead, text)


@pytest.mark.parametrize("door", CHATS, ids=lambda door: door.path)
def test_no_regular_expression_goes_through_a_request_at_once(
    house: GatewayServer, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the interpreter, in whatever thread, and whoever answers a small chat waits for that thirty times."""
    words, strings = Texts(script_counts._PIECES), Texts(body_limits._STRING)
    monkeypatch.setattr(script_counts, "_PIECES", words)
    monkeypatch.setattr(body_limits, "_STRING", strings)
    body = grown(door, ("words", 20_000), ("turns", 300))
    found = house.http.post(body.path, content=body.data, headers={"content-type": body.kind})
    assert found.status_code == 200, found.text
    assert 0 < words.longest <= 8 << 10 and strings.longest <= 8 << 10
