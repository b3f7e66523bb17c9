"""Opens every part of a request concurrently: each is fetched, recognised and probed, into facts and bytes."""

from __future__ import annotations

import hashlib

from intermodal.concurrency.offload import HEAVY, LONG, free_in_background, is_long, offload
from intermodal.core.content import (
    Audio,
    BytesSource,
    Document,
    File,
    Image,
    Kind,
    MediaPart,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Video,
    in_utf8,
)
from intermodal.core.request import Request
from intermodal.errors import InputBroken, InputTooLarge, InputUnsupported
from intermodal.files.file_bytes import Data, memory_size, read_whole
from intermodal.media.fetch import Fetcher, LoadedFile
from intermodal.media.sniff import read_text, sniff
from intermodal.media.text.script_counts import count_scripts
from intermodal.media.worker_client import MediaWorker
from intermodal.plans.facts import Facts, PartFacts

MAX_REQUEST_BYTES = 1 << 30  # of all parts in memory together
_AT_ONCE = 8
_FILES = (File, Image, Audio, Video, Document)
_TABLES = ("text/csv", "text/tab-separated-values")
_LONG_TABLE = 1_000  # lines above which a note states the size of the table

_TEXT_NAMES: dict[Role, str] = {
    "user": "prompt",
    "system": "system prompt",
    "assistant": "answer",
    "tool": "tool result",
}


class OpenedRequest:
    """The opened parts of a request: ``facts`` for the planner, bytes and text for the executor.

    ``inline_parts``: indices of parts whose text is in the request itself and not in a file.
    """

    def __init__(self, facts: Facts, data: tuple[Data, ...], inline_parts: frozenset[int] = frozenset()) -> None:
        self.facts = facts
        self._data = data
        self._inline_parts = inline_parts

    def data(self, index: int) -> Data:
        """Return the original bytes of a part, without loading a large file; for text in the request, its UTF-8."""
        return self._data[index]

    def text(self, index: int) -> str:
        """Return the text of a text part. Raises InputUnsupported for other parts."""
        part = self.facts.parts[index]
        if part.kind != "text":
            raise InputUnsupported(f"is {part.kind}, not text", where=part.name)
        data = read_whole(self._data[index], part.name)
        return data.decode() if index in self._inline_parts else read_text(data, part.name)


async def open_request(request: Request, worker: MediaWorker, *, fetcher: Fetcher | None = None) -> OpenedRequest:
    """Fetch, recognise and probe every part. Raises the ``InputError`` of the first part that is rejected."""
    import anyio

    fetcher = fetcher or Fetcher()
    opening = _RequestOpener()
    await offload(is_long(request.messages), opening.open_inline_parts, request)
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def open_one(index: int, part: MediaPart) -> None:
        try:
            async with limiter:
                loaded = await fetcher.load(part.source)
                opening.found[index] = await _probe_part(index, part, loaded, worker), loaded.data
        except Exception as error:
            opening.failed[index] = error
            group.cancel_scope.cancel()

    if opening.files and not opening.failed:
        async with anyio.create_task_group() as group:
            for index, part in opening.files:
                group.start_soon(open_one, index, part)
    return await offload(is_long(request.messages), opening.result)


class _RequestOpener:
    """Opens the parts of a request. Methods that visit all parts may run in a thread."""

    def __init__(self) -> None:
        self.found: list[tuple[PartFacts, Data] | None] = []
        self.failed: dict[int, Exception] = {}
        self.files: list[tuple[int, MediaPart]] = []
        self._inline_parts = set[int]()

    def open_inline_parts(self, request: Request) -> None:
        """Open parts whose content is in the request, up to the first that fails; collect the files."""
        for index, role, part in request.parts():
            self.found.append(None)
            if isinstance(part, _FILES):
                self.files.append((index, part))
                continue
            self._inline_parts.add(index)
            try:
                self.found[index] = _open_text(index, part, *_inline_text(role, part))
            except InputBroken as error:
                self.failed[index] = error
                return

    def result(self) -> OpenedRequest:
        """Return all opened parts. Raises the error of the first part that failed, or InputTooLarge."""
        if self.failed:
            raise self.failed[min(self.failed)]
        found, self.found = [pair for pair in self.found if pair is not None], []
        if sum(memory_size(data) for _, data in found) > MAX_REQUEST_BYTES:
            raise InputTooLarge(
                f"the parts are larger than {MAX_REQUEST_BYTES >> 20} MiB together",
                todo="ask about fewer files at once",
            )
        facts = Facts(parts=unique_names([facts for facts, _ in found]))
        data = tuple(data for _, data in found)
        free_in_background(data)
        free_in_background(facts)
        return OpenedRequest(facts, data, frozenset(self._inline_parts))


