"""Memory a server takes, from what its files say of themselves: before anything is loaded.

    weights     every tensor, of the model and its projector
    cache       2 (keys, values) x layers x key-value heads x length of a head x 2 bytes, a token of all slots
    besides     buffers for computing, and the program itself

The cache is set aside at once and filled as requests come, so low and mid count a part of it and high all of it. A
model whose layers do not all look back (sliding windows, recurrent ones) takes less: the high end holds for it too.
Source of the formula: llama.cpp, ``llama_kv_cache``; vLLM, "Conserving memory".
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from intermodal.errors import WeightsError
from intermodal.weights.gguf import GgufHeader

Range = tuple[float, float, float]
_HALF = 2  # bytes of a number of the cache
# Measured with SmolLM2 (135M) beside the formula's weights and cache: 60 MB after warm-up, 210 MB after a prompt that
# fills the context; logits of a batch are the largest part, and grow with the vocabulary.
_BATCH = 512  # tokens read at once
_PROGRAM = (40e6, 60e6, 110e6)
# vLLM 0.32 on a processor, its three processes with SmolLM2 in bfloat16 and 1 GiB of cache: 4.4 GB after the warm-up.
_VLLM = (2.4e9, 3.1e9, 4.0e9)


def gguf_need(model: GgufHeader, projector: GgufHeader | None, context: int, slots: int) -> Range:
    """Bytes resident with llama.cpp, low, mid and high."""
    weights = model.weight_bytes + (projector.weight_bytes if projector is not None else 0)
    cache = cache_bytes_per_token(model) * context * slots
    logits = 4.0 * _number(model, "vocab_size", 0) * _BATCH
    low, mid, high = _PROGRAM
    return (weights + low, weights + cache / 4 + mid, weights + cache + logits + high)


def cache_bytes_per_token(model: GgufHeader) -> float:
    """Keys and values of one token in every layer."""
    layers, heads = _number(model, "block_count", 32), _number(model, "attention.head_count", 32)
    shared = _number(model, "attention.head_count_kv", heads)
    size = _number(model, "embedding_length", 4096) / max(1, heads)
    keys, values = _number(model, "attention.key_length", size), _number(model, "attention.value_length", size)
    return layers * shared * (keys + values) * _HALF


def parameters(model: GgufHeader) -> float:
    """Numbers in all tensors."""
    found = 0.0
    for tensor in model.tensors:
        numbers = 1.0
        for length in tensor.dims:
            numbers *= length
        found += numbers
    return found


def _number(model: GgufHeader, key: str, otherwise: float) -> float:
    found = model.metadata.get(f"{model.architecture}.{key}")
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) and found > 0 else otherwise


class FolderFacts(msgspec.Struct, frozen=True):
    """What a folder of safetensors says: bytes of its tensors, bytes of cache a token, context it was trained for."""

    weights: int
    cache: float
    context: int | None
    parameters: float


def folder_facts(folder: Path) -> FolderFacts:
    """Raises WeightsError when it is not a model as transformers saves one."""
    try:
        files = sorted(folder.glob("*.safetensors"))
        weights = sum(file.stat().st_size for file in files)
        config = msgspec.json.decode((folder / "config.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        files, weights, config = [], 0, {}
    if not files or not config:
        raise WeightsError(
            "is a folder without *.safetensors and a config.json", where=str(folder),
            todo="name a GGUF file, or a folder as transformers saves one",
        )  # fmt: skip
    text = config.get("text_config")
    inner: dict[str, Any] = {**config, **(text if isinstance(text, dict) else {})}

    def number(key: str, otherwise: float) -> float:
        found = inner.get(key)
        return float(found) if isinstance(found, int | float) and found > 0 else otherwise

    heads = number("num_attention_heads", 32)
    size = number("head_dim", number("hidden_size", 4096) / heads)
    cache = 2 * number("num_hidden_layers", 32) * number("num_key_value_heads", heads) * size * _HALF
    context = inner.get("max_position_embeddings")
    return FolderFacts(
        weights=weights, cache=cache, context=context if isinstance(context, int) else None,
        parameters=weights / (4 if "32" in str(config.get("dtype", config.get("torch_dtype", ""))) else 2),
    )  # fmt: skip


def folder_need(facts: FolderFacts, context: int, slots: int) -> Range:
    """Bytes resident with vLLM on a processor. On a graphics card most of it is in that card's memory."""
    cache = _whole_gib(facts.cache * context * slots)
    low, mid, high = _VLLM
    return (facts.weights + low, facts.weights + cache + mid, facts.weights + cache + high)


def cache_space(folder: str, context: int, slots: int) -> int:
    """Bytes that vLLM sets aside on a processor for what it has read."""
    return _whole_gib(folder_facts(Path(folder)).cache * context * slots)


def _whole_gib(count: float) -> int:
    return max(1, math.ceil(count / (1 << 30))) << 30
