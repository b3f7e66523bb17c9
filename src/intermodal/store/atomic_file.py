"""Small files written atomically: a reader sees the old file or the new one."""

from __future__ import annotations

from pathlib import Path

import msgspec

from intermodal.errors import StoreError
from intermodal.files import file_lock
from intermodal.store.sqlite_file import shown


def replace_file(path: Path, body: bytes) -> None:
    """Replace a file's content, readable by its owner alone; create its folder where needed.

    Raises OSError; the old file is then still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file_lock.replace_file(path, body)


def format_json(body: bytes) -> bytes:
    """Return JSON indented, for people."""
    return msgspec.json.format(body, indent=1) + b"\n"


def write_json(path: Path, body: bytes, *, todo: str = "make its folder writable") -> None:
    """Write JSON, indented. Raises StoreError with ``todo`` as its remedy."""
    try:
        replace_file(path, format_json(body))
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        raise StoreError(f"cannot be written ({reason})", where=shown(path), todo=todo) from None
