"""Connections of the transport are used again only where nothing came on them that belongs to no request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.unit.gateway.direct.test_direct_tls import LOCAL, Authority
from tests.unit.transport.test_http1 import Site

from intermodal.protocols.calls import EncodedRequest
from intermodal.transport.addresses import HostAddress
from intermodal.transport.client import Transport

pytestmark = pytest.mark.anyio

ASKED = EncodedRequest(path="/chat/completions", headers=(), segments=(b"{}",))


def sized(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


def chunked(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@asynccontextmanager
async def at(site: Site, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Transport, HostAddress]]:
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0, ssl=tls)
    sender = Transport()
    try:
        yield sender, HostAddress(f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    finally:
        await sender.aclose()
        server.close()
        await asyncio.sleep(0)


async def ask(sender: Transport, server: HostAddress, record: Slow | None = None) -> bytes:
    async with sender.post(server, ASKED, record=record) as response:
        return b"".join([chunk async for chunk in response.chunks()])


class Slow:
    """A row that takes its time to be written."""

    async def before(self) -> None:
        await asyncio.sleep(0.1)

    def after(self) -> None:
        pass


@pytest.mark.parametrize("behind", [0, 0.02], ids=["at once", "later"])
@pytest.mark.parametrize("reply", [sized, chunked])
async def test_a_reply_too_many_is_not_the_next_ones(behind: float, reply: object) -> None:
    assert callable(reply)
    site = Site(reply(b"mine"), behind, reply(b"a stranger's")) if behind else Site(reply(b"mine") + reply(b"more"))
    async with at(site) as (sender, server):
        for _ in range(3):
            assert await ask(sender, server) == b"mine"
            await asyncio.sleep(0.05)
        assert site.connections == 3


async def test_nor_is_any_other_byte() -> None:
    for more in (b"\r\n\r\n", b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"x" * 200_000):
        site = Site(sized(b"mine") + more)
        async with at(site) as (sender, server):
            for _ in range(3):
                assert await ask(sender, server) == b"mine"
            assert site.connections == 3


async def test_nor_is_what_waits_between_the_socket_and_http() -> None:
    """A reply that ends where one read ends: what came with it lies below."""
    fit = 65536 - len(sized(b"x" * 65000)) + 65000
    assert len(sized(b"x" * fit)) == 65536
    site = Site(sized(b"x" * fit) + sized(b"a stranger's"))
    async with at(site) as (sender, server):
        for _ in range(3):
            assert await ask(sender, server) == b"x" * fit
        assert site.connections == 3


async def test_nor_is_what_comes_when_the_next_one_is_about_to_leave() -> None:
    site = Site(sized(b"mine"), 0.04, sized(b"a stranger's"))
    async with at(site) as (sender, server):
        for _ in range(3):
            assert await ask(sender, server, Slow()) == b"mine"
        assert (site.connections, len(site.requests)) == (3, 3)


@pytest.mark.parametrize("apart", [False, True], ids=["one record", "two records"])
async def test_nor_is_what_tls_holds(apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    mine, strange = sized(b"mine"), sized(b"a stranger's")
    site = Site(mine, strange) if apart else Site(mine + strange)
    async with at(site, authority.context(*LOCAL)) as (sender, server):
        for _ in range(3):
            assert await ask(sender, server) == b"mine"
        assert site.connections == 3
    good = Site(mine)
    async with at(good, authority.context(*LOCAL)) as (sender, server):
        for _ in range(3):
            assert await ask(sender, server, Slow()) == b"mine"
        assert good.connections == 1


@pytest.mark.parametrize("reply", [sized, chunked])
async def test_what_ends_in_good_order_is_kept(reply: object) -> None:
    assert callable(reply)
    site = Site(reply(b"mine" * 50_000))
    async with at(site) as (sender, server):
        for _ in range(5):
            assert await ask(sender, server, Slow()) == b"mine" * 50_000
        assert site.connections == 1


async def test_by_a_proxy_each_request_has_a_connection_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    for more in (b"", sized(b"a stranger's")):
        site = Site(sized(b"mine") + more)
        async with at(site) as (sender, server):
            monkeypatch.setenv("HTTP_PROXY", server.base_url.removesuffix("/v1"))
            for _ in range(3):
                async with sender.post(HostAddress("http://api.example.invalid/v1"), ASKED, proxied=True) as response:
                    assert await response.read_body() == b"mine"
            assert site.connections == 3


async def test_a_request_that_wants_a_fresh_connection_gets_one() -> None:
    site = Site(sized(b"mine"))
    async with at(site) as (sender, server):
        for _ in range(2):
            assert await ask(sender, server) == b"mine"
        assert site.connections == 1
        async with sender.post(server, ASKED, fresh=True) as response:
            assert await response.read_body() == b"mine"
        assert site.connections == 2
        assert await ask(sender, server) == b"mine"
        assert site.connections == 2
