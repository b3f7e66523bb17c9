"""Films made when a test runs: from images, by copying the packets of a real one, or out of headers alone.

Encoders are those in PyAV's own wheel. Nothing here is stored; what is real comes from ``examples/media``.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw

SIZE = (320, 180)
_FAST = {"preset": "ultrafast"}
_REALTIME = {"deadline": "realtime", "cpu-used": "8", "threads": "1"}  # several would wait for each other by spinning
QUICK = {
    "libx264": _FAST, "libx265": {**_FAST, "x265-params": "log-level=none"}, "libvpx": _REALTIME,
    "libvpx-vp9": _REALTIME, "libsvtav1": {"preset": "12"},
}  # fmt: skip
CODECS = {"mp4": "libx264", "mov": "libx264", "matroska": "libx264", "webm": "libvpx", "avi": "mpeg4"}


def film(
    pictures: Iterable[Image.Image],
    *,
    container: str = "mp4",
    fps: Fraction | int = 10,
    codec: str = "",
    sound: Path | None = None,
    rotation: int = 0,
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    sound_at: float = 0.0,
) -> bytes:
    """One frame per image. ``sound`` is a recording that is encoded beside them, from ``sound_at`` seconds on.

    ``options`` are those of the encoder of the images, ``muxing`` those of the container.

    Encode in a thread that ends: as root, SVT-AV1 gives the thread that opens it real-time priority and never takes
    it back, and every process that this thread starts later inherits it and starves the rest of the machine.
    """
    with ThreadPoolExecutor(1) as encoder:
        arguments = (pictures, container, fps, codec, sound, rotation, options, muxing, sound_at)
        return encoder.submit(_film, *arguments).result()


def _film(
    pictures: Iterable[Image.Image],
    container: str,
    fps: Fraction | int,
    codec: str,
    sound: Path | None,
    rotation: int,
    options: dict[str, str] | None,
    muxing: dict[str, str] | None,
    sound_at: float,
) -> bytes:
    import av

    out: io.BytesIO = Stream() if muxing else io.BytesIO()
    # Exact to the bit: track numbers drawn by chance may hold the bytes that a forger of headers looks for.
    with av.open(out, "w", format=container, container_options={"fflags": "+bitexact", **(muxing or {})}) as writer:
        stream: Any = None
        speech = _sound_stream(writer, sound, container) if sound else None
        for number, picture in enumerate(pictures):
            if stream is None:
                name = codec or CODECS[container]
                stream = writer.add_stream(name, rate=fps, options=options or QUICK.get(name, {}))
                form = "yuvj420p" if name == "mjpeg" else "yuv420p"
                stream.width, stream.height, stream.pix_fmt = *picture.size, form
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = _frame(picture)
            frame.pts, frame.time_base = number, 1 / Fraction(fps)
            writer.mux(stream.encode(frame))
        if stream is not None:
            writer.mux(stream.encode(None))
        if speech is not None:
            assert sound is not None
            _copy_sound(writer, speech, sound, sound_at)
    return out.getvalue()


def _frame(picture: Image.Image) -> Any:
    import av

    make: Any = av.VideoFrame.from_image
    return make(picture.convert("RGB"))


def _sound_stream(writer: Any, sound: Path, container: str) -> Any:
    import av

    with av.open(str(sound)) as reader:
        channels = reader.streams.audio[0].codec_context.channels
    stream = writer.add_stream("libopus" if container == "webm" else "aac", rate=48_000)
    stream.layout = "stereo" if channels == 2 else "mono"
    return stream


def _copy_sound(writer: Any, stream: Any, sound: Path, begins: float) -> None:
    import av

    with av.open(str(sound)) as reader:
        resampler = av.AudioResampler(
            format=stream.format.name, layout=stream.layout.name, rate=stream.rate, frame_size=stream.frame_size or 960
        )
        for frame in [*reader.decode(reader.streams.audio[0]), None]:
            for piece in resampler.resample(frame):
                piece.pts += round(begins * stream.rate)
                writer.mux(stream.encode(piece))
        writer.mux(stream.encode(None))


class Stream(io.BytesIO):
    """A file that cannot be gone back in, so that nothing is written into its header afterwards."""

    def seekable(self) -> bool:
        return False


def with_cover(sound: Path, cover: bytes) -> bytes:
    """A recording in Matroska with an image on its sleeve."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as writer:
        stream = _sound_stream(writer, sound, "matroska")
        writer.add_attachment("cover.jpg", "image/jpeg", cover)
        _copy_sound(writer, stream, sound, 0.0)
    return out.getvalue()


