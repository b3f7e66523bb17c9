"""The driver of embedded speech recognition: PCM in, a transcript with times out. Channels are transcribed in turn."""

from __future__ import annotations

from intermodal.executor.conversion.conversions import merge_channels
from intermodal.executor.dependencies import Dependencies, Progress
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult


async def drive(job: CallJob, world: Dependencies, line: AttemptContext) -> CallResult:
    assert job.sound is not None
    await line.sending()
    channels = (job.sound.pcm, job.sound.beside) if job.sound.beside else (job.sound.pcm,)
    heard, load, memory = [], 0.0, 0
    for place, pcm in enumerate(channels):
        progress = _share(line.progress, place, len(channels))
        made = await world.runtimes.transcribe(
            job.endpoint, pcm, language=job.language, into=job.into, progress=progress
        )
        heard.append(made.transcript)
        load, memory = load + made.load_seconds, max(memory, made.peak_memory)
    line.loaded(load)
    return CallResult(
        transcript=heard[0] if len(heard) == 1 else merge_channels(heard[0], heard[1]), peak_memory=memory
    )


def _share(progress: Progress, place: int, count: int) -> Progress:
    """The progress of one of several recordings as that of all."""

    def tell(fraction: float | None, note: str = "") -> None:
        progress(None if fraction is None else (place + fraction) / count, note)

    return tell
