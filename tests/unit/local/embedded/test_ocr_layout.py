"""Reading order and structure: what lines with places become, however the page lies and in whatever order they came."""

from __future__ import annotations

import itertools
import math
import random

import pytest

from intermodal.core.content import ReadLine
from intermodal.local.embedded.ocr_layout import in_reading_order, line_from_corners, lines_to_text, page_slant


def line(text: str, x: float, y: float, *, height: float = 20, width: float = 80) -> ReadLine:
    return ReadLine(text=text, confidence=1.0, box=(x, y, x + width, y + height))


def printed(text: str, x: float, y: float, *, letter: float = 10, height: float = 20, degrees: float = 0) -> ReadLine:
    """A line of equally wide letters on a page that is turned by so many degrees about its corner."""
    turn = math.radians(degrees)
    end = x + letter * len(text)
    corners = [
        (px * math.cos(turn) - py * math.sin(turn), px * math.sin(turn) + py * math.cos(turn))
        for px, py in ((x, y), (end, y), (end, y + height), (x, y + height))
    ]
    return line_from_corners(text, 1.0, corners)


TABLE = (line("Item", 0, 0), line("Price", 200, 4), line("Tea", 0, 40), line("3.50", 200, 36), line("Total", 0, 80))

PROSE = (
    "The harbour was quiet when the ferry left.",
    "Three boats stayed and waited for the tide.",
    "Nobody on the pier had heard of the change.",
    "A clerk counted forty crates, and signed it.",
    "Rain began before the last one was on board.",
)
BESIDE = (
    "The council met on Monday about the bridge,",
    "which had been closed since the spring flood.",
    "Engineers found cracks in two of its pillars.",
    "Repairs would cost nine million, they wrote.",
    "Shopkeepers asked for a footbridge meanwhile.",
)
RECEIPT = (("Apples", "3.48"), ("Rye bread", "2.95"), ("Coffee beans", "8.49"), ("TOTAL EUR", "14.92"))
CODE = ("def most(values):", "    if not values:", "        return None", "    return max(values)")


def receipt(degrees: float = 0) -> tuple[ReadLine, ...]:
    return tuple(
        printed(text, x, 30 + 36 * row, degrees=degrees)
        for row, pair in enumerate(RECEIPT)
        for text, x in zip(pair, (30, 420 - 10 * len(pair[1])), strict=True)
    )


def columns(degrees: float = 0) -> tuple[ReadLine, ...]:
    heading = printed("THE HARBOUR GAZETTE AND ADVERTISER, 12 MARCH", 40, 0, letter=22, height=40, degrees=degrees)
    texts = ((text, 40, row) for row, text in enumerate(PROSE))
    beside = ((text, 540, row) for row, text in enumerate(BESIDE))
    return heading, *(printed(text, x, 80 + 30 * row, degrees=degrees) for text, x, row in (*texts, *beside))


def code(degrees: float = 0) -> tuple[ReadLine, ...]:
    return tuple(
        printed(text.strip(), 50 + 10 * (len(text) - len(text.strip())), 32 * row, degrees=degrees)
        for row, text in enumerate(CODE)
    )


