"""The suite itself: who fails while the machine stands still is asked again, and nobody else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUITE = """
import os, subprocess, sys, time
from pathlib import Path

STOPPED = "import os, signal, time; os.kill({0}, signal.SIGSTOP); time.sleep(1.5); os.kill({0}, signal.SIGCONT)"


def test_it_fails_the_first_time_while_all_stands_still():
    first = Path(__file__).with_name("first")
    if not first.exists():
        first.touch()
        with subprocess.Popen([sys.executable, "-c", STOPPED.format(os.getpid())]):
            pass
        raise AssertionError("too late")


def test_it_fails_the_first_time():
    second = Path(__file__).with_name("second")
    if not second.exists():
        second.touch()
        raise AssertionError("a mistake")
"""
CONFTEST = """
from tests.suspended_machine import SuspendedMachine

def pytest_configure(config):
    config.pluginmanager.register(SuspendedMachine())
"""


def test_only_a_test_that_fails_while_the_machine_stands_still_is_run_again(tmp_path: Path) -> None:
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    root = Path(__file__).parent.parent.parent
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {root}\n")
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert "1 failed, 1 passed, 1 rerun" in told.stdout
    assert "AssertionError: a mistake" in told.stdout
