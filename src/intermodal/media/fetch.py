"""Opens a user's path or URL. No other module does.

A URL is parsed by a strict grammar and its host is resolved once. **Every** resolved address is checked, and one of the
checked addresses is dialled. Nothing is resolved a second time (DNS rebinding), proxies of the environment are ignored,
and each redirect passes the same checks. Bytes are counted while they arrive, because ``Content-Length`` may be wrong.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urljoin

from intermodal.concurrency.offload import HEAVY
from intermodal.core.content import BytesSource, PathSource, Source, UrlSource, Value
from intermodal.errors import InputBroken, InputEmpty, InputMissing, InputTooLarge, InputUnsupported, UrlBlocked
from intermodal.files.file_bytes import PIECE, Data, FileBytes
from intermodal.media.media_limits import (
    LARGE_FILE,
    MAX_FILE_BYTES,
    MAX_FILM_BYTES,
    MAX_LARGE_FILES,
    MAX_PDF_BYTES,
    MAX_REDIRECTS,
    MAX_URL_BYTES,
    MAX_URL_SECONDS,
    PDF,
)
from intermodal.media.url_policy import (
    Address,
    UrlTarget,
    blocked_address,
    check_address,
    is_public,
    parse_url,
    printable,
)

if TYPE_CHECKING:
    import ssl

Resolve = Callable[[str, int], Awaitable[Iterable[str]]]

_DATA_TYPES = {
    "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif", "application/pdf": "pdf",
    "audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/flac": "flac",
    "audio/mp4": "m4a", "audio/x-m4a": "m4a", "audio/aac": "aac", "audio/ogg": "ogg", "audio/opus": "opus",
}  # fmt: skip
_STRETCH = 64 << 20  # bytes of a file that are hashed in one call of a thread
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class LoadedFile(Value):
    """A file: its bytes, or a large file left on disk. ``name`` is shown to users; ``digest`` is its SHA-256 in hex."""

    name: str
    data: Data
    digest: str


async def load(source: Source) -> LoadedFile:
    """Read a source with the default limits. Raises the matching ``InputError``."""
    return await Fetcher().load(source)


def read_text_file(path: str) -> str:
    """Read a text file, for options that accept text only. Raises the matching ``InputError``."""
    from intermodal.media.sniff import read_text

    return read_text(_open_file(path), path)


class Fetcher:
    """Reads sources.

    Args:
     resolve: ``(host, port) -> addresses``; the system's resolver by default.
     may_dial: returns True for an address that may be dialled, by default a public one. Only tests replace
      it, to reach a local server; no request, configuration or environment variable can.
     max_bytes, max_seconds: limits of a URL, redirects included.
     verify: TLS context; the default one if None.
    """

    def __init__(
        self,
        *,
        resolve: Resolve | None = None,
        may_dial: Callable[[Address], bool] = is_public,
        max_bytes: int = MAX_URL_BYTES,
        max_seconds: float = MAX_URL_SECONDS,
        verify: ssl.SSLContext | None = None,
    ) -> None:
        self._resolve = resolve or _system_resolve
        self._may_dial = may_dial
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds
        self._verify = verify

    async def load(self, source: Source) -> LoadedFile:
        """Read a source. Raises the matching ``InputError``."""
        name, data = await self.read_source(source)
        return LoadedFile(name=name, data=data, digest=await _digest(data, name))

    async def read_source(self, source: Source) -> tuple[str, Data]:
        """Read a source without computing its digest, for callers that only inspect it."""
        data: Data
        match source:
            case BytesSource():
                name, data = source.name or "bytes", source.data
                if len(data) > MAX_FILE_BYTES:
                    raise _too_large(name, MAX_FILE_BYTES)
            case PathSource():
                import anyio.to_thread

                name = printable(os.path.basename(source.path.rstrip("/"))) or "file"
                data = await anyio.to_thread.run_sync(_open_file, source.path)
            case UrlSource(url=url):
                name, data = _read_data_url(url) if url[:5].lower() == "data:" else await self._read_url(url)
        if not data:
            raise InputEmpty("is empty", where=name, todo="check that it was written completely")
        return name, data

    # ---- URLs ----------------------------------------------------------------------------------

    async def _read_url(self, url: str) -> tuple[str, bytes]:
        import anyio

        target = parse_url(url)
        first = target
        try:
            with anyio.fail_after(self._max_seconds):
                for _ in range(MAX_REDIRECTS + 1):
                    found = await self._get(target)
                    if isinstance(found, bytes):
                        return first.printable_url, found
                    target = self._redirect_target(target, found)
        except TimeoutError:
            raise InputTooLarge(
                f"did not arrive within {self._max_seconds:g} s",
                where=first.printable_url,
                todo="download it and pass the file",
            ) from None
        raise UrlBlocked(
            f"redirects more than {MAX_REDIRECTS} times", where=first.printable_url, todo="pass the final URL"
        )

    def _redirect_target(self, target: UrlTarget, location: str) -> UrlTarget:
        """Return the target of a redirect, checked like the first URL.

        ``location``: the header that the server sent.
        """
        if any(ord(letter) <= 32 or letter == "\\" for letter in location):
            raise UrlBlocked("redirects to a malformed URL", where=target.printable_url, todo="pass the final URL")
        following = parse_url(urljoin(target.url, location))
        if target.scheme == "https" and following.scheme == "http":
            raise UrlBlocked("redirects from https to http", where=target.printable_url, todo="pass the final URL")
        return following

    async def _addresses(self, target: UrlTarget) -> list[str]:
        """Resolve the host. Every address must be public: a mixed answer is an attack or a mistake."""
        literal = check_address(target.host)
        if literal is not None:
            found: list[Address] = [literal]
        else:
            try:
                answers = await self._resolve(target.host, target.port)
            except (OSError, UnicodeError):
                answers = ()
            found = [address for address in (check_address(answer) for answer in answers) if address is not None]
        if not found:
            raise InputMissing(
                "the host of the URL cannot be found", where=target.printable_url, todo="check the URL and the network"
            )
        if not all(self._may_dial(address) for address in found):
            raise blocked_address(target.printable_url)
        return [str(address) for address in found]

    async def _get(self, target: UrlTarget) -> bytes | str:
        """Send one request; return the body, or the location it redirects to."""
        import httpcore

        from intermodal.media.pinned_connection import pinned_backend, tls_context

        addresses = await self._addresses(target)
        tls = None if target.scheme == "http" else (self._verify or tls_context())
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "intermodal"}
        timeouts = {"connect": self._max_seconds, "read": self._max_seconds, "write": self._max_seconds, "pool": 5.0}
        pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=1, network_backend=pinned_backend(addresses)
        )
        try:
            async with (
                pool,
                pool.stream(
                    "GET", target.url, headers=_host(target, headers), extensions={"timeout": timeouts}
                ) as answer,
            ):
                if answer.status in _REDIRECTS:
                    return _header(answer.headers, b"location") or ""
                _check_status(answer.status, target)
                return await self._body(answer, target)
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            raise InputMissing(
                "cannot be reached", where=target.printable_url, todo="check the URL and the network"
            ) from None
        except httpcore.RemoteProtocolError:
            raise InputBroken(
                "broke off before it was complete", where=target.printable_url, todo="try again"
            ) from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError):
            raise InputMissing("the connection failed", where=target.printable_url, todo="try again") from None

    async def _body(self, answer: Any, target: UrlTarget) -> bytes:
        """Return the body.

        Its bytes are counted as they arrive, after decompression if the server compressed it unasked.
        """
        declared = _header(answer.headers, b"content-length") or ""
        if declared.isdigit() and int(declared) > self._max_bytes:
            raise _too_large(target.printable_url, self._max_bytes)
        coding = (_header(answer.headers, b"content-encoding") or "identity").strip().lower()
        if coding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise InputUnsupported(
                "arrives in a compression that is not taken", where=target.printable_url, todo="pass the file"
            )
        chunks: AsyncIterator[bytes] = answer.aiter_stream()
        pieces, size = [], 0
        async for chunk in chunks if coding == "identity" else _inflate(chunks, coding, self._max_bytes, target):
            size += len(chunk)
            if size > self._max_bytes:
                raise _too_large(target.printable_url, self._max_bytes)
            pieces.append(chunk)
        return b"".join(pieces)


class CachingFetcher(Fetcher):
    """A fetcher for one request.

    It reads each source once, so that the bytes that are probed are the bytes that are sent.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # The source is stored too and stays alive, so that no other object can get its id.
        self._loaded: dict[Hashable, tuple[Source, LoadedFile]] = {}
        self._large = 0  # files that are held open

    async def load(self, source: Source) -> LoadedFile:
        key = _identity(source)
        found = self._loaded.get(key)
        if found is None:
            found = self._loaded[key] = (source, await super().load(source))
            if isinstance(found[1].data, FileBytes):
                self._large += 1
            if self._large > MAX_LARGE_FILES:
                raise InputTooLarge(
                    f"is one of more than {MAX_LARGE_FILES} files of more than {LARGE_FILE >> 20} MiB",
                    where=found[1].name,
                    todo="ask about fewer files at once",
                )
        return found[1]

    @property
    def files(self) -> tuple[LoadedFile, ...]:
        """The files that were read so far."""
        return tuple(loaded for _, loaded in self._loaded.values())


