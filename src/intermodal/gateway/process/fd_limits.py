"""How many clients this process has files for.

Every connection is an open file, and a system allows a process so many: often 1,024. Where there are none left asyncio
cannot accept, tries again without end and writes about each try; so clients beyond what there is room for are told to
come later.
"""

from __future__ import annotations

import resource

from msgspec.structs import replace

from intermodal.gateway.http1.http_types import HttpLimits

_EACH = 2  # a client's connection, and one to the host that answers it
_OWN = 100  # the store and its journals, media workers, runtimes, what libraries open
_BACKLOG = 1024  # clients that the system lets wait, and that are taken in one go: until then none of them is refused
_MOST = 1 << 16  # some systems allow "infinity", and refuse it when it is asked for


def raise_fd_limit() -> None:
    """Ask the system for as many as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def accept_backlog() -> int:
    """How many clients may wait to be taken."""
    return min(_BACKLOG, max(1, _files() // 8))


def limit_connections(limits: HttpLimits) -> HttpLimits:
    """The limits, with no more connections than there are files for."""
    room = (_files() - _OWN - accept_backlog()) // _EACH
    return replace(limits, connections=min(limits.connections, max(1, room)))


def _files() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft
