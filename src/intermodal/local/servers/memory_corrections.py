"""Servers that intermodal starts, compared once they answer: what was predicted of them beside what they took."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from intermodal.local.hardware.machine import machine_snapshot, machine_survey
from intermodal.local.hardware.memory_corrections import save_correction
from intermodal.local.servers.footprint import read_footprint
from intermodal.local.servers.memory_comparison import MemoryComparison, compare_memory
from intermodal.local.servers.memory_estimate import MemoryRange, memory_by_context
from intermodal.local.servers.programs import program_version
from intermodal.local.servers.records import ServerSpec, ServerState
from intermodal.sizing.corrections import Correction
from intermodal.sizing.sources import local
from intermodal.today import today


def compare_after_start(wanted: ServerSpec, state: ServerState, log: str, folder: Path) -> MemoryComparison:
    """Compare, and keep the ratios in the cache folder. ``log``: what it said when it loaded.

    Raises:
        IntermodalError: it does not answer, or its files are gone.
    """
    found = read_footprint(state.base_url, key=state.key, log=log)
    found = replace(found, program=program_version(wanted.program, wanted.path) or found.program)
    shape = local(Path(wanted.model)).shape
    eyes = local(Path(wanted.projector)).shape if wanted.projector else None
    machine = machine_survey(folder) if found.engine == "vllm" else machine_snapshot()
    made = compare_memory(shape, found, machine, today(), projector=eyes)
    if made.correction is not None:
        save_correction(folder, wanted.model, made.correction)
    return made


def corrected_memory(wanted: ServerSpec, corrections: tuple[Correction, ...]) -> Callable[[int], MemoryRange]:
    """Bytes that it takes, [low, mid, high], by the context of each slot: by the formulas and what was found of it."""
    program = program_version(wanted.program, wanted.path)
    return memory_by_context(wanted.model, wanted.projector, wanted.slots, corrections, program)
