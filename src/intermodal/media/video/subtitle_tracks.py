"""Reads the subtitles of a video, inside the worker: its text tracks, and their lines with times.

Packets are parsed here and not by FFmpeg, because text needs no decoder. Sources: 3GPP TS 26.245, 5.17 (``tx3g``: two
bytes of length, the text, style boxes), Matroska's codec mappings (``S_TEXT/UTF8``, ``S_TEXT/ASS``, ``S_TEXT/WEBVTT``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import av
import av.error
from av.stream import Discard, Disposition

from intermodal.core.content import Value
from intermodal.core.languages import code_of
from intermodal.errors import InputBroken
from intermodal.files.file_bytes import Data, memory_size
from intermodal.media import container, sandbox
from intermodal.media.container import TODO, OpenContainer
from intermodal.media.media_limits import MAX_SUBTITLE_CHARS, MAX_SUBTITLE_LINES
from intermodal.media.text import subtitle_cues
from intermodal.media.text.invisible_characters import strip_invisible
from intermodal.media.text.script_counts import count_scripts
from intermodal.media.video import header
from intermodal.media.worker_results import SubtitleLine
from intermodal.plans.facts import SubtitleFacts

_WALK_PACKETS = 400_000
_LONGEST = 4_096  # bytes of a packet that is read: readable lines are shorter


def _of_mp4(body: bytes) -> str:
    text = body[2 : 2 + int.from_bytes(body[:2], "big")]
    return text.decode("utf-16" if text[:2] in (b"\xfe\xff", b"\xff\xfe") else "utf-8", "replace")


def _of_subrip(body: bytes) -> str:
    return subtitle_cues.of_subrip(body.decode("utf-8", "replace"))


def _of_webvtt(body: bytes) -> str:
    return subtitle_cues.of_webvtt(body.decode("utf-8", "replace"))


def _of_ass(body: bytes) -> str:
    """Return name and text from ReadOrder, Layer, Style, Name, three margins, Effect and Text."""
    fields = body.decode("utf-8", "replace").split(",", 8)
    return subtitle_cues.of_ass(fields[-1], fields[3].strip() if len(fields) == 9 else "")


# FFmpeg's decoder names, each with the parser of its packets.
_FORMS: dict[str, Callable[[bytes], str]] = {
    "mov_text": _of_mp4, "srt": _of_subrip, "subrip": _of_subrip, "text": _of_subrip, "webvtt": _of_webvtt,
    "ssa": _of_ass, "ass": _of_ass,
}  # fmt: skip


class SubtitleTracks(Value):
    """The subtitles of a video: its text tracks, and notes about the other tracks."""

    tracks: tuple[SubtitleFacts, ...] = ()
    notes: tuple[str, ...] = ()


def probe(source: OpenContainer) -> SubtitleTracks:
    """Return the text tracks of a video, from one pass over their packets. Tracks without a line are left out."""
    streams = list(source.container.streams.subtitles)
    readable = [stream for stream in streams if _form(stream) is not None]
    lines = _read_tracks(source.container, readable)
    spoken_language = _language(source.sound) if source.sound is not None else ""
    tracks = tuple(_facts(stream, lines[stream.index], spoken_language) for stream in readable if lines[stream.index])
    pictures = [_language(stream) or "of no stated language" for stream in streams if stream not in readable]
    notes = (f"its subtitles ({', '.join(pictures)}) are images or of another kind that is not read",)
    return SubtitleTracks(tracks=tracks, notes=notes if pictures else ())


def track_lines(data: Data, media_type: str, track: int) -> list[dict[str, Any]]:
    """Return the lines of a track as dicts, in order of time. Raises InputBroken if there is no such text track."""
    header.check_video_header(data, media_type)
    with (
        sandbox.memory_limit(2 * memory_size(data) + (256 << 20)),
        container.open_container(data, media_type, what="video") as found,
    ):
        stream = next((each for each in found.container.streams.subtitles if each.index == track), None)
        if stream is None or _form(stream) is None:
            raise InputBroken(f"has no subtitles in its track {track}", todo=TODO)
        track_lines = _read_tracks(found.container, [stream])[track]
    return [{"at": line.at, "until": line.until, "text": line.text} for line in track_lines]


def _form(stream: Any) -> Callable[[bytes], str] | None:
    return None if stream.codec_context is None else _FORMS.get(stream.codec_context.name)


def _language(stream: Any) -> str:
    code = code_of(stream.metadata.get("language", ""))
    return "" if code == "und" else code


def _facts(stream: Any, subtitle_lines: Sequence[SubtitleLine], spoken_language: str) -> SubtitleFacts:
    text = "\n".join(line.text for line in subtitle_lines)
    language, kind = _language(stream), stream.disposition
    return SubtitleFacts(
        track=stream.index,
        language=language,
        title=" ".join(strip_invisible(stream.metadata.get("title", "")).split())[:80],
        forced=bool(kind & Disposition.forced),
        default=bool(kind & Disposition.default),
        described=bool(kind & (Disposition.hearing_impaired | Disposition.captions)),
        spoken=bool(language) and language == spoken_language,
        lines=len(subtitle_lines),
        chars=len(text),
        scripts=count_scripts(text),
        shown=round(sum(line.until - line.at for line in subtitle_lines), 3),
        last=round(max(line.until for line in subtitle_lines), 3),
    )


def _read_tracks(box: Any, streams: Sequence[Any]) -> dict[int, list[SubtitleLine]]:
    """Return the lines of the given tracks by track number, in order of time."""
    lines_by_track: dict[int, list[SubtitleLine]] = {stream.index: [] for stream in streams}
    if not streams:
        return lines_by_track
    box.seek(0)  # key frames may have been read before
    for stream in box.streams:
        stream.discard = Discard.default if stream.index in lines_by_track else Discard.all
    with contextlib.suppress(av.error.FFmpegError):  # otherwise packets are read from the current position
        box.seek(0)
    beginning = (box.start_time or 0) / av.time_base
    left = MAX_SUBTITLE_CHARS
    for packet_number, packet in enumerate(container.packets(box, list(streams))):
        if packet.pts is None or packet.size > _LONGEST:
            continue
        into, form = lines_by_track[packet.stream.index], _form(packet.stream)
        text = subtitle_cues.clean(form(bytes(packet))) if form is not None else ""
        if text and len(into) < MAX_SUBTITLE_LINES:
            tick = float(packet.time_base)
            start = max(0.0, packet.pts * tick - beginning)
            into.append(
                SubtitleLine(at=start, until=start + ((packet.duration or 0) * tick or subtitle_cues.LASTS), text=text)
            )
            left -= len(text)
        if left < 0 or packet_number >= _WALK_PACKETS:
            break
    return {
        index: subtitle_cues.without_repeats(sorted(track_lines, key=lambda line: line.at))
        for index, track_lines in lines_by_track.items()
    }
