"""Finds the images nearest to words or to an image, by the embeddings of a contrastive model.

Each image is decoded and embedded once; decoders and the model run concurrently. Embeddings are stored immediately, so
that an interrupted search resumes where it stopped. Only images in progress are in memory.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

import anyio
import anyio.to_thread
from msgspec.structs import replace

from intermodal import errors
from intermodal.catalog.model_folders import is_model_folder
from intermodal.core.content import PathSource, Value, in_utf8
from intermodal.errors import InputBroken, InputEmpty, InputMissing, UsageError
from intermodal.executor.outputs.captions import caption
from intermodal.local.embedded.versions import converter_version
from intermodal.media.file_endings import IMAGE_ENDINGS, ending_of
from intermodal.media.media_limits import CONTRASTIVE_SIDE
from intermodal.plans.numbers import with_noun
from intermodal.retrieval.ready_models import ready_endpoints, tier_strength
from intermodal.store.image_vectors import FileStamp, ImageVectors, IndexedFile, pack_vector

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectSendStream

    from intermodal.catalog.types import Catalog, Endpoint
    from intermodal.executor.dependencies import LocalRuntimesLike
    from intermodal.media.fetch import LoadedFile
    from intermodal.media.worker_client import MediaWorker

_NUMBER: Final = 2  # version of the embedding code; raise it when a change alters the embedding of an image
WAITING: Final = 4  # decoded images queued for the model
MOST: Final = 200_000  # images per search
_NUMPY_PAYS: Final = 30 << 20  # bytes of embeddings; importing numpy (80 ms) does not pay off for fewer
_USUAL: Final = "clip-vit-base-patch32"  # weights suggested to users who have none

Progress = Callable[[int, int, str], None]  # images embedded, images to embed, the file


class FoundImage(Value):
    """An image near the query. ``score``: the cosine, -1 to 1; higher is nearer."""

    file: str
    score: float


class SkippedFile(Value):
    """A file that was not searched, and the reason."""

    file: str
    why: str


class FindResult(Value):
    """The images nearest to a query.

    Attributes:
        query: the words, or the path of the image. by: "words" or "picture".
        endpoint: the model whose embeddings were compared.
        nearest: nearest first. pictures: number of images compared.
        looked_at: number of images embedded in this search; the others were already in the index.
        left_out: files that could not be searched. cut: whether the query exceeds the model's context.
    """

    query: str
    by: str
    endpoint: str
    nearest: tuple[FoundImage, ...] = ()
    pictures: int = 0
    looked_at: int = 0
    left_out: tuple[SkippedFile, ...] = ()
    cut: bool = False


def contrastive_endpoint(catalog: Catalog, name: str = "") -> Endpoint:
    """Return the contrastive model: the named one, else the strongest that is ready.

    Raises NoRoute if none is ready, UsageError if the named model is of another kind.
    """
    able = ready_endpoints(
        catalog, name, lambda each: each.model.matches_images, unable="has no vectors for images and words",
        kind="a contrastive model", none="no contrastive model is here to find images with", usual=_USUAL,
    )  # fmt: skip
    return max(able, key=lambda each: (tier_strength(each), each.memory.mid, each.id))


class _LookUp(NamedTuple):
    """A search before the model runs: the images with their stamps, and the digests of embedded ones by path."""

    query: str
    paths: tuple[str | Path, ...]
    top: int
    picture: str
    stamps: dict[str, FileStamp]
    files: list[IndexedFile]
    stored_digests: set[str]
    digests: dict[str, str]


class ImageFinder:
    """Finds images with one model.

    ``media`` and ``runtimes`` return the decoder and the model runtimes; a search with neither a new image nor a new
    query does not call them. ``sums``: returns the checksum of weights in the store, which is part of the cache key.
    """

    def __init__(
        self, endpoint: Endpoint, vectors: ImageVectors, media: Callable[[], MediaWorker],
        runtimes: Callable[[], LocalRuntimesLike],
        *, sums: Callable[[str], str],
    ) -> None:  # fmt: skip
        self._endpoint = endpoint
        self._vectors = vectors
        self._media = media
        self._runtimes = runtimes
        self._model = _key(endpoint, sums)
        self._looked_up: _LookUp | None = None

    def find_known(self, query: str, paths: Sequence[str | Path], *, top: int = 10) -> FindResult | None:
        """Return the result of ``find`` if all embeddings, including the query's, are in the index; None otherwise.

        Needs no event loop, whose import takes longer than a search among thousands of images. ``find`` reuses the
        lookup.
        """
        look_up = self._looked_up = self._look_up(query, paths, top)
        if look_up.picture or len(look_up.digests) < len(look_up.stamps):
            return None
        query_vector = self._vectors.vector(self._model, _words_digest(caption(query)))
        return None if query_vector is None else self._build_result(look_up, query_vector, look_up.digests)

    async def find(
        self, query: str, paths: Sequence[str | Path], *, top: int = 10, progress: Progress | None = None
    ) -> FindResult:
        """Return the ``top`` images nearest to the query, which is an image if it names a file, and words otherwise."""
        look_up, self._looked_up = self._looked_up, None
        if look_up is None or (look_up.query, look_up.paths, look_up.top) != (query, tuple(paths), top):
            look_up = await anyio.to_thread.run_sync(self._look_up, query, paths, top)
        digests, left_out, looked_at = await self._update_index(look_up, progress)
        if left_out and not digests:
            raise _no_image_error(left_out)
        if look_up.picture:
            query_vector, cut = await self._of_image(look_up.picture), False
            digests.pop(look_up.picture, None)
        else:
            query_vector, cut = await self._of_words(query)
        found = await anyio.to_thread.run_sync(self._build_result, look_up, query_vector, digests)
        return replace(found, looked_at=looked_at, left_out=tuple(left_out), cut=cut)

    def _look_up(self, query: str, paths: Sequence[str | Path], top: int) -> _LookUp:
        """Check the query, list the images, and return which of them are already embedded."""
        if not query.strip():
            raise errors.UsageError(
                "there is nothing to look for", todo='say it in words: intermodal find "a dog" FOLDER'
            )
        if top < 1:
            raise errors.UsageError(f"{top} images cannot be asked for", where="top", todo="ask for 1 or more")
        picture = _image_query_path(query)
        if not picture:
            in_utf8(query, "query")
        stamps = list_images(paths)
        files, stored_digests = self._vectors.files(), self._vectors.stored_digests(self._model)
        digests = {
            path: digest
            for path, size, modified, digest in files
            if digest in stored_digests and stamps.get(path) == (size, modified)
        }
        return _LookUp(query, tuple(paths), top, picture, stamps, files, stored_digests, digests)

    def _build_result(self, look_up: _LookUp, query_vector: bytes, digests: Mapping[str, str]) -> FindResult:
        """Return the comparison result, and remove deleted files from the index.

        Files are removed only now, so that a moved file keeps its embedding.
        """
        self._forget_missing(look_up.paths, look_up.stamps, look_up.files)
        nearest, compared_count = self._nearest_images(query_vector, digests, look_up.top)
        return FindResult(
            query=look_up.query, by="picture" if look_up.picture else "words", endpoint=self._endpoint.id,
            nearest=nearest, pictures=compared_count,
        )  # fmt: skip

    def close(self) -> None:
        """Close the index. It reopens when needed."""
        self._vectors.close()

    async def thumbnail(self, file: str, side: int) -> tuple[bytes, str]:
        """Return a small PNG of an image, without metadata."""
        loaded = await _load(file)
        thumbnail_data = await self._media().picture(loaded.data, max_side=side, name=loaded.name)
        return thumbnail_data.data, thumbnail_data.media_type

    # ---- the index ------------------------------------------------------------------------------

    def _forget_missing(
        self, paths: Sequence[str | Path], stamps: Mapping[str, FileStamp], files: Iterable[IndexedFile]
    ) -> None:
        """Remove index entries of files in these folders that no longer exist."""
        folders = tuple(f"{canonical_path(Path(path).expanduser())}{os.sep}" for path in paths)
        missing = [path for path, *_ in files if path not in stamps and path.startswith(folders)]
        self._vectors.remove_files(path for path in missing if not os.path.lexists(path))

    async def _update_index(
        self, look_up: _LookUp, progress: Progress | None
    ) -> tuple[dict[str, str], list[SkippedFile], int]:
        """Return the digests of all embedded files, the files that were skipped, and the number embedded now."""
        stamps, stored_digests, digests = look_up.stamps, look_up.stored_digests, look_up.digests
        if len(digests) == len(stamps):
            return digests, [], 0
        todo = [path for path in stamps if path not in digests]
        left_out: list[SkippedFile] = []
        number = looked_at = 0
        waiting = iter(todo)
        send, receive = anyio.create_memory_object_stream[tuple[str, str, bytes]](WAITING)

        async def decode(out: MemoryObjectSendStream[tuple[str, str, bytes]]) -> None:
            async with out:
                for path in waiting:
                    try:
                        digest, data = await self._decode(path, stored_digests)
                    except (errors.InputError, errors.NotInstalled) as error:  # its own fault, or one of its kind
                        left_out.append(SkippedFile(file=path, why=_skip_reason(error)))
                        digest, data = "", b""
                    try:
                        await out.send((path, digest, data))
                    except anyio.BrokenResourceError:  # the model failed, which is reported
                        return

        async def look() -> None:
            nonlocal number, looked_at
            async with receive:
                async for path, digest, data in receive:
                    number += 1
                    if progress is not None:
                        progress(number, len(todo), path)
                    if not digest:
                        continue
                    if digest not in stored_digests:
                        await self._embed(digest, data)
                        stored_digests.add(digest)
                        looked_at += 1
                    await anyio.to_thread.run_sync(self._vectors.record_files, [(path, stamps[path], digest)])
                    digests[path] = digest

        from intermodal.executor.concurrency import run_all  # the executor is only imported where something is embedded

        await run_all([partial(decode, send.clone()), partial(decode, send), look])
        return digests, sorted(left_out, key=lambda each: each.file), looked_at

    async def _decode(self, path: str, stored_digests: set[str]) -> tuple[str, bytes]:
        """Return digest and pixels of a file; no pixels if its embedding is already stored under another name."""
        loaded = await _load(path)
        if loaded.digest in stored_digests:
            return loaded.digest, b""
        return loaded.digest, await self._thumbnail(loaded)

    async def _thumbnail(self, loaded: LoadedFile) -> bytes:
        picture = await self._media().picture(loaded.data, min_side=CONTRASTIVE_SIDE, name=loaded.name)
        return picture.data

    async def _embed(self, digest: str, picture: bytes) -> bytes:
        """Return the model's embedding of an image, and store it."""
        embedded = await self._runtimes().embed_image(self._endpoint, picture)
        return await self._store_vector(digest, embedded.vectors[0])

    # ---- the query --------------------------------------------------------------------------------

    async def _of_words(self, words: str) -> tuple[bytes, bool]:
        """Return the embedding of words as a caption, and whether they were truncated."""
        text = caption(words)
        digest = _words_digest(text)
        stored = await self._cached_vector(digest)
        if stored is not None:
            return stored, False
        found = await self._runtimes().embed_texts_contrastive(self._endpoint, (text,))
        if found.cut:  # not cached, so that every search reports the truncation
            return pack_vector(found.vectors[0]), True
        return await self._store_vector(digest, found.vectors[0]), False

    async def _of_image(self, path: str) -> bytes:
        loaded = await _load(path)
        stored = await self._cached_vector(loaded.digest)
        return stored if stored is not None else await self._embed(loaded.digest, await self._thumbnail(loaded))

    async def _cached_vector(self, digest: str) -> bytes | None:
        return await anyio.to_thread.run_sync(self._vectors.vector, self._model, digest)

    async def _store_vector(self, digest: str, vector: Sequence[float]) -> bytes:
        return await anyio.to_thread.run_sync(self._vectors.store, self._model, digest, vector)

    def _nearest_images(
        self, query_vector: bytes, digests: Mapping[str, str], top: int
    ) -> tuple[tuple[FoundImage, ...], int]:
        """Return the nearest images, and the number compared.

        Embeddings of another length than the query's are skipped.
        """
        scores: dict[str, float] = {}
        compare = _comparison(query_vector, len(digests))
        for some in self._vectors.vectors_of(self._model, set(digests.values())):
            fit = [(digest, vector) for digest, vector in some if len(vector) == len(query_vector)]
            scores.update(zip((digest for digest, _ in fit), compare([vector for _, vector in fit]), strict=True))
        ranked = [(-scores[digest], path) for path, digest in digests.items() if digest in scores]
        best = heapq.nsmallest(top, ranked)
        return tuple(FoundImage(file=path, score=round(-distance, 6)) for distance, path in best), len(ranked)


