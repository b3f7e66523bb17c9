"""``intermodal fit``: read a model's header, resolve the machine, and compute memory, speed and changes.

Nothing is loaded, started or downloaded; only headers of files are read.

``find_model`` resolves the model: a file, a folder, a name, or a file on a hub, read over HTTP ranges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec.structs import replace

from intermodal.catalog.model_names import check_unambiguous, models_of_tag
from intermodal.config.config_file import cache_dir, data_dir
from intermodal.core.content import Value
from intermodal.core.hints import hint, setting
from intermodal.core.quantity import Quantity
from intermodal.errors import NotInstalled, UnknownModel, UsageError
from intermodal.local.hardware.model_measurements import load_corrections as kept_corrections
from intermodal.local.servers.resolver import CONTEXT, locate_model
from intermodal.local.weights.registry import HubSource
from intermodal.local.weights.store import WeightsStore
from intermodal.plans.machine import Machine
from intermodal.sizing.fit_changes import FitChange, fit_changes, vllm_changes, vllm_command
from intermodal.sizing.kv_cache import TYPES
from intermodal.sizing.machines import machine_of_options
from intermodal.sizing.memory import Correction
from intermodal.sizing.model_sources import SizedModel, StoredModel, local_model, remote_model, stored_models
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
from intermodal.sizing.shape import ALL, ModelShape, ServingSettings
from intermodal.sizing.speed import ModelSpeed, model_speed, with_measurements
from intermodal.sizing.vllm import VllmCapacity, VllmSettings, vllm_capacity

# The query of ``check_fit``, and the syntax of its options.


_Engine = Literal["llama.cpp", "vllm"]
PROMPT: Final = 1000  # default tokens before the first generated token
_TOKENS = re.compile(r"(\d+(?:\.\d+)?)\s*([km]?)", re.IGNORECASE)
_TIMES = {"": 1, "k": 1024, "m": 1024 * 1024}
_MOST_TOKENS = 1 << 30


class FitQuery(Value):
    """The options of ``check_fit``.

    Attributes:
        model: a file, a URL, ``hf:OWNER/REPO…``, or a name (see ``find_model``). projector, draft: further files, or
            "".
        contexts: context lengths per sequence; () for the usual one. slots: concurrent sequences.
        quantizations: of the table; () for the usual ones. type_k, type_v: cache types.
        gpus, ram: a described machine; () and "" for this one. prompt: tokens before the first generated token.
        engine: the server; "" for llama.cpp for GGUF files and vLLM for safetensors.
    """

    model: str
    projector: str = ""
    draft: str = ""
    contexts: tuple[int, ...] = ()
    slots: int = 1
    quantizations: tuple[str, ...] = ()
    type_k: str = "f16"
    type_v: str = "f16"
    gpus: tuple[str, ...] = ()
    ram: str = ""
    prompt: int = PROMPT
    engine: _Engine | Literal[""] = ""


def parse_contexts(words: str) -> tuple[int, ...]:
    """Parse a list of context lengths.

    >>> parse_contexts("8k,32k, 131072")
    (8192, 32768, 131072)
    """
    found = []
    for word in words.split(","):
        match = _TOKENS.fullmatch(word.strip())
        tokens = float(match[1]) * _TIMES[match[2].lower()] if match else 0.0
        if not 1 <= tokens <= _MOST_TOKENS:
            raise UsageError(
                f"{word.strip()!r} is not a context length",
                where=setting("ctx"),
                todo="write 8k, 32768, or 8k,32k,128k",
            )
        found.append(int(tokens))
    return tuple(dict.fromkeys(found))


def parse_cache_types(words: str) -> tuple[str, str]:
    """Parse the cache types of keys and values.

    >>> parse_cache_types("q8_0"), parse_cache_types("f16,q8_0")
    (('q8_0', 'q8_0'), ('f16', 'q8_0'))
    """
    some = [word.strip().lower() for word in words.split(",")]
    for word in some:
        if word not in TYPES:
            raise UsageError(
                f"{word!r} is not a cache type", where=setting("kv"), todo=f"write one of {', '.join(TYPES)}"
            )
    if len(some) > 2:
        raise UsageError(
            "a cache has two types", where=setting("kv"), todo="write one, or that of keys and that of values"
        )
    return some[0], some[-1]


# ``intermodal fit --engine vllm``: vLLM takes a share of each GPU, and what the weights leave of it is cache.


_VLLM_CONTEXT = 8192  # default context length, if the model allows as much
_CACHES = {"f16": 2, "bf16": 2, "f32": 4, "q8_0": 1}  # bytes per value; q8_0 stands for vLLM's fp8


class VllmReport(Value):
    """Whether and how a model fits under vLLM.

    Attributes:
        served: capacity of each GPU. context: tokens per sequence. room: bytes of one GPU that vLLM takes.
        table: concurrent sequences by context length. changes: what would make the model fit, cheapest first; () if it
            fits.
    """

    subject: ModelReference
    name: str
    machine: Machine
    is_this_machine: bool
    context: int
    serving: VllmSettings
    served: VllmCapacity
    pace: ModelSpeed
    room: int
    table: tuple[tuple[int, Quantity], ...]
    command: str
    changes: tuple[FitChange, ...] = ()
    read: int = 0
    requests: int = 0

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """Return how the memory that vLLM takes of one GPU is divided, in bytes."""
        found = self.served
        return ("weights", found.weights.mid), ("overhead", found.overhead.mid), ("keys and values", found.cache.mid)

    @property
    def verdict(self) -> Verdict:
        if self.served.fits is None:
            return "tight" if self.served.texts.known else "unknown"
        if not self.served.fits:
            return "no"
        return "fits" if self.served.texts.low >= self.serving.slots else "tight"


def _vllm_report(
    query: FitQuery, subject: ModelReference, shape: ModelShape, machine: Machine, *, is_this_machine: bool,
    corrections: tuple[Correction, ...] = (),
) -> VllmReport:  # fmt: skip
    """Return the report. ``corrections``: measurements of the model's files on this machine.

    Raises:
        UsageError: the machine has no GPU or one that vLLM does not support, the GPUs do not divide the model, or vLLM
            does not have the cache type.
    """
    if not machine.gpus:
        raise UsageError(
            "vLLM is sized for cards, and there is none",
            where=setting("engine", "vllm"),
            todo=hint("name one with {gpu}"),
        )
    if any(gpu.name.startswith("Apple") for gpu in machine.gpus):
        raise UsageError(
            "vLLM itself runs on the processor of Apple's chips only, and the plugin for their graphics part "
            "(vllm-metal) has memory of its own rules", where=setting("engine", "vllm"),
            todo=hint("size a GGUF of it for llama.cpp: hf:OWNER/REPO-GGUF {engine=}", "llama.cpp"),
        )  # fmt: skip
    if query.projector or query.draft:
        option = setting("mmproj") if query.projector else setting("draft")
        raise UsageError("is of llama.cpp", where=option, todo="leave it out: vLLM reads one folder")
    if query.type_k not in _CACHES or query.type_k != query.type_v:
        raise UsageError(
            f"vLLM keeps no {query.type_k} cache", where=setting("kv"), todo="write f16, or q8_0 for its fp8"
        )
    context = max(query.contexts) if query.contexts else min(shape.context or _VLLM_CONTEXT, _VLLM_CONTEXT)
    smallest = min(machine.gpus, key=lambda gpu: gpu.memory)
    serving = VllmSettings(
        memory=smallest.memory, length=context, slots=query.slots, cards=len(machine.gpus),
        cache_bytes=_CACHES[query.type_k],
    )  # fmt: skip
    found = vllm_capacity(shape, serving, corrections)
    sizes = query.contexts or table_contexts(shape, ())

    def decode(model_shape: ModelShape, tried: VllmSettings) -> Quantity:
        return _tensor_parallel_speed(model_shape, tried.length, machine, replace(query, slots=tried.slots)).decode

    vllm_report = VllmReport(
        subject=subject,
        name=subject.path or subject.reference,
        machine=machine,
        is_this_machine=is_this_machine,
        context=context,
        serving=serving,
        served=found,
        pace=_tensor_parallel_speed(shape, context, machine, query),
        room=round(smallest.memory * serving.utilization),
        table=tuple(
            (length, vllm_capacity(shape, replace(serving, length=length), corrections).texts) for length in sizes
        ),
        command=vllm_command(query.model.removeprefix("hf:"), serving),
    )
    if vllm_report.verdict in ("fits", "unknown"):
        return vllm_report
    return replace(
        vllm_report, changes=vllm_changes(query.model.removeprefix("hf:"), shape, serving, decode, corrections)
    )


def _tensor_parallel_speed(shape: ModelShape, context: int, machine: Machine, query: FitQuery) -> ModelSpeed:
    """Return the speed under tensor parallelism.

    All GPUs read at the same time, so they count as one GPU with the bandwidth of the slowest times their number.
    """
    slowest = min(machine.gpus, key=lambda gpu: gpu.bandwidth)
    cards = len(machine.gpus)
    name = f"{cards} cards like {slowest.name}" if cards > 1 else slowest.name
    combined = replace(slowest, name=name, bandwidth=slowest.bandwidth * cards, compute=slowest.compute * cards)
    settings = ServingSettings(context=context * query.slots, slots=query.slots, gpu_layers=ALL)
    return model_speed(
        shape, settings, replace(machine, gpus=(combined,)), prompt=min(query.prompt, context), users=query.slots
    )


class FitCell(Value):
    """A table cell: the demand of a quantization at a context length. ``check``: of the device that decides."""

    quantization: str
    context: int
    verdict: Verdict
    check: CapacityCheck | None
    estimated: bool


class FitReport(Value):
    """Whether and how a model fits a machine.

    Attributes:
        placed: the model as requested, at the largest context. context: tokens per sequence.
        largest: context per sequence that certainly fits, 0 for none.
        cells: of the table, row by row. changes: what would make the model fit, cheapest first; () if it fits.
        command: the server command for the request.
        read, requests: bytes of headers read, and HTTP requests made for them.
    """

    subject: ModelReference
    name: str
    machine: Machine
    is_this_machine: bool
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


def check_fit(query: FitQuery, weights: WeightsStore, env: Mapping[str, str]) -> FitReport | VllmReport:
    """Report whether the model fits, its speed, and changes that would make it fit.

    Raises:
        UsageError: a GPU, size, context or quantization is invalid. WeightsError: a file is damaged.
        InputMissing, UnknownModel, NotInstalled: the named model does not exist.
    """
    sized = find_model(query.model, weights, env)
    if sized.shape.role != "model":
        raise UsageError(
            f"{query.model} is a projector", where="MODEL", todo=hint("name the model, and this with {mmproj}")
        )
    projector_reference = query.projector or _own_projector(query.model, weights)
    projector, draft = find_projector_and_draft(projector_reference, query.draft, weights, env)
    is_this_machine = not (query.gpus or query.ram)
    machine = machine_of(query, env)
    name = sized.files[0][0] if sized.files else sized.where
    subject = ModelReference(
        reference=query.model, quantization=quantization_of(name, sized.shape), projector=query.projector,
        draft=query.draft, path="" if query.model.startswith(REMOTE) else sized.where,
        siblings=_siblings(Path(sized.where)) if not query.model.startswith(REMOTE) else (),
    )  # fmt: skip
    corrections = kept_corrections(cache_dir(env), sized.where) if is_this_machine else ()
    engine = query.engine or ("llama.cpp" if sized.shape.format == "gguf" else "vllm")
    if engine == "vllm":
        vllm_report = _vllm_report(
            query, subject, sized.shape, machine, is_this_machine=is_this_machine, corrections=corrections
        )
        return replace(vllm_report, name=name, read=sized.read, requests=sized.requests)
    if sized.shape.format != "gguf":
        raise UsageError("llama.cpp reads GGUF files, and these are safetensors", where=setting("engine"),
                         todo="name a GGUF, or leave it out")  # fmt: skip
    related_files = RelatedFiles(projector=projector, draft=draft, corrections=corrections)
    fit_report = report(
        query, subject, sized.shape, machine, is_this_machine=is_this_machine, related_files=related_files
    )
    if is_this_machine and query.slots == 1:
        fit_report = replace(
            fit_report, pace=with_measurements(fit_report.pace, *_measured_correction(query.model, subject.path, env))
        )
    return replace(fit_report, name=name, read=sized.read, requests=sized.requests)


def machine_of(query: FitQuery, env: Mapping[str, str]) -> Machine:
    """Return the machine that the query describes, or this one if it describes none."""
    return machine_of_options(query.gpus, query.ram) if query.gpus or query.ram else this_machine(env)


def _siblings(path: Path) -> tuple[str, ...]:
    """Return the names of the GGUF files in a file's folder."""
    try:
        return tuple(sorted(each.name for each in path.parent.glob("*.gguf")))
    except OSError:
        return ()


