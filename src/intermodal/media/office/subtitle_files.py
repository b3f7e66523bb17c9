"""Converts subtitle files (SubRip, WebVTT, ASS) to a transcript with times. Runs in the worker."""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType

from intermodal.errors import InputBroken
from intermodal.media.media_limits import SHORTEST_LINE
from intermodal.media.office.conversion_types import ConvertedFile
from intermodal.media.sniff import read_text
from intermodal.media.text import subtitle_cues
from intermodal.media.worker_results import SubtitleLine
from intermodal.plans.numbers import clock, with_noun

text_encoding: ModuleType | None
try:  # installed with the extra "documents"; files in UTF-8 do not need it
    from intermodal.media.office import text_encoding
except ImportError:
    text_encoding = None


def convert(data: bytes, name: str, probe: object) -> ConvertedFile:
    """Return the subtitles with their times, or the text unchanged if the file has no cue."""
    notes: tuple[str, ...] = ()
    try:
        text = read_text(data, name)
    except InputBroken:
        if text_encoding is None:
            raise
        text, encoding = text_encoding.decode_text(data)
        notes = (f"read as {encoding}, which is a guess",)
    subtitle_lines = subtitle_cues.lines_of(text)
    if not subtitle_lines:
        return ConvertedFile(text=text, notes=(*notes, "holds no subtitles that can be read: taken as it is"))
    last = clock(max(line.until for line in subtitle_lines))
    note = f"{with_noun(len(subtitle_lines), 'line')} of subtitles up to {last}, each with its time"
    return ConvertedFile(text="\n".join(_in_lines(subtitle_lines)), notes=(*notes, note))


def _in_lines(subtitle_lines: Iterable[SubtitleLine]) -> list[str]:
    """Return lines with their times; cues that begin within ``SHORTEST_LINE`` seconds share a line, as in a prompt."""
    lines: list[str] = []
    began = -SHORTEST_LINE
    for line in subtitle_lines:
        words = " ".join(line.text.split())
        if lines and line.at - began < SHORTEST_LINE:
            lines[-1] += f" {words}"
        else:
            lines.append(f"[{clock(line.at)}] {words}")
            began = line.at
    return lines
