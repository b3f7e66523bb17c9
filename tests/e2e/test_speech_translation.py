"""French speech as English words and as English speech, by models of this machine, from the command line."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from tests.e2e.command import intermodal
from tests.unit.local.runtime_fixtures import pcm

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("shared_conversions")]
ENGLISH = ("thank you", "my name is marie", "france")


def test_whisper_writes_french_speech_in_english(media: Path) -> None:
    ran = intermodal("ask", "--output", "transcript", "--translate", "en", "--json", str(media / "french.flac"))
    assert ran.answered, ran.err
    heard = ran.document["transcript"]
    assert (heard["language"], heard["into"]) == ("fr", "en")
    said = " ".join(each["text"] for each in heard["segments"]).lower()
    assert sum(words in said for words in ENGLISH) >= 2, said
    assert "bonjour" not in said and heard["segments"][0]["end"] > heard["segments"][0]["start"]


def test_a_translation_is_written_as_subtitles(media: Path) -> None:
    ran = intermodal(
        "ask", "--translate", "en", "--output", "transcript", "--format", "srt", str(media / "french.flac")
    )
    assert ran.answered and "-->" in ran.out and "merci" not in ran.out.lower(), ran.out


def test_whisper_is_refused_by_name_for_anything_but_english(media: Path) -> None:
    ran = intermodal("explain", "--output", "transcript", "--translate", "de", str(media / "french.flac"))
    assert ran.code != 0
    assert "whisper-base: translates speech into en only, and de is asked for" in ran.err
    assert "allow a language model to translate the transcript" in ran.err


def test_french_speech_becomes_english_speech_as_a_chain_that_the_plan_shows(media: Path, tmp_path: Path) -> None:
    asked = ("--verbatim", "--translate", "en", str(media / "french.flac"))
    planned = intermodal("explain", *asked)
    assert planned.code == 0, planned.err
    assert "Speak" in planned.out and "Transcribe" in planned.out and "into en" in planned.out
    ran = intermodal("ask", *asked, "--to", str(tmp_path / "english.wav"))
    assert ran.answered, ran.err
    again = intermodal("ask", "--output", "transcript", "--language", "en", str(tmp_path / "english.wav"))
    assert "france" in again.out.lower(), again.out


def in_noise(recording: Path, path: Path) -> Path:
    """Write a recording with as much white noise as speech, of which no processor's arithmetic makes Whisper sure."""
    speech = np.frombuffer(pcm(recording), "<i2").astype(float)
    loud = np.sqrt((speech[np.abs(speech) > 200] ** 2).mean())
    noisy = speech + np.random.default_rng(3).normal(0, loud, speech.size)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes(noisy.clip(-32_768, 32_767).astype("<i2").tobytes())
    return path


def test_a_recording_that_was_doubted_once_is_planned_again_and_the_plan_says_so(media: Path, tmp_path: Path) -> None:
    """What an earlier hearing was sure of is known by the next plan, of a transcript that is the answer, too."""
    asked = ("--output", "transcript", str(in_noise(media / "french.flac", tmp_path / "noisy.wav")))
    assert intermodal("ask", *asked).answered
    for more in ((), ("--translate", "en")):
        planned = intermodal("explain", *asked, *more)
        assert planned.code == 0, planned.err
        assert "of the words of noisy.wav arrive as they are: an earlier hearing was sure of" in " ".join(
            planned.out.split()
        )
