"""The rows under ``data/`` that ship with intermodal: hosts, data policies, models, and token rules by family.

Hosts of installed plugins (``plugin_rows.py``) follow the shipped ones.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import msgspec

from intermodal.catalog.host_rows import HostRow, decode_row
from intermodal.catalog.model_rows import ModelRow
from intermodal.catalog.plugin_rows import plugin_hosts
from intermodal.catalog.thinking_models import with_thinking
from intermodal.catalog.token_rule_rows import (
    EXACT_VOCABULARIES,
    OPEN_WEIGHTS,
    ModelFamilies,
    ModelFamily,
    vocabulary_of,
)
from intermodal.catalog.types import Endpoint, Host, Model
from intermodal.core.content import Value
from intermodal.errors import ConfigError

DATA = Path(__file__).parent / "data"


class ShippedRows(Value):
    """Everything under ``data/``: host rows, followed by those of plugins, and model rows by id.

    ``rows``: model rows as written; ``models``: the same as models.
    """

    hosts: tuple[HostRow, ...]
    rows: dict[str, ModelRow]
    models: dict[str, Model]


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """Read a TOML file. Raises ConfigError with the line that is not valid TOML."""
    try:
        return parse_toml(path.read_text("utf-8-sig"), where)  # editors of Windows put a mark before it
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", where=where, todo="save it as UTF-8") from None


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """Parse TOML. Raises ConfigError with the line that is not valid TOML."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML: {error}", where=where, todo="correct that line") from None


@cache
def shipped_rows(root: Path = DATA) -> ShippedRows:
    """Return the rows that ship with intermodal; its hosts are followed by those of installed plugins."""
    rows: dict[str, ModelRow] = {}
    for path in sorted((root / "models").glob("*.toml")):
        where = f"catalog/models/{path.name}"
        for table in read_toml(path, where).get("models", ()):
            row = decode_row(table, ModelRow, where=where, place="models")
            wrong = row.contradiction()
            if wrong:
                raise ConfigError(f"{row.id}: {wrong}", where=where, todo="correct one of the two")
            if row.id in rows:
                raise ConfigError(f"{row.id} has two rows", where=where, todo="keep one")
            rows[row.id] = row
    hosts = tuple(
        with_data_policy(
            decode_row(
                read_toml(path, f"catalog/hosts/{path.name}"), HostRow, where=f"catalog/hosts/{path.name}", place=""
            )
        )
        for path in sorted((root / "hosts").glob("*.toml"))
    )
    hosts += plugin_hosts(frozenset(row.id for row in hosts))
    return ShippedRows(hosts=hosts, rows=rows, models={id: with_thinking(row.model()) for id, row in rows.items()})


def known_hosts() -> tuple[HostRow, ...]:
    """Return the shipped and plugin hosts that have an address: a user may consent to them without a lookup."""
    return tuple(row for row in shipped_rows().hosts if row.base_url)


class DataPolicy(Value, forbid_unknown_fields=True):
    """A host's statement about the data it receives, with its source and date.

    Kept apart from host rows, as most of these hosts are known only from the snapshot.

    Attributes:
        regions, trains, retention_days: as in ``HostRow``.
        dated: the date stated on the page. checked: the day on which it was read.
    """

    host: str
    source: str
    checked: str
    regions: tuple[str, ...] = ()
    trains: bool | None = None
    retention_days: int | None = None
    dated: str = ""


@cache
def data_policies() -> Mapping[str, DataPolicy]:
    """Return the policies by host."""
    found = tomllib.loads((DATA / "conditions.toml").read_text("utf-8"))["conditions"]
    return {row.host: row for row in msgspec.convert(found, tuple[DataPolicy, ...])}


def with_data_policy(row: HostRow) -> HostRow:
    """Add the data policy that a host publishes to its shipped row."""
    data_policy = data_policies().get(row.id)
    if data_policy is None:
        return row
    source = f"{data_policy.source}, of {data_policy.dated}" if data_policy.dated else data_policy.source
    return msgspec.structs.replace(
        row, regions=data_policy.regions, trains=data_policy.trains, retention_days=data_policy.retention_days,
        conditions_source=source, conditions_checked=data_policy.checked,
    )  # fmt: skip


def describe_data_policy(host: Host) -> str:
    """Describe a host's policy with its source: "keeps it for up to 30 days, does not train on it (URL, 2026-11-28)".

    Returns "" if no policy is known.
    """
    found = [f"computes in {' or '.join(host.regions)}"] if host.regions else []
    if host.retention_days is not None:
        found.append(f"keeps it for up to {host.retention_days} days" if host.retention_days else "keeps nothing")
    if host.trains is not None:
        found.append("trains on it" if host.trains else "does not train on it")
    if not found:
        return ""
    source = host.conditions.citation
    return f"{', '.join(found)} ({source})" if source else ", ".join(found)


COUNTING = Path(__file__).parent / "data" / "counting"


@cache
def shipped_families(root: Path = COUNTING) -> ModelFamilies:
    """Return all families with token rules.

    Raises:
        ConfigError: a file or a row is invalid; the message names it.
    """
    found: list[ModelFamily] = []
    for path in sorted(root.glob("*.toml")):
        where = f"catalog/counting/{path.name}"
        try:
            table = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"is not TOML: {error}", where=where, todo="correct that line") from None
        for index, row in enumerate(table.get("families", ())):
            for name in ("text_source", "text_checked", "tools_source", "tools_checked"):
                row.setdefault(name, table.get(name, ""))
            family = decode_row(row, ModelFamily, where=where, place=f"families[{index}]")
            if not family.names or not family.rules:
                raise ConfigError(f"families[{index}] has no names or no rules", where=where, todo="write both")
            found.append(family)
    return ModelFamilies(rows=tuple(found))


def with_token_rules(endpoint: Endpoint) -> Endpoint:
    """Add the current tokenizer, vocabulary and image rule of the model's family, unless its own row states them.

    Input is counted by the rules on a plan's date: ``families_of``.
    """
    model = endpoint.model
    text, image_rule = _today(model.id)
    changes: dict[str, str] = {}
    unknown = "" if endpoint.host.zone == "internet" else OPEN_WEIGHTS
    vocabulary = model.vocabulary or vocabulary_of(model.id) or unknown
    if vocabulary != model.vocabulary:
        changes["vocabulary"] = vocabulary
    if not text and not endpoint.host.counts_text and vocabulary in EXACT_VOCABULARIES:
        text = vocabulary
    if text and not model.tokenizer:
        changes["tokenizer"] = text
    if image_rule and not model.drawn and "image" in model.output:
        changes["drawn"] = image_rule
    if not changes:
        return endpoint
    return msgspec.structs.replace(endpoint, model=msgspec.structs.replace(model, **changes))


def families_of(endpoints: Iterable[Endpoint]) -> tuple[ModelFamily, ...]:
    """Return the families of these endpoints, in the order of the files, which a plan needs to count tokens."""
    row_ids = {id(row) for endpoint in endpoints if (row := _row(endpoint.model.id)) is not None}
    return tuple(row for row in shipped_families().rows if id(row) in row_ids)


@lru_cache(maxsize=8_192)
def _row(model: str) -> ModelFamily | None:
    found = shipped_families().of(model)
    return found[1] if found is not None else None


@lru_cache(maxsize=8_192)
def _today(model: str) -> tuple[str, str]:
    families = shipped_families()
    return families.newest(model, "text"), families.newest(model, "drawn")
