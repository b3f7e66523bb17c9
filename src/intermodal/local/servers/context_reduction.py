"""Computes the memory of local models from file headers and measurements, and the longest context that fits.

Uses the formulas of ``intermodal fit``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from intermodal.catalog.types import Catalog, Endpoint, FullContext
from intermodal.config.config_file import cache_dir, state_dir
from intermodal.core.content import Value
from intermodal.core.quantity import Quantity, between
from intermodal.cost_model.memory import endpoints_that_do_not_fit, fits_in_memory
from intermodal.errors import IntermodalError
from intermodal.local.hardware import model_measurements
from intermodal.local.hardware.model_measurements import load_corrections
from intermodal.local.servers.memory_estimate import MemoryRange, gguf_memory, longest_context, memory_by_context
from intermodal.local.servers.programs import program_version
from intermodal.local.servers.records import ServerRecords
from intermodal.local.servers.server_rows import server_name
from intermodal.local.weights.store import WeightsStore
from intermodal.plans.machine import Machine
from intermodal.sizing.memory import Correction, correction_flags, matching_correction
from intermodal.sizing.model_sources import local_model
from intermodal.sizing.shape import ServingSettings

MIN_CONTEXT: Final = 512  # tokens; a smaller context has no room for a question and an answer


class _Files(Value):
    """The files and the program of an endpoint, for corrections."""

    model: str
    projector: str
    program: str
    slots: int = 1


def with_measured_memory(catalog: Catalog, weights: WeightsStore, env: Mapping[str, str]) -> Catalog:
    """Return the catalog with measured memory for embedded models that have measurements."""
    changed: dict[str, Endpoint] = {}
    for endpoint in catalog.loadable:
        path = weights.path(endpoint.weights) if endpoint.weights and endpoint.host.protocol == "llama" else None
        has = endpoint.context_limit
        found = (
            measured_memory(path, weights.projector(endpoint.weights), has, env) if path is not None and has else None
        )
        if found is not None:
            changed[endpoint.id] = replace(endpoint, memory=found)
    return catalog.among(tuple(changed.get(each.id, each) for each in catalog.endpoints)) if changed else catalog


def measured_memory(path: Path, projector: Path | None, context: int, env: Mapping[str, str]) -> Quantity | None:
    """Return the bytes an embedded model takes with this context, corrected by measurements; None without any."""
    corrections = load_corrections(cache_dir(env), path)
    if not corrections:
        return None
    program = program_version("xllamacpp", "")
    try:
        eyes = local_model(projector).shape if projector is not None else None
        settings = ServingSettings(context=context, projector=eyes)
        found = matching_correction(corrections, correction_flags(settings), program)
        needed = gguf_memory(local_model(path).shape, eyes, context, 1, corrections, program)
    except (IntermodalError, OSError):
        return None
    return between(*needed, found.words) if found is not None else None


def with_reduced_contexts(catalog: Catalog, machine: Machine, weights: WeightsStore, env: Mapping[str, str]) -> Catalog:
    """Return the catalog with the longest context that fits for each local model that does not fit.

    Models that do not fit with ``MIN_CONTEXT`` tokens stay unchanged, and plans reject them.
    """
    reduced = {
        each.id: _with_reduced_context(each, machine, weights, env)
        for each in endpoints_that_do_not_fit(catalog, machine)
    }
    changed = {key: endpoint for key, endpoint in reduced.items() if endpoint is not None}
    if not changed:
        return catalog
    return catalog.among(tuple(changed.get(each.id, each) for each in catalog.endpoints))


def _with_reduced_context(
    endpoint: Endpoint, machine: Machine, weights: WeightsStore, env: Mapping[str, str]
) -> Endpoint | None:
    files = _files(endpoint, weights, env)
    has = endpoint.context_limit
    if files is None or not has or not files.model.endswith(".gguf"):
        return None
    try:
        corrections = load_corrections(cache_dir(env), files.model)
        stamps = (
            model_measurements.file_key(files.model),
            model_measurements.file_key(files.projector) if files.projector else "",
        )
        needed = _memory_by_context_function(files, corrections, stamps)
        most = longest_context(needed, has - 1, partial(fits_in_memory, machine)) // MIN_CONTEXT * MIN_CONTEXT
        if most < MIN_CONTEXT:
            return None
    except (IntermodalError, OSError):  # damaged or missing: running it reports that
        return None
    memory = between(*needed(most), f"for {most:,} tokens, by the header of its file")
    return replace(endpoint, context=most, memory=memory, uncut=FullContext(context=has, memory=endpoint.memory))


@lru_cache(64)
def _memory_by_context_function(
    files: _Files, corrections: tuple[Correction, ...], stamps: tuple[str, str]
) -> Callable[[int], MemoryRange]:
    """Return a function from context to memory. Cached by arguments, so that file headers are read once."""
    return memory_by_context(files.model, files.projector, files.slots, corrections, files.program)


def _files(endpoint: Endpoint, weights: WeightsStore, env: Mapping[str, str]) -> _Files | None:
    if endpoint.host.protocol == "started":
        spec = ServerRecords(state_dir(env), server_name(endpoint.host.id)).read_spec()
        if spec is None:
            return None
        program = program_version(spec.program, spec.path)
        return _Files(model=spec.model, projector=spec.projector, program=program, slots=spec.slots)
    path = weights.path(endpoint.weights) if endpoint.weights else None
    eyes = weights.projector(endpoint.weights) if path is not None else None
    if path is None:
        return None
    return _Files(model=str(path), projector=str(eyes or ""), program=program_version("xllamacpp", ""))


__all__ = ["MIN_CONTEXT", "measured_memory", "with_measured_memory", "with_reduced_contexts"]
