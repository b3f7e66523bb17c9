"""Changes that make a model fit a card under vLLM, ranked by their cost, with the command of each.

Every change is tried by the arithmetic of the verdict (``vllm.py``), so what is proposed fits.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from intermodal.content import Value
from intermodal.plans.numbers import counted
from intermodal.quantity import Quantity
from intermodal.sizing.accelerators import GIB, find_card
from intermodal.sizing.fit_changes import (
    CARD_COST,
    CARDS,
    CONTEXT_COST,
    LEAST_CONTEXT,
    SPEED_COST,
    WAIT_COST,
    FitChange,
)
from intermodal.sizing.memory_corrections import Correction
from intermodal.sizing.placement import largest
from intermodal.sizing.quantizations import Quantization, bits, requantized
from intermodal.sizing.server_command import format_context
from intermodal.sizing.shape import ModelShape
from intermodal.sizing.vllm import VllmCapacity, VllmSettings, most_heads, text_bytes, vllm_capacity

FP8: Final = Quantization(name="fp8", bits=8.1, loss=None)  # vLLM makes it when it loads; embeddings stay as they are
# What eight bits cost is placed beside llama.cpp's q8_0 (``changes.CACHE_LOSS``): little, and more for keys and values.
_FP8_WEIGHTS, _FP8_CACHE = 0.01, 0.01
_UTILIZATION: Final = 0.95
_RISK: Final = 0.03  # of a card that is filled to the brim
_STEP: Final = 256
Judge = Callable[[ModelShape, VllmSettings], VllmCapacity]  # what is left for texts, by what was measured too
Decode = Callable[[ModelShape, VllmSettings], Quantity]  # tokens a second of each text, on the cards asked about


class VllmAttempt(Value):
    """A way to serve it. ``elsewhere``: on more or other cards than those asked about."""

    what: str
    serving: VllmSettings
    shape: ModelShape
    cost: float
    gives_up: tuple[str, ...] = ()
    fp8: bool = False
    elsewhere: bool = False


def vllm_command(model: str, serving: VllmSettings, *, fp8: bool = False) -> str:
    """What to run.

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


def fits_all_requests(found: VllmCapacity, slots: int) -> bool:
    """Whether all texts certainly fit at once."""
    return found.fits is True and found.texts.low >= slots


def vllm_changes(
    model: str, shape: ModelShape, serving: VllmSettings, decode: Decode, corrections: Sequence[Correction] = ()
) -> tuple[FitChange, ...]:
    """What would make it fit as it was asked, the cheapest first. ``decode``: how fast a way to serve it writes.

    ``corrections``: what was measured of its files on this machine. They are of these weights on this card.
    """

    def judge(of: ModelShape, tried: VllmSettings) -> VllmCapacity:
        measured = corrections if of is shape and tried.memory == serving.memory else ()
        return vllm_capacity(of, tried, measured)

    before = decode(shape, serving)
    found = []
    for tried in _attempts(shape, serving, judge):
        made = judge(tried.shape, tried.serving)
        if fits_all_requests(made, tried.serving.slots):
            found.append(_change(model, tried, made, before, decode))
    return tuple(sorted(found, key=lambda change: change.cost))


def _change(model: str, tried: VllmAttempt, made: VllmCapacity, before: Quantity, decode: Decode) -> FitChange:
    after = Quantity(certainty="unknown") if tried.elsewhere else decode(tried.shape, tried.serving)
    slower = max(0.0, 1 - after.mid / before.mid) if after.known and before.known and before.mid else 0.0
    words = [*tried.gives_up, *([f"{slower:.0%} of its speed"] if slower > 0.05 else [])]
    texts = tried.serving.slots * text_bytes(tried.shape, tried.serving, tried.serving.length)
    needed = made.weights + made.overhead + Quantity(low=texts, mid=texts, high=texts)
    return FitChange(
        what=tried.what, gives_up=", ".join(words) or "nothing that is measured",
        cost=tried.cost + SPEED_COST * slower, needed=needed,
        room=round(tried.serving.memory * tried.serving.utilization), decode=after,
        command=vllm_command(model, tried.serving, fp8=tried.fp8), same_machine=not tried.elsewhere,
    )  # fmt: skip


# ---- what is tried ---------------------------------------------------------------------------------


def _attempts(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    fuller = replace(serving, utilization=max(serving.utilization, _UTILIZATION))
    yield VllmAttempt(what=f"let it take {_UTILIZATION:.0%} of the card", serving=fuller, shape=shape, cost=_RISK,
                  gives_up=("room for what else runs there",))  # fmt: skip
    if serving.cache_bytes > 1:
        yield VllmAttempt(what="keep keys and values as fp8", serving=replace(serving, cache_bytes=1), shape=shape,
                      cost=_FP8_CACHE, gives_up=("about no quality",))  # fmt: skip
    yield from _in_eight_bits(shape, serving, judge)
    yield from _shorter(shape, serving, judge)
    yield from _fewer(shape, serving, judge)
    yield from _cards(shape, serving, judge)


def _in_eight_bits(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    """Weights of sixteen bits made into eight when they are loaded; with such a cache too."""
    if bits(shape) < 12:
        return
    smaller = requantized(shape, FP8)
    yield VllmAttempt(what="make its weights fp8 when it loads", serving=serving, shape=smaller, cost=_FP8_WEIGHTS,
                  fp8=True, gives_up=("about no quality; cards before Ada gain room alone",))  # fmt: skip
    if serving.cache_bytes > 1 and not fits_all_requests(judge(smaller, serving), serving.slots):
        yield VllmAttempt(
            what="make its weights fp8 when it loads, and keep keys and values as fp8", fp8=True, shape=smaller,
            serving=replace(serving, cache_bytes=1), cost=_FP8_WEIGHTS + _FP8_CACHE,
            gives_up=("about no quality; cards before Ada gain room alone",),
        )  # fmt: skip


def _shorter(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    def at(length: int) -> VllmSettings:
        return replace(serving, length=length)

    most = largest(serving.length - 1, lambda length: fits_all_requests(judge(shape, at(length)), serving.slots), _STEP)
    if most >= LEAST_CONTEXT:
        lost = 1 - most / serving.length
        yield VllmAttempt(
            what=f"use a context of {format_context(most)}",
            serving=at(most),
            shape=shape,
            cost=CONTEXT_COST * lost,
            gives_up=(f"{format_context(serving.length - most)} of context",),
        )


def _fewer(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    most = (
        largest(serving.slots - 1, lambda slots: fits_all_requests(judge(shape, serving), slots))
        if serving.slots > 1
        else 0
    )
    if most:
        yield VllmAttempt(
            what=f"serve {counted(most, 'text')} at once",
            serving=replace(serving, slots=most),
            shape=shape,
            cost=WAIT_COST * (1 - most / serving.slots),
            gives_up=(f"a wait of {serving.slots - most} of {serving.slots} texts",),
        )


def _cards(shape: ModelShape, serving: VllmSettings, judge: Judge) -> Iterator[VllmAttempt]:
    """More cards like these, as many as divide its heads; else the smallest usual card that is enough."""
    heads = most_heads(shape)
    for count in (2, 4, 8):
        wider = replace(serving, cards=count)
        if count <= serving.cards or heads % count or not fits_all_requests(judge(shape, wider), serving.slots):
            continue
        yield VllmAttempt(what=f"divide it among {count} such cards", serving=wider, shape=shape, elsewhere=True,
                      cost=CARD_COST, gives_up=(counted(count - serving.cards, "more card"),))  # fmt: skip
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


__all__ = ["VllmAttempt", "fits_all_requests", "vllm_changes", "vllm_command"]
