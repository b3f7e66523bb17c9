"""The files of a started server: specification, state, log. One folder per name, one writer per file.

    STATE/up/HOST/NAME/wanted.json    the server to start: written by the holder of the lock
    STATE/up/HOST/NAME/state.json     its state: written by its supervisor, or by a process that finds that one dead
    STATE/up/HOST/NAME/foreseen.json  expected memory, corrected by the actual one: written by the process that started
                                      it
    STATE/up/HOST/NAME/used           touched before every request
    STATE/up/HOST/.NAME.lock          shared to read and touch, exclusive to start, stop and unload
    STATE/logs/NAME.log               the server's output, at most ``MAX_LOG`` bytes and the same once more

A process is identified by host, boot, id and start time (``store``), since ids are reused and end with a reboot.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO, Literal, TypeVar

import msgspec

from intermodal.config.config_file import state_dir
from intermodal.core.content import Value
from intermodal.errors import StoreError
from intermodal.files.atomic_file import format_json, write_private_file
from intermodal.store.process_identity import host, is_dead

MAX_LOG = 1 << 20  # bytes
_WAIT = 0.05  # seconds between two attempts to take a lock
T = TypeVar("T", bound=Value)

# ready: it answers. restarting: it exited unexpectedly. stopped: it was unloaded, or its supervisor is gone; a run that
# needs it starts it again. failed: it crashed too often, and is not restarted.
ServerPhase = Literal["starting", "ready", "restarting", "stopped", "failed"]
ALIVE: tuple[ServerPhase, ...] = ("starting", "ready", "restarting")


class FullServerContext(Value):
    """Context and memory (low, mid, high) of the original specification, before the context was reduced."""

    context: int
    memory: tuple[float, float, float]


class ServerSpec(Value):
    """The specification of a server.

    Attributes:
        name: the host is ``up.NAME``. requested: the model as the user named it.
        program: a key of ``programs.PROGRAMS``; ``path``: path of the executable.
        model, projector: files, or a folder; "" for no projector. digest: identifies the files, so that a replaced file
            is detected.
        model_id, served_as, weights: as in a row of the catalog.
        context: tokens per request. slots: concurrent requests.
        idle: seconds without a request after which it is unloaded; 0 for never.
        memory: bytes, [low, mid, high]. disk: bytes read to load it.
        parameters: parameter count of the model, 0 if unknown. embeds: it is an embedding model. sees, hears: it
            accepts images or audio, judged by its files.
        since: ISO, UTC. uncut: the full context, if it was started with a reduced one.
    """

    name: str
    requested: str = msgspec.field(name="said")
    program: str
    path: str
    model: str
    projector: str = ""
    digest: str = ""
    model_id: str = ""
    served_as: str = ""
    weights: str = ""
    context: int = 0
    slots: int = 1
    idle: float = 0.0
    memory: tuple[float, float, float] = (0.0, 0.0, 0.0)
    disk: int = 0
    parameters: float = 0.0
    embeds: bool = False
    sees: bool = False
    hears: bool = False
    since: str = ""
    uncut: FullServerContext | None = None

    def is_served_by(self, other: ServerSpec) -> bool:
        """Return whether one running server serves both.

        True if everything except start time, idle limit, requested name and expected memory is equal.
        """
        alike = {"since": "", "idle": 0.0, "requested": "", "memory": (0.0, 0.0, 0.0)}
        return msgspec.structs.replace(self, **alike) == msgspec.structs.replace(other, **alike)


class ServerState(Value):
    """The state of a server.

    Attributes:
        supervisor, server: process identities. port: on 127.0.0.1. key: required bearer token.
        context: tokens per request, as the server reports. sees, hears: as the server reports.
        load_seconds: of its last start. memory: resident bytes of all its processes after the warm-up.
        crashes: number of consecutive crashes. reason: the reason for this phase, as text.
        at: time of writing, ISO, UTC.
    """

    phase: ServerPhase
    supervisor: str = ""
    server: str = ""
    port: int = 0
    key: str = ""
    context: int = 0
    sees: bool = False
    hears: bool = False
    load_seconds: float = 0.0
    memory: int = 0
    crashes: int = 0
    reason: str = ""
    at: str = ""

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def is_alive(self) -> bool:
        """Return whether it is running or starting, with a live supervisor."""
        return self.phase in ALIVE and not is_dead(self.supervisor)


class MemoryForecast(Value):
    """The expected memory [low, mid, high] in bytes after comparison with the actual memory, and the explanation."""

    memory: tuple[float, float, float]
    words: str


class ServerRecords:
    """The files of one server name."""

    def __init__(self, root: Path, name: str) -> None:
        """``root`` is the state folder."""
        self.root = root
        self.name = name
        own = root / "up" / host()
        self.folder = own / name
        self.lock_file = own / f".{name}.lock"
        self.log = root / "logs" / f"{name}.log"

    def read_spec(self) -> ServerSpec | None:
        return _read_record(self.folder / "wanted.json", ServerSpec)

    def state(self) -> ServerState | None:
        return _read_record(self.folder / "state.json", ServerState)

    def read_forecast(self) -> MemoryForecast | None:
        return _read_record(self.folder / "foreseen.json", MemoryForecast)

    def write_spec(self, spec: ServerSpec) -> None:
        self._write_record("wanted.json", spec)

    def save_forecast(self, foreseen: MemoryForecast) -> None:
        self._write_record("foreseen.json", foreseen)

    def spec_stamp(self) -> str:
        """Return a value that changes whenever the specification is written; "" if there is none.

        A supervisor is started for one mark, and exits if the mark has changed once its own record is visible. A
        process that withdraws a specification first changes the mark and then looks for a record, so that at least one
        of the two sees the other.
        """
        try:
            found = (self.folder / "wanted.json").stat()
        except OSError:
            return ""
        return f"{found.st_ino}.{found.st_mtime_ns}"

    def record(self, state: ServerState) -> None:
        from datetime import UTC, datetime

        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._write_record("state.json", msgspec.structs.replace(state, at=now))

    def withdraw_state(self, supervisor: str) -> None:
        """Remove this supervisor's record, because it started nothing."""
        state = self.state()
        with suppress(OSError):
            if state is not None and state.supervisor == supervisor:
                (self.folder / "state.json").unlink()
            self.folder.rmdir()  # succeeds only if the folder is empty

    def clear_state(self) -> None:
        """Delete the state of former starts; the specification stays."""
        for old in ("state.json", "foreseen.json"):
            with suppress(OSError):
                (self.folder / old).unlink()

    def delete_all(self) -> None:
        """Delete all records of the server; its log stays."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def touch(self) -> None:
        with suppress(OSError):
            (self.folder / "used").touch(mode=0o600)

    def last_use(self) -> float:
        """Return when a request was last about to be sent, in seconds since 1970; 0 if never."""
        try:
            return (self.folder / "used").stat().st_mtime
        except OSError:
            return 0.0

    # ---- locks: the kernel releases them when a process dies, so none can be left behind ------------

    @asynccontextmanager
    async def hold_lock(self, *, shared: bool = False) -> AsyncIterator[None]:
        """Hold the lock of this name, waiting without a timeout."""
        import anyio

        with self._open_lock() as file:
            while not _try_flock(file, shared=shared):  # noqa: ASYNC110 - a lock of the kernel, which has no event
                await anyio.sleep(_WAIT)
            yield

    @contextmanager
    def try_lock(self) -> Iterator[bool]:
        """Hold the lock if it is free. Yields whether it was acquired."""
        with self._open_lock() as file:
            yield _try_flock(file, shared=False)

    def _open_lock(self) -> IO[bytes]:
        with self._store_errors():
            self.lock_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.fdopen(os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o600), "wb")

    def _write_record(self, name: str, value: Value) -> None:
        """Write a file atomically, readable only by the user because it contains the key."""
        with self._store_errors():
            write_private_file(self.folder / name, format_json(msgspec.json.encode(value)))

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise StoreError(
                f"cannot be written ({reason})", where=str(self.folder),
                todo="make its folder writable, or choose another with INTERMODAL_HOME",
            ) from None  # fmt: skip


def all_records(env: Mapping[str, str]) -> tuple[ServerRecords, ...]:
    """Return the records of every name on this machine."""
    root = state_dir(env)
    try:
        names = sorted(os.listdir(root / "up" / host()))
    except OSError:
        return ()
    return tuple(ServerRecords(root, name) for name in names if not name.startswith("."))


def _read_record(path: Path, cls: type[T]) -> T | None:
    """Read a record; None if it is missing, or written by another version."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=cls)
    except (OSError, msgspec.DecodeError):
        return None


