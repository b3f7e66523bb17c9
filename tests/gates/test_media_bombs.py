"""D6, D7, D9: what is too much is refused from its header, in little time and little memory."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
from tests.gates import corpus

from intermodal import errors
from intermodal.media import container, media_limits
from intermodal.media.audio import decoder
from intermodal.media.worker_client import MediaWorker

pytestmark = [pytest.mark.gate, pytest.mark.anyio]
MB = 1 << 20


@pytest.fixture
async def worker(media: Path) -> AsyncIterator[tuple[MediaWorker, int]]:
    """A worker that has its libraries loaded, and the memory it then needs for nothing."""
    async with MediaWorker() as worker:
        for name in ("photo-cat.jpg", "report.pdf", "jfk.mp3"):
            await worker.probe((media / name).read_bytes())
        await worker.start()
        yield worker, worker.last.peak_memory


async def refused(
    worker: MediaWorker, data: bytes, kind: type[errors.InputError] = errors.InputTooLarge
) -> errors.InputError:
    with pytest.raises(kind) as caught:
        await worker.probe(data, name="bomb")
    return caught.value


def resident(worker: MediaWorker) -> int:
    """The most the child ever had resident since its last job began, from outside."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{worker.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def spent(worker: MediaWorker) -> float:
    """Seconds of the processor that the child has taken: what the code costs, however busy the machine is."""
    fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fences(worker: MediaWorker) -> tuple[str, set[str]]:
    """The kernel's limits of the child, and what it has open."""
    process = Path(f"/proc/{worker.pid}")
    return (process / "limits").read_text(), {str(path.readlink()) for path in (process / "fd").iterdir()}


