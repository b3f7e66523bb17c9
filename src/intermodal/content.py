"""What a request is made of: parts and where their bytes come from. Values only, no I/O.

A part's class is what its *sender* declared; the true kind, digest and size are facts that probing
finds (``plans/facts.py``). ``File`` declares nothing: the bytes decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, dataclass_transform

import msgspec
from msgspec import Struct

Kind = Literal["text", "image", "audio", "video", "document"]
# What a text is made of: scripts and how much of each, sorted (``media/text/script_counts.py``); () where nobody
# looked.
Scripts = tuple[tuple[str, float], ...]
KINDS: tuple[Kind, ...] = ("text", "image", "audio", "video", "document")
Role = Literal["system", "user", "assistant", "tool"]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Value(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all nouns: frozen, compared by value, defaults left out of JSON.

    Those of which a request may hold thousands, and whose fields are plain values, have ``gc=False``: they can be in no
    circle, and Python's collector, which stops everybody while it looks, has a million objects fewer to look at.
    """


class BytesSource(Value, gc=False, tag_field="from", tag="bytes"):
    """Bytes in memory. ``name`` is shown to people only.

    ``origins``: names and kinds of the files these were taken out of, the outermost first; a privacy label on any of
    them holds for these too. ``page``: which page of such a file these show, 0 for none. ``notes``: what was left out
    of it, each a phrase that can follow its name.
    """

    data: bytes
    name: str = ""
    origins: tuple[str, ...] = ()
    page: int = 0
    notes: tuple[str, ...] = ()


class PathSource(Value, gc=False, tag_field="from", tag="path"):
    """A file on this machine."""

    path: str


class UrlSource(Value, gc=False, tag_field="from", tag="url"):
    """An http(s) or data URL; fetched only by ``media/fetch.py``."""

    url: str


Source = BytesSource | PathSource | UrlSource


class Text(Value, gc=False, tag_field="kind", tag="text"):
    """Words of the sender. ``name`` is set when they come from a file: then they are data, not an instruction.

    ``origins`` as in ``BytesSource``; ``notes`` say what was left out when they were taken out of that file.
    """

    text: str
    name: str = ""
    origins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class File(Value, gc=False, tag_field="kind", tag="file"):
    """A file whose kind nobody declared: sniffed from its bytes."""

    source: Source


class Image(Value, gc=False, tag_field="kind", tag="image"):
    source: Source
    detail: Literal["auto", "low", "high", "original"] = "auto"


class Audio(Value, gc=False, tag_field="kind", tag="audio"):
    source: Source


class Video(Value, gc=False, tag_field="kind", tag="video"):
    source: Source


class Document(Value, gc=False, tag_field="kind", tag="document"):
    source: Source


class ToolCall(Value, gc=False, tag_field="kind", tag="tool_call"):
    """A call the model asks for. ``arguments`` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(Value, gc=False, tag_field="kind", tag="tool_result"):
    id: str
    text: str
    is_error: bool = False


class Reasoning(Value, gc=False, tag_field="kind", tag="reasoning"):
    """Thinking of a model, kept verbatim with its signature, so that the next turn can return it."""

    text: str
    signature: str = ""


class Refusal(Value, gc=False, tag_field="kind", tag="refusal"):
    text: str


class Opaque(Value, gc=False, tag_field="kind", tag="opaque"):
    """A provider's block that only the same wire understands, kept as it came. ``body`` is its JSON text."""

    wire: str
    body: str


Part = Text | File | Image | Audio | Video | Document | ToolCall | ToolResult | Reasoning | Refusal | Opaque
MediaPart = File | Image | Audio | Video | Document


class Segment(Value):
    """A stretch of speech. Times in seconds from the start of the recording.

    ``speaker`` is who says it ("speaker 1"), where speakers are told apart, else "". ``certainty`` is the ear's
    probability of its words, 0..1; 0 when it does not say.
    """

    start: float
    end: float
    text: str
    speaker: str = ""
    certainty: float = 0.0


class Transcript(Value):
    """Speech turned into words.

    Attributes:
        language: ISO 639-1 code the ear recognised, "" when there was no speech.
        confidence: the ear's probability of that language, 0..1.
        certainty: the ear's probability of its words, 0..1 (geometric mean over tokens); 0 when it does not say.
        seconds: length of the recording.
        segments: in time order; empty when there was no speech.
        unheard: seconds of it in which no word was heard though they are about as loud as those with words.
        into: ISO 639-1 code of the language that the words were translated into, "" where they are as they were said.
    """

    language: str = ""
    confidence: float = 0.0
    certainty: float = 0.0
    seconds: float = 0.0
    segments: tuple[Segment, ...] = ()
    unheard: float = 0.0
    into: str = ""

    @property
    def text(self) -> str:
        """The words; where speakers are told apart, a line for each of their turns with who it is."""
        turns: list[list[str]] = []
        speaker = ""
        for segment in self.segments:
            if not turns or segment.speaker != speaker:
                turns.append([])
                speaker = segment.speaker
            turns[-1] += [f"{speaker}:"] if speaker and not turns[-1] else []
            turns[-1].append(" ".join(segment.text.split()) if speaker else segment.text.strip())
        return "\n".join(" ".join(turn).strip() for turn in turns).strip()


class ReadLine(Value):
    """One line of text read from a picture.

    Attributes:
        text: its words; may be empty where ``unread``.
        confidence: mean of its letters, 0..1.
        box: x0, y0, x1, y1 around it, in pixels of the original.
        corners: of the line itself, which may be slanted: where reading begins (x0, y0), where it ends (x1, y1), and
            the two corners below, from the end back. () where the reader tells no more than the box.
        unread: letters of it are of a script that the reader does not know, and missing from ``text``.
    """

    text: str
    confidence: float
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    corners: tuple[float, ...] = ()
    unread: bool = False


def together(texts: Iterable[Scripts]) -> Scripts:
    """What several texts are made of.

    >>> together([(("han", 2.0), ("signs", 1.0)), (("han", 3.0),)])
    (('han', 5.0), ('signs', 1.0))
    """
    found: dict[str, float] = {}
    for scripts in texts:
        for name, units in scripts:
            found[name] = found.get(name, 0) + units
    return tuple(sorted(found.items()))


def scaled(scripts: Scripts, share: float) -> Scripts:
    """What a longer or shorter text of the same kind is made of."""
    return tuple((name, units * share) for name, units in scripts)
