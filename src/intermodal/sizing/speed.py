"""Decode and prefill speed of a model on a machine: bounds by bandwidth and compute, and the share of them reached.

Writing a token reads every weight that it is multiplied with and the whole cache once, so

    seconds per token >= (weights read + cache read) / bandwidth      summed over the devices, which run in sequence
    seconds to read n tokens >= 2 * active parameters * n / compute   and all weights once per batch

Share of the first bound that is reached: of 296 published single-GPU runs (2026-11, one sequence at a time, physically
possible ones), dense models reach 0.58 (most are within 0.4 to 0.85), mixtures of experts 0.30 (a tenth below 0.1, a
tenth above 0.46; newer kernels with gpt-oss-20b reach 0.36 to 0.83, so the range ends there). Share of the second
bound: llama-bench results reach 0.15 to 0.75 of the GPU's compute, mixtures 0.05 to 0.6. A run measured on this machine
takes precedence over these figures (``replace_estimate``).

On a fast GPU, launching the kernels of a small model takes longer than reading its weights. In 16 published runs of
models of 1 and 3 billion parameters on NVIDIA GPUs (the rows of ``benchmarks/results/fit_speed.md``), each took 12 to
84 microseconds per layer in addition to the time at 0.85 of the bandwidth, half of them more than 52. The low end and
the middle are therefore limited by kernel launches (``KERNELS``); the high end is limited by bandwidth only.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec.structs import replace

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity, between, unknown
from intermodal.plans.machine import Machine
from intermodal.sizing.kv_cache import row_bytes, state_bytes
from intermodal.sizing.memory import BITS, LayerPlacement
from intermodal.sizing.shape import ALL, Layer, ModelShape, ServingSettings

_Three = tuple[float, float, float]
DENSE: Final[_Three] = (0.4, 0.58, 0.85)
SPARSE: Final[_Three] = (0.1, 0.35, 0.85)
READS_DENSE: Final[_Three] = (0.15, 0.4, 0.75)
READS_SPARSE: Final[_Three] = (0.05, 0.2, 0.6)
KERNELS: Final[_Three] = (84e-6, 52e-6, 0.0)  # seconds per layer on a GPU, in addition to reading its weights
_BEST: Final = 2  # index of the high end
_LAYERS: Final = 28  # assumed if unknown: models of 0.6 to 8 billion parameters have 16 to 36
_PARTS: Final = 10_000  # number of experts assumed for a mixture of unknown layout


class DeviceWork(Value):
    """The work of one device for one token.

    Attributes:
        name: of the device. weights, cache: bytes read per token. total_weights: bytes of all weights there, inactive
            experts included.
        operations: per token. attention: operations of one token per token it attends to.
        bandwidth, compute: of the device; exact zeros if unknown.
        layers: number of layers on a GPU, for kernel launches; 0 on the processor.
    """

    name: str
    weights: float
    cache: float
    total_weights: float
    operations: float
    attention: float
    bandwidth: Quantity
    compute: Quantity
    layers: float = 0.0


class ModelSpeed(Value):
    """Tokens per second written (``decode``) and read (``prefill``), and seconds to the first token after a ``prompt``.

    ``bound``: upper limit of decode in tokens per second, 0 if unknown. ``users``: concurrent sequences; ``decode`` is
    per sequence.
    """

    decode: Quantity
    prefill: Quantity
    first_word: Quantity
    bound: float
    prompt: int
    users: int = 1


def model_speed(
    shape: ModelShape, settings: ServingSettings, machine: Machine, *, prompt: int = 512, users: int = 1
) -> ModelSpeed:
    """Return the speed with ``users`` concurrent sequences, each after ``prompt`` tokens."""
    parts = device_work(shape, settings, machine, past=prompt, users=users)
    sparse = shape.routed > 0
    wanting = _missing_fact(parts)
    decode = unknown(wanting) if wanting else _decode(parts, SPARSE if sparse else DENSE)
    slow = wanting or _missing_fact(parts, compute=True)
    reads = unknown(slow) if slow else _reads(parts, prompt, settings.ubatch, sparse)
    prefill = unknown(slow) if slow else _per_second(prompt, reads)
    first = reads + _inverse(decode) if decode.known and reads.known else unknown(slow or wanting)
    bound = 0.0 if wanting else 1 / sum((part.weights + part.cache) / part.bandwidth.high for part in parts)
    return ModelSpeed(decode=decode, prefill=prefill, first_word=first, bound=bound, prompt=prompt, users=users)


def speed_of_parameters(
    parameters: float, active: float, machine: Machine, *, prompt: int = 1000, users: int = 1
) -> ModelSpeed:
    """Return the speed of a model of which only the size is known.

    Assumes 4-bit weights (``BITS``) and a short context. ``active``: parameters used per token; less than
    ``parameters`` for a mixture of experts.
    """
    each = round(parameters * BITS / 8 / _LAYERS)
    sparse = 0 < active < parameters
    layer = Layer(weights=each, experts=each if sparse else 0)
    shape = ModelShape(
        layers=(layer,) * _LAYERS, parameters=round(parameters), active=round(active or parameters),
        experts=_PARTS if sparse else 0, experts_used=max(1, round(_PARTS * active / parameters)) if sparse else 0,
    )  # fmt: skip
    settings = ServingSettings(context=prompt, gpu_layers=ALL if machine.gpus else 0)
    return model_speed(shape, settings, machine, prompt=prompt, users=users)


def with_measurements(model_speed: ModelSpeed, decode: Quantity | None, prefill: Quantity | None) -> ModelSpeed:
    """Return the speed with decode and prefill replaced by runs on this machine, if there are usable ones."""
    writes = replace_estimate(model_speed.decode, decode) if decode is not None else model_speed.decode
    reads = replace_estimate(model_speed.prefill, prefill) if prefill is not None else model_speed.prefill
    first = model_speed.first_word
    if writes.known and reads.known:
        first = _inverse(reads).scaled(model_speed.prompt) + _inverse(writes)
    return replace(model_speed, decode=writes, prefill=reads, first_word=first)


def replace_estimate(estimate: Quantity, measurement: Quantity) -> Quantity:
    """Return ``measurement`` if it is known and positive, otherwise ``estimate``."""
    return measurement if measurement.known and measurement.mid > 0 else estimate


# ---- bytes read, by device -------------------------------------------------------------------------


def device_work(
    shape: ModelShape, settings: ServingSettings, machine: Machine, *, past: int = 0, users: int = 1
) -> tuple[DeviceWork, ...]:
    """Return the work of each device for one token of each of ``users`` sequences of ``past`` tokens."""
    place = LayerPlacement(shape, settings)
    sums: dict[str, list[float]] = {"host": [0.0] * 5, "device": [0.0] * 5}  # see _split
    for index, layer in enumerate(shape.layers):
        device = place.device_of(index)
        used, all_experts = _experts(shape, layer, users), float(layer.experts)
        experts = sums["host" if index < settings.host_experts else device]
        experts[0] += used
        experts[2] += all_experts
        device_sums = sums[device]
        device_sums[0] += layer.weights - layer.experts
        device_sums[2] += layer.weights - layer.experts
        sums["host" if settings.cache_on_host else device][1] += users * _cache_read(layer, settings, past)
        device_sums[3] += 2.0 * layer.heads * (layer.key + layer.value)
        device_sums[4] += 1 if device == "device" else 0
    last = sums["device" if place.any_on_device else "host"]
    output = (shape.output or shape.embeddings) + shape.rest
    last[0] += output
    last[2] += output
    return tuple(_split(shape, machine, sums, users))


def _experts(shape: ModelShape, layer: Layer, users: int) -> float:
    """Return the bytes of experts read for one token of each sequence.

    Sequences that use the same expert share the read.
    """
    if not shape.experts:
        return float(layer.experts)
    share = min(1.0, shape.experts_used / shape.experts)
    return layer.experts * (1 - (1 - share) ** users)


def _cache_read(layer: Layer, settings: ServingSettings, past: int) -> float:
    read = 2.0 * state_bytes(layer, 1)  # a state is read and written
    if layer.kv_heads:
        row = row_bytes(settings.type_k, layer.kv_heads * layer.key)
        row += row_bytes(settings.type_v, layer.kv_heads * layer.value) if layer.values else 0
        read += row * min(past, layer.window or past)
    return read


def _split(shape: ModelShape, machine: Machine, sums: dict[str, list[float]], users: int) -> list[DeviceWork]:
    """Divide the GPU's work over the machine's GPUs, in proportion to their memory.

    ``sums``: for each device the weights, cache, whole, attention and layers of a ``DeviceWork``.
    """
    read_weights = sum(each[0] for each in sums.values()) or 1.0
    operations = 2.0 * shape.active * users
    found = []
    for name, (weights, cache, all_weights, attention, layers) in sums.items():
        if not weights and not cache:
            continue
        shares = _shares(machine) if name == "device" else [("the processor", 1.0, machine.bandwidth, machine.compute)]
        found += [
            DeviceWork(
                name=card, weights=weights * share, cache=cache * share, total_weights=all_weights * share,
                operations=operations * share * weights / read_weights, attention=attention * share * users,
                bandwidth=bandwidth, compute=compute, layers=layers * share,
            )
            for card, share, bandwidth, compute in shares
        ]  # fmt: skip
    return found


def _shares(machine: Machine) -> list[tuple[str, float, Quantity, Quantity]]:
    memory = sum(gpu.memory for gpu in machine.gpus) or 1
    return [
        (
            gpu.name,
            gpu.memory / memory if memory > 1 else 1 / len(machine.gpus),
            _levels_of(gpu.bandwidth),
            _levels_of(gpu.compute),
        )
        for gpu in machine.gpus
    ]


def _levels_of(amount: float) -> Quantity:
    return Quantity(low=amount, mid=amount, high=amount)


# ---- seconds ---------------------------------------------------------------------------------------


def _missing_fact(parts: tuple[DeviceWork, ...], *, compute: bool = False) -> str:
    """Name the first device whose bandwidth (or ``compute``) is unknown, in words; "" if all are known."""
    for part in parts:
        figure = part.compute if compute else part.bandwidth
        if not figure.known or figure.mid <= 0:
            return f"nobody states the {'compute' if compute else 'bandwidth'} of {part.name}"
    return "" if parts else "there is nothing to run it on"


def _decode(parts: tuple[DeviceWork, ...], shares: _Three) -> Quantity:
    """Return decode speed in tokens per second of each sequence."""
    speeds, small = [], False
    for level, share in enumerate(shares):
        seconds = 0.0
        for part in parts:
            read_seconds = (part.weights + part.cache) / (_value_at(part.bandwidth, level) * share)
            compute_seconds = (
                part.operations / (_value_at(part.compute, level) * READS_DENSE[level]) if part.compute.mid else 0.0
            )
            launch_seconds = part.layers * KERNELS[level] + read_seconds * share / shares[_BEST]
            small |= level != _BEST and launch_seconds > read_seconds
            # at best, kernel launches and computation overlap with reading
            seconds += (
                max(read_seconds, compute_seconds)
                if level == _BEST
                else max(read_seconds, launch_seconds) + compute_seconds
            )
        speeds.append(1 / seconds if seconds else math.inf)
    low, mid, high = speeds
    names = " and ".join(dict.fromkeys(part.name for part in parts))
    basis = f"{shares[0]:.0%} to {shares[2]:.0%} of the limit by the memory bandwidth and compute of {names}"
    kernels = f", and up to {KERNELS[0] * 1e6:g} us a layer to start its kernels" if small else ""
    return between(low, mid, high, basis + kernels)


def _reads(parts: tuple[DeviceWork, ...], tokens: int, ubatch: int, sparse: bool) -> Quantity:
    """Return the seconds to read ``tokens`` tokens of one sequence."""
    found = []
    for level, share in enumerate(READS_SPARSE if sparse else READS_DENSE):
        seconds = 0.0
        for part in parts:
            work = part.operations * tokens + part.attention * tokens * tokens / 2
            batches = math.ceil(tokens / ubatch)
            moved_bytes = part.total_weights * batches / (_value_at(part.bandwidth, level) * DENSE[level])
            moved_bytes = max(moved_bytes, part.layers * batches * KERNELS[level])
            seconds += max(work / (_value_at(part.compute, level) * share), moved_bytes)
        found.append(seconds)
    high, mid, low = found
    return between(low, mid, high, "a share of what its products allow, and all weights once per batch")


def _value_at(quantity: Quantity, level: int) -> float:
    return (quantity.low, quantity.mid, quantity.high)[level]


def _per_second(tokens: int, seconds: Quantity) -> Quantity:
    if seconds.low <= 0:
        return unknown("nothing has to be read")
    return between(tokens / seconds.high, tokens / seconds.mid, tokens / seconds.low, seconds.basis)


def _inverse(speed: Quantity) -> Quantity:
    return between(1 / speed.high, 1 / speed.mid, 1 / speed.low, speed.basis)
