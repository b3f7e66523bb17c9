"""Advice as values, as stable text and as a JSON document. ``charts/advice.py`` draws the chart and the HTML page."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from intermodal.advisor.model_uses import TITLES, UseName
from intermodal.advisor.question import OwnedHardware, RequestVolume
from intermodal.core.content import Value, renamed_field
from intermodal.core.quantity import Quantity
from intermodal.core.request import Aspect, Tier
from intermodal.plans import numbers
from intermodal.plans.explain import wrap_text
from intermodal.plans.verdict import Verdict

ADVICE_VERSION = 1
OfferPlace = Literal["hosted", "here"]


class AdviceStep(Value):
    """A step of a route: the operation, and the model that does it; "" for a conversion without a model."""

    op: str
    endpoint: str = ""


class RouteOffer(Value):
    """The best route of one use at one place, as the planner found it, or why there is none.

    Attributes:
        usd: per request. per_month: for the stated volume, unknown without one. seconds: per request, model loading
            included; load: of that, the loading. slots: how many requests it answers at once.
        memory: bytes that a local route keeps resident. floor: bytes that the answering model needs at least wherever
            it runs, from 4-bit to 16-bit weights; unknown if its size is.
        tier: strength of the weakest model. weak: whether the default strength floor was lowered, because nothing
            stronger is available at that place.
        strength: of the answering model, with its evidence, in words.
        loses: aspects. misses: sentences about lost needs. lost: number of needs that the answer depends on and the
            route loses.
        score: the number that the objective minimises. sends: whether data go to a host.
        terms: of use of the answering model: its licence, or those of the host's service.
        contested: facts about the answering model's inputs on which sources disagree.
        counted: whether its bill can be ranked. If money alone ranks, a server that would have to be bought first is
            not free just because it has no price; it then ranks only ahead of routes that are weaker or lose more.
        refused: why there is no route, nearest miss first; () if there is one.
        others: the next best routes of the same use and place, with the reason.
    """

    place: OfferPlace
    endpoint: str = ""
    model: str = ""
    summary: str = ""
    steps: tuple[AdviceStep, ...] = ()
    usd: Quantity = Quantity()
    per_month: Quantity = Quantity()
    seconds: Quantity = Quantity()
    load: Quantity = Quantity()
    slots: int = 1
    memory: Quantity = Quantity()
    floor: Quantity = Quantity()
    tokens_in: Quantity = Quantity()
    tokens_out: Quantity = Quantity()
    tier: Tier | None = None
    weak: bool = False
    strength: str = ""
    loses: tuple[Aspect, ...] = ()
    misses: tuple[str, ...] = ()
    lost: int = 0
    score: float = 0.0
    sends: bool = False
    terms: str = ""
    contested: tuple[str, ...] = ()
    counted: bool = True
    refused: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def there(self) -> bool:
        return not self.refused


class UseOffers(Value):
    """One use with its offers. ``lost``: why another use was chosen, "" for the chosen one."""

    use: UseName
    title: str
    offers: tuple[RouteOffer, ...]
    lost: str = ""

    @property
    def best(self) -> RouteOffer | None:
        some = [offer for offer in self.offers if offer.there]
        return min(
            some,
            key=lambda offer: (offer.weak, offer.lost, not offer.counted, not offer.usd.known, offer.score),
            default=None,
        )


class RoutePick(Value):
    """One of the best routes, each with a different answering model.

    ``why``: compared with the first route, "" for the first.
    """

    use: UseName
    title: str
    offer: RouteOffer
    why: str = ""


class DecisionFork(Value):
    """A question on the path to the decision, with its answer and the reason.

    ``otherwise``: where the other answer leads, in words. ``leads``: the use that the path ends in, "" if it continues.
    """

    question: str
    answer: Literal["yes", "no"]
    why: str
    otherwise: str = ""
    leads: UseName | Literal[""] = ""


class BillMilestone(Value):
    """The number of requests per month above which a host's bill exceeds ``usd``."""

    usd: float
    requests: float


