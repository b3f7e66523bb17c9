"""Decides which URLs may be fetched and which addresses may be dialled. Pure: no DNS, no sockets.

URL parsers disagree about unusual URLs, and a check is worthless if the client parses the URL differently. The grammar
here is therefore a strict subset on which parsers agree; anything unusual is rejected, not repaired. Addresses are
checked against our own list in addition to ``ipaddress.is_global``, which calls several notations of a private address
global.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

from intermodal.core.content import Value
from intermodal.core.hints import action
from intermodal.errors import UrlBlocked

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_URL_LENGTH = 8_192
_BYTES = "send its bytes in the request"
_PATH = action("pass the path itself", http=_BYTES)
_PORTS = {"http": 80, "https": 443}
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\\u0080-\u00a0\u2028\u2029\ufeff\ud800-\udfff]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)")
_HOME_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "localdomain", "onion")

# IPv4 networks outside the open internet. Source: IANA IPv4 Special-Purpose Address Registry, and 168.63.129.16, the
# platform address of Azure, which only looks public.
_CLOSED_4 = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
        "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
        "240.0.0.0/4",
    )
)  # fmt: skip
# Global unicast is 2000::/3 (RFC 4291, 2.4); v4-mapped, v4-compatible, NAT64 (64:ff9b::/96 and 64:ff9b:1::/48),
# loopback, unique local and link local lie outside it. Inside it, networks that embed another address are closed:
# Teredo and the other protocol assignments (2001::/23), documentation (2001:db8::/32, 3fff::/20), 6to4 (2002::/16).
_OPEN_6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_6 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)


def is_public(address: Address) -> bool:
    """Return True if an address is on the public internet, in every interpretation.

    >>> is_public(ipaddress.ip_address("1.1.1.1")), is_public(ipaddress.ip_address("64:ff9b::7f00:1"))
    (True, False)
    """
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _CLOSED_4)
    if address not in _OPEN_6 or any(address in network for network in _CLOSED_6) or not address.is_global:
        return False
    isatap = (int(address) >> 32) & 0xFFFFFFFF  # ..:0:5efe:a.b.c.d embeds an IPv4 address (RFC 5214, 6.1)
    return isatap not in (0x00005EFE, 0x02005EFE)


class UrlTarget(Value):
    """A URL that may be resolved.

    Attributes:
     host: lower case, without brackets. literal: it is an address, not a name.
     path: path and query, as sent. printable_url: the URL without its query, for display.
     name: the last part of the path, for display; the host if there is none.
    """

    scheme: str
    host: str
    port: int
    path: str
    printable_url: str
    name: str
    literal: bool = False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_url(text: str) -> UrlTarget:
    """Parse a URL. Raises UrlBlocked if it is not allowed, or if parsers could interpret it differently."""
    if len(text) > MAX_URL_LENGTH:
        raise _blocked_error("the URL is too long", text[:40] + "…")
    if _AMBIGUOUS.search(text):
        raise _blocked_error("the URL holds blanks, backslashes or control characters", _printable_url(text))
    scheme, colon, rest = text.partition("://")
    scheme = scheme.lower()
    if not colon or scheme not in _PORTS:
        todo = _PATH if scheme == "file" else "download it and pass the file"
        raise _blocked_error("only http and https URLs are fetched", _printable_url(text), todo)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise _blocked_error(
            "the URL carries a user name or password", _printable_url(text), "download it and pass the file"
        )
    host, port, literal = _host_and_port(authority, scheme, text)
    tail = rest[len(authority) :].partition("#")[0]
    path, question, query = tail.partition("?")
    path = path or "/"
    _check_second_parser(text, host)
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = "" if port == _PORTS[scheme] else f":{port}"
    return UrlTarget(
        scheme=scheme, host=host, port=port, literal=literal,
        path=_percent_encode(path) + question + _percent_encode(query),
        printable_url=f"{scheme}://{shown_host}{shown_port}{path if path != '/' else ''}",
        name=printable(unquote(path.rpartition("/")[2])) or host,
    )  # fmt: skip


def check_address(host: str) -> Address | None:
    """Return the address of a literal host, None for a name. Call after :func:`parse_url`."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def blocked_address(printable_url: str) -> UrlBlocked:
    """Return the error for an address that is not public.

    It does not name the address, which would reveal the network.
    """
    return _blocked_error(
        "the URL leads to an address that is not on the open internet",
        printable_url,
        action("pass a local file by its path", http=_BYTES),
    )


def printable(text: str) -> str:
    """Return a name that is safe to print: no control characters, no separators, at most 80 characters."""
    safe_name = "".join(letter for letter in text if letter.isprintable() and letter not in "/\\")
    return safe_name if len(safe_name) <= 80 else safe_name[:60] + "…" + safe_name[-19:]


def _host_and_port(authority: str, scheme: str, text: str) -> tuple[str, int, bool]:
    odd = _blocked_error("the URL's host is not plainly written", _printable_url(text), "write it as name or name:port")
    if authority.startswith("["):
        inside, bracket, after = authority[1:].partition("]")
        if not bracket or "%" in inside or (after and not after.startswith(":")):
            raise odd
        try:
            host = str(ipaddress.IPv6Address(inside))
        except ValueError:
            raise odd from None
        return host, _port(after[1:] if after else None, scheme, odd), True
    host, colon, port = authority.partition(":")
    host = host.lower()
    number = _port(port if colon else None, scheme, odd)
    labels = host.split(".")
    if not host or len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise odd
    if any(_NUMERIC.fullmatch(label) for label in labels[-1:]):  # 2130706433, 0x7f.1, 0177.0.0.1, 127.1
        try:
            return str(ipaddress.IPv4Address(host)), number, True
        except ValueError:
            raise odd from None
    if any(host == name or host.endswith("." + name) for name in _HOME_NAMES):
        raise blocked_address(_printable_url(text))
    return host, number, False


def _port(text: str | None, scheme: str, odd: UrlBlocked) -> int:
    if text is None:
        return _PORTS[scheme]
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536 and text[0] != "0"):
        raise odd
    return int(text)


def _check_second_parser(text: str, host: str) -> None:
    """Raise UrlBlocked if the standard library's parser reads the URL differently."""
    try:
        other = urlsplit(text).hostname
    except ValueError:
        other = None
    if other is not None and ":" in other:
        try:
            other = str(ipaddress.IPv6Address(other))
        except ValueError:
            other = None
    if other != host:
        raise _blocked_error("the URL can be read in two ways", _printable_url(text))


def _percent_encode(text: str) -> str:
    """Return text with characters beyond ASCII percent-encoded."""
    return "".join(letter if letter.isascii() else "".join(f"%{b:02X}" for b in letter.encode()) for letter in text)


def _printable_url(text: str) -> str:
    """Return a URL in a form that may be printed: without query, user name and control characters."""
    url = re.split(r"[?#]", text, maxsplit=1)[0]
    scheme, colon, rest = url.partition("://")
    if colon:
        authority, slash, path = rest.partition("/")
        url = f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    elif not url.lower().startswith("data:"):
        url = url.rpartition("@")[2]
    else:
        url = url.partition(",")[0]
    url = "".join(letter if letter.isprintable() else "?" for letter in url)
    return url if len(url) <= 100 else url[:97] + "…"


def _blocked_error(what: str, where: str, todo: str = "") -> UrlBlocked:
    return UrlBlocked(what, where=where, todo=todo or "check the URL")
