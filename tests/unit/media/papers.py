"""PDFs whose content is known: each function returns the bytes of one."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    FrameBreak,
    ListFlowable,
    PageTemplate,
    Paragraph,
    Preformatted,
    SimpleDocTemplate,
    Spacer,
    Table,
    TableStyle,
)

STYLES: Any = getSampleStyleSheet()
GRID = TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black)])
RIGHT = TableStyle([("ALIGN", (1, 0), (-1, -1), "RIGHT")])
INVOICE = [
    ["Item", "Qty", "Price", "Total"],
    ["Blue lamp", "3", "12.50", "37.50"],
    ["Steel hook, large", "12", "1.75", "21.00"],
    ["Paper", "", "4.00", "4.00"],
    ["Sum", "15", "", "62.50"],
]
_SPELLED = "river mountain account delivery harbour window copper signal lantern garden bridge quarry meadow"
NOUNS = _SPELLED.split()


def prose(seed: int, count: int = 60) -> str:
    """So many words, the same for the same seed, in sentences of nine."""
    words = [NOUNS[(seed * 7 + at * at + 3 * at) % len(NOUNS)] for at in range(count)]
    return " ".join(
        (word.capitalize() if at % 9 == 0 else word) + ("." if at % 9 == 8 or at == count - 1 else "")
        for at, word in enumerate(words)
    )


def built(flow: Sequence[Flowable], size: tuple[float, float] = A4) -> bytes:
    """A document of what flows over its pages."""
    out = io.BytesIO()
    SimpleDocTemplate(out, pagesize=size).build(list(flow))
    return out.getvalue()


def drawn(*pages: Callable[[Canvas], Any], size: tuple[float, float] = A4) -> bytes:
    """A document of drawn pages."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=size)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def text(words: str, style: str = "Normal") -> Flowable:
    """A paragraph in one of reportlab's styles."""
    return Paragraph(words, STYLES[style])


def invoice(style: TableStyle = GRID) -> bytes:
    """A heading, a paragraph, a table, a sentence."""
    return built(
        [text("Invoice 4711", "Title"), text(prose(1)), Spacer(1, 12), Table(INVOICE, style=style), Spacer(1, 12),
         text("Thank you for the order.")]
    )  # fmt: skip


def columns(count: int, headline: str = "") -> bytes:
    """Columns of paragraphs from ``Mark<column><paragraph>`` to ``End<column><paragraph>``, under a headline."""
    out, width = io.BytesIO(), (495 - 18 * (count - 1)) / count
    frames = [Frame(50 + at * (width + 18), 60, width, 600, leftPadding=0, rightPadding=0) for at in range(count)]
    flow: list[Flowable] = []
    if headline:
        frames.insert(0, Frame(50, 680, 495, 110, leftPadding=0, rightPadding=0))
        flow += [Paragraph(headline, ParagraphStyle("h", fontName="Helvetica-Bold", fontSize=26, leading=30))]
        flow += [FrameBreak()]
    small = ParagraphStyle("small", fontSize=9, leading=11)
    for at in range(count):
        for row in range(3):
            words = f"Mark{at}{row} {prose(at + 5 * row)} End{at}{row}."
            flow += [Paragraph(words, small), Spacer(1, 6)]
        flow += [FrameBreak()] if at < count - 1 else []
    document = BaseDocTemplate(out, pagesize=A4)
    document.addPageTemplates([PageTemplate(frames=frames)])
    document.build(flow)
    return out.getvalue()


def turned(degrees: int) -> bytes:
    """A page that stands upright once it is turned by its ``/Rotate``."""
    width, height = (842.0, 595.0) if degrees in (90, 270) else (595.0, 842.0)

    def draw(canvas: Canvas) -> None:
        if degrees == 90:
            canvas.translate(width, 0)
        elif degrees == 180:
            canvas.translate(width, height)
        elif degrees == 270:
            canvas.translate(0, height)
        canvas.rotate({90: 90, 180: 180, 270: -90}[degrees])
        canvas.drawString(60, 780, "First line")
        table = Table(INVOICE, style=GRID)
        table.wrapOn(canvas, 400, 400)
        table.drawOn(canvas, 60, 600)
        canvas.drawString(60, 560, "Second line")
        canvas.setPageRotation(degrees)

    return drawn(draw)


