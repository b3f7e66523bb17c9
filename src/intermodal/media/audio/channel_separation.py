"""Detects whether the two channels of a recording carry different voices, as in a call recorded at both ends.

Runs in the worker. Two correlations over the first minutes at 4 kHz decide: that of the two waveforms (near 1 for a mix
of one scene, near 0 for two telephones), and that of the two level curves (two microphones in one room agree in level
even if their waveforms differ; in a conversation the speakers take turns).

On a telephone line, each side picks up a little of the other side. Speech recognition of one channel would attribute
this crosstalk to the wrong speaker, with many errors. Stretches of a channel that contain nothing but crosstalk are
therefore silenced (``leaked_stretches``).
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

Stretches = list[tuple[float, float]]  # start and end, in seconds

_RATE = 4_000  # Hz; most of the energy of a voice lies below 2 kHz
_SECONDS = 120  # analysed from the start: both people speak within two minutes
_FRAME = _RATE // 20
_FAINTEST = 2.0  # root mean square, of 32,768; a channel below it is silent
_SPOKEN = 0.05  # least share of frames in which each channel must be active
_BELOW = 30.0  # decibels below the loud frames of a channel; a frame above this is active
_SPEAKS = 0.2  # of the level of its loud frames: from here on a channel counts as speaking
# A frame is crosstalk if its level, relative to the loud frames of its channel, is below _LEAKS of the other's; or if
# its absolute level is below _LEAKS_LOUD of the other's, and below _OWN of its channel's loud frames: a loud voice that
# leaks to a faint one never comes near the faint one's own level.
_LEAKS, _LEAKS_LOUD, _OWN = 0.25, 0.1, 0.5
_AROUND = 4  # frames before and after in which the other channel may have been loud: its echo is late
_LEAST = 12  # consecutive crosstalk frames required, including those around; a syllable may be fainter
_ALIKE, _TOGETHER = 0.3, 0.4  # correlations of waveforms and of levels below which the channels are different


def channels_differ(box: Any, stream: Any) -> bool:
    """Return True if each channel of an opened two-channel recording has its own voice.

    Reads from the container's present position.
    """
    left, right = _read_samples(box, stream)
    return voices_differ(left, right)


def voices_differ(left: Sequence[int], right: Sequence[int]) -> bool:
    """Return True if each of two channels has its own voice. Both channels are samples at 4 kHz."""
    levels = [_levels(channel) for channel in (left, right)]
    active = [_active(each) for each in levels]
    if not all(active) or any(sum(each) < _SPOKEN * len(each) for each in active):
        return False
    power = math.sqrt(sum(map(mul, left, left)) * sum(map(mul, right, right)))
    if abs(sum(map(mul, left, right))) > _ALIKE * power:
        return False
    active_frames = [place for place in range(len(active[0])) if active[0][place] or active[1][place]]
    heights = [[math.log10(each[place] + 1.0) for place in active_frames] for each in levels]
    return _correlation(*heights) < _TOGETHER


class ChannelLevels:
    """The levels of both channels of a recording, collected frame by frame as it is decoded."""

    def __init__(self) -> None:
        self._resampler = _resampler()
        self._levels: tuple[list[float], list[float]] = ([], [])
        self._pending_samples = array("h"), array("h")  # samples that have no level yet

    def add(self, frame: Any) -> None:
        """Add a decoded frame."""
        for piece in self._resampler.resample(frame):
            for some, channel, plane in zip(self._levels, self._pending_samples, piece.planes, strict=False):
                channel.frombytes(bytes(plane)[: 2 * piece.samples])
                if len(channel) >= 64 * _FRAME:
                    some += _levels(channel)
                    del channel[: len(channel) // _FRAME * _FRAME]

    def leaks(self) -> tuple[Stretches, Stretches]:
        """Return the stretches of each channel that contain nothing but crosstalk, as (start, end) in seconds."""
        left, right = [
            [*some, *_levels(channel)] for some, channel in zip(self._levels, self._pending_samples, strict=True)
        ]
        return leaked_stretches(left, right), leaked_stretches(right, left)


def leaked_stretches(own: Sequence[float], other: Sequence[float]) -> Stretches:
    """Return the stretches of a channel that contain nothing but the other channel's voice, as (start, end) in seconds.

    ``own`` and ``other`` are the levels of the two channels, per frame.
    """
    scales = [_loud_level(each) for each in (own, other)]
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
    """Return True if a frame of one channel is only crosstalk.

    ``own`` and ``around`` are the levels of the frame and of the other channel around it, ``loud`` and ``loud_there``
    those of the loud frames of each channel.
    """
    other_share, own_share = around / loud_there, own / loud
    return other_share >= _SPEAKS and (
        own_share < _LEAKS * other_share or (own < _LEAKS_LOUD * around and own_share < _OWN)
    )


def _loud_level(levels: Sequence[float]) -> float:
    """Return the level that a twentieth of the frames exceed, 0 if there are no frames."""
    return sorted(levels)[int(0.95 * (len(levels) - 1))] if levels else 0.0


def _levels(samples: Sequence[int]) -> list[float]:
    """Return the root mean square of each twentieth of a second."""
    frames = (samples[start : start + _FRAME] for start in range(0, len(samples) - _FRAME + 1, _FRAME))
    return [math.sqrt(sum(map(mul, frame, frame)) / _FRAME) for frame in frames]


def _active(levels: Sequence[float]) -> list[bool]:
    """Return for each frame whether it contains speech, [] if the channel is silent."""
    if not levels:
        return []
    loud = _loud_level(levels)
    least = max(_FAINTEST, loud * 10 ** (-_BELOW / 20))
    return [level >= least for level in levels] if loud >= _FAINTEST else []


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the Pearson correlation of two sequences, 1 if either is constant."""
    count = len(first)
    first_mean, second_mean = sum(first) / count, sum(second) / count
    covariance = sum((a - first_mean) * (b - second_mean) for a, b in zip(first, second, strict=True))
    spread = math.sqrt(sum((a - first_mean) ** 2 for a in first) * sum((b - second_mean) ** 2 for b in second))
    return covariance / spread if spread else 1.0


def _read_samples(box: Any, stream: Any) -> tuple[array[int], array[int]]:
    """Return the samples of the first two minutes of both channels, at 4 kHz."""
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
    """Return a resampler that converts decoded frames to two channels at 4 kHz."""
    return av.AudioResampler(format="s16p", layout="stereo", rate=_RATE)
