"""Endpoints and hosts of the snapshot beyond those that shipped rows name.

All of it is *declared* by published data only: such endpoints promise no token probabilities, and a forced JSON schema
only if the data states it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

import msgspec

from intermodal.catalog.default_speeds import default_speed
from intermodal.catalog.host_rows import HostRow, zone_of
from intermodal.catalog.model_names import NameIndex, match_name, split_name
from intermodal.catalog.shipped_rows import shipped_rows, with_data_policy
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.file import Snapshot, SnapshotHeader, SnapshotHost, SnapshotRow
from intermodal.catalog.types import Endpoint, Host, OutputKind, Price, Protocol

# models.dev's client libraries for hosts that speak one of our protocols at their base URL.
_PACKAGES: Mapping[str, Protocol] = {"@ai-sdk/openai-compatible": "openai", "@ai-sdk/anthropic": "anthropic"}
_CALL = "/chat/completions"
_UNSURE = "no_logprobs"
MAX_ENDPOINTS_PER_NAME = 200
_NEAR = 3


def snapshot_host_row(models: Snapshot, name: str) -> HostRow | None:
    """Return a host of the snapshot as a row; None if it speaks another protocol, or its address is unknown or on this
    machine (users add their own servers)."""
    place = models.places.get(name)
    return _row_of(place, models.version) if place is not None else None


@lru_cache(512)
def _row_of(place: SnapshotHost, made: str) -> HostRow | None:
    url = place.url.rstrip("/").removesuffix(_CALL)
    protocol = _PACKAGES.get(place.package)
    if protocol is None or not url.startswith("https://") or "$" in url:
        return None
    if zone_of(url) != "internet":
        return None
    row = HostRow(
        id=place.id, name=place.name, base_url=url, key_env=place.keys[0] if place.keys else "", zone="internet",
        protocol=protocol, forced_json=True, quirks=(_UNSURE,), source=f"models.dev, as of the snapshot of {made}",
    )  # fmt: skip
    return with_data_policy(row)


def snapshot_host_rows(header: SnapshotHeader) -> dict[str, HostRow]:
    """Return rows of the snapshot's hosts that are callable without a row of their own."""
    rows = (_row_of(place, header.made) for place in header.places)
    return {row.id: row for row in rows if row is not None}


def cheapest_endpoints(
    models: Snapshot, rows: Sequence[HostRow], known: Container[str]
) -> Iterator[tuple[HostRow, Endpoint]]:
    """Yield endpoints of the cheapest models with media input, at hosts that are not ``known``. ``rows``:
    shipped ones."""
    own = {row.id: row for row in rows}
    by_host: dict[str, set[str]] = {}
    for host, name in models.header.cheapest:
        by_host.setdefault(host, set()).add(name)
    for host, names in by_host.items():
        row = own.get(host) or snapshot_host_row(models, host)
        if row is not None and host not in known and row.protocol in interpretation.PROTOCOL_TASKS:
            some = (each for each in models.of_host(host) if each.name in names)
            yield from ((row, endpoint) for endpoint in _endpoints(models, row, some))


def protocol_of_host(place: SnapshotHost) -> Protocol:
    """Return the protocol of a snapshot host without a row."""
    return _PACKAGES.get(place.package, "openai")


def why_host_uncallable(models: Snapshot, name: str) -> str:
    """Return why a host of the snapshot cannot be called; "" if there is no such host, or it can."""
    place = models.places.get(name)
    if place is None or snapshot_host_row(models, name) is not None:
        return ""
    if place.package not in _PACKAGES:
        return f"models.dev knows {name} by a protocol of its own ({place.package or 'not named'})"
    return f"models.dev has no public address for {name}"


@lru_cache(256)
def endpoints_of_host(models: Snapshot, row: HostRow, named: frozenset[str]) -> tuple[Endpoint, ...]:
    """Return the endpoints of a host that its row does not name."""
    return tuple(_endpoints(models, row, (each for each in models.of_host(row.id) if each.name not in named)))


