"""GGUF files with random weights in the shapes of published architectures, small enough to load in a second.

Made at run time with the ``gguf`` package and never kept: what is compared with them is memory, which depends on shapes
alone. Each has a vocabulary of its own, so that a server starts with it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

VOCAB = 4096
Tensors = Iterator[tuple[str, tuple[int, ...]]]
Facts = dict[str, Any]


def write(path: Path, shape: str, kind: str = "Q8_0", **changes: Any) -> Path:
    """Write the file of a shape with matrices of type ``kind``; ``changes`` replace facts of it."""
    gguf: Any = importlib.import_module("gguf")  # is needed here alone
    architecture, facts, matrices = described(shape, **changes)
    vocab = matrices[0][1][1]
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in facts.items():
        _fact(writer, f"{architecture}.{key}", value)
    _words(writer, vocab)
    chance = np.random.default_rng(7)
    for name, dims in matrices:
        _tensor(gguf, writer, chance, name, dims, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def described(shape: str, **changes: Any) -> tuple[str, Facts, list[tuple[str, tuple[int, ...]]]]:
    """Architecture, facts below its name, and tensors with their dimensions, innermost first."""
    architecture, facts, tensors = {**SHAPES, **MORE_SHAPES}[shape]
    facts = {key.replace("__", "."): value for key, value in {**facts, **changes}.items()}
    untied, width, vocab = facts.pop("untied", True), facts["embedding_length"], facts.pop("vocab", VOCAB)
    found = [("token_embd.weight", (width, vocab)), ("output_norm.weight", (width,)), *tensors(facts)]
    return architecture, facts, [*found, *([("output.weight", (width, vocab))] if untied else [])]


def plain(name: str, dims: tuple[int, ...], block: int) -> bool:
    """Whether a tensor stays F32 in a file whose matrices are quantized."""
    kept = name.endswith((".bias", "ssm_a")) or "ssm_conv1d" in name or "gate_inp" in name
    return kept or len(dims) < 2 or dims[0] % block > 0


def _fact(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, (list, tuple)):
        writer.add_array(key, list(value))
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_uint32(key, value)


def _words(writer: Any, vocab: int) -> None:
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += [f"\u2581w{number}" for number in range(vocab - len(words))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * vocab)
    writer.add_token_types([2, 3, 3, *([6] * 256), *([1] * (vocab - 259))])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _tensor(gguf: Any, writer: Any, chance: np.random.Generator, name: str, dims: tuple[int, ...], kind: str) -> None:
    """Matrices in blocks of ``kind`` where their rows fill them, everything else as F32. ``dims``: innermost first."""
    wanted = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[wanted]
    if plain(name, dims, block):
        data = chance.standard_normal(prod(dims), dtype=np.float32).reshape(dims[::-1]) * np.float32(0.02)
        writer.add_tensor(name, data)
        return
    shape = (*dims[:0:-1], dims[0] // block * size)
    raw = np.zeros(prod(shape), dtype=np.uint8)
    raw[::7] = chance.integers(0, 60, len(raw[::7]), dtype=np.uint8)
    writer.add_tensor(name, raw.reshape(shape), raw_dtype=wanted)


# ---- layers ------------------------------------------------------------------------------------------


def _attention(facts: Facts, layer: int, *, norms: bool = False, biases: bool = False, gated: bool = False) -> Tensors:
    width, heads = facts["embedding_length"], facts["attention.head_count"]
    shared, key = facts["attention.head_count_kv"], facts["attention.key_length"]
    value = facts["attention.value_length"]
    yield f"blk.{layer}.attn_norm.weight", (width,)
    for part, size in (("q", heads * key * (2 if gated else 1)), ("k", shared * key), ("v", shared * value)):
        yield f"blk.{layer}.attn_{part}.weight", (width, size)
        if biases:
            yield f"blk.{layer}.attn_{part}.bias", (size,)
    yield f"blk.{layer}.attn_output.weight", (heads * value, width)
    if norms:
        yield f"blk.{layer}.attn_q_norm.weight", (key,)
        yield f"blk.{layer}.attn_k_norm.weight", (key,)


def _dense(facts: Facts, layer: int, *, norm: bool = True) -> Tensors:
    width, inner = facts["embedding_length"], facts["feed_forward_length"]
    if norm:
        yield f"blk.{layer}.ffn_norm.weight", (width,)
    yield f"blk.{layer}.ffn_gate.weight", (width, inner)
    yield f"blk.{layer}.ffn_up.weight", (width, inner)
    yield f"blk.{layer}.ffn_down.weight", (inner, width)


def _experts(facts: Facts, layer: int, *, norm: bool = True, shared: int = 0) -> Tensors:
    width, inner, count = facts["embedding_length"], facts["expert_feed_forward_length"], facts["expert_count"]
    if norm:
        yield f"blk.{layer}.ffn_norm.weight", (width,)
    yield f"blk.{layer}.ffn_gate_inp.weight", (width, count)
    yield f"blk.{layer}.ffn_gate_exps.weight", (width, inner, count)
    yield f"blk.{layer}.ffn_up_exps.weight", (width, inner, count)
    yield f"blk.{layer}.ffn_down_exps.weight", (inner, width, count)
    if shared:
        yield f"blk.{layer}.ffn_gate_shexp.weight", (width, shared)
        yield f"blk.{layer}.ffn_up_shexp.weight", (width, shared)
        yield f"blk.{layer}.ffn_down_shexp.weight", (shared, width)


def _llama(facts: Facts) -> Tensors:
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer)
        yield from _dense(facts, layer)


def _qwen2(facts: Facts) -> Tensors:
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer, biases=True)
        yield from _dense(facts, layer)


def _qwen3(facts: Facts) -> Tensors:
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer, norms=True)
        yield from _dense(facts, layer)


def _qwen3moe(facts: Facts) -> Tensors:
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer, norms=True)
        yield from _experts(facts, layer)


def _gemma3(facts: Facts) -> Tensors:
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer, norms=True)
        yield f"blk.{layer}.post_attention_norm.weight", (facts["embedding_length"],)
        yield from _dense(facts, layer)
        yield f"blk.{layer}.post_ffw_norm.weight", (facts["embedding_length"],)


def _gpt_oss(facts: Facts) -> Tensors:
    width, inner, count = facts["embedding_length"], facts["expert_feed_forward_length"], facts["expert_count"]
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer, biases=True)
        yield f"blk.{layer}.attn_output.bias", (width,)
        yield f"blk.{layer}.attn_sinks.weight", (facts["attention.head_count"],)
        yield f"blk.{layer}.post_attention_norm.weight", (width,)
        yield from _experts(facts, layer, norm=False)
        yield f"blk.{layer}.ffn_gate_inp.bias", (count,)
        yield f"blk.{layer}.ffn_gate_exps.bias", (inner, count)
        yield f"blk.{layer}.ffn_up_exps.bias", (inner, count)
        yield f"blk.{layer}.ffn_down_exps.bias", (width, count)


def _deepseek2(facts: Facts) -> Tensors:
    width, heads = facts["embedding_length"], facts["attention.head_count"]
    queries, latent = facts["attention.q_lora_rank"], facts["attention.kv_lora_rank"]
    key, value, turned = (
        facts["attention.key_length_mla"],
        facts["attention.value_length_mla"],
        facts["rope.dimension_count"],
    )
    for layer in range(facts["block_count"]):
        yield f"blk.{layer}.attn_norm.weight", (width,)
        yield f"blk.{layer}.attn_q_a_norm.weight", (queries,)
        yield f"blk.{layer}.attn_kv_a_norm.weight", (latent,)
        yield f"blk.{layer}.attn_q_a.weight", (width, queries)
        yield f"blk.{layer}.attn_q_b.weight", (queries, heads * key)
        yield f"blk.{layer}.attn_kv_a_mqa.weight", (width, latent + turned)
        yield f"blk.{layer}.attn_k_b.weight", (key - turned, latent, heads)
        yield f"blk.{layer}.attn_v_b.weight", (latent, value, heads)
        yield f"blk.{layer}.attn_output.weight", (heads * value, width)
        if layer < facts["leading_dense_block_count"]:
            yield from _dense(facts, layer)
        else:
            yield from _experts(facts, layer, shared=facts["expert_feed_forward_length"])


def _qwen3next(facts: Facts) -> Tensors:
    width, state, inner = facts["embedding_length"], facts["ssm.state_size"], facts["ssm.inner_size"]
    keys, values = facts["ssm.group_count"] * state, facts["ssm.time_step_rank"] * state
    for layer in range(facts["block_count"]):
        if (layer + 1) % facts["full_attention_interval"]:
            yield f"blk.{layer}.attn_norm.weight", (width,)
            yield f"blk.{layer}.attn_qkv.weight", (width, 2 * keys + values)
            yield f"blk.{layer}.attn_gate.weight", (width, values)
            yield f"blk.{layer}.ssm_conv1d.weight", (facts["ssm.conv_kernel"], inner + 2 * keys)
            yield f"blk.{layer}.ssm_dt.bias", (facts["ssm.time_step_rank"],)
            yield f"blk.{layer}.ssm_a", (facts["ssm.time_step_rank"],)
            yield f"blk.{layer}.ssm_ba.weight", (width, 2 * facts["ssm.time_step_rank"])
            yield f"blk.{layer}.ssm_norm.weight", (state,)
            yield f"blk.{layer}.ssm_out.weight", (values, width)
        else:
            yield from _attention(facts, layer, norms=True, gated=True)
        yield f"blk.{layer}.post_attention_norm.weight", (width,)
        yield from _experts(facts, layer, norm=False, shared=facts["expert_shared_feed_forward_length"])
        yield f"blk.{layer}.ffn_gate_inp_shexp.weight", (width,)


def _qwen35(facts: Facts) -> Tensors:
    width, state, inner = facts["embedding_length"], facts["ssm.state_size"], facts["ssm.inner_size"]
    keys, values, rank = facts["ssm.group_count"] * state, facts["ssm.inner_size"], facts["ssm.time_step_rank"]
    for layer in range(facts["block_count"]):
        if (layer + 1) % facts["full_attention_interval"]:
            yield f"blk.{layer}.attn_norm.weight", (width,)
            yield f"blk.{layer}.attn_qkv.weight", (width, 2 * keys + values)
            yield f"blk.{layer}.attn_gate.weight", (width, values)
            yield f"blk.{layer}.ssm_conv1d.weight", (facts["ssm.conv_kernel"], inner + 2 * keys)
            yield f"blk.{layer}.ssm_dt.bias", (rank,)
            yield f"blk.{layer}.ssm_a", (rank,)
            yield f"blk.{layer}.ssm_beta.weight", (width, rank)
            yield f"blk.{layer}.ssm_alpha.weight", (width, rank)
            yield f"blk.{layer}.ssm_norm.weight", (inner // rank,)
            yield f"blk.{layer}.ssm_out.weight", (values, width)
        else:
            yield from _attention(facts, layer, norms=True, gated=True)
        yield f"blk.{layer}.post_attention_norm.weight", (width,)
        if facts.get("expert_count"):
            yield from _experts(facts, layer, norm=False, shared=facts["expert_shared_feed_forward_length"])
            yield f"blk.{layer}.ffn_gate_inp_shexp.weight", (width,)
        else:
            yield from _dense(facts, layer, norm=False)


def _gemma4(facts: Facts) -> Tensors:
    yield "rope_freqs.weight", (facts["attention.key_length"] // 2,)
    width = facts["embedding_length"]
    for layer, slides in enumerate(facts["attention.sliding_window_pattern"]):
        length = facts["attention.key_length_swa" if slides else "attention.key_length"]
        shared = facts["attention.head_count_kv"][layer]
        yield from _attention(
            {
                **facts, "attention.key_length": length, "attention.value_length": length,
                "attention.head_count_kv": shared,
            },
            layer, norms=True,
        )  # fmt: skip
        yield f"blk.{layer}.post_attention_norm.weight", (width,)
        yield from _dense(facts, layer)
        yield f"blk.{layer}.post_ffw_norm.weight", (width,)


def _gemma2(facts: Facts) -> Tensors:
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer)
        yield f"blk.{layer}.post_attention_norm.weight", (facts["embedding_length"],)
        yield from _dense(facts, layer)
        yield f"blk.{layer}.post_ffw_norm.weight", (facts["embedding_length"],)


def _seed_oss(facts: Facts) -> Tensors:
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer, biases=True)
        yield f"blk.{layer}.post_attention_norm.weight", (facts["embedding_length"],)
        yield from _dense(facts, layer, norm=False)


def _phi3(facts: Facts) -> Tensors:
    width, inner, key = facts["embedding_length"], facts["feed_forward_length"], facts["attention.key_length"]
    heads, shared = facts["attention.head_count"], facts["attention.head_count_kv"]
    for layer in range(facts["block_count"]):
        yield f"blk.{layer}.attn_norm.weight", (width,)
        yield f"blk.{layer}.attn_qkv.weight", (width, (heads + 2 * shared) * key)
        yield f"blk.{layer}.attn_output.weight", (heads * key, width)
        yield f"blk.{layer}.ffn_norm.weight", (width,)
        yield f"blk.{layer}.ffn_up.weight", (width, 2 * inner)
        yield f"blk.{layer}.ffn_down.weight", (inner, width)


def _qwen2moe(facts: Facts) -> Tensors:
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer, biases=True)
        yield from _experts(facts, layer, shared=facts["expert_shared_feed_forward_length"])
        yield f"blk.{layer}.ffn_gate_inp_shexp.weight", (facts["embedding_length"],)


def _glm4moe(facts: Facts) -> Tensors:
    for layer in range(facts["block_count"]):
        yield from _attention(facts, layer)
        yield f"blk.{layer}.post_attention_norm.weight", (facts["embedding_length"],)
        yield from _experts(facts, layer, norm=False, shared=facts["expert_feed_forward_length"])
        yield f"blk.{layer}.exp_probs_b.bias", (facts["expert_count"],)


def _mamba(facts: Facts) -> Tensors:
    width, inner, state = facts["embedding_length"], facts["ssm.inner_size"], facts["ssm.state_size"]
    rank = facts["ssm.time_step_rank"]
    for layer in range(facts["block_count"]):
        yield f"blk.{layer}.attn_norm.weight", (width,)
        yield f"blk.{layer}.ssm_in.weight", (width, 2 * inner)
        yield f"blk.{layer}.ssm_conv1d.weight", (facts["ssm.conv_kernel"], inner)
        yield f"blk.{layer}.ssm_conv1d.bias", (inner,)
        yield f"blk.{layer}.ssm_x.weight", (inner, rank + 2 * state)
        yield f"blk.{layer}.ssm_dt.weight", (rank, inner)
        yield f"blk.{layer}.ssm_dt.bias", (inner,)
        yield f"blk.{layer}.ssm_a", (state, inner)
        yield f"blk.{layer}.ssm_d", (inner,)
        yield f"blk.{layer}.ssm_out.weight", (inner, width)


_COMMON: Facts = {"context_length": 65536, "attention__layer_norm_rms_epsilon": 1e-6, "rope__freq_base": 10000.0}
_HEADS: Facts = {
    "embedding_length": 512, "block_count": 6, "feed_forward_length": 1536, "attention__head_count": 8,
    "attention__head_count_kv": 2, "attention__key_length": 64, "attention__value_length": 64,
}  # fmt: skip
_MIXTURE: Facts = {"expert_count": 8, "expert_used_count": 2, "expert_feed_forward_length": 256}

SHAPES: dict[str, tuple[str, Facts, Callable[[Facts], Tensors]]] = {
    "llama": ("llama", {**_COMMON, **_HEADS, "rope__dimension_count": 64}, _llama),
    "qwen2": ("qwen2", {**_COMMON, **_HEADS, "untied": False}, _qwen2),
    "qwen3": ("qwen3", {**_COMMON, **_HEADS, "attention__key_length": 128, "attention__value_length": 128}, _qwen3),
    "qwen3moe": ("qwen3moe", {**_COMMON, **_HEADS, **_MIXTURE}, _qwen3moe),
    "gemma3": (
        "gemma3",
        {**_COMMON, **_HEADS, "block_count": 8, "attention__sliding_window": 512, "untied": False},
        _gemma3,
    ),
    "gpt-oss": ("gpt-oss", {**_COMMON, **_HEADS, **_MIXTURE, "attention__sliding_window": 128}, _gpt_oss),
    "deepseek2": (
        "deepseek2",
        {
            **_COMMON, **_HEADS, **_MIXTURE, "attention__head_count_kv": 1, "attention__key_length": 288,
            "attention__value_length": 256, "attention__key_length_mla": 96, "attention__value_length_mla": 64,
            "attention__q_lora_rank": 128, "attention__kv_lora_rank": 256, "rope__dimension_count": 32,
            "leading_dense_block_count": 1, "expert_shared_count": 1, "expert_weights_scale": 1.0,
            "expert_gating_func": 1,
        },
        _deepseek2,
    ),
    "qwen3next": (
        "qwen3next",
        {
            **_COMMON, **_HEADS, **_MIXTURE, "block_count": 8, "full_attention_interval": 4, "ssm__conv_kernel": 4,
            "ssm__inner_size": 512, "ssm__state_size": 64, "ssm__group_count": 4, "ssm__time_step_rank": 8,
            "expert_shared_feed_forward_length": 256,
        },
        _qwen3next,
    ),
    "qwen35": (
        "qwen35",
        {
            **_COMMON, **_HEADS, "block_count": 8, "full_attention_interval": 4, "ssm__conv_kernel": 4,
            "ssm__inner_size": 512, "ssm__state_size": 64, "ssm__group_count": 4, "ssm__time_step_rank": 8,
            "rope__dimension_sections": (11, 11, 10, 0),
        },
        _qwen35,
    ),
    "qwen35moe": (
        "qwen35moe",
        {
            **_COMMON, **_HEADS, **_MIXTURE, "block_count": 8, "full_attention_interval": 4, "ssm__conv_kernel": 4,
            "ssm__inner_size": 512, "ssm__state_size": 64, "ssm__group_count": 4, "ssm__time_step_rank": 8,
            "rope__dimension_sections": (11, 11, 10, 0), "expert_shared_feed_forward_length": 256,
        },
        _qwen35,
    ),
    "gemma4": (
        "gemma4",
        {
            **_COMMON, **_HEADS, "attention__head_count_kv": (4, 4, 1, 4, 4, 1), "attention__key_length": 128,
            "attention__value_length": 128, "attention__key_length_swa": 64, "attention__value_length_swa": 64,
            "attention__sliding_window": 512, "embedding_length_per_layer_input": 0,
            "attention__sliding_window_pattern": (True, True, False, True, True, False), "untied": False,
            "rope__dimension_count": 128, "rope__dimension_count_swa": 64, "rope__freq_base_swa": 10000.0,
        },
        _gemma4,
    ),
    "mamba": (
        "mamba",
        {
            **_COMMON, "embedding_length": 512, "block_count": 6, "feed_forward_length": 0, "attention__head_count": 0,
            "ssm__conv_kernel": 4, "ssm__inner_size": 1024, "ssm__state_size": 16, "ssm__time_step_rank": 32,
        },
        _mamba,
    ),
}  # fmt: skip
_ROPE: Facts = {"rope__dimension_count": 64}
_SCALES: Facts = {"logit_scale": 8.0, "residual_scale": 0.22, "embedding_scale": 12.0, "attention__scale": 0.0156}
# Loaded at fewer settings: built by the same lines of llama.cpp as those above.
MORE_SHAPES: dict[str, tuple[str, Facts, Callable[[Facts], Tensors]]] = {
    **{
        name: (name, {**_COMMON, **_HEADS, **_ROPE}, _llama)
        for name in ("mistral3", "smollm3", "internlm2", "exaone", "minicpm", "ernie4_5")
    },
    "granite": ("granite", {**_COMMON, **_HEADS, **_ROPE, **_SCALES}, _llama),
    "gemma": ("gemma", {**_COMMON, **_HEADS, "untied": False}, _llama),
    "gemma2": ("gemma2", {**_COMMON, **_HEADS, "attention__sliding_window": 512, "untied": False}, _gemma2),
    "seed_oss": ("seed_oss", {**_COMMON, **_HEADS, **_ROPE}, _seed_oss),
    "phi3": ("phi3", {**_COMMON, **_HEADS, **_ROPE}, _phi3),
    "hunyuan-dense": ("hunyuan-dense", {**_COMMON, **_HEADS}, _qwen3),
    "qwen2vl": ("qwen2vl", {**_COMMON, **_HEADS, "rope__dimension_sections": (16, 24, 24, 0)}, _qwen2),
    "qwen2moe": ("qwen2moe", {**_COMMON, **_HEADS, **_MIXTURE, "expert_shared_feed_forward_length": 256}, _qwen2moe),
    "glm4moe": (
        "glm4moe",
        {
            **_COMMON, **_HEADS, **_MIXTURE, "leading_dense_block_count": 0, "expert_shared_count": 1,
            "expert_gating_func": 2,
        },
        _glm4moe,
    ),
}  # fmt: skip
