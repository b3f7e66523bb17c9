"""Endpoints and hosts of the snapshot that shipped rows do not name, and the cheapest of them with media input.

All of it is *declared* by published data only: such endpoints promise no token probabilities, and enforce a JSON schema
only if the data states it.

A verdict names one of the cheapest models with media input if no allowed endpoint keeps the needs. A catalog lists only
the hosts with consent and a few more. One of the thousands of other endpoints may cost a ninth, but searching them all
at each start would take longer than planning. ``cheapest_models`` therefore runs when the snapshot is built, and its
result is stored in the header.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

import msgspec

from intermodal.catalog.default_speeds import default_speed
from intermodal.catalog.host_rows import HostRow, zone_of
from intermodal.catalog.model_names import NameIndex, match_name, models_of_tag, split_name
from intermodal.catalog.shipped_rows import shipped_rows, with_data_policy
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.file import Snapshot, SnapshotHeader, SnapshotHost, SnapshotRow
from intermodal.catalog.types import FREE_TIER, Endpoint, Host, OutputKind, Price, Protocol

# models.dev's client libraries for hosts that speak one of our protocols at their base URL.
_PACKAGES: Mapping[str, Protocol] = {"@ai-sdk/openai-compatible": "openai", "@ai-sdk/anthropic": "anthropic"}
_CALL = "/chat/completions"
_UNSURE = "no_logprobs"
MAX_ENDPOINTS_PER_NAME = 200
_NEAR = 3
KINDS = (("image",), ("audio",), ("video",), ("image", "audio"))
# Input and output tokens of a short request, a typical one, and a long recording or document.
REQUESTS = ((300, 300), (1_500, 150), (15_000, 150))
MODELS_PER_TIER = 3  # models of each tier for each kind and request
JUDGE_MODELS = re.compile(r"guard|moderation|safety")  # classify a text as allowed, and answer nothing
_READERS = re.compile(r"ocr")  # transcribe a page, and answer nothing
IMPLAUSIBLE_DISCOUNT = 10  # a price this many times below the median is an error
MIN_HOSTS = 3  # hosts that a model needs to have a usual price


def snapshot_host_row(models: Snapshot, name: str) -> HostRow | None:
    """Return a host of the snapshot as a row; None if it uses an unsupported protocol or has no public address.

    Addresses on this machine are excluded: users add their own servers.
    """
    place = models.places.get(name)
    return _row_of(place, models.version) if place is not None else None


@lru_cache(512)
def _row_of(place: SnapshotHost, snapshot_date: str) -> HostRow | None:
    url = place.url.rstrip("/").removesuffix(_CALL)
    protocol = _PACKAGES.get(place.package)
    if protocol is None or not url.startswith("https://") or "$" in url:
        return None
    if zone_of(url) != "internet":
        return None
    row = HostRow(
        id=place.id, name=place.name, base_url=url, key_env=place.keys[0] if place.keys else "", zone="internet",
        stated_protocol=protocol, forced_json=True, quirks=(_UNSURE,),
        source=f"models.dev, as of the snapshot of {snapshot_date}",
    )  # fmt: skip
    return with_data_policy(row)


def snapshot_host_rows(header: SnapshotHeader) -> dict[str, HostRow]:
    """Return rows for the snapshot's hosts that can be called without a row of their own."""
    rows = (_row_of(place, header.made) for place in header.places)
    return {row.id: row for row in rows if row is not None}


def cheapest_endpoints(
    models: Snapshot, rows: Sequence[HostRow], excluded_hosts: Container[str]
) -> Iterator[tuple[HostRow, Endpoint]]:
    """Yield endpoints of the cheapest models with media input, at hosts that are not excluded.

    ``rows``: shipped rows.
    """
    own = {row.id: row for row in rows}
    by_host: dict[str, set[str]] = {}
    for host, name in models.header.cheapest:
        by_host.setdefault(host, set()).add(name)
    for host, names in by_host.items():
        row = own.get(host) or snapshot_host_row(models, host)
        if row is not None and host not in excluded_hosts and row.protocol in interpretation.PROTOCOL_TASKS:
            yield from ((row, endpoint) for endpoint in _endpoints_of_names(models, row, frozenset(names)))


