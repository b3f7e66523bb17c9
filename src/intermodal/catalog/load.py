"""Load the current catalog from shipped rows, the snapshot and the user's rows.

Endpoints that are not ready state what they lack. A key in the environment makes an endpoint *ready*; only the config
(or a request) makes it *allowed*. For a host without consent, only the models of its shipped row are listed; its other
models in the snapshot are only counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path

import msgspec

from intermodal.catalog.default_speeds import default_speed
from intermodal.catalog.discovered_servers import DiscoveredServer, as_reported, discovered_hosts, with_server_report
from intermodal.catalog.encoder_heads import context_of_config, encoder_head
from intermodal.catalog.host_rows import (
    FOLDER_PROTOCOLS,
    HostRow,
    ServedRow,
    memory_of_row,
    pull_command,
)
from intermodal.catalog.model_folders import (
    contrastive_speed,
    encoder_speed,
    image_tokens_of_config,
    is_model_folder,
    onnx_memory,
    read_model_config,
    scores_pairs_independently,
)
from intermodal.catalog.model_names import find_by_name, split_name
from intermodal.catalog.plugin_rows import http_protocols, missing_protocol, runtime_plugins
from intermodal.catalog.rate_cards import RateCard
from intermodal.catalog.shipped_rows import ShippedRows, families_of, known_hosts, shipped_rows, with_token_rules
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.endpoints import (
    cheapest_endpoints,
    endpoints_by_name,
    endpoints_of_host,
    rows_by_name,
    snapshot_host_row,
    why_host_uncallable,
)
from intermodal.catalog.snapshot.file import SHIPPED_SNAPSHOT, Snapshot, SnapshotHeader, SnapshotRow
from intermodal.catalog.thinking_models import with_thinking
from intermodal.catalog.types import (
    FREE,
    Catalog,
    DiffusionSettings,
    Endpoint,
    Evidence,
    Host,
    Model,
    Price,
    Protocol,
    Strength,
    Task,
    ToolSupport,
    UncallableEndpoint,
    UnlistedHost,
)  # fmt: skip
from intermodal.core.quantity import Quantity
from intermodal.errors import UnknownModel

# Protocols of embedded runtimes, which need an installed package; the others need an address.
_INSTALLABLE = ("llama", "whisper", "ocr", "e5", "contrastive", "diffusion", "encoder", "piper")
# The tasks of a model in a user's own folder, unless its row states others.
CONTRASTIVE: tuple[Task, ...] = ("zero-shot-image-classification", "feature-extraction")
_STARTED_PROTOCOLS = ("started",)  # has an address once it runs, and is started by the run that needs it


@cache
def _open_snapshot(path: Path, stamp: int) -> Snapshot:
    return Snapshot(path)


def load_snapshot(own: Path | None = None) -> Snapshot:
    """Return the shipped snapshot, or the user's own (``models refresh``) if that is newer.

    Raises ConfigError if the user's own is corrupt or was written by a newer intermodal.
    """
    base = _open_snapshot(SHIPPED_SNAPSHOT, 0)
    if own is None or not own.exists():
        return base
    own_snapshot = _open_snapshot(own, own.stat().st_mtime_ns)
    return own_snapshot if own_snapshot.version >= base.version else base


def rate_card_lookup(own: Path | None = None) -> Callable[[Endpoint], tuple[RateCard, ...]]:
    """Return a function from an endpoint to its host's dated prices, used to settle bills.

    The snapshot is read on first use.
    """
    return lambda endpoint: interpretation.rate_cards_of_endpoint(endpoint, load_snapshot(own))


def load_catalog(
    *,
    user: tuple[HostRow, ...] = (),
    consent: tuple[str, ...] = (),
    installed: Mapping[str, str],
    weights: frozenset[str],
    env: Mapping[str, str] | None = None,
    measured_strengths: Mapping[str, tuple[Strength, ...]] | None = None,
    own_snapshot: Path | None = None,
) -> Catalog:
    """Return the catalog of every endpoint known now.

    Args:
        user: host rows of the config. A row with a base_url implies consent to that host, since the user wrote it.
        consent: names of shipped hosts, or hosts of the snapshot, that the user consented to.
        installed: per protocol "" if usable, else what is missing.
        weights: names of complete weights in the weights store.
        env: environment in which API keys are looked up.
        measured_strengths: per endpoint, strength measured on the user's own labelled files; it overrides the rows.
        own_snapshot: path that ``models refresh`` writes to; used if it exists.
    """
    base, models = shipped_rows(), load_snapshot(own_snapshot)
    own = {row.id: row for row in user}
    allowed = {*consent, *(row.id for row in user if row.base_url)}
    rows = _host_rows(base, models, own, allowed)
    endpoints: dict[str, Endpoint] = {}

    def add(endpoint: Endpoint, gap: tuple[str, str] | None) -> None:
        endpoints.setdefault(endpoint.id, _listed_endpoint(endpoint, measured_strengths, gap))

    for row in rows:
        missing = _missing_of_host(row, installed, env or {}, allowed=row.id in allowed)
        made_endpoints = _endpoints_of_row(models, row) if row.id in own else _endpoints_of_shipped_row(models, row)
        for served_row, endpoint in zip(row.models, made_endpoints, strict=True):
            missing_here = missing_protocol(row.protocol, endpoint.model) if row.id in allowed else None
            add(endpoint, missing or missing_here or _missing_weights(row, served_row, weights))
        if row.id in allowed and _is_as_published(row, models, own):
            for endpoint in endpoints_of_host(models, row, frozenset(served.served_name for served in row.models)):
                add(endpoint, missing)
    beyond = tuple(
        _listed_endpoint(endpoint, measured_strengths)
        for _, endpoint in cheapest_endpoints(models, known_hosts(), {*allowed, *own})
    )
    return Catalog(
        endpoints=tuple(endpoints.values()),
        consent=tuple(sorted(allowed)),
        version=models.version,
        elsewhere=_hosts_without_consent(models, allowed, own),
        families=families_of((*endpoints.values(), *beyond)),
        beyond=beyond,
    )


def _is_unknown(catalog: Catalog, name: str) -> bool:
    """Return whether no model has this name.

    An ambiguous name is reported where it is used, not here: a preference accepts any of its models.
    """
    try:
        return not find_by_name(catalog, name)
    except UnknownModel:
        return False


def with_named_models(
    catalog: Catalog,
    names: tuple[str, ...],
    *,
    hosts: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    own_snapshot: Path | None = None,
) -> Catalog:
    """Add models that were requested by name and exist only in the snapshot.

    They need consent as usual. For an unknown name, the models with the nearest names are added, so that they can be
    suggested. ``hosts``: hosts in the request, to explain why a model cannot be called there.
    """
    models = load_snapshot(own_snapshot)
    found = endpoints_by_name(models, names, catalog.by_id, known_hosts())
    more: dict[str, Endpoint] = {}
    for row, endpoints in found:
        gap = _missing_of_host(row, {}, env or {}, allowed=row.id in catalog.consent)
        for endpoint in endpoints:
            more.setdefault(endpoint.id, with_token_rules(_mark_not_ready(endpoint, gap)))
    new = tuple(endpoint for id, endpoint in more.items() if id not in catalog.by_id)
    unknown = (name for name in names if name.strip() and _is_unknown(catalog, name))
    requested_names = (*unknown, *(f"{host}:{name}" for host in hosts for name in names if name))
    uncallable = tuple(each for name in requested_names for each in _uncallable(models, name, {*catalog.by_id, *more}))
    if uncallable:
        catalog = msgspec.structs.replace(catalog, uncallable=uncallable)
    if not new:
        return catalog
    task_counts = Counter((endpoint.host.id, task) for endpoint in new for task in endpoint.model.tasks)
    elsewhere = tuple(
        UnlistedHost(
            host=place.host, tasks=tuple((task, count - task_counts[place.host, task]) for task, count in place.tasks)
        )
        for place in catalog.elsewhere
    )
    every = (*catalog.endpoints, *new)
    return msgspec.structs.replace(
        catalog, endpoints=every, elsewhere=elsewhere, families=families_of((*every, *catalog.beyond))
    )


def plannable(catalog: Catalog, hosts: Collection[str]) -> Catalog:
    """Mark endpoints of these hosts as ready: a plan and a price need no key. Missing parts are still stated."""
    endpoints = tuple(
        msgspec.structs.replace(each, ready=True) if each.host.id in hosts and not each.ready else each
        for each in catalog.endpoints
    )
    return msgspec.structs.replace(catalog, endpoints=endpoints) if endpoints != catalog.endpoints else catalog


def _uncallable(models: Snapshot, name: str, endpoint_ids: set[str]) -> Iterator[UncallableEndpoint]:
    """Yield the snapshot endpoints that a name refers to and no plan can call."""
    host, _ = split_name(name, models.places)
    rows = rows_by_name(models, name)
    if not host and any(row.endpoint in endpoint_ids for row in rows):
        return
    for row in rows:
        why = why_uncallable(row, models) if row.endpoint not in endpoint_ids else None
        if why is not None:
            yield UncallableEndpoint(name.strip().lower(), row.endpoint, *why)


def why_uncallable(row: SnapshotRow, models: Snapshot) -> tuple[str, str] | None:
    """Return why no plan can call a model at a snapshot host, and the fix; None if a plan can."""
    host = find_host(row.host, models.path)
    if host is None:
        why = why_host_uncallable(models, row.host) or "models.dev does not know this host"
        return why, f"if it has an OpenAI-compatible address: intermodal hosts add {row.host} --base-url URL"
    if interpretation.is_callable(row, host.protocol):
        return None
    if interpretation.is_session_model(row):
        why = "it holds a session (realtime speech, research, a computer) and does not answer single requests"
        return why, "choose another model: see intermodal models"
    if not row.tasks:
        whose = " there, though it is known of the model" if row.id in shipped_rows().rows else ""
        why = f"no source states its inputs and outputs{whose}"
        return why, f"write a row of your own: intermodal hosts add {row.host}"
    why = "its host has withdrawn it" if row.status == "deprecated" else "the protocol of its host does not support it"
    return why, f"others of its host: intermodal models --host {row.host}"


def with_discovered_models(
    catalog: Catalog,
    discovered_servers: tuple[DiscoveredServer, ...],
    *,
    user: tuple[HostRow, ...] = (),
    measured_strengths: Mapping[str, tuple[Strength, ...]] | None = None,
    own_snapshot: Path | None = None,
) -> Catalog:
    """Add the models reported by servers on this machine or at addresses in the config.

    A server that computes on this machine needs no consent; if it forwards models to a remote service, those models do.
    ``user`` and the rest are as in :func:`load_catalog`.
    """
    if not discovered_servers:
        return catalog
    base, models = shipped_rows(), load_snapshot(own_snapshot)
    endpoints = {endpoint.id: with_server_report(endpoint, discovered_servers) for endpoint in catalog.endpoints}
    allowed = {*catalog.consent}
    for row, server, reported_models in discovered_hosts(discovered_servers, {row.id: row for row in user}):
        if row.zone == "network":  # such a host can only come from an address in the config
            allowed.add(row.id)
        for served_row in row.models:
            endpoint = as_reported(
                _endpoint(base, models, row, row.host(), served_row), server, reported_models[served_row.served_name]
            )
            endpoints.setdefault(endpoint.id, _listed_endpoint(endpoint, measured_strengths))
    every = tuple(endpoints.values())
    return msgspec.structs.replace(
        catalog, endpoints=every, consent=tuple(sorted(allowed)), families=families_of((*every, *catalog.beyond))
    )


def with_pulled_models(
    catalog: Catalog,
    pulled: tuple[ServedRow, ...],
    *,
    weights: frozenset[str],
    installed: Mapping[str, str],
    user: tuple[HostRow, ...] = (),
    measured_strengths: Mapping[str, tuple[Strength, ...]] | None = None,
    own_snapshot: Path | None = None,
) -> Catalog:
    """Add models pulled from a hub, which embedded runtimes serve.

    If a shipped row names the weights of a model, it keeps that row, with memory, context and speed from its file
    header. The other arguments are as in :func:`load_catalog`.
    """
    base, models = shipped_rows(), load_snapshot(own_snapshot)
    if not pulled:
        return catalog
    own = {each.id: each for each in user}
    rows = {row.protocol: row.overlaid(own[row.id]) if row.id in own else row for row in base.hosts}
    endpoints = dict(catalog.by_id)
    for served_row in pulled:
        row = rows[_runtime_for(served_row)]
        missing = _missing_of_host(row, installed, {}, allowed=True)
        row_by_weights = {served.weights: served for served in row.models if served.weights}
        if served_row.weights in row_by_weights:
            changes = {name: getattr(served_row, name) for name in ("memory", "context", "speed", "input")}
            served_row = msgspec.structs.replace(row_by_weights[served_row.weights], **changes)
        endpoint = _endpoint(base, models, row, row.host(), served_row)
        endpoints[endpoint.id] = _listed_endpoint(
            endpoint, measured_strengths, missing or _missing_weights(row, served_row, weights)
        )
    every = tuple(endpoints.values())
    return msgspec.structs.replace(catalog, endpoints=every, families=families_of((*every, *catalog.beyond)))


def _runtime_for(served_row: ServedRow) -> Protocol:
    """Return the runtime that opens pulled weights, based on their tasks."""
    if "zero-shot-image-classification" in served_row.tasks:
        return "contrastive"
    return (
        "encoder"
        if {"text-classification", "text-ranking", "fill-mask", "zero-shot-classification"} & {*served_row.tasks}
        else "llama"
    )


def with_file_problems(catalog: Catalog, gaps: Mapping[str, tuple[str, str]]) -> Catalog:
    """Mark endpoints whose model files have problems as not ready, with the fix. ``gaps``: problems by endpoint."""
    if not gaps:
        return catalog
    every = tuple(_mark_not_ready(each, gaps.get(each.id) if each.ready else None) for each in catalog.endpoints)
    return msgspec.structs.replace(catalog, endpoints=every)


def _host_rows(base: ShippedRows, models: Snapshot, own: Mapping[str, HostRow], allowed: set[str]) -> list[HostRow]:
    """Return shipped rows overlaid with the user's, allowed hosts of the snapshot, and the user's own hosts."""
    rows = [row.overlaid(own[row.id]) if row.id in own else row for row in base.hosts]
    host_ids = {row.id for row in base.hosts}
    for name in sorted(allowed - host_ids):
        found = snapshot_host_row(models, name)
        if found is not None:
            rows.append(found.overlaid(own[name]) if name in own else found)
            host_ids.add(name)
    return [*rows, *(row for row in own.values() if row.id not in host_ids)]


def _is_as_published(row: HostRow, models: Snapshot, own: Mapping[str, HostRow]) -> bool:
    """Return whether a host is at the address in the snapshot; only then does the snapshot describe it."""
    return (
        row.id in models.places
        and row.discovery is None
        and not (row.id in own and own[row.id].base_url)
        and row.protocol in interpretation.PROTOCOL_TASKS
    )


@cache
def _unlisted_hosts(models: Snapshot) -> tuple[UnlistedHost, ...]:
    """Return the endpoint counts by task for each callable host of the snapshot."""
    names = {row.id for row in known_hosts()}
    return tuple(
        UnlistedHost(host=place.id, tasks=place.tasks)  # type: ignore[arg-type]
        for place in models.places.values()
        if place.tasks and (place.id in names or snapshot_host_row(models, place.id) is not None)
    )


def _hosts_without_consent(models: Snapshot, allowed: set[str], own: Mapping[str, HostRow]) -> tuple[UnlistedHost, ...]:
    return tuple(each for each in _unlisted_hosts(models) if each.host not in allowed and each.host not in own)


@lru_cache(256)
def _endpoints_of_shipped_row(models: Snapshot, row: HostRow) -> tuple[Endpoint, ...]:
    """Return the endpoints of a row that is not the user's own, so that no files of the user are read for it."""
    return _endpoints_of_row(models, row)


