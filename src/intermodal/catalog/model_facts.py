"""Everything known about a model, fact by fact, each with its source and date.

Sources are read in the planner's order of precedence: the catalog's own row, models.dev, genai-prices. Unused values
are kept beside the fact; a source that contradicts it is shown as a conflict, not resolved.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from intermodal.catalog import model_kinds, provenance, rate_cards
from intermodal.catalog.model_rows import ModelRow
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.file import SnapshotHeader, SnapshotRow
from intermodal.catalog.snapshot.interpretation import AgreedCapabilities, agreed_capabilities
from intermodal.catalog.types import Model
from intermodal.core.content import Value
from intermodal.core.quantity import Quantity

UNVERIFIED = "unverified"


class SourcedValue(Value):
    """A value from one source.

    ``checked``: the date on which the source was opened, or of the source; "" if unverified.
    """

    value: Any
    source: str
    checked: str = ""


class ModelFact(Value):
    """A fact in use, and the values of other sources."""

    name: str
    value: Any
    source: str
    checked: str = ""
    others: tuple[SourcedValue, ...] = ()

    @property
    def conflicts(self) -> tuple[SourcedValue, ...]:
        return tuple(other for other in self.others if other.value != self.value)


class HostOffer(Value):
    """A model at a host of the snapshot.

    Attributes:
        prices: USD by unit, for a small request on the snapshot's day, at the most expensive hour if they vary by hour.
        cheapest: prices at the cheapest hour, {} if they do not vary. stated: prices from models.dev.
        dates: the first days of the dated prices of genai-prices, and the conditions of its conditional prices.
    """

    host: str
    served_as: str
    context: int | None
    max_output: int | None
    prices: dict[str, float]
    cheapest: dict[str, float]
    source: str
    checked: str
    stated: dict[str, float]
    dates: tuple[str, ...]
    status: str
    steps: tuple[int, ...]


def value_in_own_row(row: ModelRow | None, name: str) -> SourcedValue | None:
    """Return the value of a fact in the catalog's own row; None if the row does not state it."""
    value = getattr(row, name) if row is not None else None
    if row is None or value in ((), "", None):
        return None
    return SourcedValue(value=_to_list(value), source=row.source or "the catalog's own row", checked=row.checked)


def _to_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


_SETTLED_FIELDS = ("tasks", "input", "output")  # over the rows of all hosts
_LIMITS = ("context", "max_output")
_OWN = (
    "objective",
    "trained_on",
    "learned_from",
    "adaptation",
    "parameters",
    "active",
    "licence",
    "permits",
    "languages",
    "translates",
    "tokenizer",
)


def model_facts(
    model: Model, own: ModelRow | None, rows: Sequence[SnapshotRow], header: SnapshotHeader, floor: Quantity
) -> tuple[ModelFact, ...]:
    """Return the facts about a model.

    ``rows``: its rows in the snapshot; ``model``: the planner's merged view; ``floor``: minimum memory in bytes to run
    it.
    """
    found = [_derived_fact("kind", model.kind)]
    foundation = model_kinds.is_foundation_model(model.adaptation, model.objective, model.trained_on)
    words = {True: "yes", False: "no: made for one task", None: "not published"}[foundation]
    can = _can(model, rows)
    if foundation is None and can & _INSTRUCTION_CAPABILITIES:
        words = "yes: it is told what to do in words, and does many tasks"
    found.append(_derived_fact("foundation model", words))
    over_all = agreed_capabilities(rows)
    for name in _SETTLED_FIELDS:
        found += _figure(name, [value_in_own_row(own, name), *_agreed_values(getattr(over_all, name), rows, header)])
    found += _contested_facts(over_all, own, rows, header)
    for name in _LIMITS:
        found += _figure(
            name, [value_in_own_row(own, name), *_models_dev(rows, name, header), *_window(rows, name, header)]
        )
    for name in _OWN:
        found += _figure(name.replace("learned_from", "learned from"), [value_in_own_row(own, name)])
    if own is None or not own.licence:
        found += _licence(model)
    if own is not None and not own.languages:
        found += _figure("languages", [value_in_own_row(own, "language_range")])
    if (own is None or own.parameters is None) and model.parameters:
        found.append(ModelFact(name="parameters", value=model.parameters, source="its name says so"))
    if floor.known:
        found.append(ModelFact(name="compute floor", value=[floor.low, floor.high], source=floor.basis))
    found += _figure("knowledge", _models_dev(rows, "knowledge", header))
    if can:
        found += _figure(
            "can", [SourcedValue(value=sorted(can), source=_source(header, "models.dev"), checked=_day(header))]
        )
    if model.strength:
        strength = model.strength[0]
        found.append(
            ModelFact(
                name="strength", value=strength.tier, checked=strength.evidence.checked,
                source=f"{strength.evidence.level}: {strength.evidence.source or 'no reason is given'}",
            )
        )  # fmt: skip
    return tuple(found)


