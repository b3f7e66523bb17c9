"""Metrics in Prometheus' text exposition format 0.0.4, merged over the worker processes.

Labels are routes, statuses and endpoints: a fixed set of values, none of which a client can invent.

Each worker publishes its counters in shared memory twice a second, and the worker that serves ``/metrics`` adds them
up. A successor continues with the counters of the worker it replaces, and an ended worker leaves its own, so sums never
fall: Prometheus takes a falling counter for a restart. Other workers' counters are at most half a second old; a worker
that is killed loses that half second.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from intermodal.core.content import Value
from intermodal.events import AttemptFailed, Event, Finished, StepFinished

if TYPE_CHECKING:
    from intermodal.gateway.workers.worker import GatewayWorker
    from intermodal.telemetry.request_record import RequestRecord

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.02, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)  # seconds
_STALE = 2.5  # seconds after which a worker's gauges no longer count


class Gauges(Value):
    """Gauges sampled at one instant. ``workers``: processes counted; 0 for a single process."""

    connections: int = 0
    active: int = 0
    held: int = 0
    tasks: int = 0
    workers: int = 0


# Operations whose endpoints count tokens -> the directions.
_CHAT = ("input", "output")
_COUNTED: Mapping[str, tuple[str, ...]] = {
    "generate": _CHAT, "translate": _CHAT, "describe": _CHAT, "embed": ("input",),
}  # fmt: skip


class CounterValues(Value):
    """Counters as one process publishes them to the others."""

    requests: list[tuple[str, int, int]]
    seconds: dict[str, list[float]]
    attempts: list[tuple[str, str, int]]
    tokens: dict[str, int]
    unreported: dict[str, int]
    cost: float
    unpriced: int
    broken: list[tuple[str, str, int]]


class Metrics:
    """Counters since the gateway began."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, list[float]] = {}  # by path: a count per bucket, one beyond the last, then the sum
        self.attempts: Counter[tuple[str, str]] = Counter()
        self.tokens: Counter[str] = Counter()
        self.unreported: Counter[str] = Counter()  # answers whose tokens are not in ``tokens``
        self.cost = 0.0
        self.unpriced = 0
        self.broken: Counter[tuple[str, str]] = Counter()

    def count_request(self, record: RequestRecord) -> None:
        """Count a request.

        ``status`` 0 means that the client left before a response began. A stream that broke off keeps the status it
        began with and is counted a second time as broken.
        """
        path = record.route
        self.requests[path, record.status] += 1
        if record.broken:
            self.broken[path, "client" if record.error == "client_left" else "server"] += 1
        row = self.seconds.get(path)
        if row is None:
            row = self.seconds[path] = [0.0] * (len(BUCKETS) + 2)
        row[bisect_left(BUCKETS, record.seconds)] += 1
        row[-1] += record.seconds

    def count_rejected(self, path: str, status: int) -> None:
        """Count a request whose body was not read. ``path``: "" for no route."""
        self.requests[path, status] += 1

    def count_event(self, event: Event, op: str = "") -> None:
        """Count one event of a run. ``op``: operation of the step that finished."""
        if isinstance(event, AttemptFailed):
            self.attempt(event.endpoint, event.code)
        elif isinstance(event, StepFinished):
            counted_units = () if event.actual.cached else _COUNTED.get(op, ())
            for usage in (*event.actual.replaced, event.actual.usage):
                self.count_tokens(
                    usage.input_tokens if "input" in counted_units else usage.input_tokens or 0,
                    usage.output_tokens if "output" in counted_units else usage.output_tokens or 0,
                )
        elif isinstance(event, Finished):
            self.answer(event.endpoint, event.cost)

    def attempt(self, endpoint: str, outcome: str) -> None:
        """Count an attempt that ended. ``outcome``: ``ok``, or the code of its error."""
        self.attempts[endpoint, outcome] += 1

    def answer(self, endpoint: str, cost: float | None) -> None:
        """Count an answer. ``endpoint``: the endpoint that answered. ``cost``: USD of the whole run."""
        self.attempts[endpoint, "ok"] += 1
        self.cost += cost or 0.0
        self.unpriced += cost is None

    def count_tokens(self, input_tokens: int | None, output_tokens: int | None) -> None:
        """Count input and output tokens; None if the endpoint did not report them."""
        for direction, count in (("input", input_tokens), ("output", output_tokens)):
            if count is None:
                self.unreported[direction] += 1
            else:
                self.tokens[direction] += count

    def count_direct(
        self, endpoint: str, input_tokens: int | None, output_tokens: int | None, cost: float | None
    ) -> None:
        """Count an answer that no run made. Tokens are None if not reported. ``cost``: USD."""
        self.count_tokens(input_tokens, output_tokens)
        self.answer(endpoint, cost)

    def counts(self) -> CounterValues:
        """Return all counters, for publication to the other processes."""
        return CounterValues(
            requests=[(*names, count) for names, count in self.requests.items()], seconds=self.seconds,
            attempts=[(*names, count) for names, count in self.attempts.items()], tokens=dict(self.tokens),
            unreported=dict(self.unreported),
            cost=self.cost, unpriced=self.unpriced,
            broken=[(*names, count) for names, count in self.broken.items()],
        )  # fmt: skip

    def add(self, counts: CounterValues) -> None:
        """Add the counters of another process."""
        for path, status, count in counts.requests:
            self.requests[path, status] += count
        for path, row in counts.seconds.items():
            seconds = self.seconds.get(path, [0.0] * (len(BUCKETS) + 2))
            self.seconds[path] = [one + other for one, other in zip(seconds, row, strict=True)]
        for endpoint, outcome, count in counts.attempts:
            self.attempts[endpoint, outcome] += count
        self.tokens.update(counts.tokens)
        self.unreported.update(counts.unreported)
        self.cost += counts.cost
        self.unpriced += counts.unpriced
        for path, party, count in counts.broken:
            self.broken[path, party] += count

    def exposition_text(self, now: Gauges) -> str:
        """Return counters and gauges in Prometheus' text format."""
        lines: list[str] = []
        gauges = [
            ("connections", "Connections that are open.", now.connections),
            ("active_requests", "Requests that are being answered.", now.active),
            ("held_bytes", "Bytes of request bodies received or announced.", now.held),
            ("tasks", "Tasks of the event loop.", now.tasks),
        ]
        gauges += [("workers", "Processes that serve.", now.workers)] if now.workers else []
        for name, about, value in gauges:
            _family(lines, name, "gauge", about, [("", value)])
        counts = [(_labels(path=path, status=str(status)), count) for (path, status), count in self.requests.items()]
        _family(lines, "requests_total", "counter", "Requests by route and status.", counts)
        broken = [(_labels(path=path, by=party), count) for (path, party), count in self.broken.items()]
        about = "Streams that ended in the middle: the client left, or what answered failed. Their status was 200."
        _family(lines, "streams_broken_total", "counter", about, broken)
        self._histogram(lines)
        attempts = [
            (_labels(endpoint=name, outcome=outcome), count) for (name, outcome), count in self.attempts.items()
        ]
        _family(lines, "runs_total", "counter", "Answers and failed attempts by endpoint.", attempts)
        tokens = [(_labels(direction=name), count) for name, count in self.tokens.items()]
        _family(lines, "tokens_total", "counter", "Tokens that endpoints reported.", tokens)
        unreported = [(_labels(direction=name), count) for name, count in self.unreported.items()]
        _family(
            lines, "tokens_unreported_total", "counter", "Answers whose endpoint did not report its tokens.", unreported
        )
        _family(lines, "cost_usd_total", "counter", "USD of answers whose cost is known.", [("", self.cost)])
        _family(lines, "unpriced_total", "counter", "Answers whose cost is unknown.", [("", self.unpriced)])
        return "\n".join(lines) + "\n"

    def _histogram(self, lines: list[str]) -> None:
        rows: list[tuple[str, float]] = []
        name = "request_seconds"
        for path, row in self.seconds.items():
            total = 0.0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), row[:-1], strict=True):
                total += count
                rows.append((f"_bucket{_labels(path=path, le=bound)}", total))
            rows += [(f"_sum{_labels(path=path)}", row[-1]), (f"_count{_labels(path=path)}", total)]
        _family(lines, name, "histogram", "Seconds from a whole request to the end of its answer.", rows)


