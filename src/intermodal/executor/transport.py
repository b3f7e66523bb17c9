"""Bytes to a host and back: a streaming POST over HTTP. Knows no protocol and no provider.

A key goes to the host it was configured for and nowhere else: it comes with its base_url, redirects are
not followed, and ``.netrc`` is not read. Proxies of the environment are used for hosts on the internet
only. A reply is closed however its block is left; cancelling closes the connection at once, so that the
host stops working (and charging) for nobody.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

from msgspec.structs import replace

from intermodal import errors
from intermodal._version import __version__
from intermodal.catalog.nouns import Auth
from intermodal.catalog.waits import Waits
from intermodal.content import Value
from intermodal.executor.answer_state import Silence
from intermodal.executor.limits import Limit
from intermodal.executor.unpacking import Unreadable, unpacker
from intermodal.wire.call import Encoded

if TYPE_CHECKING:
    import ssl

    import httpx

CONNECT_TIMEOUT = 10.0  # seconds
FIRST_BYTE_TIMEOUT = 300.0  # seconds; a local model may read a long prompt for minutes
TRIAL_TIMEOUT = 30.0  # the same, of an endpoint that is asked to find out what it is like while another route is left
IDLE_TIMEOUT = 60.0  # seconds between two chunks of a reply that has begun
KEEP_ALIVE = 4.0  # seconds; below the 5 s after which common servers close, so that a reuse does not race with it
MAX_CONNECTIONS = 2000  # as many as a gateway lets clients in: a call that waits for another's end fails before it
MAX_ERROR_BODY = 1 << 20  # bytes

# When a failure happened decides what it means and whether it may have cost money.
Phase = Literal["connecting", "sending", "waiting", "answering"]

# httpx's exception classes -> (phase it proves, or "" when the state of the request tells; words).
FAILURES: Mapping[str, tuple[Phase | Literal[""], str]] = {
    "ConnectTimeout": ("connecting", "cannot be connected to in time"),
    "ConnectError": ("connecting", "cannot be connected to"),
    "PoolTimeout": ("connecting", "has too many requests of ours open"),
    "ProxyError": ("connecting", "cannot be reached through the proxy"),
    "UnsupportedProtocol": ("connecting", "has an address that is neither http nor https"),
    "InvalidURL": ("connecting", "has an address that is not a URL"),
    "LocalProtocolError": ("", "cannot be sent a request like this"),
    "WriteTimeout": ("", "takes the request too slowly"),
    "WriteError": ("", "closed the connection while the request was sent"),
    "ReadTimeout": ("", "is silent"),
    "ReadError": ("", "closed the connection"),
    "CloseError": ("", "closed the connection"),
    "RemoteProtocolError": ("", "closed the connection"),
    "DecodingError": ("answering", "sent a reply whose compression is broken"),
    "TooManyRedirects": ("", "redirects"),
    # Families, for what httpx may add to them, and what only misuse of a reply raises.
    "TimeoutException": ("", "is silent"),
    "NetworkError": ("", "cannot be reached"),
    "ProtocolError": ("", "does not speak HTTP as agreed"),
    "TransportError": ("", "cannot be reached"),
    "RequestError": ("", "cannot be reached"),
    "HTTPStatusError": ("answering", "answered with an error"),
    "HTTPError": ("", "cannot be reached"),
    "StreamError": ("answering", "sent a reply that cannot be read"),
    "StreamConsumed": ("answering", "sent a reply that cannot be read"),
    "StreamClosed": ("answering", "sent a reply that cannot be read"),
    "ResponseNotRead": ("answering", "sent a reply that cannot be read"),
    "RequestNotRead": ("connecting", "cannot be sent a request like this"),
    "CookieConflict": ("answering", "sent a reply that cannot be read"),
}

UNREADABLE = "sent a reply that cannot be read as HTTP"
_ENDED = re.compile(r"disconnected|closed connection")  # a RemoteProtocolError of httpcore or h11 that is an end


class Response:
    """A reply whose headers have come. Valid inside its ``async with`` block.

    Attributes:
        status: of HTTP.
        headers: with lower-case names.
        wordless: no word of the answer came yet, whatever else did: the time until the first one still runs.
        by_words: whoever reads says when a word came (``word``); else each byte is a sign that the answer goes on.
        document: what comes is one document, which may not be broken off for as long as its first byte is waited for.
    """

    def __init__(self, raw: httpx.Response, request: _Request) -> None:
        self.status = raw.status_code
        self.headers: dict[str, str] = {name.lower(): value for name, value in raw.headers.items()}
        self.wordless = False
        self.by_words = False
        self.document = False
        self._silence = Silence(request.timeouts.idle, request.timeouts.thinking)
        self._raw = raw
        self._request = request
        self._unpacker = unpacker(self.headers)

    def word(self) -> None:
        """A piece of the answer was in what came last."""
        import anyio

        self.wordless = False
        self._silence.word(anyio.current_time())

    def _silent_at(self, now: float) -> float:
        """Until when the next chunk is waited for."""
        request = self._request
        if request.phase != "answering":
            return request.first_byte_deadline
        if self.wordless:
            return min(request.first_byte_deadline, now + request.timeouts.idle if self.document else math.inf)
        if not self.by_words:
            self._silence.word(now)
        return self._silence.until(now)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives. Raises StreamCut (after the first byte) or Unreachable (before it)."""
        import anyio

        request = self._request
        # httpx makes it with a generator and declares less.
        async with aclosing(cast("AsyncGenerator[bytes, None]", self._raw.aiter_raw())) as source:
            given_at = math.inf
            while True:
                now = anyio.current_time()
                self._silence.paused(max(0.0, now - given_at))
                chunk = None
                try:
                    with Limit(self._silent_at(now)) as limit:
                        chunk = await anext(source, None)
                except Exception as error:
                    raise request.failure(error) from None
                if limit.over:
                    raise request.silent(wordless=self.wordless and not self.document)
                if chunk is None:
                    return
                given_at = anyio.current_time()
                if chunk:
                    request.phase = "answering"
                    for piece in self._unpacked(chunk):
                        yield piece

    def _unpacked(self, chunk: bytes) -> Iterable[bytes]:
        """Raises StreamCut."""
        if self._unpacker is None:
            return (chunk,)
        try:
            return list(self._unpacker.feed(chunk))
        except Unreadable as error:
            raise errors.StreamCut(str(error), where=self._request.where, todo="ask again") from None

    async def read(self, limit: int = MAX_ERROR_BODY) -> bytes:
        """The body, at most ``limit`` bytes of it."""
        body = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) >= limit:
                    break
        return bytes(body[:limit])


