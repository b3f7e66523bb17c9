"""What was measured here of files of models: one small JSON file a kind of measurement, in the cache folder.

A file is known by its path, size and time, so that another one under the same name has none of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from intermodal.file_lock import alone, replace

T = TypeVar("T")


def file_key(model: Path | str) -> str:
    """What a file is known by; what is no file here, by its name."""
    try:
        path = Path(model)
        stat = path.stat()
    except OSError:
        return str(model)
    return f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"


def load_measurements(folder: Path, name: str, kind: type[T]) -> dict[str, T]:
    """All that is kept; nothing where the file is not there, or another version wrote it."""
    try:
        return msgspec.json.decode((folder / name).read_bytes(), type=dict[str, kind])  # type: ignore[valid-type]
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return {}


def save_measurement(
    folder: Path, name: str, kind: type[T], model: Path | str, change: Callable[[T | None], T]
) -> bool:
    """Put what ``change`` makes of what is kept of a file in its place. False where the folder cannot be written.

    Who keeps something at the same time waits: what is kept of other files is written back as it was read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / f".{name}.lock"):
            everything = load_measurements(folder, name, kind)
            everything[file_key(model)] = change(everything.get(file_key(model)))
            replace(folder / name, msgspec.json.encode(everything))
    except OSError:
        return False
    return True
