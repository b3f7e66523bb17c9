"""Decide whether a model fits a machine: memory needed on each device against memory free there. Pure.

A device fits the model if the high end of the demand is at most its free memory. If only the middle is, the verdict is
"tight": likely, but not guaranteed. A model fits if it fits on all devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from msgspec.structs import replace

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity, between, total
from intermodal.plans.machine import Machine
from intermodal.sizing.machines import certain_memory, memory_for_models
from intermodal.sizing.memory import Correction, MemoryTerm, ModelMemory, model_memory
from intermodal.sizing.quantizations import OFF, Quantization, requantize
from intermodal.sizing.shape import ALL, ModelShape, ServingSettings

Verdict = Literal["fits", "tight", "no", "unknown"]
Where = Literal["card", "cards", "memory"]
CONTEXTS: Final = (4096, 8192, 16384, 32768, 65536, 131072)
_WORST: Final[tuple[Verdict, ...]] = ("fits", "tight", "unknown", "no")
_STEP: Final = 256  # tokens; llama.cpp rounds contexts to multiples of it
_MOST_CONTEXT: Final = 1 << 20


class CapacityCheck(Value):
    """The demand on one device, and the free bytes there: at most ``room``, at least ``certain``."""

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
        """Return the share of the free memory that is needed."""
        return self.needed.mid / self.room if self.room else float("inf")


def verdict_on(needed: Quantity, free: float) -> Verdict:
    """Return the verdict on a demand whose middle is not informative.

    "fits" if the high end of ``needed`` is at most ``free``, "tight" if only the low end is, otherwise "no".
    """
    return "fits" if needed.high <= free else "tight" if needed.low <= free else "no"


def check_capacity(needed: Quantity, machine: Machine) -> CapacityCheck:
    """Check a demand against the machine's GPUs, or against its main memory if it has none."""
    where, room = memory_for_models(machine)
    return CapacityCheck(where=where, needed=needed, room=room, certain=certain_memory(machine))


class PlacedModel(Value):
    """A model with its serving settings on a machine, and the verdict.

    ``estimated``: the weights are an estimate, not those of a file. ``corrections``: measurements of the file.
    """

    shape: ModelShape
    settings: ServingSettings
    memory: ModelMemory
    checks: tuple[CapacityCheck, ...]
    estimated: bool = False
    corrections: tuple[Correction, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Return the worst verdict over all devices; "unknown" if no device was checked."""
        verdicts: tuple[Verdict, ...] = tuple(check.verdict for check in self.checks)
        return max(verdicts, key=_WORST.index) if verdicts else "unknown"

    @property
    def deciding_check(self) -> CapacityCheck | None:
        """Return the check that decides the verdict; None if no device was checked."""
        return max(self.checks, key=lambda check: (_WORST.index(check.verdict), check.share), default=None)


def place_model(
    shape: ModelShape, settings: ServingSettings, machine: Machine, *, estimated: bool = False,
    corrections: Sequence[Correction] = (),
) -> PlacedModel:  # fmt: skip
    """Compute the memory that the model needs, and compare it with the machine's free memory."""
    if not machine.gpus and settings.gpu_layers:
        settings = replace(settings, gpu_layers=0)
    needed = _add_per_gpu_costs(
        shape, model_memory(shape, settings, corrections), len(machine.gpus) if settings.gpu_layers else 0
    )
    if estimated:
        needed = replace(needed, terms=tuple(map(_as_estimate, needed.terms)))
    checks = _checks(needed, settings, machine)
    return PlacedModel(
        shape=shape,
        settings=settings,
        memory=needed,
        checks=checks,
        estimated=estimated,
        corrections=tuple(corrections),
    )


def place_again(placed_model: PlacedModel, settings: ServingSettings, machine: Machine) -> PlacedModel:
    """Place the same model with other settings, or on another machine."""
    return place_model(
        placed_model.shape, settings, machine, estimated=placed_model.estimated, corrections=placed_model.corrections
    )


def place_quantized(
    placed_model: PlacedModel, settings: ServingSettings, machine: Machine, to: Quantization | None
) -> PlacedModel:
    """Place the model in quantization ``to``, with estimated weights and no corrections; None keeps the file's own."""
    if to is None:
        return place_again(placed_model, settings, machine)
    return place_model(requantize(placed_model.shape, to), settings, machine, estimated=True)


def largest_fitting(most: int, fits: Callable[[int], bool], step: int = 1) -> int:
    """Return the largest multiple of ``step`` up to ``most`` for which ``fits`` is true, 0 if there is none.

    ``fits`` must be monotonic: if a count does not fit, no larger one does.
    """
    low, high = 0, most // step
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle * step) else (low, middle - 1)
    return low * step


def largest_context(placed_model: PlacedModel, machine: Machine) -> int:
    """Return the context per slot that certainly fits, at most the trained context length; 0 if none does."""
    settings = placed_model.settings
    most = min(placed_model.shape.context or _MOST_CONTEXT, _MOST_CONTEXT)

    def fits(tokens: int) -> bool:
        return place_again(placed_model, with_context(settings, tokens), machine).verdict == "fits"

    return most if fits(most) else largest_fitting(most, fits, _STEP)


def table_contexts(shape: ModelShape, contexts: tuple[int, ...]) -> tuple[int, ...]:
    """Return the context lengths to tabulate: ``contexts`` if there are several, otherwise the usual ones too.

    Usual ones above the context length the model was trained for are left out.
    """
    if len(contexts) > 1:
        return contexts
    most = shape.context or CONTEXTS[-1]
    usual = [size for size in CONTEXTS if size <= most] or [most]
    return tuple(sorted({*usual, *contexts}))


def with_context(settings: ServingSettings, tokens: int) -> ServingSettings:
    """Return the settings with a context of ``tokens`` per slot."""
    return replace(settings, context=tokens * settings.slots)


def _as_estimate(term: MemoryTerm) -> MemoryTerm:
    """Widen weights that are not from a file to the range of an estimate; return other terms unchanged."""
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


def _add_per_gpu_costs(shape: ModelShape, needed: ModelMemory, cards: int) -> ModelMemory:
    """Add what every further GPU costs: its own buffers, and the rounding of its share to whole layers."""
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
    """Offload all layers if the machine has a GPU, none otherwise."""
    return replace(settings, gpu_layers=ALL if machine.gpus else 0)
