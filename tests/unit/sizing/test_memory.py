"""Memory of published models against the formulas: by their headers, as logs printed it (MiB), and without a header."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.sizing import headers, models

from intermodal.sizing.kv_cache import layer_bytes, token_bytes
from intermodal.sizing.memory import (
    TOKEN,
    memory_floor,
    memory_of_file,
    memory_of_parameters,
    memory_of_requests,
    model_memory,
)
from intermodal.sizing.quantizations import OFF
from intermodal.sizing.shape import ALL, ModelShape, ServingSettings

MIB = 2**20


def cache(shape: ModelShape, settings: ServingSettings) -> tuple[float, float]:
    """MiB of the layers that look back on everything, and of those with a window."""
    whole = sum(layer_bytes(shape, layer, settings) for layer in shape.layers if not layer.window)
    window = sum(layer_bytes(shape, layer, settings) for layer in shape.layers if layer.window)
    found = model_memory(shape, settings).bytes_of("cache")
    assert (found.mid, found.certainty) == (whole + window, "exact")
    return whole / MIB, window / MIB


@pytest.mark.parametrize(
    ("model", "settings", "logged"),
    [
        (headers.llama_8b, ServingSettings(context=8192), (1024, 0)),
        (headers.llama_8b, ServingSettings(context=8192, type_k="q8_0", type_v="q8_0"), (544, 0)),
        (headers.llama_8b, ServingSettings(context=131072), (16384, 0)),
        (headers.qwen3_4b, ServingSettings(context=8192), (1152, 0)),
        (headers.gpt_oss_20b, ServingSettings(context=131072), (3072, 18)),
        (headers.gpt_oss_20b, ServingSettings(context=131072, ubatch=2048), (3072, 54)),
        (
            headers.gemma4_12b,
            ServingSettings(context=8192, slots=4, unified=True, type_k="q8_0", type_v="q8_0"),
            (68, 765),
        ),
        (headers.gemma4_12b, ServingSettings(context=16384, type_k="q8_0", type_v="q8_0"), (136, 255)),
        (headers.gemma4_12b, ServingSettings(context=8192, slots=2), (128, 960)),
        (headers.gemma3_27b, ServingSettings(context=131072), (10240, 624)),
        (headers.laguna, ServingSettings(context=1 << 20, type_k="q4_0", type_v="q4_0"), (13824, 40.5)),
        (headers.deepseek_v31, ServingSettings(context=163840), (10980, 0)),
        (headers.qwen36_27b, ServingSettings(context=262144, slots=4, unified=True), (16384, 0)),
    ],
)
def test_the_cache_is_what_llama_cpp_logged(
    model: Callable[[], ModelShape], settings: ServingSettings, logged: tuple[float, float]
) -> None:
    assert cache(model(), settings) == logged


def test_recurrent_states_are_what_llama_cpp_logged_and_do_not_grow_with_the_context() -> None:
    for context in (4096, 262144):
        found = model_memory(headers.qwen36_27b(), ServingSettings(context=context, slots=4, unified=True))
        assert found.bytes_of("state").mid / MIB == 598.5


def test_a_token_takes_what_vllm_reports() -> None:
    qwen3_8b = headers.shape(
        "qwen3", block_count=36, embedding_length=4096, attention__head_count=32, attention__head_count_kv=8,
        attention__key_length=128, attention__value_length=128,
    )  # fmt: skip
    assert token_bytes(qwen3_8b) == 147_456


@pytest.mark.parametrize(("ubatch", "device", "host"), [(512, 139.8, 33.8), (2048, 561.35, 137.36)])
def test_compute_buffers_of_a_server_are_within_a_tenth_of_the_log(ubatch: int, device: float, host: float) -> None:
    settings = ServingSettings(context=16384, ubatch=ubatch, type_k="q8_0", type_v="q8_0", gpu_layers=ALL)
    found = model_memory(headers.gemma4_12b(), settings)
    assert found.bytes_of("compute", "device").mid / MIB == pytest.approx(device, rel=0.1)
    assert found.bytes_of("compute", "host").mid / MIB == pytest.approx(host, rel=0.1)


@pytest.mark.parametrize("architecture", ["qwen35", "qwen3next"])
def test_what_describes_a_graph_that_updates_a_state_in_pieces_grows_with_the_batch(architecture: str) -> None:
    """llama.cpp allows 40 nodes a token of a batch for these, and sets their room aside twice: 26 MB were missing."""

    def program(name: str, ubatch: int) -> float:
        table = headers.tensor("token_embd.weight", (512, 1000))
        known = headers.shape(name, [table], block_count=4, embedding_length=512, attention__head_count=4,
                              attention__head_count_kv=2)  # fmt: skip
        return model_memory(known, ServingSettings(context=4096, ubatch=ubatch)).bytes_of("program").mid

    plain = program("llama", 512)
    assert program("llama", 2048) == plain
    assert 15e6 < program(architecture, 512) - plain < 20e6
    assert program(architecture, 1024) - program(architecture, 512) == pytest.approx(512 * 40 * 900)


# ---- without_a_header -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "quantization", "published"),
    [(8.03e9, "Q4_K_M", 4.92e9), (30.5e9, "Q5_K_M", 21.7e9), (3.21e9, "Q8_0", 3.42e9), (72.7e9, "Q4_K_M", 47.4e9)],
)
def test_weights_are_as_large_as_published_files_of_that_many_parameters(
    parameters: float, quantization: str, published: float
) -> None:
    """Llama-3.1-8B, Qwen3-30B-A3B, Llama-3.2-3B and Qwen2.5-72B, as the hub lists them."""
    needed = memory_of_parameters(parameters, quantization)
    assert needed.low < published * 1.1 < needed.high
    assert memory_of_file(published).low / OFF[2] < needed.mid < memory_of_file(published).high / OFF[0]


def test_memory_is_a_range_from_four_bits_to_sixteen_and_unknown_without_a_size() -> None:
    found = memory_floor(8e9)
    assert 4.5e9 < found.low < found.mid < 8e9 < found.high < 20e9
    assert (
        not memory_floor(None).known
        and not memory_of_parameters(0).known
        and not memory_of_requests(None, 4, 2048).known
    )


def test_twenty_texts_have_twenty_contexts() -> None:
    one, twenty = memory_of_requests(8e9, 1, 2048), memory_of_requests(8e9, 20, 2048)
    assert one == memory_of_parameters(8e9)
    assert twenty.mid - one.mid == 20 * 2048 * TOKEN[1]
    assert "20 contexts of 2,048 tokens" in twenty.basis


def test_what_a_token_takes_is_within_the_range_for_models_of_all_sizes() -> None:
    for shape in (models.qwen3_30b_a3b(), models.llama_32_3b(), models.tinyllama()):
        assert TOKEN[0] * 0.7 <= token_bytes(shape) <= TOKEN[2]
