"""What one request can cost the others: how long the event loop is held, and how long a second client waits.

    python benchmarks/request_cost.py                    all inputs, results into benchmarks/results/request_cost.md
    python benchmarks/request_cost.py --only messages    those whose names contain a word; nothing is written

*Held* is the longest turn of the event loop of a gateway with one worker, in CPU time of its thread. *Waits* are those
of a second client that sends small chats to that same worker, one after the other, while the input is answered a few
times; beside them those of the same client alone, a moment before. *Of that the worker's* is the most CPU time that all
of the worker took during one of these waits: what the input and the chat themselves cost, which other load on the
machine hardly changes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.gates.slow_inputs import LARGE, Body, answer, config_of

from intermodal.testing import FakeHost

RESULTS = Path(__file__).parent / "results" / "request_cost.md"
_LEAST = 0.002  # seconds of the processor of a turn that is written down
_ALONE = 1.5  # seconds in which the second client is measured alone
_BESIDE = 3.0  # seconds for which the input is sent again and again beside it, once at least
_MOST = 240.0  # seconds for one input
_SECOND = """
[hosts.near]
base_url = "%s"
zone = "internet"
[[hosts.near.models]]
id = "near/quick"
context = 32_000
tier = "large"
input = ["text"]
input_mtok = 0.0001
output_mtok = 0.0004
"""


class Turn(NamedTuple):
    at: float
    cpu: float


class Waits(NamedTuple):
    """Of a client, in ms. ``worker``: the most CPU time that the worker took during one of them."""

    median: float
    most: float
    worker: float


class Row(NamedTuple):
    name: str
    status: str
    seconds: float
    cpu: float
    held: float
    alone: Waits
    beside: Waits


def serve_measured(log: Path, arguments: list[str]) -> None:
    """Be a gateway that writes down its long turns."""
    from asyncio import events

    from intermodal.cli.main import main

    run = events.Handle._run
    with log.open("a", buffering=1) as written:

        def measured(self: Any) -> None:
            began = time.thread_time()
            run(self)
            took = time.thread_time() - began
            if took > _LEAST:
                written.write(json.dumps([time.time(), took]) + "\n")

        events.Handle._run = measured  # type: ignore[method-assign]
        sys.argv = ["intermodal", "serve", *arguments]
        main()


def be_host() -> None:
    """A fake host until standard input ends."""
    with FakeHost(answer=answer) as host:
        print(host.base_url, flush=True)
        sys.stdin.read()


class Host:
    """A fake host in a process of its own: reading a large body, it would keep the others from the interpreter."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, __file__, "--host"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        self.base_url = self._child.stdout.readline().strip()

    def close(self) -> None:
        self._child.kill()
        self._child.wait()


