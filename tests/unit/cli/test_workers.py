"""``intermodal serve --workers N`` as real processes: what one worker knows all know, and who dies is replaced."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tests.unit.cli.conftest import Cli
from tests.unit.gateway.gateway_server import SEEING, STRONG, config

from intermodal.testing import FakeHost, Fault

pytestmark = pytest.mark.slow


def until(true: Callable[[], object], what: str, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def alive(pid: int) -> bool:
    with suppress(OSError):
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


class Flock:
    """A parent with its workers, all of which serve."""

    def __init__(self, log: Path, workers: int = 2, *options: str) -> None:
        self.log = log
        command = [sys.executable, "-m", "intermodal.cli.main", "serve", "--port", "0", "--log-level", "debug"]
        with log.open("w") as said:
            self.child = subprocess.Popen(
                [*command, "--workers", str(workers), *options], stderr=said, stdin=subprocess.DEVNULL
            )
        self._lines: list[httpx.Client] = []
        until(lambda: len(self.serving) == workers or self.child.poll() is not None, "no workers")
        self.url = re.findall(r"serving at (http://\S+)", self.said)[0] if self.serving else ""

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def serving(self) -> list[int]:
        """Processes that ever served, in the order they did."""
        return [int(pid) for pid in re.findall(r"\(process (\d+)\) serves", self.said)]

    def lines(self, workers: int = 2) -> list[httpx.Client]:
        """A connection to each of so many workers; ids of requests begin with what only one process has."""
        met: dict[str, httpx.Client] = {}

        def all_met() -> bool:
            line = httpx.Client(base_url=self.url, timeout=300, trust_env=False)
            self._lines.append(line)
            met.setdefault(line.get("/healthz").headers["x-request-id"].partition("-")[0], line)
            return len(met) == workers

        until(all_met, "one worker takes all connections")
        return list(met.values())

    def counted(self, name: str) -> float:
        text = httpx.get(f"{self.url}/metrics", timeout=300, trust_env=False).text
        found = re.search(rf"^intermodal_{re.escape(name)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found is not None else 0.0

    def end(self) -> None:
        for line in self._lines:
            line.close()
        for pid in (self.child.pid, *self.serving):
            if self.child.returncode is None or pid != self.child.pid:
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        self.child.wait(300)


def pid_of(gateway: Flock, line: httpx.Client) -> int:
    """Which of its processes has the other end of this connection."""
    stream = line._transport._pool.connections[0]._connection._network_stream  # type: ignore[attr-defined]
    port = stream.get_extra_info("client_addr")[1]
    (found,) = (
        pid
        for pid in gateway.serving
        if any(each.raddr and each.raddr.port == port for each in psutil.Process(pid).net_connections("tcp"))
    )
    return found


def half_asked(url: str) -> tuple[socket.socket, bytes]:
    """A connection on which a request has come but for its end, and that."""
    body = json.dumps({"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}]}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    line = socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30)
    line.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body[:-10])
    return line, body[-10:]


Flocks = Callable[..., Flock]


@pytest.fixture
def flock(tmp_path: Path) -> Iterator[Flocks]:
    started: list[Flock] = []

    def start(workers: int = 2, *options: str) -> Flock:
        started.append(Flock(tmp_path / f"log{len(started)}", workers, *options))
        return started[-1]

    yield start
    for each in started:
        each.end()


@pytest.fixture
def configured(host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = config(tmp_path / "i.toml", ("cloud", host.base_url, f"{STRONG}\n{SEEING}"))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    return path


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="the hosted answer") as fake:
        yield fake


def chat(line: httpx.Client, content: str = "hello", **more: Any) -> httpx.Response:
    headers = more.pop("headers", {})
    tree = {"model": "cloud/strong", "max_tokens": 100, "messages": [{"role": "user", "content": content}], **more}
    return line.post("/v1/chat/completions", json=tree, headers=headers)


def test_what_one_worker_planned_and_answered_the_other_knows(configured: Path, flock: Flocks) -> None:
    one, other = flock().lines()
    answered = chat(one, model="cloud/seeing")
    plan = answered.headers["x-intermodal-plan"]
    assert other.get(f"/v1/plans/{plan}").json() == one.get(f"/v1/plans/{plan}").json()
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "the hosted answer"},
             {"role": "user", "content": "and now?"}]  # fmt: skip
    strange = [{"role": "user", "content": "hi"}, *turns[1:]]
    assert chat(other, model="auto", messages=strange).headers["x-intermodal-route"] == "cloud:cloud/strong"
    assert chat(other, model="auto", messages=turns).headers["x-intermodal-route"] == "cloud:cloud/seeing"
    item = one.post("/v1/responses", json={"model": "cloud/strong", "input": "hello"}).json()["output"][0]
    again = [{"type": "item_reference", "id": item["id"]}, {"role": "user", "content": "and now?"}]
    assert other.post("/v1/responses", json={"model": "cloud/strong", "input": again}).status_code == 200


def test_keys_their_rates_budgets_and_plans_are_one_over_all_workers(
    configured: Path, host: FakeHost, flock: Flocks, cli: Cli
) -> None:
    def key(*words: str) -> dict[str, str]:
        return {"authorization": f"Bearer {cli('keys', 'create', *words, '--json').document['secret']}"}

    first, rated, poor = key("first"), key("rated", "--rpm", "3"), key("poor", "--budget", "0.0004/total")
    gateway = flock()
    lines = gateway.lines()
    asked = {**first, "idempotency-key": "once"}
    answers = [chat(lines[0], headers=asked)]

    def given_again() -> bool:
        """Who was answered may ask another worker before it is written down that they were."""
        answers[1:] = [chat(lines[1], headers=asked)]
        return answers[1].status_code != 409

    until(given_again, "no answer")
    assert answers[0].content == answers[1].content and len(host.attempts) == 1
    assert answers[1].headers["idempotency-replayed"] == "true"
    plan = answers[0].headers["x-intermodal-plan"]
    for line in lines:
        assert line.get(f"/v1/plans/{plan}", headers=first).status_code == 200
        assert line.get(f"/v1/plans/{plan}", headers=rated).status_code == 404, "another key's plan"
    began = time.monotonic()
    found = [chat(lines[number % 2], headers=rated).status_code for number in range(10)]
    more = int((time.monotonic() - began) / 20)  # what the rate gave meanwhile
    assert 3 <= found.count(200) <= 3 + more and set(found) == {200, 429}
    host.answer = "word " * 100
    with ThreadPoolExecutor(8) as pool:
        spent = list(pool.map(lambda number: chat(lines[number % 2], headers=poor), range(40)))
    paid = [each for each in spent if each.status_code == 200]
    assert paid and {each.status_code for each in spent} == {200, 429}
    assert sum(float(each.headers["x-intermodal-cost"]) for each in paid) <= 0.0004
    gateway.child.send_signal(signal.SIGTERM)
    assert gateway.child.wait(300) == 0
    (row,) = (each for each in cli("keys", "list", "--json").document["keys"] if each["name"] == "poor")
    (booked,) = (each for each in row["spending"] if each["unit"] == "usd")
    assert booked["spent"] == pytest.approx(sum(float(each.headers["x-intermodal-cost"]) for each in paid), abs=1e-8)


def test_a_worker_that_is_killed_is_replaced_and_its_counts_stay(configured: Path, flock: Flocks) -> None:
    gateway = flock()
    answered = 'requests_total{path="/v1/chat/completions",status="200"}'
    for line in gateway.lines():
        assert chat(line).status_code == 200
    until(lambda: gateway.counted(answered) == 2, "not counted")
    assert gateway.counted("workers") == 2
    os.kill(gateway.serving[0], signal.SIGKILL)
    until(lambda: len(gateway.serving) == 3, "none came in its place")
    assert "was ended by SIGKILL; another is started" in gateway.said
    assert all(chat(line).status_code == 200 for line in gateway.lines())
    until(lambda: gateway.counted(answered) == 4, "counts of the dead are lost, or counted twice")
    until(lambda: all(re.search(rf"^\S+ \[{number}\] POST /v1/chat", gateway.said, re.MULTILINE) for number in (1, 2)),
          "lines of the log have no number")  # fmt: skip


# What makes a process hang that runs it when it starts: in Python, and in a call into C that holds the interpreter.
HANGS = {
    "python": "lambda *_: [None for _ in iter(int, 1)]",
    "c": "lambda *_: __import__('re').match('(a+)+$', 'a' * 64 + '!')",
}


@pytest.fixture(params=HANGS)
def may_hang(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is started now hangs when it gets SIGUSR1. Nothing of the kind is in the product."""
    folder = tmp_path / "hanging"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"import signal; signal.signal(signal.SIGUSR1, {HANGS[request.param]})")
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.usefixtures("may_hang")
def test_a_worker_that_hangs_is_replaced_and_its_money_is_settled(
    configured: Path, host: FakeHost, flock: Flocks, cli: Cli
) -> None:
    secret = cli("keys", "create", "app", "--budget", "1/total", "--json").document["secret"]
    headers = {"authorization": f"Bearer {secret}"}
    gateway = flock()
    lines = gateway.lines()
    paid = [chat(line, headers=headers) for line in lines]
    host.fault = Fault("silent", times=1)  # what is asked now is on its way when its worker hangs

    def ask(line: httpx.Client) -> str:
        try:
            return str(chat(line, headers=headers).status_code)
        except httpx.TransportError as error:
            return type(error).__name__

    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(ask, lines[0])
        until(lambda: len(host.attempts) == 3, "not asked")
        hung = pid_of(gateway, lines[0])
        os.kill(hung, signal.SIGUSR1)
        end = time.monotonic() + 300
        while len(gateway.serving) < 3:  # meanwhile the other one answers
            paid.append(chat(lines[1], headers=headers))
            assert time.monotonic() < end, "it is never replaced"
        assert asking.result(300) in ("RemoteProtocolError", "ReadError"), "its connections are closed"
    assert not alive(hung)
    assert f"(process {hung}) has not turned its event loop for" in gateway.said and "sitecustomize.py" in gateway.said
    paid += [chat(line, headers=headers) for line in gateway.lines()]
    assert {each.status_code for each in paid} == {200}
    gateway.child.send_signal(signal.SIGTERM)
    assert gateway.child.wait(300) == 0
    (row,) = cli("keys", "list", "--json").document["keys"]
    (booked,) = (each for each in row["spending"] if each["unit"] == "usd")
    assert booked["set_aside"] == 0 and booked["unknown"] > 0, "what was on its way may be paid"
    known = sum(float(each.headers["x-intermodal-cost"]) for each in paid)
    assert booked["spent"] - booked["unknown"] == pytest.approx(known, abs=1e-6)


