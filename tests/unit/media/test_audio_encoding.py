"""Speech packed here: what is packed can be opened by others and is as long as it was."""

from __future__ import annotations

import io
import math
import struct
import wave

import av
import pytest

from intermodal.media.audio.encoding import mp3, resample, samples, wav


def tone(rate: int, seconds: float = 2.0) -> bytes:
    return b"".join(
        struct.pack("<h", round(8000 * math.sin(2 * math.pi * 440 * place / rate)))
        for place in range(int(rate * seconds))
    )


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_an_mp3_is_as_long_as_the_speech_and_no_louder(rate: int) -> None:
    with av.open(io.BytesIO(mp3(tone(rate), rate))) as opened:
        stream = opened.streams.audio[0]
        frames = list(opened.decode(stream))
        seconds = sum(frame.samples for frame in frames) / stream.rate
        peak = max(float(abs(frame.to_ndarray()).max()) for frame in frames)
    assert seconds == pytest.approx(2.0, abs=0.2)  # its encoder adds some silence before and after
    assert 0.2 < peak < 0.3


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 48_000])
def test_samples_of_another_rate_sound_the_same(rate: int) -> None:
    found = struct.unpack("<48000h", resample(tone(rate), rate, 24_000))
    wanted = struct.unpack("<48000h", tone(24_000))
    inside = slice(100, -100)  # a filter begins and ends softly
    assert max(abs(a - b) for a, b in zip(found[inside], wanted[inside], strict=True)) < 200
    assert resample(b"", rate, 24_000) == b""


def test_speech_of_one_sample_is_a_file_too() -> None:
    assert mp3(b"\0\0", 22_050)[:1] == b"\xff"
    assert mp3(b"", 22_050)[:1] == b"\xff"


def test_a_wav_file_is_read_the_same_by_others() -> None:
    file = wav(tone(22_050, 0.1), 22_050)
    with wave.open(io.BytesIO(file)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) == (1, 2, 22_050)
        assert opened.readframes(opened.getnframes()) == samples(file)[0]


def test_two_channels_are_refused_by_name() -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0" * 16)
    with pytest.raises(ValueError, match="2 channels of 16 bits"):
        samples(out.getvalue())
