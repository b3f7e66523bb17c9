"""Small files of the data folder that are written whole: a reader sees the old one or the new one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from intermodal.errors import StoreError
from intermodal.store.connection import shown


def write(path: Path, body: bytes) -> None:
    """Write JSON, indented, readable by its owner alone. Raises StoreError."""
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")  # mode 0600
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(body, indent=1) + b"\n")
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        reason = (error.strerror or "unwritable").lower()
        raise StoreError(f"cannot be written ({reason})", where=shown(path), todo="make its folder writable") from None