def _family(lines: list[str], name: str, kind: str, about: str, rows: Sequence[tuple[str, float]]) -> None:
    lines += [f"# HELP intermodal_{name} {about}", f"# TYPE intermodal_{name} {kind}"]
    lines += [f"intermodal_{name}{labels} {value:.10g}" for labels, value in rows]


def _labels(**labels: str) -> str:
    escaped = (
        (name, value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")) for name, value in labels.items()
    )
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


class _WorkerReport(Value):
    at: float  # monotonic seconds, which all processes of a machine share; 0 after its end
    now: Gauges
    counts: CounterValues


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_WorkerReport).decode


def resume_counts(metrics: Metrics, worker: GatewayWorker) -> None:
    """Continue with the counters of the previous worker of the same number."""
    before = _report_of(worker, worker.number)
    if before is not None:
        metrics.add(before.counts)


def publish_metrics(worker: GatewayWorker, metrics: Metrics, now: Gauges | None) -> bool:
    """Publish the counters of this worker; return False if they do not fit. ``now``: None when the worker ends."""
    at = 0.0 if now is None else time.monotonic()
    return worker.memory.write(
        worker.number, _encode(_WorkerReport(at=at, now=now or Gauges(), counts=metrics.counts()))
    )


def merged_metrics(worker: GatewayWorker) -> tuple[Metrics, Gauges]:
    """Return the counters and gauges of all workers, as they published them."""
    metrics, now = Metrics(), Gauges()
    since = time.monotonic() - _STALE
    for number in range(worker.memory.numbers):
        report = _report_of(worker, number)
        if report is None:
            continue
        metrics.add(report.counts)
        if report.at > since:
            now = Gauges(
                connections=now.connections + report.now.connections, active=now.active + report.now.active,
                held=now.held + report.now.held, tasks=now.tasks + report.now.tasks, workers=now.workers + 1,
            )  # fmt: skip
    return metrics, now


def _report_of(worker: GatewayWorker, number: int) -> _WorkerReport | None:
    data = worker.memory.read(number)
    try:
        return _decode(data) if data is not None else None
    except msgspec.MsgspecError:  # of another version
        return None
