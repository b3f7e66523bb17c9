"""A server that intermodal starts and every process of the user shares: started when needed, then like any other."""

from __future__ import annotations

from intermodal.executor.drivers import http
from intermodal.executor.drivers.llama import steady, unmarked
from intermodal.executor.job import Job, Line, Made
from intermodal.executor.world import World
from intermodal.transport.addresses import Server


async def drive(job: Job, world: World, line: Line) -> Made:
    served = await world.runtimes.serving(job.endpoint)
    line.loaded(served.load_seconds)
    job = unmarked(steady(job), served.marks)
    return await http.at(Server(served.base_url, served.key, "bearer"), job, world, line)
