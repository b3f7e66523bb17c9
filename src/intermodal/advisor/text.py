"""Advice as stable text: the decision, each use with its best routes, the break-even, the assumptions."""

from __future__ import annotations

from intermodal.advisor.advice import Advice, AdviceStep, BreakEven, RouteOffer, RoutePick, UseOffers
from intermodal.advisor.model_uses import TITLES
from intermodal.plans import numbers
from intermodal.plans.explain import wrapped
from intermodal.quantity import Quantity

LABEL = 12  # columns of "break-even"
PLACE = 9  # of "  hosted "
_DONE = {
    "extract": "text of its pages", "render": "pages as pictures", "frames": "frames", "demux": "its sound",
    "subtitles": "its subtitles",
}  # fmt: skip
LOCAL = "local"
UNPAID = "no host to pay"
PLACES = {"here": LOCAL, "hosted": "hosted"}


def text(advice: Advice) -> str:
    """All of it, short enough to be read."""
    lines = wrapped(f"decision: {headline(advice)}", " " * 10)
    lines += _said("because", advice.reason)
    lines += _said("call", advice.headline)
    lines += _body(advice)
    for other in advice.beside:
        lines += ["", *wrapped(f"beside: {headline(other)}", " " * 10), *_said("because", other.reason), *_body(other)]
    if advice.assumed:
        lines += _said("assumed", "; ".join(advice.assumed))
    for sentence in advice.sources:
        lines += _said("source", sentence)
    return "\n".join(line.rstrip() for line in lines)


def _body(advice: Advice) -> list[str]:
    """What is said of each thing that comes out."""
    lines = _said("label", advice.matters) if advice.matters else []
    lines += _said("asked", advice.asked)
    lines += ["", *_best(advice)]
    for kind in advice.kinds:
        lines += ["", *_kind(advice, kind)]
    lines += ["", *_even(advice.break_even)]
    for note in advice.notes:
        lines += _said("note", note)
    for row in advice.rejected:
        lines += _said("rejected", row)
    return lines


def _best(advice: Advice) -> list[str]:
    """The best three, each of another model, and the pick where somebody waits."""
    lines = [f"the best {_COUNTED[len(advice.best)]}by {advice.by}"]
    for place, pick in enumerate(advice.best, 1):
        lines += _numbered(str(place), pick)
    if advice.otherwise is not None:
        lines += ["where somebody waits for each answer", *_numbered("-", advice.otherwise)]
    return lines


_COUNTED = {1: "", 2: "two, ", 3: "three, "}


def _numbered(mark: str, pick: RoutePick) -> list[str]:
    offer = pick.offer
    lines = _under(mark, f"{offer.endpoint}   as {pick.title}, {PLACES[offer.place]}   {offer.tier}")
    memory = 1 if offer.memory.high else 0  # it stands below, at the kind
    lines += _under("", "   ".join(figures(offer)[: -memory or None]))
    about = [f"loses {', '.join(offer.loses)}"] if offer.loses else []
    lines += _under("", "; ".join([*about, offer.terms]))
    for sentence in offer.contested:
        lines += _under("", f"contested: {sentence}")
    return lines


def headline(advice: Advice) -> str:
    """The kind of model, what is needed beside it, and who answers."""
    spoken = advice.use != "synthesis" and any(step.op == "speak" for step in advice.offer.steps)
    titles = [advice.decided.title, *[TITLES["synthesis"]] * spoken]
    titles += [other.decided.title for other in advice.beside]
    return f"{' and '.join(dict.fromkeys(titles))}, {PLACES[advice.place]}: {advice.endpoint}"


def _said(label: str, sentence: str) -> list[str]:
    return wrapped(f"{label:<{LABEL}}{sentence}", " " * LABEL)


