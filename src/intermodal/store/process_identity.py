"""The identity of a process, to tell whether the process that wrote a row still runs.

A process id alone is not enough: ids are reused, and a reboot or another machine on the same home directory has its
own. So an identity is host, boot, id and start time. Two containers that run at once with the same host name and data
folder take each other for dead: nothing else tells the end of a container that was started anew.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from intermodal.errors import StoreError


def identity(pid: int | None = None) -> str:
    """Return ``host/boot/pid/start`` of a running process, "" where there is no such process.

    Raises StoreError if the system does not report it.
    """
    try:
        return _named(pid) if pid is not None and pid != os.getpid() else _own(os.getpid())
    except OSError as error:
        raise StoreError(
            f"its start time cannot be read ({(error.strerror or type(error).__name__).lower()})",
            where=f"process {os.getpid() if pid is None else pid}",
            todo="allow more open files (ulimit -n)",
        ) from None


def is_dead(known: str) -> bool:
    """Return True where the process with this identity certainly ended. Nothing is certain of another host's
    process."""
    return _runs(known) is False


def is_alive(known: str) -> bool:
    """Return True where this very process certainly runs, so that it may be signalled by its id."""
    return _runs(known) is True


def _runs(known: str) -> bool | None:
    """None where that is not certain."""
    where, _, rest = known.partition("/")
    if where != host():
        return None
    boot, _, rest = rest.partition("/")
    number, _, start = rest.partition("/")
    try:
        return number.isdigit() and boot == _boot() and _start(int(number)) == start
    except OSError:
        return None


def pid_of(known: str) -> int:
    """Return the process id of an identity."""
    return int(known.split("/")[2])


@cache
def host() -> str:
    import socket

    return socket.gethostname().replace("/", "-")


@cache
def _own(pid: int) -> str:
    """Cached, so that a process without free descriptors still knows itself. ``pid``: a fork is another process."""
    return _named(pid)


def _named(pid: int) -> str:
    start = _start(pid)
    return f"{host()}/{_boot()}/{pid}/{start}" if start else ""


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:13]
    except (FileNotFoundError, PermissionError):
        import psutil  # type: ignore[import-untyped,unused-ignore]

        return str(round(psutil.boot_time(), -1))  # rounded: clocks are corrected while a machine runs


def _start(pid: int) -> str:
    """Return the start time in the system's own unit, "" if there is no such process; from /proc if available:
    importing psutil takes longer than that. Raises OSError if it is unknown: a living process must not be taken for
    dead.
    """
    try:
        fields = Path(f"/proc/{'self' if pid == os.getpid() else pid}/stat").read_text().rpartition(")")[2].split()
    except ProcessLookupError:  # it ended while this was read
        return ""
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return ""
    else:
        if len(fields) < 20:
            raise OSError("half a line")
        return (
            fields[19] if fields[0] not in "ZX" else ""
        )  # field 22 of proc(5): starttime; zombies and dead end in Z, X
    import psutil  # type: ignore[import-untyped,unused-ignore]

    try:
        return str(round(psutil.Process(pid).create_time(), 1))
    except psutil.NoSuchProcess:
        return ""
    except psutil.Error as error:
        raise OSError(str(error)) from None
