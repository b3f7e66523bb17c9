"""On which conditions hosts take what they are sent, as they publish them: the rows of ``data/conditions.toml``.

They are apart from the rows of hosts, as most of these hosts are known from the snapshot alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.types import Host
from intermodal.content import Value

DATA = Path(__file__).parent / "data"


class DataPolicy(Value, forbid_unknown_fields=True):
    """What a host says of itself, where, and when.

    Attributes:
        regions, trains, retention_days: as in ``HostRow``.
        dated: the day that the page gives itself. checked: the day on which it was read.
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
    """The rows, by host."""
    found = tomllib.loads((DATA / "conditions.toml").read_text("utf-8"))["conditions"]
    return {row.host: row for row in msgspec.convert(found, tuple[DataPolicy, ...])}


def with_data_policy(row: HostRow) -> HostRow:
    """The row of a host that comes with intermodal, with what that host publishes."""
    said = data_policies().get(row.id)
    if said is None:
        return row
    source = f"{said.source}, of {said.dated}" if said.dated else said.source
    return msgspec.structs.replace(
        row, regions=said.regions, trains=said.trains, retention_days=said.retention_days,
        conditions_source=source, conditions_checked=said.checked,
    )  # fmt: skip


def describe_data_policy(host: Host) -> str:
    """What is stated of a host, and where: "keeps it for up to 30 days, does not train on it (URL, 2026-11-28)";
    "" where nothing is."""
    found = [f"computes in {' or '.join(host.regions)}"] if host.regions else []
    if host.retention_days is not None:
        found.append(f"keeps it for up to {host.retention_days} days" if host.retention_days else "keeps nothing")
    if host.trains is not None:
        found.append("trains on it" if host.trains else "does not train on it")
    if not found:
        return ""
    stated = host.conditions.citation
    return f"{', '.join(found)} ({stated})" if stated else ", ".join(found)
