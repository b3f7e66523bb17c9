"""``intermodal fit`` for diffusion models: memory while an image is generated, by image size.

Weights take as much memory as the files. The buffers grow with the pixels of the image and are the larger of those for
denoising and those for decoding; their sizes are from logs of the engine, so they are ranges.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from intermodal.core.content import Value
from intermodal.core.hints import hint
from intermodal.core.quantity import Quantity, between
from intermodal.local.weights.diffusion_files import DiffusionFiles, is_diffusion, read_diffusion_files
from intermodal.model_fit.fit_output import FIT_VERSION, gib, plain_amount
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import size
from intermodal.sizing.placement import Verdict, verdict_on

_SIDES: Final = (256, 512, 768, 1024, 1536)
_BASIS: Final = "its weights, and the engine's buffers by its logs"


class DiffusionFit(Value):
    """Whether a diffusion model fits.

    Attributes:
        sizes: side length of a square image, the bytes needed to generate it, and whether they fit.
        verdict: for the image size that the model was trained on.
    """

    name: str
    model: DiffusionFiles
    machine: Machine
    is_this_machine: bool
    sizes: tuple[tuple[int, Quantity, Verdict], ...]

    @property
    def verdict(self) -> Verdict:
        side = self.model.architecture.side
        return next(verdict for each, _, verdict in self.sizes if each == side)


def diffusion_fit(reference: str, machine: Machine, *, is_this_machine: bool) -> DiffusionFit | None:
    """Return the report for a diffusion model in a file or folder; None for anything else.

    Raises WeightsError if the model is damaged or incomplete.
    """
    place = Path(reference).expanduser()
    if not reference or not is_diffusion(place):
        return None
    model = read_diffusion_files(place)
    sides = sorted({*_SIDES, model.architecture.side})
    amounts = [(side, _amount(model, side)) for side in sides]
    sizes: list[tuple[int, Quantity, Verdict]] = [(side, each, _verdict(each, machine)) for side, each in amounts]
    return DiffusionFit(
        name=place.name, model=model, machine=machine, is_this_machine=is_this_machine, sizes=tuple(sizes)
    )


def _amount(model: DiffusionFiles, side: int) -> Quantity:
    return between(*model.memory(side), _BASIS)


def _verdict(amount: Quantity, machine: Machine) -> Verdict:
    """Compare with main memory, because diffusion runs on the processor."""
    return verdict_on(amount, machine.free) if machine.memory else "unknown"


def report_lines(report: DiffusionFit) -> Iterator[tuple[str, Verdict | None]]:
    """Yield the report as text lines; lines with a verdict are coloured by it."""
    model, usual = report.model, report.model.architecture
    yield (
        f"{report.name}   {usual.name}, a diffusion model; {model.parameters / 1e6:,.0f}M parameters take its steps, "
        f"{size(model.size)} of weights in all", None,
    )  # fmt: skip
    free = f"{size(report.machine.free)} of memory {'free now' if report.is_this_machine else 'there'}"
    yield f"drawing, on processors, {free if report.machine.memory else 'in memory that nobody stated'}", None
    for side, amount, verdict in report.sizes:
        trained = "   what it was trained on" if side == usual.side else ""
        yield f"  {f'{side}x{side}':<10} {gib(amount) + ' GiB':<26} {_WORDS[verdict]}{trained}", verdict
    yield (
        f"usual of it: {usual.steps} steps, guidance {usual.guidance:g}, sides that are multiples of {usual.unit}", None
    )  # fmt: skip
    yield hint("seconds of one image: {}", 'intermodal explain "…" --output image'), None


_WORDS: dict[Verdict, str] = {"fits": "fits", "tight": "may fit", "no": "does not fit", "unknown": "not known"}


def document(report: DiffusionFit) -> dict[str, Any]:
    """Return the report as JSON data."""
    model, usual = report.model, report.model.architecture
    return {
        "fit_version": FIT_VERSION,
        "model": report.name,
        "architecture": usual.name,
        "parameters": model.parameters,
        "verdict": report.verdict,
        "machine": {
            "here": report.is_this_machine, "memory": report.machine.memory or None,
            "free": report.machine.free or None,
        },
        "weights": {"bytes": model.size, "parts": dict(sorted(model.parts.items()))},
        "sizes": [
            {"width": side, "height": side, "memory": plain_amount(amount), "verdict": verdict}
            for side, amount, verdict in report.sizes
        ],
        "usual": {"side": usual.side, "unit": usual.unit, "steps": usual.steps, "guidance": usual.guidance},
    }  # fmt: skip
