"""What large files take: memory of each process, and seconds, of planning and of asking.

    python benchmarks/large_files.py [SECONDS [PAGES]]

A film of SECONDS (205, which are 4.1 GB) with intra-coded noise under slides, speech and subtitles, in MP4 and in
Matroska; a PDF of PAGES (2,000), an eighth of them scans; an hour of sound with speech every five minutes. All are made
in the folder for temporary files and deleted. Memory is the highest resident set of each process (VmHWM of proc(5)), so
that Linux is needed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterator, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import psutil
import report
from home import fresh_home

MEDIA = Path(__file__).parent.parent / "examples" / "media"
INTERMODAL = str(Path(sys.executable).parent / "intermodal")
SLIDES = ("Budget 2031: 4,711 EUR", "Opening: 17 March, Lisbon", "Contact: Ada Brandt", "Total: 93 crates")
WIDTH, HEIGHT, RATE = 1280, 720, 25
GOAL = 600_000_000  # bytes, of each process
BEFORE = """
Each process is bounded by the step that it does, and not by the file. A client of the library keeps an embedded reader,
ear or model after its step, for the next request, unless the plan finds memory short ("memory" in EXPLAIN) or the
client was made with `keep_loaded=False`. `ask` ends each after its last step, since d366871b; the table is of before.

With the answer from a server outside these processes, the proportional set of all at once (Pss of proc(5), which counts
shared pages once) at 1beaa189, in MiB, 2026-11-30, load 14:

| file | command | before | after | at that moment |
|---|---|---|---|---|
| MP4 of 4.11 GB | ask What is said about the best of times? | 795 | 570 | client 81, media.worker 73, whisper 415 |
| PDF of 0.25 GB | ask --pages 1,8 Which lorry left on day 7? | 755 | 750 | client 143, media.worker 89, ocr 518 |

At 89edc61d the PDF takes 508: client 129, media.worker 21, ocr 297 at that moment (2026-11-30, load 17). What the
reader took for pages of 1240 x 1754, one after the other (highest resident set in MiB, seconds of the processor):

| | first page | later pages | seconds |
|---|---|---|---|
| as it was | 549 | 584 to 640 | 6.7, later 4.9 |
| memory not planned ahead by onnxruntime | 496 | 499 | 7.7 |
| and one heap that returns nothing within a page, and all after it | 538 | 538 | 4.1 |
| and pages searched at 1,280 pixels instead of 2,000, two lines recognised at a time instead of six | 398 | 398 | 3.6 |

Recognition took as much as finding lines: a place of a line is one of 18,000 letters, and six lines at once 70 MB a
tensor. A plan of memory for a shape (its second page) is 86 MB larger than the tensors. Tensors of a page are 3 GB one
after the other, and clearing the pages of memory that the kernel gives for them was 40 % of the processor time.
In vain: strips of a picture through the first layers of the network alone (the result is the same, and its last layers
take as much), onnxruntime's arena (386 to 505), another order of its nodes or a lower level of optimization.

Before files were read where they lie (2026-11-29, the same machine, `explain`): a film of 0.50 GB took 564 MiB in the
client and 541 MiB in the media worker (1,112 at once, 2.8 s of the processor; after it 88 and 65, 201 at once, 1.6
s), and one of more than 512 MiB was refused. The PDF took 330 and 514 MiB (845 at once, 6.3 s; after it 94 and 75,
215 at once, 5.0 s).

