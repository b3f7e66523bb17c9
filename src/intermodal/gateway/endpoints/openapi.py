"""``GET /openapi.json``: the description of the API, built when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.gateway.endpoints.models import JSON_HEADERS

if TYPE_CHECKING:
    from intermodal.gateway.http1.http_types import GatewayRequest
    from intermodal.gateway.http1.response_writer import ResponseWriter
    from intermodal.gateway.server import Gateway


async def get_openapi(gateway: Gateway, asked: GatewayRequest, reply: ResponseWriter) -> None:
    """``GET /openapi.json``."""
    from intermodal.gateway.openapi.openapi_document import encode_document

    reply.whole(200, encode_document(), JSON_HEADERS)
