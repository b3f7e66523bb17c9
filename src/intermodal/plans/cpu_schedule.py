"""The cores that a step occupies on this machine, and the schedule of steps that share it.

The rules are here alone: the planner adds up its seconds by them (``schedule``), and the executor starts steps by them
(``executor/run_state.py``). A step needs cores, and a process. There is one OCR process and one speech process, with
several threads each; decoders (media workers) have a thread each, and there may be several. A step begins in the order
in which steps became ready, when its process is free and cores suffice. A step that waits for its process is overtaken;
one that waits for cores is not, or a step that needs many would never start. A model that writes takes all cores: two
of them at once are slower than one after the other.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from intermodal.catalog.types import Endpoint
from intermodal.plans.machine import Machine

NEAR = ("process", "machine")  # zones whose models share this machine's cores
MOST_DECODERS = 8  # at most
DECODER_START_SECONDS = 0.1  # seconds to start a decoder, about: a shorter job waits for a running one
DECODER_BYTES = 128 << 20  # bytes of a decoder at its work: 57 to 107 MiB (benchmarks/results/large_files.md)
# Threads from which on networks of the embedded sizes gain little: faster-whisper's default.
_ENOUGH = 4
_PARALLEL = ("whisper", "ocr")  # protocols of processes beside which others run


class CoreUse(NamedTuple):
    """The resources of a step: cores, 0 elsewhere; and ``process``, which does one step at a time ("": a decoder, of
    which there may be several).
    """

    cores: int
    process: str = ""


class CpuTask(NamedTuple):
    """A step on a schedule. ``after``: places of the tasks that it waits for."""

    seconds: float
    use: CoreUse
    after: tuple[int, ...] = ()


DECODER_USE = CoreUse(1)
REMOTE_USE = CoreUse(0)


def threads(protocol: str, cores: int) -> int:
    """Return the threads of an embedded runtime: all cores, or half of them for steps that others may run beside, and
    at least four.

    >>> threads("llama", 8), threads("ocr", 2), threads("ocr", 6), threads("whisper", 16)
    (8, 2, 4, 8)
    """
    return min(cores, max(_ENOUGH, cores // 2)) if protocol in _PARALLEL else cores


def core_use(endpoint: Endpoint | None, cores: int) -> CoreUse:
    """Return the resources of a conversion by this endpoint; None is a decoder. A server on this machine may use
    anything, so it counts as using all cores.
    """
    if endpoint is None:
        return DECODER_USE
    zone = endpoint.host.zone
    if zone not in NEAR:
        return REMOTE_USE
    cores_taken = threads(endpoint.host.protocol, cores) if zone == "process" else cores
    return CoreUse(cores_taken, endpoint.id)


def decoders(machine: Machine, loads: float) -> int:
    """Return how many decoders may work at once, beside runtimes that take ``loads`` bytes more: one, and another for
    each core and its memory. A machine of unknown memory has enough.
    """
    most = min(machine.cores, MOST_DECODERS)
    if machine.memory:
        most = min(most, 1 + int(max(0.0, machine.free - loads) // DECODER_BYTES))
    return max(1, most)


class Schedule(NamedTuple):
    """When each task starts, and how many decoders there are for it, which short jobs start none of."""

    starts: list[float]
    decoding: int


def schedule(tasks: Sequence[CpuTask], cores: int, decoders: int) -> Schedule:
    """When tasks run that become ready in their order, on so many cores.

    >>> hear, read = CpuTask(4.0, CoreUse(4, "hear")), CpuTask(3.0, CoreUse(4, "read"))
    >>> parse = CpuTask(1.0, DECODER_USE)
    >>> schedule([hear, read, parse], 8, 8).starts, schedule([hear, read, parse], 4, 4).starts
    ([0.0, 0.0, 3.0], [0.0, 4.0, 7.0])
    """
    graph = TaskGraph([task.use for task in tasks], [task.after for task in tasks], cores, decoders)
    return graph.schedule([task.seconds for task in tasks])


class TaskGraph:
    """Steps that wait for each other and share a machine, to be scheduled for several lengths that they may have."""

    def __init__(self, uses: Sequence[CoreUse], after: Sequence[tuple[int, ...]], cores: int, decoders: int) -> None:
        names = list(dict.fromkeys(use.process for use in uses))
        self.cores = cores
        self.needs = [min(cores, use.cores) for use in uses]
        self.process = [names.index(use.process) for use in uses]
        self.places = [concurrent_steps(name, decoders) for name in names]
        self.decodes = [use == DECODER_USE for use in uses]
        self.waits = list(map(len, after))
        self.then: list[list[int]] = [[] for _ in uses]
        for place, each in enumerate(after):
            for before in each:
                self.then[before].append(place)

    def schedule(self, seconds: Sequence[float]) -> Schedule:
        """When steps of so many seconds run."""
        run = _Run(self, seconds)
        run.begin([place for place, count in enumerate(self.waits) if not count])
        while run.running:
            run.begin(run.end_next())
        return Schedule(run.starts, run.decoding)


class _Run:
    """A schedule in the making: running steps with their ends, and waiting ones."""

    def __init__(self, graph: TaskGraph, seconds: Sequence[float]) -> None:
        self.starts = [0.0] * len(seconds)
        self.running: list[tuple[float, int]] = []  # a heap by the time at which a step ends
        self.decoding = 0
        self._graph, self._seconds = graph, seconds
        self._free, self._now, self._number = graph.cores, 0.0, 0
        self._places, self._waits = graph.places.copy(), graph.waits.copy()
        # By process: in which place a step became ready, and which it is.
        self._queues: list[deque[tuple[int, int]]] = [deque() for _ in graph.places]

    def begin(self, ready: list[int]) -> None:
        """Queue the steps that are ready, and start those that can."""
        needs, process = self._graph.needs, self._graph.process
        for place in ready:
            if needs[place]:
                self._queues[process[place]].append((self._number, place))
                self._number += 1
            else:
                self._run(place)
        while self._free:
            heads = [queue[0] for queue, free in zip(self._queues, self._places, strict=True) if queue and free]
            if not heads:
                return
            place = min(heads)[1]
            if needs[place] > self._free:
                return
            self._queues[process[place]].popleft()
            self._places[process[place]] -= 1
            self._free -= needs[place]
            self._run(place)

    def _run(self, place: int) -> None:
        seconds = self._seconds[place]
        self.starts[place] = self._now
        heapq.heappush(self.running, (self._now + seconds, place))
        if seconds >= DECODER_START_SECONDS and self._graph.decodes[place]:
            long = [each for end, each in self.running if end > self._now and self._graph.decodes[each]]
            self.decoding = max(self.decoding, sum(self._seconds[each] >= DECODER_START_SECONDS for each in long))

    def end_next(self) -> list[int]:
        """Advance to the next end of a step. Returns the steps that are ready then, in order."""
        graph, ready = self._graph, []
        self._now = self.running[0][0]
        while self.running and self.running[0][0] == self._now:
            place = heapq.heappop(self.running)[1]
            if graph.needs[place]:
                self._places[graph.process[place]] += 1
                self._free += graph.needs[place]
            for after in graph.then[place]:
                self._waits[after] -= 1
                if not self._waits[after]:
                    ready.append(after)
        return sorted(ready)


def concurrent_steps(process: str, decoders: int) -> int:
    """Return how many steps a process does at a time: one, and decoders as many as there may be."""
    return 1 if process else decoders
