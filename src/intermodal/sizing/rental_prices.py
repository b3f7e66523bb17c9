"""Rental prices of cards: dated rows with their source (``data/rentals.csv``); a card without a row has no price."""

from __future__ import annotations

import csv
from functools import lru_cache
from typing import Final

from intermodal.content import Value
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import counted
from intermodal.sizing.accelerators import DATA, find_card
from intermodal.sizing.machine_options import card

HOURS: Final = 730  # of a month, as rental prices count


class Rental(Value):
    """One row. ``card``: as a machine names it. ``read``: ISO date; ``by``: the reader of the source."""

    card: str
    usd_hour: float
    provider: str
    source: str
    read: str
    by: str


@lru_cache(1)
def rentals() -> tuple[Rental, ...]:
    """Every row."""
    with (DATA / "rentals.csv").open(newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return tuple(
        Rental(
            card=card(*find_card(row["card"])).name, usd_hour=float(row["usd_hour"]), provider=row["provider"],
            source=row["source"], read=row["read"], by=row["by"],
        )
        for row in rows
    )  # fmt: skip


def rental_words(machine: Machine) -> str:
    """Return the monthly rent of a machine's cards, by the rows of that very card; "" without a row."""
    names = {gpu.name for gpu in machine.gpus}
    if len(names) != 1 or not machine.gpus[0].bandwidth:  # none, several, or one of which only the memory was stated
        return ""
    many = len(machine.gpus)
    name = next(iter(names))
    found = sorted((row for row in rentals() if row.card == name), key=lambda row: row.usd_hour)
    if not found:
        return f"no rental price of {name} is known, so renting is not compared"
    least, most = found[0], found[-1]
    cards = f"{many} x {name}" if many > 1 else name
    a_month = f"${many * least.usd_hour * HOURS:,.0f}"
    said = f"{least.provider} ${least.usd_hour:g} an hour ({least.source}, read {least.read} by {least.by})"
    if most.usd_hour > least.usd_hour:
        a_month += f" to ${many * most.usd_hour * HOURS:,.0f}"
        said += f" to {most.provider} ${most.usd_hour:g} ({most.source}, read {most.read} by {most.by})"
    return f"renting {cards} day and night: {a_month} a month, by {counted(len(found), 'price')}: {said}"


__all__ = ["HOURS", "Rental", "rental_words", "rentals"]
