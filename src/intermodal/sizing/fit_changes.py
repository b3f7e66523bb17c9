"""Changes that make a model fit, ranked by their cost in quality, speed and context, with the command for each.

Every change is checked with the same arithmetic as the verdict, so each proposal fits.

The changes for vLLM are in the second half and use the arithmetic of ``vllm.py``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from intermodal.core.content import Value
from intermodal.core.hints import hint
from intermodal.core.quantity import Quantity
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import with_noun
from intermodal.sizing.machines import GIB, card, find_card
from intermodal.sizing.memory import Correction
from intermodal.sizing.placement import (
    PlacedModel,
    largest_context,
    largest_fitting,
    place_again,
    place_quantized,
    with_context,
)
from intermodal.sizing.quantizations import QUANTIZATIONS, USUAL, Quantization, average_bits, requantize
from intermodal.sizing.server_command import ModelReference, format_context, server_command
from intermodal.sizing.shape import ALL, ModelShape, ServingSettings
from intermodal.sizing.speed import model_speed
from intermodal.sizing.vllm import VllmCapacity, VllmSettings, most_heads, text_bytes, vllm_capacity

# The loss of a quantized cache, as relative perplexity increase. Published figures vary: q8_0 costs about nothing at
# short contexts, q4_0 is noticeable, more so at long ones. The values are set relative to the losses of weights.
CACHE_LOSS: Final = {"q8_0": 0.005, "q4_0": 0.08}
# Halving the context costs as much as a perplexity increase of a quarter, halving the speed as much as a third.
CONTEXT_COST: Final = 0.5
SPEED_COST: Final = 0.66
CARD_COST: Final = 2.0  # money
WAIT_COST: Final = 0.25  # if nearly all sequences have to wait
LEAST_CONTEXT: Final = 2048  # shorter contexts are not proposed
# One GPU for each common memory size, proposed if the present one is too small.
CARDS: Final = (
    "RTX 5060", "RTX 5070", "RTX 5080", "RTX 4090", "RTX 5090", "RTX 6000 Ada", "H100", "RTX PRO 6000 Blackwell",
    "H200", "B200",
)  # fmt: skip


class FitChange(Value):
    """A change, or two combined.

    Attributes:
        what: the change as an instruction. gives_up: its cost in words. cost: its cost as a number, used for ranking.
        needed, room: bytes needed and available on the device that decides. decode: tokens per second after the change.
        command: the server command. same_machine: whether only settings change and no GPU.
    """

    what: str
    gives_up: str
    cost: float
    needed: Quantity
    room: int
    decode: Quantity
    command: str
    same_machine: bool = True


class _Attempt(Value):
    what: str
    placed: PlacedModel
    machine: Machine
    quantization: str
    loss: float = 0.0
    words: tuple[str, ...] = ()
    money: float = 0.0


def fit_changes(
    subject: ModelReference, now: PlacedModel, machine: Machine, *, prompt: int = 512
) -> tuple[FitChange, ...]:
    """Return the changes that would make the model fit, cheapest first.

    Decode speeds are per sequence, after ``prompt`` tokens.
    """
    before = model_speed(now.shape, now.settings, machine, prompt=prompt, users=now.settings.slots).decode
    found = [
        _change(subject, now, before, each, prompt)
        for each in _attempts(subject, now, machine)
        if each.placed.verdict == "fits"
    ]
    return tuple(sorted(found, key=lambda change: change.cost))


def _change(subject: ModelReference, now: PlacedModel, before: Quantity, tried: _Attempt, prompt: int) -> FitChange:
    settings = tried.placed.settings
    past = min(prompt, _context_per_slot(settings))
    decode = model_speed(tried.placed.shape, settings, tried.machine, prompt=past, users=settings.slots).decode
    slower = max(0.0, 1 - decode.mid / before.mid) if decode.known and before.known and before.mid else 0.0
    shorter = max(0.0, 1 - _context_per_slot(tried.placed.settings) / _context_per_slot(now.settings))
    words = [*tried.words]
    if slower > 0.05:
        words.append(f"{slower:.0%} of its speed")
    if shorter > 0:
        words.append(f"{format_context(_context_per_slot(now.settings) - _context_per_slot(settings))} of context")
    tight = tried.placed.deciding_check
    return FitChange(
        what=tried.what,
        gives_up=", ".join(words) or "nothing that is measured",
        cost=tried.loss + SPEED_COST * slower + CONTEXT_COST * shorter + tried.money,
        needed=tight.needed if tight else Quantity(),
        room=tight.room if tight else 0,
        decode=decode,
        command=server_command(subject, settings, tried.quantization),
        same_machine=not tried.money,
    )


def _context_per_slot(settings: ServingSettings) -> int:
    return settings.context // settings.slots


# ---- options ---------------------------------------------------------------------------------------


def _attempts(subject: ModelReference, now: PlacedModel, machine: Machine) -> Iterator[_Attempt]:
    yield from _caches(subject, now, machine)
    yield from _shorter_contexts(subject, now, machine)
    yield from _smaller_quantization(subject, now, machine)
    yield from _fewer_slots(subject, now, machine)
    if machine.gpus and not any(gpu.unified for gpu in machine.gpus):
        yield from _on_host(subject, now, machine)
    yield from _other_card(subject, now, machine)


def _with_cache_type(settings: ServingSettings, kind: str) -> ServingSettings:
    return replace(settings, type_k=kind, type_v=kind, flash_attention=True)


def _caches(subject: ModelReference, now: PlacedModel, machine: Machine) -> Iterator[_Attempt]:
    """Yield quantized caches, if the cache is not quantized yet; stops at the first type that fits."""
    if now.settings.type_k not in ("f16", "bf16", "f32") or not _divides(now):
        return
    for kind, loss in CACHE_LOSS.items():
        placed_model = place_again(now, _with_cache_type(now.settings, kind), machine)
        yield _Attempt(
            what=f"keep keys and values as {kind}", placed=placed_model, machine=machine,
            quantization=subject.quantization, loss=loss, words=(_cache_words(kind),),
        )  # fmt: skip
        if placed_model.verdict == "fits":
            return


def _divides(now: PlacedModel) -> bool:
    """Return whether cache rows are multiples of 32 values, which llama.cpp requires of a quantized cache."""
    return all(
        layer.kv_heads * layer.key % 32 == 0 and layer.kv_heads * layer.value % 32 == 0 for layer in now.shape.layers
    )


def _cache_words(kind: str) -> str:
    return "about no quality" if CACHE_LOSS[kind] < 0.01 else "some quality, more at long contexts"


def _shorter_contexts(subject: ModelReference, now: PlacedModel, machine: Machine) -> Iterator[_Attempt]:
    for kind in ("", "q8_0") if now.settings.type_k == "f16" and _divides(now) else ("",):
        settings = _with_cache_type(now.settings, kind) if kind else now.settings
        tried = place_again(now, settings, machine)
        most = min(largest_context(tried, machine), _context_per_slot(now.settings) - 1) // 256 * 256
        if most >= LEAST_CONTEXT:
            cache_text = f", and keep keys and values as {kind}" if kind else ""
            yield _Attempt(
                what=f"use a context of {format_context(most)}{cache_text}",
                placed=place_again(now, with_context(settings, most), machine),
                machine=machine,
                quantization=subject.quantization,
                loss=CACHE_LOSS.get(kind, 0.0),
                words=(_cache_words(kind),) if kind else (),
            )  # fmt: skip


def _smaller_quantization(subject: ModelReference, now: PlacedModel, machine: Machine) -> Iterator[_Attempt]:
    """Yield the best usual quantization that is smaller than the current one and fits.

    A second one is yielded if quantizing the cache too allows a better quantization.
    """
    best = ""
    for kind in ("", "q8_0") if now.settings.type_k == "f16" and _divides(now) else ("",):
        settings = _with_cache_type(now.settings, kind) if kind else now.settings
        for name in USUAL:
            to = QUANTIZATIONS[name]
            if to.bits >= average_bits(now.shape) * 0.98 or name == best:
                continue
            placed_model = place_quantized(now, settings, machine, to)
            if placed_model.verdict == "fits":
                cache_text = f", and keep keys and values as {kind}" if kind else ""
                loss, words = _loss(subject.quantization, to)
                yield _Attempt(
                    what=f"take {name}{cache_text}", placed=placed_model, machine=machine, quantization=name,
                    loss=loss + CACHE_LOSS.get(kind, 0.0), words=words,
                )  # fmt: skip
                best = name
                break


def _loss(now: str, to: Quantization) -> tuple[float, tuple[str, ...]]:
    """Return the additional relative perplexity increase, as a number and in words."""
    quantization = QUANTIZATIONS.get(now)
    had = quantization.loss if quantization is not None and quantization.loss is not None else 0.0
    loss = max(0.0, (to.loss or 0.0) - had)
    return loss, (f"some {loss:.1%} in perplexity",) if loss else ()


def _fewer_slots(subject: ModelReference, now: PlacedModel, machine: Machine) -> Iterator[_Attempt]:
    slots, each = now.settings.slots, _context_per_slot(now.settings)

    def with_slots(count: int) -> PlacedModel:
        return place_again(now, replace(now.settings, slots=count, context=each * count), machine)

    most = largest_fitting(slots - 1, lambda count: with_slots(count).verdict == "fits") if slots > 1 else 0
    if most:
        yield _Attempt(
            what=f"serve {with_noun(most, 'text')} at once", placed=with_slots(most), machine=machine,
            quantization=subject.quantization, loss=WAIT_COST * (1 - most / slots),
            words=(f"a wait of {slots - most} of {slots} texts",),
        )  # fmt: skip


def _on_host(subject: ModelReference, now: PlacedModel, machine: Machine) -> Iterator[_Attempt]:
    """Yield the placement that keeps the experts of some layers, or whole layers, in main memory."""
    layers = len(now.shape.layers)

    def place_with(on_card: int) -> PlacedModel:  # ``on_card``: layers on the GPU, or layers whose experts are
        if now.shape.routed:
            return place_again(now, replace(now.settings, host_experts=layers - on_card), machine)
        return place_again(now, replace(now.settings, gpu_layers=on_card), machine)

    layers_on_card = largest_fitting(layers, lambda count: place_with(count).verdict == "fits")
    if now.shape.routed:
        what = f"keep the experts of {layers - layers_on_card} of {layers} layers in memory"
    else:
        what = (
            f"put {layers_on_card} of {layers} layers on the card"
            if layers_on_card
            else "run it on the processor alone"
        )
    placed_model = place_with(layers_on_card)
    yield _Attempt(
        what=what,
        placed=placed_model,
        machine=machine,
        quantization=subject.quantization,
        words=_of_memory(placed_model, machine),
    )


def _of_memory(placed_model: PlacedModel, machine: Machine) -> tuple[str, ...]:
    """Return a note on the main memory that is needed, if the machine's was not stated."""
    host = placed_model.memory.total("host")
    words = hint("{} GiB of memory, of which none was stated ({ram})", f"{host.high / GIB:.1f}")
    return () if machine.memory else (words,)


