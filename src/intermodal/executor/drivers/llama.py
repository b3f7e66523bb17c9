"""A language model in our own llama.cpp server: started when needed, then spoken to like any other host."""

from __future__ import annotations

import msgspec

from intermodal.executor.drivers import http
from intermodal.executor.job import Job, Line, Made
from intermodal.executor.transport import Server
from intermodal.executor.world import World

# Where nobody asked for chance, the likeliest words: small models wander off otherwise, and the same question
# gives the same answer twice.
TEMPERATURE = 0.0


async def drive(job: Job, world: World, line: Line) -> Made:
    if job.chat is not None and job.chat.sampling.temperature is None:
        sampling = msgspec.structs.replace(job.chat.sampling, temperature=TEMPERATURE)
        job = msgspec.structs.replace(job, chat=msgspec.structs.replace(job.chat, sampling=sampling))
    served = await world.runtimes.chat_url(job.endpoint)
    line.loaded(served.load_seconds)
    return await http.chat(job, world, line, Server(served.base_url, served.key, "bearer"))
