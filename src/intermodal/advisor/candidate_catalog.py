"""The catalog of candidates: hosted models of the snapshot, and local models that fit the hardware.

No host is contacted and nothing is sent, so no consent is needed. Embedded models count as installed and pulled; models
that intermodal does not run itself are assumed to run on the user's own server, with 4-bit weights.

Speeds on stated hardware come from the formulas of ``intermodal fit`` and from published factors, because measurements
on two CPU cores say nothing about a GPU. If no figure for a GPU is published, the range is wide and its basis says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec.structs import replace

from intermodal.advisor.question import Hardware
from intermodal.catalog.default_speeds import ZONE_SPEEDS
from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.load import find_host, load_catalog, load_snapshot, unknown_host
from intermodal.catalog.model_rows import ModelRow
from intermodal.catalog.reasoning_effort import NO_THINKING_REQUEST
from intermodal.catalog.shipped_rows import known_hosts, shipped_rows
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.endpoints import JUDGE_MODELS, min_plausible_prices, snapshot_host_row
from intermodal.catalog.snapshot.file import Snapshot, SnapshotRow
from intermodal.catalog.snapshot.interpretation import row_over_hosts
from intermodal.catalog.types import FREE, FREE_TIER, Catalog, Endpoint, Evidence, Host, Model, Speed, Strength
from intermodal.core.content import Value
from intermodal.core.hints import hint, setting
from intermodal.core.quantity import Quantity, between
from intermodal.core.request import Policy
from intermodal.errors import UsageError
from intermodal.planner.catalog_index import catalog_index, undominated_members
from intermodal.planner.eligibility.usage_terms import terms_rejection
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.machine import Machine
from intermodal.sizing.memory import memory_of_requests
from intermodal.sizing.speed import speed_of_parameters

OWN_SERVER = Host(id="own-server", name="a server of your own", protocol="openai", zone="machine", forced_json=True)
CONTEXT_EACH = 2048  # tokens of context per concurrent request: a page or an image, and an answer
POPULAR_HOSTS = 3  # an open model at this many hosts counts as widely used
ANY_POLICY = Policy()
_EMBEDDED = ("llama", "whisper", "ocr", "e5", "contrastive", "diffusion", "encoder", "piper")
_BUILT_IN_ZONE = "process"  # the zone of runtimes that intermodal runs itself
_WRITES = ("text-generation", "image-text-to-text", "audio-text-to-text")


class UnspokenReader(Value):
    """A hosted text recognition endpoint whose API intermodal does not support. ``page``: USD per page."""

    endpoint: str
    page: float | None = None


class CandidateCatalog(Value):
    """The catalog, and how it was built.

    Attributes:
        endpoints, hosts: how many hosted ones were considered, including those that others beat in every figure.
        dated: where the prices are from, and of which date.
        rationed: number of free tiers left out. doubted: number of implausible prices left out.
        refused: number of endpoints that licence, region or retention exclude, by reason. unhosted: the hosted ones of
            them.
        readers: text recognition endpoints whose APIs intermodal does not support; no plan uses them.
        full_catalog: the catalog including endpoints that others beat in every figure; needed when models are removed.
            None if it equals ``catalog``.
    """

    catalog: Catalog
    endpoints: int
    hosts: int
    dated: str
    rationed: int
    doubted: int
    refused: tuple[tuple[str, int], ...] = ()
    unhosted: tuple[tuple[str, int], ...] = ()
    readers: tuple[UnspokenReader, ...] = ()
    full_catalog: Catalog | None = None

    def catalog_without(self, models: frozenset[str], as_of: str) -> Catalog:
        """Return the catalog without some models."""
        names = frozenset(model.partition("@")[0] for model in models)  # "@eu" is a region of the same model
        return without_dominated(self.catalog if self.full_catalog is None else self.full_catalog, as_of, without=names)


def candidate_catalog(
    hardware: Hardware,
    as_of: str,
    *,
    user: tuple[HostRow, ...] = (),
    hosts: tuple[str, ...] = (),
    policy: Policy = ANY_POLICY,
    measured_strengths: Mapping[str, tuple[Strength, ...]] | None = None,
    own_snapshot: Path | None = None,
) -> CandidateCatalog:
    """Return the catalog for the hardware.

    Args:
        as_of: date of the prices, ISO.
        user: host rows of the config: the user's own servers are among the candidates.
        measured_strengths: per endpoint, strength measured on the user's own labelled files.
        hosts: only these; () for all hosts of the snapshot that intermodal supports.
        policy: its licence, regions and retention exclude endpoints.

    Raises:
        UsageError: a host is unknown.
    """
    models = load_snapshot(own_snapshot)
    host_ids = _hosts(models, user, hosts, own_snapshot)
    every = load_catalog(
        user=user,
        consent=host_ids,
        installed=dict.fromkeys(_EMBEDDED, ""),
        weights=frozenset(),
        measured_strengths=measured_strengths,
        own_snapshot=own_snapshot,
    )
    ready = tuple(map(_as_installed, (each for each in every.endpoints if _is_candidate(each, host_ids))))
    if hardware.cards:
        ready = tuple(
            speed_on_cards(each, hardware.machine) if each.host.zone == _BUILT_IN_ZONE else each for each in ready
        )
    ready = tuple(each for each in ready if not JUDGE_MODELS.search(each.model.id))
    paid = tuple(each for each in ready if not each.is_free_tier)
    plausible = without_doubted_prices(paid)
    owned = tuple(own_servers(hardware, models))
    reasons = [(each, terms_rejection(each, policy) or _unknown_licence(each, policy)) for each in (*plausible, *owned)]
    left = tuple(each for each, reason in reasons if not reason)
    full_catalog = msgspec.structs.replace(every, endpoints=left, consent=tuple(sorted(host_ids)), elsewhere=())
    remote = [each for each in left if each.host.zone not in LOCAL_ZONES]
    return CandidateCatalog(
        catalog=without_dominated(full_catalog, as_of),
        endpoints=len(remote),
        hosts=len({each.host.id for each in remote}),
        dated=_price_dates(models),
        rationed=len(ready) - len(paid),
        doubted=len(paid) - len(plausible),
        refused=tuple(Counter(reason for _, reason in reasons if reason).most_common()),
        unhosted=tuple(
            Counter(reason for each, reason in reasons if reason and each.host.zone not in LOCAL_ZONES).most_common()
        ),
        readers=_unspoken_readers(models, host_ids, frozenset(each.id for each in every.endpoints)),
        full_catalog=full_catalog,
    )


def _unspoken_readers(
    models: Snapshot, hosts: tuple[str, ...], callable_here: frozenset[str]
) -> tuple[UnspokenReader, ...]:
    """Return the text recognition endpoints of the snapshot that the catalog lacks, cheapest per page first."""
    found = []
    for host in hosts:
        for row in models.of_host(host):
            if row.tasks == ("image-to-text",) and row.status != "deprecated" and row.endpoint not in callable_here:
                prices = interpretation.prices_of(row, models.header)
                found.append(
                    UnspokenReader(endpoint=row.endpoint, page=prices.now.page if prices is not None else None)
                )
    return tuple(sorted(found, key=lambda each: (each.page is None, each.page or 0.0, each.endpoint)))


def _unknown_licence(endpoint: Endpoint, policy: Policy) -> str:
    """Return why weights for an own server are excluded if their licence is unknown; "" if they are not."""
    has_known_licence = endpoint.host is not OWN_SERVER or endpoint.model.permits or policy.licence == "any"
    return "" if has_known_licence else hint("open weights whose licence terms are unknown ({licence=})", "any")


def _hosts(
    models: Snapshot, user: tuple[HostRow, ...], names: tuple[str, ...], own_snapshot: Path | None
) -> tuple[str, ...]:
    own_hosts = tuple(row.id for row in user if row.base_url)
    for name in names:
        if name not in own_hosts and find_host(name, own_snapshot) is None:
            what, todo = unknown_host(name, own_hosts, own_snapshot)
            raise UsageError(what, where=setting("host"), todo=todo)
    if names:
        return names
    known_ids = [row.id for row in known_hosts()]
    return (
        *known_ids,
        *(name for name in models.places if name not in known_ids and snapshot_host_row(models, name)),
        *own_hosts,
    )


def _is_candidate(endpoint: Endpoint, host_ids: tuple[str, ...]) -> bool:
    return endpoint.host.zone in LOCAL_ZONES or endpoint.host.id in host_ids


def _as_installed(endpoint: Endpoint) -> Endpoint:
    return msgspec.structs.replace(endpoint, ready=True, missing="", todo="")


def without_doubted_prices(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """Return the endpoints without those that cost less than a tenth of what other hosts charge for the same model.

    Such a price is probably an error, and a search for the cheapest route would select exactly these.
    """
    prices = (
        (e.model.id, e.price.input_mtok) for e in endpoints if e.price.input_mtok and e.host.zone not in LOCAL_ZONES
    )
    least = min_plausible_prices(prices)
    return tuple(e for e in endpoints if not e.price.input_mtok or e.price.input_mtok >= least.get(e.model.id, 0.0))


def without_dominated(catalog: Catalog, as_of: str, without: frozenset[str] = frozenset()) -> Catalog:
    """Return the catalog without ``without``, and without endpoints that the planner would never choose.

    Those are endpoints that enough others of their class beat in every price and speed. Removing them changes no plan
    and makes repeated planning faster.
    """
    index, kept_ids = catalog_index(catalog), set[str]()
    for group in index.groups:
        left = [each for each in group.members if each.model.id.partition("@")[0] not in without]
        is_complete = len(left) == len(group.members)
        some = (
            index.band(group, as_of, NO_THINKING_REQUEST)
            if is_complete
            else undominated_members(left, as_of, NO_THINKING_REQUEST)
        )
        kept_ids.update(each.id for each in some)
    return catalog.among(tuple(each for each in catalog.endpoints if each.id in kept_ids))


def _price_dates(models: Snapshot) -> str:
    origins = ", ".join(f"{each.about} of {each.taken or models.version}" for each in models.header.origins)
    return f"{origins}, in the snapshot of {models.version}"


# ---- what runs here --------------------------------------------------------------------------------


def own_servers(hardware: Hardware, models: Snapshot) -> Iterator[Endpoint]:
    """Yield an endpoint for each open model that generates text, as if the user's own server had it."""
    for model in open_models(models):
        memory = memory_of_requests(model.parameters, hardware.users, min(model.context or CONTEXT_EACH, CONTEXT_EACH))
        yield Endpoint(
            id=f"{OWN_SERVER.id}:{model.id}",
            model=model,
            host=OWN_SERVER,
            served_as=model.id,
            input=tuple(kind for kind in model.input if kind in ("text", "image", "audio")),
            context=model.context,
            price=FREE,
            speed=_speed(model, hardware),
            memory=memory,
            evidence=Evidence(level="declared", source="hypothetical: not running yet"),
        )


