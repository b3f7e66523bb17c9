"""What other programs say of the memory of models, beside ours for the same file, context and settings.

    pip install hf-mem whichllm llmfit    for the table of errors, by benchmarks/fit.py
    python benchmarks/fit_peers.py        prints what they publish: the last section of benchmarks/results/fit.md

hf-mem, whichllm and llmfit are asked about the very files and contexts that fit.py loads. gguf-parser-go needs a Go
module proxy to be built, so that only what it publishes stands here: files laid out as published ones are, every tensor
with its type and no weights. Nobody publishes what those loads really took; that part is no table of errors.
"""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.unit.sizing.headers import shape, tensor  # noqa: E402 - its folder is the repository

from intermodal.sizing.memory import model_memory  # noqa: E402
from intermodal.sizing.model_sources import local_model  # noqa: E402
from intermodal.sizing.shape import ALL, Layer, ModelShape, ServingSettings  # noqa: E402  # noqa: E402
from intermodal.sizing.vllm import VllmSettings, text_bytes  # noqa: E402

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


class Said(NamedTuple):
    """MiB that a program predicts of a load: of the cache, and of all that it counts."""

    cache: float
    whole: float


PROGRAMS = {
    "hf-mem": "weights and cache, beside the buffers",
    "whichllm": "with what the program takes, beside the process",
    "llmfit": "with what the program takes, beside the process",
}


def ask(file: Path, settings: ServingSettings) -> dict[str, Said]:
    """Return what each program that is installed says of this load; one that refuses the file is left out."""
    found: dict[str, Said] = {}
    for name, how in (("hf-mem", _hf_mem), ("whichllm", _whichllm), ("llmfit", _llmfit)):
        with suppress(ImportError, RuntimeError, ValueError, KeyError):
            said = how(file, settings)
            if said is not None:
                found[name] = said
    return found


def _hf_mem(file: Path, settings: ServingSettings) -> Said:
    gguf: Any = importlib.import_module("hf_mem.gguf")
    read = gguf.parse_gguf_metadata(
        file.read_bytes(), experimental=True, max_model_len=settings.context, kv_cache_dtype=settings.type_k.upper()
    )
    return Said(read.kv_cache.cache_size / MIB, (read.bytes_count + read.kv_cache.cache_size) / MIB)


def _whichllm(file: Path, settings: ServingSettings) -> Said:
    """It knows parameters, the active ones, and the window of a few architectures. Its cache is of 16 bits always."""
    vram: Any = importlib.import_module("whichllm.engine.vram")
    types: Any = importlib.import_module("whichllm.models.types")
    windows: Any = importlib.import_module("whichllm.models.sliding_window")
    found = local_model(file).shape
    window = windows._SWA_ARCH_DEFAULTS.get(windows._swa_key_from_arch(found.architecture.replace("-", "_")))
    model = types.ModelInfo(
        id=file.stem, family_id="", name=file.stem, parameter_count=found.parameters,
        parameter_count_active=found.active if found.experts else None, architecture=found.architecture,
        is_moe=found.experts > 0, context_length=found.context,
        sliding_window=window and window[0], sliding_window_global_ratio=window and window[1],
    )  # fmt: skip
    variant = types.GGUFVariant(file.name, file.stem.rpartition(".")[2], file.stat().st_size)
    cache = vram.estimate_kv_cache(model, settings.context)
    return Said(cache / MIB, vram.estimate_vram(model, variant, settings.context) / MIB)


def _llmfit(file: Path, settings: ServingSettings) -> Said | None:
    """It knows published models by name: of the files loaded here SmolLM2, in a quantization near to the file's."""
    if not file.name.startswith("SmolLM2-135M-Instruct") or (program := shutil.which("llmfit")) is None:
        return None
    command = [program, "plan", "HuggingFaceTB/SmolLM2-135M-Instruct", "--context", f"{settings.context}", "--json"]
    kept = {"f16": "fp16"}.get(settings.type_k, settings.type_k)
    ran = subprocess.run([*command, "--kv-quant", kept], capture_output=True, text=True, timeout=60)
    plan = json.loads(ran.stdout)
    path = next(path for path in plan["run_paths"] if path["path"] == "cpu_only")
    cache = next(row["kv_cache_gb"] for row in plan["kv_alternatives"] if row["kv_quant"] == kept)
    return Said(cache * 1024, path["minimum"]["ram_gb"] * 1024)


