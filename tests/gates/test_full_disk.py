"""C4: a disk that is full, under a real ``intermodal serve``: what may cost money is refused and nothing of it is sent,
what is free is answered, and it goes on by itself when there is room again."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply, refusal
from tests.gates.serve_process import Served
from tests.unit.gateway.gateway_server import BY_EXECUTOR, STRONG, config

from intermodal.gateway.quotas.quota_types import NANODOLLARS
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.store.database import Store

pytestmark = [pytest.mark.gate, pytest.mark.timeout(300), pytest.mark.skipif(sys.platform != "linux", reason="prlimit")]

FREE = STRONG.replace("strong", "free").replace("0.1", "0.0").replace("0.4", "0.0")
TOLD = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}], "usage": {
    "prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}}  # fmt: skip


class Disk:
    """Where the gateway keeps its files, and how it gets full."""

    def __init__(self, kind: str, home: Path) -> None:
        self.kind, self.home = kind, home
        self._ballast = home / "ballast"

    def fill(self, served: Served) -> None:
        if self.kind == "limit":  # no file of that process grows any more, as with a quota
            resource.prlimit(served.child.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            return
        with suppress(OSError), self._ballast.open("wb", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self, served: Served) -> None:
        if self.kind == "limit":
            resource.prlimit(served.child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        else:
            self._ballast.unlink()


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(params=["limit", "tmpfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    home = tmp_path / "small"
    monkeypatch.setenv("INTERMODAL_HOME", str(home))
    if request.param == "limit":
        yield Disk("limit", home)
        return
    with mounted(home):
        yield Disk("tmpfs", home)


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyHost]:
    def play(model: str, number: int) -> ScriptedReply:
        return refusal(200, TOLD, paid=True)

    with FaultyHost(play) as wall:
        path = config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, f"{STRONG}\n{FREE}"))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        yield wall


class Client:
    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=url, timeout=300, trust_env=False)

    def ask(self, model: str, **more: object) -> httpx.Response:
        tree = {"model": f"cloud/{model}", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
        return self._http.post("/v1/chat/completions", json=tree | more)

    def close(self) -> None:
        self._http.close()


def test_a_full_disk_stops_what_costs_money_and_nothing_else(disk: Disk, wall: FaultyHost, tmp_path: Path) -> None:
    served, paid, free = Served(tmp_path / "served.log"), 0, 0
    client = Client(served.url)
    try:
        for wishes in ({}, BY_EXECUTOR):
            assert client.ask("strong", **wishes).status_code == client.ask("free", **wishes).status_code == 200
            paid, free = paid + 1, free + 1
        disk.fill(served)
        end = time.monotonic() + 300
        while (found := client.ask("strong")).status_code == 200:  # room that is there already is used up first
            assert time.monotonic() < end
            paid += 1
        slowest = 0.0
        for number in range(40):
            wishes = BY_EXECUTOR if number % 2 else {}
            began = time.monotonic()
            found = client.ask("strong", **wishes)
            error = found.json()["error"]
            assert found.status_code == 503 and "cannot" in error["message"], found.text
            assert error["code"] in ("ledger_unavailable", "store")
            found = client.ask("free", **wishes)
            assert found.status_code == 200, found.text
            free += 1
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.1)
        assert slowest < 5, "nobody waits for a disk that is full"
        assert wall.asked("cloud/strong") == paid, "what was refused was not sent"
        disk.free(served)
        end = time.monotonic() + 300
        while client.ask("strong").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert client.ask("strong", **BY_EXECUTOR).status_code == 200
        paid += 2
    finally:
        client.close()
        served.end()
    assert served.child.returncode == 0 and "Traceback" not in served.log.read_text()
    assert wall.asked("cloud/strong") == paid and wall.asked("cloud/free") == free
    rows = Store(disk.home / "data" / "store.sqlite3").attempts(-1)
    assert sum(row.reservation.endpoint.endswith("strong") and row.spent > 0 for row in rows) == paid
    quota_store = SqliteQuotaStore(disk.home / "data" / FILE)
    (spent,) = (each for each in quota_store.spending() if each.account.startswith("open/usd/"))
    assert spent.spent >= round(sum(row.spent for row in rows) * NANODOLLARS) > 0 == spent.held
    quota_store.close()
