"""Per-endpoint circuit breakers and pauses, per-host retry budgets, and learned limits, over all runs of a client.

The breaker of an endpoint opens after ``FAILURES_TO_OPEN`` failures in a row. The endpoint is then not called for
``PROBE_INTERVAL`` seconds, after which one call at a time probes whether it is back. The breaker steers and does not
refuse: if no other endpoint is left, the endpoint is called all the same. A pause of more than ``REROUTE_AFTER``
seconds that an endpoint requests is treated likewise; an answer to a later call ends it. The retry budget of a host is
a token bucket: a host that is down gets few extra calls. A resend is taken from the budget when it is decided on, not
when it is sent, so that concurrent waiting calls cannot take the same one. Times are passed in; nothing here waits.

``TrackedCall`` is one call as the breaker counts it. The executor and direct mode both use it, so an endpoint has one
state however it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from intermodal import errors
from intermodal.catalog.types import Catalog, EndpointShortcoming
from intermodal.core.bounded_cache import BoundedCache
from intermodal.plans.facts import Facts
from intermodal.plans.plan import EXPLORED_EVERY, EXPLORED_MOST

FAILURES_TO_OPEN = 5  # failures in a row
SUSPICION_SECONDS = 600.0  # seconds after which a limit that was inferred from an estimate expires
REROUTE_AFTER = 5.0  # seconds of a requested pause from which another route is better
PROBE_INTERVAL = 5.0  # seconds between two probes of an endpoint that is down
RESENDS_PER_CALL = 0.1  # resends that each call allows its host
RESENDS_PER_SECOND = 2.0  # resends a second that are always allowed
MAX_TIMED_RESENDS = 10.0  # resends that may accumulate: enough for a handful of concurrent calls
TOOL_LISTS = 256  # tool lists remembered per endpoint that had no room for them
MAX_SHARED_RESENDS = 100.0  # resends of the per-call share that may accumulate


@dataclass(eq=False)
class _Breaker:
    failures: int = 0
    until: float = 0.0  # not called until then
    probe: TrackedCall | None = None  # the call that probes the endpoint

    @property
    def probing(self) -> bool:
        return self.probe is not None


@dataclass
class _Exploration:
    passed: int = 0  # requests that did not explore it since the last one that did
    requests: int = 0  # requests that explored it


@dataclass
class _RetryBudget:
    saved: float = 0.0  # resends saved from the per-call share
    timed: float = MAX_TIMED_RESENDS  # resends saved from those that are allowed each second
    updated_at: float = 0.0


class EndpointHealth:
    """The state of every endpoint and host that a client calls, by id. One per client.

    Args:
        keep: receives each learned limit, to store it.
        processes: number of processes that share the resends that a host gets each second.

    ``refusals`` counts how often an endpoint was found to have no room for a list of tools.
    """

    def __init__(
        self, keep: Callable[[EndpointShortcoming], None] = lambda shortcoming: None, processes: int = 1
    ) -> None:
        self._keep = keep
        self._breakers: dict[str, _Breaker] = {}
        self._answering: dict[str, _Breaker] = {}  # closed by the first word of an unfinished answer
        self.share(processes)
        self._explorations: dict[str, _Exploration] = {}
        self._budgets: dict[str, _RetryBudget] = {}
        self._paused: dict[str, float] = {}
        self.learned: tuple[EndpointShortcoming, ...] = ()
        self._suspected: dict[str, float] = {}  # endpoints with a suspected limit, and when the suspicion expires
        self.refusals = 0
        self._overfull: BoundedCache[str, frozenset[str]] = BoundedCache(
            "lists of tools that were too long", TOOL_LISTS
        )

    # ---- learned refusals ----------------------------------------------------------------------

    def learn(self, shortcoming: EndpointShortcoming, now: float) -> None:
        """Record a limit of an endpoint. A suspected limit is not stored, and expires after ``SUSPICION_SECONDS``."""
        if shortcoming in self.learned:
            return
        if not shortcoming.suspected:
            self.learned = (*self.learned, shortcoming)
            self._keep(shortcoming)
            return
        self._clear_suspected_limits(shortcoming.endpoint)
        self.learned = (*self.learned, shortcoming)
        self._suspected[shortcoming.endpoint] = now + SUSPICION_SECONDS

    def _clear_suspected_limits(self, endpoint: str) -> None:
        """Drop the suspected limits of this endpoint."""
        self._suspected.pop(endpoint, None)
        self.learned = tuple(each for each in self.learned if not (each.suspected and each.endpoint == endpoint))

    def drop_expired(self, now: float) -> None:
        """Drop expired suspicions: the server may have been restarted with a longer context."""
        for endpoint in [name for name, until in self._suspected.items() if until <= now]:
            self._clear_suspected_limits(endpoint)

    def record_tools_refused(self, endpoint: str, tools: str) -> None:
        """Record that the endpoint refused a request with these tools (by digest) as too long."""
        before = self._overfull.get(tools, frozenset())
        self.refusals += endpoint not in before
        self._overfull[tools] = before | {endpoint}

    def with_refusals(self, facts: Facts) -> Facts:
        """Return the facts with the endpoints that refused these tools as too long."""
        if facts.tools is None or facts.tools.digest not in self._overfull:
            return facts
        refused = tuple(sorted(self._overfull[facts.tools.digest]))
        return replace(facts, tools=replace(facts.tools, refused=refused))

    def apply_lessons(self, catalog: Catalog) -> Catalog:
        """Return the catalog with the learned limits applied."""
        return catalog.apply_lessons(self.learned) if self.learned else catalog

    # ---- the breaker ---------------------------------------------------------------------------

    def seconds_open(self, endpoint: str, now: float) -> float:
        """Return the seconds until the endpoint may be called; 0 if it may be called now."""
        breaker = self._breakers.get(endpoint)
        if breaker is None or breaker.failures < FAILURES_TO_OPEN:
            return 0.0
        if breaker.probing:
            return max(breaker.until - now, 0.001)
        return max(breaker.until - now, 0.0)

    def is_open(self, endpoint: str) -> bool:
        """Return True if the breaker is open or half open: a probe may be due."""
        breaker = self._breakers.get(endpoint)
        return breaker is not None and breaker.failures >= FAILURES_TO_OPEN

    def may_call_now(self, endpoint: str, now: float) -> bool:
        """Return True if its breaker is closed and no pause that it requested is running."""
        if not self._breakers and not self._paused:
            return True
        return not (self.is_open(endpoint) or self.pause_left(endpoint, now))

    def begin(self, endpoint: str, host: str, now: float, *, is_resend: bool) -> TrackedCall:
        """Begin a call. ``is_resend``: ``acquire_resend`` has paid for it, or its host requested it."""
        call = TrackedCall(self, endpoint)
        call.ends_pause = endpoint in self._paused
        if self._breakers:
            breaker = self._breakers.get(endpoint)
            if breaker is not None and breaker.failures >= FAILURES_TO_OPEN:
                breaker.probe = call
                breaker.until = now + PROBE_INTERVAL
        budget = self._budgets.get(host) or self._budget(host, now)  # ``timed`` is brought up to date by a resend
        if not is_resend and budget.saved < MAX_SHARED_RESENDS:
            budget.saved = min(MAX_SHARED_RESENDS, budget.saved + RESENDS_PER_CALL)
        return call

    def _record_success(self, endpoint: str) -> None:
        if self._breakers or self._answering:
            self._close_breaker(endpoint)
            self._answering.pop(endpoint, None)

    def _record_first_word(self, endpoint: str) -> None:
        breaker = self._close_breaker(endpoint)
        if breaker is not None:
            self._answering[endpoint] = breaker

    def _close_breaker(self, endpoint: str) -> _Breaker | None:
        breaker = self._breakers.pop(endpoint, None)
        if breaker is not None and breaker.failures >= FAILURES_TO_OPEN:
            self._explorations.pop(endpoint, None)  # measurements made while it was down do not count
        return breaker

    def _record_failure(self, call: TrackedCall, now: float, *, spoke: bool) -> None:
        breaker = self._breakers.setdefault(call.endpoint, _Breaker())
        before = self._answering.pop(call.endpoint, None) if spoke else None
        breaker.failures += 1 + (before.failures if before is not None else 0)
        if breaker.failures >= FAILURES_TO_OPEN:
            breaker.until = now + PROBE_INTERVAL

    def _abandon_probe(self, call: TrackedCall) -> None:
        breaker = self._breakers.get(call.endpoint) if self._breakers else None
        if breaker is not None and breaker.probe is call:
            breaker.probe = None

    # ---- endpoints that are tried out -----------------------------------------------------------

    def should_explore(self, endpoint: str, now: float) -> bool:
        """Return True if the next request whose plan explores this endpoint should call it first.

        One request in ``EXPLORED_EVERY`` explores, and ``EXPLORED_MOST`` in total. An endpoint that is down is probed
        as the breaker allows. A request for which this returns False counts as one that did not explore.
        """
        if self.pause_left(endpoint, now):
            return False
        if self.is_open(endpoint):
            return not self.seconds_open(endpoint, now)
        found = self._explorations.setdefault(endpoint, _Exploration())
        if found.requests >= EXPLORED_MOST:
            return False
        if found.passed < EXPLORED_EVERY - 1:
            found.passed += 1
            return False
        return True

    def explore(self, endpoint: str, now: float) -> int | None:
        """Take a turn to explore and return its number; 0 for a probe of an endpoint that was down, None if it is not
        due.
        """
        if not self.should_explore(endpoint, now):
            return None
        found = self._explorations.get(endpoint)
        if found is None or self.is_open(endpoint):
            return 0
        found.passed, found.requests = 0, found.requests + 1
        return found.requests

    # ---- retry-after of endpoints ----------------------------------------------------------------

    def pause(self, endpoint: str, until: float) -> None:
        self._paused[endpoint] = until

    def end_pause(self, endpoint: str) -> None:
        self._paused.pop(endpoint, None)

    def pause_left(self, endpoint: str, now: float) -> float:
        """Return the seconds of the pause that the endpoint requested; 0 if it may be called now."""
        return max(0.0, self._paused.get(endpoint, now) - now)

    # ---- the budget of resends ------------------------------------------------------------------

    def share(self, processes: int) -> None:
        """Limit the resends per second to one process's share, out of ``processes`` that call the same hosts."""
        self._refill_rate, self._burst = RESENDS_PER_SECOND / processes, max(1.0, MAX_TIMED_RESENDS / processes)

    def acquire_resend(self, host: str, now: float) -> bool:
        """Take a resend from the host's budget; return False if it is spent."""
        budget = self._budget(host, now)
        if budget.timed >= 1:
            budget.timed -= 1
        elif budget.saved >= 1:
            budget.saved -= 1
        else:
            return False
        return True

    def return_resend(self, host: str, now: float) -> None:
        """Return a resend that was not sent."""
        budget = self._budget(host, now)
        budget.timed = min(self._burst, budget.timed + 1)

    def _budget(self, host: str, now: float) -> _RetryBudget:
        budget = self._budgets.get(host)
        if budget is None:
            budget = self._budgets[host] = _RetryBudget(timed=self._burst, updated_at=now)
        budget.timed = min(self._burst, budget.timed + max(0.0, now - budget.updated_at) * self._refill_rate)
        budget.updated_at = now
        return budget


