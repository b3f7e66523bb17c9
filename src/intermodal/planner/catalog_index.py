"""The indexed catalog: groups of endpoints that all rules treat alike, and the members of each group worth pricing.

Rules read groups instead of endpoints, so planning time grows with the kinds of endpoints and not with their number. An
endpoint that at least ``BAND`` others of its group beat in every price and speed can be neither chosen nor a fallback
for any request, so it is not priced (the k-skyband of Papadias et al., "Progressive Skyline Computation in Database
Systems", TODS 2005).

The index caches a pure function and is stored on its catalog.
"""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from operator import le
from typing import Literal

import msgspec
from msgspec import Struct

from intermodal.catalog.image_options import supported_image_options
from intermodal.catalog.model_token_rules import token_rules_of
from intermodal.catalog.reasoning_effort import ThinkingRequest
from intermodal.catalog.token_rule_rows import ModelFamilies, ModelTokenRules
from intermodal.catalog.types import Catalog, Endpoint, Task
from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.request import TIERS, Tier
from intermodal.cost_model.rates import DAYS_AND_EFFORTS, Rates, ideal_rates, known_rates, rate_dimensions
from intermodal.cost_model.sibling_statistics import with_sibling_figures
from intermodal.cost_model.token_rules import TokenRules, native_token_rules
from intermodal.errors import UsageError
from intermodal.planner.eligibility.usage_terms import endpoint_terms
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.statistics import Statistics

Job = Literal["generate", "transcribe", "read", "describe", "embed", "speak", "score", "draw"]
SHAPES = 256  # request shapes whose eligible endpoints are cached
MAX_LISTED_IDS = 4  # ids named in a rejection
LEAST_READING_TIER = TIERS.index("small")  # below it, an unmeasured vision model is assumed unable to read text
BAND = 4  # the chosen endpoint and three fallbacks
_KEY, _LIKENESS = "_planner_index", "_planner_likeness"
_WRITES: tuple[Task, ...] = ("text-generation", "image-text-to-text", "audio-text-to-text")
_EVIDENCE = {"proxy": 1.0, "benchmark": 2.0, "measured": 3.0}  # rank of a tier's evidence; a declared one ranks lowest
LAST_DAY = "9999-12-31"  # without a date, the newest rules apply

JOBS: dict[Task, tuple[Job, ...]] = {
    "text-generation": ("generate",),
    "image-text-to-text": ("generate", "describe"),
    "audio-text-to-text": ("generate",),
    "automatic-speech-recognition": ("transcribe",),
    "image-to-text": ("read",),
    "feature-extraction": ("embed",),
    "text-to-speech": ("speak",),
    "zero-shot-classification": ("score",),
    "text-classification": ("score",),
    "fill-mask": ("score",),
    "zero-shot-image-classification": ("score",),
    "text-to-image": ("draw",),
    "image-to-image": ("draw",),
}


ENCODER = msgspec.json.Encoder(order="deterministic")


def canonical_json(value: Struct, cls: type[Struct]) -> bytes:
    """Return a value's JSON after a round trip: an integer in a float field becomes a float."""
    return ENCODER.encode(msgspec.json.decode(ENCODER.encode(value), type=cls))


class EndpointGroup(Struct, eq=False):
    """Endpoints that are equal in every property that rules read.

    Attributes:
        first: one member, from which rules read these properties.
        members: all members, ordered by id.
        host: the host id if all members share it, else "".
        jobs: supported jobs. inputs: accepted kinds. remote: whether they run outside this machine.
        tiers: strength by task, as an index into ``TIERS``. strongest: the maximum.
        input_profile: properties that decide which conversion options are possible; groups with equal profiles share
            them.
        rules_by_day, sheets: token rules by day; ``sheets`` include their sources.
        bands, ideals: members worth pricing, and the best value of each of their figures, by day and reasoning effort.
        ids: the first few ids, for rejections.
    """

    number: int
    first: Endpoint
    members: list[Endpoint]
    host: str
    jobs: tuple[Job, ...]
    inputs: frozenset[str]
    remote: bool
    tiers: dict[str, int]
    strongest: int
    input_profile: tuple[frozenset[str], bool, bool, str]
    rules_by_day: dict[str, TokenRules]
    sheets: dict[str, ModelTokenRules]
    bands: dict[tuple[str, ThinkingRequest], tuple[Endpoint, ...]]
    ideals: dict[tuple[str, ThinkingRequest], Rates]
    ids: tuple[str, ...] = ()

    @property
    def cannot_read(self) -> bool:
        """Return whether its models accept images but are known to be too weak to read text in them."""
        return self.input_profile[2]

    def tier(self, task: Task) -> int:
        """Return the strength for a task.

        Without a figure for the task, the general strength is used; a model without any figure counts as the weakest.
        """
        found = self.tiers.get(task)
        return self.tiers.get("text-generation", self.strongest) if found is None else found

    def reuse_results(self, other: EndpointGroup | None) -> None:
        """Reuse results of a group with the same members in another catalog with the same token rules."""
        if other is not None and other.first is self.first and other.members == self.members:
            self.rules_by_day, self.sheets, self.bands, self.ideals = (
                other.rules_by_day,
                other.sheets,
                other.bands,
                other.ideals,
            )


