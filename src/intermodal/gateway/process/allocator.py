"""Tunes the allocator and the garbage collector for a long-lived server."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8  # of mallopt
_LARGE = 32 << 20  # bytes: the largest value that mallopt accepts on 64-bit systems
_TOP_PADDING = 64 << 20  # bytes that stay free at the top


def set_malloc_options() -> bool:
    """Keep large blocks, and let all threads allocate from one heap.

    Return True on success, which needs glibc on Linux. glibc maps every block above 128 KiB from the system and unmaps
    it when it is freed, so each image that passes through costs a few hundred page faults. Passing on 1 MiB bodies, 8
    at a time, takes 1.60 ms of processor time each instead of 1.87, for 3 MB more at the peak (two runs each,
    alternating). The memory kept is bounded.

    glibc also gives each thread its own heap, and memory freed by the threads of a gateway lies between blocks still in
    use: 8 MiB after 50,000 mixed requests, growing by some 60 bytes per request. With one heap, the next request reuses
    the memory that the last one freed. The threads take turns in the interpreter and rarely contend for the heap's
    lock. See mallopt(3).
    """
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    done = [
        mallopt(_MMAP_THRESHOLD, _LARGE),
        mallopt(_TRIM_THRESHOLD, _TOP_PADDING),
        mallopt(_TOP_PAD, _TOP_PADDING),
        mallopt(_ARENA_MAX, 1),
    ]
    return all(done)


def release_memory() -> None:
    """Collect garbage of all generations and return free memory to the system, with glibc on Linux.

    Call it in a thread. Failed and cancelled requests leave cycles (an error, its traceback, the request in it), and
    planning the first requests leaves more. Cycles that outlive two collections wait for a full collection, which is
    rare. With one collection per minute, 136 MiB were resident after 36,000 mixed requests instead of 148. It scans
    only objects created since the start: 16,000 small containers in 0.4 ms.

    Freed blocks lie between others that are still in use, and the C library returns none of them by itself. After
    31,000 mixed requests that was 7 of 108 MB, and resident memory grew by 0.2 KB per request with every table full.
    """
    gc.collect()
    if sys.platform.startswith("linux"):
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


_LOOK = 5_000  # live containers allocated before a collection looks for cycles (Python's default: 700)


def freeze_gc() -> None:
    """Exempt the objects of start-up from garbage collection, and collect less often.

    Catalog and modules stay for good; scanning them takes 10 to 20 ms in which no client is served. They are freed by
    reference count as before; only their cycles stay. Successful requests leave no cycles, and a collection takes 4 us
    of each.
    """
    gc.freeze()
    gc.set_threshold(_LOOK)


def allow_thread_switches() -> None:
    """Let other threads run during long C calls that create many objects.

    Decoding a body of 33,000 messages is one C call of some 100 ms. CPython 3.11 collects garbage within it and calls
    the callbacks of the collector, and a call to a Python function is where the interpreter lock may be handed over. A
    second client's longest wait beside such a body took 43 to 57 ms of processor time instead of 57 to 154. From Python
    3.12 on, collections happen only between calls, and this changes nothing.
    """
    if _hand_over not in gc.callbacks:
        gc.callbacks.append(_hand_over)


def _hand_over(phase: str, about: dict[str, int]) -> None:
    """Do nothing. Being called is the purpose."""


@cache
def _maker() -> Callable[[None, int], bytearray] | None:
    import ctypes

    kind = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_char_p, ctypes.c_ssize_t)
    try:
        return kind(("PyByteArray_FromStringAndSize", ctypes.pythonapi))
    except AttributeError:  # another Python
        return None


def uninitialized_buffer(size: int) -> bytearray:
    """Return a buffer of ``size`` bytes without clearing it; the caller overwrites all of it.

    ``bytearray(size)`` clears the memory first, which blocks for 2 to 60 ms at twenty megabytes. Raises MemoryError.
    """
    make = _maker()
    return bytearray(size) if make is None else make(None, size)
