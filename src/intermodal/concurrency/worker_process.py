"""Worker processes: a child with resource limits that decodes media or runs a model, and can be killed at any time.

Both sides are here. The parent's :class:`WorkerProcess` starts ``python -m MODULE`` and calls its handlers; the child's
:func:`serve` runs them. Frames on the pipes are a 4-byte big-endian length and msgpack; the largest argument of a call
follows as raw bytes, so that neither side copies it again. For a file on disk the child receives the descriptor, over a
socket pair (unix(7), SCM_RIGHTS), and reads the parts it needs.

A child has its own session, so that Ctrl-C reaches only the parent. It ends when its standard input closes, so that it
never outlives the parent. Output printed by libraries goes to its log.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

import msgspec

from intermodal import errors
from intermodal.concurrency.fair_lock import FairLock
from intermodal.core.content import Value
from intermodal.core.hints import pack_text, unpack_text
from intermodal.files.file_bytes import FileBytes

_LENGTH = struct.Struct(">I")
MAX_FRAME = 1 << 30
_PIECE = 1 << 18
_LARGE = 1 << 20  # bytes from which an argument is sent on its own


class ProcessLimits(Value):
    """Limits of a child process. 0 means no limit.

    Attributes:
        memory: bytes of address space.
        cpu: processor seconds per call, rather than per process: a worker that decoded a thousand good files must not
            die on the next.
        read_only: files may not be written (except the child's own small log).
    """

    memory: int = 0
    cpu: int = 0
    read_only: bool = False


class WorkerReply(Value):
    """The value returned by a handler, with the child's own measurements.

    ``seconds``: time in the handler; ``peak_memory``: highest resident set size in bytes while it ran (on Linux;
    elsewhere since the child started).
    """

    value: Any = None
    seconds: float = 0.0
    peak_memory: int = 0


# ---- the parent's side -------------------------------------------------------------------------


async def start_process(command: Sequence[str], **options: Any) -> Any:
    """Start a process with ``anyio.open_process``, and finish the start even if the caller is cancelled.

    A cancelled start would leave open pipes and an orphaned process.
    """
    import anyio

    with anyio.CancelScope(shield=True):
        return await anyio.open_process(command, **options)


class WorkerProcess:
    """One child process, started on the first call and restarted after a crash.

    One call at a time (callers queue). Cancelling a call kills the child, so that it does not continue decoding.

    Raises the :mod:`intermodal.errors` class with the ``code`` that the child sent, ``InputTooLarge`` if a media child
    exceeds its limits, ``RuntimeCrashed`` if it dies for another reason.
    """

    def __init__(
        self,
        module: str,
        *,
        limits: ProcessLimits | None = None,
        env: Mapping[str, str] | None = None,
        name: str = "",
        inherit: tuple[str, ...] | None = None,
    ) -> None:
        """Create a worker, without starting it.

        ``inherit``: names of the environment variables that are passed to the child; None for all.
        """
        self.module = module
        self.name = name or module
        self._limits = limits or ProcessLimits()
        self._env = dict(env or {})
        self._inherit = inherit
        self._process: Any = None
        self._out: Any = None
        self._log: Any = None
        self._files: Any = None  # the parent's end of the socket pair
        self._lock = FairLock()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.alive else None

    @property
    def busy(self) -> bool:
        """Whether a call is running; the next one waits."""
        return self._lock.locked()

    async def call(
        self,
        method: str,
        arguments: Mapping[str, Any],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the child must be killed when it ends, not left
        progress: Callable[[float | None, str], None] | None = None,
        take: Callable[[Any], None] | None = None,
    ) -> WorkerReply:
        """Run ``method(**arguments)`` in the child.

        A ``FileBytes`` argument is passed as a descriptor of the child's own. ``timeout`` is in seconds. ``take`` is
        called with each value that the handler emits before it returns.
        """
        import anyio

        async with self._lock:
            if not self.alive:
                await self._start()
            process, out = self._process, self._out  # ``close`` may take them from under a call
            finished = False
            try:
                with anyio.fail_after(timeout):
                    files = [name for name, value in arguments.items() if isinstance(value, FileBytes)]
                    large, rest = _split_large_argument(
                        {name: arguments[name] for name in arguments if name not in files}
                    )
                    frame = msgspec.msgpack.encode([method, rest, large, files])
                    try:
                        await _send_frame(process, frame)
                        for name in files:
                            self._send_descriptor(arguments[name].fileno())
                        if large:
                            await _send_frame(process, arguments[large])
                        while True:
                            size = _LENGTH.unpack(await out.receive_exactly(4))[0]
                            kind, *rest = msgspec.msgpack.decode(await out.receive_exactly(size))
                            if kind == "progress":
                                if progress is not None:
                                    progress(rest[0], rest[1])
                                continue
                            if kind == "given":
                                if take is not None:
                                    take(rest[0])
                                continue
                            finished = True
                            break
                    except (
                        anyio.IncompleteRead,
                        anyio.EndOfStream,
                        anyio.BrokenResourceError,
                        anyio.ClosedResourceError,
                        BrokenPipeError,  # of the pair of sockets
                        ConnectionResetError,
                    ):
                        raise await self._post_mortem(process) from None
            except TimeoutError:
                raise errors.InputTooLarge(
                    f"took longer than {timeout:g} s to process", todo="try a smaller or simpler file"
                ) from None
            finally:
                if not finished:
                    await self._discard()
            if kind == "ok":
                return WorkerReply(value=rest[0], seconds=rest[1], peak_memory=rest[2])
            code, *fields = rest
            what, where, todo = map(unpack_text, fields)
            raised = errors.by_code(code)
            is_crash = issubclass(raised, errors.RuntimeCrashed)
            raise raised(what, where=where or (self.name if is_crash else ""), todo=todo)

    async def _start(self) -> None:
        import socket

        import anyio
        import anyio.streams.buffered

        await self._discard()
        if self._log is not None:
            self._log.close()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        child_socket, self._files = socket.socketpair()
        child_env = (
            os.environ if self._inherit is None else {k: os.environ[k] for k in self._inherit if k in os.environ}
        )
        env = {
            **child_env, **self._env, "INTERMODAL_WORKER_LIMITS": msgspec.json.encode(self._limits).decode(),
            "INTERMODAL_WORKER_FILES": str(child_socket.fileno()),
        }  # fmt: skip
        with child_socket:
            self._process = await start_process(
                # -P: the current folder must not be able to replace a module of the child.
                [sys.executable, "-P", "-m", self.module],
                stdin=-1,
                stdout=-1,
                stderr=self._log,
                env=env,
                start_new_session=True,
                pass_fds=(child_socket.fileno(),),
            )
        self._out = anyio.streams.buffered.BufferedByteReceiveStream(self._process.stdout)

    def _send_descriptor(self, descriptor: int) -> None:
        import socket

        socket.send_fds(self._files, [b"f"], [descriptor])

    async def _post_mortem(self, process: Any) -> errors.IntermodalError:
        """Return the error that explains why the child died. Its log may contain content, and is not quoted."""
        import anyio

        with anyio.move_on_after(2, shield=True):
            await process.wait()
        status = process.returncode
        if self._limits.memory and status in (-9, -6, -11, 1, 137) and "MemoryError" in self.log_tail():
            return errors.InputTooLarge("needs more memory to decode than is allowed", todo="try a smaller file")
        if status == -24:
            return errors.InputTooLarge("needs more time to decode than is allowed", todo="try a smaller file")
        return errors.RuntimeCrashed(f"the worker process died (status {status})", where=self.name, sent=False)

    def log_tail(self, size: int = 4000) -> str:
        """Return the end of the child's log."""
        if self._log is None:
            return ""
        self._log.seek(0, 2)
        self._log.seek(max(0, self._log.tell() - size))
        tail: bytes = self._log.read()
        return tail.decode(errors="replace")

    def kill(self) -> None:
        if self.alive:
            self._process.kill()

    async def _discard(self) -> None:
        """Kill and reap the child, but keep its log: the next call must not find a half-dead process."""
        import anyio

        if self._files is not None:
            self._files.close()
            self._files = None
        if self._process is None:
            return
        process, self._process, self._out = self._process, None, None
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()

    async def close(self) -> None:
        """Stop the child and reap it."""
        await self._discard()
        if self._log is not None:
            self._log.close()
            self._log = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _send_frame(process: Any, frame: bytes) -> None:
    await process.stdin.send(_LENGTH.pack(len(frame)))
    view = memoryview(frame)  # in pieces: a single send would copy the whole file again
    for start in range(0, len(frame), _PIECE):
        await process.stdin.send(view[start : start + _PIECE])


# ---- the child's side --------------------------------------------------------------------------

Handler = Callable[..., Any]
_reply_lock = threading.Lock()
_reply_fd = -1


def report_progress(fraction: float | None, note: str = "") -> None:
    """Report progress from a handler in the child (0..1, or None)."""
    _send(["progress", fraction, note])


def emit(value: Any) -> None:
    """Send a part of the result from a handler in the child, so that no process holds all of it twice."""
    _send(["given", value])


def _send(message: list[Any]) -> None:
    frame = msgspec.msgpack.encode(message)
    with _reply_lock:
        for data in (_LENGTH.pack(len(frame)), frame):  # not joined: a frame may be hundreds of megabytes
            view = memoryview(data)
            while view:
                view = view[os.write(_reply_fd, view) :]


class MemoryGauge:
    """The child's own memory, read through descriptors that are opened once: a confined child cannot open files later.

    Linux reports the peak since its last reset in ``/proc/self/status`` (VmHWM); writing 5 to ``/proc/self/clear_refs``
    resets it (proc(5)). Elsewhere the peak since the start of the process is used.
    """

    def __init__(self) -> None:
        self._status = self._open("/proc/self/status", os.O_RDONLY)
        self._reset = self._open("/proc/self/clear_refs", os.O_WRONLY)

    @staticmethod
    def _open(path: str, flags: int) -> int:
        try:
            return os.open(path, flags)
        except OSError:
            return -1

    def _field(self, name: bytes) -> int:
        if self._status < 0:
            return 0
        for line in os.pread(self._status, 8192, 0).splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        return 0

    def address_space(self) -> int:
        """Return the bytes of address space in use; 0 if the system does not report them."""
        return self._field(b"VmSize:")

    def resident(self) -> int:
        """Return the resident set size in bytes; 0 if the system does not report it."""
        return self._field(b"VmRSS:")

    def start(self) -> None:
        """Reset the peak."""
        if self._reset >= 0:
            try:
                os.write(self._reset, b"5")
            except OSError:
                self._reset = -1

    def peak(self) -> int:
        import resource

        found = self._field(b"VmHWM:")
        if found:
            return found
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


def _apply_limits(limits: ProcessLimits) -> None:
    import resource

    if limits.memory:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    if limits.read_only:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # room for the log only
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _allow_cpu(seconds: int) -> None:
    """Let the child use ``seconds`` more processor time than it has used so far."""
    import math
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + seconds, hard))


