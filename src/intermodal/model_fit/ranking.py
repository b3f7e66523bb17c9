"""Rank the models that could run on a machine: local files, rows of ``pull --list``, and other open models.

Local files are sized by their headers. For other models only the parameter count is known: they are sized with 4-bit
weights and memory for a request, and their speed follows from the bytes read per token.

The last section gives the size of a row of ``pull --list`` before it is fetched, from its files or parameters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from msgspec.structs import replace

from intermodal.advisor.candidate_catalog import open_models
from intermodal.catalog.host_rows import ServedRow
from intermodal.catalog.load import load_snapshot
from intermodal.catalog.model_rows import tier_by_size
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.types import Model
from intermodal.config.config_file import cache_dir
from intermodal.core.content import Value
from intermodal.core.hints import PULL_LIST, hint
from intermodal.core.quantity import Quantity, between, unknown
from intermodal.core.request import TIERS
from intermodal.cost_model.memory import fits_in_memory
from intermodal.errors import DoesNotFit, IntermodalError
from intermodal.local.hardware.model_measurements import load_corrections
from intermodal.local.servers.resolver import CONTEXT
from intermodal.local.weights.registry import WeightsRow
from intermodal.local.weights.store import WeightsStore
from intermodal.model_fit.fit_output import FIT_VERSION, check_document, gib, plain_amount
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import size
from intermodal.sizing.machines import GIB
from intermodal.sizing.memory import (
    BITS,
    cache_of_contexts,
    memory_of_file,
    memory_of_parameters,
    weight_bytes,
)
from intermodal.sizing.model_sources import local_model, stored_models
from intermodal.sizing.placement import CapacityCheck, Verdict, check_capacity, everything_on_cards, place_model
from intermodal.sizing.quantizations import QUANTIZATIONS
from intermodal.sizing.shape import ServingSettings
from intermodal.sizing.speed import model_speed, speed_of_parameters

Work = Literal["chat", "sight"]
Where = Literal["here", "pull", "open"]
MOST_FILES: Final = 200  # maximum number of local files whose headers are read


class RankedModel(Value):
    """One model of the ranking.

    Attributes:
        where: "here" on disk, "pull" by ``intermodal pull``, "open" if its weights are elsewhere. store: the program
            whose folder it is in.
        tier: its strength, "" if unknown; evidence: for the tier, "proxy" if judged by size. exact: sized by its
            header.
        weight: parameter count that ranks it within a tier: for a mixture of experts the geometric mean of all and
            active parameters. 0 if unknown.
    """

    name: str
    where: Where
    store: str
    tier: str
    check: CapacityCheck
    decode: Quantity
    exact: bool
    todo: str
    evidence: str = ""
    weight: float = 0.0

    @property
    def verdict(self) -> Verdict:
        return self.check.verdict


class RankingQuery(Value):
    """Options of a ranking.

    ``context``: tokens for each of ``slots`` sequences, 0 for the usual. ``type_k``, ``type_v``: cache types.
    """

    context: int = 0
    slots: int = 1
    type_k: str = "f16"
    type_v: str = "f16"
    work: Work = "chat"


def rank_models(
    machine: Machine, weights: WeightsStore, env: Mapping[str, str], query: RankingQuery | None = None
) -> tuple[RankedModel, ...]:
    """Return all models: those that fit first, then by tier, evidence and size.

    Among equals, models sized by their header come first, then faster ones.
    """
    query = query or RankingQuery()
    open_model_rows = {model.id: model for model in open_models(load_snapshot())}
    found = [*_local_models(machine, weights, env, query), *_pullable(machine, weights, query)]
    found += _open(machine, open_model_rows, query)
    listed_names = {each.name for each in found if each.where != "open"}
    left = [each for each in found if each.where != "open" or each.name.rpartition("/")[2] not in listed_names]
    return tuple(sorted(left, key=_rank))


def ranking_document(ranked_models: tuple[RankedModel, ...]) -> dict[str, Any]:
    """Return the ranking of ``--all`` as JSON data."""
    return {
        "fit_version": FIT_VERSION,
        "models": [
            {
                "name": each.name, "source": each.where, "store": each.store or None, "tier": each.tier or None,
                "evidence": each.evidence or None,
                "exact": each.exact, **check_document(each.check), "decode": plain_amount(each.decode),
                "todo": each.todo,
            }
            for each in ranked_models
        ],
    }  # fmt: skip


_ORDER: Final[tuple[Verdict, ...]] = ("fits", "tight", "unknown", "no")
_EVIDENCE: Final = ("proxy", "declared", "benchmark", "measured")


def _rank(each: RankedModel) -> tuple[float, ...]:
    tier, evidence = strength_rank(each.tier, each.evidence)
    return _ORDER.index(each.verdict), -tier, -evidence, -each.weight, not each.exact, -each.decode.mid


def strength_rank(tier: str, evidence: str) -> tuple[int, int]:
    """Return the ranks of a tier and its evidence, higher is stronger; -1 if unknown."""
    return (
        TIERS.index(tier) if tier in TIERS else -1,
        _EVIDENCE.index(evidence) if evidence in _EVIDENCE else -1,
    )


def strength_size(parameters: float, active: float | None) -> float:
    """Return the geometric mean of all and active parameters, which stands for a model's strength."""
    return math.sqrt(parameters * (active or parameters))