def _own_projector(name: str, weights: WeightsStore) -> str:
    """Return the path of the projector pulled with a model; "" if there is none."""
    found = weights.projector(name) if any(row.name == name for row in weights.rows()) else None
    return str(found) if found is not None else ""


class RelatedFiles(Value):
    """Files that belong to a model: a projector, a draft model, and measurements of the model file on this machine."""

    projector: ModelShape | None = None
    draft: ModelShape | None = None
    corrections: tuple[Correction, ...] = ()


def report(
    query: FitQuery,
    subject: ModelReference,
    shape: ModelShape,
    machine: Machine,
    *,
    is_this_machine: bool = False,
    related_files: RelatedFiles | None = None,
) -> FitReport:
    """Return the report for a shape on a machine. Pure."""
    related_files = related_files or RelatedFiles()
    context = max(query.contexts) if query.contexts else min(shape.context or CONTEXT, CONTEXT)
    query_settings = ServingSettings(
        context=context * query.slots, slots=query.slots, type_k=query.type_k, type_v=query.type_v,
        projector=related_files.projector, draft=related_files.draft,
    )  # fmt: skip
    settings = everything_on_cards(query_settings, machine)
    placed_model = place_model(shape, settings, machine, corrections=related_files.corrections)
    found = model_speed(shape, placed_model.settings, machine, prompt=min(query.prompt, context), users=query.slots)
    return FitReport(
        subject=subject,
        name=Path(subject.path or subject.reference).name,
        machine=machine,
        is_this_machine=is_this_machine,
        context=context,
        placed=placed_model,
        pace=found,
        largest=largest_context(placed_model, machine),
        cells=tuple(_cells(query, subject, placed_model, machine)),
        changes=fit_changes(subject, placed_model, machine, prompt=found.prompt)
        if placed_model.verdict != "fits"
        else (),
        command=server_command(subject, placed_model.settings),
    )


