"""The memory bandwidth of the processors: measured on request and saved.

Generating a token reads all weights once, so the bandwidth bounds the decode speed on a CPU. No system file states it,
because it depends on the number of memory modules and the speed set by the firmware.
"""

from __future__ import annotations

import ctypes
import threading
import time
from pathlib import Path

import msgspec

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity, between
from intermodal.core.today import today

FILE = "machine.json"
BLOCK = 64 << 20  # bytes that a processor copies at a time: more than any shared cache
MOST = 1 << 30  # maximum bytes of all blocks
ROUNDS, SECONDS = 3, 0.25  # the best round counts, because other programs use the memory too
COPIED = 0.75  # share of the memory bandwidth that copying reaches (STREAM's "copy", 0.6 to 0.9)


class MeasuredBandwidth(Value):
    """``bandwidth`` in bytes per second with ``cores`` of a ``processor``; ``taken``: ISO date."""

    processor: str
    cores: int
    bandwidth: float
    taken: str


def measure_bandwidth(processor: str, cores: int) -> MeasuredBandwidth:
    """Measure the bandwidth by copying blocks on every processor for under a second.

    Allocates ``2 * BLOCK`` bytes per processor, at most ``MOST`` in total.
    """
    many = max(1, min(cores, MOST // (2 * BLOCK)))
    best = max(_measure_round(many) for _ in range(ROUNDS))
    return MeasuredBandwidth(processor=processor, cores=cores, bandwidth=best, taken=today())


def save_bandwidth(folder: Path, measured_bandwidth: MeasuredBandwidth) -> None:
    """Save a measurement for ``load_bandwidth``. Does nothing if the folder is not writable."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_bytes(msgspec.json.encode(measured_bandwidth))
    except OSError:
        pass


def load_bandwidth(folder: Path, processor: str, cores: int) -> Quantity | None:
    """Return the saved bandwidth for this processor and number of cores; None if there is none."""
    try:
        found = msgspec.json.decode((folder / FILE).read_bytes(), type=MeasuredBandwidth)
    except (OSError, msgspec.DecodeError):
        return None
    if (found.processor, found.cores) != (processor, cores) or found.bandwidth <= 0:
        return None
    return as_quantity(found)


def as_quantity(measured_bandwidth: MeasuredBandwidth) -> Quantity:
    """Return the memory bandwidth inferred from the copy speed, with the range of typical shares."""
    copied = f"{measured_bandwidth.bandwidth / 1e9:.1f} GB/s copied here on {measured_bandwidth.taken}"
    low, mid, high = (measured_bandwidth.bandwidth / share for share in (0.9, COPIED, 0.6))
    return between(low, mid, high, f"{copied}, assumed to be three quarters of the memory's bandwidth")


def _measure_round(many: int) -> float:
    """Return the copied bytes per second of ``many`` parallel threads. ctypes releases the GIL while copying."""
    copied, start, stop = [0] * many, threading.Barrier(many + 1), threading.Event()

    def copy(index: int) -> None:
        source, target = (ctypes.create_string_buffer(BLOCK) for _ in range(2))
        ctypes.memset(source, 1, BLOCK)
        ctypes.memset(target, 0, BLOCK)
        start.wait()
        while not stop.is_set():
            ctypes.memmove(target, source, BLOCK)
            copied[index] += 2 * BLOCK

    threads = [threading.Thread(target=copy, args=(index,)) for index in range(many)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    stop.wait(SECONDS)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(copied) / (time.perf_counter() - began)
