"""The driver of embedded text recognition: images in, lines with boxes out, one image after the other."""

from __future__ import annotations

from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult


async def drive(job: CallJob, world: Dependencies, line: AttemptContext) -> CallResult:
    await line.sending()
    lines = []
    load_seconds = 0.0
    peak = 0
    told = {name: value for name, value in job.step.params if name == "script"}
    told |= {"language": job.language} if job.language else {}
    for number, picture in enumerate(job.pictures):
        seen = await world.runtimes.read(job.endpoint, picture.data, **told)
        lines.append(seen.lines)
        load_seconds += seen.load_seconds
        peak = max(peak, seen.peak_memory)
        line.loaded(load_seconds)
        line.progress((number + 1) / len(job.pictures), "")
    return CallResult(lines=tuple(lines), peak_memory=peak)
