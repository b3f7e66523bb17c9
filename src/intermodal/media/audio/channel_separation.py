"""Detect whether the two channels of a recording carry different voices, as in a call recorded at both ends. Runs in
the worker.

Two numbers decide, over the first minutes at 4 kHz: the similarity of the channels' waves (a mix of one scene: near 1;
two telephones: near 0), and of the rise and fall of their levels (two microphones in one room agree in that, even where
their waves differ; people in a conversation take turns).

On a telephone each side hears a little of the other. Speech recognition of one channel would transcribe that too,
badly, as this speaker's words; so sound that is on a channel only because it is loud on the other is silenced
(``leaked_stretches``).
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

Stretches = list[tuple[float, float]]  # from and until which seconds

_RATE = 4_000  # Hz: most of a voice's energy lies below 2 kHz
_SECONDS = 120  # analysed: people speak within two minutes
_FRAME = _RATE // 20
_FAINTEST = 2.0  # root mean square, of 32,768, from which on a channel is not silent
_SPOKEN = 0.05  # share of the frames in which each channel has to be active
_BELOW = 30.0  # decibels below the loud frames of its channel from which on one is active
_SPEAKS = 0.2  # of the level of its loud frames, from which on a channel has a speaker
# A frame is crosstalk if its level, relative to the loud frames of its channel, is below _LEAKS of the other's; or if
# its absolute level is below _LEAKS_LOUD of the other's, and below _OWN of its channel's loud frames: a loud voice that
# leaks to a faint one never comes near the faint one's own level.
_LEAKS, _LEAKS_LOUD, _OWN = 0.25, 0.1, 0.5
_AROUND = 4  # frames in which the other may have been loud: its echo is late
_LEAST = 12  # frames in a row of which that is so, those around among them; a syllable may be fainter
_ALIKE, _TOGETHER = 0.3, 0.4  # correlations of waves and of levels below which channels are different


def channels_differ(box: Any, stream: Any) -> bool:
    """Return whether an opened recording of two channels has a voice on each. Reads from the container's present
    position.
    """
    left, right = _sampled(box, stream)
    return voices_differ(left, right)


def voices_differ(left: Sequence[int], right: Sequence[int]) -> bool:
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


class ChannelLevels:
    """The levels of both channels of a recording, collected frame by frame as it is decoded."""

    def __init__(self) -> None:
        self._resampler = _resampler()
        self._levels: tuple[list[float], list[float]] = ([], [])
        self._kept = array("h"), array("h")  # samples that have no level yet

    def add(self, frame: Any) -> None:
        """Add a decoded frame."""
        for piece in self._resampler.resample(frame):
            for some, channel, plane in zip(self._levels, self._kept, piece.planes, strict=False):
                channel.frombytes(bytes(plane)[: 2 * piece.samples])
                if len(channel) >= 64 * _FRAME:
                    some += _levels(channel)
                    del channel[: len(channel) // _FRAME * _FRAME]

    def leaks(self) -> tuple[Stretches, Stretches]:
        """Return from and until which seconds each channel has only the other's voice on it."""
        left, right = [[*some, *_levels(channel)] for some, channel in zip(self._levels, self._kept, strict=True)]
        return leaked_stretches(left, right), leaked_stretches(right, left)


def leaked_stretches(own: Sequence[float], other: Sequence[float]) -> Stretches:
    """From and until which seconds a channel has nothing but the other's voice, by the levels of both."""
    scales = [_loud(each) for each in (own, other)]
    if min(scales) < _FAINTEST:
        return []
    found: Stretches = []
    begins = -1
    for place in range(len(own) + 1):
        around = max(other[max(0, place - _AROUND) : place + _AROUND + 1], default=0.0)
        if place < len(own) and _is_faint(own[place], scales[0], around, scales[1]):
            begins = place if begins < 0 else begins
            continue
        if begins >= 0 and place - begins >= _LEAST:
            first = begins + _AROUND if begins else 0
            last = place - _AROUND if place < len(own) else place
            found.append((first * _FRAME / _RATE, last * _FRAME / _RATE))
        begins = -1
    return found


def _is_faint(own: float, loud: float, around: float, loud_there: float) -> bool:
    """Return whether a frame of one channel is only crosstalk of the other, by levels and those of loud frames."""
    there, here = around / loud_there, own / loud
    return there >= _SPEAKS and (here < _LEAKS * there or (own < _LEAKS_LOUD * around and here < _OWN))


def _loud(levels: Sequence[float]) -> float:
    """The level of the loudest twentieth of the frames; 0 where there is none."""
    return sorted(levels)[int(0.95 * (len(levels) - 1))] if levels else 0.0


def _levels(samples: Sequence[int]) -> list[float]:
    """The root mean square of each twentieth of a second."""
    frames = (samples[start : start + _FRAME] for start in range(0, len(samples) - _FRAME + 1, _FRAME))
    return [math.sqrt(sum(map(mul, frame, frame)) / _FRAME) for frame in frames]


def _active(levels: Sequence[float]) -> list[bool]:
    """Return the frames with speech; [] for a channel without any."""
    if not levels:
        return []
    loud = _loud(levels)
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
    channels = array("h"), array("h")
    resampler = _resampler()
    for frame in container.frames(box, stream, "sound"):
        for piece in resampler.resample(frame):
            for channel, plane in zip(channels, piece.planes, strict=False):
                channel.frombytes(bytes(plane)[: 2 * piece.samples])
        if len(channels[0]) >= _SECONDS * _RATE:
            break
    return channels


def _resampler() -> Any:
    """Return what makes both channels of decoded frames 4 kHz."""
    return av.AudioResampler(format="s16p", layout="stereo", rate=_RATE)