def _cells(query: FitQuery, subject: ModelReference, placed_model: PlacedModel, machine: Machine) -> list[FitCell]:
    found = []
    for name, to in _rows(query, subject.quantization):
        for tokens in table_contexts(placed_model.shape, query.contexts):
            placed_cell = place_quantized(placed_model, with_context(placed_model.settings, tokens), machine, to)
            found.append(
                FitCell(
                    quantization=name, context=tokens, verdict=placed_cell.verdict, check=placed_cell.deciding_check,
                    estimated=to is not None,
                )
            )  # fmt: skip
    return found


def _rows(query: FitQuery, own: str) -> list[tuple[str, Quantization | None]]:
    """Return the quantizations of the table, largest first, with the file's own among them."""
    names = dict.fromkeys([*(quantization(word).name for word in query.quantizations or USUAL), own or "as it is"])
    rows = [(name, None if name in (own, "as it is") else QUANTIZATIONS[name]) for name in names]
    return sorted(rows, key=lambda row: -(QUANTIZATIONS[row[0]].bits if row[0] in QUANTIZATIONS else 0.0))


def _measured_correction(name: str, path: str, env: Mapping[str, str]) -> tuple[Quantity | None, Quantity | None]:
    """Return decode and prefill speeds of this file measured with ``--measure``, otherwise those of earlier runs."""
    from intermodal.local.hardware.model_measurements import load_speeds

    found = load_speeds(cache_dir(env), Path(path)) if path else None
    return found.as_quantities if found is not None else measured_speeds(name, env)


