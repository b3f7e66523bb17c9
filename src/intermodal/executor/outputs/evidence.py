"""Find where the values of a JSON answer occur in the texts that a model read. Pure.

``evidence_of`` looks each value up in a ``SearchableText``, a text tokenised once. Values match as a reader would match
them: text without case, numbers by value regardless of grouping, dates in any order, currencies by sign or code. A
value that occurs nowhere may still be right (a sum), so it is reported rather than rejected. Booleans and enum values
need not occur in a text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

from intermodal.events import FieldEvidence
from intermodal.json_schema.allowed_values import AllowedValues
from intermodal.json_schema.errors import pointer, steps
from intermodal.media.text.invisible_characters import strip_invisible

MOST = 2_000  # values to look up, at most
_MAX_QUOTE = 200  # maximum characters of a quoted line
Path = tuple[str | int, ...]


class EvidenceSource(NamedTuple):
    """A text that a model was given, and its origin.

    ``page`` is 0 and ``at`` (seconds) -1 if there is none; ``starts``: seconds at which each of its lines was spoken.
    """

    file: str
    text: str
    page: int = 0
    at: float = -1.0
    starts: tuple[float, ...] = ()


class EvidenceSources(NamedTuple):
    """The texts in which values are looked up.

    ``texts`` is empty if no file came with the request. ``only_text``: the model received nothing from the files but
    these texts; if False, a value may come from, for example, an image.
    """

    texts: tuple[EvidenceSource, ...] = ()
    only_text: bool = True


def evidence_of(data: Any, schema: Mapping[str, Any], sources: EvidenceSources) -> tuple[FieldEvidence, ...]:
    """Return where each value of an answer occurs, in order; () if no file came with the request.

    ``data`` must be valid against ``schema``. Empty values are not looked up, and at most ``MOST`` values are.
    """
    if not sources.texts and sources.only_text:
        return ()
    read = [(source, SearchableText(source.text)) for source in sources.texts]
    choices = AllowedValues(schema)
    found: list[FieldEvidence] = []
    for number, (path, value) in enumerate(_values(data)):
        looked_for = number < MOST and not (value is None or value == "" or isinstance(value, bool))
        place = _find_value(value, read) if looked_for else None
        if place is not None:
            found.append(_evidence(path, *place))
        elif not looked_for or not sources.only_text or _free_choice(value, path, choices, read):
            found.append(FieldEvidence(field=pointer(path), status="unchecked"))
        else:
            found.append(FieldEvidence(field=pointer(path), status="unverified"))
    return tuple(found)


def value_at(data: Any, field: str) -> Any:
    """Return the value at a JSON Pointer.

    >>> value_at({"items": [{"price": 7}]}, "/items/0/price")
    7
    """
    for name in steps(field):
        data = data[int(name)] if isinstance(data, list) else data[name]
    return data


def _values(data: Any) -> Iterator[tuple[Path, Any]]:
    waiting: list[tuple[Path, Any]] = [((), data)]
    while waiting:
        path, each = waiting.pop()
        if isinstance(each, dict):
            waiting += [((*path, name), value) for name, value in reversed(each.items())]
        elif isinstance(each, list):
            waiting += [((*path, place), value) for place, value in reversed(list(enumerate(each)))]
        else:
            yield path, each


# A word in brackets, or a blank line: placeholders of a form or an example.
_PLACEHOLDER = re.compile(r"<[^<>]*>|\{[^{}]*\}|\[[^\[\]]*\]|_{3,}")


def _find_value(value: Any, read: list[tuple[EvidenceSource, SearchableText]]) -> tuple[EvidenceSource, int] | None:
    blanks = _PLACEHOLDER.findall(value) if isinstance(value, str) else ()
    for source, text in read:
        if any(blank not in source.text for blank in blanks):
            continue
        line = text.find_number(value) if isinstance(value, (int, float)) else text.find_words(str(value))
        if line is not None:
            return source, line
    return None


def _free_choice(
    value: Any, path: Path, choices: AllowedValues, read: list[tuple[EvidenceSource, SearchableText]]
) -> bool:
    """Return whether the value is an enum value that need not occur in a text.

    An enum of codes is different: codes are names rather than judgements, so if another code of the enum occurs in a
    text, the value is a mistake.
    """
    allowed_values = choices.values_at(path)
    if not any(value == each and type(value) is type(each) for each in allowed_values):
        return False
    return not are_codes(allowed_values) or not any(each in text.codes for each in allowed_values for _, text in read)


def are_codes(values: Iterable[Any]) -> bool:
    """Return whether an enum consists only of codes, and possibly null.

    >>> are_codes(["EUR", "USD", None]), are_codes(["BUG", "QUESTION"])
    (True, False)
    """
    return all(each is None or (isinstance(each, str) and CODE.fullmatch(each)) for each in values)


def codes_of(sources: EvidenceSources) -> frozenset[str]:
    """Return the codes that occur in any of the texts."""
    return frozenset(code for source in sources.texts for code in codes_in(source.text))


def _evidence(path: Path, source: EvidenceSource, line: int) -> FieldEvidence:
    seconds = source.starts[line - 1] if line <= len(source.starts) else source.at
    lines = strip_invisible(source.text).split("\n", line)
    text = " ".join(lines[line - 1].split())[:_MAX_QUOTE] if line <= len(lines) else ""
    return FieldEvidence(
        field=pointer(path), status="found", file=source.file, page=source.page, line=0 if seconds >= 0 else line,
        at=seconds, text=text,
    )  # fmt: skip


_CURRENCIES = {"€": " eur ", "$": " usd ", "£": " gbp ", "¥": " jpy ", "₹": " inr "}
_SIGNS = re.compile("[€$£¥₹]")
_CODES = frozenset(code.strip() for code in _CURRENCIES.values()) | {"chf", "cny", "nok", "sek", "dkk", "pln", "czk"}
CODE = re.compile(r"\b[A-Z]{2,4}\b")  # EUR, DE, KG
_ONE_CURRENCY = {"€": "EUR", "£": "GBP", "₹": "INR"}  # several currencies use "$" and "¥"
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_GROUPED_NUMBER = re.compile(r"(?<![\d.,])\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?(?!\d)")  # 14 216 and 14'216.50
_GAP = re.compile(r"[ '’]")
_PERCENT = re.compile(r" ?%")
_MINUS = re.compile(r"(?:^|[^\w])[-−–(] ?(?:[a-z]{3} {0,2})?$")  # the sign before a negative number
_TAIL = re.compile(r"[.,]\d")  # of a number whose beginning is missing, unless it is written so
_EDGE = "\x00"


class SearchableText:
    """A text's words and numbers in order, the values of its numbers, and its dates. Positions are lines, from 1."""

    def __init__(self, text: str) -> None:
        self._read = text
        text = _normalize_text(text)
        self._text = text
        self._breaks = [place for place, letter in enumerate(text) if letter == "\n"]
        self._tokens = [(match.group(), match.start()) for match in _TOKEN.finditer(text)]
        self._joined, self._starts = _join_tokens(token for token, _ in self._tokens)
        self._ends = frozenset((*self._starts[1:], len(self._joined)))
        self._numbers = self._lines_by_number()
        self._days = days_in(text)

    @cached_property
    def codes(self) -> frozenset[str]:
        """The codes in the text, computed on first use, since few schemas list codes."""
        return codes_in(self._read)

    def _lines_by_number(self) -> dict[Decimal, int]:
        found: dict[Decimal, int] = {}
        for token, position in self._tokens:
            worths = _possible_numbers(token)
            if worths and _PERCENT.match(self._text, position + len(token)):
                worths += [worth / 100 for worth in worths]
            if worths and _MINUS.search(self._text[max(0, position - 8) : position]):
                worths += [-worth for worth in worths]
            for worth in worths:
                found.setdefault(worth, position)
        for match in _GROUPED_NUMBER.finditer(self._text):
            for worth in _possible_numbers(_GAP.sub("", match.group())):
                found.setdefault(worth, match.start())
        return found

    def find_number(self, value: float) -> int | None:
        """Return the line of a number, matched by value. A positive number may be written as a deduction."""
        position = self._numbers.get(Decimal(repr(value)))
        return None if position is None else self._line_at(position)

    def find_words(self, value: str) -> int | None:
        """Return the line on which ``value`` occurs.

        Numbers in it match by value; whitespace and punctuation are ignored.
        """
        text = _normalize_text(value)
        for day in days_of(text):
            if day in self._days:
                return self._line_at(self._days[day])
        if _TAIL.match(text.lstrip()):
            match = re.search(rf"(?<![\w.,]){re.escape(text.strip())}(?!\d)", self._text)
            return None if match is None else self._line_at(match.start())
        tokens = _TOKEN.findall(text)
        if not tokens:
            position = self._text.find(text.strip())
            return self._line_at(position) if position >= 0 else None
        found = self._find_tokens(tokens)
        if found is None and len(tokens) == 2 and not _CODES.isdisjoint(tokens):
            found = self._find_tokens(reversed(tokens))  # an amount of money whose currency is on the other side
        return None if found is None else self._line_at(found)

    def _find_tokens(self, tokens: Iterable[str]) -> int | None:
        joined_value, _ = _join_tokens(tokens)
        position = self._joined.find(joined_value)
        while position >= 0:
            token = bisect_right(self._starts, position) - 1
            if self._starts[token] == position and position + len(joined_value) in self._ends:
                return self._tokens[token][1]
            position = self._joined.find(joined_value, position + 1)
        return None

    def _line_at(self, position: int) -> int:
        return bisect_right(self._breaks, position - 1) + 1


