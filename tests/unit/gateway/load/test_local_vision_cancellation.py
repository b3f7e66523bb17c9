"""Images that a model of this machine reads for seconds each: that ends with who wanted it, and takes turns."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.gates.slow_inputs import CHAT, Body, config_of, looked_at, png
from tests.unit.gateway.gateway_server import GatewayServer

from intermodal.local.embedded import availability
from intermodal.local.embedded import runtimes as embedded
from intermodal.testing import FakeHost

# A reader of text that says when it has an image before it, and reads on until it may stop.
_READER = """
import os, time
from pathlib import Path
from intermodal.concurrency.worker_process import serve

HERE = Path(__file__).parent

def load(path, name):
    pass

def read(path, name, png, **told):
    with (HERE / "begun").open("a") as begun:
        begun.write(f"{os.getpid()} {int.from_bytes(png[16:20], 'big')}\\n")
    while not (HERE / "go on").exists():
        time.sleep(0.01)
    return {"lines": [["Total 42", 0.99, [[0, 0], [10, 0], [10, 10], [0, 10]], False, []]]}

if __name__ == "__main__":
    serve({"load": load, "read": read})
"""
_LONG = 60.0  # seconds in which what is waited for comes on any machine


class Reader:
    """The reader in its child process, as the test sees it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def begun(self) -> list[tuple[int, int]]:
        """Of each image that a reader had before it: the id of its process, and how wide the image is."""
        path = self._folder / "begun"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(process), int(width)) for process, width in map(str.split, lines)]

    def go_on(self) -> None:
        (self._folder / "go on").touch()


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "slow_reader.py").write_text(_READER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")])))
    monkeypatch.setitem(embedded._CHILDREN, "ocr", embedded.ChildSpec(module="slow_reader"))
    monkeypatch.setattr(availability, "find_spec", lambda name: object())
    return Reader(folder)


@pytest.fixture
def house(reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    with FakeHost(answer="42") as host:
        path = tmp_path / "intermodal.toml"
        path.write_text(config_of(host.base_url).replace('["text", "image"]', '["text"]'))  # nobody looks himself
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        with GatewayServer() as house:
            yield house


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + _LONG
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


def asked(*widths: int) -> Body:
    """To look at images so wide, with a model that only takes words."""
    body = looked_at("cloud/strong", CHAT, *[png(width, 40) for width in widths])
    return body._replace(data=body.data.replace(b"{", b'{"max_tokens": 10, ', 1))


def post(house: GatewayServer, body: Body, **headers: str) -> httpx.Response:
    headers["content-type"] = body.kind
    return httpx.post(house.gateway.url + body.path, content=body.data, headers=headers, timeout=_LONG, trust_env=False)


def test_a_deadline_ends_the_reading(house: GatewayServer, reader: Reader) -> None:
    found = post(house, asked(40), **{"x-intermodal-deadline": "10"})
    assert found.status_code == 502, found.text
    assert "deadline" in found.json()["error"]["message"]
    ((process, _),) = reader.begun
    until(lambda: gone(process))


def test_a_client_that_leaves_ends_the_reading(house: GatewayServer, reader: Reader) -> None:
    body = asked(40, 44)
    place = house.gateway.url.removeprefix("http://")
    with socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2]))) as client:
        head = f"POST {body.path} HTTP/1.1\r\nhost: {place}\r\ncontent-type: {body.kind}\r\n"
        client.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body.data) + body.data)
        until(lambda: reader.begun)
    ((process, _),) = reader.begun
    until(lambda: gone(process))
    assert len(reader.begun) == 1


def test_who_has_one_picture_waits_for_one_of_who_has_many(house: GatewayServer, reader: Reader) -> None:
    with ThreadPoolExecutor() as clients:
        many = clients.submit(post, house, asked(40, 44, 48, 52))
        until(lambda: reader.begun)
        one = clients.submit(post, house, asked(80))
        (slot,) = house.gateway.client._runtimes._slots.values()
        until(lambda: slot.worker._lock._waiting)
        reader.go_on()
        assert many.result().status_code == one.result().status_code == 200
    assert [width for _, width in reader.begun].index(80) == 1