PAGES = {
    "receipt": (receipt, "\n".join("\t".join(pair) for pair in RECEIPT)),
    "columns": (columns, "\n".join(("THE HARBOUR GAZETTE AND ADVERTISER, 12 MARCH", *PROSE, *BESIDE))),
    "code": (code, "\n".join(CODE)),
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("degrees", [0, 2, -3, 5, 90, 93, 180, 176, 270, 268])
def test_a_page_reads_the_same_however_it_is_turned(name: str, degrees: float) -> None:
    page, text = PAGES[name]
    assert lines_to_text(page(degrees)) == text


@pytest.mark.parametrize("name", PAGES)
def test_any_order_of_the_lines_gives_the_same_text(name: str) -> None:
    page, text = PAGES[name]
    lines = list(page(-2.5))
    for seed in range(40):
        random.Random(seed).shuffle(lines)
        assert lines_to_text(tuple(lines)) == text
        assert lines_to_text(in_reading_order(tuple(lines))) == text


def test_lines_that_are_set_one_letter_further_right_are_not_indented() -> None:
    texts = (
        "Invoice INV-20417 - Acme Rail Ltd",
        "Date: 14 March 2026",
        "Container MSKU 482913-7",
        "Total due EUR 1,380.50",
    )
    lines = tuple(printed(text, 50 + 10 * (row > 0), 32 * row) for row, text in enumerate(texts))
    assert lines_to_text(lines) == "\n".join(texts)


def test_a_table_is_read_by_rows_whatever_order_it_was_found_in() -> None:
    for shuffled in itertools.permutations(TABLE):
        assert [found.text for found in in_reading_order(shuffled)] == ["Item", "Price", "Tea", "3.50", "Total"]


def test_rows_become_lines_and_gaps_become_tabs() -> None:
    assert lines_to_text(TABLE) == "Item\tPrice\nTea\t3.50\nTotal"
    assert lines_to_text(()) == ""


FEES = (
    ("Service", "Unit", "Minimum", "Fee EUR"),
    ("Storage", "pallet / week", "1,200.00", "3.85"),
    ("Handling in", "pallet", "", "6.40"),
    ("Weighing", "", "", "12.00"),
    ("Fumigation", "container", "", ""),
    ("Outside working hours",),
    ("", "container", "365.00", "182.50"),
)


@pytest.mark.parametrize("degrees", [0, 2, -3])
def test_a_cell_stands_in_its_column_where_those_before_it_are_empty(degrees: float) -> None:
    """Where handling has no minimum, its fee is no minimum."""
    rows = ("Fees are due within 21 days of the invoice, net of value added tax.",), *FEES, ("Page 2",)
    lines = [
        printed(text, 240 * column, 60 * row, degrees=degrees)
        for row, cells in enumerate(rows)
        for column, text in enumerate(cells)
        if text
    ]
    assert lines_to_text(tuple(lines)).splitlines() == ["\t".join(row).rstrip("\t") for row in rows]


def test_cells_that_are_no_table_get_no_empty_cells() -> None:
    """A form, and a letter's head: no two rows fill the same columns."""
    places = (("Name", 0, 0), ("Solheim", 100, 0), ("Date", 400, 40), ("4 May", 520, 40), ("Total", 0, 80),
              ("12.00", 520, 80))  # fmt: skip
    assert (
        lines_to_text(tuple(printed(text, x, y) for text, x, y in places)) == "Name\tSolheim\nDate\t4 May\nTotal\t12.00"
    )


def test_pieces_of_a_line_a_blank_apart_are_one_line() -> None:
    assert lines_to_text((line("Mill Lane 8,", 0, 0), line("Dorton", 88, 1))) == "Mill Lane 8, Dorton"


def test_long_cells_of_a_table_stay_beside_each_other() -> None:
    rows = (
        ("Name of the insured person", "Ingrid Solheim"),
        ("Number of the policy", "KV-2290-118, second copy"),
        ("Address", "Fjordveien 12, 5003 Bergen"),
        ("Amount that is claimed now", "12,400.00 NOK"),
    )
    lines = tuple(
        printed(text, x, 40 * row) for row, pair in enumerate(rows) for text, x in zip(pair, (0, 400), strict=True)
    )
    assert lines_to_text(lines) == "\n".join("\t".join(row) for row in rows)


def test_a_large_heading_does_not_swallow_the_lines_below_it() -> None:
    lines = (line("HEADING", 0, 0, height=60), line("first", 0, 70), line("second", 0, 95))
    assert lines_to_text(lines) == "HEADING\nfirst\nsecond"


def test_small_print_beside_large_print_is_the_same_row() -> None:
    assert lines_to_text((line("1,380.50", 100, 0, height=50), line("EUR", 0, 20, height=14))) == "EUR\t1,380.50"


def test_closely_set_lines_stay_apart() -> None:
    assert lines_to_text((line("one", 0, 0), line("two", 0, 18), line("three", 0, 36))) == "one\ntwo\nthree"


def test_a_line_that_runs_up_the_margin_does_not_make_one_row_of_the_page() -> None:
    margin = line_from_corners("KEEP FOR YOUR RECORDS", 0.9, [(0, 300), (0, 0), (20, 0), (20, 300)])
    lines = tuple(printed(text, 60, 40 * row) for row, text in enumerate(PROSE))
    written = lines_to_text((margin, *lines)).splitlines()
    assert [text for text in written if text in PROSE] == list(PROSE)


def test_the_slant_is_that_of_most_of_what_is_read() -> None:
    page = receipt(3)
    assert page_slant((*page, printed("X", 0, 900, degrees=40))) == pytest.approx(math.radians(3))
    assert page_slant(()) == 0.0


def test_lines_without_places_keep_the_order_of_their_reader() -> None:
    lines = (ReadLine(text="b", confidence=1.0), ReadLine(text="", confidence=1.0), ReadLine(text="a", confidence=1.0))
    assert lines_to_text(lines) == "b\na"
    assert in_reading_order(lines) == lines
