"""Scenes are chosen from differences alone: here the samples are numbers and a difference is their distance."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from intermodal.media.video import scenes


def chosen(
    values: list[float], *, every: float = 0.2, most: int = 12, blank: float = -1.0
) -> list[tuple[float, float]]:
    """(value shown, from when) of each scene of samples ``every`` seconds apart."""
    times = [number * every for number in range(len(values))]

    def differ(one: int, other: int) -> float:
        return abs(values[one] - values[other])

    found = scenes.choose_scenes(times, len(values) * every, differ, lambda place: values[place] == blank, most)
    assert [scene.at for scene in found] == sorted(scene.at for scene in found)
    assert all(scene.at < scene.until for scene in found)
    assert len(found) <= most
    return [(values[scene.index], round(scene.at, 1)) for scene in found]


def test_each_still_scene_is_shown_once_from_where_it_begins() -> None:
    assert chosen([10] * 20 + [90] * 20 + [30] * 20) == [(10, 0.0), (90, 4.0), (30, 8.0)]


def test_a_line_that_appears_on_a_still_slide_is_a_scene_and_the_same_change_in_lively_film_is_none() -> None:
    assert len(chosen([10.0] * 20 + [17.0] * 20)) == 2
    chance = random.Random(4)
    lively = [50 + 4.0 * (-1) ** number + chance.random() for number in range(40)]
    assert len(chosen(lively)) == 1


def scenes_by_parts(parts: list[float]) -> int:
    """How many scenes there are of samples whose whole differs by 2 wherever a part differs."""
    times = [number * 0.2 for number in range(len(parts))]

    def part(one: int, other: int) -> float:
        return abs(parts[one] - parts[other])

    def whole(one: int, other: int) -> float:
        return 2.0 if part(one, other) else 0.0

    return len(scenes.choose_scenes(times, len(times) * 0.2, whole, lambda place: False, 12, part=part))


def test_a_number_that_is_another_on_a_still_slide_is_a_scene() -> None:
    assert scenes_by_parts([0.0] * 20 + [20.0] * 20 + [45.0] * 20) == 3


def test_a_face_that_talks_in_a_corner_and_a_cursor_that_blinks_are_no_scenes() -> None:
    chance = random.Random(7)
    assert scenes_by_parts([chance.uniform(0, 60) for _ in range(60)]) <= 2
    assert scenes_by_parts([0.0, 4.0] * 30) == 1


def test_a_fade_shows_both_its_ends_and_nothing_between() -> None:
    fade = [10.0] * 20 + [10 + 10 * step for step in range(1, 8)] + [90.0] * 20
    assert [value for value, _ in chosen(fade)] == [10, 90]


def test_a_flash_is_no_scene() -> None:
    assert chosen([10] * 20 + [250] + [10] * 20) == [(10, 0.0)]


def test_equal_neighbours_are_one_and_equal_scenes_apart_are_two() -> None:
    assert [value for value, _ in chosen([10] * 20 + [90] * 20 + [11] * 20)] == [10, 90, 11]


def test_blank_pictures_are_left_out_unless_there_is_nothing_else() -> None:
    assert [value for value, _ in chosen([10] * 20 + [0] * 20 + [90] * 20, blank=0)] == [10, 90]
    assert [value for value, _ in chosen([0] * 20, blank=0)] == [0]


def test_a_scene_that_changes_slowly_gets_further_pictures() -> None:
    slow = [number * 1.0 for number in range(100)]  # 100 in 20 s
    found = chosen(slow)
    assert 3 <= len(found) <= 12
    assert all(later[1] - former[1] >= 1.5 - 1e-9 for former, later in pairwise(found))
    assert len(chosen([50.0] * 100)) == 1


def test_of_too_many_the_most_different_stay_in_order_of_time() -> None:
    values = [value for level in (10, 20, 30, 200, 40, 120) for value in [float(level)] * 10]
    assert [value for value, _ in chosen(values, most=3)] == [10, 200, 120]
    assert [value for value, _ in chosen(values, most=1)] == [10]


def test_a_picture_is_never_taken_from_the_edge_of_a_longer_scene() -> None:
    values = [10.0] * 20 + [88.0, 90.0, 90.0, 90.0, 90.0, 90.0, 92.0] + [10.0] * 20
    assert chosen(values)[1][0] == 90


@pytest.mark.parametrize("seed", range(20))
def test_any_samples_give_scenes_that_cover_their_time_in_order(seed: int) -> None:
    chance = random.Random(seed)
    values = [float(chance.randint(0, 255)) for _ in range(chance.randint(1, 80))]
    assert chosen(values, every=chance.choice((0.04, 0.2, 5.0)), most=chance.randint(1, 20))


def test_nothing_seen_gives_no_scene() -> None:
    assert chosen([]) == []


# ---- cuts, from the header -----------------------------------------------------------------------


def test_a_key_frame_that_comes_early_is_a_cut() -> None:
    assert scenes.cuts_from_key_frames((0.0, 10.0, 13.2, 23.2, 33.2, 35.0), 25) == (13.2, 35.0)
    assert scenes.cuts_from_key_frames((0.0, 3.8, 7.4), 5) == (3.8, 7.4)


def test_key_frames_at_a_beat_tell_nothing() -> None:
    assert scenes.cuts_from_key_frames((0.0, 2.0, 4.0, 6.0), 30) == ()
    assert scenes.cuts_from_key_frames((0.0, 10.0), 25) == ()  # 250 frames: x264's longest interval
    assert scenes.cuts_from_key_frames((0.0,), 25) == ()


def test_a_frame_as_large_as_a_key_frame_among_small_ones_is_a_cut() -> None:
    sizes = [100] * 50
    sizes[20] = 4_000
    sizes[30] = 300  # three times its neighbours, and small
    times = [number / 10 for number in range(50)]
    assert scenes.bursts_from_sizes(times, sizes, 10_000) == (2.0,)
    assert scenes.bursts_from_sizes(times, [5_000] * 50, 10_000) == (), "lively throughout"


def test_signs_of_the_same_cut_are_one() -> None:
    assert scenes.merge_cuts((2.0, 9.0), (1.8, 5.0), (0.0,)) == (1.8, 5.0, 9.0)
