"""Parses subtitle files, and the text of their cues without markup. Pure.

Sources: SubRip (as players read it; there is no specification), WebVTT (W3C, 2019), Advanced SubStation Alpha (v4.00+:
columns by its Format line, override tags).
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence

from intermodal.errors import InputTooLarge
from intermodal.media.media_limits import MAX_SUBTITLE_CHARS, MAX_SUBTITLE_LINES
from intermodal.media.text.invisible_characters import strip_invisible
from intermodal.media.worker_results import SubtitleLine

LASTS = 4.0  # seconds for which a line without an end is assumed to be shown
_ROLLING = 0.1  # seconds between captions within which one may continue in the next
_LONGEST = 4_096  # characters of a line that are read: readable lines are shorter
_TAGS = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<\d[\d:.]{1,15}>")
_OVERRIDES = re.compile(r"\{[^{}]{0,1000}\}")
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{1,100})?\s+([^<>]{1,100})>")
_CLOCK = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_SPAN = rf"{_CLOCK}\s{{0,9}}-->\s{{0,9}}{_CLOCK}"
_TIMES = re.compile(rf"{_SPAN}(?:\s.*)?")
_BEGINS = re.compile(rf"(?:\d{{1,6}}\s{{1,9}})?{_SPAN}")
_ASS_TIME = re.compile(r"(\d{1,3}):(\d{1,2}):(\d{1,2})[.:](\d{1,3})")
_COLUMNS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")


# ---- the words of one cue ------------------------------------------------------------------------


def of_subrip(text: str) -> str:
    """Return the text of a SubRip cue.

    >>> of_subrip('{\\\\an8}<i>Good</i> morning')
    'Good morning'
    """
    return _OVERRIDES.sub("", _TAGS.sub("", text))


def of_webvtt(text: str) -> str:
    """Return the text of a WebVTT cue, preceded by its speaker.

    >>> of_webvtt("<v Ann>Good <00:00:01.000>morning &amp; welcome")
    'Ann: Good morning & welcome'
    """
    return html.unescape(_TAGS.sub("", _VOICE.sub(r"\1: ", text)))


def of_ass(text: str, name: str = "") -> str:
    """Return the text of an ASS event, "" for a drawing. ``name``: its speaker.

    >>> of_ass(r"{\\i1}Good\\Nmorning", "Ann")
    'Ann: Good\\nmorning'
    """
    if _DRAWING.search(text):
        return ""
    words = _OVERRIDES.sub("", text).replace(r"\N", "\n").replace(r"\n", "\n").replace(r"\h", " ")
    return f"{name}: {words}" if name and words.strip() else words


def clean(text: str) -> str:
    """Return the rows of a text without invisible characters and without empty rows."""
    return "\n".join(filter(None, (" ".join(strip_invisible(line).split()) for line in text.splitlines())))


def without_repeats(subtitle_lines: Sequence[SubtitleLine]) -> list[SubtitleLine]:
    """Return lines without repetitions: rolling captions repeat the last line above the next."""
    unique_lines: list[SubtitleLine] = []
    previous_rows: list[str] = []
    until = -1.0
    for line in subtitle_lines:
        rows = line.text.split("\n")
        new = rows
        if previous_rows and line.at <= until + _ROLLING:
            same = next((count for count in range(len(rows), 0, -1) if rows[:count] == previous_rows[-count:]), 0)
            brief = line.until - line.at < _ROLLING  # too short to be read, as in captions from speech recognition
            new = rows[same:] if same < len(rows) or line.at < until or brief else rows
        if new:
            unique_lines.append(SubtitleLine(at=line.at, until=line.until, text="\n".join(new)))
        previous_rows, until = rows, max(until, line.until)
    return unique_lines


# ---- files ---------------------------------------------------------------------------------------


def begins_as_cues(head: str) -> bool:
    """Return True if a text begins like a subtitle file.

    >>> begins_as_cues("1\\n00:00:01,000 --> 00:00:02,000\\nHi"), begins_as_cues("WEBVTT\\n"), begins_as_cues("WEB")
    (True, True, False)
    """
    head = head.lstrip("\ufeff \r\n\t")
    return head.startswith("[Script Info]") or _is_webvtt(head) or _BEGINS.match(head) is not None


def lines_of(text: str) -> list[SubtitleLine]:
    """Return the lines of a subtitle file in order of time, [] if it has no cue.

    Raises InputTooLarge for too many lines.
    """
    text = text.lstrip("\ufeff \r\n\t")
    events = text.startswith("[Script Info]") or "[Events]" in text[:65_536]
    found: list[SubtitleLine] = []
    left = MAX_SUBTITLE_CHARS
    for line in _of_events(text) if events else _of_times(text, webvtt=_is_webvtt(text)):
        words = clean(line.text)
        left -= len(words)
        if left < 0 or len(found) >= MAX_SUBTITLE_LINES:
            raise InputTooLarge(
                f"holds more than {MAX_SUBTITLE_LINES:,} lines of subtitles, or {MAX_SUBTITLE_CHARS:,} characters",
                todo="cut it into shorter files",
            )
        if words:
            found.append(SubtitleLine(at=line.at, until=max(line.at, line.until), text=words))
    return without_repeats(sorted(found, key=lambda line: line.at))


def _is_webvtt(text: str) -> bool:
    return text.startswith("WEBVTT") and text[6:7] in ("", " ", "\t", "\r", "\n")


def _of_times(text: str, *, webvtt: bool) -> Iterator[SubtitleLine]:
    """Yield the cues of SubRip and WebVTT: a line of times, then text up to an empty line.

    SubRip cues may contain an empty line.
    """
    words_of = of_webvtt if webvtt else of_subrip
    times: tuple[float, float] | None = None
    rows: list[str] = []
    for row in (*text.splitlines(), "0:00.0 --> 0:00.0"):
        row = row[:_LONGEST]
        found = _TIMES.fullmatch(row.strip()) if "-->" in row else None
        if found is None:
            rows.append(row)
            continue
        if times is not None:
            start, until = times
            yield SubtitleLine(at=start, until=until, text=words_of("\n".join(_of_cue(rows, webvtt=webvtt))))
        parts = found.groups()
        times, rows = (_seconds(parts[:4]), _seconds(parts[4:])), []


def _of_cue(rows: Sequence[str], *, webvtt: bool) -> Sequence[str]:
    """Return the rows of a cue from the rows before the next times.

    The number of the next cue and rows outside a cue are left out.
    """
    if webvtt:
        return rows[: next((place for place, row in enumerate(rows) if not row), len(rows))]
    if len(rows) > 1 and rows[-1].strip().isdecimal() and not rows[-2].strip():
        return rows[:-1]
    return rows


def _of_events(text: str) -> Iterator[SubtitleLine]:
    """Yield the dialogue of ASS and SSA, without comments."""
    columns: Sequence[str] = _COLUMNS
    for row in text.partition("[Events]")[2].splitlines():
        what, _, rest = row[:_LONGEST].partition(":")
        if what.strip() == "Format":
            columns = [each.strip().lower() for each in rest.split(",")][:20]
        elif what.strip() == "Dialogue":
            values = dict(zip(columns, rest.split(",", len(columns) - 1), strict=False))
            start, end = (_ASS_TIME.fullmatch(values.get(key, "").strip()) for key in ("start", "end"))
            if start is not None:
                start_seconds = _seconds(start.groups())
                until = _seconds(end.groups()) if end is not None else start_seconds + LASTS
                yield SubtitleLine(
                    at=start_seconds, until=until, text=of_ass(values.get("text", ""), values.get("name", "").strip())
                )


def _seconds(clock: Sequence[str | None]) -> float:
    hours, minutes, seconds, part = clock
    whole_seconds = 3600 * int(hours or 0) + 60 * int(minutes or 0) + int(seconds or 0)
    return whole_seconds + int(part or 0) / 10.0 ** len(part or "0")
