"""The parts of a request, and where their bytes come from. Values only, no I/O.

A part's class is what its *sender* declared; the true kind, digest and size are facts that probing finds
(``plans/facts.py``). ``File`` declares nothing: its bytes decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, dataclass_transform

import msgspec
from msgspec import Struct

from intermodal.errors import InputBroken

Kind = Literal["text", "image", "audio", "video", "document"]
# The scripts of a text and their shares, sorted (``media/text/script_counts.py``); () if not inspected.
Scripts = tuple[tuple[str, float], ...]
KINDS: tuple[Kind, ...] = ("text", "image", "audio", "video", "document")
ImageDetail = Literal["auto", "low", "high", "original"]  # how closely a model is asked to look
Role = Literal["system", "user", "assistant", "tool"]


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class Value(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all value types: frozen, compared by value, defaults omitted from JSON.

    Types of which a request may hold thousands, and whose fields are plain values, have ``gc=False``: they cannot be in
    a reference cycle, and Python's collector, which stops the process, has a million objects fewer to visit.
    """


def renamed_field(old: str, new: str) -> Any:
    """Return a property that reads the field ``new`` under its former name, with a DeprecationWarning."""

    def read(value: Any) -> Any:
        import warnings

        what = f"{type(value).__name__}.{old} is called {new}; the old name is removed in the next version"
        warnings.warn(what, DeprecationWarning, stacklevel=2)
        return getattr(value, new)

    return property(read)


class BytesSource(Value, gc=False, tag_field="from", tag="bytes"):
    """Bytes in memory. ``name`` is only shown to users.

    ``origins``: names and kinds of the files they were extracted from, the outermost first; a privacy label on any of
    them holds for these bytes too. ``page``: their page in such a file, 0 for none. ``notes``: omissions, each a phrase
    that can follow its name.
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
    """Text of the sender. ``name`` is set when it comes from a file: then it is data, not an instruction.

    ``origins`` as in ``BytesSource``; ``notes`` state what was left out when it was extracted from that file.
    """

    text: str
    name: str = ""
    origins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class File(Value, gc=False, tag_field="kind", tag="file"):
    """A file without a declared kind: its bytes decide."""

    source: Source


class Image(Value, gc=False, tag_field="kind", tag="image"):
    source: Source
    detail: ImageDetail = "auto"


class Audio(Value, gc=False, tag_field="kind", tag="audio"):
    source: Source


class Video(Value, gc=False, tag_field="kind", tag="video"):
    source: Source


class Document(Value, gc=False, tag_field="kind", tag="document"):
    source: Source


class ToolCall(Value, gc=False, tag_field="kind", tag="tool_call"):
    """A tool call of the model. ``arguments`` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(Value, gc=False, tag_field="kind", tag="tool_result"):
    id: str
    text: str
    is_error: bool = False


class Reasoning(Value, gc=False, tag_field="kind", tag="reasoning"):
    """Reasoning of a model, verbatim with its signature, so that the next turn can return it."""

    text: str
    signature: str = ""


class Refusal(Value, gc=False, tag_field="kind", tag="refusal"):
    text: str


class Opaque(Value, gc=False, tag_field="kind", tag="opaque"):
    """A block that only one protocol understands, unchanged. ``body`` is its JSON text."""

    wire: str
    body: str


Part = Text | File | Image | Audio | Video | Document | ToolCall | ToolResult | Reasoning | Refusal | Opaque
MediaPart = File | Image | Audio | Video | Document


class Segment(Value):
    """A stretch of speech. Times in seconds from the start of the recording.

    ``speaker`` is "speaker 1" and so on where speakers are separated, else "". ``certainty`` is the recogniser's
    probability of its words, 0..1; 0 when it reports none.
    """

    start: float
    end: float
    text: str
    speaker: str = ""
    certainty: float = 0.0


class Transcript(Value):
    """A transcript of speech.

    Attributes:
        language: ISO 639-1 code that was recognised, "" when there was no speech.
        confidence: the recogniser's probability of that language, 0..1.
        certainty: the recogniser's probability of its words, 0..1 (geometric mean over tokens); 0 when it reports none.
        seconds: length of the recording.
        segments: in time order; empty when there was no speech.
        unheard: seconds without a recognised word that are about as loud as those with words.
        masked: of them, the seconds of noise, in which words would not be heard.
        into: ISO 639-1 code of the language that the words were translated into, "" where they were not.
    """

    language: str = ""
    confidence: float = 0.0
    certainty: float = 0.0
    seconds: float = 0.0
    segments: tuple[Segment, ...] = ()
    unheard: float = 0.0
    masked: float = 0.0
    into: str = ""

    @property
    def text(self) -> str:
        """The words; where speakers are separated, a line for each turn, with its speaker."""
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
        unread: some letters are of a script that the reader does not know, and missing from ``text``.
        cell: table, row and column, counted from 0, where ruling lines enclose it as a cell of a table; else ().
    """

    text: str
    confidence: float
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    corners: tuple[float, ...] = ()
    unread: bool = False
    cell: tuple[int, ...] = ()


def together(texts: Iterable[Scripts]) -> Scripts:
    """Sum the script counts of several texts.

    >>> together([(("han", 2.0), ("signs", 1.0)), (("han", 3.0),)])
    (('han', 5.0), ('signs', 1.0))
    """
    found: dict[str, float] = {}
    for scripts in texts:
        for name, units in scripts:
            found[name] = found.get(name, 0) + units
    return tuple(sorted(found.items()))


def scaled(scripts: Scripts, share: float) -> Scripts:
    """Return the script counts of a longer or shorter text of the same kind."""
    return tuple((name, units * share) for name, units in scripts)


def in_utf8(words: str, name: str) -> bytes:
    """Encode text as UTF-8. Raises InputBroken for a lone surrogate, which terminals make of other encodings."""
    try:
        return words.encode()
    except UnicodeEncodeError:
        raise InputBroken(
            "holds characters that are not text", where=name, todo="check the encoding of your terminal"
        ) from None
