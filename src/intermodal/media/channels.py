"""Whether the two channels of a recording carry different voices, inside the worker: a call recorded at both ends.

Two numbers tell, over the first minutes at 4 kHz: how alike the channels are as waves (a mix of one scene: near 1; two
telephones: near 0), and how alike they grow loud and fall silent (two microphones in one room do together, even where
their waves differ; people who talk to each other take turns, and who talks over somebody does it by chance).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from operator import mul
from typing import Any

import av
import av.audio.resampler

from intermodal.media import container

_RATE = 4_000  # Hz: what a voice has most of lies below 2 kHz
_SECONDS = 120  # looked at: people say something in two minutes
_FRAME = _RATE // 20
_FAINTEST = 2.0  # root mean square, of 32,768, from which on a channel is not silent
_SPOKEN = 0.05  # share of the frames in which each channel has to be active
_BELOW = 30.0  # decibels below the loud frames of its channel from which on one is active
_ALIKE, _TOGETHER = 0.3, 0.4  # correlations of waves and of levels below which channels are different


def differ(box: Any, stream: Any) -> bool:
    """Whether an opened recording of two channels has a voice on each. Reads from where the container stands."""
    left, right = _sampled(box, stream)
    return are_different(left, right)


def are_different(left: Sequence[int], right: Sequence[int]) -> bool:
    """The same of samples at 4 kHz, one per channel."""
    levels = [_levels(channel) for channel in (left, right)]
    active = [_active(each) for each in levels]
    if not all(active) or any(sum(each) < _SPOKEN * len(each) for each in active):
        return False
    power = math.sqrt(sum(map(mul, left, left)) * sum(map(mul, right, right)))
    if abs(sum(map(mul, left, right))) > _ALIKE * power:
        return False
    spoken = [place for place in range(len(active[0])) if active[0][place] or active[1][place]]
    heights = [[math.log10(each[place] + 1.0) for place in spoken] for each in levels]
    return _correlation(*heights) < _TOGETHER


def _levels(samples: Sequence[int]) -> list[float]:
    """The root mean square of each twentieth of a second."""
    frames = (samples[start : start + _FRAME] for start in range(0, len(samples) - _FRAME + 1, _FRAME))
    return [math.sqrt(sum(map(mul, frame, frame)) / _FRAME) for frame in frames]


def _active(levels: Sequence[float]) -> list[bool]:
    """Which frames somebody may speak in; [] of a channel in which nobody does."""
    if not levels:
        return []
    loud = sorted(levels)[int(0.95 * (len(levels) - 1))]
    least = max(_FAINTEST, loud * 10 ** (-_BELOW / 20))
    return [level >= least for level in levels] if loud >= _FAINTEST else []


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's; 1 where either does not vary."""
    count = len(one)
    mean, beside = sum(one) / count, sum(other) / count
    apart = sum((a - mean) * (b - beside) for a, b in zip(one, other, strict=True))
    spread = math.sqrt(sum((a - mean) ** 2 for a in one) * sum((b - beside) ** 2 for b in other))
    return apart / spread if spread else 1.0


def _sampled(box: Any, stream: Any) -> tuple[array[int], array[int]]:
    """The first minutes of both channels, at 4 kHz."""
    resampler = av.AudioResampler(format="s16p", layout="stereo", rate=_RATE)
    channels = array("h"), array("h")
    for frame in container.frames(box, stream, "sound"):
        for piece in resampler.resample(frame):
            for channel, plane in zip(channels, piece.planes, strict=False):
                channel.frombytes(bytes(plane)[: 2 * piece.samples])
        if len(channels[0]) >= _SECONDS * _RATE:
            break
    return channels
