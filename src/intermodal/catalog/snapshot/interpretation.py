"""The meaning of a snapshot row: a model, a price, an endpoint. Pure except for small data files.

Precedence: the catalog's own host or model row; then models.dev for limits and modalities, and litellm for models that
models.dev lacks; for prices the source with the latest date (``builder.py``), models.dev if no other has any. A price
of zero from models.dev counts as *unknown*, since it also uses 0 for subscriptions and unknown prices.

Capabilities are settled over the rows of all hosts of a model (``drop_disputed_claims``, ``agreed_capabilities``).
Published data has one row per host, and each states inputs and outputs independently. A row that states less may be
right, as a host may limit a model. A row that states more makes a claim about the model, and one error would give it an
input it lacks. So a claim is accepted if the vendor's own host makes it and at least half of all rows do; if the vendor
has no row, half of all rows suffice. Rejected claims are kept beside the row and shown. Not settled here are
capabilities of a host rather than a model: documents (which the host splits into pages) and schema enforcement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Literal, NamedTuple, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from intermodal.catalog import name_patterns, provenance, rate_cards
from intermodal.catalog.model_rows import ModelRow, size_in_name, tier_by_size
from intermodal.catalog.name_patterns import Patterns
from intermodal.catalog.provenance import DisputedCapability
from intermodal.catalog.rate_cards import RateCard
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.snapshot.file import Snapshot, SnapshotHeader, SnapshotRow
from intermodal.catalog.thinking_models import thinking_of, with_thinking
from intermodal.catalog.types import (
    FREE_TIER,
    Endpoint,
    Evidence,
    LicencePermission,
    Model,
    OutputKind,
    Price,
    Protocol,
    Strength,
    Task,
    ToolSupport,
)
from intermodal.core.content import KINDS, Kind, Value
from intermodal.core.request import Tier

_Makes = tuple[OutputKind, ...]
_ACTIVE = re.compile(r"(?<![a-z0-9])a(\d+(?:\.\d+)?)b(?![a-z0-9])")


class TierRule(Value, forbid_unknown_fields=True):
    """A row of ``data/lines.toml``: the assumed tier of models whose id matches, and why."""

    match: str
    tier: Tier
    why: str


@cache
def tier_rules() -> Patterns[TierRule]:
    return name_patterns.read_pattern_rows("lines", TierRule)


@lru_cache(8_192)
def tier_of(model: str) -> tuple[Tier, str]:
    """Return the assumed tier of a model, and why: by its vendor's product line, else by its size."""
    line = name_patterns.first_match(tier_rules(), model)
    if line is not None:
        return line.tier, line.why
    found = _ACTIVE.search(model)
    return tier_by_size(size_in_name(model), float(found[1]) * 1e9 if found else None)


class LicenceRule(Value, forbid_unknown_fields=True):
    """A row of ``data/licences.toml``: the licence of open weights whose id matches, and what it permits."""

    match: str
    licence: str
    permits: LicencePermission
    source: str
    checked: str = ""


@cache
def licence_rules() -> Patterns[LicenceRule]:
    return name_patterns.read_pattern_rows("licences", LicenceRule)


@lru_cache(8_192)
def licence_of(model: str) -> LicenceRule | None:
    """Return the licence of open weights by their family; None if no row matches."""
    return name_patterns.first_match(licence_rules(), model)


def with_licence(model: Model) -> Model:
    """Set the licence of the model's family if the model has none."""
    found = licence_of(model.id) if not model.licence else None
    if found is None:
        return model
    return msgspec.structs.replace(model, licence=found.licence, permits=found.permits)


class FeeRule(Value, forbid_unknown_fields=True):
    """A row of ``data/fees.toml``: what each call of matching models is charged for besides tokens."""

    match: str
    charges_for: str
    source: str
    checked: str = ""


@cache
def fee_rules() -> Patterns[FeeRule]:
    return name_patterns.read_pattern_rows("fees", FeeRule)


@cache
def _least_seconds() -> Mapping[str, float]:
    return {row.id: row.least_seconds for row in shipped_rows().hosts if row.least_seconds}


