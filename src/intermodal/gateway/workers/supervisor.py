"""The parent of the workers: starts them, restarts those that die, forwards signals, and ends when all have ended.

The first worker starts alone, so that a config that cannot be served is reported once. A worker notices that its parent
is gone when the socket between them closes, and then shuts down by itself. Workers that keep dying at start are
restarted at growing intervals while others serve, and given up if none does. A worker whose event loop hangs is killed
(``heartbeat.py``): it cannot answer anything any more.
"""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from intermodal.errors import IntermodalError
from intermodal.gateway.process.service_manager import ServiceWatchdog
from intermodal.gateway.workers import shared_state
from intermodal.gateway.workers.heartbeat import END_SECONDS, PERIOD, HangDetector, StepClock, process_activity
from intermodal.gateway.workers.sockets import SharedSocket, rebind_sockets
from intermodal.gateway.workers.worker import DUMP_SIGNAL, WorkerAssignment

if TYPE_CHECKING:
    from intermodal.config.tables import LogLevel

YOUNG_SECONDS = 10.0  # a worker that dies younger lengthens the next wait
MAX_EARLY_DEATHS = 6  # consecutive early deaths after which the supervisor gives up if no worker serves
_WAITS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before the next start, by early deaths in a row
_GRACE = END_SECONDS  # seconds that a worker gets to exit after its drain time
GENERATIONS = 3  # generations of workers that may exist at once, while old ones end
_DUMP_SECONDS = 5.0  # seconds that a hung worker gets until it writes its stack: the machine may be busy
_DUMP_PAUSE = 0.5  # seconds without more of it after which it is complete
_FRAMES = 6  # stack frames that are logged
_FRAME = re.compile(r'File "(?:[^"]*/)?([^"/]+/[^"/]+|[^"/]+)", line (\d+) in ([^\n]+)')
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


class _Child:
    def __init__(self, slot: int, number: int, process: subprocess.Popen[bytes], line: socket.socket) -> None:
        self.slot = slot
        self.number = number
        self.process = process
        self.line = line
        self.started = time.monotonic()
        self.ready = False
        self.silent = False  # it closed the pipe without a message: it is about to exit, which SIGCHLD reports
        self.leaving = False  # a successor takes its place
        self.pulse = HangDetector()
        self.killed = False  # because it hung

    @property
    def name(self) -> str:
        return f"worker {self.number + 1} (process {self.process.pid})"