PICTURES = {
    "16384 x 16384 in 33 KB": lambda: corpus.png(16_384, 16_384),
    "13000 x 13000 in 21 KB": lambda: corpus.png(13_000, 13_000),
    "9400 x 9400 in 11 KB": lambda: corpus.png(9_400, 9_400),
    "20,000 APNG frames": lambda: corpus.apng(20_000),
    "20,000 GIF frames": lambda: corpus.gif(20_000),
    "20,000 WebP frames": lambda: corpus.webp_header(8, 8, frames=20_000),
    "GIF frame beyond its canvas": lambda: corpus.gif(1, frame=(65_535, 65_535)),
    "50 MB colour profile": lambda: corpus.png_with_profile(50 * MB),
    "50 MB comment": lambda: corpus.png_with_profile(50 * MB, kind=b"zTXt"),
    "50 MB international comment": lambda: corpus.png_with_profile(50 * MB, kind=b"iTXt"),
    "JPEG of 65535 x 65535": lambda: corpus.jpeg_header(65_535, 65_535),
    "WebP of 16384 x 16384": lambda: corpus.webp_header(16_384, 16_384),
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
async def test_d6_a_picture_bomb_is_refused_from_its_header(worker: tuple[MediaWorker, int], name: str) -> None:
    """In 50 ms and 20 MB."""
    media_worker, base = worker
    data = PICTURES[name]()
    tries, before = 5, spent(media_worker)
    for _ in range(tries):  # the clock of a process ticks in 10 ms
        await refused(media_worker, data)
    assert (spent(media_worker) - before) / tries <= 0.050
    assert resident(media_worker) - base < 20 * MB


async def test_d6_a_hundred_bombs_at_once_need_no_more_than_one(worker: tuple[MediaWorker, int]) -> None:
    media_worker, base = worker
    bombs = [
        corpus.png(16_384, 16_384),
        corpus.gif(20_000),
        corpus.jpeg_header(65_535, 65_535),
        corpus.png_with_profile(50 * MB),
    ]
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(refused, media_worker, bombs[number % 4])
    assert resident(media_worker) - base < 100 * MB


async def test_d6_the_largest_picture_that_is_taken_stays_in_its_room(worker: tuple[MediaWorker, int]) -> None:
    media_worker, base = worker
    found = await media_worker.probe(corpus.png(8_000, 5_000, bits=8))
    assert found.width * found.height == media_limits.MAX_PIXELS
    assert media_worker.last.peak_memory - base < 150 * MB


DOCUMENTS: dict[str, tuple[Callable[[], bytes], type[errors.InputError] | None]] = {
    "giant page": (corpus.pdf_giant_page, None),
    "giant page by user unit": (lambda: corpus.pdf_giant_page(14_400, unit=75.0), None),
    "20,000 pages": (lambda: corpus.pdf_many_pages(20_000), errors.InputTooLarge),
    "50 MB deflated twice": (lambda: corpus.pdf_double_deflated(50 * MB), None),
    "700 MB deflated twice": (lambda: corpus.pdf_double_deflated(700 * MB), errors.InputError),
    "cross-reference loop": (corpus.pdf_xref_loop, None),
    "cyclic page tree": (corpus.pdf_cyclic_tree, errors.InputTooLarge),
    "scripts, launch, embedded file": (lambda: corpus.pdf_with_actions("http://127.0.0.1:9/", "/etc/passwd"), None),
    "locked": (lambda: corpus.pdf_of_text(["x"], password="swordfish"), errors.InputEncrypted),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_d7_a_pdf_bomb_is_probed_or_refused(worker: tuple[MediaWorker, int], name: str) -> None:
    """In 1 s and 200 MB."""
    media_worker, base = worker
    make, kind = DOCUMENTS[name]
    data = make()
    child, before, started = media_worker.pid, spent(media_worker), anyio.current_time()
    if kind is None:
        pages = (await media_worker.probe(data)).pages
        assert len(pages) == 1
        peak = media_worker.last.peak_memory
    else:
        await refused(media_worker, data, kind)
        peak = resident(media_worker) if media_worker.pid else 0  # 0: it died of its fence, which is lower
    if media_worker.pid == child:
        assert spent(media_worker) - before <= 1.0
    else:  # its clock died with it
        assert anyio.current_time() - started <= 5.0
    assert peak - base < 200 * MB


WORDS_OF: dict[str, Callable[[], bytes]] = {
    "200,000 strokes": lambda: corpus.pdf_with_words(b"%d %d m %d %d l S ", 200_000),
    "200,000 strokes in one path": lambda: corpus.pdf_with_words(b"%d %d m %d %d l ", 200_000),
    "20,000 words": lambda: corpus.pdf_with_words(b"BT/F 1 Tf 1 0 0 1 %d %d Tm(w%d %d)Tj ET ", 20_000),
    "strokes in a form": lambda: corpus.pdf_with_words(b"%d %d m %d %d l S ", 200_000, in_form=True),
    "50 MB deflated twice": lambda: corpus.pdf_double_deflated(50 * MB),
    "giant page": corpus.pdf_giant_page,
}  # fmt: skip


@pytest.mark.parametrize("name", WORDS_OF)
async def test_d7_the_words_of_a_pdf_bomb_are_laid_out_or_taken_as_they_are(
    worker: tuple[MediaWorker, int], media: Path, name: str
) -> None:
    """In 2 s of the processor and 300 MB, without the layout where it would take longer."""
    media_worker, _ = worker
    await media_worker.page_text((media / "report.pdf").read_bytes(), (1,))
    base, data, child = media_worker.last.peak_memory, WORDS_OF[name](), media_worker.pid
    before = spent(media_worker)
    await media_worker.page_text(data, (1,))
    assert media_worker.pid == child and spent(media_worker) - before <= 2.0
    assert media_worker.last.peak_memory - base < 300 * MB


async def test_d7_a_giant_page_is_rendered_small(worker: tuple[MediaWorker, int]) -> None:
    media_worker, base = worker
    for unit in (1.0, 75.0):
        made = (await media_worker.page_images(corpus.pdf_giant_page(14_400, unit=unit), (1,), 300))[0]
        assert made.width * made.height <= 40_000_000
        assert media_worker.last.peak_memory - base < 200 * MB


async def test_d7_no_file_or_socket_can_be_opened_while_decoding(worker: tuple[MediaWorker, int], media: Path) -> None:
    """The kernel says so: the limit of open files is 0, and what is open is what the pipes need."""
    media_worker, _ = worker
    data = corpus.pdf_with_actions("http://127.0.0.1:9/", "/etc/passwd")
    await media_worker.probe(data)
    await media_worker.page_images(data, (1,), 72)
    await media_worker.page_text((media / "report.pdf").read_bytes(), (1,))
    limits, descriptors = fences(media_worker)
    assert re.search(r"Max open files\s+0\s", limits)
    others = {
        name for name in descriptors if not name.startswith(("socket:", "pipe:", "/proc/", "/tmp/#", "/dev/null"))
    }
    assert {name for name in others if "(deleted)" not in name} == set()
    # Its own standard input, and the pair by which the layout's event loop wakes itself: local, so nobody is reached.
    local = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:] if len(line.split()) == 7}
    assert {name[8:-1] for name in descriptors if name.startswith("socket:")} <= local


