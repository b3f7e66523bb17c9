"""Detects the script of the text on an image by the shapes of its strokes, without reading letters.

Lines of text are found as in ``letter_counts.py``, cut out, scaled by the height in which most strokes stand (that of
small letters), and made black and white. Around each pixel of a line lie eight others at some distance. Their ink or
paper forms a pattern, and the frequencies of the 256 patterns differ more from script to script than from font to font
(local binary patterns; Ojala, Pietikäinen, Mäenpää 2002). A linear model over the square roots of the frequencies names
the script. It is fitted on rendered pages (``scripts/fit_strokes.py``); its weights are in script_detection.bin.

Uncertain pages get no script. Of 1,021 pages in other scripts, in fonts that the model was not fitted on, 89 % get a
script, which is right in 99.8 % of them. Of 504 pages in Latin, Chinese and Japanese, 187 of them turned, tilted or
small, one gets another script. Detection takes 10 to 50 ms of CPU time.
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

from intermodal.core.quantity import Quantity
from intermodal.media.image import letter_counts

_STRIPS = 5  # vertical strips of an image, so that columns and slanted lines are not merged
_CORE = 0.45  # of the most jumps in a row of the line: above this, a row crosses small letters
_ABOVE, _SMALL, _BELOW = 14, 14, 10  # pixels of a line: above its small letters, the small letters, and below them
_HIGH = _ABOVE + _SMALL + _BELOW
_WIDEST = 600  # pixels of a line
_SHRUNK = 0.6  # scale below which pixels are averaged
_ENLARGED = 2.6  # scale above which text is too small to have recognisable shapes
_INKED = (0.03, 0.55)  # share of ink in a line of text
_CONTRAST = 30  # grey levels between ink and paper
_LINES = 24  # lines that are analysed, those with the most strokes
_FEWEST = 3  # lines below which no script is reported
_GAP = 6  # pixels around each line
_DISTANCES = (1, 2, 3, 5)  # distances in pixels of the eight others from the pixel in their middle
_AROUND = ((-1, -1), (0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0))
READ_SCRIPTS = ("latin", "han", "kana")  # scripts that the embedded reader supports
TURNED = "turned"  # a page on its side or upside down, whose script cannot be detected
_WRITTEN = 0.04  # least share of text: on a photograph, shapes of every script occur
_LETTERS = 40.0  # least number of counted letters
_SURE = 0.7  # least probability of a script that is reported
_BUT_READ = 0.1  # largest probability of the scripts that are read, together


class _Line(NamedTuple):
    """The place of a line: its weight, left, right, and top and bottom of its small letters.

    The weight counts strokes.
    """

    weight: float
    left: int
    right: int
    top: float
    bottom: float


class ScriptModel(msgspec.Struct):
    """The weights of each script over the patterns.

    ``weights`` has one signed byte per pattern; the ``scale`` of a script multiplies them, its ``bias`` is added.
    """

    scripts: list[str]
    scale: list[float]
    bias: list[float]
    weights: bytes

    def rows(self) -> list[list[int]]:
        """Return the weights of each script."""
        count = len(self.weights) // len(self.scripts)
        signed = memoryview(self.weights).cast("b")
        return [signed[start : start + count].tolist() for start in range(0, len(self.weights), count)]


def _load() -> ScriptModel:
    packed = pkgutil.get_data("intermodal.media.image", "script_detection.bin")
    assert packed is not None, "it lies beside this module"
    return msgspec.msgpack.decode(zlib.decompress(packed), type=ScriptModel)


_LIKELIHOODS = _load()  # loaded on import, because a sandboxed worker cannot open files


def detect_script(grey: Image.Image, density: Quantity, letters: Quantity) -> str:
    """Return the script of the text on a grey image, as in ``PartFacts.script``.

    Returns "" if the embedded reader supports the script, or if it is uncertain. ``density`` and ``letters`` are the
    share of text and the number of letters, as measured before.
    """
    is_text = density.known and density.mid >= _WRITTEN and letters.known and letters.mid >= _LETTERS
    found = count_patterns(grey) if is_text else None
    return "" if found is None else confident_script(likelihoods(pattern_features(found), _LIKELIHOODS)).capitalize()


def confident_script(likely: Mapping[str, float]) -> str:
    """Return the detected script, "" if it is uncertain or the embedded reader supports it."""
    best = max(likely, key=lambda script: likely[script])
    if (
        best in (*READ_SCRIPTS, TURNED)
        or likely[best] < _SURE
        or sum(likely[script] for script in READ_SCRIPTS) > _BUT_READ
    ):
        return ""
    return best


def pattern_features(found: Iterable[list[int]]) -> list[float]:
    """Return the features of the model: the square root of each pattern's share of its kind."""
    features: list[float] = []
    for counts in found:
        total = max(1, sum(counts))
        features += [math.sqrt(count / total) for count in counts]
    return features


