"""Inputs for benchmarks: pieces of the real recordings, drawn pictures, PDFs of known text. Seeded, so repeatable."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import intermodal
from intermodal.core.content import BytesSource, File, Text
from intermodal.core.request import EmbeddingOutput, Message, Output, Request, Sampling, TextOutput, TranscriptOutput

MEDIA = Path(__file__).parent.parent / "examples" / "media"
RATE = 16_000
SUBJECTS = ("The harbour master", "A driver", "The night train", "The warehouse", "Our customer", "The crane")
VERBS = ("counted", "moved", "delayed", "inspected", "received", "returned", "weighed", "sold", "repaired")
OBJECTS = ("crates of copper wire", "empty containers", "pallets of paper", "two engines", "spare axles")
PLACES = ("in Rotterdam", "near the canal", "before noon", "after the storm", "at gate 7", "on the northern quay")


class Case(NamedTuple):
    name: str
    request: Request


def cases(seed: int, count: int) -> Iterator[Case]:
    """``count`` requests of each shape; another seed gives other inputs of the same shapes."""
    chance = random.Random(seed)
    speech = {name: _pcm(MEDIA / name) for name in ("jfk.wav", "two_cities_25s.flac")}
    for number in range(count):
        name = chance.choice(sorted(speech))
        clip = _clip(speech[name], chance)
        words = text(chance, chance.randint(3, 40))
        page = text(chance, chance.randint(2, 14))
        yield Case(f"transcript {number}", _request("", clip, "clip.wav", TranscriptOutput()))
        yield Case(
            f"question about speech {number}", _request("What is said? Answer in one sentence.", clip, "clip.wav")
        )
        yield Case(f"question about text {number}", _request("What happened first?", words.encode(), "notes.txt"))
        yield Case(f"question about a picture {number}", _request("What was moved?", picture(page, chance), "page.png"))
        yield Case(f"question about a PDF {number}", _request("Who received something?", pdf(words), "notes.pdf"))
        yield Case(f"embedding {number}", _request("", page.encode(), "notes.txt", EmbeddingOutput()))


def _request(prompt: str, data: bytes, name: str, output: Output | None = None) -> Request:
    file = File(source=BytesSource(data=data, name=name))
    parts = (Text(text=prompt), file) if prompt else (file,)
    return intermodal.Request(
        messages=(Message(role="user", parts=parts),),
        output=output or TextOutput(),
        sampling=Sampling(max_tokens=64, temperature=0.0, seed=1),
    )


def text(chance: random.Random, sentences: int) -> str:
    made = []
    for _ in range(sentences):
        who, did, what, where = (chance.choice(words) for words in (SUBJECTS, VERBS, OBJECTS, PLACES))
        made.append(f"{who} {did} {chance.randint(2, 900)} {what} {where}.")
    return " ".join(made)


def picture(words: str, chance: random.Random) -> bytes:
    """A page of text as PNG, as wide as a screen, as high as it needs."""
    from PIL import Image, ImageDraw, ImageFont

    size = chance.choice((22, 26, 30))
    lines = _wrapped(words, 1100 // (size // 2))
    image = Image.new("RGB", (1240, 120 + len(lines) * size * 2), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        pen.text((60, 60 + number * size * 2), line, fill="black", font=font)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def pdf(words: str) -> bytes:
    from reportlab.lib.pagesizes import A4
    from reportlab.pdfgen.canvas import Canvas

    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    for number, line in enumerate(_wrapped(words, 85)):
        if number and number % 45 == 0:
            canvas.showPage()
        canvas.drawString(60, 780 - 16 * (number % 45), line)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _wrapped(words: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(words, width)


def _pcm(path: Path) -> bytes:
    """The whole recording as 16-bit 16 kHz mono."""
    import av

    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        return b"".join(frame.to_ndarray().tobytes() for frame in frames)


def _clip(pcm: bytes, chance: random.Random) -> bytes:
    """Between 3 and 20 seconds from somewhere in it, as WAV."""
    length = len(pcm) // 2
    wanted = int(chance.uniform(3, min(20, length / RATE)) * RATE)
    start = chance.randint(0, length - wanted)
    data = pcm[start * 2 : (start + wanted) * 2]
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, 1, 1, RATE, RATE * 2, 2, 16) + b"data" + struct.pack("<I", len(data))
    return head + data
