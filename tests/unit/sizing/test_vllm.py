"""What vLLM has left for texts: a range of its overhead, pages to the byte."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.unit.sizing import headers

from intermodal.core.quantity import Quantity
from intermodal.errors import UsageError
from intermodal.sizing.fit_changes import fits_all_requests, vllm_changes
from intermodal.sizing.memory import TOKENS, Correction, CorrectionRatio
from intermodal.sizing.shape import ModelShape
from intermodal.sizing.vllm import GIB, VllmSettings, page_bytes, serving_flags, text_bytes, vllm_capacity


def qwen3_8b() -> ModelShape:
    return headers.shape(
        "qwen3", [headers.tensor("rest", (1 << 20, 8191))], block_count=36, embedding_length=4096,
        attention__head_count=32, attention__head_count_kv=8, attention__key_length=128, attention__value_length=128,
    )  # fmt: skip


def test_a_page_of_qwen3_8b_takes_what_vllm_says() -> None:
    assert sum(page_bytes(layer, VllmSettings()) for layer in qwen3_8b().layers) == 2.25 * 2**20


def test_heads_are_divided_among_cards_as_far_as_there_are_some_and_a_latent_vector_is_not() -> None:
    layer, latent = qwen3_8b().layers[0], headers.deepseek_v31().layers[0]
    assert page_bytes(layer, VllmSettings(cards=4)) * 4 == page_bytes(layer, VllmSettings())
    assert page_bytes(layer, VllmSettings(cards=16)) * 8 == page_bytes(layer, VllmSettings())
    assert page_bytes(latent, VllmSettings(cards=8)) == page_bytes(latent, VllmSettings()) == 16 * 576 * 2


def test_tokens_are_what_is_left_of_the_share_as_a_range_around_the_overhead() -> None:
    found = vllm_capacity(qwen3_8b(), VllmSettings(memory=24 * GIB, length=8192))
    assert found.tokens.low < found.tokens.mid < found.tokens.high
    assert found.tokens.mid == pytest.approx((0.9 * 24 * GIB - found.weights.mid - 1.8 * GIB) / 147_456, rel=0.001)
    assert found.fits is None or found.fits


def test_on_a_processor_the_cache_is_what_is_set_aside_and_tokens_are_exact() -> None:
    found = vllm_capacity(qwen3_8b(), VllmSettings(cache=4 * GIB, length=4096, block=128))
    assert (found.tokens.mid, found.tokens.certainty) == (4 * GIB // 147_456 // 128 * 128, "exact")


def test_weights_that_fill_the_card_do_not_fit_and_small_ones_do() -> None:
    assert vllm_capacity(qwen3_8b(), VllmSettings(memory=16 * GIB)).fits is False
    assert vllm_capacity(qwen3_8b(), VllmSettings(memory=80 * GIB)).fits is True


def test_layers_with_a_window_keep_the_window_and_one_step() -> None:
    serving = VllmSettings(batched=2048)
    layer = headers.gpt_oss_20b().layers
    whole = sum(page_bytes(one, serving) for one in layer if not one.window) * (131072 // 16)
    window = sum(page_bytes(one, serving) for one in layer if one.window) * (-(-(127 + 2048) // 16) + 1)
    assert text_bytes(headers.gpt_oss_20b(), serving, 131072) == whole + window


def test_an_unknown_architecture_gives_unknown_capacity() -> None:
    found = vllm_capacity(headers.shape("quux", block_count=2), VllmSettings(memory=24 * GIB))
    assert found.fits is None
    assert not found.tokens.known
    assert found.problems


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UsageError):
        vllm_capacity(qwen3_8b(), VllmSettings(memory=GIB, utilization=1.2))


def test_a_proposed_context_fits_by_what_was_measured_on_this_card_too() -> None:
    serving = VllmSettings(memory=40 * GIB, length=262_144, slots=1)
    ratio = CorrectionRatio(name=TOKENS, device="device", low=0.4, mid=0.4, high=0.4)
    measured = (Correction(flags=serving_flags(serving), build="vLLM", taken="2026-11-29", ratios=(ratio,)),)

    def lengths(corrections: tuple[Correction, ...]) -> list[int]:
        found = vllm_changes("m", qwen3_8b(), serving, lambda of, tried: Quantity(certainty="unknown"), corrections)
        [command] = [each.command for each in found if each.what.startswith("use a context of")]
        return [int(command.split("--max-model-len ")[1].split()[0])]

    [plain], [mended] = lengths(()), lengths(measured)
    assert mended < plain
    assert fits_all_requests(vllm_capacity(qwen3_8b(), replace(serving, length=mended), measured), 1)
    assert not fits_all_requests(vllm_capacity(qwen3_8b(), replace(serving, length=mended + 256), measured), 1)
