"""One round of a server: started, asked, watched, ended."""

from __future__ import annotations

import http.client
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.pinned import GATEWAY_CORE, OTHER_CORE, Memory, Pinned
from gateway.servers import Server, Start
from gateway.workloads import WARM_UP, Workload, request

HERE = Path(__file__).parent
START_WITHIN = 60.0  # seconds
SETTLE = 1.0  # seconds between the first answer and what counts as idle
Row = dict[str, Any]


class Broken(Exception):
    """A server did not start, or does not answer; says what it said."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs that make and take the load, built from the C beside this file, and the pictures."""

    mock: Path
    load: Path
    images: list[str]
    image_files: list[Path]

    @classmethod
    def build(cls, folder: Path, images: list[str]) -> Tools:
        files = []
        for name in ("mock", "load"):
            command = ["cc", "-O2", "-std=c11", "-Wall", "-Wextra", "-o", str(folder / name), str(HERE / f"{name}.c")]
            subprocess.run(command, check=True)
        for number, image in enumerate(images):
            files.append(folder / f"picture{number}")
            files[-1].write_text(image)
        return cls(folder / "mock", folder / "load", images, files)


class Host:
    """The host behind, freshly started."""

    def __init__(self, tools: Tools, folder: Path) -> None:
        command = [str(tools.mock), *map(str, tools.image_files)]
        self.pinned = Pinned(command, OTHER_CORE, log=folder / "mock.log", tells=True)
        self.port = int(self.pinned.line())

    def stats(self) -> dict[str, int]:
        """What it saw since it was last asked."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        line.request("GET", "/stats")
        found: dict[str, int] = json.loads(line.getresponse().read())
        line.close()
        return found


class Running:
    """A server that answers. ``seconds`` is from its start to the first good answer, ``idle`` its memory then."""

    def __init__(self, server: Server | None, peers: Path, tools: Tools, host: Host) -> None:
        self._tools, self._host = tools, host
        self._folder = tempfile.TemporaryDirectory(prefix="gateway-")
        self.folder = Path(self._folder.name)
        self.pinned: Pinned | None = None
        self.seconds = 0.0
        self.served = 0  # what the host answered it
        self.idle: Memory | None = None
        if server is None:  # the host alone
            self.start, self.port = Start([], host.port), host.port
            return
        try:
            self.start = server.start(peers, self.folder, host.port)
            began = time.perf_counter()
            start, tells = self.start, self.start.port is None
            self.pinned = Pinned(
                start.command, GATEWAY_CORE, env=start.env or None, log=self.folder / "log", tells=tells
            )
            self.port = start.port or urlsplit(self.pinned.line()).port or 0
            host.stats()
            self._wait()
            self.seconds = time.perf_counter() - began
            time.sleep(SETTLE)
            self.idle = self.pinned.memory()
            self._seen()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self.pinned is not None:
            self.pinned.close()
        self._folder.cleanup()

    def _wait(self) -> None:
        call = self._file(WARM_UP[0]).read_bytes()
        body = call.partition(b"\r\n\r\n")[2]
        end = time.monotonic() + START_WITHIN
        said = "nothing"
        assert self.pinned is not None
        while time.monotonic() < end and self.pinned.process.poll() is None:
            try:
                line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                line.request("POST", self.start.path, body, {"content-type": "application/json", **self.start.headers})
                answer = line.getresponse()
                said = answer.read().decode(errors="replace")
                line.close()
                if answer.status == 200 and "@0" in said:
                    return
            except OSError:
                pass
            time.sleep(0.005)
        log = self.pinned.log.read_text()
        raise Broken(f"no good answer; it said {said[:300]!r}, its log ends with {log[-500:]!r}")

    def _file(self, load: Workload) -> Path:
        file = self.folder / f"{load.id}.request"
        if not file.exists():
            start = self.start
            file.write_bytes(request(load, start.path, start.model, start.headers, self._tools.images))
        return file

    def _command(self, load: Workload, seconds: float) -> list[str]:
        return [
            "taskset", "-c", str(OTHER_CORE), str(self._tools.load), str(self.port), str(self._file(load)),
            str(load.connections), str(load.seconds or seconds), str(load.chunks), str(load.rate),
            *([str(load.requests)] if load.requests else []),
        ]  # fmt: skip

    def warm_up(self, seconds: float) -> None:
        self._host.stats()
        for load in WARM_UP:
            subprocess.run(self._command(load, seconds), check=True, capture_output=True)
        self._seen()

    def _seen(self) -> dict[str, int]:
        """What the host saw since it was last asked, which was this server's."""
        stats = self._host.stats()
        self.served += stats["requests"] - stats["bad"]
        return stats

    def measure(self, load: Workload, seconds: float, also: Sequence[str] = ()) -> Row:
        """Puts a load on it. ``also`` is a command that runs meanwhile, with the number of the process at its end."""
        pinned, host = self.pinned, self._host
        if pinned is not None:
            pinned.forget_peak()
        memory = pinned.memory() if pinned is not None else Memory(0, 0, 0)
        host.stats()
        self._file(load)
        beside = watching = None
        if load.beside is not None:
            beside = subprocess.Popen(self._command(load.beside, seconds), stdout=subprocess.PIPE, text=True)
        if also and pinned is not None:
            watching = subprocess.Popen(
                [*also, str(pinned.process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        ours = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent, behind, began = pinned.cpu() if pinned is not None else 0.0, host.pinned.cpu(), time.perf_counter()
        told = json.loads(subprocess.run(self._command(load, seconds), check=True, capture_output=True).stdout)
        elapsed = time.perf_counter() - began
        spent, behind = (pinned.cpu() if pinned is not None else 0.0) - spent, host.pinned.cpu() - behind
        others = json.loads(beside.communicate()[0]) if beside is not None else None
        done = resource.getrusage(resource.RUSAGE_CHILDREN)
        if watching is not None:
            watching.wait()
        loading = done.ru_utime + done.ru_stime - ours.ru_utime - ours.ru_stime
        peak = pinned.memory().peak if pinned is not None else 0.0
        return {
            **_row(told, others, load, spent),
            "core_busy": spent / elapsed,
            "other_core_busy": (behind + loading) / elapsed,
            "peak_mb": peak,
            "grown_mb": peak - memory.rss,
            "host": self._seen(),
        }


def _row(told: Row, beside: Row | None, load: Workload, spent: float) -> Row:
    wrong = ("not_2xx", "broken", "wrong", "unanswered")
    both = [told] if beside is None else [told, beside]
    units = told["chunks"] if load.chunks else told["answered"]
    return {
        "rps": told["answered"] / told["seconds"],
        "chunks_per_s": told["chunks"] / told["seconds"] if load.chunks else 0.0,
        "took_ms": [micro / 1000 for micro in told["took_us"]],  # median, 99 of 100, most
        "first_ms": [micro / 1000 for micro in told["first_us"]],
        "delay_ms": [micro / 1000 for micro in told["delay_us"]],
        "cpu_us": 1e6 * spent / units if units else 0.0,
        "beside_per_s": beside["answered"] / beside["seconds"] if beside is not None else 0.0,
        "answered": sum(each["answered"] for each in both),
        "failed": sum(each[kind] for kind in wrong for each in both),
        "failures": {kind: sum(each[kind] for each in both) for kind in wrong},
        "first_failure": next((each["first_failure"] for each in both if each["first_failure"]), ""),
    }
