"""The driver of embedded encoders with a head: probabilities of labels, or of words for a mask."""

from __future__ import annotations

from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult, HeadScores
from intermodal.protocols.calls import WireUsage


async def drive(job: CallJob, world: Dependencies, line: AttemptContext) -> CallResult:
    await line.sending()
    if job.endpoint.model.fills_masks:
        found = await world.runtimes.fill(job.endpoint, job.text, job.labels)
    else:
        found = await world.runtimes.classify(job.endpoint, job.text)
    line.loaded(found.load_seconds)
    scores = tuple(zip(found.labels, found.scores, strict=True))
    return CallResult(
        told=HeadScores(scores=scores, windows=found.windows, cut=bool(found.cut)),
        usage=WireUsage(input_tokens=found.tokens, output_tokens=0),
        peak_memory=found.peak_memory,
    )
