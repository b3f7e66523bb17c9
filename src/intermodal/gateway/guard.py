"""Who may come in, by the head of a request alone: names this server answers to, and pages of browsers.

A page that a user happens to have open can reach a server on their machine. What it cannot do is leave out ``Origin``,
or send another ``Host`` than the name it looked up: so a name that was pointed at 127.0.0.1 (DNS rebinding) is told
apart from ``localhost``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from intermodal.gateway.messages import Head
from intermodal.wire.served import Refused

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?)(?::([0-9]{1,5}))?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Guard:
    """``names``: further names of this server. ``origins``: pages whose scripts may call it."""

    def __init__(self, names: Iterable[str] = (), origins: Iterable[str] = (), *, addresses: bool = False) -> None:
        """``addresses``: any literal address may stand in ``Host``, since no name was looked up for it."""
        self._names = frozenset((*_LOOPBACK, *(name.lower() for name in names)))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._addresses = addresses

    def check(self, head: Head) -> None:
        """Raises Refused, 421 for a host that is not us and 403 for a page that was not allowed."""
        if not head.path.startswith("/") or head.path.startswith("//"):
            raise Refused("the path must begin with one slash", status=421)
        said = head.headers.get("host", "").lower()
        if head.hosts != 1 or not self._is_ours(said):
            raise Refused(
                "this server does not go by that name", status=421, todo="add it to names in [serve]", code="host"
            )
        origin = head.headers.get("origin")
        elsewhere = head.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if (origin is None and not elsewhere) or (origin is not None and origin.lower() in self._origins):
            return
        raise Refused(
            "pages of browsers may not call this server", status=403, todo="add the page to origins in [serve]",
            code="origin",
        )  # fmt: skip

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None or int(found[2] or 1) not in range(1, 65536):
            return False
        return found[1] in self._names or (self._addresses and is_address(found[1]))


def is_address(name: str) -> bool:
    """Whether this is an address and no name."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host in _LOOPBACK:
        return True
    return is_address(host) and ipaddress.ip_address(host.strip("[]")).is_loopback
