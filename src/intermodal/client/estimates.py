"""Tokens and cost of one call of a named model, before the call and without a plan.

``find_model`` resolves a name to a model with its token rules and its prices on a day; ``estimate`` counts and prices
the parts. ``estimate_of`` does both for one call with files, for Python programs. Monthly plans are in ``workloads/``;
whether a model fits a machine is in ``model_fit/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from intermodal.catalog import provenance, rate_cards
from intermodal.catalog.load import load_catalog, load_snapshot
from intermodal.catalog.model_names import find_by_name, resolve_name, split_name
from intermodal.catalog.model_rows import ModelRow
from intermodal.catalog.model_token_rules import token_rules_of
from intermodal.catalog.provenance import DisputedCapability
from intermodal.catalog.rate_cards import RateCard
from intermodal.catalog.search import find_at_host, find_model_by_name
from intermodal.catalog.shipped_rows import shipped_families, shipped_rows
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.file import RivalPrice, Snapshot, SnapshotRow
from intermodal.catalog.thinking_models import thinking_of
from intermodal.catalog.token_rule_rows import ModelFamilies, ModelTokenRules, bare_name, host_in_name
from intermodal.catalog.types import FREE, Catalog, Endpoint, Evidence, Model, Price
from intermodal.config.config_file import Config, snapshot_file
from intermodal.core.content import KINDS, Kind, Value, sum_scripts
from intermodal.core.hints import MODELS, hint, setting
from intermodal.core.quantity import Quantity, between, unknown
from intermodal.core.today import today
from intermodal.cost_model.rates import assumed_reasoning
from intermodal.cost_model.token_counts import CountablePart, CountedPart, TokenCount, count_tokens
from intermodal.cost_model.usage_price import Usage, UsagePrice, cacheable_tokens, price_of_parts, usage_price
from intermodal.errors import UnknownModel, UsageError
from intermodal.media.text.script_counts import count_scripts
from intermodal.plans.facts import PartFacts

if TYPE_CHECKING:
    from intermodal.client.request_builder import FileLike
    from intermodal.media.request_media import OpenedRequest


_NEAR = 3
_BATCH = ("processing", "batch")


class PricedModel(Value):
    """A model, the endpoint that serves it if known, and its price there.

    Attributes:
        id: ``vendor/model``. endpoint: ``host:vendor/model``, "" if only the model family is known.
        model: None if only the model family is known. takes: modalities it is stated to accept, None if unknown.
        doubts: claims of its host that most other hosts of the model contradict; such inputs are counted, with a note.
        price: the price in its own row, or of this machine. vectors: dated prices from the snapshot; they take
            precedence.
        said_by: source of the price, None without a price. rivals: prices from other sources.
        reading: how its name was read, "" for an ordinary name.
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
    reading: str = ""

    @property
    def _preference(self) -> tuple[bool, bool, bool, float, str]:
        """Return the sort key for choosing among endpoints of a model.

        The vendor's own host comes first, then endpoints with a known price, then the lowest price. Local models, which
        are free, come last: a user who asks for a price has not pulled them.
        """
        price = self.price or Price()
        by = (price.input_mtok, price.second, price.page, price.picture, price.input_mchar)
        rate = next((usd for usd in by if usd is not None), None)
        host, _, _ = self.endpoint.partition(":")
        vendors = host == self.id.partition("/")[0]
        return not vendors, rate is None, self.price == FREE, rate or 0.0, self.endpoint

    def prices_on(self, date: str, *, batch: bool = False) -> tuple[UsagePrice, ...] | str:
        """Return the usage prices on an ISO date, one per rate that applies during that day.

        Returns the reason as a string if the price is unknown.
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
    conditions = dict([_BATCH]) if batch else {}
    other = tuple(each for each in vectors if each.when)
    valid_cards = [
        rate_cards.effective_rates((each, *other), date, **conditions)
        for each in rate_cards.rate_cards_on(vectors, date)
    ]
    answers = tuple(_embedding_usage(vector) for vector in valid_cards if vector is not None)
    return answers or f"no price is known for {date}"


def _embedding_usage(vector: RateCard) -> UsagePrice:
    """Convert a rate card to a usage price."""

    def bill(used: Usage) -> float | str:
        found = rate_cards.itemize(vector, used)
        return found.usd if found.usd is not None else found.unpriced[0].replace("_", " ")

    return UsagePrice(bill, vector.units, vector.least_seconds)


def find_model(catalog: Catalog, models: Snapshot, families: ModelFamilies, name: str) -> PricedModel:
    """Return the model for a name. A name with a host resolves to exactly that endpoint.

    Raises:
        UnknownModel: no source lists the model, or the name is ambiguous; the message has the nearest names.
    """
    own = _at_own_server(catalog, models, name)
    if own is not None:
        host, model = own
        served_model = find_model(catalog, models, families, model)
        return replace(served_model, endpoint=f"{host}:{model}", price=None, vectors=(), said_by=None, rivals=())
    try:
        one = find_at_host(catalog, models, name)
    except UnknownModel as error:
        raise UnknownModel(error.hints.what, where=setting("model"), todo=error.hints.todo) from None
    if one is not None:
        return _of_row(one, models) if isinstance(one, SnapshotRow) else of_endpoint(one, models)
    try:
        found = find_model_by_name(catalog, models, name)
        readings = [replace(each, reading=found.reading) for each in _of_model(catalog, models, found.id)]
    except UnknownModel as error:
        if error.several and bare_name(name) not in families.names:  # a family's own name has its rules
            raise UnknownModel(error.hints.what, where=setting("model"), todo=error.hints.todo) from None
        readings = [of_endpoint(endpoint, models) for endpoint in _endpoints(catalog, name)]
        readings += [_of_row(row, models) for row in _rows(models, families, name)]
    if readings:
        return min(readings, key=lambda each: each._preference)
    family = families.of(name)
    if family is not None:
        known_as = name.strip().lower()
        vendor = family[0].partition("/")[0]
        return PricedModel(id=known_as if "/" in known_as else f"{vendor}/{known_as}")
    row = _own_row(name)
    if row is not None:
        return PricedModel(id=row.id, model=row.model(), takes=row.input or None)
    try:
        served_by = [of_endpoint(endpoint, models) for endpoint in resolve_name(catalog, name)]
    except UnknownModel as error:
        raise UnknownModel(
            error.hints.what, where=setting("model"), todo=_todo(error, models, families, name)
        ) from None
    return min(served_by, key=lambda each: each._preference)


def _of_model(catalog: Catalog, models: Snapshot, id: str) -> list[PricedModel]:
    """Return a model at each endpoint that serves it, or as the catalog describes it if no endpoint does."""
    found = [of_endpoint(endpoint, models) for endpoint in catalog.endpoints if endpoint.model.id == id]
    found += [_of_row(row, models) for row in models.by_model.get(id, ())]
    own = shipped_rows().rows.get(id)
    if found or own is None:
        return found
    return [PricedModel(id=own.id, model=own.model(), takes=own.input or None)]


def _at_own_server(catalog: Catalog, models: Snapshot, name: str) -> tuple[str, str] | None:
    """Return the host and model of a name if the host is a server whose model list only the server knows.

    Applies only if the model is not among the server's catalog rows; its price there is unknown.
    """
    servers = {row.id for row in shipped_rows().hosts if row.discovery is not None}
    servers |= {each.host.id for each in catalog.endpoints if each.host.zone in ("machine", "network")}
    host, model = split_name(name, servers)
    if host not in servers - models.places.keys() or find_by_name(catalog, name):
        return None
    return host, model


def of_endpoint(endpoint: Endpoint, models: Snapshot) -> PricedModel:
    """Return an endpoint as a priced model, with the snapshot's dated prices if its price comes from the snapshot."""
    vectors = interpretation.rate_cards_of_endpoint(endpoint, models)
    row = models.find_by_host(endpoint.host.id, endpoint.served_as)
    return PricedModel(
        id=endpoint.model.id, endpoint=endpoint.id, model=endpoint.model, takes=endpoint.model.input,
        price=endpoint.price,
        vectors=vectors, said_by=endpoint.price.evidence,
        rivals=_rival_prices(row) if row is not None and vectors else (),
        doubts=endpoint.doubts,
    )  # fmt: skip


