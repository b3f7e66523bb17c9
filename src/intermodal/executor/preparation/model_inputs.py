"""The inputs of a model call: text, images, audio, video and documents, and the product of a step that made them."""

from __future__ import annotations

from typing import Literal

from intermodal.content import ReadLine, Transcript, Value
from intermodal.events import Derived
from intermodal.files.file_bytes import Data
from intermodal.local.embedded.ocr_layout import UnreadShare
from intermodal.protocols.calls import Detail

# What a text of a moving picture is: words heard, those of its subtitles or on the screen, or what is to be seen.
TextSource = Literal["", "said", "subtitle", "on screen", "seen"]


class TextInput(Value, frozen=True, tag_field="piece", tag="words"):
    """Text. ``label`` says what it is ("Transcript of call.wav"); without one it is the sender's own words.

    ``page`` orders the pages of a document that took different ways; 0 where there are none.
    ``how`` is set for text of a video or an animation, which is put together in the order of time: ``at`` is
    in seconds, -1 where there is no moment to name, and it is there ``until`` then, -1 where nobody knows.
    ``line``: seconds after the beginning of a line in which it goes on there, and has no time of its own; 0 where it
    keeps its own.
    ``speaker`` is who says it, where that is known.
    ``unread``: how much of the words is missing, as they are in a script that the reader does not know.
    """

    text: str
    label: str = ""
    page: int = 0
    source: TextSource = ""
    at: float = -1.0
    until: float = -1.0
    line: float = 0.0
    speaker: str = ""
    unread: UnreadShare = ""


class ImageInput(Value, frozen=True, tag_field="piece", tag="pixels"):
    """A picture, encoded. ``detail`` is the sender's wish.

    ``cut_out``: it is a part of its page, not all of it.
    One of a video or an animation is at ``at`` seconds, and on the screen until ``until``; -1 for any other.
    """

    data: bytes
    media_type: str
    width: int = 0
    height: int = 0
    page: int = 0
    detail: Detail = "auto"
    at: float = -1.0
    until: float = -1.0
    cropped: bool = False


class AudioInput(Value, frozen=True, tag_field="piece", tag="sound"):
    """A recording: ``pcm`` is signed 16-bit, 16 kHz, mono; ``data`` a file of ``media_type``. One of them is there.

    ``beside`` is the second channel as ``pcm`` is the first, where they are heard apart.
    """

    seconds: float
    pcm: Data = b""
    data: bytes = b""
    media_type: str = ""
    name: str = ""
    beside: Data = b""


class VideoInput(Value, frozen=True, tag_field="piece", tag="film"):
    """A video as it is, sound and all, ``seconds`` long. ``width`` and ``height`` in pixels."""

    data: bytes
    media_type: str
    seconds: float = 0.0
    width: int = 0
    height: int = 0


class DocumentInput(Value, frozen=True, tag_field="piece", tag="paper"):
    """A PDF as it is, of so many ``pages``."""

    data: bytes
    name: str = ""
    pages: int = 0


ModelInput = TextInput | ImageInput | AudioInput | VideoInput | DocumentInput


class StepProduct(Value, frozen=True):
    """What one step made.

    Attributes:
        part: index of the part it stands for.
        pieces: the inputs that a later step gets.
        derived: what is kept for inspection; empty for images.
        transcript, lines: what speech recognition or OCR returned.
        looped: some of it was stopped because it repeated itself.
        scenes: how many scenes the video has when frames were taken, 0 for anything else.
    """

    part: int
    pieces: tuple[ModelInput, ...] = ()
    derived: tuple[Derived, ...] = ()
    transcript: Transcript | None = None
    lines: tuple[tuple[ReadLine, ...], ...] = ()
    looped: bool = False
    scenes: int = 0
