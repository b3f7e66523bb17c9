"""What ``ask`` shows of its plan: one line on a terminal, all of it with ``--explain`` or where nobody looks on."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.gateway.gateway_server import STRONG, config

from intermodal.testing import FakeHost

pytestmark = pytest.mark.slow

Ask = Callable[..., tuple[str, str]]


@pytest.fixture
def ask(host: FakeHost, tmp_path: Path) -> Ask:
    """Ask with standard error on a terminal, or on a pipe; return standard output and standard error."""
    path = config(tmp_path / "intermodal.toml", ("cloud", host.base_url, STRONG))
    env = {"INTERMODAL_CONFIG": str(path), "HOME": str(tmp_path), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}

    def run(*words: str, terminal: bool) -> tuple[str, str]:
        command = [sys.executable, "-m", "intermodal.cli.main", "ask", "--model", "cloud/strong", *words]
        ours, theirs = pty.openpty() if terminal else os.pipe()
        with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs) as run:
            os.close(theirs)
            shown = b""
            while True:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # a terminal whose other side is closed
                    break
                if not piece:
                    break
                shown += piece
            assert run.stdout is not None
            out = run.stdout.read().decode()
        os.close(ours)
        assert run.returncode == 0, shown
        return out, shown.decode().replace("\r\n", "\n")

    return run


@pytest.fixture
def host() -> object:
    with FakeHost(answer="Four.") as host:
        yield host


def test_on_a_terminal_the_plan_is_one_line(ask: Ask) -> None:
    out, shown = ask("What is two and two?", terminal=True)
    assert out == "Four.\n"
    line = shown.splitlines()[0]
    assert line.startswith("cloud:cloud/strong (text only): $")
    assert line.endswith("(cloud, internet)") and "; sends to 127.0.0.1:" in line
    assert "policy:" not in shown


@pytest.mark.parametrize(("words", "terminal"), [(["--explain"], True), ([], False)], ids=["--explain", "a pipe"])
def test_the_whole_plan_is_shown_where_it_is_asked_for_or_read_by_a_program(
    ask: Ask, words: list[str], terminal: bool
) -> None:
    _, shown = ask(*words, "What is two and two?", terminal=terminal)
    assert "policy: default" in shown
    assert "total: $" in shown
