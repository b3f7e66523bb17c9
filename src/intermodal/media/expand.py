"""Replaces files that contain other files by their contents, before a request is opened.

``report.docx`` becomes a text part ``report.docx`` and image parts ``report.docx, image 1``. Attachments of a mail
become parts of their own and are expanded in turn. A TIFF of several pages becomes its pages, ``fax.tiff, page 2``: the
requested ones, otherwise the first ones. Each part records the files that contain it (``origins``), so that a privacy
label on a file holds for everything in it.
"""

from __future__ import annotations

import msgspec

from intermodal.concurrency.offload import HEAVY, is_long, offload
from intermodal.core.content import Audio, BytesSource, Document, File, Image, MediaPart, Part, Text, Video
from intermodal.core.hints import hint
from intermodal.core.request import Request
from intermodal.errors import InputBroken, InputError, InputTooLarge, UsageError
from intermodal.files.file_bytes import Data, read_whole
from intermodal.media.fetch import Fetcher, LoadedFile
from intermodal.media.media_limits import MAX_FRAMES_IN_PLAN
from intermodal.media.office.conversion_types import (
    MAX_ATTACHED,
    MAX_ATTACHMENTS,
    MAX_DEPTH,
    MAX_IMAGES,
    PLAIN,
    SVG,
    ZIP,
    EmbeddedFile,
    converted_kinds,
)
from intermodal.media.sniff import NOT_UTF_8, sniff
from intermodal.media.worker_client import MediaWorker
from intermodal.plans.numbers import with_noun

_AT_ONCE = 8
_TURN = 50  # files after which other tasks may run
_TIFF = (b"II*\0", b"MM\0*")
NO_WORDS = "(no text)"  # text of a file that contains only images or attachments


async def expand_request(request: Request, worker: MediaWorker, fetcher: Fetcher) -> Request:
    """Return the request with every document, multi-page TIFF and mail replaced by its contents.

    Returns the same object if nothing is replaced. ``fetcher`` should cache, because the remaining parts are loaded
    again when they are opened. Raises the ``InputError`` of the first part that is rejected; raises NotInstalled
    without the extra ``documents``.
    """
    import anyio

    files = await offload(is_long(request.messages), _files, request)
    if not files:
        return request
    parts_by_index: dict[int, tuple[Part, ...]] = {}
    failed: dict[int, Exception] = {}
    left = enumerate(files)

    async def take() -> None:
        """Expand files one after the other: one task per file would cost more than a small image does."""
        for number, (index, part) in left:
            try:
                loaded = await fetcher.load(part.source)
                found = await _tiff_pages(part, loaded, worker, request.policy.pages)
                found = found or await _extract_parts(part, loaded, worker)
                if found is not None:
                    parts_by_index[index] = found
            except Exception as error:
                failed[index] = error
                group.cancel_scope.cancel()
                return
            if number % _TURN == 0:  # small images take little time each, but can be many
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for _ in range(min(_AT_ONCE, len(files))):
            group.start_soon(take)
    if failed:
        raise failed[min(failed)]
    return (
        await offload(is_long(request.messages), _replace_parts, request, parts_by_index) if parts_by_index else request
    )


_FILES = (File, Image, Audio, Video, Document)


def _files(request: Request) -> list[tuple[int, MediaPart]]:
    return [(index, part) for index, _, part in request.parts() if isinstance(part, _FILES)]


def _replace_parts(request: Request, parts_by_index: dict[int, tuple[Part, ...]]) -> Request:
    index, messages = 0, []
    for message in request.messages:
        parts: list[Part] = []
        for part in message.parts:
            parts += parts_by_index.get(index, (part,))
            index += 1
        messages.append(msgspec.structs.replace(message, parts=tuple(parts)))
    return msgspec.structs.replace(request, messages=tuple(messages))


async def _tiff_pages(
    part: MediaPart, loaded: LoadedFile, worker: MediaWorker, page_numbers: tuple[int, ...]
) -> tuple[Part, ...] | None:
    """Return the pages of a multi-page TIFF as images, None for anything else."""
    if not loaded.data.startswith(_TIFF) or not isinstance(part, File | Image):
        return None
    count = (await worker.probe(loaded.data, name=loaded.name)).frames
    if count < 2:
        return None
    last = min(max(page_numbers, default=MAX_IMAGES), MAX_FRAMES_IN_PLAN)
    frames = await worker.frames(loaded.data, spread="scenes", most=last, name=loaded.name)
    pages = [page for page in frames if not page_numbers or page.number in page_numbers]
    if not pages:
        listed_numbers = ", ".join(map(str, page_numbers[:5]))
        raise UsageError(
            f"has {count} pages, none of them among {listed_numbers}", where=loaded.name, todo=hint("change {pages}")
        )
    left = sum(number <= count for number in page_numbers) if page_numbers else count
    left -= len(pages := pages[:MAX_IMAGES])
    notes = (f"{with_noun(left, 'further page')} left out: at most {MAX_IMAGES} are taken",) if left else ()
    source = part.source
    origins = (*(source.origins if isinstance(source, BytesSource) else ()), loaded.name, "image")
    return tuple(
        Image(
            source=BytesSource(
                data=page.data,
                name=f"{loaded.name}, page {page.number}",
                origins=origins,
                page=page.number,
                notes=notes if page is pages[-1] else (),
            ),
            detail=part.detail if isinstance(part, Image) else "auto",
        )
        for page in pages
    )


