"""Looks through the snapshot: by what a model is, takes, makes and costs. One pass over plain rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from intermodal.catalog.kinds import kind_of
from intermodal.catalog.snapshot import Row


class Wanted(NamedTuple):
    """What a row must be. Empty and None ask for nothing.

    Attributes:
        kind: a name of ``kinds.KINDS``. takes, makes: kinds of content, all of them.
        max_price: USD per million tokens that go in, at most; what has no such price is left out.
    """

    kind: str = ""
    takes: frozenset[str] = frozenset()
    makes: frozenset[str] = frozenset()
    task: str = ""
    hosts: frozenset[str] = frozenset()
    max_price: float | None = None


def kind(row: Row) -> str:
    """What a row's model is called."""
    return _kind(row.tasks, row.input, row.output)


@lru_cache(4096)
def _kind(tasks: tuple[str, ...], input: tuple[str, ...], output: tuple[str, ...]) -> str:
    return kind_of(tasks, input, output) if tasks or output else "not known"


def find(rows: Iterable[Row], wanted: Wanted) -> list[Row]:
    """The rows that are so, in their order."""
    found = list(rows)
    for holds in _tests(wanted):
        found = [row for row in found if holds(row)]
    return found


def _tests(wanted: Wanted) -> list[Callable[[Row], bool]]:
    tests: list[Callable[[Row], bool]] = []
    hosts, takes, makes, task, most, name = (
        wanted.hosts, wanted.takes, wanted.makes, wanted.task, wanted.max_price, wanted.kind,
    )  # fmt: skip
    if hosts:
        tests.append(lambda row: row.host in hosts)
    if most is not None:
        tests.append(lambda row: row.price_in is not None and row.price_in <= most)
    if task:
        tests.append(lambda row: task in row.tasks)
    if takes:
        tests.append(lambda row: takes.issubset(row.input))
    if makes:
        tests.append(lambda row: makes.issubset(row.output))
    if name:
        tests.append(lambda row: kind(row) == name)
    return tests


def price(row: Row) -> float:
    """USD of a million tokens in and a million out; infinite where it is not known."""
    return math.inf if row.price_in is None else row.price_in + (row.price_out or 0.0)