class Served:
    """A gateway of one worker in a process of its own, over two hosts: the second client has one to itself."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="request-cost-"))
        self.hosts = Host(), Host()
        config = self.home / "intermodal.toml"
        config.write_text(config_of(self.hosts[0].base_url) + _SECOND % self.hosts[1].base_url)
        self.turns = self.home / "turns"
        self._said = self.home / "said"
        env = {name: said for name, said in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))}
        env |= {
            "INTERMODAL_CONFIG": str(config), "INTERMODAL_HOME": str(self.home / "home"),
            "INTERMODAL_DISCOVERY": "off",
        }  # fmt: skip
        how = [__file__, "--serve", str(self.turns), "--port", "0", "--workers", "1"]
        self.child = subprocess.Popen([sys.executable, *how], stderr=self._said.open("w"), env=env)
        while "serving at" not in (line := self._said.read_text()):
            assert self.child.poll() is None, line
            time.sleep(0.05)
        self.url = line.split(" at ", 1)[1].split()[0]
        time.sleep(7)  # what is loaded late is loaded, and what stays is out of the collector's sight

    def long_turns(self) -> list[Turn]:
        return [Turn(*json.loads(line)) for line in self.turns.read_text().splitlines()] if self.turns.exists() else []

    @property
    def cpu(self) -> float:
        """Seconds of the processor that the process took, all threads together. clock_getcpuclockid(3)."""
        return time.clock_gettime(~self.child.pid << 3 | 2)

    def send(self, body: Body) -> tuple[str, float]:
        began = time.perf_counter()
        try:
            found = httpx.post(
                f"{self.url}{body.path}", content=body.data, headers={"content-type": body.kind, **dict(body.headers)},
                timeout=_MOST,
                trust_env=False,
            )  # fmt: skip
            status = str(found.status_code)
        except httpx.HTTPError as error:
            status = type(error).__name__
        return status, time.perf_counter() - began

    def close(self) -> None:
        self.child.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(20)
        self.child.kill()
        for host in self.hosts:
            host.close()


class Second:
    """A client that sends small chats to a gateway, one after the other."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._line = httpx.Client(base_url=served.url, timeout=_MOST, trust_env=False)
        self._chat()

    def _chat(self) -> tuple[float, float]:
        began, cpu = time.perf_counter(), self._served.cpu
        tree = {"model": "near/quick", "messages": [{"role": "user", "content": "hello"}]}
        found = self._line.post("/v1/chat/completions", json=tree)
        assert found.status_code == 200, found.text
        return 1000 * (time.perf_counter() - began), 1000 * (self._served.cpu - cpu)

    def waits(self, until: Callable[[], bool]) -> Waits:
        """Of all chats that are sent until then."""
        found: list[float] = []
        worker = 0.0
        while not until() or not found:
            waited, cpu = self._chat()
            found.append(waited)
            worker = max(worker, cpu)
            time.sleep(0.002)
        found.sort()
        return Waits(found[len(found) // 2], found[-1], worker)


def measured(name: str, make: Callable[[], Body], served: Served, second: Second) -> Row:
    body = make()
    served.send(body)  # what is done once, is done
    began, cpu = time.time(), served.cpu
    status, seconds = served.send(body)
    time.sleep(0.1)
    cpu = served.cpu - cpu
    until = time.monotonic() + _ALONE
    alone = second.waits(lambda: time.monotonic() > until)
    until = time.monotonic() + _BESIDE

    def again() -> None:
        served.send(body)
        while time.monotonic() < until:
            served.send(body)

    sending = threading.Thread(target=again)
    sending.start()
    beside = second.waits(lambda: not sending.is_alive())
    sending.join()
    held = max((turn.cpu for turn in served.long_turns() if turn.at >= began), default=0.0)
    return Row(name, status, seconds, cpu, 1000 * held, alone, beside)


def table(rows: list[Row]) -> str:
    lines = [
        "| input | answered | s | CPU s | loop held ms | a second client alone: p50, max ms | beside it: p50, max ms | "
        "of that the worker's, max ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        held = f"{row.held:.1f}" if row.held else f"< {1000 * _LEAST:.0f}"
        waits = " | ".join(f"{each.median:.1f}, {each.most:.0f}" for each in (row.alone, row.beside))
        about = f"{row.name} | {row.status} | {row.seconds:.2f} | {row.cpu:.2f} | {held}"
        lines.append(f"| {about} | {waits} | {row.beside.worker:.0f} |")
    return "\n".join(lines)


def written(rows: list[Row]) -> str:
    with Path("/proc/loadavg").open() as load:
        now = load.read().split()[0]
    return (
        "# What one request can cost the others\n\n"
        "`python benchmarks/request_cost.py` sends the slowest inputs that `tests/gates/slow_inputs.py` makes, at the "
        "largest size that is taken, to a gateway of one worker. *Loop held* is the longest turn of its event loop in "
        "CPU time of its thread. A second client sends small chats to the same worker meanwhile; host and clients run "
        "on the same cores. *Of that the worker's* is the most CPU time that the worker took during one wait of the "
        "second client: its own part of the wait, which other load on the machine hardly changes.\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, CPython {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores, load {now} at the end.\n\n{table(rows)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="inputs in whose names this regular expression is found")
    given = parser.parse_args()
    chosen: Mapping[str, Callable[[], Body]] = {
        name: make for name, make in LARGE.items() if re.search(given.only, name)
    }
    served = Served()
    rows: list[Row] = []
    try:
        second = Second(served)
        for name, make in chosen.items():
            rows.append(measured(name, make, served, second))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    finally:
        served.close()
    if not given.only:
        RESULTS.write_text(written(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve_measured(Path(sys.argv[2]), sys.argv[3:])
    elif sys.argv[1:2] == ["--host"]:
        be_host()
    else:
        main()