def _endpoints_of_row(models: Snapshot, row: HostRow) -> tuple[Endpoint, ...]:
    base, host = shipped_rows(), row.host()
    return tuple(_endpoint(base, models, row, host, served_row) for served_row in row.models)


def _endpoint(base: ShippedRows, models: Snapshot, row: HostRow, host: Host, served_row: ServedRow) -> Endpoint:
    snapshot_row = models.find_by_host(row.id, served_row.served_name) if row.base_url else None
    own_row = base.rows.get(served_row.id)
    model = base.models.get(served_row.id)
    if snapshot_row is not None and own_row is not None:
        model = interpretation.model_of(snapshot_row, own_row, models.header)
    model = interpretation.with_licence(served_row.model_facts(model))
    if row.protocol in FOLDER_PROTOCOLS:
        model = _OF_FOLDERS[row.protocol](model, served_row)
    if model.thinking is None:  # of a row of the user's own
        model = with_thinking(model)
    if served_row.quirks:
        host = msgspec.structs.replace(host, quirks=(*host.quirks, *served_row.quirks))
    context = served_row.context or model.context
    price = served_row.price(host.zone)
    later: tuple[Price, ...] = ()
    listed_price = (
        interpretation.prices_of(snapshot_row, models.header)
        if snapshot_row is not None and not served_row.states_price
        else None
    )
    if listed_price is not None:
        price, later = listed_price.now, listed_price.later
    if row.least_seconds is not None:
        price = msgspec.structs.replace(price, least_seconds=row.least_seconds)
        later = tuple(msgspec.structs.replace(each, least_seconds=row.least_seconds) for each in later)
    speed = default_speed(model, host.zone)
    sized = _SPEEDS_OF_FOLDERS.get(row.protocol)
    if sized is not None and is_model_folder(served_row.weights):
        speed = msgspec.structs.replace(speed, **sized(Path(served_row.weights).expanduser()))
    for timed in (row.speed, served_row.speed):
        speed = timed.speed(speed) if timed is not None else speed
    return Endpoint(
        id=f"{row.id}:{served_row.id}",
        model=model,
        host=host,
        served_as=served_row.served_name,
        input=interpretation.without_refused_kinds(
            served_row.input
            or (
                interpretation.accepted_kinds(model, price, row.protocol, row.input_kinds)
                if row.protocol in http_protocols()
                else model.input
            ),
            host.quirks,
        ),
        context=context,
        price=FREE if host.zone == "process" else price,
        later=later,
        speed=speed,
        tools=_tooling(served_row, snapshot_row, models.header, row),
        doubts=() if snapshot_row is None or served_row.input else interpretation.disputes_of(snapshot_row, own_row),
        memory=_memory(row, served_row),
        weights=served_row.weights,
        evidence=Evidence(
            level="declared", source=served_row.source or row.source, checked=served_row.checked or row.checked
        ),
    )


