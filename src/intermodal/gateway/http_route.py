"""The definition of a route: the handler of a path, and what requests for it must satisfy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from intermodal.client_apis import ClientApi
from intermodal.gateway.context import GatewayContext
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter

Handler = Callable[[GatewayContext, GatewayRequest, ResponseWriter], Awaitable[None]]


class HttpRoute(NamedTuple):
    """The handler of a path.

    Attributes:
        open: no key is needed. body: the content type that a request must have.
        passes: the client API whose chats may take the direct path.
    """

    answer: Handler
    open: bool = False
    body: str = ""
    passes: ClientApi | None = None


RouteTable = Mapping[tuple[str, str], HttpRoute]  # by method and path