def _of_row(row: SnapshotRow, models: Snapshot) -> PricedModel:
    """Return a snapshot row, a model at a host, as a priced model."""
    row_prices, own = interpretation.prices_of(row, models.header), shipped_rows().rows.get(row.id)
    return PricedModel(
        id=row.id, endpoint=row.endpoint, model=interpretation.model_of(row, own, models.header),
        takes=(own.input if own is not None else ()) or interpretation.capabilities_of(row).input or None,
        price=row_prices.now if row_prices is not None else None,
        vectors=interpretation.rate_cards_of(row) if row_prices is not None else (),
        said_by=row_prices.now.evidence if row_prices is not None else None, rivals=_rival_prices(row),
        doubts=interpretation.disputes_of(row, own),
    )  # fmt: skip


def _rival_prices(row: SnapshotRow) -> tuple[RivalPrice, ...]:
    """Return prices from other sources that differ from the price in use.

    Includes models.dev's price if it is not in use.
    """
    row_prices = row.stated_prices
    dated_prices = row.dated_prices
    units = (
        {unit: rate for unit, rate in row_prices.units.items() if rate_cards.base_rate(rate)}
        if row_prices is not None
        else {}
    )
    now = rate_cards.effective_rates(dated_prices, "9999-12-31") if dated_prices and units else None
    if now is None or all(
        rate_cards.base_rate(now.units.get(unit, rate)) == rate_cards.base_rate(rate) for unit, rate in units.items()
    ):
        return row.rival_prices
    return (*row.rival_prices, RivalPrice(by="models.dev", since="", vector=RateCard(units=units)))


