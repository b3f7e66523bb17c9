"""The inputs of a model call: text, images, audio, video and documents, and the product of a step that made them."""

from __future__ import annotations

from typing import Literal

from intermodal.core.content import ReadLine, Transcript, Value
from intermodal.events import Derived
from intermodal.files.file_bytes import Data
from intermodal.local.embedded.ocr_layout import UnreadShare
from intermodal.protocols.calls import Detail

# Source of a text of a video: speech, subtitles, text on the screen, or a description.
TextSource = Literal["", "said", "subtitle", "on screen", "seen"]


class TextInput(Value, frozen=True, tag_field="piece", tag="words"):
    """Text. ``label`` names its source ("Transcript of call.wav"); without a label it is the sender's own text.

    Attributes:
        page: orders the pages of a document that took different routes; 0 if there are none.
        source: set for text of a video or an animation, which is ordered by time.
        at: seconds; -1 if it has no time. until: its end in seconds; -1 if unknown.
        line: seconds after the start of a line within which it continues that line; 0 if it starts its own.
        speaker: of the words, if known.
        unread: how much of the text is missing because it is in a script that the reader does not know.
        of_file: it states properties of the file rather than its contents.
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
    of_file: bool = False


class ImageInput(Value, frozen=True, tag_field="piece", tag="pixels"):
    """An encoded image. ``detail``: the level of detail that the sender requested.

    Attributes:
        cropped: it is a part of its page.
        at, until: seconds, for a frame of a video or an animation; -1 for any other image.
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
    """A recording: either ``pcm`` (signed 16-bit, 16 kHz, mono) or ``data``, a file of ``media_type``.

    ``beside``: the second channel as PCM, if channels are transcribed separately.
    """

    seconds: float
    pcm: Data = b""
    data: bytes = b""
    media_type: str = ""
    name: str = ""
    beside: Data = b""


class VideoInput(Value, frozen=True, tag_field="piece", tag="film"):
    """An unconverted video with its sound, ``seconds`` long; ``width`` and ``height`` in pixels."""

    data: bytes
    media_type: str
    seconds: float = 0.0
    width: int = 0
    height: int = 0


class DocumentInput(Value, frozen=True, tag_field="piece", tag="paper"):
    """An unconverted PDF of ``pages`` pages."""

    data: bytes
    name: str = ""
    pages: int = 0


ModelInput = TextInput | ImageInput | AudioInput | VideoInput | DocumentInput


class StepProduct(Value, frozen=True):
    """The product of one step.

    Attributes:
        part: index of the part it represents.
        pieces: the inputs for later steps.
        derived: content kept for inspection; empty for images.
        transcript, lines: the results of speech recognition or OCR.
        looped: a part of it was stopped because it repeated itself.
        scenes: number of scenes of the video whose frames were taken; 0 for anything else.
    """

    part: int
    pieces: tuple[ModelInput, ...] = ()
    derived: tuple[Derived, ...] = ()
    transcript: Transcript | None = None
    lines: tuple[tuple[ReadLine, ...], ...] = ()
    looped: bool = False
    scenes: int = 0
