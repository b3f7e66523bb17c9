"""Our bill beside that of genai-prices, whose data it is: every model both know, every kind of usage.

Where both name a sum it is the same. Where only they do, it is for one of two reasons, and both are on purpose:

* a count that has no price is *unknown* here; there it is worth $0, alone or beside others that have one;
* sound without a price of its own is unknown here; there it costs what text costs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from intermodal.catalog.rate_cards import UNIT_BY_COUNT, UNITS, effective_rates, itemize
from intermodal.catalog.snapshot.sources.genai_prices import GenaiPricesModel, read_genai_prices

pytestmark = pytest.mark.slow

MOMENTS = ("2026-11-25T02:30", "2026-11-25T12:00", "2026-09-01T12:00", "2026-12-15T12:00")
USAGES: tuple[dict[str, int], ...] = (
    {"input_tokens": 1_000, "output_tokens": 500},
    {"input_tokens": 300_000, "output_tokens": 2_000},
    {"input_tokens": 1_200_000, "output_tokens": 0},
    {"input_tokens": 10_000, "cache_read_tokens": 8_000, "output_tokens": 100},
    {"input_tokens": 10_000, "cache_read_tokens": 4_000, "cache_write_tokens": 3_000, "output_tokens": 100},
    {"input_tokens": 10_000, "cache_write_tokens": 3_000, "cache_write_1h_tokens": 1_000, "output_tokens": 100},
    {"input_tokens": 5_000, "input_image_tokens": 2_000, "output_tokens": 100},
    {"input_tokens": 5_000, "input_audio_tokens": 2_000, "output_tokens": 100},
    {"input_tokens": 100, "output_tokens": 3_000, "output_audio_tokens": 2_500},
    {"input_tokens": 100, "output_tokens": 4_200, "output_image_tokens": 4_160},
    {"audio_seconds": 1_800},
    {"input_characters": 20_000},
    {"input_document_pages": 40},
)
CONTEXTS: tuple[dict[str, str], ...] = ({}, {"processing": "batch"}, {"service_tier": "flex"})


class Compared(NamedTuple):
    provider: str
    priced: GenaiPricesModel
    usage: dict[str, int]
    moment: str
    context: dict[str, str]
    ours: float | None
    theirs: float | None


@pytest.fixture(scope="module")
def compared() -> list[Compared]:
    return list(_compared())


def _compared() -> Iterator[Compared]:
    from genai_prices.data import providers

    by_id = {provider.id: {model.id: model for model in provider.models} for provider in providers}
    for provider, priced in _read():
        model = by_id[provider].get(priced.id)
        dated = priced.vectors
        if not dated:
            continue
        assert model is not None, f"{provider} {priced.id} has prices, and genai-prices does not know it"
        contexts = CONTEXTS if any(vector.when for vector in dated) else CONTEXTS[:1]
        for moment in MOMENTS if len(dated) > 1 else MOMENTS[:1]:
            when = datetime.fromisoformat(moment).replace(tzinfo=UTC)
            for context in contexts:
                vector = effective_rates(dated, moment, **context)
                prices = model.get_prices(when, context or None)
                for usage in USAGES:
                    ours = itemize(vector, usage).usd
                    yield Compared(provider, priced, usage, moment, context, ours, _theirs(prices, usage))


def _read() -> Iterator[tuple[str, GenaiPricesModel]]:
    """Every model of their data, as it is read for a snapshot."""
    import genai_prices.data

    text = Path(genai_prices.data.__file__).read_text("utf-8")
    for provider, models in read_genai_prices(text).models.items():
        for priced in models:
            yield provider, priced


def _theirs(prices: Any, usage: dict[str, int]) -> float | None:
    """Their price; None where they refuse the usage, or have no price for any of it and so say 0."""
    from genai_prices import Usage

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = float(prices.calc_price(Usage(**usage))["total_price"])
        except ValueError:
            return None
    return found


def test_every_model_with_dated_prices_is_compared(compared: list[Compared]) -> None:
    models = {(each.provider, each.priced.id) for each in compared}
    assert len(models) > 1_500


def test_our_prices_equal_those_of_genai_prices(compared: list[Compared]) -> None:
    different = [
        (each.provider, each.priced.id, each.usage, each.moment, each.context, each.ours, each.theirs)
        for each in compared
        if each.ours is not None and each.theirs is not None and abs(each.ours - each.theirs) > 1e-9 * (1 + each.ours)
    ]
    assert not different, f"{len(different)} differ, the first: {different[:5]}"


def test_where_only_genai_prices_has_a_price_we_lack_the_price_of_a_unit(compared: list[Compared]) -> None:
    for each in compared:
        if each.ours is not None or each.theirs is None:
            continue
        vector = effective_rates(each.priced.vectors, each.moment, **each.context)
        unpriced = itemize(vector, each.usage).unpriced
        assert unpriced, each
        lost = {line.counts: line.count for line in itemize(vector, each.usage).lines if line.usd is None}
        rest = {name: _without(name, count, lost) for name, count in each.usage.items() if name not in lost}
        priced = itemize(vector, rest).usd
        sound = [name for name in unpriced if "audio_tokens" in name]
        assert priced is not None, each
        if sound:
            assert each.theirs >= priced - 1e-9, each  # the same, and the sound at the price of text
        else:
            assert each.theirs == pytest.approx(priced, abs=1e-9), each  # the same, and the rest for nothing


def _without(name: str, count: float, lost: dict[str, float]) -> float:
    """A count less those of its parts that have no price."""
    about = UNITS[UNIT_BY_COUNT[name]].about
    return count - sum(gone for other, gone in lost.items() if about < UNITS[UNIT_BY_COUNT[other]].about)


def test_genai_prices_has_a_price_wherever_we_do(compared: list[Compared]) -> None:
    assert not [each for each in compared if each.ours is not None and each.theirs is None]
