"""A way: one choice for a bundle of parts, made of passages (what becomes of one part) and pieces (one step each)."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from intermodal.catalog.nouns import Endpoint, Task
from intermodal.costing.levels import ZEROS, Levels, larger, levels, plus, times
from intermodal.costing.rates import HERE
from intermodal.costing.tokens import document_tokens, video_tokens
from intermodal.planner.aspects import ONLY_SEEN, kept, lost
from intermodal.planner.bundles import Bundle
from intermodal.planner.case import Case
from intermodal.plans.facts import PageFacts, PartFacts
from intermodal.plans.step import CallOp, TransformOp
from intermodal.quantity import Quantity
from intermodal.request import Aspect

NO_TIER = 99  # nothing in the way has weights
Picture = tuple[int, int, str]  # width, height, detail
Params = tuple[tuple[str, str], ...]
Conversions = dict[str, list[Endpoint]]  # "transcribe", "read", "describe" -> endpoints worth considering
Kept = dict[int, tuple[PageFacts, ...]]  # part index -> pages kept by a selection
TASK_OF: dict[str, Task] = {
    "transcribe": "automatic-speech-recognition",
    "read": "image-to-text",
    "describe": "image-text-to-text",
    "generate": "text-generation",
    "embed": "feature-extraction",
    "score": "zero-shot-classification",
    "speak": "text-to-speech",
    "draw": "text-to-image",
}


class Piece(Struct, frozen=True, gc=False):
    """One step that a part goes through.

    Attributes:
        seconds: without loading. tokens: of the text it makes, exact 0 for pictures and sound.
        params: the step's own. pages: of a document.
        of: the place among the part's pieces of the one whose outcome it takes, -1 for the part itself.
        shown: what it makes reaches the last call; else only another piece takes it.
        count: pictures it makes or looks at. reads: input tokens, of a call that is billed by tokens.
    """

    op: TransformOp | CallOp
    title: str
    tokens: Quantity
    cost: Levels = ZEROS
    seconds: Levels = ZEROS
    endpoint: Endpoint | None = None
    pages: tuple[int, ...] = ()
    params: Params = ()
    of: int = -1
    shown: bool = True
    count: int = 0
    reads: Levels = ZEROS


class Passage(Struct, frozen=True, gc=False):
    """What becomes of one part: its steps, and what the last endpoint gets of it as it is.

    ``many`` is how often each of the pictures is expected: once, but for frames, of which one stands for all.
    ``film`` are the seconds of a video that goes in whole.
    """

    pieces: tuple[Piece, ...] = ()
    pictures: tuple[Picture, ...] = ()
    many: Levels = (1.0, 1.0, 1.0)
    sound: Quantity = Quantity()
    film: Quantity = Quantity()
    pages: int = 0
    chars: int = 0
    blocks: int = 0


class Way(Struct, eq=False, gc=False):
    """One choice for a bundle.

    Attributes:
        name: "native", "transcribe", "read", "describe", "both" (read and described), "extract", "render", "mixed",
            "figured" (text, and pages described), "frames" (an animation's), "watch" (a video, in tracks).
        converters: the ears, readers and eyes it goes through; () when nothing with weights is used.
        hands: kinds the last endpoint must take, and which therefore reach it.
        keeps, loses: aspects. penalty: USD for the inferred needs among the lost ones, which are ``missed``.
        text, cost, transforms, local, network: sums over the parts (``network`` is the longest). made: the part
            of the text that converters with weights write.
        blocks: labelled blocks of derived text. pictures, sound, film: what goes in as it is, film in tokens.
        tier: of the weakest converter. passages: one per part of the bundle. by_rule: tokens of the pictures,
            weighed, options: how it does under each weighting; all kept once computed.
    """

    name: str
    converters: tuple[Endpoint, ...]
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
    pictures: dict[Picture, Levels]
    sound: Levels
    film: Levels
    tier: int
    passages: list[Passage]
    by_rule: dict[str, Levels]
    weighed: dict[str, tuple[tuple[float, ...], ...]]
    options: dict[object, tuple[float, float, float, float]]
    left_out: int = 0


def make_way(
    case: Case,
    bundle: Bundle,
    name: str,
    hands: frozenset[str],
    passage_of: Callable[[int], Passage],
    *,
    same: Callable[[int], object] | None = None,
    aspects: tuple[tuple[Aspect, ...], tuple[Aspect, ...]] | None = None,
) -> Way:
    """A way of all parts of a bundle.

    Args:
        passage_of: what becomes of the part at a place of the bundle; asked once for parts that are alike.
        same: what parts must share to be alike, their shape if not given.
        aspects: what is kept and lost, where that is not a matter of the way's name.
    """
    memo: dict[object, Passage] = {}
    passages: list[Passage] = []
    for place, shape in enumerate(bundle.shapes):
        key = shape if same is None else (shape, same(place))
        passage = memo.get(key)
        if passage is None:
            passage = memo[key] = passage_of(place)
        passages.append(passage)
    if aspects is None:
        keeps = kept(name, bundle.kind)
        gone: list[Aspect] = [aspect for part in _distinct(bundle) for aspect in lost(name, part)]
        loses = tuple(dict.fromkeys(gone))
    else:
        keeps, loses = aspects
    missed: tuple[Aspect, ...] = tuple(aspect for aspect in bundle.needs if aspect in loses)
    made = Way(
        name=name, converters=(), hands=hands, keeps=keeps, loses=loses,
        penalty=sum(bundle.needs[aspect] for aspect in missed), missed=missed,
        text=ZEROS, made=ZEROS, cost=ZEROS, transforms=ZEROS, local=ZEROS, network=ZEROS,
        blocks=0, pictures={}, sound=ZEROS, film=ZEROS, tier=NO_TIER, passages=passages,
        by_rule={}, weighed={}, options={},
    )  # fmt: skip
    _add_up(made, case)
    return made


def unread(way: Way, bundle: Bundle) -> Way:
    """The way as it is in front of an eye too weak to read: what is written only in pictures is lost."""
    pictured = way.pictures and way.name in ONLY_SEEN.get(bundle.kind, ())
    if not pictured or "words" not in way.keeps:
        return way
    needed = bundle.needs.get("words")
    return replace(
        way, keeps=tuple(aspect for aspect in way.keeps if aspect != "words"), loses=("words", *way.loses),
        penalty=way.penalty + (needed or 0.0), missed=way.missed if needed is None else ("words", *way.missed),
        weighed={}, options={},
    )  # fmt: skip


def _distinct(bundle: Bundle) -> list[PartFacts]:
    """Parts that can lose different things: documents differ in their figures, others do not."""
    if bundle.kind != "document":
        return bundle.parts[:1]
    return list(dict(zip(bundle.shapes, bundle.parts, strict=True)).values())


def _add_up(way: Way, case: Case) -> None:
    counted: dict[int, int] = {}
    by_id: dict[int, Passage] = {}
    for passage in way.passages:  # equal parts share one passage object, so each is added once, times its number
        counted[id(passage)] = counted.get(id(passage), 0) + 1
        by_id[id(passage)] = passage
    used: dict[str, Endpoint] = {}
    for key, count in counted.items():
        passage = by_id[key]
        for piece in passage.pieces:
            _add_piece(way, piece, count)
            if piece.endpoint is not None:
                used[piece.endpoint.id] = piece.endpoint
                way.tier = min(way.tier, case.index.group_of[piece.endpoint.id].tier(TASK_OF[piece.op]))
        for picture in passage.pictures:
            way.pictures[picture] = plus(way.pictures.get(picture, ZEROS), times(passage.many, count))
        way.sound = plus(way.sound, times(levels(passage.sound), count))
        way.blocks += passage.blocks * count
        if passage.film.high or not passage.film.known:
            way.film = plus(way.film, times(levels(video_tokens(passage.film)), count))
        if passage.pages:
            text = levels(document_tokens(passage.pages, passage.chars))
            way.text = plus(way.text, times(text, count))
    way.converters = tuple(used.values())


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
        way.network = larger(way.network, seconds)


TEXT = frozenset(("text",))
IMAGE = frozenset(("image",))
BOTH = frozenset(("text", "image"))
