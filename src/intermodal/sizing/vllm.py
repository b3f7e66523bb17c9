"""Memory of a model under vLLM, which takes a share of each GPU and uses what weights and overhead leave as cache.

    cache     memory x utilization - weights - activations, CUDA graphs and context
    tokens    cache // bytes of a block over all layers x tokens per block

Source: vLLM, ``vllm/v1/worker/gpu_worker.py`` and ``vllm/v1/kv_cache_interface.py``. vLLM measures the overhead with a
dummy batch at start, so here it is a range. Tensor parallelism splits weights and heads over the GPUs; the latent
vector of latent attention is not split, every GPU keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from intermodal.core.content import Value
from intermodal.core.hints import setting
from intermodal.core.quantity import Quantity, between, exact, unknown
from intermodal.errors import UsageError
from intermodal.sizing.memory import TOKENS, Correction, corrected_amount, matching_correction
from intermodal.sizing.shape import Layer, ModelShape

GIB: Final = 1 << 30
# Activations of the dummy batch, CUDA graphs and the CUDA context, per GPU.
_OVERHEAD: Final = (0.6 * GIB, 1.8 * GIB, 5.0 * GIB)
_STATE_BYTES: Final = 4


class VllmSettings(Value):
    """The settings of vLLM.

    Attributes:
        memory: bytes of one GPU. utilization: the share that vLLM takes. cache: bytes reserved for the cache instead,
            as on a CPU (``VLLM_CPU_KVCACHE_SPACE``); 0 for the rest of the memory.
        length: tokens of the longest sequence (``--max-model-len``). slots: concurrent sequences (``--max-num-seqs``).
        cards: tensor parallel size. block: tokens per cache block. cache_bytes: per cached value, 1 for fp8.
        batched: tokens per step (``--max-num-batched-tokens``).
    """

    memory: int = 0
    utilization: float = 0.9
    cache: int = 0
    length: int = 8192
    slots: int = 256
    cards: int = 1
    block: int = 16
    cache_bytes: int = 2
    batched: int = 8192


class VllmCapacity(Value):
    """The capacity of one GPU.

    ``weights``, ``overhead`` and ``cache`` are bytes; ``tokens``: tokens in the cache; ``texts``: concurrent sequences
    of full length. ``fits``: whether the weights and one sequence fit; None if the range does not tell.
    """

    weights: Quantity
    overhead: Quantity
    cache: Quantity
    tokens: Quantity
    texts: Quantity
    fits: bool | None
    problems: tuple[str, ...] = ()
    correction: Correction | None = None


def serving_flags(serving: VllmSettings) -> str:
    """Return the settings that a correction of the cache size depends on (see ``memory.py``).

    >>> serving_flags(VllmSettings(cards=2))
    'vllm --tensor-parallel-size 2 --gpu-memory-utilization 0.9 --kv-cache-dtype auto'
    """
    room = f"VLLM_CPU_KVCACHE_SPACE={serving.cache / GIB:g}" if serving.cache else ""
    room = room or f"--gpu-memory-utilization {serving.utilization:g}"
    kind = "auto" if serving.cache_bytes == 2 else "fp8" if serving.cache_bytes == 1 else "float32"
    return f"vllm --tensor-parallel-size {serving.cards} {room} --kv-cache-dtype {kind}"


def most_heads(shape: ModelShape) -> int:
    """Return the largest number of attention heads of a layer, which the GPUs have to divide; 0 for none."""
    return max((layer.heads for layer in shape.layers), default=0)


def page_bytes(layer: Layer, serving: VllmSettings) -> int:
    """Return the bytes of one cache block of one layer on one GPU."""
    if not layer.kv_heads or not layer.cached:
        return 0
    if not layer.values:  # latent attention: not divided
        return serving.block * layer.key * serving.cache_bytes
    heads = max(1, layer.kv_heads // serving.cards)
    return serving.block * heads * (layer.key + layer.value) * serving.cache_bytes


def text_bytes(shape: ModelShape, serving: VllmSettings, length: int) -> int:
    """Return the cache bytes on one GPU of one sequence of ``length`` tokens.

    Sizes are rounded up to whole blocks; sliding-window layers keep only the tokens in the window.
    """
    found = 0
    for layer in shape.layers:
        cached_tokens = length
        if layer.window:
            cached_tokens = min(layer.window - 1 + serving.batched, length)
        pages = -(-cached_tokens // serving.block) + (1 if layer.window else 0)
        found += pages * page_bytes(layer, serving)
        found += _STATE_BYTES * (layer.conv + layer.state) // serving.cards
    return found


def vllm_capacity(shape: ModelShape, serving: VllmSettings, corrections: Sequence[Correction] = ()) -> VllmCapacity:
    """Return vLLM's capacity for sequences. ``corrections``: measurements of the model's files on this machine.

    Raises UsageError for settings that vLLM rejects, such as a number of GPUs that does not divide the attention heads.
    """
    if serving.cards < 1 or serving.block < 1 or serving.length < 1 or not 0 < serving.utilization <= 1:
        raise UsageError(
            "cards, pages and texts are at least 1, utilization at most 1", where="vllm", todo="say others"
        )
    heads = most_heads(shape)
    if heads % serving.cards:
        able = [str(count) for count in range(1, min(heads, 16) + 1) if heads % count == 0]
        raise UsageError(
            f"vLLM divides the {heads} heads of attention among the cards, which {serving.cards} cards do not divide",
            where=setting("gpu"), todo=f"name as many as {', '.join(able)}",
        )  # fmt: skip
    each = shape.weights / serving.cards
    weights = (
        between(each, each * 1.005, each * 1.03, "tensors, divided among the cards")
        if serving.cards > 1
        else exact(each, "tensors")
    )
    overhead = between(*_OVERHEAD, "vLLM measures it when it starts")
    cache = _cache(serving, weights, overhead)
    found = matching_correction(corrections, serving_flags(serving)) if corrections else None
    if found is not None:
        cache = corrected_amount(TOKENS, "host" if serving.cache else "device", cache, found)
    bytes_per_text = text_bytes(shape, serving, serving.length)
    if shape.memorizing == "unknown" or not bytes_per_text:
        nothing = unknown("nothing is known of what this architecture remembers")
        return VllmCapacity(
            weights=weights,
            overhead=overhead,
            cache=cache,
            tokens=nothing,
            texts=nothing,
            fits=None,
            problems=shape.problems,
            correction=found,
        )
    texts = [amount / bytes_per_text for amount in (cache.low, cache.mid, cache.high)]
    counts = [int(count * serving.length) // serving.block * serving.block for count in texts]
    sure = exact if cache.certainty == "exact" else None
    return VllmCapacity(
        weights=weights, overhead=overhead, cache=cache,
        tokens=sure(counts[1], "pages")
        if sure else between(counts[0], counts[1], counts[2], "cache / bytes of a token"),
        texts=sure(texts[1], "pages") if sure else between(texts[0], texts[1], texts[2], "cache / bytes of a text"),
        fits=True if texts[0] >= 1 else (None if texts[2] >= 1 else False), problems=shape.problems,
        correction=found,
    )  # fmt: skip


def _cache(serving: VllmSettings, weights: Quantity, overhead: Quantity) -> Quantity:
    if serving.cache:
        return exact(serving.cache, "as set aside")
    usable = serving.memory * serving.utilization
    return between(
        max(0.0, usable - weights.high - overhead.high), max(0.0, usable - weights.mid - overhead.mid),
        max(0.0, usable - weights.low - overhead.low), "what weights and overhead leave",
    )  # fmt: skip
