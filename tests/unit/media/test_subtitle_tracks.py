"""Subtitles: which tracks of words a film has, and what they say at which time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from av.stream import Disposition
from tests.gates import films

from intermodal import errors
from intermodal.media.worker_client import MediaWorker

pytestmark = pytest.mark.anyio
SAID = ((0.2, 0.9, "Good morning."), (1.0, 1.8, "What does\nit cost?"))


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


@pytest.fixture(scope="module")
def plain(media: Path) -> bytes:
    return films.film(films.held((films.slide("One"), 1), (films.slide("Two"), 1)), sound=media / "jfk.wav")


def marked(codec: str) -> tuple[tuple[float, float, str], ...]:
    """The same two lines as this codec's files write them."""
    first, second = {
        "mov_text": ("Good morning.", "What does\nit cost?"),
        "subrip": ("<i>Good</i> <font color=\"#fff\">morning.</font>", "{\\an8}What does\r\nit cost?"),
        "webvtt": ("<c.loud>Good</c> <00:00:00.300>morning.", "What does\nit&nbsp;cost?"),
        "ass": (r"{\i1\fs20}Good{\i0} morning.", r"What does\Nit\hcost?"),
    }[codec]  # fmt: skip
    return (*SAID[0][:2], first), (*SAID[1][:2], second)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "mov_text"), ("mov", "mov_text"), ("matroska", "subrip"), ("matroska", "ass"), ("matroska", "webvtt")],
)
async def test_subtitles_are_read_with_their_times_and_without_marks(
    worker: MediaWorker, plain: bytes, container: str, codec: str
) -> None:
    data = films.with_tracks(plain, container, films.Captions(marked(codec), codec, "ger", title=""))
    (track,) = (await worker.probe(data)).subtitles
    assert (track.language, track.lines, track.chars) == ("de", 2, len("Good morning.\nWhat does\nit cost?"))
    assert track.shown == pytest.approx(1.5, abs=0.05) and track.last == pytest.approx(1.8, abs=0.05)
    lines = await worker.subtitles(data, track.track)
    assert [line.text for line in lines] == ["Good morning.", "What does\nit cost?"]
    assert [line.at for line in lines] == pytest.approx([0.2, 1.0], abs=0.05)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
async def test_lines_before_the_last_key_frame_are_counted(worker: MediaWorker, media: Path, container: str) -> None:
    """Probing looks at key frames before it looks at the subtitles."""
    slides = films.held(*((films.slide(each), 1) for each in ("One", "Two", "Three", "Four")))
    keyed = films.film(slides, sound=media / "jfk.wav", options={"preset": "ultrafast", "g": "10"})
    said = tuple((at + 0.2, at + 0.9, f"Line {at}.") for at in range(4))
    codec = "mov_text" if container == "mp4" else "subrip"
    (track,) = (await worker.probe(films.with_tracks(keyed, container, films.Captions(said, codec)))).subtitles
    assert (track.lines, track.shown) == (4, pytest.approx(2.8, abs=0.1))


async def test_tracks_are_told_apart_by_language_title_and_what_they_are_for(worker: MediaWorker, plain: bytes) -> None:
    data = films.with_tracks(
        plain, "matroska",
        films.Captions(SAID[:1], "subrip", "eng", "Signs & Songs", int(Disposition.forced)),
        films.Captions(SAID, "subrip", "und", flags=int(Disposition.default | Disposition.hearing_impaired)),
        films.Captions((), "subrip", "fre"),
    )  # fmt: skip
    signs, whole = (await worker.probe(data)).subtitles
    assert (signs.language, signs.title, signs.forced, signs.default) == ("en", "Signs & Songs", True, False)
    assert (whole.language, whole.forced, whole.default, whole.described) == ("", False, True, True)


async def test_a_speaker_that_a_caption_names_stays_with_the_words(worker: MediaWorker, plain: bytes) -> None:
    data = films.with_tracks(plain, "matroska", films.Captions(((0.2, 1, "<v.loud Ann Lee>Hi!</v>"),), "webvtt"))
    found = await worker.probe(data)
    assert [line.text for line in await worker.subtitles(data, found.subtitles[0].track)] == ["Ann Lee: Hi!"]


async def test_captions_that_roll_say_each_line_once(worker: MediaWorker, plain: bytes) -> None:
    """As recognised speech is captioned: each shows the line before above its own."""
    rolled = ((0.0, 0.5, "one"), (0.5, 1.0, "one\ntwo"), (1.0, 1.5, "two\nthree"), (1.8, 2.0, "three"))
    data = films.with_tracks(plain, "matroska", films.Captions(rolled))
    found = await worker.probe(data)
    lines = await worker.subtitles(data, found.subtitles[0].track)
    assert [line.text for line in lines] == ["one", "two", "three", "three"], "the last is said again, later"


async def test_drawings_and_empty_lines_are_no_words(worker: MediaWorker, plain: bytes) -> None:
    drawn = ((0.1, 0.2, r"{\p1}m 0 0 l 100 0 100 100{\p0}"), (0.3, 0.4, "{}"), (0.5, 0.9, "Hello"))
    data = films.with_tracks(plain, "matroska", films.Captions(drawn, "ass"))
    assert [track.lines for track in (await worker.probe(data)).subtitles] == [1]


async def test_lines_before_the_pictures_that_probing_looks_at_are_counted_too(
    worker: MediaWorker, media: Path
) -> None:
    said = tuple((float(at), at + 1.0, f"Line {at}.") for at in range(0, 10, 2))
    film = (media / "talk-over-stills.mp4").read_bytes()  # it has an image to look at every few seconds
    for container, codec in (("mp4", "mov_text"), ("matroska", "subrip")):
        data = films.with_tracks(film, container, films.Captions(said, codec, "eng"))
        assert [track.lines for track in (await worker.probe(data)).subtitles] == [5], container


async def test_a_track_that_is_not_there_is_an_error_that_names_it(worker: MediaWorker, plain: bytes) -> None:
    with pytest.raises(errors.InputBroken, match="has no subtitles in its track 7"):
        await worker.subtitles(plain, 7, name="a.mp4")


@pytest.mark.slow
async def test_subtitles_in_pictures_are_said_to_be_left_alone(worker: MediaWorker, plain: bytes) -> None:
    data = films.with_tracks(plain, "matroska", films.Captions(SAID, "hdmv_pgs_subtitle", "eng"))
    found = await worker.probe(data)
    assert found.subtitles == ()
    assert found.notes == ("its subtitles (en) are images or of another kind that is not read",)
