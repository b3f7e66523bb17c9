"""Measures the speed of a GGUF file on this machine with llama.cpp's ``llama-bench``, if installed.

Results are saved. The measurement ignores server options: it runs one sequence at a time, on the devices that the build
uses by default.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity, between
from intermodal.core.today import today
from intermodal.local.hardware import model_measurements

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
        written, read = (
            between(max(0.0, mid - off), mid, mid + off, basis) for mid, off in (self.decode, self.prefill)
        )
        return written, read


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
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_llama_bench(done.stdout, today())


def parse_llama_bench(said: bytes, taken: str) -> BenchSpeeds | None:
    """Parse the output of ``-o json``: a list of tests with token counts and speed. Returns None if a speed is missing.

    >>> said = b'[{"n_prompt": 512, "n_gen": 0, "avg_ts": 900.0, "stddev_ts": 10.0},'
    >>> said += b' {"n_prompt": 0, "n_gen": 32, "avg_ts": 50.0, "stddev_ts": 0.5}]'
    >>> parse_llama_bench(said, "2026-11-29").decode
    (50.0, 1.0)
    """
    try:
        tests = msgspec.json.decode(said, type=list[dict[str, Any]])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    found: dict[str, tuple[float, float]] = {}
    for test in tests:
        speed, off = test.get("avg_ts"), test.get("stddev_ts", 0.0)
        if isinstance(speed, int | float) and isinstance(off, int | float) and speed > 0:
            found["decode" if test.get("n_gen") else "prefill"] = (float(speed), 2.0 * float(off))
    if len(found) != 2:
        return None
    return BenchSpeeds(decode=found["decode"], prefill=found["prefill"], taken=taken)


def save_speeds(folder: Path, model: Path, found: BenchSpeeds) -> None:
    """Save speeds for ``load_speeds``. Does nothing if the folder is not writable."""
    model_measurements.save_measurement(folder, FILE, BenchSpeeds, model, lambda before: found)


def load_speeds(folder: Path, model: Path) -> BenchSpeeds | None:
    """Return the speeds measured for this file; None if there are none."""
    return model_measurements.load_measurements(folder, FILE, BenchSpeeds).get(model_measurements.file_key(model))
