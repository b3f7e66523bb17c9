"""``intermodal fit``: read a model's header, resolve the machine, and compute memory, speed and changes.

Nothing is loaded, started or downloaded: of a file its header is read.

The model that is asked about is found by ``find_model``: a file, a folder, a name, or a file of a hub over HTTP ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from intermodal.config import cache_dir, data_dir
from intermodal.content import Value
from intermodal.errors import NotInstalled, UnknownModel, UsageError
from intermodal.hints import hint, setting
from intermodal.local.hardware.model_measurements import load_corrections as kept_corrections
from intermodal.local.servers.resolver import CONTEXT, locate_model
from intermodal.local.weights.registry import HubSource
from intermodal.local.weights.store import WeightsStore
from intermodal.model_fit.fit_query import FitQuery
from intermodal.model_fit.vllm_fit import VllmReport, vllm_report
from intermodal.plans.machine import Machine
from intermodal.quantity import Quantity
from intermodal.sizing.fit_changes import FitChange, fit_changes
from intermodal.sizing.machine_options import machine_of_options
from intermodal.sizing.memory import ServingSettings
from intermodal.sizing.memory_corrections import Correction
from intermodal.sizing.model_sources import SizedModel, local_model, remote_model
from intermodal.sizing.model_stores import StoredModel, stored_models
from intermodal.sizing.placement import (
    CapacityCheck,
    PlacedModel,
    Verdict,
    everything_on_cards,
    largest_context,
    place_model,
    place_quantized,
    table_contexts,
    with_context,
)
from intermodal.sizing.quantizations import QUANTIZATIONS, USUAL, Quantization, quantization, quantization_of
from intermodal.sizing.server_command import ModelReference, server_command
from intermodal.sizing.shape import ModelShape
from intermodal.sizing.speed import ModelSpeed, model_speed, with_measurements


class FitCell(Value):
    """One place of the table: what a quantization needs at a context. ``check``: of the place that decides."""

    quantization: str
    context: int
    verdict: Verdict
    check: CapacityCheck | None
    estimated: bool


class FitReport(Value):
    """The answer.

    Attributes:
        placed: the model as it was asked for, at the largest of the contexts. context: of each text.
        here: whether the machine is this one. largest: tokens of each text that certainly fit, 0 for none.
        cells: of the table, row by row. changes: what would make it fit, the cheapest first; () where it does.
        command: what to run as it was asked.
        read, requests: bytes of the header, and requests that fetched it.
    """

    subject: ModelReference
    name: str
    machine: Machine
    here: bool
    context: int
    placed: PlacedModel
    pace: ModelSpeed
    largest: int
    cells: tuple[FitCell, ...]
    changes: tuple[FitChange, ...]
    command: str
    read: int = 0
    requests: int = 0

    @property
    def verdict(self) -> Verdict:
        return self.placed.verdict


def fit(wish: FitQuery, weights: WeightsStore, env: Mapping[str, str]) -> FitReport | VllmReport:
    """Work it out.

    Raises:
        UsageError: a card, size, context or quantization that is none. WeightsError: a file that is damaged.
        InputMissing, UnknownModel, NotInstalled: what was named is not there.
    """
    sized = find_model(wish.model, weights, env)
    if sized.shape.role != "model":
        raise UsageError(
            f"{wish.model} is a projector", where="MODEL", todo=hint("name the model, and this with {mmproj}")
        )
    eyes = wish.projector or _own_projector(wish.model, weights)
    projector, draft = find_projector_and_draft(eyes, wish.draft, weights, env)
    here = not (wish.gpus or wish.ram)
    machine = machine_of(wish, env)
    name = sized.files[0][0] if sized.files else sized.where
    subject = ModelReference(
        reference=wish.model, quantization=quantization_of(name, sized.shape), projector=wish.projector,
        draft=wish.draft, path="" if wish.model.startswith(REMOTE) else sized.where,
        siblings=_siblings(Path(sized.where)) if not wish.model.startswith(REMOTE) else (),
    )  # fmt: skip
    measured = kept_corrections(cache_dir(env), sized.where) if here else ()
    engine = wish.engine or ("llama.cpp" if sized.shape.format == "gguf" else "vllm")
    if engine == "vllm":
        served = vllm_report(wish, subject, sized.shape, machine, here=here, corrections=measured)
        return replace(served, name=name, read=sized.read, requests=sized.requests)
    if sized.shape.format != "gguf":
        raise UsageError("llama.cpp reads GGUF files, and these are safetensors", where=setting("engine"),
                         todo="name a GGUF, or leave it out")  # fmt: skip
    beside = RelatedFiles(projector=projector, draft=draft, corrections=measured)
    made = report(wish, subject, sized.shape, machine, here=here, beside=beside)
    if here and wish.slots == 1:
        made = replace(made, pace=with_measurements(made.pace, *_measured_correction(wish.model, subject.path, env)))
    return replace(made, name=name, read=sized.read, requests=sized.requests)


def machine_of(wish: FitQuery, env: Mapping[str, str]) -> Machine:
    """The machine that is asked about: this one, or one that is named."""
    return machine_of_options(wish.gpus, wish.ram) if wish.gpus or wish.ram else this_machine(env)


def _siblings(path: Path) -> tuple[str, ...]:
    """Names of the models in a file's folder."""
    try:
        return tuple(sorted(each.name for each in path.parent.glob("*.gguf")))
    except OSError:
        return ()


