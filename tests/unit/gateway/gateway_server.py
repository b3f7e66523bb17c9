"""A gateway for tests: the real one, in a thread with its own event loop, over fake hosts that record what arrives."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
import pytest
from tests.unit.gateway.apis import contract
from tests.unit.gateway.direct.without_task import without_tasks

from intermodal.config.config_file import data_dir
from intermodal.gateway.http1 import response_writer
from intermodal.gateway.http1.http_types import HttpLimits
from intermodal.gateway.quotas.quota_manager import QuotaManager
from intermodal.gateway.quotas.quota_types import RateLimit
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.gateway.server import Gateway, ListenSettings
from intermodal.gateway.server_client import ServerClient
from intermodal.testing import FakeVendor

# A stream that is silent for long begins with a comment, and an error has no status of its own then. On a busy machine
# that is any stream, so tests of comments set these themselves.
response_writer.FIRST_COMMENT_SECONDS = response_writer.COMMENT_SECONDS = 3600.0

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # to read the authorities of the world takes 14 ms a client


class GatewayServer:
    """``with House() as house: house.post("/v1/chat/completions", {...})``.

    ``taskless``: chats that may be passed on without a task are, from the first on (``either_way``).
    """

    taskless = False

    def __init__(
        self, *, limits: HttpLimits | None = None, drain: float = 2.0, before: Callable[[Gateway], None] | None = None
    ):
        self._limits = limits
        self._drain = drain
        self._before = before
        self.log: list[str] = []
        self.gateway: Gateway
        self._up = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    async def _main(self) -> None:
        try:
            async with ServerClient() as client:
                rates = client.config.serve.rates.items()
                limits = {name: RateLimit(rpm=rate.rpm, tpm=rate.tpm) for name, rate in rates}
                self.ledger = QuotaManager(SqliteQuotaStore(data_dir(client.env) / FILE), limits=limits)
                await self.ledger.start()
                self.gateway = Gateway(
                    client,
                    ListenSettings(limits=self._limits, drain=self._drain),
                    ledger=self.ledger,
                    log=self.log.append,
                )
                if GatewayServer.taskless:
                    without_tasks(self.gateway)
                if self._before is not None:
                    self._before(self.gateway)
                self.loop = asyncio.get_running_loop()
                await self.gateway.start()
                self._up.set()
                await self.gateway.serve()
                await self.ledger.close()
        except BaseException as error:
            self._failed = error
            raise
        finally:
            self._up.set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(300)
        if self._failed is not None:
            raise self._failed
        # Every answer that comes whole is held against the OpenAPI document.
        hooks = {"response": [contract.hook]}
        self.http = httpx.Client(
            base_url=self.gateway.url, timeout=300, trust_env=False, event_hooks=hooks, verify=NO_TLS
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        with suppress(RuntimeError):  # a test stopped it: its loop is closed, perhaps at this very moment
            self.loop.call_soon_threadsafe(self.gateway.stop)
        self._thread.join(300)
        assert not self._thread.is_alive(), "the gateway did not end"

    @property
    def taken(self) -> int:
        """Chats that the direct path answered. A client has its answer before that is noted."""
        until(lambda: not self.gateway.active)
        return self.gateway.direct.engine.answered_calls

    def until_written(self) -> None:
        """Wait until every request is over and its rows are stored: the direct path writes them after the answer,
        a batch in a tenth of a second, and now at once."""
        until(lambda: not self.gateway.active)
        if (rows := self.gateway.direct.engine.rows).idle:
            return
        self.loop.call_soon_threadsafe(rows._over.set)
        until(lambda: rows.idle)
        self.loop.call_soon_threadsafe(rows._over.clear)

    @property
    def base_url(self) -> str:
        return f"{self.gateway.url}/v1"

    def post(self, path: str, tree: Any, **headers: str) -> httpx.Response:
        return self.http.post(path, json=tree, headers={name.replace("_", "-"): said for name, said in headers.items()})

    def chat(self, content: Any = "hello", model: str = "cloud/strong", **more: Any) -> httpx.Response:
        headers = more.pop("headers", {})
        tree = {"model": model, "messages": [{"role": "user", "content": content}], **more}
        return self.http.post("/v1/chat/completions", json=tree, headers=headers)

    def raw(self, data: bytes, *, seconds: float = 5.0) -> bytes:
        """What comes back for these very bytes, until the server closes or nothing more comes."""
        with socket.create_connection(("127.0.0.1", self.gateway.port), timeout=seconds) as line:
            line.sendall(data)
            found = b""
            try:
                while piece := line.recv(65536):
                    found += piece
            except (TimeoutError, ConnectionResetError):
                pass
            return found


def until(true: Callable[[], object], seconds: float = 300.0) -> None:
    """Wait until it is true; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become so in time"
        time.sleep(0.002)