def _with_minimum_charge(row: SnapshotRow, vector: RateCard) -> RateCard:
    """Add the host's minimum charge and the per-call fee to a row's prices, unless they include a price per call."""
    least = _least_seconds().get(row.host, 0.0)
    if least:
        vector = msgspec.structs.replace(vector, least_seconds=least)
    if "requests_kcount" in vector.units:
        return vector
    found = name_patterns.first_match(fee_rules(), row.id, row.name)
    return vector if found is None else msgspec.structs.replace(vector, unsaid=found.charges_for)


# ---- model facts ---------------------------------------------------------------------------------


class RowCapabilities(NamedTuple):
    """Tasks and modalities; () where the snapshot does not state them."""

    tasks: tuple[Task, ...]
    input: tuple[Kind, ...]
    output: tuple[OutputKind, ...]


def capabilities_of(row: SnapshotRow) -> RowCapabilities:
    """Return the capabilities of a row's model, as inferred when the snapshot was built."""
    return RowCapabilities(
        cast("tuple[Task, ...]", row.tasks), cast("tuple[Kind, ...]", row.input), cast(_Makes, row.output)
    )


def model_of(row: SnapshotRow, own: ModelRow | None, header: SnapshotHeader) -> Model:
    """Return the model: the catalog's own row, completed from the snapshot."""
    capabilities = capabilities_of(row)
    if own is None:
        tier, why = tier_of(row.id)
        evidence = Evidence(level="proxy", source=why)
        found = Model(
            id=row.id,
            name=row.title or row.id,
            tasks=capabilities.tasks,
            input=capabilities.input or ("text",),
            output=capabilities.output or ("text",),
            parameters=size_in_name(row.id),
            context=row.context or row.window,
            max_output=_max_output_tokens(row, capabilities.output),
            strength=tuple(Strength(task=task, tier=tier, evidence=evidence) for task in capabilities.tasks),
            thinking=thinking_of(row.id, "reasoning" in row.can),
            evidence=source_evidence(header, row.facts_by or "models.dev"),
        )
        return with_licence(found)
    filled = msgspec.structs.replace(
        own,
        tasks=own.tasks or capabilities.tasks,
        input=own.input or capabilities.input,
        output=own.output or capabilities.output,
        context=own.context or row.context or row.window,
        max_output=own.max_output or _max_output_tokens(row, own.output or capabilities.output),
    )
    return with_licence(with_thinking(filled.model(), "reasoning" in row.can))


def _max_output_tokens(row: SnapshotRow, output: tuple[OutputKind, ...]) -> int | None:
    """Return the maximum number of output tokens; None for an embedding, for which models.dev lists its dimensions."""
    return None if output == ("embedding",) else row.max_output


def source_evidence(header: SnapshotHeader, name: str) -> Evidence:
    """Return the snapshot's source with this name as evidence, with the date of its data."""
    origin = next((each for each in header.origins if each.about == name), None)
    if origin is None:
        return Evidence(level="declared", source=name)
    origin_name = f"{origin.name} {origin.version}"
    source = origin_name if origin.about == origin.name else f"{origin.about} in {origin_name}"
    return Evidence(level="declared", source=source, checked=origin.taken or header.made)


# ---- prices --------------------------------------------------------------------------------------


class EndpointPrices(NamedTuple):
    """The price on the snapshot's date, and announced later prices."""

    now: Price
    later: tuple[Price, ...] = ()


def prices_of(row: SnapshotRow, header: SnapshotHeader) -> EndpointPrices | None:
    """Return a row's prices in the snapshot; None if it has none."""
    capabilities = capabilities_of(row)
    dated, makes = rate_cards_of(row) if row.dated_prices else (), capabilities.output not in TOKENLESS_OUTPUTS
    if capabilities.tasks == _TRANSCRIPTION_TASKS and not any(
        _OF_SOUND & vector.units.keys() for vector in rate_cards_of(row)
    ):
        return None  # a price of text, or of minutes instead of tokens: the price of an hour of audio is unknown
    if dated:
        return _dated_prices(row, dated, header, makes)
    stated_card = row.stated_prices
    if stated_card is None or (
        not any(map(rate_cards.base_rate, stated_card.units.values())) and not row.name.endswith(FREE_TIER)
    ):
        return None
    hears = _accepts_audio(row)
    return EndpointPrices(
        price_of(_with_minimum_charge(row, stated_card), source_evidence(header, "models.dev"), makes, hears=hears)
    )