def _local_models(
    machine: Machine, weights: WeightsStore, env: Mapping[str, str], query: RankingQuery
) -> Iterator[RankedModel]:
    """Yield local models, sized by their headers; unreadable files are skipped."""
    pulled = [
        (row.name, "intermodal", weights.path(row.name), weights.projector(row.name))
        for row in weights.rows()
        if row.runtime == "llama" and _does_work(row_model(row.name, weights), query.work)
    ]
    home = Path(env["HOME"]) if env.get("HOME") else None
    stored = [
        (model.name, model.store, Path(model.path), Path(model.projector) if model.projector else None)
        for model in stored_models(env, home)
        if query.work == "chat" or model.projector
    ]
    for name, store, path, projector in [*pulled, *stored][:MOST_FILES]:
        if path is None:
            continue
        try:
            shape = local_model(path).shape
            if shape.role != "model" or shape.format != "gguf":
                continue
            projector_shape = local_model(projector).shape if projector is not None else None
            tokens = query.context or min(shape.context or CONTEXT, CONTEXT)
            settings = ServingSettings(
                context=tokens * query.slots, slots=query.slots, type_k=query.type_k, type_v=query.type_v,
                projector=projector_shape,
            )  # fmt: skip
            corrections = load_corrections(cache_dir(env), path) if machine.processor else ()  # of this machine
            placed_model = place_model(shape, everything_on_cards(settings, machine), machine, corrections=corrections)
        except IntermodalError:
            continue
        if placed_model.deciding_check is not None:
            model = row_model(name, weights)
            tier, evidence = (
                _tier(model) if model is not None else (tier_by_size(shape.parameters, shape.active)[0], "proxy")
            )
            yield RankedModel(
                name=name,
                where="here",
                store=store,
                tier=tier,
                evidence=evidence,
                check=placed_model.deciding_check,
                exact=True,
                weight=strength_size(shape.parameters, shape.active),
                decode=model_speed(shape, placed_model.settings, machine, users=query.slots).decode,
                todo=f"intermodal fit {name}",
            )


def _pullable(machine: Machine, weights: WeightsStore, query: RankingQuery) -> Iterator[RankedModel]:
    for row in weights.rows():
        model = row_model(row.name, weights)
        if row.runtime != "llama" or weights.path(row.name) is not None or not _does_work(model, query.work):
            continue
        needed, parameters = memory_needed(row, model)
        if not needed.known:
            continue
        active = (model.active if model is not None else None) or parameters
        tier, evidence = _tier(model)
        yield RankedModel(
            name=row.name, where="pull", store="", tier=tier, evidence=evidence, exact=False,
            weight=strength_size(parameters, active), check=_check(machine, needed, query),
            decode=speed_of_parameters(parameters, active, machine, users=query.slots).decode,
            todo=row.pull,
        )  # fmt: skip


