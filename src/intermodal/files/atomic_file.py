"""Small files, written atomically (a reader sees the old file or the new one), and a lock for changing them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from intermodal.errors import StoreError


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the lock of ``path``: a file, created if needed, or a folder, in which no file is left behind.

    Waits for other holders. The kernel releases the lock when a process dies. Hold it only while a small file is
    written. Raises OSError if the path cannot be opened.
    """
    import fcntl

    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def replace_file(path: Path, body: bytes, *, mode: int = 0o600) -> None:
    """Replace a file atomically: a reader sees the old bytes or the new ones, whatever happens.

    ``mode``: its permissions (``file_mode``). Raises OSError, in which case the old file is unchanged.
    """
    import tempfile  # takes 5 ms to import, and readers import this module too

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


def write_private_file(path: Path, body: bytes) -> None:
    """Replace a file that only its owner may read; create its folder if needed.

    Raises OSError like ``replace_file``.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    replace_file(path, body)


def format_json(body: bytes) -> bytes:
    """Return indented JSON."""
    return msgspec.json.format(body, indent=1) + b"\n"


def write_json(path: Path, body: bytes, *, todo: str = "make its folder writable") -> None:
    """Replace a private file by indented JSON. Raises StoreError with ``todo`` as its fix."""
    try:
        write_private_file(path, format_json(body))
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        raise StoreError(f"cannot be written ({reason})", where=display_path(path), todo=todo) from None


def display_path(path: Path) -> str:
    """Return a path for display, with the home directory as ``~``."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def file_mode(path: Path, *, private: bool) -> int:
    """Return the permissions for a file to be replaced: its current ones if it exists.

    A new file gets owner-only permissions if ``private``, else those of the umask.
    """
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        if private:
            return 0o600
        umask = os.umask(0o077)  # the only way to read the mask is to set it
        os.umask(umask)
        return 0o666 & ~umask