@lru_cache(256)
def _endpoints_of_names(models: Snapshot, row: HostRow, names: frozenset[str]) -> tuple[Endpoint, ...]:
    return tuple(_endpoints(models, row, (each for each in models.of_host(row.id) if each.name in names)))


def protocol_of_host(place: SnapshotHost) -> Protocol:
    """Return the protocol of a snapshot host without a row."""
    return _PACKAGES.get(place.package, "openai")


def why_host_uncallable(models: Snapshot, name: str) -> str:
    """Return why a host of the snapshot cannot be called; "" if it can, or does not exist."""
    place = models.places.get(name)
    if place is None or snapshot_host_row(models, name) is not None:
        return ""
    if place.package not in _PACKAGES:
        return f"models.dev knows {name} by a protocol of its own ({place.package or 'not named'})"
    return f"models.dev has no public address for {name}"


@lru_cache(256)
def endpoints_of_host(models: Snapshot, row: HostRow, excluded_names: frozenset[str]) -> tuple[Endpoint, ...]:
    """Return the snapshot endpoints of a host, except the models in ``excluded_names``."""
    return tuple(_endpoints(models, row, (each for each in models.of_host(row.id) if each.name not in excluded_names)))


def _endpoints(models: Snapshot, row: HostRow, snapshot_rows: Iterable[SnapshotRow]) -> Iterator[Endpoint]:
    forced, prompted = _host(row, forced=True), _host(row, forced=False)
    for each in snapshot_rows:
        if not interpretation.is_callable(each, row.protocol) or any(
            fnmatchcase(each.name, pattern) for pattern in row.not_asked
        ):
            continue
        own = shipped_rows().rows.get(each.id)
        model = interpretation.model_of(each, own, models.header)
        tasks = interpretation.callable_tasks(
            interpretation.RowCapabilities(model.tasks, model.input, model.output), row.protocol
        )
        output: tuple[OutputKind, ...] = (
            ("image",) if all(task in interpretation.IMAGE_TASKS for task in tasks) else model.output
        )
        model = msgspec.structs.replace(model, tasks=tasks, output=output)
        prices = interpretation.prices_of(each, models.header)
        price, later = prices if prices is not None else (Price(), ())
        yield Endpoint(
            id=each.endpoint,
            model=model,
            host=forced if "json" in each.can else prompted,
            served_as=each.name,
            input=interpretation.without_refused_kinds(
                interpretation.accepted_kinds(model, price, row.protocol, row.input_kinds), row.quirks
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
    models: Snapshot, names: Sequence[str], endpoints: Mapping[str, Endpoint], rows: Sequence[HostRow]
) -> Iterator[tuple[HostRow, list[Endpoint]]]:
    """Yield endpoints of the whole snapshot, by host, for names that the catalog lacks.

    For an unknown name, yields those with the nearest names, so that they can be suggested.
    """
    lower_names = [
        name.strip().lower() for name in names if name.strip() and not has_name(name.strip().lower(), endpoints)
    ]
    if not lower_names:
        return
    own = {row.id: row for row in rows}
    by_host: dict[str, list[SnapshotRow]] = {}
    for name in lower_names:
        for each in (rows_by_name(models, name) or _likely(models, name))[:MAX_ENDPOINTS_PER_NAME]:
            by_host.setdefault(each.host, []).append(each)
    for host, host_rows in by_host.items():
        row = own.get(host) or snapshot_host_row(models, host)
        if row is not None and row.protocol in interpretation.PROTOCOL_TASKS:
            yield row, list(_endpoints(models, row, host_rows))


def has_name(name: str, endpoints: Mapping[str, Endpoint]) -> bool:
    """Return whether a lower-case name is the name of one of these endpoints or of its model."""
    return any(
        name in (id.lower(), each.model.id.lower(), each.served_as.lower())
        or each.model.id.lower().rpartition("/")[2].startswith(name)
        for id, each in endpoints.items()
    )


def rows_by_name(models: Snapshot, name: str) -> list[SnapshotRow]:
    """Return the rows for a name, only at the host in the name if it has one; [] for an unknown name."""
    host, word = split_name(name, models.places)
    if not host:
        return models.names.pick(word)
    rows = models.of_host(host)
    return [row for row in rows if row.endpoint.lower() == f"{host}:{word}"] or match_name(
        rows, word, SnapshotRow.names
    )


def _likely(models: Snapshot, name: str) -> list[SnapshotRow]:
    """Return the rows of the models with the nearest names.

    A name of Ollama's library is nearest to its model.
    """
    if tagged := models_of_tag(name, models.by_model):
        return [row for id in tagged for row in models.by_model[id]]
    host, word = split_name(name, models.places)
    names = NameIndex(models.of_host(host), SnapshotRow.names) if host in models.places else models.names
    return names.similar(word.rpartition("/")[2], _NEAR, 0.75)


def min_plausible_prices(charged: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the lowest plausible price of each model that several hosts serve: a tenth of the median.

    ``charged``: models, each with the price at one host.
    """
    from statistics import median  # takes 10 ms to import, and is only needed to build a snapshot

    prices: dict[str, list[float]] = {}
    for model, price in charged:
        prices.setdefault(model, []).append(price)
    return {
        model: median(model_prices) / IMPLAUSIBLE_DISCOUNT
        for model, model_prices in prices.items()
        if len(model_prices) >= MIN_HOSTS
    }


def cheapest_models(
    rows: Iterable[SnapshotRow], header: SnapshotHeader, hosts: Mapping[str, HostRow]
) -> tuple[tuple[str, str], ...]:
    """Return the cheapest models as pairs of host and the host's name for the model, in order.

    ``hosts``: hosts that can be called.
    """
    priced = [
        (row, found.now) for row in rows if _answers(row, hosts) and (found := interpretation.prices_of(row, header))
    ]
    least = min_plausible_prices((row.id, price.input_mtok) for row, price in priced if price.input_mtok)
    believed = [(row, price) for row, price in priced if price.input_mtok and price.output_mtok is not None
                and price.input_mtok >= least.get(row.id, 0.0)]  # fmt: skip
    cheapest: set[tuple[str, str]] = set()
    kinds_by_row = [_reachable_kinds(row, price, hosts[row.host], header) for row, price in believed]
    for kinds in KINDS:
        accepting = [each for each, takes in zip(believed, kinds_by_row, strict=True) if set(kinds) <= takes]
        for tokens in REQUESTS:
            cheapest |= _cheapest_per_tier(
                sorted(accepting, key=lambda each: (_usd(each[1], kinds, *tokens), each[0].host))
            )
    return tuple(sorted(cheapest))


def _reachable_kinds(row: SnapshotRow, price: Price, host: HostRow, header: SnapshotHeader) -> set[str]:
    """Return the modalities that reach the model over its host's protocol."""
    model = interpretation.model_of(row, shipped_rows().rows.get(row.id), header)
    return set(
        interpretation.without_refused_kinds(
            interpretation.accepted_kinds(model, price, host.protocol, host.input_kinds), host.quirks
        )
    )


def _answers(row: SnapshotRow, hosts: Mapping[str, HostRow]) -> bool:
    if row.status == "deprecated" or "text" not in row.output or row.name.endswith(FREE_TIER):
        return False
    if JUDGE_MODELS.search(row.id) or _READERS.search(row.id):
        return False
    return row.host in hosts and interpretation.is_callable(row, hosts[row.host].protocol)


def _usd(price: Price, kinds: tuple[str, ...], input_tokens: int, output_tokens: int) -> float:
    rates = {"image": price.input_image_mtok, "video": price.input_image_mtok, "audio": price.input_audio_mtok}
    text = price.input_mtok or 0.0
    media = sum(text if (rate := rates.get(kind)) is None else rate for kind in kinds)
    return input_tokens * media + output_tokens * (price.output_mtok or 0.0)


def _cheapest_per_tier(sorted_rows: list[tuple[SnapshotRow, Price]]) -> set[tuple[str, str]]:
    """Return the first few models of each tier, each at its cheapest host."""
    found: set[tuple[str, str]] = set()
    models_of_tier: dict[str, set[str]] = {}
    for row, _ in sorted_rows:
        models = models_of_tier.setdefault(interpretation.tier_of(row.id)[0], set())
        if row.id not in models and len(models) < MODELS_PER_TIER:
            models.add(row.id)
            found.add((row.host, row.name))
    return found