class Record(Protocol):
    """Who writes down that a request is sent."""

    async def before(self) -> None:
        """The connection stands, and the first byte is about to leave."""

    def after(self) -> None:
        """The last byte left."""


class _Request:
    """What is known about a request on its way: how far it came, and how to say that it failed."""

    def __init__(self, segments: Sequence[bytes], where: str, timeouts: Timeouts, record: Record | None = None) -> None:
        self.phase: Phase = "connecting"
        self.where = where
        self.timeouts = timeouts
        self.first_byte_deadline = math.inf  # known when the last byte of the request was taken
        self.limit = Limit()
        self._left = deque(segments)
        self.record = record
        self.raw: httpx.Response | None = None  # once its headers are there
        self.kept = True  # its connection is one of an earlier request's
        self.fresh = False  # which it must not be

    def __aiter__(self) -> _Request:
        """The body, as httpx takes it. Not a generator, which a cancelled send would leave hanging."""
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            self.begin_waiting()
            raise StopAsyncIteration
        segment = self._left.popleft()
        # With the last segment the host may have everything it needs to work and to charge.
        self.phase = "sending" if self._left else "waiting"
        return segment

    async def trace(self, event: str, info: object) -> None:
        """What httpcore is about to do, in its words: https://www.encode.io/httpcore/extensions/#trace"""
        if event.startswith("connection.connect_"):
            self.kept = False
        elif self.record is not None and event.endswith(".send_request_headers.started"):
            await self.record.before()
        elif self.raw is not None and event.endswith(".response_closed.started"):
            from intermodal.executor.kept import keep_or_not

            await keep_or_not(self.raw)

    def begin_waiting(self) -> None:
        """The host's turn: from now on its time is counted."""
        import anyio

        if self.first_byte_deadline == math.inf:
            self.first_byte_deadline = anyio.current_time() + self.timeouts.first_byte
            self.limit.until(self.first_byte_deadline)
            if self.record is not None:
                self.record.after()

    @property
    def sent(self) -> bool:
        """The whole body may have arrived: half a body is not worked on, and not paid."""
        return self.phase in ("waiting", "answering")

    def silent(self, *, wordless: bool = False) -> errors.CallError:
        if self.phase == "answering" and wordless:
            what = f"said no word within {self.timeouts.first_byte:g} s"
            return errors.StreamCut(what, where=self.where, todo="allow more time")
        if self.phase == "answering":
            what = f"went silent for {self.timeouts.idle:g} s in the middle of its answer"
            return errors.StreamCut(what, where=self.where, todo="ask again")
        what = f"gave no answer within {self.timeouts.first_byte:g} s"
        return errors.Unreachable(what, where=self.where, todo="allow more time", sent=self.sent)

    def failure(self, error: Exception) -> errors.CallError:
        """Our error for one of httpx's (or of what lies below it)."""
        import anyio

        names = [kind.__name__ for kind in type(error).__mro__]
        phase, what = next((FAILURES[name] for name in names if name in FAILURES), ("", "cannot be reached"))
        if "RemoteProtocolError" in names and not _ENDED.search(str(error)):
            what = UNREADABLE
        phase = phase or self.phase
        if phase == "answering":
            return errors.StreamCut(f"{what} in the middle of its answer", where=self.where, todo="ask again")
        if phase == "connecting":
            reason, todo = why(error)
            return errors.Unreachable(what + reason, where=self.where, todo=todo, sent=False)
        waited = anyio.current_time() - (self.first_byte_deadline - self.timeouts.first_byte)
        return unanswered(what, self.where, sent=phase == "waiting", kept=self.kept, seconds=waited)


