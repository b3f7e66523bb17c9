"""Limits inside the worker process: no files while decoding, and no more memory than the job needs.

Native libraries open files behind Python's back (fonts, playlists, profiles). While a handler decodes, the process may
hold no descriptor beyond those it has, so that opening a file or a socket fails in the kernel; importing a library
lifts that for the moment of the import.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from intermodal.concurrency.worker_process import MemoryGauge
from intermodal.media import sandbox

# What can be tried: opening anything while decoding; more memory than is allowed; and, of a process that was taken
# over, reading other files, writing any, reaching the network, starting programs or other processes.
PROBED_LIMITS = ("opening", "memory", "reading", "writing", "network", "programs", "processes")
_gauge: MemoryGauge | None = None


def apply_limits() -> MemoryGauge:
    """Open what the limits themselves read, and return it; then apply the sandbox, which cannot be lifted."""
    global _gauge
    _gauge = MemoryGauge()
    sandbox.apply_sandbox()
    return _gauge


@contextmanager
def files_allowed() -> Iterator[None]:
    """Allow files in a block, for imports and to receive a descriptor: never while a user's bytes are read."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard) if hard > 0 else 256, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def forbid_files() -> None:
    """Forbid opening files and sockets from here on; open ones stay usable."""
    import resource

    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def probe_limits() -> dict[str, bool]:
    """Return whether each of ``PROBED_LIMITS`` holds, by trying to break it."""
    import resource

    found = {"opening": not _opens("/", os.O_RDONLY), "memory": False}
    if sys.platform == "linux":  # elsewhere the limit is taken and not kept
        found["memory"] = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
    with files_allowed():  # the soft limit is lifted, as code can that took the process over
        import socket

        found["reading"] = not _opens("/", os.O_RDONLY)
        temporary = getattr(os, "O_TMPFILE", None)
        found["writing"] = temporary is not None and not _opens("/tmp", temporary | os.O_RDWR)
        found["network"] = _refused(lambda: socket.socket().close())
        found["programs"] = _refused(lambda: os.execv("/", ["/"]))
        found["processes"] = _refused(_forked)
    return {name: found[name] for name in PROBED_LIMITS}


def _opens(path: str, flags: int) -> bool:
    try:
        os.close(os.open(path, flags))
    except OSError:
        return False
    return True


def _refused(attempt: Callable[[], object]) -> bool:
    """Return whether the kernel refuses a call itself, and not only this use of it."""
    try:
        attempt()
    except OSError as error:
        return error.errno == errno.EPERM
    return False


def _forked() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


@contextmanager
def memory_limit(size: int) -> Iterator[None]:
    """Allow ``size`` more bytes of address space. More raises MemoryError, or ends the process in C code."""
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
