"""Films: what probing tells of them before anything is decoded, and their sound."""

from __future__ import annotations

from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image
from tests.gates import corpus, films

from intermodal import errors
from intermodal.core.content import BytesSource, File, PathSource, Text, Video
from intermodal.core.request import Message, Request
from intermodal.media.media_limits import PCM_BYTES_PER_SECOND, expected_scenes
from intermodal.media.request_media import open_request
from intermodal.media.sniff import sniff
from intermodal.media.video.header import check_video_header
from intermodal.media.worker_client import MediaWorker

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
TALK = Path(__file__).parents[3] / "examples" / "media" / "talk-over-stills.mp4"
CONTAINERS = {"mp4": "video/mp4", "mov": "video/quicktime", "matroska": "video/x-matroska", "webm": "video/webm"}


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
async def test_the_same_film_has_the_same_facts_in_every_container(
    worker: MediaWorker, media: Path, container: str
) -> None:
    data = films.remuxed(media / "bigbuckbunny.mp4", container)
    assert sniff(data, "x") == ("video", CONTAINERS[container])
    found = await worker.probe(data)
    assert found.kind == "video"
    assert (found.width, found.height) == (1280, 720)
    assert (found.sample_rate, found.channels) == (48_000, 6)
    assert found.seconds.mid == pytest.approx(5.3, abs=0.05)
    assert found.fps == pytest.approx(25, abs=0.3)
    assert found.frames == pytest.approx(132, abs=2)
    assert found.text_density.high < 0.05
    assert found.cuts == ()


@pytest.mark.parametrize("container", CONTAINERS)
async def test_speech_and_slides_in_every_container(worker: MediaWorker, media: Path, container: str) -> None:
    pages = films.held(
        (films.slide("One\n\nwith some words"), 4), (films.slide("Two\n\nother words", paper="yellow"), 4)
    )
    data = films.film(pages, container=container, sound=media / "jfk.wav")
    assert sniff(data, "x") == ("video", CONTAINERS[container])
    found = await worker.probe(data)
    assert (found.kind, found.width, found.height, found.channels) == ("video", *films.SIZE, 1)
    assert found.seconds.mid == pytest.approx(11, abs=0.1), "the longer of the two"
    assert found.text_density.mid > 0.05, "writing on the slides"
    heard = await worker.pcm(data)
    assert heard.seconds == pytest.approx(11, abs=0.1)
    assert len(heard.samples) == round(heard.seconds * PCM_BYTES_PER_SECOND)


async def test_cuts_are_known_without_decoding(worker: MediaWorker) -> None:
    found = await worker.probe(TALK.read_bytes())
    assert found.cuts == (3.8, 7.4)
    low, mid, high = expected_scenes(found.seconds.mid, found.cuts)
    assert low <= 3 <= high
    assert mid == pytest.approx(3, abs=1)


async def test_a_matroska_tells_the_cuts_that_an_mp4_of_the_same_slides_tells(worker: MediaWorker) -> None:
    """By the bytes of their frames, as slides are alike enough for an encoder to set no key frames between them."""
    papers = ("white", "#f3ead8", "#dde8f2", "#e6f0dc")
    words = ("Harbour\nNew cranes\nTwo ferries", "Budget\nRepairs", "Training\nJune\nCertificates", "Questions?")
    slides = [films.slide(said, paper=paper, size=(640, 360)) for said, paper in zip(words, papers, strict=True)]
    shown = films.held(*[(slide, 3) for slide in slides])
    one, other = [
        (await worker.probe(films.film(shown, container=container, options={"g": "250"}))).cuts
        for container in ("mp4", "matroska")
    ]
    assert len(one) >= 2 and other == pytest.approx(one, abs=0.5)


async def test_cuts_are_known_where_key_frames_come_at_a_beat(worker: MediaWorker) -> None:
    """Every encoder pays for a cut in bytes, also one that sets key frames by the clock."""
    words = ("Results\n\nRevenue 4.2 M", "\n\n\nTwo new depots\nOne new line", "Questions?\nask the board")
    slides = films.held(*[(films.slide(text), 3.5) for text in words])
    data = films.film(slides, options={"preset": "veryfast", "g": "20", "sc_threshold": "0"})
    assert (await worker.probe(data)).cuts == pytest.approx((3.5, 7.0), abs=0.5)


async def test_a_film_without_sound_has_no_channels(worker: MediaWorker) -> None:
    data = films.film(films.held((films.slide("x"), 1)))
    assert (await worker.probe(data)).channels == 0
    with pytest.raises(errors.InputBroken, match="has no sound"):
        await worker.pcm(data)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
