"""Text layers that are not what is seen on their pages: found when a file is opened, said, and read instead."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import reportlab
from PIL import Image, ImageDraw
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from tests.gates import corpus
from tests.unit.media import papers
from tests.unit.media.asked import asked_about

from intermodal.media.image import decoder
from intermodal.media.pdf import document
from intermodal.planner.conversion.fidelity import aspect_needs
from intermodal.plans.facts import PageFacts, PartFacts, QuestionFacts
from intermodal.testing import FakeHost

SEEN = [
    "The rent is 1,250 euros a month and due on the third",
    "The deposit is 3,750 euros, held by the bank",
    "The landlord keeps the heating in good repair",
]
LANGUAGES = {
    "German": "Der Mieter verpflichtet sich, die Miete jeweils bis zum dritten Werktag eines Monats zu zahlen.",
    "Polish": "Najemca zobowiązuje się do zapłaty czynszu do piątego dnia każdego miesiąca, a kaucja wraca do niego.",
    "Finnish": "Vuokralainen sitoutuu maksamaan vuokran ennen kuukauden viidettä päivää, vakuus palautetaan.",
    "Turkish": "Kiracı, kirayı her ayın beşinci gününe kadar ödemeyi taahhüt eder; depozito iade edilecektir.",
    "Russian": "Арендатор обязуется вносить плату до пятого числа каждого месяца, залог возвращается.",
    "Chinese": "承租人应在每月五日之前支付租金,押金将在交还钥匙后两个月内退还。" * 3,
    "code": "def parse(self, data): for i in range(len(data)): self._items.append(Node(i, data[i])) return self._items",
    "figures": "1,250.00 3,750.00 14.2 % 2026-05-03 +49 30 1234567 DE02 1203 0000 0000 2020 51 " * 3,
}


def probed(data: bytes) -> PageFacts:
    return document.with_samples(data, document.probe(data, "application/pdf"), decoder.text_density).pages[0]


def written(shift: int) -> bytes:
    """A page whose font claims that each letter is the one ``shift`` places on."""
    pdfmetrics.registerFont(TTFont("Vera", Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"))
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0)
    canvas.setFont("Vera", 12)
    for at, line in enumerate(SEEN):
        canvas.drawString(60, 760 - 16 * at, line)
    canvas.save()

    def moved(match: re.Match[bytes]) -> bytes:
        letter = int(match[2], 16)
        if chr(letter).isalpha():
            letter = ((letter | 32) - 97 + shift) % 26 + 97
        return match[1] + b"%04X>" % letter

    return re.sub(rb"(<[0-9A-F]{2}> <)([0-9A-F]{4})>", moved, out.getvalue())


def unmapped() -> bytes:
    """A page in a font that says of no code which letter it is."""
    codes = "".join(f"{ord(letter) + 200:04X}" for letter in "".join(SEEN)).encode()
    font = (
        b"/Resources<</Font<</F<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/DescendantFonts["
        b"<</Type/Font/Subtype/CIDFontType2/BaseFont/X"
        b"/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>"
        b"/FontDescriptor<</Type/FontDescriptor/FontName/X/Flags 4>>>>]>>>>>>"
    )
    return corpus.pdf_with_content(b"BT/F 9 Tf<" + codes + b">Tj ET", page=font)


def overlaid(*lines: str) -> bytes:
    """An image of ``SEEN`` with ``lines`` lying on it invisibly."""

    scan = Image.new("RGB", (1240, 1754), "white")
    for at, line in enumerate(SEEN):
        ImageDraw.Draw(scan).text((100, 100 + 60 * at), line, fill="black", font_size=36)

    def draw(canvas: Canvas) -> None:
        canvas.drawImage(ImageReader(scan), 0, 0, 595, 842)
        over = canvas.beginText(40, 780)
        over.setTextRenderMode(3)
        for line in lines:
            over.textLine(line)
        canvas.drawText(over)

    return papers.drawn(draw)


def test_a_page_of_words_is_taken_at_its_words() -> None:
    for data in (written(0), papers.invoice(), papers.columns(2), papers.code(), papers.form()):
        page = probed(data)
        assert not (page.doubt or page.scanned or page.hidden)


@pytest.mark.parametrize("shift", [3, 7, 13, 20])
def test_letters_that_make_no_words_are_no_text(shift: int) -> None:
    page = probed(written(shift))
    assert page.doubt == document.NO_WORDS and page.scanned
    assert page.letters.known and page.words == (), "it is sampled like a scan"


def test_codes_without_letters_are_no_text() -> None:
    assert probed(unmapped()).doubt == document.NO_MAP


def test_letters_that_are_control_characters_are_no_text() -> None:
    controls = re.sub(rb"(<[0-9A-F]{2}> <)00[4-7]([0-9A-F]>)", rb"\g<1>000\2", written(0))
    assert probed(controls).doubt == document.NO_MAP


def test_an_invisible_layer_is_taken_where_it_fits_the_picture() -> None:
    page = probed(overlaid(*SEEN))
    assert page.hidden and not page.scanned


@pytest.mark.parametrize(
    "lines",
    [
        ("Tlne rcnt 1s l,Z5O curos a rn0nth ancl clue 0n tbe th1rd", "Tbe dep0sit 1s 3,75O eur0s, he1d by tbe b4nk"),
        ("Some words",),
        (*SEEN, *SEEN, *SEEN),
    ],
    ids=["misread", "too few", "too many"],
)
def test_an_invisible_layer_is_not_taken_where_it_does_not(lines: tuple[str, ...]) -> None:
    page = probed(overlaid(*lines))
    assert page.scanned and (page.doubt == document.MISREAD or page.chars < 16)


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_any_language_and_code_are_words(language: str) -> None:
    assert document.has_words(LANGUAGES[language])


def test_pages_whose_text_layer_is_ignored_are_noted_with_the_reason() -> None:
    pages = [PageFacts(number=at, width=9, height=9, chars=99, doubt=document.NO_WORDS) for at in range(1, 8)]
    pages.append(PageFacts(number=8, width=9, height=9, chars=99, hidden=True))
    assert document.layer_notes(pages) == (
        "the text layer of pages 1, 2, 3, 4, 5 and 2 more is not taken: its letters make no words",
        "the words of page 8 are what an earlier reading of their images left",
    )


def test_a_scan_under_its_own_words_has_no_figures_to_lose() -> None:
    page = probed(overlaid(*SEEN))
    part = PartFacts(index=0, name="rent.pdf", kind="document", pages=(page,))
    assert page.figure_share > 0.9
    assert "figures" not in aspect_needs(part, QuestionFacts())


# ---- a_few_letters ----------------------------------------------------------------------------------


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


@pytest.mark.slow
def test_a_pdf_of_five_letters_reaches_a_model_as_its_text(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = asked_about("What does it say?", drawn(hello), host, tmp_path, monkeypatch)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "a greeting"
    assert len(host.attempts) == 1 and "Hello" in host.attempts[0].text
    # One call and no reader: the text is the layer's own, exact and free.
    assert "read" not in answer.headers["x-intermodal-steps"]
