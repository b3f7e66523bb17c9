"""Plan a pull from a hub before any weights are fetched: which files, whether they fit, and why these.

The hub's listing has file names, sizes and checksums; everything else is in headers, read over HTTP ranges. The
formulas of ``fit`` compare the demand with this machine's main memory and processor, because the embedded llama.cpp
does not use the GPU.

ONNX models (an encoder with a head, or a model of images and text) are in the last section. Their ``config.json``, read
before any weights, identifies the model and the runtime that opens it. The hub has no SHA-256 of small files: they are
read at the commit, and pinned to their content there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from intermodal.catalog.encoder_heads import context_of_config, encoder_head
from intermodal.catalog.model_folders import (
    MAX_CONFIG,
    SIZE_OF_FILES,
    image_tokens_of_config,
    logit_scale,
    onnx_memory_of_size,
    scores_pairs_independently,
)
from intermodal.catalog.types import BuiltInProtocol
from intermodal.core.content import Value
from intermodal.core.hints import hint
from intermodal.core.quantity import Quantity, between
from intermodal.errors import DoesNotFit, UsageError, WeightsError
from intermodal.local.servers.memory_estimate import gguf_memory
from intermodal.local.servers.resolver import CONTEXT
from intermodal.local.weights.hub import HubFile, HubListing
from intermodal.local.weights.lockfile import LockedFile, LockedModel, ModelTraits
from intermodal.local.weights.registry import WeightsRow, is_plain_file_name
from intermodal.local.weights.store import WeightsStore
from intermodal.local.weights.transfer import SourceFailed
from intermodal.model_fit.fit import FitQuery, FitReport, RelatedFiles, report
from intermodal.model_fit.fit_output import gib
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import size
from intermodal.sizing.gguf_shape import is_model, is_projector, part_names
from intermodal.sizing.machines import GIB, without_cards
from intermodal.sizing.model_sources import (
    HubReference,
    chosen_file,
    list_repository,
    parse_hub_reference,
    read_small_file,
    remote_model,
    source_error,
)
from intermodal.sizing.placement import Verdict, verdict_on
from intermodal.sizing.quantizations import QUANTIZATIONS, names_quantization, quantization_in_name, with_quantization
from intermodal.sizing.server_command import ModelReference
from intermodal.sizing.shape import ModelShape

_WHOLE: Final = ("F32", "F16", "BF16")  # not proposed if there is a quantization: twice the size for no visible gain
# Preferred projector types: Q8_0 has no measured loss, and 16 bits run everywhere.
_PROJECTORS: Final = ("Q8_0", "F16", "BF16", "F32")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_PART: Final = re.compile(r"-\d{5}-of-\d{5}$")
_MADE: Final = re.compile(r"[-.](ud|i1|imat|imatrix)$")  # quantization methods in file names
_NAME: Final = re.compile(r"[^a-z0-9._-]+")


class Variant(Value):
    """A model of a repository in one quantization, with the files of all its parts."""

    quantization: str
    stem: str
    files: tuple[HubFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class HubPull(Value):
    """The result of planning a pull.

    Attributes:
        model: as it would be pinned. report: of ``fit`` on this machine; None for an ONNX model, which is compared with
            ``room``, the free memory in bytes.
        why: why this quantization, "" if there was no choice.
        moved: the current commit of the branch it was pulled from, "" if unchanged or unknown.
        cards: whether the machine has GPUs, which ``report`` ignores.
    """

    model: LockedModel
    report: FitReport | None
    why: str = ""
    moved: str = ""
    cards: bool = False
    room: float = 0.0

    @property
    def verdict(self) -> Verdict:
        return self.report.verdict if self.report is not None else verdict_on(self.needed_memory, self.room)

    @property
    def needed_memory(self) -> Quantity:
        if self.report is None:
            return between(*self.model.traits.memory, SIZE_OF_FILES)
        check = self.report.placed.deciding_check
        return check.needed if check is not None else Quantity()


def find_pinned(name: str, weights: WeightsStore) -> LockedModel | None:
    """Return the newest pulled model with this name, or from this repository (and quantization or file, if given)."""
    return max(find_all_pinned(name, weights), key=lambda model: model.date, default=None)


def find_all_pinned(name: str, weights: WeightsStore) -> list[LockedModel]:
    """Return all models pulled from a repository, or the one with this name."""
    models = weights.lock.models()
    reference = parse_hub_reference(name)
    if reference is None:
        return [model for model in models if model.name == name]
    same = [model for model in models if model.repo.lower() == reference.repo.lower()]
    if reference.quant:
        same = [
            model
            for model in same
            if model.quantization.lower() == reference.quant.lower() or names_quantization(model.main, reference.quant)
        ]
    if reference.file:
        same = [model for model in same if model.files[0].path == reference.file]
    return same


async def hub_pull(
    model_name: str, weights: WeightsStore, machine: Machine, env: Mapping[str, str], *, update: bool = False,
    used_names: frozenset[str] = frozenset(),
) -> HubPull:  # fmt: skip
    """Plan the pull of ``hf:OWNER/REPO[/FILE][:QUANT][@REVISION]``, or of a named row that a hub has.

    A model pulled earlier stays pinned to its commit and checksums, unless ``update`` is set. ``used_names``: names of
    other models in the same pull.

    Raises:
        UsageError: the reference names several models, or none. WeightsError: the hub does not deliver the model, or
            has other content at a pinned commit.
    """
    cards, machine = bool(machine.gpus), without_cards(machine)
    before = find_pinned(model_name, weights)
    row = next((row for row in weights.shipped_rows() if row.name == model_name and row.hub), None)
    reference = parse_hub_reference(row.hub if row is not None else model_name)
    if reference is None and before is not None:
        reference = HubReference(repo=before.repo, revision=before.requested)
    if reference is None:
        raise UsageError(f"{model_name} names no repository of a hub", where="pull", todo="say hf:OWNER/REPO[:QUANT]")
    if before is not None and not update:
        return replace(await _refresh_pin(before, reference, model_name, machine, env), cards=cards)
    listing = await _list_files(reference, model_name, env)
    if before is not None:
        reference = _same_model(before, reference, listing)
    if has_onnx(listing, reference):
        name = before.name if before is not None else row.name if row is not None else ""
        name = name or _name(reference.repo.partition("/")[2], reference, weights, used_names)
        onnx = await onnx_pull(reference, listing, name, model_name, env)
        _check_names(onnx, model_name)
        return HubPull(model=onnx, report=None, room=float(machine.free), cards=cards)
    variants = _variants(listing, reference)
    projector = _projector(listing)
    vision = await _shape(reference.repo, projector.name, listing.revision, env) if projector is not None else None
    chosen_variant, found, why = await _choose_variant(variants, vision, reference, listing.revision, machine, env)
    same = before is not None and before.revision == listing.revision and _COMMIT.fullmatch(listing.revision)
    sums = before.checksums() if before is not None and same else {}  # for files without a listed checksum
    like = before or row or _row_of(reference.repo, chosen_variant.quantization, weights)
    pulled = LockedModel(
        name=like.name if like is not None else _name(chosen_variant.files[0].name, reference, weights, used_names),
        repo=reference.repo, revision=listing.revision, requested=reference.revision,
        quantization=chosen_variant.quantization,
        files=tuple(
            LockedFile(path=file.name, size=file.size, sha256=file.sha256 or sums.get(file.name, ""))
            for file in (*chosen_variant.files, *((projector,) if projector is not None else ()))
        ),
        main=chosen_variant.files[0].name.rpartition("/")[2],
        projector=projector.name.rpartition("/")[2] if projector is not None else "", licence=listing.licence,
        traits=_model_traits(found, vision), date=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    _check_names(pulled, model_name)
    return HubPull(model=pulled, report=found, why=why, cards=cards)


async def as_pulled(query: FitQuery, machine: Machine, env: Mapping[str, str]) -> tuple[FitQuery, str]:
    """Return the query with the file and projector that pulling its repository would fetch, and why this quantization.

    The machine is used with its GPUs. A query that names no repository of GGUF files is returned unchanged; if the hub
    cannot list it, reading the model later reports the error.
    """
    reference = parse_hub_reference(query.model)
    if reference is None or query.engine == "vllm" or (reference.file and not is_model(reference.file)):
        return query, ""
    try:
        listing = await _list_files(reference, query.model, env)
    except WeightsError:
        return query, ""
    if not any(is_model(file.name) for file in listing.files):
        return query, ""
    variants, projector = _variants(listing, reference), None if query.projector else _projector(listing)
    chosen_variant, why = variants[0], ""
    if len(variants) > 1:
        vision = await _shape(reference.repo, projector.name, listing.revision, env) if projector is not None else None
        chosen_variant, _, why = await _choose_variant(variants, vision, reference, listing.revision, machine, env)
    revision = "" if reference.revision == "main" else f"@{reference.revision}"
    projector_source = f"hf:{reference.repo}/{projector.name}{revision}" if projector is not None else query.projector
    return replace(
        query, model=f"hf:{reference.repo}/{chosen_variant.files[0].name}{revision}", projector=projector_source
    ), why


def _same_model(before: LockedModel, reference: HubReference, listing: HubListing) -> HubReference:
    """Return the reference for an update: the pulled file, or its quantization if the file no longer exists."""
    if reference.file or reference.quant or before.runtime != "llama":
        return reference
    path = before.files[0].path
    if before.quantization and all(file.name != path for file in listing.files):
        return replace(reference, quant=before.quantization)
    return replace(reference, file=path)


async def _refresh_pin(
    before: LockedModel, reference: HubReference, name: str, machine: Machine, env: Mapping[str, str]
) -> HubPull:
    """Return the pinned model with the current commit of its branch.

    Raises WeightsError if the hub has other content at the pinned commit.
    """
    if reference.revision not in ("main", before.requested, before.revision):
        raise UsageError(
            f"is pinned to {before.revision[:12]} ({before.requested}), and {reference.revision} is asked for",
            where=name,
            todo=hint("add {update} to take that instead"),
        )
    listing = await _list_files(
        replace(reference, revision=before.revision), name, env, todo=hint("{update} takes the present files")
    )
    now = {file.name: file.sha256 for file in listing.files}
    for file in before.files:
        if file.path not in now:
            what = f"the hub has no {file.path} at {before.revision[:12]} any more, which is pinned"
        elif now[file.path] not in ("", file.sha256):
            what = f"the hub has another sum of {file.path} at {before.revision[:12]} than the one that is pinned"
        else:
            continue
        raise WeightsError(what, where=before.name, todo=hint("find out why; add {update} to take the present files"))
    move_note = ""
    if before.requested != before.revision:
        move_note = (await _list_files(replace(reference, revision=before.requested), name, env)).revision
    move_note = move_note if move_note != before.revision else ""
    if before.runtime != "llama":
        return HubPull(model=before, report=None, moved=move_note, room=float(machine.free))
    vision = (
        await _shape(before.repo, _path(before, before.projector), before.revision, env) if before.projector else None
    )
    shape = await _shape(before.repo, before.files[0].path, before.revision, env)
    found = _report(before.repo, before.files[0].path, before.quantization, shape, vision, machine)
    return HubPull(model=before, report=found, moved=move_note)


def _row_of(repo: str, quantization: str, weights: WeightsStore) -> WeightsRow | None:
    """Return the shipped row of this repository and quantization, which has more facts than a header."""
    for row in weights.shipped_rows():
        row_reference = parse_hub_reference(row.hub) if row.hub else None
        same = row_reference is not None and row_reference.repo.lower() == repo.lower()
        if same and row_reference is not None and row_reference.quant.upper() in ("", quantization):
            return row
    return None


def _path(model: LockedModel, name: str) -> str:
    return next(file.path for file in model.files if file.name == name)


async def _list_files(reference: HubReference, name: str, env: Mapping[str, str], todo: str = "") -> HubListing:
    try:
        return await list_repository(reference, env)
    except SourceFailed as failed:
        if todo and not failed.unreachable:
            failed.todo = failed.todo or todo
        raise source_error(failed, name) from None


async def _shape(repo: str, file: str, revision: str, env: Mapping[str, str]) -> ModelShape:
    try:
        return (await remote_model(f"hf:{repo}/{file}@{revision}", env=env)).shape
    except WeightsError as error:
        error.where = f"hf:{repo}/{file}"  # without the commit, which does not help the user
        raise


# ---- which files -------------------------------------------------------------------------------------


def _variants(listing: HubListing, reference: HubReference) -> list[Variant]:
    """Return the requested model in every quantization it is available in. Raises UsageError."""
    by_name = {file.name: file for file in listing.files}
    if reference.file or reference.quant:
        name = reference.file or chosen_file(listing.files, reference)
        if name not in by_name:
            raise UsageError(
                f"has no file {name}", where=reference.repo, todo="look at its page, or leave the file out"
            )
        return [_variant(name, by_name, reference)]
    found = []
    for name in by_name:
        if is_model(name):
            found.append(_variant(name, by_name, reference))
    if not found:
        raise UsageError(
            "has no GGUF file", where=reference.repo,
            todo="most models have a repository of such files beside theirs: look for one whose name ends with -GGUF",
        )  # fmt: skip
    quantized = [each for each in found if each.quantization] or found
    if len(quantized) > 1 and len({each.stem for each in quantized}) > 1:
        names = ", ".join(each.files[0].name for each in quantized[:8])
        raise UsageError(f"has {len(quantized)} models", where=reference.repo, todo=f"say which: {names}")
    return quantized


def _variant(name: str, by_name: Mapping[str, HubFile], reference: HubReference) -> Variant:
    folder, _, base = name.rpartition("/")
    names = [f"{folder}/{part}" if folder else part for part in part_names(base)]
    missing = [part for part in names if part not in by_name]
    if missing:
        raise WeightsError(f"lacks a part of the model, {missing[0]}", where=reference.repo, todo="take another file")
    return Variant(
        quantization=quantization_in_name(base), stem=_base_name_of(base),
        files=tuple(by_name[part] for part in names),
    )  # fmt: skip


def _base_name_of(base: str) -> str:
    """Return a model's file name without quantization, quantization method and part number.

    >>> _base_name_of("Qwen3-4B-UD-IQ2_M.gguf"), _base_name_of("qwen3-4b-q8_0-00001-of-00002.gguf")
    ('qwen3-4b', 'qwen3-4b')
    """
    name = _PART.sub("", base.lower().removesuffix(".gguf"))
    return _MADE.sub("", with_quantization(name, "").strip("-._")).strip("-._")


def _projector(listing: HubListing) -> HubFile | None:
    """Return the model's image or audio projector, in the preferred type if there are several."""
    found = [file for file in listing.files if is_projector(file.name)]

    def place(file: HubFile) -> tuple[int, str]:
        name = quantization_in_name(file.name)
        return (_PROJECTORS.index(name) if name in _PROJECTORS else len(_PROJECTORS), file.name)

    return min(found, key=place, default=None)


