"""The supervisor: a small process that starts one server, watches it, and ends with it.

``python -m intermodal.local.servers.supervisor ROOT NAME MARK``. It leaves the session of the process that started it,
so that neither Ctrl-C nor the end of that process affects it. The server is a child in its own session. If the system
supports it, the server is killed when its supervisor dies; otherwise the next reader of its record stops it.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

import msgspec

from intermodal.local.servers.programs import PROGRAMS, environment
from intermodal.local.servers.records import STARTS, ServerLog, ServerPhase, ServerRecords, ServerSpec, ServerState
from intermodal.local.servers.server_status import (
    ReportedCapabilities,
    is_healthy,
    reported_capabilities,
    resident_memory,
    server_activity,
    warm_up,
)
from intermodal.store.process_identity import identity

MOST_CRASHES = 5  # consecutive crashes before it gives up
WELL = 120.0  # seconds of uptime after which crashes no longer count
FIRST_DELAY = 0.5  # seconds before the first restart; doubled each time
LONGEST_DELAY = 30.0
LOOK = 5.0  # seconds between two checks of the server
SILENT = 60.0  # seconds without a response after which the server is stopped
GRACE = 10.0  # seconds to exit after SIGTERM


class Supervisor:
    """Watches one server. ``run`` returns when the server is stopped for good.

    ``mark``: the mark of the records when the server was requested; if it has changed, the server is no longer wanted.
    """

    def __init__(self, place: ServerRecords, spec: ServerSpec, mark: str) -> None:
        self._place = place
        self._wanted = spec
        self._mark = mark
        self._program = PROGRAMS[spec.program]
        self._log = ServerLog(place.log)
        self._stop = threading.Event()
        self._me = identity()
        self._child: subprocess.Popen[bytes] | None = None
        self._was_ready = False
        self._state = ServerState(phase="starting", supervisor=self._me)

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._record("starting")
        if (
            self._place.spec_stamp() != self._mark
        ):  # checked after writing the record, so that a caller that withdraws it knows the process
            self._place.withdraw_state(self._me)
            return
        crashes = 0
        while not self._stop.is_set():
            self._record("starting" if not self._was_ready else "restarting", crashes=crashes)
            started = time.monotonic()
            reason = self._run_server_once()
            if not reason:
                break
            crashes = 1 if time.monotonic() - started > WELL else crashes + 1
            self._note(reason)
            if not self._was_ready or crashes > MOST_CRASHES:
                tries = f"; given up after {crashes} crashes in a row" if self._was_ready else ""
                self._record("failed", crashes=crashes, reason=f"{reason}{tries}")
                return
            self._record("restarting", crashes=crashes, reason=reason)
            self._stop.wait(min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (crashes - 1)))
        if self._stop.is_set():
            self._record("stopped", reason="it was told to end")

    # ---- one life of the server ------------------------------------------------------------------

    def _run_server_once(self) -> str:
        """Start the server and watch it until it ends. Returns why it crashed; "" if it was stopped on purpose."""
        port, key = _free_port(), secrets.token_urlsafe(24)
        started = time.monotonic()
        try:
            self._spawn(port, key)
        except OSError as error:
            return f"{self._wanted.path} cannot be run ({(error.strerror or 'error').lower()})"
        try:
            reason = self._until_ready(port, key)
            if reason or self._stop.is_set():
                return "" if self._stop.is_set() else reason
            capabilities = reported_capabilities(port, key)
            warm_up(port, key, self._wanted)
            self._was_ready = True
            self._wait_until_healthy(port, key, capabilities, time.monotonic() - started)
            return self._watch_until_end(port, key)
        finally:
            self._end()

    def _spawn(self, port: int, key: str) -> None:
        start = self._program.start(self._wanted, port, key)
        self._child = subprocess.Popen(
            start.command, env=environment(start), cwd=Path(self._wanted.model).parent, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
        assert self._child.stdout is not None
        self._log.write(f"\n{STARTS}{time.strftime('%Y-%m-%dT%H:%M:%S')}\n".encode())
        self._log.copy_from_pipe(self._child.stdout)
        self._state = msgspec.structs.replace(self._state, server=identity(self._child.pid), port=port, key=key)
        self._record(self._state.phase)

    def _until_ready(self, port: int, key: str) -> str:
        assert self._child is not None
        end, pause = time.monotonic() + self._program.patience, 0.02
        while not self._stop.is_set():
            if self._child.poll() is not None:
                return self._exit_reason("before it was ready")
            if is_healthy(port, key):
                return ""
            if time.monotonic() > end:
                return f"it did not answer within {self._program.patience:g} s"
            self._stop.wait(pause)
            pause = min(0.25, pause * 1.3)
        return ""

    def _wait_until_healthy(self, port: int, key: str, capabilities: ReportedCapabilities, seconds: float) -> None:
        assert self._child is not None
        self._state = msgspec.structs.replace(
            self._state, context=capabilities.context or self._wanted.context, sees=capabilities.sees,
            hears=capabilities.hears,
            load_seconds=round(seconds, 3), memory=resident_memory(self._child.pid),
        )  # fmt: skip
        self._record("ready")

    def _watch_until_end(self, port: int, key: str) -> str:
        """Watch until the server exits, stops responding, is asked to stop, or is idle."""
        assert self._child is not None
        idle = self._wanted.idle
        used, last_answer, looked, last_activity = time.time(), time.monotonic(), 0.0, None
        look = min(LOOK, max(0.2, idle / 4)) if idle else LOOK
        while not self._stop.is_set():
            if self._child.poll() is not None:
                return self._exit_reason("by itself")
            now = time.monotonic()
            if now - looked >= look:
                looked = now
                found = server_activity(port, key, self._program.counters)
                if found is None and now - last_answer > SILENT:
                    return f"it gave no answer for {SILENT:g} s"
                if found is not None:
                    last_answer = now
                    if found.at_work or found.counters != last_activity:
                        used, last_activity = time.time(), found.counters
                if idle and time.time() - max(used, self._place.last_use()) > idle and self._unload(idle):
                    return ""
            self._stop.wait(min(0.5, look))
        return ""

    def _unload(self, idle: float) -> bool:
        """Record that the server is stopped, so that the next request starts it again.

        Returns False if a request is about to be sent.
        """
        with self._place.try_lock() as has_lock:
            if not has_lock or time.time() - self._place.last_use() <= idle:
                return False
            self._state = msgspec.structs.replace(self._state, server="", port=0, key="")
            self._record("stopped", reason=f"unused for {idle:g} s")
            return True

    def _exit_reason(self, when: str) -> str:
        assert self._child is not None
        status = self._child.returncode
        ending = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        time.sleep(0.05)  # its last output may still be in the pipe
        words = self._log.last_words() if not self._was_ready else ""
        return f"it {ending} {when}" + (f"; its log ends: {words}" if words else "")

    def _end(self) -> None:
        """Stop the server and every process it started."""
        child, self._child = self._child, None
        if child is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE)
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    # ---- records and notes -------------------------------------------------------------------------

    def _record(self, phase: ServerPhase, *, crashes: int | None = None, reason: str = "") -> None:
        changes: dict[str, object] = {"phase": phase, "reason": reason}
        if crashes is not None:
            changes["crashes"] = crashes
        if self._child is None:
            changes |= {"server": "", "port": 0, "key": ""}
        self._state = msgspec.structs.replace(self._state, **changes)
        self._place.record(self._state)

    def _note(self, text: str) -> None:
        self._log.write(f"\n[intermodal] {time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n".encode())

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()


def _free_port() -> int:
    """Return a currently free port of 127.0.0.1. If it is taken in the meantime, the start is retried."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """Ask Linux to kill the server when its supervisor dies (prctl(2), PR_SET_PDEATHSIG is 1). No effect elsewhere."""
    with suppress(OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def main() -> None:
    root, name, mark = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    place = ServerRecords(root, name)
    spec = place.read_spec()
    if spec is None or place.spec_stamp() != mark:
        raise SystemExit(f"nothing is wanted of {name}")
    if os.fork():
        os._exit(0)  # the starting process need not wait
    os.setsid()
    Supervisor(place, spec, mark).run()


if __name__ == "__main__":
    main()
