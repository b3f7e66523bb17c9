"""The lockfile of models pulled from a hub: the commit and the SHA-256 of every file.

    DATA/weights-lock.json     written whole after a pull; its models are fetched again in exactly this version

It is stored in the data folder and not with the weights, so that emptying the cache loses no pin.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from intermodal.catalog.host_rows import Range, ServedRow, SpeedRow
from intermodal.catalog.model_folders import (
    SIZE_OF_FILES,
    contrastive_speed_of_sizes,
    encoder_rate,
    onnx_load_seconds,
)
from intermodal.catalog.types import BuiltInProtocol, Task
from intermodal.core.content import Kind, Value
from intermodal.errors import ConfigError
from intermodal.files.atomic_file import exclusive_lock, file_mode, replace_file
from intermodal.local.weights.registry import WeightsFile, WeightsRow

LOCKFILE: Final = "weights-lock.json"
UNKNOWN: Final[Range] = (0.0, 0.0, 0.0)


class LockedFile(Value):
    """A file of a repository: its path, its size in bytes, and its SHA-256."""

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Return the file name in the store."""
        return self.path.rpartition("/")[2]


class ModelTraits(Value):
    """The facts in the headers of a model's files, and estimates for the machine that pulled it.

    Attributes:
        context: tokens it is served with. trained: context length it was trained with, None if the file does not state
            it.
        parameters, active: parameter count, and parameters active per token.
        memory: resident bytes. decode, prompt: tokens per second; zeros if unknown.
        sees, hears: by its projector. embeds: whether it is an embedding model.
        tasks: of an ONNX model; () for a language model, whose tasks follow from the other fields. labels: of its head.
            independent: whether it scores each label separately.
        pictures: tokens per image, 0 if it accepts none.
    """

    context: int = 0
    trained: int | None = None
    parameters: float = 0.0
    active: float = 0.0
    memory: Range = UNKNOWN
    decode: Range = UNKNOWN
    prompt: Range = UNKNOWN
    sees: bool = False
    hears: bool = False
    embeds: bool = False
    tasks: tuple[Task, ...] = ()
    labels: tuple[str, ...] = ()
    independent: bool = False
    pictures: int = 0


