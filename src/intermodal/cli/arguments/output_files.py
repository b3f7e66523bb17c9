"""Checks of files that a verb will write, made before anything runs.

A target is refused where it is an input of the same request or another target's file, where it cannot be written, and
where a file is there already that is not of the kind to be written: a slip of the pen must not cost anybody a file.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from intermodal.content import Audio, Document, File, Image, PathSource, Video
from intermodal.errors import UsageError
from intermodal.request import Request

_HEAD = 4096  # bytes of a file that is there already, in which its kind shows
_BLANK = b"\xef\xbb\xbf \r\n\t"


class FileFormat(NamedTuple):
    """``named`` as a sentence goes on after "is not"; ``begins`` what such a file begins with, blanks before it.

    ``makes_folder``: a folder that is not there is made. ``streams``: "-" is standard output.
    """

    named: str
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
    "png": FileFormat("a PNG picture", re.compile(rb"\x89PNG")),
    "jpeg": FileFormat("a JPEG picture", re.compile(rb"\xff\xd8\xff")),
    "webp": FileFormat("a WebP picture", re.compile(rb"RIFF....WEBP", re.S)),
    "mp3": FileFormat("an MP3 file", re.compile(rb"ID3|\xff[\xe2-\xff]")),
}


class OutputFile(NamedTuple):
    """``option`` as it is spelled; ``path`` as it was given, None or "" where it was not; ``kind`` of
    ``KINDS``."""

    option: str
    path: str | None
    kind: str


def check_output_files(targets: Iterable[OutputFile], inputs: Iterable[str]) -> None:
    """Raise UsageError for the first target that must not or cannot be written. ``inputs`` are paths, where they are.

    "-" is standard output and no file, where the kind has a place there.
    """
    read = list(inputs)
    before: list[tuple[str, str]] = []
    for option, path, kind in targets:
        if path == "-" and not FILE_FORMATS[kind].streams:
            raise UsageError(
                f"{FILE_FORMATS[kind].named} is not written to standard output", where=option, todo="name a file"
            )
        if not path or path == "-":
            continue
        for other, taken in before:
            if same_file(path, taken):
                raise UsageError(f"{other} and {option} write the same file", where=path, todo="give each its own")
        if any(same_file(path, each) for each in read):
            raise UsageError(
                f"is an input of this request, and {option} would write over it", where=path, todo="name another file"
            )
        _check(option, path, FILE_FORMATS[kind])
        before.append((option, path))


def check_standard_output(picture: str | None, *, as_json: bool) -> None:
    """Raise UsageError where both the picture of ``--svg`` and a JSON document are to go to standard output."""
    if picture == "-" and as_json:
        raise UsageError("standard output takes one thing", where="--svg -", todo="leave --json out, or name a file")


def same_file(one: str, other: str) -> bool:
    """Whether two paths are one file, through links too."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return os.path.realpath(one) == os.path.realpath(other) if "\0" not in one + other else False


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
                    f"is there already and is not {kind.named}", where=where, todo=f"name a new file for {option}"
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


def paths_of(request: Request) -> Iterator[str]:
    """The files a request names by path."""
    for _, _, part in request.parts():
        if isinstance(part, File | Image | Audio | Video | Document) and isinstance(part.source, PathSource):
            yield part.source.path
