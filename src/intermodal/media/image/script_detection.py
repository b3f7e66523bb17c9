"""Detects the script in which a picture is written, by the shapes of strokes; no letter is read.

Lines of writing are found as in ``letter_counts.py``, cut out, scaled by the height in which most strokes stand (that
of small letters), and made black and white. Around each pixel of a line lie eight others at some distance: which of
them are ink is a pattern, and how often each of the 256 patterns occurs differs from script to script more than from
font to font (local binary patterns; Ojala, Pietikäinen, Mäenpää 2002). A linear model over the square roots of their
shares names the script. It is fitted on rendered pages (``scripts/fit_strokes.py``); its numbers are in
script_detection.bin.

Uncertain pages get no script. Of 1,021 pages in other scripts, in fonts that it was not fitted on, 89 % get one, 99.8
% of those the right one; of 504 in Latin, Chinese and Japanese, 187 of them turned, tilted or small, one gets another
script.
It takes 10 to 50 ms of a processor.
"""

from __future__ import annotations

import math
import operator
import pkgutil
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from PIL import Image, ImageChops

from intermodal.media.image import letter_counts
from intermodal.quantity import Quantity

_STRIPS = 5  # that a picture is cut into from left to right, so that columns and slants do not run together
_CORE = 0.45  # of the most jumps of a line's rows: from here on a row crosses small letters
_ABOVE, _SMALL, _BELOW = 14, 14, 10  # pixels of a line: above its small letters, of them, and below
_HIGH = _ABOVE + _SMALL + _BELOW
_WIDEST = 600  # pixels of a line
_SHRUNK = 0.6  # times: from here on pixels are left out
_ENLARGED = 2.6  # times: smaller writing has lost its shapes
_INKED = (0.03, 0.55)  # share of ink in a line of writing
_CONTRAST = 30  # grey levels between ink and paper
_LINES = 24  # that are looked at, those with the most strokes
_FEWEST = 3  # lines below which no script is reported
_GAP = 6  # pixels around each
_DISTANCES = (1, 2, 3, 5)  # pixels of the eight others from the one in their middle
_AROUND = ((-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0))
READ_SCRIPTS = ("latin", "han", "kana")  # that the embedded reader knows itself
TURNED = "turned"  # a page on its side or upside down, whose lines show no script
_WRITTEN = 0.04  # share of text from which on the words of a picture matter: a photograph has shapes of every script
_LETTERS = 40.0  # that are counted, at least
_SURE = 0.7  # probability from which on a script is reported
_BUT_READ = 0.1  # probability of those that are read, at most


class _Line(NamedTuple):
    """Where writing is: jumps per row that crosses it, left, right, and top and bottom of its small letters."""

    weight: float
    left: int
    right: int
    top: float
    bottom: float


class ScriptModel(msgspec.Struct):
    """``weights`` of each script over the patterns, a signed byte each, times its ``scale``; and its ``bias``."""

    scripts: list[str]
    scale: list[float]
    bias: list[float]
    weights: bytes

    def rows(self) -> list[list[int]]:
        """The weights of each script."""
        count = len(self.weights) // len(self.scripts)
        signed = memoryview(self.weights).cast("b")
        return [signed[at : at + count].tolist() for at in range(0, len(self.weights), count)]


def _load() -> ScriptModel:
    packed = pkgutil.get_data("intermodal.media.image", "script_detection.bin")
    assert packed is not None, "it lies beside this module"
    return msgspec.msgpack.decode(zlib.decompress(packed), type=ScriptModel)


_shipped = _load()  # a sealed worker can open no file


def detect_script(grey: Image.Image, density: Quantity, seen: Quantity) -> str:
    """The script of a grey picture's words, as ``PartFacts.script`` has it; "" where it is read anyway, or not sure.

    ``density`` and ``seen`` (letters): how much of it looks like writing, as measured before.
    """
    written = density.known and density.mid >= _WRITTEN and seen.known and seen.mid >= _LETTERS
    found = count_patterns(grey) if written else None
    return "" if found is None else confident_script(likelihoods(pattern_features(found), _shipped)).capitalize()


def confident_script(likely: Mapping[str, float]) -> str:
    """Return the detected script, "" for one that the reader knows anyway and if it is uncertain."""
    best = max(likely, key=lambda script: likely[script])
    if (
        best in (*READ_SCRIPTS, TURNED)
        or likely[best] < _SURE
        or sum(likely[script] for script in READ_SCRIPTS) > _BUT_READ
    ):
        return ""
    return best


def pattern_features(found: Iterable[list[int]]) -> list[float]:
    """Return the model's features: the square root of each pattern's share of its kind."""
    features: list[float] = []
    for counts in found:
        whole = max(1, sum(counts))
        features += [math.sqrt(count / whole) for count in counts]
    return features


