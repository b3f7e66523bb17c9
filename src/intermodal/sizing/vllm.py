"""Memory of a model under vLLM: a share of each card, of which the cache gets what weights and overhead leave.

    cache     memory x utilization - weights - activations, graphs and CUDA's own
    tokens    cache // bytes of a page of all layers x tokens of a page

Source: vLLM, ``vllm/v1/worker/gpu_worker.py`` and ``vllm/v1/kv_cache_interface.py``. vLLM measures the overhead with a
dummy batch when it starts, so it cannot be known before: a range. Weights and heads are divided among the cards of
tensor parallelism; the one latent vector of latent attention is not, every card keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from intermodal.content import Value
from intermodal.errors import UsageError
from intermodal.hints import setting
from intermodal.quantity import Quantity, between, exact, unknown
from intermodal.sizing.memory import TOKENS, Correction, corrected_amount, matching_correction
from intermodal.sizing.shape import Layer, ModelShape

GIB: Final = 1 << 30
# Activations of the dummy batch, CUDA graphs, and CUDA's context, of one card.
_OVERHEAD: Final = (0.6 * GIB, 1.8 * GIB, 5.0 * GIB)
_STATE_BYTES: Final = 4


class VllmSettings(Value):
    """The settings of vLLM.

    Attributes:
        memory: bytes of one card. utilization: the share that vLLM takes. cache: bytes reserved instead, as on a
            processor (``VLLM_CPU_KVCACHE_SPACE``); 0 for the rest of the memory.
        length: tokens of the longest text (``--max-model-len``). slots: texts at once (``--max-num-seqs``).
        cards: of tensor parallelism. block: tokens of a page. cache_bytes: of one number of the cache, 1 for fp8.
        batched: tokens of one step (``--max-num-batched-tokens``).
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
    """The resulting capacity, of one card.

    ``weights``, ``overhead``, ``cache`` in bytes; ``tokens``: that are remembered at once; ``texts``: of full length at
    once. ``fits``: whether weights and one text do; None where that is within the range.
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
    """Return the settings that a ratio of its tokens depends on (see ``memory.py``).

    >>> serving_flags(VllmSettings(cards=2))
    'vllm --tensor-parallel-size 2 --gpu-memory-utilization 0.9 --kv-cache-dtype auto'
    """
    room = f"VLLM_CPU_KVCACHE_SPACE={serving.cache / GIB:g}" if serving.cache else ""
    room = room or f"--gpu-memory-utilization {serving.utilization:g}"
    kind = "auto" if serving.cache_bytes == 2 else "fp8" if serving.cache_bytes == 1 else "float32"
    return f"vllm --tensor-parallel-size {serving.cards} {room} --kv-cache-dtype {kind}"


def most_heads(shape: ModelShape) -> int:
    """Heads of attention that cards have to divide; 0 for none."""
    return max((layer.heads for layer in shape.layers), default=0)


def page_bytes(layer: Layer, serving: VllmSettings) -> int:
    """Return bytes of one page of one layer, on one card."""
    if not layer.kv_heads or not layer.cached:
        return 0
    if not layer.values:  # latent attention: not divided
        return serving.block * layer.key * serving.cache_bytes
    heads = max(1, layer.kv_heads // serving.cards)
    return serving.block * heads * (layer.key + layer.value) * serving.cache_bytes


def text_bytes(shape: ModelShape, serving: VllmSettings, length: int) -> int:
    """Return the cache of one text of so many tokens, on one card: whole pages; for layers with a window the tokens in
    it.
    """
    found = 0
    for layer in shape.layers:
        kept = length
        if layer.window:
            kept = min(layer.window - 1 + serving.batched, length)
        pages = -(-kept // serving.block) + (1 if layer.window else 0)
        found += pages * page_bytes(layer, serving)
        found += _STATE_BYTES * (layer.conv + layer.state) // serving.cards
    return found


def vllm_capacity(shape: ModelShape, serving: VllmSettings, corrections: Sequence[Correction] = ()) -> VllmCapacity:
    """Return vLLM's capacity for texts. ``corrections``: measurements of its files on this machine.

    Raises UsageError for settings that it refuses: heads of attention that the cards do not divide are some.
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
    one = text_bytes(shape, serving, serving.length)
    if shape.memorizing == "unknown" or not one:
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
    texts = [amount / one for amount in (cache.low, cache.mid, cache.high)]
    whole = [int(count * serving.length) // serving.block * serving.block for count in texts]
    sure = exact if cache.certainty == "exact" else None
    return VllmCapacity(
        weights=weights, overhead=overhead, cache=cache,
        tokens=sure(whole[1], "pages") if sure else between(whole[0], whole[1], whole[2], "cache / bytes of a token"),
        texts=sure(texts[1], "pages") if sure else between(texts[0], texts[1], texts[2], "cache / bytes of a text"),
        fits=True if texts[0] >= 1 else (None if texts[2] >= 1 else False), problems=shape.problems,
        correction=found,
    )  # fmt: skip


def _cache(serving: VllmSettings, weights: Quantity, overhead: Quantity) -> Quantity:
    if serving.cache:
        return exact(serving.cache, "as set aside")
    whole = serving.memory * serving.utilization
    return between(
        max(0.0, whole - weights.high - overhead.high), max(0.0, whole - weights.mid - overhead.mid),
        max(0.0, whole - weights.low - overhead.low), "what weights and overhead leave",
    )  # fmt: skip
