"""Run a command with its temporary files in memory, if there is plenty: ``in_memory.py COMMAND ARGUMENT...``.

A run of all tests commits to SQLite tens of thousands of times and makes as many folders. On a disk each of them takes
milliseconds, in which no test goes on. The files are removed when the command ends, however it ends. Without a disk in
memory, or with too little memory, the command runs as it would without this script; so it does if ``TMPDIR`` is set.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

from intermodal.local.hardware.machine import machine_snapshot

MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes of files: all tests write 1.8 GB
FREE = 10 << 30  # bytes of free memory: files and models share it


def has_room(folder: Path) -> bool:
    """Return whether a run fits into the folder and programs start from it. Containers often forbid either."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    programs = not disk.f_flag & os.ST_NOEXEC and os.access(folder, os.W_OK)
    return programs and disk.f_bavail * disk.f_frsize >= ROOM and machine_snapshot().free >= FREE


def run_in(folder: Path, command: list[str]) -> int:
    """Run the command with temporary files in a new folder below ``folder``, and return its exit status."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="tests-", ignore_cleanup_errors=True) as made:
        process = subprocess.Popen(command, env={**os.environ, "TMPDIR": made})

        def pass_on(number: int, frame: FrameType | None) -> None:
            if number != signal.SIGINT:  # Ctrl-C reaches the command as well
                process.send_signal(number)

        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, pass_on)
        status = process.wait()
    return 128 - status if status < 0 else status


def main(command: list[str]) -> int:
    if "TMPDIR" not in os.environ and has_room(MEMORY):
        return run_in(MEMORY, command)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
