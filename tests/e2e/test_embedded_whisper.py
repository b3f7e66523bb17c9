"""Real speech through the real ears."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from tests.unit.local.runtime_fixtures import BASE, TINY_EN, pcm, runtimes, words

from intermodal.errors import RuntimeCrashed
from intermodal.local.embedded.runtimes import EmbeddedRuntimes

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
JFK = words(
    "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
)


@pytest.fixture(scope="module")
async def ears() -> AsyncIterator[EmbeddedRuntimes]:
    found = runtimes()
    yield found
    await found.close()


@pytest.mark.parametrize("ear", [BASE, TINY_EN], ids=["base", "tiny.en"])
@pytest.mark.parametrize("name", ["jfk.wav", "jfk.mp3"])
async def test_kennedy_is_heard_word_for_word(ears: EmbeddedRuntimes, media: Path, ear: object, name: str) -> None:
    seen: list[float] = []
    heard = await ears.transcribe(
        ear,  # type: ignore[arg-type]
        pcm(media / name),
        language="en",
        progress=lambda fraction, words: seen.append(fraction or 0.0),
    )
    assert words(heard.transcript.text) == JFK
    assert heard.transcript.language == "en"
    assert 10.9 < heard.transcript.seconds < 11.2
    times = [(segment.start, segment.end) for segment in heard.transcript.segments]
    assert times == sorted(times)
    assert all(0 <= start < end <= heard.transcript.seconds for start, end in times)
    assert seen == sorted(seen)
    assert seen[-1] > 0.9
    assert heard.seconds > 0
    assert 100e6 < heard.peak_memory < 2e9


async def test_loading_is_told_apart_from_work_and_paid_once(ears: EmbeddedRuntimes, media: Path) -> None:
    samples = pcm(media / "jfk.wav")
    fresh = runtimes()
    try:
        first = await fresh.transcribe(TINY_EN, samples)
        again = await fresh.transcribe(TINY_EN, samples)
    finally:
        await fresh.close()
    assert first.load_seconds > 0
    assert again.load_seconds == 0
    assert first.transcript == again.transcript


@pytest.mark.parametrize("ear", [BASE, TINY_EN], ids=["base", "tiny.en"])
@pytest.mark.parametrize("name", ["music.m4a", "music.ogg", "bigbuckbunny.mp4"])
async def test_nobody_speaks_in_music(ears: EmbeddedRuntimes, media: Path, ear: object, name: str) -> None:
    heard = await ears.transcribe(ear, pcm(media / name))  # type: ignore[arg-type]
    assert heard.transcript.text == ""
    assert heard.transcript.segments == ()
    assert heard.transcript.language == ""
    assert heard.transcript.seconds > 5


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 3.0])
async def test_nobody_speaks_in_silence(ears: EmbeddedRuntimes, seconds: float) -> None:
    heard = await ears.transcribe(BASE, bytes(int(seconds * 16_000) * 2))
    assert heard.transcript.segments == ()


async def test_words_between_music_are_still_heard(ears: EmbeddedRuntimes, media: Path) -> None:
    music, speech = pcm(media / "music.m4a"), pcm(media / "jfk.wav")
    heard = await ears.transcribe(BASE, music + speech)
    said = words(heard.transcript.text)
    assert [word for word in said if "country" in word] == ["country", "country"]
    assert not any("mm" in word for word in said if word != "americans" and word != "summer")


async def test_faint_speech_over_a_telephone_is_not_taken_for_music(ears: EmbeddedRuntimes, media: Path) -> None:
    import numpy as np

    speech = np.frombuffer(pcm(media / "jfk.wav"), "<i2").astype(np.float64)
    spectrum, frequency = np.fft.rfft(speech), np.fft.rfftfreq(len(speech), 1 / 16_000)
    spectrum[(frequency < 300) | (frequency > 3400)] = 0
    line = np.fft.irfft(spectrum, len(speech)) * 0.1
    line += np.random.default_rng(0).normal(size=len(line)) * np.sqrt((line**2).mean() / 10)
    heard = await ears.transcribe(BASE, line.astype("<i2").tobytes())
    assert words(heard.transcript.text).count("country") == 2


def at_level(samples: bytes, decibels: float) -> bytes:
    """The same with its peak so many decibels below the most there can be."""
    import numpy as np

    sound = np.frombuffer(samples, "<i2").astype(np.float64)
    return np.round(sound / np.abs(sound).max() * 32767 * 10 ** (decibels / 20)).astype("<i2").tobytes()


async def test_speech_at_a_two_thousandth_of_full_scale_is_heard(ears: EmbeddedRuntimes, media: Path) -> None:
    heard = await ears.transcribe(BASE, at_level(pcm(media / "jfk.wav"), -66), language="en")
    said = words(heard.transcript.text)
    assert said.count("country") == 2 and said.count("ask") >= 2


@pytest.mark.parametrize("decibels", [-3, -50, -66])
async def test_nobody_speaks_in_music_however_loud_or_faint(
    ears: EmbeddedRuntimes, media: Path, decibels: float
) -> None:
    heard = await ears.transcribe(BASE, at_level(pcm(media / "music.m4a"), decibels))
    assert heard.transcript.segments == ()


@pytest.mark.parametrize("decibels", [-10, -50, -80])
@pytest.mark.parametrize("kind", ["white", "brown"])
async def test_nobody_speaks_in_hiss_and_rumble(ears: EmbeddedRuntimes, kind: str, decibels: float) -> None:
    import numpy as np

    noise = np.random.default_rng(3).normal(size=8 * 16_000)
    if kind == "brown":
        noise = np.cumsum(noise)
        noise -= np.convolve(noise, np.ones(800) / 800, "same")
    samples = np.clip(noise / np.abs(noise).max() * 32767, -32768, 32767).astype("<i2").tobytes()
    heard = await ears.transcribe(BASE, at_level(samples, decibels))
    assert heard.transcript.segments == ()


async def test_a_stretch_of_speech_ends_where_it_ends_and_not_in_the_silence_behind_it(
    ears: EmbeddedRuntimes, media: Path
) -> None:
    """Kennedy stops 0.6 s before the recording does; then nobody speaks for 12 s."""
    speech, silence = pcm(media / "jfk.wav"), bytes(12 * 16_000 * 2)
    heard = await ears.transcribe(BASE, speech + silence + speech, language="en")
    first = [segment for segment in heard.transcript.segments if segment.start < 11]
    again = [segment for segment in heard.transcript.segments if segment.start >= 11]
    assert 9.5 < first[-1].end < 11.0
    assert 22.5 < again[0].start < 24.5


async def test_no_stretch_of_speech_goes_over_a_silence(ears: EmbeddedRuntimes, media: Path) -> None:
    """Kennedy pauses for 20 s within his sentence: what another voice says meanwhile comes between."""
    speech, silence = pcm(media / "jfk.wav"), bytes(20 * 16_000 * 2)
    pause = int(2.6 * 16_000) * 2
    heard = await ears.transcribe(BASE, speech[:pause] + silence + speech[pause:], language="en")
    assert words(heard.transcript.text) == JFK
    before = [segment for segment in heard.transcript.segments if segment.start < 12]
    assert words(" ".join(segment.text for segment in before)) == JFK[:5]
    assert before[-1].end < 3.0


async def test_french_is_recognised_as_french(ears: EmbeddedRuntimes, media: Path) -> None:
    heard = await ears.transcribe(BASE, pcm(media / "french.flac"))
    assert heard.transcript.language == "fr"
    assert heard.transcript.confidence > 0.5
    assert "merci" in words(heard.transcript.text)


async def test_a_monolingual_transcriber_claims_no_confidence_in_a_language_it_presumes(
    ears: EmbeddedRuntimes, media: Path
) -> None:
    heard = await ears.transcribe(TINY_EN, pcm(media / "jfk.wav"))
    assert heard.transcript.language == "en"
    assert heard.transcript.confidence == 0.0


async def test_a_transcriber_that_dies_is_one_clear_error_and_the_next_call_works(media: Path) -> None:
    ears = runtimes()
    samples = pcm(media / "jfk.wav")
    try:
        await ears.transcribe(TINY_EN, samples)
        assert ears.loaded_endpoints() == (TINY_EN.id,)
        child = ears._slots[TINY_EN.id].worker.pid
        assert child is not None

        async def murder() -> None:
            await anyio.sleep(0.1)
            os.kill(child, signal.SIGKILL)

        async with anyio.create_task_group() as group:
            group.start_soon(murder)
            with pytest.raises(RuntimeCrashed, match="died"):
                await ears.transcribe(TINY_EN, samples * 30)  # it is not done so soon, however late it is killed
        assert ears.loaded_endpoints() == ()
        heard = await ears.transcribe(TINY_EN, samples, language="en")
        assert words(heard.transcript.text) == JFK
        assert heard.load_seconds > 0
    finally:
        await ears.close()


async def test_cancelling_stops_the_transcriber(media: Path) -> None:
    ears = runtimes()
    samples = pcm(media / "two_cities_25s.flac") * 4
    try:
        await ears.transcribe(TINY_EN, pcm(media / "jfk.wav"))
        child = ears._slots[TINY_EN.id].worker.pid
        with anyio.move_on_after(0.3):
            await ears.transcribe(TINY_EN, samples)
        assert ears.loaded_endpoints() == ()
        assert not Path(f"/proc/{child}/exe").exists()
    finally:
        await ears.close()
