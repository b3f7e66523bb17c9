"""A key that is taken back is refused a tenth of a second later, however requests come and whatever else is wrong."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from tests.unit.gateway.gateway_server import GatewayServer, until

from intermodal.errors import StoreError
from intermodal.gateway.quotas.authentication import Authenticator, digest, new_secret
from intermodal.gateway.quotas.quota_types import Budget, QuotaRefusal, VirtualKey
from intermodal.gateway.quotas.sqlite_store import FILE, SqliteQuotaStore
from intermodal.testing import FakeHost, Fault

LATE = 0.1  # seconds
BODY = b'{"model":"cloud/strong","messages":[{"role":"user","content":"hi"}]}'


class Keys:
    """Another process's view of the keys."""

    def __init__(self, path: Path) -> None:
        self.quota_store = SqliteQuotaStore(path)
        self.secrets: dict[str, str] = {}

    def add(self, name: str, limit: int | None = None) -> str:
        budgets = () if limit is None else (Budget(unit="usd", limit=limit),)
        secret = self.secrets[name] = new_secret()
        self.quota_store.add(VirtualKey(id=name, name=name, digest=digest(secret), budgets=budgets))
        return secret

    def revoke(self, name: str) -> float:
        """When it was done."""
        self.quota_store.revoke(name, time.time())
        return time.monotonic()


@pytest.fixture
def keys(configured: Path, own_home: Path) -> Iterator[Keys]:
    (own_home / "data").mkdir(exist_ok=True)
    made = Keys(own_home / "data" / FILE)
    made.add("other")
    yield made
    made.quota_store.close()


