"""Recordings: speech, two speakers on two channels, faint and noisy speech, times, and sound without a word."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy

from fidelity import speech
from fidelity.checks import Check, apart, at, has, heard, order, read_or_told, share_of, silent
from fidelity.samples import Chance, Made, recipe

ASKED = "What is said about it?"


@recipe("audio", "speech", "wav")
def _speech(chance: Chance) -> Made:
    lines = speech.sentences(chance, 4)
    return Made(
        lambda: speech.wav(speech.said(lines)[0]),
        [heard(" ".join(lines), 0.15), order(*_parts(lines))],
        " ".join(lines),
        ASKED,
    )


def _parts(lines: Sequence[str]) -> list[str]:
    """Of each sentence who did it: three words that no other sentence begins with."""
    return [" ".join(line.split()[:3]) for line in lines]


def _coded(chance: Chance, count: int, form: str, codec: str) -> Made:
    said = speech.sentences(chance, count)
    words = " ".join(said)
    return Made(lambda: speech.coded(speech.said(said)[0], form, codec), [heard(words, 0.15)], words, ASKED)


@recipe("audio", "speech as MP3", "mp3")
def _mp3(chance: Chance) -> Made:
    return _coded(chance, 4, "mp3", "libmp3lame")


@recipe("audio", "voice message", "ogg")
def _opus(chance: Chance) -> Made:
    return _coded(chance, 3, "ogg", "libopus")


def call(lines: Sequence[str], *, overlap: bool = False) -> tuple[speech.Sound, speech.Sound]:
    """The two channels of a call: two people in turn, who say every other line; with overlap both at once."""
    left, right, time = speech.quiet(0), speech.quiet(0), 0
    for one, other in zip(lines[::2], lines[1::2], strict=True):
        first, second = speech.spoken(one), speech.higher(speech.spoken(other))
        start = time if overlap else time + len(first) + 6_000
        left = numpy.concatenate((left, numpy.zeros(time - len(left)), first))
        right = numpy.concatenate((right, numpy.zeros(start - len(right)), second))
        time = max(len(left), len(right)) + 8_000
    return left, right


def call_checks(lines: Sequence[str]) -> list[Check]:
    """Of a call of six lines: they arrive, each under who says it."""
    parts = _parts(lines)
    return [*has(*parts[:2]), read_or_told(" ".join(lines)), apart(parts[0], parts[1]), apart(parts[4], parts[5])]


def _two(chance: Chance, *, overlap: bool) -> Made:
    lines = speech.sentences(chance, 6)
    return Made(
        lambda: speech.wav(*call(lines, overlap=overlap)), call_checks(lines), " ".join(lines), "Who says what?"
    )


@recipe("audio", "two channels", "wav")
def _call(chance: Chance) -> Made:
    return _two(chance, overlap=False)


@recipe("audio", "telephone with crosstalk", "wav")
def _telephone(chance: Chance) -> Made:
    """A call as a telephone system records it: 8 kHz, and each side hears a little of the other."""
    lines = speech.sentences(chance, 6)

    def make() -> bytes:
        one, other = speech.padded(*call(lines))
        both = 0.5 * one + 0.03 * other, 0.3 * other + 0.02 * one
        narrow = [speech.at_rate(each, 8_000) / 32_768 for each in both]
        return speech.wav(*narrow, rate=8_000)

    return Made(make, [*call_checks(lines), heard(" ".join(lines), 0.2)], " ".join(lines), "Who says what?")


@recipe("audio", "two channels at once", "wav")
def _at_once(chance: Chance) -> Made:
    return _two(chance, overlap=True)


@recipe("audio", "faint", "wav")
def _faint(chance: Chance) -> Made:
    """Speech that is hardly more than the last bits of its samples."""
    lines = speech.sentences(chance, 4)
    return Made(
        lambda: speech.wav(speech.said(lines)[0] * 0.002),
        [heard(" ".join(lines), 0.2), read_or_told(" ".join(lines))],
        " ".join(lines),
        ASKED,
    )


@recipe("audio", "silence before speech", "wav")
def _late(chance: Chance) -> Made:
    """One sentence after more than a minute in which nobody speaks."""
    lines = speech.sentences(chance, 1)
    return Made(
        lambda: speech.wav(speech.joined(speech.quiet(70), speech.said(lines)[0])),
        [heard(lines[0], 0.2)],
        lines[0],
        ASKED,
    )


@recipe("audio", "noisy", "wav")
def _noisy(chance: Chance) -> Made:
    lines = speech.sentences(chance, 4)

    def make() -> bytes:
        sound = speech.said(lines)[0]
        return speech.wav(sound * 0.5 + speech.hiss(len(sound) / speech.RATE, 0.012, 5)[: len(sound)])

    return Made(make, [heard(" ".join(lines), 0.25)], " ".join(lines), ASKED)


def _spoilt(chance: Chance, spoil: Callable[[speech.Sound, int], speech.Sound]) -> Made:
    """Speech of which not every word can be heard: that has to be said."""
    lines, seed = speech.sentences(chance, 6), chance.number(1, 99)
    text = " ".join(lines)
    return Made(lambda: speech.wav(spoil(speech.said(lines)[0], seed)), [read_or_told(text)], text, ASKED)


@recipe("audio", "drowned in noise", "wav")
def _drowned(chance: Chance) -> Made:
    return _spoilt(
        chance, lambda sound, seed: sound * 0.5 + speech.hiss(len(sound) / speech.RATE, 0.1, seed)[: len(sound)]
    )


@recipe("audio", "drowned in the second half", "wav")
def _half_drowned(chance: Chance) -> Made:
    def spoil(sound: speech.Sound, seed: int) -> speech.Sound:
        noise = speech.hiss(len(sound) / speech.RATE, 0.25, seed)[: len(sound)]
        noise[: len(sound) // 2] = 0
        return sound * 0.5 + noise

    return _spoilt(chance, spoil)


@recipe("audio", "echo", "wav")
def _echo(chance: Chance) -> Made:
    def spoil(sound: speech.Sound, _: int) -> speech.Sound:
        made = sound.copy()
        for late, loud in ((2_000, 0.6), (5_000, 0.5), (9_000, 0.4), (14_000, 0.3)):
            made[late:] += loud * sound[:-late]
        return 0.4 * made

    return _spoilt(chance, spoil)


@recipe("audio", "played too slowly", "wav")
def _slow(chance: Chance) -> Made:
    return _spoilt(chance, lambda sound, _: speech.higher(sound, 0.6))


@recipe("audio", "music under speech", "wav")
def _over_music(chance: Chance) -> Made:
    lines, seed = speech.sentences(chance, 4), chance.number(1, 99)

    def make() -> bytes:
        sound = speech.said(lines)[0]
        return speech.wav(sound * 0.7 + speech.tune(len(sound) / speech.RATE + 1, 0.05, seed)[: len(sound)])

    return Made(make, [heard(" ".join(lines), 0.2)], " ".join(lines), ASKED)


@recipe("audio", "times kept", "wav")
def _times(chance: Chance) -> Made:
    """Sentences with long pauses between them; when each is said is asked for."""
    lines = speech.sentences(chance, 4)
    starts = (2.0, 12.0, 26.0, 37.0)

    def make() -> bytes:
        return speech.wav(speech.placed(lines, starts, 45.0))

    checks = [at(part, start, 1.6) for part, start in zip(_parts(lines), starts, strict=True)]
    return Made(make, [*checks, share_of(" ".join(lines), 0.85)], " ".join(lines), "When is it said?", ("timing",))


@recipe("audio", "long", "mp3")
def _long(chance: Chance) -> Made:
    lines = speech.sentences(chance, 30)
    text = " ".join(lines)
    return Made(
        lambda: speech.coded(speech.said(lines, 0.4)[0], "mp3", "libmp3lame"),
        [heard(text, 0.15), order(*_parts(lines)[:5])], text, ASKED,
    )  # fmt: skip


@recipe("audio", "header promises too much", "wav")
def _cut(chance: Chance) -> Made:
    """A recording that ended before its header was set right: two gigabytes are promised."""
    lines = speech.sentences(chance, 3)

    def make() -> bytes:
        data = bytearray(speech.wav(speech.said(lines)[0]))
        data[4:8] = struct.pack("<I", 0x7FFFFFF0)
        data[40:44] = struct.pack("<I", 0x7FFFFF00)
        return bytes(data)

    return Made(make, [heard(" ".join(lines), 0.15)], " ".join(lines), ASKED)


@recipe("audio", "silence", "wav")
def _silence(chance: Chance) -> Made:
    seconds = chance.number(8, 20)
    return Made(lambda: speech.wav(speech.quiet(seconds)), [silent()], "", ASKED)


@recipe("audio", "hiss", "wav")
def _hiss(chance: Chance) -> Made:
    seed = chance.number(1, 99)
    return Made(lambda: speech.wav(speech.hiss(15, 0.05, seed)), [silent()], "", ASKED)


@recipe("audio", "music", "wav")
def _music(chance: Chance) -> Made:
    seed = chance.number(1, 99)
    return Made(lambda: speech.wav(speech.tune(20, 0.3, seed)), [silent()], "", ASKED)
