"""``GET /openapi.json``: what is served, for programs. The document is made when somebody first asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.gateway.listing import JSON

if TYPE_CHECKING:
    from intermodal.gateway.messages import Asked
    from intermodal.gateway.reply import Reply
    from intermodal.gateway.serving import Gateway


async def openapi(gateway: Gateway, asked: Asked, reply: Reply) -> None:
    """``GET /openapi.json``."""
    from intermodal.gateway.contract.document import encoded

    reply.whole(200, encoded(), JSON)
