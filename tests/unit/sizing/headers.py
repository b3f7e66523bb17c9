"""GGUF headers of published models, as their files say, without the weights."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from intermodal.local.weights.gguf import BLOCKS, GgufHeader, GgufTensor
from intermodal.sizing.gguf_shape import gguf_shape
from intermodal.sizing.shape import ModelShape

_BY_NAME = {name: (block, size) for name, block, size in BLOCKS.values()}


def tensor(name: str, dims: tuple[int, ...], kind: str = "F16") -> GgufTensor:
    block, size = _BY_NAME[kind]
    return GgufTensor(name=name, dims=dims, type=kind, size=prod(dims) // block * size)


def header(architecture: str, tensors: Sequence[GgufTensor] = (), **facts: Any) -> GgufHeader:
    """``facts``: keys below the architecture, with __ for a dot."""
    own = {f"{architecture}.{key.replace('__', '.')}": value for key, value in facts.items()}
    return GgufHeader(
        version=3, metadata={"general.architecture": architecture, **own}, tensors=tuple(tensors), size=1000
    )


def shape(architecture: str, tensors: Sequence[GgufTensor] = (), **facts: Any) -> ModelShape:
    return gguf_shape([header(architecture, tensors, **facts)], name=architecture)


def llama_8b() -> ModelShape:
    return shape(
        "llama", block_count=32, embedding_length=4096, feed_forward_length=14336, attention__head_count=32,
        attention__head_count_kv=8,
    )  # fmt: skip


def qwen3_4b() -> ModelShape:
    return shape(
        "qwen3", block_count=36, embedding_length=2560, feed_forward_length=9728, attention__head_count=32,
        attention__head_count_kv=8, attention__key_length=128, attention__value_length=128,
    )  # fmt: skip


def gpt_oss_20b() -> ModelShape:
    return shape(
        "gpt-oss", block_count=24, embedding_length=2880, feed_forward_length=2880, attention__head_count=64,
        attention__head_count_kv=8, attention__key_length=64, attention__value_length=64,
        attention__sliding_window=128, expert_count=32, expert_used_count=4, expert_feed_forward_length=2880,
    )  # fmt: skip


def gemma4_12b() -> ModelShape:
    """48 layers, of which each sixth looks back on everything: with one head of 512 instead of 8 of 256."""
    slides = tuple(index % 6 != 5 for index in range(48))
    return shape(
        "gemma4", block_count=48, embedding_length=3840, feed_forward_length=15360, attention__head_count=16,
        attention__head_count_kv=tuple(8 if flag else 1 for flag in slides), attention__key_length=512,
        attention__value_length=512, attention__key_length_swa=256, attention__value_length_swa=256,
        attention__sliding_window=1024, attention__sliding_window_pattern=slides, vocab_size=262144,
    )  # fmt: skip


def gemma3_27b() -> ModelShape:
    return shape(
        "gemma3", block_count=62, embedding_length=5376, feed_forward_length=21504, attention__head_count=32,
        attention__head_count_kv=16, attention__key_length=128, attention__value_length=128,
        attention__sliding_window=1024,
    )  # fmt: skip


def deepseek_v31() -> ModelShape:
    return shape(
        "deepseek2", block_count=61, embedding_length=7168, feed_forward_length=18432, attention__head_count=128,
        attention__head_count_kv=1, attention__key_length=576, attention__value_length=512,
        attention__key_length_mla=192, attention__value_length_mla=128,
    )  # fmt: skip


def qwen36_27b() -> ModelShape:
    return shape(
        "qwen35", block_count=64, embedding_length=5120, feed_forward_length=17408, attention__head_count=24,
        attention__head_count_kv=4, attention__key_length=256, attention__value_length=256,
        full_attention_interval=4, ssm__conv_kernel=4, ssm__inner_size=6144, ssm__state_size=128,
        ssm__group_count=16, ssm__time_step_rank=48,
    )  # fmt: skip


def laguna() -> ModelShape:
    return shape(
        "laguna", block_count=48, embedding_length=4096, attention__head_count=32, attention__head_count_kv=8,
        attention__key_length=128, attention__value_length=128, attention__sliding_window=512,
    )  # fmt: skip
