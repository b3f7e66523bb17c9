"""Resolve what a user names (file, folder, URL, ``hf:OWNER/REPO``) to a model's shape; only headers are read.

A GGUF header contains the vocabulary, and its length is not stated. It is fetched in growing ranges, in at most
``len(PIECES)`` requests. For a folder of safetensors on a hub, the index states the total bytes of all tensors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from intermodal.core.content import Value
from intermodal.errors import InputMissing, UsageError, WeightsError
from intermodal.local.weights import safetensors
from intermodal.local.weights.gguf import MAX_HEADER, GgufHeader, HeaderCut, parse_header, read_header
from intermodal.local.weights.hub import MIRROR, Hub, HubFile, HubListing, hub_of
from intermodal.local.weights.transfer import SourceFailed
from intermodal.sizing.config_shape import config_shape
from intermodal.sizing.gguf_shape import gguf_shape, is_model, is_projector, part_names
from intermodal.sizing.quantizations import names_quantization, quantization_in_name
from intermodal.sizing.shape import ModelShape

PIECES: Final = (
    256 << 10,
    2 << 20,
    6 << 20,
    24 << 20,
    MAX_HEADER,
)  # total header bytes fetched after each request
MAX_CONFIG: Final = 4 << 20
_HUB: Final = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:/([^@:]+?))?(?::([\w.-]+))?(?:@([\w./-]+))?")


class SizedModel(Value):
    """A model whose headers were read.

    Attributes:
        shape: from its headers. where: the file, folder or URL. files: names and bytes of its files, as far as known.
        read: bytes read to determine the shape. requests: HTTP requests made for it.
    """

    shape: ModelShape
    where: str
    files: tuple[tuple[str, int], ...] = ()
    read: int = 0
    requests: int = 0


class HubReference(Value):
    """A parsed ``hf:OWNER/REPO[/FILE][:QUANT][@REVISION]``."""

    repo: str
    file: str = ""
    quant: str = ""
    revision: str = "main"


def parse_hub_reference(text: str) -> HubReference | None:
    """Parse ``hf:...``; return None for anything else. Raises UsageError if the reference is malformed."""
    if not text.startswith("hf:"):
        return None
    found = _HUB.fullmatch(text)
    if found is None or ".." in text:
        raise UsageError(f"{text} names no repository", where="hf:", todo="say hf:OWNER/REPO[/FILE][:QUANT][@REVISION]")
    return HubReference(repo=found[1], file=found[2] or "", quant=found[3] or "", revision=found[4] or "main")


def local_model(path: Path) -> SizedModel:
    """Return the shape of a local file or folder.

    Raises:
        InputMissing: the file or one of its parts does not exist. WeightsError: it is damaged, or not a model.
    """
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise InputMissing("there is no such file", where=str(path), todo="check the path")
    files = [path.with_name(name) for name in part_names(path.name)]
    for file in files:
        if not file.is_file():
            raise InputMissing("a part of the model is missing", where=str(file), todo="put all parts into one folder")
    headers = [read_header(file) for file in files]
    return SizedModel(
        shape=gguf_shape(headers, name=path.name), where=str(path), read=sum(header.size for header in headers),
        files=tuple((file.name, file.stat().st_size) for file in files),
    )  # fmt: skip


async def remote_model(name: str, *, hub: str = "", env: Mapping[str, str] | None = None) -> SizedModel:
    """Return the shape of the model at a URL or ``hf:...`` reference.

    ``hub``: base URL of a mirror; otherwise the one in ``env`` is used.

    Raises:
        UsageError: the reference names several models, or none. WeightsError: a header is damaged, or cannot be
            fetched.
    """
    reference = parse_hub_reference(name)
    hub_url = hub_of({**(env or {}), **({MIRROR: hub} if hub else {})})
    if reference is None:
        parsed = urlsplit(name)
        if parsed.scheme not in ("http", "https") or not parsed.hostname:
            raise UsageError(f"{name} is no address", where="URL", todo="say https://..., hf:OWNER/REPO or a path")
        hub_url = Hub(f"{parsed.scheme}://{parsed.netloc}")
    reader = _RemoteReader(hub_url)
    try:
        return await (reader.url(name) if reference is None else reader.repository(reference))
    except SourceFailed as failed:
        raise source_error(failed, name) from None
    finally:
        await reader.close()


async def list_repository(reference: HubReference, env: Mapping[str, str]) -> HubListing:
    """Return the files of a repository as the user's hub lists them. Raises ``SourceFailed``."""
    hub = hub_of(env)
    try:
        return await hub.listing(reference.repo, reference.revision)
    finally:
        await hub.close()


