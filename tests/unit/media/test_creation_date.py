"""When and with what a file was made is told as its metadata states it."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator
from pathlib import Path

import av
import pytest
from PIL import Image

from intermodal.media.creation_date import container_date, exif_device, normal_date
from intermodal.media.worker_client import MediaWorker

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


def photo(taken: str = "2019:05:02 12:33:01") -> bytes:
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0132] = "Canon", "Canon EOS 80D", "2020:01:01 00:00:00"
    if taken:
        tags.get_ifd(0x8769)[0x9003] = taken
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "grey").save(out, "JPEG", exif=tags)
    return out.getvalue()


async def test_a_photo_tells_when_and_with_what_it_was_taken(worker: MediaWorker) -> None:
    seen = await worker.probe(photo(), name="photo.jpg")
    assert (seen.created, seen.device) == ("2019-05-02 12:33:01", "Canon EOS 80D")
    later = await worker.probe(photo(taken=""), name="photo.jpg")
    assert later.created == "2020-01-01 00:00:00", "when it was written, as nothing else is stated"


async def test_a_picture_without_metadata_tells_nothing(worker: MediaWorker) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "grey").save(out, "PNG")
    seen = await worker.probe(out.getvalue(), name="plain.png")
    assert (seen.created, seen.device) == ("", "")


async def test_a_recording_tells_when_it_was_made(worker: MediaWorker, tmp_path: Path) -> None:
    path = tmp_path / "call.m4a"
    with av.open(str(path), "w", format="mp4") as made:
        made.metadata["creation_time"] = "2021-03-04T05:06:07.000000Z"
        stream = made.add_stream("aac", rate=16_000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate = 16_000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for number in range(20):
            frame.pts = 1024 * number
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    assert (await worker.probe(path.read_bytes(), name=path.name)).created == "2021-03-04 05:06:07"


async def test_a_pdf_tells_when_it_was_made(worker: MediaWorker) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "white").save(out, "PDF", creationDate=time.gmtime(1_657_271_411))
    assert (await worker.probe(out.getvalue(), name="scan.pdf")).created == "2022-07-08 09:10:11"


@pytest.mark.parametrize(
    ("stated", "date"),
    [
        ("D:20220708091011+02'00'", "2022-07-08 09:10:11"),
        ("2018", "2018"),
        ("2018-04", "2018-04"),
        ("1904-01-01T00:00:00Z", ""),
        ("0000:00:00 00:00:00", ""),
        ("yesterday", ""),
        (b"2018", ""),
        (None, ""),
    ],
)
def test_a_date_is_normalised_and_never_guessed(stated: object, date: str) -> None:
    assert normal_date(stated) == date


def test_the_first_date_that_a_container_states_counts() -> None:
    assert container_date({"Date": "2003", "creation_time": "1904-01-01T00:00:00Z"}) == "2003"
    assert container_date({"title": "2003"}) == ""


def test_a_device_is_one_short_line() -> None:
    assert exif_device({0x010F: "Acme\n\x00", 0x0110: "x" * 900}) == f"Acme {'x' * 55}"
    assert exif_device({0x0110: 7}) == ""
