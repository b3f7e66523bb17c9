"""What the catalog costs: reading the snapshot, looking a model up, filtering, and joining it for a plan.

    python benchmarks/catalog_speed.py [RUNS]

The snapshot is written anew with 5,000 of its rows (whole hosts, largest first, cut at 5,000), so that the numbers are
for the size the goals are for; the shipped one is measured beside it. Medians over RUNS (31) fresh ``Snapshot``
objects; "fresh process" is what the first use pays.
"""

from __future__ import annotations

import gc
import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import report

from intermodal.catalog.load import load_catalog, with_named_models
from intermodal.catalog.rate_cards import effective_rates, itemize
from intermodal.catalog.search import ModelFilter, filter_rows
from intermodal.catalog.snapshot.file import SHIPPED_SNAPSHOT, Snapshot, SnapshotHost, SnapshotRow

ROWS = 5_000
WANTED = ModelFilter(kind="vision-language", takes=frozenset({"image"}), makes=frozenset({"text"}), max_price=0.5)
COLD = """
import sys, time
from pathlib import Path
from intermodal.catalog.snapshot.file import Snapshot
start = time.perf_counter()
snapshot = Snapshot(Path(sys.argv[1]))
count = len(snapshot.rows)
snapshot.by_endpoint
print(time.perf_counter() - start)
"""


def cut(folder: Path, count: int) -> Path:
    """The shipped snapshot with so many of its rows, still in the order of its hosts."""
    shipped = Snapshot()
    kept, places = list(shipped.rows_of_shipped_hosts), []
    lines = [line(row) for row in kept]
    first = (sum(map(len, lines)), len(lines))
    size = first[0]
    named = {(row.host, row.name) for row in kept}
    for place in sorted(shipped.places.values(), key=lambda place: (-place.rows, place.id)):
        rows = [row for row in shipped.of_host(place.id) if (row.host, row.name) not in named][: count - len(lines)]
        mine = [line(row) for row in rows]
        length = sum(map(len, mine))
        places.append(msgspec.structs.replace(place, start=size, size=length, rows=len(mine)))
        lines += mine
        size += length
    header = msgspec.structs.replace(shipped.header, first=first, size=size, places=tuple(places))
    path = folder / f"{count}.jsonl"
    path.write_bytes(b"".join([msgspec.json.encode(header), b"\n", *lines]))
    assert len(Snapshot(path).rows) == count
    return path


def line(row: SnapshotRow) -> bytes:
    return msgspec.json.encode(row) + b"\n"


def median_ms(call: Callable[[], object], runs: int) -> float:
    times = []
    for _ in range(runs):
        gc.collect()
        start = time.perf_counter()
        kept = call()
        times.append(time.perf_counter() - start)
        del kept
    return report.median(times) * 1e3


def cold_ms(path: Path, runs: int) -> float:
    command = [sys.executable, "-c", COLD, str(path)]
    done = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(runs + 1)]
    return report.median([float(each.stdout) for each in done[1:]]) * 1e3


def loaded(path: Path) -> Snapshot:
    snapshot = Snapshot(path)
    assert snapshot.by_endpoint
    return snapshot


def lookup_us(snapshot: Snapshot, count: int = 2_000) -> float:
    """Microseconds per look-up of an endpoint, over names spread through the catalog."""
    names = list(snapshot.by_endpoint)[:: max(1, len(snapshot.by_endpoint) // count)]
    start = time.perf_counter()
    for name in names:
        assert snapshot.by_endpoint[name].host
    return (time.perf_counter() - start) / len(names) * 1e6


def price_us(snapshot: Snapshot, count: int = 500) -> float:
    """Microseconds to find what one usage costs at one endpoint today, prices decoded and all."""
    rows = [row for row in snapshot.rows if bytes(row.prices) != b"[]"][:count]
    usage = {"input_tokens": 12_000.0, "cache_read_tokens": 4_000.0, "output_tokens": 600.0}
    start = time.perf_counter()
    for row in rows:
        itemize(effective_rates(row.dated_prices, "2026-11-25"), usage)
    return (time.perf_counter() - start) / len(rows) * 1e6


def of_snapshot(name: str, path: Path, runs: int) -> list[tuple[str, ...]]:
    snapshot = loaded(path)
    place: SnapshotHost = snapshot.places["openrouter"]
    return [
        (f"{name}: load and index, fresh process", "30 ms", f"{cold_ms(path, runs):.1f} ms"),
        (f"{name}: load and index, warm", "30 ms", f"{median_ms(lambda: loaded(path), runs):.1f} ms"),
        (f"{name}: header alone", "", f"{median_ms(lambda: Snapshot(path), runs):.2f} ms"),
        (f"{name}: one host of {place.rows} models", "",
         f"{median_ms(lambda: Snapshot(path).of_host('openrouter'), runs):.2f} ms"),
        (f"{name}: look an endpoint up", "20 µs", f"{lookup_us(snapshot):.2f} µs"),
        (f"{name}: filter by kind, modalities and price", "5 ms",
         f"{median_ms(lambda: filter_rows(snapshot.rows, WANTED), runs):.2f} ms"),
        (f"{name}: price a usage", "", f"{price_us(snapshot):.1f} µs"),
    ]  # fmt: skip


def of_plans(runs: int) -> list[tuple[str, ...]]:
    ready: dict[str, str] = dict.fromkeys(("llama", "whisper", "ocr", "e5", "piper"), "")

    def join(*hosts: str) -> object:
        return load_catalog(installed=ready, weights=frozenset(), consent=hosts, env={})

    base = load_catalog(installed=ready, weights=frozenset(), env={})
    join("openai", "openrouter")
    return [
        ("join for a plan, no hosted service allowed", "", f"{median_ms(join, runs):.2f} ms"),
        ("join for a plan, OpenAI and OpenRouter allowed", "",
         f"{median_ms(lambda: join('openai', 'openrouter'), runs):.2f} ms"),
        ("look a named model up at every host", "",
         f"{median_ms(lambda: with_named_models(base, ('claude-opus-4.8',)), runs):.2f} ms"),
    ]  # fmt: skip


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 31
    with tempfile.TemporaryDirectory() as folder:
        rows = of_snapshot(f"{ROWS:,} rows", cut(Path(folder), ROWS), runs)
    count = len(Snapshot().rows)
    rows += of_snapshot(f"shipped ({count:,} rows)", SHIPPED_SNAPSHOT, runs)
    rows += of_plans(runs)
    packed = len(gzip.compress(SHIPPED_SNAPSHOT.read_bytes()))
    size = f"{SHIPPED_SNAPSHOT.stat().st_size / 1e6:.2f} MB, {packed / 1e3:.0f} kB in a wheel"
    body = report.table(("what", "goal", "median"), rows)
    report.write("catalog_speed", "The catalog", f"{body}\n\n{runs} runs each. The shipped snapshot is {size}.")


if __name__ == "__main__":
    main()
