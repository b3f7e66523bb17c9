"""Compares predicted and actual memory of a running server term by term.

The resulting ratios correct later predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity, between, total
from intermodal.core.today import today
from intermodal.local.hardware.machine import machine_snapshot, machine_survey
from intermodal.local.hardware.model_measurements import save_correction
from intermodal.local.servers.footprint import ServerFootprint, read_footprint
from intermodal.local.servers.memory_estimate import MemoryRange, memory_by_context
from intermodal.local.servers.programs import program_version
from intermodal.local.servers.records import ServerSpec, ServerState
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import size
from intermodal.sizing.memory import (
    _TERMS_BESIDE,
    BUFFERS,
    TOKENS,
    Correction,
    CorrectionRatio,
    ModelMemory,
    TermComparison,
    compare_terms,
    correction_flags,
    logged_terms,
    model_memory,
)
from intermodal.sizing.model_sources import local_model
from intermodal.sizing.shape import Device, ModelShape, ServingSettings
from intermodal.sizing.vllm import VllmSettings, serving_flags, vllm_capacity

PROCESS: Final = "process"  # all memory of its processes
CARD: Final = "all of it"  # all of their GPU memory
_COMPUTED: Final = ("compute", "projector compute", "draft compute")  # touched only by a full batch


class MemoryComparison(Value):
    """``rows``: predicted and actual values. ``correction``: to be saved; None if no term could be separated.

    ``notes``: what could not be compared and why, each a clause.
    """

    rows: tuple[TermComparison, ...]
    correction: Correction | None = None
    notes: tuple[str, ...] = ()


def compare_memory(
    shape: ModelShape, footprint: ServerFootprint, machine: Machine, date: str, *, projector: ModelShape | None = None,
    draft: ModelShape | None = None,
) -> MemoryComparison:  # fmt: skip
    """Compare a server's predicted memory with its actual memory. ``date``: today, ISO."""
    if footprint.settings is not None:
        layers = len(shape.layers)
        settings = replace(
            footprint.settings,
            projector=projector,
            draft=draft,
            host_experts=min(footprint.settings.host_experts, layers),
        )
        rows, ratios, notes = (_ollama if footprint.engine == "ollama" else _llama)(shape, settings, footprint)
        flags = correction_flags(settings)
    else:
        serving = footprint.serving or VllmSettings()
        rows, ratios, notes = _vllm(shape, serving, footprint, machine)
        flags = serving_flags(serving)
    correction = Correction(
        flags=flags, program=footprint.program, build=footprint.build, taken=date, ratios=tuple(ratios)
    )
    return MemoryComparison(
        rows=tuple(rows), correction=correction if ratios else None, notes=(*footprint.assumed, *notes)
    )


ComparedTerms = tuple[list[TermComparison], list[CorrectionRatio], list[str]]


# ---- llama.cpp ---------------------------------------------------------------------------------------


def _llama(shape: ModelShape, settings: ServingSettings, footprint: ServerFootprint) -> ComparedTerms:
    predicted = model_memory(shape, settings)
    rows = list(compare_terms(predicted, footprint.log)) if logged_terms(footprint.log) else []
    notes = [] if rows else ["its load log is not here, or says nothing of buffers (llama-server does with -lv 4)"]
    ratios = [
        _ratio(row.name, row.device, 1.0 if row.as_logged else row.real / row.predicted.mid)
        for row in rows
        if row.real and row.predicted.mid
    ]
    if footprint.resident and not settings.gpu_layers:
        real = footprint.resident + footprint.mapped_out
        rows.append(
            TermComparison(
                name=PROCESS, device="host", predicted=_touched_memory(predicted), real=real, source="its process"
            )
        )
        if footprint.mapped_out:
            notes.append(f"{size(footprint.mapped_out)} of its file are not in memory now; they count for its process")
        program = _program(predicted, rows, footprint)
        if isinstance(program, str):
            notes.append(program)
        else:
            ratios.append(program)
    elif not footprint.resident:
        notes.append("what its process holds cannot be seen from here")
    if footprint.on_cards and settings.gpu_layers:
        on_cards = predicted.total("device")
        rows.append(TermComparison(name=CARD, device="device", predicted=on_cards, real=footprint.on_cards,
                             source="the driver"))  # fmt: skip
        backend_bytes = footprint.on_cards - _logged_or_predicted(predicted, rows, "device", without=("backend",))
        expected = predicted.bytes_of("backend").mid
        if backend_bytes > 0 and expected:
            ratios.append(_ratio("backend", "device", backend_bytes / expected))
    return rows, ratios, notes


def _touched_memory(predicted: ModelMemory) -> Quantity:
    """Return the memory of a process that has computed part of its graph: buffer pages count only once touched."""
    every = predicted.total("host")
    untouched = sum(predicted.bytes_of(name, "host").mid for name in _COMPUTED)
    return between(max(0.0, every.low - untouched), every.mid, every.high, "compute buffers touched or not yet")


