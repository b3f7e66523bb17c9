"""Defaults and limits of media steps. Only constants and arithmetic: the planner reads them too."""

from __future__ import annotations

import re
from typing import Final

# Rendering of document pages.
DEFAULT_DPI: Final = 150
FIGURE_DPI: Final = 200  # of an image on a page that is rendered alone, because its details are small
MIN_DPI: Final = 36  # no text of ordinary size is legible below it; such a page is rendered small and not left out
MAX_DPI: Final = 300
POINTS_PER_INCH: Final = 72
MAX_PAGE_PIXELS: Final = 16_000_000  # of one rendered page; A4 at 300 dpi is 8.7 million
MAX_PAGES: Final = 2_000  # of a document
MAX_PAGES_IN_PLAN: Final = 100  # pages that one plan renders and reads
WORD_OF_PAGE: Final = re.compile(r"[^\W_]{2,40}")  # in lower case
MAX_WORDS_OF_PAGE: Final = 400  # distinct words kept for lexical page selection
MAX_PAGES_WITH_WORDS: Final = 500
MAX_PAGES_SAMPLED: Final = 50  # scanned pages whose text density is measured

# Images.
MAX_PIXELS: Final = 40_000_000
SAMPLE_SIDE: Final = 640  # pixels of the longer side at which text density is sampled
MAX_FRAMES: Final = 5_000
COUNTED_SIDE: Final = 2_000  # pixels of the longer side up to which the cost of reading is estimated by the whole image
SAFE_SIDE: Final = 2_000  # pixels: no vendor is known to reject images with no longer side, however many there are
CONTRASTIVE_SIDE: Final = 768  # pixels of the shorter side of an image for a contrastive model, which uses 224 to 512
READ_WHOLE: Final = 1_280  # pixels of the longer side up to which an image is read unscaled; a larger one is shrunk,
READ_LEAST: Final = 736  # to at least this shorter side, and read in tiles if print is then too small
TILE_SIDE: Final = 1_280  # pixels of such a tile, which bounds memory ...
TILE_OVERLAP: Final = 200  # ... of which this many overlap with its neighbour: more than the height of a line of print

# Speech of a video in lines of a prompt, each with a time.
LINES_OF_FILM: Final = 300  # approximate: a time costs as many tokens as six words
SHORTEST_LINE: Final = 2.0  # seconds after its beginning within which further speech continues the line ...
LONGEST_LINE: Final = 20.0  # ... and in a video of more than an hour and a half

# Audio, as the embedded speech models take it.
PCM_RATE: Final = 16_000  # Hz, mono, signed 16-bit little endian
PCM_BYTES_PER_SECOND: Final = 2 * PCM_RATE
MAX_SECONDS: Final = 6 * 3600

# Video and animations: how many frames, and how large.
FRAME_SIDE: Final = 768  # pixels of the longer side of a frame for a vision model
READ_SIDE: Final = 1_280  # of a frame whose text is read: small print needs it
THRIFTY_SIDE: Final = 512  # for plans with few tokens
FRAMES_LEAST: Final = 12  # of a plan, by scene, of a video of up to two minutes ...
FRAMES_MOST: Final = 32  # ... and of ten minutes and more
FRAMES_THRIFTY: Final = 4
FRAMES_DENSE: Final = 24  # where motion matters
MAX_FRAMES_IN_PLAN: Final = 100  # of one step, whatever was requested
MAX_FRAME_SIDE: Final = 2_048  # pixels, whatever was requested
MAX_VIDEO_FRAMES: Final = 1_500_000  # of a video; 6 h at 60 frames a second are 1.3 million
MAX_CUTS: Final = 1_000
MAX_SUBTITLE_LINES: Final = 20_000  # of a track: 6 h at one in a second
MAX_SUBTITLE_CHARS: Final = 4_000_000  # of all tracks of a film

# Bytes.
MAX_FILE_BYTES: Final = 512 << 20  # of a file that is read into memory as a whole, or sent unchanged
MAX_FILM_BYTES: Final = 64 << 30  # of videos and recordings on disk, read while they are decoded: 6 h of 24 Mbit/s
PDF: Final = "application/pdf"
MAX_PDF_BYTES: Final = 4 << 30  # of PDFs on disk, which are read page by page
LARGE_FILE: Final = 16 << 20  # a file on disk of this size or more is not read into memory
MAX_LARGE_FILES: Final = 64  # large files per request: each holds a descriptor as long as the request lasts
MAX_URL_BYTES: Final = 64 << 20
MAX_URL_SECONDS: Final = 30.0
MAX_REDIRECTS: Final = 5


