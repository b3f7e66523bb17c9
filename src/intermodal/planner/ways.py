"""The ways a bundle of parts can reach the endpoint that answers, each with what it hands over and what it takes.

    text      as it is
    image     as it is | read
    audio     as it is | transcribe
    document  as it is | extract (scanned pages rendered and read) | render | mixed (text of pages, and pictures of
              scanned pages and of those with figures)

A way is a choice for a whole bundle; its pieces are what happens to one part, one piece per step.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from msgspec import Struct

from intermodal.catalog.nouns import Endpoint
from intermodal.content import Kind
from intermodal.costing.levels import ZEROS, Level, Levels, levels, plus, times
from intermodal.costing.price import hearing_price, reading_price, token_price
from intermodal.costing.rates import HERE, Rates
from intermodal.costing.speed import extract_seconds, hear_seconds, leaf_seconds, render_seconds, see_seconds
from intermodal.costing.tokens import (
    audio_tokens,
    document_tokens,
    page_tokens,
    read_tokens,
    speech_tokens,
    text_tokens,
)
from intermodal.media.steps import DEFAULT_DPI, MAX_OCR_SIDE, MAX_PAGES_IN_PLAN, page_size
from intermodal.planner.aspects import kept, lost
from intermodal.planner.case import Bundle, Case
from intermodal.planner.pages import is_scanned, numbers
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.plans.step import CallOp, TransformOp
from intermodal.quantity import Quantity, exact, total
from intermodal.request import Aspect

FIGURE_PAGE = 0.1  # share of a page under pictures or drawings, from which on it is worth being seen
NO_TIER = 99  # nothing in the way has weights
Picture = tuple[int, int, str]  # width, height, detail
Conversions = dict[str, list[Endpoint]]  # "transcribe", "read" -> endpoints worth considering


class Piece(Struct, frozen=True, gc=False):
    """One step that a part goes through.

    ``seconds`` without loading; ``tokens`` of the text it makes, exact 0 for pictures.
    """

    op: TransformOp | CallOp
    title: str
    tokens: Quantity
    cost: Levels = ZEROS
    seconds: Levels = ZEROS
    endpoint: Endpoint | None = None
    pages: tuple[int, ...] = ()


class Passage(Struct, frozen=True, gc=False):
    """What becomes of one part: its steps, and what the last endpoint gets of it as it is."""

    pieces: tuple[Piece, ...] = ()
    pictures: tuple[Picture, ...] = ()
    sound: Quantity = Quantity()
    pages: int = 0
    chars: int = 0
    blocks: int = 0


class Way(Struct, eq=False, gc=False):
    """One choice for a bundle.

    Attributes:
        name: "native", "transcribe", "read", "extract", "render" or "mixed".
        endpoint: the ear or reader, None when nothing with weights is used.
        hands: kinds the last endpoint must take, and which therefore reach it.
        keeps, loses: aspects. penalty: USD for the inferred needs among the lost ones, which are ``missed``.
        text, cost, transforms, local, network: sums over the parts (``network`` is the longest). made: the part
            of the text that converters with weights write.
        blocks: labelled blocks of derived text. pictures, sound, document: what goes in as it is.
        tier: of the converter. passages: one per part of the bundle. by_rule: tokens of the pictures,
            weighed, options: how it does under each weighting; all kept once computed.
    """

    name: str
    endpoint: Endpoint | None
    hands: frozenset[str]
    keeps: tuple[Aspect, ...]
    loses: tuple[Aspect, ...]
    penalty: float
    missed: tuple[Aspect, ...]
    text: Levels
    made: Levels
    cost: Levels
    transforms: Levels
    local: Levels
    network: Levels
    blocks: int
    pictures: dict[Picture, int]
    sound: Levels
    tier: int
    passages: list[Passage]
    by_rule: dict[str, Levels]
    weighed: dict[str, tuple[tuple[float, ...], ...]]
    options: dict[object, tuple[float, float, float, float]]
    left_out: int = 0


Kept = dict[int, tuple[PageFacts, ...]]  # part index -> pages kept by a selection


def ways(case: Case, bundle: Bundle, conversions: Conversions, kept_pages: Kept | None = None) -> list[Way]:
    """Every way for this bundle, whoever answers; what an endpoint cannot take is ruled out later."""
    if bundle.kind == "document":
        return _document_ways(case, bundle, conversions, kept_pages or {})
    found = [_way(case, bundle, "native", None, frozenset((bundle.kind,)))]
    if bundle.kind == "image":
        found += [_way(case, bundle, "read", reader, _TEXT) for reader in _may(bundle, conversions, "read")]
    if bundle.kind == "audio":
        found += [_way(case, bundle, "transcribe", ear, _TEXT) for ear in _may(bundle, conversions, "transcribe")]
    return found


def _may(bundle: Bundle, conversions: Conversions, job: str) -> list[Endpoint]:
    """Converters that may get these parts: what is private is converted on this machine or not at all."""
    return [e for e in conversions.get(job, []) if not bundle.private or e.host.zone in HERE]


_TEXT = frozenset(("text",))
_IMAGE = frozenset(("image",))
_BOTH = frozenset(("text", "image"))


def _document_ways(case: Case, bundle: Bundle, conversions: Conversions, kept_pages: Kept) -> list[Way]:
    pages = [kept_pages.get(part.index, wanted) for part, wanted in zip(bundle.parts, bundle.pages, strict=True)]
    scanned = sum(is_scanned(page) for some in pages for page in some)
    seen = sum(_to_be_seen(page) for some in pages for page in some)
    every = sum(len(some) for some in pages)
    wanted = sum(len(some) for some in bundle.pages)
    found: list[Way] = []
    if bundle.whole and not kept_pages:
        found.append(_way(case, bundle, "native", None, frozenset(("document",)), pages))
    if not scanned:
        found.append(_way(case, bundle, "extract", None, _TEXT, pages))
    elif scanned <= MAX_PAGES_IN_PLAN:
        found += [_way(case, bundle, "extract", reader, _TEXT, pages) for reader in _may(bundle, conversions, "read")]
    if every <= MAX_PAGES_IN_PLAN:
        found.append(_way(case, bundle, "render", None, _IMAGE, pages))
    if 0 < seen < every and seen <= MAX_PAGES_IN_PLAN:
        found.append(_way(case, bundle, "mixed", None, _BOTH, pages))
    for way in found:
        way.left_out = wanted - every
    return found


def _to_be_seen(page: PageFacts) -> bool:
    return is_scanned(page) or page.figure_share >= FIGURE_PAGE


def _way(
    case: Case,
    bundle: Bundle,
    name: str,
    endpoint: Endpoint | None,
    hands: frozenset[str],
    pages: list[tuple[PageFacts, ...]] | None = None,
) -> Way:
    rates = case.rates(endpoint) if endpoint is not None else None
    memo: dict[object, Passage] = {}
    passages: list[Passage] = []
    for place, (part, shape) in enumerate(zip(bundle.parts, bundle.shapes, strict=True)):
        some = pages[place] if pages is not None else ()
        key = (shape, numbers(some)) if some else shape
        passage = memo.get(key)
        if passage is None:
            passage = memo[key] = _passage(case, part, bundle.details[place], name, endpoint, rates, some)
        passages.append(passage)
    gone: list[Aspect] = [aspect for part in _distinct(bundle) for aspect in lost(name, part)]
    loses = tuple(dict.fromkeys(gone))
    missed: tuple[Aspect, ...] = tuple(aspect for aspect in bundle.needs if aspect in loses)
    made = Way(
        name=name, endpoint=endpoint, hands=hands, keeps=kept(name, bundle.kind), loses=loses,
        penalty=sum(bundle.needs[aspect] for aspect in missed), missed=missed,
        text=ZEROS, made=ZEROS, cost=ZEROS, transforms=ZEROS, local=ZEROS, network=ZEROS,
        blocks=0, pictures={}, sound=ZEROS, tier=NO_TIER, passages=passages, by_rule={}, weighed={}, options={},
    )  # fmt: skip
    _add_up(made)
    if endpoint is not None and any(piece.endpoint is not None for passage in passages for piece in passage.pieces):
        group = case.index.group_of[endpoint.id]
        made.tier = group.tier("automatic-speech-recognition" if name == "transcribe" else "image-to-text")
    return made


def _distinct(bundle: Bundle) -> list[PartFacts]:
    """Parts that can lose different things: documents differ in their figures, others do not."""
    return bundle.parts if bundle.kind == "document" else bundle.parts[:1]


def _add_up(way: Way) -> None:
    counted: dict[int, int] = {}
    by_id: dict[int, Passage] = {}
    for passage in way.passages:  # equal parts share one passage object, so each is added once, times its number
        counted[id(passage)] = counted.get(id(passage), 0) + 1
        by_id[id(passage)] = passage
    for key, count in counted.items():
        passage = by_id[key]
        for piece in passage.pieces:
            _add_piece(way, piece, count)
        for picture in passage.pictures:
            way.pictures[picture] = way.pictures.get(picture, 0) + count
        sound = levels(passage.sound)
        way.sound = plus(way.sound, times(sound, count))
        way.blocks += passage.blocks * count
        if passage.pages:
            text = levels(document_tokens(passage.pages, passage.chars))
            way.text = plus(way.text, times(text, count))


def _add_piece(way: Way, piece: Piece, count: int) -> None:
    tokens, seconds, cost = levels(piece.tokens), piece.seconds, piece.cost
    if tokens != ZEROS:
        tokens = times(tokens, count)
        way.text = plus(way.text, tokens)
        if piece.endpoint is not None:
            way.made = plus(way.made, tokens)
    if cost != ZEROS:
        way.cost = plus(way.cost, times(cost, count))
    many = times(seconds, count)
    if piece.endpoint is None:
        way.transforms = plus(way.transforms, many)
    elif piece.endpoint.host.zone in HERE:
        way.local = plus(way.local, many)
    else:
        before = way.network
        way.network = (max(before[0], seconds[0]), max(before[1], seconds[1]), max(before[2], seconds[2]))


# ---- one part ---------------------------------------------------------------------------------


def _passage(
    case: Case, part: PartFacts, detail: str, name: str, endpoint: Endpoint | None, rates: Rates | None,
    pages: tuple[PageFacts, ...],
) -> Passage:  # fmt: skip
    if part.kind == "document":
        return _document_passage(case, name, endpoint, rates, pages)
    if endpoint is not None and rates is not None:
        piece = _hear(case, part, endpoint, rates) if name == "transcribe" else _read(case, part, endpoint, rates)
        return Passage(pieces=(piece,), blocks=1)
    if part.kind == "image":
        return Passage(pictures=((part.width, part.height, detail),))
    return Passage(sound=part.seconds)


def _document_passage(
    case: Case, name: str, endpoint: Endpoint | None, rates: Rates | None, pages: tuple[PageFacts, ...]
) -> Passage:
    if name == "native":
        return Passage(pages=len(pages), chars=sum(page.chars for page in pages))
    if name == "render":
        return Passage(pieces=(_render(pages),), pictures=tuple(_pixels(page) for page in pages))
    texts = tuple(page for page in pages if not is_scanned(page))
    pieces: list[Piece] = [_extract(texts)] if texts else []
    if name == "mixed":
        seen = tuple(page for page in pages if _to_be_seen(page))
        return Passage(
            pieces=(*pieces, _render(seen)), pictures=tuple(_pixels(page) for page in seen), blocks=len(texts)
        )
    scans = tuple(page for page in pages if is_scanned(page))
    if scans and endpoint is not None and rates is not None:
        pieces += [_render(scans), _read_pages(case, scans, endpoint, rates)]
    return Passage(pieces=tuple(pieces), blocks=len(pages))


def _hear(case: Case, part: PartFacts, ear: Endpoint, rates: Rates) -> Piece:
    tokens = speech_tokens(part.seconds, case.statistics.get(ear.id, "tokens_per_second_of_speech"))
    length, made = levels(part.seconds), levels(tokens)
    if rates.second == math.inf and rates.audio < math.inf:  # an ear billed by tokens
        sound = levels(audio_tokens(part.seconds))
        cost = _at_each(lambda level: token_price(rates, 0.0, 0.0, sound[level], made[level]))
    else:
        cost = _at_each(lambda level: hearing_price(rates, length[level]))
    return Piece(
        op="transcribe", endpoint=ear, title=f"{length[1]:.3g} s", tokens=tokens, cost=cost,
        seconds=_at_each(lambda level: hear_seconds(rates, level, length[level])),
    )  # fmt: skip


def _read(case: Case, part: PartFacts, reader: Endpoint, rates: Rates) -> Piece:
    megapixels = read_megapixels(part.width, part.height)
    price = reading_price(rates, 1)
    return Piece(
        op="read", endpoint=reader, title=f"{part.width}x{part.height}", cost=(price, price, price),
        tokens=read_tokens(megapixels, part.text_density, case.statistics.get(reader.id, "tokens_per_megapixel")),
        seconds=_at_each(lambda level: see_seconds(rates, level, megapixels)),
    )  # fmt: skip


def _read_pages(case: Case, pages: tuple[PageFacts, ...], reader: Endpoint, rates: Rates) -> Piece:
    seen = case.statistics.get(reader.id, "tokens_per_megapixel")
    megapixels = [read_megapixels(*_pixels(page)[:2]) for page in pages]
    price = reading_price(rates, len(pages))
    return Piece(
        op="read", endpoint=reader, title=_pages_title(numbers(pages)), pages=numbers(pages),
        tokens=total([page_tokens(mp, seen, page.text_density) for mp, page in zip(megapixels, pages, strict=True)]),
        cost=(price, price, price),
        seconds=_at_each(lambda level: leaf_seconds(rates, level, len(pages), sum(megapixels))),
    )  # fmt: skip


def _extract(pages: tuple[PageFacts, ...]) -> Piece:
    return Piece(
        op="extract", title=_pages_title(numbers(pages)), pages=numbers(pages),
        tokens=total([text_tokens(page.chars) for page in pages]),
        seconds=_at_each(lambda level: extract_seconds(level, len(pages))),
    )  # fmt: skip


def _render(pages: tuple[PageFacts, ...]) -> Piece:
    megapixels = sum(width * height for width, height, _ in map(_pixels, pages)) / 1e6
    return Piece(
        op="render", title=f"{_pages_title(numbers(pages))} at {DEFAULT_DPI} dpi", pages=numbers(pages),
        tokens=exact(0.0), seconds=_at_each(lambda level: render_seconds(level, megapixels)),
    )  # fmt: skip


def _pixels(page: PageFacts) -> Picture:
    width, height, _ = page_size(page.width, page.height, DEFAULT_DPI)
    return (width, height, "auto")


def page_megapixels(page: PageFacts) -> float:
    """Megapixels of a page as it is rendered for a reader."""
    width, height, _ = _pixels(page)
    return read_megapixels(width, height)


def read_megapixels(width: int, height: int) -> float:
    """Megapixels a reader gets: long sides are shrunk first."""
    shrink = min(1.0, MAX_OCR_SIDE / max(width, height, 1))
    return width * shrink * height * shrink / 1e6


def _pages_title(pages: tuple[int, ...]) -> str:
    """Page numbers for people, runs shortened.

    >>> _pages_title((1, 2, 3, 7))
    'pages 1-3, 7'
    """
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][-1] + 1:
            runs[-1].append(page)
        else:
            runs.append([page])
    shown = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs[:6]]
    more = ", …" if len(runs) > 6 else ""
    return f"page{'s' if len(pages) > 1 else ''} {', '.join(shown)}{more}"


pages_title = _pages_title


def _at_each(formula: Callable[[Level], float]) -> Levels:
    return (formula(0), formula(1), formula(2))


def converter_kind(kind: Kind) -> str:
    """The conversion that makes text of a kind."""
    return "transcribe" if kind == "audio" else "read"


__all__ = ["Passage", "Piece", "Way", "converter_kind", "pages_title", "read_megapixels", "ways"]
