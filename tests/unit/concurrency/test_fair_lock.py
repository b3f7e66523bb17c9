"""Turns at what does one thing at a time go round among requesters."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from intermodal.concurrency.fair_lock import FairLock, new_requester

pytestmark = pytest.mark.anyio


async def jobs(lock: FairLock, name: str, count: int, done: list[str]) -> None:
    """So many jobs of one requester, all waiting at once."""
    new_requester()

    async def job() -> None:
        async with lock:
            done.append(name)
            await anyio.sleep(0)

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(job)


async def test_a_requester_with_many_jobs_delays_another_by_one() -> None:
    lock, done = FairLock(), list[str]()
    async with anyio.create_task_group() as group:
        group.start_soon(jobs, lock, "many", 20, done)
        while not lock.locked():
            await anyio.sleep(0)
        group.start_soon(jobs, lock, "few", 2, done)
        group.start_soon(jobs, lock, "one", 1, done)
    assert len(done) == 23
    assert done.index("one") <= 5 and [place for place, name in enumerate(done) if name == "few"][1] <= 7
    assert not lock.locked()


async def test_who_is_cancelled_while_it_waits_takes_no_turn() -> None:
    lock, done = FairLock(), list[str]()
    async with anyio.create_task_group() as group, lock:
        async with anyio.create_task_group() as leaving:
            leaving.start_soon(jobs, lock, "left", 3, done)
            await anyio.wait_all_tasks_blocked()
            leaving.cancel_scope.cancel()
        group.start_soon(jobs, lock, "stayed", 1, done)
        await anyio.wait_all_tasks_blocked()
    assert done == ["stayed"] and not lock.locked()


async def test_who_is_cancelled_as_its_turn_comes_passes_it_on() -> None:
    lock, done = FairLock(), list[str]()
    async with lock:
        left = asyncio.create_task(jobs(lock, "left", 1, done))
        waits = asyncio.create_task(lock.__aenter__())
        await anyio.wait_all_tasks_blocked()
        stays = asyncio.create_task(jobs(lock, "stayed", 1, done))
        await anyio.wait_all_tasks_blocked()
        left.cancel()
        await anyio.wait_all_tasks_blocked()
    waits.cancel()  # the lock is its own already
    await asyncio.wait((left, waits, stays))
    assert waits.cancelled() and done == ["stayed"] and not lock.locked()
