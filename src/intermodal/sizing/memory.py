"""Memory of a served model, by term and device.

    weights       all tensors, on the device where llama.cpp puts them: the token embeddings stay on the host, the last
                  ``gpu_layers`` layers and the output matrix go to the GPU
    cache         keys and values of every token (``kv_cache.py``); state: recurrent states
    compute       buffers of the compute graph (``compute_buffers.py``); output: logits
    projector     the image or audio encoder, and its buffers
    draft         the same terms for the draft model of speculative decoding
    backend       memory of the GPU driver itself; program: memory of the server process

Weights, cache, state and output are exact if the architecture is known; the other terms are ranges.
A model without a header is sized by its file size, or by parameter count and quantization (``memory_of_file`` and
below).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from intermodal.core.content import Value
from intermodal.core.hints import setting
from intermodal.core.quantity import Quantity, between, exact, total, unknown
from intermodal.errors import UsageError
from intermodal.sizing.compute_buffers import compute_buffer, input_buffer, output_buffer
from intermodal.sizing.kv_cache import index_bytes, layer_bytes, state_bytes
from intermodal.sizing.quantizations import OFF, QUANTIZATIONS
from intermodal.sizing.shape import ALL, Device, EncoderShape, ModelShape, ServingSettings

# Ratios of measured to predicted memory, which correct later predictions for the same file.
#
# A ratio belongs to one term, so it also holds for other contexts and slots: the terms already scale with them. It
# holds for one file, for the flags that change how a term is computed (``correction_flags``), and for the measured
# program.


BUFFERS: Final = "buffers"  # one ratio for all terms except those of the process and the driver
_TERMS_BESIDE: Final = ("program", "backend")  # terms of the process and the driver
TOKENS: Final = "tokens"  # of vLLM's cache


class CorrectionRatio(Value):
    """The ratio of the measured size of a term to the middle of its prediction.

    ``low`` and ``high`` differ if the measurement gives only a range.
    """

    name: str
    device: Device
    low: float
    mid: float
    high: float


class Correction(Value):
    """Measured-to-predicted ratios from one comparison with a running server.

    Attributes:
        flags: settings that the ratios hold for (see ``correction_flags``).
        program: the executable or package that was run; "" if unknown.
        build: version as the server reports it. taken: ISO date of the measurement.
    """

    flags: str
    build: str
    taken: str
    ratios: tuple[CorrectionRatio, ...]
    program: str = ""

    @property
    def words(self) -> str:
        return f"as {self.build or 'a server'} took here on {self.taken}"

    def ratio_of(self, name: str, device: Device) -> CorrectionRatio | None:
        found = (ratio for ratio in self.ratios if (ratio.name, ratio.device) == (name, device))
        return next(found, None)


def correction_flags(settings: ServingSettings) -> str:
    """Return the settings that a correction ratio depends on, as command-line flags.

    Context and slots are left out: the terms already scale with them.

    >>> correction_flags(ServingSettings(context=8192, gpu_layers=-1))
    'llama.cpp -ctk f16 -ctv f16 -fa on -ub 512 -ngl all'
    """
    words = ["llama.cpp", "-ctk", settings.type_k, "-ctv", settings.type_v]
    words += ["-fa", "on" if settings.flash_attention else "off", "-ub", str(settings.ubatch)]
    words += ["-ngl", "all" if settings.gpu_layers == ALL else str(settings.gpu_layers)]
    words += ["--n-cpu-moe", str(settings.host_experts)] if settings.host_experts else []
    words += [
        word
        for word, is_so in (
            ("--swa-full", settings.swa_full),
            ("--no-kv-offload", settings.cache_on_host),
            ("--no-mmproj-offload", settings.projector_on_host),
        )
        if is_so
    ]
    for option, related_file in (("--mmproj", settings.projector), ("-md", settings.draft)):
        words += [option, str(related_file.weights)] if related_file is not None else []
    return " ".join(words)


def matching_correction(corrections: Iterable[Correction], flags: str, program: str = "") -> Correction | None:
    """Return the newest correction whose flags equal ``flags``, None if there is none.

    If ``program`` is given, corrections measured with a different known program are skipped.
    """
    matching = [each for each in corrections if each.flags == flags and (not program or each.program in ("", program))]
    return max(matching, key=lambda each: each.taken, default=None)


def corrected_amount(name: str, device: Device, amount: Quantity, correction: Correction) -> Quantity:
    """Return ``amount`` scaled by the measured ratio of its term.

    Terms without a ratio of their own use the ratio of all buffers, except for those of the process and the driver.
    Returns ``amount`` unchanged if no ratio was measured, or if it is exact and its ratio is 1.
    """
    ratio = correction.ratio_of(name, device)
    if ratio is None and name not in _TERMS_BESIDE:
        ratio = correction.ratio_of(BUFFERS, device)
    if ratio is None or not amount.known:
        return amount
    if amount.certainty == "exact" and ratio.mid == 1:
        return amount
    low, mid, high = (share * amount.mid for share in (ratio.low, ratio.mid, ratio.high))
    return between(low, mid, high, correction.words)


# CUDA context and libraries: memory beyond the logged buffers, 153 MiB to 500 MiB as tools report it.
_BACKEND: Final = (150 * 2**20, 250 * 2**20, 500 * 2**20)

# Measured with xllamacpp 2026.10 on top of weights, cache and buffers, after a prompt (benchmarks/results/fit.md): code
# and threads, plus the text and index entry of each vocabulary token.
_PROGRAM: Final = (30e6, 54e6, 110e6)
_WORD: Final = (100, 250, 600)

# Bytes that llama.cpp reserves per graph node, measured with qwen35 at two batch sizes. The figures above already
# include ``_NODES`` of them. llama.cpp reserves more nodes than any graph has (``graph_max_nodes``): 40 per token of a
# batch for architectures that update a state in chunks (gated delta nets).
_NODE: Final = 900
_NODES: Final = 1024
_IN_PIECES: Final = frozenset(("qwen3next", "kimi-linear", "qwen35", "qwen35moe", "deepseek4"))

# Bounds on the compute buffer of a vision encoder, as shares of its tensors; the formula below only holds for plain
# vision transformers.
_PROJECTOR_LEAST, _PROJECTOR_MOST = 0.15, 0.6


class MemoryTerm(Value):
    """One part of the memory. ``amount`` is in bytes; ``source`` cites the formula."""

    name: str
    device: Device
    amount: Quantity
    source: str


class ModelMemory(Value):
    """All memory terms of a model.

    ``problems`` lists facts about the file that were not understood, as clauses. ``correction`` is the measurement that
    was applied to the terms, if any.
    """

    terms: tuple[MemoryTerm, ...]
    problems: tuple[str, ...] = ()
    correction: Correction | None = None

    def total(self, device: Device | None = None) -> Quantity:
        """Return the bytes on ``device``, or on all devices if it is None."""
        return total([term.amount for term in self.terms if device in (None, term.device)])

    def bytes_of(self, name: str, device: Device | None = None) -> Quantity:
        """Return the bytes of all terms called ``name``; exactly 0 if there is none."""
        return total([term.amount for term in self.terms if term.name == name and device in (None, term.device)])


def model_memory(
    shape: ModelShape, settings: ServingSettings, corrections: Sequence[Correction] = (), program: str = ""
) -> ModelMemory:
    """Return the memory that llama.cpp needs to serve ``shape``.

    ``corrections``: measurements of this file; the newest one with the same settings corrects the terms.
    ``program``: the program that will serve the model, if known.

    Raises:
        UsageError: llama.cpp rejects these settings: a cache type whose blocks a row does not fill, quantized values
            without flash attention, no slot.
    """
    _check_settings(settings)
    terms = [*_model_terms(shape, settings), *_projector_terms(settings), *_draft_terms(settings)]
    if settings.gpu_layers:
        terms.append(
            MemoryTerm(
                name="backend",
                device="device",
                amount=between(*_BACKEND, "the driver's own, as CUDA takes it"),
                source="nvidia-smi beside logs",
            )
        )
    low, mid, high = (program_bytes + each * shape.vocab for program_bytes, each in zip(_PROGRAM, _WORD, strict=True))
    described = _description_bytes(shape, settings)
    own = between(low + described, mid + described, high + described, "measured beside the buffers")
    terms.append(MemoryTerm(name="program", device="host", amount=own, source="benchmarks/results/fit.md"))
    problem_lists = [model.problems for model in (settings.projector, settings.draft) if model is not None]
    found = matching_correction(corrections, correction_flags(settings), program) if corrections else None
    if found is not None:
        terms = [replace(term, amount=corrected_amount(term.name, term.device, term.amount, found)) for term in terms]
    return ModelMemory(
        correction=found,
        terms=tuple(term for term in terms if term.amount.high or not term.amount.known),
        problems=tuple(
            dict.fromkeys((*shape.problems, *(problem for problems in problem_lists for problem in problems)))
        ),
    )


def _description_bytes(shape: ModelShape, settings: ServingSettings) -> float:
    """Return the bytes of the graph's node descriptions beyond the nodes that ``_PROGRAM`` already includes."""
    layers = (*shape.layers, *shape.extra_layers)
    tensors = sum(len(layer.tensors) for layer in layers) + 3  # the token table, the output and its norm
    nodes = max(40 * settings.ubatch, 32 * tensors) if shape.architecture in _IN_PIECES else 8 * tensors
    return float(max(0, nodes - _NODES) * _NODE)


