"""The worker's answers about real media, and what it makes of them."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image
from tests.gates import corpus

from intermodal import errors
from intermodal.core.hints import hint
from intermodal.media.media_limits import MAX_PAGE_PIXELS, MAX_PAGES_SAMPLED, PCM_BYTES_PER_SECOND, page_size
from intermodal.media.worker_client import MediaWorker

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


def drawn(mode: str, size: tuple[int, int] = (40, 30), **save: Any) -> bytes:
    """An image of that mode: left half dark, right half light."""
    image = Image.new("L", size, 20)
    image.paste(230, (size[0] // 2, 0, *size))
    if mode == "I;16":
        converted = image.convert("I").point(lambda value: value * 257).convert("I;16")
    else:
        converted = image.convert("RGB").convert(mode)
    out = io.BytesIO()
    converted.save(out, **save)
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=["PNG"])


# ---- sound ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "seconds", "rate", "channels"),
    [
        ("jfk.wav", 11.0, 16_000, 1),
        ("jfk.mp3", 11.0, 16_000, 1),
        ("two_cities_25s.flac", 25.0, 16_000, 1),
        ("music.m4a", 5.3, 48_000, 6),
    ],
)
async def test_length_is_known_before_decoding_and_true_after(
    worker: MediaWorker, media: Path, name: str, seconds: float, rate: int, channels: int
) -> None:
    data = (media / name).read_bytes()
    found = await worker.probe(data)
    assert found.seconds.certainty == "exact"
    assert found.seconds.mid == pytest.approx(seconds, abs=0.1)
    assert (found.sample_rate, found.channels) == (rate, channels)
    made = await worker.pcm(data)
    assert made.seconds == pytest.approx(seconds, abs=0.1)
    assert len(made.samples) == round(made.seconds * PCM_BYTES_PER_SECOND)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("mp4", "aac", 0), ("adts", "aac", 0), ("ogg", "libopus", 48_000), ("flac", "flac", 0)],
)
async def test_the_same_speech_in_other_containers_is_as_long_and_as_loud(
    worker: MediaWorker, media: Path, container: str, codec: str, rate: int
) -> None:
    data = corpus.encode(media / "jfk.wav", container, codec, rate=rate)
    original = await worker.pcm((media / "jfk.wav").read_bytes())
    made = await worker.pcm(data)
    assert made.seconds == pytest.approx(original.seconds, abs=0.15)
    assert loudness(made.samples) == pytest.approx(loudness(original.samples), rel=0.1)


def loudness(samples: bytes) -> float:
    values = memoryview(samples).cast("h")
    return float((sum(value * value for value in values[::7]) / (len(values) / 7)) ** 0.5)


async def test_decoding_reports_how_far_it_is(worker: MediaWorker) -> None:
    told: list[float] = []
    await worker.pcm(corpus.wav(200), progress=lambda fraction, note: told.append(fraction or 0))
    assert told == sorted(told)
    assert len(told) >= 5
    assert 0 < told[0] < told[-1] <= 1


@pytest.mark.parametrize("claimed", [0xFFFFFFFF, 0])
async def test_a_wave_that_was_piped_has_no_length_and_is_taken(worker: MediaWorker, claimed: int) -> None:
    found = await worker.probe(corpus.wav(2, claimed_bytes=claimed))
    assert found.seconds.mid == 2
    assert found.notes == ("its header does not say how much sound it holds: 2.0 s are there",)


async def test_a_wave_whose_header_promises_less_than_is_there_is_heard_to_its_end(
    worker: MediaWorker, media: Path
) -> None:
    whole = (media / "jfk.wav").read_bytes()
    at = whole.index(b"data") + 4
    short = whole[:at] + (2 * 16_000 * 2).to_bytes(4, "little") + whole[at + 4 :]
    found = await worker.probe(short)
    assert found.notes == ("its header promises 2.0 s of sound and 11.0 s are there",)
    assert (await worker.pcm(short)).samples == (await worker.pcm(whole)).samples


async def test_tags_behind_the_sound_of_a_wave_are_no_sound(worker: MediaWorker) -> None:
    tags = b"LIST" + (10_000).to_bytes(4, "little") + b"INFO" + bytes(9_996)
    for data in (corpus.wav(2) + tags, corpus.wav(2) + tags + bytes(5)):
        found = await worker.probe(data)
        assert (found.seconds.mid, found.notes) == (2, ())
        assert (await worker.pcm(data)).seconds == pytest.approx(2, abs=0.01)


# ---- images ------------------------------------------------------------------------------------


MODES = {
    "PNG": ("1", "L", "P", "RGB", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("L", "RGB"),
    "GIF": ("1", "L", "P", "RGB"),
}


@pytest.mark.parametrize(("form", "mode"), [(form, mode) for form, modes in MODES.items() for mode in modes])
async def test_every_mode_becomes_the_same_plain_picture(worker: MediaWorker, form: str, mode: str) -> None:
    data = drawn(mode, format=form)
    assert (await worker.probe(data)).width == 40
    made = await worker.picture(data)
    image = opened(made.data)
    assert image.mode in ("L", "RGB")
    left, right = (image.convert("L").getpixel(at) for at in ((5, 15), (35, 15)))
    assert isinstance(left, int)
    assert isinstance(right, int)
    assert left < 60
    assert right > 190


async def test_transparency_is_laid_on_white(worker: MediaWorker) -> None:
    for mode, clear in (("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))):
        out = io.BytesIO()
        Image.new(mode, (4, 4), clear).save(out, "PNG")
        assert opened((await worker.picture(out.getvalue())).data).convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([9, 9, 9])
    out = io.BytesIO()
    palette.save(out, "PNG", transparency=0)
    assert opened((await worker.picture(out.getvalue())).data).convert("RGB").getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_picture_is_stood_upright(worker: MediaWorker, orientation: int) -> None:
    upright = Image.new("L", (48, 32), 255)
    upright.paste(0, (0, 0, 24, 16))  # dark corner, top left
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the transposition that undoes each orientation
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(back[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    stored.save(out, "PNG", exif=exif)
    found = await worker.probe(out.getvalue())
    assert (found.width, found.height) == (48, 32)
    made = await worker.picture(out.getvalue())
    image = opened(made.data)
    assert (made.width, made.height) == image.size == (48, 32)
    assert image.getpixel((5, 5)) == 0
    assert image.getpixel((40, 5)) == image.getpixel((5, 28)) == 255


async def test_nothing_but_pixels_is_kept(worker: MediaWorker) -> None:
    from PIL import PngImagePlugin

    secret = PngImagePlugin.PngInfo()
    secret.add_text("Comment", "GPS 52.5 13.4")
    exif = Image.Exif()
    exif[0x010E] = "GPS 52.5 13.4"
    out = io.BytesIO()
    Image.new("RGB", (30, 30), "red").save(
        out, "PNG", pnginfo=secret, exif=exif, icc_profile=b"GPS 52.5 13.4", dpi=(72, 72)
    )
    made = await worker.picture(out.getvalue())
    assert b"GPS" not in made.data
    assert [made.data[i : i + 4] for i in (12, 37)] == [b"IHDR", b"IDAT"]
    assert opened(made.data).info == {}


async def test_a_picture_is_shrunk_to_the_side_asked_for_and_never_blown_up(worker: MediaWorker, media: Path) -> None:
    data = (media / "screenshot-invoice.png").read_bytes()
    assert (await worker.picture(data, max_side=300)).width == 300
    assert (await worker.picture(data, max_side=5000)).width == 900
    jpeg = await worker.picture((media / "photo-cat.jpg").read_bytes(), max_side=50)
    assert (jpeg.width, jpeg.height) == (50, 33)


async def test_a_picture_is_shrunk_to_the_shorter_side_asked_for_and_never_blown_up(worker: MediaWorker) -> None:
    for size, wanted in (((1200, 900), (400, 300)), ((900, 1800), (300, 600)), ((2000, 250), (2000, 250))):
        for form in ("JPEG", "PNG"):
            Image.linear_gradient("L").resize(size).convert("RGB").save(out := io.BytesIO(), form)
            made = await worker.picture(out.getvalue(), min_side=300)
            assert (made.width, made.height) == wanted, form


async def test_writing_is_told_from_photographs(worker: MediaWorker, media: Path) -> None:
    density = {
        name: (await worker.probe((media / name).read_bytes())).text_density
        for name in ("screenshot-invoice.png", "photo-cat.jpg", "photo-coffee.jpg")
    }
    assert density["screenshot-invoice.png"].mid > 0.1
    assert density["photo-cat.jpg"].high < 0.05
    assert density["photo-coffee.jpg"].high < 0.05
    page = (await worker.page_images((media / "scanned.pdf").read_bytes(), (1,), 150))[0]
    assert (await worker.probe(page.data)).text_density.mid > 0.08


async def test_frames_of_an_animation_are_counted_and_the_first_is_taken(worker: MediaWorker) -> None:
    assert (await worker.probe(corpus.gif(7))).frames == 7
    assert (await worker.probe(corpus.apng(4))).frames == 4
    assert (await worker.picture(corpus.gif(7))).width == 1


# ---- documents -----------------------------------------------------------------------------------


async def test_pages_of_a_report_are_known_by_size_words_and_figures(worker: MediaWorker, media: Path) -> None:
    data = (media / "report.pdf").read_bytes()
    pages = (await worker.probe(data)).pages
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    texts = await worker.page_text(data, tuple(page.number for page in pages))
    for page, text in zip(pages, texts, strict=True):
        bare = "".join(re.sub(r"[#|]|---", "", text).split())  # marks of headings and tables come on top
        assert len(bare) <= page.chars <= len(text)
        assert set(page.words) <= set(text.lower().split()) | set(
            "".join(c if c.isalnum() else " " for c in text.lower()).split()
        )
    assert pages[0].chars > 300
    assert any(page.figure_share > 0.02 for page in pages), "the chart is a figure"


async def test_scanned_pages_have_no_words_and_are_all_picture(worker: MediaWorker, media: Path) -> None:
    for page in (await worker.probe((media / "scanned.pdf").read_bytes())).pages:
        assert (page.chars, page.words) == (0, ())
        assert page.figure_share > 0.9
        assert 0.05 < page.text_density.mid < 0.2, "a few lines of text each"
    assert not any(page.text_density.known for page in (await worker.probe((media / "report.pdf").read_bytes())).pages)


async def test_a_scanned_page_is_sampled_like_the_picture_it_shows(worker: MediaWorker, media: Path) -> None:
    data = (media / "scanned.pdf").read_bytes()
    for page in (await worker.probe(data)).pages:
        picture = (await worker.page_images(data, (page.number,), 150))[0]
        assert page.text_density.mid == pytest.approx((await worker.probe(picture.data)).text_density.mid, abs=0.01)


async def test_only_the_first_scanned_pages_are_sampled(worker: MediaWorker) -> None:
    scan = b"q 99 0 0 99 0 0 cm BI /W 2 /H 2 /CS /G /BPC 8 ID \x00\xff\xff\x00 EI Q"
    pages = (await worker.probe(corpus.pdf_many_pages(MAX_PAGES_SAMPLED + 2, scan))).pages
    assert [page.text_density.known for page in pages] == [True] * MAX_PAGES_SAMPLED + [False] * 2


async def test_a_blank_page_is_no_scan(worker: MediaWorker) -> None:
    (page,) = (await worker.probe(corpus.pdf_many_pages(1))).pages
    assert page.layer_only
    assert not page.text_density.known


async def test_text_comes_in_the_order_of_the_pages_asked_for(worker: MediaWorker) -> None:
    data = corpus.pdf_of_text(["alpha", "beta", "gamma"])
    assert await worker.page_text(data, (3, 1)) == ("gamma", "alpha")
    with pytest.raises(errors.InputBroken, match="has no page 4"):
        await worker.page_text(data, (4,))


async def test_a_page_is_rendered_at_the_size_that_was_planned(worker: MediaWorker) -> None:
    data = corpus.pdf_of_text(["alpha"])
    for dpi in (72, 150, 200):
        width, height, _ = page_size(595, 842, dpi)
        made = (await worker.page_images(data, (1,), dpi))[0]
        assert (made.width, made.height) == (width, height)
        assert opened(made.data).size == (width, height)


async def test_a_giant_page_is_rendered_at_a_lower_dpi(worker: MediaWorker) -> None:
    made = (await worker.page_images(corpus.pdf_giant_page(14_400), (1,), 300))[0]
    assert made.width * made.height <= MAX_PAGE_PIXELS * 1.01
    assert made.width > 3_900


# ---- bad media -----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
@pytest.mark.parametrize(
    "name",
    [
        "jfk.mp3", "music.ogg", "two_cities_25s.flac", "music.m4a", "photo-cat.jpg",
        "screenshot-invoice.png", "report.pdf",
    ],
)  # fmt: skip
async def test_a_file_cut_short_is_refused_by_name(worker: MediaWorker, media: Path, name: str, share: float) -> None:
    data = (media / name).read_bytes()
    with pytest.raises(errors.InputBroken) as caught:
        await worker.probe(data[: int(len(data) * share)], name=name)
    assert caught.value.where == name
    assert caught.value.todo
    assert "0x" not in str(caught.value)


async def test_a_wave_cut_short_is_taken_as_far_as_it_goes_and_says_by_how_much(
    worker: MediaWorker, media: Path
) -> None:
    """A recorder that ran out of room leaves such files: what is there is whole."""
    cut = (media / "jfk.wav").read_bytes()[:100_000]
    found = await worker.probe(cut)
    assert found.notes == ("its header promises 11.0 s of sound and 3.1 s are there",)
    assert found.seconds.mid == pytest.approx(3.1, abs=0.05)
    assert (await worker.pcm(cut)).seconds == pytest.approx(3.1, abs=0.05)


async def test_a_wave_that_claims_a_gigabyte_costs_what_is_there(worker: MediaWorker) -> None:
    found = await worker.probe(corpus.wav(1, claimed_bytes=1 << 30))
    assert found.seconds.high == 1.0
    assert found.notes == ("its header promises 67,108.9 s of sound and 1.0 s are there",)


async def test_a_wave_that_is_whole_has_no_note(worker: MediaWorker, media: Path) -> None:
    assert (await worker.probe((media / "jfk.wav").read_bytes())).notes == ()


async def test_an_ogg_that_ends_between_two_pages_and_an_mp3_that_promises_nothing_are_heard(
    worker: MediaWorker, media: Path
) -> None:
    ogg, mp3 = (media / "music.ogg").read_bytes(), (media / "jfk.mp3").read_bytes()
    assert (await worker.probe(ogg[: ogg.rindex(b"OggS")])).seconds.mid > 0
    assert (await worker.probe(mp3.replace(b"Xing", bytes(4))[:40_000])).seconds.mid > 4


@pytest.mark.parametrize("data", [corpus.wav(0), corpus.opus(0)])
async def test_a_recording_of_no_seconds_is_empty(worker: MediaWorker, data: bytes) -> None:
    with pytest.raises((errors.InputEmpty, errors.InputBroken)):
        await worker.probe(data)


async def test_a_locked_pdf_says_so(worker: MediaWorker) -> None:
    with pytest.raises(errors.InputEncrypted, match=r"^secret\.pdf: is locked by a password"):
        await worker.probe(corpus.pdf_of_text(["x"], password="swordfish"), name="secret.pdf")


async def test_a_file_that_kills_the_decoder_costs_only_itself(worker: MediaWorker, media: Path) -> None:
    """Its memory fence ends the child; the next file finds a new one."""
    before = worker.pid
    with pytest.raises((errors.InputBroken, errors.InputTooLarge)):
        await worker.probe(corpus.pdf_double_deflated(700 << 20), name="bomb.pdf")
    assert (await worker.probe((media / "jfk.wav").read_bytes())).seconds.mid == 11.0
    assert worker.pid != before


@pytest.mark.slow
async def test_cancelling_a_job_ends_its_process_at_once(media: Path) -> None:
    async with MediaWorker() as worker:
        await worker.start()
        before = worker.pid
        with anyio.fail_after(300):
            with anyio.move_on_after(0.05):
                await worker.pcm(corpus.opus(5 * 3600))
            assert worker.pid is None
        assert (await worker.probe((media / "jfk.wav").read_bytes())).seconds.mid == 11.0
        assert worker.pid != before


async def test_an_error_of_a_decoder_names_its_file_and_keeps_its_settings_for_each_surface(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unable(*args: Any, **rest: Any) -> None:
        raise errors.NotInstalled("cannot write MP3", todo=hint("ask for {format=}", "wav"))

    monkeypatch.setattr("intermodal.concurrency.worker_process.WorkerProcess.call", unable)
    async with MediaWorker() as worker:
        with pytest.raises(errors.NotInstalled) as failed:
            await worker.picture(drawn("RGB", format="PNG"), name="a.png")
    assert str(failed.value.wording_for("command line")) == "a.png: cannot write MP3; ask for --format wav"
    assert failed.value.todo == 'ask for output="wav"'