def likelihoods(features: list[float], model: ScriptModel) -> dict[str, float]:
    """The probability of each script, as a model has it."""
    sums = [
        bias + scale * sum(map(operator.mul, features, row))
        for bias, scale, row in zip(model.bias, model.scale, model.rows(), strict=True)
    ]
    most = max(sums)
    each = [math.exp(value - most) for value in sums]
    whole = sum(each)
    return {script: value / whole for script, value in zip(model.scripts, each, strict=True)}


def count_patterns(grey: Image.Image) -> list[list[int]] | None:
    """Return how often each pattern occurs, by distance and by the place of its middle: on ink among the small letters,
    on ink above or below them, on paper among them. None if there is too little text, or too small.
    """
    lines = _cut(grey)
    if len(lines) < _FEWEST:
        return None
    width = sum(line.width + 2 * _GAP for line in lines)
    ink = Image.new("L", (width, _HIGH + 2 * _GAP), 0)
    at = _GAP
    for line in lines:
        ink.paste(line, (at, _GAP))
        at += line.width + 2 * _GAP
    small = Image.new("L", ink.size, 0)
    small.paste(255, (0, _GAP + _ABOVE, width, _GAP + _ABOVE + _SMALL))
    masks = (
        ImageChops.multiply(ink, small), ImageChops.multiply(ink, ImageChops.invert(small)),
        ImageChops.multiply(ImageChops.invert(ink), small),
    )  # fmt: skip
    found: list[list[int]] = []
    for distance in _DISTANCES:
        code = Image.new("L", ink.size, 0)
        for bit, (x, y) in enumerate(_AROUND):
            there = ImageChops.offset(ink, x * distance, y * distance)
            code = ImageChops.add(code, there.point([0] * 128 + [1 << bit] * 128))
        found += [code.histogram(mask) for mask in masks]
    return found


def _cut(grey: Image.Image) -> list[Image.Image]:
    """Lines of the picture in black and white, of one height."""
    found: list[Image.Image] = []
    for line in sorted(_lines(grey), reverse=True)[: 2 * _LINES]:
        scale = _SMALL / (line.bottom - line.top)
        width = min(round((line.right - line.left) * scale), _WIDEST)
        if scale > _ENLARGED or width < 24:
            continue
        top, bottom = line.top - _ABOVE / scale, line.bottom + _BELOW / scale
        right = line.left + width / scale
        if scale > _SHRUNK:
            box = (float(line.left), top, right, bottom)
            cut = grey.transform((width, _HIGH), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
        else:  # pixels are averaged, as thin strokes would break
            box = (float(line.left), max(0.0, top), min(float(grey.width), right), min(float(grey.height), bottom))
            cut = grey.resize((width, _HIGH), Image.Resampling.BOX, box)
        made = _inked(cut)
        if made is not None:
            found.append(made)
        if len(found) == _LINES:
            break
    return found


def _lines(grey: Image.Image) -> list[_Line]:
    small = grey.copy()
    small.thumbnail((letter_counts.SIDE, letter_counts.SIDE), Image.Resampling.BOX)
    scale = grey.width / small.width
    return [line for found in letter_counts.lines_of_writing(small, _STRIPS, 96) for line in _line(found, scale)]


def _line(found: letter_counts.LineOfWriting, scale: float) -> list[_Line]:
    """Where the small letters of a line are, if it is one."""
    left, right, top, rows = found
    most = max(rows)
    if not 5 <= len(rows) <= 120 or most < 10:
        return []
    core = [row for row, share in enumerate(rows) if share >= _CORE * most]
    high = core[-1] + 1 - core[0]
    if high < 3:
        return []
    weight = sum(rows) * (right - left) / high
    return [_Line(weight, int(left * scale), int(right * scale), (top + core[0]) * scale, (top + core[-1] + 1) * scale)]


def _inked(line: Image.Image) -> Image.Image | None:
    """The line with its ink white and its paper black; None for what has no ink and paper."""
    levels = line.histogram()
    sums = [0]
    for count in levels:
        sums.append(sums[-1] + count)
    around = [sums[min(256, level + 9)] - sums[max(0, level - 8)] for level in range(256)]
    paper = around.index(max(around))
    few = 0.03 * sums[-1]
    darkest = next(level for level in range(256) if sums[level + 1] >= few)
    lightest = next(level for level in range(255, -1, -1) if sums[-1] - sums[level] >= few)
    ink = lightest if lightest - paper > paper - darkest else darkest
    if abs(ink - paper) < _CONTRAST:
        return None
    between = (ink + paper) / 2
    made = line.point([255 if (level < between) == (ink < paper) else 0 for level in range(256)])
    share = made.histogram()[255] / (made.width * made.height)
    return made if _INKED[0] < share < _INKED[1] else None
