"""A ten-minute video, planned and answered with progress throughout; and what planning again in a run takes.

    python benchmarks/adapting.py

The film is made here: the speech of ``examples/media/jfk.wav`` and the reading of ``two_cities_25s.flac`` in turn, with
pauses, over drawn pages that change every 20 seconds. Everything runs on embedded models.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import report
from home import fresh_home

import intermodal
from intermodal.client.async_client import plan_from
from intermodal.events import Event, Replanned, fold

sys.path.insert(0, str(Path(__file__).parent.parent))
MEDIA = Path(__file__).parent.parent / "examples" / "media"
MINUTES, STILL, FPS = 10, 20, 5
QUESTION = "What is said, and which numbers are shown?"


def film(path: Path) -> None:
    """Ten minutes of 1280x720, H.264 and AAC."""
    import av
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(42)
    seconds = MINUTES * 60
    with av.open(str(path), "w") as writer:
        pictures = writer.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        pictures.width, pictures.height, pictures.pix_fmt = 1280, 720, "yuv420p"
        sound: Any = writer.add_stream("aac", rate=16_000, layout="mono")
        for number in range(seconds * FPS):
            if number % (STILL * FPS) == 0:
                page = Image.new("RGB", (1280, 720), "white")
                for line in range(5):
                    words = f"Gate {line + 1}: {1000 + number + line * 17} crates, {number // FPS} s"
                    ImageDraw.Draw(page).text((80, 100 + 100 * line), words, fill="black", font=font)
            frame = av.VideoFrame.from_image(page)  # type: ignore[no-untyped-call]
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            writer.mux(pictures.encode(frame))
        writer.mux(pictures.encode(None))
        at = 0
        while at < seconds * 16_000:
            for name in ("jfk.wav", "two_cities_25s.flac"):
                at = _said(writer, sound, MEDIA / name, at, seconds * 16_000)
            at += 4 * 16_000
        writer.mux(sound.encode(None))


def _said(writer: Any, stream: Any, path: Path, at: int, end: int) -> int:
    """Append one recording from sample ``at``; the sample after it."""
    import av

    resampler = av.AudioResampler(format="fltp", layout="mono", rate=16_000)
    with av.open(str(path)) as reader:
        for decoded in reader.decode(reader.streams.audio[0]):
            for frame in resampler.resample(decoded):
                if at + frame.samples > end:
                    return end
                frame.pts, frame.time_base = at, Fraction(1, 16_000)
                at += frame.samples
                writer.mux(stream.encode(frame))
    return at


def planned(user: intermodal.Client, request: intermodal.Request) -> tuple[list[float], list[float]]:
    """Seconds of opening the film, and of planning, seven times."""
    opening, planning = [], []
    for _ in range(7):
        began = time.perf_counter()
        inputs = user.prepare(request).inputs
        opened = time.perf_counter()
        plan_from(inputs)
        opening.append(opened - began)
        planning.append(time.perf_counter() - opened)
    return opening, planning


def answered(user: intermodal.Client, request: intermodal.Request) -> tuple[float, float, int, list[Event]]:
    """Seconds in all, the longest silence between two events, how many there were, and the events."""
    began = last = time.perf_counter()
    silence = 0.0
    events: list[Event] = []
    for event in user.stream(request):
        now = time.perf_counter()
        silence, last = max(silence, now - last), now
        events.append(event)
    return time.perf_counter() - began, silence, len(events), events


def replanned(user: intermodal.Client, times: int = 5) -> list[float]:
    """Seconds of planning again, from pages whose small faint print is more than it looks."""
    from tests.media.faint import faint

    found = []
    for seed in range(times):
        request = intermodal.make_request("What is the last number?", faint(seed, 55), max_tokens=8, temperature=0.0)
        events = list(user.stream(request))
        found += [event.seconds for event in events if isinstance(event, Replanned)]
    return found


def main() -> None:
    with fresh_home() as env, tempfile.TemporaryDirectory() as folder, intermodal.Client(env=env) as user:
        path = Path(folder) / "ten-minutes.mp4"
        film(path)
        request = intermodal.make_request(QUESTION, path, max_tokens=64, temperature=0.0, seed=1)
        opening, planning = planned(user, request)
        again = replanned(user)
        seconds, silence, count, events = answered(user, request)
        result = fold(events)
        heard = next(len(made.text.split()) for made in result.derived if made.op == "transcribe")
        rows = [
            (
                "open the film: header, and samples in the media worker",
                f"{statistics.median(opening) * 1e3:.0f} ms",
                "",
            ),
            ("plan", f"{statistics.median(planning) * 1e3:.1f} ms", ""),
            (
                "both",
                f"{statistics.median(a + b for a, b in zip(opening, planning, strict=True)) * 1e3:.0f} ms",
                "300 ms",
            ),
            ("the first time in this process, both", f"{(opening[0] + planning[0]) * 1e3:.0f} ms", ""),
            ("answer, models loaded on the way", f"{seconds:.0f} s", ""),
            ("longest silence between two events", f"{silence:.1f} s", ""),
            ("planning again in a run, median", f"{statistics.median(again) * 1e3:.2f} ms" if again else "-", "5 ms"),
            ("planning again in a run, worst", f"{max(again) * 1e3:.2f} ms" if again else "-", "5 ms"),
        ]
        body = f"{path.stat().st_size / 1e6:.0f} MB of film, {MINUTES} minutes, a scene every {STILL} s.\n\n"
        body += report.table(("what", "took", "goal"), rows)
        body += f"\n\n{count:,} events; {heard:,} words were heard. "
        body += f"Planned again {len(again)} times in 5 runs over faint pages."
        report.write("adapting", "A long video, and planning again", body)


if __name__ == "__main__":
    main()