def _open(machine: Machine, models: Mapping[str, Model], query: RankingQuery) -> Iterator[RankedModel]:
    for model in models.values():
        if not _does_work(model, query.work):
            continue
        size = model.parameters or 0.0
        tier, evidence = _tier(model)
        yield RankedModel(
            name=model.id, where="open", store="", tier=tier, evidence=evidence, exact=False,
            weight=strength_size(size, model.active), check=_check(machine, memory_of_parameters(size), query),
            decode=speed_of_parameters(size, model.active or size, machine, users=query.slots).decode,
            todo="a four-bit GGUF of it on a hub",
        )  # fmt: skip


def _does_work(model: Model | None, work: Work) -> bool:
    """Return whether a model does that kind of work; a model without known traits counts as a chat model."""
    return work == "chat" or (model is not None and "image" in model.input)


def _tier(model: Model | None) -> tuple[str, str]:
    """Return the tier and evidence level for text generation, otherwise for its first task; "" if unknown."""
    if model is None or not model.strength:
        return "", ""
    found = next((strength for strength in model.strength if strength.task == "text-generation"), model.strength[0])
    return found.tier, found.evidence.level


def _check(machine: Machine, needed: Quantity, query: RankingQuery) -> CapacityCheck:
    """Check a model without a header, with the caches of all sequences.

    The demand is unknown for contexts longer than ``CONTEXT``.
    """
    found = check_capacity(needed + cache_of_contexts(query.slots - 1, min(query.context or CONTEXT, CONTEXT)), machine)
    if query.context <= CONTEXT or found.verdict == "no":
        return found
    return replace(found, needed=unknown(f"no header says what texts of more than {CONTEXT:,} tokens take"))


# ---- size of a row of pull --list -------------------------------------------------------------------


def memory_needed(row: WeightsRow, model: Model | None) -> tuple[Quantity, float]:
    """Return the memory in bytes and the parameter count of a row, as far as known."""
    file_size = row.size
    parameters = model.parameters if model is not None else None
    shipped_row = served_row(row.name)
    if shipped_row is not None and shipped_row.memory:
        return between(
            *shipped_row.memory, "its weights, its cache at 8k and buffers, by its row"
        ), parameters or file_size * 8 / BITS
    if file_size:
        return memory_of_file(file_size), parameters or file_size * 8 / BITS
    quantization = row.hub.rpartition(":")[2].upper()
    if quantization not in QUANTIZATIONS or not parameters:
        return unknown("the hub says how large it is when it is pulled"), 0.0
    return memory_of_parameters(parameters, quantization), parameters


def check_row_fits(row: WeightsRow, model: Model | None, machine: Machine) -> None:
    """Raise DoesNotFit if the low end of a row's memory exceeds what this machine has free."""
    needed, _ = memory_needed(row, model)
    if not needed.known or fits_in_memory(machine, needed.low):
        return
    fetched = fetched_size(row, model)
    raise DoesNotFit(
        f"needs {gib(needed)} GiB and {machine.free / GIB:.1f} GiB are free"
        + (f" ({size(fetched)} to fetch)" if fetched else ""),
        where=row.name,
        todo=hint("free some memory, or take a smaller one ({}); to fetch it all the same: {force}", PULL_LIST),
    )


def fetched_size(row: WeightsRow, model: Model | None) -> float:
    """Return the bytes to fetch: as stated, otherwise from its parameters and quantization; 0 if unknown."""
    quantization = row.hub.rpartition(":")[2].upper()
    parameters = model.parameters if model is not None else None
    return float(row.size) or (
        weight_bytes(parameters, quantization) if quantization in QUANTIZATIONS and parameters else 0.0
    )


def served_row(name: str) -> ServedRow | None:
    """Return the shipped host row that serves the weights called ``name``."""
    return next((row for host in shipped_rows().hosts for row in host.models if row.weights == name), None)


def row_model(name: str, weights: WeightsStore) -> Model | None:
    """Return the model of a row of ``pull --list``, or of a pulled hub model."""
    shipped_row = served_row(name)
    model_id = next((row.model for row in weights.shipped_rows() if row.name == name), "")
    row = shipped_rows().rows.get(shipped_row.id if shipped_row is not None else model_id)
    if row is not None:
        return row.model()
    pulled = next((served for served in weights.hub_rows() if served.weights == name), None)
    return pulled.model_facts(None) if pulled is not None else None
