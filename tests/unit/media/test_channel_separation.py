"""Whether two channels carry different voices: told when a recording is probed, from the waves."""

from __future__ import annotations

import io
import wave
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.gates import films
from tests.unit.local.runtime_fixtures import pcm

from intermodal.files.file_bytes import Data, Spool, read_whole
from intermodal.media import container, worker_client
from intermodal.media.audio import channel_separation, decoder
from intermodal.media.worker_client import MediaWorker

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
RATE = 16_000


@pytest.fixture(scope="module")
async def worker(anyio_backend: str) -> AsyncIterator[MediaWorker]:
    async with MediaWorker() as worker:
        yield worker


@pytest.fixture(scope="module")
def voices(media: Path) -> tuple[array[int], array[int]]:
    """Two people, 10 s each."""
    return tuple(array("h", pcm(media / name)[: 2 * 10 * RATE]) for name in ("jfk.wav", "two_cities_25s.flac"))  # type: ignore[return-value]


def stereo(left: Sequence[int], right: Sequence[int]) -> bytes:
    """A WAV file of two channels, the shorter one silent at its end."""
    length = max(len(left), len(right))
    mixed = array("h", bytes(4 * length))
    mixed[0 : 2 * len(left) : 2], mixed[1 : 2 * len(right) : 2] = array("h", left), array("h", right)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(mixed.tobytes())
    return out.getvalue()


def silence(seconds: float) -> array[int]:
    return array("h", bytes(2 * int(seconds * RATE)))


async def heard_apart(worker: MediaWorker, data: Data) -> list[array[int]]:
    """The samples of both channels."""
    return [array("h", read_whole(each.samples, "call")) for each in await worker.channel_pcm(data)]


async def test_people_who_take_turns_and_people_who_talk_at_once_are_on_channels_of_their_own(
    worker: MediaWorker, voices: tuple[array[int], array[int]]
) -> None:
    one, other = voices
    assert (await worker.probe(stereo(one, silence(10) + other))).separate_channels, "in turns"
    assert (await worker.probe(stereo(one, other))).separate_channels, "at once"
    leaked = array("h", (int(a + 0.1 * b) for a, b in zip(one + silence(10), silence(10) + other, strict=True)))
    assert (await worker.probe(stereo(leaked, silence(10) + other))).separate_channels, "with a little of each other"


