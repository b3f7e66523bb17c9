"""Published models as their files lay them out: every tensor with its type, without the weights."""

from __future__ import annotations

from functools import cache

from tests.unit.sizing.headers import shape, tensor

from intermodal.local.weights.gguf import GgufTensor
from intermodal.sizing.shape import Layer, ModelShape


@cache
def qwen3_30b_a3b() -> ModelShape:
    """Qwen3-30B-A3B-Q4_K_M.gguf, of which the hub says 18,556,689,568 bytes with its header of 6 MB."""
    found = [
        tensor("token_embd.weight", (2048, 151936), "Q4_K"), tensor("output.weight", (2048, 151936), "Q6_K"),
        tensor("output_norm.weight", (2048,), "F32"),
    ]  # fmt: skip
    for index in range(48):
        more = index < 6 or index >= 42 or (index - 6) % 3 == 2  # llama.cpp: use_more_bits
        found += _moe_layer(f"blk.{index}.", "Q6_K" if more else "Q4_K")
    return shape(
        "qwen3moe", found, block_count=48, embedding_length=2048, feed_forward_length=6144, attention__head_count=32,
        attention__head_count_kv=4, attention__key_length=128, attention__value_length=128, expert_count=128,
        expert_used_count=8, expert_feed_forward_length=768, context_length=40960,
    )  # fmt: skip


def _moe_layer(prefix: str, more: str) -> list[GgufTensor]:
    dims = {
        "attn_q": ((2048, 4096), "Q4_K"), "attn_k": ((2048, 512), "Q4_K"), "attn_v": ((2048, 512), more),
        "attn_output": ((4096, 2048), "Q4_K"), "ffn_gate_exps": ((2048, 768, 128), "Q4_K"),
        "ffn_up_exps": ((2048, 768, 128), "Q4_K"), "ffn_down_exps": ((768, 2048, 128), more),
        "ffn_gate_inp": ((2048, 128), "F32"), "attn_norm": ((2048,), "F32"), "ffn_norm": ((2048,), "F32"),
        "attn_q_norm": ((128,), "F32"), "attn_k_norm": ((128,), "F32"),
    }  # fmt: skip
    return [tensor(f"{prefix}{name}.weight", *rest) for name, rest in dims.items()]


def llama_32_3b() -> ModelShape:
    """Llama-3.2-3B-Instruct-Q4_K_M.gguf: 2.01 GB, the token table of Q6_K is the output too."""
    return _dense(28, 24, 2_011_500_000, table=128256 * 3072 * 210 // 256, output=0, parameters=3_212_749_888)


def tinyllama() -> ModelShape:
    """tinyllama-1.1b-1t-openorca.Q4_K_M.gguf: 636.18 MiB, as llama-bench says."""
    numbers = 32000 * 2048
    table, output = numbers * 144 // 256, numbers * 210 // 256
    each = (round(636.18 * 2**20) - table - output) // 22
    return ModelShape(
        layers=(Layer(heads=32, kv_heads=4, key=64, value=64, weights=each),) * 22, embeddings=table, output=output,
        parameters=1_100_048_384, active=1_100_048_384, context=2048, vocab=32000, embd=2048,
    )  # fmt: skip


def smollm2_135m() -> ModelShape:
    """SmolLM2-135M-Instruct-Q8_0.gguf: the token table is the output too."""
    table = 49152 * 576 * 34 // 32
    each = (143_025_408 - table) // 30
    return ModelShape(
        layers=(Layer(heads=9, kv_heads=3, key=64, value=64, weights=each),) * 30, embeddings=table,
        parameters=134_515_008, active=134_515_008, context=8192, vocab=49152, embd=576,
    )  # fmt: skip


def deepseek_r1_14b() -> ModelShape:
    """DeepSeek-R1-Distill-Qwen-14B-Q4_K_M.gguf: 8.98 GB."""
    numbers = 152064 * 5120
    table, output = numbers * 144 // 256, numbers * 210 // 256
    return _dense(48, 40, 8_982_000_000, table=table, output=output, parameters=14_770_033_664)


def gpt_oss_20b() -> ModelShape:
    """gpt-oss-20b-mxfp4.gguf: experts of MXFP4, the rest of Q8_0."""
    experts = 32 * 3 * 2880 * 2880 * 17 // 32
    attention = (2 * 2880 * 4096 + 2 * 2880 * 512) * 34 // 32
    layer = Layer(heads=64, kv_heads=8, key=64, value=64, weights=experts + attention, experts=experts)
    table = 201088 * 2880 * 34 // 32
    return ModelShape(
        layers=(layer,) * 24, experts=32, experts_used=4, expert_ff=2880, embd=2880, vocab=201088, embeddings=table,
        output=table, parameters=20_914_757_184, active=3_600_000_000, context=131072,
    )  # fmt: skip


def _dense(layers: int, heads: int, whole: int, *, table: int, output: int, parameters: int) -> ModelShape:
    each = (whole - table - output) // layers
    return ModelShape(
        layers=(Layer(heads=heads, kv_heads=8, key=128, value=128, weights=each),) * layers, embeddings=table,
        output=output, parameters=parameters, active=parameters, context=131072, vocab=128256, embd=heads * 128,
    )  # fmt: skip
