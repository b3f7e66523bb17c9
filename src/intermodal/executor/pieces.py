"""What steps make and the last call gets: pieces of a part, in the shape a model takes them."""

from __future__ import annotations

from intermodal.content import ReadLine, Transcript, Value
from intermodal.events import Derived
from intermodal.wire.call import Detail


class Words(Value, frozen=True, tag_field="piece", tag="words"):
    """Text. ``label`` says what it is ("Transcript of call.wav"); without one it is the sender's own words.

    ``page`` orders the pages of a document that took different ways; 0 where there are none.
    """

    text: str
    label: str = ""
    page: int = 0


class Pixels(Value, frozen=True, tag_field="piece", tag="pixels"):
    """A picture, encoded. ``detail`` is the sender's wish."""

    data: bytes
    media_type: str
    width: int = 0
    height: int = 0
    page: int = 0
    detail: Detail = "auto"


class Sound(Value, frozen=True, tag_field="piece", tag="sound"):
    """A recording: ``pcm`` is signed 16-bit, 16 kHz, mono; ``data`` a file of ``media_type``. One of them is there."""

    seconds: float
    pcm: bytes = b""
    data: bytes = b""
    media_type: str = ""
    name: str = ""


Piece = Words | Pixels | Sound


class Product(Value, frozen=True):
    """What one step made.

    Attributes:
        part: the part it stands for.
        pieces: what a later step gets.
        derived: what is kept for inspection; empty for pictures.
        key: names this content in the cache of derived media, whoever makes it again.
        transcript, lines: what an ear or an eye returned.
    """

    part: int
    pieces: tuple[Piece, ...] = ()
    derived: tuple[Derived, ...] = ()
    key: str = ""
    transcript: Transcript | None = None
    lines: tuple[tuple[ReadLine, ...], ...] = ()