def test_channels_are_compared_when_a_recording_is_probed_and_not_again_for_its_sound(
    voices: tuple[array[int], array[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[object] = []
    monkeypatch.setattr(channel_separation, "channels_differ", lambda box, stream: bool(compared.append(stream)))
    data = stereo(*voices)
    decoder.probe(data, "audio/wav")
    assert len(compared) == 1
    assert list(decoder.pcm(data, "audio/wav", lambda done, said: None))
    assert list(decoder.channel_pcm(data, "audio/wav", lambda done, said: None))
    assert len(compared) == 1


async def test_both_channels_are_decoded_once(
    voices: tuple[array[int], array[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[float] = []
    frames = container.frames

    def counted(box: object, stream: object, what: str) -> Iterator[Any]:
        for frame in frames(box, stream, what):
            decoded.append(frame.samples / frame.sample_rate)
            yield frame

    data = stereo(*voices)
    monkeypatch.setattr(container, "frames", counted)
    pieces = list(decoder.channel_pcm(data, "audio/wav", lambda done, said: None))
    assert {channel for channel, _ in pieces} == {0, 1}
    assert sum(decoded) == pytest.approx(10.0), "seconds"


async def test_one_scene_on_two_channels_is_heard_as_one(
    worker: MediaWorker, voices: tuple[array[int], array[int]]
) -> None:
    one, other = voices
    both = array("h", (a // 2 + b // 2 for a, b in zip(one, other, strict=True)))
    late = silence(0.004) + both[: -int(0.004 * RATE)]
    quiet = array("h", (sample // 4 for sample in both))
    for name, left, right in (
        ("the same twice", both, both),
        ("fainter on one side", both, quiet),
        ("two microphones in one room", both, late),
        ("turned over", both, array("h", (-sample for sample in both))),
        ("one side silent", both, silence(10)),
        ("nothing on either", silence(10), silence(10)),
    ):
        assert not (await worker.probe(stereo(left, right))).separate_channels, name


@pytest.mark.parametrize("container", ["mp4", "matroska", "webm"])
async def test_the_two_voices_of_a_film_are_on_channels_of_their_own_and_its_one_scene_is_not(
    worker: MediaWorker, voices: tuple[array[int], array[int]], tmp_path: Path, container: str
) -> None:
    """A call that was recorded with its pictures: what is said on either side is decoded for itself, at its time."""
    one, other = voices
    slides = list(films.held((films.slide("A call"), 10), (films.slide("Still the call", paper="yellow"), 10)))
    for left, right, apart in ((one, silence(10) + other, True), (one, one, False), (one, silence(10), False)):
        (tmp_path / "call.wav").write_bytes(stereo(left, right))
        film = films.film(slides, container=container, sound=tmp_path / "call.wav")
        found = await worker.probe(film)
        assert (found.kind, found.channels, found.separate_channels) == ("video", 2, apart)
        if apart:
            first, second = await heard_apart(worker, film)
            speaks = [sum(map(abs, each[:160_000])) / 160_000 > 100 for each in (first, second)]
            assert speaks == [True, False], "the first ten seconds are those of the caller"


async def test_one_channel_is_decoded_for_itself(worker: MediaWorker, voices: tuple[array[int], array[int]]) -> None:
    one, other = voices
    data = stereo(one, silence(10) + other)
    assert await heard_apart(worker, data) == [one + silence(10), silence(10) + other]
    assert (await worker.pcm(data)).samples not in (one.tobytes(), other.tobytes())


async def test_what_leaks_from_one_channel_into_the_other_is_silenced_and_what_both_say_at_once_is_not(
    worker: MediaWorker, voices: tuple[array[int], array[int]]
) -> None:
    """Two telephones: in turns, then both at once. An ear of one channel wrote down the other's words as this one's."""
    one, other = voices
    one = array("h", (sample // 3 for sample in one))  # about as loud as the other
    left, right = one + silence(10) + one, silence(10) + other + other
    mine = array("h", (int(a + 0.06 * b) for a, b in zip(left, right, strict=True)))
    theirs = array("h", (int(b + 0.06 * a) for a, b in zip(left, right, strict=True)))
    data = stereo(mine, theirs)
    heard = await heard_apart(worker, data)
    second = 10 * RATE

    def power(samples: Sequence[int]) -> float:
        return sum(sample * sample for sample in samples) or 1.0

    for channel, before, leaked, own in ((heard[0], mine, 1, 0), (heard[1], theirs, 0, 1)):
        away = slice(leaked * second, (leaked + 1) * second)
        assert power(channel[away]) < 0.1 * power(before[away]), "the other's voice"
        for said in (own, 2):
            kept = slice(said * second, (said + 1) * second)
            assert power(channel[kept]) > 0.97 * power(before[kept]), "its own, alone and at once"


@pytest.mark.parametrize("most", [16 << 20, 1 << 16])
async def test_crosstalk_is_silenced_in_memory_and_on_the_disk_alike(
    worker: MediaWorker, voices: tuple[array[int], array[int]], monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    one, other = voices
    mine = array("h", (int(a + 0.05 * b) for a, b in zip(one + silence(10), silence(10) + other, strict=True)))
    data = stereo(mine, silence(10) + other)
    monkeypatch.setattr(worker_client, "LARGE_FILE", most)
    first, second = await worker.channel_pcm(data)
    assert isinstance(first.samples, bytes) == (most > 1 << 20)
    assert (first.seconds, second.seconds) == (20.0, 20.0)
    left = array("h", read_whole(first.samples, "call"))
    assert left[: 9 * RATE] == mine[: 9 * RATE], "its own voice"
    assert sum(map(abs, left[11 * RATE : 19 * RATE])) < 0.1 * sum(map(abs, mine[11 * RATE : 19 * RATE]))


def test_ranges_beyond_what_was_added_are_left_out() -> None:
    for most in (1, 100):
        with Spool(most) as spool:
            spool.add(b"12345678")
            spool.zero_ranges([(-3, 2), (4, 5), (7, 90), (20, 30)])
            spool.add(b"9")
            assert read_whole(spool.to_bytes(), "sound") == b"\0\x0034\x00678"[:7] + b"\x009"