class CatalogIndex:
    """The groups of a catalog, their undominated members, and small caches.

    ``before``: the index of the catalog from which this one was derived; most of its groups are unchanged.
    """

    def __init__(self, catalog: Catalog, before: CatalogIndex | None = None) -> None:
        self.catalog = catalog
        self.families: dict[str, int] = {} if before is None else before.families
        self.groups = _groups(catalog, self.families)
        if before is not None:
            for group in self.groups:
                group.reuse_results(before.group_of.get(group.first.id))
        self.group_of: dict[str, EndpointGroup] = {e.id: group for group in self.groups for e in group.members}
        self.hosts: tuple[str, ...] = tuple(sorted({e.host.id for e in catalog.endpoints}))
        self._of_day: dict[str, list[TokenRules]] = {}
        self._shared_rules: dict[tuple[object, ...], TokenRules] = {} if before is None else before._shared_rules
        self._third_party_ranks: dict[str, float] = {}
        self._standings: dict[tuple[str, Task], tuple[float, float, float]] = {}
        self._informed: tuple[Statistics, Statistics] | None = None
        # The eligible endpoints by shape of request (see ``eligibility/eligible_endpoints.py``).
        self.survivors: BoundedCache[object, object] = BoundedCache("endpoints left by shape", SHAPES)

    @cached_property
    def digest(self) -> str:
        """Return the digest that identifies the catalog in a plan's inputs; computed on first use."""
        return hashlib.sha256(canonical_json(self.catalog, Catalog)).hexdigest()[:16]

    def third_party_rank(self, endpoint_id: str) -> float:
        """Return 1 if a third-party host serves the model, 0 for the model's own vendor and for this machine."""
        found = self._third_party_ranks.get(endpoint_id)
        if found is None:
            endpoint = self.catalog.by_id[endpoint_id]
            found = self._third_party_ranks[endpoint_id] = float(
                needs_consent(endpoint) and not endpoint.is_vendors_own
            )
        return found

    def tie_break_key(self, endpoint_id: str, task: Task) -> tuple[float, float, float]:
        """Return the sort key of models in the same tier, smaller is better: evidence of the tier, price, size.

        Strength measured on this machine ranks before published benchmarks, then a proxy with a verified source, then
        other proxies. Few benchmarks may be redistributed. Beyond them, a model's price is the only figure that all
        vendors publish and that correlates with strength. The lowest price over all hosts counts, so that a host does
        not gain by being expensive. Models that do not generate text have no comparable price.
        """
        key = (endpoint_id, task)
        found = self._standings.get(key)
        if found is None:
            endpoint = self.catalog.by_id[endpoint_id]
            strength = endpoint.tier(task) or endpoint.tier("text-generation")
            level = _EVIDENCE.get(strength.evidence.level, 0.0) if strength is not None else 0.0
            source_bonus = 0.5 if strength is not None and strength.evidence.checked else 0.0
            lowest_price = self._lowest_price.get(endpoint.model.id, 0.0) if task in _WRITES else 0.0
            found = self._standings[key] = (-level - source_bonus, -lowest_price, -(endpoint.model.parameters or 0.0))
        return found

    @cached_property
    def _lowest_price(self) -> dict[str, float]:
        """Return USD per million output tokens by model, at the cheapest host with a stated price.

        Free tiers are excluded.
        """
        found: dict[str, float] = {}
        for endpoint in self.catalog.endpoints:
            price = endpoint.price.output_mtok or endpoint.price.input_mtok
            if price and not endpoint.is_free_tier:
                found[endpoint.model.id] = min(price, found.get(endpoint.model.id, price))
        return found

    def with_sibling_statistics(self, statistics: Statistics) -> Statistics:
        """Return the statistics extended with those of the same model at other endpoints.

        Cached for the latest epoch.
        """
        if not statistics.rows:
            return statistics
        if self._informed is None or self._informed[0] is not statistics:
            self._informed = (statistics, with_sibling_figures(statistics, self._models))
        return self._informed[1]

    @cached_property
    def _models(self) -> dict[str, list[Endpoint]]:
        """Return the endpoints of each model that has several endpoints or runs on this machine."""
        found: dict[str, list[Endpoint]] = {}
        for endpoint in self.catalog.endpoints:
            found.setdefault(endpoint.model.id, []).append(endpoint)
        return {
            name: served for name, served in found.items()
            if name and (len(served) > 1 or served[0].host.zone in LOCAL_ZONES)
        }  # fmt: skip

    def sheet(self, group: EndpointGroup, as_of: str) -> ModelTokenRules:
        """Return the token rules of a group on a day, with sources; no rules on days before its family's first ones."""
        found = group.sheets.get(as_of)
        if found is None:
            model = group.first.model
            try:
                found = token_rules_of(model.id, model, self.catalog.counting, as_of or LAST_DAY)
            except UsageError:
                found = token_rules_of(model.id, model, ModelFamilies(), as_of)
            group.sheets[as_of] = found
        return found

    def token_rules(self, group: EndpointGroup, as_of: str) -> TokenRules:
        """Return the token rules of a group on a day. Groups with equal rules share one object."""
        found = group.rules_by_day.get(as_of)
        if found is None:
            if len(group.rules_by_day) > 100:
                group.rules_by_day.clear()
                group.sheets.clear()
            rules = native_token_rules(self.sheet(group, as_of), group.inputs)
            found = group.rules_by_day[as_of] = self._shared_rules.setdefault(rules.key, rules)
        return found

    def distinct_token_rules(self, as_of: str) -> list[TokenRules]:
        """Return all distinct token rules on a day."""
        found = self._of_day.get(as_of)
        if found is None:
            self._of_day.clear()
            found = self._of_day[as_of] = list(
                {id(b): b for b in (self.token_rules(g, as_of) for g in self.groups)}.values()
            )
        return found

    def band(self, group: EndpointGroup, as_of: str, effort: ThinkingRequest) -> tuple[Endpoint, ...]:
        """Return the members worth pricing, ordered by id."""
        found = group.bands.get((as_of, effort))
        if found is None:
            if len(group.bands) >= DAYS_AND_EFFORTS:
                group.bands.clear()
                group.ideals.clear()
            found = group.bands[as_of, effort] = undominated_members(group.members, as_of, effort)
        return found

    def best_rates(self, group: EndpointGroup, as_of: str, effort: ThinkingRequest) -> Rates:
        """Return the best value of each figure over the group, as stated in the catalog."""
        found = group.ideals.get((as_of, effort))
        if found is None:
            found = group.ideals[as_of, effort] = ideal_rates(
                [known_rates(e, as_of, effort) for e in self.band(group, as_of, effort)]
            )
        return found