def _accepts_audio(row: SnapshotRow) -> bool:
    """Return whether the model takes audio, by the catalog's own row or the snapshot."""
    own = shipped_rows().rows.get(row.id)
    return "audio" in ((own.input if own is not None else ()) or row.input)


TOKENLESS_OUTPUTS: tuple[_Makes, ...] = (("embedding",), ("scores",))  # outputs that are not tokens
_OF_SOUND = frozenset({"audio_hours", "input_audio_hours", "input_audio_mtok"})


def rate_cards_of(row: SnapshotRow) -> tuple[RateCard, ...]:
    """Return all prices of a row, with dates if a source states them; () if unknown."""
    stated_card = row.stated_prices
    return tuple(
        _with_minimum_charge(row, each)
        for each in row.dated_prices or ((stated_card,) if stated_card is not None else ())
    )


def rate_cards_of_endpoint(endpoint: Endpoint, models: Snapshot) -> tuple[RateCard, ...]:
    """Return the host's dated prices of an endpoint; () if its price comes from its own row instead of the snapshot."""
    row = models.find_by_host(endpoint.host.id, endpoint.served_as) if endpoint.host.zone != "process" else None
    prices = prices_of(row, models.header) if row is not None else None
    return rate_cards_of(row) if row is not None and prices is not None and prices.now == endpoint.price else ()


def _dated_prices(
    row: SnapshotRow, dated: tuple[RateCard, ...], header: SnapshotHeader, makes: bool
) -> EndpointPrices | None:
    evidence, snapshot_date, hears = (
        source_evidence(header, row.prices_by or "genai-prices"),
        header.made,
        _accepts_audio(row),
    )
    days = sorted({vector.since for vector in dated if not vector.when})
    now = rate_cards.effective_rates(dated, snapshot_date)
    later = [(day, rate_cards.effective_rates(dated, day)) for day in days if day > snapshot_date]
    if now is None:
        return None
    return EndpointPrices(
        price_of(now, evidence, makes, hears=hears),
        tuple(price_of(vector, evidence, makes, day, hears=hears) for day, vector in later if vector is not None),
    )


def price_of(vector: RateCard, evidence: Evidence, makes: bool, since: str = "", *, hears: bool = False) -> Price:
    """Convert a rate card to the price that plans use.

    It is the price of a small request, with those of larger ones in ``above``. ``makes``: the output is tokens; if not,
    as for an embedding, output is free; otherwise a missing price is unknown. ``hears``: the model accepts audio, which
    no host sells at the text price without saying so.
    """
    base, *dearer = (_flat_price(vector, tokens, evidence, makes, since) for tokens in _probe_sizes(vector))
    if hears and base.input_audio_mtok is None and base.second is None and any((base.input_mtok, base.output_mtok)):
        base, *dearer = (msgspec.structs.replace(each, unpriced=("audio",)) for each in (base, *dearer))
    return msgspec.structs.replace(base, above=tuple(zip(rate_cards.rate_thresholds(vector), dearer, strict=True)))


def _probe_sizes(vector: RateCard) -> tuple[int, ...]:
    """Return one number of input tokens per price: a small request, and one just above each threshold."""
    return (0, *(most + 1 for most in rate_cards.rate_thresholds(vector)))


def _flat_price(vector: RateCard, tokens: int, evidence: Evidence, makes: bool, since: str) -> Price:
    """Return the price of a request with ``tokens`` input tokens, ignoring tiers."""
    units = {name: rate_cards.tiered_rate(rate, tokens) for name, rate in vector.units.items()}
    hours = units.get("input_audio_hours", units.get("audio_hours"))
    pages, characters = units.get("input_document_kpages"), units.get("input_mchars")
    into = units.get("input_mtok", units.get("input_text_mtok"))
    requests = units.get("requests_kcount")
    return Price(
        input_mtok=into,
        output_mtok=units.get("output_mtok", 0.0 if into is not None and not makes else None),
        input_image_mtok=units.get("input_image_mtok"),
        input_audio_mtok=units.get("input_audio_mtok"),
        input_video_mtok=units.get("input_video_mtok"),
        output_audio_mtok=units.get("output_audio_mtok"),
        output_image_mtok=units.get("output_image_mtok"),
        input_mchar=characters,
        second=round(hours / 3600, 12) if hours is not None and "input_audio_mtok" not in units else None,
        page=None if pages is None else pages / 1000,
        request=0.0 if requests is None else requests / 1000,
        least_seconds=vector.least_seconds,
        unsaid=vector.unsaid,
        effective_from=since or vector.since,
        evidence=evidence,
    )


