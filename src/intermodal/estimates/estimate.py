"""Tokens and cost of a call before it is made: the catalog's rules and prices, applied to its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from intermodal.catalog import provenance
from intermodal.catalog.model_token_rules import token_rules_of
from intermodal.catalog.provenance import DisputedCapability
from intermodal.catalog.thinking_models import thinking_of
from intermodal.catalog.token_rules import ModelFamilies, ModelTokenRules
from intermodal.catalog.types import Evidence
from intermodal.content import KINDS, Value
from intermodal.cost_model.rates import assumed_reasoning
from intermodal.cost_model.token_counts import CountablePart, CountedPart, TokenCount, count_tokens
from intermodal.cost_model.usage_price import UsagePrice, cacheable_tokens, price_of_parts
from intermodal.errors import UsageError
from intermodal.estimates.model_lookup import PricedModel, embedding_usage
from intermodal.hints import setting
from intermodal.media.text.script_counts import count_scripts
from intermodal.quantity import Quantity, between, unknown

CountText = Callable[[str, str], int | None]  # vocabulary, text -> tokens, None when it cannot be known exactly


class PriceConflict(Value):
    """What a source that is not used has for the same call. ``since``: the day from which, "" where it has none."""

    by: str
    since: str
    usd: float


class Estimate(Value):
    """Tokens and money of a call. ``rejected`` is "" when it would be taken. ``said_by``: who says what it costs there,
    None where nobody does."""

    model: str
    date: str
    count: TokenCount
    usd: Quantity
    rejected: str = ""
    endpoint: str = ""
    said_by: Evidence | None = None
    conflicts: tuple[PriceConflict, ...] = ()


def rules_of(subject: PricedModel, families: ModelFamilies, date: str) -> ModelTokenRules:
    """The rules of a model on a day; a rule that its own catalog row states outranks its family's.

    Raises:
        UsageError: the day is before the first rule of its family.
    """
    return token_rules_of(subject.id, subject.model, families, date)


def estimate(
    subject: PricedModel,
    rules: ModelTokenRules,
    pieces: tuple[CountablePart, ...],
    *,
    date: str,
    batch: bool = False,
    cached: int = 0,
) -> Estimate:
    """Tokens and money of a call of these pieces.

    Raises:
        UsageError: a piece is of a kind whose first rule is of a later day; more is cached than there is.
    """
    doubted: dict[str, DisputedCapability] = {
        kind: doubt for kind in KINDS for doubt in provenance.disputes_about(subject.doubts, (kind,))
    }
    takes = None if subject.takes is None else (*subject.takes, *filter(doubted.__contains__, KINDS))
    found = _with_contradictions(count_tokens(pieces, rules, takes=takes, model=subject.id), doubted)
    found = _within_context(_with_reasoning(found, subject), subject)
    if not found.rejected and cached > cacheable_tokens(found.parts):
        what = f"{cached:,} tokens of a cache, and of text and pictures there are {cacheable_tokens(found.parts):,.0f}"
        raise UsageError(what, where=setting("cached"), todo="give the tokens of this call that are read from a cache")
    priced = "it would be refused" if found.rejected else subject.priced(date, batch=batch)
    usd = unknown(priced) if isinstance(priced, str) else _bill(found, priced, cached)
    return Estimate(
        model=subject.id, date=date, count=found, usd=usd, rejected=found.rejected, endpoint=subject.endpoint,
        said_by=subject.said_by if usd.known else None, conflicts=_conflicts(subject, found, usd, cached),
    )  # fmt: skip


def _bill(found: TokenCount, priced: tuple[UsagePrice, ...], cached: int) -> Quantity:
    """The bill; where the price depends on the hour of the day, from the cheapest to the dearest of them."""
    bills = [price_of_parts(found.parts, each, cached=cached) for each in priced]
    if len(bills) == 1 or not all(each.known for each in bills):
        return bills[0]
    low, high = min(each.low for each in bills), max(each.high for each in bills)
    if low == high:
        return bills[0]
    return between(low, bills[0].mid, high, f"{bills[0].basis}, which depends on the hour of the day")


def _conflicts(subject: PricedModel, found: TokenCount, usd: Quantity, cached: int) -> tuple[PriceConflict, ...]:
    """What other sources would make of it, where that is not within the bill."""
    if not usd.known:
        return ()
    others = [
        (each, price_of_parts(found.parts, embedding_usage(each.vector), cached=cached)) for each in subject.rivals
    ]
    return tuple(
        PriceConflict(by=each.by, since=each.since, usd=other.mid)
        for each, other in others
        if other.known and not usd.low <= other.mid <= usd.high
    )


def _with_contradictions(found: TokenCount, doubted: Mapping[str, DisputedCapability]) -> TokenCount:
    """The count, of which it is said where sources contradict each other about what the model takes."""
    parts = []
    for part in found.parts:
        doubt = doubted.get(part.piece.kind)
        if doubt is not None and not part.refused:
            tokens = msgspec.structs.replace(
                part.tokens, basis=f"{provenance.describe_dispute(doubt)}; {part.tokens.basis}"
            )
            part = msgspec.structs.replace(part, tokens=tokens)
        parts.append(part)
    return msgspec.structs.replace(found, parts=tuple(parts))


def _with_reasoning(found: TokenCount, subject: PricedModel) -> TokenCount:
    """The count with what the model thinks unasked before an answer: the stated length is that of the answer."""
    thinks = thinking_of(subject.id) if subject.model is None else subject.model.thinking
    tokens = assumed_reasoning(thinks) if thinks is not None and not found.rejected else Quantity()
    if thinks is None or not tokens.high or not any(part.piece.kind == "output" for part in found.parts):
        return found
    evidence = thinks.evidence
    source = evidence.citation if evidence.source else ""
    part = CountedPart(piece=CountablePart(kind="output", name="thinking"), tokens=tokens, source=source)
    whole = found.tokens + tokens if found.tokens.known else found.tokens
    return msgspec.structs.replace(found, parts=(*found.parts, part), tokens=whole)


def _within_context(found: TokenCount, subject: PricedModel) -> TokenCount:
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


def counted(piece: CountablePart, text: str, vocabulary: str, by: CountText) -> CountablePart:
    """A text piece with its exact count where its vocabulary is at hand, else with what it is made of."""
    tokens = by(vocabulary, text) if vocabulary else None
    size = len(text.encode("utf-8", "replace"))
    made_of = count_scripts(text) if tokens is None else ()
    changes = {"chars": len(text), "size": size, "scripts": made_of, "tokens": tokens, "counted_by": vocabulary}
    return msgspec.structs.replace(piece, **changes)
