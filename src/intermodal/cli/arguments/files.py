"""Files that verbs read and write, all checked before anything runs: plans, requests, derived files, pictures.

A target is refused if it is an input of the same request, the target of another option, not writable, or an existing
file of another kind than the one to be written: a typing mistake must not destroy anybody's file. All files are written
atomically.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec

from intermodal.core.content import Audio, Document, File, Image, Part, PathSource, Video
from intermodal.core.request import Request
from intermodal.errors import InputBroken, InputMissing, UsageError
from intermodal.events import Derived
from intermodal.files.atomic_file import file_mode, replace_file
from intermodal.protocols.openai_media.transcription import subtitles

if TYPE_CHECKING:
    from intermodal.events import Result
    from intermodal.plans.plan import Plan

_HEAD = 4096  # bytes of an existing file that are read to recognise its kind
_BLANK = b"\xef\xbb\xbf \r\n\t"


class FileFormat(NamedTuple):
    """A kind of file that verbs write.

    ``description`` completes a sentence after "is not"; ``begins`` matches the start of such a file, after any blanks.
    ``makes_folder``: a missing folder is created. ``streams``: "-" stands for standard output.
    """

    description: str
    begins: re.Pattern[bytes]
    makes_folder: bool = False
    streams: bool = True


FILE_FORMATS: Mapping[str, FileFormat] = {
    "svg": FileFormat("an SVG picture", re.compile(rb"(<[?!][^>]*>\s*)*<svg", re.I)),
    "html": FileFormat("an HTML page", re.compile(rb"<!doctype html|<html", re.I), streams=False),
    "plan": FileFormat("a saved plan", re.compile(rb"\{\s*\"plan\"\s*:\s*\{\s*\"id\"")),
    "journal": FileFormat(
        "a journal of an evaluation", re.compile(rb"\{\"item\":\""), makes_folder=True, streams=False
    ),
    "wav": FileFormat("a WAV file", re.compile(rb"RIFF....WAVE", re.S)),
    "png": FileFormat("a PNG image", re.compile(rb"\x89PNG")),
    "jpeg": FileFormat("a JPEG image", re.compile(rb"\xff\xd8\xff")),
    "webp": FileFormat("a WebP image", re.compile(rb"RIFF....WEBP", re.S)),
    "mp3": FileFormat("an MP3 file", re.compile(rb"ID3|\xff[\xe2-\xff]")),
}


class OutputFile(NamedTuple):
    """A file that an option names.

    ``option`` is the option as the user writes it; ``path`` is its value, None or "" if it was not given; ``kind`` is a
    key of ``FILE_FORMATS``.
    """

    option: str
    path: str | None
    kind: str


def check_output_files(targets: Iterable[OutputFile], inputs: Iterable[str]) -> None:
    """Raise UsageError for the first target that must not or cannot be written. ``inputs`` are the paths that are read.

    "-" stands for standard output, if the format can be written there.
    """
    read = list(inputs)
    before: list[tuple[str, str]] = []
    for option, path, kind in targets:
        if path == "-" and not FILE_FORMATS[kind].streams:
            raise UsageError(
                f"{FILE_FORMATS[kind].description} is not written to standard output", where=option, todo="name a file"
            )
        if not path or path == "-":
            continue
        for other_option, other_path in before:
            if same_file(path, other_path):
                raise UsageError(
                    f"{other_option} and {option} write the same file", where=path, todo="give each its own"
                )
        if any(same_file(path, each) for each in read):
            raise UsageError(
                f"is an input of this request, and {option} would write over it", where=path, todo="name another file"
            )
        _check(option, path, FILE_FORMATS[kind])
        before.append((option, path))


def check_standard_output(picture: str | None, *, as_json: bool) -> None:
    """Raise UsageError if both the picture of ``--svg`` and a JSON document would go to standard output."""
    if picture == "-" and as_json:
        raise UsageError("standard output takes one thing", where="--svg -", todo="leave --json out, or name a file")


def same_file(first: str, second: str) -> bool:
    """Return whether two paths lead to the same file, with links followed."""
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):
        return os.path.realpath(first) == os.path.realpath(second) if "\0" not in first + second else False


def _check(option: str, where: str, kind: FileFormat) -> None:
    path, todo = Path(where), "name a file that may be written"
    try:
        existing = path.stat()
    except FileNotFoundError:
        existing = None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be written ({_reason(error)})", where=where, todo=todo) from None
    try:
        if existing is not None:
            if not stat.S_ISREG(existing.st_mode):
                raise UsageError("is not a file", where=where, todo=todo)
            with path.open("rb") as file:
                begins = file.read(_HEAD).lstrip(_BLANK)
            if begins and not kind.begins.match(begins):
                raise UsageError(
                    f"is there already and is not {kind.description}", where=where, todo=f"name a new file for {option}"
                )
        folder = (path.resolve() if path.is_symlink() else path).parent
        if kind.makes_folder and not folder.exists():
            return
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"cannot be written ({_reason(error)})", where=where, todo=todo) from None


def _reason(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or "not a path").lower()


def file_paths(request: Request) -> Iterator[str]:
    """Yield the files that a request names by path."""
    for _, _, part in request.parts():
        if isinstance(part, File | Image | Audio | Video | Document) and isinstance(part.source, PathSource):
            yield part.source.path


# ---- reading and writing ----------------------------------------------------------------------------


MAX_JSON = 1 << 30  # bytes; a saved plan contains the bytes that came through standard input


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write a file beside the target and rename it, so that the target is written as a whole or not at all.

    A new file gets the mode of the umask, and a ``private`` one can be read by its owner alone; a replaced file keeps
    its mode. Raises UsageError with the path if the file cannot be written.
    """
    target = path.resolve() if path.is_symlink() else path
    try:
        replace_file(target, data, mode=file_mode(target, private=private))
    except OSError as error:
        raise UsageError(
            f"cannot be written ({_os_reason(error)})", where=str(path), todo="check the folder and its permissions"
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON that only its owner can read, since it may contain the request."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise UsageError("a file name here is not text, so it cannot be saved", todo="rename that file") from None
    write_atomically(path, msgspec.json.format(encoded, indent=1) + b"\n", private=True)


def load_json(path: Path, cls: type[Any], version: int, *, what: str, todo: str) -> Any:
    """Read a value from its file. Raises InputMissing, or InputBroken for another version or other contents."""
    try:
        if path.stat().st_size > MAX_JSON:
            raise InputBroken(f"is too large to hold {what}", where=str(path), todo=todo)
        value = msgspec.json.decode(path.read_bytes(), type=cls)
    except OSError as error:
        raise InputMissing(f"cannot be read ({_os_reason(error)})", where=str(path), todo=todo) from None
    except msgspec.DecodeError as error:
        raise InputBroken(f"does not hold {what} ({error})", where=str(path), todo=todo) from None
    if value.version != version:
        raise InputBroken(f"holds {what} of version {value.version}, not {version}", where=str(path), todo=todo)
    return value


def _os_reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def with_absolute_paths(request: Request) -> Request:
    """Return the request with absolute paths, so that a plan that is saved here can run from any folder."""

    def with_absolute_path(part: Part) -> Part:
        if isinstance(part, File | Image | Audio | Video | Document) and isinstance(part.source, PathSource):
            source = PathSource(path=os.path.abspath(part.source.path))
            return msgspec.structs.replace(part, source=source)
        return part

    messages = tuple(
        msgspec.structs.replace(message, parts=tuple(map(with_absolute_path, message.parts)))
        for message in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)


def save_derived(folder: Path, derived: tuple[Derived, ...], inputs: Iterable[str] = ()) -> list[Path]:
    """Write the results of conversions into ``folder``, named after the parts that they came from.

    Text is written as ``.txt``; a transcript also as ``.srt`` and, with its times, as ``.json``; lines that were read
    also as ``.json`` with their boxes. Files with the same names are replaced, except the ``inputs``, the paths of
    which the request consists: a file that would replace one of them gets a number. Nothing outside the folder is
    changed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot be made ({_os_reason(error)})", where=str(folder), todo="name a folder of yours"
        ) from None
    saved_paths: list[Path] = []
    used_names: set[str] = set()
    read = list(inputs)
    for item in derived:
        stem = re.sub(r"[^\w.-]+", "_", Path(item.name).name).strip("._")[:100] or "part"
        contents = _encoded_files(item)

        def free(base: str, suffixes: tuple[str, ...] = tuple(suffix for suffix, _ in contents)) -> bool:
            paths = [str(folder / f"{base}.{suffix}") for suffix in suffixes]
            return base not in used_names and not any(same_file(path, each) for path in paths for each in read)

        base, number = f"{stem}.{item.op}", 2
        while not free(base):
            base, number = f"{stem}.{item.op}.{number}", number + 1
        used_names.add(base)
        for suffix, data in contents:
            saved_paths.append(folder / f"{base}.{suffix}")
            write_atomically(saved_paths[-1], data)
    return saved_paths


def _encoded_files(item: Derived) -> list[tuple[str, bytes]]:
    """Return the suffix and the bytes of each file that is written for a derived item."""
    from intermodal.local.embedded.ocr_layout import lines_to_text

    text = item.text or (item.transcript.text if item.transcript is not None else lines_to_text(item.lines))
    files = [("txt", text.encode("utf-8", "replace") + b"\n")]
    if item.transcript is not None:
        files.append(("srt", subtitles(item.transcript, "srt").encode("utf-8", "replace")))
        files.append(("json", msgspec.json.format(msgspec.json.encode(item.transcript), indent=2) + b"\n"))
    if item.lines:
        files.append(("json", msgspec.json.format(msgspec.json.encode(item.lines), indent=2) + b"\n"))
    return files


# ---- pictures ---------------------------------------------------------------------------------------


WIDEST = 140  # the most columns of a timeline, even if the terminal has more
PIPED = 116  # columns for a pipe, and where the width is unknown, as in EXPLAIN


def write_picture(target: str, picture: str, *, quiet: bool = False) -> None:
    """Write a picture to its file, or to standard output for "-"."""
    from intermodal.cli.arguments.files import write_atomically

    if target == "-":
        sys.stdout.buffer.write(picture.encode("utf-8"))
        sys.stdout.buffer.flush()
        return
    write_atomically(Path(target), picture.encode("utf-8"))
    if not quiet:
        click.echo(f"wrote {target}", err=True)


def timeline_svg(plan: Plan, result: Result) -> str:
    """Return the estimated and the actual times on one time axis, as SVG."""
    from intermodal.plans import timeline_svg as plans_timeline_svg
    from intermodal.plans.timeline import timeline

    return plans_timeline_svg.svg(plan, timeline(plan, result))


def timeline_text(plan: Plan, result: Result) -> str:
    """Return the same timeline as text, as wide as the terminal on standard error."""
    from intermodal.plans.timeline import BLOCKS, timeline, timeline_as_text

    columns = min(shutil.get_terminal_size().columns - 1, WIDEST) if sys.stderr.isatty() else PIPED
    try:
        "".join(BLOCKS).encode(sys.stderr.encoding or "ascii")
        plain = False
    except (UnicodeEncodeError, LookupError):
        plain = True
    return timeline_as_text(timeline(plan, result), columns, plain=plain)
