"""Small files: replaced in one step, and locked while they are read, changed and written back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the lock of ``path``: a file, created if needed, or a folder, in which no file is left behind. Waits for
    other holders.

    The kernel releases it when a process dies. Hold it only while a small file is written.
    Raises OSError where it cannot be opened.
    """
    import fcntl

    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def replace_file(path: Path, body: bytes, *, mode: int = 0o600) -> None:
    """Replace a file in one step: a reader sees the old bytes or the new ones, whatever happens.

    ``mode``: its permissions (``file_mode``). Raises OSError, and then the old file is unchanged.
    """
    import tempfile  # takes 5 ms, and readers import this module too

    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            if mode != 0o600:
                os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def file_mode(path: Path, *, private: bool) -> int:
    """Return the permissions for a replaced file: those it has; for a new one, the owner's alone where it is
    ``private``, else those of the umask."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        if private:
            return 0o600
        umask = os.umask(0o077)  # the only way to read the mask is to set it
        os.umask(umask)
        return 0o666 & ~umask
