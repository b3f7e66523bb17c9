"""Sizes in bytes of the KV cache and of recurrent states.

llama.cpp sets all of it aside when it starts. Source: ``llama_context`` (padding), ``llama_kv_cache``,
``llama_kv_cache_iswa`` (windows), ``llama_memory_recurrent``, as of October 2026; the sums are exact.
"""

from __future__ import annotations

from typing import Final

from intermodal.content import Value
from intermodal.errors import UsageError
from intermodal.hints import setting
from intermodal.local.weights.gguf import BLOCKS
from intermodal.sizing.shape import Layer, ModelShape, ServingSettings

_PAD: Final = 256
# Types of keys and values in llama.cpp (``kv_cache_types`` of its common/arg.cpp), with numbers and bytes a block.
TYPES: Final[dict[str, tuple[int, int]]] = {
    name.lower(): (numbers, size)
    for name, numbers, size in BLOCKS.values()
    if name in ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "IQ4_NL", "Q5_0", "Q5_1")
}
_STATE_BYTES: Final = 4  # recurrent states are always F32


class CacheCells(Value, gc=False):
    """The number of tokens in the cache.

    ``streams`` stores of ``each`` tokens, ``context`` in all. ``ubatch``: tokens that are worked on together.
    """

    context: int
    streams: int
    each: int
    ubatch: int


def padded(count: int) -> int:
    """To the next multiple of 256, as llama.cpp rounds contexts."""
    return -(-count // _PAD) * _PAD


def cache_cells(settings: ServingSettings) -> CacheCells:
    """Of the context of all slots, shared by them or split among them."""
    batch = min(settings.context, settings.batch)
    whole = padded(settings.context)
    each = whole if settings.unified else padded(whole // settings.slots)
    streams = 1 if settings.unified else settings.slots
    return CacheCells(context=each * streams, streams=streams, each=each, ubatch=min(batch, settings.ubatch))


def window_cells(window: int, settings: ServingSettings) -> int:
    """Return the tokens that a layer with a window keeps, a stream: the windows of all slots that share it, and the
    batch.
    """
    found = cache_cells(settings)
    if settings.swa_full:
        return found.each
    return padded(min(found.each, window * (settings.slots if settings.unified else 1) + found.ubatch))


def quantized(kind: str) -> bool:
    """Return whether numbers of this type are kept in blocks."""
    return TYPES.get(kind, (1, 0))[0] > 1


def row_bytes(kind: str, numbers: int) -> int:
    """Return bytes of so many numbers of one token.

    Raises:
        UsageError: no such type, or the numbers do not fill its blocks.
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
    """Keys and values of one layer, of all streams."""
    if not layer.cached or not layer.kv_heads:
        return 0
    found = cache_cells(settings)
    each = window_cells(layer.window, settings) if layer.window else found.each
    wide = layer.kv_heads * layer.value
    if not settings.flash_attention:  # values are transposed, and all layers are as wide as the widest
        wide = max(one.kv_heads * one.value for one in shape.layers)
    row = row_bytes(settings.type_k, layer.kv_heads * layer.key)
    return each * found.streams * (row + (row_bytes(settings.type_v, wide) if layer.values else 0))


def state_bytes(layer: Layer, slots: int) -> int:
    """Recurrent states of one layer, of all slots: whatever the context is."""
    return _STATE_BYTES * (layer.conv + layer.state) * max(1, slots)


def index_bytes(shape: ModelShape, settings: ServingSettings) -> int:
    """Return one key a token and layer, that an index of a sparse attention keeps."""
    return cache_cells(settings).context * row_bytes(settings.type_k, shape.index_key) if shape.index_key else 0


def token_bytes(shape: ModelShape, type_k: str = "f16", type_v: str = "f16") -> int:
    """Keys and values of one token, in every layer that keeps it as long as the text lasts."""
    return sum(
        row_bytes(type_k, layer.kv_heads * layer.key)
        + (row_bytes(type_v, layer.kv_heads * layer.value) if layer.values else 0)
        for layer in shape.layers
        if layer.cached and layer.kv_heads and not layer.window
    )