_NOBODY = Quantity(certainty="unknown", basis="there is nothing to compare")


class BreakEven(Value):
    """A host's bill compared with the cost of owned hardware.

    Attributes:
        hosted, here: endpoints compared. hosted_as, here_as: their use, if it is not that of the decision.
        usd: the host's price per request.
        capacity: requests per month that one machine answers.
        machine: USD per machine and month, unknown without a price.
        machines: how many machines the stated volume needs; 0 without one.
        requests: per month, above which the machine is cheaper; unknown if there is no such number.
        worth: USD per machine and month below which the hardware is cheaper at the stated volume.
        words: the conclusion. milestones: of the hosted bill. queue: utilization of the machines at that volume, in
            words.
    """

    hosted: str = ""
    here: str = ""
    hosted_as: str = ""
    here_as: str = ""
    usd: Quantity = _NOBODY
    capacity: Quantity = _NOBODY
    machine: Quantity = _NOBODY
    machines: int = 0
    requests: Quantity = _NOBODY
    worth: Quantity = _NOBODY
    words: str = ""
    queue: str = ""
    milestones: tuple[BillMilestone, ...] = ()


class Advice(Value):
    """The recommended kind of model and route, with everything it was compared with.

    Attributes:
        headline: the kind of call and the verdict in words. verdict: whether a language model is enough.
        use, place, endpoint: of the chosen route.
        reason: why it was chosen. matters: why the label does not matter, "" if it does.
        by: what routes are ranked by, in words. best: at most three; the first is the decision, each other is the
            choice without the models before it.
        otherwise: the pick if a person waits for each answer; None if that is the same, or seconds count already.
        kinds: every use that was considered. path: the questions that led to the decision.
        stated, assumed: what was stated, and what was assumed. sources: where the numbers come from.
        rejected: why endpoints of the decision's catalog were rejected, in the planner's words.
        beside: the advice for each further output.
    """

    headline: str
    use: UseName
    place: OfferPlace
    endpoint: str
    reason: str
    kinds: tuple[UseOffers, ...]
    path: tuple[DecisionFork, ...]
    break_even: BreakEven
    stated: str = msgspec.field(name="asked")
    assumed: tuple[str, ...]
    sources: tuple[str, ...]
    by: str = ""
    best: tuple[RoutePick, ...] = ()
    otherwise: RoutePick | None = None
    matters: str = ""
    notes: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    volume: RequestVolume | None = None
    owned: OwnedHardware | None = None
    as_of: str = ""
    catalog: str = ""
    beside: tuple[Advice, ...] = ()
    verdict: Verdict = Verdict()
    version: int = ADVICE_VERSION

    asked = renamed_field("asked", "stated")

    @property
    def decided_use(self) -> UseOffers:
        return next(kind for kind in self.kinds if kind.use == self.use)

    @property
    def offer(self) -> RouteOffer:
        """Return the chosen offer."""
        return next(offer for offer in self.decided_use.offers if offer.place == self.place)

    def __str__(self) -> str:
        return text(self)


# ---- text -------------------------------------------------------------------------------------------


LABEL = 12  # columns of "break-even"
PLACE = 9  # of "  hosted "
_DONE = {
    "extract": "text of its pages", "render": "pages as images", "frames": "frames", "demux": "its sound",
    "subtitles": "its subtitles", "properties": "its properties",
}  # fmt: skip
LOCAL = "local"
UNPAID = "no host fee"
PLACES = {"here": LOCAL, "hosted": "hosted"}


def text(advice: Advice) -> str:
    """Return the advice as text."""
    lines = wrap_text(f"decision: {headline(advice)}", " " * 10)
    lines += _labelled_lines("because", advice.reason)
    lines += _labelled_lines("call", advice.headline)
    lines += _body(advice)
    for other in advice.beside:
        lines += [
            "",
            *wrap_text(f"beside: {headline(other)}", " " * 10),
            *_labelled_lines("because", other.reason),
            *_body(other),
        ]
    if advice.assumed:
        lines += _labelled_lines("assumed", "; ".join(advice.assumed))
    for sentence in advice.sources:
        lines += _labelled_lines("source", sentence)
    return "\n".join(line.rstrip() for line in lines)