def _speed(model: Model, hardware: Hardware) -> Speed:
    size = model.parameters or 1e9
    return server_speed(size, model.active or size, hardware.machine, hardware.users)


@lru_cache(8)
def open_models(models: Snapshot) -> tuple[Model, ...]:
    """Return the models with available weights and known size: from their own rows, then from the snapshot."""
    found: dict[str, Model] = {}
    rows: Iterable[ModelRow] = shipped_rows().rows.values()
    for row in rows:
        if row.licence and row.parameters:
            found[row.id] = interpretation.with_licence(row.model())
    for each in _open_rows(models):
        if each.id not in found:
            settled = row_over_hosts(models.by_model[each.id])
            model = interpretation.model_of(settled, shipped_rows().rows.get(each.id), models.header)
            if model.parameters and not JUDGE_MODELS.search(model.id):
                found[each.id] = model
    return tuple(
        msgspec.structs.replace(model, output=("text",))
        for model in found.values()
        if "text" in model.output and set(model.tasks) & set(_WRITES) and model.adaptation != "fine-tuning"
    )


def _open_rows(models: Snapshot) -> Iterator[SnapshotRow]:
    """Yield open models that several hosts serve, as a sign of demand."""
    models_by_host: dict[str, set[str]] = {}
    for row in models.rows:
        if "open" in row.can and row.status != "deprecated" and not row.name.endswith(FREE_TIER) and row.tasks:
            models_by_host.setdefault(row.id, set()).add(row.host)
            if len(models_by_host[row.id]) == POPULAR_HOSTS:
                yield row