class WorkerSupervisor:
    """Supervises the workers. ``run()`` returns once a stop was requested and all workers have ended.

    Args:
        command: starts a worker; its assignment is appended as JSON.
        sockets: of each worker.
        drain: seconds that workers let answers finish.
        say: receives a log level and a message.
    """

    def __init__(
        self, command: Sequence[str], sockets: Sequence[Sequence[SharedSocket]], *, drain: float,
        say: Callable[[LogLevel, str], None],
    ) -> None:  # fmt: skip
        self._command = command
        self._sockets = list(sockets)
        self._drain = drain
        self._say = say
        self._numbers = GENERATIONS * len(sockets)
        self._memory = shared_state.create_shared_memory(self._numbers)
        self._beats = shared_state.map_heartbeats(self._memory, self._numbers)
        self._clock = StepClock(time.monotonic())
        self._watchdog = ServiceWatchdog()
        self._children: list[_Child] = []
        self._due: dict[int, float] = {}  # when a worker is to be started, by slot
        self._young = 0  # consecutive early deaths
        self._begun = False  # the first worker has served
        self._trial: _Child | None = None  # the first of the new workers that are to take over
        self._until: float | None = None  # when the remaining workers are killed
        self._failed: IntermodalError | None = None
        self._signals: list[int] = []

    def run(self) -> None:
        """Supervise the workers until all have ended.

        Raises IntermodalError if they cannot be kept alive, and SystemExit with the exit code of a first worker that
        could not serve and reported why.
        """
        wake, woken = socket.socketpair()
        for end in (wake, woken):
            end.setblocking(False)
        before = [(number, signal.signal(number, self._on_signal)) for number in _SIGNALS]
        was = signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        try:
            self._due[0] = 0.0
            while self._children or self._due:
                self._watchdog.beat()
                self._start_due()
                self._wait(wake)
                self._handle_signals()
                self._reap()
                self._kill_hung()
                self._kill_late()
        finally:
            for child in self._children:  # after an internal error no worker may outlive the parent
                child.process.kill()
                child.process.wait()
            signal.set_wakeup_fd(was)
            for number, handler in before:
                signal.signal(number, handler)
            wake.close()
            woken.close()
            self._close_sockets()
            os.close(self._memory)
        if self._failed is not None:
            raise self._failed

    # ---- waiting

    def _on_signal(self, number: int, frame: object) -> None:
        self._signals.append(number)

    def _wait(self, wake: socket.socket) -> None:
        """Wait for a signal, a message from a worker, or the next scheduled action."""
        times = [*self._due.values(), *([] if self._until is None else [self._until])]
        patience = max(0.0, min(*times, time.monotonic() + PERIOD) - time.monotonic()) if times else PERIOD
        lines = {child.line: child for child in self._children if not (child.ready or child.silent)}
        found, _, _ = select.select([wake, *lines], [], [], patience)
        with suppress(BlockingIOError):
            wake.recv(4096)
        for line in found:
            child = lines.get(line)
            if child is not None:
                with suppress(OSError):
                    child.ready = bool(child.line.recv(1))
                child.silent = not child.ready
                if child.ready:
                    self._on_worker_ready(child)

    def _handle_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number == signal.SIGHUP and not _at_a_terminal():
                self._renew()
            elif number != signal.SIGCHLD:
                self._stop()

    # ---- starting

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot, when in self._due.items() if when <= now]:
            del self._due[slot]
            try:
                self._start(slot)
            except OSError as error:
                if not self._begun:
                    raise IntermodalError(_start_failure(error)) from None
                self._say("error", f"{_start_failure(error)}; it is tried again")
                self._due[slot] = now + _WAITS[-1]

    def _start(self, slot: int) -> _Child:
        used = {child.number for child in self._children}
        number = next(number for number in range(self._numbers) if number not in used)
        self._beats.reset(number)
        own_end, child_end = socket.socketpair()
        sockets = tuple(each.fileno() for each in self._sockets[slot])
        post = WorkerAssignment(
            number=number, workers=len(self._sockets), numbers=self._numbers, line=child_end.fileno(),
            memory=self._memory, sockets=sockets, first=not self._begun,
        )  # fmt: skip
        try:
            # A session of its own: Ctrl-C at a terminal reaches only the parent, which forwards it once.
            process = subprocess.Popen(
                [*self._command, msgspec.json.encode(post).decode()],
                stdin=subprocess.DEVNULL, pass_fds=(post.line, post.memory, *sockets), start_new_session=True,
            )  # fmt: skip
        except BaseException:
            own_end.close()
            raise
        finally:
            child_end.close()
        child = _Child(slot, number, process, own_end)
        self._children.append(child)
        return child

    def _on_worker_ready(self, child: _Child) -> None:
        self._say("debug", f"{child.name} serves")
        fresh = not self._begun or child is self._trial
        self._begun = True
        if child is self._trial:
            self._trial = None
        for old in self._children:
            if old.slot == child.slot and old is not child and not old.leaving:
                old.leaving = True
                old.process.send_signal(signal.SIGHUP)
        if fresh and self._until is None:
            self._due |= {slot: 0.0 for slot in range(len(self._sockets)) if slot != child.slot}

    def _renew(self) -> None:
        """Start workers with the current config; old ones end when the new ones serve.

        Ignored while workers are still starting or ending.
        """
        if self._until is not None or not self._begun:
            return
        if self._trial is not None or self._due or len(self._children) > len(self._sockets):
            self._say("warning", "SIGHUP was passed over: workers are being started, or still end")
            return
        try:
            self._trial = self._start(0)
        except OSError as error:
            self._say("error", f"SIGHUP changed nothing: {_start_failure(error)}; those that serve go on")
            return
        self._say("info", "SIGHUP: new workers take over")

    # ---- ending

    def _reap(self) -> None:
        for child in [child for child in self._children if child.process.poll() is not None]:
            self._children.remove(child)
            child.line.close()
            self._on_worker_end(child)

    def _on_worker_end(self, child: _Child) -> None:
        code = child.process.returncode
        ending = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if self._until is not None or child.leaving:
            return
        if not self._begun:
            if code > 0:
                raise SystemExit(code)  # it has reported why
            raise IntermodalError(f"the first worker {ending} before it could serve", todo="see the log")
        others = [each for each in self._children if each.slot == child.slot]
        if child is self._trial:
            self._trial = None
            self._say("error", f"the new workers cannot serve ({child.name} {ending}); those that do go on")
            if others:  # otherwise the worker it was to replace died meanwhile, and its clients wait for this one
                return
        elif any(each.started > child.started for each in others):
            return  # it has a successor already
        if not child.killed:  # it has served: a request that hangs a worker must not end the gateway
            self._young = self._young + 1 if time.monotonic() - child.started < YOUNG_SECONDS else 0
        if self._young >= MAX_EARLY_DEATHS and not any(each.ready for each in self._children):
            self._failed = IntermodalError(
                f"{self._young} workers in a row died within {YOUNG_SECONDS:g} s of their start, the last {ending}",
                todo="see the log above for what each of them said",
            )
            self._stop()
            return
        self._say("error", f"{child.name} {ending}; another is started")
        if not child.ready:  # replacing it takes a while: its connections are cut, and new ones go to other workers
            with suppress(OSError):  # no descriptors are left: waiting connections wait longer
                self._sockets[child.slot] = rebind_sockets(self._sockets[child.slot])
        self._due[child.slot] = time.monotonic() + _WAITS[min(self._young, len(_WAITS) - 1)]

    def _stop(self) -> None:
        """Let the workers shut down gracefully, or immediately if called a second time."""
        is_repeated = self._until is not None
        self._until = time.monotonic() + _GRACE + (0.0 if is_repeated else self._drain)
        self._due.clear()
        self._close_sockets()  # after the last worker has ended no client is left waiting at them
        for child in self._children:
            child.process.send_signal(signal.SIGTERM)

    def _kill_hung(self) -> None:
        """Kill workers whose event loop hangs. Clients waiting at their sockets are served by the successors."""
        elapsed = self._clock.step(time.monotonic())
        for child in self._children:
            count, activity = self._beats.count(child.number), partial(process_activity, child.process.pid)
            if child.killed or not child.pulse.is_hung(count, elapsed, activity):
                continue
            child.killed = True
            if child.pulse.over:
                self._say("error", f"{child.name} does not end and is killed")
            else:
                silent = f"has not turned its event loop for {child.pulse.silent:.1f} s"
                self._say("error", f"{child.name} {silent} and is killed{_current_frames(child)}")
            child.process.kill()

    def _kill_late(self) -> None:
        if self._until is not None and time.monotonic() >= self._until:
            self._until = time.monotonic() + _GRACE
            for child in self._children:
                self._say("error", f"{child.name} does not end and is killed")
                child.process.kill()

    def _close_sockets(self) -> None:
        for each in (line for sockets in self._sockets for line in sockets):
            each.close()


def _current_frames(child: _Child) -> str:
    """Return the innermost frames (names and lines) of a worker's main thread, if it reports in time."""
    output = b""
    activity = process_activity(child.process.pid)
    if activity is not None and activity.state == "T":
        return ""  # it is stopped, and cannot write
    with suppress(OSError):
        child.process.send_signal(DUMP_SIGNAL)
        while True:
            ready, _, _ = select.select([child.line], [], [], _DUMP_PAUSE if output else _DUMP_SECONDS)
            more = child.line.recv(65536) if ready else b""
            if not more:
                break
            output += more
    # faulthandler writes the main thread last.
    last = output.decode(errors="replace").rpartition("hread 0x")[2]
    frames = _FRAME.findall(last)[:_FRAMES]
    return "; it is in " + " < ".join(f"{name} ({path}:{line})" for path, line, name in frames) if frames else ""


def _start_failure(error: OSError) -> str:
    """Return why no worker can be started, such as a lack of processes, memory or descriptors."""
    return f"a worker cannot be started: {(error.strerror or type(error).__name__).lower()}"


def _at_a_terminal() -> bool:
    """Return True if SIGHUP may mean that the terminal is gone; otherwise it means to reload the config."""
    return any(os.isatty(number) for number in (0, 1, 2))