class TrackedCall:
    """One call, from ``EndpointHealth.begin`` until it ended or was abandoned. Only the first of several ends counts.

    The first word shows that the endpoint works: a probe has succeeded, and other calls need not wait for the rest of a
    long answer. An answer that breaks off later still counts as a failure, consecutive with the previous ones. A client
    that stops reading reveals nothing about the endpoint.

    ``ends_pause``: its endpoint had requested a pause before, which is over if it answers.
    """

    __slots__ = ("_over", "_spoke", "_upstreams", "endpoint", "ends_pause")

    def __init__(self, upstreams: EndpointHealth, endpoint: str) -> None:
        self.endpoint = endpoint
        self._upstreams = upstreams
        self._spoke = self._over = self.ends_pause = False

    def first_word(self) -> None:
        """Record that the endpoint has begun to answer."""
        if not self._spoke and not self._over:
            self._spoke = True
            if self._upstreams._breakers:
                self._upstreams._record_first_word(self.endpoint)

    def end(self, error: errors.IntermodalError | None, now: float) -> None:
        """End the call with success or with ``error``.

        An error that shows that the endpoint works counts as success.
        """
        if error is not None and not concerns_endpoint(error):
            self.abandon()
        elif not self._over:
            self._over = True
            self._upstreams._abandon_probe(self)
            if error is None and self.ends_pause:
                self._upstreams.end_pause(self.endpoint)
            elif error is not None and (seconds := requested_pause(error)):
                self._upstreams.pause(self.endpoint, now + seconds)
            if error is None or not counts_as_failure(error):
                self._upstreams._record_success(self.endpoint)
            else:
                self._upstreams._record_failure(self, now, spoke=self._spoke)

    def abandon(self) -> None:
        """Abandon the call. If it had begun to answer, the endpoint counts as working."""
        if not self._over:
            self._over = True
            self._upstreams._abandon_probe(self)
            if self._spoke:
                self._upstreams._record_success(self.endpoint)


def requested_pause(error: errors.IntermodalError) -> float:
    """Return the seconds for which other requests leave the endpoint alone if they have another route; 0 for none.

    It is the wait that the endpoint requested, however long it is and whether or not the call may be resent.
    """
    if not isinstance(error, errors.CallError) or error.retry not in ("resend", "wait"):
        return 0.0
    seconds = error.retry_after or 0.0
    return seconds if seconds > REROUTE_AFTER else 0.0


def concerns_endpoint(error: errors.IntermodalError) -> bool:
    """Return True if an error concerns the endpoint: it was called, or could not be reached."""
    if error.stale or not isinstance(error, errors.CallError):
        return False
    return error.sent or isinstance(error, errors.Unreachable)


def counts_as_failure(error: errors.IntermodalError) -> bool:
    """Return True if a failure counts against the endpoint: it is unreachable, fails internally, or answers invalidly.

    No 4xx status does.
    """
    if not isinstance(error, errors.CallError) or 400 <= error.status < 500:
        return False
    if isinstance(error, (errors.Unreachable, errors.Overloaded, errors.StreamCut, errors.RuntimeCrashed)):
        return True
    return type(error) is errors.CallError and (error.status >= 500 or 200 <= error.status < 300)
