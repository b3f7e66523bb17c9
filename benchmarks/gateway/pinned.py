"""Processes that keep to one core, and what they took of it: processor time, memory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

GATEWAY_CORE, OTHER_CORE = 1, 0


class Memory(NamedTuple):
    """MB of all processes of a server: resident, the share that is theirs alone, and the most since it was asked for
    last (each process's own peak, added up)."""

    rss: float
    pss: float
    peak: float


class Pinned:
    """A command on one core; what it writes goes to a file, but what ``line`` reads. ``close`` ends it and all it
    started."""

    def __init__(
        self, command: Sequence[str], core: int, *, env: Mapping[str, str] | None = None, log: Path, tells: bool = False
    ) -> None:
        self.log = log
        with log.open("w") as errors:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *command], env=None if env is None else dict(env), text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE if tells else errors, stderr=errors,
                 start_new_session=True,
            )  # fmt: skip

    def line(self) -> str:
        """The next line it prints, of one that ``tells``."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds of processor time so far. Read from the clock of each process, which counts in nanoseconds; the
        figures of /proc count in ticks of 10 ms."""
        return sum(_clock(each.pid) for each in self.tree())

    def memory(self) -> Memory:
        resident = proportional = peak = 0.0
        for each in self.tree():
            status, rollup = Path(f"/proc/{each.pid}/status"), Path(f"/proc/{each.pid}/smaps_rollup")
            resident += _kb(status, "VmRSS")
            peak += _kb(status, "VmHWM")
            proportional += _kb(rollup, "Pss")
        return Memory(resident / 1000, proportional / 1000, peak / 1000)

    def forget_peak(self) -> None:
        for each in self.tree():
            Path(f"/proc/{each.pid}/clear_refs").write_text("5")

    def close(self) -> None:
        if self.process.poll() is None:
            tree = self.tree()
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
            psutil.wait_procs(tree, timeout=5)
            for each in tree:
                if each.is_running():
                    each.kill()
        self.process.wait()


def _clock(pid: int) -> float:
    """What clock_getcpuclockid(3) names: the processor time of all threads of a process, gone ones too."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0  # it has ended


def _kb(file: Path, name: str) -> float:
    """A field of a file of /proc, in units of 1,000 bytes."""
    for line in file.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1.024
    return 0.0


def free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])
