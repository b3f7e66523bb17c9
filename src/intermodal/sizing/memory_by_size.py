"""Memory of a model without a header: from its file size, or from parameters and quantization."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from intermodal.quantity import Quantity, between, unknown
from intermodal.sizing.quantizations import OFF, QUANTIZATIONS

USUAL: Final = "Q4_K_M"  # what people run
BITS: Final = QUANTIZATIONS[USUAL].bits
# Of a file: with the cache of a short request, its buffers and the program.
BESIDE: Final = (1.02, 1.15, 1.4)
_SIXTEEN: Final = 16
# Bytes that a token's keys and values take in f16, by the published shapes of open models: gpt-oss-20b 49,152 at most,
# DeepSeek-V3 70,272, Qwen3-30B-A3B 98,304, Llama-3.2-3B 114,688, Llama-3.1-8B 131,072, Qwen3-8B 147,456, Qwen2.5-72B
# 327,680, Phi-3-mini 393,216. It does not follow from the number of parameters; hybrids take less.
TOKEN: Final = (30e3, 130e3, 400e3)


def weight_bytes(parameters: float, quantization: str = USUAL) -> float:
    """Bytes of a file in a quantization."""
    return parameters * QUANTIZATIONS[quantization].bits / 8


def memory_of_file(size: float) -> Quantity:
    """Bytes it takes, by the size of its file."""
    low, mid, high = (share * size for share in BESIDE)
    return between(low, mid, high, "the size of its file, its cache and buffers")


def memory_of_parameters(parameters: float | None, quantization: str = USUAL) -> Quantity:
    """Bytes it takes in a quantization.

    >>> round(memory_of_parameters(8e9).mid / 1e9, 1)
    5.6
    """
    if not parameters:
        return unknown("its size is not published")
    weights = weight_bytes(parameters, quantization)
    low, mid, high = (share * off * weights for share, off in zip(BESIDE, OFF, strict=True))
    return between(
        low, mid, high, f"{QUANTIZATIONS[quantization].bits:.1f} bits of each of its parameters, its cache and buffers"
    )


def memory_of_requests(parameters: float | None, texts: int, context: int) -> Quantity:
    """The same with so many texts at once, each with a context of its own.

    >>> round(memory_of_requests(8e9, 20, 8192).mid / 1e9, 1)
    26.9
    """
    one = memory_of_parameters(parameters)
    if texts < 2 or not one.known:
        return one
    more = cache_of_contexts(texts, context)
    return replace(one + more, basis=f"{one.basis}, with {more.basis}")


def cache_of_contexts(texts: int, context: int) -> Quantity:
    """Bytes of the keys and values of so many texts; exact 0 for none."""
    if texts < 1:
        return Quantity()
    low, mid, high = (texts * context * each for each in TOKEN)
    return between(low, mid, high, f"{texts} contexts of {context:,} tokens")


def memory_floor(parameters: float | None) -> Quantity:
    """Bytes without which it does not run: from weights of four bits to those of sixteen, as most are published."""
    if not parameters:
        return unknown("its size is not published")
    least, most = memory_of_parameters(parameters), memory_of_file(parameters * _SIXTEEN / 8)
    return between(
        least.low, least.mid, most.mid, "from its parameters: weights of 4 to 16 bits and room for a short request"
    )
