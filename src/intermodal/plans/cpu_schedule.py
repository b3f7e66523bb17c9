"""What a step occupies of this machine while it runs, and when steps run that share it.

The rules are here alone: the planner adds up its seconds by them (``schedule``), and the executor lets steps begin by
them (``executor/run_state.py``). A step needs cores, and somebody who does it. There is one process of a kind that
reads, and one that hears, with so many threads each; decoders (media workers) have a thread each, and there may be
several. A step begins in the order in which steps became ready, when who does it is free and cores suffice. Whoever
waits for another step's process is passed by; whoever waits for cores is not, or a step that needs many would wait for
ever. A model that writes takes all cores: two of them at once are slower than one after the other.
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
DECODER_START_SECONDS = 0.1  # seconds that the start of a decoder takes, about: a shorter job is waited for
DECODER_BYTES = 128 << 20  # bytes of a decoder at its work: 57 to 107 MiB (benchmarks/results/large_files.md)
# Threads from which on networks of the embedded sizes gain little: faster-whisper takes as many where nobody says.
_ENOUGH = 4
_PARALLEL = ("whisper", "ocr")  # protocols of processes beside which others run


class CoreUse(NamedTuple):
    """What a step occupies: so many cores, 0 elsewhere; and ``process``, which does one step at a time ("": a decoder,
    of which there may be several)."""

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
    """How many threads an embedded runtime computes with: all cores, or for what others may run beside half of them,
    and not less than four.

    >>> threads("llama", 8), threads("ocr", 2), threads("ocr", 6), threads("whisper", 16)
    (8, 2, 4, 8)
    """
    return min(cores, max(_ENOUGH, cores // 2)) if protocol in _PARALLEL else cores


def core_use(endpoint: Endpoint | None, cores: int) -> CoreUse:
    """What a conversion by this endpoint occupies of a machine; None is a decoder. A server of this machine may be
    anything, so it counts as one that takes all."""
    if endpoint is None:
        return DECODER_USE
    zone = endpoint.host.zone
    if zone not in NEAR:
        return REMOTE_USE
    cores_taken = threads(endpoint.host.protocol, cores) if zone == "process" else cores
    return CoreUse(cores_taken, endpoint.id)


def decoders(machine: Machine, loads: float) -> int:
    """How many decoders may work at once, beside runtimes that take ``loads`` bytes more: one, and each further one
    where there are a core and memory for it. A machine that says nothing of its memory has enough."""
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
    """A schedule in the making: what runs until when, and who waits."""

    def __init__(self, graph: TaskGraph, seconds: Sequence[float]) -> None:
        self.starts = [0.0] * len(seconds)
        self.running: list[tuple[float, int]] = []  # a heap: the first to end is first
        self.decoding = 0
        self._graph, self._seconds = graph, seconds
        self._free, self._now, self._number = graph.cores, 0.0, 0
        self._places, self._waits = graph.places.copy(), graph.waits.copy()
        # By process: in which place a step became ready, and which it is.
        self._queues: list[deque[tuple[int, int]]] = [deque() for _ in graph.places]

    def begin(self, ready: list[int]) -> None:
        """Put what is ready into its queue, and let begin what can."""
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
        """Go on to when something ends. Returns what is ready then, in its order."""
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
    """How many steps a process does at a time: one, and decoders as many as there may be."""
    return 1 if process else decoders
