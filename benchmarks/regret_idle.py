"""The runs of a journal as they would have been with nobody else at the machine: ``regret.py --idle``.

Seconds by the clock depend on who else is at the machine. Here every run takes what its busiest threads used of the
processors and its round trips (``Run.work``), in the journal and in the store that is learned from: what is learned,
chosen and judged is then free of that noise.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

LOCAL_ZONES = 0.002  # seconds between a run in the journal and the same one in the store, which are rounded


def idle_copy(folder: Path, runs: Iterable[Any], halves: Iterable[str]) -> Path:
    """Copy a journal and its stores into a folder beside it, with seconds as on an idle machine."""
    copy = folder.with_name(f"{folder.name}-idle")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    every = list(runs)
    for half in halves:
        shutil.copytree(folder / half, copy / half, symlinks=True)
        with closing(sqlite3.connect(copy / half / "data" / "store.sqlite3")) as store, store:
            _rewrite(store, every)
    lines = (msgspec.json.encode(msgspec.structs.replace(run, seconds=run.work)) for run in every)
    (copy / "runs.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return copy


def _rewrite(store: sqlite3.Connection, runs: list[Any]) -> None:
    """Shorten what belongs to a run of the journal, and drop what does not: it loaded the models."""
    for id, endpoint, seconds in store.execute("SELECT id, endpoint, seconds FROM runs").fetchall():
        there = (run for run in runs if run.endpoint == endpoint and run.seconds)
        run = next((run for run in there if abs(run.seconds + run.load_seconds - (seconds or 0.0)) < LOCAL_ZONES), None)
        if run is None:
            store.execute("DELETE FROM attempts WHERE run = ?", (id,))
            store.execute("DELETE FROM transforms WHERE run = ?", (id,))
            continue
        share = run.work / run.seconds
        store.execute("UPDATE attempts SET seconds = seconds * ?, busy = busy * 0 WHERE run = ?", (share, id))
        store.execute("UPDATE attempts SET first_seconds = first_seconds * ? WHERE run = ?", (share, id))
        store.execute("UPDATE transforms SET seconds = seconds * ?, busy = busy * 0 WHERE run = ?", (share, id))
    store.execute("DELETE FROM epochs")
