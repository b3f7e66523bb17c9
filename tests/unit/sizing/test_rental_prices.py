"""Prices of rented cards: each with a source and a day, of that very card, and nothing where nobody read one."""

from __future__ import annotations

import re
from datetime import date

from intermodal.sizing.machines import HOURS, machine_of_options, rental_words, rentals


def test_every_price_has_a_source_a_day_and_who_read_it() -> None:
    for row in rentals():
        assert row.source.startswith("https://") and row.provider and row.by, row
        assert date(2026, 1, 1) < date.fromisoformat(row.read) <= date(2026, 11, 29), row
        assert 0.05 < row.usd_hour < 20, row


def test_a_month_of_rented_cards_is_hours_times_price_with_its_sources() -> None:
    rows = [row for row in rentals() if row.card == "NVIDIA H100 SXM5 80 GB"]
    words = rental_words(machine_of_options(["2x H100 SXM5 80GB"]))
    least, most = min(row.usd_hour for row in rows), max(row.usd_hour for row in rows)
    assert f"${2 * least * HOURS:,.0f} to ${2 * most * HOURS:,.0f} a month" in words
    assert re.search(r"https://\S+, read 2026-\d\d-\d\d by \S+\)", words)


def test_another_card_is_never_given_the_price_of_a_like_one() -> None:
    assert "no rental price of" in rental_words(machine_of_options(["RTX 4090 Laptop"]))
    assert "no rental price of" in rental_words(machine_of_options(["H100 SXM5 96GB"]))
    assert (
        rental_words(machine_of_options([], "64GB")) == "" == rental_words(machine_of_options(["RTX 4090", "RTX 3090"]))
    )
