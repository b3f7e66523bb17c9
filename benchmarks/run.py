"""Run every benchmark and write its result: ``make bench``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = (
    "plan_speed.py",
    "catalog_speed.py",
    "startup.py",
    "estimates.py",
    "answers.py",
    "extraction.py",
    "scores.py",
    "search.py",
    "adapting.py",
)


def main() -> None:
    for name in BENCHMARKS:
        print(f"---- {name}", flush=True)
        subprocess.run([sys.executable, str(HERE / name)], check=True)


if __name__ == "__main__":
    main()
