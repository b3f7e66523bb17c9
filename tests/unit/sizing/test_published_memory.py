"""Memory that logs of llama.cpp and vLLM printed for published models, against the formulas. MiB, as in the logs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.unit.sizing import headers

from intermodal.sizing.kv_cache import layer_bytes, token_bytes
from intermodal.sizing.memory import model_memory
from intermodal.sizing.serving_settings import ALL, ServingSettings
from intermodal.sizing.shape import ModelShape

MIB = 2**20


def cache(shape: ModelShape, settings: ServingSettings) -> tuple[float, float]:
    """MiB of the layers that look back on everything, and of those with a window."""
    whole = sum(layer_bytes(shape, layer, settings) for layer in shape.layers if not layer.window)
    window = sum(layer_bytes(shape, layer, settings) for layer in shape.layers if layer.window)
    found = model_memory(shape, settings).of("cache")
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
        assert found.of("state").mid / MIB == 598.5


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
    assert found.of("compute", "device").mid / MIB == pytest.approx(device, rel=0.1)
    assert found.of("compute", "host").mid / MIB == pytest.approx(host, rel=0.1)


@pytest.mark.parametrize("architecture", ["qwen35", "qwen3next"])
def test_what_describes_a_graph_that_updates_a_state_in_pieces_grows_with_the_batch(architecture: str) -> None:
    """llama.cpp allows 40 nodes a token of a batch for these, and sets their room aside twice: 26 MB were missing."""

    def program(name: str, ubatch: int) -> float:
        table = headers.tensor("token_embd.weight", (512, 1000))
        known = headers.shape(name, [table], block_count=4, embedding_length=512, attention__head_count=4,
                              attention__head_count_kv=2)  # fmt: skip
        return model_memory(known, ServingSettings(context=4096, ubatch=ubatch)).of("program").mid

    plain = program("llama", 512)
    assert program("llama", 2048) == plain
    assert 15e6 < program(architecture, 512) - plain < 20e6
    assert program(architecture, 1024) - program(architecture, 512) == pytest.approx(512 * 40 * 900)