def _check_settings(settings: ServingSettings) -> None:
    if settings.context < 1 or settings.slots < 1 or settings.ubatch < 1 or settings.batch < 1:
        raise UsageError("context, slots and batches are at least 1", where="model_memory", todo="say larger numbers")
    if settings.type_v not in ("f32", "f16", "bf16") and not settings.flash_attention:
        raise UsageError(
            f"values can be kept as {settings.type_v} with flash attention only",
            where=setting("kv"),
            todo="leave it on",
        )


# ---- the model ---------------------------------------------------------------------------------------
def _model_terms(shape: ModelShape, settings: ServingSettings, prefix: str = "") -> list[MemoryTerm]:
    place = LayerPlacement(shape, settings)
    terms = [*_weights(shape, settings, place, prefix), *_cache(shape, settings, place, prefix)]
    terms += _compute(shape, settings, place, prefix)
    output = output_buffer(shape, settings.slots)
    return [
        *terms,
        MemoryTerm(name=f"{prefix}output", device="host", amount=output, source="llama.cpp, output_reserve"),
    ]


def _compute(shape: ModelShape, settings: ServingSettings, place: LayerPlacement, prefix: str) -> list[MemoryTerm]:
    source = "llama.cpp, sched_reserve"
    amounts: dict[Device, Quantity] = {"host": compute_buffer(shape, settings, on_device=False)}
    if place.any_on_device:
        amounts["device"] = compute_buffer(shape, settings, on_device=True)
        handed = input_buffer(shape, settings)
        if place.all_on_device:
            amounts["host"] = handed
        else:  # tensors on the host are computed there, or copied to the GPU for large batches
            amounts["host"] = between(handed.low, amounts["host"].mid, amounts["host"].high, "layers on both sides")
            device, borrowed = amounts["device"], max(layer.weights for layer in shape.layers)
            amounts["device"] = between(
                device.low * 0.5, device.mid, device.high + borrowed, "layers on both sides, and weights lent"
            )
    return [
        MemoryTerm(name=f"{prefix}compute", device=device, amount=amount, source=source)
        for device, amount in amounts.items()
    ]


