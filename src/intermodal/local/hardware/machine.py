"""The machine as the planner sees it: rounded, so that the same machine always yields the same plan."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path

from intermodal.plans.machine import Gpu, Machine

ROUND = 256 << 20  # bytes
_SPINS = 2000  # spin iterations before a waiting OpenMP thread sleeps: about 0.1 ms
_IDLE = 0.25  # maximum load per processor at which the processors count as idle
_CGROUP = Path("/sys/fs/cgroup")
_CARDS = Path("/proc/driver/nvidia/gpus")


def machine_snapshot(loaded: tuple[str, ...] = ()) -> Machine:
    """Return the current cores, memory and free memory. ``loaded``: ids of endpoints whose model is in memory."""
    import psutil

    memory = psutil.virtual_memory()
    limit, used = _memory_limit(_CGROUP)
    total = min(memory.total, limit) if limit else memory.total
    free = min(memory.available, max(0, limit - used)) if limit else memory.available
    return Machine(
        cores=cores(), memory=_round_down(total), free=_round_down(free), gpus=_gpus(), loaded=tuple(sorted(loaded))
    )


def machine_survey(folder: Path | None = None) -> Machine:
    """Return the snapshot, extended by GPUs with free memory, and the speed of memory and processors.

    Used to size models, not to plan, because it runs a driver's tool. ``folder`` contains a saved bandwidth
    measurement, if there is one.
    """
    from msgspec.structs import replace

    from intermodal.local.hardware.gpus import detect_gpus
    from intermodal.local.hardware.memory_bandwidth import load_bandwidth
    from intermodal.sizing.machines import compute_of_cores, with_assumptions

    machine, name = machine_snapshot(), processor()
    bandwidth = load_bandwidth(folder, name, machine.cores) if folder else None
    cards = detect_gpus() or machine.gpus
    return with_assumptions(
        replace(machine, gpus=cards, processor=name, compute=compute_of_cores(machine.cores)), bandwidth
    )


def processor() -> str:
    """Return the processor's name; "" if the system reports none."""
    for line in _read_text_or_empty(Path("/proc/cpuinfo")).splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor()


def cores() -> int:
    """Return the number of processors this process may use: its CPU affinity, limited by the container's quota.

    ``os.cpu_count()`` returns the host's: a model with 64 threads in a 2-core container is extremely slow.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota(_CGROUP)
    return max(1, min(affinity, math.ceil(quota)) if quota else affinity)


def thread_wait_policy() -> dict[str, str]:
    """Return the environment variables that set how the threads of a compute process wait for each other.

    A model's threads synchronise hundreds of times per token. Spinning loses no time if each thread has a processor to
    itself. If other programs use the processors, a spinning thread takes processor time from the thread it waits for:
    under a load of 6 on 2 cores SmolLM2 135M wrote a token in 61 ms, 33 ms of processor time a token, with ``_SPINS``,
    and in 16 ms, 13.5 ms of processor time, without any (medians of 12 s, 2026-11-29). On idle processors sleeping
    costs time, so the load at the start of the process decides. The variable belongs to GCC's OpenMP, which llama.cpp
    and CTranslate2 use; other libraries are configured by their child (``local/embedded/child_support.py``).
    """
    return {"GOMP_SPINCOUNT": str(_SPINS if _load() < _IDLE * cores() else 0)}


def _load() -> float:
    """Return the load average of the last minute; 0 on a system without one."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return 0.0


def _round_down(size: int) -> int:
    return size // ROUND * ROUND


def _read_text_or_empty(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _cpu_quota(cgroup: Path) -> float:
    """Return the CPU quota of a cgroup v2 (``cpu.max``: quota and period in microseconds); 0 if there is no limit."""
    fields = _read_text_or_empty(cgroup / "cpu.max").split()
    if len(fields) == 2 and fields[0].isdigit() and fields[1].isdigit() and int(fields[1]):
        return int(fields[0]) / int(fields[1])
    return 0.0


def _memory_limit(cgroup: Path) -> tuple[int, int]:
    """Return limit and usage of a cgroup v2, excluding its reclaimable file cache; limit 0 if there is none."""
    limit = _read_text_or_empty(cgroup / "memory.max")
    if not limit.isdigit():
        return 0, 0
    used = _read_text_or_empty(cgroup / "memory.current")
    cache = 0
    for line in _read_text_or_empty(cgroup / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == "inactive_file" and value.isdigit():
            cache = int(value)
    return int(limit), max(0, int(used) - cache) if used.isdigit() else 0


def _gpus() -> tuple[Gpu, ...]:
    """Return the NVIDIA GPUs listed in the kernel driver's files, without a library or subprocess."""
    found = []
    for card in sorted(_CARDS.glob("*/information")):
        for line in _read_text_or_empty(card).splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "Model":
                found.append(Gpu(name=value.strip(), memory=0))
    return tuple(found)
