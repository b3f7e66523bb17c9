"""What a step occupies of this machine while it runs, and when steps run that share it.

The rules are here alone: the planner adds up its seconds by them (``starts``), and the executor lets steps begin by
them (``executor/places.py``). A step needs cores, and somebody who does it. There is one process of a kind that reads,
and one that hears, with so many threads each; decoders (media workers) have a thread each, and there may be several.
A step begins in the order in which steps became ready, when who does it is free and cores suffice. Whoever waits for
another step's process is passed by; whoever waits for cores is not, or a step that needs many would wait for ever.
A model that writes takes all cores: two of them at once are slower than one after the other.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Sequence
from typing import NamedTuple

from intermodal.catalog.nouns import Endpoint
from intermodal.plans.machine import Machine

NEAR = ("process", "machine")  # zones whose models share this machine's cores
DECODERS = 8  # at most
START = 0.1  # seconds that the start of a decoder takes, about: a shorter job is waited for
DECODER = 128 << 20  # bytes of a decoder at its work: 57 to 107 MiB (benchmarks/results/large_files.md)
# Threads from which on networks of the embedded sizes gain little: faster-whisper takes as many where nobody says.
_ENOUGH = 4
_PARALLEL = ("whisper", "ocr")  # protocols of processes beside which others run


class Use(NamedTuple):
    """What a step occupies: so many cores, 0 elsewhere; and ``process``, which does one step at a time ("": a decoder,
    of which there may be several)."""

    cores: int
    process: str = ""


class Task(NamedTuple):
    """A step on a schedule. ``after``: places of the tasks that it waits for."""

    seconds: float
    use: Use
    after: tuple[int, ...] = ()


DECODING = Use(1)
ELSEWHERE = Use(0)


def threads(protocol: str, cores: int) -> int:
    """How many threads an embedded runtime computes with: all cores, or for what others may run beside half of them,
    and not less than four.

    >>> threads("llama", 8), threads("ocr", 2), threads("ocr", 6), threads("whisper", 16)
    (8, 2, 4, 8)
    """
    return min(cores, max(_ENOUGH, cores // 2)) if protocol in _PARALLEL else cores


def use_of(endpoint: Endpoint | None, cores: int) -> Use:
    """What a conversion by this endpoint occupies of a machine; None is a decoder. A server of this machine may be
    anything, so it counts as one that takes all."""
    if endpoint is None:
        return DECODING
    zone = endpoint.host.zone
    if zone not in NEAR:
        return ELSEWHERE
    taken = threads(endpoint.host.protocol, cores) if zone == "process" else cores
    return Use(taken, endpoint.id)


def decoders(machine: Machine, loads: float) -> int:
    """How many decoders may work at once, beside runtimes that take ``loads`` bytes more: one, and each further one
    where there are a core and memory for it. A machine that says nothing of its memory has enough."""
    most = min(machine.cores, DECODERS)
    if machine.memory:
        most = min(most, 1 + int(max(0.0, machine.free - loads) // DECODER))
    return max(1, most)


class Schedule(NamedTuple):
    """When each task starts, and how many decoders there are for it, which short jobs start none of."""

    starts: list[float]
    decoding: int


def schedule(tasks: Sequence[Task], cores: int, decoders: int) -> Schedule:
    """When tasks run that become ready in their order, on so many cores.

    >>> hear, read, parse = Task(4.0, Use(4, "ear")), Task(3.0, Use(4, "reader")), Task(1.0, DECODING)
    >>> schedule([hear, read, parse], 8, 8).starts, schedule([hear, read, parse], 4, 4).starts
    ([0.0, 0.0, 3.0], [0.0, 4.0, 7.0])
    """
    made = _Schedule(tasks, cores, decoders)
    made.begin([place for place, task in enumerate(tasks) if not task.after])
    while made.running:
        made.begin(made.end_next())
    return Schedule(made.starts, made.decoding)


class _Schedule:
    """A schedule in the making: what runs until when, and who waits."""

    def __init__(self, tasks: Sequence[Task], cores: int, decoders: int) -> None:
        self.starts = [0.0] * len(tasks)
        self.running: list[tuple[float, int]] = []  # a heap: the first to end is first
        self.decoding = 0
        self._tasks, self._cores, self._decoders = tasks, cores, decoders
        self._free, self._now, self._number = cores, 0.0, 0
        self._busy = Counter[str]()
        self._queues: dict[str, deque[tuple[int, int]]] = {}  # by process: order of becoming ready, and task
        self._waits = [len(task.after) for task in tasks]
        self._then: list[list[int]] = [[] for _ in tasks]
        for place, task in enumerate(tasks):
            for before in task.after:
                self._then[before].append(place)

    def begin(self, ready: list[int]) -> None:
        """Put what is ready into its queue, and let begin what can."""
        for place in ready:
            if self._tasks[place].use.cores:
                queue = self._queues.setdefault(self._tasks[place].use.process, deque())
                queue.append((self._number, place))
                self._number += 1
            else:
                self._run(place)
        while (first := self._first()) is not None:
            use = self._tasks[first].use
            if min(self._cores, use.cores) > self._free:
                return
            self._queues[use.process].popleft()
            self._busy[use.process] += 1
            self._free -= min(self._cores, use.cores)
            self._run(first)

    def _first(self) -> int | None:
        """Who waits longest for a process that is free."""
        free = [
            queue[0]
            for process, queue in self._queues.items()
            if queue and self._busy[process] < at_once(process, self._decoders)
        ]
        return min(free)[1] if free else None

    def _run(self, place: int) -> None:
        task = self._tasks[place]
        self.starts[place] = self._now
        heapq.heappush(self.running, (self._now + task.seconds, place))
        if task.use == DECODING and task.seconds >= START:
            long = sum(1 for end, each in self.running if end > self._now and self._long(each))
            self.decoding = max(self.decoding, long)

    def _long(self, place: int) -> bool:
        return self._tasks[place].use == DECODING and self._tasks[place].seconds >= START

    def end_next(self) -> list[int]:
        """Go on to when something ends. Returns what is ready then, in its order."""
        ready = []
        self._now = self.running[0][0]
        while self.running and self.running[0][0] == self._now:
            place = heapq.heappop(self.running)[1]
            use = self._tasks[place].use
            if use.cores:
                self._busy[use.process] -= 1
                self._free += min(self._cores, use.cores)
            for after in self._then[place]:
                self._waits[after] -= 1
                if not self._waits[after]:
                    ready.append(after)
        return sorted(ready)


def at_once(process: str, decoders: int) -> int:
    """How many steps a process does at a time: one, and decoders as many as there may be."""
    return 1 if process else decoders
