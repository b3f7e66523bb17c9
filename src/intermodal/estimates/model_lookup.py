"""Find the model that a name stands for, with its endpoint, its token rules and its prices on a day."""

from __future__ import annotations

from msgspec.structs import replace

from intermodal.catalog import rate_cards
from intermodal.catalog.model_names import find_by_name, resolve_name, split_name
from intermodal.catalog.model_rows import ModelRow
from intermodal.catalog.provenance import DisputedCapability
from intermodal.catalog.rate_cards import RateCard
from intermodal.catalog.search import find_at_host, find_model_id
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.file import RivalPrice, Snapshot, SnapshotRow
from intermodal.catalog.token_rules import ModelFamilies, bare_name, host_in_name
from intermodal.catalog.types import FREE, Catalog, Endpoint, Evidence, Model, Price
from intermodal.content import Kind, Value
from intermodal.cost_model.usage_price import Usage, UsagePrice, usage_price
from intermodal.errors import UnknownModel
from intermodal.hints import MODELS, hint, setting

_NEAR = 3
_BATCH = ("processing", "batch")


class PricedModel(Value):
    """A model, where it is known to be served, and its price there.

    Attributes:
        id: ``vendor/model``. endpoint: ``host:vendor/model``, "" if only its family is known.
        model: None if only its family is known. takes: kinds that it is stated to accept, None if unknown.
        doubts: claims of its host that most others of the model contradict: it is counted nevertheless, with a note.
        price: of its own row, or of this machine. vectors: of the snapshot, dated; they take precedence.
        said_by: source of the price, None without one. rivals: prices of other sources.
    """

    id: str
    endpoint: str = ""
    model: Model | None = None
    takes: tuple[Kind, ...] | None = None
    price: Price | None = None
    vectors: tuple[RateCard, ...] = ()
    said_by: Evidence | None = None
    rivals: tuple[RivalPrice, ...] = ()
    doubts: tuple[DisputedCapability, ...] = ()

    @property
    def _preference(self) -> tuple[bool, bool, bool, float, str]:
        """The vendor's own host first, then a known price, then the lowest; models that would run here for nothing
        last: a user who asks for a price has not pulled them.
        """
        price = self.price or Price()
        by = (price.input_mtok, price.second, price.page, price.picture, price.input_mchar)
        rate = next((usd for usd in by if usd is not None), None)
        host, _, _ = self.endpoint.partition(":")
        vendors = host == self.id.partition("/")[0]
        return not vendors, rate is None, self.price == FREE, rate or 0.0, self.endpoint

    def priced(self, date: str, *, batch: bool = False) -> tuple[UsagePrice, ...] | str:
        """Return the price of a usage on an ISO date, at each price that holds at some hour of it; or why it is
        unknown.
        """
        if self.vectors:
            return _by_vectors(self.vectors, date, batch)
        if self.price is None:
            return "no price is known"
        if self.price.effective_from > date:
            return f"no price before {self.price.effective_from} is known"
        return (usage_price(self.price, batch=batch),)


def _by_vectors(vectors: tuple[RateCard, ...], date: str, batch: bool) -> tuple[UsagePrice, ...] | str:
    if batch and not any(each.when.get(_BATCH[0]) == _BATCH[1] and each.since <= date for each in vectors):
        return f"no price of a batch is known for {date}"
    said = dict([_BATCH]) if batch else {}
    other = tuple(each for each in vectors if each.when)
    held = [
        rate_cards.effective_rates((each, *other), date, **said) for each in rate_cards.rate_cards_on(vectors, date)
    ]
    answers = tuple(embedding_usage(vector) for vector in held if vector is not None)
    return answers or f"no price is known for {date}"


def embedding_usage(vector: RateCard) -> UsagePrice:
    """A vector as an answer to a usage."""

    def billed(used: Usage) -> float | str:
        found = rate_cards.itemize(vector, used)
        return found.usd if found.usd is not None else found.unpriced[0].replace("_", " ")

    return UsagePrice(billed, vector.units, vector.least_seconds)


