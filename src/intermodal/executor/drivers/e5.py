"""The driver of embedded sentence embeddings."""

from __future__ import annotations

from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult
from intermodal.protocols.calls import WireUsage


async def drive(job: CallJob, world: Dependencies, line: AttemptContext) -> CallResult:
    await line.sending()
    embedded = await world.runtimes.embed(job.endpoint, job.text)
    line.loaded(embedded.load_seconds)
    tokens, peak = embedded.tokens, embedded.peak_memory
    vectors = [embedded.vector]
    for number, label in enumerate(job.labels):
        found = await world.runtimes.embed(job.endpoint, label)
        vectors.append(found.vector)
        tokens, peak = tokens + found.tokens, max(peak, found.peak_memory)
        line.progress((number + 1) / len(job.labels), "")
    return CallResult(
        vector=embedded.vector,
        vectors=tuple(vectors) if job.labels else (),
        usage=WireUsage(input_tokens=tokens, output_tokens=0),
        peak_memory=peak,
    )
