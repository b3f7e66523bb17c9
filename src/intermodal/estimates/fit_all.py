"""Every model that could run on a machine, strongest first: what is on disk, what can be pulled, open models at large.

Files that are here are sized by their headers. Of the others only the size is known: four-bit weights and room for a
request, and a speed by the bytes that a token reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from intermodal.advising.offers import open_models
from intermodal.catalog.load import snapshot
from intermodal.catalog.nouns import Model
from intermodal.content import Value
from intermodal.errors import IntermodalError
from intermodal.estimates.row_size import needed_by, row_model
from intermodal.plans.machine import Machine
from intermodal.quantity import Quantity, unknown
from intermodal.request import TIERS
from intermodal.servers.resolve import CONTEXT
from intermodal.sizing.fit import Check, Verdict, all_on_cards, place
from intermodal.sizing.machines import certain, for_models
from intermodal.sizing.memory import Settings
from intermodal.sizing.parameters import of_parameters as memory_of
from intermodal.sizing.sources import local
from intermodal.sizing.speed import of_parameters, pace
from intermodal.sizing.stores import stored_models
from intermodal.weights.store import WeightsStore

Work = Literal["chat", "sight"]
Where = Literal["here", "pull", "open"]
MOST_FILES: Final = 200  # on disk, of which headers are read


class Candidate(Value):
    """One model.

    Attributes:
        where: "here" on disk, "pull" by ``intermodal pull``, "open" its weights are somewhere. store: whose folder.
        tier: how strong it is, "" where nobody knows. exact: sized by its header.
    """

    name: str
    where: Where
    store: str
    tier: str
    check: Check
    decode: Quantity
    exact: bool
    todo: str

    @property
    def verdict(self) -> Verdict:
        return self.check.verdict


def candidates(
    machine: Machine, weights: WeightsStore, env: Mapping[str, str], *, context: int = 0, work: Work = "chat"
) -> tuple[Candidate, ...]:
    """All of them, those that fit first, then by strength, exact ones and quick ones first among alike."""
    known = {model.id: model for model in open_models(snapshot())}
    found = [*_here(machine, weights, env, context, work), *_pullable(machine, weights, context, work)]
    found += _open(machine, known, context, work)
    named = {each.name for each in found if each.where != "open"}
    kept = [each for each in found if each.where != "open" or each.name.rpartition("/")[2] not in named]
    order: tuple[Verdict, ...] = ("fits", "tight", "unknown", "no")
    return tuple(
        sorted(
            kept,
            key=lambda each: (
                order.index(each.verdict), -(TIERS.index(each.tier) if each.tier in TIERS else -1), not each.exact,
                -each.decode.mid,
            ),
        )
    )  # fmt: skip


def _here(
    machine: Machine, weights: WeightsStore, env: Mapping[str, str], context: int, work: Work
) -> Iterator[Candidate]:
    """Files on this disk, by their headers; one that cannot be read is passed over."""
    pulled = [
        (row.name, "intermodal", weights.path(row.name), weights.projector(row.name))
        for row in weights.rows()
        if row.runtime == "llama" and _does(row_model(row.name, weights), work)
    ]
    home = Path(env["HOME"]) if env.get("HOME") else None
    stored = [
        (model.name, model.store, Path(model.path), Path(model.projector) if model.projector else None)
        for model in stored_models(env, home)
        if work == "chat" or model.projector
    ]
    for name, store, path, projector in [*pulled, *stored][:MOST_FILES]:
        if path is None:
            continue
        try:
            shape = local(path).shape
            if shape.role != "model" or shape.format != "gguf":
                continue
            eyes = local(projector).shape if projector is not None else None
            tokens = context or min(shape.context or CONTEXT, CONTEXT)
            placed = place(shape, all_on_cards(Settings(context=tokens, projector=eyes), machine), machine)
        except IntermodalError:
            continue
        if placed.tightest is not None:
            yield Candidate(
                name=name, where="here", store=store, tier=_tier(row_model(name, weights)), check=placed.tightest,
                exact=True, decode=pace(shape, placed.settings, machine).decode, todo=f"intermodal fit {name}",
            )  # fmt: skip


def _pullable(machine: Machine, weights: WeightsStore, context: int, work: Work) -> Iterator[Candidate]:
    for row in weights.rows():
        model = row_model(row.name, weights)
        if row.runtime != "llama" or weights.path(row.name) is not None or not _does(model, work):
            continue
        needed, parameters = needed_by(row, model)
        if not needed.known:
            continue
        active = (model.active if model is not None else None) or parameters
        yield Candidate(
            name=row.name, where="pull", store="", tier=_tier(model), exact=False,
            check=_check(machine, needed, context), decode=of_parameters(parameters, active, machine).decode,
            todo=f"intermodal pull {row.name}",
        )  # fmt: skip


def _open(machine: Machine, known: Mapping[str, Model], context: int, work: Work) -> Iterator[Candidate]:
    for model in known.values():
        if not _does(model, work):
            continue
        size = model.parameters or 0.0
        yield Candidate(
            name=model.id, where="open", store="", tier=_tier(model), exact=False,
            check=_check(machine, memory_of(size), context),
            decode=of_parameters(size, model.active or size, machine).decode, todo="a four-bit GGUF of it on a hub",
        )  # fmt: skip


def _does(model: Model | None, work: Work) -> bool:
    """Whether it does that kind of work; of a model that nothing is known of, whether it is chat."""
    return work == "chat" or (model is not None and "image" in model.input)


def _tier(model: Model | None) -> str:
    """Of writing, else of its first task; "" where nobody knows."""
    if model is None or not model.strength:
        return ""
    return next((one.tier for one in model.strength if one.task == "text-generation"), model.strength[0].tier)


def _check(machine: Machine, needed: Quantity, context: int) -> Check:
    where, room = for_models(machine)
    check = Check(where=where, needed=needed, room=room, certain=certain(machine))
    if context <= CONTEXT or check.verdict == "no":
        return check
    unsure = unknown(f"no header says what texts of more than {CONTEXT:,} tokens take")
    return Check(where=where, needed=unsure, room=room, certain=check.certain)