def _program(predicted: ModelMemory, rows: list[TermComparison], footprint: ServerFootprint) -> CorrectionRatio | str:
    """Return the memory of the process beyond its buffers, as a ratio; a reason as text if it is unknown."""
    if footprint.grows and footprint.read:
        return "it may keep prompts of the past in memory (--cache-ram), so its process says nothing of the program"
    expected = predicted.bytes_of("program").mid
    most = (
        footprint.resident
        + footprint.mapped_out
        - _logged_or_predicted(predicted, rows, "host", without=("program", *_COMPUTED))
    )
    least = max(0.0, most - _logged_or_predicted(predicted, rows, "host", only=_COMPUTED))
    if most <= 0 or not expected:
        return "its process holds less than its buffers: parts of the file are not in memory now"
    return CorrectionRatio(name="program", device="host", low=least / expected, mid=(least + most) / 2 / expected,
                 high=most / expected)  # fmt: skip


def _logged_or_predicted(
    predicted: ModelMemory, rows: list[TermComparison], device: Device, *, without: tuple[str, ...] = (),
    only: tuple[str, ...] = (),
) -> float:  # fmt: skip
    """Return the bytes of terms on a device: as logged, else as predicted."""
    logged = {row.name: row.real for row in rows if row.device == device and row.source == "log" and row.real}
    term_names = dict.fromkeys(term.name for term in predicted.terms if term.device == device)
    kept_names = [name for name in term_names if name not in without and (not only or name in only)]
    return sum(logged.get(name, predicted.bytes_of(name, device).mid) for name in kept_names)


def _ratio(name: str, device: Device, share: float) -> CorrectionRatio:
    return CorrectionRatio(name=name, device=device, low=share, mid=share, high=share)


# ---- Ollama ------------------------------------------------------------------------------------------


def _ollama(shape: ModelShape, settings: ServingSettings, footprint: ServerFootprint) -> ComparedTerms:
    """Compare the total that Ollama reports. Its runner is llama.cpp or its own engine with another graph layout."""
    predicted = model_memory(shape, settings)
    terms = [term for term in predicted.terms if term.name not in _TERMS_BESIDE]
    both = total([term.amount for term in terms])
    if not both.known:
        return [], [], [f"nothing can be predicted: {both.basis}"]
    device: Device = "device" if footprint.vram >= footprint.whole > 0 else "host"
    rows = [TermComparison(name=BUFFERS, device=device, predicted=both, real=footprint.whole, source="/api/ps")]
    if 0 < footprint.vram < footprint.whole:
        return rows, [], ["it is divided between card and memory, so no ratio is kept"]
    if not footprint.whole or not both.mid:
        return rows, [], ["it says no size"]
    share = footprint.whole / both.mid
    return rows, [_ratio(BUFFERS, each, share) for each in ("host", "device")], []


# ---- vLLM --------------------------------------------------------------------------------------------


def _vllm(shape: ModelShape, serving: VllmSettings, footprint: ServerFootprint, machine: Machine) -> ComparedTerms:
    if not serving.cache:
        if not machine.gpus:
            return [], [], ["there is no card here, and the memory it reserves on a processor is unknown"]
        serving = replace(serving, memory=min(gpu.memory for gpu in machine.gpus))
    predicted = vllm_capacity(shape, serving)
    if not predicted.tokens.known:
        return [], [], [f"nothing can be predicted: {predicted.tokens.basis}"]
    row = TermComparison(name=TOKENS, device="device" if not serving.cache else "host", predicted=predicted.tokens,
                   real=footprint.tokens, source="/metrics")  # fmt: skip
    if not footprint.tokens or not predicted.tokens.mid:
        return [row], [], ["it does not report its pages, or by the formulas there is room for none"]
    return [row], [_ratio(TOKENS, row.device, footprint.tokens / predicted.tokens.mid)], []


def compare_after_start(spec: ServerSpec, state: ServerState, log: str, folder: Path) -> MemoryComparison:
    """Compare a server once it answers, and save the ratios in the cache folder. ``log``: its load log.

    Raises:
        IntermodalError: it does not answer, or its files no longer exist.
    """
    found = read_footprint(state.base_url, key=state.key, log=log)
    found = replace(found, program=program_version(spec.program, spec.path) or found.program)
    shape = local_model(Path(spec.model)).shape
    eyes = local_model(Path(spec.projector)).shape if spec.projector else None
    machine = machine_survey(folder) if found.engine == "vllm" else machine_snapshot()
    comparison = compare_memory(shape, found, machine, today(), projector=eyes)
    if comparison.correction is not None:
        save_correction(folder, spec.model, comparison.correction)
    return comparison


def corrected_memory(spec: ServerSpec, corrections: tuple[Correction, ...]) -> Callable[[int], MemoryRange]:
    """Return a function from the context per slot to the memory in bytes (low, mid, high), with corrections applied."""
    program = program_version(spec.program, spec.path)
    return memory_by_context(spec.model, spec.projector, spec.slots, corrections, program)
