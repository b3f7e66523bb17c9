"""The embedded ear: PCM in, a transcript with times out."""

from __future__ import annotations

from intermodal.executor.job import Job, Line, Made
from intermodal.executor.world import World


async def drive(job: Job, world: World, line: Line) -> Made:
    assert job.sound is not None
    await line.sending()
    heard = await world.runtimes.transcribe(job.endpoint, job.sound.pcm, language=job.language, progress=line.progress)
    line.loaded(heard.load_seconds)
    return Made(transcript=heard.transcript, peak_memory=heard.peak_memory)
