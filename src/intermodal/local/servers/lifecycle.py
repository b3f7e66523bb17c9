"""Starts, shares and stops servers, for ``intermodal up``, ``down`` and runs. Every wait can be cancelled."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec

from intermodal.config.config_file import cache_dir, state_dir
from intermodal.core.content import Value
from intermodal.core.hints import hint, join_sentences
from intermodal.cost_model.memory import fits_in_memory
from intermodal.errors import DoesNotFit, IntermodalError, NotInstalled, RuntimeCrashed, StoreError, UsageError
from intermodal.local.embedded.results import ChatServer
from intermodal.local.hardware.machine import machine_snapshot
from intermodal.local.hardware.model_measurements import load_corrections
from intermodal.local.servers.memory_comparison import MemoryComparison, compare_after_start, corrected_memory
from intermodal.local.servers.memory_estimate import longest_context
from intermodal.local.servers.records import (
    ALIVE,
    FullServerContext,
    MemoryForecast,
    ServerRecords,
    ServerSpec,
    ServerState,
    all_records,
    latest_start_log,
)
from intermodal.local.tokenizers.template_marks import template_marks
from intermodal.plans.numbers import memory_size, size
from intermodal.sizing.memory import Correction
from intermodal.store.process_identity import is_alive, is_dead, pid_of

_LOOK = 0.05  # seconds between two reads of a record
_BORN = 20.0  # seconds in which a supervisor must write its first record
_GRACE = 15.0  # seconds in which a supervisor must stop its server and exit
Notify = Callable[[str], None]


class ManagedServer(Value):
    """A server with a specification and its state. ``state`` is None if it was never started.

    ``foreseen``: its corrected memory prediction; None if it was never compared. ``comparison``: predicted and actual
    memory, if this call started it.
    """

    wanted: ServerSpec
    state: ServerState | None = None
    log: str = ""
    foreseen: MemoryForecast | None = None
    comparison: MemoryComparison | None = None

    @property
    def memory(self) -> tuple[float, float, float]:
        """Return the expected memory in bytes: low, mid, high."""
        return self.foreseen.memory if self.foreseen is not None else self.wanted.memory

    @property
    def phase(self) -> str:
        """Return the phase. A record whose supervisor is dead counts as stopped."""
        if self.state is None:
            return "not started"
        if self.state.phase in ALIVE and not self.state.is_alive:
            return "stopped"
        return self.state.phase


def all_servers(env: Mapping[str, str]) -> tuple[ManagedServer, ...]:
    """Return every server with a specification on this machine, sorted by name."""
    found = []
    for place in all_records(env):
        spec = place.read_spec()
        if spec is not None:
            found.append(_managed_server(place, spec, place.state()))
    return tuple(found)


async def start_server(
    spec: ServerSpec, env: Mapping[str, str], *, later: bool = False, tell: Notify = lambda what: None
) -> tuple[ManagedServer, bool]:
    """Start the server if needed, and return whether this call started it. ``later``: only record that it may be
    started. Of two concurrent calls one starts it and the other waits. If cancelled, the call stops and forgets the
    server that it started.

    Raises:
        DoesNotFit: there is not enough free memory. RuntimeCrashed: the server failed to start.
        UsageError: a different server with that name is running.
    """
    place = ServerRecords(state_dir(env), spec.name)
    async with _hold_lock(place, tell):
        before, state = place.read_spec(), place.state()
        if state is not None and state.is_alive and before is not None:
            if not before.is_served_by(spec):
                raise UsageError(
                    f"{spec.name} is up already, as another server ({_settings_difference(before, spec)})",
                    where="intermodal up", todo=hint("intermodal down {}, or choose another {name}", spec.name),
                )  # fmt: skip
            return _managed_server(place, before, await _wait_until_ready(place, tell)), False
        await _clean_up(place)
        if later:
            place.write_spec(spec)
            if before is None or not before.is_served_by(spec):
                place.clear_state()
            return _managed_server(place, spec, place.state()), False
        server, found = await _start(place, spec, env, tell, known=before is not None)
        return msgspec.structs.replace(_managed_server(place, spec, server), comparison=found), True


async def stop_server(name: str, env: Mapping[str, str]) -> bool:
    """Stop a server and delete its records; its log stays. Returns False for an unknown name."""
    import anyio

    place = ServerRecords(state_dir(env), name)
    if place.read_spec() is None and place.state() is None:
        return False
    state = place.state()
    if state is not None and state.is_alive and state.phase != "ready":
        _signal(state.supervisor, signal.SIGTERM)  # a process that is starting it holds the lock until that fails
    async with place.hold_lock():
        with anyio.CancelScope(shield=True):
            await _end(place)
            place.delete_all()
    return True


async def ensure_serving(
    name: str, env: Mapping[str, str], tell: Notify = lambda what: None, *, context: int = 0
) -> ChatServer:
    """Return address and key of a server, starting it if needed.

    Call it before every request, so that the server is not unloaded as idle. ``context``: the context length in tokens
    if the full context does not fit, 0 for the full one. Raises the errors of ``start_server``, and NotInstalled if the
    name is unknown.
    """
    place = ServerRecords(state_dir(env), name)
    started = time.monotonic()
    async with place.hold_lock(shared=True):
        spec, state = place.read_spec(), place.state()
        if spec is None:
            raise NotInstalled("is not known any more", where=f"up.{name}", todo="run: intermodal up MODEL")
        if state is not None and state.is_alive and state.phase == "ready" and not is_dead(state.server):
            place.touch()
            return await _running_server(spec, state)
    async with _hold_lock(place, tell):
        state = place.state()
        if state is not None and state.is_alive:
            state = await _wait_until_ready(place, tell)
        elif state is not None and state.phase == "failed":
            raise _failure(place, state)
        else:
            await _clean_up(place)
            state, _ = await _start(place, _with_reduced_context(spec, context, env), env, tell, known=True)
        place.touch()
        return await _running_server(spec, state, time.monotonic() - started)


def _with_reduced_context(spec: ServerSpec, context: int, env: Mapping[str, str]) -> ServerSpec:
    """Return the specification with a reduced context (0: the full one). The full context stays recorded."""
    if spec.uncut is not None:
        before = spec.uncut
        spec = msgspec.structs.replace(spec, context=before.context, memory=before.memory, uncut=None)
    if not context or context >= spec.context:
        return spec
    needed = corrected_memory(spec, load_corrections(cache_dir(env), spec.model))(context)
    uncut = FullServerContext(context=spec.context, memory=spec.memory)
    return msgspec.structs.replace(spec, context=context, memory=needed, uncut=uncut)


async def _running_server(spec: ServerSpec, state: ServerState, load_seconds: float = 0.0) -> ChatServer:
    """Return the running server. Reading a model's template marks takes 0.25 s, once per file."""
    import anyio

    marks = await anyio.to_thread.run_sync(template_marks, Path(spec.model))
    return ChatServer(base_url=state.base_url, key=state.key, load_seconds=load_seconds, marks=marks)


