"""The rows under ``data/``: hosts with what they serve, models with what they are, as they came with intermodal."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from intermodal.catalog.data_policies import with_data_policy
from intermodal.catalog.host_rows import HostRow, decode_row
from intermodal.catalog.model_rows import ModelRow
from intermodal.catalog.thinking_models import with_thinking
from intermodal.catalog.types import Model
from intermodal.content import Value
from intermodal.errors import ConfigError

DATA = Path(__file__).parent / "data"


class ShippedRows(Value):
    """Everything under ``data/``: host rows, and model rows by id, as written and as models."""

    hosts: tuple[HostRow, ...]
    rows: dict[str, ModelRow]
    models: dict[str, Model]


def read_toml(path: Path, where: str) -> dict[str, Any]:
    """A TOML file. Raises ConfigError that names the line that is not TOML."""
    try:
        return parse_toml(path.read_text("utf-8-sig"), where)  # editors of Windows put a mark before it
    except UnicodeDecodeError:
        raise ConfigError("is not UTF-8 text", where=where, todo="save it as UTF-8") from None


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """TOML. Raises ConfigError that names the line that is not."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is not TOML: {error}", where=where, todo="correct that line") from None


@cache
def shipped_rows(root: Path = DATA) -> ShippedRows:
    """The rows that come with intermodal."""
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
    return ShippedRows(hosts=hosts, rows=rows, models={id: with_thinking(row.model()) for id, row in rows.items()})


def known_hosts() -> tuple[HostRow, ...]:
    """Shipped hosts that are reached over a network: those a user may consent to without looking anything up."""
    return tuple(row for row in shipped_rows().hosts if row.base_url)
