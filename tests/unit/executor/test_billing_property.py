"""A host may report anything: a bill is then a number or unknown, and never less than nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intermodal.catalog.rate_cards import RateCard
from intermodal.catalog.types import Endpoint, Host, Model, Price
from intermodal.executor.attempt.accounting import price_of_usage
from intermodal.protocols.calls import WireUsage
from intermodal.store.rows import Work

COUNT = st.none() | st.integers(0, 100_000)
KINDS = st.lists(
    st.tuples(st.sampled_from(["text", "image", "audio", "video", "document"]), st.integers(0, 90_000)), max_size=4
).map(tuple)
UNITS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok", "input_audio_mtok",
         "cache_audio_read_mtok", "input_image_mtok", "output_audio_mtok", "audio_hours", "requests_kcount",
         "input_mchars", "input_document_kpages")  # fmt: skip
ENDPOINT = Endpoint(id="h:m", model=Model(id="m"), host=Host(id="h"), price=Price(input_mtok=1.0, output_mtok=2.0))

usages = st.builds(
    WireUsage, input_tokens=COUNT, output_tokens=COUNT, cached_tokens=COUNT, cache_write_tokens=COUNT,
    cache_write_1h_tokens=COUNT, reasoning_tokens=COUNT, audio_tokens=COUNT, image_tokens=COUNT,
    input_by_modality=KINDS, cached_by_modality=KINDS,
)  # fmt: skip
works = st.builds(
    Work, audio_seconds=st.sampled_from([0.0, 30.0]), megapixels=st.sampled_from([0.0, 1.0]),
    characters=st.sampled_from([0, 50]),
)  # fmt: skip
vectors = st.dictionaries(st.sampled_from(UNITS), st.floats(0, 100), max_size=8).map(
    lambda units: RateCard(units=units)
)


@pytest.mark.slow
@given(usages, works, st.none() | vectors)
def test_whatever_is_reported_the_bill_is_a_number_or_unknown(
    usage: WireUsage, work: Work, vector: RateCard | None
) -> None:
    usd = price_of_usage(ENDPOINT, usage, work, () if vector is None else (vector,), "2026-11-25T12:00")
    assert usd is None or usd >= 0


@given(usages, works)
def test_cached_tokens_never_make_a_bill_dearer_where_they_are_cheaper(usage: WireUsage, work: Work) -> None:
    units = {"input_mtok": 1.0, "output_mtok": 2.0, "cache_read_mtok": 0.1, "input_audio_mtok": 3.0,
             "input_image_mtok": 1.5, "cache_audio_read_mtok": 0.3, "output_audio_mtok": 9.0}  # fmt: skip
    tariff = (RateCard(units=dict(units)),)
    import msgspec

    plain = msgspec.structs.replace(usage, cached_tokens=0, cached_by_modality=())
    with_cache, without = price_of_usage(ENDPOINT, usage, work, tariff), price_of_usage(ENDPOINT, plain, work, tariff)
    assert (with_cache is None) == (without is None)
    assert with_cache is None or without is None or with_cache <= without + 1e-12
