"""The directory of this machine's servers: scanned when a run or a listing needs it, and saved with its date.

Explaining a plan contacts no server, so it reads the saved result. Scans are made by runs (``ask``) and by commands
that show the current state (``doctor``, ``models``). They list and describe models at addresses of this machine and of
the config.

The last scan is one small JSON file in the data folder; if two processes scan concurrently, the later result wins.
Learned limits of endpoints are stored as one file per lesson, so concurrent processes need no lock. All files are
written atomically.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from intermodal.catalog.capability_lessons import CapabilityLesson, lessons_of, with_lessons
from intermodal.catalog.discovered_servers import DiscoveredServer, is_this_machine, server_root
from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.shipped_rows import known_hosts
from intermodal.catalog.types import Catalog, EndpointShortcoming, Host
from intermodal.config.api_keys import find_key
from intermodal.config.config_file import Config, data_dir
from intermodal.core.content import Value
from intermodal.core.today import today
from intermodal.errors import StoreError
from intermodal.files.atomic_file import write_json
from intermodal.transport.addresses import HostAddress

FRESH = 30.0  # seconds before a scan is repeated
OFF = "INTERMODAL_DISCOVERY"  # "off" disables discovery, whatever the config states


class ServerDirectory:
    """The servers and lessons of one client."""

    def __init__(self, config: Config, env: Mapping[str, str]) -> None:
        self._config, self._env = config, env
        self._folder: Path = data_dir(env)
        self._looked: float | None = None
        self._kept: tuple[DiscoveredServer, ...] | None = None

    @property
    def servers(self) -> tuple[DiscoveredServer, ...]:
        """Return the servers of the last scan by any process; () if discovery is off."""
        if not self.is_enabled:
            return ()
        if self._kept is None:
            allowed = {server.base_url for server in self._addresses_to_scan(keys=False)}
            self._kept = tuple(each for each in read_servers(self._folder) if each.address in allowed)
        return self._kept

    @property
    def is_enabled(self) -> bool:
        return self._config.discovery.enabled and self._env.get(OFF, "").strip().lower() not in ("off", "0", "no")

    async def scan(self, *, rescan: bool = False) -> tuple[DiscoveredServer, ...]:
        """Scan for servers and return the result. A recent or running scan is not repeated unless ``rescan``."""
        if not self.is_enabled:
            return ()
        from intermodal.local.discovery.scanner import scan_servers  # most programs read the last scan

        now = time.monotonic()
        if self._looked is not None and now - self._looked < FRESH and not rescan:
            return self.servers
        last, self._looked = self._looked, now
        kinds = [row for row in self._rows() if row.discovery is not None]
        before = {server.address: server for server in self.servers}
        date = datetime.now(UTC).isoformat(timespec="minutes")[:16]
        try:
            found = await scan_servers(self._addresses_to_scan(), kinds, date=date, before=before)
        except BaseException:  # the scan was cancelled, so it does not count
            self._looked = last
            raise
        found = tuple(_as_before(server, before.get(server.address)) for server in found)
        if tuple(map(without_scan_date, found)) != tuple(map(without_scan_date, self.servers)):
            with suppress(StoreError):  # if nothing can be written, a later run reports it; this one continues
                keep_servers(self._folder, found)
            self._kept = found
        return self.servers

    # ---- learned from servers --------------------------------------------------------------------

    @property
    def lessons(self) -> tuple[CapabilityLesson, ...]:
        """Return every saved lesson about endpoints."""
        return read_lessons(self._folder)

    def apply_lessons(self, catalog: Catalog) -> Catalog:
        """Return the catalog with all saved lessons applied."""
        return with_lessons(catalog, self.lessons, today())

    def learn(self, shortcoming: EndpointShortcoming) -> None:
        """Save a capability that an endpoint turned out to lack. Raises StoreError."""
        keep_lessons(self._folder, lessons_of(shortcoming, today()))

    def save_lessons(self, lessons: Iterable[CapabilityLesson]) -> None:
        """Save the lessons of a probe. Raises StoreError."""
        keep_lessons(self._folder, lessons)

    # ---- where ------------------------------------------------------------------------------------

    def _rows(self) -> list[HostRow]:
        own = {row.id: row for row in self._config.hosts}
        return [row.overlaid(own[row.id]) if row.id in own else row for row in known_hosts()]

    def _addresses_to_scan(self, *, keys: bool = True) -> list[HostAddress]:
        """Return the distinct addresses to scan: local ones from rows and variables, and those of the config."""
        settings, found = self._config.discovery, dict[str, HostAddress]()

        def add(address: str, host: Host | None = None) -> None:
            root = server_root(address)
            keyed = host if keys and host is not None and host.auth != "none" else None
            key = (find_key(keyed, self._env) or "") if keyed is not None and root not in found else ""
            found.setdefault(
                root, HostAddress(root, key, keyed.auth) if keyed is not None and key else HostAddress(root)
            )

        own = [row for row in self._config.hosts if row.base_url]  # first, because these may have keys
        usual = [row for row in self._rows() if row.discovery is not None] if settings.usual_ports else []
        for row in (*own, *usual):
            if is_this_machine(row.base_url) and row.zone != "internet":  # a proxy to an internet host is not scanned
                add(row.base_url, row.host())
        for row in self._rows():
            address_text = self._env.get(row.discovery.address_env, "").strip() if row.discovery else ""
            if (
                address_text
                and settings.usual_ports
                and is_this_machine(server_root(_with_port(address_text, row.base_url)))
            ):
                add(_with_port(address_text, row.base_url))
        for address in settings.addresses:
            add(address)
        return list(found.values())


def _as_before(server: DiscoveredServer, before: DiscoveredServer | None) -> DiscoveredServer:
    """Return the previous result if the server was too slow this time.

    It keeps its date, and is marked incomplete, because another program may listen there by now.
    """
    if server.complete or before is None or not before.kind or server.kind not in ("", before.kind):
        return server
    return msgspec.structs.replace(before, complete=False, message=server.message)


def _with_port(address: str, usual: str) -> str:
    """Complete an address as written in a variable: "0.0.0.0", ":8080", "127.0.0.1:11434", a URL."""
    from urllib.parse import urlsplit

    text = (
        address if "://" in address else f"http://{address if not address.startswith(':') else '127.0.0.1' + address}"
    )
    try:
        parts = urlsplit(text)
        port = parts.port or urlsplit(usual).port
    except ValueError:
        return usual
    return f"{parts.scheme}://{parts.hostname or '127.0.0.1'}:{port}"


# ---- servers of the last scan -----------------------------------------------------------------------


SERVERS_VERSION = 1
SERVERS_FILE = "servers.json"  # in the data folder


class ServersFile(Value):
    """The file of the last scan."""

    servers: tuple[DiscoveredServer, ...] = ()
    kind: Literal["intermodal.servers"] = "intermodal.servers"
    version: int = SERVERS_VERSION


def read_servers(folder: Path) -> tuple[DiscoveredServer, ...]:
    """Return the servers of the last scan; () if there is none, or if another version wrote the file."""
    try:
        file = msgspec.json.decode((folder / SERVERS_FILE).read_bytes(), type=ServersFile)
    except (OSError, msgspec.DecodeError):
        return ()
    return file.servers if file.version == SERVERS_VERSION else ()


def keep_servers(folder: Path, servers: Iterable[DiscoveredServer]) -> None:
    """Save the result of a scan. Raises StoreError."""
    write_json(folder / SERVERS_FILE, msgspec.json.encode(ServersFile(servers=tuple(servers))))


def without_scan_date(server: DiscoveredServer) -> DiscoveredServer:
    """Return a server without its scan date, to compare two scans."""
    return msgspec.structs.replace(server, date="")


# ---- lessons ----------------------------------------------------------------------------------------


LESSONS_VERSION = 1
LESSONS_FOLDER = "learned"  # below the data folder


class LessonFile(Value):
    lesson: CapabilityLesson
    kind: Literal["intermodal.lesson"] = "intermodal.lesson"
    version: int = LESSONS_VERSION


def read_lessons(folder: Path) -> tuple[CapabilityLesson, ...]:
    """Return every saved lesson, by endpoint. Unreadable files are skipped; their lessons will be learned again."""
    found = []
    for path in (folder / LESSONS_FOLDER).glob("*.json"):
        try:
            file = msgspec.json.decode(path.read_bytes(), type=LessonFile)
        except (OSError, msgspec.DecodeError):
            continue
        if file.version == LESSONS_VERSION:
            found.append(file.lesson)
    return tuple(sorted(found, key=lambda lesson: (lesson.endpoint, lesson.about)))


def keep_lessons(folder: Path, lessons: Iterable[CapabilityLesson]) -> None:
    """Save lessons, replacing earlier ones about the same endpoint and subject. Raises StoreError."""
    for lesson in lessons:
        name = hashlib.sha256(f"{lesson.endpoint} {lesson.about}".encode()).hexdigest()[:16]
        write_json(folder / LESSONS_FOLDER / f"{name}.json", msgspec.json.encode(LessonFile(lesson=lesson)))


__all__ = [
    "FRESH",
    "OFF",
    "LessonFile",
    "ServerDirectory",
    "ServersFile",
    "keep_lessons",
    "keep_servers",
    "read_lessons",
    "read_servers",
    "without_scan_date",
]
