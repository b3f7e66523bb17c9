"""D8, D10 for films: what is too much is refused from its header; nothing a film names is ever opened."""

from __future__ import annotations

import re
import resource
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
from tests.gates import corpus, films
from tests.gates.test_media_bombs import PLAYLISTS, fences
from tests.processor_time import processor_seconds

from intermodal import errors
from intermodal.media import container, media_limits
from intermodal.media.video import frames, probe
from intermodal.media.worker_client import MediaWorker

pytestmark = [pytest.mark.gate, pytest.mark.anyio]
MB = 1 << 20
CPU = 10.0  # seconds


@pytest.fixture
async def worker(media: Path) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        await worker.probe((media / "bigbuckbunny.mp4").read_bytes())
        yield worker


BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "10 h at 1 frame a second": (lambda: films.repeated(36_000, fps=1), "lasts more than 6 h"),
    "the same in Matroska": (lambda: films.repeated(36_000, fps=1, container="matroska"), "lasts more than 6 h"),
    "MP4 claiming 16384 x 16384": (lambda: films.claiming_size("mp4", 16_384, 16_384), "more than 40 million"),
    "MOV claiming 65535 x 65535": (lambda: films.claiming_size("mov", 65_535, 65_535), "more than 40 million"),
    "AVI claiming 16384 x 16384": (lambda: films.claiming_size("avi", 16_384, 16_384), "more than 40 million"),
    "AVI of 10 h": (lambda: films.repeated(36_000, fps=1, container="avi"), "lasts more than 6 h"),
    "MKV claiming 16384 x 16384": (lambda: films.claiming_size("matroska", 16_384, 16_384), "more than 40 million"),
    "WebM claiming 16384 x 16384": (lambda: films.claiming_size("webm", 16_384, 16_384), "more than 40 million"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
async def test_d8_a_film_bomb_is_refused_from_its_header(worker: MediaWorker, name: str) -> None:
    make, words = BOMBS[name]
    data = make()
    before = processor_seconds(worker)
    with pytest.raises(errors.InputTooLarge, match=words) as caught:
        await worker.probe(data, name="bomb")
    assert caught.value.where == "bomb"
    with pytest.raises(errors.InputTooLarge, match=words):
        await worker.frames(data, spread="scenes", most=10**9, name="bomb")
    assert processor_seconds(worker) - before < 1


@pytest.mark.parametrize("most", [-1, 10**9])
async def test_d8_thirty_six_thousand_frames_cost_ten_seconds_of_processor_at_most(
    worker: MediaWorker, most: int
) -> None:
    data = films.repeated(40_000, fps=30)
    before = processor_seconds(worker)
    assert (await worker.probe(data)).frames == 40_000
    for spread in ("scenes", "1000 fps"):
        made = await worker.frames(data, spread=spread, most=most, max_side=64)
        assert 1 <= len(made) <= media_limits.MAX_FRAMES_IN_PLAN
    assert processor_seconds(worker) - before < CPU
    assert worker.last.peak_memory < 300 * MB


async def test_d8_a_picture_that_is_larger_than_the_header_says_is_not_decoded(worker: MediaWorker) -> None:
    data = films.of_packets([corpus.jpeg_header(65_535, 65_535)] * 3)
    with pytest.raises(errors.InputError):
        await worker.probe(data, name="bomb")
    with pytest.raises(errors.InputError):
        await worker.frames(data, spread="scenes", most=3, name="bomb")
    assert worker.pid is None or worker.last.peak_memory < 400 * MB


async def test_d8_a_film_that_is_longer_than_its_header_says_is_refused(worker: MediaWorker) -> None:
    for forged in (films.claiming_seconds(5_000, 1.0), films.claiming_seconds(40_000, 1.0)):
        with pytest.raises(errors.InputError, match=r"longer|more film|more than"):
            await worker.frames(forged, spread="scenes", most=3, name="bomb")


def test_d8_work_is_counted_while_decoding(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_SCAN_PIXELS_SPARSE", 10_000_000)
    with pytest.raises(errors.InputBroken, match="more film than its header says"):
        data = (media / "bigbuckbunny.mp4").read_bytes()
        list(frames.frames(data, "video/mp4", "scenes", 3, 64, lambda done, note: None))


# ---- nothing else is opened ----------------------------------------------------------------------

MORE = [
    b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nconcat:file:///etc/passwd\n#EXT-X-ENDLIST\n",
    b"subfile,,start,0,end,100,,:/etc/passwd",
    b"#EXTM3U\n#EXTINF:1,\ndata:text/plain;base64,AAAA\n",
    b"RIFF\x24\0\0\0AVI LIST\x10\0\0\0hdrl#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
]


@pytest.mark.parametrize("playlist", PLAYLISTS + MORE)
async def test_d10_a_playlist_is_no_film(worker: MediaWorker, playlist: bytes) -> None:
    for name in ("film.mp4", "film.mov", "film.webm", "film.mkv"):
        with pytest.raises(errors.InputError) as caught:
            await worker.probe(playlist, name=name)
        assert "root:" not in str(caught.value)
        with pytest.raises(errors.InputError):
            await worker.frames(playlist, spread="scenes", most=3, name=name)
    for media_type in container.DEMUXERS:
        if media_type.startswith("video"):
            with pytest.raises(errors.InputError):
                probe.probe(playlist, media_type, lambda image: pytest.fail("it was decoded"))


@pytest.mark.parametrize("head", ["mp4", "matroska"])
@pytest.mark.parametrize("playlist", PLAYLISTS + MORE)
async def test_d10_a_playlist_inside_a_film_is_never_followed(worker: MediaWorker, head: str, playlist: bytes) -> None:
    """As the media of a real container: damaged images, nothing more."""
    data = films.film(films.held((films.slide("One"), 1)), container=head)
    at = data.index(b"mdat") + 4 if head == "mp4" else data.index(b"\xa3", data.index(b"\x1f\x43\xb6\x75")) + 8
    forged = data[:at] + playlist + data[at + len(playlist) :] if len(playlist) < 600 else data
    try:
        for frame in await worker.frames(forged, spread="scenes", most=3, name="film"):
            assert b"root:" not in frame.data
    except errors.InputError as error:
        assert "root:" not in str(error)


@pytest.mark.parametrize("kind", [b"url ", b"alis"])
async def test_d10_media_in_another_file_is_refused(worker: MediaWorker, media: Path, kind: bytes) -> None:
    forged = films.referring((media / "bigbuckbunny.mp4").read_bytes(), kind)
    for ask in (worker.probe, worker.pcm):
        with pytest.raises(errors.InputUnsupported, match="another file"):
            await ask(forged, name="film.mov")
    with pytest.raises(errors.InputUnsupported, match="another file"):
        await worker.frames(forged, spread="scenes", most=3, name="film.mov")


async def test_d10_no_file_or_socket_can_be_opened_while_a_film_is_decoded(worker: MediaWorker, media: Path) -> None:
    data = (media / "bigbuckbunny.mp4").read_bytes()
    await worker.probe(data)
    await worker.frames(data, spread="scenes", most=3)
    await worker.pcm(data)
    limits, descriptors = fences(worker)
    assert re.search(r"Max open files\s+0\s", limits)
    allowed = ("socket:", "pipe:", "/proc/", "/tmp/#", "/dev/null")
    assert {name for name in descriptors if not name.startswith(allowed) and "(deleted)" not in name} == set()
    assert sum(name.startswith("socket:") for name in descriptors) <= 1


async def test_d12_a_film_that_kills_the_decoder_costs_only_itself(worker: MediaWorker, media: Path) -> None:
    data = (media / "bigbuckbunny.mp4").read_bytes()
    assert worker.pid is not None
    async with anyio.create_task_group() as group:
        group.start_soon(_killed, worker, films.remuxed(media / "bigbuckbunny.mp4", "mp4", seconds=60))
        await anyio.sleep(0.3)
        resource.prlimit(worker.pid, resource.RLIMIT_CPU, (1, 1))
    assert (await worker.probe(data)).width == 1280


async def _killed(worker: MediaWorker, data: bytes) -> None:
    with pytest.raises(errors.InputError):
        for _ in range(50):
            await worker.frames(data, spread="5 fps", most=100)