def _body(advice: Advice) -> list[str]:
    """Return the lines about one output."""
    lines = _labelled_lines("label", advice.matters) if advice.matters else []
    lines += _labelled_lines("asked", advice.stated)
    lines += ["", *_best_pick_lines(advice)]
    for kind in advice.kinds:
        lines += ["", *_kind(advice, kind)]
    lines += ["", *_break_even_lines(advice.break_even)]
    for note in advice.notes:
        lines += _labelled_lines("note", note)
    for row in advice.rejected:
        lines += _labelled_lines("rejected", row)
    return lines


def _best_pick_lines(advice: Advice) -> list[str]:
    """Return the lines about the best picks, and the pick if a person waits."""
    lines = [f"the best {_COUNTED[len(advice.best)]}by {advice.by}"]
    for place, pick in enumerate(advice.best, 1):
        lines += _pick_lines(str(place), pick)
    if advice.otherwise is not None:
        lines += ["if a person waits for each answer", *_pick_lines("-", advice.otherwise)]
    return lines


_COUNTED = {1: "", 2: "two, ", 3: "three, "}


def _pick_lines(mark: str, pick: RoutePick) -> list[str]:
    offer = pick.offer
    route_text = (
        f"{offer.endpoint}   as {pick.title}, {PLACES[offer.place]}   {offer.tier}" if offer.endpoint else pick.title
    )
    lines = _indented_sentence(mark, route_text)
    memory = 1 if offer.memory.high else 0  # shown below, with the use
    lines += _indented_sentence("", "   ".join(figures(offer)[: -memory or None]))
    about = [f"loses {', '.join(offer.loses)}"] if offer.loses else []
    lines += _indented_sentence("", "; ".join([*about, offer.terms]))
    for sentence in offer.contested:
        lines += _indented_sentence("", f"contested: {sentence}")
    return lines


def headline(advice: Advice) -> str:
    """Return the kinds of model needed, and the answering endpoint."""
    has_speech = advice.use != "synthesis" and any(step.op == "speak" for step in advice.offer.steps)
    titles = [advice.decided_use.title, *[TITLES["synthesis"]] * has_speech]
    titles += [other.decided_use.title for other in advice.beside]
    kinds = " and ".join(dict.fromkeys(titles))
    return f"{kinds}, {PLACES[advice.place]}: {advice.endpoint}" if advice.endpoint else kinds


def _labelled_lines(label: str, sentence: str) -> list[str]:
    return wrap_text(f"{label:<{LABEL}}{sentence}", " " * LABEL)


def _kind(advice: Advice, kind: UseOffers) -> list[str]:
    mark = "  <- decision" if kind.use == advice.use else ""
    lines = [f"{kind.title}{mark}"]
    for offer in kind.offers:
        lines += _offer_lines(offer)
    if kind.lost and kind.best is not None:
        lines += _indented_sentence("lost", kind.lost)
    return lines


def _indented_sentence(label: str, sentence: str) -> list[str]:
    return wrap_text(f"  {label:<{PLACE}}{sentence}", " " * (PLACE + 2))


def _offer_lines(offer: RouteOffer) -> list[str]:
    if not offer.there:
        return _indented_sentence(PLACES[offer.place], f"no route: {offer.refused[0]}")
    lines = _indented_sentence(
        PLACES[offer.place], f"{offer.endpoint}   {offer.strength}" if offer.endpoint else "no model"
    )
    lines += _indented_sentence("", steps(offer))
    lines += _indented_sentence("", "   ".join(figures(offer)))
    about = [f"weakest link {offer.tier}"] if offer.weak else []
    about += [f"loses {', '.join(offer.loses)}"] if offer.loses else []
    if offer.place == "hosted":
        about.append(f"compute floor {format_memory_range(offer.floor)}")
    if about:
        lines += _indented_sentence("", "; ".join(about))
    return lines