def _identity(source: Source) -> Hashable:
    """Return the cache key of a source. Large bytes are keyed by identity: hashing 60 MiB takes 30 ms."""
    match source:
        case BytesSource(data=data, name=name) if len(data) > HEAVY:
            return id(data), name
        case UrlSource(url=url) if len(url) > HEAVY:
            return id(url)
        case _:
            return source


async def _inflate(chunks: AsyncIterator[bytes], coding: str, room: int, target: UrlTarget) -> AsyncIterator[bytes]:
    """Decompress gzip or deflate in pieces of 64 KiB, and never more than ``room`` bytes plus one piece."""
    machine = zlib.decompressobj(wbits=31 if coding.endswith("gzip") else 15)
    inflated_size = 0
    try:
        async for chunk in chunks:
            while chunk and not machine.eof:
                piece = machine.decompress(chunk, 1 << 16)
                inflated_size += len(piece)
                chunk = machine.unconsumed_tail
                if piece:
                    yield piece
                if inflated_size > room:
                    return
    except zlib.error:
        raise InputBroken("arrives damaged", where=target.printable_url, todo="try again") from None
    if not machine.eof:
        raise InputBroken("broke off before it was complete", where=target.printable_url, todo="try again")


def _host(target: UrlTarget, headers: dict[str, str]) -> list[tuple[bytes | str, bytes | str]]:
    """Return the headers with a Host header as browsers write it: the port is named only if it is not the default."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    usual = target.port == (443 if target.scheme == "https" else 80)
    return [("Host", host if usual else f"{host}:{target.port}"), *headers.items()]


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), None)


def _check_status(status: int, target: UrlTarget) -> None:
    if status in (200, 203):
        return
    from http import HTTPStatus

    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    todo = "it needs a login: download it and pass the file" if status in (401, 403, 407) else "check the URL"
    raise InputMissing(
        f"the server answers {phrase}", where=target.printable_url, todo="try again later" if status >= 500 else todo
    )


async def _system_resolve(host: str, port: int) -> Iterable[str]:
    import socket

    import anyio

    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


# ---- data URLs, files ------------------------------------------------------------------------------


def _read_data_url(url: str) -> tuple[str, bytes]:
    """Read a data URL such as ``data:image/png;base64,…``. Only media are accepted; text belongs in the prompt."""
    import base64
    import binascii

    head, comma, body = url[5:].partition(",")
    media_type, *marks = head.lower().split(";")
    if not comma or media_type not in _DATA_TYPES:
        raise UrlBlocked(
            "only data URLs of images, sound and PDF are taken", where="data URL", todo="pass text as text"
        )
    name = f"inline.{_DATA_TYPES[media_type]}"
    if len(body) > MAX_URL_BYTES * 4 // 3 + 4:
        raise _too_large(name, MAX_URL_BYTES)
    if "base64" not in marks:
        return name, unquote_to_bytes(body)
    try:
        return name, base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise InputBroken("is not valid base64", where=name, todo="encode it again") from None


def _open_file(path: str) -> Data:
    """Open a regular file: a large one is left on disk, any other is read whole.

    The file is opened first and checked through its descriptor, so that it cannot be swapped in between.
    """
    printable_path = "".join(letter if letter.isprintable() else "?" for letter in path[:300])
    file = FileBytes(_descriptor(path, printable_path))
    try:
        if len(file) >= LARGE_FILE:
            _check_size(file, printable_path)
            return file
        with open(file.fileno(), "rb", closefd=False) as all_of_it:  # the system reports a size of 0 for some files
            data = all_of_it.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        what = f"cannot be read ({error.strerror or 'system error'})"
        raise InputMissing(what, where=printable_path, todo="check the disk") from None
    if len(data) > MAX_FILE_BYTES:
        raise _too_large(printable_path, MAX_FILE_BYTES)
    return data


def _descriptor(path: str, printable_path: str) -> int:
    """Open a regular file for reading; return its descriptor."""
    try:
        # O_NONBLOCK: opening a pipe without a writer must not hang.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise InputMissing("there is no such file", where=printable_path, todo="check the path") from None
    except PermissionError:
        raise InputMissing("may not be read", where=printable_path, todo="check its permissions") from None
    except ValueError:
        raise InputMissing("is not a path", where=printable_path, todo="check the path") from None
    except OSError as error:
        raise InputMissing(
            f"cannot be opened ({error.strerror or 'system error'})", where=printable_path, todo="check the path"
        ) from None
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise InputMissing("is a folder", where=printable_path, todo="name the files in it")
    raise InputMissing("is not a regular file", where=printable_path, todo="pipe it in and pass - instead")


def _check_size(file: FileBytes, printable_path: str) -> None:
    """Raise InputTooLarge if a file is too large for its kind.

    Files that are decoded while they are read may be larger than files that must fit in memory.
    """
    if len(file) <= MAX_FILE_BYTES:
        return
    from intermodal.media.sniff import kind_by_marks

    kind, media_type = kind_by_marks(file, printable_path) or ("text", "")
    most = MAX_FILM_BYTES if kind in ("audio", "video") else MAX_PDF_BYTES if media_type == PDF else MAX_FILE_BYTES
    if len(file) > most:
        raise _too_large(printable_path, most)


def _too_large(where: str, limit: int) -> InputTooLarge:
    return InputTooLarge(f"is larger than {limit >> 20} MiB", where=where, todo="pass a smaller part of it")


async def _digest(data: Data, name: str) -> str:
    """Return the SHA-256 of a file, computed in a thread if it would block the event loop (about 1 ms per MiB)."""
    if isinstance(data, FileBytes):
        return await _digest_of_file(data, name)
    if len(data) < 1 << 20:
        return hashlib.sha256(data).hexdigest()
    import anyio.to_thread

    return await anyio.to_thread.run_sync(lambda: hashlib.sha256(data).hexdigest())


async def _digest_of_file(file: FileBytes, name: str) -> str:
    """Return the SHA-256 of a file on disk, read once, in stretches between which the task can be cancelled."""
    import anyio.to_thread

    digest = hashlib.sha256()

    def take(start: int) -> None:
        for offset in range(start, min(start + _STRETCH, len(file)), PIECE):
            digest.update(file.read(offset, PIECE))

    for start in range(0, len(file), _STRETCH):
        await anyio.to_thread.run_sync(take, start)
    file.check(name)
    return digest.hexdigest()
