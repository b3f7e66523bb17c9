"""Tables without rules whose cells have several lines: each line arrives in its row, whatever tells rows apart."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from reportlab.lib.utils import simpleSplit
from reportlab.pdfgen.canvas import Canvas
from tests.unit.media.asked import asked_about

from intermodal.media.pdf import document
from intermodal.testing import FakeHost

pytest.importorskip("liteparse")
HEAD = ("Name", "What was done", "Amount")
ROWS = [
    ("Marit Haugen", "The harbour master counted 212 oak boards near the old canal before the shift.", "1,250.00"),
    ("Tomas Berg", "A night driver returned 44 spare axles.", "88.10"),
    (
        "Ingrid Solheim", "Our customer received 512 salt sacks behind the main office without any further notice.",
        "9,431.75",
    ),
    ("Peter Novak", "The repair team sealed 87 cable drums beside the empty silo on the eastern quay.", "402.00"),
    ("Claire Dubois", "The crane operator weighed 13 pump motors.", "77.30"),
]  # fmt: skip
BEFORE = "Report of the week about what was done at the quay and what it cost us."
AFTER = "The total was paid on the third day of the month after all had been counted."
LEADING = 13


def drawn(draw: Callable[[Canvas], Any]) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(595, 842))
    canvas.setFont("Helvetica", 11)
    draw(canvas)
    canvas.save()
    return out.getvalue()


def table(gap: float, align: str = "top", *, head: bool = True, narrow: bool = False, by_column: bool = False) -> bytes:
    """A table with so much space between its rows. ``narrow``: names wrap, too."""
    pieces: list[tuple[int, float, str]] = []
    top = 770.0
    for cells in [*([HEAD] if head else []), *ROWS]:
        lines = [
            simpleSplit(text, "Helvetica", 11, width)
            for text, width in zip(cells, (60 if narrow else 120, 190, 90), strict=True)
        ]
        most = max(map(len, lines))
        for column, cell in enumerate(lines):
            below = {"top": 0.0, "middle": 0.5, "bottom": 1.0}[align] * (most - len(cell)) * LEADING
            pieces += [(column, top - below - number * LEADING, text) for number, text in enumerate(cell)]
        top -= most * LEADING + gap

    def draw(canvas: Canvas) -> None:
        canvas.drawString(60, 800, BEFORE)
        for column, height, text in sorted(pieces, key=lambda piece: piece[0]) if by_column else pieces:
            (canvas.drawRightString if column == 2 else canvas.drawString)((60, 190, 500)[column], height, text)
        canvas.drawString(60, top - 20, AFTER)

    return drawn(draw)


def laid_out(data: bytes) -> list[str]:
    (text,) = document.text(data, [1], lambda *_: None)
    return [line for line in text.splitlines() if line]


def as_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in rows]


@pytest.mark.parametrize("gap", [0, 4, 12])
@pytest.mark.parametrize("align", ["top", "middle"])
@pytest.mark.parametrize("narrow", [False, True])
def test_lines_of_a_cell_are_in_its_row(gap: float, align: str, narrow: bool) -> None:
    if narrow and align == "middle":
        gap = max(gap, 4)  # without space, names of two lines and words of three do not tell whose they are
    first, head, rule, *rows, last = laid_out(table(gap, align, narrow=narrow))
    assert (first, last) == (BEFORE, AFTER)
    assert [head, *rows] == as_rows([HEAD, *ROWS]) and rule == "|---|---|---|"


def test_rows_are_found_whatever_the_order_of_the_file_and_without_a_header() -> None:
    assert laid_out(table(0, by_column=True)) == laid_out(table(0))
    assert set(as_rows(ROWS)) <= set(laid_out(table(0, head=False)))
    assert set(as_rows(ROWS)) <= set(laid_out(table(12, head=False)))


def test_words_at_the_bottom_of_their_row_are_in_it() -> None:
    assert set(as_rows([HEAD, *ROWS])) <= set(laid_out(table(12, "bottom")))


def written(rows: Sequence[Sequence[str]], places: Sequence[float], pitch: float = 14) -> bytes:
    def draw(canvas: Canvas) -> None:
        for number, row in enumerate(rows):
            for place, text in zip(places, row, strict=True):
                canvas.drawString(place, 780 - pitch * number, text)

    return drawn(draw)


def test_an_empty_cell_stays_empty_beside_cells_of_several_lines() -> None:
    rows = [
        ("Name", "Remark", "Amount"),
        ("Marit Haugen", "paid in two parts and then left for a long", "120.00"),
        ("", "journey to the south", ""),
        ("Tomas Berg", "", "88.10"),
        ("Ingrid Solheim", "has not paid although she was asked two", ""),
        ("", "times by the office", ""),
        ("Peter Novak", "paid", "12.00"),
    ]
    found = laid_out(written(rows, (60, 180, 480)))
    assert "| Tomas Berg |  | 88.10 |" in found
    assert "| Ingrid Solheim | has not paid although she was asked two times by the office |  |" in found


def test_amounts_beside_the_last_line_of_what_they_are_for_are_in_its_row() -> None:
    rows = [
        ("Assets", "2025", "2024"),
        ("Cash and cash equivalents", "1,204", "998"),
        ("Receivables from customers and", "", ""),
        ("other debtors", "3,400", "3,120"),
        ("Stock", "220", "240"),
        ("Total of current assets", "4,824", "4,358"),
    ]
    found = laid_out(written(rows, (60, 320, 420)))
    assert "| Cash and cash equivalents | 1,204 | 998 |" in found
    assert "| Receivables from customers and other debtors | 3,400 | 3,120 |" in found


def test_a_receipt_has_each_price_behind_its_goods() -> None:
    rows = [
        ("Oak boards from the forest near", "14.20"), ("the canal, 12 pieces", ""), ("Salt", "2.10"),
        ("Brass valves, second hand, with", "9.00"), ("two years of warranty", ""), ("Total", "25.30"),
    ]  # fmt: skip
    found = laid_out(written(rows, (60, 270)))
    assert "| Oak boards from the forest near the canal, 12 pieces | 14.20 |" in found
    assert "| Total | 25.30 |" in found


@pytest.mark.parametrize("ruled", [True, False])
def test_lines_that_were_broken_on_purpose_are_in_the_row_of_their_cell(ruled: bool) -> None:
    """An address has three lines, and there is no more space between rows than between lines."""
    rows = [
        ("Name", "Address", "Amount"), ("Marit Haugen", "Main Street 5|1234 Bergen|Norway", "1,250.00"),
        ("Tomas Berg", "Quay 7", "88.10"), ("Ingrid Solheim", "Old Road 12|2211 Kongsvinger", "9,431.75"),
        ("Peter Novak", "The house behind the old silo on|the quay", "12.00"),
    ]  # fmt: skip

    def draw(canvas: Canvas) -> None:
        top = 780.0
        for name, address, amount in rows:
            lines = address.split("|")
            for place, cell in ((60, [name]), (180, lines), (420, [amount])):
                for number, line in enumerate(cell):
                    canvas.drawString(place + 3, top - 10 - LEADING * number, line)
            high = LEADING * len(lines)
            for place, width in ((60, 120), (180, 240), (420, 80)):
                canvas.rect(place, top - high, width, high, stroke=int(ruled))
            top -= high

    head, _, *found = laid_out(drawn(draw))
    assert [head, *found] == as_rows([tuple(cell.replace("|", " ") for cell in row) for row in rows])


@pytest.mark.parametrize("pitch", [14, 20, 30])
def test_rows_of_one_line_with_empty_cells_stay_apart(pitch: float) -> None:
    """Their words would have had no room in the line above, either."""
    rows = [
        ("Name", "Team", "Role"), ("Anna", "Red", "Cook"), ("Ben", "", "Pilot"), ("Carl", "Blue", "Cook"),
        ("Dora", "", "Guard"), ("Emil", "Red", ""),
    ]  # fmt: skip
    words = " ".join(laid_out(written(rows, (60, 180, 300), pitch)))
    assert not any(pair in words for pair in ("Anna Ben", "Carl Dora", "Cook Pilot", "Cook Guard", "Dora Emil"))


@pytest.mark.parametrize(("columns", "width", "size"), [(2, 230, 11), (3, 150, 11)])
def test_columns_of_prose_are_no_table(columns: int, width: float, size: float) -> None:
    """They end at different heights."""
    words = " ".join(row[1] for row in ROWS)

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", size)
        for column in range(columns):
            for number, line in enumerate(simpleSplit(words * (3 - column % 2), "Helvetica", size, width)):
                canvas.drawString(50 + column * (width + 18), 770 - 14 * number, line)

    assert not any(line.startswith("|") for line in laid_out(drawn(draw)))


def test_a_model_receives_each_row_of_such_a_table_in_one_line(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = asked_about("What did it cost?", table(6), host, tmp_path, monkeypatch)
    assert answer.status_code == 200, answer.text
    assert all(row in host.attempts[0].text for row in as_rows(ROWS))


LEDGER = [
    ("Date", "Text", "Debit", "Credit", "Note"),
    ("2026-01-12", "Opening", "", "1,204.50", ""),
    ("2026-01-14", "Harbour dues", "310.00", "", ""),
    ("2026-01-20", "Crane hire", "88.10", "", "disputed"),
    ("2026-02-02", "Freight", "1,040.00", "", ""),
    ("2026-02-09", "Salt sacks", "402.75", "", ""),
    ("2026-02-11", "Pilotage", "77.30", "", ""),
]


@pytest.mark.parametrize("gap", [13, 16])
def test_cells_of_a_column_that_is_mostly_empty_are_in_their_rows(gap: float) -> None:
    """The layout joins a row that has an empty cell with the row above."""

    def draw(canvas: Canvas) -> None:
        for number, row in enumerate(LEDGER):
            for column, text in enumerate(row):
                canvas.drawString((60, 150, 260, 350, 440)[column], 780 - gap * number, text)

    assert [line for line in laid_out(drawn(draw)) if not line.startswith("|-")] == as_rows(LEDGER)


STORY = (
    "The harbour was quiet that morning, and the night driver had not come back. Nobody counted the boards near "
    "the old canal. A crane stood still above the empty silo, and its operator read a paper. Later the customer "
    "came, asked for the salt sacks and left again. The repair team sealed the drums before noon. What remained "
    "was weighed in the evening, after the shift had ended, and the master wrote it down."
)


@pytest.mark.parametrize("count", [4, 5])
def test_narrow_columns_of_prose_are_no_table(count: int) -> None:
    width = 495 / count - 14
    columns = [simpleSplit(STORY[number * 12 :], "Helvetica", 8, width)[:14] for number in range(count)]

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 8)
        for column, lines in enumerate(columns):
            for number, line in enumerate(lines):
                canvas.drawString(50 + column * 495 / count, 780 - 10 * number, line)

    text = " ".join(" ".join(laid_out(drawn(draw))).split())
    assert text == " ".join(" ".join(lines) for lines in columns)


def test_a_table_of_short_words_is_still_one() -> None:
    words = [
        "red boards",
        "night shift",
        "old canal",
        "salt sacks",
        "empty silo",
        "steel hook",
        "oak door",
        "main quay",
    ]
    rows = [tuple(words[(number * 3 + at * 5) % 8] for at in range(4)) for number in range(8)]

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 9)
        for number, row in enumerate(rows):
            for column, text in enumerate(row):
                canvas.drawString(60 + 110 * column, 780 - 12 * number, text)

    assert [line for line in laid_out(drawn(draw)) if not line.startswith("|-")] == as_rows(rows)