def catalog_index(catalog: Catalog) -> CatalogIndex:
    """Return the index of a catalog, built on first use."""
    cache: dict[str, object] = vars(catalog)  # the struct has dict=True for this, as for cached_property
    found = cache.get(_KEY)
    if not isinstance(found, CatalogIndex):
        made_of = cache.pop("made_of", None)
        before = vars(made_of).get(_KEY) if isinstance(made_of, Catalog) else None
        found = cache[_KEY] = CatalogIndex(catalog, before if isinstance(before, CatalogIndex) else None)
    return found


def needs_consent(endpoint: Endpoint) -> bool:
    """Return whether an endpoint needs the user's consent for its host; local hosts need none."""
    return endpoint.host.zone not in LOCAL_ZONES


def is_allowed(endpoint: Endpoint, catalog: Catalog) -> bool:
    """Return whether a plan may use an endpoint: it runs on this machine, or the user consented to its host."""
    return not needs_consent(endpoint) or endpoint.host.id in catalog.consent


def what_is_missing(endpoint: Endpoint, catalog: Catalog) -> tuple[str, str]:
    """Return why an endpoint cannot be called, and the fix; ("", "") if it can. Missing consent comes first."""
    if not is_allowed(endpoint, catalog):
        return "no consent", f"intermodal hosts add {endpoint.host.id}"
    return (endpoint.missing, endpoint.todo) if not endpoint.ready else ("", "")


def _groups(catalog: Catalog, families: dict[str, int]) -> list[EndpointGroup]:
    """Group the endpoints. ``families``: cached identity of the token rule family by model."""
    consented = frozenset(catalog.consent)
    found: dict[tuple[object, ...], EndpointGroup] = {}
    for endpoint in catalog.endpoints:
        host, model = endpoint.host, endpoint.model
        if model.id not in families:
            counts = catalog.counting.of(model.id) if catalog.families else None
            families[model.id] = id(counts[1]) if counts is not None else 0
        # For a text-only model, a family's rules apply only to tools.
        family = families[model.id] if len(endpoint.input) > 1 or endpoint.tools.takes else 0
        own = host.id if needs_consent(endpoint) and host.id not in consented else ""
        key = (own, family, _rule_properties(endpoint))
        group = found.get(key)
        if group is None:
            found[key] = _group(len(found), endpoint, own)
        else:
            group.members.append(endpoint)
    for group in found.values():
        group.members.sort(key=lambda e: e.id)
        group.ids = tuple(e.id for e in group.members[:MAX_LISTED_IDS])
        hosts = {e.host.id for e in group.members}
        group.host = next(iter(hosts)) if len(hosts) == 1 else ""
    return list(found.values())