def _endpoints(catalog: Catalog, name: str) -> tuple[Endpoint, ...]:
    """Return the endpoints whose name matches exactly.

    If several models share a short name, returns those of the vendor in ``name``, if it has one.
    """
    wanted_name, short = name.strip().lower(), bare_name(name)
    one = tuple(e for e in catalog.endpoints if e.id.lower() == wanted_name)
    if one:
        return one
    if host_in_name(name):  # a host has a model of exactly this name ("ft:gpt-4o")
        return tuple(e for e in catalog.endpoints if e.served_as.lower() == wanted_name)
    found = tuple(e for e in catalog.endpoints if short in (bare_name(e.model.id), bare_name(e.served_as)))
    own = tuple(e for e in found if _vendor(wanted_name) and e.model.id.lower().startswith(f"{_vendor(wanted_name)}/"))
    return own or found


def _rows(models: Snapshot, families: ModelFamilies, name: str) -> list[SnapshotRow]:
    """Return the snapshot rows with this name: at the vendor's own host if it has any, else at any host."""
    wanted_name, short = name.strip().lower(), bare_name(name)
    if host_in_name(name):
        return [row for row in models.rows if row.name.lower() == wanted_name]
    family = families.of(name)
    near = [vendor for vendor in (_vendor(wanted_name), family[0].partition("/")[0] if family else "") if vendor]
    for place in near:
        found = [row for row in models.of_host(place) if short in (bare_name(row.id), bare_name(row.name))]
        if found:
            return _as_named(found, wanted_name)
    return _as_named([row for row in models.rows if bare_name(row.id) == short], wanted_name)


def _as_named(rows: list[SnapshotRow], wanted_name: str) -> list[SnapshotRow]:
    """Return the rows with the tag in the name, or else the untagged rows.

    Tags are ``:batch`` (batch price) and ``:free`` (rate-limited).
    """
    tagged = [row for row in rows if ":" in row.name and row.name.lower() == wanted_name]
    return tagged or [row for row in rows if ":" not in row.name] or rows


def _own_row(name: str) -> ModelRow | None:
    """Return a model that the catalog describes and no endpoint serves."""
    short, rows = bare_name(name), shipped_rows().rows
    found = [row for row in rows.values() if bare_name(row.id) == short]
    found = found or [row for row in rows.values() if bare_name(row.id).startswith(f"{short}-")]
    return found[0] if len(found) == 1 and short else None


def _vendor(wanted_name: str) -> str:
    return wanted_name.rpartition(":")[2].rpartition("/")[0] if "/" in wanted_name else ""