class LayerPlacement:
    """Which layers are on the GPU: the last ``gpu_layers`` ones, with the output matrix counted as one layer."""

    def __init__(self, shape: ModelShape, settings: ServingSettings) -> None:
        self.count = len(shape.layers) + len(shape.extra_layers)
        gpu_layers = settings.gpu_layers if settings.gpu_layers >= 0 else self.count + 1
        self.first = max(self.count + 1 - gpu_layers, 0)
        self.any_on_device = gpu_layers > 0
        self.all_on_device = self.first == 0 and not settings.host_experts

    def device_of(self, index: int) -> Device:
        return "device" if self.any_on_device and index >= self.first else "host"


def _weights(shape: ModelShape, settings: ServingSettings, place: LayerPlacement, prefix: str) -> list[MemoryTerm]:
    layers = (*shape.layers, *(shape.extra_layers if settings.speculates else ()))
    sums: dict[Device, int] = {"host": shape.embeddings + shape.per_layer_embeddings, "device": 0}
    for index, layer in enumerate(layers):
        experts_on_host = layer.experts if index < settings.host_experts else 0
        sums["host"] += experts_on_host
        sums[place.device_of(index)] += layer.weights - experts_on_host
    # tied embeddings: the GPU has a second copy of the token embeddings
    output = (shape.output or shape.embeddings) if place.any_on_device else shape.output
    sums["device" if place.any_on_device else "host"] += output + shape.rest
    source = "tensor index"
    return [
        MemoryTerm(name=f"{prefix}weights", device=device, amount=exact(size, source), source=source)
        for device, size in sums.items()
    ]


