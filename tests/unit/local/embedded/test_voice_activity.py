"""What the ear makes of a recording before it looks for voices: its level, and pieces of bounded length."""

from __future__ import annotations

import os
import wave
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy
import numpy as np
import pytest

from intermodal.files.file_bytes import FileBytes
from intermodal.local.embedded import voice_activity, whisper

RATE = voice_activity.RATE


SPEECH = Path(__file__).parents[4] / "examples" / "media" / "jfk.wav"


def tone(seconds: float, height: float, step: float = 0.3) -> np.ndarray:
    return (np.sin(np.arange(int(seconds * RATE)) * step) * height * 32_767).astype("<i2")


def test_a_long_recording_is_cut_where_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_activity, "LONGEST", 10 * RATE)
    monkeypatch.setattr(voice_activity, "_ROOM", 3 * RATE)
    loud, pause = tone(8, 0.3), tone(1, 0.0)
    samples = np.concatenate([loud, pause] * 3)  # pauses at 8, 17 and 26 s
    pieces = voice_activity.split_recording(samples)
    assert [piece[0] for piece in pieces[1:]] == [piece[1] for piece in pieces[:-1]], "nothing between, nothing twice"
    assert (pieces[0][0], pieces[-1][1]) == (0, len(samples))
    assert all(end - start <= voice_activity.LONGEST for start, end in pieces)
    assert [8 < end / RATE < 9 or 17 < end / RATE < 18 for _, end in pieces[:2]] == [True, True]