async def read_small_file(
    reference: HubReference, revision: str, name: str, most: int, env: Mapping[str, str]
) -> bytes:
    """Return a whole file of a repository, of at most ``most`` bytes. Raises ``SourceFailed``."""
    reader = _RemoteReader(hub_of(env))
    try:
        return await reader.read_whole(msgspec.structs.replace(reference, revision=revision), name, most)
    finally:
        await reader.close()


def source_error(failed: SourceFailed, name: str) -> WeightsError:
    """Return the user-facing error for something that the hub does not have."""
    return WeightsError(
        failed.reason,
        where=name,
        todo=failed.todo or "check the name and the network, or name a file that is here",
    )


class _RemoteReader:
    """Reads headers over HTTP."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._read = self._requests = 0

    async def close(self) -> None:
        await self._hub.close()

    async def url(self, address: str) -> SizedModel:
        path = urlsplit(address).path
        name = path.rsplit("/", 1)[-1]
        if name.endswith(".safetensors"):
            return await self._tensors(address, name, {})
        names = part_names(name)
        return await self._gguf([address.replace(name, part) for part in names], names, address)

    async def repository(self, reference: HubReference) -> SizedModel:
        if reference.file.endswith(".gguf"):
            return await self._files(reference, reference.file)
        if reference.file:
            raise UsageError(
                f"{reference.file} is no GGUF file", where="hf:", todo="leave the file out, or name a GGUF"
            )
        self._requests += 1
        listed_files = (await self._hub.listing(reference.repo, reference.revision)).files
        chosen_path = chosen_file(listed_files, reference)
        return await (
            self._files(reference, chosen_path) if chosen_path else self._read_saved_folder(reference, listed_files)
        )

    async def _files(self, reference: HubReference, file: str) -> SizedModel:
        folder, _, name = file.rpartition("/")
        names = [f"{folder}/{part}" if folder else part for part in part_names(name)]
        addresses = [self._hub.address(reference.repo, reference.revision, path) for path in names]
        return await self._gguf(addresses, tuple(names), f"hf:{reference.repo}/{file}")

    async def _gguf(self, addresses: list[str], names: tuple[str, ...], where: str) -> SizedModel:
        found = [await self._header(address, name) for address, name in zip(addresses, names, strict=True)]
        return SizedModel(
            shape=gguf_shape([header for header, _ in found], name=names[0].rsplit("/", 1)[-1]), where=where,
            files=tuple((name, total) for name, (_, total) in zip(names, found, strict=True)), read=self._read,
            requests=self._requests,
        )  # fmt: skip

    async def _header(self, address: str, name: str) -> tuple[GgufHeader, int]:
        data = b""
        for size in PIECES:
            piece = await self._piece(address, len(data), size - len(data))
            data += piece.data
            try:
                return parse_header(data, total=piece.total, where=name), piece.total
            except HeaderCut:
                if len(data) >= min(piece.total, PIECES[-1]):
                    raise
        raise AssertionError("the last piece is as long as a header may be")

    async def _read_saved_folder(self, reference: HubReference, listed_files: tuple[HubFile, ...]) -> SizedModel:
        """Read a folder saved by transformers: its config, and its index or its only weights file."""
        names = {file.name: file.size for file in listed_files}
        weights = tuple((name, names[name]) for name in sorted(names) if name.endswith(".safetensors"))
        if "config.json" not in names or not weights:
            raise UsageError(
                "has neither GGUF files nor a config.json with *.safetensors", where=reference.repo,
                todo="name a repository with one of them",
            )  # fmt: skip
        config = _config(await self.read_whole(reference, "config.json", MAX_CONFIG), reference.repo)
        where = f"hf:{reference.repo}"
        if safetensors.INDEX in names:
            index = await self.read_whole(reference, safetensors.INDEX, safetensors.MAX_INDEX)
            index_files, _ = safetensors.parse_index(index, safetensors.INDEX)
            shape = config_shape(config, name=reference.repo, weights=index_files or sum(size for _, size in weights))
            return SizedModel(shape=shape, where=where, files=weights, read=self._read, requests=self._requests)
        address = self._hub.address(reference.repo, reference.revision, weights[0][0])
        return await self._tensors(address, reference.repo, config, weights)

    async def _tensors(
        self, address: str, name: str, config: dict[str, Any], files: tuple[tuple[str, int], ...] = ()
    ) -> SizedModel:
        piece = await self._piece(address, 0, PIECES[0])
        size = safetensors.header_size(piece.data, piece.total, name)
        data = piece.data
        if size > len(data):
            data += (await self._piece(address, len(data), size - len(data))).data
        shape = config_shape(config, name=name, tensors=safetensors.parse_header(data, piece.total, name))
        return SizedModel(
            shape=shape, where=address, files=files or ((name, piece.total),), read=self._read, requests=self._requests
        )

    async def _piece(self, address: str, first: int, size: int) -> Any:
        self._requests += 1
        piece = await self._hub.piece(address, first, size)
        self._read += len(piece.data)
        return piece

    async def read_whole(self, reference: HubReference, file: str, most: int) -> bytes:
        piece = await self._piece(self._hub.address(reference.repo, reference.revision, file), 0, most)
        if piece.total > most:
            raise SourceFailed(f"{file} is larger than {most:,} bytes")
        found: bytes = piece.data
        return found


def chosen_file(listed_files: tuple[HubFile, ...], reference: HubReference) -> str:
    """Return the only GGUF model of a repository, or the only one in the requested quantization.

    Returns "" if the repository has no GGUF model. Raises UsageError if there are several (the error lists them) or
    none in that quantization.
    """
    every = names = [file.name for file in listed_files if is_model(file.name)]
    if reference.quant:
        names = [name for name in names if names_quantization(name, reference.quant)]
    if len(names) == 1:
        return names[0]
    if not names and not reference.quant:
        return ""
    if names:
        raise UsageError(f"has {len(names)} models", where=reference.repo, todo=f"say which: {', '.join(names[:8])}")
    quantizations = dict.fromkeys(filter(None, map(quantization_in_name, every)))
    raise UsageError(
        f"has no file of {reference.quant}", where=reference.repo,
        todo=f"it has {', '.join(quantizations)}" if quantizations else "leave the quantization out, or name the file",
    )  # fmt: skip


# ---- on this machine ---------------------------------------------------------------------------------
def _folder(path: Path) -> SizedModel:
    found = sorted(path.glob("*.safetensors"))
    ggufs = [file for file in sorted(path.glob("*.gguf")) if is_model(file.name)]
    if not found and len(ggufs) == 1:
        return local_model(ggufs[0])
    if not found or not (path / "config.json").is_file():
        raise WeightsError(
            "is a folder without *.safetensors and a config.json", where=str(path),
            todo="name a GGUF file, or a folder as transformers saves one",
        )  # fmt: skip
    try:
        with (path / "config.json").open("rb") as file:
            config = _config(file.read(MAX_CONFIG), str(path))
    except OSError as error:
        raise WeightsError(f"cannot be read ({error.strerror})", where=str(path / "config.json")) from None
    tensors = tuple(tensor for file in found for tensor in safetensors.read_header(file))
    return SizedModel(
        shape=config_shape(config, name=path.name, tensors=tensors), where=str(path),
        files=tuple((file.name, file.stat().st_size) for file in found),
    )  # fmt: skip


def _config(data: bytes, where: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        raise WeightsError("has a config.json that is not JSON", where=where, todo="fetch it again") from None


# Models that other programs keep on this machine: Ollama, LM Studio, the Hugging Face cache and llama.cpp.
#
# No program is started and no model is opened: names and sizes come from folders and manifests.
#
#     Ollama      OLLAMA_MODELS or ~/.ollama/models: manifests/HOST/OWNER/NAME/TAG, JSON with the digests of blobs
#     LM Studio   ~/.lmstudio/models and ~/.cache/lm-studio/models: OWNER/REPO/FILE.gguf
#     hub         HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub: models--OWNER--REPO/snapshots/REVISION/FILE
#     llama.cpp   LLAMA_CACHE or ~/.cache/llama.cpp: FILE.gguf


_StoreName = Literal["ollama", "lmstudio", "hub", "llama.cpp"]
_MAX_FILES: Final = 20_000  # maximum number of entries read per store
_MAX_MANIFEST: Final = 1 << 20
_MODEL: Final = "application/vnd.ollama.image.model"
_PROJECTOR: Final = "application/vnd.ollama.image.projector"
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


class StoredModel(Value):
    """A model that is on this machine.

    Attributes:
        name: in its store: ``llama3.2:1b``, ``OWNER/REPO/FILE.gguf``. store: the program whose folder it is in.
        path: its file, the first part of a split one, or its folder of safetensors. size: bytes of all its files.
        projector: its image or audio projector, "" if there is none.
    """

    name: str
    store: _StoreName
    path: str
    size: int
    projector: str = ""


def stored_models(env: Mapping[str, str] | None = None, home: Path | None = None) -> tuple[StoredModel, ...]:
    """Return all models that other programs store here, by store and name. Unreadable folders are skipped."""
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
            if file.stat().st_size > _MAX_MANIFEST:
                continue
            manifest = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
        except (OSError, msgspec.DecodeError, msgspec.ValidationError, RecursionError):
            continue
        layers = manifest.get("layers")
        rows = [row for row in layers if isinstance(row, dict)] if isinstance(layers, list) else []
        models, projectors = (_blobs(root, rows, kind) for kind in (_MODEL, _PROJECTOR))
        if models:
            name = _ollama_name(file.relative_to(manifests).parts)
            size = sum(blob.stat().st_size for blob in models)
            yield StoredModel(
                name=name, store="ollama", path=str(models[0]), size=size,
                projector=str(projectors[0]) if projectors else "",
            )  # fmt: skip


def _blobs(root: Path, rows: list[dict[str, Any]], kind: str) -> list[Path]:
    digests = [_DIGEST.fullmatch(str(row.get("digest"))) for row in rows if row.get("mediaType") == kind]
    paths = [root / "blobs" / f"sha256-{digest[1]}" for digest in digests if digest is not None]
    return [path for path in paths if path.is_file()]


def _ollama_name(steps: tuple[str, ...]) -> str:
    """Return the name as ``ollama list`` shows it, without the default registry and library."""
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
        snapshots = sorted(_folders(folder / "snapshots"), key=_change_time)
        for snapshot in snapshots[-1:]:  # the newest revision
            found = list(_ggufs(snapshot, "hub", depth=3, prefix=f"{repo}/"))
            yield from found
            tensors = [file for file in _files(snapshot, depth=1) if file.suffix == ".safetensors"]
            if not found and tensors and (snapshot / "config.json").is_file():
                yield StoredModel(name=repo, store="hub", path=str(snapshot), size=sum(map(_file_size, tensors)))


def _ggufs(root: Path, store: _StoreName, *, depth: int, prefix: str = "") -> Iterator[StoredModel]:
    """Yield the models among the GGUF files below a folder, each with the projector in the same folder."""
    folders: dict[Path, list[Path]] = {}
    for file in _files(root, depth=depth):
        if file.suffix == ".gguf":
            folders.setdefault(file.parent, []).append(file)
    for folder, files in folders.items():
        projectors = [file for file in files if is_projector(file.name)]
        for file in files:
            pieces = part_names(file.name)
            if not is_model(file.name):
                continue
            part_paths = [folder / piece for piece in pieces]
            if all(piece.is_file() for piece in part_paths):
                yield StoredModel(
                    name=prefix + "/".join(file.relative_to(root).parts), store=store, path=str(file),
                    size=sum(map(_file_size, part_paths)),
                    projector=str(_projector_beside(file, projectors)) if projectors else "",
                )  # fmt: skip


def _projector_beside(file: Path, projectors: list[Path]) -> Path:
    """Return the projector whose name shares the longest prefix with the model's; the first of equals."""

    def alike(projector: Path) -> int:
        name = projector.name.lower().replace("mmproj", "").strip("-_.")
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(name, file.name.lower(), strict=False)))

    return max(sorted(projectors), key=alike)


def _files(root: Path, *, depth: int) -> Iterator[Path]:
    """Yield the files at most ``depth`` folders deep, links to files included; at most ``_MAX_FILES`` entries."""
    total = 0
    waiting = [(root, depth)]
    while waiting:
        folder, left = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            total += 1
            if total > _MAX_FILES:
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


def _file_size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _change_time(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0
