"""Real images through the real reader."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.unit.local.runtime_fixtures import OCR, runtimes

from intermodal.errors import InputBroken
from intermodal.local.embedded.ocr_layout import lines_to_text
from intermodal.local.embedded.runtimes import EmbeddedRuntimes

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
DRAWN = Path(__file__).parents[1] / "media"
INVOICE = [
    "Invoice INV-20417 - Acme Rail Ltd",
    "Date: 14 March 2026",
    "Container MSKU 482913-7 Rotterdam to Milan",
    "Freight EUR 1,284.50",
    "Handling EUR 96.00",
    "Total due EUR 1,380.50 by 28 March 2026",
]


@pytest.fixture(scope="module")
async def eye() -> AsyncIterator[EmbeddedRuntimes]:
    found = runtimes()
    yield found
    await found.close()


async def test_the_invoice_is_read_line_by_line(eye: EmbeddedRuntimes, media: Path) -> None:
    seen = await eye.recognize_text(OCR, (media / "screenshot-invoice.png").read_bytes())
    assert [line.text for line in seen.lines] == INVOICE
    assert all(0.9 < line.confidence <= 1 for line in seen.lines)
    tops = [line.box[1] for line in seen.lines]
    assert tops == sorted(tops)
    assert all(0 <= x0 < x1 <= 900 and 0 <= y0 < y1 <= 420 for x0, y0, x1, y1 in (line.box for line in seen.lines))
    assert seen.load_seconds > 0
    again = await eye.recognize_text(OCR, (media / "screenshot-invoice.png").read_bytes())
    assert again.load_seconds == 0
    assert again.lines == seen.lines


@pytest.mark.skipif(sys.platform != "linux", reason="the highest resident set is known of Linux")
async def test_pages_of_a_scan_are_read_in_bounded_memory_which_is_given_back() -> None:
    """Of one size, which is where a runtime that plans its memory took most: 640 MiB for these."""
    page = Image.new("RGB", (1240, 1754), "white")
    for top in range(100, 1600, 48):
        words = f"Lorry {top} left Porto with {top} crates of glass and came back without."
        ImageDraw.Draw(page).text((90, top), words, fill="black", font=ImageFont.load_default(28))
    data = io.BytesIO()
    page.save(data, "PNG")
    reader, before = runtimes(), set(psutil.Process().children(recursive=True))  # other tests may have readers, too
    try:
        found = [await reader.recognize_text(OCR, data.getvalue()) for _ in range(3)]
        began = set(psutil.Process().children(recursive=True)) - before
        (child,) = [each for each in began if "ocr" in " ".join(each.cmdline())]
        held = child.memory_info().rss
    finally:
        await reader.close()
    assert all(len(seen.lines) == 32 for seen in found), "the page is not read, and nothing measured"
    assert max(seen.peak_memory for seen in found) < 460 << 20
    assert held < 220 << 20


async def test_a_photograph_without_text_gives_no_lines(eye: EmbeddedRuntimes, media: Path) -> None:
    data = io.BytesIO()
    Image.open(media / "photo-coffee.jpg").save(data, "PNG")
    assert (await eye.recognize_text(OCR, data.getvalue())).lines == ()


async def test_icons_are_no_letters_of_another_script(eye: EmbeddedRuntimes) -> None:
    """A box is read as a Chinese mouth, with a confidence of 1.0, and the three bars of a menu as a three."""
    picture = Image.new("RGB", (500, 240), "white")
    draw = ImageDraw.Draw(picture)
    for at in (40, 200):
        draw.rectangle((at, 40, at + 40, 80), outline="black", width=5)
        for bar in range(3):
            draw.line((at, 140 + 12 * bar, at + 40, 140 + 12 * bar), fill="black", width=5)
    draw.text((330, 40), "Settings", fill="black", font=ImageFont.load_default(32))
    read = " ".join(line.text for line in (await eye.recognize_text(OCR, png(picture))).lines)
    assert "Settings" in read and not any(letter >= "\u0370" and letter.isalpha() for letter in read), read


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (2000, 2), (400, 300)])
async def test_a_blank_picture_of_any_shape_gives_no_lines(eye: EmbeddedRuntimes, size: tuple[int, int]) -> None:
    data = io.BytesIO()
    Image.new("RGB", size, "white").save(data, "PNG")
    seen = await eye.recognize_text(OCR, data.getvalue())
    assert seen.lines == ()


async def test_one_long_line_of_text_is_read_and_its_box_stays_in_the_picture(
    eye: EmbeddedRuntimes, media: Path
) -> None:
    strip = Image.open(media / "screenshot-invoice.png").crop((0, 300, 900, 345))
    data = io.BytesIO()
    strip.save(data, "PNG")
    (line,) = (await eye.recognize_text(OCR, data.getvalue())).lines
    assert line.text == INVOICE[-1]
    assert line.box[2] <= 900
    assert line.box[3] <= 45


async def test_bytes_that_are_no_picture_are_one_clear_error(eye: EmbeddedRuntimes) -> None:
    with pytest.raises(InputBroken, match="not an image"):
        await eye.recognize_text(OCR, b"\x89PNG\r\n\x1a\n nothing")


async def test_a_scanned_page_is_read_nearly_whole(eye: EmbeddedRuntimes, media: Path) -> None:
    import pypdfium2

    truth = json.loads((media / "report.json").read_text())
    page = pypdfium2.PdfDocument(media / "scanned.pdf")[0].render(scale=150 / 72).to_pil()
    data = io.BytesIO()
    page.save(data, "PNG")
    text = lines_to_text((await eye.recognize_text(OCR, data.getvalue())).lines).replace("\t", " ").split()
    expected = str(truth).split()
    hit = sum(1 for word in text if any(word in other for other in expected))
    assert len(text) > 30
    assert hit / len(text) > 0.9


# ---- images drawn here: what they say is known ----------------------------------------------------

LINES = (
    "The harbour was quiet when the ferry left at seven.",
    "Three boats stayed behind, waiting for the tide.",
    "Nobody on the pier had heard of the new timetable.",
    "A clerk counted forty crates and signed the list.",
)


def png(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def drawn(
    rows: Iterable[tuple[tuple[float, float], str]], size: tuple[int, int], *, letters: int = 28, degrees: float = 0
) -> bytes:
    """Print on white, turned counter-clockwise about its middle."""
    picture = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(picture)
    for place, text in rows:
        pen.text(place, text, fill="black", font=ImageFont.load_default(letters))
    return png(picture.rotate(degrees, expand=True, fillcolor="white", resample=Image.Resampling.BICUBIC))


def unspaced(text: str) -> str:
    """Its letters and the breaks between its rows and cells: blanks between words are the network's guess."""
    return text.replace(" ", "")