def find_model(catalog: Catalog, models: Snapshot, families: ModelFamilies, name: str) -> PricedModel:
    """The model a name stands for; one with a host, that endpoint and no other.

    Raises:
        UnknownModel: nobody knows it, or several are called so; the message has the nearest names.
    """
    own = _at_own_server(catalog, models, name)
    if own is not None:
        host, model = own
        served = find_model(catalog, models, families, model)
        return replace(served, endpoint=f"{host}:{model}", price=None, vectors=(), said_by=None, rivals=())
    try:
        one = find_at_host(catalog, models, name)
    except UnknownModel as error:
        raise UnknownModel(error.hints.what, where=setting("model"), todo=error.hints.todo) from None
    if one is not None:
        return of_row(one, models) if isinstance(one, SnapshotRow) else of_endpoint(one, models)
    try:
        there = _of_model(catalog, models, find_model_id(catalog, models, name))
    except UnknownModel as error:
        if error.several and bare_name(name) not in families.names:  # a family's own name has its rules
            raise UnknownModel(error.hints.what, where=setting("model"), todo=error.hints.todo) from None
        there = [of_endpoint(endpoint, models) for endpoint in _endpoints(catalog, name)]
        there += [of_row(row, models) for row in _rows(models, families, name)]
    if there:
        return min(there, key=lambda each: each._preference)
    family = families.of(name)
    if family is not None:
        known_as = name.strip().lower()
        vendor = family[0].partition("/")[0]
        return PricedModel(id=known_as if "/" in known_as else f"{vendor}/{known_as}")
    row = _own_row(name)
    if row is not None:
        return PricedModel(id=row.id, model=row.model(), takes=row.input or None)
    try:
        found = [of_endpoint(endpoint, models) for endpoint in resolve_name(catalog, name)]
    except UnknownModel as error:
        raise UnknownModel(
            error.hints.what, where=setting("model"), todo=_todo(error, models, families, name)
        ) from None
    return min(found, key=lambda each: each._preference)


def _of_model(catalog: Catalog, models: Snapshot, id: str) -> list[PricedModel]:
    """A model wherever it is served, or as the catalog describes it where it is nowhere."""
    found = [of_endpoint(endpoint, models) for endpoint in catalog.endpoints if endpoint.model.id == id]
    found += [of_row(row, models) for row in models.by_model.get(id, ())]
    own = shipped_rows().rows.get(id)
    if found or own is None:
        return found
    return [PricedModel(id=own.id, model=own.model(), takes=own.input or None)]


def _at_own_server(catalog: Catalog, models: Snapshot, name: str) -> tuple[str, str] | None:
    """Return host and model of a name with a server whose models only that server knows, if this model is none of its
    rows: the name tells the model, and its price there is unknown.
    """
    servers = {row.id for row in shipped_rows().hosts if row.discovery is not None}
    servers |= {each.host.id for each in catalog.endpoints if each.host.zone in ("machine", "network")}
    host, model = split_name(name, servers)
    if host not in servers - models.places.keys() or find_by_name(catalog, name):
        return None
    return host, model


def of_endpoint(endpoint: Endpoint, models: Snapshot) -> PricedModel:
    """An endpoint, with the snapshot's dated prices where the price it has is the snapshot's."""
    vectors = interpretation.rate_cards_of_endpoint(endpoint, models)
    row = models.named(endpoint.host.id, endpoint.served_as)
    return PricedModel(
        id=endpoint.model.id, endpoint=endpoint.id, model=endpoint.model, takes=endpoint.model.input,
        price=endpoint.price,
        vectors=vectors, said_by=endpoint.price.evidence, rivals=_rivals(row) if row is not None and vectors else (),
        doubts=endpoint.doubts,
    )  # fmt: skip


