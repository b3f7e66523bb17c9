"""Every format that is taken is decoded by a worker that has decoded nothing before it.

A library may import something only when it meets a certain format, and by then nothing can be opened:
a worker that is shared by tests hides that, because another format may have brought the import along.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from reportlab.pdfgen.canvas import Canvas
from tests.gates import corpus, films

from intermodal.media.worker_client import MediaWorker

pytestmark = pytest.mark.slow

SIZE = (48, 32)


def _drawn(form: str, mode: str = "RGB", *, frames: int = 1, **save: Any) -> Callable[[Path], bytes]:
    def make(media: Path) -> bytes:
        photo = Image.open(media / "photo-cat.jpg").convert("RGB")
        made = [photo.resize(SIZE).rotate(15 * turn) for turn in range(frames)]
        if mode == "I;16":
            made = [one.convert("L").convert("I").point(lambda value: value * 257).convert("I;16") for one in made]
        else:
            made = [one.convert(mode) for one in made]
        out = io.BytesIO()
        several = {"save_all": True, "append_images": made[1:], "duration": 40} if frames > 1 else {}
        made[0].save(out, form, **several, **save)
        return out.getvalue()

    return make


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


PICTURES = {
    "gif": _drawn("GIF"),
    "gif-animated": _drawn("GIF", frames=3, disposal=2),
    "gif-palettes": _drawn("GIF", frames=3, disposal=3),
    "webp": _drawn("WEBP"),
    "webp-lossless-alpha": _drawn("WEBP", "RGBA", lossless=True),
    "webp-animated": _drawn("WEBP", frames=3),
    "png": _drawn("PNG"),
    "png-palette": _drawn("PNG", "P", transparency=bytes(range(256))),
    "png-alpha": _drawn("PNG", "LA"),
    "png-16-bit": _drawn("PNG", "I;16"),
    "png-animated": _drawn("PNG", frames=3),
    "jpeg": _drawn("JPEG"),
    "jpeg-cmyk": _drawn("JPEG", "CMYK"),
    "jpeg-turned": _drawn("JPEG", exif=_turned()),
    "png-turned": _drawn("PNG", exif=_turned()),
    "webp-turned": _drawn("WEBP", exif=_turned()),
    "jpeg-several": _drawn("MPO", frames=2),
}  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("form", PICTURES)
async def test_a_picture_of_each_format_is_the_first_a_worker_sees(form: str, media: Path) -> None:
    data = PICTURES[form](media)
    turned = SIZE[::-1] if form.endswith("turned") else SIZE
    async with MediaWorker() as worker:
        made = await worker.picture(data, name=form)
        assert (made.width, made.height) == turned
        assert len(Image.open(io.BytesIO(made.data)).convert("RGB").getcolors(10_000) or ()) > 25  # a photograph
    async with MediaWorker() as worker:
        found = await worker.probe(data, name=form)
    assert (found.width, found.height) == turned
    assert found.frames == (3 if form.split("-")[-1] in ("animated", "palettes") else 1)


PICTURES |= {
    "tiff": _drawn("TIFF"),
    "tiff-packed": _drawn("TIFF", compression="tiff_lzw"),
    "tiff-jpeg": _drawn("TIFF", compression="jpeg"),
    "tiff-turned": _drawn("TIFF", exif=_turned()),
    "bmp": _drawn("BMP"),
    "bmp-palette": _drawn("BMP", "P"),
    "avif": _drawn("AVIF"),
}  # fmt: skip


@pytest.mark.anyio
async def test_heic_is_decoded_by_a_worker_that_did_nothing_else() -> None:
    data = (Path(__file__).parents[2] / "media" / "photo-cat.heic").read_bytes()
    async with MediaWorker() as worker:
        made = await worker.picture(data, name="photo.heic", max_side=100)
        assert (made.width, made.height) == (100, 67)
        assert len(Image.open(io.BytesIO(made.data)).convert("RGB").getcolors(10_000) or ()) > 1000


FILMS = {
    "h264": ("mp4", "libx264"), "hevc": ("mp4", "libx265"), "mpeg4": ("mov", "mpeg4"), "vp8": ("webm", "libvpx"),
    "vp9": ("webm", "libvpx-vp9"), "av1": ("matroska", "libsvtav1"), "mjpeg": ("mov", "mjpeg"),
    "avi": ("avi", "mpeg4"), "avi-mjpeg": ("avi", "mjpeg"),
}  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("form", FILMS)
async def test_a_film_of_each_codec_is_the_first_a_worker_sees(form: str) -> None:
    container, codec = FILMS[form]
    data = films.film(
        films.held((films.slide("One"), 1), (films.slide("Two\n\nthree"), 1)), container=container, codec=codec
    )
    async with MediaWorker() as worker:
        assert len(await worker.frames(data, spread="scenes", most=4, name=form)) == 2
    async with MediaWorker() as worker:
        found = await worker.probe(data, name=form)
        assert (found.kind, found.width, found.height) == ("video", *films.SIZE)


SOUNDS = {
    "wav": ("wav", "pcm_s16le", 0), "mp3": ("mp3", "mp3", 0), "flac": ("flac", "flac", 0), "m4a": ("mp4", "aac", 0),
    "aac": ("adts", "aac", 0), "opus": ("ogg", "libopus", 48_000),
}  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("form", SOUNDS)
async def test_a_recording_of_each_codec_is_the_first_a_worker_sees(form: str, media: Path) -> None:
    container, codec, rate = SOUNDS[form]
    data = corpus.encode(media / "jfk.wav", container, codec, rate=rate)
    async with MediaWorker() as worker:
        assert (await worker.pcm(data, name=form)).seconds == pytest.approx(11, abs=0.2)


@pytest.mark.anyio
async def test_mp3_cut_in_mid_frame_is_decoded(media: Path) -> None:
    async with MediaWorker() as worker:
        data = (media / "jfk.mp3").read_bytes()
        assert (await worker.pcm(data[1333:], name="cut.mp3")).seconds == pytest.approx(11, abs=0.3)


@pytest.mark.anyio
async def test_a_pdf_with_a_letter_beyond_ascii_is_the_first_a_worker_sees() -> None:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=True)
    canvas.drawString(60, 700, "\N{BULLET} the first of the points")
    canvas.save()
    async with MediaWorker() as worker:
        [page] = (await worker.probe(out.getvalue(), name="list.pdf")).pages
    assert dict(page.scripts)["typography"] == 1


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["report.pdf", "scanned.pdf"])
async def test_a_document_is_read_and_drawn_by_a_worker_that_did_nothing_else(name: str, media: Path) -> None:
    data = (media / name).read_bytes()
    async with MediaWorker() as worker:
        (page,) = await worker.page_images(data, (1,), 50)
        assert page.width > 300
    async with MediaWorker() as worker:
        assert (await worker.probe(data)).pages


LATE = """
import sys
from intermodal.concurrency import worker_process
from intermodal.media import worker
worker_process.report_progress = worker_process.emit = lambda *a: None
seen, late, real = set(), set(), worker._decoder
def decoder(name):
    late.update(set(sys.modules) - seen if seen else ())  # of the handler that ran before
    loaded = real(name)
    seen.update(sys.modules)
    return loaded