async def _choose_variant(
    variants: Sequence[Variant], vision: ModelShape | None, reference: HubReference, revision: str, machine: Machine,
    env: Mapping[str, str],
) -> tuple[Variant, FitReport, str]:  # fmt: skip
    """Return the best variant that fits, or else the smallest, with its report and the reason.

    Only headers of candidates are read: quantizations of one model differ by the size of their files, so the demand of
    the others is estimated from the first.
    """
    ranked = _rank(variants)
    tried: dict[str, FitReport] = {}

    async def size_variant(variant: Variant) -> FitReport:
        file = variant.files[0].name
        if file not in tried:
            shape = await _shape(reference.repo, file, revision, env)
            if shape.role != "model":
                raise UsageError(
                    f"{file} is a projector", where=reference.repo, todo="name the model; it comes with it"
                )
            tried[file] = _report(reference.repo, file, variant.quantization, shape, vision, machine)
        return tried[file]

    best = ranked[0]
    found = await size_variant(best)
    if len(ranked) == 1:
        return best, found, ""
    refused: list[str] = []
    for variant in ranked:
        if _may_fit(found, variant.size - best.size):
            own = await size_variant(variant)
            if own.verdict == "fits":
                return variant, own, _refusal_text(variant, refused, len(ranked))
        refused.append(variant.quantization)
    smallest = min(ranked, key=lambda variant: variant.size)
    own = await size_variant(smallest)
    if own.verdict == "fits":
        return (
            smallest,
            own,
            _refusal_text(smallest, [name for name in refused if name != smallest.quantization], len(ranked)),
        )
    return smallest, own, f"the smallest of {len(ranked)}: none certainly fits"


