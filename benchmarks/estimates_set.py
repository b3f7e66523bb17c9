"""The written set of requests that estimates are graded on. Seeded: the same number gives the same request.

Number and shape together make one request, so that no two share an input and nothing is cached. Even
numbers are what the statistics are fitted on, odd ones what is reported.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import NamedTuple

from inputs import MEDIA, _clip, _pcm, pdf, text

import intermodal
from intermodal.core.content import BytesSource, File
from intermodal.core.request import EmbeddingOutput, Request, TranscriptOutput

# (question, most tokens it may take): as people ask them, short answers and long ones.
OF_TEXT = (
    ("What happened first?", None),
    ("Summarise this in two sentences.", None),
    ("Who received something? List them.", 200),
    ("Which place is named most often? Answer with one word.", None),
    ("Write a short report about this.", 300),
    ("Is a crane mentioned? Answer yes or no.", None),
    ("Explain what this is about.", None),
    ("What was moved, and how many of them?", 120),
)
OF_SPEECH = (
    ("What is said? Answer in one sentence.", None),
    ("Summarise the speech.", None),
    ("Who speaks, and to whom?", 120),
    ("What does the speaker ask for?", None),
    ("Give this recording a title.", 40),
)
OF_PICTURE = (
    ("What does this say?", None),
    ("What was moved?", 120),
    ("Read the second line aloud.", None),
    ("Summarise it in one sentence.", None),
)
ALONE = (
    "What is the capital of Norway?",
    "Write two sentences about the sea.",
    "Name three kinds of freight wagons.",
    "Why is the sky blue?",
    "Translate 'good morning' into French.",
    "How do I boil an egg?",
    "Write a polite e-mail that declines a meeting.",
    "What is 17 plus 25?",
    "Explain in one sentence what a container terminal does.",
    "List five European harbours.",
    "Who wrote Hamlet?",
    "Give me a slogan for a railway.",
    "What is a bill of lading?",
    "Tell me a short story about a train.",
    "Which is longer, a metre or a yard?",
    "Describe a forklift truck.",
)
FACTS = {
    "type": "object",
    "properties": {
        "subject": {"type": "string", "maxLength": 40},
        "count": {"type": "integer"},
        "place": {"type": "string", "maxLength": 40},
    },
    "required": ["subject", "count", "place"],
    "additionalProperties": False,
}


class Case(NamedTuple):
    """``reported`` says to which half it belongs."""

    name: str
    request: Request
    reported: bool


def cases(count: int) -> Iterator[Case]:
    """``count`` requests of every shape for each half, the halves in turns so that both see the same machine."""
    speech = {name: _pcm(MEDIA / name) for name in ("jfk.wav", "two_cities_25s.flac", "french.flac")}
    for number in range(2 * count):
        for shape, make in SHAPES.items():
            chance = random.Random(f"{shape} {number}")
            yield Case(f"{shape} {number}", make(chance, number, speech), number % 2 == 1)


Speech = dict[str, bytes]
Maker = Callable[[random.Random, int, Speech], Request]


def _transcript(chance: random.Random, number: int, speech: Speech) -> Request:
    return _ask("", ("clip.wav", _clip(speech[chance.choice(sorted(speech))], chance)), output=TranscriptOutput())


def _about_speech(chance: random.Random, number: int, speech: Speech) -> Request:
    question, most = OF_SPEECH[number % len(OF_SPEECH)]
    name = chance.choice(("jfk.wav", "two_cities_25s.flac"))
    return _ask(question, ("clip.wav", _clip(speech[name], chance)), max_tokens=most)


def _alone(chance: random.Random, number: int, speech: Speech) -> Request:
    return _ask(ALONE[number % len(ALONE)] + " Please." * (number // len(ALONE)))


def _about_text(chance: random.Random, number: int, speech: Speech) -> Request:
    question, most = chance.choice(OF_TEXT)
    return _ask(question, ("notes.txt", text(chance, _many(chance, 3, 110)).encode()), max_tokens=most)


def _fields(chance: random.Random, number: int, speech: Speech) -> Request:
    words = text(chance, _many(chance, 1, 12)).encode()
    return intermodal.make_request(
        "Fill in the first event.", _file("note.txt", words), schema=FACTS, seed=1, temperature=0.0
    )


def _about_picture(chance: random.Random, number: int, speech: Speech) -> Request:
    question, most = chance.choice(OF_PICTURE)
    return _ask(question, ("page.png", page(text(chance, _many(chance, 1, 20)), chance)), max_tokens=most)


def _about_pdf(chance: random.Random, number: int, speech: Speech) -> Request:
    question, most = chance.choice(OF_TEXT)
    return _ask(question, ("notes.pdf", pdf(text(chance, _many(chance, 3, 130)))), max_tokens=most)


def _about_scan(chance: random.Random, number: int, speech: Speech) -> Request:
    question, most = chance.choice(OF_PICTURE)
    return _ask(question, ("scan.pdf", scan(chance)), max_tokens=most)


def _embedding(chance: random.Random, number: int, speech: Speech) -> Request:
    return _ask("", ("note.txt", text(chance, _many(chance, 1, 14)).encode()), output=EmbeddingOutput())


SHAPES: dict[str, Maker] = {
    "transcript": _transcript,
    "speech": _about_speech,
    "question": _alone,
    "text": _about_text,
    "fields": _fields,
    "picture": _about_picture,
    "PDF": _about_pdf,
    "scan": _about_scan,
    "embedding": _embedding,
}


def _many(chance: random.Random, least: int, most: int) -> int:
    """Log-uniform: as many small inputs as large ones."""
    ratio: float = (most / least) ** chance.random()
    return round(least * ratio)


def _file(name: str, data: bytes) -> File:
    return File(source=BytesSource(data=data, name=name))


def _ask(prompt: str, *files: tuple[str, bytes], output: object = None, max_tokens: int | None = None) -> Request:
    return intermodal.make_request(
        prompt, *(_file(name, data) for name, data in files),
        output=output, max_tokens=max_tokens, temperature=0.0, seed=1,  # type: ignore[arg-type]
    )  # fmt: skip


def page(words: str, chance: random.Random) -> bytes:
    """A picture with writing: as wide as a phone, a window or a scan; in small letters or large ones; or half empty."""
    from PIL import Image, ImageDraw, ImageFont

    wide = chance.choice((640, 1024, 1240, 1600))
    size = chance.choice((16, 20, 26, 34))
    lines = _wrapped(words, round((wide - 120) / (size * 0.52)))
    high = round((120 + len(lines) * size * 1.5) * chance.choice((1.0, 1.0, 1.8)))
    image = Image.new("RGB", (wide, high), chance.choice(("white", "#f4f0e8", "#e8eef4")))
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    for number, line in enumerate(lines):
        pen.text((60, 60 + number * size * 1.5), line, fill="#202020", font=font)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def scan(chance: random.Random) -> bytes:
    """A PDF of 1 or 2 pages that are pictures: an A4 page at 150 dpi, a few lines to full."""
    from PIL import Image, ImageDraw, ImageFont

    pages = []
    for _ in range(chance.choice((1, 1, 2))):
        size = chance.choice((20, 24, 28))
        lines = _wrapped(text(chance, _many(chance, 3, 40)), round(1040 / (size * 0.52)))
        image = Image.new("L", (1240, 1754), 250)
        pen = ImageDraw.Draw(image)
        font = ImageFont.load_default(size)
        for number, line in enumerate(lines[: int(1600 / (size * 1.5))]):
            pen.text((100, 80 + number * size * 1.5), line, fill=25, font=font)
        pages.append(image)
    out = BytesIO()
    pages[0].save(out, "PDF", resolution=150, save_all=True, append_images=pages[1:])
    return out.getvalue()


def _wrapped(words: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(words, width)
