"""Measurements of model files, in one small JSON file per kind in the cache folder, including memory corrections.

A model file is identified by path, size and time, so that another file with the same name does not inherit
measurements. A memory correction compares the memory a server used with the prediction; ``fit --check`` and ``up``
record them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from intermodal.files.atomic_file import exclusive_lock, replace_file

if TYPE_CHECKING:
    from intermodal.sizing.memory import Correction

T = TypeVar("T")


def file_key(model: Path | str) -> str:
    """Return the key of a file; the name itself if the file does not exist."""
    try:
        path = Path(model)
        stat = path.stat()
    except OSError:
        return str(model)
    return f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"


def load_measurements(folder: Path, name: str, kind: type[T]) -> dict[str, T]:
    """Return all measurements of a kind; {} if the file is missing, or if another version wrote it."""
    try:
        return msgspec.json.decode((folder / name).read_bytes(), type=dict[str, kind])  # type: ignore[valid-type]
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return {}


def save_measurement(
    folder: Path, name: str, kind: type[T], model: Path | str, change: Callable[[T | None], T]
) -> bool:
    """Replace a file's measurement with the result of ``change``. Returns False if the folder is not writable.

    Writes hold an exclusive lock, so that concurrent writers keep the measurements of other files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(folder / f".{name}.lock"):
            everything = load_measurements(folder, name, kind)
            everything[file_key(model)] = change(everything.get(file_key(model)))
            replace_file(folder / name, msgspec.json.encode(everything))
    except OSError:
        return False
    return True


CORRECTIONS_FILE = "corrections.json"

MAX_CORRECTIONS = 32  # per file; only the newest for each combination of flags and program is kept


def save_correction(folder: Path, model: Path | str, found: Correction) -> bool:
    """Save a correction, replacing an older one with the same flags and program.

    Returns False if the folder is not writable.
    """

    def with_it(before: tuple[Correction, ...] | None) -> tuple[Correction, ...]:
        same = (found.flags, found.program)
        others = [each for each in before or () if (each.flags, each.program) != same]
        return (found, *others)[:MAX_CORRECTIONS]

    return save_measurement(folder, CORRECTIONS_FILE, _kind(), model, with_it)


def load_corrections(folder: Path, model: Path | str) -> tuple[Correction, ...]:
    """Return the corrections of this file, newest first."""
    return load_measurements(folder, CORRECTIONS_FILE, _kind()).get(file_key(model), ())


def corrections_changed_at(folder: Path) -> int:
    """Return when a correction was last saved, in nanoseconds; 0 if never."""
    try:
        return (folder / CORRECTIONS_FILE).stat().st_mtime_ns
    except OSError:
        return 0


def _kind() -> type[tuple[Correction, ...]]:
    """Return the type of a file's corrections.

    Imported lazily: every request calls ``corrections_changed_at``, but only readers need the formulas.
    """
    from intermodal.sizing.memory import Correction

    return tuple[Correction, ...]