def request(secret: str, *more: str) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: localhost", f"authorization: Bearer {secret}", *more]
    lines += ["content-type: application/json", f"content-length: {len(BODY)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + BODY


def answered(line: socket.socket) -> int:
    found = b""
    while not found.endswith(b"}"):
        piece = line.recv(65536)
        if not piece:
            break
        found += piece
    return int(found.split(b" ", 2)[1]) if found else 0


def asked(port: int, secret: str, count: int, pause: float, when: float, revoke: Callable[[], float]) -> None:
    """Ask on one connection, with a pause between, and revoke after a while: from a tenth of a second later on it is
    refused."""
    told: list[tuple[float, int]] = []
    done = threading.Event()
    since: list[float] = []

    def take_back() -> None:
        time.sleep(when)
        since.append(revoke())
        done.set()

    thread = threading.Thread(target=take_back)
    thread.start()
    line: socket.socket | None = None
    try:
        end = time.monotonic() + 300
        left = count
        while (left > 0 or time.monotonic() < since[0] + 2 * LATE) and time.monotonic() < end:
            line = line or socket.create_connection(("127.0.0.1", port), timeout=20)
            began = time.monotonic()
            line.sendall(request(secret))
            status = answered(line)
            told.append((began, status))
            if status != 200:  # it says that it closes
                line.close()
                line = None
            left -= done.is_set()
            time.sleep(pause)
    finally:
        thread.join()
        if line is not None:
            line.close()
    assert {status for began, status in told if began < since[0] - when / 2} == {200}
    late = [status for began, status in told if began >= since[0] + LATE]
    assert late and set(late) == {401}, late


@pytest.mark.parametrize(("count", "pause"), [(3, 0.125), (200, 0.0), (6, 0.049)], ids=["8/s", "many", "20/s"])
def test_a_revoked_key_is_refused_at_any_request_rate(keys: Keys, count: int, pause: float) -> None:
    secret = keys.add("mine", limit=10**9)
    with GatewayServer() as house:
        asked(house.gateway.port, secret, count, pause, 0.6, lambda: keys.revoke("mine"))


def test_a_revoked_key_is_refused_after_an_idle_period(keys: Keys) -> None:
    with GatewayServer() as house:
        for silence in (0.0, 1.2):
            secret = keys.add(f"key-{silence}", limit=10**9)
            with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
                line.sendall(request(secret))
                assert answered(line) == 200
                time.sleep(silence)
                keys.revoke(f"key-{silence}")
                time.sleep(LATE)
                line.sendall(request(secret))
                assert answered(line) == 401


def test_a_revoked_key_is_refused_while_the_disk_is_full(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, for the gateway: whoever takes the key back finds room."""
    secret = keys.add("mine")

    def full(*arguments: object) -> object:
        raise StoreError("cannot be written: the disk is full")

    with GatewayServer() as house:
        with socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
            line.sendall(request(secret))
            assert answered(line) == 200
        monkeypatch.setattr(house.ledger._quota_store, "write", full)
        monkeypatch.setattr(house.ledger._quota_store, "take", full)
        told = []
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
            for number in range(12):
                if number == 6:
                    keys.revoke("mine")
                    time.sleep(LATE)
                line.sendall(request(secret))
                told.append(answered(line))
        assert set(told[:6]) <= {200, 503} and told[6] == 401, told


# ---- a file that cannot be read ------------------------------------------------------------------------


class Torn(SqliteQuotaStore):
    """Whose file cannot be read while ``torn`` is set."""

    torn = ""
    looks = 0

    def version(self) -> int:
        self.looks += 1
        if self.torn == "version":
            raise StoreError("cannot be read or written (disk error)")
        return super().version()

    def every_key(self) -> tuple[VirtualKey, ...]:
        if self.torn == "keys":
            raise StoreError("cannot be read or written (disk error)")
        return super().every_key()


@pytest.mark.parametrize("torn", ["version", "keys"])
@pytest.mark.parametrize("ahead", [False, True], ids=["looked by who asks", "looked ahead"])
def test_nobody_is_let_in_by_what_was_known_before_the_file_could_not_be_read(
    tmp_path: Path, torn: str, ahead: bool
) -> None:
    now = [1e9]
    quota_store = Torn(tmp_path / FILE)
    secret, other = new_secret(), new_secret()
    quota_store.add(VirtualKey(id="mine", name="mine", digest=digest(secret)))
    quota_store.add(VirtualKey(id="other", name="other", digest=digest(other)))
    access = Authenticator(quota_store, lambda: now[0])
    access.check_bind("127.0.0.1")

    def status(presented: str) -> int:
        if ahead:
            with suppress(StoreError):
                access.check_for_changes()
        try:
            found = access.authenticate({"authorization": f"Bearer {presented}"})
        except StoreError:
            return 503
        return found.status if isinstance(found, QuotaRefusal) else 200

    assert status(secret) == 200
    quota_store.revoke("mine", now[0])
    quota_store.torn = torn
    now[0] += LATE
    looked = quota_store.looks
    for _ in range(100):  # all of them, not only the first in each tenth of a second
        now[0] += 0.002
        assert (status(secret), status(other)) == (503, 503)
    assert ahead or quota_store.looks - looked <= 4, "a disk that fails is not asked for every request"
    quota_store.torn = ""
    now[0] += LATE
    assert (status(secret), status(other)) == (401, 200)


def test_a_gateway_whose_keys_are_gone_does_not_become_open(tmp_path: Path) -> None:
    """Somebody put an old copy of the file in its place."""
    now = [1e9]
    quota_store = SqliteQuotaStore(tmp_path / FILE)
    quota_store.add(VirtualKey(id="mine", name="mine", digest=digest(new_secret())))
    access = Authenticator(quota_store, lambda: now[0])
    access.check_bind("127.0.0.1")
    with quota_store._database.writing() as connection:
        connection.execute("DELETE FROM keys")
        connection.execute("UPDATE keys_version SET number = 0")
    now[0] += 1
    found = access.authenticate({})
    assert isinstance(found, QuotaRefusal) and found.status == 401


# ---- requests that began before ----------------------------------------------------------------------------


def test_a_body_that_comes_slowly_is_not_done_for_a_key_that_was_revoked_meanwhile(keys: Keys, host: FakeHost) -> None:
    secret = keys.add("mine")
    with GatewayServer() as house, socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
        whole = request(secret)
        line.sendall(whole[:-5])
        until(lambda: house.gateway.held)
        keys.revoke("mine")
        time.sleep(LATE)
        line.sendall(whole[-5:])
        assert answered(line) == 401
        assert host.attempts == []


def test_requests_that_wait_behind_another_are_not_done_for_a_key_that_was_revoked_meanwhile(
    keys: Keys, host: FakeHost
) -> None:
    secret = keys.add("mine")
    host.fault = Fault("slow", 0.5, times=1)
    with GatewayServer() as house, socket.create_connection(("127.0.0.1", house.gateway.port), timeout=20) as line:
        line.sendall(request(secret) * 5)
        until(lambda: host.attempts)
        keys.revoke("mine")
        time.sleep(LATE)
        found = b""
        while found.count(b"HTTP/1.1 ") < 5 or not found.endswith(b"}"):
            found += line.recv(65536)
        assert re.findall(rb"HTTP/1.1 (\d+)", found) == [b"200", b"401", b"401", b"401", b"401"]
        assert len(host.attempts) == 1


# ---- several processes -------------------------------------------------------------------------------------


def test_every_worker_refuses_it(keys: Keys, tmp_path: Path) -> None:
    secret, log = keys.add("mine", limit=10**9), tmp_path / "said"
    with log.open("w") as said:
        command = [sys.executable, "-m", "intermodal.cli.main", "serve", "--port", "0", "--workers", "2"]
        child = subprocess.Popen(command, stderr=said, stdin=subprocess.DEVNULL, env=dict(os.environ))
    try:
        until(lambda: "serving at" in log.read_text())
        found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())
        assert found is not None
        port = int(found[1])
        lines = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(12)]
        try:
            for _ in range(3):
                for line in lines:
                    line.sendall(request(secret))
                    assert answered(line) == 200
            revoked = keys.revoke("mine")
            time.sleep(max(0.0, revoked + LATE - time.monotonic()))
            told = []
            for line in lines:
                line.sendall(request(secret))
                told.append(answered(line))
            assert told == [401] * 12
        finally:
            for line in lines:
                line.close()
        other = {"authorization": f"Bearer {keys.secrets['other']}"}
        with closing(httpx.Client(timeout=300, trust_env=False)) as http:
            assert http.get(f"http://127.0.0.1:{port}/v1/models", headers=other).status_code == 200
    finally:
        child.terminate()
        child.wait(300)
