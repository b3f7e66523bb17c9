"""Images that tiny-eye was made for: coloured shapes, counts of them, charts, pages of print. Seeded, so repeatable.

Every image comes with the sentence that is true of it. ``sign`` adds words in print below a shape: the same image
can then be read and seen.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

Rgb = tuple[int, int, int]
Shape = Literal["circle", "square", "triangle", "star"]
Chart = Literal["bar", "line", "pie"]

COLOURS: Mapping[str, Rgb] = {
    "red": (220, 40, 40), "green": (40, 160, 60), "blue": (50, 80, 210), "yellow": (240, 210, 40),
    "orange": (240, 140, 30), "purple": (140, 60, 170), "pink": (240, 130, 180),
}  # fmt: skip
GROUNDS: Mapping[str, Rgb] = {"white": (250, 250, 250), "black": (15, 15, 15), "gray": (150, 150, 150)}
SHAPES: tuple[Shape, ...] = ("circle", "square", "triangle", "star")
NUMBERS = ("no", "one", "two", "three", "four")
PRINT = (
    "the total of this order is due by the end of the month", "freight from the northern quay to the inland terminal",
    "one container of spare parts and two of paper", "please pay the amount by transfer and name the number",
    "weight as declared by the sender at the gate", "delivered in good order before noon",
)  # fmt: skip


class Drawn(NamedTuple):
    """An image with what is true of it: a sentence, and the words that a right answer must hold."""

    image: Image
    caption: str
    holds: tuple[str, ...]

    @property
    def png(self) -> bytes:
        return png(self.image)


def png(image: Image) -> bytes:
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def shape(colour: str, what: Shape, ground: str = "white", side: int = 192) -> Drawn:
    """One big shape in the middle."""
    image, pen = _canvas(side, side, GROUNDS[ground])
    _SHAPES[what](pen, side / 2, side / 2, side * 0.32, COLOURS[colour])
    article = "an" if colour[0] in "aeiou" else "a"
    return Drawn(image, f"The picture shows {article} {colour} {what} on a {ground} background.", (colour, what))


def several(count: int, colour: str, what: Shape, ground: str = "white", side: int = 192) -> Drawn:
    """Two to four alike, one in each quarter."""
    image, pen = _canvas(side, side, GROUNDS[ground])
    for place in range(count):
        x, y = side * (0.25 + 0.5 * (place % 2)), side * (0.25 + 0.5 * (place // 2))
        _SHAPES[what](pen, x, y, side * 0.15, COLOURS[colour])
    words = (NUMBERS[count], colour, f"{what}s")
    return Drawn(image, f"The picture shows {' '.join(words)} on a {ground} background.", words)


def chart(kind: Chart, *, rising: bool = True, points: int = 6, side: int = 192) -> Drawn:
    """Values that rise or fall; a pie has slices instead."""
    image, pen = _canvas(side, side, GROUNDS["white"])
    if kind == "pie":
        turned = 0.0
        box = (side * 0.12, side * 0.12, side * 0.88, side * 0.88)
        for place, rgb in enumerate(list(COLOURS.values())[:5]):
            slice_ = 360 * (place + 1) / 15
            pen.pieslice(box, turned, turned + slice_, fill=rgb)
            turned += slice_
        return Drawn(image, "The picture shows a pie chart with several slices.", ("pie", "chart"))
    left, right, top, bottom = side * 0.12, side * 0.94, side * 0.1, side * 0.88
    pen.line([(left, top), (left, bottom), (right, bottom)], fill=(60, 60, 60), width=2)
    heights = [0.15 + 0.8 * place / (points - 1) for place in range(points)]
    wide = (right - left) / points
    tops = [
        (left + wide * (place + 0.5), bottom - (bottom - top) * high)
        for place, high in enumerate(heights if rising else heights[::-1])
    ]
    if kind == "bar":
        for x, y in tops:
            pen.rectangle((x - wide * 0.33, y, x + wide * 0.33, bottom - 1), fill=COLOURS["blue"])
    else:
        pen.line(tops, fill=COLOURS["blue"], width=4)
    way = "rising" if rising else "falling"
    return Drawn(image, f"The picture shows a {kind} chart with {way} values.", (kind, "chart", way))


def page(lines: tuple[str, ...] = PRINT, side: int = 480) -> Drawn:
    """A page of print."""
    image, pen = _canvas(side, side, GROUNDS["white"])
    for number, line in enumerate(lines):
        pen.text((side * 0.05, side * (0.06 + 0.14 * number)), line, fill=(30, 30, 30), font=_font(side // 26))
    return Drawn(image, "The picture shows a page of printed text.", ("page", "text"))


def sign(words: str, colour: str, what: Shape, ground: str = "white", side: int = 480) -> Drawn:
    """A big shape with a line of print below it: to be read for its words, to be seen for its looks."""
    image, pen = _canvas(side, side, GROUNDS[ground])
    _SHAPES[what](pen, side / 2, side * 0.44, side * 0.34, COLOURS[colour])
    ink = (240, 240, 240) if ground == "black" else (30, 30, 30)
    pen.text((side / 2, side * 0.9), words, fill=ink, font=_font(side // 16), anchor="mm")
    return Drawn(image, f"A {colour} {what} over the words {words!r}.", (colour, what))


def any_of(chance: random.Random) -> Drawn:
    """Some image of this world."""
    what, colour, ground = chance.choice(SHAPES), chance.choice(list(COLOURS)), chance.choice(list(GROUNDS))
    make: Callable[[], Drawn] = chance.choice((
        lambda: shape(colour, what, ground),
        lambda: several(chance.randint(2, 4), colour, what, ground),
        lambda: chart(chance.choice(("bar", "line", "pie")), rising=chance.random() < 0.5),
        lambda: page(tuple(chance.sample(PRINT, 5))),
    ))  # fmt: skip
    return make()


# ---- drawing -----------------------------------------------------------------------------------------


def _canvas(width: int, height: int, ground: Rgb) -> tuple[Image, ImageDraw]:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, height), ground)
    return image, ImageDraw.Draw(image)


def _font(size: int) -> FreeTypeFont | ImageFont:
    from PIL.ImageFont import load_default

    return load_default(size)


def _circle(pen: ImageDraw, x: float, y: float, reach: float, rgb: Rgb) -> None:
    pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=rgb)


def _square(pen: ImageDraw, x: float, y: float, reach: float, rgb: Rgb) -> None:
    half = reach * 0.88
    pen.rectangle((x - half, y - half, x + half, y + half), fill=rgb)


def _triangle(pen: ImageDraw, x: float, y: float, reach: float, rgb: Rgb) -> None:
    pen.polygon([(x, y - reach), (x - reach, y + reach * 0.85), (x + reach, y + reach * 0.85)], fill=rgb)


def _star(pen: ImageDraw, x: float, y: float, reach: float, rgb: Rgb) -> None:
    corners = []
    for place in range(10):
        out = reach if place % 2 == 0 else reach * 0.42
        corners.append((x + out * math.sin(place * math.pi / 5), y - out * math.cos(place * math.pi / 5)))
    pen.polygon(corners, fill=rgb)


_SHAPES: Mapping[Shape, Callable[[ImageDraw, float, float, float, Rgb], None]] = {
    "circle": _circle, "square": _square, "triangle": _triangle, "star": _star,
}  # fmt: skip
