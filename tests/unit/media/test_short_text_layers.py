"""A page with a few letters in its text layer: all there is, or a stamp on a scan. What else is on it decides."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from tests.unit.media.asked import asked_about

from intermodal.media.pdf import document
from intermodal.plans.facts import PageFacts
from intermodal.testing import FakeHost

Draw = Callable[[Canvas], Any]


def drawn(*pages: Draw) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(595, 842))
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def hello(canvas: Canvas) -> None:
    canvas.drawString(72, 700, "Hello")


def framed(canvas: Canvas) -> None:
    canvas.setFillColorRGB(1, 1, 0.9)
    canvas.rect(0, 0, 595, 842, stroke=0, fill=1)
    canvas.setFillColorRGB(0, 0, 0)
    canvas.rect(60, 690, 200, 30)
    canvas.line(60, 680, 260, 680)
    hello(canvas)


def with_logo(canvas: Canvas) -> None:
    canvas.drawImage(_picture("A"), 500, 780, 40, 40)
    hello(canvas)


def linked(canvas: Canvas) -> None:
    hello(canvas)
    canvas.linkURL("https://example.com", (72, 690, 140, 712))


def scan(canvas: Canvas) -> None:
    canvas.drawImage(_picture("The total is 42 euros"), 0, 0, 595, 842)


def numbered_scan(canvas: Canvas) -> None:
    scan(canvas)
    canvas.drawString(290, 20, "7")


def scan_in_strips(canvas: Canvas) -> None:
    for place in range(8):
        canvas.drawImage(_picture("words"), 0, place * 105, 595, 105)
    canvas.drawString(72, 700, "DRAFT")


def outlined(canvas: Canvas) -> None:
    """A letter as curves, as layout programs save type that nobody may copy."""
    path = canvas.beginPath()
    path.moveTo(100, 500)
    for place in range(8):
        path.curveTo(110 + place, 520, 130, 530 - place, 140 + 5 * place, 500)
    canvas.drawPath(path, fill=1)
    canvas.drawString(290, 20, "7")


def plotted(canvas: Canvas) -> None:
    for place in range(40):
        canvas.line(100 + 3 * place, 500, 102 + 3 * place, 508)
    canvas.drawString(290, 20, "7")


def stamped(canvas: Canvas) -> None:
    hello(canvas)
    canvas.acroForm.textfield(name="total", value="42 euros", x=100, y=400, width=100, height=20)


def blank(canvas: Canvas) -> None:
    canvas.setFillColorRGB(0, 0, 0)


def small_picture_alone(canvas: Canvas) -> None:
    canvas.drawImage(_picture("A"), 500, 780, 40, 40)


def _picture(words: str) -> ImageReader:
    from tests.documents import picture

    return ImageReader(io.BytesIO(picture(words, size=(600, 200))))


def page_of(draw: Draw) -> PageFacts:
    return document.probe(drawn(draw), "application/pdf").pages[0]


@pytest.mark.parametrize("draw", [hello, framed, with_logo, linked, blank], ids=lambda draw: draw.__name__)
def test_where_nothing_else_can_hold_words_the_layer_is_the_text(draw: Draw) -> None:
    assert page_of(draw).layer_only


@pytest.mark.parametrize(
    "draw", [scan, numbered_scan, scan_in_strips, outlined, plotted, stamped, small_picture_alone],
    ids=lambda draw: draw.__name__,
)  # fmt: skip
def test_what_may_hold_words_beside_a_short_layer_is_looked_at(draw: Draw) -> None:
    found = page_of(draw)
    assert found.chars < 16 and not found.layer_only


@pytest.fixture
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="a greeting") as fake:
        yield fake


def test_a_pdf_of_five_letters_reaches_a_model_as_its_text(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = asked_about("What does it say?", drawn(hello), host, tmp_path, monkeypatch)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "a greeting"
    assert len(host.attempts) == 1 and "Hello" in host.attempts[0].text
    # One call and no reader: the text is the layer's own, exact and free.
    assert "read" not in answer.headers["x-intermodal-steps"]
