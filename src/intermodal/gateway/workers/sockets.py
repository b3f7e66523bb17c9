"""The listening sockets of several workers at one address.

On Linux each worker has its own (SO_REUSEPORT) and the kernel distributes connections by a hash of the client. The
parent holds them all: clients waiting at the socket of a worker that died wait for its successor. Elsewhere that option
distributes nothing, and all workers accept from one socket.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

from intermodal.core.hints import hint
from intermodal.errors import UsageError

BACKLOG = 1024
_OF_PORTS = (errno.EADDRINUSE, errno.EACCES)  # errors that another port may avoid
_REUSE_PORT = sys.platform == "linux"

_Address = tuple[str | int | bytes, ...]


class SharedSocket(socket.socket):
    """A socket that several processes accept from.

    asyncio accepts as many connections at once as the backlog it is given; it is given 1.
    """

    def listen(self, backlog: int = BACKLOG, /) -> None:
        super().listen(BACKLOG)


def bind_sockets(host: str, port: int, workers: int) -> list[list[SharedSocket]]:
    """Return the bound sockets of each worker, one for each address that ``host`` resolves to.

    The sockets of the first worker already listen, so that early clients wait. Raises UsageError.
    """
    try:
        return _bind_all(host, port, workers)
    except OSError as error:
        raise bind_failure(error, host, port) from None


def format_address(host: str, port: int) -> str:
    """Return host and port as in a URL."""
    bare = host.strip("[]")
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def find_bind_error(host: str, port: int) -> OSError | None:
    """Return why the address cannot be bound now; None if it can."""
    try:
        sockets = _bind_all(host, port, 1)
    except OSError as error:
        return error
    for line in sockets[0]:
        line.close()
    return None


def bind_failure(error: OSError, host: str, port: int) -> UsageError:
    """Return the error for an address that cannot be bound, with a remedy."""
    known = isinstance(error, socket.gaierror) or error.errno not in errno.errorcode
    why = (error.strerror if known else os.strerror(error.errno or 0)) or "cannot be listened on"
    todo = (
        hint("choose another {port}")
        if error.errno in _OF_PORTS
        else hint("choose an address of this machine as {host}")
    )
    return UsageError(f"{why[:1].lower()}{why[1:]}", where=format_address(host, port), todo=todo)


def _bind_all(host: str, port: int, workers: int) -> list[list[SharedSocket]]:
    found: list[list[SharedSocket]] = [[] for _ in range(workers)]
    try:
        for family, (name, _, *rest) in _addresses(host, port):
            first = _bind_one(family, (name, port, *rest), alone=True)
            found[0].append(first)
            port = port or first.getsockname()[1]
            first.listen()  # with SO_REUSEPORT from the start two gateways could share a port
            if _REUSE_PORT:
                first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            for sockets in found[1:]:
                sockets.append(_bind_one(family, (name, port, *rest)) if _REUSE_PORT else first)
    except OSError:
        for each in (line for sockets in found for line in sockets):
            each.close()
        raise
    return found


def rebind_sockets(sockets: Sequence[SharedSocket]) -> list[SharedSocket]:
    """Return new sockets for a worker. They do not listen, so the kernel sends them nothing until a successor listens.

    On systems where all workers share their sockets, the shared sockets are returned.
    """
    if not _REUSE_PORT:
        return list(sockets)
    found = [_bind_one(line.family, line.getsockname()) for line in sockets]
    for line in sockets:
        line.close()
    return found


def inherit_sockets(descriptors: Sequence[int]) -> list[SharedSocket]:
    """Return the sockets of inherited descriptors. Processes that the worker starts do not inherit them."""
    sockets = [SharedSocket(fileno=descriptor) for descriptor in descriptors]
    for each in sockets:
        each.set_inheritable(False)
    return sockets


def _addresses(host: str, port: int) -> list[tuple[int, _Address]]:
    bare = host.strip("[]")
    with suppress(ValueError):  # an address needs no lookup; one with a zone needs the zone's index
        if "%" not in bare:
            known = ipaddress.ip_address(bare)
            return [(socket.AF_INET, (bare, port)) if known.version == 4 else (socket.AF_INET6, (bare, port, 0, 0))]
    found = socket.getaddrinfo(bare, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), tuple(address)) for family, _, _, _, address in found))


def _bind_one(family: int, address: _Address, *, alone: bool = False) -> SharedSocket:
    line = SharedSocket(family, socket.SOCK_STREAM)
    try:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if _REUSE_PORT and not alone:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            line.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        line.bind(address)
    except BaseException:
        line.close()
        raise
    return line