def _contrastive(model: Model, served_row: ServedRow) -> Model:
    """Complete a contrastive model from a user's folder with what its row does not describe."""
    if not model.tasks or "text-generation" in model.tasks:
        model = msgspec.structs.replace(model, tasks=CONTRASTIVE, input=("text", "image"), output=("embedding",))
    if not model.image_tokens and is_model_folder(served_row.weights):
        tokens = image_tokens_of_config(read_model_config(Path(served_row.weights).expanduser()))
        model = msgspec.structs.replace(model, image_tokens=f"fixed:{tokens}")
    if is_model_folder(served_row.weights):
        config = read_model_config(Path(served_row.weights).expanduser())
        model = msgspec.structs.replace(model, independent=scores_pairs_independently(config))
    return model if model.objective else msgspec.structs.replace(model, objective=("contrastive",))


def _encoder(model: Model, served_row: ServedRow) -> Model:
    """Complete an encoder from a user's folder with the head and the context from its configuration."""
    if not is_model_folder(served_row.weights):
        return model
    config = read_model_config(Path(served_row.weights).expanduser())
    head = encoder_head(config)
    evidence = _ENTAILS if head.kind == "entails" else _TRAINED_FOR_TASK
    trained = (Strength(task=head.task, tier="medium", evidence=evidence),)
    return msgspec.structs.replace(
        model, tasks=(head.task,), input=("text",), output=("scores",),
        labels=head.labels if head.kind == "labels" else (), independent=head.several or head.kind == "entails",
        context=served_row.context or context_of_config(config),
        strength=model.strength if served_row.tier is not None else trained,
        adaptation=model.adaptation or ("" if head.kind == "words" else "one task"),
        objective=model.objective or (("masked-token",) if head.kind == "words" else ()),
    )  # fmt: skip


def _drawing(model: Model, served_row: ServedRow) -> Model:
    """Complete a diffusion model of the user from its row or its files (``local/weights``)."""
    if not {"text-to-image", "image-to-image"} & set(model.tasks):
        strength = tuple(
            msgspec.structs.replace(each, task=task)
            for each in model.strength[:1]
            for task in ("text-to-image", "image-to-image")
        )
        model = msgspec.structs.replace(
            model, tasks=("text-to-image", "image-to-image"), input=("text", "image"), output=("image",),
            strength=strength,
        )  # fmt: skip
    usual = DiffusionSettings()
    diffusion = DiffusionSettings(
        side=served_row.side or usual.side, unit=served_row.unit or usual.unit, steps=served_row.steps or usual.steps,
        guidance=usual.guidance if served_row.guidance is None else served_row.guidance,
        buffers=served_row.buffers or usual.buffers,
    )  # fmt: skip
    return msgspec.structs.replace(
        model, diffusion=diffusion, objective=model.objective or ("diffusion",),
        image_tokens=model.image_tokens or "latent",
    )  # fmt: skip


_ENTAILS = Evidence(level="declared", source="trained on entailment alone; eval measures it")
_TRAINED_FOR_TASK = Evidence(level="declared", source="it was trained for its task and for no other; eval measures it")
_SPEEDS_OF_FOLDERS: Mapping[Protocol, Callable[[Path], dict[str, Quantity]]] = {
    "contrastive": contrastive_speed, "encoder": encoder_speed,
}  # fmt: skip
_OF_FOLDERS: Mapping[Protocol, Callable[[Model, ServedRow], Model]] = {
    "contrastive": _contrastive, "diffusion": _drawing, "encoder": _encoder,
}  # fmt: skip


