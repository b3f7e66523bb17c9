"""Models that other programs keep here: Ollama, LM Studio, the Hugging Face cache and llama.cpp.

Nothing is started and no model is opened: names and sizes come from folders and manifests.

    Ollama      OLLAMA_MODELS or ~/.ollama/models: manifests/HOST/OWNER/NAME/TAG, JSON with the digests of blobs
    LM Studio   ~/.lmstudio/models and ~/.cache/lm-studio/models: OWNER/REPO/FILE.gguf
    hub         HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub: models--OWNER--REPO/snapshots/REVISION/FILE
    llama.cpp   LLAMA_CACHE or ~/.cache/llama.cpp: FILE.gguf
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from intermodal.content import Value
from intermodal.sizing.gguf_shape import is_model, is_projector, parts

StoreName = Literal["ollama", "lmstudio", "hub", "llama.cpp"]
MAX_FILES: Final = 20_000  # entries of one store that are looked at
MAX_MANIFEST: Final = 1 << 20
_MODEL: Final = "application/vnd.ollama.image.model"
_PROJECTOR: Final = "application/vnd.ollama.image.projector"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


class StoredModel(Value):
    """A model that is on this machine.

    Attributes:
        name: in its store: ``llama3.2:1b``, ``OWNER/REPO/FILE.gguf``. store: whose folder it is in.
        path: its file, the first of a split one; or its folder of safetensors. size: bytes of all its files.
        projector: the file for its pictures or sound, "" if none is beside it.
    """

    name: str
    store: StoreName
    path: str
    size: int
    projector: str = ""


def stored_models(env: Mapping[str, str] | None = None, home: Path | None = None) -> tuple[StoredModel, ...]:
    """All of them, by store and name. A folder that cannot be read has none."""
    env = os.environ if env is None else env
    home = Path.home() if home is None else home
    readers: tuple[Callable[[Mapping[str, str], Path], Iterator[StoredModel]], ...] = (_ollama, _lmstudio, _hub, _llama)
    return tuple(model for reader in readers for model in sorted(reader(env, home), key=lambda model: model.name))


# ---- Ollama ------------------------------------------------------------------------------------------


def _ollama(env: Mapping[str, str], home: Path) -> Iterator[StoredModel]:
    root = Path(env.get("OLLAMA_MODELS") or home / ".ollama" / "models")
    manifests = root / "manifests"
    for file in _files(manifests, depth=4):
        try:
            if file.stat().st_size > MAX_MANIFEST:
                continue
            manifest = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError, msgspec.ValidationError, RecursionError):
            continue
        layers = manifest.get("layers")
        rows = [row for row in layers if isinstance(row, dict)] if isinstance(layers, list) else []
        models, eyes = (_blobs(root, rows, kind) for kind in (_MODEL, _PROJECTOR))
        if models:
            name = _ollama_name(file.relative_to(manifests).parts)
            size = sum(blob.stat().st_size for blob in models)
            yield StoredModel(
                name=name, store="ollama", path=str(models[0]), size=size, projector=str(eyes[0]) if eyes else ""
            )


def _blobs(root: Path, rows: list[dict[str, Any]], kind: str) -> list[Path]:
    digests = [_DIGEST.fullmatch(str(row.get("digest"))) for row in rows if row.get("mediaType") == kind]
    paths = [root / "blobs" / f"sha256-{digest[1]}" for digest in digests if digest is not None]
    return [path for path in paths if path.is_file()]


def _ollama_name(steps: tuple[str, ...]) -> str:
    """Return the name as in ``ollama list``: without its own registry and library."""
    *where, name, tag = steps
    if where[:1] == ["registry.ollama.ai"]:
        where = where[1:]
        if where == ["library"]:
            where = []
    return "/".join((*where, f"{name}:{tag}"))


# ---- folders of files --------------------------------------------------------------------------------


def _lmstudio(env: Mapping[str, str], home: Path) -> Iterator[StoredModel]:
    for root in (home / ".lmstudio" / "models", home / ".cache" / "lm-studio" / "models"):
        yield from _ggufs(root, "lmstudio", depth=3)


def _llama(env: Mapping[str, str], home: Path) -> Iterator[StoredModel]:
    cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache")
    yield from _ggufs(Path(env.get("LLAMA_CACHE") or cache / "llama.cpp"), "llama.cpp", depth=1)


def _hub(env: Mapping[str, str], home: Path) -> Iterator[StoredModel]:
    cache = Path(env.get("XDG_CACHE_HOME") or home / ".cache") / "huggingface"
    root = Path(env.get("HF_HUB_CACHE") or Path(env.get("HF_HOME") or cache) / "hub")
    for folder in _folders(root):
        if not folder.name.startswith("models--"):
            continue
        repo = folder.name.removeprefix("models--").replace("--", "/")
        snapshots = sorted(_folders(folder / "snapshots"), key=_changed)
        for snapshot in snapshots[-1:]:  # the newest revision
            found = list(_ggufs(snapshot, "hub", depth=3, prefix=f"{repo}/"))
            yield from found
            tensors = [file for file in _files(snapshot, depth=1) if file.suffix == ".safetensors"]
            if not found and tensors and (snapshot / "config.json").is_file():
                yield StoredModel(name=repo, store="hub", path=str(snapshot), size=sum(map(_size, tensors)))


def _ggufs(root: Path, store: StoreName, *, depth: int, prefix: str = "") -> Iterator[StoredModel]:
    """Models among the GGUF files below a folder, with the projector that lies beside each."""
    folders: dict[Path, list[Path]] = {}
    for file in _files(root, depth=depth):
        if file.suffix == ".gguf":
            folders.setdefault(file.parent, []).append(file)
    for folder, files in folders.items():
        eyes = [file for file in files if is_projector(file.name)]
        for file in files:
            pieces = parts(file.name)
            if not is_model(file.name):
                continue
            whole = [folder / piece for piece in pieces]
            if all(piece.is_file() for piece in whole):
                yield StoredModel(
                    name=prefix + "/".join(file.relative_to(root).parts), store=store, path=str(file),
                    size=sum(map(_size, whole)), projector=str(_beside(file, eyes)) if eyes else "",
                )  # fmt: skip


def _beside(file: Path, eyes: list[Path]) -> Path:
    """Of several projectors, the one that is called most like the model; else the first."""

    def alike(eye: Path) -> int:
        name = eye.name.lower().replace("mmproj", "").strip("-_.")
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, file.name.lower(), strict=False)))

    return max(sorted(eyes), key=alike)


def _files(root: Path, *, depth: int) -> Iterator[Path]:
    """Files at most ``depth`` folders deep, in order, links to files included; at most ``MAX_FILES``."""
    seen = 0
    waiting = [(root, depth)]
    while waiting:
        folder, left = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            seen += 1
            if seen > MAX_FILES:
                return
            if entry.is_dir(follow_symlinks=False):
                if left > 0 and not entry.name.startswith("."):
                    waiting.append((Path(entry.path), left - 1))
            elif entry.is_file():
                yield Path(entry.path)


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _changed(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
