"""The cheapest models with media input of every host: named by a verdict when no allowed endpoint keeps the needs.

A catalog lists the hosts with consent and a few more. One of the thousands of other endpoints may cost a ninth, but
searching them all at each start would cost more than planning. So they are searched when the snapshot is built, and
its header holds the names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from statistics import median

from intermodal.catalog.host_rows import HostRow
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.snapshot import interpretation
from intermodal.catalog.snapshot.file import SnapshotHeader, SnapshotRow
from intermodal.catalog.types import FREE_TIER, Price

KINDS = (("image",), ("audio",), ("video",), ("image", "audio"))
# Tokens of input and answer: a glance, a usual question, a long recording or many pages.
REQUESTS = ((300, 300), (1_500, 150), (15_000, 150))
MODELS_PER_TIER = 3  # models of each tier for each kind and request
JUDGE_MODELS = re.compile(r"guard|moderation|safety")  # classify a text as allowed, and answer nothing
_READERS = re.compile(r"ocr")  # transcribe a page, and answer nothing
IMPLAUSIBLE_DISCOUNT = 10  # a price so many times below the median is a slip
MIN_HOSTS = 3  # hosts that a model needs to have a usual price


def min_plausible_prices(asked: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return, for each model that several hosts serve, the price below which a figure is a slip: a tenth of the median.
    ``asked``: models with what a host charges for them."""
    prices: dict[str, list[float]] = {}
    for model, price in asked:
        prices.setdefault(model, []).append(price)
    return {model: median(some) / IMPLAUSIBLE_DISCOUNT for model, some in prices.items() if len(some) >= MIN_HOSTS}


def cheapest_models(
    rows: Iterable[SnapshotRow], header: SnapshotHeader, hosts: Mapping[str, HostRow]
) -> tuple[tuple[str, str], ...]:
    """Return the hosts and their names of the cheapest models, in order. ``hosts``: those that can be called."""
    priced = [
        (row, found.now) for row in rows if _answers(row, hosts) and (found := interpretation.prices_of(row, header))
    ]
    least = min_plausible_prices((row.id, price.input_mtok) for row, price in priced if price.input_mtok)
    believed = [(row, price) for row, price in priced if price.input_mtok and price.output_mtok is not None
                and price.input_mtok >= least.get(row.id, 0.0)]  # fmt: skip
    chosen: set[tuple[str, str]] = set()
    taken = [_taken(row, price, hosts[row.host], header) for row, price in believed]
    for kinds in KINDS:
        able = [each for each, takes in zip(believed, taken, strict=True) if set(kinds) <= takes]
        for tokens in REQUESTS:
            chosen |= _first(sorted(able, key=lambda each: (_usd(each[1], kinds, *tokens), each[0].host)))
    return tuple(sorted(chosen))


def _taken(row: SnapshotRow, price: Price, host: HostRow, header: SnapshotHeader) -> set[str]:
    """Return the kinds that reach the model over its host's protocol."""
    model = interpretation.model_of(row, shipped_rows().rows.get(row.id), header)
    return set(
        interpretation.without_refused_kinds(
            interpretation.accepted_kinds(model, price, host.protocol, host.taken), host.quirks
        )
    )


def _answers(row: SnapshotRow, hosts: Mapping[str, HostRow]) -> bool:
    if row.status == "deprecated" or "text" not in row.output or row.name.endswith(FREE_TIER):
        return False
    if JUDGE_MODELS.search(row.id) or _READERS.search(row.id):
        return False
    return row.host in hosts and interpretation.is_callable(row, hosts[row.host].protocol)


def _usd(price: Price, kinds: tuple[str, ...], given: int, made: int) -> float:
    rates = {"image": price.input_image_mtok, "video": price.input_image_mtok, "audio": price.input_audio_mtok}
    text = price.input_mtok or 0.0
    media = sum(text if (rate := rates.get(kind)) is None else rate for kind in kinds)
    return given * media + made * (price.output_mtok or 0.0)


def _first(able: list[tuple[SnapshotRow, Price]]) -> set[tuple[str, str]]:
    """Return the first few models of each tier, each at its cheapest host."""
    found: set[tuple[str, str]] = set()
    seen: dict[str, set[str]] = {}
    for row, _ in able:
        models = seen.setdefault(interpretation.tier_of(row.id)[0], set())
        if row.id not in models and len(models) < MODELS_PER_TIER:
            models.add(row.id)
            found.add((row.host, row.name))
    return found


__all__ = ["cheapest_models", "min_plausible_prices"]