def lists() -> bytes:
    """Two headings, two lists."""
    points = [text(f"Bring the {word}") for word in NOUNS[:3]]
    steps = [text(f"Turn the {word}") for word in NOUNS[3:6]]
    return built(
        [text("Packing", "Heading1"), ListFlowable(points, bulletType="bullet"), text("Steps", "Heading2"),
         ListFlowable(steps, bulletType="1", bulletFormat="%s."), text(prose(4))]
    )  # fmt: skip


def code() -> bytes:
    """A function of Python between paragraphs."""
    lines = "def twice(x):\n    if x:\n        return x * 2\n    return None"
    return built([text(prose(2)), Preformatted(lines, STYLES["Code"]), text(prose(3))])


def hyphenated() -> bytes:
    """Lines that end within words."""
    lines = [
        "The committee has discussed the infra-", "structure of the harbour and the environ-",
        "mental effects for three days. A well-known", "engineer from Rotterdam agreed with them.",
    ]  # fmt: skip

    def draw(canvas: Canvas) -> None:
        for at, line in enumerate(lines):
            canvas.drawString(60, 760 - 14 * at, line)

    return drawn(draw)


def linked() -> bytes:
    """A link at one of two equal words, and one without words."""

    def draw(canvas: Canvas) -> None:
        canvas.drawString(60, 700, "Our terms are long.")
        canvas.drawString(60, 670, "Read the terms before you sign.")
        left = 60 + canvas.stringWidth("Read the ")
        canvas.linkURL("https://example.com/terms", (left, 667, left + canvas.stringWidth("terms"), 682))
        canvas.linkURL("https://example.com/logo", (400, 100, 440, 140))

    return drawn(draw)


def form() -> bytes:
    """Fields with and without a name for people, boxes, and a remark."""

    def draw(canvas: Canvas) -> None:
        canvas.drawString(60, 750, "Registration for the summer course")
        fields = canvas.acroForm
        canvas.drawString(60, 700, "Name")
        fields.textfield(name="f1", value="Ada Byron", x=150, y=695, width=200, height=20, tooltip="Full name")
        canvas.drawString(60, 670, "City")
        fields.textfield(name="f2", value="London", x=150, y=665, width=200, height=20)
        canvas.drawString(60, 640, "Newsletter")
        fields.checkbox(name="f3", checked=True, x=150, y=635, size=16)
        canvas.drawString(60, 610, "Parking")
        fields.checkbox(name="f4", checked=False, x=150, y=605, size=16)
        canvas.textAnnotation("Ask for the second name", Rect=[400, 690, 420, 710], name="Note")

    return drawn(draw)


def form_beside() -> bytes:
    """Fields right behind the words that say what they are of."""

    def draw(canvas: Canvas) -> None:
        canvas.drawString(60, 750, "The council of Groningen grants permits.")
        fields = canvas.acroForm
        for place, (label, value) in enumerate((("Applicant:", "Wilhelmina Quist"), ("Place:", "Groningen"),
                                                ("Remarks:", ""))):  # fmt: skip
            canvas.drawString(60, 700 - 30 * place, label)
            left = 64 + canvas.stringWidth(label)
            fields.textfield(name=f"f{place}", value=value, x=left, y=695 - 30 * place, width=200, height=16)

    return drawn(draw)


def pictured(picture: bytes, box: tuple[float, float, float, float] = (0, 0, 595, 842)) -> Callable[[Canvas], None]:
    """Draws an image on a page; ``box`` is left, bottom, width, height."""
    return lambda canvas: canvas.drawImage(ImageReader(io.BytesIO(picture)), *box)
