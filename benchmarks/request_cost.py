"""What one request can cost the others: how long the event loop is held, and how long a second client waits.

    python benchmarks/request_cost.py                    all inputs, results into benchmarks/results/request_cost.md
    python benchmarks/request_cost.py --only messages    those whose names contain a word; nothing is written

Two measures. *Held* is the longest turn of the event loop in a gateway with one worker, in CPU time of its thread,
which other load on the machine hardly changes. *Waits* are those of a second client that sends small chats to a gateway
with two workers while the input is answered, beside the same client alone, a moment before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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
import msgspec

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.gates.slow_inputs import LARGE, Body, config_of

from intermodal.testing import FakeHost

RESULTS = Path(__file__).parent / "results" / "request_cost.md"
_LEAST = 0.002  # seconds of the processor of a turn that is written down
_LINES = 8  # connections of the second client: workers are dealt connections, and both are to be met
_ALONE = 1.5  # seconds in which it is measured alone
_MOST = 240.0  # seconds for one input


class Turn(NamedTuple):
    at: float
    cpu: float


class Row(NamedTuple):
    name: str
    status: str
    seconds: float
    cpu: float
    held: float
    alone: tuple[float, float]  # p50, max in ms
    beside: tuple[float, float]


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


class Served:
    """A gateway in a process of its own, over a fake host."""

    def __init__(self, workers: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="request-cost-"))
        self.host = FakeHost(answer="fine")
        self.host.__enter__()
        config = self.home / "intermodal.toml"
        config.write_text(config_of(self.host.base_url))
        self.turns = self.home / "turns"
        self._said = self.home / "said"
        env = {name: said for name, said in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))}
        env |= {
            "INTERMODAL_CONFIG": str(config), "INTERMODAL_HOME": str(self.home / "home"),
            "INTERMODAL_DISCOVERY": "off",
        }  # fmt: skip
        how = [__file__, "--serve", str(self.turns)] if workers == 1 else ["-m", "intermodal.cli.main", "serve"]
        self.child = subprocess.Popen(
            [sys.executable, *how, "--port", "0", "--workers", str(workers)], stderr=self._said.open("w"), env=env
        )
        while "serving at" not in (line := self._said.read_text()):
            assert self.child.poll() is None, line
            time.sleep(0.05)
        self.url = line.split(" at ", 1)[1].split()[0]
        time.sleep(7)  # what is loaded late is loaded, and what stays is out of the collector's sight

    def long_turns(self) -> list[Turn]:
        return [Turn(*json.loads(line)) for line in self.turns.read_text().splitlines()] if self.turns.exists() else []

    @property
    def cpu(self) -> float:
        """Seconds of the processor that the process took."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def send(self, body: Body) -> tuple[str, float]:
        began = time.perf_counter()
        try:
            found = httpx.post(
                f"{self.url}{body.path}", content=body.data, headers={"content-type": body.kind}, timeout=_MOST,
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
        self.host.__exit__(None, None, None)


class Second:
    """A client that sends small chats, one after the other, over several connections."""

    def __init__(self, url: str) -> None:
        self._lines = [httpx.Client(base_url=url, timeout=_MOST, trust_env=False) for _ in range(_LINES)]
        for line in self._lines:
            self._chat(line)

    @staticmethod
    def _chat(line: httpx.Client) -> float:
        began = time.perf_counter()
        tree = {"model": "cloud/strong", "messages": [{"role": "user", "content": "hello"}]}
        found = line.post("/v1/chat/completions", json=tree)
        assert found.status_code == 200, found.text
        return 1000 * (time.perf_counter() - began)

    def waits(self, until: Callable[[], bool]) -> tuple[float, float]:
        """The median and the longest, in ms, of all chats that are sent until then."""
        found: list[float] = []
        while not until() or len(found) < _LINES:
            found += [self._chat(line) for line in self._lines]
            time.sleep(0.005)
        found.sort()
        return found[len(found) // 2], found[-1]


def measured(name: str, make: Callable[[], Body], one: Served, two: Served, second: Second) -> Row:
    body = make()
    one.send(body)  # what is done once, is done
    began, cpu = time.time(), one.cpu
    status, seconds = one.send(body)
    time.sleep(0.1)
    held = max((turn.cpu for turn in one.long_turns() if turn.at >= began), default=0.0)
    cpu = one.cpu - cpu
    until = time.monotonic() + _ALONE
    alone = second.waits(lambda: time.monotonic() > until)
    sending = threading.Thread(target=two.send, args=(body,))
    sending.start()
    beside = second.waits(lambda: not sending.is_alive())
    sending.join()
    return Row(name, status, seconds, cpu, 1000 * held, alone, beside)


def table(rows: list[Row]) -> str:
    lines = [
        "| input | answered | s | CPU s | loop held ms | second client alone: p50, max ms | beside it: p50, max ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        held = f"{row.held:.1f}" if row.held else f"< {1000 * _LEAST:.0f}"
        waits = " | ".join(f"{p50:.1f}, {most:.0f}" for p50, most in (row.alone, row.beside))
        lines.append(f"| {row.name} | {row.status} | {row.seconds:.2f} | {row.cpu:.2f} | {held} | {waits} |")
    return "\n".join(lines)


def written(rows: list[Row]) -> str:
    with Path("/proc/loadavg").open() as load:
        now = load.read().split()[0]
    return (
        "# What one request can cost the others\n\n"
        "`python benchmarks/request_cost.py` sends the slowest inputs that `tests/gates/slow_inputs.py` makes, at the "
        "largest size that is taken. *Loop held* is the longest turn of the event loop in CPU time of its thread. "
        "The second client sends small chats over eight connections to a gateway with two workers; host and client run "
        "on the same cores.\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, CPython {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}, {os.cpu_count()} cores, load {now} at the end.\n\n{table(rows)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="inputs whose names contain this")
    given = parser.parse_args()
    chosen: Mapping[str, Callable[[], Body]] = {name: make for name, make in LARGE.items() if given.only in name}
    one, two = Served(1), Served(2)
    rows: list[Row] = []
    try:
        second = Second(two.url)
        for name, make in chosen.items():
            rows.append(measured(name, make, one, two, second))
            print(msgspec.json.encode(rows[-1]).decode(), flush=True)
    finally:
        one.close()
        two.close()
    print(table(rows))
    if not given.only:
        RESULTS.write_text(written(rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve_measured(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
