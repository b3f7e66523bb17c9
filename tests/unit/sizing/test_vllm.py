"""What vLLM has left for texts: a range of its overhead, pages to the byte."""

from __future__ import annotations

import pytest
from tests.unit.sizing import headers

from intermodal.errors import UsageError
from intermodal.sizing.shape import ModelShape
from intermodal.sizing.vllm import GIB, Serving, page_bytes, served, text_bytes


def qwen3_8b() -> ModelShape:
    return headers.shape(
        "qwen3", [headers.tensor("rest", (1 << 20, 8191))], block_count=36, embedding_length=4096,
        attention__head_count=32, attention__head_count_kv=8, attention__key_length=128, attention__value_length=128,
    )  # fmt: skip


def test_a_page_of_qwen3_8b_takes_what_vllm_says() -> None:
    assert sum(page_bytes(layer, Serving()) for layer in qwen3_8b().layers) == 2.25 * 2**20


def test_heads_are_divided_among_cards_as_far_as_there_are_some_and_a_latent_vector_is_not() -> None:
    layer, latent = qwen3_8b().layers[0], headers.deepseek_v31().layers[0]
    assert page_bytes(layer, Serving(cards=4)) * 4 == page_bytes(layer, Serving())
    assert page_bytes(layer, Serving(cards=16)) * 8 == page_bytes(layer, Serving())
    assert page_bytes(latent, Serving(cards=8)) == page_bytes(latent, Serving()) == 16 * 576 * 2


def test_tokens_are_what_is_left_of_the_share_as_a_range_around_the_overhead() -> None:
    found = served(qwen3_8b(), Serving(memory=24 * GIB, length=8192))
    assert found.tokens.low < found.tokens.mid < found.tokens.high
    assert found.tokens.mid == pytest.approx((0.9 * 24 * GIB - found.weights.mid - 1.8 * GIB) / 147_456, rel=0.001)
    assert found.fits is None or found.fits


def test_on_a_processor_the_cache_is_what_is_set_aside_and_tokens_are_exact() -> None:
    found = served(qwen3_8b(), Serving(cache=4 * GIB, length=4096, block=128))
    assert (found.tokens.mid, found.tokens.certainty) == (4 * GIB // 147_456 // 128 * 128, "exact")


def test_weights_that_fill_the_card_do_not_fit_and_small_ones_do() -> None:
    assert served(qwen3_8b(), Serving(memory=16 * GIB)).fits is False
    assert served(qwen3_8b(), Serving(memory=80 * GIB)).fits is True


def test_layers_with_a_window_keep_the_window_and_one_step() -> None:
    serving = Serving(batched=2048)
    layer = headers.gpt_oss_20b().layers
    whole = sum(page_bytes(one, serving) for one in layer if not one.window) * (131072 // 16)
    window = sum(page_bytes(one, serving) for one in layer if one.window) * (-(-(127 + 2048) // 16) + 1)
    assert text_bytes(headers.gpt_oss_20b(), serving, 131072) == whole + window


def test_what_is_not_known_is_not_counted() -> None:
    found = served(headers.shape("quux", block_count=2), Serving(memory=24 * GIB))
    assert found.fits is None
    assert not found.tokens.known
    assert found.problems


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError):
        served(qwen3_8b(), Serving(memory=GIB, utilization=1.2))
