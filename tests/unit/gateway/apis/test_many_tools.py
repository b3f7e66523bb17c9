"""Dozens of tools, whose tokens are a range: who may hold them is not refused, and who said no is not asked again."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.desk_tools import desk_tools
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config

from intermodal.testing import FakeHost

TOOLS = desk_tools()  # 2,500 to 7,200 tokens, 4,900 typically
FULL = {
    "error": {
        "message": "the request exceeds the available context size (6000 tokens), try increasing it",
        "type": "exceed_context_size_error",
    }
}


def row(name: str, context: int, price: float) -> str:
    return STRONG.replace("cloud/strong", name).replace("32000", str(context)).replace("0.1", str(price))


@contextmanager
def full_host() -> Iterator[tuple[str, list[str]]]:
    """A host that has no room for anything."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            asked.append(self.path)
            body = json.dumps(FULL).encode()
            self.send_response(400)
            self.send_header("content-length", str(len(body)))
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def house_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *hosts: tuple[str, str, str]) -> GatewayServer:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "intermodal.toml", *hosts)))
    return GatewayServer()


def asked(house: GatewayServer, model: str, **more: Any) -> Any:
    return house.chat("What did I write?", model=model, tools=TOOLS, max_tokens=100, **more)


def test_who_may_hold_the_tools_is_asked_and_it_is_said_that_they_may_be_too_many(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with house_of(monkeypatch, tmp_path, ("small", host.base_url, row("small/one", 4000, 0.1))) as house:
        found = asked(house, "small/one")
    assert found.status_code == 200, found.text
    notes = " ".join(found.json()["usage"]["intermodal"]["notes"])
    assert "36 tools may take" in notes and "of a context of 4,000" in notes
    assert len(json.loads(host.attempts[0].body)["tools"]) == 36


def test_where_not_even_the_fewest_fit_it_is_refused_before_anything_is_sent(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with house_of(monkeypatch, tmp_path, ("small", host.base_url, row("small/one", 2000, 0.1))) as house:
        found = asked(house, "small/one")
    assert found.status_code == 400
    assert "with 36 tools at their fewest" in found.text
    assert not host.attempts


def test_who_surely_has_room_comes_before_who_may_have_it(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = f"{row('small/one', 4000, 0.01)}\n{row('roomy/one', 32000, 0.5)}"
    with house_of(monkeypatch, tmp_path, ("both", host.base_url, rows)) as house:
        assert asked(house, "auto").headers["x-intermodal-route"] == "both:roomy/one"


def test_a_host_that_refuses_the_tools_for_their_length_is_not_asked_again(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with full_host() as (address, reached):
        full = ("full", address, row("small/one", 6000, 0.01))
        roomy = ("roomy", host.base_url, row("roomy/one", 32000, 0.5))
        with house_of(monkeypatch, tmp_path, full, roomy) as house:
            first, second = asked(house, "auto"), asked(house, "auto")
    assert first.status_code == second.status_code == 200, first.text + second.text
    assert [each.headers["x-intermodal-route"] for each in (first, second)] == ["roomy:roomy/one"] * 2, first.text
    assert len(reached) == 1
