"""What a row of ``pull --list`` takes before anything of it is here: by the size of its files, or of its parameters."""

from __future__ import annotations

from intermodal.catalog.nouns import Model
from intermodal.catalog.rows import ServedRow
from intermodal.catalog.shipped import shipped
from intermodal.quantity import Quantity, between, unknown
from intermodal.sizing.parameters import BITS, of_file, of_parameters, weights_of
from intermodal.sizing.quantizations import QUANTIZATIONS
from intermodal.weights.rows import WeightsRow
from intermodal.weights.store import WeightsStore


def needed_by(row: WeightsRow, model: Model | None) -> tuple[Quantity, float]:
    """Bytes of memory, and parameters, as far as known; unknown where nobody says how large it is."""
    size = row.size
    known = model.parameters if model is not None else None
    served = served_row(row.name)
    if served is not None and served.memory:
        return between(*served.memory, "its weights, its cache at 8k and buffers, by its row"), known or size * 8 / BITS
    if size:
        return of_file(size), known or size * 8 / BITS
    named = row.hub.rpartition(":")[2].upper()
    if named not in QUANTIZATIONS or not known:
        return unknown("the hub says how large it is when it is pulled"), 0.0
    return of_parameters(known, named), known


def fetched_size(row: WeightsRow, model: Model | None) -> float:
    """Bytes to fetch: stated, else of its parameters in its quantization; 0 where nobody says."""
    named = row.hub.rpartition(":")[2].upper()
    parameters = model.parameters if model is not None else None
    return float(row.size) or (weights_of(parameters, named) if named in QUANTIZATIONS and parameters else 0.0)


def served_row(name: str) -> ServedRow | None:
    """The row of a host that serves the weights of that name."""
    return next((served for host in shipped().hosts for served in host.models if served.weights == name), None)


def row_model(name: str, weights: WeightsStore) -> Model | None:
    """The model whose weights a row of ``pull --list`` has, or what was pulled of a hub."""
    served = served_row(name)
    said = next((row.model for row in weights.shipped() if row.name == name), "")
    row = shipped().rows.get(served.id if served is not None else said)
    if row is not None:
        return row.model()
    pulled = next((served for served in weights.served() if served.weights == name), None)
    return pulled.described(None) if pulled is not None else None
