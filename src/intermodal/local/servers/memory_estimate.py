"""Estimates the memory of a server from file headers before anything is loaded, with the formulas of ``sizing``.

The low end excludes memory that is touched only once a prompt fills the context; the high end covers every case.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from intermodal.sizing.memory import Correction, model_memory
from intermodal.sizing.model_sources import local_model
from intermodal.sizing.placement import largest_fitting
from intermodal.sizing.shape import ModelShape, ServingSettings
from intermodal.sizing.vllm import VllmSettings, text_bytes

MemoryRange = tuple[float, float, float]
# vLLM 0.32 on a CPU, three processes with SmolLM2 in bfloat16 and 1 GiB of KV cache: 4.4 GB after the warm-up.
_VLLM = (2.4e9, 3.1e9, 4.0e9)
# KV cache bytes per token of an unknown architecture: from zero to a megabyte.
_TOKEN = (0.0, 1e5, 1e6)
_STEP = 256  # tokens; llama.cpp rounds contexts to it


def gguf_memory(
    model: ModelShape, projector: ModelShape | None, context: int, slots: int, corrections: Sequence[Correction] = (),
    program: str = "",
) -> MemoryRange:  # fmt: skip
    """Return the resident memory with llama.cpp on the CPU in bytes: low, mid, high. ``context``: tokens per slot.

    ``corrections``: measurements of its file with this ``program``.
    """
    settings = ServingSettings(context=context * slots, slots=slots, projector=projector)
    needed = model_memory(model, settings, corrections, program)
    low = mid = high = 0.0
    for term in needed.terms:
        amount = term.amount
        if not amount.known:
            found = tuple(bytes_each * context * slots for bytes_each in _TOKEN)
            low, mid, high = low + found[0], mid + found[1], high + found[2]
            continue
        touched = 0.0 if term.name in ("compute", "projector compute") else amount.low
        low, mid, high = low + touched, mid + amount.mid, high + amount.high
    return low, mid, high


def folder_memory(shape: ModelShape, context: int, slots: int) -> MemoryRange:
    """Return the resident memory with vLLM on a CPU in bytes. With a GPU, most of it is GPU memory."""
    cache = _cache(shape, context, slots)
    low, mid, high = _VLLM
    return (shape.weights + low, shape.weights + cache + mid, shape.weights + cache + high)


def memory_by_context(
    model: str, projector: str, slots: int, corrections: Sequence[Correction] = (), program: str = ""
) -> Callable[[int], MemoryRange]:
    """Return a function from the context per slot to the memory in bytes. Headers are read once."""
    path = Path(model)
    shape = local_model(path).shape
    if path.is_dir():
        return lambda context: folder_memory(shape, context, slots)
    eyes = local_model(Path(projector)).shape if projector else None
    return lambda context: gguf_memory(shape, eyes, context, slots, corrections, program)


def longest_context(needed: Callable[[int], MemoryRange], most: int, room: Callable[[float], bool]) -> int:
    """Return the longest context per slot for which ``room`` returns True, at most ``most``; 0 if none fits."""
    return largest_fitting(most, lambda context: room(needed(context)[2]), _STEP)


def cache_space(folder: str, context: int, slots: int) -> int:
    """Return the bytes that vLLM reserves on a CPU for its KV cache."""
    return _cache(local_model(Path(folder)).shape, context, slots)


def _cache(shape: ModelShape, context: int, slots: int) -> int:
    """Return the size of the KV cache in bytes, rounded up to whole GiB, at least one."""
    return max(1, math.ceil(text_bytes(shape, VllmSettings(), context) * slots / (1 << 30))) << 30