def _memory(row: HostRow, served_row: ServedRow) -> Quantity:
    if served_row.memory is None and row.protocol != "diffusion" and is_model_folder(served_row.weights):
        return onnx_memory(Path(served_row.weights).expanduser())
    return memory_of_row(served_row)


def _tooling(
    served_row: ServedRow, snapshot_row: SnapshotRow | None, header: SnapshotHeader, row: HostRow
) -> ToolSupport:
    """Return the tool support stated by the row, else by the snapshot."""
    found = interpretation.tool_support_of(snapshot_row, header) if snapshot_row is not None else ToolSupport()
    if served_row.tools is None and served_row.tools_with_json is None:
        return found
    source = Evidence(
        level="declared", source=served_row.source or row.source, checked=served_row.checked or row.checked
    )
    takes = found.takes if served_row.tools is None else served_row.tools
    return ToolSupport(takes=takes, with_json=served_row.tools_with_json, evidence=source)


def _listed_endpoint(
    endpoint: Endpoint,
    measured_strengths: Mapping[str, tuple[Strength, ...]] | None,
    gap: tuple[str, str] | None = None,
) -> Endpoint:
    """Return the endpoint as listed in a catalog: with measured strength, token rules, and what it lacks."""
    return _counting(
        with_token_rules(_mark_not_ready(_with_measured_strength(endpoint, measured_strengths or {}), gap))
    )


