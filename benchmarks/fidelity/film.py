"""Films: slides with speech, tracks of subtitles, cuts without a word, small changes, old containers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy
from PIL import Image

from fidelity import speech
from fidelity.checks import at, has, order, read_or_told, share_of, silent
from fidelity.drawn import Page
from fidelity.samples import Chance, Made, recipe
from fidelity.sound import call, call_checks

SIZE, FPS = (960, 540), 5
SLIDE_COLOURS = ("#ffffff", "#f3ead8", "#dde8f2", "#e6f0dc", "#f2dede", "#eeeeee")
# Without it no encoder of subtitles is opened.
_STYLES = (
    b"[Script Info]\r\nScriptType: v4.00+\r\n\r\n[V4+ Styles]\r\nFormat: Name, Fontname, Fontsize, PrimaryColour, "
    b"SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, "
    b"BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\r\nStyle: Default,Arial,16,"
    b"&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\r\n\r\n[Events]\r\n"
    b"Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)
Line = tuple[float, float, str]  # of subtitles: from, until, words


def _slide(lines: Sequence[str], colour: str) -> Image.Image:
    page = Page(*SIZE, paper=colour)
    for line in lines:
        page.prose(line, size=32, left=60)
        page.top += 16
    return page.image


def _film(
    stills: Sequence[tuple[Image.Image, float]], sound: Any = None, beside: Any = None, *, form: str = "mp4",
    lines: Sequence[Line] = (),
) -> bytes:  # fmt: skip
    """Pictures with the seconds that each is shown, with speech and subtitles where they are given. ``beside``: what
    is heard on a second channel."""
    import av

    out = io.BytesIO()
    codecs = {
        "mp4": ("libx264", "aac", "mov_text"),
        "matroska": ("libx264", "aac", "subrip"),
        "avi": ("mpeg4", "libmp3lame", ""),
    }
    image_codec, sound_codec, text_codec = codecs[form]
    with av.open(out, "w", format=form, options=speech.EXACT) as container:
        video: Any = container.add_stream(image_codec, rate=FPS)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.codec_context.thread_count = 1  # with more, x264 does not write the same bytes every time ...
        if image_codec == "libx264":  # ... nor with a rate control that looks ahead
            video.options = {"preset": "ultrafast"}
        rate = 24_000
        audio: Any = container.add_stream(sound_codec, rate=rate) if sound is not None else None
        if audio is not None:
            audio.layout = "mono" if beside is None else "stereo"
        text: Any = container.add_stream(text_codec) if lines else None
        if text is not None:
            text.codec_context.subtitle_header = _STYLES
        packets = _picture_packets(video, stills)
        if audio is not None and sound is not None:
            samples = speech.at_rate(sound, rate)
            if beside is not None:
                samples = numpy.stack((samples, speech.at_rate(beside, rate)), axis=1).reshape(-1)
            packets += speech.audio_packets(audio, samples, rate)
        packets += [_subtitle(text, line, form) for line in lines]
        for packet in sorted(packets, key=lambda each: float((each.dts or 0) * each.time_base)):
            container.mux(packet)
    return out.getvalue()


def _picture_packets(stream: Any, stills: Sequence[tuple[Image.Image, float]]) -> list[Any]:
    import av

    packets: list[Any] = []
    number = 0
    for image, seconds in stills:
        frame: Any = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
        for _ in range(round(seconds * FPS)):
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            packets += stream.encode(frame)
            number += 1
    return [*packets, *stream.encode(None)]


def _subtitle(stream: Any, line: Line, form: str) -> Any:
    import av

    start, until, words = line
    data = words.encode()
    packet = av.Packet(len(data).to_bytes(2, "big") + data if form == "mp4" else data)
    packet.stream, packet.time_base = stream, Fraction(1, 1000)
    packet.pts = packet.dts = round(start * 1000)
    packet.duration = round((until - start) * 1000)
    return packet


def _talk(chance: Chance, form: str = "mp4") -> Made:
    """Four slides, over each of them a sentence that is not on it."""
    slides = [[f"Chapter {chance.code()}", chance.sentence()] for _ in range(4)]
    lines = speech.sentences(chance, 4)
    starts = (1.0, 8.0, 15.0, 22.0)

    def make() -> bytes:
        stills = [(_slide(slide, colour), 7.0) for slide, colour in zip(slides, SLIDE_COLOURS, strict=False)]
        return _film(stills, speech.placed(lines, starts, 28.0), form=form)

    titles = [slide[0] for slide in slides]
    parts = [" ".join(line.split()[:3]) for line in lines]
    checks = [
        *has(*titles), order(*titles), *has(parts[0], parts[3]), at(titles[2], 14.0, 2.0), at(parts[3], 22.0, 2.5),
        share_of(" ".join(lines), 0.8),
    ]  # fmt: skip
    truth = " ".join([*(word for slide in slides for word in slide), *lines])
    return Made(make, checks, truth, "What is said and shown?")


@recipe("video", "slides and speech", "mp4")
def _mp4(chance: Chance) -> Made:
    return _talk(chance)


@recipe("video", "slides and speech in Matroska", "mkv")
def _mkv(chance: Chance) -> Made:
    return _talk(chance, "matroska")


@recipe("video", "slides and speech in AVI", "avi")
def _avi(chance: Chance) -> Made:
    return _talk(chance, "avi")


def _subtitled(chance: Chance, form: str) -> Made:
    """A track of subtitles says what nobody says aloud."""
    lines = [(2.0 + 6 * number, 6.0 + 6 * number, line) for number, line in enumerate(chance.sentences(4))]
    title = f"Film {chance.code()}"

    def make() -> bytes:
        stills = [(_slide([title], "#ffffff"), 13.0), (_slide([f"{title} continued"], "#dde8f2"), 13.0)]
        return _film(stills, form=form, lines=lines)

    said = [line for _, _, line in lines]
    checks = [*has(said[0], said[2], said[3], title), order(*said), at(said[2], 14.0, 1.5)]
    return Made(make, checks, " ".join([*said, title]), "What is said and shown?")


@recipe("video", "subtitles", "mp4")
def _subtitles(chance: Chance) -> Made:
    return _subtitled(chance, "mp4")


@recipe("video", "subtitles in Matroska", "mkv")
def _subtitles_mkv(chance: Chance) -> Made:
    return _subtitled(chance, "matroska")


@recipe("video", "cuts", "mp4")
def _cuts(chance: Chance) -> Made:
    """Six scenes of different length without sound."""
    titles = [f"Scene {chance.code()}" for _ in range(6)]
    lengths = [5.0, 3.0, 9.0, 4.0, 6.0, 5.0]

    def make() -> bytes:
        stills = [
            (_slide([title], colour), length)
            for title, colour, length in zip(titles, SLIDE_COLOURS, lengths, strict=True)
        ]
        return _film(stills)

    return Made(make, [*has(*titles), order(*titles), at(titles[4], 21.0, 2.0)], " ".join(titles), "What is shown?")


@recipe("video", "small changes", "mp4")
def _changes(chance: Chance) -> Made:
    """The same slide, on which one line after the other appears in small letters."""
    lines = [f"Step {chance.code()}" for _ in range(4)]

    def slide(count: int) -> Image.Image:
        page = Page(*SIZE)
        for line in lines[:count]:
            page.line(line, size=22, left=60)
        return page.image

    def make() -> bytes:
        return _film([(slide(count), 7.0) for count in range(1, 5)])

    return Made(make, [*has(*lines), at(lines[2], 14.0, 2.5)], " ".join(lines), "What is shown?")


@recipe("video", "speech over one picture", "mp4")
def _still(chance: Chance) -> Made:
    lines, title = speech.sentences(chance, 5), f"Radio {chance.code()}"

    def make() -> bytes:
        sound = speech.said(lines)[0]
        return _film([(_slide([title], "#f3ead8"), len(sound) / speech.RATE)], sound)

    text = " ".join(lines)
    return Made(
        make, [*has(title), share_of(text, 0.85), read_or_told(text)], f"{text} {title}", "What is said about it?"
    )


@recipe("video", "two channels of a film", "mp4")
def _call(chance: Chance) -> Made:
    """A call recorded with its picture: who calls on one channel, who answers on the other."""
    lines, title = speech.sentences(chance, 6), f"Call {chance.code()}"

    def make() -> bytes:
        sounds = speech.padded(*call(lines))
        return _film([(_slide([title], "#f3ead8"), len(sounds[0]) / speech.RATE)], *sounds)

    return Made(make, [*has(title), *call_checks(lines)], " ".join([*lines, title]), "Who says what?")


@recipe("video", "without words", "mp4")
def _without(chance: Chance) -> Made:
    """Circles that move, and a tune."""
    seed = chance.number(1, 99)

    def make() -> bytes:
        from PIL import ImageDraw

        stills = []
        for step in range(40):
            image = Image.new("RGB", SIZE, "#20303c")
            ImageDraw.Draw(image).ellipse((20 * step, 180, 20 * step + 160, 340), fill="#cc8833")
            stills.append((image, 1 / FPS))
        return _film(stills, speech.tune(8, 0.3, seed))

    return Made(make, [silent()], "", "What is said and shown?")