def remuxed(source: Path, container: str, *, seconds: float = 0.0, streams: tuple[str, ...] = ()) -> bytes:
    """The packets of a film in another container, over and over until it is ``seconds`` long; nothing is re-encoded."""
    import av

    out = io.BytesIO()
    with av.open(str(source)) as reader:
        taken = [stream for stream in reader.streams if not streams or stream.type in streams]
        packets: list[Any] = [packet for packet in reader.demux(taken) if packet.dts is not None]
        length = (reader.duration or 0) / av.time_base
        with av.open(out, "w", format=container) as writer:
            made = {stream.index: writer.add_stream_from_template(stream) for stream in taken}
            for turn in range(max(1, round(seconds / length))):
                for packet in packets:
                    copy = av.Packet(bytes(packet))
                    shift = round(turn * length / packet.time_base)
                    copy.pts, copy.dts = packet.pts + shift, packet.dts + shift
                    copy.time_base, copy.duration = packet.time_base, packet.duration
                    copy.is_keyframe = packet.is_keyframe
                    copy.stream = made[packet.stream.index]
                    writer.mux(copy)
    return out.getvalue()


class Captions(NamedTuple):
    """A track of subtitles: (from, until, words) of each line, in seconds, as its codec writes them."""

    lines: Sequence[tuple[float, float, str]]
    codec: str = "subrip"
    language: str = "eng"
    title: str = ""
    flags: int = 0

    def body(self, number: int, words: str) -> bytes:
        if self.codec == "mov_text":
            return struct.pack(">H", len(words.encode())) + words.encode()
        return (f"{number},0,Default,,0,0,0,,{words}" if self.codec == "ass" else words).encode()


def with_tracks(
    source: bytes,
    container: str,
    *captions: Captions,
    sounds: Sequence[tuple[str, bytes]] = (),
    cover: bytes = b"",
    chapters: bool = False,
    data: bool = False,
    form: str = "",
) -> bytes:
    """The packets of a film with tracks beside them: subtitles, further (language, recording) of the codec of its own
    sound, a cover image, titles of chapters, a track of data."""
    import av
    import av.stream

    out = io.BytesIO()
    readers: list[Any] = [
        av.open(io.BytesIO(source), format=form or None),
        *(av.open(io.BytesIO(each)) for _, each in sounds),
    ]
    with av.open(out, "w", format=container) as writer:
        packets: list[tuple[float, Any]] = []
        for place, reader in enumerate(readers):
            copies = {}
            for stream in reader.streams if not place else reader.streams.audio:
                made = copies[stream.index] = writer.add_stream_from_template(stream)
                if place:
                    made.metadata["language"] = sounds[place - 1][0]
            for packet in reader.demux([stream for stream in reader.streams if stream.index in copies]):
                if packet.dts is not None:
                    packets.append((float(packet.dts * packet.time_base), (packet, copies[packet.stream.index])))
        for track in captions:
            made = writer.add_mux_stream(track.codec)
            made.time_base, made.disposition = Fraction(1, 1000), av.stream.Disposition(track.flags)
            made.metadata.update({"language": track.language} | ({"title": track.title} if track.title else {}))
            for number, (begins, ends, words) in enumerate(track.lines):
                packets.append((begins, (_line(track.body(number, words), begins, ends), made)))
        if data:
            made = writer.add_data_stream("bin_data")
            packets.append((0.1, (_line(b"\1\2\3", 0.1, 0.2), made)))
        if cover:
            writer.add_attachment("cover.jpg", "image/jpeg", cover)
            writer.add_attachment("letters.ttf", "font/ttf", bytes(64))
        if chapters:
            named = [("Start", 0), ("End", 500)]
            writer.set_chapters(
                [{"id": number, "start": at, "end": at + 500, "time_base": Fraction(1, 1000),
                  "metadata": {"title": title}} for number, (title, at) in enumerate(named)]
            )  # fmt: skip
        for _, (packet, made) in sorted(packets, key=lambda pair: pair[0]):
            packet.stream = made
            writer.mux(packet)
    return out.getvalue()


def _line(body: bytes, begins: float, ends: float) -> Any:
    import av

    packet = av.Packet(body)
    packet.pts = packet.dts = round(begins * 1000)
    packet.duration, packet.time_base = round((ends - begins) * 1000), Fraction(1, 1000)
    return packet


def repeated(count: int, *, fps: int, container: str = "mp4") -> bytes:
    """One small key frame, over and over: a long film in little time and few bytes."""
    return of_packets([], count=count, fps=fps, container=container)


def of_packets(bodies: list[bytes], *, count: int = 0, fps: int = 5, container: str = "mov") -> bytes:
    """A film of these packets, said to be Motion JPEG of 64 x 64; of one honest packet ``count`` times without any."""
    import av

    out = io.BytesIO()
    with av.open(out, "w", format=container) as writer:
        stream: Any = writer.add_stream("mjpeg", rate=fps)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuvj420p"
        (honest,) = stream.encode(_frame(Image.new("RGB", (64, 64), "red")).reformat(format="yuvj420p"))
        for number, body in enumerate(bodies or [bytes(honest)] * count):
            packet = av.Packet(body)
            packet.pts = packet.dts = number
            packet.duration, packet.time_base, packet.stream, packet.is_keyframe = 1, Fraction(1, fps), stream, True
            writer.mux(packet)
    return out.getvalue()


