"""References to media in a prompt file: URLs, and files beside it. Nothing is opened here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from intermodal.content import Audio, Document, File, Image, MediaPart, PathSource, Source, UrlSource, Video
from intermodal.prompts.prompt_file import ArgumentKind, MediaValue

URL = re.compile(r"(?:https?://|data:)", re.IGNORECASE)  # how one begins
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_CLASSES: Mapping[str, type[MediaPart]] = {
    "image": Image, "audio": Audio, "video": Video, "document": Document, "file": File,
}  # fmt: skip
_OFFICE = re.compile(r"application/(?:pdf|msword|rtf|vnd\.(?:openxmlformats|oasis|ms-))")


def part_of(source: Source, kind: ArgumentKind) -> MediaPart:
    """The part of a source, declared as what the file says it is."""
    made = _CLASSES[kind]
    return made(source=source)


def value_of(name: str, source: Source, kind: ArgumentKind) -> MediaValue:
    """What stands for a medium among values while a template is rendered."""
    made = MediaValue(name)
    made.part = part_of(source, kind)
    return made


def kind_of(media_type: str) -> ArgumentKind:
    """What a media type or a pattern of some is.

    >>> kind_of("image/*"), kind_of("application/pdf"), kind_of("")
    ('image', 'document', 'file')
    """
    kind = media_type.partition("/")[0].strip().lower()
    if kind in ("image", "audio", "video"):
        return kind  # type: ignore[return-value]
    return "document" if _OFFICE.match(media_type.lower()) or kind == "text" else "file"


def media_part(url: str, media_type: str, folder: Path | None) -> MediaPart:
    """The part of a URL, or of a file in ``folder``; None where no file may be named.

    Raises ValueError of what is wrong and what to do.
    """
    kind = kind_of(media_type)
    if URL.match(url):
        return part_of(UrlSource(url=url), kind)
    if _SCHEME.match(url):
        raise ValueError(f"{url[:80]!r} is no URL of http, https or data", "name one, or a file beside the prompt")
    if folder is None:
        raise ValueError(f"{url[:80]!r} is no URL", "give a file to an argument that goes into {{media url=…}} itself")
    place = folder / url
    if not within(folder, place):
        raise ValueError(f"{url[:80]!r} is not in the folder of the prompt", "move it there, or give it as an argument")
    return part_of(PathSource(path=str(place)), kind)


def within(folder: Path, place: Path) -> bool:
    """Whether a path stays in a folder, wherever its links lead."""
    try:
        return place.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):
        return False
