"""What a call would take before it is made: the catalog's rules and prices, put to real or imagined parts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from intermodal.catalog.counting import Aspect, Families, Sheet, bare
from intermodal.catalog.nouns import Catalog, Endpoint, Model
from intermodal.content import Value
from intermodal.costing.bill import bill, priced_by
from intermodal.costing.parts import Count, Piece, count
from intermodal.costing.sound import BY_TIME
from intermodal.errors import UnknownModel
from intermodal.media.pretokens import pretokens
from intermodal.quantity import Quantity, unknown

CountText = Callable[[str, str], int | None]  # vocabulary, text -> tokens, None when it cannot be known exactly
_NEAR = 3


class Subject(Value):
    """The model an estimate is about. ``model`` and ``endpoint`` are None when only its family is known."""

    id: str
    model: Model | None = None
    endpoint: Endpoint | None = None


class Estimate(Value):
    """Tokens and money of a call. ``rejected`` is "" when it would be taken."""

    model: str
    date: str
    count: Count
    usd: Quantity
    rejected: str = ""
    endpoint: str = ""
    price_source: str = ""


def find(catalog: Catalog, families: Families, name: str) -> Subject:
    """The model a name stands for: of the catalog, else of a family whose rules are known.

    Raises:
        UnknownModel: neither; the message has the nearest names.
    """
    there = _named(catalog, name)
    if there:
        chosen = min(there, key=_preference)
        return Subject(id=chosen.model.id, model=chosen.model, endpoint=chosen)
    family = families.of(name)
    if family is not None:
        own = name.strip().lower().partition(":")[2] if ":" in name.partition("/")[0] else name.strip().lower()
        vendor = family[0].partition("/")[0]
        return Subject(id=own if "/" in own else f"{vendor}/{own}")
    from intermodal.planner.names import resolve

    try:
        chosen = min(resolve(catalog, name), key=_preference)
    except UnknownModel as error:
        raise UnknownModel(error.what, where="--model", todo=_todo(error, catalog, families, name)) from None
    return Subject(id=chosen.model.id, model=chosen.model, endpoint=chosen)


def _named(catalog: Catalog, name: str) -> tuple[Endpoint, ...]:
    """Endpoints of exactly this name; of several models with one last word, those of the vendor that is named."""
    wanted, short = name.strip().lower(), bare(name)
    one = tuple(e for e in catalog.endpoints if e.id.lower() == wanted)
    if one:
        return one
    found = tuple(e for e in catalog.endpoints if short in (bare(e.model.id), bare(e.served_as)))
    host, colon, _ = wanted.partition(":")
    if colon and "/" not in host and any(e.host.id == host for e in found):
        found = tuple(e for e in found if e.host.id == host)
    vendor = wanted.rpartition(":")[2].rpartition("/")[0] or ""
    own = tuple(e for e in found if vendor and e.model.id.lower().startswith(f"{vendor}/"))
    return own or found


def _preference(endpoint: Endpoint) -> tuple[bool, bool, float, str]:
    """The vendor's own host first, then a known price, then the lowest."""
    vendor = endpoint.model.id.partition("/")[0]
    price = endpoint.price.input_mtok
    return endpoint.host.id != vendor, price is None, price or 0.0, endpoint.id


def _todo(error: UnknownModel, catalog: Catalog, families: Families, name: str) -> str:
    """The nearest names of the catalog and of the families whose rules are known."""
    from difflib import get_close_matches

    if "say which" in error.todo:
        return error.todo
    names = {**families.names, **{bare(e.model.id): e.model.id for e in catalog.endpoints}}
    near = get_close_matches(bare(name), names, _NEAR, 0.6)
    return f"did you mean {' or '.join(names[each] for each in near)}?" if near else "see intermodal models"


def rules_of(subject: Subject, families: Families, date: str) -> Sheet:
    """The rules of a model on a day; a rule that its own catalog row states outranks its family's.

    Raises:
        UsageError: the day is before the first rule of its family.
    """
    name = subject.id
    found = families.sheet(name, date)
    model = subject.model
    if model is None:
        return found
    own: dict[Aspect, str] = {}
    if model.image_tokens and model.image_tokens != families.newest(name, "image"):
        own["image"] = model.image_tokens
    if model.tokenizer and not found.rules.get("text"):
        own["text"] = model.tokenizer
    if model.tasks == ("automatic-speech-recognition",) and not found.rules.get("audio"):
        own["audio"] = "by_time"
    if not own:
        return found
    source = model.evidence.source or "its row in the catalog"
    sources: dict[Aspect, str] = {aspect: BY_TIME if rule == "by_time" else source for aspect, rule in own.items()}
    return msgspec.structs.replace(found, rules={**found.rules, **own}, sources={**found.sources, **sources})


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
        UsageError: a piece is of a kind whose first rule is of a later day.
    """
    model, endpoint = subject.model, subject.endpoint
    found = count(pieces, rules, takes=model.input if model is not None else (), model=subject.id)
    if found.rejected:
        usd = unknown("it would be refused")
    elif endpoint is None:
        usd = unknown("no price is known")
    elif endpoint.price.effective_from > date:
        usd = unknown(f"no price before {endpoint.price.effective_from} is known")
    else:
        usd = bill(found.parts, priced_by(endpoint.price, batch=batch), cached=cached)
    return Estimate(
        model=subject.id, date=date, count=found, usd=usd, rejected=found.rejected,
        endpoint=endpoint.id if endpoint is not None else "",
        price_source=endpoint.price.evidence.source if endpoint is not None else "",
    )  # fmt: skip


def counted(piece: Piece, text: str, vocabulary: str, by: CountText) -> Piece:
    """A text piece with its exact count where its vocabulary is at hand, else with what it is made of."""
    tokens = by(vocabulary, text) if vocabulary else None
    size = len(text.encode("utf-8", "replace"))
    rough = pretokens(text) if tokens is None else 0
    changes = {"chars": len(text), "size": size, "pretokens": rough, "tokens": tokens, "counted_by": vocabulary}
    return msgspec.structs.replace(piece, **changes)