def _other_card(subject: ModelReference, now: PlacedModel, has: Machine) -> Iterator[_Attempt]:
    """Yield the smallest of the usual GPUs on which the model fits with the requested settings.

    If the machine's GPU has unified memory, the proposal is another machine.
    """
    fixed = any(gpu.unified for gpu in has.gpus)
    settings = replace(now.settings, gpu_layers=ALL, host_experts=0)
    for name in CARDS:
        row, size = find_card(name)
        machine = Machine(gpus=(card(row, size),))
        placed_model = place_again(now, settings, machine)
        if placed_model.verdict == "fits":
            yield _Attempt(
                what=f"use a {'machine with a ' if fixed else ''}card of {size / GIB:g} GB, such as the {row.title}",
                placed=placed_model, machine=machine, quantization=subject.quantization, money=CARD_COST,
                words=(f"another {'machine' if fixed else 'card'}",),
            )  # fmt: skip
            return


# ---- vLLM -------------------------------------------------------------------------------------------


FP8: Final = Quantization(name="fp8", bits=8.1, loss=None)  # vLLM quantizes at load; embeddings stay as they are
# The loss of fp8 is assumed to be small, like that of llama.cpp's q8_0 (``CACHE_LOSS``).
_FP8_WEIGHTS, _FP8_CACHE = 0.01, 0.01
_UTILIZATION: Final = 0.95
_RISK: Final = 0.03  # cost of filling a GPU almost completely
_STEP: Final = 256
Judge = Callable[[ModelShape, VllmSettings], VllmCapacity]  # the capacity left for sequences, with corrections
Decode = Callable[[ModelShape, VllmSettings], Quantity]  # tokens per second and sequence, on the present GPUs


