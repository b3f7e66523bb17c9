"""Defaults and limits of media steps. Constants only: the planner reads them, so they do no work."""

from __future__ import annotations

from typing import Final

# Rendering of document pages.
DEFAULT_DPI: Final = 150
MIN_DPI: Final = 36  # below this no text of ordinary size is legible: a page is then shown small, not left out
MAX_DPI: Final = 300
POINTS_PER_INCH: Final = 72
MAX_PAGE_PIXELS: Final = 16_000_000  # of one rendered page; A4 at 300 dpi is 8.7 million
MAX_PAGES: Final = 2_000  # of a document that is taken at all
MAX_PAGES_IN_PLAN: Final = 100  # that one plan renders and reads
MAX_WORDS_OF_PAGE: Final = 400  # distinct words kept for lexical page selection
MAX_PAGES_WITH_WORDS: Final = 500
SCANNED_BELOW: Final = 16  # characters: a page number or a stamp is not a text layer
MAX_PAGES_SAMPLED: Final = 50  # scanned pages whose text density is looked at

# Pictures.
MAX_PIXELS: Final = 40_000_000
SAMPLE_SIDE: Final = 640  # pixels of the longer side at which text density is sampled
MAX_FRAMES: Final = 5_000
MAX_OCR_SIDE: Final = 2_600  # longer sides are shrunk before reading: A4 at 220 dpi

# Sound, as embedded ears take it.
PCM_RATE: Final = 16_000  # Hz, mono, signed 16-bit little endian
PCM_BYTES_PER_SECOND: Final = 2 * PCM_RATE
MAX_SECONDS: Final = 6 * 3600

# Bytes.
MAX_FILE_BYTES: Final = 512 << 20
MAX_URL_BYTES: Final = 64 << 20
MAX_URL_SECONDS: Final = 30.0
MAX_REDIRECTS: Final = 5


def page_size(width: float, height: float, dpi: float) -> tuple[int, int, float]:
    """Pixels of a page of ``width`` x ``height`` points rendered at ``dpi``, and the dpi really used.

    The dpi is lowered until the page has at most ``MAX_PAGE_PIXELS``; planner and worker share this,
    so that the picture that is priced is the picture that is made.

    >>> page_size(595, 842, 150)
    (1240, 1755, 150)
    >>> page_size(14400, 14400, 150)
    (4000, 4000, 20.0)
    """
    inches = (width / POINTS_PER_INCH) * (height / POINTS_PER_INCH)
    if inches * dpi * dpi > MAX_PAGE_PIXELS:
        dpi = (MAX_PAGE_PIXELS / inches) ** 0.5
    scale = dpi / POINTS_PER_INCH
    return max(1, _up(width * scale)), max(1, _up(height * scale)), dpi


def _up(value: float) -> int:
    """Rounded up, forgiving the last digits of floating point."""
    return -int(-(value - 1e-6) // 1)
