"""Sizes in bytes of the KV cache and of recurrent states.

llama.cpp allocates all of it at start. Source: ``llama_context`` (padding), ``llama_kv_cache``,
``llama_kv_cache_iswa`` (sliding windows), ``llama_memory_recurrent``, as of October 2026; the sums are exact.
"""

from __future__ import annotations

from typing import Final

from intermodal.core.content import Value
from intermodal.core.hints import setting
from intermodal.errors import UsageError
from intermodal.local.weights.gguf import BLOCKS
from intermodal.sizing.shape import Layer, ModelShape, ServingSettings

_PAD: Final = 256
# Cache types of llama.cpp (``kv_cache_types`` of its common/arg.cpp): values and bytes per block.
TYPES: Final[dict[str, tuple[int, int]]] = {
    name.lower(): (numbers, size)
    for name, numbers, size in BLOCKS.values()
    if name in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "IQ4_NL", "Q5_0", "Q5_1")
}
_STATE_BYTES: Final = 4  # recurrent states are always F32


class CacheCells(Value, gc=False):
    """The number of tokens the cache holds.

    It has ``streams`` parts of ``each`` tokens, ``context`` tokens in total. ``ubatch``: tokens computed together.
    """

    context: int
    streams: int
    each: int
    ubatch: int


def pad_context(count: int) -> int:
    """Round ``count`` up to a multiple of 256, as llama.cpp rounds contexts."""
    return -(-count // _PAD) * _PAD


def cache_cells(settings: ServingSettings) -> CacheCells:
    """Return how the context is laid out: shared by all slots, or split among them."""
    batch = min(settings.context, settings.batch)
    total = pad_context(settings.context)
    each = total if settings.unified else pad_context(total // settings.slots)
    streams = 1 if settings.unified else settings.slots
    return CacheCells(context=each * streams, streams=streams, each=each, ubatch=min(batch, settings.ubatch))


def window_cells(window: int, settings: ServingSettings) -> int:
    """Return the tokens per stream that a sliding-window layer keeps.

    These are the windows of all slots that share the stream plus one micro-batch, or the full context with
    ``swa_full``.
    """
    found = cache_cells(settings)
    if settings.swa_full:
        return found.each
    return pad_context(min(found.each, window * (settings.slots if settings.unified else 1) + found.ubatch))


def is_quantized(kind: str) -> bool:
    """Return whether cache type ``kind`` stores values in quantized blocks."""
    return TYPES.get(kind, (1, 0))[0] > 1


def row_bytes(kind: str, numbers: int) -> int:
    """Return the size in bytes of ``numbers`` values of type ``kind`` cached for one token.

    Raises:
        UsageError: the type is unknown, or ``numbers`` is not a multiple of its block size.
    """
    if kind not in TYPES:
        raise UsageError(
            f"keys and values cannot be kept as {kind!r}", where=setting("kv"), todo=f"one of {', '.join(TYPES)}"
        )
    block, size = TYPES[kind]
    if numbers % block:
        raise UsageError(
            f"{numbers} numbers of a token do not fill blocks of {block}, as {kind} needs",
            where=setting("kv"),
            todo="say f16",
        )
    return numbers // block * size


def layer_bytes(shape: ModelShape, layer: Layer, settings: ServingSettings) -> int:
    """Return the bytes of keys and values of one layer over all streams."""
    if not layer.cached or not layer.kv_heads:
        return 0
    found = cache_cells(settings)
    each = window_cells(layer.window, settings) if layer.window else found.each
    wide = layer.kv_heads * layer.value
    if not settings.flash_attention:  # values are transposed, and all layers are as wide as the widest
        wide = max(each_layer.kv_heads * each_layer.value for each_layer in shape.layers)
    row = row_bytes(settings.type_k, layer.kv_heads * layer.key)
    return each * found.streams * (row + (row_bytes(settings.type_v, wide) if layer.values else 0))


def state_bytes(layer: Layer, slots: int) -> int:
    """Return the bytes of the recurrent states of one layer for all slots; they do not depend on the context."""
    return _STATE_BYTES * (layer.conv + layer.state) * max(1, slots)


def index_bytes(shape: ModelShape, settings: ServingSettings) -> int:
    """Return the bytes per layer of the index of sparse attention, which keeps one key per token."""
    return cache_cells(settings).context * row_bytes(settings.type_k, shape.index_key) if shape.index_key else 0


def token_bytes(shape: ModelShape, type_k: str = "f16", type_v: str = "f16") -> int:
    """Return the KV cache bytes of one token over all layers with full attention (no sliding window)."""
    return sum(
        row_bytes(type_k, layer.kv_heads * layer.key)
        + (row_bytes(type_v, layer.kv_heads * layer.value) if layer.values else 0)
        for layer in shape.layers
        if layer.cached and layer.kv_heads and not layer.window
    )