def unanswered(what: str, where: str, *, sent: bool, kept: bool, seconds: float) -> errors.Unreachable:
    """The error for a connection that ended before any of a reply came, so long after the request. ``sent``: all of
    that may have arrived; ``kept``: the connection had served another."""
    after = " without an answer" if sent and what != UNREADABLE else ""
    found = errors.Unreachable(what + after, where=where, sent=sent)
    if sent and what == FAILURES["ReadError"][1]:
        found.closed(kept=kept, seconds=seconds)
    return found


_MISNAMED, _EXPIRED = (62, 64), 10  # of OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH, _CERT_HAS_EXPIRED


def why(error: BaseException) -> tuple[str, str]:
    """What lies below a failed connection, in words, and what to do about it. Never the system's own
    message, which may name addresses and paths."""
    import socket
    import ssl

    waiting: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while waiting:
        found = waiting.pop()
        if found is None or found in seen:
            continue
        seen.append(found)
        waiting += [found.__cause__, found.__context__, *getattr(found, "exceptions", ())]
    named = next((str(found) for found in seen if isinstance(found, NoCertificates)), "")
    if named:
        todo = f"correct {named}, or unset it: the authorities that browsers trust are used then"
        return f": {named} names no certificates that can be read", todo
    text = " ".join(str(found) for found in seen)
    code = next((found.verify_code for found in seen if isinstance(found, ssl.SSLCertVerificationError)), 0)
    if code in _MISNAMED:
        return ": its certificate is for another name", "write the host's base_url with the name in its certificate"
    if code == _EXPIRED:
        return ": its certificate has expired", "have it renewed, and check the clock of this machine"
    if any(isinstance(found, ssl.SSLCertVerificationError) for found in seen) or "CERTIFICATE_VERIFY_FAILED" in text:
        return ": its certificate is not trusted", "check the address, or set SSL_CERT_FILE to your own authority"
    if any(isinstance(found, ssl.SSLError) for found in seen):
        return ": no TLS connection could be made", "check whether the address should begin with http: or https:"
    if any(isinstance(found, socket.gaierror) for found in seen):
        return ": its name is not known", "check the host's base_url and the network"
    if any(isinstance(found, ConnectionRefusedError) for found in seen) or "refused" in text.lower():
        return ": nothing listens there", "start the server, or check the host's base_url"
    return "", "check the host's base_url and the network"


