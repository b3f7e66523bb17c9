"""How many published measurements are inside the speed ranges of ``intermodal fit``.

    python benchmarks/fit_speed.py          # writes benchmarks/results/fit_speed.md

Measured: tokens a second with one text at a time, as https://github.com/geerlingguy/ai-benchmarks listed them in
November 2026, on cards beside a desktop processor and on chips; tinyllama as its issues 40, 43 and 46 do. The models
are laid out as their files are.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.unit.sizing import models  # noqa: E402

from intermodal.sizing.machines import machine_of_options  # noqa: E402
from intermodal.sizing.shape import ALL, ServingSettings  # noqa: E402
from intermodal.sizing.speed import model_speed  # noqa: E402

DATA = ROOT / "tests" / "unit" / "sizing" / "data" / "published_speeds.csv"
RESULT = ROOT / "benchmarks" / "results" / "fit_speed.md"
MODELS = {
    "llama-3.2-3b": models.llama_32_3b, "deepseek-r1-14b": models.deepseek_r1_14b, "gpt-oss-20b": models.gpt_oss_20b,
    "tinyllama-1.1b": models.tinyllama,
}  # fmt: skip


def main() -> None:
    with DATA.open() as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    lines, inside, impossible = [], 0, 0
    for row in rows:
        found = model_speed(
            MODELS[row["model"]](),
            ServingSettings(context=8192, gpu_layers=ALL),
            machine_of_options([row["machine"]]),
            prompt=200,
        )
        speed = float(row["tokens_a_second"])
        within = found.decode.low <= speed <= found.decode.high
        inside += within
        impossible += speed > found.bound
        lines.append(
            f"| {row['model']} | {row['machine']} | {speed:.1f} | {found.decode.low:.0f} to {found.decode.high:.0f} | "
            f"{speed / found.bound:.2f} | {'yes' if within else 'no'} |"
        )
    head = [
        "# Speed ranges and published measurements", "",
        (__doc__ or "").split("Measured: ")[1].strip().replace("\n", " "), "",
        f"Inside the range: {inside} of {len(rows)} ({inside / len(rows):.0%}). "
        f"Faster than the bandwidth allows, which is impossible: {impossible}.", "",
        "The ranges are 0.4 to 0.85 of the bound for dense models and 0.1 to 0.85 for mixtures of experts; the low end "
        "is at most what 0.85 of the bound and 84 us a layer for starting kernels leave.", "",
        "| model | machine | measured, tokens/s | range | share of the bound | inside |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    RESULT.write_text("\n".join([*head, *lines]) + "\n")
    print(f"{inside} of {len(rows)} inside")


if __name__ == "__main__":
    main()
