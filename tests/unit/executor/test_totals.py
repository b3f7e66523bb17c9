"""Totals that were read from an image, held against the amounts above them."""

from __future__ import annotations

import random

import pytest
from tests.unit.executor.routes import look

from intermodal.core.content import ReadLine
from intermodal.executor.conversion import checks
from intermodal.executor.conversion.checks import MismatchedTotal, mismatched_totals
from intermodal.executor.preparation.model_inputs import StepProduct, TextInput
from intermodal.plans.facts import PartFacts

BILL = "Copper wire\t3\t120.00\nPaper rolls\t2\t1,284.50\nCement bags\t9\t96.00\n"


@pytest.mark.parametrize(
    ("below", "found"),
    [
        ("Total\t\t1,500.50", ()),
        ("Total due EUR\t\t1,560.50", (("Total due EUR", 156_050, 150_050),)),
        ("TOTAL EUR 1.500,60", (("TOTAL EUR", 150_060, 150_050),)),
        ("Subtotal\t\t1,500.50\nVAT 20 %\t\t300.10\nTotal\t\t1,800.60", ()),
        ("Subtotal\t\t1,500.50\nVAT 20 %\t\t300.10\nTotal\t\t1,800.00", (("Total", 180_000, 180_060),)),
        ("VAT 20 %\t\t300.10\nTotal\t\t1,800.60", ()),
        ("Total\t\t1,800.60", ()),  # a tax that is not on the bill
        ("Paid\t\t1,560.50", ()),  # no total
        ("Units\t\t14\nTotal\t\t1,500.00", ()),  # other rows between
    ],
)
def test_a_total_that_is_one_digit_away_from_what_is_above_it_is_found(
    below: str, found: tuple[tuple[str, int, int], ...]
) -> None:
    assert mismatched_totals(BILL + below) == tuple(
        MismatchedTotal(label=label, read=read, sum=added) for label, read, added in found
    )


@pytest.mark.parametrize(
    "below",
    [
        "Discount\t5.00\nTotal\t55.00",
        "Rabatt\t5,00-\nSumme\t55,00",
        "Discount\t-5.00\nTotal\t55.00",
        "Subtotal\t60.00\nDiscount\t5.00\nTotal\t55.00",
        "VAT included\t10.00\nTotal\t60.00",
        "Subtotal\t60.00\nVAT included\t10.00\nTotal\t60.00",
        "Deposit\t10.00\nDelivery\t1.00\nTotal\t61.00",
    ],
)
def test_a_round_discount_or_a_tax_that_is_in_the_prices_is_no_misread_digit(below: str) -> None:
    rows = "Pens\t10.00\nPaper\t20.00\nInk\t30.00\n"
    assert mismatched_totals(rows + below) == ()
    assert mismatched_totals(rows + "Total\t68.00"), "nor does it explain away what nothing above is the difference of"


def test_totals_that_are_no_sum_seldom_look_like_a_misread_digit() -> None:
    chance = random.Random(3)
    rows = [[chance.randint(1_000, 99_999) for _ in range(6)] for _ in range(500)]
    bills = [
        "\n".join([*(f"item\t{each / 100:.2f}" for each in row[:5]), f"Total\t{row[5] * 4 / 100:.2f}"]) for row in rows
    ]
    assert sum(bool(mismatched_totals(bill)) for bill in bills) <= 5


def test_a_misread_figure_is_said_and_a_picture_that_adds_up_is_not() -> None:
    facts = PartFacts(index=0, name="bill.png", kind="image")
    for total, said in (("1,500.50", ""), ("1,560.50", "the total 'Total' read from bill.png is 1,560.50 and the")):
        rows = [line.split("\t") for line in f"{BILL}Total\t\t{total}".splitlines()]
        lines = tuple(
            ReadLine(
                text=cell, confidence=0.98, box=(200.0 * column, 40.0 * place, 200.0 * column + 150, 40.0 * place + 20)
            )
            for place, row in enumerate(rows)
            for column, cell in enumerate(row)
            if cell
        )
        product = StepProduct(part=0, pieces=(TextInput(text="bill", label="t"),), lines=(lines,))
        finding = checks.run_check("reading", checks.CheckSubject(step=look(1), product=product, facts=facts))
        assert finding.message.startswith(said) and bool(finding.problem) == bool(said)
        assert not said or finding.message.endswith("add up to 1,500.50: a figure may be wrong")
