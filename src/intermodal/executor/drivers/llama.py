"""A language model in our own llama.cpp server: started when needed, then spoken to like any other host."""

from __future__ import annotations

from intermodal.executor.drivers import openai
from intermodal.executor.job import Job, Line, Made
from intermodal.executor.world import World


async def drive(job: Job, world: World, line: Line) -> Made:
    served = await world.runtimes.chat_url(job.endpoint)
    line.loaded(served.load_seconds)
    return await openai.chat(job, world, line, openai.Server(served.base_url, served.key))