# Capabilities by which models.dev marks models that follow instructions for many tasks.
_INSTRUCTION_CAPABILITIES = frozenset({"tools", "json", "reasoning"})


def _can(model: Model, rows: Sequence[SnapshotRow]) -> frozenset[str]:
    """Return the capabilities that models.dev states; a model that writes no text neither calls tools nor reasons."""
    every = frozenset(word for row in rows for word in row.can)
    return every if "text" in model.output else every - _INSTRUCTION_CAPABILITIES


def missing_facts(facts: Iterable[ModelFact], model: Model) -> tuple[str, ...]:
    """Return the facts that no source states. A context length is omitted for a model without text."""
    names = ["objective", "trained_on", "parameters", "licence", "languages"]
    if "text" in (*model.input, *model.output):
        names.insert(0, "context")
    stated_names = {figure.name for figure in facts}
    return tuple(name for name in names if name not in stated_names)


def _derived_fact(name: str, value: Any) -> ModelFact:
    return ModelFact(name=name, value=value, source="derived from what follows")


def _figure(name: str, values: Iterable[SourcedValue | None]) -> list[ModelFact]:
    sourced_values = [each for each in values if each is not None]
    if not sourced_values:
        return []
    first, *others = sourced_values
    return [ModelFact(name=name, value=first.value, source=first.source, checked=first.checked, others=tuple(others))]


def _licence(model: Model) -> list[ModelFact]:
    """Return the licence of a family of open weights, and what it permits."""
    row = interpretation.licence_of(model.id)
    if row is None:
        return []
    return [
        ModelFact(name="licence", value=row.licence, source=row.source, checked=row.checked),
        ModelFact(name="permits", value=row.permits, source=row.source, checked=row.checked),
    ]


def _agreed_values(value: tuple[str, ...], rows: Sequence[SnapshotRow], header: SnapshotHeader) -> list[SourcedValue]:
    """Return what the rows of all hosts agree on, without disputed claims."""
    stating = [row for row in rows if row.input and row.output]
    if not value or not stating:
        return []
    sources = ", ".join(dict.fromkeys(_source(header, row.facts_by or "models.dev") for row in stating))
    scope = f", over {len(stating)} hosts' rows" if len(stating) > 1 else ""
    return [SourcedValue(value=list(value), source=f"{sources}{scope}", checked=_day(header))]


def _contested_facts(
    capabilities: AgreedCapabilities, own: ModelRow | None, rows: Sequence[SnapshotRow], header: SnapshotHeader
) -> list[ModelFact]:
    """Return the capabilities that rows dispute, except those that the catalog's own row settles."""
    disputes = [provenance.describe_dispute(each) for each in interpretation.open_disputes(capabilities.doubts, own)]
    if not disputes:
        return []
    sources = ", ".join(dict.fromkeys(_source(header, row.facts_by or "models.dev") for row in rows if row.input))
    return [ModelFact(name="contested", value=disputes, source=sources, checked=_day(header))]


