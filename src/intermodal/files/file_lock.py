"""Small files: replaced in one step, and locked while they are read, changed and written back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
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


def replace_file(path: Path, body: bytes, *, mode: int = 0o600) -> None:
    """Put these bytes there: a reader sees what was there or these, whatever happens meanwhile.

    ``mode``: who may read them, as it was for a file that is replaced (``mode_of``). Raises OSError; then what was
    there still is.
    """
    import tempfile  # takes 5 ms, and those who only read import this too

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
    """Who may read a file that is replaced; a new one its owner alone where it is ``private``, else whom the umask
    lets, as any that a program makes."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        if private:
            return 0o600
        umask = os.umask(0o077)  # there is no other way to ask for it
        os.umask(umask)
        return 0o666 & ~umask