def _rank(variants: Sequence[Variant]) -> list[Variant]:
    """Sort variants by loss of quality, then by size. 16-bit variants are left out if there are others."""
    usual = [each for each in variants if each.quantization not in _WHOLE] or list(variants)
    return sorted(usual, key=lambda each: (_loss(each.quantization), each.size))


def _loss(name: str) -> float:
    """Return the relative perplexity increase of a quantization.

    If it is not published, that of the best known quantization with at most as many bits is used.
    """
    found = QUANTIZATIONS.get(name)
    if found is None:
        return float("inf")
    if found.loss is not None:
        return found.loss
    fewer = [each.loss for each in QUANTIZATIONS.values() if each.loss is not None and each.bits <= found.bits]
    return min(fewer, default=1.0)


def _may_fit(fit_report: FitReport, more: int) -> bool:
    return all(check.needed.known and check.needed.high + more <= check.certain for check in fit_report.placed.checks)


def _refusal_text(variant: Variant, refused: list[str], count: int) -> str:
    loss = QUANTIZATIONS[variant.quantization].loss if variant.quantization in QUANTIZATIONS else None
    costs = "" if loss is None else f", perplexity {loss:+.1%}"
    larger = f"; not certain to fit here: {', '.join(refused)}" if refused else ""
    return f"{variant.quantization or variant.files[0].name} is the best of {count} that fits{costs}{larger}"


