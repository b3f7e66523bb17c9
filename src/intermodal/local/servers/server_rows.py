"""Started servers as host rows of the catalog, and as loaded models of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from intermodal.catalog.host_rows import HostRow, ServedRow, SpeedRow
from intermodal.catalog.types import Task
from intermodal.config.config_file import state_dir
from intermodal.core.content import Kind
from intermodal.local.hardware import machine
from intermodal.plans.machine import Machine

if TYPE_CHECKING:
    from intermodal.local.servers.lifecycle import ManagedServer
    from intermodal.local.servers.records import FullServerContext

SERVER_PREFIX = "up."


def started_server_rows(env: Mapping[str, str]) -> tuple[HostRow, ...]:
    """Return a row for every server that runs or may be started. Failed servers are omitted.

    Rows have no address, because the port changes with every start and plans must not change with it.
    """
    if not (state_dir(env) / "up").exists():
        return ()
    from intermodal.local.servers.lifecycle import (
        all_servers,  # imported only if there are servers
    )

    return tuple(_row(server) for server in all_servers(env) if server.phase != "failed")


def snapshot_with_servers(env: Mapping[str, str], loaded: tuple[str, ...] = ()) -> Machine:
    """Return the machine snapshot, with running servers among the loaded models."""
    if not (state_dir(env) / "up").exists():
        return machine.machine_snapshot(loaded)
    from intermodal.local.servers.lifecycle import all_servers

    up = tuple(endpoint_id(server) for server in all_servers(env) if server.phase == "ready")
    return machine.machine_snapshot((*loaded, *up))


def endpoint_id(server: ManagedServer) -> str:
    return f"{SERVER_PREFIX}{server.wanted.name}:{server.wanted.model_id}"


def server_name(host: str) -> str:
    """Return the server's name from its host id."""
    return host.removeprefix(SERVER_PREFIX)


def _row(server: ManagedServer) -> HostRow:
    from intermodal.local.servers.programs import PROGRAMS

    spec, state, program = server.wanted, server.state, PROGRAMS[server.wanted.program]
    has_context = state is not None and state.context > 0
    sees, hears = (state.sees, state.hears) if state is not None and has_context else (spec.sees, spec.hears)
    kinds: list[Kind] = ["text"]
    tasks: list[Task] = ["feature-extraction" if spec.embeds else "text-generation"]
    if sees:
        kinds.append("image")
        tasks.append("image-text-to-text")
    if hears:
        kinds.append("audio")
        tasks.append("audio-text-to-text")
    served_row = ServedRow(
        id=spec.model_id, served_as=spec.served_as, tasks=tuple(tasks), input=tuple(kinds),
        context=_context(server),
        parameters=spec.parameters or None, memory=_memory(server), memory_basis=_memory_basis(server),
        speed=SpeedRow(load=_load(server), basis=_basis(server)),
    )  # fmt: skip
    return HostRow(
        id=f"{SERVER_PREFIX}{spec.name}", name=f"{program.what}, started by intermodal", stated_protocol="started",
        auth="none", zone="machine", forced_json=True, quirks=program.quirks, models=(served_row,),
        source="the server's own word" if has_context else "the header of its file",
        checked=(state.at if state is not None and has_context else spec.since)[:10],
    )  # fmt: skip


def _full_context_of(server: ManagedServer) -> FullServerContext | None:
    """Return the full context of a server that is not running and was last started with a reduced one."""
    return server.wanted.uncut if server.phase != "ready" else None


def _context(server: ManagedServer) -> int:
    """Return the context length: as reported by the server, else as specified."""
    uncut, state = _full_context_of(server), server.state
    if uncut is not None:
        return uncut.context
    return state.context if state is not None and state.context else server.wanted.context


def _memory(server: ManagedServer) -> tuple[float, float, float]:
    """Return the predicted memory, or the memory measured after the last start."""
    uncut = _full_context_of(server)
    if uncut is not None:
        return uncut.memory
    low, mid, high = server.memory
    measured_memory = float(server.state.memory) if server.state is not None else 0.0
    return (
        (min(low, measured_memory), measured_memory, max(high, measured_memory))
        if measured_memory
        else (low, mid, high)
    )


def _memory_basis(server: ManagedServer) -> str:
    if _full_context_of(server) is not None:
        return "from the header of its file"
    if server.foreseen is not None:
        return server.foreseen.words
    is_measured = server.state is not None and server.state.memory
    return "measured after its last start" if is_measured else "from the header of its file"


def _load(server: ManagedServer) -> tuple[float, float, float]:
    measured_seconds = server.state.load_seconds if server.state is not None else 0.0
    if measured_seconds:
        return (measured_seconds * 0.6, measured_seconds, measured_seconds * 3.0)
    gigabytes = server.wanted.disk / 1e9  # read from a disk: 3 GB/s, 1 GB/s, 0.15 GB/s
    return (0.3 + gigabytes / 3, 0.6 + gigabytes, 3.0 + gigabytes / 0.15)


def _basis(server: ManagedServer) -> str:
    is_measured = server.state is not None and server.state.load_seconds > 0
    return "measured when it was started" if is_measured else "from the size of its file"


__all__ = ["SERVER_PREFIX", "endpoint_id", "server_name", "snapshot_with_servers", "started_server_rows"]
