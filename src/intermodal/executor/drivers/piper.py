"""The driver of the Piper voice, a separate program: lines in, samples out."""

from __future__ import annotations

from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult


async def drive(job: CallJob, world: Dependencies, line: AttemptContext) -> CallResult:
    await line.sending()
    spoken = await world.runtimes.speak(job.endpoint, job.lines, progress=line.progress)
    line.loaded(spoken.load_seconds)
    return CallResult(pcm=spoken.pcm, rate=spoken.rate, silent=spoken.silent, peak_memory=spoken.peak_memory)
