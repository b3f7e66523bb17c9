"""The identity of a process, to tell whether the process that wrote a row is still running.

A process id alone is not enough: ids are reused, and after a reboot or on another machine with the same home directory
they mean other processes. An identity is therefore host, boot, id and start time. Two containers that run at the same
time with the same host name and data folder take each other for dead: the end of a restarted container cannot be
detected otherwise.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from intermodal.errors import StoreError


def identity(pid: int | None = None) -> str:
    """Return ``host/boot/pid/start`` of a running process, "" if there is no such process.

    Raises StoreError if the system does not report it.
    """
    try:
        return _identity_of(pid) if pid is not None and pid != os.getpid() else _own_identity(os.getpid())
    except OSError as error:
        raise StoreError(
            f"its start time cannot be read ({(error.strerror or type(error).__name__).lower()})",
            where=f"process {os.getpid() if pid is None else pid}",
            todo="allow more open files (ulimit -n)",
        ) from None


def is_dead(known: str) -> bool:
    """Return whether the process with this identity has certainly ended. Always False for processes of another host."""
    return _is_process_running(known) is False


def is_alive(known: str) -> bool:
    """Return whether exactly this process is certainly running, so that it may be signalled by its id."""
    return _is_process_running(known) is True


def _is_process_running(known: str) -> bool | None:
    """Return whether the process is running; None if that is uncertain."""
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
def _own_identity(pid: int) -> str:
    """Return the identity of this process, cached so that it is known even without free descriptors.

    ``pid`` is a parameter because a fork is another process.
    """
    return _identity_of(pid)


def _identity_of(pid: int) -> str:
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
    """Return the start time in the system's own unit, "" if there is no such process.

    Reads /proc if available, since importing psutil takes longer. Raises OSError if the time is unknown: a living
    process must not be taken for dead.
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
