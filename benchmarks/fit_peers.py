"""What other programs publish of the memory of models, beside ours for the same file, context and settings.

    python benchmarks/fit_peers.py    prints the section of benchmarks/results/fit.md

The files are laid out as published ones are, every tensor with its type and no weights. Nobody publishes what these
loads really took, so that this is a comparison of predictions and no table of errors.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.unit.sizing.headers import shape, tensor  # noqa: E402 - its folder is the repository

from intermodal.sizing.memory import memory  # noqa: E402
from intermodal.sizing.settings import ALL, Settings  # noqa: E402
from intermodal.sizing.shape import Layer, ModelShape  # noqa: E402
from intermodal.sizing.vllm import Serving, text_bytes  # noqa: E402

GIB, MIB = 2**30, 2**20
README = "gguf-parser-go's README, commit 0930736"


class Dense(NamedTuple):
    """A model as its config says, and the types that llama.cpp's mixes give its tensors."""

    architecture: str
    layers: int
    embd: int
    ff: int
    heads: int
    kv_heads: int
    vocab: int
    kind: str
    better: str  # of half of the values and of what leads down, of more of them in larger mixes
    output: str
    context: int

    def shape(self) -> ModelShape:
        """Its tensors."""
        kv = self.embd // self.heads * self.kv_heads
        found = [
            tensor("token_embd.weight", (self.embd, self.vocab), self.kind),
            tensor("output.weight", (self.embd, self.vocab), self.output),
            tensor("output_norm.weight", (self.embd,), "F32"),
        ]  # fmt: skip
        for index in range(self.layers):
            first, last = index < self.layers // 8, index >= 7 * self.layers // 8
            more = self.better if first or last or (index - self.layers // 8) % 3 == 2 else self.kind  # use_more_bits
            dims = {
                "attn_q": ((self.embd, self.embd), self.kind), "attn_k": ((self.embd, kv), self.kind),
                "attn_v": ((self.embd, kv), more), "attn_output": ((self.embd, self.embd), self.kind),
                "ffn_gate": ((self.embd, self.ff), self.kind), "ffn_up": ((self.embd, self.ff), self.kind),
                "ffn_down": ((self.ff, self.embd), more), "attn_norm": ((self.embd,), "F32"),
                "ffn_norm": ((self.embd,), "F32"),
            }  # fmt: skip
            found += [tensor(f"blk.{index}.{name}.weight", *rest) for name, rest in dims.items()]
        return shape(
            self.architecture, found, block_count=self.layers, embedding_length=self.embd,
            feed_forward_length=self.ff, attention__head_count=self.heads, attention__head_count_kv=self.kv_heads,
            context_length=self.context,
        )  # fmt: skip


class Published(NamedTuple):
    """GiB on the card as gguf-parser-go says it, with flash attention off and all layers there; of what context."""

    name: str
    model: Dense
    context: int
    card: float


PUBLISHED = (
    Published("Hermes-2-Pro-Mistral-7B Q5_K_M",
              Dense("llama", 32, 4096, 14336, 32, 8, 32032, "Q5_K", "Q6_K", "Q6_K", 32768), 32768, 11.16),
    Published("chinese-alpaca-2-13b-16k Q5_K",
              Dense("llama", 40, 5120, 13824, 40, 40, 55296, "Q5_K", "Q6_K", "Q6_K", 16384), 16384, 22.96),
    Published("Llama 3.1 8B Q4_0", Dense("llama", 32, 4096, 14336, 32, 8, 128256, "Q4_0", "Q4_0", "Q6_K", 131072),
              131072, 29.08),
)  # fmt: skip
# hf-mem 0.5's page on PyPI: MiniMax-M2 (62 layers, 8 heads of 128 for keys and values, 196,608 tokens), in bytes.
HF_MEM = 24_964_497_408
MINIMAX = ModelShape(layers=(Layer(heads=48, kv_heads=8, key=128, value=128),) * 62, format="safetensors")


def lines() -> list[str]:
    """The section."""
    found = [
        "## Beside what others publish", "",
        f"GiB on the card, all layers there, flash attention off, batches of 2048 / 512, by {README}. What these loads"
        " really took nobody publishes, so that no column has an error.", "",
        "| model | context | gguf-parser-go | intermodal | of it weights, cache, compute |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for row in PUBLISHED:
        settings = Settings(context=row.context, flash_attention=False, gpu_layers=ALL)
        made = memory(row.model.shape(), settings)
        whole = made.total("device")
        parts = ", ".join(f"{made.of(name, 'device').mid / GIB:.2f}" for name in ("weights", "cache", "compute"))
        said = f"{whole.mid / GIB:.2f} ({whole.low / GIB:.2f}..{whole.high / GIB:.2f})"
        found.append(f"| {row.name} | {row.context:,} | {row.card:.2f} | {said} | {parts} |")
    half = text_bytes(MINIMAX, Serving(batched=1), 196_608)
    found += [
        "",
        f"hf-mem says {HF_MEM / 1e9:.2f} GB for the keys and values of one text of 196,608 tokens of MiniMax-M2, as its"
        f" weights are of eight bits; intermodal {half / 1e9:.2f} GB, as vLLM keeps them in sixteen unless it is told"
        f" otherwise, and {text_bytes(MINIMAX, Serving(batched=1, cache_bytes=1), 196_608) / 1e9:.2f} with"
        " `--kv-cache-dtype fp8`.",
        "",
        "No published figure of llmfit for a model at a stated context was found; whichllm was not looked through.",
    ]
    return found


if __name__ == "__main__":
    print("\n".join(lines()))
