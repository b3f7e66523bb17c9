"""What the direct path reads off an image's first bytes is what Pillow sees, or nothing."""

from __future__ import annotations

import random
import struct
import zlib
from base64 import b64encode
from io import BytesIO
from typing import Any

import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from intermodal.protocols.framing.image_facts import ImageFacts, image_in_data_url

SEED = 20_261_126
PNG_MODES = ("1", "L", "LA", "I;16", "P", "RGB", "RGBA")
JPEG_MODES = ("L", "RGB", "CMYK")


def look(data: bytes, kind: str) -> ImageFacts | None:
    return image_in_data_url(b"data:image/%b;base64,%b" % (kind.encode(), b64encode(data)))


def drawn(mode: str, size: tuple[int, int], kind: str, **options: Any) -> bytes:
    made = BytesIO()
    Image.frombytes("L", size, random.Random(SEED).randbytes(size[0] * size[1])).convert(mode).save(
        made, kind, **options
    )
    return made.getvalue()


def png(wide: int, high: int, pixels: bytes = b"") -> bytes:
    """As much of one as says its size, and that it ends."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return head + b"\0\0\0\x08IDAT" + bytes(40) + pixels + b"\0\0\0\0IEND\xaeB`\x82"


def as_shown(data: bytes) -> tuple[int, int]:
    with Image.open(BytesIO(data)) as opened:
        return ImageOps.exif_transpose(opened).size


@pytest.mark.parametrize("size", [(1, 9), (64, 48), (333, 1001)])
@pytest.mark.parametrize("mode", PNG_MODES)
def test_a_png_is_as_large_as_pillow_says(mode: str, size: tuple[int, int]) -> None:
    info = PngInfo()
    info.add_text("about", "x" * 300)
    data = drawn(mode, size, "PNG", pnginfo=info, icc_profile=b"p" * 500, dpi=(72, 72))
    found = look(data, "png")
    assert found is not None
    assert (found.width, found.height, found.size) == (*as_shown(data), len(data))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"icc_profile": b"p" * 3000}, {"optimize": True}])
@pytest.mark.parametrize("mode", JPEG_MODES)
def test_a_jpeg_is_as_large_as_pillow_says(mode: str, options: dict[str, Any]) -> None:
    data = drawn(mode, (120, 77), "JPEG", **options)
    found = look(data, "jpeg")
    assert found is not None
    assert (found.width, found.height, found.media_type) == (*as_shown(data), "image/jpeg")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_turned_picture_is_left_to_who_turns_it(orientation: int, order: str) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    exif = b"Exif\0\0" + mark + struct.pack(f"{order}IH", 8, 2)
    exif += struct.pack(f"{order}HHII", 0x0100, 4, 1, 77) + struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    data = drawn("RGB", (120, 77), "JPEG", exif=exif + b"\0" * 4)
    found = look(data, "jpeg")
    if found is not None:
        assert (found.width, found.height) == as_shown(data)
    assert (found is None) == (orientation not in (0, 1))


def test_an_animation_is_left_to_the_worker() -> None:
    made = BytesIO()
    frames = [Image.new("RGB", (30, 20), (shade, 0, 0)) for shade in (0, 90, 180)]
    frames[0].save(made, "PNG", save_all=True, append_images=frames[1:])
    assert look(made.getvalue(), "png") is None


def test_a_picture_of_another_kind_than_it_says_is_left_to_the_worker() -> None:
    png, jpeg = drawn("RGB", (40, 30), "PNG"), drawn("RGB", (40, 30), "JPEG")
    assert look(png, "jpeg") is None
    assert look(jpeg, "png") is None
    assert look(drawn("RGB", (40, 30), "WEBP"), "webp") is None
    assert look(drawn("RGB", (40, 30), "GIF"), "gif") is None
    assert look(png, "png") is not None


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_picture_without_its_end_is_left_to_the_worker(kind: str) -> None:
    data = drawn("RGB", (120, 77), kind.upper())
    assert look(data, kind) is not None
    for cut in (*range(1, 40), len(data) // 2):
        assert look(data[:-cut], kind) is None
    assert look(data + b"\0", kind) is None


def test_a_size_that_is_none_is_not_believed() -> None:
    assert look(png(40, 30), "png") is not None
    for wide, high in ((0, 30), (40, 0), (1 << 16, 30), (40, (1 << 32) - 1)):
        assert look(png(wide, high), "png") is None


def test_base64_that_is_none_is_left_to_who_says_so() -> None:
    sizes = (drawn("RGB", (40, 30), "PNG", icc_profile=random.Random(SEED).randbytes(extra)) for extra in range(60, 99))
    coded = next(b64encode(data) for data in sizes if len(data) % 3)
    assert coded.endswith(b"=")
    good = b"data:image/png;base64,%b"
    assert image_in_data_url(good % coded) is not None
    middle = len(coded) // 8 * 4
    for bad in (
        coded.rstrip(b"="), coded + b"=", coded[:-1] + b"!", coded[:middle] + b"====" + coded[middle:],
        coded[:middle] + b"AA==" + coded[middle:], coded[:middle] + b"\\n" + coded[middle:],
        coded.replace(b"A", b"\\/", 1),
        b" " + coded[:-1], b"", coded[:40],
    ):  # fmt: skip
        assert image_in_data_url(good % bad) is None, bad[-20:]
    for address in (b"https://x.org/a.png", b"data:image/png,abc", b"data:;base64,", b"file:///etc/passwd", b""):
        assert image_in_data_url(address) is None


def test_damaged_pictures_are_never_given_a_wrong_size(full_gates: bool) -> None:
    """Cut anywhere, bytes changed anywhere: what is read is what Pillow reads, and nothing raises."""
    chance = random.Random(SEED)
    whole = {
        "png": drawn("RGB", (120, 77), "PNG", dpi=(72, 72)),
        "jpeg": drawn("RGB", (120, 77), "JPEG", icc_profile=b"p" * 99),
    }
    for kind, data in whole.items():
        for end in range(48, min(len(data), 900)):
            look(data[:end], kind)
        for _ in range(20_000 if full_gates else 1_500):
            broken = bytearray(data)
            for _ in range(chance.randint(1, 3)):
                broken[chance.randrange(min(len(data), 700))] = chance.randrange(256)
            found = look(bytes(broken), kind)
            if found is None:
                continue
            try:
                with Image.open(BytesIO(broken)) as opened:
                    shown = opened.size
            except Exception:
                continue
            assert (found.width, found.height) == shown