def measured_speeds(name: str, env: Mapping[str, str]) -> tuple[Quantity | None, Quantity | None]:
    """Return the decode and prefill speeds, in tokens per second, of earlier runs on this machine.

    Only models that intermodal serves itself have them. Each is None if there were too few runs.
    """
    from intermodal.catalog.shipped_rows import shipped_rows
    from intermodal.store.database import Store

    served_rows = ((host.id, model) for host in shipped_rows().hosts for model in host.models if model.weights == name)
    endpoint = next((f"{host}:{model.id}" for host, model in served_rows), "")
    path = data_dir(env) / "store.sqlite3"
    if not endpoint or not path.exists():
        return None, None
    store = Store(path)
    try:
        statistics = store.statistics()
    finally:
        store.close()
    return statistics.get(endpoint, "decode"), statistics.get(endpoint, "prompt")


def this_machine(env: Mapping[str, str]) -> Machine:
    """Return this machine with its current free memory."""
    from intermodal.local.hardware.machine import machine_survey

    return machine_survey(cache_dir(env))


# ---- the model --------------------------------------------------------------------------------------
REMOTE = ("hf:", "http://", "https://")


def find_model(reference: str, weights: WeightsStore, env: Mapping[str, str]) -> SizedModel:
    """Resolve a model and return its shape.

    ``reference``: a path, a URL, ``hf:OWNER/REPO[/FILE][:QUANT][@REVISION]``, a name in ``pull --list``, or the name of
    a model stored by another program.

    Raises:
        UsageError: it names several models, or none. UnknownModel, InputMissing, NotInstalled: the model does not exist
            here. WeightsError: it is damaged, or cannot be fetched.
    """
    import anyio

    if reference.startswith(REMOTE):
        return anyio.run(_remote, reference, env)
    try:
        path, _ = locate_model(reference, weights)
    except NotInstalled:
        source = _of_hub(reference, weights)
        if not source:
            raise
        return anyio.run(_remote, source, env)
    except UnknownModel as unknown:
        stored = _find_stored(reference, env)
        if stored is None:
            raise UnknownModel(
                "is neither a file, nor a name of pull --list, nor a model of Ollama, LM Studio or the hub's cache",
                where=reference,
                todo=f"{unknown.todo}; of the hub: hf:OWNER/REPO" if unknown.todo else "name a GGUF file",
            ) from None  # fmt: skip
        path = Path(stored.path)
    return local_model(path)