def codes_in(text: str) -> frozenset[str]:
    """Return the codes of two to four capitals, and the codes of currencies with an unambiguous sign.

    >>> sorted(codes_in("Total due 12 GBP (5 €), paid in us dollars"))
    ['EUR', 'GBP']
    """
    currency_codes = (code for sign, code in _ONE_CURRENCY.items() if sign in text)
    return frozenset((*CODE.findall(strip_invisible(text)), *currency_codes))


def _normalize_text(text: str) -> str:
    """Normalise a text for comparison, keeping its lines: no case, no accents, currency signs replaced by codes."""
    decomposed = unicodedata.normalize("NFKD", strip_invisible(text)).casefold()
    letters = (
        "".join(letter for letter in decomposed if not unicodedata.combining(letter))
        if not decomposed.isascii()
        else decomposed
    )
    return _SIGNS.sub(lambda sign: _CURRENCIES[sign.group()], letters)


def _join_tokens(tokens: Iterable[str]) -> tuple[str, list[int]]:
    """Return the tokens joined into one string, and the start of each.

    Words are joined without spaces, since text recognition may lose a space; numbers are separated from their
    neighbours.
    """
    pieces: list[str] = []
    starts: list[int] = []
    position = 0
    for token in tokens:
        piece = f"{_EDGE}{_canonical(token)}{_EDGE}" if token[0].isdigit() else token
        starts.append(position)
        pieces.append(piece)
        position += len(piece)
    return "".join(pieces), starts