def _own_projector(name: str, weights: WeightsStore) -> str:
    """The projector that was pulled with a model; "" for none."""
    found = weights.projector(name) if any(row.name == name for row in weights.rows()) else None
    return str(found) if found is not None else ""


class RelatedFiles(Value):
    """Files beside a model: a projector, a draft model, and measurements of its file on this machine."""

    projector: ModelShape | None = None
    draft: ModelShape | None = None
    corrections: tuple[Correction, ...] = ()


def report(
    wish: FitQuery,
    subject: ModelReference,
    shape: ModelShape,
    machine: Machine,
    *,
    here: bool = False,
    beside: RelatedFiles | None = None,
) -> FitReport:
    """The answer, of values alone."""
    beside = beside or RelatedFiles()
    context = max(wish.contexts) if wish.contexts else min(shape.context or CONTEXT, CONTEXT)
    asked = ServingSettings(
        context=context * wish.slots, slots=wish.slots, type_k=wish.type_k, type_v=wish.type_v,
        projector=beside.projector, draft=beside.draft,
    )  # fmt: skip
    settings = everything_on_cards(asked, machine)
    placed = place_model(shape, settings, machine, corrections=beside.corrections)
    found = model_speed(shape, placed.settings, machine, prompt=min(wish.prompt, context), users=wish.slots)
    return FitReport(
        subject=subject,
        name=Path(subject.path or subject.reference).name,
        machine=machine,
        here=here,
        context=context,
        placed=placed,
        pace=found,
        largest=largest_context(placed, machine),
        cells=tuple(_cells(wish, subject, placed, machine)),
        changes=fit_changes(subject, placed, machine, prompt=found.prompt) if placed.verdict != "fits" else (),
        command=server_command(subject, placed.settings),
    )


def _cells(wish: FitQuery, subject: ModelReference, asked: PlacedModel, machine: Machine) -> list[FitCell]:
    found = []
    for name, to in _rows(wish, subject.quantization):
        for tokens in table_contexts(asked.shape, wish.contexts):
            placed = place_quantized(asked, with_context(asked.settings, tokens), machine, to)
            found.append(
                FitCell(
                    quantization=name, context=tokens, verdict=placed.verdict, check=placed.tightest,
                    estimated=to is not None,
                )
            )  # fmt: skip
    return found


def _rows(wish: FitQuery, own: str) -> list[tuple[str, Quantization | None]]:
    """Quantizations of the table by size, the file's own among them."""
    names = dict.fromkeys([*(quantization(word).name for word in wish.quantizations or USUAL), own or "as it is"])
    rows = [(name, None if name in (own, "as it is") else QUANTIZATIONS[name]) for name in names]
    return sorted(rows, key=lambda row: -(QUANTIZATIONS[row[0]].bits if row[0] in QUANTIZATIONS else 0.0))


