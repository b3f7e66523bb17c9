"""What a client knows of those it calls, over all its runs: who failed again and again, how often was sent again, and
what they turned out not to take.

A breaker per endpoint: after ``FAILURES_TO_OPEN`` failures in a row it is left alone for ``PROBE_INTERVAL`` seconds,
then one call at a time finds out whether it is back. It steers, it does not refuse: where nobody else can do it, it is
asked all the same. A budget of resends per host (a token bucket): a host that is down gets little more than the calls
that are made. A resend is paid for when it is decided on, not when it is sent, so that those who wait side by side
cannot spend the same token. Times are handed in; nothing here waits.

``TrackedCall`` is the life of one call as the breaker counts it. The executor and the lane both go through it, so a
host stands with a client as it does whichever way its calls take.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from intermodal import errors
from intermodal.bounded_cache import BoundedCache
from intermodal.catalog.types import Catalog, EndpointShortcoming
from intermodal.plans.facts import Facts
from intermodal.plans.plan import EXPLORED_EVERY, EXPLORED_MOST

FAILURES_TO_OPEN = 5  # failures in a row
SUSPICION_SECONDS = (
    600.0  # seconds for which something that follows from an estimate of ours is held against an endpoint
)
PROBE_INTERVAL = 5.0  # seconds between two probes of an endpoint that is down
RESENDS_PER_CALL = 0.1  # resends that each call allows its host
RESENDS_PER_SECOND = 2.0  # resends a second that are always allowed
MOST_SAVED_PER_SECOND = 10.0  # how many of these may be saved up: what a handful of calls side by side needs
TOOL_LISTS = 256  # of tools, of which it is known who had no room for them
MOST_SAVED_PER_CALL = 100.0  # how many of the share may be saved up


@dataclass(eq=False)
class _Breaker:
    failures: int = 0
    until: float = 0.0  # left alone until then
    probe: TrackedCall | None = None  # the call that is finding out

    @property
    def probing(self) -> bool:
        return self.probe is not None


@dataclass
class _Exploration:
    passed: int = 0  # requests that might have asked it, since the last that did
    asked: int = 0


@dataclass
class _RetryBudget:
    saved: float = 0.0  # of the share
    floor: float = MOST_SAVED_PER_SECOND
    at: float = 0.0


class EndpointHealth:
    """One per client. Endpoints and hosts by their ids. ``keep``: what is learned is handed to it, to be kept.

    ``processes``: how many share the resends that a host gets every second; each has its part.
    ``refusals`` counts how often it was learned that an endpoint has no room for a list of tools.
    """

    def __init__(
        self, keep: Callable[[EndpointShortcoming], None] = lambda shortcoming: None, processes: int = 1
    ) -> None:
        self._keep = keep
        self._breakers: dict[str, _Breaker] = {}
        self._answering: dict[str, _Breaker] = {}  # was closed by a first word, of an answer that may yet break off
        self.share(processes)
        self._explorations: dict[str, _Exploration] = {}
        self._budgets: dict[str, _RetryBudget] = {}
        self._paused: dict[str, float] = {}
        self.learned: tuple[EndpointShortcoming, ...] = ()
        self._suspected: dict[str, float] = {}  # endpoints of which something is suspected, and until when
        self.refusals = 0
        self._overfull: BoundedCache[str, frozenset[str]] = BoundedCache(
            "lists of tools that were too long", TOOL_LISTS
        )

    # ---- what they turned out not to take ------------------------------------------------------

    def learn(self, shortcoming: EndpointShortcoming, now: float) -> None:
        """Note what an endpoint turned out not to take. A suspicion is not kept, and forgotten after
        ``SUSPICION_SECONDS``."""
        if shortcoming in self.learned:
            return
        if not shortcoming.suspected:
            self.learned = (*self.learned, shortcoming)
            self._keep(shortcoming)
            return
        self._clear(shortcoming.endpoint)
        self.learned = (*self.learned, shortcoming)
        self._suspected[shortcoming.endpoint] = now + SUSPICION_SECONDS

    def _clear(self, endpoint: str) -> None:
        """Forget what this endpoint is suspected of."""
        self._suspected.pop(endpoint, None)
        self.learned = tuple(each for each in self.learned if not (each.suspected and each.endpoint == endpoint))

    def forget(self, now: float) -> None:
        """Forget suspicions that are old: the server may have been started anew, with more room."""
        for endpoint in [name for name, until in self._suspected.items() if until <= now]:
            self._clear(endpoint)

    def record_tools_refused(self, endpoint: str, tools: str) -> None:
        """It refused a request for its length that had these tools, by their digest."""
        before = self._overfull.get(tools, frozenset())
        self.refusals += endpoint not in before
        self._overfull[tools] = before | {endpoint}

    def with_refusals(self, facts: Facts) -> Facts:
        """Facts with who refused these tools before, for their length."""
        if facts.tools is None or facts.tools.digest not in self._overfull:
            return facts
        refused = tuple(sorted(self._overfull[facts.tools.digest]))
        return replace(facts, tools=replace(facts.tools, refused=refused))

    def corrected(self, catalog: Catalog) -> Catalog:
        """The catalog with endpoints as they turned out to be."""
        return catalog.corrected(self.learned) if self.learned else catalog

    # ---- the breaker ---------------------------------------------------------------------------

    def seconds_open(self, endpoint: str, now: float) -> float:
        """Seconds the endpoint is to be left alone; 0 when it may be called."""
        breaker = self._breakers.get(endpoint)
        if breaker is None or breaker.failures < FAILURES_TO_OPEN:
            return 0.0
        if breaker.probing:
            return max(breaker.until - now, 0.001)
        return max(breaker.until - now, 0.0)

    def is_open(self, endpoint: str) -> bool:
        """The breaker is open, or half open: a probe may be due."""
        breaker = self._breakers.get(endpoint)
        return breaker is not None and breaker.failures >= FAILURES_TO_OPEN

    def free(self, endpoint: str, now: float) -> bool:
        """Nothing speaks against calling it right now, and a call of it is no probe."""
        if not self._breakers and not self._paused:
            return True
        return not (self.is_open(endpoint) or self.paused_for(endpoint, now))

    def begin(self, endpoint: str, host: str, now: float, *, again: bool) -> TrackedCall:
        """A call begins. ``again``: it is a resend, which ``acquire`` has paid for, or which its host asked for."""
        call = TrackedCall(self, endpoint)
        if self._breakers:
            breaker = self._breakers.get(endpoint)
            if breaker is not None and breaker.failures >= FAILURES_TO_OPEN:
                breaker.probe = call
                breaker.until = now + PROBE_INTERVAL
        budget = self._budget(host, now)
        if not again:
            budget.saved = min(MOST_SAVED_PER_CALL, budget.saved + RESENDS_PER_CALL)
        return call

    def _works(self, endpoint: str) -> None:
        if self._breakers or self._answering:
            self._closed(endpoint)
            self._answering.pop(endpoint, None)

    def _speaks(self, endpoint: str) -> None:
        breaker = self._closed(endpoint)
        if breaker is not None:
            self._answering[endpoint] = breaker

    def _closed(self, endpoint: str) -> _Breaker | None:
        breaker = self._breakers.pop(endpoint, None)
        if breaker is not None and breaker.failures >= FAILURES_TO_OPEN:
            self._explorations.pop(endpoint, None)  # what it was asked while it was down taught nothing
        return breaker

    def _fails(self, call: TrackedCall, now: float, *, spoke: bool) -> None:
        breaker = self._breakers.setdefault(call.endpoint, _Breaker())
        before = self._answering.pop(call.endpoint, None) if spoke else None
        breaker.failures += 1 + (before.failures if before is not None else 0)
        if breaker.failures >= FAILURES_TO_OPEN:
            breaker.until = now + PROBE_INTERVAL

    def _gives_up_probe(self, call: TrackedCall) -> None:
        breaker = self._breakers.get(call.endpoint) if self._breakers else None
        if breaker is not None and breaker.probe is call:
            breaker.probe = None

    # ---- endpoints that are tried out -----------------------------------------------------------

    def should_explore(self, endpoint: str, now: float) -> bool:
        """Whether the next request whose plan wants to know more of this endpoint is to ask it first.

        That is one of ``EXPLORED_EVERY``, and ``EXPLORED_MOST`` in all. One that is down is asked as the breaker has
        it: a call every ``PROBE_INTERVAL`` seconds, until it is back. Whoever is told no counts as one that did not
        ask.
        """
        if self.paused_for(endpoint, now):
            return False
        if self.is_open(endpoint):
            return not self.seconds_open(endpoint, now)
        found = self._explorations.setdefault(endpoint, _Exploration())
        if found.asked >= EXPLORED_MOST:
            return False
        if found.passed < EXPLORED_EVERY - 1:
            found.passed += 1
            return False
        return True

    def explore(self, endpoint: str, now: float) -> int | None:
        """Take that turn: which of the requests this is that try it out, 0 for one that finds out whether it is back;
        None where it is nobody's turn."""
        if not self.should_explore(endpoint, now):
            return None
        found = self._explorations.get(endpoint)
        if found is None or self.is_open(endpoint):
            return 0
        found.passed, found.asked = 0, found.asked + 1
        return found.asked

    # ---- how long an endpoint asked us to wait ---------------------------------------------------

    def pause(self, endpoint: str, until: float) -> None:
        self._paused[endpoint] = until

    def paused_for(self, endpoint: str, now: float) -> float:
        """Seconds until it wants to be asked again; 0 when it may be."""
        return max(0.0, self._paused.get(endpoint, now) - now)

    # ---- the budget of resends ------------------------------------------------------------------

    def share(self, processes: int) -> None:
        """Take a part of the resends a second, as one of so many processes that ask the same hosts."""
        self._floor, self._burst = RESENDS_PER_SECOND / processes, max(1.0, MOST_SAVED_PER_SECOND / processes)

    def acquire(self, host: str, now: float) -> bool:
        """Take leave to send something to this host again; False where its budget is spent."""
        budget = self._budget(host, now)
        if budget.floor >= 1:
            budget.floor -= 1
        elif budget.saved >= 1:
            budget.saved -= 1
        else:
            return False
        return True

    def give_back(self, host: str, now: float) -> None:
        """Return what ``acquire`` took, where nothing was sent after all."""
        budget = self._budget(host, now)
        budget.floor = min(self._burst, budget.floor + 1)

    def _budget(self, host: str, now: float) -> _RetryBudget:
        budget = self._budgets.get(host)
        if budget is None:
            budget = self._budgets[host] = _RetryBudget(floor=self._burst, at=now)
        budget.floor = min(self._burst, budget.floor + max(0.0, now - budget.at) * self._floor)
        budget.at = now
        return budget


