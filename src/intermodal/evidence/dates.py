"""Days that a text names, in figures or with the month in words, in whatever order."""

from __future__ import annotations

import re
from collections.abc import Iterator

Day = tuple[int, int, int]  # year, month, day of the month

# Each month in English, German, French, Spanish, Italian, Dutch and Portuguese, without case and accents.
_NAMES: tuple[str, ...] = (
    "january jan januar janner janvier janv enero ene gennaio gen januari janeiro",
    "february feb februar fevrier fevr febrero febbraio februari fevereiro fev",
    "march mar marz mrz mars marzo maart mrt marco",
    "april apr avril avr abril abr aprile",
    "may mai mayo maggio mag mei maio",
    "june jun juni juin junio giugno giu junho",
    "july jul juli juillet juil julio luglio lug julho",
    "august aug aout agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct oktober okt octobre octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec dezember dez decembre diciembre dic dicembre desember dezembro",
)
_MONTHS = {name: number for number, names in enumerate(_NAMES, 1) for name in names.split()}
_MONTH = f"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\\b\\.?"
_YEAR = r"(?P<year>\d{4})(?!\d)"
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"(?<!\d){_YEAR}[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})(?!\d)",
        rf"(?<!\d)(?P<day>\d{{1,2}})(?:\.|st|nd|rd|th|er)?(?: of| de)? ?{_MONTH},?(?: de| del)? ?{_YEAR}",
        rf"\b{_MONTH} ?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? {_YEAR}",
        r"(?<!\d)(?P<day>\d{1,2})(?P<by>[-/.])(?P<month>\d{1,2})(?P=by)(?P<year>\d{4}|\d{2})(?!\d)",
    )
)


def days_in(text: str) -> dict[Day, int]:
    """Each day that is named, with where it first is. ``text`` has no capitals and no accents.

    One in figures whose order nobody can tell stands for both days.

    >>> sorted(days_in("due 18 january 2024, paid 03/04/24"))
    [(2024, 1, 18), (2024, 3, 4), (2024, 4, 3)]
    """
    found: dict[Day, int] = {}
    for form in _FORMS:
        for match in form.finditer(text):
            for day in _days(match):
                found.setdefault(day, match.start())
    return found


def days_of(text: str) -> list[Day]:
    """The day that a text is, and nothing else; () where it is more or less than one."""
    said = text.strip()
    return [day for form in _FORMS if (match := form.fullmatch(said)) for day in _days(match)]


def _days(match: re.Match[str]) -> Iterator[Day]:
    said = match.groupdict()
    year = int(said["year"])
    year += 2000 if year < 100 else 0
    day, named = int(said["day"]), said["month"]
    month = _MONTHS.get(named) or int(named)
    orders = ((month, day), (day, month)) if said.get("by") else ((month, day),)
    for first, second in orders:
        if 1 <= first <= 12 and 1 <= second <= 31:
            yield year, first, second
