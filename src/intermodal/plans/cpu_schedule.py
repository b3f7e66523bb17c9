"""The cores that each step occupies on this machine, and the schedule of steps that share them.

The planner computes the duration of a route with ``schedule``, and the executor starts steps by the same rules
(``executor/run_state.py``). A step needs cores and a process. There is one OCR process and one speech process, each
with several threads, and possibly several decoders (media workers) with one thread each. Steps start in the order in
which they became ready, as soon as their process and enough cores are free. Other steps may overtake a step that waits
for its process. They may not overtake a step that waits for cores; otherwise a step that needs many cores might never
start. A language model takes all cores, because running two at the same time is slower than running them one after the
other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from intermodal.catalog.types import Endpoint
from intermodal.plans.machine import Machine

LOCAL_ZONES = ("process", "machine")  # zones whose models share this machine's cores
MOST_DECODERS = 8
DECODER_START_SECONDS = 0.1  # approximate seconds to start a decoder; a shorter job waits for a running one
DECODER_BYTES = 128 << 20  # memory of a working decoder; 57 to 107 MiB measured (benchmarks/results/large_files.md)
# Threads beyond which models of the embedded sizes gain little: faster-whisper's default.
_ENOUGH = 4
_PARALLEL = ("whisper", "ocr")  # protocols whose processes leave cores to other steps


class CoreUse(NamedTuple):
    """The cores and the process that a step uses.

    Attributes:
        cores: processor cores; 0 for a step that runs on another machine.
        process: name of the process, which runs one step at a time; "" for a decoder, of which several may run.
    """

    cores: int
    process: str = ""


class CpuTask(NamedTuple):
    """A step to be scheduled. ``after``: indexes of the tasks that must finish first."""

    seconds: float
    use: CoreUse
    after: tuple[int, ...] = ()


DECODER_USE = CoreUse(1)
REMOTE_USE = CoreUse(0)


def threads(protocol: str, cores: int) -> int:
    """Return the number of threads of an embedded runtime.

    Speech recognition and OCR run beside other steps, so they get half the cores, but at least four threads. All other
    runtimes get all cores.

    >>> threads("llama", 8), threads("ocr", 2), threads("ocr", 6), threads("whisper", 16)
    (8, 2, 4, 8)
    """
    return min(cores, max(_ENOUGH, cores // 2)) if protocol in _PARALLEL else cores


def core_use(endpoint: Endpoint | None, cores: int) -> CoreUse:
    """Return the resources of a conversion by ``endpoint``; None means a decoder.

    A server on this machine is assumed to use all cores, because its actual use is unknown.
    """
    if endpoint is None:
        return DECODER_USE
    zone = endpoint.host.zone
    if zone not in LOCAL_ZONES:
        return REMOTE_USE
    cores_taken = threads(endpoint.host.protocol, cores) if zone == "process" else cores
    return CoreUse(cores_taken, endpoint.id)


def decoders(machine: Machine, loads: float) -> int:
    """Return how many decoders may run at the same time, beside runtimes that load ``loads`` bytes.

    Allows one decoder, plus one for every ``DECODER_BYTES`` of free memory, up to the number of cores and
    ``MOST_DECODERS``. Unknown memory counts as enough.
    """
    most = min(machine.cores, MOST_DECODERS)
    if machine.memory:
        most = min(most, 1 + int(max(0.0, machine.free - loads) // DECODER_BYTES))
    return max(1, most)


class Schedule(NamedTuple):
    """The start time of each task in seconds, and the number of decoders that the schedule starts for long jobs."""

    starts: list[float]
    decoding: int


def schedule(tasks: Sequence[CpuTask], cores: int, decoders: int) -> Schedule:
    """Return the schedule of ``tasks`` on ``cores`` cores. Tasks are listed in the order in which they become ready.

    >>> hear, read = CpuTask(4.0, CoreUse(4, "hear")), CpuTask(3.0, CoreUse(4, "read"))
    >>> parse = CpuTask(1.0, DECODER_USE)
    >>> schedule([hear, read, parse], 8, 8).starts, schedule([hear, read, parse], 4, 4).starts
    ([0.0, 0.0, 3.0], [0.0, 4.0, 7.0])
    """
    graph = TaskGraph([task.use for task in tasks], [task.after for task in tasks], cores, decoders)
    return graph.schedule([task.seconds for task in tasks])


class TaskGraph:
    """Tasks with dependencies that share a machine. Can be scheduled repeatedly with different durations."""

    def __init__(self, uses: Sequence[CoreUse], after: Sequence[tuple[int, ...]], cores: int, decoders: int) -> None:
        names: dict[str, int] = {}
        self.cores = cores
        self.needs = [min(cores, use.cores) for use in uses]
        self.process = [names.setdefault(use.process, len(names)) for use in uses]
        self.places = [concurrent_steps(name, decoders) for name in names]
        self.decodes = [use == DECODER_USE for use in uses]
        self.waits = list(map(len, after))
        self.then: list[list[int]] = [[] for _ in uses]
        for place, each in enumerate(after):
            for before in each:
                self.then[before].append(place)

    def schedule(self, seconds: Sequence[float]) -> Schedule:
        """Return the schedule for the given durations, one per task.

        This is a single loop for speed: planning a request with several files computes dozens of schedules.
        """
        needs, process, decodes = self.needs, self.process, self.decodes
        starts = [0.0] * len(seconds)
        running: list[tuple[float, int]] = []  # a heap by end time
        free, now, number, waiting, decoding, most = self.cores, 0.0, 0, 0, 0, 0
        places, waits = self.places.copy(), self.waits.copy()
        # By process: the order in which a step became ready, and its index.
        queues: list[deque[tuple[int, int]]] = [deque() for _ in places]
        ready = [place for place, count in enumerate(waits) if not count]
        while True:
            for place in ready:
                if needs[place]:
                    queues[process[place]].append((number, place))
                    number, waiting = number + 1, waiting + 1
                else:
                    starts[place] = now
                    heappush(running, (now + seconds[place], place))
            while free and waiting:
                first: tuple[int, int] | None = None
                for process_index, places_left in enumerate(places):
                    if places_left and queues[process_index] and (first is None or queues[process_index][0] < first):
                        first = queues[process_index][0]
                if first is None or needs[first[1]] > free:
                    break
                place = first[1]
                queues[process[place]].popleft()
                places[process[place]] -= 1
                free, waiting = free - needs[place], waiting - 1
                starts[place] = now
                heappush(running, (now + seconds[place], place))
                if decodes[place] and seconds[place] >= DECODER_START_SECONDS:
                    decoding += 1
                    most = decoding if decoding > most else most
            if not running:
                return Schedule(starts, most)
            ready, now = [], running[0][0]
            while running and running[0][0] == now:
                place = heappop(running)[1]
                if needs[place]:
                    places[process[place]] += 1
                    free += needs[place]
                    decoding -= decodes[place] and seconds[place] >= DECODER_START_SECONDS
                for after in self.then[place]:
                    waits[after] -= 1
                    if not waits[after]:
                        ready.append(after)
            if len(ready) > 1:
                ready.sort()


def concurrent_steps(process: str, decoders: int) -> int:
    """Return how many steps a process runs at the same time: one, or ``decoders`` for the decoders."""
    return 1 if process else decoders
