"""Several files are decoded at once, each in a child of its own; a job that is done soon starts none."""

from __future__ import annotations

import os
import signal

import anyio
import pytest
from tests.documents import picture
from tests.unit.executor.routes import until

from intermodal import errors
from intermodal.media.worker_client import MediaProbeResult, MediaWorker

pytestmark = pytest.mark.anyio


async def stopped(worker: MediaWorker) -> int:
    """A first child that stands still."""
    await worker.start()
    (first,) = worker.pids
    os.kill(first, signal.SIGSTOP)
    return first


def children(worker: MediaWorker) -> int:
    return len(worker.pids)


async def test_a_job_that_takes_long_keeps_no_other_waiting() -> None:
    """The first child stands still until the second job is done."""
    async with MediaWorker(places=2) as worker, anyio.create_task_group() as group:
        first = await stopped(worker)
        found: list[MediaProbeResult] = []

        async def probe() -> None:
            found.append(await worker.probe(picture("Hello"), name="a.png"))

        try:
            group.start_soon(probe)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(probe)
            await until(lambda: found)
            assert children(worker) == 2 and not worker.busy
        finally:
            os.kill(first, signal.SIGCONT)
        await until(lambda: len(found) == 2)
        await worker.trim()
        assert worker.pid == first and children(worker) == 1, "the memory of the other is given back"


@pytest.mark.slow
async def test_a_cancelled_job_costs_its_own_child_and_leaks_no_place() -> None:
    async with MediaWorker(places=2) as worker:
        await stopped(worker)
        for _ in range(3):  # more than there are places
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(worker.start)
                await anyio.wait_all_tasks_blocked()
                group.cancel_scope.cancel()
        assert not worker.busy, "every place is free again"
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(worker.start)
        assert children(worker) <= 2


async def test_what_brings_one_child_down_is_said_of_its_file_alone() -> None:
    async with MediaWorker(places=2) as worker, anyio.create_task_group() as group:
        first = await stopped(worker)
        failed: list[errors.IntermodalError] = []

        async def doomed() -> None:
            try:
                await worker.probe(picture("Hello"), name="doomed.png")
            except errors.InputBroken as error:
                failed.append(error)

        group.start_soon(doomed)
        await anyio.wait_all_tasks_blocked()
        assert (await worker.probe(picture("Hello"), name="fine.png")).width == 240
        os.kill(first, signal.SIGKILL)
        await until(lambda: failed)
        assert failed[0].where == "doomed.png"