class Timeouts(Value, frozen=True):
    """Seconds: to connect; from the end of the request to the first word, or byte, of the reply's body; between two
    pieces of the answer; between two of them while the host shows signs of life; for all of it, which is the caller's
    to keep. ``trial``: to the first word of an endpoint that is tried out or probed."""

    connect: float = CONNECT_TIMEOUT
    first_byte: float = FIRST_BYTE_TIMEOUT
    idle: float = IDLE_TIMEOUT
    thinking: float = 0.0
    total: float = math.inf
    trial: float = TRIAL_TIMEOUT

    def as_said(self, waits: Waits) -> Timeouts:
        """These, but for what somebody said."""
        return Timeouts(
            connect=waits.connect or self.connect, first_byte=waits.first_token or self.first_byte,
            idle=waits.between_tokens or self.idle, thinking=waits.thinking or self.thinking,
            total=waits.total or self.total, trial=waits.trial or self.trial,
        )  # fmt: skip

    def on_trial(self) -> Timeouts:
        """These for an endpoint that is tried out or probed while another route is left."""
        return replace(self, connect=min(self.connect, self.trial), first_byte=min(self.first_byte, self.trial))

    def within(self, seconds: float) -> Timeouts:
        """None of them longer than so many seconds."""
        return Timeouts(
            connect=min(self.connect, seconds), first_byte=min(self.first_byte, seconds),
            idle=min(self.idle, seconds), thinking=min(self.thinking, seconds), total=self.total, trial=self.trial,
        )  # fmt: skip


_DEFAULT = Timeouts()


class Server(NamedTuple):
    """Where to send, the key for it and where the key goes."""

    base_url: str
    key: str = ""
    auth: Auth = "bearer"


def _name(server: Server, encoded: Encoded) -> str:
    address = plain_address(server.base_url, encoded.path)
    return f"{address.host}:{address.port or address.scheme}"


@lru_cache(maxsize=256)
def plain_address(base_url: str, path: str) -> httpx.URL:
    """Where a request goes. Raises ConfigError for a base_url that is no plain http(s) address."""
    import httpx

    try:
        address = httpx.URL(base_url.rstrip("/") + path)
    except httpx.InvalidURL:
        address = httpx.URL("")
    plain = re.fullmatch(r"[\w.:-]+", address.host) and not address.userinfo and (address.port or 1) < 65536
    if not plain or address.scheme not in ("http", "https") or not path.startswith("/"):
        raise errors.ConfigError(
            "a host's base_url must be an http: or https: address without a user in it",
            todo="correct it in intermodal.toml (for example http://127.0.0.1:8080/v1)",
        )
    return address


