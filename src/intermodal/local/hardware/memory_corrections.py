"""What servers took beside what was predicted, kept by the file they served: what ``fit --check`` and ``up`` find."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from intermodal.local.hardware import model_measurements

if TYPE_CHECKING:
    from intermodal.sizing.corrections import Correction

FILE = "corrections.json"
MOST = 32  # of one file: of each flags and program the newest


def save_correction(folder: Path, model: Path | str, found: Correction) -> bool:
    """Keep it, in place of an older one of the same flags and program. False where the folder cannot be written."""

    def with_it(before: tuple[Correction, ...] | None) -> tuple[Correction, ...]:
        same = (found.flags, found.program)
        others = [each for each in before or () if (each.flags, each.program) != same]
        return (found, *others)[:MOST]

    return model_measurements.save_measurement(folder, FILE, _kind(), model, with_it)


def load_corrections(folder: Path, model: Path | str) -> tuple[Correction, ...]:
    """What was found of this very file, the newest first."""
    return model_measurements.load_measurements(folder, FILE, _kind()).get(model_measurements.file_key(model), ())


def corrections_changed_at(folder: Path) -> int:
    """When something was last kept, in nanoseconds; 0 for never."""
    try:
        return (folder / FILE).stat().st_mtime_ns
    except OSError:
        return 0


def _kind() -> type[tuple[Correction, ...]]:
    """What is kept of a file. Imported here: every request asks ``written``, and formulas are for who reads on."""
    from intermodal.sizing.corrections import Correction

    return tuple[Correction, ...]