def _kind(advice: Advice, kind: UseOffers) -> list[str]:
    mark = "  <- decision" if kind.use == advice.use else ""
    lines = [f"{kind.title}{mark}"]
    for offer in kind.offers:
        lines += _offer(offer)
    if kind.lost and kind.best is not None:
        lines += _under("lost", kind.lost)
    return lines


def _under(label: str, sentence: str) -> list[str]:
    return wrapped(f"  {label:<{PLACE}}{sentence}", " " * (PLACE + 2))


def _offer(offer: RouteOffer) -> list[str]:
    if not offer.there:
        return _under(PLACES[offer.place], f"no route: {offer.refused[0]}")
    lines = _under(PLACES[offer.place], f"{offer.endpoint}   {offer.strength}")
    lines += _under("", steps(offer))
    lines += _under("", "   ".join(figures(offer)))
    about = [f"weakest link {offer.tier}"] if offer.weak else []
    about += [f"loses {', '.join(offer.loses)}"] if offer.loses else []
    if offer.place == "hosted":
        about.append(f"compute floor {floor(offer.floor)}")
    if about:
        lines += _under("", "; ".join(about))
    return lines


def steps(offer: RouteOffer) -> str:
    """What happens, conversions with who makes them."""
    last = offer.steps[-1:] if offer.steps and offer.steps[-1].endpoint == offer.endpoint else ()
    before = [_step(step) for step in offer.steps if step not in last and step.op not in ("generate", "speak")]
    return f"{offer.summary}{': ' if before else ''}{', '.join(before)}"


def _step(step: AdviceStep) -> str:
    return f"{step.op} by {step.endpoint}" if step.endpoint else step.op


def figures(offer: RouteOffer) -> list[str]:
    """Money, time, memory of an offer, each in words."""
    money = price(offer)
    found = [money if money == UNPAID else f"{money} a request"]
    if offer.per_month.high:
        found.append(f"{monthly(offer.per_month)} a month{' of hardware' if offer.place == 'here' else ''}")
    found.append(numbers.seconds(offer.seconds) if offer.seconds.known else "time unknown")
    if offer.memory.high:
        found.append(f"{numbers.memory(offer.memory)} of memory here")
    return found


def price(offer: RouteOffer) -> str:
    """Money of one request. What runs here is not free: its hardware is counted apart."""
    here = offer.place == "here" and offer.usd.known and not offer.usd.high
    return UNPAID if here else numbers.money(offer.usd)


def monthly(amount: Quantity) -> str:
    """Money of a month, without cents from ten dollars on."""
    if not amount.known:
        return "price unknown"
    low, mid, high = (_dollars(value) for value in (amount.low, amount.mid, amount.high))
    return f"${mid}" if low == mid == high else f"${mid} ({low}..{high})"


def _dollars(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else numbers.plain_money(value)


def floor(memory: Quantity) -> str:
    """Bytes that running it takes wherever it is, 4-bit to 16-bit."""
    if not memory.known:
        return "unknown, its size is not published"
    low, high = memory.low / 2**30, memory.high / 2**30
    return f"{low:.2g}..{high:.3g} GiB"


def _even(even: BreakEven) -> list[str]:
    lines = _said("break-even", even.words)
    if even.machine.known:
        lines += _said("", f"hardware: {even.machine.basis}; ${even.machine.mid:,.2f} per machine per month")
    if even.capacity.known:
        lines += _said(
            "",
            f"{_used(even.here, even.here_as)}: {numbers.count(even.capacity)} requests a month, {even.capacity.basis}",
        )
    if even.queue:
        lines += _said("", f"at your volume {even.queue}")
    if even.milestones:
        steps = ", ".join(f"${step.usd:,.0f} at {step.requests:,.0f}" for step in even.milestones)
        lines += _said("", f"{_used(even.hosted, even.hosted_as)}, its bill a month by requests: {steps}")
    return lines


def _used(endpoint: str, use: str) -> str:
    """An endpoint, and what it is used as where that is not the decision."""
    return f"{endpoint} as {use}" if use else endpoint
