"""The shape of a model from the ``config.json`` of transformers. Does no I/O.

Keys are those of transformers' ``PretrainedConfig`` for each model; ``layer_types`` and ``sliding_window`` are read as
vLLM reads them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Final

from intermodal.errors import WeightsError
from intermodal.local.weights.safetensors import SafeTensor
from intermodal.sizing.shape import Layer, Memorizing, ModelShape

MAX_LAYERS: Final = 1024
_BYTES: Final = {"float32": 4, "float": 4, "float64": 8, "float8_e4m3fn": 1, "int8": 1}
_EXPERTS: Final = (".experts.", ".block_sparse_moe.experts.")
_EMBEDDINGS: Final = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "tok_embeddings.weight")
_OUTPUT: Final = ("lm_head.weight", "output.weight")


def config_shape(
    config: Mapping[str, Any], *, name: str, tensors: Sequence[SafeTensor] = (), weights: int = 0
) -> ModelShape:
    """Return the shape of a model from its config and its tensors, or the bytes of all weights if only those are known.

    Raises WeightsError if the config has impossible counts.
    """
    inner = config.get("text_config")
    counts = _ConfigCounts({**config, **(inner if isinstance(inner, Mapping) else {})})
    count = counts.count("num_hidden_layers", "n_layer", "num_layers")
    if count > MAX_LAYERS:
        raise WeightsError(f"claims {count:,} layers", where=name, todo="fetch the file again")
    embeddings, output, routed, total_bytes, numbers = _tensor_totals(tensors, weights, counts, config)
    experts = counts.count("num_experts", "n_routed_experts", "num_local_experts", "moe_num_experts")
    used = min(counts.count("num_experts_per_tok", "num_experts_per_token", "moe_topk"), experts)
    layers, problems = _layers(counts, count, total_bytes - embeddings - output, routed)
    if experts and not routed:
        routed = _routed_bytes(counts, layers, experts, total_bytes, numbers)
        layers, problems = _layers(counts, count, total_bytes - embeddings - output, routed)
    layer_bytes = sum(layer.weights for layer in layers)
    share = routed / total_bytes if total_bytes else 0.0
    looked_up = numbers * (embeddings / total_bytes) if total_bytes and output else 0.0
    return ModelShape(
        name=name, format="safetensors", architecture=str(config.get("model_type", ""))[:80],
        memorizing=_memorizing(layers, problems), layers=layers, embd=counts.count("hidden_size", "n_embd", "d_model"),
        ff=counts.count("intermediate_size", "n_inner", "ffn_dim"), vocab=counts.count("vocab_size"),
        context=counts.count("max_position_embeddings", "n_positions") or None, experts=experts, experts_used=used,
        expert_ff=counts.count("moe_intermediate_size", "expert_ffn_hidden_size"), embeddings=embeddings, output=output,
        rest=max(0, total_bytes - embeddings - output - layer_bytes), parameters=numbers,
        active=round(numbers - looked_up - numbers * share * (1 - used / experts if experts else 0)),
        types=_types(tensors), problems=problems,
    )  # fmt: skip


class _ConfigCounts:
    """Numeric values of a config, checked against impossible values."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values

    def count(self, *names: str) -> int:
        """Return the value of the first of ``names`` that is a number; 0 if none is."""
        for name in names:
            found = self.values.get(name)
            if isinstance(found, int | float) and not isinstance(found, bool):
                if not 0 <= found < 1 << 40:
                    raise WeightsError(f"has the impossible {name} {found}", todo="fetch the file again")
                return int(found)
        return 0

    def bytes_each(self, config: Mapping[str, Any]) -> int:
        kind = str(self.values.get("dtype") or self.values.get("torch_dtype") or config.get("torch_dtype") or "")
        return _BYTES.get(kind.removeprefix("torch."), 2)


def _tensor_totals(
    tensors: Sequence[SafeTensor], weights: int, counts: _ConfigCounts, config: Mapping[str, Any]
) -> tuple[int, int, int, int, int]:
    """Return the bytes of the token embeddings, output matrix, routed experts and all tensors, and the value count."""
    if tensors:
        embeddings = sum(tensor.size for tensor in tensors if tensor.name.endswith(_EMBEDDINGS))
        output = sum(tensor.size for tensor in tensors if tensor.name.endswith(_OUTPUT))
        routed = sum(tensor.size for tensor in tensors if any(part in tensor.name for part in _EXPERTS))
        return embeddings, output, routed, sum(tensor.size for tensor in tensors), sum(prod(t.dims) for t in tensors)
    each = counts.bytes_each(config)
    table = min(weights, counts.count("vocab_size") * counts.count("hidden_size", "n_embd", "d_model") * each)
    tied = counts.values.get("tie_word_embeddings", config.get("tie_word_embeddings")) is True or 2 * table > weights
    return table, 0 if tied else table, 0, weights, weights // each