# ---- offers of a host in the snapshot ------------------------------------------------------------


# Names of models for sessions, autonomous research, or computer use.
_SESSIONS = re.compile(r"realtime|[-/]live(-|$)|deep-research|computer-use|-customtools")


# The tasks that each protocol supports.
_CHAT: tuple[Task, ...] = ("text-generation", "image-text-to-text")
IMAGE_TASKS: tuple[Task, ...] = ("text-to-image", "image-to-image")
_SOUND: tuple[Task, ...] = ("audio-text-to-text", "automatic-speech-recognition", "text-to-speech")
PROTOCOL_TASKS: Mapping[Protocol, tuple[Task, ...]] = {
    "openai": (*_CHAT, *_SOUND, "feature-extraction", *IMAGE_TASKS),
    "openai-responses": (*_CHAT, "feature-extraction", *IMAGE_TASKS),
    "anthropic": _CHAT,
    "gemini": (*_CHAT, "audio-text-to-text", "feature-extraction", *IMAGE_TASKS),
    "ollama": (*_CHAT, "feature-extraction"),
}
_TRANSCRIPTION_TASKS = ("automatic-speech-recognition",)
_ONE_THING: tuple[_Makes, ...] = (("text",), ("embedding",), ("audio",), ("image",))
# Modalities accepted in a chat, and in one embedding. A video is accepted only if it has no price of its own, since
# plans price its tokens like those of images.
_CHAT_KINDS: Mapping[Protocol, tuple[Kind, ...]] = {
    "openai": ("text", "image", "audio"),
    "openai-responses": ("text", "image", "audio"),
    "anthropic": ("text", "image"),
    "gemini": ("text", "image", "audio"),
    "ollama": ("text", "image", "audio"),
}
_EMBEDDING_KINDS: Mapping[Protocol, tuple[Kind, ...]] = {"gemini": ("text", "image", "audio", "video", "document")}


def is_session_model(row: SnapshotRow) -> bool:
    """Return whether a model's name denotes sessions of speech or work rather than answers to single requests."""
    return _SESSIONS.search(row.name) is not None


def is_callable(row: SnapshotRow, protocol: Protocol = "openai") -> bool:
    """Return whether intermodal can call this model over ``protocol``, according to the snapshot."""
    return (
        row.status != "deprecated"
        and not is_session_model(row)
        and bool(callable_tasks(capabilities_of(row), protocol))
    )


def callable_tasks(capabilities: RowCapabilities, protocol: Protocol = "openai") -> tuple[Task, ...]:
    """Return the model's tasks that a protocol supports, for a model with one output.

    A model that outputs text and images over one API (Google's) is used only for images.
    """
    driven = PROTOCOL_TASKS.get(protocol, ())
    if capabilities.output == ("text", "image") and protocol in _DRAWS_IN_CHAT:
        driven = IMAGE_TASKS
    elif capabilities.output not in _ONE_THING:
        return ()
    return tuple(
        task
        for task in capabilities.tasks
        if task in driven and ("text" in capabilities.input or task in _TRANSCRIPTION_TASKS)
    )


_DRAWS_IN_CHAT: tuple[Protocol, ...] = ("gemini",)


def supported_kinds(protocol: Protocol, more: tuple[Kind, ...] = ()) -> tuple[Kind, ...]:
    """Return the input modalities that a protocol supports, and those in ``more`` that its host is stated to accept."""
    return (*_CHAT_KINDS.get(protocol, ("text",)), *more)


