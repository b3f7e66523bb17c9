"""Small files that are written whole: a reader sees the old one or the new one, whatever happens meanwhile."""

from __future__ import annotations

from pathlib import Path

import msgspec

from intermodal.errors import StoreError
from intermodal.files import file_lock
from intermodal.store.sqlite_file import shown


def replace_file(path: Path, body: bytes) -> None:
    """Put these bytes there, readable by their owner alone, in a folder that is made where there is none.

    Raises OSError; then what was there still is.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file_lock.replace_file(path, body)


def format_json(body: bytes) -> bytes:
    """JSON as people read it."""
    return msgspec.json.format(body, indent=1) + b"\n"


def write_json(path: Path, body: bytes, *, todo: str = "make its folder writable") -> None:
    """Write JSON, indented. Raises StoreError, which says ``todo``."""
    try:
        replace_file(path, format_json(body))
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        raise StoreError(f"cannot be written ({reason})", where=shown(path), todo=todo) from None