def _cache(shape: ModelShape, settings: ServingSettings, place: LayerPlacement, prefix: str) -> list[MemoryTerm]:
    cache_bytes: dict[Device, int] = {"host": 0, "device": 0}
    states: dict[Device, int] = {"host": 0, "device": 0}
    index = 0
    for number, layer in enumerate(shape.layers):
        device: Device = "host" if settings.cache_on_host else place.device_of(number)
        cache_bytes[device] += layer_bytes(shape, layer, settings)
        states[device] += state_bytes(layer, settings.slots)
        index += index_bytes(shape, settings) if layer.cached and layer.kv_heads else 0
    where: Device = "host" if settings.cache_on_host or not place.any_on_device else "device"
    terms = [
        MemoryTerm(
            name=f"{prefix}cache",
            device=device,
            amount=_cache_certainty(shape, size),
            source="llama.cpp, llama_kv_cache",
        )
        for device, size in cache_bytes.items()
        if size or (device == where and shape.memorizing == "unknown")
    ]
    terms += [
        MemoryTerm(
            name=f"{prefix}state",
            device=device,
            amount=exact(size, "recurrent states x slots"),
            source="llama.cpp, llama_memory_recurrent",
        )
        for device, size in states.items()
    ]
    if index:  # older files do not state which layers have an index
        amount = between(0, index, index, "one key a token, in the layers that have an index")
        terms.append(
            MemoryTerm(name=f"{prefix}index", device=where, amount=amount, source="llama.cpp, llama_kv_cache_dsa")
        )
    return terms


def _cache_certainty(shape: ModelShape, size: int) -> Quantity:
    """Return ``size`` as exact if the architecture is known, otherwise as a range.

    Layers of an unknown architecture may keep less than every token, or more than keys and values.
    """
    if shape.memorizing != "unknown":
        return exact(size, "cells x heads x lengths, summed over the layers")
    if not size:
        return unknown("nothing is known of what this architecture remembers")
    return between(size * 0.05, size, size * 1.5, "as if every layer kept every token")


# ---- beside the model --------------------------------------------------------------------------------
def _projector_terms(settings: ServingSettings) -> list[MemoryTerm]:
    if settings.projector is None:
        return []
    device: Device = "device" if settings.gpu_layers and not settings.projector_on_host else "host"
    size = settings.projector.weights
    computed = total([_encoder_buffer(encoder, size) for encoder in settings.projector.encoders])
    if not settings.projector.encoders:
        computed = between(0.1 * size, 0.35 * size, size, "a share of its weights")
    source = "llama.cpp, clip_graph: its attention over all patches, with and without flash attention"
    return [
        MemoryTerm(name="projector", device=device, amount=exact(size, "tensor index"), source="tensor index"),
        MemoryTerm(name="projector compute", device=device, amount=computed, source=source),
    ]


