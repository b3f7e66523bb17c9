"""Plan a pull of ONNX files from a hub: an encoder with a head, or a model of images and text.

The hub's listing says files, sizes and sums; ``config.json``, read before the first byte of weights, what model it is
and which runtime opens it. It is held against this machine's memory by the sizes of its files. Of small files a hub has
no SHA-256: they are read at the commit, and pinned to what they are there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from intermodal.catalog.encoder_heads import context_of_config, encoder_head
from intermodal.catalog.model_folders import (
    MAX_CONFIG,
    image_tokens_of_config,
    logit_scale,
    onnx_memory_of_size,
    scores_pairs_independently,
)
from intermodal.catalog.types import Protocol
from intermodal.errors import UsageError, WeightsError
from intermodal.local.weights.hub import HubFile, HubListing
from intermodal.local.weights.lockfile import LockedFile, LockedModel, ModelTraits
from intermodal.local.weights.transfer import SourceFailed
from intermodal.sizing.model_sources import HubReference, read_small_file, source_error

# What a repository may have beside the files with 32 bits a weight, as its names end, the best first.
ENDINGS: Final = ("", "_fp16", "_int8", "_quantized")
_WITHIN: Final = ("onnx/", "")  # folders of a repository
_OUTSIDE: Final = ("_data", ".data")  # files in which some models keep their weights
SMALL: Final = 32 << 20  # bytes: as large as a tokenizer of many languages
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_TWO_SIDES: Final = re.compile(r"clip|siglip")


class OnnxSelection(NamedTuple):
    """Files of a repository that one runtime opens."""

    runtime: Protocol
    files: tuple[HubFile, ...]
    ending: str


def has_onnx(listed: HubListing, wanted: HubReference) -> bool:
    """Whether the models of a repository are ONNX files, as far as something else is not asked for."""
    if wanted.file:
        return wanted.file.endswith(".onnx")
    names = [file.name for file in listed.files]
    return any(name.endswith(".onnx") for name in names) and not any(name.endswith(".gguf") for name in names)


async def onnx_pull(
    wanted: HubReference, listed: HubListing, name: str, said: str, env: Mapping[str, str]
) -> LockedModel:
    """The model as it would be pinned, under a name.

    Raises:
        UsageError: the repository has no model that a runtime here opens, or lacks a file of it. WeightsError: its
            ``config.json`` cannot be had, or says no head that is known.
    """
    files = {file.name: file for file in listed.files}
    config = await _config(wanted, listed, said, env)
    taken = _taken(files, config, wanted)
    traits = _traits(taken, config)
    sums = {file.name: await _sum(file, wanted, listed, said, env) for file in taken.files}
    return LockedModel(
        name=name, repo=wanted.repo, revision=listed.revision, asked=wanted.revision,
        quantization=taken.ending.removeprefix("_"), runtime=taken.runtime,
        files=tuple(LockedFile(path=file.name, size=file.size, sha256=sums[file.name]) for file in taken.files),
        main="", licence=listed.licence, traits=traits, date=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


async def _sum(file: HubFile, wanted: HubReference, listed: HubListing, said: str, env: Mapping[str, str]) -> str:
    """The SHA-256 of a file: as listed, else of what it is at the commit, where it is small; "" where nobody knows."""
    if file.sha256 or file.name.endswith(".onnx") or file.size > SMALL or not _COMMIT.fullmatch(listed.revision):
        return file.sha256
    return hashlib.sha256(await _read(file.name, SMALL, wanted, listed, said, env)).hexdigest()


async def _read(
    name: str, most: int, wanted: HubReference, listed: HubListing, said: str, env: Mapping[str, str]
) -> bytes:
    try:
        return await read_small_file(wanted, listed.revision, name, most, env)
    except SourceFailed as failed:
        raise source_error(failed, said) from None


async def _config(wanted: HubReference, listed: HubListing, said: str, env: Mapping[str, str]) -> dict[str, Any]:
    if all(file.name != "config.json" for file in listed.files):
        raise UsageError("has no config.json", where=wanted.repo, todo="name a repository that has one beside its ONNX")
    data = await _read("config.json", MAX_CONFIG, wanted, listed, said, env)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise WeightsError("has a config.json that is not JSON", where=wanted.repo) from None
    if not isinstance(found, dict):
        raise WeightsError("has a config.json that is no table", where=wanted.repo)
    return found


def _taken(files: Mapping[str, HubFile], config: Mapping[str, Any], wanted: HubReference) -> OnnxSelection:
    """The files of the model that is meant, in the variant that is asked for, else in the best."""
    if _TWO_SIDES.search(str(config.get("model_type", "")).lower()):
        return _two_sides(files, config, wanted)
    head = encoder_head(config)
    if not head.kind:
        raise WeightsError(head.why, where=wanted.repo, todo="take a classifier, a reranker, or a CLIP or SigLIP")
    path, ending = _variant(files, ("model",), wanted)
    return OnnxSelection("encoder", _with(files, path, ("tokenizer.json", "config.json"), wanted), ending)


def _two_sides(files: Mapping[str, HubFile], config: Mapping[str, Any], wanted: HubReference) -> OnnxSelection:
    beside = ("tokenizer.json", "preprocessor_config.json", "config.json")
    try:
        paths, ending = _variant(files, ("vision_model", "text_model"), wanted)
    except UsageError:
        path, ending = _variant(files, ("model",), wanted)
        return OnnxSelection("contrastive", _with(files, path, beside, wanted), ending)
    if (
        scores_pairs_independently(config) and logit_scale(config) is None
    ):  # only the whole model tells its scale and bias
        whole = min(
            (file for name, file in files.items() if re.fullmatch(r"(onnx/)?model(_quantized|_int8)?\.onnx", name)),
            key=lambda file: file.size, default=None,
        )  # fmt: skip
        if whole is None:
            raise UsageError(
                "says neither logit_scale nor logit_bias, and has no model.onnx that does", where=wanted.repo
            )
        paths = (*paths, whole.name)
    return OnnxSelection("contrastive", _with(files, paths, beside, wanted), ending)


def _variant(files: Mapping[str, HubFile], stems: tuple[str, ...], wanted: HubReference) -> tuple[tuple[str, ...], str]:
    """Paths of the files of these names in one variant, and how that is called."""
    endings = [f"_{wanted.quant}"] if wanted.quant else list(ENDINGS)
    if wanted.file:
        found = re.fullmatch(r"(.*/)?(model|vision_model|text_model)(_\w+)?\.onnx", wanted.file)
        if found is None or wanted.file not in files:
            raise UsageError(f"has no model {wanted.file}", where=wanted.repo, todo="look at its page, or leave it out")
        endings = [found[3] or ""]
    for ending in endings:
        if ending not in ENDINGS:
            known = ", ".join(each.removeprefix("_") for each in ENDINGS if each)
            raise UsageError(
                f"{ending.removeprefix('_')} is not a known variant", where=wanted.repo, todo=f"say {known}"
            )
        for folder in _WITHIN:
            paths = tuple(f"{folder}{stem}{ending}.onnx" for stem in stems)
            if all(path in files and not any(f"{path}{out}" in files for out in _OUTSIDE) for path in paths):
                return paths, ending
    outside = any(f"{folder}{stem}.onnx{out}" in files for folder in _WITHIN for stem in stems for out in _OUTSIDE)
    what = f"has no {' and '.join(f'{stem}.onnx' for stem in stems)}{' that holds its own weights' if outside else ''}"
    raise UsageError(what, where=wanted.repo, todo="name a repository with the ONNX files of one model")


def _with(
    files: Mapping[str, HubFile], paths: tuple[str, ...], beside: tuple[str, ...], wanted: HubReference
) -> tuple[HubFile, ...]:
    for name in beside:
        if name not in files:
            raise UsageError(f"has no {name}, without which its ONNX files are of no use", where=wanted.repo)
    return tuple(files[name] for name in (*paths, *beside))


def _traits(taken: OnnxSelection, config: Mapping[str, Any]) -> ModelTraits:
    size = sum(file.size for file in taken.files if file.name.endswith(".onnx"))
    memory = onnx_memory_of_size(size)
    figures = (memory.low, memory.mid, memory.high)
    if taken.runtime == "contrastive":
        return ModelTraits(
            memory=figures, sees=True, embeds=True, pictures=image_tokens_of_config(config),
            tasks=("zero-shot-image-classification", "feature-extraction"),
        )  # fmt: skip
    head = encoder_head(config)
    return ModelTraits(
        context=context_of_config(config), memory=figures, tasks=(head.task,),
        labels=head.labels if head.kind == "labels" else (),
    )  # fmt: skip
