"""Images on pages of text: which hold words that the text layer lacks, and what becomes of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from tests.unit.media import papers

from intermodal.core.content import ReadLine
from intermodal.executor.conversion.conversions import ImageOrigin, product_of_lines
from intermodal.executor.preparation.model_inputs import TextInput
from intermodal.media.image import decoder
from intermodal.media.pdf import document, page_figures
from intermodal.media.worker_client import MediaWorker
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.plans.step import Call

BOX = (60.0, 250.0, 450.0, 250.0)  # left, bottom, width, height on the page


def chart(*, words: bool = True) -> Image.Image:
    made = Image.new("RGB", (900, 500), "white")
    draw = ImageDraw.Draw(made)
    for at, (name, value) in enumerate([("Alpha", 120), ("Beta", 310), ("Gamma", 220), ("Delta", 90)]):
        draw.rectangle((80 + at * 200, 450 - value, 200 + at * 200, 450), fill=(40, 90, 200))
        if words:
            draw.text((90 + at * 200, 455), name, fill="black", font_size=28)
            draw.text((100 + at * 200, 410 - value), str(value), fill="black", font_size=28)
    return made


def logo() -> Image.Image:
    made = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(made).text((60, 70), "ACME", fill="red", font_size=40)
    return made


def with_text(draw: Callable[[Canvas], object], canvas: Canvas) -> None:
    for at in range(8):
        canvas.drawString(60, 780 - 14 * at, papers.prose(at, 12))
    draw(canvas)


def shown(picture: Image.Image, box: tuple[float, ...] = BOX) -> Callable[[Canvas], None]:
    return lambda canvas: with_text(lambda canvas: canvas.drawImage(ImageReader(picture), *box), canvas)


def photo(canvas: Canvas) -> None:
    cat = Path(__file__).parents[3] / "examples" / "media" / "photo-cat.jpg"
    with_text(lambda canvas: canvas.drawImage(ImageReader(Image.open(cat).convert("RGB")), *BOX), canvas)


def background(canvas: Canvas) -> None:
    canvas.drawImage(ImageReader(Image.new("RGB", (60, 84), (240, 240, 255))), 0, 0, 595, 842)
    with_text(lambda canvas: None, canvas)


def letters(canvas: Canvas) -> None:
    """A line of 40 letters as curves, which a font would have drawn as well."""
    for at in range(40):
        path, left = canvas.beginPath(), 60 + 12 * at
        path.moveTo(left, 400)
        for turn in range(8):
            path.curveTo(left + 1, 400 + turn, left + 4, 408 - turn, left + 7, 400 + turn)
        canvas.drawPath(path, fill=1)


def outlined(canvas: Canvas) -> None:
    with_text(letters, canvas)


def outlined_in_forms(canvas: Canvas) -> None:
    """The same in a form in a form, ten times as large, which the page draws at a tenth and moved."""
    canvas.beginForm("inner", 0, 0, 6000, 9000)
    canvas.scale(10, 10)
    letters(canvas)
    canvas.endForm()
    canvas.beginForm("outer", 0, 0, 6000, 9000)
    canvas.doForm("inner")
    canvas.endForm()

    def placed(canvas: Canvas) -> None:
        canvas.translate(0, -100)
        canvas.scale(0.1, 0.1)
        canvas.doForm("outer")

    with_text(placed, canvas)


def pages_of(*draws: Callable[[Canvas], object]) -> tuple[PageFacts, ...]:
    data = papers.drawn(*draws)
    return document.with_samples(data, document.probe(data, "application/pdf"), decoder.text_density).pages


def test_a_chart_with_words_is_kept_for_a_reader_at_its_place() -> None:
    (page,) = pages_of(shown(chart()))
    (box,) = page.figures
    assert box == pytest.approx((60, 842 - 500, 510, 842 - 250), abs=0.5)
    assert page.figure_letters.mid > 25


@pytest.mark.parametrize(
    "draw",
    [shown(chart(words=False)), photo, shown(logo(), (500, 780, 60, 60)), background],
    ids=["chart without words", "photograph", "logo", "background of a page of text"],
)
def test_what_holds_no_words_is_not_read(draw: Callable[[Canvas], object]) -> None:
    (page,) = pages_of(draw)
    assert page.figures == () and not page.figure_letters.known


def test_letters_drawn_as_curves_are_kept_for_a_reader() -> None:
    (page,) = pages_of(outlined)
    assert len(page.figures) == 1 and not page.scanned


def test_letters_drawn_as_curves_in_forms_are_kept_where_they_stand() -> None:
    (plain,), (nested,) = pages_of(outlined), pages_of(outlined_in_forms)
    ((left, top, right, bottom),) = plain.figures
    assert nested.figures == (pytest.approx((left, top + 100, right, bottom + 100), abs=1.0),)


def test_a_letterhead_is_looked_at_once() -> None:
    pages = pages_of(*[shown(chart())] * 4)
    assert [len(page.figures) for page in pages] == [1, 0, 0, 0]
    assert [len(page.figures) for page in pages_of(*[shown(chart())] * 2)] == [1, 1]


def test_a_picture_on_a_turned_page_is_where_it_is_seen() -> None:
    def draw(canvas: Canvas) -> None:
        shown(chart(), (60.0, 250.0, 450.0, 250.0))(canvas)
        canvas.setPageRotation(90)

    data = papers.drawn(draw, size=(842, 595))
    page = document.probe(data, "application/pdf").pages[0]
    (box,) = page.figures
    assert (page.width, page.height) == (842, 595)
    assert box == pytest.approx((250, 60, 500, 510), abs=0.5), "the lower edge of the content is at the left"


def test_pictures_that_touch_are_one() -> None:
    assert page_figures._merge_overlapping([(0, 0, 10, 10), (20, 0, 30, 10), (5, 5, 25, 8)]) == [(0, 0, 30, 10)]


@pytest.mark.anyio
async def test_a_picture_is_cut_out_of_its_page() -> None:
    red = Image.new("RGB", (100, 100), (255, 0, 0))
    data = papers.drawn(shown(red, (100.0, 200.0, 300.0, 150.0)))
    async with MediaWorker() as worker:
        (made,) = await worker.page_images(data, (1,), 72, crops=((100.0, 492.0, 400.0, 642.0),))
    assert (made.width, made.height) == (300, 150)
    colours = Image.open(io.BytesIO(made.data)).convert("RGB").getcolors(9_999) or []
    assert sum(count for count, colour in colours if colour == (255, 0, 0)) > 0.95 * 300 * 150


def test_a_picture_whose_words_the_text_has_is_not_said_twice() -> None:
    page = PageFacts(number=2, width=595, height=842, chars=99, words=("revenue", "by", "product", "alpha", "beta"))
    part = PartFacts(index=0, name="report.pdf", kind="document", pages=(PageFacts(number=1, width=9, height=9), page))
    cut_out = (("figures", "cut out"),)
    step = Call(id="r", op="read", task="image-to-text", endpoint="ocr", inputs=("step:d",), params=cut_out)
    known = (ReadLine(text="Revenue by product", confidence=0.9, box=(0, 0, 90, 10)),)
    new = (ReadLine(text="Alpha 120 Beta 310", confidence=0.9, box=(0, 0, 90, 10)),)
    made = product_of_lines(step, part, (ImageOrigin(page=2), ImageOrigin(page=2)), (known, new))
    assert [(piece.text, piece.label) for piece in made.pieces if isinstance(piece, TextInput)] == [
        ("Alpha 120 Beta 310", "Text in an image read from report.pdf, page 2")
    ]
    assert made.lines == (new,)
