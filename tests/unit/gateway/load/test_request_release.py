"""What was asked goes when it is answered: no circle holds it, media and all, until a collector comes by."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.gateway.apis.test_chat import shown
from tests.unit.gateway.gateway_server import BY_EXECUTOR, GatewayServer, until

from intermodal.core.request import Request
from intermodal.gateway.http1.connection import Connection
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.protocols.framing.inline_media import ExtractedBody
from intermodal.testing import FakeHost, Fault
from intermodal.transport.http1 import HostConnection

pytestmark = pytest.mark.usefixtures("either_way")

ROUTES: dict[str, dict[str, Any]] = {"direct": {}, "executor": BY_EXECUTOR}


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def those(*kinds: type) -> list[object]:
    """Values of these types that are still there."""
    return [each for each in gc.get_objects() if isinstance(each, kinds)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", ROUTES)
def test_a_request_is_freed_once_it_is_answered(
    house: GatewayServer, route: str, stream: bool, uncollected: None
) -> None:
    more = {"stream": stream, "max_tokens": 50, **ROUTES[route]}
    assert house.chat("hello", **more).status_code == 200  # the first of its kind is planned
    assert house.chat(shown(), model="cloud/seeing", **more).status_code == 200
    gc.collect()
    before = len(those(Request, ExtractedBody))
    direct, taking = house.gateway.direct, route == "direct"
    until(lambda: direct.engine.answered_calls == 2 * taking)  # a client has its answer before it is counted
    for _ in range(3):
        assert house.chat("hello", **more).status_code == 200
        assert house.chat(shown(), model="cloud/seeing", **more).status_code == 200
    until(lambda: direct.engine.answered_calls == 8 * taking)
    until(lambda: len(those(Request, ExtractedBody)) <= before)


@pytest.mark.parametrize("kind", ["unavailable", "key", "gateway", "no such model"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_request_is_freed(
    house: GatewayServer, host: FakeHost, kind: str, stream: bool, uncollected: None
) -> None:
    """An error knows where it was raised, and that is where the request is, which has the error."""
    if kind != "no such model":
        host.fault = Fault(kind)
    model = "cloud/nobody" if kind == "no such model" else "cloud/strong"
    before = len(those(GatewayRequest))
    for _ in range(3):
        assert house.chat("hello " * 50, model=model, stream=stream, max_tokens=50).status_code >= 400
        assert house.post("/v1/embeddings", {"model": "cloud/nobody", "input": "hello"}).status_code >= 400
    until(lambda: len(those(GatewayRequest)) <= before)


def test_connections_go_when_they_are_closed(house: GatewayServer, host: FakeHost, uncollected: None) -> None:
    """A parser holds methods of the connection that it calls, and the connection has the parser."""
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    body = b'{"model": "cloud/strong", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}'
    request = head + b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    assert b"200 OK" in house.raw(request)
    for cut in (40, len(head), len(request) - 5):
        house.raw(request[:cut], seconds=0.2)
    host.fault = Fault("gone")
    for _ in range(3):
        assert b"200 OK" not in house.raw(request)
    until(lambda: len(those(Connection)) <= 1 and not those(HostConnection))  # whoever watched them last may hold one
