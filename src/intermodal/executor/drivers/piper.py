"""The voice in a separate program: lines in, one stretch of sound out."""

from __future__ import annotations

from intermodal.executor.job import Job, Line, Made
from intermodal.executor.world import World


async def drive(job: Job, world: World, line: Line) -> Made:
    await line.sending()
    spoken = await world.runtimes.speak(job.endpoint, job.lines, progress=line.progress)
    line.loaded(spoken.load_seconds)
    return Made(pcm=spoken.pcm, rate=spoken.rate, silent=spoken.silent, peak_memory=spoken.peak_memory)
