"""A large file on disk is read where it lies: by the worker, through a descriptor, and by nobody into memory."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import sys
import tempfile
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.gates import corpus, films

from intermodal.concurrency import worker_process
from intermodal.core.content import BytesSource, File, Part, PathSource
from intermodal.core.request import Message, Request
from intermodal.errors import InputBroken, InputTooLarge
from intermodal.files.file_bytes import Data, FileBytes, Spool
from intermodal.media import fetch, worker_client
from intermodal.media.fetch import CachingFetcher
from intermodal.media.request_media import OpenedRequest, open_request
from intermodal.media.worker_client import MediaWorker

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PADDING = 48 << 20
SAID = ((0.2, 1.0, "Good morning."), (1.2, 2.0, "What does it cost?"))


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


@pytest.fixture
def large_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are large from 1,000 bytes on."""
    monkeypatch.setattr(fetch, "LARGE_FILE", 1_000)


def on_disk(path: Path) -> FileBytes:
    return FileBytes(os.open(path, os.O_RDONLY))


def asked(*parts: Part) -> Request:
    return Request(messages=(Message(role="user", parts=parts),))


async def opened(worker: MediaWorker, path: Path) -> OpenedRequest:
    return await open_request(asked(File(source=PathSource(path=str(path)))), worker)


async def opened_copy(worker: MediaWorker, source: Path, path: Path) -> tuple[OpenedRequest, Path]:
    """A copy that may be changed, opened."""
    path.write_bytes(source.read_bytes())
    return await opened(worker, path), path


def padded(film: bytes, path: Path) -> Path:
    """A film with a box of nothing behind it, as editors leave them."""
    with path.open("wb") as file:
        file.write(film + struct.pack(">I4s", PADDING, b"free"))
        file.truncate(len(film) + PADDING)
    return path