def _read_exactly(size: int) -> bytearray | None:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        got = os.readv(0, [view[: 1 << 20]])
        if not got:
            return None
        view = view[got:]
    return data


def _split_large_argument(arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of the largest argument if it is a large bytes object, else "", and the other arguments."""
    sizes = {name: len(value) for name, value in arguments.items() if isinstance(value, bytes | bytearray)}
    large = max(sizes, key=lambda name: sizes[name], default="")
    if not large or not _LARGE <= sizes[large] <= MAX_FRAME:
        return "", dict(arguments)
    return large, {name: value for name, value in arguments.items() if name != large}


def _read_large() -> bytes | None:
    """Read a frame that is one raw argument, through a small buffer into the bytes passed to the handler."""
    import io

    head = _read_exactly(4)
    size = 0 if head is None else _LENGTH.unpack(head)[0]
    if not 0 < size <= MAX_FRAME:
        return None
    received, buffer = io.BytesIO(), memoryview(bytearray(_LARGE))
    while received.tell() < size:
        got = os.readv(0, [buffer[: min(_LARGE, size - received.tell())]])
        if not got:
            return None
        received.write(buffer[:got])
    return received.getvalue()


def _read_file(channel: int) -> FileBytes | None:
    """Receive a file whose descriptor the parent sends; None if the parent is gone."""
    import socket

    with socket.socket(fileno=os.dup(channel)) as pair:
        found = socket.recv_fds(pair, 1, 1)[1]
    return FileBytes(found[0]) if found else None


def _read_call(channel: int, receiving: Callable[[], AbstractContextManager[None]]) -> tuple[str, dict[str, Any]]:
    """Read the next call; exit the process if the parent is gone."""
    head = _read_exactly(4)
    if head is None:
        os._exit(0)
    size = _LENGTH.unpack(head)[0]
    body = _read_exactly(size) if size <= MAX_FRAME else None
    if body is None:
        os._exit(0)
    method, arguments, large, files = msgspec.msgpack.decode(body)
    for name in files:
        with receiving():
            arguments[name] = _read_file(channel)
    if large:
        arguments[large] = _read_large()
    if any(arguments[name] is None for name in (*files, *filter(None, [large]))):
        os._exit(0)
    return method, arguments


_NOT_THE_INPUT = "the input is not to blame; please report it"


def _load_failure(error: BaseException | None) -> list[Any] | None:
    """Return the reply if an error means that a module or library could not be loaded under the limits, else None.

    Such a failure is a defect of intermodal, not of the input. Since a library may wrap it in its own error, and the
    decoder in "cannot be decoded", the whole chain of causes is searched. The type must be exactly OSError, because a
    file that makes its decoder open other files fails with a subclass.
    """
    for _ in range(20):
        if error is None:
            return None
        full = type(error) is OSError and error.errno in (errno.EMFILE, errno.ENFILE)
        if full or isinstance(error, ImportError):
            what = f"the worker could not load a part of its own ({type(error).__name__})"
            return ["error", "runtime_crashed", what, "", _NOT_THE_INPUT]
        error = error.__cause__ or error.__context__
    return None


def _run_handler(
    handler: Handler, arguments: dict[str, Any], gauge: MemoryGauge, *, decodes: bool, fenced: bool
) -> list[Any]:
    started = time.perf_counter()
    try:
        value = handler(**arguments)
    except errors.IntermodalError as error:
        return _load_failure(error) or ["error", error.code, *map(pack_text, error.hints[:3])]
    except MemoryError:
        if not fenced:
            return ["error", "runtime_crashed", "ran out of memory", "", "free some memory, or choose a smaller model"]
        return ["error", "input_too_large", "needs more memory to decode than is allowed", "", "try a smaller file"]
    except Exception as error:
        import traceback  # already loaded: ``serve`` imports it before the fence is set up

        with contextlib.suppress(OSError):  # the log may be full
            traceback.print_exc()
        if (found := _load_failure(error)) is not None:
            return found
        kind = type(error).__name__
        if decodes:
            return ["error", "input_broken", f"cannot be decoded ({kind})", "", "check that the file opens elsewhere"]
        return ["error", "runtime_crashed", f"failed by an internal error ({kind})", "", _NOT_THE_INPUT]
    return ["ok", value, time.perf_counter() - started, gauge.peak()]


def serve(
    handlers: Mapping[str, Handler],
    *,
    before: Callable[[], None] | None = None,
    gauge: MemoryGauge | None = None,
    receiving: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    decodes: bool = False,
) -> None:
    """Run the child's main loop: answer calls until standard input closes.

    Standard input is read on its own thread, so that a closed pipe ends even a busy child.

    ``before`` runs once, when everything that the loop itself needs is open. ``gauge``: an open gauge, if files can no
    longer be opened. ``receiving`` wraps each receipt of a descriptor, which counts towards the process's limit.
    ``decodes``: handlers decode bytes of users, so that an unexpected failure means a damaged file; otherwise it is a
    defect of intermodal.
    """
    global _reply_fd
    import queue
    import signal
    import traceback  # while files can still be opened

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _reply_fd = os.dup(1)
    os.dup2(2, 1)
    limits = msgspec.json.decode(os.environ.pop("INTERMODAL_WORKER_LIMITS", "{}"), type=ProcessLimits)
    channel = int(os.environ.pop("INTERMODAL_WORKER_FILES", "-1"))
    if channel >= 0:
        os.set_inheritable(channel, False)
    gauge = gauge or MemoryGauge()
    _apply_limits(limits)
    calls: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()

    def read() -> None:
        try:
            while True:
                calls.put(_read_call(channel, receiving))
        except BaseException:
            with contextlib.suppress(OSError):
                traceback.print_exc()
            os._exit(1)  # a child that can no longer be reached is not waited for

    def answer_next() -> None:  # a function, so that nothing of a call outlives it
        method, arguments = calls.get()
        if limits.cpu:
            _allow_cpu(limits.cpu)
        gauge.start()
        answer = _run_handler(handlers[method], arguments, gauge, decodes=decodes, fenced=decodes or limits.memory > 0)
        for value in arguments.values():
            if isinstance(value, FileBytes):
                value.close()
        _send(answer)

    if before is not None:
        before()  # before any call: receiving a call may briefly undo this setup
    threading.Thread(target=read, daemon=True).start()
    while True:
        answer_next()