def _report(
    repo: str, file: str, quantization: str, shape: ModelShape, vision: ModelShape | None, machine: Machine
) -> FitReport:
    source = f"hf:{repo}/{file}"
    subject = ModelReference(reference=source, quantization=quantization, projector="", draft="", path="")
    found = report(
        FitQuery(model=source),
        subject,
        shape,
        machine,
        is_this_machine=True,
        related_files=RelatedFiles(projector=vision),
    )
    return replace(found, name=file.rpartition("/")[2])


def _model_traits(fit_report: FitReport, vision: ModelShape | None) -> ModelTraits:
    shape, pace = fit_report.placed.shape, fit_report.pace
    encoders = [encoder.kind for encoder in vision.encoders] if vision is not None else []
    context = min(shape.context or CONTEXT, CONTEXT)

    def figures(amount: Quantity) -> tuple[float, float, float]:
        return (amount.low, amount.mid, amount.high) if amount.known else (0.0, 0.0, 0.0)

    return ModelTraits(
        context=context, trained=shape.context, parameters=float(shape.parameters), active=float(shape.active),
        memory=gguf_memory(shape, vision, context, 1), decode=figures(pace.decode), prompt=figures(pace.prefill),
        sees="vision" in encoders, hears="audio" in encoders, embeds=shape.pools,
    )  # fmt: skip