async def test_a_film_is_stood_upright(worker: MediaWorker, degrees: int) -> None:
    picture = Image.new("RGB", films.SIZE, "white")
    picture.paste("black", (0, 0, 80, 60))  # dark corner, top left
    data = films.film(films.held((picture, 1)), rotation=degrees)
    found = await worker.probe(data)
    across, down = films.SIZE if degrees in (0, 180) else films.SIZE[::-1]
    assert (found.width, found.height) == (across, down)
    (frame,) = await worker.frames(data, spread="scenes", most=3)
    import io

    shown = Image.open(io.BytesIO(frame.data)).convert("L")
    assert shown.size == (frame.width, frame.height) == (across, down)
    dark = {0: (5, 5), 90: (5, down - 5), 180: (across - 5, down - 5), 270: (across - 5, 5)}[degrees]
    assert shown.getpixel(dark) < 60  # type: ignore[operator]


async def test_pixels_that_are_not_square_are_made_so(worker: MediaWorker) -> None:
    import io

    import av

    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as writer:
        stream = writer.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 180, 180, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 9)
        for _ in range(5):
            writer.mux(stream.encode(av.VideoFrame.from_image(films.slide("x", size=(180, 180)))))
        writer.mux(stream.encode(None))
    assert (await worker.probe(out.getvalue())).width == 320


# ---- what is no film -----------------------------------------------------------------------------


@pytest.mark.parametrize(("container", "codec"), [("webm", "libopus"), ("matroska", "flac"), ("mov", "aac")])
async def test_a_container_of_films_with_sound_alone_is_a_recording(
    worker: MediaWorker, media: Path, container: str, codec: str
) -> None:
    data = corpus.encode(media / "jfk.wav", container, codec, rate=48_000 if codec == "libopus" else 0)
    opened = await open_request(
        Request(messages=(Message(role="user", parts=(File(source=BytesSource(data=data, name="voice")),)),)), worker
    )
    (facts,) = opened.facts.parts
    assert facts.kind == "audio"
    assert facts.media_type.startswith("audio/")
    assert facts.seconds.mid == pytest.approx(11, abs=0.2)
    assert (await worker.pcm(data)).seconds == pytest.approx(11, abs=0.2)


async def test_cover_art_makes_no_film(worker: MediaWorker, media: Path) -> None:
    data = films.with_cover(media / "jfk.wav", (media / "photo-cat.jpg").read_bytes())
    opened = await open_request(
        Request(messages=(Message(role="user", parts=(File(source=BytesSource(data=data, name="song")),)),)), worker
    )
    assert opened.facts.parts[0].kind == "audio"


async def test_a_film_has_its_facts_among_those_of_a_request(worker: MediaWorker) -> None:
    parts = (Text(text="What is said about it?"), Video(source=PathSource(path=str(TALK))))
    opened = await open_request(Request(messages=(Message(role="user", parts=parts),)), worker)
    facts = opened.facts.parts[1]
    assert (facts.kind, facts.media_type, facts.name) == ("video", "video/mp4", "talk-over-stills.mp4")
    assert (facts.width, facts.height, facts.fps, facts.cuts) == (320, 240, 5.0, (3.8, 7.4))
    again = await open_request(Request(messages=(Message(role="user", parts=parts),)), worker)
    assert again.facts == opened.facts


@pytest.mark.parametrize("share", [0.95, 0.5, 0.05])
@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
async def test_a_film_cut_short_is_refused_by_name(
    worker: MediaWorker, media: Path, container: str, share: float
) -> None:
    data = films.remuxed(media / "bigbuckbunny.mp4", container)
    with pytest.raises(errors.InputBroken, match="cut short") as caught:
        await worker.probe(data[: int(len(data) * share)], name="film")
    assert caught.value.where == "film"
    assert caught.value.todo


async def test_a_film_that_was_streamed_has_no_length_in_its_header_and_is_measured(
    worker: MediaWorker, media: Path
) -> None:
    pages = films.held((films.slide("One"), 3), (films.slide("Two\nthree"), 3))
    for container, options in (("webm", {"live": "1"}), ("mp4", {"movflags": "frag_keyframe+empty_moov"})):
        data = films.film(pages, container=container, muxing=options)
        found = await worker.probe(data)
        assert found.seconds.mid == pytest.approx(6, abs=0.2), container
        assert len(await worker.frames(data, spread="scenes", most=12)) == 2


def test_a_film_of_media_in_another_file_is_refused(media: Path) -> None:
    data = (media / "bigbuckbunny.mp4").read_bytes()
    at = data.index(b"dref")
    here = data.index(b"url ", at) + 7  # the flags of the first entry: 1 says "in this file"
    assert data[here] == 1
    check_video_header(data, "video/mp4")
    with pytest.raises(errors.InputUnsupported, match="another file"):
        check_video_header(data[:here] + b"\0" + data[here + 1 :], "video/mp4")


async def test_a_sound_that_begins_late_keeps_its_time_in_the_film(worker: MediaWorker, media: Path) -> None:
    data = films.film(films.held((films.slide("x"), 13)), container="matroska", sound=media / "jfk.wav", sound_at=2.0)
    heard = await worker.pcm(data)
    assert heard.seconds == pytest.approx(13, abs=0.1)
    assert not any(heard.samples[: int(1.9 * PCM_BYTES_PER_SECOND)])