async def _extract_parts(part: MediaPart, loaded: LoadedFile, worker: MediaWorker) -> tuple[Part, ...] | None:
    """Return the parts of a file, None if its format is not converted."""
    source = part.source
    within = source.origins if isinstance(source, BytesSource) else ()
    media_type = await offload(len(loaded.data) > HEAVY, _media_type, loaded.data, loaded.name)
    if media_type == PLAIN and isinstance(part, File | Document):
        found = await worker.convert(loaded.data, PLAIN, name=loaded.name)
        return (Text(text=found.text, name=loaded.name, origins=within, notes=found.notes),)
    if converted_kinds(media_type) is None:
        return None
    if not isinstance(part, File | Document) and not (media_type == SVG and isinstance(part, Image)):
        declared_type = {Image: "an image", Audio: "sound", Video: "video"}[type(part)]
        raise InputBroken(
            f"was given as {declared_type} but holds a document",
            where=loaded.name,
            todo="pass it as a file or a document",
        )
    file = EmbeddedFile(data=read_whole(loaded.data, loaded.name), name=loaded.name)
    return tuple(await _Extraction(worker).file(loaded.name, file, media_type, within, 1))


def _media_type(data: Data, name: str) -> str:
    """Return the media type of a file: PLAIN for text that is not UTF-8, "" for text that needs no conversion."""
    try:
        kind, media_type = sniff(data, name)
    except InputBroken as error:
        if error.what != NOT_UTF_8:
            raise
        return PLAIN
    return "" if kind == "text" and converted_kinds(media_type) is None else media_type


class _Extraction:
    """The expansion of one file. Its limits apply to all files inside it together."""

    def __init__(self, worker: MediaWorker) -> None:
        self._worker = worker
        self._number = 0
        self._size = 0

    async def file(
        self, name: str, file: EmbeddedFile, media_type: str, within: tuple[str, ...], depth: int
    ) -> list[Part]:
        """Return the parts of a document, a web page or a mail.

        Args:
         name: how its parts are called.
         within: the files that contain it, as in ``origins``.
         depth: 1 for a file of the request.
        """
        found = await self._worker.convert(file.data, media_type, name=name)
        origins = (*within, file.name, *(converted_kinds(media_type) or ()))
        parts: list[Part] = []
        notes = list(found.notes)
        for number, picture in enumerate(found.pictures, 1):
            source = BytesSource(data=picture.data, name=f"{name}, image {number}", origins=origins)
            parts.append(Image(source=source))
        for each in found.attachments:
            try:
                parts += await self._attachment_parts(f"{name}, {each.name}", each, origins, depth)
            except InputError as error:
                what = "file" if media_type == ZIP else "attachment"
                notes.append(f"{what} {each.name} left out: it {error.what}")
        return [Text(text=found.text or NO_WORDS, name=name, origins=origins, notes=tuple(notes)), *parts]

    async def _attachment_parts(
        self, name: str, file: EmbeddedFile, origins: tuple[str, ...], depth: int
    ) -> list[Part]:
        """Return the parts of an attachment.

        It is probed now, so that a bad attachment is left out and the mail kept.
        """
        self._number += 1
        self._size += len(file.data)
        if self._number > MAX_ATTACHMENTS or self._size > MAX_ATTACHED:
            raise InputTooLarge(f"is one of more than {MAX_ATTACHMENTS}, or of more than {MAX_ATTACHED >> 20} MiB")
        media_type = _media_type(file.data, file.name)
        if media_type == PLAIN:
            found = await self._worker.convert(file.data, PLAIN, name=name)
            return [Text(text=found.text, name=name, origins=(*origins, file.name), notes=found.notes)]
        if converted_kinds(media_type) is not None:
            if depth >= MAX_DEPTH:
                raise InputTooLarge(f"lies {depth} files deep")
            return await self.file(name, file, media_type, origins, depth + 1)
        if media_type:
            await self._worker.probe(file.data, name=name)
        return [File(source=BytesSource(data=file.data, name=name, origins=(*origins, file.name)))]
