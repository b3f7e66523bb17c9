"""Speech with known words, made by the Piper voice that ``make weights`` pulls, and sounds without any.

Piper runs as a separate program, once for all sentences that are not there yet; its noise is off, so that a sentence
sounds the same every time. What it said is kept in ``out/fidelity/speech``.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy

from fidelity.samples import Chance

RATE = 22_050  # of the voice
EXACT = {"fflags": "+bitexact"}  # of containers: no numbers drawn by chance, no dates
FOLDER = Path(__file__).parent.parent.parent / "out" / "fidelity" / "speech"
VOICE = "piper-en-us-joe-medium/en_US-joe-medium.onnx"
Sound = Any  # numpy array of floats between -1 and 1, at RATE
_wanted: dict[str, list[str]] = {}  # a text, and those that are spoken together with it

_WHO = (
    "The station master", "A night driver", "The warehouse manager", "Our largest customer", "The crane operator",
    "The insurance company", "The customs officer", "The repair team", "Another supplier", "The ferry captain",
)  # fmt: skip
_DID = ("counted", "inspected", "received", "returned", "repaired", "ordered", "unloaded", "forgot", "found", "sold")
_WHAT = (
    "the copper wire", "seven empty boxes", "the old engine", "a wooden table", "the glass windows", "twelve chairs",
    "the heavy steel pipes", "a box of books", "the red bicycle", "three water pumps",
)  # fmt: skip
_WHERE = (
    "near the old canal", "before the morning shift", "after the storm", "at the northern gate",
    "behind the main office", "during the summer", "on the second floor", "beside the railway station",
    "in the middle of the night", "on Thursday afternoon",
)  # fmt: skip


def sentences(chance: Chance, count: int) -> list[str]:
    """Sentences without numbers in figures, which may be written in several ways; no two begin alike."""
    who = [*chance.some(_WHO, min(count, len(_WHO)))]
    while len(who) < count:
        who.append(chance.one(_WHO))
    return wanted([f"{each} {chance.one(_DID)} {chance.one(_WHAT)} {chance.one(_WHERE)}." for each in who])


def wanted(texts: Iterable[str]) -> list[str]:
    """The texts, which will be spoken together: the voice takes seconds to load."""
    found = list(texts)
    _wanted.update(dict.fromkeys(found, found))
    return found


def speak_all() -> None:
    """Have everything that is wanted spoken at once."""
    if missing := [each for each in _wanted if not _path(each).exists()]:
        _speak(missing)


def spoken(text: str) -> Sound:
    """The text as the voice says it."""
    path = _path(text)
    if not path.exists():
        _speak([each for each in (*_wanted.get(text, ()), text) if not _path(each).exists()])
    with wave.open(str(path)) as file:
        return numpy.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float) / 32_768


def _path(text: str) -> Path:
    return FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.wav"


def _speak(texts: Sequence[str]) -> None:
    from intermodal.config.config_file import cache_dir

    texts = list(dict.fromkeys(texts))
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        subprocess.run(
            [
                str(Path(sys.executable).with_name("piper")), "-m", str(cache_dir(os.environ) / "weights" / VOICE),
                "-d", made, "--noise-scale", "0", "--noise-w-scale", "0",
            ],
            input="\n".join(texts), text=True, check=True, capture_output=True,
        )  # fmt: skip
        files = sorted(Path(made).iterdir(), key=lambda path: (path.stat().st_mtime_ns, path.name))
        for text, path in zip(texts, files, strict=True):
            path.replace(_path(text)) if path.stat().st_dev == FOLDER.stat().st_dev else _path(text).write_bytes(
                path.read_bytes()
            )


def quiet(seconds: float) -> Sound:
    return numpy.zeros(round(seconds * RATE))


def joined(*some: Sound) -> Sound:
    return numpy.concatenate(some)


def said(texts: Sequence[str], pause: float = 0.5) -> tuple[Sound, list[float]]:
    """The texts one after the other, and the second at which each begins."""
    made: list[Sound] = []
    starts: list[float] = []
    at = 0.0
    for text in texts:
        voice = spoken(text)
        made += [voice, quiet(pause)]
        starts.append(at)
        at += len(voice) / RATE + pause
    return joined(*made), starts


def placed(texts: Sequence[str], starts: Sequence[float], seconds: float) -> Sound:
    """Each text at its second of a recording of that length."""
    made = quiet(seconds)
    for text, start in zip(texts, starts, strict=True):
        voice, first = spoken(text), round(start * RATE)
        made[first : first + len(voice)] += voice[: len(made) - first]
    return made


def higher(sound: Sound, by: float = 1.18) -> Sound:
    """A second speaker: the same voice, faster and higher."""
    places = numpy.arange(0, len(sound) - 1, by)
    return numpy.interp(places, numpy.arange(len(sound)), sound)


def hiss(seconds: float, level: float, seed: int) -> Sound:
    return numpy.random.default_rng(seed).normal(0, level, round(seconds * RATE))


def tune(seconds: float, level: float, seed: int) -> Sound:
    """Chords of a simple organ, one after the other."""
    chance = numpy.random.default_rng(seed)
    made: list[Sound] = []
    while sum(len(each) for each in made) < seconds * RATE:
        time = numpy.arange(round(0.6 * RATE)) / RATE
        base = 220 * 2 ** (chance.integers(0, 12) / 12)
        chord = sum(
            numpy.sin(2 * numpy.pi * base * step * time * over) / over for step in (1, 1.26, 1.5) for over in (1, 2, 3)
        )
        made.append(level * chord * numpy.exp(-2 * time) / 3)
    return joined(*made)[: round(seconds * RATE)]


def padded(*channels: Sound) -> list[Sound]:
    """The sounds, all as long as the longest of them; the shorter ones end in silence."""
    longest = max(map(len, channels))
    return [numpy.pad(each, (0, longest - len(each))) for each in channels]


def wav(*channels: Sound, rate: int = RATE) -> bytes:
    """A WAV file, one channel for each sound; the shorter ones end in silence."""
    frames = numpy.stack(padded(*channels), axis=1)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((numpy.clip(frames, -1, 1) * 32_767).astype("<i2").tobytes())
    return out.getvalue()


def coded(sound: Sound, form: str, codec: str, rate: int = 24_000) -> bytes:
    """The sound as another format."""
    import av

    samples = at_rate(sound, rate)
    out = io.BytesIO()
    with av.open(out, "w", format=form, options=EXACT) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.layout = "mono"
        for packet in audio_packets(stream, samples, rate):
            container.mux(packet)
    return out.getvalue()


def at_rate(sound: Sound, rate: int) -> Any:
    """The sound as 16-bit samples at another rate."""
    places = numpy.arange(0, len(sound) - 1, RATE / rate)
    return (numpy.clip(numpy.interp(places, numpy.arange(len(sound)), sound), -1, 1) * 32_767).astype("<i2")


def audio_packets(stream: Any, samples: Any, rate: int) -> list[Any]:
    """The samples encoded; of two channels in turn where the stream has two."""
    import av

    layout = stream.layout.name
    channels = 2 if layout == "stereo" else 1
    resampler = av.AudioResampler(
        format=stream.format.name, layout=layout, rate=rate, frame_size=stream.frame_size or 1024
    )
    packets: list[Any] = []
    for place in range(0, len(samples) // channels, 4096):
        piece = samples[place * channels : (place + 4096) * channels]
        frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, place
        for each in resampler.resample(frame):
            packets += stream.encode(each)
    for each in resampler.resample(None):
        packets += stream.encode(each)
    return [*packets, *stream.encode(None)]
