"""Tokens and cost of a call before it is made: the catalog's rules and prices, applied to its parts.

``estimate_of`` does all of it for one call with files, as Python programs ask for it; ``estimate`` counts and bills
given parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from intermodal.catalog import provenance
from intermodal.catalog.load import load_catalog, load_snapshot
from intermodal.catalog.model_token_rules import token_rules_of
from intermodal.catalog.provenance import DisputedCapability
from intermodal.catalog.shipped_rows import shipped_families
from intermodal.catalog.thinking_models import thinking_of
from intermodal.catalog.token_rules import ModelFamilies, ModelTokenRules
from intermodal.catalog.types import Evidence
from intermodal.config import Config, snapshot_file
from intermodal.content import KINDS, Value, together
from intermodal.cost_model.rates import assumed_reasoning
from intermodal.cost_model.token_counts import CountablePart, CountedPart, TokenCount, count_tokens
from intermodal.cost_model.usage_price import UsagePrice, cacheable_tokens, price_of_parts
from intermodal.errors import UsageError
from intermodal.estimates.model_lookup import PricedModel, embedding_usage, find_model
from intermodal.hints import setting
from intermodal.media.text.script_counts import count_scripts
from intermodal.plans.facts import PartFacts
from intermodal.quantity import Quantity, between, unknown
from intermodal.today import today

if TYPE_CHECKING:
    from intermodal.media.request_media import OpenedRequest
    from intermodal.request_builder import FileLike

CountText = Callable[[str, str], int | None]  # vocabulary, text -> tokens, None when it cannot be known exactly


class EstimateOptions(NamedTuple):
    """A call to be estimated besides what goes in; each as in :meth:`AsyncClient.estimate`."""

    model: str
    out_tokens: int | None = None
    day: str = ""
    batch: bool = False
    cached: int = 0


async def estimate_of(
    prompt: str, files: tuple[FileLike, ...], wanted: EstimateOptions, config: Config, env: Mapping[str, str]
) -> Estimate:
    """Tokens and money of one call with these words and files."""
    out_tokens = wanted.out_tokens
    _check(wanted)
    if not isinstance(prompt, str):
        raise UsageError(f"the first argument is {type(prompt).__name__}, not a question", todo='write "" for none')
    if not prompt.strip() and not files:
        raise UsageError("nothing to count", todo="give a prompt, a file, or both")
    when = parse_day(wanted.day)
    subject = find_priced_model(wanted.model, config, env)
    rules = rules_of(subject, shipped_families(), when)
    vocabulary = rules.rules.get("text", "")
    by = token_counter(vocabulary, env)
    pieces = [counted(CountablePart(kind="text", name="prompt"), prompt, vocabulary, by)] if prompt.strip() else []
    if files:
        there = await open_files(files)
        for part in there.facts.parts:
            made = piece(part)
            pieces.append(counted(made, there.text(part.index), vocabulary, by) if part.kind == "text" else made)
    if out_tokens is not None:
        pieces.append(CountablePart(kind="output", name=f"output {out_tokens:,}", tokens=out_tokens))
    return estimate(subject, rules, tuple(pieces), date=when, batch=wanted.batch, cached=wanted.cached)


def _check(wanted: EstimateOptions) -> None:
    for name, said in (("model", wanted.model), ("day", wanted.day)):
        if not isinstance(said, str):
            raise UsageError(f"{name}={said!r} is not text", todo='write model="gpt-4o", day="2026-11-25"')
    counts: tuple[tuple[str, object], ...] = (("out_tokens", wanted.out_tokens or 0), ("cached", wanted.cached))
    for name, count in counts:
        if not isinstance(count, int) or count < 0:
            raise UsageError(f"{name}={count!r} is not a number of tokens", todo="give 0 or more")


def parse_day(text: str) -> str:
    """Return a day in ISO form, today for "". Raises UsageError for an invalid one."""
    if not text:
        return today()
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError(f"{text!r} is not a day", where=setting("date"), todo="write 2026-11-25") from None


def find_priced_model(name: str, config: Config, env: Mapping[str, str]) -> PricedModel:
    """The model that a name stands for: of the user's own, the shipped and the published ones. Raises UnknownModel."""
    if config.hosts:
        from intermodal.request_builder import checked_config

        config = checked_config(config)
    catalog = load_catalog(user=config.hosts, installed={}, weights=frozenset())
    return find_model(catalog, load_snapshot(snapshot_file(env)), shipped_families(), name)


def token_counter(vocabulary: str, env: Mapping[str, str]) -> CountText:
    """Return the counter of a vocabulary: one that a package carries, or one inside local weights."""
    from intermodal.local.tokenizers import byte_pair
    from intermodal.local.tokenizers.token_counter import SOURCES, TokenCounter

    if vocabulary not in SOURCES and (vocabulary in byte_pair.ENCODINGS or not vocabulary):
        return byte_pair.count
    from intermodal.local.weights.store import weights_store

    return TokenCounter(weights_store(env)).count


class PriceConflict(Value):
    """The price of an unused source for the same call. ``since``: the day from which it holds, "" if it has none."""

    by: str
    since: str
    usd: float


class Estimate(Value):
    """Tokens and money of a call. ``rejected`` is "" if it would be accepted. ``said_by``: the source of the price,
    None without one.
    """

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
    """Return the prices of other sources, if they lie outside the bill's range."""
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
    """Return the count, with a note if sources disagree on what the model accepts."""
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
    """Return a text piece with its exact count if its vocabulary is at hand, else with its scripts."""
    tokens = by(vocabulary, text) if vocabulary else None
    size = len(text.encode("utf-8", "replace"))
    made_of = count_scripts(text) if tokens is None else ()
    changes = {"chars": len(text), "size": size, "scripts": made_of, "tokens": tokens, "counted_by": vocabulary}
    return msgspec.structs.replace(piece, **changes)


# ---- real files -------------------------------------------------------------------------------------


async def open_files(files: tuple[FileLike, ...]) -> OpenedRequest:
    """Open files as a request does: documents, pages and mail are taken apart first.

    Raises:
        InputError: a file cannot be taken.
    """
    from intermodal.media.expand import expand
    from intermodal.media.fetch import CachingFetcher
    from intermodal.media.request_media import open_request
    from intermodal.media.worker_client import MediaWorker
    from intermodal.request_builder import make_request

    worker, fetcher = MediaWorker(), CachingFetcher()
    try:
        request = await expand(make_request("", *files), worker, fetcher)
        return await open_request(request, worker, fetcher=fetcher)
    finally:
        await worker.close()


def piece(part: PartFacts) -> CountablePart:
    """Return the facts of a probed part that counting needs."""
    name = part.name
    if part.kind == "image":
        return CountablePart(kind="image", name=name, width=part.width, height=part.height)
    if part.kind == "audio":
        return CountablePart(kind="audio", name=name, seconds=part.seconds.mid)
    if part.kind == "video":
        return CountablePart(
            kind="video", name=name, seconds=part.seconds.mid, width=part.width, height=part.height,
            sound=part.channels > 0,
        )  # fmt: skip
    if part.kind == "document":
        chars = sum(page.chars for page in part.pages)
        width = max((page.width for page in part.pages), default=0.0)
        height = max((page.height for page in part.pages), default=0.0)
        return CountablePart(
            kind="document", name=name, pages=len(part.pages), chars=chars,
            scripts=together(page.scripts for page in part.pages), width=round(width), height=round(height),
        )  # fmt: skip
    return CountablePart(kind="text", name=name, chars=part.chars, size=part.size, scripts=part.scripts)
