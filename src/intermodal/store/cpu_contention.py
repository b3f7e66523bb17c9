"""Measure how busy other programs kept this machine during a run: under load, a run says little about a speed.

The load average cannot separate our work from that of others, and lags by a minute. The measure is therefore: jiffies
in which any processor was busy, minus those of this process and its children, divided by all jiffies. Source: proc(5),
``/proc/stat``, ``/proc/[pid]/stat`` (utime, stime, cutime, cstime) and ``/proc/[pid]/task/[tid]/children``.
"""

from __future__ import annotations

import os
from typing import NamedTuple

_SHORTEST = 3  # jiffies (10 ms each, all processors together): below it the clock is too coarse


class CpuMoment(NamedTuple):
    """Jiffies since boot: of all processors together, of those that were busy, and of this process and its children."""

    all: int
    working: int
    own: int


def cpu_moment() -> CpuMoment | None:
    """Return the current counters; None if the system has none."""
    try:
        with open("/proc/stat", "rb") as file:
            fields = [int(field) for field in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    idle = fields[3] + fields[4]  # idle and waiting for a disk
    return CpuMoment(all=sum(fields), working=sum(fields) - idle, own=_own_jiffies())


def share_of_others(start: CpuMoment | None, end: CpuMoment | None) -> float | None:
    """Return the share of all processors that other programs used between two moments, 0..1; None if unknown.

    >>> share_of_others(CpuMoment(all=0, working=0, own=0), CpuMoment(all=100, working=80, own=30))
    0.5
    """
    if start is None or end is None or end.all - start.all < _SHORTEST:
        return None
    used = (end.working - start.working) - (end.own - start.own)
    return min(1.0, max(0.0, used / (end.all - start.all)))


def _own_jiffies() -> int:
    """Return the jiffies of this process and everything it started, running or ended."""
    waiting, spent = [os.getpid()], 0
    while waiting:
        process = waiting.pop()
        try:
            with open(f"/proc/{process}/stat", "rb") as file:
                spent += _process_jiffies(file.read())
            for thread in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{thread}/children", "rb") as file:
                    waiting += map(int, file.read().split())
        except FileNotFoundError:
            if process == os.getpid():
                return _own_jiffies_by_scan()  # a kernel without CONFIG_PROC_CHILDREN
        except OSError:
            continue  # the process has ended
    return spent


def _process_jiffies(stat: bytes) -> int:
    return sum(map(int, stat.rpartition(b")")[2].split()[11:15]))


def _own_jiffies_by_scan() -> int:
    """Return the same number as ``_own_jiffies`` by inspecting every process, which takes milliseconds."""
    parents: dict[int, int] = {}
    jiffies: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    stat = file.read()
            except OSError:
                continue  # the process has ended
            parents[int(name)] = int(stat.rpartition(b")")[2].split()[1])
            jiffies[int(name)] = _process_jiffies(stat)
    me = os.getpid()
    return sum(spent for process, spent in jiffies.items() if _descends(process, me, parents))


def _descends(process: int, ancestor: int, parents: dict[int, int]) -> bool:
    while process > 1:
        if process == ancestor:
            return True
        process = parents.get(process, 0)
    return False
