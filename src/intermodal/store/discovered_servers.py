"""The servers that were found on this machine last time: one small JSON file in the data folder, with its date.

Written atomically; of two processes that search at once the later result is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from intermodal.catalog.discovered_servers import DiscoveredServer
from intermodal.content import Value
from intermodal.store import atomic_file

VERSION = 1
FILE = "servers.json"  # in the data folder


class ServersFile(Value):
    """The last look."""

    servers: tuple[DiscoveredServer, ...] = ()
    kind: Literal["intermodal.servers"] = "intermodal.servers"
    version: int = VERSION


def read(folder: Path) -> tuple[DiscoveredServer, ...]:
    """Servers of the last look; () where there was none, or another version wrote it: looking again finds them."""
    try:
        file = msgspec.json.decode((folder / FILE).read_bytes(), type=ServersFile)
    except (OSError, msgspec.DecodeError):
        return ()
    return file.servers if file.version == VERSION else ()


def keep(folder: Path, servers: Iterable[DiscoveredServer]) -> None:
    """Keep what was found. Raises StoreError."""
    atomic_file.write_json(folder / FILE, msgspec.json.encode(ServersFile(servers=tuple(servers))))


def undated(server: DiscoveredServer) -> DiscoveredServer:
    """A server without the moment it was looked at: what two looks are compared by."""
    return msgspec.structs.replace(server, date="")
