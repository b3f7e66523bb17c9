"""What clients of Ollama look for beside the words: a server that is there, times, and names with a tag."""

from __future__ import annotations

import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.gateway_server import STRONG, Before, GatewayServer, config, through_the_executor

from intermodal import client_apis
from intermodal.testing import FakeHost

pytestmark = pytest.mark.usefixtures("either_way")

HELLO = [{"role": "user", "content": "hello there"}]


def test_a_server_is_there(house: GatewayServer) -> None:
    for method in ("GET", "HEAD"):
        found = house.http.request(method, "/")
        assert (found.status_code, found.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert house.http.get("/").text
    assert house.http.post("/").status_code == 405
    assert house.http.get("/nowhere").status_code == 404


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("direct", [True, False], ids=["direct", "executor"])
@pytest.mark.parametrize("protocol", ["ollama", "anthropic"])
def test_an_answer_says_how_long_it_took(before: Before, protocol: str, direct: bool, stream: bool) -> None:
    """As its host says it, or as it was measured here; what nobody measured is not said."""
    house, vendor = before(protocol)
    through_the_executor(house.gateway, every=not direct)
    began = time.monotonic()
    found = house.post("/api/chat", {"model": "vendor/opus", "messages": HELLO, "stream": stream})
    took = time.monotonic() - began
    last = json.loads(found.text.splitlines()[-1])
    assert last["prompt_eval_count"] == vendor.attempts[-1].input_tokens
    assert last["eval_count"] == vendor.attempts[-1].output_tokens
    if protocol == "ollama" and direct:
        assert house.taken == 1 and (last["total_duration"], last["eval_duration"]) == (5, 1)
    else:
        assert last["total_duration"] == round(last["intermodal"]["seconds"] * 1e9) <= (took + 0.001) * 1e9
        assert "eval_duration" not in last


def test_each_line_has_its_own_time(house: GatewayServer, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = itertools.count()

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(2026, 11, 26, tzinfo=UTC) + timedelta(seconds=next(seconds))

    monkeypatch.setattr(client_apis, "datetime", Clock)
    found = house.post("/api/chat", {"model": "cloud/strong", "messages": HELLO})
    times = [json.loads(line)["created_at"] for line in found.text.splitlines()]
    assert len(times) > 3 and times == sorted(set(times))


@pytest.mark.parametrize("name", ["cloud/strong", "gpt-4o", "auto", "policy:once", "cloud:cloud/strong"])
def test_a_name_may_have_the_tag_that_clients_add(house: GatewayServer, host: FakeHost, name: str) -> None:
    asked = {"model": f"{name}:latest", "messages": HELLO, "stream": False}
    for _ in range(2):
        found = house.post("/api/chat", asked)
        assert found.status_code == 200, found.text
        assert found.json()["model"] == f"{name}:latest"
        if name != "auto":
            assert found.headers["x-intermodal-route"] == "cloud:cloud/strong"
    if not name.startswith("cloud:"):
        assert house.post("/api/show", {"model": f"{name}:latest"}).status_code == 200
    assert house.post("/api/chat", {**asked, "model": "no/such:latest"}).status_code == 404
    assert house.post("/api/show", {"model": "no/such:latest"}).status_code == 404


def test_a_model_that_has_the_tag_in_its_name_is_that_one(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = f"{STRONG}\n{STRONG.replace('cloud/strong', 'cloud/strong:latest')}"
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "intermodal.toml", ("cloud", host.base_url, rows))))
    with GatewayServer() as house:
        for name in ("cloud/strong:latest", "cloud/strong"):
            found = house.post("/api/chat", {"model": name, "messages": HELLO, "stream": False})
            assert found.headers["x-intermodal-route"] == f"cloud:{name}"
