"""Large images in tiles: every pixel is seen, and what two tiles saw is one line."""

from __future__ import annotations

import itertools

import pytest

from intermodal.local.embedded.ocr import Corners, join_tile_boxes, tiles
from intermodal.media.media_limits import READ_WHOLE, TILE_OVERLAP, TILE_SIDE, read_megapixels, shrink_to_read


def box(x0: float, y0: float, x1: float, y1: float) -> Corners:
    return (x0, y0), (x1, y0), (x1, y1), (x0, y1)


@pytest.mark.parametrize("size", [(1000, 12000), (2480, 3508), (6000, 500), (1600, 1600), (1601, 1), (40, 30)])
def test_tiles_cover_the_picture_and_overlap(size: tuple[int, int]) -> None:
    width, height = size
    found = tiles(width, height)
    assert all(0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height for x0, y0, x1, y1 in found)
    assert all(x1 - x0 <= TILE_SIDE and y1 - y0 <= TILE_SIDE for x0, y0, x1, y1 in found)
    for axis, length in ((0, width), (1, height)):
        stretches = sorted({(tile[axis], tile[axis + 2]) for tile in found})
        assert stretches[0][0] == 0
        assert stretches[-1][1] == length
        assert all(end - begin >= TILE_OVERLAP for (_, end), (begin, _) in itertools.pairwise(stretches))


def test_a_line_that_two_tiles_saw_is_one() -> None:
    whole, again = box(100, 1450, 700, 1480), box(101, 1451, 699, 1481)
    (found,) = join_tile_boxes([[whole], [again]])
    assert found[0] == pytest.approx((100, 1450))
    assert found[2] == pytest.approx((700, 1481))


def test_a_line_cut_through_its_letters_is_taken_from_the_tile_that_has_it_whole() -> None:
    (found,) = join_tile_boxes([[box(100, 1585, 700, 1600)], [box(100, 1585, 700, 1620)]])
    assert found == box(100, 1585, 700, 1620)


def test_a_line_cut_across_is_put_together_and_its_neighbours_are_left_alone() -> None:
    one = [box(900, 50, 1600, 80), box(900, 90, 1500, 120)]
    other = [box(1400, 51, 2300, 81), box(1700, 90, 2300, 120)]
    found = sorted(join_tile_boxes([one, other]))
    assert [corners[0][0] for corners in found] == [900, 900, 1700]
    assert found[0][2] == pytest.approx((2300, 81))


def test_lines_of_one_tile_are_never_put_together() -> None:
    lines = [box(0, 0, 100, 30), box(0, 20, 100, 50)]
    assert sorted(join_tile_boxes([lines])) == sorted(lines)


@pytest.mark.parametrize("size", [(1000, 12000), (2480, 3508), (6000, 500), (2001, 1900), (8000, 5000), (1240, 1755)])
def test_what_is_priced_covers_the_tiles(size: tuple[int, int]) -> None:
    seen = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in tiles(*size)) / 1e6
    shrunk = size[0] * size[1] * shrink_to_read(*size) ** 2 / 1e6
    assert shrunk <= READ_WHOLE**2 / 1e6, "memory is bounded by it"
    low, mid, high = read_megapixels(*size)
    assert low == mid <= high
    assert max(shrunk, seen) <= high * 1.0001
    assert shrunk or seen <= mid * 1.0001, "a long image is never looked at twice"


def test_a_picture_of_ordinary_size_is_priced_by_its_own_megapixels() -> None:
    """As finished readings are counted, from which the next ones are estimated."""
    assert read_megapixels(1240, 1755)[:2] == (1240 * 1755 / 1e6,) * 2
    assert read_megapixels(700, 500) == (0.35, 0.35, 0.35)