def _open_text(index: int, part: Part, name: str, words: str) -> tuple[PartFacts, Data]:
    data = in_utf8(words, name)
    facts = PartFacts(
        index=index,
        name=name,
        kind="text",
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
        chars=len(words),
        scripts=count_scripts(words),
        origins=origins_of(part),
        notes=part.notes if isinstance(part, Text) else (),
    )
    return facts, data


def origins_of(part: Part) -> tuple[str, ...]:
    """Return the names and kinds of the files that a part was extracted from."""
    if isinstance(part, Text):
        return part.origins
    source = getattr(part, "source", None)
    return source.origins if isinstance(source, BytesSource) else ()


async def sniff_loaded(data: Data, name: str) -> tuple[Kind, str]:
    """Return kind and media type of a file by its bytes (``sniff``), in a thread for a large file."""
    return await offload(len(data) > HEAVY, sniff, data, name)


async def _probe_part(index: int, part: MediaPart, loaded: LoadedFile, worker: MediaWorker) -> PartFacts:
    kind, media_type = await sniff_loaded(loaded.data, loaded.name)
    _check_declared(part, kind, loaded.name)
    common = PartFacts(
        index=index,
        name=loaded.name,
        kind=kind,
        media_type=media_type,
        digest=loaded.digest,
        size=len(loaded.data),
        origins=origins_of(part),
        page=part.source.page if isinstance(part.source, BytesSource) else 0,
        notes=part.source.notes if isinstance(part.source, BytesSource) else (),
    )
    import msgspec

    if kind == "text":
        words = read_text(loaded.data, loaded.name)
        return msgspec.structs.replace(
            common,
            chars=len(words),
            scripts=await offload(len(words) > LONG, count_scripts, words),
            notes=(*common.notes, *_long_table(words, media_type)),
        )
    result = await worker.probe(loaded.data, name=loaded.name)
    probed_fields = {name: getattr(result, name) for name in result.__struct_fields__}
    if not result.kind:  # the type detected by ``sniff`` is kept
        del probed_fields["kind"], probed_fields["media_type"]
    probed_fields["notes"] = (*common.notes, *result.notes)
    return msgspec.structs.replace(common, **probed_fields)


def _long_table(words: str, media_type: str) -> tuple[str, ...]:
    lines = words.count("\n") if media_type in _TABLES else 0
    return (f"a table of {lines:,} lines, {len(words):,} characters, taken whole",) if lines > _LONG_TABLE else ()


def _check_declared(part: Part, kind: Kind, name: str) -> None:
    """Raise InputBroken if text was declared as an image, audio or video. Documents may be text, and files anything."""
    if kind == "text" and isinstance(part, Image | Audio | Video):
        declared = "an image" if isinstance(part, Image) else "sound" if isinstance(part, Audio) else "video"
        raise InputBroken(f"was given as {declared} but holds text", where=name, todo="pass it as a file or a document")


def _inline_text(role: Role, part: Part) -> tuple[str, str]:
    """Return name and text of a part whose content is in the request."""
    match part:
        case Text(text=text, name=name):
            return name or _TEXT_NAMES[role], text
        case ToolCall(name=name, arguments=arguments):
            return f"call of {name}", arguments
        case ToolResult(text=text):
            return "tool result", text
        case Reasoning(text=text):
            return "reasoning", text
        case Refusal(text=text):
            return "refusal", text
        case Opaque(body=body):
            return "provider block", body
    raise InputUnsupported("is a part of an unknown kind")


def unique_names(parts: list[PartFacts]) -> tuple[PartFacts, ...]:
    """Return the parts with unique names: the second part of a name becomes "name (2)"."""
    import msgspec

    used_names: set[str] = set()
    counts: dict[str, int] = {}  # last number used for each name: thousands of parts may share one
    renamed = []
    for part in parts:
        name, count = part.name, counts.get(part.name, 1)
        while name in used_names:
            count += 1
            name = f"{part.name} ({count})"
        used_names.add(name)
        counts[part.name] = count
        if name != part.name:  # a label on the shared name applies to both
            shared = () if part.name in part.origins else (part.name,)
            part = msgspec.structs.replace(part, name=name, origins=(*part.origins, *shared))
        renamed.append(part)
    return tuple(renamed)
