"""Plans, requests and derived files that the command line reads and writes atomically."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from intermodal.cli.arguments.output_files import same_file
from intermodal.content import Audio, Document, File, Image, Part, PathSource, Video
from intermodal.errors import InputBroken, InputMissing, UsageError
from intermodal.events import Derived
from intermodal.files.file_lock import file_mode, replace_file
from intermodal.protocols.openai_media.subtitles import subtitles
from intermodal.request import Request

MAX_JSON = 1 << 30  # bytes; a saved plan carries the bytes that came through standard input


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write beside the target and rename. Raises UsageError naming the path when that cannot be done.

    A new file may be read by whom the umask lets, as any that a program makes; a ``private`` one by its owner alone.
    One that is replaced keeps its mode.
    """
    target = path.resolve() if path.is_symlink() else path
    try:
        replace_file(target, data, mode=file_mode(target, private=private))
    except OSError as error:
        raise UsageError(
            f"cannot be written ({_reason(error)})", where=str(path), todo="check the folder and its permissions"
        ) from None


def write_json(path: Path, value: Any) -> None:
    """A noun as JSON. The file is its owner's only: it may hold what was asked."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise UsageError("a file name here is not text, so it cannot be saved", todo="rename that file") from None
    write_atomically(path, msgspec.json.format(encoded, indent=1) + b"\n", private=True)


def load_json(path: Path, cls: type[Any], version: int, *, what: str, todo: str) -> Any:
    """A noun from its file. Raises InputMissing, or InputBroken for another version or something else."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise InputBroken(f"is too large to hold {what}", where=str(path), todo=todo)
        value = msgspec.json.decode(path.read_bytes(), type=cls)
    except OSError as error:
        raise InputMissing(f"cannot be read ({_reason(error)})", where=str(path), todo=todo) from None
    except msgspec.DecodeError as error:
        raise InputBroken(f"does not hold {what} ({error})", where=str(path), todo=todo) from None
    if value.version != version:
        raise InputBroken(f"holds {what} of version {value.version}, not {version}", where=str(path), todo=todo)
    return value


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def with_absolute_paths(request: Request) -> Request:
    """The request with absolute paths, so that a plan saved here runs from any folder."""

    def moved(part: Part) -> Part:
        if isinstance(part, File | Image | Audio | Video | Document) and isinstance(part.source, PathSource):
            source = PathSource(path=os.path.abspath(part.source.path))
            return msgspec.structs.replace(part, source=source)
        return part

    messages = tuple(
        msgspec.structs.replace(message, parts=tuple(map(moved, message.parts))) for message in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)


def save_derived(folder: Path, derived: tuple[Derived, ...], inputs: Iterable[str] = ()) -> list[Path]:
    """Write what conversions made into ``folder``, named after the parts they came from.

    Text as ``.txt``; a transcript also as ``.srt`` and, with its times, ``.json``; read lines also as ``.json``
    with their boxes. Files of the same names are replaced, but none of ``inputs``, the paths that the request was made
    of: what would fall on one of them gets a number. Nothing outside the folder is touched.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot be made ({_reason(error)})", where=str(folder), todo="name a folder of yours"
        ) from None
    written: list[Path] = []
    taken: set[str] = set()
    read = list(inputs)
    for item in derived:
        stem = re.sub(r"[^\w.-]+", "_", Path(item.name).name).strip("._")[:100] or "part"
        contents = _contents(item)

        def free(base: str, suffixes: tuple[str, ...] = tuple(suffix for suffix, _ in contents)) -> bool:
            paths = [str(folder / f"{base}.{suffix}") for suffix in suffixes]
            return base not in taken and not any(same_file(path, each) for path in paths for each in read)

        base, number = f"{stem}.{item.op}", 2
        while not free(base):
            base, number = f"{stem}.{item.op}.{number}", number + 1
        taken.add(base)
        for suffix, data in contents:
            written.append(folder / f"{base}.{suffix}")
            write_atomically(written[-1], data)
    return written


def _contents(item: Derived) -> list[tuple[str, bytes]]:
    """Suffix and bytes of each file a derived item becomes."""
    from intermodal.local.embedded.ocr_layout import lines_to_text

    text = item.text or (item.transcript.text if item.transcript is not None else lines_to_text(item.lines))
    files = [("txt", text.encode("utf-8", "replace") + b"\n")]
    if item.transcript is not None:
        files.append(("srt", subtitles(item.transcript, "srt").encode("utf-8", "replace")))
        files.append(("json", msgspec.json.format(msgspec.json.encode(item.transcript), indent=2) + b"\n"))
    if item.lines:
        files.append(("json", msgspec.json.format(msgspec.json.encode(item.lines), indent=2) + b"\n"))
    return files