def _managed_server(place: ServerRecords, spec: ServerSpec, state: ServerState | None) -> ManagedServer:
    return ManagedServer(wanted=spec, state=state, log=str(place.log), foreseen=place.read_forecast())


def check_memory(spec: ServerSpec, free: int, memory: int, corrections: tuple[Correction, ...] = ()) -> None:
    """Raise DoesNotFit if the server does not fit, by the planner's own formula (``fits``).

    ``corrections``: measurements of its file, used to suggest a context that would fit.
    """
    machine = msgspec.structs.replace(machine_snapshot(), free=free, memory=memory)
    _, mid, high = spec.memory
    if fits_in_memory(machine, high):
        return
    context = f", {spec.context:,} tokens of context" + (f" times {spec.slots}" if spec.slots > 1 else "")
    todo = ["free some memory"]
    if fits_in_memory(machine, spec.disk):  # weights alone would
        shorter = longest_context(corrected_memory(spec, corrections), spec.context, partial(fits_in_memory, machine))
        todo += [hint("say {context=}", shorter)] if shorter else []
        todo += [hint("fewer {slots}")] if spec.slots > 1 else []
    raise DoesNotFit(
        f"needs {memory_size(mid)} of memory and up to {memory_size(high)} ({size(spec.disk)} of weights{context}), "
        f"and {memory_size(free)} are free",
        where=spec.name, todo=hint("{}, or take a smaller model", join_sentences(", ", todo)),
    )  # fmt: skip


# ---- inside the lock --------------------------------------------------------------------------------


@asynccontextmanager
async def _hold_lock(place: ServerRecords, tell: Notify) -> AsyncIterator[None]:
    """Hold the lock of a name, and notify the user if another process holds it."""
    with place.try_lock() as has_lock:
        if has_lock:
            yield
            return
    tell("another process is starting or ending it; waiting")
    async with place.hold_lock():
        yield


async def _start(
    place: ServerRecords, spec: ServerSpec, env: Mapping[str, str], tell: Notify, *, known: bool
) -> tuple[ServerState, MemoryComparison | None]:
    """Spawn a supervisor and wait until its server answers. Its memory is then compared with the prediction."""
    import anyio

    machine = machine_snapshot()
    check_memory(spec, machine.free, machine.memory, load_corrections(cache_dir(env), spec.model))
    place.write_spec(spec)
    place.clear_state()
    try:
        await _spawn(place)
        state = await _wait_until_ready(place, tell)
        return state, await anyio.to_thread.run_sync(_compare_memory, place, spec, state, cache_dir(env))
    except BaseException:
        with anyio.CancelScope(shield=True):
            await _end(place)
            failed = place.state()
            if not known:
                place.delete_all()
            elif failed is not None and failed.phase == "starting":
                place.record(msgspec.structs.replace(failed, phase="stopped", server="", port=0, key="", reason=""))
        raise


