"""Everything that leaves this machine on a route: to the endpoint that answers, and to converters elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from intermodal.catalog.nouns import Endpoint
from intermodal.content import Kind
from intermodal.costing.rates import HERE
from intermodal.costing.tokens import part_tokens
from intermodal.planner.case import Bundle, Case
from intermodal.planner.routes import Route
from intermodal.planner.ways import Passage, Way
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import Send
from intermodal.quantity import total

TOGETHER = 8  # parts alike up to which each is listed by itself
MAKES_TEXT = ("extract", "read", "transcribe")


def sends_of(case: Case, route: Route) -> tuple[Send, ...]:
    """In part order, the answering endpoint's after the converters'."""
    found: list[Send] = []
    for bundle, way in zip(case.bundles, route.assignment.ways, strict=True):
        if way.endpoint is not None and way.endpoint.host.zone not in HERE:
            found += _each(bundle, way, way.endpoint, _as_it_is)
    if route.endpoint.host.zone not in HERE:
        found += _texts(case, route.endpoint)
        for bundle, way in zip(case.bundles, route.assignment.ways, strict=True):
            if way.name == "native":
                found += _each(bundle, way, route.endpoint, _as_it_is)
            else:
                found += _each(bundle, way, route.endpoint, _derived)
                if way.pictures:
                    found += _each(bundle, way, route.endpoint, _pictures)
    return tuple(found)


def _texts(case: Case, endpoint: Endpoint) -> list[Send]:
    tokenizer = endpoint.model.tokenizer
    if len(case.texts) > TOGETHER:
        count = sum(part_tokens(part, tokenizer).mid for part in case.texts)
        return [_send(f"{count:,.0f} tok text", "text", f"{len(case.texts)} texts", endpoint)]
    return [
        _send(f"{part_tokens(part, tokenizer).mid:,.0f} tok text", "text", part.name or "prompt", endpoint)
        for part in case.texts
    ]


Pairs = list[tuple[PartFacts, Passage]]
Words = Callable[[Bundle, Pairs], tuple[str, Kind]]


def _each(bundle: Bundle, way: Way, endpoint: Endpoint, words: Words) -> list[Send]:
    """One entry per part; of many parts alike one for all, with their sum or range."""
    pairs = list(zip(bundle.parts, way.passages, strict=True))
    if len(pairs) > TOGETHER:
        what, kind = words(bundle, pairs)
        return [_send(what, kind, bundle.title, endpoint)] if what else []
    found: list[Send] = []
    for pair in pairs:
        what, kind = words(bundle, [pair])
        if what:
            found.append(_send(what, kind, pair[0].name, endpoint))
    return found


def _as_it_is(bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    count = len(pairs)
    if bundle.kind == "audio":
        seconds = f"{sum(part.seconds.mid for part, _ in pairs):.3g} s"
        return (f"{seconds} audio" if count == 1 else f"{count} recordings, {seconds} in all"), "audio"
    if bundle.kind == "image":
        return f"{_counted(count, 'image')} {_sizes([part for part, _ in pairs])}", "image"
    if not pairs[0][1].pages:  # a converter elsewhere gets pictures of the scanned pages
        scans = sum(len(piece.pages) for _, passage in pairs for piece in passage.pieces if piece.op == "read")
        return (_counted(scans, "page picture") if scans else ""), "image"
    pages = _counted(sum(passage.pages for _, passage in pairs), "page")
    return f"{_counted(count, 'document')} {'of' if count == 1 else 'with'} {pages}", "document"


def _sizes(parts: list[PartFacts]) -> str:
    """The size of pictures, of different ones from the smallest to the largest."""
    sizes = sorted({(part.width * part.height, part.width, part.height) for part in parts})
    ends = [sizes[0], sizes[-1]] if len(sizes) > 1 else sizes
    return " to ".join(f"{width}x{height}" for _, width, height in ends)


def _derived(bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    """What converters make of the parts; text of which nothing is expected is sent all the same."""
    made = [piece.tokens for _, passage in pairs for piece in passage.pieces if piece.op in MAKES_TEXT]
    if not made:
        return "", "text"
    tokens = total(made)
    if tokens.known and tokens.mid < 0.5:
        return (f"up to {tokens.high:,.0f} tok text" if tokens.high >= 0.5 else "text if any"), "text"
    return f"{tokens.mid:,.0f} tok text", "text"


def _pictures(bundle: Bundle, pairs: Pairs) -> tuple[str, Kind]:
    count = sum(len(passage.pictures) for _, passage in pairs)
    return (_counted(count, "page picture") if count else ""), "image"


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'s' if count != 1 else ''}"


def _send(what: str, kind: Kind, origin: str, endpoint: Endpoint) -> Send:
    host = endpoint.host
    return Send(what=what, kind=kind, origin=origin, host=host.id, url=host.base_url, zone=host.zone)