class TrackedCall:
    """One call, from ``EndpointHealth.begin`` until it ended or was left. Only the first of several ends counts.

    A first word shows that the endpoint is at work: a probe has found out, and nobody waits for the rest of a long
    answer. Only an answer that then breaks off counts as a failure after all, in a row with those before it; who stops
    reading has nothing to say about the endpoint.
    """

    __slots__ = ("_over", "_spoke", "_upstreams", "endpoint")

    def __init__(self, upstreams: EndpointHealth, endpoint: str) -> None:
        self.endpoint = endpoint
        self._upstreams = upstreams
        self._spoke = self._over = False

    def first_word(self) -> None:
        """The endpoint has begun to answer."""
        if not self._spoke and not self._over:
            self._spoke = True
            if self._upstreams._breakers:
                self._upstreams._speaks(self.endpoint)

    def end(self, error: errors.IntermodalError | None, now: float) -> None:
        """It ended: well, or with ``error``. An error that says that somebody is at work there is a good end."""
        if error is not None and not concerns_endpoint(error):
            self.leave()
        elif not self._over:
            self._over = True
            self._upstreams._gives_up_probe(self)
            if error is None or not counts_as_failure(error):
                self._upstreams._works(self.endpoint)
            else:
                self._upstreams._fails(self, now, spoke=self._spoke)

    def leave(self) -> None:
        """It was given up. That it had begun to answer still counts."""
        if not self._over:
            self._over = True
            self._upstreams._gives_up_probe(self)
            if self._spoke:
                self._upstreams._works(self.endpoint)


def concerns_endpoint(error: errors.IntermodalError) -> bool:
    """Whether an error says anything about the endpoint: it was asked, or could not be."""
    if error.stale or not isinstance(error, errors.CallError):
        return False
    return error.sent or isinstance(error, errors.Unreachable)


def counts_as_failure(error: errors.IntermodalError) -> bool:
    """Whether a failure speaks against the endpoint itself: nobody answers, it fails inside, or what it sends is no
    answer. No 4xx does."""
    if not isinstance(error, errors.CallError) or 400 <= error.status < 500:
        return False
    if isinstance(error, (errors.Unreachable, errors.Overloaded, errors.StreamCut, errors.RuntimeCrashed)):
        return True
    return type(error) is errors.CallError and (error.status >= 500 or 200 <= error.status < 300)