def _comparison(query_vector: bytes, count: int) -> Callable[[Sequence[bytes]], Sequence[float]]:
    """Return a function from packed unit vectors to their cosines with the query's.

    For few vectors the distance is computed in Python, which is faster than importing numpy.
    """
    if count * len(query_vector) < _NUMPY_PAYS:
        unpack = Struct(f"{len(query_vector) // 4}f").unpack
        query = unpack(query_vector)
        return lambda vectors: [1 - math.dist(query, unpack(vector)) ** 2 / 2 for vector in vectors]
    import numpy

    row = numpy.frombuffer(query_vector, dtype="float32")
    return lambda vectors: (numpy.frombuffer(b"".join(vectors), dtype="float32").reshape(-1, row.size) @ row).tolist()


def _no_image_error(left_out: Sequence[SkippedFile]) -> InputBroken:
    """Return the error of a search in which every image was skipped, with the reason of the first."""
    first, more = left_out[0], len(left_out) - 1
    others = f", and {with_noun(more, 'other image')} cannot be taken either" if more else ""
    return InputBroken(f"{first.why}{others}", where=first.file)


def _words_digest(text: str) -> str:
    return f"words {hashlib.sha256(text.encode()).hexdigest()}"


async def _load(path: str) -> LoadedFile:
    from intermodal.media import fetch  # a search among known images opens none

    return await fetch.load(PathSource(path=path))


