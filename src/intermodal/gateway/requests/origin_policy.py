"""Host and Origin checks, and CORS: a request is judged by its head alone.

A web page open in a browser can reach a server on the same machine. It cannot omit ``Origin``, nor send a ``Host``
other than the name it looked up; so a name that was pointed at 127.0.0.1 (DNS rebinding) differs from ``localhost``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from intermodal.gateway.http1.http_types import RequestHead
from intermodal.protocols.errors.responses import RequestRefused
from intermodal.transport.addresses import is_ip_address

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9.-]{0,252}[a-z0-9])?)(?::([0-9]{1,5}))?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_REQUESTED_METHOD_HEADER = "access-control-request-method"
# Response headers that a page's script may read, besides the few that every script may read.
_EXPOSED_HEADERS = ", ".join((
    "x-request-id", "retry-after", "x-should-retry", "idempotency-replayed",
    *(f"x-intermodal-{name}" for name in ("plan", "route", "steps", "sends", "verdict", "loses", "ignored", "cost",
                                        "attempts", "max-tokens", "unverified")),
    *(f"x-ratelimit-{what}-{unit}" for unit in ("requests", "tokens") for what in ("limit", "remaining", "reset")),
))  # fmt: skip
_PREFLIGHT_MAX_AGE = "600"  # seconds for which a browser caches a preflight response


class OriginPolicy:
    """Checks of ``Host`` and ``Origin``.

    ``names``: further names of this server. ``origins``: pages that may call it.
    """

    def __init__(self, names: Iterable[str] = (), origins: Iterable[str] = (), *, addresses: bool = False) -> None:
        """``addresses``: accept any literal address as ``Host``, since no name was looked up for it."""
        self._names = frozenset((*_LOOPBACK, *(name.lower() for name in names)))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._addresses = addresses

    def check(self, head: RequestHead) -> None:
        """Raise RequestRefused: 421 for a host that is not this server, 403 for an origin that is not allowed."""
        if not head.path.startswith("/") or head.path.startswith("//"):
            raise RequestRefused("the path must begin with one slash", status=421)
        host = head.headers.get("host", "").lower()
        if head.hosts != 1 or not self._is_own_host(host):
            raise RequestRefused(
                "this server does not go by that name", status=421, todo="add it to names in [serve]", code="host"
            )
        origin = head.headers.get("origin")
        elsewhere = head.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if (origin is None and not elsewhere) or self._is_allowed_origin(origin):
            return
        raise RequestRefused(
            "pages of browsers may not call this server", status=403, todo="add the page to origins in [serve]",
            code="origin",
        )  # fmt: skip

    def _is_allowed_origin(self, origin: str | None) -> bool:
        return origin is not None and origin.lower() in self._origins

    def cors_headers(self, head: RequestHead) -> Mapping[str, str]:
        """Return the CORS headers that let an allowed page read the response; none for any other page."""
        origin = head.headers.get("origin", "")
        if not self._is_allowed_origin(origin):
            return {}
        return {
            "access-control-allow-origin": origin,
            "vary": "origin",
            "access-control-expose-headers": _EXPOSED_HEADERS,
        }

    def _is_own_host(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None or int(found[2] or 1) not in range(1, 65536):
            return False
        return found[1] in self._names or (self._addresses and is_ip_address(found[1]))


def is_preflight(head: RequestHead) -> bool:
    """Return True for a CORS preflight request."""
    return head.method == "OPTIONS" and "origin" in head.headers and _REQUESTED_METHOD_HEADER in head.headers


def preflight_headers(head: RequestHead) -> dict[str, str]:
    """Return the headers that allow a preflight. Any header may be sent, since the request itself is checked later."""
    wanted_headers = head.headers.get("access-control-request-headers")
    return {
        "access-control-allow-methods": "GET, HEAD, POST", "access-control-max-age": _PREFLIGHT_MAX_AGE,
        **({"access-control-allow-headers": wanted_headers} if wanted_headers is not None else {}),
    }  # fmt: skip
