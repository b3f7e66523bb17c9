"""Values of a sheet as people read them, by the format of their cell."""

from __future__ import annotations

import pytest

from intermodal.media.office.sheet_table import displayed_value


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("General", "4200.5"),
        ("#,##0.00 €", "4200.5 €"),
        ('"$"#,##0.00', "$4200.5"),
        ("[$€-407]* #,##0.00", "€4200.5"),
        ('_-* #,##0.00 "€"_-', "4200.5 €"),
        ("#,##0.00\\ [$kr-41D]", "4200.5 kr"),
        ('"EUR" 0', "EUR 4200.5"),
        ("[$CHF-807] #,##0.00;[Red]-#,##0", "CHF 4200.5"),
        ("[$-409]0.00", "4200.5"),
        ("#,##0;[Red]-#,##0", "4200.5"),
        ("0.0E+00", "4200.5"),
        ("0.0%", "420050%"),
    ],
)
def test_an_amount_has_the_currency_of_its_format_and_all_of_its_digits(form: str, shown: str) -> None:
    assert displayed_value(4200.5, form) == shown


def test_only_numbers_get_a_currency() -> None:
    assert [displayed_value(each, "#,##0 €") for each in ("word", None, True)] == ["word", "", "TRUE"]
