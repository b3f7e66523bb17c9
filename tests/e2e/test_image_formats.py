"""Words in an image are read whatever the format: one client, a real reader that stays in memory, a fake host.

What the reader made of each image is looked at where it goes: at the host.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import intermodal
from intermodal.testing import FakeHost

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


@pytest.fixture(scope="module")
def host() -> Iterator[FakeHost]:
    with FakeHost(answer="the answer") as fake:
        yield fake


@pytest.fixture(scope="module")
def client(host: FakeHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[intermodal.Client]:
    home = tmp_path_factory.mktemp("formats")
    (home / "intermodal.toml").write_text(
        f'[hosts.cloud]\nbase_url = "{host.base_url}"\nzone = "internet"\n'
        '[[hosts.cloud.models]]\nid = "cloud/strong"\ninput = ["text"]\ncontext = 32000\ntier = "large"\n'
        "input_mtok = 0.1\noutput_mtok = 0.4\n"
    )
    env = {"INTERMODAL_HOME": str(home), "INTERMODAL_CONFIG": str(home / "intermodal.toml")}
    with intermodal.Client(env={**os.environ, **env, "INTERMODAL_DISCOVERY": "off"}) as found:
        yield found


@pytest.mark.parametrize("form", FORMS)
def test_the_words_of_a_picture_are_read_in_every_format(
    form: str, tmp_path: Path, media: Path, host: FakeHost, client: intermodal.Client
) -> None:
    page = Image.open(media / "screenshot-invoice.png").convert("RGB")
    path = _save(form, page, tmp_path)
    request = intermodal.make_request("What is the total?", path, max_tokens=8)
    before = len(host.attempts)
    result = client.run(request, client.plan(request))
    assert result.text == "the answer"
    [attempt] = host.attempts[before:]
    assert b"1,380.50" in attempt.body
