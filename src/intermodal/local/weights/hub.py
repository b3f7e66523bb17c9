"""Fetches files from a model hub over HTTP: streamed, resumed after interruptions, verified by the store's checksums.

URLs are those shared by Hugging Face and its mirrors: ``BASE/OWNER/REPO/resolve/REVISION/FILE`` for a file, and
``BASE/api/models/OWNER/REPO/revision/REVISION?blobs=true`` for the listing of a repository.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from intermodal.catalog.host_rows import zone_of
from intermodal.local.weights.registry import HubSource, WeightsFile
from intermodal.local.weights.transfer import CHUNK, Progress, SourceFailed

if TYPE_CHECKING:
    import httpx

DEFAULT_HUB = "https://huggingface.co"
MIRROR = "INTERMODAL_HUB"  # environment variable with the URL of a mirror
TOKEN = "HF_TOKEN"  # environment variable with the hub token, as read by the hub's own tools
CONNECT_SECONDS = 3.0  # an unreachable hub must not delay the next source
READ_SECONDS = 30.0
TRIES = 4  # consecutive attempts without progress
LONGEST_WAIT = 30.0  # longest retry-after in seconds that is honoured
_ABSENT = {401: "needs a login", 403: "refuses this file", 404: "has no such file", 410: "has no such file"}
_BAD_TOKEN = "Invalid credentials in Authorization header"  # the hub returns this for public repositories too
_SUM = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")

_T = TypeVar("_T")
MAX_LISTING = 4 << 20  # maximum bytes of a listing; repositories have a few hundred files


class FileRange(NamedTuple):
    """Bytes of a file from the requested offset, and the size of the whole file."""

    data: bytes
    total: int


class HubFile(NamedTuple):
    """A file in the hub's listing of a repository. ``sha256`` is "" if it states none."""

    name: str
    size: int
    sha256: str


class HubListing(NamedTuple):
    """A repository at one revision, as the hub lists it.

    ``revision`` is the commit of the requested branch; ``licence`` is "" if the hub states none.
    """

    revision: str
    files: tuple[HubFile, ...]
    licence: str = ""


def hub_of(env: Mapping[str, str]) -> Hub:
    """Return the user's hub: a mirror if one is set, with the hub's token if there is one.

    The token is sent only over HTTPS or to this machine.
    """
    base = env.get(MIRROR) or DEFAULT_HUB
    token = env.get(TOKEN, "").strip()
    return Hub(base, token=token if urlsplit(base).scheme == "https" or zone_of(base) == "machine" else "")