RECORDINGS: dict[str, tuple[Callable[[Path], bytes], type[errors.InputError]]] = {
    "8.7 h of Opus in 0.8 MB": (lambda media: corpus.opus(8.7 * 3600), errors.InputTooLarge),
    "the same, claiming 10 s": (lambda media: corpus.opus(8.7 * 3600, claimed_seconds=10), errors.InputTooLarge),
    "WAV claiming 655,350 Hz": (lambda media: corpus.wav(1, claimed_rate=655_350), errors.InputBroken),
    "WAV claiming 1 Hz": (lambda media: corpus.wav(100, claimed_rate=1), errors.InputBroken),
    "WAV of 40 channels": (lambda media: corpus.wav(1, channels=40), errors.InputBroken),
    "WAV of no seconds": (lambda media: corpus.wav(0), errors.InputEmpty),
    "WAV of 7 h": (lambda media: corpus.wav(7 * 3600, rate=4_000), errors.InputTooLarge),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDINGS)
async def test_d9_a_sound_bomb_is_refused(worker: tuple[MediaWorker, int], media: Path, name: str) -> None:
    """In 300 MB, when probed and when decoded."""
    media_worker, base = worker
    make, kind = RECORDINGS[name]
    data = make(media)
    await refused(media_worker, data, kind)
    with pytest.raises(kind):
        await media_worker.pcm(data, name="bomb")
    held = 2 * len(data)  # the file itself, as it came through the pipe
    assert resident(media_worker) - base - held < 300 * MB


async def test_d9_a_forged_flac_header_is_not_believed(worker: tuple[MediaWorker, int], media: Path) -> None:
    media_worker, base = worker
    data = corpus.flac_claiming((media / "two_cities_25s.flac").read_bytes(), rate=655_350, channels=8)
    assert (await media_worker.probe(data)).seconds.mid == pytest.approx(25, abs=0.1)
    assert (await media_worker.pcm(data)).seconds == pytest.approx(25, abs=0.1)
    assert media_worker.last.peak_memory - base < 300 * MB


def test_d9_seconds_and_bytes_are_counted_while_decoding(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that was fooled does not help the bomb: decoding stops by its own count."""
    from intermodal.core.quantity import exact
    from intermodal.media.worker_results import MediaProbeResult

    data = (media / "two_cities_25s.flac").read_bytes()
    monkeypatch.setattr(
        decoder, "_probe", lambda data, media_type, with_comparison: MediaProbeResult(seconds=exact(1.0, "fooled"))
    )
    with pytest.raises(errors.InputTooLarge, match="more sound than its header says"):
        list(decoder.pcm(data, "audio/flac", lambda fraction, note: None))
    with pytest.raises(errors.InputTooLarge, match="more sound than its header says"):
        list(decoder.channel_pcm(data, "audio/flac", lambda fraction, note: None))
    monkeypatch.setattr(decoder, "probe", lambda data, media_type: MediaProbeResult(seconds=exact(25.0, "header")))
    monkeypatch.setattr(decoder, "_MAX_DECODED", 100_000)
    with pytest.raises(errors.InputTooLarge):
        list(decoder.pcm(data, "audio/flac", lambda fraction, note: None))


PLAYLISTS = [
    b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"concat:/etc/passwd|/etc/group",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    b"<?xml version='1.0'?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>",
    b"[playlist]\nFile1=/etc/passwd\n",
]  # fmt: skip


@pytest.mark.parametrize("playlist", PLAYLISTS)
async def test_d10_a_playlist_is_text_and_never_reaches_a_decoder(
    worker: tuple[MediaWorker, int], playlist: bytes
) -> None:
    media_worker, _ = worker
    for name in ("list.m3u8", "speech.mp3"):
        with pytest.raises(errors.InputError):
            await media_worker.pcm(playlist, name=name)
    for media_type in container.DEMUXERS:
        with pytest.raises(errors.InputError):
            decoder.probe(playlist, media_type)
