"""systemd's watchdog, of which nothing is real here but its socket: signs of life come while the loop turns."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PERIOD = 3.0  # seconds, as a unit's WatchdogSec=


@contextmanager
def served(*options: str, place: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "intermodal.cli.main", "serve", "--port", "0", *options]
    variables = {**os.environ, "NOTIFY_SOCKET": place, "WATCHDOG_USEC": str(int(PERIOD * 1e6))}
    with subprocess.Popen(
        command, env=variables, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as child:  # fmt: skip
        try:
            assert child.stderr is not None
            assert re.search("serving at", child.stderr.readline())
            yield child
        finally:
            child.kill()


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
@pytest.mark.parametrize("abstract", [False, True])
def test_whoever_is_watched_by_systemd_gives_signs_of_life(
    options: tuple[str, ...], abstract: bool, own_home: Path, tmp_path: Path
) -> None:
    place = f"@intermodal-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place.replace("@", "\0"))
        manager.settimeout(60)
        with served(*options, place=place) as child:
            assert [manager.recv(100) for _ in range(4)] == [b"WATCHDOG=1"] * 4
            child.send_signal(signal.SIGTERM)
            assert child.wait(300) == 0


def test_a_loop_that_hangs_gives_none_and_says_where_it_is_when_it_is_ended(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import re, signal\ndef hang(*_): re.match('(a+)+$', 'a' * 64 + '!')\nsignal.signal(signal.SIGUSR1, hang)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    place = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place)
        manager.settimeout(60)
        with served(place=place) as child:
            assert manager.recv(100)
            child.send_signal(signal.SIGUSR1)
            manager.settimeout(PERIOD)
            with pytest.raises(TimeoutError):
                while True:  # one may be on its way
                    manager.recv(100)
            resource.prlimit(child.pid, resource.RLIMIT_CORE, (0, 0))
            child.send_signal(signal.SIGABRT)  # as systemd does
            assert child.wait(300) == -signal.SIGABRT
            assert child.stderr is not None and "in hang" in child.stderr.read()


def test_a_process_that_is_not_watched_sends_no_heartbeat(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables are another process's: it was started by one that is watched."""
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    place = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place)
        manager.settimeout(PERIOD)
        with served(place=place), pytest.raises(TimeoutError):
            manager.recv(100)
