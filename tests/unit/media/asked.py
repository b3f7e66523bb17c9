"""A PDF that a client of the gateway asks a text model about, and what comes of it."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import httpx
import pytest
from tests.unit.gateway.gateway_server import GatewayServer, config

from intermodal.testing import FakeHost

_MODEL = 'id = "desk/plain"; input = ["text"]; context = 32000; tier = "medium"'


def asked_about(
    question: str, data: bytes, host: FakeHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> httpx.Response:
    """The answer of the one model there is, which a host on this machine serves."""
    path = config(folder / "intermodal.toml", ("desk", host.base_url, _MODEL))
    path.write_text(path.read_text().replace('zone = "internet"', 'zone = "machine"'))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    address = f"data:application/pdf;base64,{b64encode(data).decode()}"
    content = [
        {"type": "text", "text": question},
        {"type": "file", "file": {"filename": "file.pdf", "file_data": address}},
    ]
    with GatewayServer() as house:
        return house.chat(content, model="desk/plain")