class VllmAttempt(Value):
    """One set of vLLM settings to try. ``elsewhere``: whether it needs more or other GPUs."""

    what: str
    serving: VllmSettings
    shape: ModelShape
    cost: float
    gives_up: tuple[str, ...] = ()
    fp8: bool = False
    elsewhere: bool = False


def vllm_command(model: str, serving: VllmSettings, *, fp8: bool = False) -> str:
    """Return the command that serves the model with these settings.

    >>> vllm_command("Qwen/Qwen3-8B", VllmSettings(length=8192, slots=4, cards=2, cache_bytes=1))
    'vllm serve Qwen/Qwen3-8B --max-model-len 8192 --max-num-seqs 4 --tensor-parallel-size 2 --kv-cache-dtype fp8'
    """
    words = ["vllm", "serve", model, "--max-model-len", str(serving.length), "--max-num-seqs", str(serving.slots)]
    words += ["--tensor-parallel-size", str(serving.cards)] if serving.cards > 1 else []
    words += ["--kv-cache-dtype", "fp8"] if serving.cache_bytes == 1 else []
    words += ["--quantization", "fp8"] if fp8 else []
    fuller = serving.utilization != VllmSettings().utilization
    words += ["--gpu-memory-utilization", f"{serving.utilization:g}"] if fuller else []
    return shlex.join(words)