def _skip_reason(error: errors.IntermodalError) -> str:
    wording = error.wording_for("command line")
    return f"{wording.what} ({wording.todo})" if wording.todo else wording.what


def _image_query_path(query: str) -> str:
    """Return the path of the file that a query names; "" if the query is words."""
    try:
        path = Path(query).expanduser()
        return canonical_path(path) if path.is_file() else ""
    except (OSError, ValueError, RuntimeError):  # too long, or with characters that paths cannot contain
        return ""


def _key(endpoint: Endpoint, sums: Callable[[str], str]) -> str:
    """Return the cache key of embeddings: the model's files, and the version of the image preprocessing."""
    weights: object = sums(endpoint.weights) if not is_model_folder(endpoint.weights) else _files(endpoint.weights)
    parts = f"{endpoint.id}\n{weights}\n{_NUMBER}\n{converter_version('image')}"
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


def _files(folder: str) -> list[tuple[str, int, int]]:
    """Return name, size and time of the files in a model folder, to detect changes."""
    root = Path(folder).expanduser()
    found = []
    for path in sorted((*root.glob("*.onnx"), *root.glob("onnx/*.onnx"), *root.glob("*.json"))):
        stat = path.stat()
        found.append((path.name, stat.st_size, stat.st_mtime_ns))
    return found


