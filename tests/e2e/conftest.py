"""A client, and two real llama.cpp servers for the whole session: one that takes text, one that sees as well."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.e2e.servers import EYE, LlamaServer, llama_server

from intermodal.client.async_client import AsyncClient


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    """A client in the environment that the test has made by then."""
    async with AsyncClient() as made:
        yield made


@pytest.fixture(scope="session")
def text_server() -> Iterator[LlamaServer]:
    with llama_server() as server:
        yield server


@pytest.fixture(scope="session")
def eye_server() -> Iterator[LlamaServer]:
    with llama_server(eye=EYE) as server:
        yield server


@pytest.fixture
def both(
    text_server: LlamaServer, eye_server: LlamaServer, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[LlamaServer, LlamaServer]:  # fmt: skip
    """A user who has both in the config, as hosts ``text`` and ``eye``. What reached them before is forgotten."""
    for server in (text_server, eye_server):
        server.record.forget()
    configure(tmp_path_factory, monkeypatch, text_server.row("text"), eye_server.row("eye"))
    return text_server, eye_server


@pytest.fixture
def no_eye(
    text_server: LlamaServer, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> LlamaServer:
    """A user who has the server that takes text only."""
    text_server.record.forget()
    configure(tmp_path_factory, monkeypatch, text_server.row("text"))
    return text_server


def configure(folders: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, *rows: str) -> Path:
    path = folders.mktemp("config") / "intermodal.toml"
    path.write_text("\n".join(rows))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return path


@pytest.fixture
def counting_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on a busy machine may take as long as it needs to count."""
    monkeypatch.setattr("intermodal.executor.preparation.server_tokens.SECONDS", 120.0)
