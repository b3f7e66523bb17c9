"""The embedded ear: PCM in, a transcript with times out. Channels are heard one after the other, where each is."""

from __future__ import annotations

from intermodal.content import Segment, Transcript
from intermodal.executor.job import Job, Line, Made
from intermodal.executor.world import Progress, World

SPEAKERS = ("speaker 1", "speaker 2")  # the left channel, the right one


async def drive(job: Job, world: World, line: Line) -> Made:
    assert job.sound is not None
    await line.sending()
    channels = (job.sound.pcm, job.sound.beside) if job.sound.beside else (job.sound.pcm,)
    heard, load, memory = [], 0.0, 0
    for place, pcm in enumerate(channels):
        progress = _share(line.progress, place, len(channels))
        made = await world.runtimes.transcribe(job.endpoint, pcm, language=job.language, progress=progress)
        heard.append(made.transcript)
        load, memory = load + made.load_seconds, max(memory, made.peak_memory)
    line.loaded(load)
    return Made(transcript=heard[0] if len(heard) == 1 else together(heard[0], heard[1]), peak_memory=memory)


def together(left: Transcript, right: Transcript) -> Transcript:
    """What was heard on two channels, in the order of time, each stretch with who says it."""
    both = (left, right)
    segments = [
        Segment(start=each.start, end=each.end, text=each.text, speaker=speaker)
        for transcript, speaker in zip(both, SPEAKERS, strict=True)
        for each in transcript.segments
    ]
    more = max(both, key=lambda transcript: len(transcript.text))
    spoken = [transcript for transcript in both if transcript.text]
    return Transcript(
        language=more.language,
        confidence=more.confidence,
        certainty=min((transcript.certainty for transcript in spoken), default=0.0),
        seconds=max(left.seconds, right.seconds),
        segments=tuple(sorted(segments, key=lambda segment: segment.start)),
    )


def _share(progress: Progress, place: int, count: int) -> Progress:
    """The progress of one of several recordings as that of all."""

    def tell(fraction: float | None, note: str = "") -> None:
        progress(None if fraction is None else (place + fraction) / count, note)

    return tell