class Load(NamedTuple):
    """MiB that a load took: its cache, its buffers, its process (None where that was not looked at)."""

    cache: float
    buffers: float
    process: float | None
    said: dict[str, Said]


def errors(loads: Sequence[Load]) -> list[str]:
    """The table of what they said against what was logged; ``intermodal`` is one of the names in ``said``."""
    found = [
        "## Beside other programs, on the same loads", "",
        "Each was asked about these files, contexts and types of cache; the answer beside what llama.cpp logged."
        " hf-mem counts weights and cache, which is set beside all buffers; whichllm and llmfit count the program too,"
        " which is set beside the process, where that was looked at. The models here are small, so that the fixed"
        " amounts of both (0.5 to 1 GB) are most of their totals; the cache has no such amount. llmfit knows models by"
        " name: of these SmolLM2, in Q4_K_M where the file is Q4_1. gguf-parser-go could not be built here.", "",
        "| program | loads | cache: median error | largest | within 10 % | total: median error | largest |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name in ("intermodal", *PROGRAMS):
        rows = [load for load in loads if name in load.said]
        if not rows:
            continue
        named = name if name == "intermodal" else f"{name} {version(name)}"
        cache = [load.said[name].cache / load.cache - 1 for load in rows if load.cache >= 1]
        whole = [
            load.said[name].whole / seen - 1 for load in rows
            if (seen := load.process if "process" in PROGRAMS.get(name, "") else load.buffers)
        ]  # fmt: skip
        near = f"{sum(abs(error) <= 0.1 for error in cache)} of {len(cache)}"
        found.append(f"| {named} | {len(rows)} | {_spread(cache)} | {near} | {_spread(whole)} |")
    return [*found, ""]


def _spread(of: Sequence[float]) -> str:
    largest = max(of, key=abs)
    return (
        f"{median(map(abs, of)):.1%} | {largest:+,.0%}"
        if abs(largest) >= 0.005
        else f"{median(map(abs, of)):.2%} | {largest:+.2%}"
    )


def lines() -> list[str]:
    """What they publish."""
    found = [
        "## Beside what others publish", "",
        f"GiB on the card, all layers there, flash attention off, batches of 2048 / 512, by {README}. What these loads"
        " really took nobody publishes, so that no column has an error.", "",
        "| model | context | gguf-parser-go | intermodal | of it weights, cache, compute |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for row in PUBLISHED:
        settings = ServingSettings(context=row.context, flash_attention=False, gpu_layers=ALL)
        made = model_memory(row.model.shape(), settings)
        whole = made.total("device")
        parts = ", ".join(f"{made.bytes_of(name, 'device').mid / GIB:.2f}" for name in ("weights", "cache", "compute"))
        said = f"{whole.mid / GIB:.2f} ({whole.low / GIB:.2f}..{whole.high / GIB:.2f})"
        found.append(f"| {row.name} | {row.context:,} | {row.card:.2f} | {said} | {parts} |")
    half = text_bytes(MINIMAX, VllmSettings(batched=1), 196_608)
    found += [
        "",
        f"hf-mem says {HF_MEM / 1e9:.2f} GB for the keys and values of one text of 196,608 tokens of MiniMax-M2, as its"
        f" weights are of eight bits; intermodal {half / 1e9:.2f} GB, as vLLM keeps them in sixteen unless it is told"
        f" otherwise, and {text_bytes(MINIMAX, VllmSettings(batched=1, cache_bytes=1), 196_608) / 1e9:.2f} with"
        " `--kv-cache-dtype fp8`.",
    ]
    return found


if __name__ == "__main__":
    print("\n".join(lines()))
