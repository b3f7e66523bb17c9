"""Whether it lives, and whether it could serve: the latter does some of the work, as an open socket proves little."""

from __future__ import annotations

import time
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import anyio

from intermodal.gateway.listing import JSON, usable
from intermodal.gateway.messages import Asked
from intermodal.gateway.reply import Reply
from intermodal.wire._json import dumps

if TYPE_CHECKING:
    from intermodal.gateway.serving import Gateway

KEPT = 5.0  # seconds an answer of readyz is given again
LIMIT = 10.0  # seconds the checks may take
# One white pixel as PNG.
_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FAAAAABJRU5ErkJggg=="


async def healthz(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``GET /healthz``: the event loop turns."""
    reply.whole(200, dumps({"status": "ok"}), JSON)


async def readyz(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``GET /readyz``: a picture is opened, the store is read, something can be asked, and nobody is stopping us."""
    if gateway.stopping:
        reply.whole(503, dumps({"status": "stopping"}), JSON)
        return
    ready = await readiness(gateway)
    reply.whole(200 if all(ready.values()) else 503, dumps({"status": _word(ready), "checks": ready}), JSON)


def _word(ready: dict[str, bool]) -> str:
    return "ready" if all(ready.values()) else "not ready"


async def readiness(gateway: Gateway) -> dict[str, bool]:
    """Each check by name. A check that fails says no more than that: who asks may be anybody."""
    if gateway.readiness is not None and time.monotonic() - gateway.readiness[0] < KEPT:
        return gateway.readiness[1]
    checks: dict[str, Any] = {"media": _decodes, "store": _reads, "endpoints": _has_endpoints}
    found: dict[str, bool] = {}
    for name, check in checks.items():
        try:
            with anyio.fail_after(LIMIT):
                found[name] = bool(await check(gateway))
        except Exception:
            found[name] = False
    gateway.readiness = (time.monotonic(), found)
    return found


async def _decodes(gateway: Gateway) -> bool:
    from intermodal.content import BytesSource, Image
    from intermodal.request import Message, Request

    picture = Image(source=BytesSource(data=b64decode(_PICTURE), name="ready.png"))
    prepared = await gateway.client.prepare(Request(messages=(Message(role="user", parts=(picture,)),)))
    return prepared.inputs.facts.parts[0].kind == "image"


async def _reads(gateway: Gateway) -> bool:
    return gateway.client.store.statistics() is not None


async def _has_endpoints(gateway: Gateway) -> bool:
    return any(True for _ in usable(gateway.client.catalog))
