"""The driver of servers that intermodal starts and all of the user's processes share."""

from __future__ import annotations

from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers import http
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult
from intermodal.executor.drivers.llama import steady, unmarked
from intermodal.transport.addresses import HostAddress


async def drive(job: CallJob, world: Dependencies, line: AttemptContext) -> CallResult:
    served = await world.runtimes.serving(job.endpoint)
    line.loaded(served.load_seconds)
    job = unmarked(steady(job), served.marks)
    return await http.at(HostAddress(served.base_url, served.key, "bearer"), job, world, line)
