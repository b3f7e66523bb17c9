"""A recording of which each channel is heard by itself: its calls, and what they heard put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec.structs import replace

from intermodal.content import Transcript
from intermodal.executor.attempt.caller import FinishedCall
from intermodal.executor.concurrency import combine_actuals, run_all, split_estimate
from intermodal.executor.dependencies import MediaWorkerLike, Progress
from intermodal.executor.drivers.interface import CallJob, CallResult
from intermodal.executor.preparation.model_inputs import AudioInput
from intermodal.files.file_bytes import Data
from intermodal.plans.cpu_schedule import NEAR

SPEAKERS = ("speaker 1", "speaker 2")  # the left channel, the right one


async def decode_channels(
    media: MediaWorkerLike, data: Data, name: str, progress: Progress | None = None
) -> AudioInput:
    """Both channels of a recording or of a film's sound, each for itself."""
    first, second = [await media.pcm(data, name=name, progress=progress, channel=each) for each in (0, 1)]
    return AudioInput(seconds=first.seconds, pcm=first.samples, beside=second.samples, name=name)


def merge_channels(left: Transcript, right: Transcript) -> Transcript:
    """What was heard on two channels, in the order of time, each stretch with who says it."""
    both = (left, right)
    segments = [
        replace(each, speaker=speaker)
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
        unheard=max(left.unheard, right.unheard),
        into=more.into,
    )


async def transcribe_channels(
    job: CallJob, sounds: tuple[AudioInput, ...], call: Callable[[CallJob], Awaitable[FinishedCall]]
) -> FinishedCall:
    """Both channels heard by an endpoint that takes one recording a call; to a host elsewhere side by side."""
    found: dict[int, FinishedCall] = {}
    share = replace(job, step=split_estimate(job.step, len(sounds)))

    async def hear(place: int) -> None:
        found[place] = await call(replace(share, sound=sounds[place]))

    at_once = 1 if job.endpoint.host.zone in NEAR else len(sounds)
    await run_all([partial(hear, place) for place in range(len(sounds))], at_once)
    dones = [found[place] for place in range(len(sounds))]
    left, right = (done.made.transcript or Transcript() for done in dones)
    return FinishedCall(
        made=CallResult(transcript=merge_channels(left, right)),
        actual=combine_actuals(job.step, [done.actual for done in dones]),
    )