def _endpoints(models: Snapshot, row: HostRow, some: Iterable[SnapshotRow]) -> Iterator[Endpoint]:
    forced, prompted = _host(row, forced=True), _host(row, forced=False)
    for each in some:
        if not interpretation.is_callable(each, row.protocol) or any(
            fnmatchcase(each.name, pattern) for pattern in row.not_asked
        ):
            continue
        own = shipped_rows().rows.get(each.id)
        model = interpretation.model_of(each, own, models.header)
        tasks = interpretation.callable_tasks(
            interpretation.RowCapabilities(model.tasks, model.input, model.output), row.protocol
        )
        made: tuple[OutputKind, ...] = (
            ("image",) if all(task in interpretation.IMAGE_TASKS for task in tasks) else model.output
        )
        model = msgspec.structs.replace(model, tasks=tasks, output=made)
        listed = interpretation.prices_of(each, models.header)
        price, later = listed if listed is not None else (Price(), ())
        yield Endpoint(
            id=each.endpoint,
            model=model,
            host=forced if "json" in each.can else prompted,
            served_as=each.name,
            input=interpretation.without_refused_kinds(
                interpretation.accepted_kinds(model, price, row.protocol, row.taken), row.quirks
            ),
            context=model.context,
            price=price,
            later=later,
            speed=default_speed(model, "internet")
            if row.speed is None
            else row.speed.speed(default_speed(model, "internet")),
            tools=interpretation.tool_support_of(each, models.header),
            doubts=interpretation.disputes_of(each, own),
            evidence=model.evidence,
        )


def _host(row: HostRow, *, forced: bool) -> Host:
    host = row.host()
    quirks = host.quirks if _UNSURE in host.quirks else (*host.quirks, _UNSURE)
    return msgspec.structs.replace(host, quirks=quirks, forced_json=host.forced_json and forced)


# ---- by name -------------------------------------------------------------------------------------


def endpoints_by_name(
    models: Snapshot, names: Sequence[str], there: Mapping[str, Endpoint], rows: Sequence[HostRow]
) -> Iterator[tuple[HostRow, list[Endpoint]]]:
    """Yield endpoints of the whole snapshot, by host, for names that the catalog lacks; for an unknown name those with
    the nearest names, so that they can be suggested."""
    wanted = [name.strip().lower() for name in names if name.strip() and not _is_there(name.strip().lower(), there)]
    if not wanted:
        return
    own = {row.id: row for row in rows}
    by_host: dict[str, list[SnapshotRow]] = {}
    for name in wanted:
        for each in (rows_by_name(models, name) or _likely(models, name))[:MAX_ENDPOINTS_PER_NAME]:
            by_host.setdefault(each.host, []).append(each)
    for host, some in by_host.items():
        row = own.get(host) or snapshot_host_row(models, host)
        if row is not None and row.protocol in interpretation.PROTOCOL_TASKS:
            yield row, list(_endpoints(models, row, some))


def _is_there(name: str, there: Mapping[str, Endpoint]) -> bool:
    return any(
        name in (id.lower(), each.model.id.lower(), each.served_as.lower())
        or each.model.id.lower().rpartition("/")[2].startswith(name)
        for id, each in there.items()
    )


def rows_by_name(models: Snapshot, name: str) -> list[SnapshotRow]:
    """Return the rows of a name, at the host it states if any; [] for an unknown name."""
    host, word = split_name(name, models.places)
    if not host:
        return models.names.pick(word)
    rows = models.of_host(host)
    return [row for row in rows if row.endpoint.lower() == f"{host}:{word}"] or match_name(
        rows, word, SnapshotRow.called
    )


def _likely(models: Snapshot, name: str) -> list[SnapshotRow]:
    """Return rows of the models with the nearest names."""
    host, word = split_name(name, models.places)
    names = NameIndex(models.of_host(host), SnapshotRow.called) if host in models.places else models.names
    return names.near(word.rpartition("/")[2], _NEAR, 0.75)