def accepted_kinds(
    model: Model, price: Price, protocol: Protocol = "openai", more: tuple[Kind, ...] = ()
) -> tuple[Kind, ...]:
    """Return the modalities that a host with this protocol accepts for this model.

    ``more``: documents and videos, if the host accepts them.
    """
    if "automatic-speech-recognition" in model.tasks:
        return ("audio",)
    if model.output == ("embedding",):
        host_kinds = _EMBEDDING_KINDS.get(protocol, ("text",))
        return tuple(kind for kind in model.input if kind in host_kinds and (kind != "video" or _like_images(price)))
    host_kinds = supported_kinds(protocol, more if "image" not in model.output else ())
    supported = {"audio": model.output != ("image",), "video": _like_images(price)}
    return tuple(kind for kind in model.input if kind in host_kinds and supported.get(kind, True))


def _like_images(price: Price) -> bool:
    """Return whether video tokens cost as much as image tokens."""
    pictures = price.input_mtok if price.input_image_mtok is None else price.input_image_mtok
    return price.input_video_mtok in (None, pictures)


def tool_support_of(row: SnapshotRow, header: SnapshotHeader) -> ToolSupport:
    """Return whether a model accepts tools; unknown if most other hosts contradict it.

    Only models.dev states it, and only for models with known modalities.
    """
    if not row.input or not row.output:
        return ToolSupport()
    doubt = next((each for each in row.doubts if each.about == "tools"), None)
    if doubt is not None and not doubt.accepted:
        return ToolSupport(evidence=Evidence(level="declared", source=provenance.describe_dispute(doubt)))
    return ToolSupport(takes="tools" in row.can, evidence=source_evidence(header, row.facts_by or "models.dev"))


def disputes_of(row: SnapshotRow, own: ModelRow | None) -> tuple[DisputedCapability, ...]:
    """Return the disputed claims of a row that the catalog's own row does not settle."""
    return open_disputes(row.doubts, own)


def open_disputes(disputes: Iterable[DisputedCapability], own: ModelRow | None) -> tuple[DisputedCapability, ...]:
    """Return the disputes that the catalog's own row of the model does not settle."""
    settled = own is not None and bool(own.input)
    return tuple(each for each in disputes if not (settled and each.about.endswith(" input")))


_REFUSED_BY: dict[str, Kind] = {"no_audio": "audio", "no_video": "video", "no_documents": "document"}


def without_refused_kinds(kinds: tuple[Kind, ...], quirks: tuple[str, ...]) -> tuple[Kind, ...]:
    """Remove the modalities that a quirk of the host refuses."""
    refused = {_REFUSED_BY[quirk] for quirk in quirks if quirk in _REFUSED_BY}
    return tuple(kind for kind in kinds if kind not in refused) if refused else kinds


def task_counts(rows: Iterable[SnapshotRow], protocol: Protocol = "openai") -> tuple[tuple[Task, int], ...]:
    """Count a host's callable models by task."""
    found: dict[Task, int] = {}
    for row in rows:
        if is_callable(row, protocol):
            for task in callable_tasks(capabilities_of(row), protocol):
                found[task] = found.get(task, 0) + 1
    return tuple(sorted(found.items()))


_BATCH = {"processing": "batch"}


def has_batch_price(vectors: tuple[RateCard, ...], day: str) -> bool:
    """Return whether a batch price is known on that day."""
    return any(each.when == _BATCH and each.since <= day for each in vectors)


def rate_card_on(vectors: tuple[RateCard, ...], day: str, *, batch: bool = False) -> RateCard | None:
    """Return the prices on a day, batch prices if ``batch`` is set; None if unknown."""
    return rate_cards.effective_rates(vectors, day, **(_BATCH if batch else {}))


def with_price_on(endpoint: Endpoint, vectors: tuple[RateCard, ...], day: str, *, batch: bool = False) -> Endpoint:
    """Set the endpoint's only price to that on ``day``, unknown if no source has it; unchanged without rate cards."""
    if not vectors:
        return endpoint
    vector = rate_card_on(vectors, day, batch=batch)
    evidence = endpoint.price.evidence
    makes, hears = endpoint.model.output not in TOKENLESS_OUTPUTS, "audio" in endpoint.model.input
    price = Price(evidence=evidence) if vector is None else price_of(vector, evidence, makes, hears=hears)
    return replace(endpoint, price=price, later=())


class _Field(NamedTuple):
    """A field of rows whose words are claims about the model; ``suffix``: appended to the word in a dispute."""

    name: Literal["input", "output", "can"]
    suffix: str
    settled: frozenset[str]


