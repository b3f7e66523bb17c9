"""A server that may answer counts the text exactly before the plan is made; explaining asks nobody."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.small_gguf import sentence_vocabulary, write_sentences
from tests.e2e.tokenizer import served as running

from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.catalog.types import TextCounter
from intermodal.client.async_client import AsyncClient
from intermodal.config.config_file import Config
from intermodal.core.content import Text
from intermodal.core.request import Message, Policy, Request
from intermodal.local.tokenizers.token_counter import tokenizer_from_gguf

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.usefixtures("counting_takes_its_time")]
WORDS = "It was the best of times, it was the worst of times; it was the age of wisdom. " * 40
NAME = "server box:acme/talker-70b"


def request(text: str = WORDS, **policy: Any) -> Request:
    return Request(messages=(Message(role="user", parts=(Text(text=text),)),), policy=Policy(**policy))


def client(base_url: str, counter: TextCounter, **more: Any) -> AsyncClient:
    row = ServedRow(id="acme/talker-70b", served_as="talker", context=8192, input_mtok=1.0, output_mtok=2.0)
    host = {"id": "box", "base_url": base_url, "counts_text": counter, "models": (row,), **more}
    return AsyncClient(Config(hosts=(HostRow(**host),)))


class Counted:
    """What a server of our own was asked."""

    def __init__(self, reply: bytes, status: int = 200) -> None:
        self.asked: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers["content-length"])
                outer.asked.append({"path": self.path, **json.loads(self.rfile.read(size))})
                self.send_response(status)
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Counted:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    path = tmp_path_factory.mktemp("weights") / "small.gguf"
    write_sentences(path, sentence_vocabulary(), prefix=True)
    with running(path) as url:
        yield url, path


async def test_llama_cpp_counts_as_its_vocabulary_does(served: tuple[str, Path]) -> None:
    url, path = served
    exact = len(tokenizer_from_gguf(path).encode(WORDS).ids)
    async with client(f"{url}/v1", "llama.cpp") as mine:
        assert NAME not in (await mine.prepare(request())).inputs.facts.parts[0].tokens, "explain asks nobody"
        counted = (await mine.prepare(request(), counting=True)).inputs
        assert counted.facts.parts[0].tokens[NAME] == exact
        again = (await mine.prepare(request())).inputs  # what is known already is used
        assert again.facts.parts[0].tokens[NAME] == exact
        made = await mine.plan(request(model="box:acme/talker-70b"))
    last = made.chosen.answering.estimate.input_tokens
    assert exact <= last.low <= last.high <= exact + 60  # but for the chat template


async def test_vllm_is_told_which_model_and_gives_a_number() -> None:
    with Counted(b'{"count": 777, "max_model_len": 8192, "tokens": []}') as server:
        async with client(server.url, "vllm") as mine:
            facts = (await mine.prepare(request(), counting=True)).inputs.facts
    assert facts.parts[0].tokens[NAME] == 777
    (asked,) = server.asked
    assert (asked["path"], asked["model"], asked["prompt"]) == ("/tokenize", "talker", WORDS)


@pytest.mark.parametrize(("reply", "status"), [(b"{}", 200), (b"not json", 200), (b'{"count": 1}', 500)])
async def test_a_server_that_tells_nothing_is_no_reason_to_fail(reply: bytes, status: int) -> None:
    with Counted(reply, status) as server:
        async with client(server.url, "vllm") as mine:
            facts = (await mine.prepare(request(), counting=True)).inputs.facts
    assert NAME not in facts.parts[0].tokens


async def test_a_server_that_told_nothing_is_not_asked_of_the_same_again_at_once() -> None:
    """It may hang, and each request would wait for it."""
    with Counted(b"{}") as server:
        async with client(server.url, "vllm") as mine:
            await mine.prepare(request(), counting=True)
            await mine.prepare(request(), counting=True)
            assert len(server.asked) == 1
            await mine.prepare(request(WORDS + "More."), counting=True)
    assert len(server.asked) == 2


async def test_a_server_elsewhere_is_asked_only_when_it_is_named_and_nothing_is_private() -> None:
    with Counted(b'{"count": 777}') as server:
        async with client(server.url, "vllm", zone="internet") as mine:
            await mine.prepare(request(), counting=True)
            await mine.prepare(request(model="box:acme/talker-70b", private=("prompt",)), counting=True)
            assert not server.asked
            facts = (await mine.prepare(request(model="box:acme/talker-70b"), counting=True)).inputs.facts
    assert facts.parts[0].tokens[NAME] == 777 and len(server.asked) == 1


async def test_a_short_text_is_not_worth_asking() -> None:
    with Counted(b'{"count": 777}') as server:
        async with client(server.url, "vllm") as mine:
            await mine.prepare(request("Hello?"), counting=True)
    assert not server.asked