def likelihoods(features: list[float], model: ScriptModel) -> dict[str, float]:
    """Return the probability of each script by the model."""
    sums = [
        bias + scale * sum(map(operator.mul, features, row))
        for bias, scale, row in zip(model.bias, model.scale, model.rows(), strict=True)
    ]
    most = max(sums)
    each = [math.exp(value - most) for value in sums]
    total = sum(each)
    return {script: value / total for script, value in zip(model.scripts, each, strict=True)}


def count_patterns(grey: Image.Image) -> list[list[int]] | None:
    """Return how often each pattern occurs, by distance and by the place of its middle pixel.

    The places are: ink among the small letters, ink above or below them, paper among them. Returns None if there is too
    little text, or if it is too small.
    """
    lines = _text_lines(grey)
    if len(lines) < _FEWEST:
        return None
    width = sum(line.width + 2 * _GAP for line in lines)
    ink = Image.new("L", (width, _HIGH + 2 * _GAP), 0)
    left = _GAP
    for line in lines:
        ink.paste(line, (left, _GAP))
        left += line.width + 2 * _GAP
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
            neighbours = ImageChops.offset(ink, x * distance, y * distance)
            code = ImageChops.add(code, neighbours.point([0] * 128 + [1 << bit] * 128))
        found += [code.histogram(mask) for mask in masks]
    return found


def _text_lines(grey: Image.Image) -> list[Image.Image]:
    """Return lines of the image in black and white, all of the same height."""
    found: list[Image.Image] = []
    for line in sorted(_find_lines(grey), reverse=True)[: 2 * _LINES]:
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
        binary = _binarize(cut)
        if binary is not None:
            found.append(binary)
        if len(found) == _LINES:
            break
    return found


def _find_lines(grey: Image.Image) -> list[_Line]:
    small = grey.copy()
    small.thumbnail((letter_counts.SIDE, letter_counts.SIDE), Image.Resampling.BOX)
    scale = grey.width / small.width
    return [line for found in letter_counts.lines_of_writing(small, _STRIPS, 96) for line in _line_extent(found, scale)]


def _line_extent(line: letter_counts.LineOfWriting, scale: float) -> list[_Line]:
    """Return the place of the small letters in a line, as a list of one; [] if it is not a line of text."""
    left, right, top, rows = line
    most = max(rows)
    if not 5 <= len(rows) <= 120 or most < 10:
        return []
    core = [row for row, share in enumerate(rows) if share >= _CORE * most]
    high = core[-1] + 1 - core[0]
    if high < 3:
        return []
    weight = sum(rows) * (right - left) / high
    return [_Line(weight, int(left * scale), int(right * scale), (top + core[0]) * scale, (top + core[-1] + 1) * scale)]


def _binarize(line: Image.Image) -> Image.Image | None:
    """Return the line with its ink white and its paper black, None if it has too little contrast or is not text."""
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
    binary = line.point([255 if (level < between) == (ink < paper) else 0 for level in range(256)])
    share = binary.histogram()[255] / (binary.width * binary.height)
    return binary if _INKED[0] < share < _INKED[1] else None
