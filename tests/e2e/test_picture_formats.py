"""Words in a picture are read whatever the format: the command, a real reader, a fresh process each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from command import intermodal

pytestmark = pytest.mark.e2e


def _grey16(page: Image.Image) -> Image.Image:
    return page.convert("L").convert("I").point(lambda value: value * 257).convert("I;16")


def _lying(page: Image.Image) -> tuple[Image.Image, Image.Exif]:
    """Stored on its side, with the tag that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return page.transpose(Image.Transpose.ROTATE_90), exif


def _save(form: str, page: Image.Image, folder: Path) -> Path:
    blank = Image.new("RGB", page.size, "white")
    animated: dict[str, Any] = {"save_all": True, "append_images": [blank, blank], "duration": 40}
    lying, exif = _lying(page)
    cases: dict[str, tuple[str, Image.Image, dict[str, Any]]] = {
        "still-gif": ("gif", page, {}),
        "animated-gif": ("gif", page, animated),
        "still-webp": ("webp", page, {"quality": 90}),
        "animated-webp": ("webp", page, animated),
        "rotated-jpeg": ("jpg", lying, {"exif": exif, "quality": 95}),
        "cmyk-jpeg": ("jpg", page.convert("CMYK"), {"quality": 95}),
        "16-bit-png": ("png", _grey16(page), {}),
    }
    ending, image, options = cases[form]
    path = folder / f"invoice.{ending}"
    image.save(path, **options)
    return path


FORMS = ["still-gif", "animated-gif", "still-webp", "animated-webp", "rotated-jpeg", "cmyk-jpeg", "16-bit-png"]


@pytest.mark.parametrize("form", FORMS)
def test_the_words_of_a_picture_are_read_in_every_format(form: str, tmp_path: Path, media: Path) -> None:
    page = Image.open(media / "screenshot-invoice.png").convert("RGB")
    path = _save(form, page, tmp_path)
    ran = intermodal("ask", "What is the total?", str(path), "--max-tokens", "8", "--save-derived", str(tmp_path))
    assert ran.code == 0, ran.err
    assert "1,380.50" in (tmp_path / f"{path.name}.read.txt").read_text()