def _todo(error: UnknownModel, models: Snapshot, families: ModelFamilies, name: str) -> str:
    """Return the nearest names from the snapshot and from the families with known token rules, as advice."""
    from difflib import get_close_matches

    if error.several:
        return error.hints.todo
    names = {bare_name(row.id): row.id for row in models.rows} | families.names
    near = get_close_matches(bare_name(name), names, _NEAR, 0.6)
    return f"did you mean {' or '.join(names[each] for each in near)}?" if near else hint("see {}", MODELS)


_CountText = Callable[[str, str], int | None]  # (vocabulary, text) -> tokens, None if not exactly known


class EstimateOptions(NamedTuple):
    """The options of an estimate, as in :meth:`AsyncClient.estimate`."""

    model: str
    out_tokens: int | None = None
    day: str = ""
    batch: bool = False
    cached: int = 0


async def estimate_of(
    prompt: str, files: tuple[FileLike, ...], estimate_options: EstimateOptions, config: Config, env: Mapping[str, str]
) -> Estimate:
    """Return the tokens and the cost of one call with this prompt and these files."""
    out_tokens = estimate_options.out_tokens
    _check(estimate_options)
    if not isinstance(prompt, str):
        raise UsageError(f"the first argument is {type(prompt).__name__}, not a question", todo='write "" for none')
    if not prompt.strip() and not files:
        raise UsageError("nothing to count", todo="give a prompt, a file, or both")
    when = parse_day(estimate_options.day)
    subject = find_priced_model(estimate_options.model, config, env)
    rules = rules_of(subject, shipped_families(), when)
    vocabulary = rules.rules.get("text", "")
    by = token_counter(vocabulary, env)
    pieces = (
        [with_token_count(CountablePart(kind="text", name="prompt"), prompt, vocabulary, by)] if prompt.strip() else []
    )
    if files:
        opened_files = await open_files(files)
        for part in opened_files.facts.parts:
            countable = piece(part)
            pieces.append(
                with_token_count(countable, opened_files.text(part.index), vocabulary, by)
                if part.kind == "text"
                else countable
            )
    if out_tokens is not None:
        pieces.append(CountablePart(kind="output", name=f"output {out_tokens:,}", tokens=out_tokens))
    return estimate(
        subject, rules, tuple(pieces), date=when, batch=estimate_options.batch, cached=estimate_options.cached
    )


def _check(estimate_options: EstimateOptions) -> None:
    for name, value in (("model", estimate_options.model), ("day", estimate_options.day)):
        if not isinstance(value, str):
            raise UsageError(f"{name}={value!r} is not text", todo='write model="gpt-4o", day="2026-11-25"')
    counts: tuple[tuple[str, object], ...] = (
        ("out_tokens", estimate_options.out_tokens or 0),
        ("cached", estimate_options.cached),
    )
    for name, count in counts:
        if not isinstance(count, int) or count < 0:
            raise UsageError(f"{name}={count!r} is not a number of tokens", todo="give 0 or more")


def parse_day(text: str) -> str:
    """Return a day in ISO format, today for "". Raises UsageError if it is invalid."""
    if not text:
        return today()
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError(f"{text!r} is not a day", where=setting("date"), todo="write 2026-11-25") from None


def find_priced_model(name: str, config: Config, env: Mapping[str, str]) -> PricedModel:
    """Return the model for a name, from the user's, shipped and published models. Raises UnknownModel."""
    if config.hosts:
        from intermodal.client.request_builder import checked_config

        config = checked_config(config)
    catalog = load_catalog(user=config.hosts, installed={}, weights=frozenset())
    return find_model(catalog, load_snapshot(snapshot_file(env)), shipped_families(), name)


def token_counter(vocabulary: str, env: Mapping[str, str]) -> _CountText:
    """Return the token counter for a vocabulary, from an installed package or from local weights."""
    from intermodal.local.tokenizers import byte_pair
    from intermodal.local.tokenizers.token_counter import SOURCES, TokenCounter

    if vocabulary not in SOURCES and (vocabulary in byte_pair.ENCODINGS or not vocabulary):
        return byte_pair.count
    from intermodal.local.weights.store import weights_store

    return TokenCounter(weights_store(env)).count


