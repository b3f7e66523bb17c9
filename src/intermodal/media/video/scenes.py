"""Which frames of a video or an animation show another scene, by their differences; and how frames are spread. Pure.

A difference is the root mean square over 64 x 36 points and three colours, 0 (equal) to 255 (black against white).
It is measured: compression noise 0 to 1, one more line on a slide 5 to 14, another slide 18 to 25, a face that talks
3 to 15, a camera that pans 5 to 38 in a fifth of a second, a cut between photographs 60 to 130.

The mean square rather than the mean, so that a line that appears weighs more than noise everywhere. A change in one
place only, a number or a name on a slide, is lost in the whole; so the largest difference of one of 48 parts of the
picture counts too where all of it stands still otherwise: measured 20 to 26 for a short line that is another one. A
face that talks in a corner moves as much all the time, and is no cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from intermodal.content import Value
from intermodal.errors import UsageError

GRID = (64, 36)
PART = (8, 6)  # of these points: the cells of a picture that are compared separately
_SAME = 3.0  # differences up to this: the same picture again
_CUT_LEAST = 6.0  # less is never a cut, however still it was before
_CUT_SURE = 45.0  # more always is, however lively it is
_CUT_RATIO = 3.5  # times the usual difference around
_PART_LEAST = 12.0  # of a part, from which on it is a cut though the whole hardly changed
_AROUND = 8  # samples before and after that give the usual difference
_DRIFT_LEAST, _DRIFT_MOST, _DRIFT_RATIO = 9.0, 30.0, 6.0  # from a scene's start, before it gets another picture
_SCENE_LEAST = 0.6  # seconds; shorter is a fade or a flash between scenes
_PASSAGE_MOST = 2.0  # seconds of such in a row
_STAY_LEAST = 1.5  # seconds between two pictures of one scene

_BURST_SHARE = 0.15  # of a key frame's bytes, for a frame that begins a scene
_BURST_RATIO = 4.0  # times the bytes of the frames around it
_BURST_AROUND = 12

Difference = Callable[[int, int], float]


class Scene(Value):
    """A scene. Sample ``index`` represents it from ``at`` to ``until`` (seconds)."""

    index: int
    at: float
    until: float


def _nowhere(one: int, other: int) -> float:
    return 0.0


def choose_scenes(
    times: Sequence[float],
    end: float,
    differ: Difference,
    blank: Callable[[int], bool],
    most: int,
    *,
    part: Difference = _nowhere,
) -> list[Scene]:
    """``every`` scene; of more than ``most`` those that are most different."""
    return most_different(all_scenes(times, end, differ, blank, part=part), differ, most)


def all_scenes(
    times: Sequence[float], end: float, differ: Difference, blank: Callable[[int], bool], *, part: Difference = _nowhere
) -> list[Scene]:
    """The scenes of samples taken at ``times`` (seconds, rising) of something that ends at ``end``, in order.

    ``differ`` is of whole samples, ``part`` of that part of them which differs most. Equal neighbours are one; blank
    ones (black, white) are left out.
    """
    if not times:
        return []
    steps = [0.0, *(differ(place - 1, place) for place in range(1, len(times)))]
    usual = [_usual(steps, place) for place in range(len(steps))]
    spots = _changed_in_part([0.0, *(part(place - 1, place) for place in range(1, len(times)))])
    starts = _parts(times, steps, usual, spots, differ)
    found = []
    for number, start in enumerate(starts):
        stop = starts[number + 1] if number + 1 < len(starts) else len(times)
        until = times[stop] if stop < len(times) else max(end, times[-1])
        found.append(Scene(index=_stillest(steps, start, stop), at=times[start], until=until))
    seen = [scene for scene in found if not blank(scene.index)] or found[:1]
    return _apart(seen, differ, part)


def _usual(steps: Sequence[float], place: int) -> float:
    around = [*steps[max(1, place - _AROUND) : place], *steps[place + 1 : place + 1 + _AROUND]]
    return median(around) if around else 0.0


def _changed_in_part(steps: Sequence[float]) -> frozenset[int]:
    """Samples that differ from the one before in one part, where parts hardly differ otherwise."""
    return frozenset(
        place for place, step in enumerate(steps) if step >= _PART_LEAST and step >= _CUT_RATIO * _usual(steps, place)
    )


def _parts(
    times: Sequence[float], steps: Sequence[float], usual: Sequence[float], spots: frozenset[int], differ: Difference
) -> list[int]:
    """Where scenes begin, and where one that changed slowly gets another picture."""
    starts, passage = [0], 0.0
    for place in range(1, len(times)):
        start = starts[-1]
        if place in spots or steps[place] >= min(_CUT_SURE, max(_CUT_LEAST, _CUT_RATIO * usual[place])):
            short = times[place] - times[start] < _SCENE_LEAST
            if short and times[place] - passage < _PASSAGE_MOST:
                starts[-1] = place  # the previous start was no scene
            else:
                starts.append(place)
                passage = times[place]
        elif times[place] - times[start] >= _STAY_LEAST:
            drift = min(_DRIFT_MOST, max(_DRIFT_LEAST, _DRIFT_RATIO * usual[place]))
            if differ(start, place) >= drift:
                starts.append(place)
                passage = times[place]
    return starts


def _stillest(steps: Sequence[float], start: int, stop: int) -> int:
    """The sample of a scene that its neighbours resemble most; of several, that nearest its middle."""
    inner = range(start + 1, stop - 1) if stop - start >= 3 else range(start, stop)

    def unrest(place: int) -> float:
        before = steps[place] if place > start else 0.0
        after = steps[place + 1] if place + 1 < stop else 0.0
        return max(before, after)

    calm = min(unrest(place) for place in inner) + 1.0
    middle = (start + stop - 1) / 2
    return min((place for place in inner if unrest(place) <= calm), key=lambda place: abs(place - middle))


def _apart(scenes: Sequence[Scene], differ: Difference, part: Difference) -> list[Scene]:
    """Neighbours that look the same made one."""
    kept: list[Scene] = []
    for scene in scenes:
        if kept and _are_same(kept[-1].index, scene.index, differ, part):
            kept[-1] = Scene(index=kept[-1].index, at=kept[-1].at, until=scene.until)
        else:
            kept.append(scene)
    return kept


def _are_same(one: int, other: int, differ: Difference, part: Difference) -> bool:
    return differ(one, other) <= _SAME and part(one, other) < _PART_LEAST


def most_different(scenes: list[Scene], differ: Difference, most: int) -> list[Scene]:
    """At most so many: the first, then again and again the one that is least like all taken (Gonzalez, 1985)."""
    if len(scenes) <= most:
        return scenes
    taken = {0}
    nearest = [differ(scenes[0].index, scene.index) for scene in scenes]
    while len(taken) < most:
        best = max((place for place in range(len(scenes)) if place not in taken), key=lambda place: nearest[place])
        taken.add(best)
        for place, scene in enumerate(scenes):
            nearest[place] = min(nearest[place], differ(scenes[best].index, scene.index))
    return [scenes[place] for place in sorted(taken)]


def cuts_from_key_frames(keys: Sequence[float], fps: float) -> tuple[float, ...]:
    """Of the times of key frames, those at which the picture probably changes to another scene.

    Encoders set a key frame after so many frames at the latest, and earlier where the picture changes
    (x264's ``scenecut``; libvpx and SVT-AV1 do the same). So one that comes early is a cut. Where every
    interval is the same, nothing is known.
    """
    gaps = [after - before for before, after in pairwise(keys)]
    if not gaps:
        return ()
    frame = 0.6 / fps if fps > 0 else 0.02
    longest = max(gaps)
    regular = sum(longest - gap <= frame for gap in gaps) > 1 or _customary(longest, fps)
    limit = longest - frame if regular else float("inf")
    return tuple(round(key, 3) for gap, key in zip(gaps, keys[1:], strict=True) if gap < limit)


def bursts_from_sizes(times: Sequence[float], sizes: Sequence[int], key_size: float) -> tuple[float, ...]:
    """Return the times of frames between key frames that need about as many bytes as one: little of the picture before
    remains.

    ``key_size`` is the usual size of a key frame. Encoders that leave out early key frames (fixed intervals, fast
    presets, cuts in quick succession) still pay for a cut in bytes.
    """
    found: list[float] = []
    for place, size in enumerate(sizes):
        if size < _BURST_SHARE * key_size or times[place] <= 0:
            continue
        around = [*sizes[max(0, place - _BURST_AROUND) : place], *sizes[place + 1 : place + 1 + _BURST_AROUND]]
        if around and size >= _BURST_RATIO * median(around):
            found.append(times[place])
    return tuple(found)


def merge_cuts(*several: Sequence[float]) -> tuple[float, ...]:
    """Return cuts from different signs, merged where they are closer than a scene can be."""
    kept: list[float] = []
    for time in sorted(time for times in several for time in times):
        if time > _SCENE_LEAST / 2 and (not kept or time - kept[-1] >= _SCENE_LEAST):
            kept.append(time)
    return tuple(round(time, 3) for time in kept)


def _customary(gap: float, fps: float) -> bool:
    """Return whether encoders use this interval by default: whole seconds, or a round number of frames."""
    frames = gap * fps
    whole = abs(gap - round(gap)) < 0.02 and 1 <= round(gap) <= 10
    return whole or any(abs(frames - usual) < 0.6 for usual in (12, 15, 24, 48, 60, 96, 120, 128, 150, 240, 250, 300))


Report = Callable[[float | None, str], None]


class FrameRequest(Value):
    """A requested frame: the picture at ``moment`` represents ``at`` to ``until`` (seconds)."""

    moment: float
    at: float
    until: float


def sampling_rate(spread: str) -> float | None:
    """Frames a second of "0.5 fps", None for "scenes".

    >>> sampling_rate("0.5 fps"), sampling_rate("scenes")
    (0.5, None)
    """
    if spread == "scenes":
        return None
    number, _, unit = spread.partition(" ")
    try:
        rate = float(number)
    except ValueError:
        rate = 0.0
    if unit not in ("fps", "") or not 0 < rate < float("inf"):
        raise UsageError(f"frames cannot be spread by {spread!r}", todo='say "scenes", or a rate such as "0.5 fps"')
    return rate