class LockedModel(Value):
    """A pinned model from a hub.

    Attributes:
        name: name in this store. repo: OWNER/REPO. requested: the requested branch or commit.
        revision: its commit. quantization: of its weights, "" if its name states none.
        main, projector: file names; "" for no projector. licence: as stated by the hub.
        date: time of pinning, ISO, UTC. runtime: the protocol of the runtime that opens its main file, or its folder if
            ``main`` is "".
    """

    name: str
    repo: str
    revision: str
    files: tuple[LockedFile, ...]
    main: str
    requested: str = msgspec.field(default="main", name="asked")
    quantization: str = ""
    projector: str = ""
    licence: str = ""
    traits: ModelTraits = ModelTraits()
    date: str = ""
    runtime: BuiltInProtocol = "llama"

    @property
    def pinned(self) -> bool:
        """Return whether the checksum of every file is known."""
        return all(file.sha256 for file in self.files)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    def checksums(self) -> dict[str, str]:
        return {file.path: file.sha256 for file in self.files}

    def row(self, known: WeightsRow | None = None) -> WeightsRow:
        """Return the model as a registry row. ``known``: the shipped row that describes the model, if there is one."""
        files = tuple(
            WeightsFile(
                name=file.name, size=file.size, sha256=file.sha256,
                sources=(f"hf:{self.repo}/{file.path}@{self.revision}",),
            )
            for file in self.files
        )  # fmt: skip
        if known is None:
            kinds = [word for word, does in (("sees", self.traits.sees), ("hears", self.traits.hears)) if does]
            title = f"{self.main.removesuffix('.gguf')} of {self.repo}{', ' if kinds else ''}{' and '.join(kinds)}"
            if self.runtime != "llama":
                title = f"{self.repo} (ONNX): {', '.join(self.traits.tasks)}"
            known = WeightsRow(
                name=self.name, title=title, runtime=self.runtime, licence=self.licence or "not stated", files=(),
                evidence=f"the hub's listing at {self.revision}", needs=int(self.traits.memory[1]),
            )  # fmt: skip
        return msgspec.structs.replace(
            known,
            files=files,
            main=self.main,
            projector=self.projector,
            needs=int(self.traits.memory[1]) or known.needs,
        )

    def onnx_row(self) -> ServedRow:
        """Return the ONNX model as served by its embedded runtime."""
        traits = self.traits
        return ServedRow(
            id=f"{self.repo.partition('/')[0].lower()}/{self.name}", served_as=self.name, tasks=traits.tasks,
            input=("text", "image") if traits.sees else ("text",), labels=traits.labels,
            independent=traits.independent,
            image_tokens=f"fixed:{traits.pictures}" if traits.pictures else "", context=traits.context or None,
            memory=traits.memory if traits.memory[1] else None, weights=self.name,
            tier=None if traits.sees else "medium",
            speed=self._onnx_speed(),
            source=f"config.json, {self.repo} at {self.revision[:12]}", checked=self.date[:10],
        )  # fmt: skip

    def _onnx_speed(self) -> SpeedRow:
        sizes = {file.name: file.size for file in self.files if file.path.endswith(".onnx")}
        whole = float(sum(sizes.values()))
        found = {"prompt": encoder_rate(whole), "load": onnx_load_seconds(whole)}
        if self.traits.sees:
            vision, text = (
                next((size for name, size in sizes.items() if name.startswith(half)), whole)
                for half in ("vision_model", "text_model")
            )
            found |= contrastive_speed_of_sizes(vision, text, self.traits.pictures)
        return SpeedRow(basis=SIZE_OF_FILES, **{name: (each.low, each.mid, each.high) for name, each in found.items()})

    def llama_row(self) -> ServedRow | None:
        """Return the model as served by embedded llama.cpp; None for an embedding model or an ONNX model."""
        if self.runtime != "llama":
            return None
        traits = self.traits
        if traits.embeds:
            return None
        kinds: list[Kind] = ["text"]
        tasks: list[Task] = ["text-generation"]
        if traits.sees:
            kinds.append("image")
            tasks.append("image-text-to-text")
        if traits.hears:
            kinds.append("audio")
            tasks.append("audio-text-to-text")
        gigabytes = self.size / 1e9  # read from a disk: 3 GB/s, 1 GB/s, 0.15 GB/s
        speed = SpeedRow(
            load=(0.3 + gigabytes / 3, 0.6 + gigabytes, 3.0 + gigabytes / 0.15),
            prompt=traits.prompt if traits.prompt[1] else None, decode=traits.decode if traits.decode[1] else None,
            basis="from the header of its file",
        )  # fmt: skip
        return ServedRow(
            id=f"{self.repo.partition('/')[0].lower()}/{self.name}", served_as=self.name, tasks=tuple(tasks),
            input=tuple(kinds), context=traits.context or None, parameters=traits.parameters or None,
            memory=traits.memory if traits.memory[1] else None, weights=self.name, speed=speed,
            source=f"the header of its file, {self.repo} at {self.revision[:12]}", checked=self.date[:10],
        )  # fmt: skip


class _Document(Value):
    version: int = 1
    models: tuple[LockedModel, ...] = ()


class WeightsLock:
    """The lockfile at ``path``; None for a store that pins no models."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._models: tuple[LockedModel, ...] = ()

    def models(self) -> tuple[LockedModel, ...]:
        """Return all pinned models by name, reloaded if the file changed. Raises ConfigError if it is damaged."""
        if self._path is None:
            return ()
        try:
            found = self._path.stat()
        except OSError:
            self._stamp, self._models = None, ()
            return ()
        stamp = (found.st_ino, found.st_mtime_ns)
        if stamp != self._stamp:
            self._models = self._read_models(self._path)
            self._stamp = stamp
        return self._models

    def pin(self, model: LockedModel) -> None:
        """Pin a model, replacing an earlier pin of the same name."""
        self._change(lambda models: (*(each for each in models if each.name != model.name), model))

    def drop(self, name: str) -> None:
        """Remove the pin of this name."""
        if any(model.name == name for model in self.models()):
            self._change(lambda models: tuple(model for model in models if model.name != name))

    def _change(self, to: Callable[[tuple[LockedModel, ...]], tuple[LockedModel, ...]]) -> None:
        if self._path is None:
            raise ValueError("a store without a lock pins nothing")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(self._path.with_name(f".{self._path.name}.lock")):
            models = sorted(to(self.models()), key=lambda model: model.name)
            body = msgspec.json.format(msgspec.json.encode(_Document(models=tuple(models))), indent=1)
            replace_file(self._path, body + b"\n", mode=file_mode(self._path, private=False))

    @staticmethod
    def _read_models(path: Path) -> tuple[LockedModel, ...]:
        try:
            return msgspec.json.decode(path.read_bytes(), type=_Document).models
        except (OSError, msgspec.DecodeError, RecursionError) as error:
            raise ConfigError(
                f"cannot be read: {error}", where=str(path), todo="mend it, or move it away and pull the models again"
            ) from None


__all__ = ["LOCKFILE", "WeightsLock", "LockedFile", "LockedModel", "ModelTraits"]
