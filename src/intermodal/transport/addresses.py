"""Where requests go: the server's address, its API key, and the certificates it is verified with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from intermodal import errors
from intermodal._version import __version__
from intermodal.catalog.types import Auth
from intermodal.transport.connection_errors import NoCertificates

if TYPE_CHECKING:
    import ssl


class HostAddress(NamedTuple):
    """The address of a server, its API key, and the header that carries the key."""

    base_url: str
    key: str = ""
    auth: Auth = "bearer"


class Address(NamedTuple):
    """The destination of a request, in ASCII. ``netloc``: as in the host header; ``path``: includes the query."""

    scheme: str
    host: str
    port: int | None
    netloc: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}{self.path}"


_SAFE = "/%:@!$&'()*+,;=?~"  # characters that are kept in a path and its query


@lru_cache(maxsize=256)
def parse_address(base_url: str, path: str) -> Address:
    """Return the address of a path below ``base_url``. Raises ConfigError if that is not a plain http(s) address."""
    text = base_url.rstrip("/") + path
    try:
        parts = urlsplit(text)
        host, port = _ascii(parts.hostname or ""), parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    plain = (
        re.fullmatch(r"[\w.:-]+", host, re.ASCII) and "@" not in parts.netloc and not re.search(r"[\0-\x1f\x7f]", text)
    )
    if not plain or parts.scheme not in ("http", "https") or not path.startswith("/"):
        raise errors.ConfigError(
            "a host's base_url must be an http: or https: address without a user in it",
            todo="correct it in intermodal.toml (for example http://127.0.0.1:8080/v1)",
        )
    host_text = f"[{host}]" if ":" in host else host
    usual = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    path_text = quote(parts.path + (f"?{parts.query}" if parts.query else ""), safe=_SAFE)
    return Address(
        parts.scheme, host, None if usual else port, host_text if usual else f"{host_text}:{port}", path_text
    )


def _ascii(host: str) -> str:
    """Return a host name in ASCII. Raises ValueError for an invalid name."""
    if host.isascii():
        return host
    import idna

    return idna.encode(host, uts46=True).decode()


def is_loopback(host: str) -> bool:
    """Return True if only this machine can connect to ``host``. The only accepted name is localhost."""
    import ipaddress

    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def is_ip_address(host: str) -> bool:
    """Return True if ``host`` is an IP address, with or without brackets, and no name."""
    import ipaddress

    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def goes_by_proxy(base_url: str, path: str, *, internet: bool, proxies: bool) -> bool:
    """Return True if a request uses a proxy of the environment.

    Requests to the internet do if ``proxies`` is true, except those to this machine.
    """
    return internet and proxies and not is_loopback(parse_address(base_url, path).host)


async def port_is_open(address: str, seconds: float = 0.25) -> bool:
    """Return True if a port accepts connections; far cheaper than a request if none does."""
    from urllib.parse import urlsplit

    import anyio

    parts = urlsplit(address)
    try:
        with anyio.fail_after(seconds):
            stream = await anyio.connect_tcp(parts.hostname or "", parts.port or 80)
    except (OSError, TimeoutError):
        return False
    await stream.aclose()
    return True


# The header that carries the key, for each kind of host.
_KEYS: Mapping[Auth, tuple[str, str]] = {
    "bearer": ("authorization", "Bearer "),
    "x-api-key": ("x-api-key", ""),
    "x-goog-api-key": ("x-goog-api-key", ""),
}


def request_headers(address: Address, key: str, auth: Auth) -> dict[str, str]:
    # No compression: a stream then arrives as it is generated, and nothing can decompress to gigabytes.
    headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": f"intermodal/{__version__}"}
    if not key or auth not in _KEYS:
        return headers
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise errors.ConfigError("the key has characters that no key has", where=address.host, todo="enter it again")
    name, before = _KEYS[auth]
    return {**headers, name: before + key}


def certificates() -> ssl.SSLContext:
    """Return the trusted certificates. Reading them takes 20 to 50 ms, so they are not loaded for plain http.

    Raises NoCertificates if SSL_CERT_FILE or SSL_CERT_DIR names nothing readable.
    """
    import os
    import ssl

    import certifi

    certificate_paths = {name: os.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)}
    try:
        if "SSL_CERT_FILE" in certificate_paths:
            return ssl.create_default_context(cafile=certificate_paths["SSL_CERT_FILE"])
        if "SSL_CERT_DIR" in certificate_paths:
            return ssl.create_default_context(capath=certificate_paths["SSL_CERT_DIR"])
        return ssl.create_default_context(cafile=certifi.where())
    except OSError:  # ssl.SSLError among them
        if not certificate_paths:
            raise
        raise NoCertificates(next(iter(certificate_paths))) from None