def steps(offer: RouteOffer) -> str:
    """Return the summary of a route, with its conversions and the models that do them."""
    last = offer.steps[-1:] if offer.steps and offer.steps[-1].endpoint == offer.endpoint else ()
    before = [_step(step) for step in offer.steps if step not in last and step.op not in ("generate", "speak")]
    return f"{offer.summary}{': ' if before else ''}{', '.join(before)}"


def _step(step: AdviceStep) -> str:
    return f"{step.op} by {step.endpoint}" if step.endpoint else step.op


def figures(offer: RouteOffer) -> list[str]:
    """Return cost, time and memory of an offer, each in words."""
    money = price(offer)
    found = [money if money == UNPAID else f"{money} a request"]
    if offer.per_month.high:
        found.append(f"{monthly(offer.per_month)} a month{' of hardware' if offer.place == 'here' else ''}")
    found.append(numbers.seconds(offer.seconds) if offer.seconds.known else "time unknown")
    if offer.memory.high:
        found.append(f"{numbers.memory(offer.memory)} of memory here")
    return found


def price(offer: RouteOffer) -> str:
    """Return the cost per request in words. Local routes pay no host; their hardware is counted separately."""
    is_unpaid = offer.place == "here" and offer.usd.known and not offer.usd.high
    return UNPAID if is_unpaid else numbers.money(offer.usd)


def monthly(amount: Quantity) -> str:
    """Format an amount per month, without cents from ten dollars on."""
    if not amount.known:
        return "price unknown"
    low, mid, high = (_dollars(value) for value in (amount.low, amount.mid, amount.high))
    return f"${mid}" if low == mid == high else f"${mid} ({low}..{high})"


def _dollars(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else numbers.plain_money(value)


def format_memory_range(memory: Quantity) -> str:
    """Format the memory that running the model needs, from 4-bit to 16-bit weights."""
    if not memory.known:
        return "unknown, its size is not published"
    low, high = memory.low / 2**30, memory.high / 2**30
    return f"{low:.2g}..{high:.3g} GiB"


def _break_even_lines(even: BreakEven) -> list[str]:
    lines = _labelled_lines("break-even", even.words)
    if even.machine.known:
        lines += _labelled_lines("", f"hardware: {even.machine.basis}; ${even.machine.mid:,.2f} per machine per month")
    if even.capacity.known:
        lines += _labelled_lines(
            "",
            f"{_with_use(even.here, even.here_as)}: {numbers.count(even.capacity)} requests a month, "
            f"{even.capacity.basis}",
        )
    if even.queue:
        lines += _labelled_lines("", f"at your volume {even.queue}")
    if even.milestones:
        steps = ", ".join(f"${step.usd:,.0f} at {step.requests:,.0f}" for step in even.milestones)
        lines += _labelled_lines("", f"{_with_use(even.hosted, even.hosted_as)}, its bill a month by requests: {steps}")
    return lines


def _with_use(endpoint: str, use: str) -> str:
    """Return an endpoint, with its use if it is not that of the decision."""
    return f"{endpoint} as {use}" if use else endpoint


# ---- JSON -------------------------------------------------------------------------------------------


def document(advice: Advice) -> dict[str, Any]:
    """Return the advice as JSON data; amounts have low, mid and high, null if unknown."""
    plain = _to_json_value(advice)
    assert isinstance(plain, dict)
    plain["advice_version"] = plain.pop("version")
    plain["text"] = str(advice)
    return plain


def _to_json_value(value: Any) -> Any:
    if isinstance(value, Quantity):
        is_known = value.known
        return {
            "low": value.low if is_known else None, "mid": value.mid if is_known else None,
            "high": value.high if is_known else None, "exactness": value.certainty, "basis": value.basis,
        }  # fmt: skip
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {stored: _to_json_value(getattr(value, name)) for stored, name in names}
    return [_to_json_value(each) for each in value] if isinstance(value, tuple | list) else value
