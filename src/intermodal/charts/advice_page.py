"""The HTML page of advice: the chart, every use with its numbers, and the whole text."""

from __future__ import annotations

from html import escape

from intermodal._version import __version__
from intermodal.advisor.advice import (
    PLACES,
    Advice,
    RouteOffer,
    RoutePick,
    UseOffers,
    floor,
    headline,
    monthly,
    price,
    steps,
    text,
)
from intermodal.charts.advice_chart import svg
from intermodal.charts.html import document, table
from intermodal.plans import numbers

_HEAD = (
    "Kind of model", "Where", "Endpoint", "Way", "n:USD a request", "n:USD a month", "n:Seconds", "Strength", "Loses",
    "n:Memory here", "n:Compute floor", "Not the decision because",
)  # fmt: skip
_BEST = (
    "Place", "Endpoint", "Used as", "Where", "n:USD a request", "n:USD a month", "n:Seconds", "Strength", "Loses",
    "Terms",
)  # fmt: skip
_BEST_NOTE = "Each is of another answering model: what would be chosen without the ones above it."
_NOTE = (
    "The planner's best route of each kind at each place. Memory is what a route here keeps resident; the compute "
    "floor is what the answering model takes wherever it runs, from 4-bit to 16-bit weights."
)


def page(advice: Advice) -> str:
    """The whole advice as one HTML document."""
    every = (advice, *advice.beside)
    rows = [_row(kind, offer) for each in every for kind in each.kinds for offer in kind.offers]
    made = f"{advice.asked}; {advice.as_of}, catalog {advice.catalog}, intermodal {__version__}"
    body = "\n".join(
        [
            f'<p class="dim">{escape(made)}</p>',
            svg(advice),
            f"<h2>The best {len(advice.best)}, by {escape(advice.by)}</h2>\n{table(_BEST, _picks(advice), _BEST_NOTE)}",
            f"<h2>Kinds of answer</h2>\n{table(_HEAD, rows, _NOTE)}",
            f"<h2>Where the numbers come from</h2>\n{_list((*advice.assumed, *advice.sources))}",
            f"<h2>As text</h2>\n<pre>{escape(text(advice))}</pre>",
        ]
    )
    return document(f"Advice: {headline(advice)}", body)


def _picks(advice: Advice) -> list[list[str]]:
    rows = [[str(place), *_pick(pick)] for place, pick in enumerate(advice.best, 1)]
    return rows + ([["where somebody waits", *_pick(advice.otherwise)]] if advice.otherwise is not None else [])


def _pick(pick: RoutePick) -> list[str]:
    offer = pick.offer
    return [
        offer.endpoint, pick.title, PLACES[offer.place], price(offer),
        monthly(offer.per_month) if offer.per_month.known else "volume unknown", numbers.seconds(offer.seconds),
        offer.strength, ", ".join(offer.loses) or "nothing", "; ".join((offer.terms, *offer.contested)),
    ]  # fmt: skip


def _list(sentences: tuple[str, ...]) -> str:
    return f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in sentences)}</ul>"


def _row(kind: UseOffers, offer: RouteOffer) -> list[str]:
    lost = kind.lost or "it is the decision"
    if not offer.there:
        return [kind.title, PLACES[offer.place], "no route", offer.refused[0], *[""] * 7, lost]
    return [
        kind.title, PLACES[offer.place], offer.endpoint, steps(offer), price(offer),
        monthly(offer.per_month) if offer.per_month.known else "volume unknown",
        numbers.seconds(offer.seconds), offer.strength, ", ".join(offer.loses) or "nothing",
        numbers.memory(offer.memory) if offer.memory.high else "none",
        floor(offer.floor), lost,
    ]  # fmt: skip
