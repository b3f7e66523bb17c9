"""Small files that are written whole: a reader sees the old one or the new one, whatever happens meanwhile."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from intermodal.errors import StoreError
from intermodal.store.connection import shown


def replace(path: Path, body: bytes) -> None:
    """Put these bytes there, readable by their owner alone. Raises OSError; then what was there still is."""
    import tempfile  # takes 5 ms, and those who only read import this too

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def lines(body: bytes) -> bytes:
    """JSON as people read it."""
    return msgspec.json.format(body, indent=1) + b"\n"


def write(path: Path, body: bytes, *, todo: str = "make its folder writable") -> None:
    """Write JSON, indented. Raises StoreError, which says ``todo``."""
    try:
        replace(path, lines(body))
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        raise StoreError(f"cannot be written ({reason})", where=shown(path), todo=todo) from None
