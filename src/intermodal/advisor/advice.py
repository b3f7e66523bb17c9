"""Values that advice consists of; text, JSON, charts and pages are rendered from them."""

from __future__ import annotations

from typing import Literal

from intermodal.advisor.model_uses import UseName
from intermodal.advisor.question import OwnedHardware, RequestVolume
from intermodal.content import Value
from intermodal.plans.verdict import Verdict
from intermodal.quantity import Quantity
from intermodal.request import Aspect, Tier

ADVICE_VERSION = 1
OfferPlace = Literal["hosted", "here"]


class AdviceStep(Value):
    """What happens on the way: the operation, and who does it, "" for a conversion without weights."""

    op: str
    endpoint: str = ""


class RouteOffer(Value):
    """The best route of one use at one place, as the planner found it; or why there is none.

    Attributes:
        usd: of one request. per_month: of as many as are expected, unknown where nobody says how many. seconds: of one
            request, loading included; load of that. slots: how many it answers at once.
        memory: bytes that a route here keeps resident. floor: bytes that the answering model needs at least wherever it
            runs, from 4-bit to 16-bit weights; unknown where its size is.
        tier: the weakest link. weak: the default floor had to come down for it, as nothing stronger is at that place.
        strength: the answering model's, with its evidence, in words.
        loses: aspects. misses: sentences about what is lost though it seems to be needed. lost: how many needs that
            the question cannot be answered without.
        score: what the objective minimises. sends: it goes to some host.
        terms: under which terms the answering model is used: its licence, or those of the host's service.
        contested: what sources contradict each other about, of what the answering model is given.
        counted: its bill is ranked. That of a server that would have to be bought first is not, where money alone
            ranks: it is not free for having no price. It comes before what is weaker or loses more.
        refused: why there is no route, nearest miss first; () where there is one.
        others: routes of the same use and place that come next, with the reason.
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
    """One use with its offers. ``lost``: why it is not the decision, "" where it is."""

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
    """A route among the best, each of another answering model. ``why``: against the first, "" for that one itself."""

    use: UseName
    title: str
    offer: RouteOffer
    why: str = ""


class DecisionFork(Value):
    """One question on the way to the decision, its answer and the reason for it.

    ``otherwise``: where the other answer leads, in words. ``leads``: the use it ends in, "" where it goes on.
    """

    question: str
    answer: Literal["yes", "no"]
    why: str
    otherwise: str = ""
    leads: UseName | Literal[""] = ""


class BillMilestone(Value):
    """The number of requests a month from which on a host's bill is higher than ``usd``."""

    usd: float
    requests: float


_NOBODY = Quantity(certainty="unknown", basis="there is nothing to compare")


class BreakEven(Value):
    """A host's bill against hardware of one's own.

    Attributes:
        hosted, here: endpoints compared. hosted_as, here_as: what they are used as, where that is not the decision.
        usd: the host's price of a request.
        capacity: requests a month that one machine answers, one after the other.
        machine: USD of one machine a month, unknown where nobody said what it costs.
        machines: how many the expected volume takes; 0 where none is expected.
        requests: a month, from which on the machine is the cheaper one; unknown where there is no such number.
        worth: USD a month for a machine below which it is the cheaper one at the expected volume.
        words: what that means. milestones: of the hosted bill. queue: how busy they are at that volume, in words.
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
    """The answer.

    Attributes:
        headline: what kind of call it is, and the verdict in words. verdict: whether a language model is enough.
        use, place, endpoint: of the route that decides.
        reason: why it is that. matters: what is said about labels, "" where they matter.
        by: what ranks, in words. best: the first is the decision, the others what would be chosen without the models
            before them; three at most.
        otherwise: the pick where somebody waits and a second counts, if nobody is taken to wait; None where that is
            the same, or seconds count already.
        kinds: every use that came into question. path: how the decision was come to.
        asked, assumed: what was stated, and what was not. sources: where the numbers come from.
        rejected: of the decision's catalog, the reasons in the planner's words.
        beside: the same for what comes out besides the answer.
    """

    headline: str
    use: UseName
    place: OfferPlace
    endpoint: str
    reason: str
    kinds: tuple[UseOffers, ...]
    path: tuple[DecisionFork, ...]
    break_even: BreakEven
    asked: str
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

    @property
    def decided(self) -> UseOffers:
        return next(kind for kind in self.kinds if kind.use == self.use)

    @property
    def offer(self) -> RouteOffer:
        """The offer that decides."""
        return next(offer for offer in self.decided.offers if offer.place == self.place)

    def __str__(self) -> str:
        from intermodal.advisor.text import text

        return text(self)
