"""Strength measured on the user's own labelled files: one small JSON file per data set, in the data folder.

With one file per data set, written atomically, no lock is needed: two concurrent evaluations cannot lose each other's
results. If several data sets cover the same endpoint and task, the one with the most items counts; for ties, the
newest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from intermodal.catalog.types import Strength
from intermodal.core.content import Value
from intermodal.errors import StoreError
from intermodal.files.atomic_file import display_path, write_json

VERSION = 1
FOLDER = "measured"  # below the data folder
_FORGET = "forget it with: intermodal eval --forget"


class MeasuredStrength(Value):
    """An endpoint's strength for a task, measured over ``items`` items."""

    endpoint: str
    strength: Strength
    items: int


class MeasuredFile(Value):
    """The result of one data set. ``data`` is its path, ``date`` the ISO date."""

    data: str
    date: str
    rows: tuple[MeasuredStrength, ...] = ()
    kind: Literal["intermodal.measured"] = "intermodal.measured"
    version: int = VERSION


def read_results(folder: Path) -> tuple[MeasuredFile, ...]:
    """Return the results of every data set, ordered by file name. Raises StoreError for an unusable file."""
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            file = msgspec.json.decode(path.read_bytes(), type=MeasuredFile)
        except FileNotFoundError:
            continue  # deleted concurrently
        except OSError as error:
            raise _error(path, f"cannot be read ({(error.strerror or 'unreadable').lower()})") from None
        except msgspec.DecodeError:
            raise _error(path, "does not hold measured strengths") from None
        if file.version > VERSION:
            raise _error(path, f"was written by a newer intermodal (version {file.version})")
        found.append(file)
    return tuple(found)


def strengths(folder: Path) -> dict[str, tuple[Strength, ...]]:
    """Return the measured strengths of each endpoint, one per task, as passed to ``load_catalog``.

    Raises StoreError.
    """
    best: dict[tuple[str, str], tuple[int, str, Strength]] = {}
    for file in read_results(folder):
        for row in file.rows:
            key = (row.endpoint, row.strength.task)
            own_key = (row.items, file.date, row.strength)
            if key not in best or own_key[:2] > best[key][:2]:
                best[key] = own_key
    found: dict[str, tuple[Strength, ...]] = {}
    for (endpoint, _), (_, _, strength) in sorted(best.items(), key=lambda pair: pair[0]):
        found[endpoint] = (*found.get(endpoint, ()), strength)
    return found


def remember(folder: Path, data: Path, date: str, rows: Iterable[MeasuredStrength]) -> Path:
    """Store the results of a data set, replacing earlier ones. Raises StoreError."""
    path = _path(folder, data)
    kept_rows = tuple(rows)
    before = next((file for file in read_results(folder) if file.data == str(data.resolve())), None)
    if before is not None:  # endpoints that were not measured this time keep their figures
        replaced_keys = {(row.endpoint, row.strength.task) for row in kept_rows}
        kept_rows += tuple(row for row in before.rows if (row.endpoint, row.strength.task) not in replaced_keys)
    body = msgspec.json.encode(MeasuredFile(data=str(data.resolve()), date=date, rows=kept_rows))
    write_json(path, body, todo=_FORGET)
    return path


def delete_results(folder: Path, data: Path | None = None) -> int:
    """Delete the results of a data set, or all; return the number of files removed. Reads none of them."""
    paths = [_path(folder, data)] if data is not None else sorted((folder / FOLDER).glob("*.json"))
    count = 0
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _error(path, f"cannot be deleted ({(error.strerror or 'unwritable').lower()})") from None
        count += 1
    return count


def _path(folder: Path, data: Path) -> Path:
    name = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]
    return folder / FOLDER / f"{name}.json"


def _error(path: Path, what: str) -> StoreError:
    return StoreError(what, where=display_path(path), todo=_FORGET)
