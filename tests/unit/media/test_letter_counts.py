"""Letters are counted from afar: by their edges, whatever their size, and not where there are none."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw, ImageFont

from intermodal.media.image import letter_counts
from intermodal.media.image.decoder import text_density

WORDS = "The harbour master counted 482 crates of copper wire in Rotterdam before noon."
SIGNS = len(WORDS.replace(" ", ""))


def page(size: int, lines: int, *, columns: int = 1, ink: str = "black") -> Image.Image:
    image = Image.new("L", (1240, 1754), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    for column in range(columns):
        for line in range(lines):
            pen.text((60 + column * 620, 60 + line * size * 1.5), WORDS, fill=ink, font=font)
    return image


@pytest.mark.parametrize("size", [16, 20, 26, 32])
@pytest.mark.parametrize("lines", [3, 20])
def test_letters_of_every_size_are_counted_within_a_factor_of_1_6(size: int, lines: int) -> None:
    found = letter_counts.count_letters(page(size, lines))
    assert 1 / 1.6 <= found.mid / (lines * SIGNS) <= 1.6
    assert found.low <= lines * SIGNS <= found.high


def test_two_columns_hold_twice_as_much_as_one() -> None:
    one, two = letter_counts.count_letters(page(14, 30)).mid, letter_counts.count_letters(page(14, 30, columns=2)).mid
    assert two == pytest.approx(2 * one, rel=0.25)


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270])
def test_writing_on_its_side_has_as_many_letters(turn: Image.Transpose) -> None:
    upright = page(20, 30)
    lying = letter_counts.count_letters(upright.transpose(turn))
    assert lying.mid == pytest.approx(letter_counts.count_letters(upright).mid, rel=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 12])
def test_a_long_screenshot_has_the_letters_of_all_its_screens(count: int) -> None:
    screen = page(20, 50)
    long = Image.new("L", (screen.width, screen.height * count), "white")
    for place in range(count):
        long.paste(screen, (0, screen.height * place))
    assert letter_counts.count_letters(long).mid == pytest.approx(
        letter_counts.count_letters(screen).mid * count, rel=0.25
    )
    assert text_density(long).mid == pytest.approx(text_density(screen).mid, rel=0.25)


def test_an_empty_page_has_no_letters() -> None:
    assert letter_counts.count_letters(Image.new("L", (1240, 1754), 250)).mid == 0


def test_what_does_not_look_written_may_have_none() -> None:
    noise = Image.effect_noise((800, 600), 60)
    found = letter_counts.count_letters(noise, looks_written=False)
    assert found.low == 0 and found.mid <= 30


def test_a_tiny_picture_is_no_reason_to_fail() -> None:
    assert letter_counts.count_letters(Image.new("L", (1, 1))).mid == 0