def _canonical(token: str) -> str:
    """Return a number in canonical form: without grouping and trailing zeros.

    A token that starts with 0 and another digit is an identifier and returned unchanged.
    """
    worths = _possible_numbers(token)
    return token if not worths or re.match("0[0-9]", token) else str(worths[0].normalize())


def _possible_numbers(token: str) -> list[Decimal]:
    """Return the possible values of a number: "1.380" is 1380 to one reader, and 1.38 to another.

    >>> _possible_numbers("1,380.50"), _possible_numbers("1.380"), _possible_numbers("18.01.2024")
    ([Decimal('1380.50')], [Decimal('1380'), Decimal('1.380')], [])
    """
    if not token[0].isdecimal():
        return []
    commas, points = token.count(","), token.count(".")
    if not commas and not points:
        return [Decimal(token)]
    if commas and points:
        last = max(token.rfind(","), token.rfind("."))
        if token.count(token[last]) > 1:
            return []
        return [Decimal(f"{_bare(token[:last])}.{token[last + 1 :]}")]
    head, *groups = token.split("," if commas else ".")
    grouped = len(head) <= 3 and all(len(group) == 3 for group in groups)
    found = [Decimal(_bare(token))] if grouped else []
    return [*found, Decimal(f"{head}.{groups[0]}")] if len(groups) == 1 else found


def sole_number(text: str) -> float | None:
    """Return the value of the only number in a text; None if it has none, or several.

    >>> sole_number("EUR 1,380.50"), sole_number("-7 %"), sole_number("2 of 3"), sole_number(",.10")
    (1380.5, -7.0, None, None)
    """
    plain = _GROUPED_NUMBER.sub(lambda match: _GAP.sub("", match.group()), _normalize_text(text))
    found = [match for match in _TOKEN.finditer(plain) if match.group()[0].isdecimal()]
    worths = _possible_numbers(found[0].group()) if len(found) == 1 else []
    if not worths or plain[: found[0].start()].endswith((".", ",")):  # as ``_TAIL``
        return None
    negative = _MINUS.search(plain[: found[0].start()])
    return float(-worths[0] if negative else worths[0])


def _bare(digits: str) -> str:
    return digits.replace(",", "").replace(".", "")


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
    """Return each date in a text with its first position. ``text`` must be normalised: no capitals, no accents.

    A numeric date whose order is ambiguous yields both dates.

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
    """Return the dates that the whole text can stand for; [] if it is not a date."""
    date_text = text.strip()
    return [day for form in _FORMS if (match := form.fullmatch(date_text)) for day in _days(match)]


def _days(match: re.Match[str]) -> Iterator[Day]:
    groups = match.groupdict()
    year = int(groups["year"])
    year += 2000 if year < 100 else 0
    day, month_text = int(groups["day"]), groups["month"]
    month = _MONTHS.get(month_text) or int(month_text)
    orders = ((month, day), (day, month)) if groups.get("by") else ((month, day),)
    for first, second in orders:
        if 1 <= first <= 12 and 1 <= second <= 31:
            yield year, first, second
