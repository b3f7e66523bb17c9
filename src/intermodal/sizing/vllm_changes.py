"""What would make a model fit a card that vLLM serves it on, ranked by what it costs, each as what to run.

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
from intermodal.sizing.accelerators import GIB, find
from intermodal.sizing.changes import CARD_COST, CARDS, CONTEXT_COST, LEAST_CONTEXT, SPEED_COST, WAIT_COST, Change
from intermodal.sizing.command import tokens
from intermodal.sizing.corrections import Correction
from intermodal.sizing.fit import largest
from intermodal.sizing.quantizations import Quantization, bits, requantized
from intermodal.sizing.shape import ModelShape
from intermodal.sizing.vllm import Served, Serving, most_heads, served, text_bytes

FP8: Final = Quantization(name="fp8", bits=8.1, loss=None)  # vLLM makes it when it loads; embeddings stay as they are
# What eight bits cost is placed beside llama.cpp's q8_0 (``changes.CACHE_LOSS``): little, and more for keys and values.
_FP8_WEIGHTS, _FP8_CACHE = 0.01, 0.01
_UTILIZATION: Final = 0.95
_RISK: Final = 0.03  # of a card that is filled to the brim
_STEP: Final = 256
Judge = Callable[[ModelShape, Serving], Served]  # what is left for texts, by what was measured too
Decode = Callable[[ModelShape, Serving], Quantity]  # tokens a second of each text, on the cards asked about


class Attempt(Value):
    """A way to serve it. ``elsewhere``: on more or other cards than those asked about."""

    what: str
    serving: Serving
    shape: ModelShape
    cost: float
    gives_up: tuple[str, ...] = ()
    fp8: bool = False
    elsewhere: bool = False


def vllm_command(model: str, serving: Serving, *, fp8: bool = False) -> str:
    """What to run.

    >>> vllm_command("Qwen/Qwen3-8B", Serving(length=8192, slots=4, cards=2, cache_bytes=1))
    'vllm serve Qwen/Qwen3-8B --max-model-len 8192 --max-num-seqs 4 --tensor-parallel-size 2 --kv-cache-dtype fp8'
    """
    words = ["vllm", "serve", model, "--max-model-len", str(serving.length), "--max-num-seqs", str(serving.slots)]
    words += ["--tensor-parallel-size", str(serving.cards)] if serving.cards > 1 else []
    words += ["--kv-cache-dtype", "fp8"] if serving.cache_bytes == 1 else []
    words += ["--quantization", "fp8"] if fp8 else []
    fuller = serving.utilization != Serving().utilization
    words += ["--gpu-memory-utilization", f"{serving.utilization:g}"] if fuller else []
    return shlex.join(words)


def enough(found: Served, slots: int) -> bool:
    """Whether all texts certainly fit at once."""
    return found.fits is True and found.texts.low >= slots


def vllm_changes(
    model: str, shape: ModelShape, serving: Serving, decode: Decode, corrections: Sequence[Correction] = ()
) -> tuple[Change, ...]:
    """What would make it fit as it was asked, the cheapest first. ``decode``: how fast a way to serve it writes.

    ``corrections``: what was measured of its files on this machine. They are of these weights on this card.
    """

    def judge(of: ModelShape, tried: Serving) -> Served:
        measured = corrections if of is shape and tried.memory == serving.memory else ()
        return served(of, tried, measured)

    before = decode(shape, serving)
    found = []
    for tried in _attempts(shape, serving, judge):
        made = judge(tried.shape, tried.serving)
        if enough(made, tried.serving.slots):
            found.append(_change(model, tried, made, before, decode))
    return tuple(sorted(found, key=lambda change: change.cost))


def _change(model: str, tried: Attempt, made: Served, before: Quantity, decode: Decode) -> Change:
    after = Quantity(certainty="unknown") if tried.elsewhere else decode(tried.shape, tried.serving)
    slower = max(0.0, 1 - after.mid / before.mid) if after.known and before.known and before.mid else 0.0
    words = [*tried.gives_up, *([f"{slower:.0%} of its speed"] if slower > 0.05 else [])]
    texts = tried.serving.slots * text_bytes(tried.shape, tried.serving, tried.serving.length)
    needed = made.weights + made.overhead + Quantity(low=texts, mid=texts, high=texts)
    return Change(
        what=tried.what, gives_up=", ".join(words) or "nothing that is measured",
        cost=tried.cost + SPEED_COST * slower, needed=needed,
        room=round(tried.serving.memory * tried.serving.utilization), decode=after,
        command=vllm_command(model, tried.serving, fp8=tried.fp8), same_machine=not tried.elsewhere,
    )  # fmt: skip


# ---- what is tried ---------------------------------------------------------------------------------


def _attempts(shape: ModelShape, serving: Serving, judge: Judge) -> Iterator[Attempt]:
    fuller = replace(serving, utilization=max(serving.utilization, _UTILIZATION))
    yield Attempt(what=f"let it take {_UTILIZATION:.0%} of the card", serving=fuller, shape=shape, cost=_RISK,
                  gives_up=("room for what else runs there",))  # fmt: skip
    if serving.cache_bytes > 1:
        yield Attempt(what="keep keys and values as fp8", serving=replace(serving, cache_bytes=1), shape=shape,
                      cost=_FP8_CACHE, gives_up=("about no quality",))  # fmt: skip
    yield from _in_eight_bits(shape, serving, judge)
    yield from _shorter(shape, serving, judge)
    yield from _fewer(shape, serving, judge)
    yield from _cards(shape, serving, judge)


def _in_eight_bits(shape: ModelShape, serving: Serving, judge: Judge) -> Iterator[Attempt]:
    """Weights of sixteen bits made into eight when they are loaded; with such a cache too."""
    if bits(shape) < 12:
        return
    smaller = requantized(shape, FP8)
    yield Attempt(what="make its weights fp8 when it loads", serving=serving, shape=smaller, cost=_FP8_WEIGHTS,
                  fp8=True, gives_up=("about no quality; cards before Ada gain room alone",))  # fmt: skip
    if serving.cache_bytes > 1 and not enough(judge(smaller, serving), serving.slots):
        yield Attempt(
            what="make its weights fp8 when it loads, and keep keys and values as fp8", fp8=True, shape=smaller,
            serving=replace(serving, cache_bytes=1), cost=_FP8_WEIGHTS + _FP8_CACHE,
            gives_up=("about no quality; cards before Ada gain room alone",),
        )  # fmt: skip


def _shorter(shape: ModelShape, serving: Serving, judge: Judge) -> Iterator[Attempt]:
    def at(length: int) -> Serving:
        return replace(serving, length=length)

    most = largest(serving.length - 1, lambda length: enough(judge(shape, at(length)), serving.slots), _STEP)
    if most >= LEAST_CONTEXT:
        lost = 1 - most / serving.length
        yield Attempt(what=f"use a context of {tokens(most)}", serving=at(most), shape=shape, cost=CONTEXT_COST * lost,
                      gives_up=(f"{tokens(serving.length - most)} of context",))  # fmt: skip


def _fewer(shape: ModelShape, serving: Serving, judge: Judge) -> Iterator[Attempt]:
    most = largest(serving.slots - 1, lambda slots: enough(judge(shape, serving), slots)) if serving.slots > 1 else 0
    if most:
        yield Attempt(
            what=f"serve {counted(most, 'text')} at once", serving=replace(serving, slots=most), shape=shape,
            cost=WAIT_COST * (1 - most / serving.slots),
            gives_up=(f"a wait of {serving.slots - most} of {serving.slots} texts",),
        )  # fmt: skip


def _cards(shape: ModelShape, serving: Serving, judge: Judge) -> Iterator[Attempt]:
    """More cards like these, as many as divide its heads; else the smallest usual card that is enough."""
    heads = most_heads(shape)
    for count in (2, 4, 8):
        wider = replace(serving, cards=count)
        if count <= serving.cards or heads % count or not enough(judge(shape, wider), serving.slots):
            continue
        yield Attempt(what=f"divide it among {count} such cards", serving=wider, shape=shape, elsewhere=True,
                      cost=CARD_COST, gives_up=(counted(count - serving.cards, "more card"),))  # fmt: skip
        break
    for name in CARDS:
        row, size = find(name)
        other = replace(serving, memory=size, cards=1)
        if size > serving.memory and enough(judge(shape, other), serving.slots):
            yield Attempt(what=f"use a card of {size / GIB:g} GB, such as the {row.title}", serving=other, shape=shape,
                          elsewhere=True, cost=CARD_COST, gives_up=("another card",))  # fmt: skip
            return


__all__ = ["Attempt", "enough", "vllm_changes", "vllm_command"]
