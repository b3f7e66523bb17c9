"""A prompt rendered before there are arguments: what is wrong with its files shows by then. Opens no media."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from intermodal.content import MediaPart, PathSource
from intermodal.errors import PromptError
from intermodal.prompts import imagined, values
from intermodal.prompts.file import PromptFile
from intermodal.prompts.source import text_of
from intermodal.request import Message


def rendered(file: PromptFile) -> tuple[Message, ...] | None:
    """The messages with imagined arguments; None where what was imagined does not do, as for the name of a file.

    Raises PromptError with file and line, as for a partial or a picture that is not there.
    """
    given = imagined.imagine(file, {})
    try:
        messages = file.template.messages(values.bound(file, {}, missing=given.values))
    except PromptError as error:
        if imagined.is_about(error):
            return None
        raise
    check_files(file, messages)
    return messages


def check_files(file: PromptFile, messages: Iterable[Message]) -> None:
    """Raise PromptError, with its line, where a medium beside the prompt is not there."""
    for message in messages:
        for part in message.parts:
            if isinstance(part, MediaPart) and isinstance(part.source, PathSource):
                place = Path(part.source.path)
                if not place.is_file():
                    line = _line_of(file, place.name)
                    raise file.error(f"{place.name} is not there", line, "put it beside the prompt")


def _line_of(file: PromptFile, name: str) -> int:
    """The line that names a file."""
    lines = text_of(Path(file.path)).splitlines()
    return next((number for number, line in enumerate(lines, 1) if name in line), file.lines.get("template", 1))
