"""Draws report.pdf, scanned.pdf and report.json: documents whose every fact is known.

    python examples/make_report.py [FOLDER]

Needs reportlab (in the ``dev`` group). Company, terminals and figures are invented. The same
library versions write the same bytes: no date, no random identifier, seeded noise.
"""

from __future__ import annotations

import json
import random
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import reportlab
from PIL import Image, ImageDraw, ImageFont
from reportlab.graphics import renderPDF
from reportlab.graphics.charts.barcharts import VerticalBarChart
from reportlab.graphics.shapes import Drawing
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Table, TableStyle

TITLE = "Northbound Rail Freight: third quarter 2026"

SUMMARY = (
    "Northbound Rail Freight moved 48,210 containers in the third quarter of 2026,",
    "which is 6 percent more than in the second quarter. The managing director is",
    "Ingrid Solheim. The head office is in Gothenburg.",
    "",
    "Revenue was EUR 31.4 million. Operating costs were EUR 27.9 million, so the",
    "quarter closed with an operating profit of EUR 3.5 million.",
    "",
    "The busiest terminal was Rotterdam. The least punctual terminal was Milan, where",
    "signal repairs between 3 August and 21 August delayed 112 trains. The repairs",
    "are finished.",
    "",
    "In the fourth quarter the company will open a new terminal in Wroclaw. The",
    "opening is planned for 1 December 2026 and the budget is EUR 4.2 million.",
)

TABLE_HEAD = ("Terminal", "Containers", "On time", "Revenue (EUR million)")
COLUMNS = ("terminal", "containers", "on_time_percent", "revenue_eur_million")
TERMINALS = (
    ("Rotterdam", 19_870, 94, 13.1),
    ("Hamburg", 14_020, 91, 9.2),
    ("Gothenburg", 8_150, 96, 5.4),
    ("Milan", 6_170, 78, 3.7),
)

CHART_TITLE = "Containers moved per month (thousands)"
MONTHS = (("Jul", 15.2), ("Aug", 14.6), ("Sep", 18.4))
CHART_NOTE = (
    "September was the strongest month with 18.4 thousand containers.",
    "August was the weakest month because of the repairs in Milan.",
)

LETTER_PAGES = (
    (
        "Harbour Storage Cooperative",
        "12 Quay Street, Bergen",
        "",
        "Notice of delivery HS-7731",
        "",
        "Date: 9 October 2026",
        "To: Acme Rail Ltd",
        "",
        "We received 36 crates of machine parts",
        "on 7 October 2026 at gate 4.",
        "",
        "Two crates were damaged: crate 11",
        "and crate 29.",
        "",
        "Storage is free until 20 October 2026.",
        "After that day the fee is EUR 45 per day.",
    ),
    (
        "Notice of delivery HS-7731, page 2",
        "",
        "Weight of the delivery: 5,480 kg",
        "Customs reference: NO-55-2086",
        "",
        "Please collect the crates with truck",
        "and forklift. The warehouse is open",
        "from 7:00 to 15:30.",
        "",
        "Signed by Marit Haugen,",
        "warehouse manager",
    ),
)


