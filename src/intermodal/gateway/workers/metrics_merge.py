"""One truth for ``/metrics``: each worker publishes its counters twice a second, and the one that is asked adds them
up.

A successor continues with the counters of the worker it replaces, and a worker that ended leaves its own, so that sums
never fall: Prometheus takes a falling counter for a restart. Other workers' counters are at most half a second old; a
worker that is killed loses that half second.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from intermodal.content import Value
from intermodal.gateway.metrics import CounterValues, Gauges, Metrics

if TYPE_CHECKING:
    from intermodal.gateway.workers.worker import GatewayWorker

_STALE = 2.5  # seconds after which a worker's gauges no longer count


class _WorkerReport(Value):
    at: float  # seconds, monotonic: of all processes of a machine; 0 after its end
    now: Gauges
    counts: CounterValues


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_WorkerReport).decode


def resume_counts(metrics: Metrics, worker: GatewayWorker) -> None:
    """Continue with the counters of the worker that had this number before."""
    before = _report_of(worker, worker.number)
    if before is not None:
        metrics.add(before.counts)


def publish(worker: GatewayWorker, metrics: Metrics, now: Gauges | None) -> bool:
    """Publish the counters of this worker; False if they are too many. ``now`` None: it ends."""
    at = 0.0 if now is None else time.monotonic()
    return worker.memory.write(
        worker.number, _encode(_WorkerReport(at=at, now=now or Gauges(), counts=metrics.counts()))
    )


def merged_metrics(worker: GatewayWorker) -> tuple[Metrics, Gauges]:
    """Return the counters and gauges of all workers, as they are published."""
    counted, now = Metrics(), Gauges()
    since = time.monotonic() - _STALE
    for number in range(worker.memory.numbers):
        report = _report_of(worker, number)
        if report is None:
            continue
        counted.add(report.counts)
        if report.at > since:
            now = Gauges(
                connections=now.connections + report.now.connections, active=now.active + report.now.active,
                held=now.held + report.now.held, tasks=now.tasks + report.now.tasks, workers=now.workers + 1,
            )  # fmt: skip
    return counted, now


def _report_of(worker: GatewayWorker, number: int) -> _WorkerReport | None:
    data = worker.memory.read(number)
    try:
        return _decode(data) if data is not None else None
    except msgspec.MsgspecError:  # of another version
        return None
