"""Doing several things of a run at once: what one failure means for the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from intermodal.executor.call import Again, Reroute

ALL = 1_000
NEAR = ("process", "machine")  # zones whose models share this machine's cores


async def side_by_side(jobs: Sequence[Callable[[], Awaitable[None]]], at_once: int = ALL) -> None:
    """All of them, so many at once. The first failure is raised.

    What a fallback or another plan may mend (Reroute, Again) lets what runs finish, but nothing new begins.
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
            except Again as error:
                failed.append(error)
            except Reroute as error:
                failed.insert(0, error)  # this call must not be made again, whatever is planned
            except Exception as error:
                failed.insert(0, error)
                group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(one, job)
    if failed:
        raise failed[0]
