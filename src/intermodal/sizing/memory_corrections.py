"""Ratios of measured to predicted memory, which correct later predictions for the same file.

A ratio is of one term, so that it holds for other contexts and slots too: those are in the terms. It holds for a file,
for the flags that change how a term comes about (``correction_flags``), and for the program that was measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from intermodal.content import Value
from intermodal.quantity import Quantity, between
from intermodal.sizing.serving_settings import ALL, Device, ServingSettings

BUFFERS: Final = "buffers"  # a ratio over all terms but those of a process or a driver itself
BESIDE: Final = ("program", "backend")  # those
TOKENS: Final = "tokens"  # of vLLM's cache


class CorrectionRatio(Value):
    """The ratio of a real term to the predicted one (its middle); a range if it could not be determined more
    closely.
    """

    name: str
    device: Device
    low: float
    mid: float
    high: float


class Correction(Value):
    """The result of one comparison.

    Attributes:
        flags: see ``correction_flags``. program: the file or package that was run; "" if unknown.
        build: as the server calls it. taken: ISO date.
    """

    flags: str
    build: str
    taken: str
    ratios: tuple[CorrectionRatio, ...]
    program: str = ""

    @property
    def words(self) -> str:
        return f"as {self.build or 'a server'} took here on {self.taken}"

    def of(self, name: str, device: Device) -> CorrectionRatio | None:
        found = (ratio for ratio in self.ratios if (ratio.name, ratio.device) == (name, device))
        return next(found, None)


def correction_flags(settings: ServingSettings) -> str:
    """The settings that a ratio depends on; not context and slots, which terms are proportional to.

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
    for option, beside in (("--mmproj", settings.projector), ("-md", settings.draft)):
        words += [option, str(beside.weights)] if beside is not None else []
    return " ".join(words)


def matching_correction(corrections: Iterable[Correction], said: str, program: str = "") -> Correction | None:
    """The newest of these flags; where a ``program`` is known, of no other one."""
    alike = [each for each in corrections if each.flags == said and (not program or each.program in ("", program))]
    return max(alike, key=lambda each: each.taken, default=None)


def corrected_amount(name: str, device: Device, amount: Quantity, correction: Correction) -> Quantity:
    """A term with the ratio that was measured of it; as it is where none was, or where it is exact and was right."""
    ratio = correction.of(name, device)
    if ratio is None and name not in BESIDE:
        ratio = correction.of(BUFFERS, device)
    if ratio is None or not amount.known:
        return amount
    if amount.certainty == "exact" and ratio.mid == 1:
        return amount
    low, mid, high = (share * amount.mid for share in (ratio.low, ratio.mid, ratio.high))
    return between(low, mid, high, correction.words)
