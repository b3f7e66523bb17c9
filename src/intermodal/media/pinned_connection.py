"""Dials an address that was checked, whatever host the URL names. Used by ``fetch.py`` only."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import cache
from typing import Any, cast

import httpcore


@cache
def tls_context() -> ssl.SSLContext:
    """Return the default TLS context with the certificates that httpx uses."""
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


# ruff: noqa: ASYNC109 - httpcore's interface


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the given addresses in turn. The requested host is used only for TLS and the Host header."""

    def __init__(self, addresses: list[str]) -> None:
        self._addresses = addresses
        self._backend = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses[:4]:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.UnsupportedProtocol("no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


def pinned_backend(addresses: list[str]) -> httpcore.AsyncNetworkBackend:
    return _PinnedBackend(addresses)