def _routed_bytes(counts: _ConfigCounts, layers: Sequence[Layer], experts: int, total_bytes: int, numbers: int) -> int:
    """Return the bytes of routed experts computed from their widths, if the single tensors are not known."""
    width = counts.count("moe_intermediate_size", "expert_ffn_hidden_size") or counts.count("intermediate_size")
    mixed = max(0, len(layers) - counts.count("first_k_dense_replace"))
    found = 3 * counts.count("hidden_size") * width * experts * mixed
    return round(min(0.98, found / numbers if numbers else 0.0) * total_bytes)


def _layers(counts: _ConfigCounts, count: int, weights: int, routed: int) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
    heads = counts.count("num_attention_heads", "n_head")
    latent, rotated_size = counts.count("kv_lora_rank"), counts.count("qk_rope_head_dim")
    kv_heads = counts.count("num_key_value_heads", "num_kv_heads") or heads
    length = counts.count("head_dim") or (counts.count("hidden_size", "n_embd", "d_model") // heads if heads else 0)
    kinds, problems = _kinds(counts, count, heads)
    linear_heads, linear_value = counts.count("linear_num_value_heads"), counts.count("linear_value_head_dim")
    linear_keys, linear_key = counts.count("linear_num_key_heads"), counts.count("linear_key_head_dim")
    kernel = counts.count("linear_conv_kernel_dim")
    each, expert = weights // count if count else 0, routed // count if count else 0
    layers: list[Layer] = []
    for kind in kinds:
        if kind == "linear_attention":
            conv = max(0, kernel - 1) * (linear_heads * linear_value + 2 * linear_keys * linear_key)
            state = linear_heads * linear_value * linear_key
            layers.append(Layer(heads=heads, cached=False, conv=conv, state=state, weights=each, experts=expert))
            continue
        window = counts.count("sliding_window") if kind in ("sliding_attention", "chunked_attention") else 0
        layers.append(
            Layer(
                heads=heads, kv_heads=1 if latent else kv_heads, key=latent + rotated_size if latent else length,
                value=latent or length, values=not latent, window=window, ff=counts.count("intermediate_size"),
                weights=each, experts=expert,
            )
        )  # fmt: skip
    return tuple(layers), problems


def _kinds(counts: _ConfigCounts, count: int, heads: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the attention kind of each layer, as in ``layer_types``, and problems with determining it."""
    layer_types = counts.values.get("layer_types")
    kinds = ("full_attention", "sliding_attention", "linear_attention", "chunked_attention")
    if isinstance(layer_types, list) and len(layer_types) == count and all(kind in kinds for kind in layer_types):
        return tuple(layer_types), ()
    every = counts.count("full_attention_interval")
    if counts.count("linear_num_value_heads") and every:
        return tuple("full_attention" if (i + 1) % every == 0 else "linear_attention" for i in range(count)), ()
    if (
        layer_types
        or not heads
        or any(key in counts.values for key in ("ssm_cfg", "state_size", "mamba_d_state", "hybrid_override_pattern"))
    ):
        return ("full_attention",) * count, ("which of its layers look back on the whole text is not understood",)
    pattern = counts.count("sliding_window_pattern")
    if counts.count("sliding_window") and pattern > 1:
        return tuple("full_attention" if (i + 1) % pattern == 0 else "sliding_attention" for i in range(count)), ()
    sliding = counts.count("sliding_window") and counts.values.get("use_sliding_window") is not False
    return ("sliding_attention" if sliding else "full_attention",) * count, ()


def _memorizing(layers: Sequence[Layer], problems: Sequence[str]) -> Memorizing:
    if problems or not layers:
        return "unknown"
    if all(layer.recurrent for layer in layers):
        return "recurrent"
    return "hybrid" if any(layer.recurrent for layer in layers) else "attention"


def _types(tensors: Sequence[SafeTensor]) -> tuple[tuple[str, int], ...]:
    found: Counter[str] = Counter()
    for tensor in tensors:
        found[tensor.type] += tensor.size
    return tuple(found.most_common())