def _measured_correction(name: str, path: str, env: Mapping[str, str]) -> tuple[Quantity | None, Quantity | None]:
    """Return the measurements of this file by ``--measure``, else those of earlier runs."""
    from intermodal.local.hardware.llama_bench import load_speeds

    found = load_speeds(cache_dir(env), Path(path)) if path else None
    return found.as_quantities if found is not None else measured_speeds(name, env)


def measured_speeds(name: str, env: Mapping[str, str]) -> tuple[Quantity | None, Quantity | None]:
    """Tokens a second that earlier runs here wrote and read with a model that intermodal serves itself; None where it
    ran too few, or where ``name`` is no such model."""
    from intermodal.catalog.shipped_rows import shipped_rows
    from intermodal.store.database import Store

    served = ((host.id, model) for host in shipped_rows().hosts for model in host.models if model.weights == name)
    endpoint = next((f"{host}:{model.id}" for host, model in served), "")
    path = data_dir(env) / "store.sqlite3"
    if not endpoint or not path.exists():
        return None, None
    store = Store(path)
    try:
        known = store.statistics()
    finally:
        store.close()
    return known.get(endpoint, "decode"), known.get(endpoint, "prompt")


def this_machine(env: Mapping[str, str]) -> Machine:
    """Return this machine, with its free memory."""
    from intermodal.local.hardware.machine import machine_survey

    return machine_survey(cache_dir(env))


# ---- the model --------------------------------------------------------------------------------------


REMOTE = ("hf:", "http://", "https://")


def find_model(said: str, weights: WeightsStore, env: Mapping[str, str]) -> SizedModel:
    """A path, a URL, ``hf:OWNER/REPO[/FILE][:QUANT][@REVISION]``, a name of ``pull --list`` or of another program's.

    Raises:
        UsageError: it names several models, or none of its kind. UnknownModel, InputMissing, NotInstalled: it is not
            there. WeightsError: it is damaged, or cannot be had.
    """
    import anyio

    if said.startswith(REMOTE):
        return anyio.run(_remote, said, env)
    try:
        path, _ = locate_model(said, weights)
    except NotInstalled:
        source = _of_hub(said, weights)
        if not source:
            raise
        return anyio.run(_remote, source, env)
    except UnknownModel as unknown:
        stored = _stored(said, env)
        if stored is None:
            raise UnknownModel(
                "is neither a file, nor a name of pull --list, nor a model of Ollama, LM Studio or the hub's cache",
                where=said, todo=f"{unknown.todo}; of the hub: hf:OWNER/REPO" if unknown.todo else "name a GGUF file",
            ) from None  # fmt: skip
        path = Path(stored.path)
    return local_model(path)


def find_projector_and_draft(
    projector: str, draft: str, weights: WeightsStore, env: Mapping[str, str]
) -> tuple[ModelShape | None, ModelShape | None]:
    """Return a projector and a draft model; None for one that is not named. Raises UsageError for an unsuitable
    file.
    """
    return (
        _in_role(projector, "projector", setting("mmproj"), weights, env) if projector else None,
        _in_role(draft, "model", setting("draft"), weights, env) if draft else None,
    )


def _in_role(said: str, role: str, where: str, weights: WeightsStore, env: Mapping[str, str]) -> ModelShape:
    shape = find_model(said, weights, env).shape
    if shape.role != role:
        raise UsageError(f"{Path(said).name} is a {shape.role}", where=where, todo=f"name a {role}")
    return shape


async def _remote(said: str, env: Mapping[str, str]) -> SizedModel:
    return await remote_model(said, env=env)


def _of_hub(said: str, weights: WeightsStore) -> str:
    """Where a hub has the model of a row that is not pulled yet; "" where none does."""
    row = next((row for row in weights.rows() if row.name == said), None)
    if row is not None and row.hub and not row.files:
        return row.hub
    origins = [origin for file in row.files if file.name == row.main for origin in file.origins] if row else []
    return next((str(origin) for origin in origins if isinstance(origin, HubSource)), "")


def _stored(said: str, env: Mapping[str, str]) -> StoredModel | None:
    home = Path(env["HOME"]) if env.get("HOME") else None
    return next((model for model in stored_models(env, home) if model.name == said), None)