def list_images(paths: Iterable[str | Path]) -> dict[str, FileStamp]:
    """Return the image files with their stamps, in a fixed order. Hidden files and folders are skipped unless named.

    Raises InputMissing if a path does not exist, InputEmpty if there are no images.
    """
    found: dict[str, FileStamp] = {}
    for location in paths:
        path = Path(location).expanduser()
        if path.is_dir():
            _collect_stamps(path, found)
            continue
        try:
            stat = path.stat()
        except OSError as error:
            raise InputMissing(
                f"cannot be read ({(error.strerror or 'unreadable').lower()})", where=str(location)
            ) from None
        found[canonical_path(path)] = (stat.st_size, stat.st_mtime_ns)
    if not found:
        raise InputEmpty("holds no images", where=", ".join(map(str, paths)), todo="name a folder with images")
    return found


def canonical_path(path: Path) -> str:
    """Return one absolute path per file or folder, without ``..``, however it was named.

    Links are resolved only if ``..`` on a path with links leads elsewhere than the text suggests.
    """
    plain = os.path.abspath(path)
    try:
        same = os.path.samefile(plain, path)
    except OSError:
        same = False
    return plain if same else os.path.realpath(path)


def _collect_stamps(folder: Path, stamps: dict[str, FileStamp]) -> None:
    waiting = [canonical_path(folder)]
    while waiting:
        entries = _entries(waiting.pop())
        folders: list[str] = []
        for entry in entries:
            # A linked folder may lead back here, so links to folders are not followed.
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
                continue
            # In folders, images are recognised by extension; files named explicitly are accepted with any name.
            if ending_of(entry.name) not in IMAGE_ENDINGS:
                continue
            try:
                stat = entry.stat()
            except OSError:  # a dangling link, or deleted meanwhile
                continue
            if not entry.is_symlink() or not entry.is_dir():
                stamps[entry.path] = (stat.st_size, stat.st_mtime_ns)
        if len(stamps) > MOST:
            raise UsageError(
                f"there are more than {MOST:,} images below it", where=str(folder), todo="name a smaller folder"
            )
        waiting += reversed(folders)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder that are not hidden, by name; [] if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((each for each in entries if not each.name.startswith(".")), key=lambda each: each.name)
    except OSError:
        return []


__all__ = ["ImageFinder", "FindResult", "SkippedFile", "FoundImage", "Progress", "contrastive_endpoint"]
