"""One writer at a time of a small file that is read, changed and written back, among threads and processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock that ``path`` stands for: a file, made where there is none, or a folder, in which no file is left
    behind. Waits for who holds it.

    The kernel lets go of it when a process dies. It is to be held for as long as a small file is written.
    Raises OSError where it cannot be opened.
    """
    import fcntl

    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def replace(path: Path, body: bytes) -> None:
    """Put these bytes in place of a file's, for who holds its lock: a reader sees the old ones or the new ones.

    Raises OSError; then what was there still is.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(body)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