def _encoder_buffer(encoder: EncoderShape, size: int) -> Quantity:
    """Return the compute buffer size in bytes of an image or audio encoder whose weights take ``size`` bytes.

    The buffer holds every patch embedding and its feed-forward activations. The high end adds an attention matrix over
    all pairs of patches for each head, which is needed if flash attention is off.
    """
    plain = 4.0 * encoder.patches * (encoder.ff + 4 * encoder.embd)
    pairs = 4.0 * encoder.heads * encoder.patches**2
    mid = max(1.1 * plain, _PROJECTOR_LEAST * size)
    high = max(1.2 * (plain + pairs), _PROJECTOR_MOST * size, mid)
    return between(min(0.7 * plain, mid), mid, high, "of its patches and its weights")


def _draft_terms(settings: ServingSettings) -> list[MemoryTerm]:
    if settings.draft is None:
        return []
    return _model_terms(settings.draft, settings, prefix="draft ")


# ---- without a header -------------------------------------------------------------------------------
USUAL: Final = "Q4_K_M"  # the most widely used quantization
BITS: Final = QUANTIZATIONS[USUAL].bits

# Memory as a multiple of the file size: with the cache of a short request, buffers and the program.
_QUANTIZED_BESIDE: Final = (1.02, 1.15, 1.4)
_SIXTEEN: Final = 16

# KV cache bytes per token in f16, from the published shapes of open models: gpt-oss-20b 49,152 at most, DeepSeek-V3
# 70,272, Qwen3-30B-A3B 98,304, Llama-3.2-3B 114,688, Llama-3.1-8B 131,072, Qwen3-8B 147,456, Qwen2.5-72B 327,680,
# Phi-3-mini 393,216. The size does not follow from the parameter count; hybrid models need less.
TOKEN: Final = (30e3, 130e3, 400e3)


def weight_bytes(parameters: float, quantization: str = USUAL) -> float:
    """Return the size in bytes of the weights of ``parameters`` parameters in ``quantization``."""
    return parameters * QUANTIZATIONS[quantization].bits / 8


def memory_of_file(size: float) -> Quantity:
    """Return the memory in bytes that a model needs, estimated from its file size."""
    low, mid, high = (share * size for share in _QUANTIZED_BESIDE)
    return between(low, mid, high, "the size of its file, its cache and buffers")


def memory_of_parameters(parameters: float | None, quantization: str = USUAL) -> Quantity:
    """Return the memory in bytes that a model needs, estimated from its parameter count and quantization.

    >>> round(memory_of_parameters(8e9).mid / 1e9, 1)
    5.6
    """
    if not parameters:
        return unknown("its size is not published")
    weights = weight_bytes(parameters, quantization)
    low, mid, high = (share * off * weights for share, off in zip(_QUANTIZED_BESIDE, OFF, strict=True))
    return between(
        low, mid, high, f"{QUANTIZATIONS[quantization].bits:.1f} bits of each of its parameters, its cache and buffers"
    )


def memory_of_requests(parameters: float | None, texts: int, context: int) -> Quantity:
    """Return the memory in bytes for ``texts`` concurrent sequences, each with a context of ``context`` tokens.

    >>> round(memory_of_requests(8e9, 20, 8192).mid / 1e9, 1)
    26.9
    """
    model_memory = memory_of_parameters(parameters)
    if texts < 2 or not model_memory.known:
        return model_memory
    more = cache_of_contexts(texts, context)
    return replace(model_memory + more, basis=f"{model_memory.basis}, with {more.basis}")