@pytest.mark.slow
def test_a_spectrum_and_voices_computed_in_pieces_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the memory for them does not grow with the recording."""
    feature_extractor = pytest.importorskip("faster_whisper.feature_extractor")
    vad = pytest.importorskip("faster_whisper.vad")
    noise = np.random.default_rng(1).normal(0, 0.1, 95 * RATE + 77).astype(np.float32)
    noise[20 * RATE : 40 * RATE] *= np.sin(np.arange(20 * RATE) * 0.002)
    plain, model = (
        feature_extractor.FeatureExtractor(),
        SimpleNamespace(feature_extractor=feature_extractor.FeatureExtractor()),
    )
    whisper.bound_features(model)
    for length in (len(noise), 61 * RATE, 500, 0):
        whole, pieces = plain(noise[:length]), model.feature_extractor(noise[:length])
        assert whole.shape == pieces.shape and np.abs(whole - pieces).max(initial=0.0) < 1e-5
    model.feature_extractor(noise, chunk_length=10)
    assert model.feature_extractor.nb_max_frames == 1_000, "as the library has it"
    windows = noise[: len(noise) // 512 * 512]
    detector = vad.get_vad_model()
    monkeypatch.setattr(detector, "session", getattr(detector.session, "_session", detector.session))
    whole = detector(windows.copy())
    voice_activity.bound_voice_detector()
    assert (detector(windows.copy()) == whole).all() and len(whole) > 2 * voice_activity.WINDOWS


def test_a_short_recording_is_one_piece() -> None:
    assert voice_activity.split_recording(tone(3, 0.1)) == [(0, 3 * RATE)]
    assert voice_activity.split_recording(tone(0, 0.1)) == [(0, 0)]


def test_faint_sound_is_scaled_and_ordinary_sound_and_silence_are_not() -> None:
    ordinary = voice_activity.normalising_gain(tone(2, 0.2))
    assert (
        ordinary
        == 1 / 32_768
        == voice_activity.normalising_gain(tone(2, 0.0))
        == voice_activity.normalising_gain(tone(0, 0.0))
    )
    faint = tone(2, 0.0005)
    scaled = faint.astype(np.float64) * voice_activity.normalising_gain(faint)
    assert np.sqrt((scaled**2).mean()) == pytest.approx(voice_activity.ORDINARY, rel=0.05)
    clicked = tone(2, 0.0005)
    clicked[RATE] = 30_000
    assert voice_activity.normalising_gain(clicked) == pytest.approx(
        voice_activity.normalising_gain(faint), rel=0.05
    ), "a click is not the level"


@pytest.mark.parametrize("background", [0.0, 0.0002, 0.004])
@pytest.mark.parametrize("loud", [0.2, 0.002])
def test_the_level_of_a_sentence_is_that_of_its_words_however_long_the_silence_before_it(
    loud: float, background: float
) -> None:
    hiss = (np.random.default_rng(1).normal(0, 32_767 * loud * background, 120 * RATE)).astype("<i2")
    samples = np.concatenate([hiss, tone(3, loud)])
    gain = voice_activity.normalising_gain(samples)
    assert gain == pytest.approx(voice_activity.normalising_gain(tone(3, loud)), rel=0.05)
    made = voice_activity.apply_gain(samples, gain)
    assert np.abs(made[-3 * RATE :]).max() < 0.5, "nothing is clipped"


def test_a_loud_sentence_among_faint_speech_is_not_clipped_and_a_click_amplifies_nothing_less() -> None:
    faint = np.concatenate([tone(1.6, 0.001), tone(0.4, 0.0)] * 10)
    samples = np.concatenate([faint, tone(2, 0.3), faint])
    samples[4 * RATE + 8_000 : 4 * RATE + 8_800] = 30_000
    gain = voice_activity.normalising_gain(samples)
    made = voice_activity.apply_gain(samples, gain)
    levels = [float(np.sqrt((made[at * RATE : (at + 1) * RATE] ** 2).mean())) for at in (2, 20, 32)]
    assert levels[0] == pytest.approx(voice_activity.ORDINARY, rel=0.1) == levels[2]
    assert levels[1] == pytest.approx(voice_activity.LOUD, rel=0.1) and np.abs(made[20 * RATE : 22 * RATE]).max() < 0.5
    beside = made[4 * RATE + 9_000 : 4 * RATE + 15_000]
    assert float(np.sqrt((beside**2).mean())) == pytest.approx(voice_activity.ORDINARY, rel=0.1)


@pytest.mark.parametrize(
    ("rest", "seconds"),
    [
        pytest.param(tone(8, 0.2), 8.0, id="as loud as the words"),
        pytest.param(tone(8, 0.05), 0.0, id="fainter"),
        pytest.param(tone(2, 0.2), 0.0, id="a pause"),
        pytest.param(tone(8, 0.0), 0.0, id="silence"),
    ],
)
def test_loud_seconds_without_a_word_are_counted(rest: np.ndarray, seconds: float) -> None:
    samples = np.concatenate([tone(6, 0.2), rest, tone(4, 0.2)])
    after = 6 + len(rest) / RATE
    heard = [(0.0, 3.0), (3.0, 6.0), (after, after + 4)]
    assert voice_activity.seconds_without_words(samples, heard).seconds == pytest.approx(seconds, abs=0.1)
    assert voice_activity.seconds_without_words(samples, []) == (0, 0), "of a recording without a word it is known"


def test_loud_noise_is_told_from_music_and_from_speech() -> None:
    chance = numpy.random.default_rng(5)
    hiss = chance.normal(0, 3_000, 8 * RATE).astype("<i2")
    murmur = (30 * numpy.convolve(chance.normal(0, 300, 8 * RATE), numpy.ones(4) / 4, "same")).astype("<i2")
    chord = sum(tone(8, 0.05, step) for step in (0.086, 0.109, 0.130, 0.173, 0.218))
    with wave.open(str(SPEECH)) as file:
        speech = numpy.frombuffer(file.readframes(file.getnframes()), "<i2")
    for noise in (hiss, murmur):
        assert voice_activity.noise_share(noise) > 0.9
    for other in (chord, speech):
        assert voice_activity.noise_share(other) < 0.1
    samples = np.concatenate([tone(6, 0.1), hiss, chord])
    found = voice_activity.seconds_without_words(samples, [(0.0, 3.0), (3.0, 6.0)])
    assert found.seconds == pytest.approx(16, abs=0.1) and found.masked == pytest.approx(8, abs=1)


def test_a_voice_of_which_no_word_is_recognised_is_told_from_sound_without_a_voice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model writes nothing, as it does where many voices speak at once."""
    info = SimpleNamespace(language="en", language_probability=0.9)
    mute = SimpleNamespace(transcribe=lambda *_, **__: (iter(()), info), model=SimpleNamespace(is_multilingual=True))
    monkeypatch.setitem(whisper._models, "mute", mute)
    with wave.open(str(SPEECH)) as file:
        speech = file.readframes(file.getnframes())
    found = whisper.transcribe("mute", "mute", speech, "")
    assert found["segments"] == [] and 6 < found["unheard"] == found["masked"] <= found["seconds"]
    for other in (tone(8, 0.2), tone(8, 0.0)):
        assert whisper.transcribe("mute", "mute", other.tobytes(), "").get("unheard") in (None, 0.0)


