"""Columns of amounts, held against the total below them: a figure that was misread, or is wrong in the file, shows.

That a total is another than what stands above it adds up to says little: there may be a tax or a discount in it, and a
round one changes one digit, too, so that an amount above which is the difference, or half of it, explains it. That the
two differ by one digit in one place (``1,380.50`` and ``1,330.50``) says that a reader may have taken one digit for
another: of totals that are otherwise not a sum, one in a hundred differs so by chance.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from intermodal.content import Value

LEAST = 3  # amounts above a total from which on they are added up
_AMOUNT = re.compile(r"(?<![\w.,])-?(?:\d{1,3}(?:[.,' \u00a0\u202f]\d{3})+|\d+)[.,]\d{2}(?![\w.,]*\d)")
_MARKUP = re.compile(r"[|*#]+")  # of tables and headings, as a document's text has them
_TOTAL = re.compile(
    r"\b(?:sub-?|grand )?total\w*|\bsum(?:me|ma)?\b|zwischensumme|gesamt\w*|\bimporto\b|\bsoma\b|\brazem\b|"
    r"\bитого\b|\bвсего\b|σύνολο|合計|总计",
    re.IGNORECASE,
)


class MismatchedTotal(Value):
    """A total as it was read, its row's label, and what the amounts above it add up to; both in hundredths."""

    label: str
    read: int
    sum: int


def mismatched_totals(text: str) -> tuple[MismatchedTotal, ...]:
    """The totals of a text in rows that differ from what is above them by one digit."""
    found: list[MismatchedTotal] = []
    items: list[int] = []  # since the rows of amounts began
    since: list[int] = []  # since the last total among them
    before: int | None = None  # that total
    for label, amount in _rows(text):
        if amount is None:
            if not _TOTAL.search(label):
                items, since, before = [], [], None
            continue
        if not _TOTAL.search(label):
            items.append(amount)
            since.append(amount)
            continue
        sums = [sum(items), sum(since), *([before + sum(since)] if before is not None else [])]
        if len(items) >= LEAST and amount not in sums and not _with_one_apart(amount, sums, items):
            near = next((each for each in sums if _by_one_digit(each, amount)), None)
            if near is not None:
                found.append(MismatchedTotal(label=label, read=amount, sum=near))
        before, since = amount, []
    return tuple(found)


def format_amount(hundredths: int) -> str:
    """An amount as a sentence has it."""
    return f"{hundredths / 100:,.2f}"


def _rows(text: str) -> Iterator[tuple[str, int | None]]:
    """Each row's words before its last amount, and that amount in hundredths; None where it has none. Empty rows are
    left out."""
    for line in text.splitlines():
        if not line.strip():
            continue
        amounts = list(_AMOUNT.finditer(line))
        if not amounts:
            yield line.strip(), None
            continue
        last = amounts[-1]
        digits = re.sub(r"\D", "", last.group())
        yield (
            " ".join(_MARKUP.sub(" ", line[: last.start()]).split()),
            int(digits) * (-1 if last.group().startswith("-") else 1),
        )


def _with_one_apart(amount: int, sums: Sequence[int], items: Sequence[int]) -> bool:
    """Whether a total is a sum in which one of the amounts is taken off, a discount that is written without a sign, or
    is left out: a tax that is in the others already, a deposit, what was given."""
    apart = {some - amount for some in sums}
    return any(times * item in apart for item in items for times in (1, 2))


def _by_one_digit(one: int, other: int) -> bool:
    """Whether two numbers are the same but for one of their digits."""
    some, more = str(abs(one)), str(abs(other))
    return len(some) == len(more) and one * other > 0 and sum(a != b for a, b in zip(some, more, strict=True)) == 1


def describe_mismatch(found: Sequence[MismatchedTotal], name: str, *, read: bool = True) -> str:
    """What to say of them. ``read``: off a picture; else they stand so in the document's own text."""
    first = found[0]
    label = f" {first.label!r}" if first.label else ""
    where = f"{'read from' if read else 'in'} {name}"
    return (
        f"the total{label} {where} is {format_amount(first.read)} and the amounts above it add up to "
        f"{format_amount(first.sum)}: a figure may be wrong"
    )
