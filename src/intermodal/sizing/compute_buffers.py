"""Sizes in bytes of llama.cpp's compute and output buffers.

Source: ``llama_context::sched_reserve`` and ``output_reserve``. A graph of ``ubatch`` tokens over a full cache is laid
out once; its size is what ``sched_reserve: ... compute buffer size`` says. Where the graph is understood
(``compute_graph.py``) it is laid out here as there. Else a formula stands for it, fitted to the logs of six models of
4 to 30 billion parameters with flash attention (-6 % to +4 %): its largest part is the feed-forward part (of every
token: what comes in, two halves and their product), or logits; beside it the mask of who looks at whom.
"""

from __future__ import annotations

from typing import Final

from intermodal.quantity import Quantity, between, exact
from intermodal.sizing.compute_graph import compute_graph, is_validated
from intermodal.sizing.kv_cache import cache_cells, window_cells
from intermodal.sizing.serving_settings import ServingSettings
from intermodal.sizing.shape import ModelShape

_FLOAT: Final = 4
_MASK: Final = 2  # bytes of a place of the mask with flash attention
_HOST_ALIGN, _DEVICE_ALIGN = 32, 128  # bytes; of ggml's CPU and CUDA buffers
_SLACK: Final = (0.7, 1.5)  # of the formula: graphs differ, and what is freed leaves gaps


def compute_buffer(shape: ModelShape, settings: ServingSettings, *, on_device: bool) -> Quantity:
    """Where the layers are."""
    found = compute_graph(shape, settings, _DEVICE_ALIGN if on_device else _HOST_ALIGN)
    if found is not None:
        return _laid_out(shape, settings, found.device_size() if on_device else found.size())
    middle = _formula(shape, settings)
    return between(middle * _SLACK[0], middle, middle * _SLACK[1], "formula of the compute buffer")


def input_buffer(shape: ModelShape, settings: ServingSettings) -> Quantity:
    """On the host, where the layers are on a device: what is handed over."""
    found = compute_graph(shape, settings, _HOST_ALIGN)
    if found is not None:
        return _laid_out(shape, settings, found.host_size())
    middle = _masks(shape, settings) + 2 * _FLOAT * shape.embd * cache_cells(settings).ubatch
    return between(middle * _SLACK[0], middle, middle * _SLACK[1], "formula of the compute buffer")


def _laid_out(shape: ModelShape, settings: ServingSettings, size: int) -> Quantity:
    """Builds before October 2026 have no batch of words and given vectors together: two vectors a token fewer."""
    older = max(0, size - 2 * _FLOAT * shape.embd * cache_cells(settings).ubatch)
    low, high = (older, size * 1.03) if is_validated(shape) else (min(older, size * 0.85), size * 1.2)
    return between(low, size, high, "its graph, laid out")


def _formula(shape: ModelShape, settings: ServingSettings) -> float:
    found = cache_cells(settings)
    width = max(shape.ff, shape.expert_ff * shape.experts_used, 2 * shape.embd)
    inner = found.ubatch * (4 * width * _FLOAT)
    logits = _FLOAT * shape.vocab * min(found.ubatch, settings.slots)
    products = 0 if settings.flash_attention else found.ubatch * _FLOAT * _most_heads(shape) * found.each
    inner = max(inner, products + found.ubatch * 4 * shape.embd * _FLOAT, logits)
    return inner + _masks(shape, settings)


def output_buffer(shape: ModelShape, slots: int) -> Quantity:
    """Logits of the last token of every slot; a vector too of a model that pools."""
    return exact(_FLOAT * (shape.vocab + (shape.embd if shape.pools else 0)) * slots, "vocabulary x slots")


def _masks(shape: ModelShape, settings: ServingSettings) -> int:
    """One of the whole context where a layer has it, and one of the window."""
    found = cache_cells(settings)
    windows = {layer.window for layer in shape.layers if layer.kv_heads}
    places = found.each if 0 in windows else 0
    places += max((window_cells(window, settings) for window in windows if window), default=0)
    return places * found.ubatch * (_MASK if settings.flash_attention else _FLOAT)


def _most_heads(shape: ModelShape) -> int:
    return max((layer.heads for layer in shape.layers if layer.kv_heads), default=0)
