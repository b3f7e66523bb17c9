"""Where a fact comes from, and where sources contradict each other."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

UNVERIFIED = "unverified"


def citation(source: str, checked: str) -> str:
    """Format a source with the date it was opened, or as unverified.

    >>> citation("its guide", "2026-11-25"), citation("its guide", "")
    ('its guide, read 2026-11-25', 'its guide; unverified')
    """
    return f"{source}, read {checked}" if checked else f"{source}; {UNVERIFIED}"


class DisputedCapability(Struct, frozen=True, array_like=True, gc=False):
    """A capability that some rows of a model claim and others do not.

    Attributes:
        about: "audio input", "image output", "tools". claims: number of rows that claim it. rows: number of rows that
            state any capability.
        own: whether the vendor's own host claims it, None if it has no row.
        accepted: the claim is accepted nevertheless.
    """

    about: str
    claims: int
    rows: int
    own: bool | None = None
    accepted: bool = False


def describe_dispute(doubt: DisputedCapability) -> str:
    """Describe a dispute in one sentence: how many rows claim the capability, how many do not, and what plans assume.

    >>> describe_dispute(DisputedCapability("audio input", 7, 28, True))
    "7 of 28 rows claim audio input, the vendor's own among them, and 21 do not: plans do not rely on it"
    """
    rest = doubt.rows - doubt.claims
    vendor_clause = {True: ", the vendor's own among them,", False: " and the vendor's own does not", None: ""}[
        doubt.own
    ]
    claim = f"{doubt.claims} of {doubt.rows} rows {_verb_claim(doubt.claims)} {doubt.about}{vendor_clause}"
    end = "plans rely on it at the hosts that claim it" if doubt.accepted else "plans do not rely on it"
    return f"{claim}{': ' if doubt.own is False else f' and {rest} {_verb_do(rest)} not: '}{end}"


def _verb_do(count: int) -> str:
    return "does" if count == 1 else "do"


def _verb_claim(count: int) -> str:
    return "claims" if count == 1 else "claim"


def disputes_about(doubts: Iterable[DisputedCapability], kinds: Iterable[str]) -> tuple[DisputedCapability, ...]:
    """Return the disputes about these input kinds."""
    about = {f"{kind} input" for kind in kinds}
    return tuple(doubt for doubt in doubts if doubt.about in about)