def is_this_machine(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


async def listening(address: str, seconds: float = 0.25) -> bool:
    """Whether a port takes connections; far cheaper than a request where none does."""
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


# Where each kind of host wants its key.
_KEYS: Mapping[Auth, tuple[str, str]] = {
    "bearer": ("authorization", "Bearer "),
    "x-api-key": ("x-api-key", ""),
    "x-goog-api-key": ("x-goog-api-key", ""),
}


def request_headers(address: httpx.URL, key: str, auth: Auth) -> dict[str, str]:
    # Asking for no compression: a stream then comes as it is made, and nothing can unpack to gigabytes.
    headers = {"accept": "*/*", "accept-encoding": "identity", "user-agent": f"intermodal/{__version__}"}
    if not key or auth not in _KEYS:
        return headers
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise errors.ConfigError("the key has characters that no key has", where=address.host, todo="enter it again")
    name, before = _KEYS[auth]
    return {**headers, name: before + key}


class NoCertificates(OSError):
    """What a variable names holds none."""


def certificates() -> ssl.SSLContext:
    """What hosts are held against. Reading them takes 20 to 50 ms, so who speaks plain http goes without.

    Raises NoCertificates where SSL_CERT_FILE or SSL_CERT_DIR names nothing that can be read.
    """
    import os

    import httpx

    try:
        return httpx.create_ssl_context()
    except OSError:  # ssl.SSLError among them
        name = next((name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if os.environ.get(name)), "")
        if not name:
            raise
        raise NoCertificates(name) from None


class Transport:
    """One connection pool for a whole run or client. ``aclose`` it when done."""

    def __init__(self) -> None:
        self._clients: dict[tuple[bool, bool], httpx.AsyncClient | httpx.AsyncHTTPTransport] = {}

    @cached_property
    def proxies(self) -> bool:
        """Whether the environment may name any. Some systems have settings of their own, which httpx reads."""
        import os
        import sys

        return sys.platform in ("darwin", "win32") or any(name.lower().endswith("_proxy") for name in os.environ)

    def get(
        self,
        server: Server,
        path: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        where: str = "",
    ) -> AbstractAsyncContextManager[Response]:
        """GET a path of a server; see :meth:`post`."""
        nothing = Encoded(path=path, headers=headers, segments=())
        request = _Request((), where or _name(server, nothing), _DEFAULT)
        return self._exchange("GET", server, nothing, request, proxied=False)

    def post(
        self,
        server: Server,
        encoded: Encoded,
        *,
        where: str = "",
        proxied: bool = False,
        timeouts: Timeouts = _DEFAULT,
        record: Record | None = None,
        fresh: bool = False,
    ) -> AbstractAsyncContextManager[Response]:
        """POST a request to a server, at its path; the block gets the reply as soon as its headers are there.

        Args:
            where: how errors name the host; its address when "".
            proxied: use the proxies of the environment (hosts of zone internet), except to this machine.
            record: told before the first byte leaves, which then does not where that raises, and after the last.
            fresh: on a connection that has served no other request.

        Raises Unreachable, with ``sent`` True when the request may have been worked on; ConfigError for
        an address or key that cannot be used. The status is the caller's to judge.
        """
        request = _Request(encoded.segments, where or _name(server, encoded), timeouts, record)
        request.fresh = fresh
        return self._exchange("POST", server, encoded, request, proxied=proxied)

    @asynccontextmanager
    async def _exchange(
        self, method: str, server: Server, encoded: Encoded, request: _Request, *, proxied: bool
    ) -> AsyncIterator[Response]:
        import anyio
        import httpx

        from intermodal.executor.kept import fresh_connection

        address = plain_address(server.base_url, encoded.path)
        timeouts = request.timeouts
        headers = {**dict(encoded.headers), **request_headers(address, server.key, server.auth)}
        if encoded.segments:
            headers["content-length"] = str(encoded.size)
        # Reads are timed here and not by httpx, which starts anew with each of them.
        limits = httpx.Timeout(connect=timeouts.connect, pool=timeouts.connect, write=timeouts.idle, read=None)
        raw: httpx.Response | None = None
        try:
            send = self._sender(address, proxied and not is_this_machine(address.host))
            extensions: dict[str, Any] = {"timeout": limits.as_dict(), "trace": request.trace}
            content = request if encoded.segments else None
            built = httpx.Request(method, address, headers=headers, content=content, extensions=extensions)
            with request.limit, fresh_connection(request.fresh):
                raw = request.raw = await send(built)
            if raw is None:
                raise request.silent()
            request.begin_waiting()  # a host may answer before it has taken everything
            yield Response(raw, request)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            if raw is not None:
                raise
            raise request.failure(error) from None
        finally:
            if raw is not None:
                with anyio.move_on_after(1, shield=True):
                    await raw.aclose()
            request.raw = None  # which knows the request: a circle

    def _sender(self, address: httpx.URL, proxied: bool) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
        """What brings a request to its host and comes back with the headers of the reply."""
        import httpx

        from intermodal.executor.kept import over_lines

        secure = address.scheme != "http"
        proxied = proxied and self.proxies
        if (secure, proxied) not in self._clients:
            verify = certificates() if secure or proxied else False
            limits = httpx.Limits(
                max_connections=MAX_CONNECTIONS, max_keepalive_connections=20, keepalive_expiry=KEEP_ALIVE
            )
            # Cookies, redirects and authentication are a client's business, and not ours: where no proxy is to be
            # chosen, one goes without it.
            self._clients[secure, proxied] = (
                httpx.AsyncClient(verify=verify, trust_env=True, follow_redirects=False, limits=limits)
                if proxied
                else httpx.AsyncHTTPTransport(verify=verify, trust_env=False, limits=limits)
            )
            over_lines(self._clients[secure, proxied])
        found = self._clients[secure, proxied]
        return partial(found.send, stream=True) if isinstance(found, httpx.AsyncClient) else found.handle_async_request

    async def aclose(self) -> None:
        """Close every connection."""
        import anyio

        clients = list(self._clients.values())
        self._clients.clear()
        with anyio.CancelScope(shield=True):
            for client in clients:
                await client.aclose()