def cache_of_contexts(texts: int, context: int) -> Quantity:
    """Return the KV cache size in bytes of ``texts`` sequences of ``context`` tokens; exactly 0 for no sequence."""
    if texts < 1:
        return Quantity()
    low, mid, high = (texts * context * each for each in TOKEN)
    return between(low, mid, high, f"{texts} contexts of {context:,} tokens")


def memory_floor(parameters: float | None) -> Quantity:
    """Return the least memory in bytes that the model runs in, if its quantization is unknown.

    The range covers weights of 4 bits to 16 bits, the widths in which most models are published.
    """
    if not parameters:
        return unknown("its size is not published")
    least, most = memory_of_parameters(parameters), memory_of_file(parameters * _SIXTEEN / 8)
    return between(
        least.low, least.mid, most.mid, "from its parameters: weights of 4 to 16 bits and room for a short request"
    )


# Memory that llama.cpp logs when it loads a model, mapped to the terms of the prediction.


MIB: Final = 1 << 20
_DIGITS: Final = 0.03 * MIB  # rounding error of a few logged values with two decimals
_LINE: Final = re.compile(r"(\S+) +(model|KV|RS|compute|output) buffer size = +(\d+(?:\.\d+)?) MiB")
_TERMS: Final = {"model": "weights", "KV": "cache", "RS": "state", "compute": "compute", "output": "output"}


class TermComparison(Value):
    """A memory term as predicted and as measured, in bytes, or in tokens for the term ``TOKENS``.

    ``real`` is the measured value, 0 if unknown; ``source`` says where it is from: "log" is the server's own log.
    """

    name: str
    device: Device
    predicted: Quantity
    real: float
    source: str = "log"

    @property
    def error(self) -> float | None:
        """Return the relative error of the middle of the prediction; None if either value is unknown."""
        return self.predicted.mid / self.real - 1 if self.real and self.predicted.known else None

    @property
    def as_logged(self) -> bool:
        """Return whether prediction and measurement agree to the precision of the log."""
        return abs(self.real - self.predicted.mid) <= _DIGITS

    @property
    def is_within_range(self) -> bool:
        """Return whether the measurement is within the predicted range, to the precision of the log."""
        return self.predicted.known and self.predicted.low - _DIGITS <= self.real <= self.predicted.high + _DIGITS


def logged_terms(log: str) -> dict[tuple[str, Device], float]:
    """Parse the buffer sizes in a llama.cpp log into bytes by term and device.

    If a compute or output buffer is reallocated, only its last size counts.

    >>> logged_terms("load_tensors:   CPU_Mapped model buffer size =    92.12 MiB")[("weights", "host")] / 2**20
    92.12
    """
    buffers: dict[tuple[str, str], list[float]] = {}
    for place, kind, size in _LINE.findall(log):
        some = buffers.setdefault((place, kind), [])
        if kind == "compute" or kind == "output":
            some.clear()
        some.append(float(size) * MIB)
    found: dict[tuple[str, Device], float] = {}
    for (place, kind), sizes in buffers.items():
        device: Device = "host" if place.startswith("CPU") or "Host" in place else "device"
        key: tuple[str, Device] = (_TERMS[kind], device)
        found[key] = found.get(key, 0.0) + sum(sizes)
    return found


def compare_terms(memory: ModelMemory, log: str) -> tuple[TermComparison, ...]:
    """Compare the predicted terms with a llama.cpp log, for every term that the log can report."""
    logged = logged_terms(log)
    names: list[tuple[str, Device]] = list(logged)
    for term in memory.terms:
        if term.name in _TERMS.values():
            term_key: tuple[str, Device] = (term.name, term.device)
            names.append(term_key)
    found: dict[tuple[str, Device], TermComparison] = {}
    for key in names:
        device: Device = key[1]
        found[key] = TermComparison(
            name=key[0], device=device, predicted=memory.bytes_of(key[0], device), real=logged.get(key, 0.0)
        )
    return tuple(found.values())