def _compare_memory(
    place: ServerRecords, spec: ServerSpec, state: ServerState, folder: Path
) -> MemoryComparison | None:
    """Compare predicted and actual memory, and save the result; None if the comparison fails."""
    try:
        found = compare_after_start(spec, state, latest_start_log(place.log), folder)
        if found.correction is not None:
            foreseen = corrected_memory(spec, (found.correction,))(spec.context)
            place.save_forecast(MemoryForecast(memory=foreseen, words=found.correction.words))
    except (IntermodalError, OSError):
        return None
    return found


async def _spawn(place: ServerRecords) -> None:
    """Spawn the supervisor. It detaches immediately, so that no parent has to wait for it."""
    import anyio

    command = [
        sys.executable,
        "-P",
        "-m",
        "intermodal.local.servers.supervisor",
        str(place.root),
        place.name,
        place.spec_stamp(),
    ]
    place.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(place.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
        completed = await anyio.run_process(
            command, stdin=-3, stdout=-3, stderr=log, check=False, cwd=Path(place.root), start_new_session=True
        )
    if completed.returncode:
        raise RuntimeCrashed("its supervisor did not start", where=f"up.{place.name}", todo=f"see {place.log}")


async def _wait_until_ready(place: ServerRecords, tell: Notify) -> ServerState:
    """Wait until the record is ready. Raises RuntimeCrashed if the server fails to start."""
    import anyio

    started, last_line = time.monotonic(), ""
    while True:
        state = place.state()
        if state is not None:
            if state.phase == "ready" and not is_dead(state.supervisor) and not is_dead(state.server):
                return state
            if state.phase in ("failed", "stopped"):
                raise _failure(place, state)
            if is_dead(state.supervisor):
                raise RuntimeCrashed("its supervisor died", where=f"up.{place.name}", todo="run it again", sent=False)
        elif time.monotonic() - started > _BORN:
            raise RuntimeCrashed("its supervisor said nothing", where=f"up.{place.name}", todo=f"see {place.log}")
        words = state.reason if state is not None and state.phase == "restarting" else ""
        if words != last_line:
            last_line = words
            tell(f"restarting: {words}")
        await anyio.sleep(_LOOK)


def _failure(place: ServerRecords, state: ServerState) -> RuntimeCrashed:
    return RuntimeCrashed(
        f"did not come up: {state.reason}" if state.phase == "failed" else f"was ended ({state.reason or 'stopped'})",
        where=f"up.{place.name}", todo=f"see {place.log}", sent=False,
    )  # fmt: skip


async def _clean_up(place: ServerRecords) -> None:
    """Clean up after a killed supervisor or a reboot: stop its server, and correct the record."""
    state = place.state()
    if state is not None and (state.phase in ALIVE or state.server):
        await _end(place)
        place.record(msgspec.structs.replace(state, phase="stopped", supervisor="", server="", port=0, key="",
                                             reason="its supervisor was gone"))  # fmt: skip


async def _end(place: ServerRecords) -> None:
    """Stop supervisor and server: the supervisor is signalled, and processes that do not react are killed."""
    spec = place.read_spec()
    if spec is not None:
        with suppress(StoreError):  # if nothing can be written, the supervisor cannot write its record either
            place.write_spec(spec)  # rewritten, so that a supervisor without a record sees the change and exits
    state = place.state()
    if state is None:
        return
    if state.supervisor and not is_dead(state.supervisor):
        _signal(state.supervisor, signal.SIGTERM)
        await _wait_for_exit(state.supervisor)
        state = place.state() or state
        _signal(state.supervisor, signal.SIGKILL)
    if is_alive(state.server):
        with suppress(OSError):
            os.killpg(pid_of(state.server), signal.SIGKILL)
        await _wait_for_exit(state.server)


async def _wait_for_exit(known: str) -> None:
    """Wait for a process to end, for at most ``_GRACE`` seconds."""
    import anyio

    end = time.monotonic() + _GRACE
    while not is_dead(known) and time.monotonic() < end:  # noqa: ASYNC110 - a process that is nobody's child has no event
        await anyio.sleep(_LOOK)


async def clean_up(env: Mapping[str, str]) -> None:
    """Clean up after dead supervisors. Skips names whose lock is held."""
    for place in all_records(env):
        state = place.state()
        if state is not None and state.phase in ALIVE and not state.is_alive:
            with place.try_lock() as has_lock:
                if has_lock:
                    await _clean_up(place)


def _signal(known: str, number: signal.Signals) -> None:
    """Send a signal to the identified process, not to another one that has reused its id."""
    if is_alive(known):
        with suppress(OSError):
            os.kill(pid_of(known), number)


def _settings_difference(one: ServerSpec, other: ServerSpec) -> str:
    for field, words in (
        ("digest", "another file"), ("projector", "another projector"), ("context", "context"), ("slots", "slots"),
        ("program", "program"),
    ):  # fmt: skip
        if getattr(one, field) != getattr(other, field):
            return words if words.startswith("another") else f"{words} {getattr(one, field)}"
    return "other settings"
