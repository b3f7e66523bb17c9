"""Generated pictures of the tiny contrastive model, and what is true of each: shapes, charts and pages of print.

A picture is drawn from a ``random.Random``, so the same seed draws the same picture. What is true of it is a mapping of
attributes; a caption says some of them, and holds for every picture of which they are true.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

COLOURS = {
    "red": (220, 40, 40), "green": (40, 160, 60), "blue": (50, 80, 210), "yellow": (240, 210, 40),
    "black": (15, 15, 15), "orange": (240, 140, 30), "purple": (140, 60, 170), "white": (250, 250, 250),
    "gray": (150, 150, 150), "pink": (240, 130, 180),
}  # fmt: skip
GROUNDS = ("white", "black", "gray")
SHAPES = ("circle", "square", "triangle", "star")
NUMBERS = {2: "two", 3: "three", 4: "four"}
CHARTS = ("bar", "line", "pie")
WORDS = (
    "the", "of", "and", "to", "in", "is", "was", "for", "on", "that", "with", "as", "by", "at", "from", "total", "date",
    "page", "amount", "report", "invoice", "order",
)  # fmt: skip

Truth = Mapping[str, str]


def picture(chance: random.Random, kind: str = "") -> tuple[Image.Image, Truth]:
    """A picture of a size between 96 and 192 pixels, and what is true of it."""
    side = chance.choice((96, 128, 160, 192))
    kind = kind or chance.choices(("shape", "shapes", "chart", "page"), (40, 25, 25, 10))[0]
    draw = {"shape": _shape, "shapes": _shapes, "chart": _chart, "page": _page}[kind]
    image = Image.new("RGB", (side, side))
    return image, draw(image, chance)


def caption(truth: Truth, chance: random.Random) -> tuple[str, Truth]:
    """A caption that says some of what is true, and what it says."""
    kind = truth["kind"]
    if kind in ("shape", "shapes"):
        said = {"kind": kind, "shape": truth["shape"]}
        if chance.random() < 0.75:
            said["colour"] = truth["colour"]
        if chance.random() < 0.5:
            said["ground"] = truth["ground"]
        if kind == "shapes":
            said["number"] = truth["number"]
    elif kind == "chart":
        said = {"kind": kind, "chart": truth["chart"]}
        if "trend" in truth and chance.random() < 0.6:
            said["trend"] = truth["trend"]
    else:
        said = {"kind": kind}
    return words(said), said


def words(said: Truth) -> str:
    """A caption as words.

    >>> words({"kind": "shape", "shape": "star", "colour": "orange", "ground": "black"})
    'an orange star on a black background'
    """
    kind = said["kind"]
    if kind == "page":
        return "a page of printed text"
    if kind == "chart":
        return f"a {said['chart']} chart" + (f" with {said['trend']} values" if "trend" in said else "")
    noun = " ".join(filter(None, (said.get("colour", ""), said["shape"])))
    article = "an" if noun[0] in "aeiou" else "a"
    found = f"{said['number']} {noun}s" if kind == "shapes" else f"{article} {noun}"
    return found + (f" on a {said['ground']} background" if "ground" in said else "")


def holds(said: Truth, truth: Truth) -> bool:
    """Whether all that a caption says is true of a picture."""
    return all(truth.get(name) == value for name, value in said.items())


def _near(name: str, chance: random.Random) -> tuple[int, ...]:
    return tuple(max(0, min(255, value + chance.randint(-18, 18))) for value in COLOURS[name])


def _outline(
    draw: ImageDraw.ImageDraw, shape: str, at: tuple[float, float], half: float, colour: tuple[int, ...]
) -> None:
    x, y = at
    if shape == "circle":
        draw.ellipse((x - half, y - half, x + half, y + half), fill=colour)
    elif shape == "square":
        edge = half * 0.88
        draw.rectangle((x - edge, y - edge, x + edge, y + edge), fill=colour)
    elif shape == "triangle":
        draw.polygon(((x, y - half), (x - half, y + half * 0.85), (x + half, y + half * 0.85)), fill=colour)
    else:
        reach = [half if corner % 2 == 0 else half * 0.42 for corner in range(10)]
        turns = [corner * math.pi / 5 for corner in range(10)]
        points = [(x + r * math.sin(t), y - r * math.cos(t)) for r, t in zip(reach, turns, strict=True)]
        draw.polygon(points, fill=colour)


def _painted(image: Image.Image, chance: random.Random) -> tuple[str, str, str, tuple[int, ...]]:
    """A ground, with what is drawn on it chosen."""
    ground = chance.choice(GROUNDS)
    colour = chance.choice([name for name in COLOURS if name != ground])
    image.paste(_near(ground, chance), (0, 0, *image.size))
    return ground, colour, chance.choice(SHAPES), _near(colour, chance)


def _shape(image: Image.Image, chance: random.Random) -> Truth:
    ground, colour, shape, paint = _painted(image, chance)
    side = image.width
    half = side * chance.uniform(0.2, 0.42)
    at = (chance.uniform(half + 2, side - half - 2), chance.uniform(half + 2, side - half - 2))
    _outline(ImageDraw.Draw(image), shape, at, half, paint)
    return {"kind": "shape", "shape": shape, "colour": colour, "ground": ground}


def _shapes(image: Image.Image, chance: random.Random) -> Truth:
    ground, colour, shape, paint = _painted(image, chance)
    side, number = image.width, chance.choice((2, 3, 4))
    half = side * chance.uniform(0.12, 0.18)
    for column, row in chance.sample([(0, 0), (0, 1), (1, 0), (1, 1)], number):
        off = (chance.uniform(-0.05, 0.05), chance.uniform(-0.05, 0.05))
        at = (side * (0.25 + 0.5 * column + off[0]), side * (0.25 + 0.5 * row + off[1]))
        _outline(ImageDraw.Draw(image), shape, at, half, paint)
    return {"kind": "shapes", "shape": shape, "colour": colour, "ground": ground, "number": NUMBERS[number]}


def _chart(image: Image.Image, chance: random.Random) -> Truth:
    image.paste(_near("white", chance), (0, 0, *image.size))
    draw, side, chart = ImageDraw.Draw(image), image.width, chance.choice(CHARTS)
    if chart == "pie":
        shares = [chance.uniform(0.5, 2) for _ in range(chance.randint(3, 6))]
        half, angle = side * chance.uniform(0.3, 0.44), chance.uniform(0, 360)
        box = (side / 2 - half, side / 2 - half, side / 2 + half, side / 2 + half)
        paints = chance.sample([name for name in COLOURS if name != "white"], len(shares))
        for share, name in zip(shares, paints, strict=True):
            end = angle + 360 * share / sum(shares)
            draw.pieslice(box, angle, end, fill=_near(name, chance))
            angle = end
        return {"kind": "chart", "chart": chart}
    number, trend = chance.randint(4, 8), chance.choice(("rising", "falling"))
    values = [0.15 + 0.8 * (n / (number - 1)) * chance.uniform(0.85, 1.1) for n in range(number)]
    values = values[::-1] if trend == "falling" else values
    left, right = side * chance.uniform(0.08, 0.18), side * chance.uniform(0.88, 0.97)
    top, foot = side * chance.uniform(0.05, 0.15), side * chance.uniform(0.82, 0.94)
    paint, axis = _near(chance.choice(("blue", "red", "green", "orange", "purple", "black")), chance), (60, 60, 60)
    draw.line(((left, top), (left, foot)), fill=axis, width=2)
    draw.line(((left, foot), (right, foot)), fill=axis, width=2)
    step = (right - left) / number
    points = [(left + step * (n + 0.5), foot - (foot - top) * min(1.0, v)) for n, v in enumerate(values)]
    if chart == "bar":
        for x, y in points:
            draw.rectangle((x - step * 0.33, y, x + step * 0.33, foot - 1), fill=paint)
    else:
        draw.line(points, fill=paint, width=chance.choice((3, 4, 5)))
    return {"kind": "chart", "chart": chart, "trend": trend}


def _page(image: Image.Image, chance: random.Random) -> Truth:
    image.paste(_near("white", chance), (0, 0, *image.size))
    draw, size = ImageDraw.Draw(image), chance.choice((9, 11, 13))
    font, ink, y = ImageFont.load_default(size), _near("black", chance), chance.randint(2, 10)
    while y < image.height - 8:
        line = " ".join(chance.choice(WORDS) for _ in range(chance.randint(2, 7)))
        draw.text((chance.choice((4, 8, 20)), y), line, fill=ink, font=font)
        y += round(size * chance.choice((1.2, 1.4, 1.6)))
    return {"kind": "page"}