async def test_no_byte_of_a_large_film_passes_through_the_pipe_or_the_memory_of_who_asks(
    worker: MediaWorker, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = (media / "talk-over-stills.mp4").read_bytes()
    path = padded(film, tmp_path / "long.mp4")
    sent: list[int] = []

    async def counted(process: Any, frame: bytes) -> None:
        sent.append(len(frame))
        await send(process, frame)

    send = worker_process._send_frame
    monkeypatch.setattr(worker_process, "_send_frame", counted)
    await worker.probe(film)  # what is imported once is no matter of this file
    sent.clear()
    tracemalloc.start()
    try:
        found = await opened(worker, path)
        pcm = await worker.pcm(found.data(0), name="long.mp4")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.facts.parts[0].seconds == (await worker.probe(film)).seconds
    assert most < len(film) + 8 * len(pcm.samples) + (2 << 20) < PADDING / 4
    assert sum(sent[:2]) < 1_000


def film_with_subtitles(media: Path, container: str, codec: str) -> bytes:
    return films.with_tracks((media / "bigbuckbunny.mp4").read_bytes(), container, films.Captions(SAID, codec, "eng"))


@pytest.mark.parametrize(("container", "codec"), [("mp4", "mov_text"), ("matroska", "subrip")])
async def test_a_film_on_disk_gives_what_its_bytes_give(
    worker: MediaWorker, media: Path, tmp_path: Path, container: str, codec: str
) -> None:
    data = film_with_subtitles(media, container, codec)
    (path := tmp_path / "film").write_bytes(data)

    async def found(film: Data) -> list[object]:
        probed = await worker.probe(film)
        return [
            probed,
            await worker.pcm(film),
            await worker.frames(film, spread="scenes", most=2, max_side=64),
            await worker.subtitles(film, probed.subtitles[0].track),
        ]

    assert await found(on_disk(path)) == await found(data)


@pytest.mark.parametrize("name", ["jfk.wav", "jfk.mp3", "two_cities_25s.flac", "music.ogg", "music.m4a"])
async def test_a_recording_on_disk_gives_what_its_bytes_give(worker: MediaWorker, media: Path, name: str) -> None:
    path, data = media / name, (media / name).read_bytes()
    assert await worker.probe(on_disk(path), name=name) == await worker.probe(data, name=name)
    assert await worker.pcm(on_disk(path), name=name) == await worker.pcm(data, name=name)


@pytest.mark.parametrize("name", ["report.pdf", "scanned.pdf"])
async def test_a_pdf_on_disk_gives_what_its_bytes_give(worker: MediaWorker, media: Path, name: str) -> None:
    path, data = media / name, (media / name).read_bytes()

    async def found(paper: Data) -> list[object]:
        return [
            await worker.probe(paper),
            await worker.page_text(paper, (1,)),
            await worker.page_images(paper, (1,), 50),
        ]

    assert await found(on_disk(path)) == await found(data)


async def test_a_picture_and_a_page_on_disk_give_what_their_bytes_give(
    worker: MediaWorker, media: Path, tmp_path: Path
) -> None:
    path = media / "photo-cat.jpg"
    assert await worker.picture(on_disk(path), max_side=64) == await worker.picture(path.read_bytes(), max_side=64)
    (page := tmp_path / "page.html").write_text("<html><h1>Prices</h1><p>A chair: 40 EUR</p></html>")
    taken = await worker.convert(on_disk(page), "text/html", name="page.html")
    assert taken == await worker.convert(page.read_bytes(), "text/html", name="page.html")


@pytest.mark.usefixtures("large_from")
async def test_a_large_text_is_read_to_its_last_word(worker: MediaWorker, tmp_path: Path) -> None:
    (path := tmp_path / "log.txt").write_text("grün\n" * 40_000 + "the end")
    found = await opened(worker, path)
    assert isinstance(found.data(0), FileBytes)
    assert found.text(0) == path.read_text()
    assert found.facts.parts[0].chars == len(found.text(0))


@pytest.mark.usefixtures("large_from")
async def test_a_file_that_is_written_to_after_it_was_opened_is_refused(
    worker: MediaWorker, media: Path, tmp_path: Path
) -> None:
    found, path = await opened_copy(worker, media / "jfk.wav", tmp_path / "call.wav")
    with path.open("ab") as file:
        file.write(bytes(100_000))
    with pytest.raises(InputBroken, match="was written to while it was read") as caught:
        await worker.pcm(found.data(0), name="call.wav")
    assert caught.value.where == "call.wav"
    assert await worker.pcm(on_disk(path))  # opened again, it is another file


@pytest.mark.usefixtures("large_from")
async def test_a_file_that_is_cut_while_it_is_read_is_said_to_be_changed_and_not_damaged(
    worker: MediaWorker, media: Path, tmp_path: Path
) -> None:
    found, path = await opened_copy(worker, media / "bigbuckbunny.mp4", tmp_path / "film.mp4")
    os.truncate(path, 300_000)
    with pytest.raises(InputBroken, match="was written to while it was read"):
        await worker.frames(found.data(0), spread="scenes", most=2, name="film.mp4")


@pytest.mark.usefixtures("large_from")
async def test_a_file_that_another_takes_the_name_of_stays_the_one_that_was_opened(
    worker: MediaWorker, media: Path, tmp_path: Path
) -> None:
    found, path = await opened_copy(worker, media / "jfk.wav", tmp_path / "call.wav")
    (other := tmp_path / "other").write_text("something else")
    other.replace(path)
    assert await worker.pcm(found.data(0)) == await worker.pcm((media / "jfk.wav").read_bytes())


@pytest.mark.usefixtures("large_from")
async def test_what_has_to_be_in_memory_is_refused_earlier_than_what_is_decoded_as_it_is_read(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_FILE_BYTES", 3 << 20)
    film = padded((media / "bigbuckbunny.mp4").read_bytes(), tmp_path / "film.mp4")
    recording, log = tmp_path / "long.wav", tmp_path / "log.txt"
    recording.write_bytes((media / "jfk.wav").read_bytes())
    os.truncate(recording, 8 << 20)
    log.write_text("yes\n" * (1 << 20))
    for path in (film, recording):
        assert len((await fetch.load(PathSource(path=str(path)))).data) == path.stat().st_size
    with pytest.raises(InputTooLarge, match="larger than 3 MiB"):
        await fetch.load(PathSource(path=str(log)))
    with pytest.raises(InputTooLarge, match="larger than 3 MiB"):
        await fetch.load(BytesSource(data=film.read_bytes()))
    monkeypatch.setattr(fetch, "MAX_FILM_BYTES", 40 << 20)
    with pytest.raises(InputTooLarge, match="larger than 40 MiB"):
        await fetch.load(PathSource(path=str(film)))


async def test_so_many_large_files_are_open_in_a_request_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "LARGE_FILE", 4)
    monkeypatch.setattr(fetch, "MAX_LARGE_FILES", 2)
    paths = [tmp_path / f"{number}.txt" for number in range(3)]
    for path in paths:
        path.write_text("words")
    fetcher = CachingFetcher()
    for path in [*paths[:2], *paths[:2]]:
        await fetcher.load(PathSource(path=str(path)))
    with pytest.raises(InputTooLarge, match="one of more than 2 files"):
        await fetcher.load(PathSource(path=str(paths[2])))


@pytest.mark.usefixtures("large_from")
async def test_the_worker_gets_a_file_to_read_and_keeps_none(worker: MediaWorker, media: Path) -> None:
    data = (await fetch.load(PathSource(path=str(media / "jfk.wav")))).data
    assert isinstance(data, FileBytes)
    assert fcntl.fcntl(data.fileno(), fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    assert not os.get_inheritable(data.fileno())
    await worker.pcm(data)
    if sys.platform == "linux":
        held = [os.readlink(each) for each in Path(f"/proc/{worker.pid}/fd").iterdir()]
        assert not [place for place in held if "jfk" in place]


async def test_a_descriptor_is_closed_with_the_last_who_holds_it(tmp_path: Path) -> None:
    (path := tmp_path / "a").write_bytes(b"abc")
    file = on_disk(path)
    descriptor = file.fileno()
    del file
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_bytes_of_a_file_are_taken_as_bytes_are(tmp_path: Path) -> None:
    data = bytes(range(256)) * 9_000 + b"needle" + bytes(200_000)
    (path := tmp_path / "a").write_bytes(data)
    file = on_disk(path)
    assert len(file) == len(data)
    for place in (0, 5, 70_000, -1, len(data) - 1):
        assert file[place] == data[place]
    for piece in (slice(0, 8), slice(70_000, 70_004), slice(-10, None), slice(5, 3), slice(0, 1 << 40), slice(None)):
        assert file[piece] == data[piece]
    with pytest.raises(IndexError):
        file[len(data)]
    assert file.startswith((b"x", b"\0\1"))
    assert file.startswith(b"needle", 9_000 * 256)
    assert not file.startswith(b"\0" * 9, len(data) - 3)
    assert (b"needle" in file, b"nowhere" in file) == (True, False)
    for wanted in (b"needle", b"\xff\0\1", b"nowhere"):
        assert (file.find(wanted), file.rfind(wanted)) == (data.find(wanted), data.rfind(wanted))
    assert file.find(b"\0", 5, 200) == data.find(b"\0", 5, 200)
    assert file.read_all("a") == data
    reader = file.reader()
    assert reader.seek(-6, io.SEEK_END) == len(data) - 6
    assert reader.read(99) == data[-6:]
    reader.seek(3)
    assert (reader.read(4), reader.tell()) == (data[3:7], 7)


async def test_a_pdf_is_opened_anew_from_stretch_to_stretch_and_is_the_same(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PDFium keeps what it has read of each page until its document is closed."""
    from intermodal.media.pdf import document

    data = corpus.pdf_of_text([f"Page {number} of ten." for number in range(1, 11)])
    pages = list(range(10, 0, -1))
    documents: list[Any] = []

    def opened_anew(source: object) -> Any:
        documents.append(load(source))
        return documents[-1]

    def found() -> list[object]:
        texts = document.text(data, pages, lambda *told: None)
        pictures = list(document.pictures(data, pages, 20, lambda picture: picture.tobytes(), lambda *told: None))
        return [document.probe(data, "application/pdf"), texts, pictures]

    load = document.pypdfium2.PdfDocument
    whole = found()
    monkeypatch.setattr(document.pypdfium2, "PdfDocument", opened_anew)
    monkeypatch.setattr(document, "_STRETCH", len(data) // 5 + 1)  # two pages
    assert found() == whole
    assert len(documents) == 3 * 5
    assert all(each.raw is None for each in documents)


async def test_long_sound_comes_in_pieces_into_a_file_without_a_name(
    worker: MediaWorker, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour is 115 MB: neither the worker nor who asks for it has it in memory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    data = (media / "two_cities_25s.flac").read_bytes()
    held = await worker.pcm(data)
    monkeypatch.setattr(worker_client, "LARGE_FILE", 100_000)
    spooled = await worker.pcm(data)
    assert isinstance(spooled.samples, FileBytes)
    assert (spooled.samples.read_all("it"), spooled.seconds) == (held.samples, held.seconds)
    assert list(tmp_path.iterdir()) == []


async def test_sound_that_the_disk_has_no_room_for_is_said_to_be(
    worker: MediaWorker, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Spool, piece: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "add", full)
    with pytest.raises(InputTooLarge, match="no room|No space left on device") as caught:
        await worker.pcm((media / "jfk.wav").read_bytes(), name="jfk.wav")
    assert caught.value.where == "jfk.wav"
    monkeypatch.undo()
    assert (await worker.pcm((media / "jfk.wav").read_bytes())).seconds == 11.0


async def test_what_a_worker_makes_comes_one_by_one_and_never_as_one_reply(worker: MediaWorker, media: Path) -> None:
    film, paper = (media / "bigbuckbunny.mp4").read_bytes(), (media / "report.pdf").read_bytes()
    assert await worker.frames(film, spread="scenes", most=3)
    assert worker.last.value is None
    assert await worker.page_images(paper, (1,), 50)
    assert worker.last.value is None
    assert (await worker.pcm((media / "jfk.wav").read_bytes())).samples
    assert worker.last.value is None


async def test_a_worker_whose_first_job_is_a_large_file_is_sealed_as_any_other(media: Path) -> None:
    async with MediaWorker() as fresh:
        await fresh.pcm(on_disk(media / "jfk.wav"))
        assert (await fresh.fences())["opening"]