def claiming_size(container: str, width: int, height: int) -> bytes:
    """A little film whose header claims a larger image."""
    data = bytearray(film(held((slide("x"), 0.5)), container=container))
    if container in ("mp4", "mov"):
        track = data.index(b"tkhd")
        end = track - 4 + int.from_bytes(data[track - 4 : track], "big")
        data[end - 8 : end] = struct.pack(">II", width << 16, height << 16)
        entry = data.index(b"stsd") + 12 + 32
        data[entry : entry + 4] = struct.pack(">HH", width, height)
    elif container == "avi":
        main, track = data.index(b"avih") + 8 + 32, data.index(b"strf") + 8 + 4
        data[main : main + 8] = data[track : track + 8] = struct.pack("<II", width, height)
    else:
        at = data.index(b"\xb0\x82" + struct.pack(">H", SIZE[0]))
        data[at : at + 4] = b"\xb0\x82" + struct.pack(">H", width)
        at = data.index(b"\xba\x81" + bytes([SIZE[1]]))
        wide = b"\xba\x82" + struct.pack(">H", height)
        data[at : at + 3] = wide  # a byte more: what holds it, and all before, is put right below
        for name in (b"\xe0", b"\xae", b"\x16\x54\xae\x6b", b"\x18\x53\x80\x67"):
            _grown(data, at, name)
    return bytes(data)


def _grown(data: bytearray, inside: int, name: bytes) -> None:
    """One byte more for the innermost element of that name before ``inside``, in whatever width its size has."""
    at = data.rindex(name, 0, inside) + len(name)
    wide = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + wide], "big") + 1
    data[at : at + wide] = size.to_bytes(wide, "big")


def claiming_seconds(frames: int, seconds: float) -> bytes:
    """A film of ``frames`` at 25 a second whose header claims to last ``seconds``."""
    data = bytearray(repeated(frames, fps=25))
    for name, before, wide in ((b"mvhd", 16, 4), (b"tkhd", 20, 4), (b"mdhd", 16, 4)):
        at = data.index(name) + 4
        scale = int.from_bytes(data[at + before - 4 : at + before], "big") if name != b"tkhd" else 1_000
        data[at + before : at + before + wide] = struct.pack(">I", round(seconds * scale))
    return bytes(data)


def referring(data: bytes, kind: bytes) -> bytes:
    """A film whose first track says that its media lies in another file: by URL, or by an alias of a Macintosh."""
    made = bytearray(data)
    at = made.index(b"url ", made.index(b"dref"))
    made[at : at + 8] = kind + bytes(4)  # the flag that says "in this file" is gone
    return bytes(made)


def small_ones(media: Path) -> dict[str, bytes]:
    """A little film per container, for damaging."""
    pages = held((slide("One"), 0.6), (slide("Two", paper="yellow"), 0.6))
    names = {"mp4": "a.mp4", "mov": "a.mov", "matroska": "a.mkv", "webm": "a.webm", "avi": "a.avi"}
    made = {name: film(pages, container=container, sound=media / "jfk.wav") for container, name in names.items()}
    made["live.webm"] = film(pages, container="webm", muxing={"live": "1"})
    made["parts.mp4"] = film(pages, muxing={"movflags": "frag_keyframe+empty_moov"})
    for ending, form in (("tiff", "TIFF"), ("bmp", "BMP"), ("avif", "AVIF"), ("webp", "WEBP")):
        out = io.BytesIO()
        more = {"save_all": True, "append_images": pages[-2:]} if form in ("TIFF", "WEBP") else {}
        pages[0].save(out, form, **more)
        made[f"a.{ending}"] = out.getvalue()
    made["a.heic"] = (media.parents[1] / "tests" / "media" / "photo-cat.heic").read_bytes()
    return made


def held(*shown: tuple[Image.Image, float], fps: int = 10) -> list[Image.Image]:
    """Slides: each image for its seconds."""
    return [picture for picture, seconds in shown for _ in range(round(seconds * fps))]


def slide(words: str, *, paper: str = "white", size: tuple[int, int] = SIZE) -> Image.Image:
    """A slide with writing on it: one line per line of ``words``."""
    from PIL import ImageFont

    picture = Image.new("RGB", size, paper)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size[1] // 9)
    for number, line in enumerate(words.splitlines()):
        draw.text((size[0] // 16, size[1] // 16 + number * size[1] // 7), line, fill="black", font=font)
    return picture


def faded(first: Image.Image, second: Image.Image, frames: int) -> list[Image.Image]:
    """The way from one image to another, neither included."""
    return [Image.blend(first, second, (step + 1) / (frames + 1)) for step in range(frames)]


def panned(photo: Image.Image, frames: int, size: tuple[int, int] = SIZE) -> list[Image.Image]:
    """A camera that moves over a photograph from left to right."""
    wide = photo.convert("RGB").resize((size[0] * 3, size[1] * 2))
    step: Callable[[int], int] = lambda number: round(number * 2 * size[0] / max(1, frames - 1))  # noqa: E731
    return [wide.crop((step(number), 0, step(number) + size[0], size[1])) for number in range(frames)]
