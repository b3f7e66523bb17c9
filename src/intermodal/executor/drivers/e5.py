"""Embedded sentence vectors."""

from __future__ import annotations

from intermodal.executor.job import Job, Line, Made
from intermodal.executor.world import World
from intermodal.wire.call import Usage


async def drive(job: Job, world: World, line: Line) -> Made:
    await line.sending()
    embedded = await world.runtimes.embed(job.endpoint, job.text)
    line.loaded(embedded.load_seconds)
    return Made(
        vector=embedded.vector,
        usage=Usage(input_tokens=embedded.tokens, output_tokens=0),
        peak_memory=embedded.peak_memory,
    )