def _models_dev(rows: Sequence[SnapshotRow], field: str, header: SnapshotHeader) -> list[SourcedValue]:
    """Return models.dev's value at the vendor's own host, else the most common one: some hosts limit a model."""
    row_values = [(row, value) for row in rows if (value := getattr(row, field)) not in ((), "", None)]
    if not row_values:
        return []
    values = Counter(value for _, value in row_values)
    own = [value for row, value in row_values if row.host == row.id.partition("/")[0]]
    most = own[0] if own else max(values, key=lambda value: (values[value], str(value)))
    return [SourcedValue(value=_to_list(most), source=_source(header, "models.dev"), checked=_day(header))]


def _window(rows: Sequence[SnapshotRow], name: str, header: SnapshotHeader) -> list[SourcedValue]:
    windows = Counter(row.window for row in rows if row.window)
    if name != "context" or not windows:
        return []
    return [
        SourcedValue(value=windows.most_common(1)[0][0], source=_source(header, "genai-prices"), checked=header.made)
    ]


def _source(header: SnapshotHeader, about: str) -> str:
    return interpretation.source_evidence(header, about).source


def _day(header: SnapshotHeader) -> str:
    return interpretation.source_evidence(header, "models.dev").checked


def host_offer(row: SnapshotRow, header: SnapshotHeader) -> HostOffer:
    """Return a model at a host, with its price and the source of the price."""
    models_dev_prices = row.stated_prices
    dated = row.dated_prices
    now = rate_cards.effective_rates(dated, header.made) if dated else None
    used = now or (models_dev_prices if interpretation.prices_of(row, header) is not None else None)
    about = (row.prices_by or "genai-prices") if now is not None else "models.dev"
    evidence = interpretation.source_evidence(header, about)
    return HostOffer(
        host=row.host,
        served_as=row.name,
        context=row.context or row.window,
        max_output=row.max_output,
        prices={} if used is None else _base_rates(used),
        cheapest=_cheapest(dated, header.made),
        source=evidence.source if used is not None else "",
        checked=evidence.checked if used is not None else "",
        stated={} if models_dev_prices is None else _base_rates(models_dev_prices),
        dates=tuple(_rate_card_conditions(vector) for vector in dated),
        status=row.status,
        steps=rate_cards.rate_thresholds(used) if used is not None else (),
    )


def _base_rates(vector: rate_cards.RateCard) -> dict[str, float]:
    """Return the prices of a small request, by unit."""
    return {unit: rate_cards.base_rate(rate) for unit, rate in vector.units.items()}


def _cheapest(dated: tuple[rate_cards.RateCard, ...], day: str) -> dict[str, float]:
    """Return the prices of the cheapest hour of a day; {} if all hours cost the same."""
    hourly_prices = list(map(_base_rates, rate_cards.rate_cards_on(dated, day)))
    return min(hourly_prices, key=lambda each: sum(each.values())) if len(hourly_prices) > 1 else {}


def _rate_card_conditions(vector: rate_cards.RateCard) -> str:
    words = [f"from {vector.since}" if vector.since else "always"]
    if vector.hours:
        start, end = vector.hours
        words.append(f"{start // 60:02d}:{start % 60:02d} to {end // 60:02d}:{end % 60:02d} UTC")
    words += [f"{key}={word}" for key, word in vector.when.items()]
    return ", ".join(words)


def price_disagreements(offer: HostOffer) -> dict[str, tuple[float, float]]:
    """Return the units whose price differs between models.dev and the source in use at every hour, with both prices."""
    if not offer.dates:
        return {}
    used = [prices for prices in (offer.prices, offer.cheapest) if prices]
    return {
        unit: (offer.prices[unit], usd)
        for unit, usd in offer.stated.items()
        if unit in offer.prices and all(abs(prices.get(unit, math.inf) - usd) > 1e-9 for prices in used)
    }
