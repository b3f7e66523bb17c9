"""Generated images: the options that describe them, and the files they are written to."""

from __future__ import annotations

import re
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import click

from intermodal.errors import OutputInvalid, UsageError
from intermodal.events import Drawn
from intermodal.request import ImageOutput, PictureFormat

PICTURE_FORMATS: tuple[PictureFormat, ...] = ("png", "jpeg", "webp")
SUFFIXES: Mapping[str, PictureFormat] = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
_SIZE = re.compile(r"(\d{1,5})[x×](\d{1,5})", re.IGNORECASE)


def image_output(given: Mapping[str, Any]) -> ImageOutput:
    """The output that the options describe; the format as it is said, else as the file's name ends."""
    form: PictureFormat | Literal[""] = given["form"] or SUFFIXES.get(Path(given.get("to") or "").suffix.lower(), "")
    return ImageOutput(
        size=_size(given.get("size") or ""),
        count=given.get("count") or 1,
        steps=given.get("steps"),
        guidance=given.get("guidance"),
        sampler=given.get("sampler") or "",
        strength=given.get("strength"),
        mask=bool(given.get("mask")),
        negative=given.get("negative") or "",
        quality=given.get("quality") or "",
        format=form,
    )


def _size(word: str) -> tuple[int, int] | None:
    if not word:
        return None
    found = _SIZE.fullmatch(word.strip())
    if found is None:
        raise UsageError(f"{word!r} is not the size of a picture", where="--size", todo="write it as 1024x1024")
    return int(found[1]), int(found[2])


def check_image_target(output: ImageOutput, target: str | None, *, as_json: bool) -> None:
    """Raise UsageError, before anything runs, where pictures would go to a terminal or cannot be written."""
    if target == "-":
        raise UsageError("is not a file", where="--to -", todo="leave --to out and send the output on: … > picture.png")
    if not target:
        if not as_json and output.count > 1:
            what = "several pictures cannot go to one place"
            raise UsageError(what, where="--count", todo="name a file, the others get a number: --to picture.png")
        if not as_json and sys.stdout.isatty():
            what = "a picture cannot be shown on a terminal"
            raise UsageError(what, where="--output image", todo="write it to a file: --to picture.png")
        return
    suffix = Path(target).suffix.lower()
    if suffix and suffix not in SUFFIXES:
        what = f"pictures are written as PNG, JPEG or WebP, not as {suffix}"
        raise UsageError(what, where=f"--to {target}", todo="end the name in .png, .jpg or .webp")
    if suffix and output.format and SUFFIXES[suffix] != output.format:
        what = f"its name says {suffix}, and --format says {output.format}"
        raise UsageError(what, where=f"--to {target}", todo="leave --format out, or end the name in its suffix")


def image_paths(target: str, count: int) -> tuple[str, ...]:
    """A file for each picture.

    >>> image_paths("out/fox.png", 3)
    ('out/fox.png', 'out/fox-2.png', 'out/fox-3.png')
    """
    path = Path(target)
    more = (str(path.with_name(f"{path.stem}-{number}{path.suffix}")) for number in range(2, count + 1))
    return (target, *more) if count else ()


def write_images(images: Sequence[Drawn], target: str | None, *, quiet: bool) -> None:
    """To their files, or to standard output."""
    from intermodal.cli.arguments.saved_files import write_atomically

    if not images:
        raise OutputInvalid("no picture was made", todo="see the notes above")
    if not target:
        sys.stdout.buffer.write(images[0].data)
        sys.stdout.buffer.flush()
        return
    for path, image in zip(image_paths(target, len(images)), images, strict=True):
        write_atomically(Path(path), image.data)
        if not quiet:
            click.echo(f"wrote {path} ({image.media_type}, {len(image.data):,} bytes)", err=True)


def images_document(images: Sequence[Drawn], target: str | None) -> list[dict[str, Any]]:
    """Pictures in ``ask --json``: their bytes in base64 only where they go to no file."""
    places = image_paths(target, len(images)) if target else ()
    return [
        {
            "media_type": image.media_type,
            "bytes": len(image.data),
            "prompt": image.prompt,
            **({"path": places[number]} if places else {"data": b64encode(image.data).decode()}),
        }
        for number, image in enumerate(images)
    ]