worker._decoder = decoder
data = sys.stdin.buffer.read()
worker.probe(data, "x")
if sys.argv[1] == "film":
    worker.pcm(data, "x"), worker.frames(data, "x", "scenes", 3, 200)
elif data[:4] == b"GIF8":
    worker.frames(data, "x", "scenes", 3, 16)
elif data[:4] != b"%PDF":
    (worker.pcm if sys.argv[1] in ("sound",) else lambda d, n: worker.picture(d, n, 16, None))(data, "x")
print(*sorted(late | set(sys.modules) - seen))
"""


@pytest.mark.parametrize(
    "form", ["gif-palettes", "webp-animated", "png-16-bit", "jpeg-turned", "tiff", "sound", "film", "pdf"]
)
def test_decoding_imports_nothing_once_files_cannot_be_opened(form: str, media: Path) -> None:
    data = (
        (media / "jfk.mp3").read_bytes() if form == "sound"
        else (media / "bigbuckbunny.mp4").read_bytes() if form == "film"
        else (media / "report.pdf").read_bytes() if form == "pdf"
        else PICTURES[form](media)
    )  # fmt: skip
    ran = subprocess.run([sys.executable, "-c", LATE, form], input=data, capture_output=True, check=True)
    assert ran.stdout.decode().split() == []


LINES = ((0.2, 0.9, "Good morning."), (1.0, 1.8, "What does it cost?"))
TRACKS: dict[str, tuple[str, dict[str, Any], tuple[films.Captions, ...]]] = {
    "mp4-mov_text": ("mp4", {}, (films.Captions(LINES, "mov_text"),)),
    "mov-mov_text": ("mov", {}, (films.Captions(LINES, "mov_text"), films.Captions(LINES, "mov_text", "ger"))),
    "mkv-subrip": ("matroska", {}, (films.Captions(LINES),)),
    "mkv-ass": ("matroska", {}, (films.Captions(LINES, "ass"),)),
    "mkv-webvtt": ("matroska", {}, (films.Captions(LINES, "webvtt"),)),
    "webm-webvtt": ("webm", {}, (films.Captions(LINES, "webvtt"),)),
    "mkv-attachments": ("matroska", {"cover": b"\xff\xd8\xff"}, (films.Captions(LINES),)),
    "mkv-chapters": ("matroska", {"chapters": True}, ()),
    "mp4-chapters": ("mp4", {"chapters": True}, (films.Captions(LINES, "mov_text"),)),
    "mp4-data": ("mp4", {"data": True}, ()),
}  # fmt: skip


@pytest.mark.anyio
@pytest.mark.parametrize("form", [*TRACKS, "mkv-sounds"])
async def test_a_film_with_each_kind_of_track_is_the_first_a_worker_sees(form: str, media: Path) -> None:
    container, beside, captions = TRACKS.get(form, ("matroska", {}, ()))
    plain = films.film(
        films.held((films.slide("One"), 1), (films.slide("Two", paper="yellow"), 1)),
        container="webm" if container == "webm" else "mp4", sound=media / "jfk.wav",
    )  # fmt: skip
    if form == "mkv-sounds":
        beside = {"sounds": (("ger", plain), ("fre", plain))}
    data = films.with_tracks(plain, container, *captions, **beside)
    async with MediaWorker() as worker:
        found = await worker.probe(data, name=form)
    assert (found.kind, found.width, found.channels) == ("video", films.SIZE[0], 1)
    async with MediaWorker() as worker:
        assert (await worker.pcm(data, name=form)).seconds == pytest.approx(11, abs=0.2)
        assert len(await worker.frames(data, spread="scenes", most=4, name=form)) == 2
