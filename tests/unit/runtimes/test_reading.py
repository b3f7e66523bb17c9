"""Reading order: rows from top to bottom, from left to right within a row."""

from __future__ import annotations

import itertools

from intermodal.content import ReadLine
from intermodal.runtimes.reading import as_text, in_order


def line(text: str, x: float, y: float, *, height: float = 20) -> ReadLine:
    return ReadLine(text=text, confidence=1.0, box=(x, y, x + 80, y + height))


TABLE = (line("Item", 0, 0), line("Price", 200, 4), line("Tea", 0, 40), line("3.50", 200, 36), line("Total", 0, 80))


def test_a_table_is_read_by_rows_whatever_order_it_was_found_in() -> None:
    for shuffled in itertools.permutations(TABLE):
        assert [found.text for found in in_order(shuffled)] == ["Item", "Price", "Tea", "3.50", "Total"]


def test_rows_become_lines_and_gaps_become_tabs() -> None:
    assert as_text(TABLE) == "Item\tPrice\nTea\t3.50\nTotal"
    assert as_text(()) == ""


def test_a_large_heading_does_not_swallow_the_lines_below_it() -> None:
    lines = (line("HEADING", 0, 0, height=60), line("first", 0, 70), line("second", 0, 95))
    assert as_text(lines) == "HEADING\nfirst\nsecond"


def test_small_print_beside_large_print_is_the_same_row() -> None:
    assert as_text((line("1,380.50", 100, 0, height=50), line("EUR", 0, 20, height=14))) == "EUR\t1,380.50"


def test_closely_set_lines_stay_apart() -> None:
    assert as_text((line("one", 0, 0), line("two", 0, 18), line("three", 0, 36))) == "one\ntwo\nthree"
