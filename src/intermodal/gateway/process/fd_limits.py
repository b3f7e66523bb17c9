"""Limits connections to the available file descriptors.

Every connection is an open file, and a system allows a process a number of them, often 1,024. When none is left,
asyncio cannot accept, retries without end and logs each attempt; so clients beyond the limit get 503 instead.
"""

from __future__ import annotations

import resource

from msgspec.structs import replace

from intermodal.gateway.http1.http_types import HttpLimits

_EACH = 2  # descriptors per client: its connection, and one to the host that answers it
_OWN = 100  # the store and its journals, media workers, runtimes, files of libraries
_BACKLOG = 1024  # clients in the accept queue; all are accepted at once, so none is refused before
_MOST = 1 << 16  # some systems report "infinity" and refuse to set it


def raise_fd_limit() -> None:
    """Raise the soft limit of open files to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted_limit = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted_limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted_limit, hard))


def accept_backlog() -> int:
    """Return the length of the queue of clients waiting to be accepted."""
    return min(_BACKLOG, max(1, _files() // 8))


def limit_connections(limits: HttpLimits) -> HttpLimits:
    """Return the limits with at most as many connections as there are file descriptors."""
    room = (_files() - _OWN - accept_backlog()) // _EACH
    return replace(limits, connections=min(limits.connections, max(1, room)))


def _files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft
