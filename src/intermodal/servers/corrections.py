"""Servers that intermodal starts, compared once they answer: what was predicted of them beside what they took."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from intermodal.runtimes.corrections import keep
from intermodal.runtimes.machine import snapshot, survey
from intermodal.servers.comparison import Comparison, compare
from intermodal.servers.footprint import footprint
from intermodal.servers.need import Range, need
from intermodal.servers.programs import program_of
from intermodal.servers.records import State, Wanted
from intermodal.sizing.corrections import Correction
from intermodal.sizing.sources import local
from intermodal.today import today


def after_start(wanted: Wanted, state: State, log: str, folder: Path) -> Comparison:
    """Compare, and keep the ratios in the cache folder. ``log``: what it said when it loaded.

    Raises:
        IntermodalError: it does not answer, or its files are gone.
    """
    found = footprint(state.base_url, key=state.key, log=log)
    found = replace(found, program=program_of(wanted.program, wanted.path) or found.program)
    shape = local(Path(wanted.model)).shape
    eyes = local(Path(wanted.projector)).shape if wanted.projector else None
    machine = survey(folder) if found.engine == "vllm" else snapshot()
    made = compare(shape, found, machine, today(), projector=eyes)
    if made.correction is not None:
        keep(folder, wanted.model, made.correction)
    return made


def corrected(wanted: Wanted, corrections: tuple[Correction, ...]) -> Callable[[int], Range]:
    """Bytes that it takes, [low, mid, high], by the context of each slot: by the formulas and what was found of it."""
    program = program_of(wanted.program, wanted.path)
    return need(wanted.model, wanted.projector, wanted.slots, corrections, program)
