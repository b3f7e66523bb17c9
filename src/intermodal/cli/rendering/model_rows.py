"""The rows of ``intermodal models``: endpoints that plans can use, and hosted models of the snapshot."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from intermodal.core.request import TIERS, Tier, Zone

if TYPE_CHECKING:
    from intermodal.catalog.snapshot.file import Snapshot, SnapshotRow
    from intermodal.catalog.types import Catalog, Endpoint, Price
    from intermodal.client.async_client import AsyncClient


class ModelTableRow(NamedTuple):
    """The fields of both kinds of rows. ``endpoint`` is None for a row of the snapshot that plans cannot choose now.

    Attributes:
        input: the kinds that can be sent to it. also: kinds that the model accepts but this host's protocol does not
            transmit.
        price_in, price_out: USD per million tokens, None if unknown.
        missing, todo: why it cannot be called, and how to change that; "" if it can be called.
    """

    id: str
    model: str
    name: str
    kind: str
    tasks: tuple[str, ...]
    input: tuple[str, ...]
    also: tuple[str, ...]
    output: tuple[str, ...]
    host: str
    zone: Zone
    served_as: str
    context: int | None
    price_in: float | None
    price_out: float | None
    missing: str
    todo: str
    endpoint: Endpoint | None = None
    row: SnapshotRow | None = None
    uncallable: bool = False  # no plan can call it, whatever its user allows

    @property
    def ready(self) -> bool:
        return self.endpoint is not None and not self.missing

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Return the tiers of the model, one for each task, measured or taken from a proxy."""
        if self.endpoint is not None:
            return tuple(dict.fromkeys(strength.tier for strength in self.endpoint.model.strength))
        from intermodal.catalog.snapshot.interpretation import tier_of

        return (tier_of(self.model)[0],)

    @property
    def price(self) -> float:
        """Return the price in USD of a million tokens in and out, for sorting; infinite if it is unknown."""
        return math.inf if self.price_in is None else self.price_in + (self.price_out or 0.0)


def snapshot_of(client: AsyncClient) -> Snapshot:
    """Return the snapshot from which a client's catalog is made."""
    from intermodal.catalog.load import load_snapshot
    from intermodal.config.config_file import snapshot_file

    return load_snapshot(snapshot_file(client.env))


def row_of_endpoint(endpoint: Endpoint, catalog: Catalog) -> ModelTableRow:
    from intermodal.planner.catalog_index import what_is_missing

    model, (missing, todo) = endpoint.model, what_is_missing(endpoint, catalog)
    return ModelTableRow(
        id=endpoint.id, model=model.id, name=model.name, kind=model.kind, tasks=model.tasks, input=endpoint.input,
        also=tuple(kind for kind in model.input if kind not in endpoint.input), output=model.output,
        host=endpoint.host.id, zone=endpoint.host.zone, served_as=endpoint.served_as, context=endpoint.context,
        price_in=endpoint.price.input_mtok, price_out=endpoint.price.output_mtok, missing=missing, todo=todo,
        endpoint=endpoint,
    )  # fmt: skip


def row_of_snapshot(row: SnapshotRow, snapshot: Snapshot) -> ModelTableRow:
    from intermodal.catalog.load import why_uncallable
    from intermodal.catalog.search import row_kind

    why = why_uncallable(row, snapshot)
    missing, todo = ("cannot be called", why[0]) if why else ("no consent", f"intermodal hosts add {row.host}")
    return ModelTableRow(
        id=row.endpoint, model=row.id, name=row.title or row.id, kind=row_kind(row), tasks=row.tasks, input=row.input,
        also=(), output=row.output, host=row.host, zone="internet", served_as=row.name,
        context=row.context or row.window, price_in=row.price_in, price_out=row.price_out, missing=missing, todo=todo,
        row=row, uncallable=why is not None,
    )  # fmt: skip


def all_rows(catalog: Catalog, snapshot: Snapshot, rows: Iterable[SnapshotRow]) -> list[ModelTableRow]:
    """Return the endpoints that plans can choose, then those of ``rows`` that are not among them."""
    found = [row_of_endpoint(endpoint, catalog) for endpoint in catalog.endpoints]
    identities = {(each.host, each.served_as) for each in found} | {each.id for each in found}
    for row in rows:
        if (row.host, row.name) not in identities and row.endpoint not in identities:
            found.append(row_of_snapshot(row, snapshot))
    return found


# ---- selection -----------------------------------------------------------------------------------


def passes_filters(each: ModelTableRow, options: Mapping[str, Any]) -> bool:
    """Return whether a row passes all filters of the command, of which the cheapest are checked first."""
    most, floor = options["max_price"], options["at_least"]
    return (
        (not options["hosts"] or each.host in options["hosts"])
        and (not options["local"] or each.zone in ("process", "machine"))
        and (not options["kind"] or each.kind == options["kind"])
        and set(options["takes"]) <= {*each.input, *each.also}
        and set(options["makes"]) <= set(each.output)
        and (not options["task"] or options["task"] in each.tasks)
        and (most is None or (each.price_in is not None and each.price_in <= most))
        and (not options["ready"] or each.ready)
        and (floor is None or any(TIERS.index(tier) >= TIERS.index(floor) for tier in each.tiers))
    )


