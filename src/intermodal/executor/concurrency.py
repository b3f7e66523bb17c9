"""Concurrent calls of one step: they fail as one, and their figures are added up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from intermodal.core.quantity import Quantity
from intermodal.events import Actual, Usage
from intermodal.executor.attempt.retry import Reroute
from intermodal.executor.attempt.step_caller import ReplanRequested
from intermodal.plans.step import Call

ALL = 1_000


async def run_all(jobs: Sequence[Callable[[], Awaitable[None]]], at_once: int = ALL) -> None:
    """Run all jobs, ``at_once`` at a time; raise the first failure.

    After a failure from which a fallback or a new plan may recover (Reroute, ReplanRequested), running jobs finish and
    no further job starts.
    """
    import anyio

    failed: list[Exception] = []
    places = anyio.CapacityLimiter(at_once)

    async def one(job: Callable[[], Awaitable[None]]) -> None:
        async with places:
            if failed:
                return
            try:
                await job()
            except ReplanRequested as error:
                failed.append(error)
            except Reroute as error:
                failed.insert(0, error)  # this call must not be repeated, whatever is planned
            except Exception as error:
                failed.insert(0, error)
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(one, job)
    if failed:
        raise _pop_first_error(failed)


def _pop_first_error(failed: list[Exception]) -> Exception:
    """Return the first error and empty the list: its traceback has frames that hold the list, so both would
    stay alive.
    """
    first = failed[0]
    failed.clear()
    return first


def split_estimate(step: Call, count: int) -> Call:
    """Return the step for one of ``count`` calls, with its share of the step's estimate."""
    estimate = step.estimate
    names = ("input_tokens", "output_tokens", "cost", "seconds")
    parts: dict[str, Quantity] = {name: getattr(estimate, name).scaled(1 / count) for name in names}
    return msgspec.structs.replace(step, estimate=msgspec.structs.replace(estimate, **parts))


_COUNTS = Usage.__struct_fields__


def combine_actuals(step: Call, actuals: Sequence[Actual]) -> Actual:
    """Return the combined figures of several calls of one step. An empty list means that all came from the cache."""
    if not actuals:
        return Actual(step=step.id, seconds=0.0, cached=True)
    costs = [actual.cost for actual in actuals if actual.cost is not None]
    began = min(actual.began for actual in actuals)
    loading = sum(actual.load_seconds for actual in actuals)
    wall = max(actual.began + actual.load_seconds + actual.seconds for actual in actuals) - began - loading
    return Actual(
        step=step.id,
        seconds=max(0.0, min(wall, sum(actual.seconds for actual in actuals))),  # concurrent: less than the sum
        load_seconds=loading,
        usage=Usage(**{name: _sum_known([getattr(actual.usage, name) for actual in actuals]) for name in _COUNTS}),
        cost=sum(costs) if len(costs) == len(actuals) else None,
        peak_memory=max((actual.peak_memory or 0 for actual in actuals), default=0) or None,
        began=began,
        calls=sum(actual.calls for actual in actuals),
    )


def _sum_known(counts: list[int | None]) -> int | None:
    known_counts = [count for count in counts if count is not None]
    return sum(known_counts) if len(known_counts) == len(counts) else None