# ---- speed on stated hardware -----------------------------------------------------------------------


# Seconds per second of audio. faster-whisper's own benchmark: large-v2 in half precision on an RTX 3070 Ti 0.081,
# batched 0.022; large-v3-turbo on an RTX 2080 Ti 0.025 (its issue 1030). Hugging Face's leaderboard of January 2025,
# one GPU, not batched: tiny 0.020, base 0.026, small 0.029, turbo 0.025, large-v3 0.052.
_HEARS_LARGE = between(0.02, 0.06, 0.1, "published of faster-whisper with large models on one card (2024-11, 2025-01)")
_HEARS = between(0.005, 0.028, 0.06, "published of faster-whisper with small models and turbo on one card (2025-01)")
LARGE = 1e9  # parameters
# Time on a GPU relative to two CPU cores; no figure for a GPU has been published.
_FASTER = (0.05, 0.3, 1.2)
_UNPUBLISHED = "measured on 2 cores; no figure for a card is published"


def server_speed(parameters: float, active: float, machine: Machine, users: int = 1) -> Speed:
    """Return the speed of an own server with a 4-bit model of this size, at ``users`` concurrent sequences."""
    base = ZONE_SPEEDS["machine"]
    found = speed_of_parameters(parameters, active, machine, users=users)
    if not found.decode.known:  # only the GPU's memory is known: assume a network server's speed
        return replace(ZONE_SPEEDS["network"], overhead=base.overhead)
    prompt = found.prefill if found.prefill.known else ZONE_SPEEDS["network"].prompt
    return replace(base, decode=found.decode, prompt=prompt)


def speed_on_cards(endpoint: Endpoint, machine: Machine) -> Endpoint:
    """Return the endpoint with its speed on the machine's GPUs instead of the two cores that it was measured on."""
    speed, model = endpoint.speed, endpoint.model
    if model.parameters and "text-generation" in model.tasks:
        own = server_speed(model.parameters, model.active or model.parameters, machine)
        return replace(endpoint, speed=replace(speed, decode=own.decode, prompt=own.prompt))
    hears = _HEARS_LARGE if (model.parameters or 0) >= LARGE else _HEARS
    recognizes = "automatic-speech-recognition" in model.tasks
    changed = replace(
        speed,
        realtime_factor=hears if recognizes else _scale_to_card(speed.realtime_factor),
        megapixel=_scale_to_card(speed.megapixel),
        page=_scale_to_card(speed.page),
    )
    return replace(endpoint, speed=changed)


def _scale_to_card(seconds: Quantity) -> Quantity:
    if not seconds.known or not seconds.mid:
        return seconds
    less, some, more = _FASTER
    return between(seconds.low * less, seconds.mid * some, seconds.high * more, _UNPUBLISHED)