def is_named(each: ModelTableRow, name: str, exactly: bool) -> bool:
    """Return whether a name is part of the row's id.

    ``exactly``: some model has exactly this name, and then only that model is meant.
    """
    last = each.model.lower().rpartition("/")[2]
    return name == last if exactly else name in each.id.lower() or name in each.served_as.lower()


def sort_rows(table_rows: list[ModelTableRow], column: str) -> list[ModelTableRow]:
    """Return the rows sorted by a column, unknown values last; in the given order if ``column`` is ""."""
    keys: dict[str, Any] = {
        "price": lambda each: (each.price, each.id),
        "context": lambda each: (-(each.context or 0), each.id),
        "strength": lambda each: (-max((TIERS.index(tier) for tier in each.tiers), default=-1), each.price, each.id),
        "name": lambda each: (each.model.rpartition("/")[2].lower(), each.id),
    }
    return sorted(table_rows, key=keys[column]) if column else table_rows


# ---- rendering -------------------------------------------------------------------------------------


def input_kinds(each: ModelTableRow) -> str:
    kinds = "+".join(each.input) or "?"
    return f"{kinds} (+{'+'.join(each.also)})" if each.also else kinds


def tier_words(each: ModelTableRow) -> str:
    """Return the tier of the first task; or the measured tiers, if any, with a remark that they are measured."""
    if each.endpoint is None:
        return each.tiers[0]
    strengths = each.endpoint.model.strength
    measured_tiers = dict.fromkeys(strength.tier for strength in strengths if strength.evidence.level == "measured")
    if measured_tiers:
        return f"{'/'.join(measured_tiers)} (measured)"
    return strengths[0].tier if strengths else "unknown"


def state(each: ModelTableRow, *, briefly: bool) -> str:
    """Return "ready", or why the row cannot be called and (in a short list) how to change that."""
    if each.ready:
        return "ready"
    return each.missing if briefly else f"{each.missing}: {each.todo}"


def price_of(each: ModelTableRow) -> str:
    from intermodal.cli.rendering.tables import money

    if each.endpoint is not None:
        return price_words(each.endpoint.price)
    if each.price_in is None:
        return "unknown"
    return f"{money(each.price_in)} in, {money(each.price_out)} out a Mtok"


def price_words(price: Price) -> str:
    """Return the price in the unit in which it is sold."""
    from intermodal.cli.rendering.tables import money

    least = f", {price.least_seconds:g} s at least" if price.least_seconds else ""
    length = f"{money(price.second * 3600)} an hour{least}" if price.second else ""
    if price.second and price.input_mtok is None:
        return length
    if price.input_mchar and price.input_mtok is None:
        return f"{money(price.input_mchar)} a million characters"
    if price.page and price.input_mtok is None:
        return f"{money(price.page * 1000)} a thousand pages"
    if price.input_mtok is None:
        return "unknown"
    if not any((price.input_mtok, price.output_mtok, price.request, price.page)):
        return "free"
    tokens = f"{money(price.input_mtok)} in, {money(price.output_mtok)} out a Mtok"
    more = (f"{length} of audio" if length else "", "an unknown price of audio" if price.unpriced else "", price.unsaid)
    return ", and ".join((tokens, *filter(None, more)))


def row_document(each: ModelTableRow, catalog: Catalog) -> dict[str, Any]:
    """Return a row in the form that ``--json`` prints, with every field, whatever its value."""
    from intermodal.planner.catalog_index import is_allowed

    endpoint = each.endpoint
    strength = (
        [
            {"task": s.task, "tier": s.tier, "by": s.evidence.level, "source": s.evidence.source}
            for s in endpoint.model.strength
        ]
        if endpoint is not None
        else [{"task": task, "tier": each.tiers[0], "by": "proxy", "source": _tier_reason(each)} for task in each.tasks]
    )
    return {
        "id": each.id, "model": each.model, "name": each.name, "kind": each.kind, "tasks": each.tasks,
        "input": each.input, "also_takes": each.also, "output": each.output, "host": each.host, "zone": each.zone,
        "served_as": each.served_as, "context": each.context,
        "languages": endpoint.model.languages if endpoint is not None else (),
        "parameters": endpoint.model.parameters if endpoint is not None else None,
        "strength": strength,
        "price": _price(each),
        "ready": each.ready,
        "allowed": endpoint is not None and is_allowed(endpoint, catalog),
        "missing": each.missing, "todo": each.todo,
    }  # fmt: skip


def _tier_reason(each: ModelTableRow) -> str:
    from intermodal.catalog.snapshot.interpretation import tier_of

    return tier_of(each.model)[1]


def _price(each: ModelTableRow) -> dict[str, Any]:
    names = ("input_mtok", "output_mtok", "second", "page", "request")
    if each.endpoint is None:
        return {
            **dict.fromkeys(names), "input_mtok": each.price_in, "output_mtok": each.price_out,
            "source": "the snapshot; see: intermodal models show", "checked": "",
        }  # fmt: skip
    price = each.endpoint.price
    evidence = price.evidence
    return {**{name: getattr(price, name) for name in names}, "source": evidence.source, "checked": evidence.checked}
