"""Size in memory of a row of ``pull --list`` before it is fetched, from its files or its parameters."""

from __future__ import annotations

from intermodal.catalog.host_rows import ServedRow
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.types import Model
from intermodal.cost_model.memory import fits
from intermodal.errors import DoesNotFit
from intermodal.hints import PULL_LIST, hint
from intermodal.local.weights.registry import WeightsRow
from intermodal.local.weights.store import WeightsStore
from intermodal.model_fit.fit_text import gib
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import size
from intermodal.quantity import Quantity, between, unknown
from intermodal.sizing.accelerators import GIB
from intermodal.sizing.memory_by_size import BITS, memory_of_file, memory_of_parameters, weight_bytes
from intermodal.sizing.quantizations import QUANTIZATIONS


def memory_needed(row: WeightsRow, model: Model | None) -> tuple[Quantity, float]:
    """Bytes of memory, and parameters, as far as known; unknown where nobody says how large it is."""
    whole = row.size
    known = model.parameters if model is not None else None
    served = served_row(row.name)
    if served is not None and served.memory:
        return between(
            *served.memory, "its weights, its cache at 8k and buffers, by its row"
        ), known or whole * 8 / BITS
    if whole:
        return memory_of_file(whole), known or whole * 8 / BITS
    named = row.hub.rpartition(":")[2].upper()
    if named not in QUANTIZATIONS or not known:
        return unknown("the hub says how large it is when it is pulled"), 0.0
    return memory_of_parameters(known, named), known


def check_row_fits(row: WeightsRow, model: Model | None, machine: Machine) -> None:
    """Raise DoesNotFit where the least that is known of a row to take is more than this machine has free."""
    needed, _ = memory_needed(row, model)
    if not needed.known or fits(machine, needed.low):
        return
    fetched = fetched_size(row, model)
    raise DoesNotFit(
        f"needs {gib(needed)} GiB and {machine.free / GIB:.1f} GiB are free"
        + (f" ({size(fetched)} to fetch)" if fetched else ""),
        where=row.name,
        todo=hint("free some memory, or take a smaller one ({}); to fetch it all the same: {force}", PULL_LIST),
    )


def fetched_size(row: WeightsRow, model: Model | None) -> float:
    """Bytes to fetch: stated, else of its parameters in its quantization; 0 where nobody says."""
    named = row.hub.rpartition(":")[2].upper()
    parameters = model.parameters if model is not None else None
    return float(row.size) or (weight_bytes(parameters, named) if named in QUANTIZATIONS and parameters else 0.0)


def served_row(name: str) -> ServedRow | None:
    """The row of a host that serves the weights of that name."""
    return next((served for host in shipped_rows().hosts for served in host.models if served.weights == name), None)


def row_model(name: str, weights: WeightsStore) -> Model | None:
    """The model whose weights a row of ``pull --list`` has, or what was pulled of a hub."""
    served = served_row(name)
    said = next((row.model for row in weights.shipped() if row.name == name), "")
    row = shipped_rows().rows.get(served.id if served is not None else said)
    if row is not None:
        return row.model()
    pulled = next((served for served in weights.pulled() if served.weights == name), None)
    return pulled.described(None) if pulled is not None else None
