"""Frames of films: one for each scene, at its time, small enough, with progress on the way."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from PIL import Image, ImageStat
from tests.gates import films
from tests.processor_time import processor_seconds

from intermodal import errors
from intermodal.media.media_limits import MAX_FRAME_SIDE, MAX_FRAMES_IN_PLAN
from intermodal.media.worker_client import MediaWorker, VideoFrame

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TALK = Path(__file__).parents[3] / "examples" / "media" / "talk-over-stills.mp4"


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


def seen(frame: VideoFrame) -> Image.Image:
    shown = Image.open(io.BytesIO(frame.data), formats=["JPEG"]).convert("RGB")
    assert shown.size == (frame.width, frame.height)
    assert frame.media_type == "image/jpeg"
    return shown


def alike(frame: VideoFrame, picture: Image.Image) -> bool:
    """Within what a lossy codec loses."""
    shown, meant = (one.convert("RGB").resize((64, 36)) for one in (seen(frame), picture))
    from PIL import ImageChops

    return max(ImageStat.Stat(ImageChops.difference(shown, meant)).rms) < 16


async def test_a_talk_over_stills_gives_each_still_once_at_its_time(worker: MediaWorker, media: Path) -> None:
    frames = await worker.frames(TALK.read_bytes(), spread="scenes", most=12)
    assert [frame.at for frame in frames] == pytest.approx([0.0, 3.8, 7.4], abs=0.01)
    assert [frame.until for frame in frames] == pytest.approx([3.8, 7.4, 11.0], abs=0.05)
    assert [(frame.width, frame.height) for frame in frames] == [(320, 240)] * 3


async def test_each_slide_is_shown_once_also_when_only_a_line_is_new(worker: MediaWorker) -> None:
    shown = [
        films.slide("Results\n\nRevenue 4.2 M\nCosts 3.1 M"),
        films.slide("Results\n\nRevenue 4.2 M\nCosts 3.1 M\nMargin 26 %"),
        films.slide("Outlook\n\nTwo new depots\nOne new line"),
    ]
    for container in ("mp4", "webm", "matroska", "mov"):
        data = films.film(films.held(*[(slide, 3) for slide in shown]), container=container)
        frames = await worker.frames(data, spread="scenes", most=12)
        assert [frame.at for frame in frames] == pytest.approx([0, 3, 6], abs=0.25), container
        assert all(alike(frame, slide) for frame, slide in zip(frames, shown, strict=True)), container


async def test_how_many_scenes_there_are_is_told_where_fewer_are_shown(worker: MediaWorker) -> None:
    slides = [films.slide(f"Slide {number}\n" + "more\n" * number) for number in range(5)]
    data = films.film(films.held(*[(slide, 2) for slide in slides]))
    for most, shown in ((12, 5), (2, 2)):
        frames = await worker.frames(data, spread="scenes", most=most)
        assert (len(frames), {frame.scenes for frame in frames}) == (shown, {5})


async def test_a_fade_gives_its_ends_and_nothing_between(worker: MediaWorker, media: Path) -> None:
    cat, coffee = (
        Image.open(media / f"photo-{name}.jpg").convert("RGB").resize(films.SIZE) for name in ("cat", "coffee")
    )
    black = Image.new("RGB", films.SIZE)
    for between in (
        films.faded(cat, coffee, 15),
        films.faded(cat, black, 8) + [black] * 8 + films.faded(black, coffee, 8),
    ):
        data = films.film([*films.held((cat, 3)), *between, *films.held((coffee, 3))])
        first, second = await worker.frames(data, spread="scenes", most=12)
        assert alike(first, cat)
        assert alike(second, coffee)


async def test_a_still_for_a_minute_is_one_frame_and_a_moving_camera_several(worker: MediaWorker, media: Path) -> None:
    still = Image.open(media / "photo-cat.jpg").convert("RGB").resize(films.SIZE)
    assert len(await worker.frames(films.film(films.held((still, 60))), spread="scenes", most=12)) == 1
    assert 2 <= len(await worker.frames((media / "bigbuckbunny.mp4").read_bytes(), spread="scenes", most=12)) <= 4
    pan = films.film(films.panned(Image.open(media / "photo-coffee.jpg"), 200))
    assert len(await worker.frames(pan, spread="scenes", most=12)) == 12
    assert len(await worker.frames(pan, spread="scenes", most=5)) == 5


async def test_evenly_is_evenly(worker: MediaWorker) -> None:
    data = films.film(films.held((films.slide("One"), 10), (films.slide("Two"), 10)))
    frames = await worker.frames(data, spread="0.5 fps", most=100)
    assert len(frames) == 10
    assert [frame.at for frame in frames] == pytest.approx([1 + 2 * number for number in range(10)], abs=0.01)
    assert len(await worker.frames(data, spread="0.5 fps", most=4)) == 4


async def test_frames_are_as_small_as_asked_and_never_blown_up(worker: MediaWorker, media: Path) -> None:
    film = (media / "bigbuckbunny.mp4").read_bytes()
    assert {frame.width for frame in await worker.frames(film, spread="scenes", most=2, max_side=320)} == {320}
    assert {frame.width for frame in await worker.frames(film, spread="scenes", most=2)} == {1280}
    assert {frame.width for frame in await worker.frames(film, spread="scenes", most=1, max_side=10**9)} == {1280}
    assert MAX_FRAME_SIDE >= 1280


@pytest.mark.parametrize("most", [-1, 0, 1])
async def test_fewer_than_one_is_one(worker: MediaWorker, most: int) -> None:
    assert len(await worker.frames(TALK.read_bytes(), spread="scenes", most=most)) == 1


async def test_a_request_may_not_raise_the_limits(worker: MediaWorker) -> None:
    data = films.film(films.held((films.slide("One"), 30)), fps=10)
    assert len(await worker.frames(data, spread="1000000000 fps", most=10**9)) == MAX_FRAMES_IN_PLAN


@pytest.mark.parametrize("spread", ["0 fps", "-1 fps", "nan fps", "inf fps", "often", "", "1 fpm"])
async def test_a_spread_that_means_nothing_is_refused(worker: MediaWorker, spread: str) -> None:
    with pytest.raises(errors.UsageError, match="cannot be spread"):
        await worker.frames(TALK.read_bytes(), spread=spread, most=3)


async def test_progress_is_told_throughout(worker: MediaWorker, media: Path) -> None:
    for data in (
        films.film(films.held((films.slide("One"), 30))),
        films.remuxed(media / "bigbuckbunny.mp4", "mp4", seconds=300),
    ):
        told: list[float] = []

        def tell(done: float | None, note: str, told: list[float] = told) -> None:
            told.append(done or 0)

        await worker.frames(data, spread="scenes", most=12, progress=tell)
        assert told == sorted(told)
        assert len(told) >= 20
        assert told[-1] == 1


async def test_a_long_film_takes_seconds_of_processor_time(worker: MediaWorker, media: Path) -> None:
    """Ten minutes of 1280 x 720: by its key frames, in bounded memory."""
    data = films.remuxed(media / "bigbuckbunny.mp4", "mp4", seconds=600)
    await worker.probe(data)
    idle = worker.last.peak_memory
    before = processor_seconds(worker)
    frames = await worker.frames(data, spread="scenes", most=12, max_side=768)
    assert frames
    assert processor_seconds(worker) - before < 30  # about 1.2
    assert worker.last.peak_memory - idle < 200 << 20


async def test_cancelling_ends_the_process(media: Path) -> None:
    data = films.remuxed(media / "bigbuckbunny.mp4", "mp4", seconds=100)
    async with MediaWorker() as worker:
        await worker.start()
        with anyio.move_on_after(0.4):
            await worker.frames(data, spread="2 fps", most=100)
        assert worker.pid is None


async def test_sound_alone_has_no_frames(worker: MediaWorker, media: Path) -> None:
    with pytest.raises(errors.InputUnsupported):
        await worker.frames((media / "jfk.mp3").read_bytes(), spread="scenes", most=3)
