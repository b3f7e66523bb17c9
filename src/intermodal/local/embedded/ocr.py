"""Child: text recognition by RapidOCR with the PP-OCR models in its package.

Nothing is downloaded. Large images are read in overlapping tiles, whose boxes are merged afterwards.
"""

from __future__ import annotations

import importlib
import logging
import math
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from intermodal.concurrency.worker_process import serve
from intermodal.core.content import ReadLine
from intermodal.errors import InputBroken, NotInstalled
from intermodal.local.embedded import tesseract
from intermodal.local.embedded.child_support import (
    import_library,
    load_model,
    return_free_memory,
    thread_count,
    threads_may_spin,
)
from intermodal.local.embedded.ocr_layout import DOUBTED, line_from_corners, page_slant
from intermodal.local.embedded.ruling_lines import Corners, Grid
from intermodal.media.media_limits import READ_LEAST, TILE_OVERLAP, TILE_SIDE, shrink_to_read

MAX_RATIO = 4
MIN_SIDE = 6  # pixels; no letter is smaller
SMALL_PRINT = 16.0  # minimum line height in pixels of a downscaled image; with smaller lines the image is read in tiles
CROP_HEIGHT = 64  # pixels; the recognition network scales lines to 48
TURNED = 1.5  # minimum height to width of a vertical line
SAMPLE = 6  # number of longest lines that decide the rotation of a page
LEGIBLE = 0.9  # below this mean confidence of the sample, the page may be upside down
BETTER = 0.1  # margin by which the other orientation must be better ...
READABLE = 0.7  # ... and its minimum: unsupported letters are illegible either way
LINE_SHAPE = 3.0  # minimum width to height of a line with several letters
WORD_SHAPE = 1.2  # minimum width to height of a word of a few letters
SURE = 0.65  # minimum detection confidence for reporting an unreadable box as a line
SPARSE = 0.8  # letters per line height: print has at least 1.1, mostly unsupported scripts up to 1.0
LOWEST = 0.5  # minimum confidence of a reported line
MARKS = 0.15  # margin around a line for Tesseract, in line heights: Arabic lines were empty without it
NAMED = 0.97  # from this confidence a Latin line among lines in another script is kept ...
NAME = 0.9  # ... unless Tesseract is as confident: with English data, it also reads Latin names correctly
FOREIGN = 0.5  # minimum share of unread and doubted lines on a page in another script
AGREED = 0.85  # from this confidence, digits of a line must also occur in Tesseract's result
_engine: Any = None
_scripts: dict[tuple[Any, ...], dict[str, tesseract.TesseractLanguage]] = {}  # scripts that Tesseract reads, cached


def load(path: str, name: str) -> None:
    """Load the detection and recognition networks (once). RapidOCR loads lazily, so a small test image is read.

    The network that classifies upside-down lines is not used: it turned one in ten upright lines of clean print.
    """
    global _engine
    if _engine is None:
        _set_session_options(import_library("onnxruntime"))
        rapidocr = import_library("rapidocr")
        _import_with_plain_table()
        logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
        parameters = {
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "Rec.rec_batch_num": 2,  # lines per batch: scores for 18,000 characters take 12 MB per line
            "Det.limit_side_len": 32,  # enlarging is done before detection
            "EngineConfig.onnxruntime.intra_op_num_threads": thread_count(),
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            **_packaged_networks(Path(str(rapidocr.__file__)).parent / "models"),
        }
        _engine = load_model(name, lambda: _warm_up(rapidocr.RapidOCR(params=parameters)))


def _set_session_options(onnxruntime: Any) -> None:
    """Set session options that RapidOCR does not expose.

    If threads may not spin, they sleep until there is work: under a load of 9 on 2 cores a screenshot took 1.4 s of
    processor time instead of 1.9, and 3.3 s instead of 4.5. The memory pattern is disabled: for pages of one size it
    took 86 MB more than the tensors do.
    """
    plain = onnxruntime.SessionOptions

    def session_options() -> Any:
        options = plain()
        options.enable_mem_pattern = False
        if not threads_may_spin():
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options

    onnxruntime.SessionOptions = session_options


