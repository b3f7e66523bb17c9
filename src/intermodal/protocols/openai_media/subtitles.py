"""Transcripts as subtitles: SRT (SubRip) and WebVTT (W3C)."""

from __future__ import annotations

from intermodal.core.content import Transcript


def subtitles(transcript: Transcript, form: str) -> str:
    """Return a transcript as SRT or WebVTT.

    Blank lines and arrows inside a segment, which would end it early, are replaced.
    """
    comma = "," if form == "srt" else "."
    blocks = [] if form == "srt" else ["WEBVTT\n"]
    for number, segment in enumerate(transcript.segments, start=1):
        times = f"{_clock(segment.start, comma)} --> {_clock(max(segment.start, segment.end), comma)}"
        named = f"{segment.speaker}: {segment.text}" if segment.speaker else segment.text
        text = " ".join(named.split()).replace("-->", "→")
        if form == "vtt":
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        blocks.append(f"{number}\n{times}\n{text}\n" if form == "srt" else f"{times}\n{text}\n")
    return "\n".join(blocks)


def _clock(seconds: float, comma: str) -> str:
    thousandths = round(max(0.0, seconds) * 1000)
    return (
        f"{thousandths // 3_600_000:02}:{thousandths // 60_000 % 60:02}:"
        f"{thousandths // 1000 % 60:02}{comma}{thousandths % 1000:03}"
    )
