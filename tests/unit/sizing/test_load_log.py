"""Buffers that llama.cpp (xllamacpp 2026.10.11549) logged for generated models, against the formulas.

The same files at more points, loaded anew: ``benchmarks/fit.py``.
"""

from __future__ import annotations

import sys
from math import prod
from pathlib import Path

import pytest

from intermodal.local.weights.gguf import GgufHeader, GgufTensor
from intermodal.sizing.gguf_shape import gguf_shape
from intermodal.sizing.memory import model_memory
from intermodal.sizing.shape import ALL, ModelShape, ServingSettings

BENCHMARKS = str(Path(__file__).parents[3] / "benchmarks")
sys.path.insert(0, BENCHMARKS)
import fit_models  # noqa: E402

sys.path.remove(BENCHMARKS)

MIB = 2**20


def generated(name: str) -> ModelShape:
    """The shape of a generated file, of which the log was written: matrices of Q8_0."""
    architecture, facts, matrices = fit_models.described(name)
    metadata = {"general.architecture": architecture, **{f"{architecture}.{key}": facts[key] for key in facts}}
    tensors = [
        GgufTensor(name=found, dims=dims, type="F32", size=prod(dims) * 4)
        if fit_models.plain(found, dims, 32)
        else GgufTensor(name=found, dims=dims, type="Q8_0", size=prod(dims) // 32 * 34)
        for found, dims in matrices
    ]
    return gguf_shape([GgufHeader(version=3, metadata=metadata, tensors=tuple(tensors), size=0)])


@pytest.mark.parametrize(
    ("name", "settings", "cache", "compute"),
    [
        ("llama", ServingSettings(context=16384), 48.0, 30.02),
        ("llama", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 8.01),
        ("llama", ServingSettings(context=8192, slots=4, unified=True), 24.0, 22.02),
        ("llama", ServingSettings(context=4096, flash_attention=False), 12.0, 78.51),
        ("llama", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q4_0"), 4.88, 16.05),
        ("qwen2", ServingSettings(context=16384), 48.0, 30.02),
        ("qwen2", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 8.01),
        ("qwen2", ServingSettings(context=8192, slots=4, unified=True), 24.0, 22.02),
        ("qwen2", ServingSettings(context=4096, flash_attention=False), 12.0, 78.51),
        ("qwen2", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q4_0"), 4.88, 16.05),
        ("qwen3", ServingSettings(context=16384), 96.0, 30.02),
        ("qwen3", ServingSettings(context=8192, slots=4, ubatch=256), 48.0, 8.01),
        ("qwen3", ServingSettings(context=8192, slots=4, unified=True), 48.0, 22.02),
        ("qwen3", ServingSettings(context=4096, flash_attention=False), 24.0, 82.01),
        ("qwen3", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q4_0"), 9.75, 16.1),
        ("qwen3moe", ServingSettings(context=16384), 48.0, 23.02),
        ("qwen3moe", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 4.51),
        ("qwen3moe", ServingSettings(context=8192, slots=4, unified=True), 24.0, 15.02),
        ("qwen3moe", ServingSettings(context=4096, flash_attention=False), 12.0, 78.51),
        ("qwen3moe", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q4_0"), 4.88, 9.05),
        ("gemma3", ServingSettings(context=16384), 11.5, 31.03),
        ("gemma3", ServingSettings(context=8192, slots=4, ubatch=256), 14.5, 8.39),
        ("gemma3", ServingSettings(context=8192, slots=4, unified=True), 12.75, 24.53),
        ("gemma3", ServingSettings(context=4096, flash_attention=False), 5.5, 81.02),
        ("gemma3", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q4_0"), 3.65, 17.09),
        ("gpt-oss", ServingSettings(context=16384), 25.12, 23.78),
        ("gpt-oss", ServingSettings(context=8192, slots=4, ubatch=256), 15.0, 4.76),
        ("gpt-oss", ServingSettings(context=8192, slots=4, unified=True), 13.5, 16.03),
        ("gpt-oss", ServingSettings(context=4096, flash_attention=False), 7.12, 80.52),
        ("gpt-oss", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q4_0"), 3.35, 9.84),
        ("deepseek2", ServingSettings(context=16384), 54.0, 31.01),
        ("deepseek2", ServingSettings(context=8192, slots=4, ubatch=256), 27.0, 8.51),
        ("deepseek2", ServingSettings(context=8192, slots=4, unified=True), 27.0, 23.01),
        ("deepseek2", ServingSettings(context=4096, flash_attention=False), 13.5, 87.01),
        ("qwen3next", ServingSettings(context=16384), 16.82, 26.14),
        ("qwen3next", ServingSettings(context=8192, slots=4, ubatch=256), 11.28, 6.76),
        ("qwen3next", ServingSettings(context=8192, slots=4, unified=True), 11.28, 18.52),
        ("qwen3next", ServingSettings(context=4096, flash_attention=False), 4.82, 79.51),
        ("qwen3next", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q4_0"), 3.26, 12.3),
        ("gemma4", ServingSettings(context=16384), 20.0, 31.03),
        ("gemma4", ServingSettings(context=4096, flash_attention=False), 10.0, 85.02),
        ("gemma4", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q8_0"), 6.37, 17.14),
        ("gemma4", ServingSettings(context=8192, slots=4, ubatch=256), 20.0, 8.39),
        ("gemma4", ServingSettings(context=8192, slots=4, unified=True), 18.0, 24.53),
        ("qwen35", ServingSettings(context=16384), 16.82, 30.02),
        ("qwen35", ServingSettings(context=4096, flash_attention=False), 4.82, 79.52),
        ("qwen35", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q8_0"), 3.76, 16.05),
        ("qwen35", ServingSettings(context=8192, slots=4, ubatch=256), 11.28, 8.01),
        ("qwen35", ServingSettings(context=8192, slots=4, unified=True), 11.28, 22.02),
        ("qwen35moe", ServingSettings(context=16384), 16.82, 25.04),
        ("qwen35moe", ServingSettings(context=4096, flash_attention=False), 4.82, 79.52),
        ("qwen35moe", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q8_0"), 3.76, 11.08),
        ("qwen35moe", ServingSettings(context=8192, slots=4, ubatch=256), 11.28, 6.04),
        ("qwen35moe", ServingSettings(context=8192, slots=4, unified=True), 11.28, 17.07),
        ("gemma2", ServingSettings(context=16384), 25.5, 31.03),
        ("gemma2", ServingSettings(context=4096, flash_attention=False), 7.5, 81.02),
        ("gemma2", ServingSettings(context=8192, slots=4, ubatch=256), 16.5, 8.39),
        ("glm4moe", ServingSettings(context=16384), 48.0, 24.02),
        ("glm4moe", ServingSettings(context=4096, flash_attention=False), 12.0, 78.51),
        ("glm4moe", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 5.01),
        ("granite", ServingSettings(context=16384), 48.0, 30.02),
        ("granite", ServingSettings(context=4096, flash_attention=False), 12.0, 78.51),
        ("granite", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 8.01),
        ("mistral3", ServingSettings(context=16384), 48.0, 30.02),
        ("mistral3", ServingSettings(context=4096, flash_attention=False), 12.0, 78.51),
        ("mistral3", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 8.01),
        ("phi3", ServingSettings(context=16384), 48.0, 30.02),
        ("phi3", ServingSettings(context=4096, flash_attention=False), 12.0, 77.51),
        ("phi3", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 8.01),
        ("qwen2moe", ServingSettings(context=16384), 48.0, 24.02),
        ("qwen2moe", ServingSettings(context=4096, flash_attention=False), 12.0, 78.51),
        ("qwen2moe", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 5.01),
        ("qwen2vl", ServingSettings(context=16384), 48.0, 30.02),
        ("qwen2vl", ServingSettings(context=4096, flash_attention=False), 12.0, 78.52),
        ("qwen2vl", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 8.01),
        ("seed_oss", ServingSettings(context=16384), 48.0, 30.02),
        ("seed_oss", ServingSettings(context=4096, flash_attention=False), 12.0, 78.51),
        ("seed_oss", ServingSettings(context=8192, slots=4, ubatch=256), 24.0, 8.01),
        ("mamba", ServingSettings(context=16384), 0.45, 15.08),
        ("mamba", ServingSettings(context=8192, slots=4, ubatch=256), 1.78, 7.8),
        ("mamba", ServingSettings(context=8192, slots=4, unified=True), 1.78, 15.3),
        ("mamba", ServingSettings(context=4096, flash_attention=False), 0.45, 15.08),
        ("mamba", ServingSettings(context=4096, slots=2, type_k="q8_0", type_v="q4_0"), 0.89, 15.16),
    ],
)
def test_cache_and_compute_buffer_are_what_llama_cpp_logged(
    name: str, settings: ServingSettings, cache: float, compute: float
) -> None:
    found = model_memory(generated(name), settings)
    kept = found.bytes_of("cache") + found.bytes_of("state")
    assert kept.certainty == "exact"
    assert kept.mid / MIB == pytest.approx(cache, abs=0.011)  # the log has two digits, and may be two lines
    computed = found.bytes_of("compute", "host")
    assert computed.mid / MIB == pytest.approx(compute, abs=0.006)
    assert computed.low <= computed.mid <= computed.high


def test_on_a_device_the_host_keeps_what_goes_in_and_the_device_gets_copies_of_it() -> None:
    shape = generated("llama")
    on_host = model_memory(shape, ServingSettings(context=16384)).bytes_of("compute", "host").mid
    split = model_memory(shape, ServingSettings(context=16384, gpu_layers=ALL))
    mask = 16384 * 512 * 2
    vectors = 512 * 512 * 4
    assert split.bytes_of("compute", "host").mid == pytest.approx(mask + 4 * vectors, rel=0.01)
    assert mask < split.bytes_of("compute", "device").mid < on_host


def test_layers_on_both_sides_make_the_compute_buffers_a_range_that_holds_either_side() -> None:
    shape = generated("llama")
    both = model_memory(shape, ServingSettings(context=16384, gpu_layers=3))
    assert (
        both.bytes_of("compute", "host").high
        >= model_memory(shape, ServingSettings(context=16384)).bytes_of("compute", "host").mid
    )
    whole = model_memory(shape, ServingSettings(context=16384, gpu_layers=ALL))
    assert both.bytes_of("compute", "device").high >= whole.bytes_of("compute", "device").mid