class Hub:
    """A hub during one pull. Once it is unreachable, it is not tried again.

    ``token`` is sent only to the hub, never to servers that it redirects to.
    """

    def __init__(self, base: str, *, token: str = "", pause: float = 0.5) -> None:
        self.base = base.rstrip("/")
        self._token = token
        self.name = urlsplit(self.base).hostname or self.base
        self.dead = ""
        self._pause = pause
        self._client: httpx.AsyncClient | None = None

    async def fetch(self, origin: HubSource, file: WeightsFile, part: Path, progress: Progress) -> None:
        """Complete ``part``; see ``download``."""
        await self.download(self.address(origin.repo, origin.revision, origin.file), file, part, progress)

    def address(self, repo: str, revision: str, file: str) -> str:
        """Return the URL of a file."""
        return f"{self.base}/{quote(repo)}/resolve/{quote(revision, safe='')}/{quote(file)}"

    async def piece(self, url: str, first: int, size: int) -> FileRange:
        """Return at most ``size`` bytes starting at ``first``. Raises ``SourceFailed``.

        If a server does not support ranges, a request from 0 is read as far as needed and then closed.
        """
        return await self._retry_rate_limited(lambda: self._piece(url, first, size))

    async def _piece(self, url: str, first: int, size: int) -> FileRange:
        headers = {"range": f"bytes={first}-{first + size - 1}"}
        with self._failures(url):
            async with self._http().stream("GET", url, headers=headers) as response:
                total = self._total(response, first)
                data = bytearray()
                async for chunk in response.aiter_raw():
                    data += chunk[: size - len(data)]
                    if len(data) >= size:
                        break
        if len(data) < min(size, total - first):
            raise SourceFailed(f"{self.name} cut off the response")
        return FileRange(bytes(data), total)

    def _total(self, response: httpx.Response, first: int) -> int:
        """Return the size of the whole file, from the response to a range request."""
        self._check(response)
        status, headers = response.status_code, response.headers
        if headers.get("content-encoding", "identity") != "identity":
            raise SourceFailed(f"{self.name} answered {status}")
        if status == 200:
            if first:
                raise SourceFailed(f"{self.name} does not send parts of files")
            length_text = headers.get("content-length", "")
        else:
            unit, _, rest = headers.get("content-range", "").partition(" ")
            span, _, length_text = rest.partition("/")
            if unit != "bytes" or not span.startswith(f"{first}-"):
                raise SourceFailed(f"{self.name} sent another range than asked for")
        if not (length_text.isascii() and length_text.isdigit() and len(length_text) < 20):
            raise SourceFailed(f"{self.name} does not say how large the file is")
        return int(length_text)

    async def listing(self, repo: str, revision: str) -> HubListing:
        """Return the files of a repository with sizes and checksums, and the commit of a branch.

        For a mirror that has only the older tree listing, that is used instead. It states no commit, so the branch name
        is returned, and only checksums show whether it moved. Raises ``SourceFailed``.
        """
        about = f"{self.base}/api/models/{quote(repo)}"
        at = quote(revision, safe="")
        try:
            answer = await self._read_listing(f"{about}/revision/{at}?blobs=true")
        except SourceFailed as failed:
            if not failed.absent:
                raise
            return HubListing(
                revision,
                self._tree(await self._fetch_older_revision(failed, f"{about}/tree/{at}?recursive=true"), repo),
            )
        try:
            found = msgspec.json.decode(answer, type=dict[str, Any])
            rows = msgspec.convert(found.get("siblings"), list[dict[str, Any]])
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
            raise SourceFailed(f"{self.name} lists {repo} in an unknown format") from None
        commit = found.get("sha")
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise SourceFailed(f"{self.name} does not say which commit {revision} of {repo} is")
        card = found.get("cardData")
        licence = card.get("license") if isinstance(card, dict) else None
        return HubListing(commit, _files(rows, "rfilename"), licence if isinstance(licence, str) else "")

    async def _fetch_older_revision(self, failed: SourceFailed, url: str) -> bytes:
        try:
            return await self._read_listing(url)
        except SourceFailed:
            raise failed from None

    def _tree(self, answer: bytes, repo: str) -> tuple[HubFile, ...]:
        try:
            rows = msgspec.json.decode(answer, type=list[dict[str, Any]])
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
            raise SourceFailed(f"{self.name} lists {repo} in an unknown format") from None
        return _files([row for row in rows if row.get("type") == "file"], "path")

    async def _read_listing(self, url: str) -> bytes:
        """Return a whole listing, which may come without a content length. Raises ``SourceFailed``."""
        return await self._retry_rate_limited(lambda: self._download_listing(url))

    async def _download_listing(self, url: str) -> bytes:
        data = bytearray()
        with self._failures(url):
            async with self._http().stream("GET", url) as response:
                self._check(response, (200,))
                async for chunk in response.aiter_bytes():
                    data += chunk
                    if len(data) > MAX_LISTING:
                        raise SourceFailed(f"{self.name} lists more than {MAX_LISTING:,} bytes")
        return bytes(data)

    async def _retry_rate_limited(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Retry a rate-limited request a few times, after the delay that the hub states.

        Raises ``SourceFailed``, also if the stated delay is too long.
        """
        import anyio

        turn = 0
        while True:
            try:
                return await ask()
            except _Cut as cut:
                turn += 1
                if cut.wait > LONGEST_WAIT:
                    raise SourceFailed(
                        f"{self.name} {cut.reason}, and asks to wait {cut.wait:,.0f} s", todo="ask again then"
                    ) from None
                if turn >= TRIES:
                    raise SourceFailed(f"{self.name} {cut.reason}", todo="ask again later") from None
                await anyio.sleep(cut.wait or self._pause * 2**turn)

    @contextmanager
    def _failures(self, url: str) -> Iterator[None]:
        """Convert transport errors to ``SourceFailed``."""
        import httpx

        try:
            yield
        except httpx.InvalidURL:
            raise SourceFailed(f"{url} is not a URL") from None
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise SourceFailed(f"{self.name} cannot be reached", unreachable=True) from None
        except httpx.HTTPError as error:
            raise SourceFailed(f"{self.name} sent an unusable response ({type(error).__name__})") from None

    def _check(
        self, response: httpx.Response, expected_statuses: tuple[int, ...] = (200, 206), *, broken: bool = False
    ) -> None:
        """Raise for a response without content.

        Raises ``_Cut`` if a retry may succeed (a rate limit; with ``broken`` also a slow or failing server), otherwise
        ``SourceFailed``.
        """
        status = response.status_code
        if status in _ABSENT:
            raise self._missing_file_error(response)
        if status == 429 or (broken and (status == 408 or status >= 500)):
            raise _Cut(f"answered {status}", wait=_retry_after(response))
        if status not in expected_statuses:
            raise SourceFailed(f"{self.name} answered {status}")

    def _missing_file_error(self, response: httpx.Response) -> SourceFailed:
        """Return why the hub does not provide a file, and the fix.

        ``X-Error-Code`` distinguishes a gated repository from a wrong name. The hub also answers 401 for a missing
        repository, so that private ones cannot be detected.
        """
        status, code = response.status_code, response.headers.get("x-error-code", "")
        if code == "GatedRepo":
            requested_path = (response.history or [response])[0].request.url.path.removeprefix(urlsplit(self.base).path)
            page = "/".join(requested_path.removeprefix("/api/models").split("/")[:3])  # terms are on the hub itself
            token = f"the token in {TOKEN} may not read it" if self._token else f"no token is in {TOKEN}"
            return SourceFailed(
                f"{self.name} requires its terms to be accepted, and {token} ({status})",
                todo=f"accept the terms at {DEFAULT_HUB}{page}, make a token at {DEFAULT_HUB}/settings/tokens, "
                f"and set {TOKEN} to it",
            )
        if status == 401 and self._token and not code:
            no_repo = "" if response.headers.get("x-error-message") == _BAD_TOKEN else ", or has no such repository"
            return SourceFailed(
                f"{self.name} refuses the token in {TOKEN}{no_repo} (401)",
                todo=f"make a new one at {DEFAULT_HUB}/settings/tokens, or unset {TOKEN}"
                + (", and check the name" if no_repo else ""),
            )
        if code == "RepoNotFound" or (status == 401 and not code):
            return SourceFailed(
                f"{self.name} has no such repository, or it is private ({status})",
                todo=f"check the name; for a private one set {TOKEN} to a token that may read it",
            )
        if code == "RevisionNotFound":
            return SourceFailed(f"{self.name} has no such revision ({status})", todo="check what follows @")
        return SourceFailed(f"{self.name} {_ABSENT[status]} ({status})", absent=status in (404, 410))

    async def download(self, url: str, file: WeightsFile, part: Path, progress: Progress, *, most: int = 0) -> None:
        """Complete ``part`` from a URL of this host, resuming after the bytes already present.

        ``most``: maximum bytes of a file of unknown size; 0 accepts announced sizes that fit on the disk. Raises
        ``SourceFailed``. Received bytes stay in ``part`` for the next attempt, whatever happens.
        """
        import anyio

        if self.dead:
            raise SourceFailed(self.dead, unreachable=True)
        idle = 0
        while True:
            before = _size_on_disk(part)
            try:
                await self._stream(url, file, part, progress, file.size or most)
                return
            except _Cut as cut:
                idle = 0 if _size_on_disk(part) > before else idle + 1
                if idle >= TRIES:
                    raise SourceFailed(f"{self.name} {cut.reason}") from None
                progress(file.name, _size_on_disk(part), file.size, f"{self.name} again")
                await anyio.sleep(min(cut.wait or self._pause * 2**idle, LONGEST_WAIT))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _http(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                follow_redirects=True,
                max_redirects=5,
                timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
                # weights must arrive uncompressed: a compressed transfer cannot be resumed by byte
                headers={
                    "user-agent": "intermodal",
                    "accept-encoding": "identity",
                    **({"authorization": f"Bearer {self._token}"} if self._token else {}),
                },
            )
        return self._client

    async def _stream(self, url: str, file: WeightsFile, part: Path, progress: Progress, most: int) -> None:
        import httpx

        have = _size_on_disk(part)
        if file.size and have >= file.size:
            return
        progress(file.name, have, file.size, self.name)
        headers = {"range": f"bytes={have}-"} if have else {}
        try:
            async with self._http().stream("GET", url, headers=headers) as response:
                if response.status_code == 416 and have:
                    _delete_part(part)  # not a prefix of the hub's file, so start over
                    raise _Cut("did not accept the resumed download")
                total = self._expected_size(response, have, file)
                if not (file.size or most):
                    self._check_length(response, total - have, part)
                resumed = response.status_code == 206
                with part.open("ab" if resumed else "wb") as out:
                    received = reported = have if resumed else 0
                    # written as received: buffering larger pieces would lose one at every interruption
                    async for chunk in response.aiter_raw():
                        received += len(chunk)
                        if most and received > most:
                            raise SourceFailed(f"{self.name} sends more than the {most:,} bytes expected")
                        out.write(chunk)
                        if received - reported >= CHUNK or received == total:
                            progress(file.name, received, total, self.name)
                            reported = received
            if total and received < total:
                raise _Cut("cut the download")
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if have:
                raise _Cut("cannot be reached any more") from None
            self.dead = f"{self.name} cannot be reached"
            raise SourceFailed(self.dead, unreachable=True) from None
        except httpx.InvalidURL:
            raise SourceFailed(f"{self.base} is not a URL") from None
        except httpx.TransportError as error:
            raise _Cut(f"cut the download ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            raise SourceFailed(f"{self.name} sent an unusable response ({type(error).__name__})") from None

    def _expected_size(self, response: httpx.Response, have: int, file: WeightsFile) -> int:
        """Return the size of the whole file. Raises if this response cannot complete it."""
        self._check(response, broken=True)
        status = response.status_code
        if status == 206 and not response.headers.get("content-range", "").startswith(f"bytes {have}-"):
            raise SourceFailed(f"{self.name} sent another range than asked for")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise SourceFailed(f"{self.name} sends the file compressed though it was asked not to")
        length = int(response.headers.get("content-length", 0) or 0)
        total = length + (have if status == 206 else 0) if length else file.size
        if file.size and total and total != file.size:
            raise SourceFailed(f"{self.name} has a file of {total:,} bytes, expected {file.size:,}")
        return total

    def _check_length(self, response: httpx.Response, missing: int, part: Path) -> None:
        """Raise if the length is unknown or exceeds the free disk space."""
        if "content-length" not in response.headers:
            raise SourceFailed(f"{self.name} does not say how large the file is")
        free = shutil.disk_usage(part.parent).free
        if missing > free:
            raise SourceFailed(f"{self.name} has {missing:,} bytes more, and there is room for {free:,}")


class _Cut(Exception):
    """The transfer was interrupted. The bytes so far are valid, and a retry may get the rest."""

    def __init__(self, reason: str, *, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait


def _listed_size(row: dict[str, Any]) -> int:
    """Return the size of the file itself, not of its LFS pointer; 0 if the hub states none."""
    stored = row.get("lfs")
    size = stored.get("size") if isinstance(stored, dict) else row.get("size")
    return size if isinstance(size, int) and size >= 0 else 0


def _listed_checksum(row: dict[str, Any]) -> str:
    """Return the checksum, named ``sha256`` in a repository listing and ``oid`` in a tree listing."""
    stored = row.get("lfs")
    found = stored.get("sha256", stored.get("oid")) if isinstance(stored, dict) else None
    found = found.removeprefix("sha256:") if isinstance(found, str) else ""
    return found if _SUM.fullmatch(found) else ""


def _files(rows: list[dict[str, Any]], called: str) -> tuple[HubFile, ...]:
    return tuple(
        HubFile(str(row[called]), _listed_size(row), _listed_checksum(row))
        for row in rows
        if isinstance(row.get(called), str)
    )


def _size_on_disk(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _delete_part(part: Path) -> None:
    part.unlink(missing_ok=True)


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", 0)))
    except ValueError:
        return 0.0
