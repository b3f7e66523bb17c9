"""The sockets of several workers at one address.

On Linux each worker has one of its own (SO_REUSEPORT) and the system deals connections out by a hash of who calls. The
parent holds them all: what waits at the socket of a worker that died waits for its successor, and is not cut unless
that one cannot be started.
Elsewhere that option deals nothing out, and all workers accept from one socket.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence

from intermodal.errors import UsageError

BACKLOG = 1024
_DEALT = sys.platform == "linux"

_Address = tuple[str | int | bytes, ...]


class Shared(socket.socket):
    """A socket that several accept from: asyncio takes as many at once as it lets wait, so it is told to take one."""

    def listen(self, backlog: int = BACKLOG, /) -> None:
        super().listen(BACKLOG)


def bound(host: str, port: int, workers: int) -> list[list[Shared]]:
    """For each worker its sockets, bound and not listening yet: one for each address that ``host`` stands for.

    Raises UsageError where the port is taken.
    """
    found: list[list[Shared]] = [[] for _ in range(workers)]
    try:
        for family, (name, _, *rest) in _addresses(host, port):
            with _at(family, (name, port, *rest), alone=True) as probe:  # by the option two gateways could share a port
                port = port or probe.getsockname()[1]
            first = _at(family, (name, port, *rest))
            for number, sockets in enumerate(found):
                sockets.append(first if not number else _at(family, (name, port, *rest)) if _DEALT else first)
    except OSError as error:
        for each in (line for sockets in found for line in sockets):
            each.close()
        why = (error.strerror or "cannot be listened on").lower()
        raise UsageError(why, where=f"{host}:{port}", todo="choose another --port") from None
    return found


def renewed(sockets: Sequence[Shared]) -> list[Shared]:
    """A worker's sockets anew, and not listening: the system deals nothing to them until it has a successor that does.
    Where all workers have the same ones, those."""
    if not _DEALT:
        return list(sockets)
    found = [_at(line.family, line.getsockname()) for line in sockets]
    for line in sockets:
        line.close()
    return found


def taken(descriptors: Sequence[int]) -> list[Shared]:
    """A worker's sockets, by what it inherited. What it starts itself does not inherit them."""
    sockets = [Shared(fileno=descriptor) for descriptor in descriptors]
    for each in sockets:
        each.set_inheritable(False)
    return sockets


def _addresses(host: str, port: int) -> list[tuple[int, _Address]]:
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), tuple(address)) for family, _, _, _, address in found))


def _at(family: int, address: _Address, *, alone: bool = False) -> Shared:
    line = Shared(family, socket.SOCK_STREAM)
    try:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if _DEALT and not alone:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            line.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        line.bind(address)
    except BaseException:
        line.close()
        raise
    return line