@pytest.mark.usefixtures("may_hang")
def test_workers_that_hang_or_are_held_do_not_hold_up_the_end(configured: Path, flock: Flocks) -> None:
    """Nothing in them can be answered any more, so they get no time for that; those that beat get all of it."""
    configured.write_text("[serve]\ndrain = 300\n" + configured.read_text())
    gateway = flock(3)
    os.kill(gateway.serving[0], signal.SIGUSR1)
    os.kill(gateway.serving[1], signal.SIGSTOP)
    gateway.child.send_signal(signal.SIGTERM)
    assert gateway.child.wait(250) == 0, "it did not wait for what cannot end"
    assert gateway.said.count("has not turned its event loop for") == 2
    assert not any(map(alive, gateway.serving))


def test_workers_whose_parent_stood_still_are_left_alone(configured: Path, flock: Flocks) -> None:
    gateway = flock()
    everybody = [gateway.child.pid, *gateway.serving]
    for pid in everybody:  # as a container that is frozen, or a machine that sleeps
        os.kill(pid, signal.SIGSTOP)
    time.sleep(4.0)
    for pid in everybody:
        os.kill(pid, signal.SIGCONT)
    assert all(chat(line).status_code == 200 for line in gateway.lines())
    os.kill(gateway.child.pid, signal.SIGSTOP)
    time.sleep(4.0)
    os.kill(gateway.child.pid, signal.SIGCONT)
    gateway.child.send_signal(signal.SIGHUP)  # it runs again once it obeys
    until(lambda: len(gateway.serving) == 4, "no new workers")
    assert "is killed" not in gateway.said


def test_a_signal_lets_all_workers_end_their_answers(configured: Path, host: FakeHost, flock: Flocks) -> None:
    gateway = flock()
    host.fault = Fault("slow", 1.5)
    lines = gateway.lines()

    def read(line: httpx.Client) -> bytes:
        return chat(line, stream=True).content

    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(read, line) for line in lines]
        until(lambda: len(host.attempts) == 2, "not asked")
        gateway.child.send_signal(signal.SIGINT)
        assert all(each.result(300).endswith(b"data: [DONE]\n\n") for each in found)
    assert gateway.child.wait(300) == 0
    assert not any(map(alive, gateway.serving))
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{gateway.url}/healthz", timeout=300, trust_env=False)


def test_no_worker_outlives_a_parent_that_is_killed(configured: Path, flock: Flocks) -> None:
    gateway = flock()
    gateway.child.kill()
    gateway.child.wait(300)
    until(lambda: not any(map(alive, gateway.serving)), "orphans", 20)


def test_hangup_reads_the_config_again_and_cuts_nobody(configured: Path, host: FakeHost, flock: Flocks) -> None:
    gateway = flock()
    assert chat(gateway.lines()[0], model="renamed").status_code == 404
    configured.write_text('[serve.aliases]\nrenamed = "cloud/strong"\n' + configured.read_text())
    host.fault = Fault("slow", 1.5, times=1)
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(chat, gateway.lines()[0], stream=True)
        until(lambda: len(host.attempts) == 1, "not asked")
        coming = [half_asked(gateway.url) for _ in range(6)]
        gateway.child.send_signal(signal.SIGHUP)
        lines = gateway.lines()  # kept open, and asked again and again until the old workers are gone
        until(lambda: [chat(line).status_code for line in lines] == [200, 200] and len(gateway.serving) == 4,
              "no new workers")  # fmt: skip
        assert found.result(300).content.endswith(b"data: [DONE]\n\n")
        time.sleep(2.5)  # longer than those that end stay for who asks nothing
        for line, rest in coming:
            with line:
                line.sendall(rest)
                assert line.recv(65536).startswith(b"HTTP/1.1 200"), "half a body was cut"
    until(lambda: [chat(line).status_code for line in lines] == [200, 200]
          and not any(map(alive, gateway.serving[:2])), "the old ones stay")  # fmt: skip
    assert all(chat(line, model="renamed").status_code == 200 for line in gateway.lines())
    configured.write_text("[serve]\nprt = 1\n")
    gateway.child.send_signal(signal.SIGHUP)
    until(lambda: "the new workers cannot serve" in gateway.said, "a wrong config was not said")
    assert all(chat(line, model="renamed").status_code == 200 for line in gateway.lines())


def test_a_worker_that_dies_while_its_successor_tries_a_wrong_config_is_replaced(
    configured: Path, flock: Flocks
) -> None:
    gateway, right = flock(), configured.read_text()
    parent, known = psutil.Process(gateway.child.pid), set(gateway.serving)
    failed = "the new workers cannot serve"
    configured.write_text("[serve]\nprt = 1\n")
    gateway.child.send_signal(signal.SIGHUP)
    # Said once it is started: who is held before it runs a program of its own holds its parent, too.
    until(lambda: "new workers take over" in gateway.said, "nobody tries")
    trials = [each for each in parent.children() if each.pid not in known]
    first = gateway.serving[0]
    with suppress(psutil.NoSuchProcess):  # it is held, until the one before it is gone
        for each in trials:
            each.suspend()
    os.kill(first, signal.SIGKILL)
    until(lambda: not psutil.pid_exists(first), "its parent does not look after it")
    with suppress(psutil.NoSuchProcess):
        for each in trials:
            each.resume()
    until(lambda: failed in gateway.said, "a wrong config was not said")
    configured.write_text(right)
    until(lambda: len(gateway.serving) == 3, "nobody comes in its place")
    assert all(chat(line).status_code == 200 for line in gateway.lines())


def test_hangup_while_nothing_can_be_started_changes_nothing(configured: Path, flock: Flocks) -> None:
    gateway = flock()
    _, most = resource.prlimit(gateway.child.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.child.pid, resource.RLIMIT_NOFILE, (3, most))  # no descriptor is to be had
    gateway.child.send_signal(signal.SIGHUP)
    until(lambda: "SIGHUP changed nothing" in gateway.said or gateway.child.poll() is not None, "not said")
    assert "a worker cannot be started: too many open files; those that serve go on" in gateway.said
    assert all(chat(line).status_code == 200 for line in gateway.lines())
    resource.prlimit(gateway.child.pid, resource.RLIMIT_NOFILE, (most, most))
    gateway.child.send_signal(signal.SIGHUP)
    until(lambda: len(gateway.serving) == 4, "no new workers")


def test_a_worker_that_cannot_start_is_tried_again_while_others_serve_and_given_up_when_none_does(
    configured: Path, flock: Flocks
) -> None:
    gateway, right, wrong = flock(), configured.read_text(), "[serve]\nprt = 1\n"
    configured.write_text(wrong)
    os.kill(gateway.serving[1], signal.SIGKILL)
    until(lambda: gateway.said.count("another is started") == 3, "not tried again")
    assert all(chat(gateway.lines(1)[0]).status_code == 200 for _ in range(8)), "nobody waits for who is not there"
    configured.write_text(right)
    until(lambda: len(gateway.serving) == 3, "not there again")
    configured.write_text(wrong)
    for pid in (gateway.serving[0], gateway.serving[2]):
        os.kill(pid, signal.SIGKILL)
    assert gateway.child.wait(300) == 1
    # Which of them is seen last is chance: the young one that was killed, or one that could not start.
    last = r"the last (ended with code 2|was ended by SIGKILL)"
    assert re.search(rf"\d workers in a row died within 10 s of their start, {last}", gateway.said)


def test_a_failure_to_listen_is_reported_once(configured: Path, flock: Flocks) -> None:
    port = flock().url.rpartition(":")[2]
    again = flock(2, "--port", port)
    assert again.child.returncode == 2 and again.said.count("address already in use") == 1, again.said
    open_to_all = flock(2, "--host", "0.0.0.0")
    assert open_to_all.child.returncode == 2 and open_to_all.said.count("keys create") == 1, open_to_all.said


def test_nobody_else_starts_a_worker(configured: Path, cli: Cli) -> None:
    done = cli("serve", "--as-worker", "{}")
    assert done.code == 2 and "serve --workers" in done.err


def test_check_says_how_many(configured: Path, cli: Cli) -> None:
    configured.write_text("[serve]\nworkers = 3\n" + configured.read_text())
    assert "without keys, 3 workers" in cli("serve", "--check").out
    assert cli("serve", "--check", "--json", "--workers", "4").document["workers"] == 4