def _name(file: str, reference: HubReference, weights: WeightsStore, used_names: frozenset[str]) -> str:
    """Return a name from the file name, with the repository's owner in front if the name is taken."""
    base = file.rpartition("/")[2].removesuffix(".gguf").lower()
    base = _PART.sub("", base)
    owner = reference.repo.partition("/")[0].lower()
    used_names |= {row.name for row in weights.rows()}
    for name in (base, f"{owner}-{base}"):
        slug = _NAME.sub("-", name).strip("-._")[:80]
        if slug and slug not in used_names:
            return slug
    raise UsageError(
        "its name is taken here by another model", where=reference.repo, todo="pull --remove that one first"
    )


def _check_names(model: LockedModel, model_name: str) -> None:
    names = [file.name for file in model.files]
    for name in names:
        if not is_plain_file_name(name):
            raise UsageError(
                f"has a file name that is not plain: {name}",
                where=model_name,
                todo="take another repository of this model",
            )
    if len(set(names)) != len(names):
        raise UsageError("has two files of one name in its folders", where=model_name, todo="name the file")


# ---- words -------------------------------------------------------------------------------------------


def row_of(pull: HubPull, weights: WeightsStore) -> WeightsRow:
    """Return the row for progress reports."""
    return pull.model.row(next((row for row in weights.shipped_rows() if row.name == pull.model.name), None))


def check_fits(pull: HubPull) -> None:
    """Raise DoesNotFit, with needed and free memory, if the pull does not fit this machine."""
    if pull.report is None:
        if pull.verdict == "no":
            room = f"{pull.room / GIB:.1f} GiB are free"
            raise DoesNotFit(
                f"needs {gib(pull.needed_memory)} GiB and {room} ({size(pull.model.size)} to fetch)",
                where=pull.model.name, todo=hint("free some memory; to fetch it all the same: {force}"),
            )  # fmt: skip
        return
    check = pull.report.placed.deciding_check
    if pull.verdict != "no" or check is None:
        return
    file = pull.model.files[0].path
    todo = "what would make it fit"
    if pull.cards:
        todo = "it runs on the processor; whether a llama-server has room for it on the card"
    raise DoesNotFit(
        f"needs {gib(check.needed)} GiB and {check.room / GIB:.1f} GiB are free ({size(pull.model.size)} to fetch)",
        where=pull.model.name,
        todo=hint("{}: intermodal fit hf:{}/{}; to fetch it all the same: {force}", todo, pull.model.repo, file),
    )


