"""What a client knows of those it calls, over all its runs: who failed again and again, how often was sent again, and
what they turned out not to take.

A breaker per endpoint: after ``TRIPS`` failures in a row it is left alone for ``COOLDOWN`` seconds, then one call at a
time finds out whether it is back. It steers, it does not refuse: where nobody else can do it, it is asked all the same.
A budget of resends per host (a token bucket): a host that is down gets little more than the calls that are made. Times
are handed in; nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from intermodal import errors
from intermodal.catalog.nouns import Catalog, Shortcoming
from intermodal.plans.facts import Facts

TRIPS = 5  # failures in a row
COOLDOWN = 5.0  # seconds between two probes of an endpoint that is down
SHARE = 0.1  # resends that each call allows its host
FLOOR = 2.0  # resends a second that are always allowed
BURST = 10.0  # how many of these may be saved up: what a handful of calls side by side needs
_LISTS = 256  # of tools, of which it is known who had no room for them
MOST = 100.0  # how many of the share may be saved up


@dataclass
class _Breaker:
    failures: int = 0
    until: float = 0.0  # left alone until then
    probing: bool = False  # a call is finding out


@dataclass
class _Budget:
    saved: float = 0.0  # of the share
    floor: float = BURST
    at: float = 0.0


class Upstreams:
    """One per client. Endpoints and hosts by their ids. ``keep``: what is learned is handed to it, to be kept.

    ``refusals`` counts how often it was learned that an endpoint has no room for a list of tools.
    """

    def __init__(self, keep: Callable[[Shortcoming], None] = lambda shortcoming: None) -> None:
        self._keep = keep
        self._breakers: dict[str, _Breaker] = {}
        self._budgets: dict[str, _Budget] = {}
        self._paused: dict[str, float] = {}
        self.learned: tuple[Shortcoming, ...] = ()
        self.refusals = 0
        self._overfull: dict[str, set[str]] = {}

    # ---- what they turned out not to take ------------------------------------------------------

    def learn(self, shortcoming: Shortcoming) -> None:
        if shortcoming not in self.learned:
            self.learned = (*self.learned, shortcoming)
            self._keep(shortcoming)

    def overfull(self, endpoint: str, tools: str) -> None:
        """It refused a request for its length that had these tools, by their digest."""
        if len(self._overfull) >= _LISTS:
            self._overfull.clear()
        full = self._overfull.setdefault(tools, set())
        self.refusals += endpoint not in full
        full.add(endpoint)

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

    def shut_for(self, endpoint: str, now: float) -> float:
        """Seconds the endpoint is to be left alone; 0 when it may be called."""
        breaker = self._breakers.get(endpoint)
        if breaker is None or breaker.failures < TRIPS:
            return 0.0
        if breaker.probing:
            return max(breaker.until - now, 0.001)
        return max(breaker.until - now, 0.0)

    def free(self, endpoint: str, now: float) -> bool:
        """Nothing speaks against calling it right now."""
        if not self._breakers and not self._paused:
            return True
        return not (self.shut_for(endpoint, now) or self.paused_for(endpoint, now))

    def begin(self, endpoint: str, host: str, now: float, *, again: bool) -> None:
        """A call begins. ``again``: it is sent again at the host's expense, whose budget pays for it."""
        breaker = self._breakers.get(endpoint)
        if breaker is not None and breaker.failures >= TRIPS:
            breaker.probing = True
            breaker.until = now + COOLDOWN
        budget = self._budget(host, now)
        if not again:
            budget.saved = min(MOST, budget.saved + SHARE)
        elif budget.floor >= 1:
            budget.floor -= 1
        else:
            budget.saved -= 1

    def end(self, endpoint: str, error: errors.IntermodalError | None, now: float) -> None:
        """A call ended: well, or with ``error``. An error that says that somebody is at work there is a good end."""
        if error is not None and not reached(error):
            self.left(endpoint)
            return
        if error is None or not trips(error):
            self._breakers.pop(endpoint, None)
            return
        breaker = self._breakers.setdefault(endpoint, _Breaker())
        breaker.failures += 1
        breaker.probing = False
        if breaker.failures >= TRIPS:
            breaker.until = now + COOLDOWN

    def left(self, endpoint: str) -> None:
        """A call was given up, and says nothing of the endpoint."""
        breaker = self._breakers.get(endpoint)
        if breaker is not None:
            breaker.probing = False

    # ---- how long an endpoint asked us to wait ---------------------------------------------------

    def pause(self, endpoint: str, until: float) -> None:
        self._paused[endpoint] = until

    def paused_for(self, endpoint: str, now: float) -> float:
        """Seconds until it wants to be asked again; 0 when it may be."""
        return max(0.0, self._paused.get(endpoint, now) - now)

    # ---- the budget of resends ------------------------------------------------------------------

    def affords(self, host: str, now: float) -> bool:
        """Whether something may be sent to this host again."""
        budget = self._budget(host, now)
        return budget.floor >= 1 or budget.saved >= 1

    def _budget(self, host: str, now: float) -> _Budget:
        budget = self._budgets.get(host)
        if budget is None:
            budget = self._budgets[host] = _Budget(at=now)
        budget.floor = min(BURST, budget.floor + max(0.0, now - budget.at) * FLOOR)
        budget.at = now
        return budget


def reached(error: errors.IntermodalError) -> bool:
    """Whether an error says anything about the endpoint: it was asked, or could not be."""
    return isinstance(error, errors.CallError) and (error.sent or isinstance(error, errors.Unreachable))


def trips(error: errors.IntermodalError) -> bool:
    """Whether a failure speaks against the endpoint itself: nobody answers, or it fails inside. No 4xx does."""
    if not isinstance(error, errors.CallError) or 400 <= error.status < 500:
        return False
    if isinstance(error, (errors.Unreachable, errors.Overloaded, errors.StreamCut, errors.RuntimeCrashed)):
        return True
    return type(error) is errors.CallError and error.status >= 500
