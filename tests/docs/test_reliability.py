"""docs/reliability.md shows the table of failures as it is (``--bless`` writes it), and the numbers of the code."""

from __future__ import annotations

import re
from pathlib import Path

from intermodal.executor.attempt import circuit_breaker, retry
from intermodal.protocols.errors.classification import ERROR_RULES, ErrorRule
from intermodal.transport import timeouts

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
TABLE = re.compile(r"<!-- failures -->\n(.*)<!-- /failures -->", re.S)
CHARGED = {"free": "no", "maybe": "maybe", "billed": "yes"}


def _statuses(row: ErrorRule) -> str:
    if not row.statuses:
        return "any"
    if row.statuses == frozenset(range(500, 600)):
        return "other 5xx"
    return ", ".join(map(str, sorted(row.statuses)))


def _known_by(row: ErrorRule) -> str:
    codes = " ".join(f"`{code}`" for code in sorted(row.codes))
    words = "its words" if row.words else ""
    told = ", or ".join(filter(None, (codes, words)))
    return " ".join(filter(None, (told, f"({row.product})" if row.product else ""))) or "the status"


def table() -> str:
    """The rows as a reader sees them, with what a row leaves to the class of its error filled in."""
    lines = ["| status | known by | means | error | then | charged |", "|---|---|---|---|---|---|"]
    for row in ERROR_RULES:
        usual = row.error("x", status=min(row.statuses, default=0))
        then, charged = row.retry or usual.retry, CHARGED[row.billing or usual.billing]
        name = f"`{row.error.__name__}`"
        lines.append(f"| {_statuses(row)} | {_known_by(row)} | {row.what} | {name} | `{then}` | {charged} |")
    return "\n".join(lines) + "\n"


def test_the_page_shows_the_table_of_failures(bless: bool) -> None:
    text = PAGE.read_text()
    if bless:
        PAGE.write_text(TABLE.sub(lambda _: f"<!-- failures -->\n{table()}<!-- /failures -->", text))
        return
    found = TABLE.search(text)
    assert found is not None and found[1] == table()


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    text = " ".join(PAGE.read_text().split())
    assert f"If it asks for more than {circuit_breaker.REROUTE_AFTER:g} s, another route" in text
    assert f"waits, but never longer than {retry.MAX_WAIT:g} s" in text
    assert (
        f"of {retry.FIRST_WAIT:g} s, then of {2 * retry.FIRST_WAIT:g} s, and so on up to {retry.LAST_WAIT:g} s" in text
    )
    assert retry.MAX_PAID_ATTEMPTS == 3 and "more than three attempts" in text
    assert retry.RESENDS == {"resend": 2, "wait": 2, "once": 1} and "up to twice more" in text
    assert circuit_breaker.FAILURES_TO_OPEN == 5 and "After five failures in a row" in text
    assert f"left alone for {circuit_breaker.PROBE_INTERVAL:g} s" in text
    assert (
        circuit_breaker.RESENDS_PER_CALL,
        circuit_breaker.RESENDS_PER_SECOND,
        circuit_breaker.MAX_TIMED_RESENDS,
    ) == (0.1, 2, 10)
    assert "a tenth of the calls made, and two a second (ten may be saved up)" in text
    assert f"connect ({timeouts.CONNECT_TIMEOUT:g} s)" in text
    assert f"first word ({timeouts.FIRST_BYTE_TIMEOUT:g} s" in text
    assert f"two pieces of an answer ({timeouts.IDLE_TIMEOUT:g} s)" in text
