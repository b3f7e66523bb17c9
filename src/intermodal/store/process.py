"""Who wrote a row, and whether that process still lives.

A process id alone is not enough: ids are reused, and a reboot or another machine on the same home
directory has ids of its own. So an identity is host, boot, id and start time.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path


def identity(pid: int | None = None) -> str:
    """``host/boot/pid/start`` of a living process, "" when there is none of that id."""
    number = os.getpid() if pid is None else pid
    start = _start(number)
    return f"{_host()}/{_boot()}/{number}/{start}" if start else ""


def dead(known: str) -> bool:
    """True when the process with this identity certainly ended. Of another host nothing is certain."""
    host, _, rest = known.partition("/")
    if host != _host():
        return False
    number = rest.split("/")[1] if rest.count("/") == 2 else ""
    return not number.isdigit() or identity(int(number)) != known


def pid_of(known: str) -> int:
    """The process id of an identity."""
    return int(known.split("/")[2])


@cache
def _host() -> str:
    import socket

    return socket.gethostname().replace("/", "-")


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
    except OSError:
        import psutil  # type: ignore[import-untyped,unused-ignore]

        return str(round(psutil.boot_time(), -1))  # rounded: clocks are corrected while a machine runs


def _start(pid: int) -> str:
    """Start time in the system's own unit, from /proc where there is one: importing psutil takes longer than that."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (
            fields[19] if fields[0] not in "ZX" else ""
        )  # field 22 of proc(5): starttime; zombies and dead end in Z, X
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    except (OSError, IndexError):
        return ""
    import psutil  # type: ignore[import-untyped,unused-ignore]

    try:
        return str(round(psutil.Process(pid).create_time(), 1))
    except psutil.Error:
        return ""