def _rule_properties(endpoint: Endpoint) -> tuple[object, ...]:
    """Return the properties of an endpoint that rules read. Cached on the endpoint, which many catalogs may share."""
    cache: dict[str, object] = vars(endpoint)
    found = cache.get(_LIKENESS)
    if not isinstance(found, tuple):
        host, model = endpoint.host, endpoint.model
        found = cache[_LIKENESS] = (
            host.zone, endpoint.ready, endpoint.missing, endpoint.todo, model.tasks, endpoint.input, model.output,
            tuple((each.task, each.tier) for each in model.strength), host.forced_json, host.tells_schema,
            host.max_images, model.languages, model.tokenizer, model.vocabulary, model.image_tokens, host.protocol,
            bool(endpoint.scoring), "many_logprobs" in host.quirks, endpoint.tools.takes, endpoint.tools.with_json,
            (model.drawn, model.diffusion, supported_image_options(host)) if "image" in model.output else None,
            endpoint.is_free_tier,
            endpoint.doubts, endpoint_terms(endpoint), "strict_subset" in host.quirks, endpoint.translates,
            model.labels, model.independent,
        )  # fmt: skip
    return found


def _group(number: int, endpoint: Endpoint, host: str) -> EndpointGroup:
    jobs: tuple[Job, ...] = tuple(
        dict.fromkeys(job for task in (*endpoint.model.tasks, *endpoint.scoring) for job in JOBS.get(task, ()))
    )
    if "image" not in endpoint.input:  # whatever the model's tasks are
        jobs = tuple(job for job in jobs if job != "describe")
    tiers: dict[str, int] = {strength.task: TIERS.index(strength.tier) for strength in endpoint.model.strength}
    inputs, remote = frozenset(endpoint.input), endpoint.host.zone not in LOCAL_ZONES
    strongest = max(tiers.values(), default=0)
    cannot_read = "image" in inputs and bool(tiers) and _reading(tiers, strongest) < LEAST_READING_TIER
    cannot_read |= endpoint.model.matches_images  # it matches what an image shows, not its text
    return EndpointGroup(
        number=number, first=endpoint, members=[endpoint], host=host, jobs=jobs, inputs=inputs, remote=remote,
        tiers=tiers, strongest=strongest, input_profile=(inputs, remote, cannot_read, _compares(endpoint)),
        rules_by_day={}, sheets={}, bands={}, ideals={},
    )  # fmt: skip


def _compares(endpoint: Endpoint) -> str:
    """Return what a non-generative model compares ("images", "texts"), or the task of its head; "" for others.

    Such calls are counted differently.
    """
    if endpoint.model.matches_images:
        return "images"
    if not endpoint.model.answers_in_words:
        return endpoint.model.head_task or "texts"
    return ""


def _reading(tiers: dict[str, int], strongest: int) -> int:
    """Return how well a model reads text in images: the measured or stated tier, else its vision tier."""
    tasks: tuple[Task, ...] = ("image-to-text", "image-text-to-text", "text-generation")
    return next((tiers[task] for task in tasks if task in tiers), strongest)


def tier_name(place: int) -> Tier:
    return TIERS[place]


def undominated_members(members: list[Endpoint], as_of: str, effort: ThinkingRequest) -> tuple[Endpoint, ...]:
    """Return the members that fewer than ``BAND`` others dominate, ordered by id.

    The smaller id wins a complete tie.
    """
    if len(members) <= BAND:
        return tuple(members)
    points = [rate_dimensions(known_rates(each, as_of, effort)) for each in members]
    # Only figures that vary can decide; most endpoints share most figures.
    varying = [place for place, column in enumerate(zip(*points, strict=True)) if len(set(column)) > 1]
    slim = [tuple([point[place] for place in varying]) for point in points]
    order = sorted(range(len(members)), key=lambda place: (_dominance_key(slim[place]), slim[place], members[place].id))
    undominated: list[int] = []
    for place in order:
        point = slim[place]
        better_count = 0
        for other in undominated:
            if all(map(le, slim[other], point)):
                better_count += 1
                if better_count >= BAND:
                    break
        if better_count < BAND:
            undominated.append(place)
    return tuple(sorted((members[place] for place in undominated), key=lambda e: e.id))


def _dominance_key(point: tuple[float, ...]) -> float:
    """Return a monotone sort key, so that no point is dominated by a later one. Unknown prices come last."""
    return math.fsum([value if value < math.inf else 1e18 for value in point])