@pytest.mark.parametrize("degrees", [90, 180, 270, 4])
async def test_a_page_that_lies_askew_is_read_whole_and_in_order(eye: EmbeddedRuntimes, degrees: float) -> None:
    page = drawn((((60, 60 + 44 * row), text) for row, text in enumerate(LINES)), (860, 300), degrees=degrees)
    seen = await eye.recognize_text(OCR, page)
    assert unspaced(lines_to_text(seen.lines)) == unspaced("\n".join(LINES))
    width, height = Image.open(io.BytesIO(page)).size
    assert all(0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height for x0, y0, x1, y1 in (each.box for each in seen.lines))


async def test_a_tilted_table_keeps_its_rows(eye: EmbeddedRuntimes) -> None:
    rows = (("Item", "Qty", "Amount"), ("Copper wire", "12", "54.00"), ("Door frame", "3", "264.00"))
    cells = [((50 + 260 * at, 50 + 60 * row), cell) for row, cells in enumerate(rows) for at, cell in enumerate(cells)]
    seen = await eye.recognize_text(OCR, drawn(cells, (760, 260), degrees=-3))
    assert unspaced(lines_to_text(seen.lines)) == unspaced("\n".join("\t".join(row) for row in rows))


async def test_every_message_of_a_tall_screenshot_is_read_once(eye: EmbeddedRuntimes) -> None:
    messages = [f"Message {number:02d} with code {1000 + 37 * number}" for number in range(40)]
    tall = drawn((((40, 40 + 110 * row), text) for row, text in enumerate(messages)), (600, 4440))
    assert unspaced(lines_to_text((await eye.recognize_text(OCR, tall)).lines)) == unspaced("\n".join(messages))


async def test_lines_in_letters_that_the_reader_lacks_are_told(tmp_path: Path) -> None:
    without = runtimes(tmp_path)  # no language was pulled into it
    try:
        seen = await without.recognize_text(OCR, (DRAWN / "invoice-in-two-scripts.png").read_bytes())
    finally:
        await without.close()
    assert [each.unread for each in seen.lines] == [False, True, True]
    assert seen.lines[0].text == "Invoice 4471"


def test_a_start_makes_no_configurations_of_the_table_of_downloads_and_leaves_the_library_as_it_was() -> None:
    """They took a quarter of the time of a start, and nothing is downloaded."""
    program = (
        "from omegaconf import OmegaConf\n"
        "load = OmegaConf.load\n"
        "from intermodal.local.embedded import ocr\n"
        "ocr.load('', 'ocr')\n"
        "from rapidocr.inference_engine.base import InferSession\n"
        "print(type(InferSession.model_info).__name__, OmegaConf.load is load)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["dict", "True"]
