"""Memory of models of which no header was read, beside published files of them."""

from __future__ import annotations

import pytest
from tests.unit.sizing import models

from intermodal.sizing.kv_cache import token_bytes
from intermodal.sizing.memory import (
    TOKEN,
    memory_floor,
    memory_of_file,
    memory_of_parameters,
    memory_of_requests,
)
from intermodal.sizing.quantizations import OFF


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
