"""Heartbeats of the workers: each counts turns of its event loop in shared memory, and the parent watches the count.

A worker whose loop hangs (in Python, or in C code that holds the interpreter lock) looks alive to the system; only the
loop itself can show that it runs. A beat is one write to memory and wakes no process.

The parent counts silence in its own steps and a bounded part of each: while the machine slept or the parent was
stopped, no time passed. Silence alone is not enough: a worker that could run and got no processor time is slow, and one
that waits for a disk or is held by a debugger cannot be helped by killing it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

PERIOD = 0.5  # seconds between two beats, and between two checks of them
SILENT_SECONDS = 2.5  # seconds without a heartbeat after which a worker is considered hung
END_SECONDS = 10.0  # seconds that a worker may take to exit after its loop ended
_STEP = 2 * PERIOD  # the longest pause of the parent that counts as silence of its workers
_CPU_SECONDS = 1.25  # processor seconds that a hung, runnable worker must have used since its last beat
_OVER = (1 << 64) - 1
_LINE = 64  # bytes of a beat: each has its own cache line


class Heartbeats:
    """Counters in shared memory (``view``). A count of 0 is a worker that does not serve yet."""

    def __init__(self, view: memoryview) -> None:
        self._counts = view.cast("Q")

    @staticmethod
    def size(numbers: int) -> int:
        """Return the size in bytes for ``numbers`` workers."""
        return numbers * _LINE

    def beat(self, number: int) -> None:
        at = self._index_of(number)
        if self._counts[at] != _OVER:
            self._counts[at] += 1

    def end(self, number: int) -> None:
        """Mark the loop of a worker as ended: it stops beating and the process is about to exit."""
        self._counts[self._index_of(number)] = _OVER

    def reset(self, number: int) -> None:
        """Clear the counter for a new worker of this number."""
        self._counts[self._index_of(number)] = 0

    def count(self, number: int) -> int:
        return self._counts[self._index_of(number)]

    @staticmethod
    def _index_of(number: int) -> int:
        return number * _LINE // 8


def start_beating(beats: Heartbeats, number: int, loop: asyncio.AbstractEventLoop) -> None:
    """Beat for as long as the loop runs."""

    def beat() -> None:
        beats.beat(number)
        loop.call_later(PERIOD, beat)

    beat()


class ProcessActivity(NamedTuple):
    """State of a process's main thread as in proc(5), and the processor time of all its threads.

    If the main thread sleeps and another is runnable, the state is R: the loop may wait for that thread.
    """

    state: str
    cpu: float


def process_activity(pid: int) -> ProcessActivity | None:
    """Return the activity of a process; None if the system does not report it."""
    try:
        tasks = Path(f"/proc/{pid}/task")
        fields = {task: (tasks / task / "stat").read_text().rpartition(")")[2].split() for task in os.listdir(tasks)}
        used = sum(int(each[11]) + int(each[12]) for each in fields.values())  # 14 and 15 of proc(5): utime and stime
        state = fields[str(pid)][0]
        if state == "S" and any(each[0] == "R" for each in fields.values()):
            state = "R"
        return ProcessActivity(state, used / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, LookupError):
        return None


class StepClock:
    """Measures the time in which its owner ran: at most one step of each pause between two readings counts."""

    def __init__(self, now: float) -> None:
        self._last = now

    def step(self, now: float) -> float:
        """Return the counted seconds since the last step."""
        elapsed = min(now - self._last, _STEP)
        self._last = now
        return elapsed


class HangDetector:
    """The parent's view of one worker's heartbeats."""

    def __init__(self) -> None:
        self.silent = 0.0  # seconds without a beat
        self.over = False  # its loop is over
        self._count = 0
        self._cpu = 0.0  # it had used when its silence began

    def is_hung(self, count: int, elapsed: float, activity: Callable[[], ProcessActivity | None]) -> bool:
        """Return True if the worker must be killed, after ``elapsed`` more seconds of the parent's time."""
        if count != self._count or not count:
            self.over = count == _OVER
            self._count, self.silent = count, 0.0
            return False
        if not self.silent and not self.over:
            found = activity()
            self._cpu = found.cpu if found is not None else 0.0
        self.silent += elapsed
        if self.over:
            return self.silent >= END_SECONDS
        return self.silent >= SILENT_SECONDS and self._has_no_activity(activity())

    def _has_no_activity(self, activity: ProcessActivity | None) -> bool:
        if activity is None:
            return True
        if activity.state in "Dt":  # it waits for a disk and cannot be killed either; a debugger holds it
            return False
        return activity.state != "R" or activity.cpu - self._cpu >= _CPU_SECONDS
