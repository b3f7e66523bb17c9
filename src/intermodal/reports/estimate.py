"""What a call would take before it is made: the catalog's rules and prices, put to real or imagined parts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from intermodal.catalog.counting import Families, Sheet
from intermodal.catalog.nouns import Evidence
from intermodal.catalog.sheets import sheet_of
from intermodal.content import Value
from intermodal.costing.bill import bill, cacheable
from intermodal.costing.parts import Count, Piece, count
from intermodal.errors import UsageError
from intermodal.media.pretokens import pretokens
from intermodal.quantity import Quantity, unknown
from intermodal.reports.subject import Subject

CountText = Callable[[str, str], int | None]  # vocabulary, text -> tokens, None when it cannot be known exactly


class Estimate(Value):
    """Tokens and money of a call. ``rejected`` is "" when it would be taken. ``said_by``: who says what it costs there,
    None where nobody does."""

    model: str
    date: str
    count: Count
    usd: Quantity
    rejected: str = ""
    endpoint: str = ""
    said_by: Evidence | None = None


def rules_of(subject: Subject, families: Families, date: str) -> Sheet:
    """The rules of a model on a day; a rule that its own catalog row states outranks its family's.

    Raises:
        UsageError: the day is before the first rule of its family.
    """
    return sheet_of(subject.id, subject.model, families, date)


def estimate(
    subject: Subject,
    rules: Sheet,
    pieces: tuple[Piece, ...],
    *,
    date: str,
    batch: bool = False,
    cached: int = 0,
) -> Estimate:
    """Tokens and money of a call of these pieces.

    Raises:
        UsageError: a piece is of a kind whose first rule is of a later day; more is cached than there is.
    """
    found = count(pieces, rules, takes=subject.takes, model=subject.id)
    found = _held(found, subject)
    if not found.rejected and cached > cacheable(found.parts):
        what = f"{cached:,} tokens of a cache, and of text and pictures there are {cacheable(found.parts):,.0f}"
        raise UsageError(what, where="--cached", todo="give the tokens of this call that are read from a cache")
    priced = "it would be refused" if found.rejected else subject.priced(date, batch=batch)
    usd = unknown(priced) if isinstance(priced, str) else bill(found.parts, priced, cached=cached)
    return Estimate(
        model=subject.id, date=date, count=found, usd=usd, rejected=found.rejected, endpoint=subject.endpoint,
        said_by=subject.said_by if usd.known else None,
    )  # fmt: skip


def _held(found: Count, subject: Subject) -> Count:
    """The count, rejected where what goes in and comes out is more than the model holds. Vectors are made piece by
    piece."""
    model = subject.model
    if found.rejected or model is None or model.output == ("embedding",):
        return found
    where = subject.endpoint or subject.id
    out = sum(part.tokens.low for part in found.parts if part.piece.kind == "output")
    every = found.tokens.low if found.tokens.known else 0.0
    if model.max_output and out > model.max_output:
        why = f"{out:,.0f} tokens out, and {where} writes {model.max_output:,} at most"
    elif model.context and every > model.context:
        why = f"at least {every:,.0f} tokens, and {where} holds {model.context:,}"
    else:
        return found
    return msgspec.structs.replace(found, rejected=why)


def counted(piece: Piece, text: str, vocabulary: str, by: CountText) -> Piece:
    """A text piece with its exact count where its vocabulary is at hand, else with what it is made of."""
    tokens = by(vocabulary, text) if vocabulary else None
    size = len(text.encode("utf-8", "replace"))
    rough = pretokens(text) if tokens is None else 0
    changes = {"chars": len(text), "size": size, "pretokens": rough, "tokens": tokens, "counted_by": vocabulary}
    return msgspec.structs.replace(piece, **changes)
