"""Pages of text drawn with Pillow, for pictures, scans and slides."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
# Letters of other scripts and of code need these; Debian has them as fonts-dejavu-core and fonts-liberation.
_FOLDERS = ("/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/truetype/liberation")
_FILES = {
    "plain": ("LiberationSans-Regular.ttf", "DejaVuSans.ttf"),
    "serif": ("LiberationSerif-Regular.ttf", "DejaVuSerif.ttf"),
    "mono": ("LiberationMono-Regular.ttf", "DejaVuSansMono.ttf"),
    "bold": ("LiberationSans-Bold.ttf", "DejaVuSans-Bold.ttf"),
    "wide": ("DejaVuSans.ttf",),
}


def font_file(style: str) -> str:
    """The path of a font; "" where this machine has none of the style."""
    for name in _FILES[style]:
        for folder in _FOLDERS:
            if (Path(folder) / name).exists():
                return str(Path(folder) / name)
    return ""


@cache
def font(style: str, size: int) -> Font:
    """A font of that style; Pillow's own where this machine has none."""
    path = font_file(style)
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


class Page:
    """A sheet that is written on from top to bottom."""

    def __init__(self, width: int = 1240, height: int = 1754, *, paper: str = "white", ink: str = "black") -> None:
        self.image = Image.new("RGB", (width, height), paper)
        self.pen = ImageDraw.Draw(self.image)
        self.ink = ink
        self.top = 90

    def line(self, text: str, *, size: int = 28, style: str = "plain", left: int = 90, gap: float = 1.5) -> None:
        if self.top + size > self.image.height:
            raise ValueError(f"the page is full before {text!r}")
        self.pen.text((left, self.top), text, fill=self.ink, font=font(style, size))
        self.top += round(size * gap)

    def prose(self, text: str, *, size: int = 28, style: str = "plain", left: int = 90, width: int = 0) -> None:
        for each in wrapped(text, font(style, size), width or self.image.width - left - 90):
            self.line(each, size=size, style=style, left=left)

    def table(self, rows: Sequence[Sequence[str]], *, lefts: Sequence[int], size: int = 26, ruled: bool = True) -> None:
        high = round(size * 1.9)
        for cells in rows:
            for left, cell in zip(lefts, cells, strict=False):
                self.pen.text((left + 10, self.top + round(size * 0.35)), cell, fill=self.ink, font=font("plain", size))
            if ruled:
                edges = [*lefts, self.image.width - 90]
                for left, right in pairwise(edges):
                    self.pen.rectangle((left, self.top, right, self.top + high), outline=self.ink, width=2)
            self.top += high

    def crop(self) -> Image.Image:
        """The page down to a little below what was written."""
        return self.image.crop((0, 0, self.image.width, min(self.image.height, self.top + 90)))


def wrapped(text: str, face: Font, width: int) -> list[str]:
    """The text in lines no wider than so many pixels."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and face.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line] if line else lines


def noisy(image: Image.Image, amount: float, seed: int) -> Image.Image:
    """The picture as a scanner sees it."""
    import numpy

    grain = numpy.random.default_rng(seed).normal(0, amount, (image.height, image.width, 1))
    return Image.fromarray(numpy.clip(numpy.asarray(image, dtype=float) + grain, 0, 255).astype("uint8"))


def tilted(image: Image.Image, degrees: float, paper: str = "white") -> Image.Image:
    return image.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=paper)


def png(image: Image.Image) -> bytes:
    return _saved(image, "PNG")


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    return _saved(image, "JPEG", quality=quality)


def _saved(image: Image.Image, form: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()
