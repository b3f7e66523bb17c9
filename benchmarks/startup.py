"""What starting costs: import, --version, and an EXPLAIN of three files, each from a cold process.

    python benchmarks/startup.py [RUNS]

Every number is the median wall time over RUNS (21) fresh processes, the first one left out (it warms
the disk cache and the byte code, which an installed package has too).
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import report
from home import fresh_home

MEDIA = Path(__file__).parent.parent / "examples" / "media"
INTERMODAL = str(Path(sys.executable).parent / "intermodal")
TIMED_IMPORT = "import time; a = time.perf_counter(); import intermodal; print(time.perf_counter() - a)"
EXPLAIN = [
    INTERMODAL, "explain", "What does the caller want, and does the invoice agree with the report?",
    str(MEDIA / "jfk.wav"), str(MEDIA / "screenshot-invoice.png"), str(MEDIA / "report.pdf"),
]  # fmt: skip


def wall(command: list[str], env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def inside(env: dict[str, str]) -> float:
    done = subprocess.run([sys.executable, "-c", TIMED_IMPORT], env=env, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    with fresh_home() as env:
        rows = [
            row("an empty Python process", 0, [wall([sys.executable, "-c", "pass"], env) for _ in range(runs + 1)]),
            row("`import intermodal`, inside the process", 0.1, [inside(env) for _ in range(runs + 1)]),
            row("`intermodal --version`", 0.15, [wall([INTERMODAL, "--version"], env) for _ in range(runs + 1)]),
            row("`intermodal explain` of speech, picture, PDF", 1, [wall(EXPLAIN, env) for _ in range(runs + 1)]),
        ]
    body = report.table(("what", "median", "p90", "first run", "goal"), rows)
    report.write("startup", "Starting", f"{body}\n\n{runs} runs each, one process per run.")


def row(name: str, goal: float, times: list[float]) -> tuple[str, ...]:
    first, *warm = times
    return (
        name,
        f"{report.median(warm) * 1000:.0f} ms",
        f"{report.percentile(warm, 0.9) * 1000:.0f} ms",
        f"{first * 1000:.0f} ms",
        f"{goal * 1000:.0f} ms" if goal else "",
    )


if __name__ == "__main__":
    main()