def _mark_not_ready(endpoint: Endpoint, gap: tuple[str, str] | None) -> Endpoint:
    """Mark the endpoint as not ready, with the reason and the fix; unchanged if ``gap`` is None."""
    return msgspec.structs.replace(endpoint, ready=False, missing=gap[0], todo=gap[1]) if gap else endpoint


def _counting(endpoint: Endpoint) -> Endpoint:
    """Use a server that counts text as the tokenizer of a model whose vocabulary is unknown."""
    model = endpoint.model
    if model.tokenizer or not endpoint.host.counts_text:
        return endpoint
    return msgspec.structs.replace(endpoint, model=msgspec.structs.replace(model, tokenizer=f"server {endpoint.id}"))


def _with_measured_strength(endpoint: Endpoint, measured_strengths: Mapping[str, tuple[Strength, ...]]) -> Endpoint:
    """Replace declared strength by measured strength, task by task."""
    found = {strength.task: strength for strength in measured_strengths.get(endpoint.id, ())}
    if not found:
        return endpoint
    strengths = tuple(found.pop(strength.task, strength) for strength in endpoint.model.strength)
    model = msgspec.structs.replace(endpoint.model, strength=(*strengths, *found.values()))
    return msgspec.structs.replace(endpoint, model=model)


def _missing_of_host(
    row: HostRow, installed: Mapping[str, str], env: Mapping[str, str], *, allowed: bool
) -> tuple[str, str] | None:
    """Return why no endpoint of a host can be called, and the fix; None if they can.

    No key is looked up before consent, so that a key in the environment changes nothing.
    """
    if row.protocol in _INSTALLABLE:
        todo = installed.get(row.protocol, "pip install 'intermodal[embedded]'")
        return (f"its {row.protocol} runtime is not installed", todo) if todo else None
    if row.protocol in _STARTED_PROTOCOLS or row.protocol in runtime_plugins():
        return None
    if not row.base_url:
        return f"no base_url for host {row.id}", f"intermodal hosts add {row.id} --base-url URL"
    if allowed and row.key == "env" and row.key_env and not env.get(row.key_env, "").strip():
        return f"{row.key_env} is not set", f"intermodal hosts add {row.id}"
    return None