# A field that no client sends: the direct path passes on nothing that it does not know, so the executor answers.
BY_EXECUTOR: dict[str, Any] = {"of_no_client": True}


def through_the_executor(gateway: Gateway, *, every: bool = True) -> None:
    """Have the direct path take no chat, so that each goes through the executor; or, without ``every``, all it can."""

    async def refuse(*asked: object) -> None:
        return None

    for name, instead in (("match", refuse), ("at_once", lambda *asked: None)):
        if every:
            setattr(gateway.direct, name, instead)
        else:
            vars(gateway.direct).pop(name, None)


class Said(NamedTuple):
    events: list[Any]  # JSON of each ``data:``
    comments: list[str]
    done: bool


def sse(text: str) -> Said:
    """A stream, taken apart as a client would."""
    events, comments, done = [], [], False
    for block in text.split("\n\n"):
        for line in block.splitlines():
            if line.startswith(":"):
                comments.append(line[1:].strip())
            elif line == "data: [DONE]":
                done = True
            elif line.startswith("data: "):
                events.append(json.loads(line.removeprefix("data: ")))
    return Said(events, comments, done)


def config(path: Path, *hosts: tuple[str, str, str], more: str = "") -> Path:
    """A config with hosts: (name, base_url, rows of its models)."""
    text = more + "\n"
    for name, base_url, models in hosts:
        text += f'[hosts.{name}]\nbase_url = "{base_url}"\nzone = "internet"\nforced_json = true\n'
        for line in filter(None, models.strip().split("\n")):
            text += f"[[hosts.{name}.models]]\n" + line.replace("; ", "\n") + "\n"
    path.write_text(text)
    return path


@contextmanager
def house_before(patch: pytest.MonkeyPatch, folder: Path, *hosts: tuple[str, str, str]) -> Iterator[GatewayServer]:
    """A gateway before hosts, as ``config`` takes them."""
    patch.setenv("INTERMODAL_CONFIG", str(config(folder / "intermodal.toml", *hosts)))
    with GatewayServer() as served:
        yield served


def priced(host: str, url: str, price: float, *, model: str = "cloud/strong", protocol: str = "openai") -> str:
    """Rows of a host on the internet with one model, which the host knows by the host's own name.

    ``price``: USD for a million tokens, in and out. More lines of the model may follow.
    """
    return (
        f'[hosts.{host}]\nbase_url = "{url}"\nprotocol = "{protocol}"\nzone = "internet"\n'
        f'[[hosts.{host}.models]]\nid = "{model}"\nserved_as = "{host}"\ninput = ["text"]\ncontext = 32000\n'
        f'tier = "large"\ninput_mtok = {price}\noutput_mtok = {price}\n'
    )


STRONG = 'id = "cloud/strong"; input = ["text"]; context = 32000; tier = "large"; input_mtok = 0.1; output_mtok = 0.4'
VECTORS = 'id = "cloud/vectors"; tasks = ["feature-extraction"]; input_mtok = 0.02; tier = "large"; input = ["text"]'
SEEING = STRONG.replace("strong", "seeing").replace('["text"]', '["text", "image"]').replace("= 0.", "= 1.")
VENDOR = """
[hosts.vendor]
base_url = "{url}"
protocol = "{protocol}"
key_env = "VENDOR_KEY"
zone = "internet"
[[hosts.vendor.models]]
id = "vendor/opus"
input = ["text"]
context = 200000
tier = "large"
input_mtok = 3.0
output_mtok = 15.0
"""
VENDOR_SAID = "Four, and no more."
Before = Callable[[Any], tuple[GatewayServer, FakeVendor]]