class PriceConflict(Value):
    """The cost of the same call at a price from another source.

    ``since``: the first day of that price, "" if not stated.
    """

    by: str
    since: str
    usd: float


class Estimate(Value):
    """The tokens and the cost of a call.

    ``rejected``: why the model would refuse the call, "" if it would accept it. ``said_by``: the source of the price,
    None without one. ``reading``: how the model's name was read, "" for an ordinary name.
    """

    model: str
    date: str
    count: TokenCount
    usd: Quantity
    rejected: str = ""
    endpoint: str = ""
    said_by: Evidence | None = None
    conflicts: tuple[PriceConflict, ...] = ()
    reading: str = ""


def rules_of(subject: PricedModel, families: ModelFamilies, date: str) -> ModelTokenRules:
    """Return the token rules of a model on a day. Rules in the model's own catalog row override those of its family.

    Raises:
        UsageError: the day is before the first rule of the model's family.
    """
    return token_rules_of(subject.id, subject.model, families, date)


def estimate(
    subject: PricedModel,
    rules: ModelTokenRules,
    pieces: tuple[CountablePart, ...],
    *,
    date: str,
    batch: bool = False,
    cached: int = 0,
) -> Estimate:
    """Return the tokens and the cost of a call with these parts.

    Raises:
        UsageError: the first rule for the modality of a part is dated later, or ``cached`` exceeds the cacheable
            tokens.
    """
    doubted: dict[str, DisputedCapability] = {
        kind: doubt for kind in KINDS for doubt in provenance.disputes_about(subject.doubts, (kind,))
    }
    takes = None if subject.takes is None else (*subject.takes, *filter(doubted.__contains__, KINDS))
    found = _with_contradictions(count_tokens(pieces, rules, takes=takes, model=subject.id), doubted)
    found = _within_context(_with_reasoning(found, subject), subject)
    if not found.rejected and cached > cacheable_tokens(found.parts):
        what = f"{cached:,} tokens of a cache, and of text and images there are {cacheable_tokens(found.parts):,.0f}"
        raise UsageError(what, where=setting("cached"), todo="give the tokens of this call that are read from a cache")
    priced = "it would be refused" if found.rejected else subject.prices_on(date, batch=batch)
    usd = unknown(priced) if isinstance(priced, str) else _bill(found, priced, cached)
    return Estimate(
        model=subject.id, date=date, count=found, usd=usd, rejected=found.rejected, endpoint=subject.endpoint,
        said_by=subject.said_by if usd.known else None, conflicts=_conflicts(subject, found, usd, cached),
        reading=subject.reading,
    )  # fmt: skip


def _bill(token_count: TokenCount, priced: tuple[UsagePrice, ...], cached: int) -> Quantity:
    """Return the cost. If the price depends on the hour of the day, the range covers all hours."""
    bills = [price_of_parts(token_count.parts, each, cached=cached) for each in priced]
    if len(bills) == 1 or not all(each.known for each in bills):
        return bills[0]
    low, high = min(each.low for each in bills), max(each.high for each in bills)
    if low == high:
        return bills[0]
    return between(low, bills[0].mid, high, f"{bills[0].basis}, which depends on the hour of the day")


def _conflicts(subject: PricedModel, token_count: TokenCount, usd: Quantity, cached: int) -> tuple[PriceConflict, ...]:
    """Return the prices of other sources that lie outside the cost's range."""
    if not usd.known:
        return ()
    others = [
        (each, price_of_parts(token_count.parts, _embedding_usage(each.vector), cached=cached))
        for each in subject.rivals
    ]
    return tuple(
        PriceConflict(by=each.by, since=each.since, usd=other.mid)
        for each, other in others
        if other.known and not usd.low <= other.mid <= usd.high
    )


def _with_contradictions(token_count: TokenCount, doubted: Mapping[str, DisputedCapability]) -> TokenCount:
    """Add a note to the parts of modalities on which sources disagree."""
    parts = []
    for part in token_count.parts:
        doubt = doubted.get(part.piece.kind)
        if doubt is not None and not part.refused:
            tokens = msgspec.structs.replace(
                part.tokens, basis=f"{provenance.describe_dispute(doubt)}; {part.tokens.basis}"
            )
            part = msgspec.structs.replace(part, tokens=tokens)
        parts.append(part)
    return msgspec.structs.replace(token_count, parts=tuple(parts))


