"""The written set that plan regret is measured on: requests over all modalities, each with several feasible routes.

Everything is drawn or cut here with fixed seeds; the real recordings and photographs are those of ``examples/media``.
Names say what is asked, and are the keys of the journal: a request that changes gets another name.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import inputs

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
from tests.media.tiny_eye import world  # noqa: E402

import intermodal  # noqa: E402
from intermodal.core.content import BytesSource  # noqa: E402
from intermodal.core.request import EmbeddingOutput, Request, ScoresOutput, TranscriptOutput  # noqa: E402

MEDIA = ROOT / "examples" / "media"
TALK = ROOT / "examples" / "media" / "talk-over-stills.mp4"
LOOKS = "Describe the picture: what colour, what shape?"
SCHEMA = {
    "type": "object",
    "properties": {"what": {"type": "string", "maxLength": 24}, "number": {"type": "integer"}},
    "required": ["what", "number"],
    "additionalProperties": False,
}
TOKENS = 24  # of an answer: the routes differ in what comes before it


class Asked(NamedTuple):
    """One request of the set. ``kind`` groups it in the report."""

    name: str
    kind: str
    request: Request


def requests() -> list[Asked]:
    """All of them, in a fixed order; neighbours are of one kind, so odd and even places make two like halves."""
    makers = (
        _texts, _json, _looks, _signs, _screens, _speech, _transcripts, _pdf_text, _pdf_scanned, _pdf_figures, _video,
        _several, _embeddings, _scores,
    )  # fmt: skip
    return [each for make in makers for each in make()]


def warming() -> list[Asked]:
    """Requests of the same kinds that are not of the set: they load the models."""
    call, page = ("call.wav", clip("two_cities_25s.flac", 2.0, 3.0)), ("page.png", _page(901, 1))
    return [
        _ask("warm: text", "text", "Say hello.", max_tokens=4),
        _ask("warm: speech", "speech", "", call, output=TranscriptOutput(), language="en"),
        _ask("warm: a page", "screenshot", "What was moved?", page, max_tokens=4),
        _ask("warm: embedding", "embedding", "A crane.", output=EmbeddingOutput()),
    ]


def _ask(name: str, kind: str, prompt: str, *files: tuple[str, bytes], **options: Any) -> Asked:
    parts = [BytesSource(data=data, name=file) for file, data in files]
    settings: dict[str, Any] = {"max_tokens": TOKENS, "temperature": 0.0, "seed": 1, **options}
    return Asked(name, kind, intermodal.make_request(prompt, *parts, **settings))


def _words(seed: int, sentences: int) -> str:
    return inputs.text(random.Random(seed), sentences)


def _page(seed: int, sentences: int) -> bytes:
    chance = random.Random(seed)
    return inputs.picture(inputs.text(chance, sentences), chance)


# ---- text ---------------------------------------------------------------------------------------------


def _texts() -> Iterator[Asked]:
    yield _ask("text: a fact", "text", "The gate opens at nine. When does the gate open?")
    for sentences in (3, 10, 25, 45, 80):
        note = _words(sentences, sentences).encode()
        yield _ask(f"text: notes of {sentences} sentences", "text", "What happened first?", ("notes.txt", note))
    yield _ask("text: a long answer", "text", "Write three sentences about a harbour.", max_tokens=72)


def _json() -> Iterator[Asked]:
    prompt = "What was moved, and how many?"
    for sentences in (1, 6, 20):
        note = _words(100 + sentences, sentences).encode()
        yield _ask(
            f"json: notes of {sentences} sentences", "json", prompt, ("notes.txt", note), schema=SCHEMA, max_tokens=48
        )
    for sentences in (1, 4):
        page = ("page.png", _page(120 + sentences, sentences))
        yield _ask(f"json: a page of {sentences} sentences", "json", prompt, page, schema=SCHEMA, max_tokens=48)


# ---- pictures -----------------------------------------------------------------------------------------


def _looks() -> Iterator[Asked]:
    drawn = {
        "a red circle": world.shape("red", "circle"),
        "a blue star on black": world.shape("blue", "star", "black", 512),
        "three green squares": world.several(3, "green", "square"),
        "a rising bar chart": world.chart("bar", side=400),
        "a pie chart": world.chart("pie", side=256),
        "a purple triangle, large": world.shape("purple", "triangle", "gray", 1200),
    }
    for what, each in drawn.items():
        yield _ask(f"looks: {what}", "picture", LOOKS, ("picture.png", each.png))


def _signs() -> Iterator[Asked]:
    """The same pictures asked for their words and for their looks."""
    for place, (words, colour, what) in enumerate((("HARBOUR OFFICE", "orange", "square"), ("GATE 7", "red", "star"))):
        sign = ("sign.png", world.sign(words, colour, what).png)  # type: ignore[arg-type]
        yield _ask(f"sign {place}: its words", "picture", "What does the text say?", sign)
        yield _ask(f"sign {place}: its looks", "picture", LOOKS, sign)
    photo = ("photo.jpg", (MEDIA / "photo-coffee.jpg").read_bytes())
    yield _ask("photo: what it shows", "picture", "What is in the picture?", photo)


def _screens() -> Iterator[Asked]:
    invoice = ("invoice.png", (MEDIA / "screenshot-invoice.png").read_bytes())
    yield _ask("screenshot: the total", "screenshot", "What is the total due?", invoice)
    yield _ask("screenshot: its words", "screenshot", "Which words are in the screenshot?", invoice)
    for sentences in (2, 5, 9, 14):
        page = ("page.png", _page(200 + sentences, sentences))
        yield _ask(f"screenshot: a page of {sentences} sentences", "screenshot", "Who received something?", page)


# ---- speech -------------------------------------------------------------------------------------------


def clip(name: str, start: float, seconds: float) -> bytes:
    """Some seconds of a recording, as WAV."""
    import wave

    samples = inputs._pcm(MEDIA / name)
    out = BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(inputs.RATE)
        first = int(start * inputs.RATE) * 2
        writer.writeframes(samples[first : first + int(seconds * inputs.RATE) * 2])
    return out.getvalue()


_CLIPS = (
    ("jfk.wav", 0.0, 11.0), ("jfk.wav", 3.0, 5.0), ("two_cities_25s.flac", 0.0, 8.0),
    ("two_cities_25s.flac", 6.0, 18.0), ("two_cities_25s.flac", 12.0, 4.0),
)  # fmt: skip


def _speech() -> Iterator[Asked]:
    for name, start, seconds in _CLIPS:
        call = ("call.wav", clip(name, start, seconds))
        yield _ask(
            f"speech: {seconds:g} s of {name} from {start:g}", "speech", "What is said about it?", call, language="en"
        )


def _transcripts() -> Iterator[Asked]:
    for name, start, seconds in _CLIPS[:4]:
        call = ("call.wav", clip(name, start + 0.5, seconds - 0.5))
        yield _ask(
            f"transcript: {seconds - 0.5:g} s of {name} from {start + 0.5:g}", "speech", "", call,
            output=TranscriptOutput(), language="en",
        )  # fmt: skip


# ---- documents ----------------------------------------------------------------------------------------


def _pdf_text() -> Iterator[Asked]:
    for sentences in (4, 20, 45):
        document = ("notes.pdf", inputs.pdf(_words(300 + sentences, sentences)))
        yield _ask(f"pdf: text of {sentences} sentences", "document", "Who received something?", document)
    report = ("report.pdf", (MEDIA / "report.pdf").read_bytes())
    yield _ask("pdf: the report", "document", "Who is the managing director?", report)
    yield _ask("pdf: a page of the report", "document", "What is the head office?", report, pages=[1])


def _pdf_scanned() -> Iterator[Asked]:
    scan = ("scanned.pdf", (MEDIA / "scanned.pdf").read_bytes())
    yield _ask("pdf: scanned, both pages", "document", "Who signed the notice?", scan)
    yield _ask("pdf: scanned, one page", "document", "What is the notice about?", scan, pages=[1])
    text, picture = inputs.pdf(_words(31, 6)), world.page()
    yield _ask(
        "pdf: a page with text, a page scanned",
        "document",
        "What was moved?",
        ("mixed.pdf", joined(text, scanned(picture))),
    )


def _pdf_figures() -> Iterator[Asked]:
    for what in ("bar", "line", "pie"):
        chart = ("chart.pdf", scanned(world.chart(what, side=600)))
        yield _ask(f"pdf: a {what} chart", "document", "What does the chart show?", chart)


def scanned(drawn: world.Drawn) -> bytes:
    """A page that is a picture."""
    out = BytesIO()
    drawn.image.save(out, "PDF", resolution=96)
    return out.getvalue()


def joined(*documents: bytes) -> bytes:
    import pypdfium2

    whole = pypdfium2.PdfDocument.new()
    for document in documents:
        whole.import_pages(pypdfium2.PdfDocument(document))
    out = BytesIO()
    whole.save(out)
    return out.getvalue()


# ---- video, several files, other outputs --------------------------------------------------------------


def _video() -> Iterator[Asked]:
    talk = ("talk.mp4", TALK.read_bytes())
    yield _ask("video: what is said", "video", "What is said about it?", talk, language="en")
    yield _ask("video: what is shown", "video", "What is the total due on the invoice?", talk, language="en")
    yield _ask("video: both", "video", "Does what is said agree with what is shown?", talk, language="en")
    film = ("film.mp4", (MEDIA / "bigbuckbunny.mp4").read_bytes())
    yield _ask("video: a scene", "video", "Describe the picture: what colours?", film)
    yield _ask("video: a scene's animals", "video", "Describe the picture: which animals?", film)
    yield _ask("video: a scene's place", "video", "Describe the picture: where is it?", film)


def _several() -> Iterator[Asked]:
    invoice = ("invoice.png", (MEDIA / "screenshot-invoice.png").read_bytes())
    report = ("report.pdf", (MEDIA / "report.pdf").read_bytes())
    call = ("call.wav", clip("jfk.wav", 0.0, 6.0))
    shape = ("shape.png", world.shape("green", "circle").png)
    notes = ("notes.txt", _words(41, 12).encode())
    yield _ask(
        "several: call and invoice", "several", "Does the invoice agree with the call?", call, invoice, language="en"
    )
    yield _ask("several: invoice and report", "several", "Which company is it?", invoice, report, pages=[1])
    yield _ask("several: shape and notes", "several", "What colour is the shape, and what was moved?", shape, notes)
    yield _ask("several: shape and invoice", "several", "What shape is it, and what is the total?", shape, invoice)
    yield _ask(
        "several: call, notes and shape",
        "several",
        "What is said, and what colour is it?",
        call,
        notes,
        shape,
        language="en",
    )


def _embeddings() -> Iterator[Asked]:
    for sentences in (1, 2, 4, 8, 12):
        note = _words(500 + sentences, sentences).encode()
        yield _ask(f"embedding: {sentences} sentences", "embedding", "", ("notes.txt", note), output=EmbeddingOutput())
    yield _ask("embedding: a page", "embedding", "", ("page.png", _page(504, 3)), output=EmbeddingOutput())


def _scores() -> Iterator[Asked]:
    labels = ("invoice", "recipe", "weather report")
    for sentences in (1, 5):
        yield _ask(
            f"scores: {sentences} sentences", "scores", _words(600 + sentences, sentences),
            output=ScoresOutput(labels=labels),
        )  # fmt: skip
    page = ("page.png", _page(606, 3))
    yield _ask("scores: a page", "scores", "", page, output=ScoresOutput(labels=labels))
