"""The script of an image's words, told by the worker before anything is read."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from intermodal.media.image import script_detection
from intermodal.media.image.decoder import probe
from intermodal.media.worker_client import MediaWorker

WRITTEN = Path(__file__).with_name("written")  # nine lines each, as a screenshot of an invoice has them


def script_of(name: str, change: object = None) -> str:
    image = Image.open(WRITTEN / f"{name}.png").convert("L")
    if change is not None:
        assert callable(change)
        image = change(image)
    return probe(png(image), "image/png").script


def png(image: Image.Image, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", **options)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("russian", "Cyrillic"), ("greek", "Greek"), ("arabic", "Arabic"), ("hindi", "Devanagari"),
        ("hebrew", "Hebrew"), ("korean", "Hangul"), ("thai", "Thai"), ("latin", ""), ("chinese", ""),
    ],
)  # fmt: skip
def test_a_script_that_not_every_reader_knows_is_told(name: str, script: str) -> None:
    assert script_of(name) == script


@pytest.mark.slow
@pytest.mark.parametrize("name", ["russian", "greek", "latin"])
@pytest.mark.parametrize("way", ["dark", "pale", "larger", "tilted"])
def test_paper_ink_size_and_a_slight_tilt_make_no_difference(name: str, way: str) -> None:
    changes = {
        "dark": lambda image: image.point(lambda level: 225 - level * 200 // 255),
        "pale": lambda image: image.point(lambda level: 150 + level * 90 // 255),
        "larger": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
        "tilted": lambda image: image.rotate(1, fillcolor=255, resample=Image.Resampling.BICUBIC),
    }
    assert script_of(name, changes[way]) == script_of(name)


@pytest.mark.parametrize("name", ["russian", "latin", "korean"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_page_on_its_side_or_its_head_is_not_told_to_be_in_another_script(name: str, degrees: int) -> None:
    assert script_of(name, lambda image: image.rotate(degrees, expand=True)) == ""


def test_a_picture_that_a_camera_turned_is_looked_at_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    lying = Image.open(WRITTEN / "russian.png").convert("L").transpose(Image.Transpose.ROTATE_90)
    assert probe(png(lying, exif=exif), "image/png").script == "Cyrillic"


def drawn(width: int, height: int, lines: int = 0) -> Image.Image:
    image = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(image)
    for line in range(lines):
        pen.line((10, 20 * line + 10, width - 10, 20 * line + 10), width=2)
    return image


@pytest.mark.parametrize(
    "image",
    [drawn(1, 1), drawn(8, 4000), drawn(4000, 8), drawn(600, 400), drawn(600, 400, 15),
     Image.effect_noise((700, 500), 90),
     Image.radial_gradient("L")],
)  # fmt: skip
def test_of_what_is_no_page_nothing_is_told(image: Image.Image) -> None:
    assert probe(png(image), "image/png").script == ""


def test_the_model_has_a_weight_for_each_pattern_and_a_language_for_each_script() -> None:
    from intermodal.local.embedded.tesseract import SCRIPTS

    model = script_detection._LIKELIHOODS
    found = script_detection.count_patterns(Image.open(WRITTEN / "greek.png").convert("L"))
    assert found is not None and all(len(row) == sum(map(len, found)) for row in model.rows())
    told = set(model.scripts) - {*script_detection.READ_SCRIPTS, script_detection.TURNED}
    assert {script.capitalize() for script in told} <= set(SCRIPTS)


@pytest.mark.anyio
async def test_a_sealed_worker_tells_it_of_pictures_and_of_scanned_pages() -> None:
    page = Image.open(WRITTEN / "russian.png").convert("L")
    scan = io.BytesIO()
    page.save(scan, "PDF", resolution=100)
    worker = MediaWorker()
    try:
        assert (await worker.probe(png(page), name="schet.png")).script == "Cyrillic"
        (found,) = (await worker.probe(scan.getvalue(), name="schet.pdf")).pages
        assert found.scanned and found.script == "Cyrillic"
    finally:
        await worker.close()