def of_row(row: SnapshotRow, models: Snapshot) -> PricedModel:
    """A model at a host, as published."""
    listed, own = interpretation.prices_of(row, models.header), shipped_rows().rows.get(row.id)
    return PricedModel(
        id=row.id, endpoint=row.endpoint, model=interpretation.model_of(row, own, models.header),
        takes=(own.input if own is not None else ()) or interpretation.capabilities_of(row).input or None,
        price=listed.now if listed is not None else None,
        vectors=interpretation.rate_cards_of(row) if listed is not None else (),
        said_by=listed.now.evidence if listed is not None else None, rivals=_rivals(row),
        doubts=interpretation.disputes_of(row, own),
    )  # fmt: skip


def _rivals(row: SnapshotRow) -> tuple[RivalPrice, ...]:
    """Prices of other sources that are something else; of models.dev only where it is not the one that is used."""
    stated = row.stated_prices
    held = row.dated_prices
    units = (
        {unit: rate for unit, rate in stated.units.items() if rate_cards.base_rate(rate)} if stated is not None else {}
    )
    now = rate_cards.effective_rates(held, "9999-12-31") if held and units else None
    if now is None or all(
        rate_cards.base_rate(now.units.get(unit, rate)) == rate_cards.base_rate(rate) for unit, rate in units.items()
    ):
        return row.rival_prices
    return (*row.rival_prices, RivalPrice(by="models.dev", since="", vector=RateCard(units=units)))


def _endpoints(catalog: Catalog, name: str) -> tuple[Endpoint, ...]:
    """Endpoints of exactly this name; of several models with one last word, those of the vendor that is named."""
    wanted, short = name.strip().lower(), bare_name(name)
    one = tuple(e for e in catalog.endpoints if e.id.lower() == wanted)
    if one:
        return one
    if host_in_name(name):  # a host has a model of this very name ("ft:gpt-4o"), which is not one of its name's parts
        return tuple(e for e in catalog.endpoints if e.served_as.lower() == wanted)
    found = tuple(e for e in catalog.endpoints if short in (bare_name(e.model.id), bare_name(e.served_as)))
    own = tuple(e for e in found if _vendor(wanted) and e.model.id.lower().startswith(f"{_vendor(wanted)}/"))
    return own or found


def _rows(models: Snapshot, families: ModelFamilies, name: str) -> list[SnapshotRow]:
    """Rows of the snapshot of this name: at the vendor's own host, else at any."""
    wanted, short = name.strip().lower(), bare_name(name)
    if host_in_name(name):
        return [row for row in models.rows if row.name.lower() == wanted]
    family = families.of(name)
    near = [vendor for vendor in (_vendor(wanted), family[0].partition("/")[0] if family else "") if vendor]
    for place in near:
        found = [row for row in models.of_host(place) if short in (bare_name(row.id), bare_name(row.name))]
        if found:
            return _as_named(found, wanted)
    return _as_named([row for row in models.rows if bare_name(row.id) == short], wanted)


def _as_named(rows: list[SnapshotRow], wanted: str) -> list[SnapshotRow]:
    """Return rows with the stated tag (``:batch``, ``:free``: sold in batches, or rationed), else those without one."""
    tagged = [row for row in rows if ":" in row.name and row.name.lower() == wanted]
    return tagged or [row for row in rows if ":" not in row.name] or rows


def _own_row(name: str) -> ModelRow | None:
    """Return a model that the catalog describes and no endpoint serves."""
    short, rows = bare_name(name), shipped_rows().rows
    found = [row for row in rows.values() if bare_name(row.id) == short]
    found = found or [row for row in rows.values() if bare_name(row.id).startswith(f"{short}-")]
    return found[0] if len(found) == 1 and short else None


def _vendor(wanted: str) -> str:
    return wanted.rpartition(":")[2].rpartition("/")[0] if "/" in wanted else ""


def _todo(error: UnknownModel, models: Snapshot, families: ModelFamilies, name: str) -> str:
    """The nearest names of the snapshot and of the families whose rules are known."""
    from difflib import get_close_matches

    if error.several:
        return error.hints.todo
    names = {bare_name(row.id): row.id for row in models.rows} | families.names
    near = get_close_matches(bare_name(name), names, _NEAR, 0.6)
    return f"did you mean {' or '.join(names[each] for each in near)}?" if near else hint("see {}", MODELS)
