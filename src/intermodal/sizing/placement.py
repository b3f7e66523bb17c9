"""Decide whether a model fits a machine: memory needed on each device against memory free there. Pure.

A device has room if the high end of the demand is at most its free memory; if only the middle is, it is tight, and not
guaranteed. All devices have to have room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from msgspec.structs import replace

from intermodal.content import Value
from intermodal.plans.machine import Machine
from intermodal.quantity import Quantity, between, total
from intermodal.sizing.machines import certain_memory, memory_for_models
from intermodal.sizing.memory import Correction, MemoryTerm, ModelMemory, model_memory
from intermodal.sizing.quantizations import OFF, Quantization, requantized
from intermodal.sizing.shape import ALL, ModelShape, ServingSettings

Verdict = Literal["fits", "tight", "no", "unknown"]
Where = Literal["card", "cards", "memory"]
CONTEXTS: Final = (4096, 8192, 16384, 32768, 65536, 131072)
_WORST: Final[tuple[Verdict, ...]] = ("fits", "tight", "unknown", "no")
_STEP: Final = 256  # tokens, to which llama.cpp rounds a context
_MOST_CONTEXT: Final = 1 << 20


class CapacityCheck(Value):
    """The demand in a place, and the bytes that are free there: at most ``room``, at least ``certain``."""

    where: Where
    needed: Quantity
    room: int
    certain: int

    @property
    def verdict(self) -> Verdict:
        if not self.needed.known:
            return "unknown"
        if self.needed.high <= self.certain:
            return "fits"
        return "tight" if self.needed.mid <= self.room else "no"

    @property
    def share(self) -> float:
        """Return the share of the room that is needed."""
        return self.needed.mid / self.room if self.room else float("inf")


def verdict_on(needed: Quantity, free: float) -> Verdict:
    """Return the verdict on a demand and the free memory: a range whose middle tells little fits if its high end
    does.
    """
    return "fits" if needed.high <= free else "tight" if needed.low <= free else "no"


def check_capacity(needed: Quantity, machine: Machine) -> CapacityCheck:
    """Return where models go on a machine: its cards, or its memory where it has none."""
    where, room = memory_for_models(machine)
    return CapacityCheck(where=where, needed=needed, room=room, certain=certain_memory(machine))


class PlacedModel(Value):
    """A model with its settings on a machine. ``estimated``: its weights are not of a file, but an estimate of one.
    ``corrections``: measurements of the file.
    """

    shape: ModelShape
    settings: ServingSettings
    memory: ModelMemory
    checks: tuple[CapacityCheck, ...]
    estimated: bool = False
    corrections: tuple[Correction, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Return the worst verdict of its places; unknown if none has one."""
        said: tuple[Verdict, ...] = tuple(check.verdict for check in self.checks)
        return max(said, key=_WORST.index) if said else "unknown"

    @property
    def tightest(self) -> CapacityCheck | None:
        """The place that decides; None where nothing is known of any."""
        return max(self.checks, key=lambda check: (_WORST.index(check.verdict), check.share), default=None)


def place_model(
    shape: ModelShape, settings: ServingSettings, machine: Machine, *, estimated: bool = False,
    corrections: Sequence[Correction] = (),
) -> PlacedModel:  # fmt: skip
    """Compute the memory, and compare it with the free memory."""
    if not machine.gpus and settings.gpu_layers:
        settings = replace(settings, gpu_layers=0)
    needed = _divided(
        shape, model_memory(shape, settings, corrections), len(machine.gpus) if settings.gpu_layers else 0
    )
    if estimated:
        needed = replace(needed, terms=tuple(map(_roughly, needed.terms)))
    checks = _checks(needed, settings, machine)
    return PlacedModel(
        shape=shape,
        settings=settings,
        memory=needed,
        checks=checks,
        estimated=estimated,
        corrections=tuple(corrections),
    )


def place_again(placed: PlacedModel, settings: ServingSettings, machine: Machine) -> PlacedModel:
    """Return the same model with other settings, or elsewhere."""
    return place_model(placed.shape, settings, machine, estimated=placed.estimated, corrections=placed.corrections)


def place_quantized(
    placed: PlacedModel, settings: ServingSettings, machine: Machine, to: Quantization | None
) -> PlacedModel:
    """Return the same in another quantization, of which nothing was measured; None for the file's own."""
    if to is None:
        return place_again(placed, settings, machine)
    return place_model(requantized(placed.shape, to), settings, machine, estimated=True)


def largest(most: int, fits: Callable[[int], bool], step: int = 1) -> int:
    """Return the largest multiple of ``step`` up to ``most`` that fits, 0 for none; more never fits where less does
    not.
    """
    low, high = 0, most // step
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle * step) else (low, middle - 1)
    return low * step


def largest_context(placed: PlacedModel, machine: Machine) -> int:
    """Return tokens of each text that certainly fit, up to what the model was trained for; 0 for none."""
    settings = placed.settings
    most = min(placed.shape.context or _MOST_CONTEXT, _MOST_CONTEXT)

    def fits(tokens: int) -> bool:
        return place_again(placed, with_context(settings, tokens), machine).verdict == "fits"

    return most if fits(most) else largest(most, fits, _STEP)


def table_contexts(shape: ModelShape, asked: tuple[int, ...]) -> tuple[int, ...]:
    """Of the table: those asked for, else the usual ones that the model was trained for."""
    if len(asked) > 1:
        return asked
    most = shape.context or CONTEXTS[-1]
    usual = [size for size in CONTEXTS if size <= most] or [most]
    return tuple(sorted({*usual, *asked}))


def with_context(settings: ServingSettings, tokens: int) -> ServingSettings:
    """``tokens`` for each slot."""
    return replace(settings, context=tokens * settings.slots)


def _roughly(term: MemoryTerm) -> MemoryTerm:
    """Weights of no file, with the range in which such a file would be."""
    if not term.name.endswith("weights"):
        return term
    low, mid, high = (term.amount.mid * share for share in OFF)
    return replace(term, amount=between(low, mid, high, "estimated from bits a weight"), source="type mix")


def _checks(needed: ModelMemory, settings: ServingSettings, machine: Machine) -> tuple[CapacityCheck, ...]:
    found = []
    cards = machine.gpus if settings.gpu_layers else ()
    if cards:
        found.append(check_capacity(needed.total("device"), machine))
    if machine.memory:
        shared = any(gpu.unified for gpu in cards)
        host = needed.total() if shared else needed.total("host")
        found.append(CapacityCheck(where="memory", needed=host, room=machine.free, certain=machine.free))
    return tuple(found)


def _divided(shape: ModelShape, needed: ModelMemory, cards: int) -> ModelMemory:
    """Return the demand with the additions of each further card: its own buffers, and the remainder of whole layers."""
    if cards < 2:
        return needed
    own = total([term.amount for term in needed.terms if term.device == "device" and term.name in _PER_CARD])
    layer = max((layer.weights for layer in shape.layers), default=0)
    each = own + between(0, layer / 2, layer, "layers are not divided")
    more = replace(each.scaled(cards - 1), basis="buffers of their own, and layers are not divided")
    return replace(
        needed,
        terms=(*needed.terms, MemoryTerm(name="further cards", device="device", amount=more, source="llama.cpp")),
    )


_PER_CARD: Final = ("compute", "backend")


def everything_on_cards(settings: ServingSettings, machine: Machine) -> ServingSettings:
    """Return everything on the cards where there are any, nothing where there are none."""
    return replace(settings, gpu_layers=ALL if machine.gpus else 0)