Small files take what they took: `explain` of a picture of 29 KB 0.86 s of the processor before and 0.87 s after, of a
PDF of 4 KB 0.82 s and 0.82 s (medians of ten runs each, in turns).
"""
LORRY = "Lorry %d left Porto on day %d with %d crates of glass and came back without them."


# ---- a film --------------------------------------------------------------------------------------


def slides() -> list[list[bytes]]:
    """For each slide eight frames of noise around it, as packets of JPEG of 0.8 MB."""
    import av
    from PIL import Image, ImageDraw, ImageFont

    of_picture: Any = av.VideoFrame
    encoder: Any = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
    encoder.time_base, encoder.qmin, encoder.qmax = Fraction(1, RATE), 1, 1
    noise, font = numpy.random.default_rng(1), ImageFont.load_default(64)
    made: list[list[bytes]] = []
    for number, words in enumerate(SLIDES):
        packets = []
        for turn in range(8):
            picture = Image.fromarray(noise.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=numpy.uint8))
            drawn = ImageDraw.Draw(picture)
            drawn.rectangle((60, 220, 1220, 500), fill="white")
            drawn.text((100, 320), words, fill="black", font=font)
            frame = of_picture.from_image(picture).reformat(format="yuvj420p")
            frame.pts = 8 * number + turn
            packets += [bytes(packet) for packet in encoder.encode(frame)]
        made.append(packets)
    return made


def speech(rate: int) -> Iterator[Any]:
    """The same minute of speech without end, in frames of 1,024 samples."""
    import av

    with av.open(str(MEDIA / "two_cities_25s.flac")) as recording:
        resampler = av.AudioResampler("s16", "mono", rate, frame_size=1024)
        frames = [out for frame in recording.decode(audio=0) for out in resampler.resample(frame)]
    place = 0
    while True:
        for frame in frames:
            frame.pts, frame.time_base = place, Fraction(1, rate)
            place += frame.samples
            yield frame


def make_film(path: Path, seconds: int) -> None:
    """Slides one after the other, speech, a line of subtitles every 40 seconds."""
    import av

    shown, rate = slides(), 22_050
    form = "mp4" if path.suffix == ".mp4" else "matroska"
    with av.open(str(path), "w", format=form) as writer:
        pictures: Any = writer.add_stream("mjpeg", rate=RATE)
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        sound: Any = writer.add_stream("aac", rate=rate, layout="mono")
        captions: Any = writer.add_mux_stream("mov_text" if form == "mp4" else "subrip")
        captions.time_base = Fraction(1, 1000)
        voice, heard = speech(rate), 0.0
        for number in range(seconds * RATE):
            now = number / RATE
            packet = av.Packet(shown[min(len(SLIDES) - 1, len(SLIDES) * number // (seconds * RATE))][number % 8])
            packet.stream, packet.time_base, packet.is_keyframe = pictures, Fraction(1, RATE), True
            packet.pts = packet.dts = number
            writer.mux(packet)
            if number % (40 * RATE) == 0:
                writer.mux(caption(captions, form, now))
            while heard <= now:
                frame = next(voice)
                heard = (frame.pts + frame.samples) / rate
                writer.mux(sound.encode(frame))
        writer.mux(sound.encode(None))


def caption(stream: Any, form: str, now: float) -> Any:
    import av

    words = f"It is {now:.0f} s".encode()
    packet = av.Packet(len(words).to_bytes(2, "big") + words if form == "mp4" else words)
    packet.stream, packet.time_base, packet.duration = stream, Fraction(1, 1000), 2_000
    packet.pts = packet.dts = round(now * 1000)
    return packet


# ---- a PDF ---------------------------------------------------------------------------------------


def make_pdf(path: Path, pages: int) -> None:
    """Pages of text, 40 lines each; every eighth is a scan, a JPEG of 0.7 MB."""
    scans = [scan(number) for number in range(4)]
    with path.open("wb") as file:
        places: list[int] = []

        def put(body: bytes) -> None:
            places.append(file.tell())
            file.write(b"%d 0 obj\n" % len(places) + body + b"\nendobj\n")

        file.write(b"%PDF-1.7\n")
        put(b"<</Type/Catalog/Pages 2 0 R>>")
        put(b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(b"%d 0 R" % (4 + 3 * n) for n in range(pages)), pages))
        put(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
        for number in range(pages):
            first = 4 + 3 * number
            put(
                b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R"
                b"/Resources<</Font<</F 3 0 R>>/XObject<</I %d 0 R>>>>>>" % (first + 1, first + 2)
            )
            scanned = number % 8 == 7
            content = b"q 595 0 0 842 0 0 cm /I Do Q" if scanned else text(number)
            put(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
            if scanned:
                body = scans[number % 4]
                put(
                    b"<</Type/XObject/Subtype/Image/Width 1240/Height 1754/BitsPerComponent 8/ColorSpace/DeviceGray"
                    b"/Filter/DCTDecode/Length %d>>stream\n%s\nendstream" % (len(body), body)
                )
            else:
                put(b"null")
        start = file.tell()
        file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1))
        file.write(b"".join(b"%010d 00000 n \n" % place for place in places))
        file.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(places) + 1, start))


def text(number: int) -> bytes:
    lines = [LORRY % (40 * number + line, line, 3 * line) for line in range(40)]
    return b"BT /F 11 Tf 60 780 Td 18 TL %s ET" % b" ".join(f"({line}) '".encode() for line in lines)


def scan(number: int) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    noise = numpy.random.default_rng(number).integers(225, 256, (1754, 1240), dtype=numpy.uint8)
    picture = Image.fromarray(noise)
    drawn, font = ImageDraw.Draw(picture), ImageFont.load_default(28)
    for line in range(30):
        drawn.text((120, 150 + 48 * line), LORRY % (line, number, line), fill=20, font=font)
    out = BytesIO()
    picture.save(out, "JPEG", quality=90)
    return out.getvalue()


# ---- a recording -------------------------------------------------------------------------------------


def make_recording(path: Path) -> None:
    """An hour, in which somebody speaks for eleven seconds every five minutes."""
    with wave.open(str(MEDIA / "jfk.wav")) as file:
        said, rate = file.readframes(file.getnframes()), file.getframerate()
    with wave.open(str(path), "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(rate)
        for _ in range(12):
            made.writeframes(said + bytes(2 * 300 * rate - len(said)))


# ---- measuring -----------------------------------------------------------------------------------


class Measured:
    """A command: seconds, and of each process by its name the highest resident set in bytes and seconds of the
    processor; ``together`` is the most that all had at one time."""

    def __init__(self, command: Sequence[str], env: dict[str, str]) -> None:
        self.peaks: dict[str, int] = {}
        self.processor: dict[tuple[str, int], float] = {}
        self.together = 0
        started = time.monotonic()
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            root = psutil.Process(child.pid)
            while child.poll() is None:
                self._look(root)
                time.sleep(0.03)
        self.seconds, self.status = time.monotonic() - started, child.returncode

    def _look(self, root: psutil.Process) -> None:
        now = 0
        try:
            family = [root, *root.children(recursive=True)]
        except psutil.Error:
            return
        for process in family:
            try:
                name, status = called(process), Path(f"/proc/{process.pid}/status").read_text()
                used = process.cpu_times()
            except (psutil.Error, OSError):
                continue
            fields = dict(line.split(":", 1) for line in status.splitlines() if line.startswith(("VmHWM", "VmRSS")))
            if not name or len(fields) < 2:  # between its start and its program, or at its end
                continue
            self.peaks[name] = max(self.peaks.get(name, 0), int(fields["VmHWM"].split()[0]) << 10)
            self.processor[name, process.pid] = used.user + used.system
            now += int(fields["VmRSS"].split()[0]) << 10
        self.together = max(self.together, now)


def called(process: psutil.Process) -> str:
    """What a process is, "" for a copy of its parent that has not begun its own program."""
    words: list[str] = process.cmdline()
    if "-m" in words:
        return words[words.index("-m") + 1].removeprefix("intermodal.").removeprefix("runtimes.embedded.")
    return "client" if process.ppid() == os.getpid() else ""


def rows(file: Path, env: dict[str, str], asked: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    for command in asked:
        made = Measured([INTERMODAL, command[0], *command[1:], str(file)], env)
        if made.status and not 10 <= made.status <= 13:  # docs/exit-codes.md: from 10 on there is an answer
            raise SystemExit(f"{' '.join(command)} {file.name} ended with {made.status}")
        peaks = ", ".join(f"{name} {size >> 20}" for name, size in made.peaks.items())
        worst = max(made.peaks.values(), default=0)
        yield (
            f"{file.suffix[1:].upper()} of {file.stat().st_size / 1e9:.2f} GB", " ".join(command),
            f"{made.seconds:.0f} s", f"{sum(made.processor.values()):.0f} s", f"{peaks}",
            f"{made.together >> 20}", "yes" if worst <= GOAL else "**no**",
        )  # fmt: skip


def main() -> None:
    seconds, pages = (int(each) for each in (*sys.argv[1:3], *("205", "2000")[len(sys.argv) - 1 :]))
    said, shown = "What is said about the best of times?", "Which dates and names are shown?"
    left = "Which lorry left on day 7?"
    found: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory(prefix="intermodal-large-") as folder:
        for suffix, asked in (
            (".mp4", (("explain", said), ("ask", said), ("ask", shown))),
            (".mkv", (("explain", said),)),
        ):
            make_film(film := Path(folder) / f"film{suffix}", seconds)
            with fresh_home() as env:
                found += rows(film, env, asked)
            film.unlink()
        make_pdf(paper := Path(folder) / "paper.pdf", pages)
        some = ("--pages", "1,8")
        with fresh_home() as env:
            found += rows(paper, env, (("explain", *some, left), ("ask", *some, left)))
        make_recording(hour := Path(folder) / "hour.wav")
        with fresh_home() as env:
            found += rows(hour, env, (("ask", "--output", "transcript"),))
    head = (
        "file",
        "command",
        "time",
        "processor",
        "most memory of each process, MiB",
        "of all at once",
        "each <= 600 MB",
    )
    report.write("large_files", "Large files", report.table(head, found) + "\n" + BEFORE)


if __name__ == "__main__":
    main()