def fits_all_requests(capacity: VllmCapacity, slots: int) -> bool:
    """Return whether ``slots`` sequences of full length certainly fit at once."""
    return capacity.fits is True and capacity.texts.low >= slots


def vllm_changes(
    model: str, shape: ModelShape, serving: VllmSettings, decode: Decode, corrections: Sequence[Correction] = ()
) -> tuple[FitChange, ...]:
    """Return the changes that would make the model fit as requested, cheapest first.

    ``decode`` returns the decode speed for a shape and settings. ``corrections``: measurements of the model's files on
    this machine; they apply only to attempts with the same weights and GPU.
    """

    def judge(model_shape: ModelShape, tried: VllmSettings) -> VllmCapacity:
        own_corrections = corrections if model_shape is shape and tried.memory == serving.memory else ()
        return vllm_capacity(model_shape, tried, own_corrections)

    before = decode(shape, serving)
    found = []
    for tried in _vllm_attempts(shape, serving, judge):
        capacity = judge(tried.shape, tried.serving)
        if fits_all_requests(capacity, tried.serving.slots):
            found.append(_vllm_change(model, tried, capacity, before, decode))
    return tuple(sorted(found, key=lambda change: change.cost))


def _vllm_change(model: str, tried: VllmAttempt, capacity: VllmCapacity, before: Quantity, decode: Decode) -> FitChange:
    after = Quantity(certainty="unknown") if tried.elsewhere else decode(tried.shape, tried.serving)
    slower = max(0.0, 1 - after.mid / before.mid) if after.known and before.known and before.mid else 0.0
    words = [*tried.gives_up, *([f"{slower:.0%} of its speed"] if slower > 0.05 else [])]
    texts = tried.serving.slots * text_bytes(tried.shape, tried.serving, tried.serving.length)
    needed = capacity.weights + capacity.overhead + Quantity(low=texts, mid=texts, high=texts)
    return FitChange(
        what=tried.what, gives_up=", ".join(words) or "nothing that is measured",
        cost=tried.cost + SPEED_COST * slower, needed=needed,
        room=round(tried.serving.memory * tried.serving.utilization), decode=after,
        command=vllm_command(model, tried.serving, fp8=tried.fp8), same_machine=not tried.elsewhere,
    )  # fmt: skip


