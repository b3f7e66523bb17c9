"""Measurements of model files, in one small JSON file per kind in the cache folder, including memory corrections,
and measurements with ``llama-bench``.

A model file is identified by path, size and time, so that another file with the same name does not inherit
measurements. A memory correction compares the memory a server used with the prediction; ``fit --check`` and ``up``
record them.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity, between
from intermodal.core.today import today
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


def save_correction(folder: Path, model: Path | str, correction: Correction) -> bool:
    """Save a correction, replacing an older one with the same flags and program.

    Returns False if the folder is not writable.
    """

    def with_it(before: tuple[Correction, ...] | None) -> tuple[Correction, ...]:
        same = (correction.flags, correction.program)
        others = [each for each in before or () if (each.flags, each.program) != same]
        return (correction, *others)[:MAX_CORRECTIONS]

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


# ---- llama bench ------------------------------------------------------------------------------------
#
# Measures the speed of a GGUF file on this machine with llama.cpp's ``llama-bench``, if installed.
#
# Results are saved. The measurement ignores server options: it runs one sequence at a time, on the devices that the
# build uses by default.

PROGRAM = "llama-bench"
FILE = "speeds.json"
READ, WRITTEN, ROUNDS = 512, 32, 3  # tokens read and written, and number of repetitions
PATIENCE = 600.0  # seconds


class BenchSpeeds(Value):
    """Decode and prefill speed in tokens per second, each with twice its standard deviation, and the ISO date."""

    decode: tuple[float, float]
    prefill: tuple[float, float]
    taken: str

    @property
    def as_quantities(self) -> tuple[Quantity, Quantity]:
        basis = f"{PROGRAM} on this machine, {self.taken}"
        decode_speed, read = (
            between(max(0.0, mid - off), mid, mid + off, basis) for mid, off in (self.decode, self.prefill)
        )
        return decode_speed, read


def is_installed() -> bool:
    """Return whether ``llama-bench`` is on the PATH."""
    return shutil.which(PROGRAM) is not None


def run_llama_bench(model: Path) -> BenchSpeeds | None:
    """Run ``llama-bench``. Returns None if it is missing, fails, or prints unreadable output."""
    program = shutil.which(PROGRAM)
    if program is None:
        return None
    command = (program, "-m", str(model), "-p", str(READ), "-n", str(WRITTEN), "-r", str(ROUNDS), "-o", "json")
    try:
        completed = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_llama_bench(completed.stdout, today())


def parse_llama_bench(output: bytes, day: str) -> BenchSpeeds | None:
    """Parse the output of ``-o json``: a list of tests with token counts and speed. Returns None if a speed is missing.

    >>> said = b'[{"n_prompt": 512, "n_gen": 0, "avg_ts": 900.0, "stddev_ts": 10.0},'
    >>> said += b' {"n_prompt": 0, "n_gen": 32, "avg_ts": 50.0, "stddev_ts": 0.5}]'
    >>> parse_llama_bench(said, "2026-11-29").decode
    (50.0, 1.0)
    """
    try:
        tests = msgspec.json.decode(output, type=list[dict[str, Any]])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    found: dict[str, tuple[float, float]] = {}
    for test in tests:
        speed, off = test.get("avg_ts"), test.get("stddev_ts", 0.0)
        if isinstance(speed, int | float) and isinstance(off, int | float) and speed > 0:
            found["decode" if test.get("n_gen") else "prefill"] = (float(speed), 2.0 * float(off))
    if len(found) != 2:
        return None
    return BenchSpeeds(decode=found["decode"], prefill=found["prefill"], taken=day)


def save_speeds(folder: Path, model: Path, speeds: BenchSpeeds) -> None:
    """Save speeds for ``load_speeds``. Does nothing if the folder is not writable."""
    save_measurement(folder, FILE, BenchSpeeds, model, lambda before: speeds)


def load_speeds(folder: Path, model: Path) -> BenchSpeeds | None:
    """Return the speeds measured for this file; None if there are none."""
    return load_measurements(folder, FILE, BenchSpeeds).get(file_key(model))
