"""Detects scenes of a video or an animation from differences of frames, and distributes frames over it. Pure.

A difference is the root mean square over 64 x 36 points and three colours, 0 (equal) to 255 (black against white).
Measured values are: compression noise 0 to 1, one more line on a slide 5 to 14, another slide 18 to 25, a talking face
3 to 15, a panning camera 5 to 38 in a fifth of a second, a cut between photographs 60 to 130.

The mean square is used instead of the mean, so that a new line weighs more than noise everywhere. A change in one place
only, such as a number or a name on a slide, is lost in the whole image. The largest difference of 48 parts of the image
is therefore used too, if the image stands still otherwise: measured 20 to 26 for another short line. A talking face in
a corner moves as much all the time and is not a cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from intermodal.core.content import Value
from intermodal.errors import UsageError

GRID = (64, 36)
PART = (8, 6)  # of these points: size of the parts of an image that are compared separately
_SAME = 3.0  # differences up to this: the same image
_CUT_LEAST = 6.0  # smaller differences are never cuts
_CUT_SURE = 45.0  # larger differences always are cuts
_CUT_RATIO = 3.5  # ratio to the usual difference around a frame
_PART_LEAST = 12.0  # difference of a part from which on it is a cut although the whole image hardly changed
_AROUND = 8  # samples before and after that determine the usual difference
_DRIFT_LEAST, _DRIFT_MOST, _DRIFT_RATIO = 9.0, 30.0, 6.0  # from the start of a scene, before it gets another image
_SCENE_LEAST = 0.6  # seconds; anything shorter is a fade or a flash between scenes
_PASSAGE_MOST = 2.0  # seconds of such fades in a row
_STAY_LEAST = 1.5  # seconds between two images of one scene

_BURST_SHARE = 0.15  # of a key frame's bytes, for a frame that begins a scene
_BURST_RATIO = 4.0  # ratio to the bytes of the frames around it
_BURST_AROUND = 12

Difference = Callable[[int, int], float]


class Scene(Value):
    """A scene from ``at`` to ``until`` (seconds), represented by sample ``index``."""

    index: int
    at: float
    until: float


def _unmatched_share(first: int, second: int) -> float:
    return 0.0


def choose_scenes(
    times: Sequence[float],
    end: float,
    differ: Difference,
    blank: Callable[[int], bool],
    most: int,
    *,
    part: Difference = _unmatched_share,
) -> list[Scene]:
    """Return the scenes as ``all_scenes`` does; if there are more than ``most``, the most different ones."""
    return most_different(all_scenes(times, end, differ, blank, part=part), differ, most)


def all_scenes(
    times: Sequence[float],
    end: float,
    differ: Difference,
    blank: Callable[[int], bool],
    *,
    part: Difference = _unmatched_share,
) -> list[Scene]:
    """Return the scenes of samples taken at ascending ``times`` (seconds), in order.

    ``end``: end of the video; ``differ``: difference of whole samples; ``part``: difference of the part that differs
    most. Equal neighbours are merged; blank scenes (black, white) are left out.
    """
    if not times:
        return []
    steps = [0.0, *(differ(place - 1, place) for place in range(1, len(times)))]
    usual = [_usual_step(steps, place) for place in range(len(steps))]
    spots = _changed_in_part([0.0, *(part(place - 1, place) for place in range(1, len(times)))])
    starts = _scene_starts(times, steps, usual, spots, differ)
    found = []
    for number, start in enumerate(starts):
        stop = starts[number + 1] if number + 1 < len(starts) else len(times)
        until = times[stop] if stop < len(times) else max(end, times[-1])
        found.append(Scene(index=_stillest(steps, start, stop), at=times[start], until=until))
    visible = [scene for scene in found if not blank(scene.index)] or found[:1]
    return _merge_alike_neighbours(visible, differ, part)


def _usual_step(steps: Sequence[float], place: int) -> float:
    around = [*steps[max(1, place - _AROUND) : place], *steps[place + 1 : place + 1 + _AROUND]]
    return median(around) if around else 0.0


def _changed_in_part(steps: Sequence[float]) -> frozenset[int]:
    """Return the samples that differ from the previous one in one part, where parts hardly differ otherwise."""
    return frozenset(
        place
        for place, step in enumerate(steps)
        if step >= _PART_LEAST and step >= _CUT_RATIO * _usual_step(steps, place)
    )


def _scene_starts(
    times: Sequence[float], steps: Sequence[float], usual: Sequence[float], spots: frozenset[int], differ: Difference
) -> list[int]:
    """Return the samples at which a scene begins, or at which a slowly changing scene gets another image."""
    starts, passage = [0], 0.0
    for place in range(1, len(times)):
        start = starts[-1]
        if place in spots or steps[place] >= min(_CUT_SURE, max(_CUT_LEAST, _CUT_RATIO * usual[place])):
            short = times[place] - times[start] < _SCENE_LEAST
            if short and times[place] - passage < _PASSAGE_MOST:
                starts[-1] = place  # the previous start was not a scene
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
    """Return the sample of a scene that differs least from its neighbours.

    Among similar samples, the one nearest the middle of the scene is returned.
    """
    inner = range(start + 1, stop - 1) if stop - start >= 3 else range(start, stop)

    def unrest(place: int) -> float:
        before = steps[place] if place > start else 0.0
        after = steps[place + 1] if place + 1 < stop else 0.0
        return max(before, after)

    calm = min(unrest(place) for place in inner) + 1.0
    middle = (start + stop - 1) / 2
    return min((place for place in inner if unrest(place) <= calm), key=lambda place: abs(place - middle))


def _merge_alike_neighbours(scenes: Sequence[Scene], differ: Difference, part: Difference) -> list[Scene]:
    """Return the scenes with neighbours that look the same merged."""
    merged_scenes: list[Scene] = []
    for scene in scenes:
        if merged_scenes and _are_same(merged_scenes[-1].index, scene.index, differ, part):
            merged_scenes[-1] = Scene(index=merged_scenes[-1].index, at=merged_scenes[-1].at, until=scene.until)
        else:
            merged_scenes.append(scene)
    return merged_scenes


def _are_same(first: int, second: int, differ: Difference, part: Difference) -> bool:
    return differ(first, second) <= _SAME and part(first, second) < _PART_LEAST


def most_different(scenes: list[Scene], differ: Difference, most: int) -> list[Scene]:
    """Return at most ``most`` scenes that differ most.

    The first scene is chosen, then repeatedly the one least like all chosen so far (Gonzalez, 1985).
    """
    if len(scenes) <= most:
        return scenes
    chosen_indexes = {0}
    nearest = [differ(scenes[0].index, scene.index) for scene in scenes]
    while len(chosen_indexes) < most:
        best = max(
            (place for place in range(len(scenes)) if place not in chosen_indexes), key=lambda place: nearest[place]
        )
        chosen_indexes.add(best)
        for place, scene in enumerate(scenes):
            nearest[place] = min(nearest[place], differ(scenes[best].index, scene.index))
    return [scenes[place] for place in sorted(chosen_indexes)]


def cuts_from_key_frames(keys: Sequence[float], fps: float) -> tuple[float, ...]:
    """Return the times of key frames at which the scene probably changes.

    Encoders set a key frame after a fixed number of frames at the latest, and earlier where the image changes (x264's
    ``scenecut``; libvpx and SVT-AV1 do the same). An early key frame is therefore a cut. If all intervals are equal, no
    cuts are known.
    """
    gaps = [after - before for before, after in pairwise(keys)]
    if not gaps:
        return ()
    frame = 0.6 / fps if fps > 0 else 0.02
    longest = max(gaps)
    regular = sum(longest - gap <= frame for gap in gaps) > 1 or _is_default_interval(longest, fps)
    limit = longest - frame if regular else float("inf")
    return tuple(round(key, 3) for gap, key in zip(gaps, keys[1:], strict=True) if gap < limit)


def bursts_from_sizes(times: Sequence[float], sizes: Sequence[int], key_size: float) -> tuple[float, ...]:
    """Return the times of frames between key frames that are about as large as a key frame.

    Little of the previous image remains in such a frame. ``key_size``: usual size of a key frame. Encoders that omit
    early key frames (fixed intervals, fast presets, cuts in quick succession) still need the bytes for a cut.
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
    """Return cuts from different sources, merged if they are closer together than the shortest scene."""
    cuts: list[float] = []
    for time in sorted(time for times in several for time in times):
        if time > _SCENE_LEAST / 2 and (not cuts or time - cuts[-1] >= _SCENE_LEAST):
            cuts.append(time)
    return tuple(round(time, 3) for time in cuts)


def _is_default_interval(gap: float, fps: float) -> bool:
    """Return True if encoders use this interval by default: whole seconds, or a round number of frames."""
    frames = gap * fps
    whole_seconds = abs(gap - round(gap)) < 0.02 and 1 <= round(gap) <= 10
    return whole_seconds or any(
        abs(frames - usual) < 0.6 for usual in (12, 15, 24, 48, 60, 96, 120, 128, 150, 240, 250, 300)
    )


Report = Callable[[float | None, str], None]


class FrameRequest(Value):
    """A requested frame: the image at ``moment`` represents ``at`` to ``until`` (seconds)."""

    moment: float
    at: float
    until: float


def sampling_rate(spread: str) -> float | None:
    """Return the frames per second of "0.5 fps", None for "scenes". Raises UsageError for anything else.

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