_FIELDS = (
    _Field("input", " input", frozenset(("text", "image", "audio", "video"))),
    _Field("output", " output", frozenset(("text", "image", "audio", "video"))),
    _Field("can", "", frozenset(("tools", "reasoning"))),
)


def drop_disputed_claims(rows: Iterable[SnapshotRow], own: Mapping[str, str]) -> list[SnapshotRow]:
    """Remove rejected claims from the rows, and add their disputes.

    ``own``: hosts that mainly serve their own models, with the vendor they belong to. Rows without stated inputs and
    outputs are unchanged.
    """
    found = list(rows)
    by_model: dict[str, list[SnapshotRow]] = {}
    for row in found:
        if row.input and row.output:
            by_model.setdefault(row.id, []).append(row)
    doubts = {
        model: list(_disputed_claims(model_rows, own)) for model, model_rows in by_model.items() if len(model_rows) > 1
    }
    return [_drop_disputed(row, doubts.get(row.id, ())) for row in found]


def _disputed_claims(
    rows: list[SnapshotRow], own: Mapping[str, str]
) -> Iterator[tuple[_Field, str, DisputedCapability]]:
    """Yield the disputed claims about one model: the field, the word and the counts."""
    vendor_rows = [row for row in rows if own.get(row.host, row.host) == row.id.partition("/")[0]]
    for field in _FIELDS:
        for word in sorted({word for row in rows for word in getattr(row, field.name)} & field.settled):
            claims = _claims(rows, field, word)
            own_host = 2 * _claims(vendor_rows, field, word) >= len(vendor_rows) if vendor_rows else None
            accepted = own_host is not False and 2 * claims >= len(rows)
            if not accepted or (own_host is None and 2 * claims == len(rows)):
                yield field, word, DisputedCapability(word + field.suffix, claims, len(rows), own_host, accepted)


def _claims(rows: list[SnapshotRow], field: _Field, word: str) -> int:
    return sum(word in getattr(row, field.name) for row in rows)


def _drop_disputed(row: SnapshotRow, doubts: Iterable[tuple[_Field, str, DisputedCapability]]) -> SnapshotRow:
    """Return the row with only its accepted claims. At least one input and one output is kept."""
    row_disputes: list[DisputedCapability] = []
    left: dict[str, tuple[str, ...]] = {field.name: getattr(row, field.name) for field in _FIELDS}
    for field, word, doubt in doubts:
        if word not in left[field.name]:
            continue
        fewer = tuple(each for each in left[field.name] if each != word)
        if not doubt.accepted and (fewer or field.name == "can"):
            left[field.name] = fewer
        row_disputes.append(doubt)
    return msgspec.structs.replace(row, **left, doubts=tuple(row_disputes)) if row_disputes else row


class AgreedCapabilities(Struct, frozen=True):
    """The capabilities of a model over all its rows, () if not stated, and its disputes."""

    input: tuple[str, ...]
    output: tuple[str, ...]
    tasks: tuple[str, ...]
    can: tuple[str, ...]
    doubts: tuple[DisputedCapability, ...]


def agreed_capabilities(rows: Iterable[SnapshotRow]) -> AgreedCapabilities:
    """Return the capabilities of one model: the union over its settled rows."""
    some = list(rows)

    def union(field: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word for row in some for word in getattr(row, field)))

    kinds, stating = set(union("input")), [row for row in some if row.input and row.output]
    if 2 * sum(_TAKEN_APART in row.input for row in stating) < len(stating):
        kinds.discard(_TAKEN_APART)  # a few hosts convert documents, but the model does not accept them
    return AgreedCapabilities(
        input=tuple(kind for kind in KINDS if kind in kinds), output=union("output"), tasks=union("tasks"),
        can=union("can"), doubts=tuple({doubt.about: doubt for row in some for doubt in row.doubts}.values()),
    )  # fmt: skip


_TAKEN_APART = "document"


def row_over_hosts(rows: Iterable[SnapshotRow]) -> SnapshotRow:
    """Return the most complete row of one model, with the capabilities agreed over all rows."""
    some = list(rows)
    found, best = agreed_capabilities(some), max(some, key=lambda row: (bool(row.input), row.context or 0))
    return msgspec.structs.replace(best, tasks=found.tasks, input=found.input, output=found.output, can=found.can)