def _try_flock(file: IO[bytes], *, shared: bool) -> bool:
    import fcntl

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


STARTS = "[intermodal] starts "  # a line written before the output of each start


def latest_start_log(path: Path) -> str:
    """Return the output of the latest start; "" if it is no longer in the log."""
    text = ""
    for file in (path.with_name(path.name + ".1"), path):
        try:
            text += file.read_bytes().decode(errors="replace")
        except OSError:
            continue
    _, mark, after = text.rpartition(STARTS)
    return after if mark else ""


class ServerLog:
    """A log of bounded size. A full file is renamed to ``NAME.log.1``, and a new one is started."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        with self._lock:
            try:
                if self.path.exists() and self.path.stat().st_size + len(data) > MAX_LOG:
                    self.path.replace(self.path.with_name(self.path.name + ".1"))
                with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
                    file.write(data[-MAX_LOG:])
            except OSError:
                pass  # a full disk must not end the server

    def copy_from_pipe(self, pipe: IO[bytes]) -> threading.Thread:
        """Write the contents of a pipe in a thread, until the pipe closes."""

        def read() -> None:
            with pipe:
                while data := os.read(pipe.fileno(), 65536):
                    self.write(data)

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def last_words(self, lines: int = 3) -> str:
        """Return the last lines of the log joined to one, for an error message."""
        try:
            text = self.path.read_bytes()[-4000:].decode(errors="replace")
        except OSError:
            return ""
        found = [line.strip() for line in text.splitlines() if line.strip()][-lines:]
        return " | ".join(found)[-400:]
