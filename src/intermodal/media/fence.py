"""Fences inside the worker process: no files while decoding, and no more memory than the job deserves.

Libraries of native code open things behind Python's back (fonts, playlists, profiles). While a
handler decodes, the process may hold no descriptor beyond those it has, so that opening a file or a
socket fails in the kernel; importing a library lifts that for the moment of the import.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from intermodal._process import Gauge

_gauge: Gauge | None = None


def begin() -> None:
    """Open what the fences themselves read, before they stand."""
    global _gauge
    _gauge = Gauge()


@contextmanager
def importing() -> Iterator[None]:
    """Files may be opened inside: for imports only, never with a user's bytes at hand."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard) if hard > 0 else 256, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def seal() -> None:
    """From here on no file or socket can be opened; those that are open stay usable."""
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


@contextmanager
def room(size: int) -> Iterator[None]:
    """At most ``size`` bytes of address space more than now. More raises MemoryError, or ends the process in C code."""
    used = _gauge.address_space() if _gauge is not None and sys.platform == "linux" else 0
    if not used:
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + size if hard == resource.RLIM_INFINITY else min(used + size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