def _with_reasoning(token_count: TokenCount, subject: PricedModel) -> TokenCount:
    """Add the default reasoning tokens of the model to the count, since the stated output length excludes reasoning."""
    thinks = thinking_of(subject.id) if subject.model is None else subject.model.thinking
    tokens = assumed_reasoning(thinks) if thinks is not None and not token_count.rejected else Quantity()
    if thinks is None or not tokens.high or not any(part.piece.kind == "output" for part in token_count.parts):
        return token_count
    evidence = thinks.evidence
    source = evidence.citation if evidence.source else ""
    part = CountedPart(piece=CountablePart(kind="output", name="thinking"), tokens=tokens, source=source)
    whole = token_count.tokens + tokens if token_count.tokens.known else token_count.tokens
    return msgspec.structs.replace(token_count, parts=(*token_count.parts, part), tokens=whole)


def _within_context(token_count: TokenCount, subject: PricedModel) -> TokenCount:
    """Reject the count if input and output exceed the model's limits.

    Embedding models are exempt, because they process each part separately.
    """
    model = subject.model
    if token_count.rejected or model is None or model.output == ("embedding",):
        return token_count
    where = subject.endpoint or subject.id
    out = sum(part.tokens.low for part in token_count.parts if part.piece.kind == "output")
    every = token_count.tokens.low if token_count.tokens.known else 0.0
    if model.max_output and out > model.max_output:
        why = f"{out:,.0f} tokens out, and {where} writes {model.max_output:,} at most"
    elif model.context and every > model.context:
        why = f"at least {every:,.0f} tokens, and {where} holds {model.context:,}"
    else:
        return token_count
    return msgspec.structs.replace(token_count, rejected=why)


def with_token_count(piece: CountablePart, text: str, vocabulary: str, by: _CountText) -> CountablePart:
    """Return a text part with its exact token count if the vocabulary is available, else with its script counts."""
    tokens = by(vocabulary, text) if vocabulary else None
    size = len(text.encode("utf-8", "replace"))
    made_of = count_scripts(text) if tokens is None else ()
    changes = {"chars": len(text), "size": size, "scripts": made_of, "tokens": tokens, "counted_by": vocabulary}
    return msgspec.structs.replace(piece, **changes)


# ---- real files -------------------------------------------------------------------------------------
async def open_files(files: tuple[FileLike, ...]) -> OpenedRequest:
    """Open files as a request does: documents and emails are first expanded into their contents.

    Raises:
        InputError: a file cannot be read.
    """
    from intermodal.client.request_builder import make_request
    from intermodal.media.expand import expand_request
    from intermodal.media.fetch import CachingFetcher
    from intermodal.media.request_media import open_request
    from intermodal.media.worker_client import MediaWorker

    worker, fetcher = MediaWorker(), CachingFetcher()
    try:
        request = await expand_request(make_request("", *files), worker, fetcher)
        return await open_request(request, worker, fetcher=fetcher)
    finally:
        await worker.close()


def piece(part: PartFacts) -> CountablePart:
    """Return the facts of a probed part that token counting needs."""
    name = part.name
    if part.kind == "image":
        return CountablePart(kind="image", name=name, width=part.width, height=part.height)
    if part.kind == "audio":
        return CountablePart(kind="audio", name=name, seconds=part.seconds.mid)
    if part.kind == "video":
        return CountablePart(
            kind="video", name=name, seconds=part.seconds.mid, width=part.width, height=part.height,
            sound=part.channels > 0,
        )  # fmt: skip
    if part.kind == "document":
        chars = sum(page.chars for page in part.pages)
        width = max((page.width for page in part.pages), default=0.0)
        height = max((page.height for page in part.pages), default=0.0)
        return CountablePart(
            kind="document", name=name, pages=len(part.pages), chars=chars,
            scripts=sum_scripts(page.scripts for page in part.pages), width=round(width), height=round(height),
        )  # fmt: skip
    return CountablePart(kind="text", name=name, chars=part.chars, size=part.size, scripts=part.scripts)
