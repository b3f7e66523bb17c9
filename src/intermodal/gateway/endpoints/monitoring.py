"""Liveness, readiness and metrics. Readiness does some real work, since an open socket proves little.

The process that decodes clients' media decodes a test image and sound. While it is busy with a client's file it counts
as working and is not waited for, so a long video does not make the gateway unready.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from intermodal.gateway.endpoints.models import JSON_HEADERS, callable_endpoints
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.gateway.metrics import METRICS_TYPE
from intermodal.protocols.framing.json_body import dumps

if TYPE_CHECKING:
    from intermodal.gateway.context import GatewayContext
    from intermodal.gateway.server_client import ServerClient

CHECK_SECONDS = 10.0  # seconds the checks may take
# One grey pixel as PNG and 10 ms of a sawtooth as WAVE, whose decoded values are known exactly.
_GREY = 0xA7
_PICTURE = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNYDgAAqQCokw6H+QAAAABJRU5ErkJggg==")
_SAMPLES = struct.pack("<160h", *range(-8000, 8000, 100))
_SOUND = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + 320, b"WAVEfmt ", 16, 1, 1, 16000, 32000, 2, 16, b"data", 320)
_SOUND += _SAMPLES


async def healthz(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /healthz``: 200 while the event loop runs."""
    reply.write_whole(200, dumps({"status": "ok"}), JSON_HEADERS)


async def root(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /``, by which Ollama's clients detect a server."""
    reply.write_whole(200, b"intermodal is running", {"content-type": "text/plain; charset=utf-8"})


async def readyz(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /readyz``: 200 if media decode, the store is readable, a model is callable and no shutdown is
    in progress.
    """
    if context.server.stopping:
        reply.write_whole(503, dumps({"status": "stopping"}), JSON_HEADERS)
        return
    ready = await readiness(context)
    reply.write_whole(
        200 if all(ready.values()) else 503, dumps({"status": _readiness_word(ready), "checks": ready}), JSON_HEADERS
    )


def _readiness_word(ready: dict[str, bool]) -> str:
    return "ready" if all(ready.values()) else "not ready"


async def readiness(context: GatewayContext) -> dict[str, bool]:
    """Return the result of each check by name. Details of failures are withheld, since the client may be anyone."""
    return await context.readiness.get(partial(_run_checks, context.client))


async def _run_checks(client: ServerClient) -> dict[str, bool]:
    checks: dict[str, Any] = {"media": _decodes, "store": _reads, "endpoints": _has_endpoints}
    found: dict[str, bool] = {}
    for name, check in checks.items():
        try:
            with anyio.fail_after(CHECK_SECONDS):
                found[name] = bool(await check(client))
        except Exception:
            found[name] = False
    return found


async def _decodes(client: ServerClient) -> bool:
    media = client.media
    if media.busy:
        return True
    picture = await media.picture(_PICTURE, name="ready.png")
    sound = await media.pcm(_SOUND, name="ready.wav")
    return _pixels(picture.data)[-1] == _GREY and sound.samples == _SAMPLES


def _pixels(png: bytes) -> bytes:
    """Return the decompressed rows of a PNG that the media worker wrote; for one pixel, the last byte is its value."""
    at = png.index(b"IDAT")
    return zlib.decompress(png[at + 4 : at + 4 + int.from_bytes(png[at - 4 : at])])


async def _reads(client: ServerClient) -> bool:
    return client.store.statistics() is not None


async def _has_endpoints(client: ServerClient) -> bool:
    return any(True for _ in callable_endpoints(client.catalog))


async def get_metrics(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /metrics``: the counters of all workers, whichever one answers."""
    metrics, now = context.server.counters()
    reply.write_whole(200, metrics.exposition_text(now).encode(), {"content-type": METRICS_TYPE})
