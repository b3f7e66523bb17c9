"""Everything that leaves this machine on a route: to the endpoint that answers, and to converters elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from intermodal.catalog.nouns import Endpoint
from intermodal.content import Kind
from intermodal.costing.levels import MID, levels
from intermodal.costing.rates import HERE
from intermodal.costing.tokens import part_tokens
from intermodal.planner.case import Bundle, Case
from intermodal.planner.routes import Route
from intermodal.planner.ways import Passage, Way
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import Send

TOGETHER = 8  # parts alike up to which each is listed by itself


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


Words = Callable[[Bundle, PartFacts, Passage], tuple[str, Kind]]


def _each(bundle: Bundle, way: Way, endpoint: Endpoint, words: Words) -> list[Send]:
    found: list[Send] = []
    if len(bundle.parts) > TOGETHER:
        what, kind = words(bundle, bundle.parts[0], way.passages[0])
        return [_send(f"{len(bundle.parts)} times {what}", kind, bundle.title, endpoint)] if what else []
    for part, passage in zip(bundle.parts, way.passages, strict=True):
        what, kind = words(bundle, part, passage)
        if what:
            found.append(_send(what, kind, part.name, endpoint))
    return found


def _as_it_is(bundle: Bundle, part: PartFacts, passage: Passage) -> tuple[str, Kind]:
    if bundle.kind == "audio":
        return f"{part.seconds.mid:.3g} s audio", "audio"
    if bundle.kind == "image":
        return f"1 image {part.width}x{part.height}", "image"
    if not passage.pages:  # a converter elsewhere gets pictures of the scanned pages
        count = sum(len(piece.pages) for piece in passage.pieces if piece.op == "read")
        return f"{count} page picture{'s' if count != 1 else ''}", "image"
    return f"1 document of {passage.pages} page{'s' if passage.pages != 1 else ''}", "document"


def _derived(bundle: Bundle, part: PartFacts, passage: Passage) -> tuple[str, Kind]:
    tokens = sum(levels(piece.tokens)[MID] for piece in passage.pieces)
    return (f"{tokens:,.0f} tok text" if tokens else ""), "text"


def _pictures(bundle: Bundle, part: PartFacts, passage: Passage) -> tuple[str, Kind]:
    count = len(passage.pictures)
    return f"{count} page picture{'s' if count != 1 else ''}", "image"


def _send(what: str, kind: Kind, origin: str, endpoint: Endpoint) -> Send:
    host = endpoint.host
    return Send(what=what, kind=kind, origin=origin, host=host.id, url=host.base_url, zone=host.zone)
