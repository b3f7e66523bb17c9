"""Files the command line writes: whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from intermodal.content import Transcript
from intermodal.errors import UsageError
from intermodal.events import Derived


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside the target and rename. Raises UsageError naming the path when that cannot be done."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent or Path(), prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UsageError(
            f"cannot be written ({error.strerror})", where=str(path), todo="check the folder and its permissions"
        ) from None


def save_derived(folder: Path, derived: tuple[Derived, ...]) -> list[Path]:
    """Write what conversions made, one or two files each, named after the part they came from."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for item in derived:
        stem = re.sub(r"[^\w.-]+", "_", item.name).strip("._") or "part"
        base = f"{stem}.{item.op}"
        number = 2
        while (folder / f"{base}.txt") in written:
            base, number = f"{stem}.{item.op}.{number}", number + 1
        text = item.text or (item.transcript.text if item.transcript else "\n".join(line.text for line in item.lines))
        written.append(folder / f"{base}.txt")
        write_atomically(written[-1], text.encode() + b"\n")
        if item.transcript is not None:
            written.append(folder / f"{base}.srt")
            write_atomically(written[-1], subtitles(item.transcript, "srt").encode())
    return written


def subtitles(transcript: Transcript, form: str) -> str:
    """A transcript as SRT or WebVTT."""
    comma = "," if form == "srt" else "."
    blocks = [] if form == "srt" else ["WEBVTT\n"]
    for number, segment in enumerate(transcript.segments, start=1):
        times = f"{_clock(segment.start, comma)} --> {_clock(segment.end, comma)}"
        text = segment.text.strip().replace("-->", "→")
        blocks.append(f"{number}\n{times}\n{text}\n" if form == "srt" else f"{times}\n{text}\n")
    return "\n".join(blocks)


def _clock(seconds: float, comma: str) -> str:
    thousandths = round(seconds * 1000)
    return (
        f"{thousandths // 3_600_000:02}:{thousandths // 60_000 % 60:02}:"
        f"{thousandths // 1000 % 60:02}{comma}{thousandths % 1000:03}"
    )
