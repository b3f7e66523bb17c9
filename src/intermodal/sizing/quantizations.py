"""Quantizations of llama.cpp: bits per weight, loss of quality, and a model's shape in another quantization.

The size of a model in another quantization is an estimate: tensor types differ by model and by who quantized it. Bits
are those of Llama 3.1 8B (llama.cpp, ``tools/quantize/README.md``, October 2026); losses are the perplexity increase
of Llama 3 8B on Wikitext, from ``llama-quantize --help``, relative to 6.2332 in 16 bits. Small models lose more, large
ones less.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from intermodal.core.content import Value
from intermodal.core.hints import setting
from intermodal.errors import UsageError
from intermodal.sizing.shape import Layer, ModelShape

PERPLEXITY: Final = 6.2332
OFF: Final = (0.94, 1.0, 1.06)  # error of estimated weights: the share of embeddings differs by model


class Quantization(Value):
    """A quantization of ``bits`` bits per weight.

    ``loss``: relative perplexity increase over 16 bits; None if not published.
    """

    name: str
    bits: float
    loss: float | None = None


_GROWTH: Final = {
    "Q2_K": 3.5199, "Q3_K_S": 1.6321, "Q3_K_M": 0.6569, "Q3_K_L": 0.5562, "Q4_0": 0.4685, "Q4_1": 0.4511,
    "Q4_K_S": 0.2689, "Q4_K_M": 0.1754, "Q5_0": 0.1316, "Q5_1": 0.1062, "Q5_K_S": 0.1049, "Q5_K_M": 0.0569,
    "Q6_K": 0.0217, "Q8_0": 0.0026, "F16": 0.0, "BF16": 0.0, "F32": 0.0,
}  # fmt: skip
_BITS: Final = {
    "F32": 32.0, "F16": 16.0, "BF16": 16.0, "Q8_0": 8.5008, "Q6_K": 6.5633, "Q5_K_M": 5.7036, "Q5_1": 6.03,
    "Q5_K_S": 5.5704, "Q5_0": 5.57, "Q4_1": 5.11, "Q4_K_M": 4.8944, "IQ4_NL": 4.6818, "Q4_K_S": 4.6672, "Q4_0": 4.64,
    "IQ4_XS": 4.4597, "Q3_K_L": 4.2979, "MXFP4": 4.25, "Q3_K_M": 4.0, "IQ3_M": 3.7628, "IQ3_S": 3.6606,
    "Q3_K_S": 3.6429, "IQ3_XS": 3.4977, "IQ3_XXS": 3.2548, "Q2_K": 3.1593, "Q2_K_S": 2.9697, "IQ2_M": 2.9294,
    "IQ2_S": 2.7403, "IQ2_XS": 2.5882, "IQ2_XXS": 2.3824, "IQ1_M": 2.1460, "IQ1_S": 2.0042,
}  # fmt: skip
QUANTIZATIONS: Final = {
    name: Quantization(name=name, bits=bits, loss=_GROWTH[name] / PERPLEXITY if name in _GROWTH else None)
    for name, bits in _BITS.items()
}
# Quantizations that most hub repositories offer, best first; these are proposed to users.
USUAL: Final = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q3_K_M", "Q2_K")
_IN_NAME: Final = re.compile(
    r"(?<![a-z0-9])(" + "|".join(sorted(map(re.escape, _BITS), key=len, reverse=True)) + r")(?![a-z0-9_])",
    re.IGNORECASE,
)


def quantization(word: str) -> Quantization:
    """Return the quantization called ``word``, in any case. Raises UsageError if it is unknown."""
    found = QUANTIZATIONS.get(word.upper())
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(word.upper(), QUANTIZATIONS, 3, 0.5) or USUAL
        raise UsageError(
            f"{word!r} is not a known quantization", where=setting("quant"), todo=f"write one of {', '.join(near)}"
        )
    return found


def quantization_in_name(name: str) -> str:
    """Return the quantization that a file name contains, "" if none.

    >>> quantization_in_name("qwen3-4b-q4_k_m.gguf"), quantization_in_name("model.gguf")
    ('Q4_K_M', '')
    """
    match = _IN_NAME.search(name.rpartition("/")[2])
    return match[1].upper() if match else ""


def names_quantization(name: str, word: str) -> bool:
    """Return whether a file name contains ``word`` as a whole word; it need not be a known quantization.

    >>> names_quantization("Qwen3-4B-UD-Q4_K_XL.gguf", "ud-q4_k_xl"), names_quantization("Qwen3-4B-Q4_K_M.gguf", "Q4_K")
    (True, False)
    """
    return re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9_])", name, re.IGNORECASE) is not None


def with_quantization(name: str, quantization: str) -> str:
    """Return a file name with its quantization replaced; "" removes it."""
    return _IN_NAME.sub(quantization, name)


def quantization_of(name: str, shape: ModelShape) -> str:
    """Return the quantization in a file name, or else the tensor type with the most bytes.

    >>> quantization_of("Qwen3-30B-A3B-Q4_K_M.gguf", ModelShape())
    'Q4_K_M'
    """
    if quantization := quantization_in_name(name):
        return quantization
    return shape.types[0][0] if shape.types else ""


def average_bits(shape: ModelShape) -> float:
    """Return the average bits per weight; 0 if the shape has no tensors."""
    return shape.weights * 8 / shape.parameters if shape.parameters else 0.0


def requantize(shape: ModelShape, to: Quantization) -> ModelShape:
    """Return the shape of the model in another quantization, with estimated weights (range: ``OFF``)."""
    now = average_bits(shape)
    if not now:
        return shape
    factor = to.bits / now

    def scale(size: int) -> int:
        return round(size * factor)

    def layer(source: Layer) -> Layer:
        return replace(source, weights=scale(source.weights), experts=scale(source.experts))

    return replace(
        shape,
        layers=tuple(map(layer, shape.layers)),
        extra_layers=tuple(map(layer, shape.extra_layers)),
        embeddings=scale(shape.embeddings),
        output=scale(shape.output),
        per_layer_embeddings=scale(shape.per_layer_embeddings),
        rest=scale(shape.rest),
        types=(),
    )