def _missing_weights(row: HostRow, served_row: ServedRow, present: frozenset[str]) -> tuple[str, str] | None:
    if is_model_folder(served_row.weights):
        folder = Path(served_row.weights).expanduser()
        if not folder.exists():
            return f"there is no {served_row.weights}", "correct weights in intermodal.toml"
        why = encoder_head(read_model_config(folder)).why if row.protocol == "encoder" else ""
        return (why, "take a model with a head for labels or ranking") if why else None
    if not served_row.weights or served_row.weights in present:
        return None
    return "its weights are not here", pull_command(served_row.weights, unpinned=served_row.unpinned)


def find_host(name: str, own_snapshot: Path | None = None) -> HostRow | None:
    """Return a shipped host, or a callable host of the snapshot, that can be granted consent; None if unknown."""
    found = next((row for row in known_hosts() if row.id == name), None)
    return found or snapshot_host_row(load_snapshot(own_snapshot), name) or _forwarding_row(name)


def _forwarding_row(name: str) -> HostRow | None:
    """Return the service that a server of this machine forwards models to, if nothing else is published about it."""
    for row in known_hosts():
        if row.discovery is not None and row.discovery.forwards == name:
            words = f"{row.name}, what it passes on"
            return msgspec.structs.replace(row, id=name, name=words, zone="internet", models=(), discovery=None)
    return None


def unknown_host(name: str, own_hosts: Iterable[str], own_snapshot: Path | None = None) -> tuple[str, str]:
    """Return the message for a host that cannot be granted consent, and the fix. ``own_hosts``: hosts of the user."""
    reason = why_host_uncallable(load_snapshot(own_snapshot), name)
    if reason:
        return reason, f"if it has an OpenAI-compatible address: intermodal hosts add {name} --base-url URL"
    names = sorted({row.id for row in known_hosts()} | set(own_hosts))
    more = [name for name in load_snapshot(own_snapshot).places if find_host(name, own_snapshot) and name not in names]
    near = get_close_matches(name, [*names, *more], 3, 0.7)
    todo = f"did you mean {' or '.join(near)}?" if near else f"hosts are {', '.join(names)} and {len(more)} more"
    return f"no host named {name!r}", f"{todo}; a new one: intermodal hosts add {name} --base-url URL"
