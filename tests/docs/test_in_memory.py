"""``make test`` keeps its temporary files in memory and leaves nothing of them there (``scripts/in_memory.py``)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The command is told the folder by its environment, as pytest is, and says which it was.
TOLD = "import pathlib, sys, tempfile; pathlib.Path(tempfile.mkdtemp(), 'kept').touch(); print(tempfile.gettempdir())"


def in_memory(folder: Path, *command: str) -> subprocess.Popen[str]:
    program = (
        f"import pathlib, signal, sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); import in_memory;"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL); signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"sys.exit(in_memory.run_in(pathlib.Path({str(folder)!r}), sys.argv[1:]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, *command], stdout=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize("status", [0, 3])
def test_temporary_files_are_removed_and_the_exit_status_is_that_of_the_command(tmp_path: Path, status: int) -> None:
    process = in_memory(tmp_path, sys.executable, "-c", f"{TOLD}; sys.exit({status})")
    told = process.communicate()[0].strip()
    assert process.returncode == status
    assert Path(told).parent == tmp_path and not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("send", "number"), [(os.kill, signal.SIGTERM), (os.kill, signal.SIGHUP), (os.killpg, signal.SIGINT)]
)
def test_temporary_files_are_removed_where_the_command_is_ended(
    tmp_path: Path, send: Callable[[int, int], None], number: signal.Signals
) -> None:
    """By a signal to the outer process, which passes it on, or by Ctrl-C, which the terminal sends to both."""
    waiting = f"{TOLD}; sys.stdout.flush(); import time; [time.sleep(0.01) for _ in range(60_000)]"
    with in_memory(tmp_path, sys.executable, "-c", waiting) as process:
        assert process.stdout is not None and process.stdout.readline().strip()
        send(process.pid, number)
        assert process.wait() == 128 + number
    assert not any(tmp_path.iterdir())


def test_a_command_runs_without_memory_to_spare(tmp_path: Path) -> None:
    """A temporary folder that the user chose is kept."""
    script = str(ROOT / "scripts" / "in_memory.py")
    done = subprocess.run(
        [sys.executable, script, sys.executable, "-c", TOLD],
        env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(tmp_path) and len(list(tmp_path.iterdir())) == 1
