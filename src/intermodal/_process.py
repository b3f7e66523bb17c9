"""Worker processes: a child that decodes media or runs a model, fenced by limits and killable at any time.

Both sides are here. The parent's :class:`Worker` starts ``python -m MODULE`` and calls its handlers;
the child's :func:`serve` runs them. Frames on the pipes are a 4-byte big-endian length and msgpack.

A child has its own session, so that Ctrl-C reaches the parent alone; it ends when its standard
input closes, so that it never outlives the parent; anything a library prints goes to its log.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import msgspec

from intermodal import errors
from intermodal.content import Value

_LENGTH = struct.Struct(">I")
MAX_FRAME = 1 << 30


class Limits(Value):
    """Fences of a child. 0 leaves one open. ``memory`` bytes of address space, ``cpu`` seconds, ``files`` bytes written."""

    memory: int = 0
    cpu: int = 0
    read_only: bool = False


class Reply(Value):
    """What a handler returned, with the child's own measurements: seconds in the handler, peak bytes resident."""

    value: Any = None
    seconds: float = 0.0
    peak_memory: int = 0


# ---- the parent's side -------------------------------------------------------------------------


class Worker:
    """One child process, started on the first call and restarted after a crash.

    One call at a time (callers queue). Cancelling a call kills the child: nothing decodes on.
    Raises the :mod:`intermodal.errors` class whose ``code`` the child named, ``InputTooLarge`` when
    a media child runs out of its limits, ``RuntimeCrashed`` when it dies for another reason.
    """

    def __init__(
        self, module: str, *, limits: Limits | None = None, env: Mapping[str, str] | None = None, name: str = ""
    ) -> None:
        self.module = module
        self.name = name or module
        self._limits = limits or Limits()
        self._env = dict(env or {})
        self._process: Any = None
        self._out: Any = None
        self._log: Any = None
        self._lock: Any = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.alive else None

    async def call(
        self,
        method: str,
        arguments: Mapping[str, Any],
        *,
        timeout: float | None = None,
        progress: Callable[[float | None, str], None] | None = None,
    ) -> Reply:
        """Run ``method(**arguments)`` in the child. ``timeout`` in seconds."""
        import anyio

        if self._lock is None:
            self._lock = anyio.Lock()
        async with self._lock:
            if not self.alive:
                await self._start()
            finished = False
            try:
                with anyio.fail_after(timeout):
                    frame = msgspec.msgpack.encode([method, dict(arguments)])
                    try:
                        await self._process.stdin.send(_LENGTH.pack(len(frame)))
                        await self._process.stdin.send(frame)
                        while True:
                            size = _LENGTH.unpack(await self._out.receive_exactly(4))[0]
                            kind, *rest = msgspec.msgpack.decode(await self._out.receive_exactly(size))
                            if kind == "progress":
                                if progress is not None:
                                    progress(rest[0], rest[1])
                                continue
                            finished = True
                            break
                    except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                        raise await self._post_mortem() from None
            except TimeoutError:
                raise errors.InputTooLarge(
                    f"took longer than {timeout:g} s to process", todo="try a smaller or simpler file"
                ) from None
            finally:
                if not finished:
                    self.kill()
            if kind == "ok":
                return Reply(value=rest[0], seconds=rest[1], peak_memory=rest[2])
            code, what, where, todo = rest
            raise errors.by_code(code)(what, where=where, todo=todo)

    async def _start(self) -> None:
        import anyio
        import anyio.streams.buffered

        self._log = tempfile.TemporaryFile()
        env = {**os.environ, **self._env, "INTERMODAL_WORKER_LIMITS": msgspec.json.encode(self._limits).decode()}
        self._process = await anyio.open_process(
            [sys.executable, "-m", self.module],
            stdin=-1,
            stdout=-1,
            stderr=self._log,
            env=env,
            start_new_session=True,
        )
        self._out = anyio.streams.buffered.BufferedByteReceiveStream(self._process.stdout)

    async def _post_mortem(self) -> errors.IntermodalError:
        """Why the child died, as an error. Its log stays out of the message: it may hold content."""
        import anyio

        with anyio.move_on_after(2, shield=True):
            await self._process.wait()
        status = self._process.returncode
        if self._limits.memory and status in (-9, -6, -11, 1, 137) and "MemoryError" in self.log_tail():
            return errors.InputTooLarge("needs more memory to decode than is allowed", todo="try a smaller file")
        if status == -24:
            return errors.InputTooLarge("needs more time to decode than is allowed", todo="try a smaller file")
        return errors.RuntimeCrashed(f"the worker process died (status {status})", where=self.name, sent=False)

    def log_tail(self, size: int = 4000) -> str:
        """The last of what the child wrote to its log."""
        if self._log is None:
            return ""
        self._log.seek(0, 2)
        self._log.seek(max(0, self._log.tell() - size))
        tail: bytes = self._log.read()
        return tail.decode(errors="replace")

    def kill(self) -> None:
        if self.alive:
            self._process.kill()

    async def close(self) -> None:
        """End the child and reap it."""
        import anyio

        if self._process is None:
            return
        self.kill()
        with anyio.CancelScope(shield=True):
            await self._process.aclose()
        self._process = None
        if self._log is not None:
            self._log.close()
            self._log = None

    async def __aenter__(self) -> Worker:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


# ---- the child's side --------------------------------------------------------------------------

Handler = Callable[..., Any]
_reply_lock = threading.Lock()
_reply_fd = -1


def report(fraction: float | None, note: str = "") -> None:
    """Called by a handler in the child: say how far it is (0..1, or None)."""
    _send(["progress", fraction, note])


def _send(message: list[Any]) -> None:
    frame = msgspec.msgpack.encode(message)
    data = _LENGTH.pack(len(frame)) + frame
    with _reply_lock:
        view = memoryview(data)
        while view:
            view = view[os.write(_reply_fd, view) :]


def _peak_memory() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _apply(limits: Limits) -> None:
    import resource

    if limits.memory:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    if limits.cpu:
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu, limits.cpu + 1))
    if limits.read_only:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # room for the log only
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read_exactly(size: int) -> bytes | None:
    chunks = []
    while size:
        chunk = os.read(0, min(size, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def serve(handlers: Mapping[str, Handler]) -> None:
    """The child's main loop: answer calls until standard input closes.

    Standard input is read on its own thread, so that a closed pipe ends even a busy child.
    """
    global _reply_fd
    import queue
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _reply_fd = os.dup(1)
    os.dup2(2, 1)
    _apply(msgspec.json.decode(os.environ.pop("INTERMODAL_WORKER_LIMITS", "{}"), type=Limits))
    calls: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()

    def read() -> None:
        while True:
            head = _read_exactly(4)
            if head is None:
                os._exit(0)
            size = _LENGTH.unpack(head)[0]
            body = _read_exactly(size) if size <= MAX_FRAME else None
            if body is None:
                os._exit(0)
            method, arguments = msgspec.msgpack.decode(body)
            calls.put((method, arguments))

    threading.Thread(target=read, daemon=True).start()
    while True:
        method, arguments = calls.get()
        started = time.perf_counter()
        try:
            value = handlers[method](**arguments)
        except errors.IntermodalError as error:
            _send(["error", error.code, error.what, error.where, error.todo])
        except MemoryError:
            _send(["error", "input_too_large", "needs more memory to decode than is allowed", "", "try a smaller file"])
        except Exception as error:
            import traceback

            traceback.print_exc()
            _send(["error", "input_broken", f"cannot be decoded ({type(error).__name__})", "", "check that the file opens elsewhere"])
        else:
            _send(["ok", value, time.perf_counter() - started, _peak_memory()])