class Word(NamedTuple):
    start: float
    end: float


@pytest.mark.parametrize(
    ("spoken", "apart"),
    [
        pytest.param([(0, 3), (22, 25)], [2, 1], id="silence"),
        pytest.param([(0, 25)], [3], id="a voice of which nothing was heard"),
        pytest.param([(0, 3), (8, 14), (22, 25)], [3], id="a voice of which nothing was heard, between silences"),
        pytest.param([(0, 3.4), (21.6, 25)], [2, 1], id="silence, and its edges"),
    ],
)
def test_words_are_apart_where_nobody_spoke_between_them(spoken: list[tuple[float, float]], apart: list[int]) -> None:
    words = [Word(0.2, 1.0), Word(1.8, 2.8), Word(22.3, 23.0)]
    assert [len(each) for each in voice_activity.split_at_pauses(words, spoken)] == apart


@pytest.mark.slow
def test_samples_of_a_file_are_those_of_its_bytes(tmp_path: Path) -> None:
    array = (numpy.random.default_rng(3).standard_normal(7 * 60 * voice_activity.RATE) * 900).astype("<i2")
    (path := tmp_path / "pcm").write_bytes(array.tobytes())
    for pcm in (array.tobytes(), FileBytes(os.open(path, os.O_RDONLY))):
        samples = voice_activity.PcmSamples(pcm)
        assert len(samples) == len(array)
        assert (samples[100:200] == array[100:200]).all()
        assert (voice_activity.frame_levels(samples) == voice_activity.frame_levels(array)).all()
        assert voice_activity.normalising_gain(samples) == voice_activity.normalising_gain(array)
        assert voice_activity.split_recording(samples) == voice_activity.split_recording(array)


def spoken(decibels: float) -> np.ndarray:
    """Eleven seconds of speech, fainter than it was."""
    with wave.open(str(SPEECH)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return (samples * 10 ** (decibels / 20)).astype("<i2")


@pytest.mark.slow
@pytest.mark.parametrize(
    "sound",
    [tone(3, 0.5), tone(30, 0.5), tone(5, 0.2) + tone(5, 0.2, 0.5),
     np.random.default_rng(1).normal(0, 9_000, 5 * RATE).clip(-32_768, 32_767).astype("<i2")],
    ids=["beep", "long beep", "dialling", "hiss"],
)  # fmt: skip
@pytest.mark.parametrize("decibels", [-30.0, -50.0])
def test_a_loud_sound_that_is_no_speech_leaves_faint_speech_as_amplified(sound: np.ndarray, decibels: float) -> None:
    pytest.importorskip("faster_whisper")
    faint = spoken(decibels)
    alone = voice_activity.normalising_gain(faint)
    samples = np.concatenate([sound, faint])
    assert voice_activity.normalising_gain(samples) == pytest.approx(alone, rel=0.6), "within 4 dB of 40 to 60"
    assert voice_activity.normalising_gain(np.concatenate([sound, spoken(0)])) == 1 / 32_768


def test_a_sound_without_speech_is_not_amplified_for_its_quiet_parts() -> None:
    pytest.importorskip("faster_whisper")
    samples = np.concatenate([tone(3, 0.5), tone(5, 0.002), tone(2, 0.5)])
    assert voice_activity.normalising_gain(samples) == 1 / 32_768
