"""Pictures that come out: models of every host that draw, by price. A plan for allowed hosts is the planner's work."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from intermodal.advising.advice import Advice, BreakEven, Fork, Kind, Offer, Step
from intermodal.advising.path import WORDS
from intermodal.advising.question import Question, said
from intermodal.advising.uses import TITLES
from intermodal.catalog import find, hosted, prices
from intermodal.catalog.families import families
from intermodal.catalog.find import Wanted
from intermodal.catalog.load import snapshot
from intermodal.catalog.snapshot import Row, Snapshot
from intermodal.costing.bill import Usage, bill
from intermodal.costing.parts import Piece, count
from intermodal.errors import NoRoute, UsageError
from intermodal.quantity import Quantity, unknown

SIDE = 1024
SHOWN = 4


def drawing(question: Question, as_of: str, own_snapshot: Path | None = None) -> Advice:
    """Advice about pictures. Raises NoRoute where nothing of the snapshot draws."""
    _check(question)
    models = snapshot(own_snapshot)
    takes = frozenset({"image"} & set(question.takes))
    rows = find.find(models.rows, Wanted(makes=frozenset(("image",)), takes=takes, hosts=frozenset(question.hosts)))
    found = [_offer(question, row, models, as_of) for row in rows if row.status != "deprecated"]
    if not found:
        raise NoRoute("no model of the snapshot draws pictures from that", todo="leave a kind of --in out")
    most = question.max_cost
    if most is not None:
        found = [each for each in found if each.usd.for_limit() <= most]
    if not found:
        raise NoRoute(f"no picture is known to cost ${most:g} or less", todo="allow more with --max-cost")
    ordered = sorted(found, key=lambda each: (not each.usd.known, each.usd.mid, each.endpoint))
    best, others = ordered[0], [each for each in ordered[1:] if each.model != ordered[0].model]
    known = sum(each.usd.known for each in ordered)
    title = TITLES["drawing"]
    return Advice(
        headline="no language model needed: a picture is drawn",
        use="drawing",
        place="hosted",
        endpoint=best.endpoint,
        reason="a picture comes out",
        kinds=(Kind(use="drawing", title=title, offers=(_with_others(best, others),)),),
        path=(Fork(question=WORDS, answer="no", why="a picture comes out", leads="drawing"),),
        break_even=BreakEven(
            words="nothing here draws, so there is nothing to compare", hosted=best.endpoint, usd=best.usd
        ),
        asked=f"{', '.join(piece.name for piece in question.parts)} -> image {SIDE}x{SIDE}",
        assumed=(f"one picture of {SIDE}x{SIDE} of high quality a request",),
        sources=(
            f"prices: the snapshot of {models.version}; of {len(ordered)} endpoints that draw, what a picture costs is "
            f"known of {known}",
            "hosts: imagined, so none was asked and none needs consent; nothing was sent",
        ),
        notes=("this is a list by price, of every host; for a plan: intermodal explain PROMPT --output image",),
        volume=question.volume,
        as_of=as_of,
        catalog=models.version,
    )  # fmt: skip


def _check(question: Question) -> None:
    """Raise NoRoute for what no host can keep to; nothing here draws."""
    if question.local:
        raise NoRoute("nothing here draws pictures: intermodal has no runtime for it", todo="leave --local out")
    if question.private:
        kinds = " and ".join(map(said, question.private))
        raise NoRoute(f"{kinds} may not leave this machine, and nothing here draws", todo="leave --private out")
    if question.latency is not None:
        what = "nobody knows how long a picture takes, which fails the limit of --latency"
        raise NoRoute(what, todo="leave --latency out")


def _with_others(best: Offer, others: list[Offer]) -> Offer:
    import msgspec

    from intermodal.plans.numbers import money

    return msgspec.structs.replace(best, others=tuple(f"{each.endpoint}: {money(each.usd)}" for each in others[:SHOWN]))


def _offer(question: Question, row: Row, models: Snapshot, as_of: str) -> Offer:
    usd = _price(row, models, as_of)
    volume = question.volume
    model = hosted.model_of(row, None, models.header)
    return Offer(
        place="hosted",
        endpoint=row.endpoint,
        model=model.name,
        summary="drawn by it",
        steps=(Step(op="draw", endpoint=row.endpoint),),
        usd=usd,
        per_month=usd.scaled(volume.per_month) if volume else unknown("nobody said how many requests"),
        seconds=unknown("nobody timed it"),
        floor=model.compute_floor,
        memory=unknown("it runs elsewhere"),
        strength="strength not known",
        score=usd.mid,
        sends=True,
    )


def _price(row: Row, models: Snapshot, as_of: str) -> Quantity:
    """USD of one picture, where its tokens follow a published rule and its tokens have a price."""
    if hosted.prices_of(row, models.header) is None:
        return unknown("no price is known")
    try:
        rules = families().sheet(row.id, as_of)
    except UsageError:
        return unknown("no rule of that day is known")
    counted = count(
        (Piece(kind="drawn", name="picture", width=SIDE, height=SIDE, detail="high"),), rules, takes=(), model=row.id
    )
    vector = prices.at(row.dated_prices, as_of) or row.stated_prices
    # One that also writes has a price of words, and asks more for a picture's tokens.
    words_alone = "text" in row.output and vector is not None and "output_image_mtok" not in vector.units
    if counted.rejected or vector is None or words_alone:
        return unknown("no price of a picture is known")
    return bill(counted.parts, partial(_billed, vector))


def _billed(vector: prices.Vector, used: Usage) -> float | str:
    found = prices.bill(vector, used)
    return found.usd if found.usd is not None else found.unpriced[0].replace("_", " ")
