"""A prompt rendered before there are arguments: what is wrong with its files shows by then.

Of media beside the prompt the beginning is read, to tell their kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from intermodal.content import Kind, MediaPart, PathSource
from intermodal.errors import InputError, PromptError
from intermodal.prompts import argument_values, sample_arguments
from intermodal.prompts.prompt_file import PromptFile
from intermodal.prompts.source_text import text_of
from intermodal.request import Message

_BEGINNING = 1 << 20  # bytes of a medium in which its kind shows


def render_sample(file: PromptFile) -> tuple[Message, ...] | None:
    """The messages with imagined arguments; None where what was imagined does not do, as for the name of a file.

    Raises PromptError with file and line, as for a partial or a picture that is not there, or a PDF in its place.
    """
    given = sample_arguments.make_samples(file, {})
    try:
        messages = file.template.messages(argument_values.bind_values(file, {}, missing=given.values))
    except PromptError as error:
        if sample_arguments.is_about_sample(error):
            return None
        raise
    check_files(file, messages)
    return messages


def check_files(file: PromptFile, messages: Iterable[Message], bound: Mapping[str, Any] | None = None) -> None:
    """Raise PromptError, with its line, where a medium beside the prompt is not there, or is none of its kind.

    ``bound``: values of arguments, whose media were looked at before.
    """
    for place, part in files_of(messages, bound or {}):
        line = partial(_line_of, file, place.name)
        if not place.is_file():
            raise file.error(f"{place.name} is not there", line(), "put it beside the prompt")
        declared: Any = type(part).__name__.lower()
        found = _kind_of(place)
        if found is not None and not argument_values.fits((declared,), found):
            what = f"{place.name} is {argument_values.A[found]}, and the prompt says {argument_values.A[declared]}"
            raise file.error(what, line(), "name another file, or say what it is")


def files_of(messages: Iterable[Message], bound: Mapping[str, Any]) -> list[tuple[Path, MediaPart]]:
    """Media that the prompt itself names, with their places."""
    given = {medium.part.source.path for _, medium in argument_values.media_of(bound)
             if isinstance(medium.part.source, PathSource)}  # fmt: skip
    return [
        (Path(part.source.path), part)
        for message in messages
        for part in message.parts
        if isinstance(part, MediaPart) and isinstance(part.source, PathSource) and part.source.path not in given
    ]


def _kind_of(place: Path) -> Kind | None:
    """What a file is by how it begins; None where that does not say."""
    from intermodal.media.sniff import sniff

    try:
        with place.open("rb") as opened:
            return sniff(opened.read(_BEGINNING), place.name)[0]
    except (InputError, OSError):
        return None


def _line_of(file: PromptFile, name: str) -> int:
    """The line that names a file."""
    lines = text_of(Path(file.path)).splitlines()
    return next((number for number, line in enumerate(lines, 1) if name in line), file.lines.get("template", 1))