def read_megapixels(width: int, height: int) -> tuple[float, float, float]:
    """Return the megapixels by which time and text of a reading are estimated: low, mid, high.

    They are those of the image itself, which finished readings are counted by, with a longer side of at most
    ``COUNTED_SIDE``. High assumes small print, which is read again in tiles.

    >>> read_megapixels(900, 1200), read_megapixels(2560, 2560)
    ((1.08, 1.08, 1.08), (4.0, 4.0, 14.7456))
    >>> read_megapixels(1000, 12000)
    (14.08, 14.08, 14.08)
    """
    megapixels, shrink = width * height / 1e6, shrink_to_read(width, height)
    if shrink == 1:
        return (megapixels, megapixels, megapixels)
    tiled = _tiled_side(width) * _tiled_side(height) / 1e6
    if not shrink:
        return (tiled, tiled, tiled)
    one_reading = megapixels * min(1.0, COUNTED_SIDE / max(width, height)) ** 2
    return (one_reading, one_reading, max(one_reading, tiled))


def shrink_to_read(width: int, height: int) -> float:
    """Return the scale at which an image is first searched for lines.

    It is 0 for a long and narrow image, which is read in tiles at once.

    >>> shrink_to_read(800, 600), shrink_to_read(2560, 1280), shrink_to_read(1472, 2944), shrink_to_read(1000, 12000)
    (1.0, 0.575, 0.5, 0.0)
    """
    if max(width, height) <= READ_WHOLE:
        return 1.0
    shrink = max(READ_WHOLE / max(width, height), READ_LEAST / min(width, height))
    return shrink if shrink < 1 and width * height * shrink**2 <= READ_WHOLE**2 else 0.0


def _tiled_side(length: int) -> int:
    """Return the pixels of a side in all tiles together."""
    if length <= TILE_SIDE:
        return length
    return -(-(length - TILE_OVERLAP) // (TILE_SIDE - TILE_OVERLAP)) * TILE_SIDE


def page_size(width: float, height: float, dpi: float) -> tuple[int, int, float]:
    """Return the pixels of a page of ``width`` x ``height`` points rendered at ``dpi``, and the dpi used.

    The dpi is lowered until the page has at most ``MAX_PAGE_PIXELS``. Planner and worker share this function, so that
    the estimated image and the rendered image are equal.

    >>> page_size(595, 842, 150)
    (1240, 1755, 150)
    >>> page_size(14400, 14400, 150)
    (4000, 4000, 20.0)
    """
    inches = (width / POINTS_PER_INCH) * (height / POINTS_PER_INCH)
    if inches * dpi * dpi > MAX_PAGE_PIXELS:
        dpi = (MAX_PAGE_PIXELS / inches) ** 0.5
    scale = dpi / POINTS_PER_INCH
    return max(1, _ceil_tolerant(width * scale)), max(1, _ceil_tolerant(height * scale)), dpi


def frame_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Return the pixels of a frame whose longer side is limited to ``side``.

    >>> frame_size(1280, 720, 768), frame_size(320, 240, 768)
    ((768, 432), (320, 240))
    """
    shrink = min(1.0, side / max(width, height, 1))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def most_frames(seconds: float) -> int:
    """Return the largest number of scenes of a video that a plan shows: two more for each minute after the second.

    >>> most_frames(20), most_frames(300), most_frames(3600)
    (12, 18, 32)
    """
    return min(FRAMES_MOST, max(FRAMES_LEAST, FRAMES_LEAST + 2 * round((seconds - 120) / 60)))


def line_of(seconds: float) -> float:
    """Return the seconds within which speech continues a line, in a video of ``seconds``.

    >>> line_of(40), line_of(1800), line_of(7200)
    (2.0, 6.0, 20.0)
    """
    return min(LONGEST_LINE, max(SHORTEST_LINE, seconds / LINES_OF_FILM))


def expected_scenes(seconds: float, cuts: tuple[float, ...]) -> tuple[float, float, float]:
    """Return the estimated number of different images in a video, before it is decoded: low, mid, high.

    A video has one scene more than cuts. Headers show about four of five cuts between slides and nearly all between
    photographs, hence the factor 1.2. A moving camera adds images that no header shows, at most one in 1.5 s. Fitted to
    the results of ``media/video/scenes.py`` (images, and in parentheses scenes known from cuts): six slides in 30 s 6
    (4), twelve in 240 s 12 (10), thirty in 300 s 30 (22), twelve slides that grow 12 (10), forty cuts between
    photographs 40 (40), a talk over stills 3 (3), a photograph for a minute 1 (1), four pans in 24 s 16 (4), 5.3 s of
    Big Buck Bunny, where the camera moves, 3 (1).

    >>> expected_scenes(11.0, (3.8, 7.4)), expected_scenes(5.3, ())
    ((1.5, 3.4, 8.3), (1.0, 2.1, 4.5))
    """
    cut_count = len(cuts)
    unseen = min(seconds / 5, 2.0) + seconds / 120 if not cut_count else 0.0
    most = max(1.0, min(1.0 + seconds / 1.5, 3.0 * (1 + cut_count) + 9.0))
    mid = min(most, 1.0 + 1.2 * cut_count + unseen)
    return (round(max(1.0, min(mid, (1 + cut_count) / 2)), 1), round(mid, 1), round(most, 1))


def _ceil_tolerant(value: float) -> int:
    """Return ``value`` rounded up, ignoring floating-point error in the last digits."""
    return -int(-(value - 1e-6) // 1)
