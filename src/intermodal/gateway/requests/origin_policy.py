"""Who may come in, by the head of a request alone: names this server answers to, and pages of browsers.

A page that a user happens to have open can reach a server on their machine. What it cannot do is leave out
``ContentOrigin``, or send another ``Host`` than the name it looked up: so a name that was pointed at 127.0.0.1 (DNS
rebinding) is told apart from ``localhost``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from intermodal.gateway.http1.http_types import RequestHead
from intermodal.protocols.errors.responses import RequestRefused

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?)(?::([0-9]{1,5}))?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_WISHED = "access-control-request-method"
# Of an answer's headers those that a page's script may read besides the few that every script may.
_SHOWN = ", ".join((
    "x-request-id", "retry-after", "x-should-retry", "idempotency-replayed",
    *(f"x-intermodal-{name}" for name in ("plan", "route", "steps", "sends", "verdict", "loses", "ignored", "cost",
                                        "attempts", "max-tokens", "unverified")),
    *(f"x-ratelimit-{what}-{unit}" for unit in ("requests", "tokens") for what in ("limit", "remaining", "reset")),
))  # fmt: skip
_REMEMBERED = "600"  # seconds for which a browser need not ask again whether it may


class OriginPolicy:
    """``names``: further names of this server. ``origins``: pages whose scripts may call it."""

    def __init__(self, names: Iterable[str] = (), origins: Iterable[str] = (), *, addresses: bool = False) -> None:
        """``addresses``: any literal address may stand in ``Host``, since no name was looked up for it."""
        self._names = frozenset((*_LOOPBACK, *(name.lower() for name in names)))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._addresses = addresses

    def check(self, head: RequestHead) -> None:
        """Raises Refused, 421 for a host that is not us and 403 for a page that was not allowed."""
        if not head.path.startswith("/") or head.path.startswith("//"):
            raise RequestRefused("the path must begin with one slash", status=421)
        said = head.headers.get("host", "").lower()
        if head.hosts != 1 or not self._is_ours(said):
            raise RequestRefused(
                "this server does not go by that name", status=421, todo="add it to names in [serve]", code="host"
            )
        origin = head.headers.get("origin")
        elsewhere = head.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if (origin is None and not elsewhere) or self._is_welcome(origin):
            return
        raise RequestRefused(
            "pages of browsers may not call this server", status=403, todo="add the page to origins in [serve]",
            code="origin",
        )  # fmt: skip

    def _is_welcome(self, origin: str | None) -> bool:
        return origin is not None and origin.lower() in self._origins

    def told(self, head: RequestHead) -> Mapping[str, str]:
        """Headers by which a browser lets the page that asked have the answer; none for any other page."""
        origin = head.headers.get("origin", "")
        if not self._is_welcome(origin):
            return {}
        return {"access-control-allow-origin": origin, "vary": "origin", "access-control-expose-headers": _SHOWN}

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None or int(found[2] or 1) not in range(1, 65536):
            return False
        return found[1] in self._names or (self._addresses and is_address(found[1]))


def is_preflight(head: RequestHead) -> bool:
    """Whether a browser asks, for a page, what it may send: before the request itself, and without its key."""
    return head.method == "OPTIONS" and "origin" in head.headers and _WISHED in head.headers


def preflight_headers(head: RequestHead) -> dict[str, str]:
    """What such a page may send: whatever it wants to; whose it is, and what it asks for, is looked at then."""
    wanted = head.headers.get("access-control-request-headers")
    return {
        "access-control-allow-methods": "GET, HEAD, POST", "access-control-max-age": _REMEMBERED,
        **({"access-control-allow-headers": wanted} if wanted is not None else {}),
    }  # fmt: skip


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