def name_of_tag(name: str, weights: WeightsStore, env: Mapping[str, str]) -> str:
    """Return the name in ``pull --list`` that a name of Ollama's library refers to; any other name unchanged.

    Ollama's own models come first. Raises UnknownModel if the name matches several.
    """
    rows = [row.name for row in weights.rows() if row.runtime == "llama"]
    if (
        name in rows
        or name.startswith(REMOTE)
        or Path(name).expanduser().exists()
        or _find_stored(name, env) is not None
    ):
        return name
    found = models_of_tag(name, rows)
    check_unambiguous(name, found)
    return found[0] if found else name


def find_projector_and_draft(
    projector: str, draft: str, weights: WeightsStore, env: Mapping[str, str]
) -> tuple[ModelShape | None, ModelShape | None]:
    """Return the shapes of the projector and the draft model; None for each that is not named.

    Raises UsageError if a file has the wrong role.
    """
    return (
        _in_role(projector, "projector", setting("mmproj"), weights, env) if projector else None,
        _in_role(draft, "model", setting("draft"), weights, env) if draft else None,
    )


def _in_role(reference: str, role: str, where: str, weights: WeightsStore, env: Mapping[str, str]) -> ModelShape:
    shape = find_model(reference, weights, env).shape
    if shape.role != role:
        raise UsageError(f"{Path(reference).name} is a {shape.role}", where=where, todo=f"name a {role}")
    return shape


async def _remote(reference: str, env: Mapping[str, str]) -> SizedModel:
    return await remote_model(reference, env=env)


def _of_hub(name: str, weights: WeightsStore) -> str:
    """Return the hub reference of a row that is not pulled yet; "" if no hub has it."""
    row = next((row for row in weights.rows() if row.name == name), None)
    if row is not None and row.hub and not row.files:
        return row.hub
    origins = [origin for file in row.files if file.name == row.main for origin in file.origins] if row else []
    return next((str(origin) for origin in origins if isinstance(origin, HubSource)), "")


def _find_stored(name: str, env: Mapping[str, str]) -> StoredModel | None:
    home = Path(env["HOME"]) if env.get("HOME") else None
    return next((model for model in stored_models(env, home) if model.name == name), None)