def report() -> bytes:
    """Three pages with a text layer: prose, a table, a bar chart."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1, pageCompression=1)
    canvas.setTitle(TITLE)
    canvas.setAuthor("Northbound Rail Freight (invented)")
    _heading(canvas, TITLE)
    _lines(canvas, SUMMARY, top=740)
    canvas.showPage()

    _heading(canvas, "Terminals in the third quarter of 2026")
    rows = [TABLE_HEAD, *((name, f"{count:,}", f"{share} %", f"{money}") for name, count, share, money in TERMINALS)]
    total = sum(count for _, count, _, _ in TERMINALS)
    rows.append(("Total", f"{total:,}", "", f"{sum(money for *_, money in TERMINALS):.1f}"))
    table = Table(rows, colWidths=(120, 100, 90, 150))
    table.setStyle(
        TableStyle(
            [
                ("FONT", (0, 0), (-1, -1), "Helvetica", 11),
                ("FONT", (0, 0), (-1, 0), "Helvetica-Bold", 11),
                ("BACKGROUND", (0, 0), (-1, 0), colors.HexColor("#dde4ea")),
                ("GRID", (0, 0), (-1, -1), 0.5, colors.HexColor("#7a8a99")),
                ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
            ]
        )
    )
    table.wrapOn(canvas, 460, 400)
    table.drawOn(canvas, 60, 610)
    canvas.showPage()

    _heading(canvas, CHART_TITLE)
    renderPDF.draw(_chart(), canvas, 60, 470)
    _lines(canvas, CHART_NOTE, top=430)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _heading(canvas: Canvas, text: str) -> None:
    canvas.setFont("Helvetica-Bold", 16)
    canvas.drawString(60, 780, text)


def _lines(canvas: Canvas, lines: tuple[str, ...], *, top: float) -> None:
    canvas.setFont("Helvetica", 11)
    for number, line in enumerate(lines):
        canvas.drawString(60, top - 17 * number, line)


def _chart() -> Drawing:
    drawing = Drawing(440, 270)
    chart = VerticalBarChart()
    chart.x, chart.y, chart.width, chart.height = 40, 30, 380, 220
    chart.data = [[value for _, value in MONTHS]]
    chart.categoryAxis.categoryNames = [name for name, _ in MONTHS]
    chart.valueAxis.valueMin, chart.valueAxis.valueMax, chart.valueAxis.valueStep = 0, 20, 5
    chart.barLabelFormat = "%.1f"
    chart.barLabels.nudge = 8
    chart.bars[0].fillColor = colors.HexColor("#2c5c8a")
    drawing.add(chart)
    return drawing


def scanned() -> bytes:
    """Two pages that are images only: type on paper, a little turned, with grain, at 150 dpi."""
    grain = random.Random(7731)
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1, pageCompression=1)
    for number, lines in enumerate(LETTER_PAGES):
        canvas.drawImage(ImageReader(_scan(lines, 0.4 - 0.7 * number, grain)), 0, 0, *A4)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _scan(lines: tuple[str, ...], degrees: float, grain: random.Random) -> Image.Image:
    page = Image.new("L", (1240, 1754), 244)
    font = ImageFont.truetype(str(Path(reportlab.__file__).parent / "fonts" / "Vera.ttf"), 34)
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((150, 180 + 62 * number), line, font=font, fill=40)
    page = page.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=244)
    for _ in range(1500):
        page.putpixel((grain.randrange(1240), grain.randrange(1754)), grain.randrange(120, 230))
    return page.quantize(16).convert("L")


def truth() -> dict[str, Any]:
    """What is in the two documents, for tests and for people."""
    return {
        "report.pdf": {
            "pages": 3,
            "title": TITLE,
            "text": " ".join(line for line in SUMMARY if line),
            "answers": {
                "Who is the managing director?": "Ingrid Solheim",
                "Where is the head office?": "Gothenburg",
                "How many containers were moved in the third quarter?": "48,210",
                "What was the operating profit?": "3.5 million",
                "Which terminal was the busiest?": "Rotterdam",
                "Which terminal was the least punctual?": "Milan",
                "When will the new terminal in Wroclaw open?": "1 December 2026",
            },
            "table": [dict(zip(COLUMNS, row, strict=True)) for row in TERMINALS],
            "chart": {"title": CHART_TITLE, "values": dict(MONTHS)},
        },
        "scanned.pdf": {
            "pages": 2,
            "text_layer": False,
            "lines": [[line for line in page if line] for page in LETTER_PAGES],
            "answers": {
                "How many crates were received?": "36",
                "When did the crates arrive?": "7 October 2026",
                "Which crates were damaged?": "crate 11 and crate 29",
                "What is the storage fee per day?": "EUR 45",
                "What is the weight of the delivery?": "5,480 kg",
                "What is the customs reference?": "NO-55-2086",
                "Who signed the notice?": "Marit Haugen",
            },
        },
    }


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "media"
    (folder / "report.pdf").write_bytes(report())
    (folder / "scanned.pdf").write_bytes(scanned())
    (folder / "report.json").write_text(json.dumps(truth(), indent=2) + "\n")


if __name__ == "__main__":
    main()