def _import_with_plain_table() -> None:
    """Import RapidOCR's engine, which parses its table of downloads twice on import, into plain dictionaries.

    As configurations of OmegaConf they took 0.21 s of 0.8 s of the processor that a start takes. Nothing looks into
    them, because the networks are in the package.
    """
    yaml, settings = import_library("yaml"), import_library("omegaconf").OmegaConf
    load = vars(settings)["load"]

    def load_plain(path: Any) -> Any:
        if Path(path).name != "default_models.yaml":
            return load.__func__(path)
        return yaml.load(Path(path).read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))

    settings.load = staticmethod(load_plain)
    try:
        import_library("rapidocr.main")
    finally:
        settings.load = load


def _packaged_networks(folder: Path) -> dict[str, str]:
    """Return the paths of the packaged networks. Given only names, RapidOCR would download missing ones."""
    found = {}
    for step, pattern in (("Det", "*_det_*.onnx"), ("Rec", "*_rec_*.onnx")):
        models = sorted(folder.glob(pattern))
        if not models:
            raise NotInstalled(
                f"rapidocr came without its {step} model", todo="run: pip install --force-reinstall 'rapidocr>=3.9,<4'"
            )
        found[f"{step}.model_path"] = str(models[0])
    return found


def _warm_up(engine: Any) -> Any:
    cv2, numpy = import_library("cv2"), import_library("numpy")
    cv2.setNumThreads(thread_count())
    page = numpy.full((64, 160, 3), 255, dtype=numpy.uint8)
    cv2.putText(page, "load", (10, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.2, (0, 0, 0), 2)
    engine(page)
    return engine


def read_lines(
    path: str, name: str, png: bytes, languages: dict[str, str] | None = None, script: str = "", language: str = ""
) -> dict[str, Any]:  # fmt: skip
    """Return the lines of text in an image.

    Each line has text, confidence, corners in pixels, whether letters are missing, and table, row and column if it is
    in a ruled cell. The first corner is where reading begins, the second where it ends, however the image is rotated.
    Memory is returned to the system afterwards.

    ``languages``: pulled Tesseract languages, code -> folder. ``script``: script of the words, if known. ``language``:
    language of the words, ISO 639-1, if known; it selects among Tesseract languages with the same script.
    """
    load(path, name)
    try:
        return {"lines": _recognize_lines(png, languages or {}, script, language)}
    finally:
        return_free_memory()


def _recognize_lines(png: bytes, languages: dict[str, str], script: str, language: str) -> list[list[Any]]:
    cv2, numpy = import_library("cv2"), import_library("numpy")
    picture = cv2.imdecode(numpy.frombuffer(png, dtype=numpy.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise InputBroken("is not an image that can be read")
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE:
        return []
    boxes = _find_boxes(picture)
    grid = Grid(picture, page_slant(_as_line(box.corners) for box in boxes))
    if grid.cells:
        boxes = [_Box(piece, box.sure) for box in boxes for piece in grid.split(box.corners)]
    every = [(line, _line_text(line)) for line in _read_rotated(picture, boxes)]
    found = _without_shapes([(line, text) for line, text in every if text is not None], language)
    blank = [line for line, text in every if text is None and not line.text.strip()]
    if script:  # short words in it are read as empty, like marks that are not words
        found += [(line, ("", False)) for line in blank]
    elif not any(line.score >= AGREED and any(map(str.isalpha, text)) for line, (text, _) in found):
        found += [(line, ("", False)) for line in blank if _has_word_shape(line)]
    others = _read_other_scripts(picture, found, _languages_by_script(languages, language), script)
    lines = list[list[Any]]()
    cells: dict[Corners, tuple[int, ...]] = {}
    if grid.cells:  # now it is known which way is up
        read_lines = [line.corners for line, _ in found]
        grid = Grid(picture, page_slant(map(_as_line, read_lines)))
        cells = dict(zip(read_lines, grid.cells_of_lines(read_lines), strict=True))
    for line, (text, unread) in found:
        cell = cells.get(line.corners, ())
        other = others.get(line.corners)
        corners = [[min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))] for x, y in line.corners]
        if other is not None and _reads_more(other, line, unread=unread):
            agreed = line.score < AGREED or not _figures(line.text) - _figures(other.text)
            sure = tesseract.scale_confidence(other.confidence, DOUBTED)
            sure = sure if agreed else min(sure, LOWEST)
            lines.append([other.text, sure, corners, False, cell])
        elif text or unread:
            lines.append([text, line.score, corners, unread, cell])
    return lines


def _as_line(corners: Corners) -> ReadLine:
    return line_from_corners("", 1.0, corners)


def _reads_more(other: tesseract.TesseractLine, line: _Line, *, unread: bool) -> bool:
    """Return whether to use Tesseract's reading of a line.

    If RapidOCR read the line, Tesseract's reading is used only if it has words in the other script and RapidOCR's is
    not a confident Latin name. For example, RapidOCR read "Дата" as "Iara" on a Russian page, and only the number of an
    Arabic line.
    """
    if other.confidence < tesseract.SURE:
        return False
    figures = line.score >= NAMED and not any(map(str.isalpha, line.text))
    if figures and _figures(line.text) - _figures(other.text):
        return False
    is_name = line.score >= NAMED and other.confidence < NAME and any(map(str.isalpha, line.text))
    words = tesseract.is_foreign(other.text) or tesseract.FOREIGN_WORD.search(other.text)
    return unread or (bool(words) and not is_name)


def _figures(text: str) -> Counter[int]:
    """Return the count of each digit, in any script."""
    return Counter(int(letter) for letter in text if letter.isdecimal())


def _with_margin(corners: Corners) -> Corners:
    """Return a box with a margin for marks above and below letters, for which boxes of Latin print leave no room."""
    width, height = _box_size(corners)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners
    along = MARKS * height / max(width, 1.0)
    ax, ay, bx, by = (x1 - x0) * along, (y1 - y0) * along, (x3 - x0) * MARKS, (y3 - y0) * MARKS
    first, second = (x0 - ax - bx, y0 - ay - by), (x1 + ax - bx, y1 + ay - by)
    return first, second, (x2 + ax + bx, y2 + ay + by), (x3 - ax + bx, y3 - ay + by)


def _read_other_scripts(
    picture: Any,
    found: list[tuple[_Line, tuple[str, bool]]],
    find_languages: Callable[[], dict[str, tesseract.TesseractLanguage]],
    script: str,
) -> dict[Corners, tesseract.TesseractLine]:
    """Read lines in other scripts with Tesseract, if a language for them is installed.

    If most lines of a page are unread or doubted, all lines are read again, because Cyrillic letters that look like
    Latin ones are read as Latin. If the script is known, no other language is tried.
    """
    lines = [line for line, (_, unread) in found if unread]
    worse = [line for line, (_, unread) in found if unread or line.score < AGREED]
    page = len(worse) >= FOREIGN * sum(unread or any(map(str.isalpha, text)) for _, (text, unread) in found)
    if not (worse if page else lines) or not tesseract.program():
        return {}
    known = find_languages()
    is_known_script = script in known
    known = {script: known[script]} if is_known_script else known
    if not known:
        return {}
    first = worse if page else lines
    cuts = _line_crops(picture, first)
    read, language = tesseract.read_in_best_language(cuts, known, thread_count(), script_known=is_known_script)
    rest = [line for line, _ in found if line not in first] if page and language.code else []
    read += tesseract.read_lines(_line_crops(picture, rest), language, thread_count())
    return {line.corners: each for line, each in zip([*first, *rest], read, strict=True)}


def _languages_by_script(pulled: dict[str, str], language: str) -> Callable[[], dict[str, tesseract.TesseractLanguage]]:
    """Return a function that returns Tesseract's languages by script, cached."""

    def look_up() -> dict[str, tesseract.TesseractLanguage]:
        key = (language, *sorted(pulled.items()))
        if key not in _scripts:
            _scripts[key] = tesseract.languages(pulled, language)
        return _scripts[key]

    return look_up


def _line_crops(picture: Any, lines: list[_Line]) -> list[Any]:
    return [_crop_line(picture, _with_margin(line.corners)) for line in lines]


# ---- where lines are -------------------------------------------------------------------------------


class _Box(NamedTuple):
    """A detected line: its corners in the image, and the mean detection confidence around it."""

    corners: Corners
    sure: float


def _find_boxes(picture: Any) -> list[_Box]:
    """Return the boxes of lines.

    A large image is searched downscaled, or in tiles if its print is small or it is long and thin.
    """
    height, width = picture.shape[:2]
    shrink = shrink_to_read(width, height)
    if shrink == 1:
        return _detect_boxes(picture)
    if shrink:
        cv2 = import_library("cv2")
        small = cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        boxes = _detect_boxes(small)
        if not boxes or statistics.median(min(_box_size(box.corners)) for box in boxes) >= SMALL_PRINT:
            return [_Box(_move_corners(box.corners, 1 / shrink), box.sure) for box in boxes]
    by_tile = [
        [
            _Box(_move_corners(box.corners, 1.0, left, top), box.sure)
            for box in _detect_boxes(picture[top:bottom, left:right])
        ]
        for left, top, right, bottom in tiles(width, height)
    ]
    sure = statistics.fmean([box.sure for found in by_tile for box in found] or [0.0])
    return [_Box(corners, sure) for corners in join_tile_boxes([[box.corners for box in found] for found in by_tile])]


def _detect_boxes(picture: Any) -> list[_Box]:
    height, width = picture.shape[:2]
    enlarge = max(1.0, READ_LEAST / min(*_padded_size(height, width)))
    cv2 = import_library("cv2")
    squarer = _squarer(picture)
    detector_input = squarer if enlarge == 1 else cv2.resize(squarer, None, fx=enlarge, fy=enlarge)
    found = _engine.text_det(detector_input)
    if found.boxes is None:
        return []
    sure = statistics.fmean(map(float, found.scores))  # boxes are sorted but scores are not
    return [_Box(_move_corners(((float(x), float(y)) for x, y in box), 1 / enlarge), sure) for box in found.boxes]


def _move_corners(corners: Any, scale: float, left: float = 0.0, top: float = 0.0) -> Corners:
    first, second, third, fourth = ((x * scale + left, y * scale + top) for x, y in corners)
    return (first, second, third, fourth)


def _box_size(corners: Corners) -> tuple[float, float]:
    """Return width and height."""
    return math.dist(corners[0], corners[1]), math.dist(corners[0], corners[3])


# ---- results ---------------------------------------------------------------------------------------


class _Line(NamedTuple):
    """A recognised line. ``text`` is the network's output, with a blank for every unknown letter."""

    text: str
    score: float
    corners: Corners
    sure: float


def _read_rotated(picture: Any, boxes: list[_Box]) -> list[_Line]:
    """Read the lines of a page that may be rotated, including lines that run in another direction."""
    if not boxes:
        return []
    standing = sum(math.copysign(max(_box_size(box.corners)), _orientation_sign(box.corners)) for box in boxes) < 0
    order = sorted(boxes, key=lambda box: -max(_box_size(box.corners)))
    quarter, lines = _best_rotation(picture, order[:SAMPLE], (1, 3) if standing else (0, 2))
    lines += _recognise(picture, [_rotate_box(box, quarter) for box in order[SAMPLE:]])
    odd = [place for place, line in enumerate(lines) if _orientation_sign(line.corners) < 0]
    for turn in (1, 3) if odd else ():
        rotated_lines = _recognise(picture, [_rotate_box(order[place], quarter + turn) for place in odd])
        for place, line in zip(odd, rotated_lines, strict=True):
            lines[place] = max(lines[place], line, key=lambda each: each.score * bool(each.text.strip()))
    return lines


def _orientation_sign(corners: Corners) -> int:
    """Return 1 for a horizontal box, -1 for a vertical one."""
    width, height = _box_size(corners)
    return -1 if height >= TURNED * width else 1


def _best_rotation(picture: Any, sample: list[_Box], quarters: tuple[int, int]) -> tuple[int, list[_Line]]:
    """Return the rotation of a page, and the sample of lines read in it.

    The second rotation is tried if the first is doubtful.
    """
    first = _recognise(picture, [_rotate_box(box, quarters[0]) for box in sample])
    if _legibility(first) >= LEGIBLE:
        return quarters[0], first
    second = _recognise(picture, [_rotate_box(box, quarters[1]) for box in sample])
    if _legibility(second) > max(_legibility(first) + BETTER, READABLE):
        return quarters[1], second
    return quarters[0], first


def _legibility(lines: list[_Line]) -> float:
    return sum(line.score * (0.5 if _has_missing_letters(line.text) else 1.0) for line in lines) / max(1, len(lines))


def _rotate_box(box: _Box, quarter: int) -> _Box:
    """Return the box rotated by quarter turns clockwise: its corners start at another one."""
    corners = box.corners[quarter % 4 :] + box.corners[: quarter % 4]
    return _Box((corners[0], corners[1], corners[2], corners[3]), box.sure)


def _recognise(picture: Any, boxes: list[_Box]) -> list[_Line]:
    if not boxes:
        return []
    input_class = importlib.import_module("rapidocr.ch_ppocr_rec").TextRecInput
    found = _engine.text_rec(input_class(img=[_crop_line(picture, box.corners) for box in boxes]))
    return [
        _Line(str(text), float(score) if score == score else 0.0, box.corners, box.sure)
        for text, score, box in zip(found.txts, found.scores, boxes, strict=True)
    ]


def _crop_line(picture: Any, corners: Corners) -> Any:
    """Return the cropped and levelled line, at most ``CROP_HEIGHT`` pixels high."""
    cv2, numpy = import_library("cv2"), import_library("numpy")
    width, height = _box_size(corners)
    shrink = min(1.0, CROP_HEIGHT / max(height, 1.0))
    if shrink <= 0.5:  # warping samples single pixels, which would break thin strokes, so average first
        left, top = (max(0, int(min(point[axis] for point in corners))) for axis in (0, 1))
        right, bottom = (math.ceil(max(point[axis] for point in corners)) for axis in (0, 1))
        part = picture[top:bottom, left:right]
        picture = cv2.resize(part, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        corners = _move_corners(((x - left, y - top) for x, y in corners), shrink)
    across, down = max(1, round(width * shrink)), max(1, round(height * shrink))
    level = numpy.array([[0, 0], [across, 0], [across, down], [0, down]], dtype=numpy.float32)
    turn = cv2.getPerspectiveTransform(numpy.array(corners, dtype=numpy.float32), level)
    return cv2.warpPerspective(picture, turn, (across, down), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


_BLANKS = re.compile(r"(?<!\d)\s\s|\s\s(?!\d)|^\s|\s$")  # two figures may stand apart
_LETTER = re.compile(r"\S")
_INCOMPLETE = re.compile(r"[\u0370-\u1fff]{2}")  # Greek to Georgian and beyond: only partly known to the network


def _has_missing_letters(text: str) -> bool:
    """Return whether letters are missing. The network outputs a blank for an unknown letter.

    None of 290 lines of Latin print had two blanks in a row or one at an end; 14 of 21 lines in six other scripts did.
    """
    return not text or bool(_BLANKS.search(text))


# Letters that boxes, crosses and bars resemble: 27 marks of 60 drawn icons and charts were read as one of them, with up
# to 1.0.
_SHAPES = frozenset("一二三六十口回日目田品米工王井凸凹川ロニミハエトー囗曰")
_HAN = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_HAN_LANGUAGES = ("zh", "ja")


def _without_shapes(found: list[tuple[_Line, tuple[str, bool]]], language: str) -> list[tuple[_Line, tuple[str, bool]]]:
    """Return the lines without those whose only letter is one that shapes resemble.

    If anything else is in Chinese or Japanese, or ``language`` is, they are letters.
    """
    letters = [{letter for letter in text if letter.isalpha()} for _, (text, _) in found]
    han = [each for each in letters if any(map(_HAN.match, each))]
    if language in _HAN_LANGUAGES or any(set(filter(_HAN.match, each)) - _SHAPES for each in han):
        return found
    if any(len(each) > 1 and all(map(_HAN.match, each)) for each in han):
        return found
    return [line for line, each in zip(found, letters, strict=True) if len(each) != 1 or not each <= _SHAPES]


def _line_text(line: _Line) -> tuple[str, bool] | None:
    """Return a line's text and whether letters are unreadable; None if it is not a line of text."""
    width, height = _box_size(line.corners)
    text = " ".join(line.text.split())
    letters = len(_LETTER.findall(text))
    sparse = letters < SPARSE * width / max(height, 1.0)
    unread = _has_missing_letters(line.text) or sparse or len(_INCOMPLETE.findall(text)) > 1
    if unread and width >= LINE_SHAPE * height and line.sure >= SURE:
        return text, True
    if line.score < LOWEST or not text:
        return None
    return text, False


def _has_word_shape(line: _Line) -> bool:
    """Return True for a box that may be a short word in another script."""
    width, height = _box_size(line.corners)
    return width >= WORD_SHAPE * height and line.sure >= SURE


def _padded_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width of the image after padding to a ratio of at most 4:1."""
    return max(height, -(-width // MAX_RATIO)), max(width, -(-height // MAX_RATIO))


def _squarer(picture: Any) -> Any:
    """Return the image padded to at most 4:1 at its right or lower edge, so that boxes keep their coordinates.

    RapidOCR enlarges images until the short side has 736 pixels: a strip of 3 x 200 would become 736 x 49,067 and take
    a minute.
    """
    height, width = picture.shape[:2]
    high, wide = _padded_size(height, width)
    if (high, wide) == (height, width):
        return picture
    cv2, numpy = import_library("cv2"), import_library("numpy")
    colour = [float(c) for c in numpy.median(picture.reshape(-1, 3), axis=0)]
    return cv2.copyMakeBorder(picture, 0, high - height, 0, wide - width, cv2.BORDER_CONSTANT, value=colour)


Tile = tuple[int, int, int, int]

_SAME = 0.3  # share of the smaller box that two boxes of one line have in common ...

_BESIDE = 0.8  # ... or, where they only touch end to end, share of the lower one's height


def tiles(width: int, height: int, side: int = TILE_SIDE, overlap: int = TILE_OVERLAP) -> tuple[Tile, ...]:
    """Return overlapping tiles of about ``side`` pixels that cover an image, as x0, y0, x1, y1.

    Adjacent tiles overlap by ``overlap`` pixels.

    >>> tiles(1000, 3000)
    ((0, 0, 1000, 1280), (0, 860, 1000, 2140), (0, 1720, 1000, 3000))
    """
    return tuple(
        (left, top, right, bottom)
        for top, bottom in _tile_spans(height, side, overlap)
        for left, right in _tile_spans(width, side, overlap)
    )


def _tile_spans(length: int, side: int, overlap: int) -> list[tuple[int, int]]:
    if length <= side:
        return [(0, length)]
    count = math.ceil((length - overlap) / (side - overlap))
    step = (length - side) / (count - 1)
    return [(round(place * step), round(place * step) + side) for place in range(count)]


def join_tile_boxes(found: Iterable[Sequence[Corners]]) -> list[Corners]:
    """Merge the boxes of all tiles, in image coordinates.

    A line found in two tiles becomes one box around both, along the direction of the longer one.
    """
    boxes = sorted(
        ((corners, place) for place, of_tile in enumerate(found) for corners in of_tile),
        key=lambda each: _top_edge(each[0]),
    )
    kept_boxes: list[tuple[Corners, int]] = []
    open_: list[tuple[Corners, int]] = []  # boxes that extend below the current sweep position
    for corners, place in boxes:
        finished_boxes = [each for each in open_ if _hull(each[0])[3] <= _top_edge(corners)]
        kept_boxes += finished_boxes
        open_ = [each for each in open_ if each not in finished_boxes]
        same = [each for each in open_ if each[1] != place and _same_line(each[0], corners)]
        for each in same:
            open_.remove(each)
            corners = _merged_box(each[0], corners)
        open_.append((corners, place))
    return [corners for corners, _ in (*kept_boxes, *open_)]


def _top_edge(corners: Corners) -> float:
    return min(y for _, y in corners)


def _hull(corners: Corners) -> tuple[float, float, float, float]:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return min(xs), min(ys), max(xs), max(ys)


def _same_line(one: Corners, other: Corners) -> bool:
    a, b = _hull(one), _hull(other)
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if across <= 0 or down <= 0:
        return False
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    if across * down > _SAME * smaller:
        return True
    return down > _BESIDE * min(a[3] - a[1], b[3] - b[1])


def _merged_box(one: Corners, other: Corners) -> Corners:
    """Return the rectangle around both boxes, aligned with the first side of the longer one."""
    longer = max(one, other, key=lambda corners: math.dist(corners[0], corners[1]))
    (x0, y0), (x1, y1) = longer[0], longer[1]
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    along = [x * ux + y * uy for x, y in (*one, *other)]
    across = [y * ux - x * uy for x, y in (*one, *other)]
    corners = (
        (min(along), min(across)),
        (max(along), min(across)),
        (max(along), max(across)),
        (min(along), max(across)),
    )
    first, second, third, fourth = ((a * ux - c * uy, a * uy + c * ux) for a, c in corners)
    return (first, second, third, fourth)


if __name__ == "__main__":
    serve({"load": load, "read": read_lines})
