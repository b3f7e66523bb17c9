"""Images of several frames or pages, and the formats beside PNG and JPEG."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont, TiffImagePlugin
from tests.gates import corpus

from intermodal import errors
from intermodal.core.content import File, PathSource
from intermodal.core.request import Message, Request
from intermodal.media.image import decoder
from intermodal.media.request_media import open_request
from intermodal.media.sniff import sniff
from intermodal.media.worker_client import MediaWorker, VideoFrame

pytestmark = pytest.mark.anyio
HEIC = Path(__file__).parents[2] / "media" / "photo-cat.heic"
NAMES = ("photo-cat.jpg", "photo-coffee.jpg", "screenshot-invoice.png")


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


@pytest.fixture(scope="module")
def three() -> list[Image.Image]:
    folder = Path(__file__).parents[3] / "examples" / "media"
    return [Image.open(folder / name).convert("RGB").resize((240, 160)) for name in NAMES]


def saved(pictures: list[Image.Image], form: str, **more: Any) -> bytes:
    out = io.BytesIO()
    several = {"save_all": True, "append_images": pictures[1:]} if len(pictures) > 1 else {}
    pictures[0].save(out, form, **several, **more)
    return out.getvalue()


def shown(frame: VideoFrame) -> Image.Image:
    assert frame.media_type == "image/png"
    return Image.open(io.BytesIO(frame.data), formats=["PNG"]).convert("RGB")


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
async def test_frames_that_differ_in_a_line_of_words_are_all_given(worker: MediaWorker, form: str) -> None:
    """Though no scene ends: of the image nearly nothing changes."""
    slides = []
    for words in ("Step 1: unplug it", "Step 2: wait 30 s", "Step 3: plug it in"):
        slide = Image.new("RGB", (700, 240), "white")
        ImageDraw.Draw(slide).text((90, 90), words, fill="black", font=ImageFont.load_default(44))
        slides += [slide, slide]
    data = saved(slides, form, duration=400)
    found = await worker.frames(data, spread="scenes", most=12)
    assert [round(frame.at, 1) for frame in found] == [0.0, 0.8, 1.6]
    assert len({frame.data for frame in found}) == 3
    fewer = await worker.frames(data, spread="scenes", most=2)
    assert 1 <= len(fewer) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
async def test_an_animation_gives_one_frame_for_each_scene_at_its_time(
    worker: MediaWorker, three: list[Image.Image], form: str
) -> None:
    data = saved([picture for picture in three for _ in range(5)], form, duration=200)
    found = await worker.probe(data)
    assert found.frames > 1
    assert found.seconds.mid == pytest.approx(3.0, abs=0.01)
    told: list[float] = []
    frames = await worker.frames(
        data, spread="scenes", most=12, max_side=120, progress=lambda done, note: told.append(done or 0)
    )
    assert [(frame.at, frame.until, frame.width) for frame in frames] == [(0, 1, 120), (1, 2, 120), (2, 3, 120)]
    assert told == sorted(told)
    assert told[-1] == 1
    for frame, picture in zip(frames, three, strict=True):
        assert decoder.flatten(shown(frame)).getpixel((60, 40)) == pytest.approx(
            picture.resize((120, 80)).getpixel((60, 40)), abs=40
        )
    assert len(await worker.frames(data, spread="scenes", most=2)) == 2
    assert [frame.at for frame in await worker.frames(data, spread="1 fps", most=9)] == pytest.approx([0.5, 1.5, 2.5])


def _slides(count: int) -> list[Image.Image]:
    made = []
    for number in range(count):
        slide = Image.new("RGB", (400, 120), "white")
        ImageDraw.Draw(slide).text((20, 30), f"Step {number}", fill="black", font=ImageFont.load_default(44))
        made.append(slide)
    return made


async def test_of_more_slides_than_are_taken_it_is_said_how_many_there_are(worker: MediaWorker) -> None:
    found = await worker.frames(saved(_slides(20), "GIF", duration=1_000), spread="scenes", most=12)
    assert [frame.scenes for frame in found] == [20] * 12
    assert [frame.at for frame in found] == sorted({frame.at for frame in found})


async def test_slides_that_stand_still_are_taken_before_the_fades_between_them(worker: MediaWorker) -> None:
    slides, frames, lengths = _slides(4), [], []
    for slide, after in zip(slides, [*slides[1:], slides[0]], strict=True):
        frames += [slide, *(Image.blend(slide, after, share / 5) for share in range(1, 5))]
        lengths += [1_500, 40, 40, 40, 40]
    found = await worker.frames(saved(frames, "WEBP", duration=lengths, lossless=True), spread="scenes", most=6)
    assert [frame.at for frame in found if frame.until - frame.at > 1] == pytest.approx([0, 1.66, 3.32, 4.98])


async def test_a_frame_without_a_time_stays_a_tenth_of_a_second(worker: MediaWorker, three: list[Image.Image]) -> None:
    assert (await worker.probe(saved(three, "GIF", duration=0))).seconds.mid == pytest.approx(0.3)
    assert (await worker.probe(corpus.gif(7))).seconds.mid == pytest.approx(0.07), "it says one hundredth"


async def test_a_still_has_no_seconds_and_is_one_frame(worker: MediaWorker, media: Path) -> None:
    data = (media / "photo-cat.jpg").read_bytes()
    assert (await worker.probe(data)).seconds.mid == 0
    assert len(await worker.frames(data, spread="scenes", most=12)) == 1


@pytest.mark.parametrize("packing", [None, "tiff_lzw", "tiff_deflate", "jpeg", "packbits"])
async def test_a_tiff_is_its_first_page_and_its_pages_are_frames(
    worker: MediaWorker, three: list[Image.Image], packing: str | None
) -> None:
    data = saved(three, "TIFF", compression=packing)
    found = await worker.probe(data)
    assert (found.width, found.height, found.frames, found.seconds.mid) == (240, 160, 3, 0)
    assert (await worker.picture(data)).width == 240
    frames = await worker.frames(data, spread="scenes", most=12)
    assert [frame.number for frame in frames] == [1, 2, 3]
    assert len({frame.data for frame in frames}) == 3
    assert len(await worker.frames(data, spread="scenes", most=2)) == 2


def scanned(*kinds: int) -> bytes:
    """A TIFF of images 100 and more pixels wide, each with its NewSubfileType: 0 a page, 1 a thumbnail, 4 a mask."""
    out = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(out, new=True) as file:
        for place, kind in enumerate(kinds):
            page = Image.new("L", (100 + place, 50), 40 * place)
            page.save(file, "TIFF", tiffinfo={254: kind})
            file.newFrame()
    return out.getvalue()


@pytest.mark.parametrize(
    ("kinds", "pages"),
    [((0, 1, 2, 4), [100, 102]), ((1, 0), [101]), ((0, 1), [100]), ((1, 1), [100, 101]), ((0, 0), [100, 101])],
    ids=["among pages", "before the page", "after the page", "nothing else", "none"],
)
async def test_thumbnails_and_masks_of_a_tiff_are_no_pages(
    worker: MediaWorker, kinds: tuple[int, ...], pages: list[int]
) -> None:
    data = scanned(*kinds)
    found = await worker.probe(data)
    assert (found.width, found.frames) == (pages[0], len(pages))
    assert (await worker.picture(data)).width == pages[0]
    frames = await worker.frames(data, spread="scenes", most=12)
    assert [(frame.number, frame.width) for frame in frames] == [(at + 1, wide) for at, wide in enumerate(pages)]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("form", ["TIFF", "WEBP", "AVIF"])
async def test_other_formats_are_stood_upright_too(worker: MediaWorker, form: str, orientation: int) -> None:
    stored = Image.new("RGB", (48, 32), "white")
    stored.paste("black", (0, 0, 24, 16))  # dark corner, top left as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved([stored], form, exif=exif)
    upright = (48, 32) if orientation in (1, 3) else (32, 48)
    dark = {1: (5, 5), 3: (42, 26), 6: (26, 5), 8: (5, 42)}[orientation]
    found = await worker.probe(data)
    assert (found.width, found.height) == upright
    made = await worker.picture(data)
    turned = Image.open(io.BytesIO(made.data)).convert("L")
    assert turned.size == upright
    assert turned.getpixel(dark) < 60  # type: ignore[operator]
    assert sum(count for level, count in enumerate(turned.histogram()) if level < 60) == pytest.approx(384, rel=0.15)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
async def test_a_bitmap_is_taken_in_every_mode(worker: MediaWorker, three: list[Image.Image], mode: str) -> None:
    data = saved([three[0].convert(mode)], "BMP")
    assert sniff(data, "x") == ("image", "image/bmp")
    assert (await worker.picture(data, max_side=60)).width == 60


async def test_heic_and_avif_are_taken(worker: MediaWorker, three: list[Image.Image]) -> None:
    request = Request(messages=(Message(role="user", parts=(File(source=PathSource(path=str(HEIC))),)),))
    (facts,) = (await open_request(request, worker)).facts.parts
    assert (facts.kind, facts.media_type, facts.width, facts.height) == ("image", "image/heic", 451, 300)
    assert (await worker.picture(HEIC.read_bytes(), max_side=60)).height == 40
    assert (await worker.probe(saved(three[:1], "AVIF"))).width == 240


def test_heic_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(errors.NotInstalled, match=r"intermodal\[heic\]"):
        decoder.probe(HEIC.read_bytes(), "image/heic")


@pytest.mark.parametrize("share", [0.9, 0.5, 0.05])
@pytest.mark.parametrize("form", ["TIFF", "BMP", "AVIF", "HEIC"])
async def test_a_picture_cut_short_is_refused_by_name(
    worker: MediaWorker, three: list[Image.Image], form: str, share: float
) -> None:
    data = HEIC.read_bytes() if form == "HEIC" else saved(three[:1], form)
    with pytest.raises(errors.InputError) as caught:
        await worker.picture(data[: int(len(data) * share)], name="photo")
    assert caught.value.where == "photo"
    assert caught.value.todo


@pytest.mark.slow
async def test_pictures_that_claim_too_much_are_refused_from_their_header(worker: MediaWorker) -> None:
    from tests.gates import pictures

    for name, data in pictures.BOMBS.items():
        with pytest.raises(errors.InputTooLarge):
            await worker.probe(data(), name=name)
        with pytest.raises(errors.InputTooLarge):
            await worker.frames(data(), spread="scenes", most=3, name=name)