# ---- options ---------------------------------------------------------------------------------------


def _vllm_attempts(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    fuller = replace(serving, utilization=max(serving.utilization, _UTILIZATION))
    yield VllmAttempt(what=f"let it take {_UTILIZATION:.0%} of the card", serving=fuller, shape=shape, cost=_RISK,
                  gives_up=("room for what else runs there",))  # fmt: skip
    if serving.cache_bytes > 1:
        yield VllmAttempt(what="keep keys and values as fp8", serving=replace(serving, cache_bytes=1), shape=shape,
                      cost=_FP8_CACHE, gives_up=("about no quality",))  # fmt: skip
    yield from _in_eight_bits(shape, serving, judge)
    yield from _vllm_shorter(shape, serving, judge)
    yield from _fewer_sequences(shape, serving, judge)
    yield from _cards(shape, serving, judge)


def _in_eight_bits(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    """Yield 16-bit weights quantized to fp8 at load, and if that is not enough, with an fp8 cache as well."""
    if average_bits(shape) < 12:
        return
    smaller = requantize(shape, FP8)
    yield VllmAttempt(what="make its weights fp8 when it loads", serving=serving, shape=smaller, cost=_FP8_WEIGHTS,
                  fp8=True, gives_up=("about no quality; cards before Ada gain room alone",))  # fmt: skip
    if serving.cache_bytes > 1 and not fits_all_requests(judge(smaller, serving), serving.slots):
        yield VllmAttempt(
            what="make its weights fp8 when it loads, and keep keys and values as fp8", fp8=True, shape=smaller,
            serving=replace(serving, cache_bytes=1), cost=_FP8_WEIGHTS + _FP8_CACHE,
            gives_up=("about no quality; cards before Ada gain room alone",),
        )  # fmt: skip


def _vllm_shorter(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    def at(length: int) -> VllmSettings:
        return replace(serving, length=length)

    most = largest_fitting(
        serving.length - 1, lambda length: fits_all_requests(judge(shape, at(length)), serving.slots), _STEP
    )
    if most >= LEAST_CONTEXT:
        lost = 1 - most / serving.length
        yield VllmAttempt(
            what=f"use a context of {format_context(most)}",
            serving=at(most),
            shape=shape,
            cost=CONTEXT_COST * lost,
            gives_up=(f"{format_context(serving.length - most)} of context",),
        )


def _fewer_sequences(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    most = (
        largest_fitting(serving.slots - 1, lambda slots: fits_all_requests(judge(shape, serving), slots))
        if serving.slots > 1
        else 0
    )
    if most:
        yield VllmAttempt(
            what=f"serve {with_noun(most, 'text')} at once",
            serving=replace(serving, slots=most),
            shape=shape,
            cost=WAIT_COST * (1 - most / serving.slots),
            gives_up=(f"a wait of {serving.slots - most} of {serving.slots} texts",),
        )


def _cards(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    """Yield more GPUs of the same kind, and the smallest larger GPU that fits.

    The number of GPUs has to divide the attention heads.
    """
    heads = most_heads(shape)
    for count in (2, 4, 8):
        wider = replace(serving, cards=count)
        if count <= serving.cards or heads % count or not fits_all_requests(judge(shape, wider), serving.slots):
            continue
        yield VllmAttempt(what=f"divide it among {count} such cards", serving=wider, shape=shape, elsewhere=True,
                      cost=CARD_COST, gives_up=(with_noun(count - serving.cards, "more card"),))  # fmt: skip
        break
    for name in CARDS:
        row, size = find_card(name)
        other = replace(serving, memory=size, cards=1)
        if size > serving.memory and fits_all_requests(judge(shape, other), serving.slots):
            yield VllmAttempt(
                what=f"use a card of {size / GIB:g} GB, such as the {row.title}",
                serving=other,
                shape=shape,
                elsewhere=True,
                cost=CARD_COST,
                gives_up=("another card",),
            )
            return


__all__ = [
    "FitChange",
    "ModelReference",
    "VllmAttempt",
    "fit_changes",
    "fits_all_requests",
    "vllm_changes",
    "vllm_command",
]