# ---- ONNX files -------------------------------------------------------------------------------------


# Suffixes of weight files, best first; "" is 32-bit.
ENDINGS: Final = ("", "_fp16", "_int8", "_quantized")
_WITHIN: Final = ("onnx/", "")  # folders of a repository
_OUTSIDE: Final = ("_data", ".data")  # suffixes of external weight files
SMALL: Final = 32 << 20  # bytes; the size of a large multilingual tokenizer
_TWO_SIDES: Final = re.compile(r"clip|siglip")


class OnnxSelection(NamedTuple):
    """The files of a repository that one runtime opens."""

    runtime: BuiltInProtocol
    files: tuple[HubFile, ...]
    ending: str


def has_onnx(listing: HubListing, reference: HubReference) -> bool:
    """Return whether the repository's models are ONNX files, unless the reference names a file of another format."""
    if reference.file:
        return reference.file.endswith(".onnx")
    names = [file.name for file in listing.files]
    return any(name.endswith(".onnx") for name in names) and not any(name.endswith(".gguf") for name in names)


async def onnx_pull(
    reference: HubReference, listing: HubListing, name: str, source: str, env: Mapping[str, str]
) -> LockedModel:
    """Return the ONNX model as it would be pinned, under ``name``.

    Raises:
        UsageError: the repository has no model that a runtime here opens, or lacks one of its files. WeightsError: its
            ``config.json`` cannot be fetched, or has no known head.
    """
    files = {file.name: file for file in listing.files}
    config = await _config(reference, listing, source, env)
    selection = _select_onnx_files(files, config, reference)
    traits = _onnx_traits(selection, config)
    sums = {file.name: await _file_checksum(file, reference, listing, source, env) for file in selection.files}
    return LockedModel(
        name=name, repo=reference.repo, revision=listing.revision, requested=reference.revision,
        quantization=selection.ending.removeprefix("_"), runtime=selection.runtime,
        files=tuple(LockedFile(path=file.name, size=file.size, sha256=sums[file.name]) for file in selection.files),
        main="", licence=listing.licence, traits=traits, date=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


async def _file_checksum(
    file: HubFile, reference: HubReference, listing: HubListing, source: str, env: Mapping[str, str]
) -> str:
    """Return the SHA-256 of a file as listed, or computed at the commit if the file is small; "" if unknown."""
    if file.sha256 or file.name.endswith(".onnx") or file.size > SMALL or not _COMMIT.fullmatch(listing.revision):
        return file.sha256
    return hashlib.sha256(await _read_hub_file(file.name, SMALL, reference, listing, source, env)).hexdigest()


async def _read_hub_file(
    name: str, most: int, reference: HubReference, listing: HubListing, source: str, env: Mapping[str, str]
) -> bytes:
    try:
        return await read_small_file(reference, listing.revision, name, most, env)
    except SourceFailed as failed:
        raise source_error(failed, source) from None


async def _config(reference: HubReference, listing: HubListing, source: str, env: Mapping[str, str]) -> dict[str, Any]:
    if all(file.name != "config.json" for file in listing.files):
        raise UsageError(
            "has no config.json", where=reference.repo, todo="name a repository that has one beside its ONNX"
        )
    data = await _read_hub_file("config.json", MAX_CONFIG, reference, listing, source, env)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise WeightsError("has a config.json that is not JSON", where=reference.repo) from None
    if not isinstance(found, dict):
        raise WeightsError("has a config.json that is not an object", where=reference.repo)
    return found


def _select_onnx_files(
    files: Mapping[str, HubFile], config: Mapping[str, Any], reference: HubReference
) -> OnnxSelection:
    """Return the files of the model in the requested variant, or the best one."""
    if _TWO_SIDES.search(str(config.get("model_type", "")).lower()):
        return _two_sides(files, config, reference)
    head = encoder_head(config)
    if not head.kind:
        raise WeightsError(head.why, where=reference.repo, todo="take a classifier, a reranker, or a CLIP or SigLIP")
    path, ending = _onnx_files(files, ("model",), reference)
    return OnnxSelection("encoder", _with(files, path, ("tokenizer.json", "config.json"), reference), ending)


def _two_sides(files: Mapping[str, HubFile], config: Mapping[str, Any], reference: HubReference) -> OnnxSelection:
    side_files = ("tokenizer.json", "preprocessor_config.json", "config.json")
    try:
        paths, ending = _onnx_files(files, ("vision_model", "text_model"), reference)
    except UsageError:
        path, ending = _onnx_files(files, ("model",), reference)
        return OnnxSelection("contrastive", _with(files, path, side_files, reference), ending)
    if (
        scores_pairs_independently(config) and logit_scale(config) is None
    ):  # only the whole model tells its scale and bias
        combined = min(
            (file for name, file in files.items() if re.fullmatch(r"(onnx/)?model(_quantized|_int8)?\.onnx", name)),
            key=lambda file: file.size, default=None,
        )  # fmt: skip
        if combined is None:
            raise UsageError(
                "says neither logit_scale nor logit_bias, and has no model.onnx that does", where=reference.repo
            )
        paths = (*paths, combined.name)
    return OnnxSelection("contrastive", _with(files, paths, side_files, reference), ending)


def _onnx_files(
    files: Mapping[str, HubFile], stems: tuple[str, ...], reference: HubReference
) -> tuple[tuple[str, ...], str]:
    """Return the paths of the files called ``stems`` in one variant, and the variant's suffix."""
    endings = [f"_{reference.quant}"] if reference.quant else list(ENDINGS)
    if reference.file:
        found = re.fullmatch(r"(.*/)?(model|vision_model|text_model)(_\w+)?\.onnx", reference.file)
        if found is None or reference.file not in files:
            raise UsageError(
                f"has no model {reference.file}", where=reference.repo, todo="look at its page, or leave it out"
            )
        endings = [found[3] or ""]
    for ending in endings:
        if ending not in ENDINGS:
            known_endings = ", ".join(each.removeprefix("_") for each in ENDINGS if each)
            raise UsageError(
                f"{ending.removeprefix('_')} is not a known variant", where=reference.repo, todo=f"say {known_endings}"
            )
        for folder in _WITHIN:
            paths = tuple(f"{folder}{stem}{ending}.onnx" for stem in stems)
            if all(path in files and not any(f"{path}{out}" in files for out in _OUTSIDE) for path in paths):
                return paths, ending
    outside = any(f"{folder}{stem}.onnx{out}" in files for folder in _WITHIN for stem in stems for out in _OUTSIDE)
    what = f"has no {' and '.join(f'{stem}.onnx' for stem in stems)}{' that holds its own weights' if outside else ''}"
    raise UsageError(what, where=reference.repo, todo="name a repository with the ONNX files of one model")


def _with(
    files: Mapping[str, HubFile], paths: tuple[str, ...], side_files: tuple[str, ...], reference: HubReference
) -> tuple[HubFile, ...]:
    for name in side_files:
        if name not in files:
            raise UsageError(f"has no {name}, without which its ONNX files are of no use", where=reference.repo)
    return tuple(files[name] for name in (*paths, *side_files))


def _onnx_traits(selection: OnnxSelection, config: Mapping[str, Any]) -> ModelTraits:
    size = sum(file.size for file in selection.files if file.name.endswith(".onnx"))
    memory = onnx_memory_of_size(size)
    figures = (memory.low, memory.mid, memory.high)
    if selection.runtime == "contrastive":
        return ModelTraits(
            memory=figures, sees=True, embeds=True, pictures=image_tokens_of_config(config),
            tasks=("zero-shot-image-classification", "feature-extraction"),
            independent=scores_pairs_independently(config),
        )  # fmt: skip
    head = encoder_head(config)
    return ModelTraits(
        context=context_of_config(config), memory=figures, tasks=(head.task,),
        labels=head.labels if head.kind == "labels" else (), independent=head.several,
    )  # fmt: skip


__all__ = ["HubPull", "as_pulled", "check_fits", "find_all_pinned", "hub_pull", "find_pinned", "row_of"]
