"""What is known before planning: of each part what probing found (``media/request_media.py``), of the question what it
needs of which medium (``questions/``). Read by the planner."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import field

from intermodal.content import Kind, Scripts, Value
from intermodal.quantity import Quantity
from intermodal.request import Aspect

Box = tuple[float, float, float, float]
UNKNOWN_SCRIPT: Final = "another"  # a script that was not told: an earlier reading met letters that the reader lacks
SCANNED_BELOW: Final = 16  # characters: from here on a text layer is more than a page number or a stamp
Medium = Literal["photo", "page", "image", "pictures", "audio", "video", "document"]


class PageFacts(Value):
    """One page of a document.

    Attributes:
        number: 1-based.
        width, height: in points (1/72 inch).
        chars: characters in the text layer; 0 on a scanned page.
        over: characters of links, values of a form and remarks that lie over it and come with its text layer.
        scripts: what it is made of (``media/text/script_counts.py``); () where nobody looked.
        figure_share: share of the page's area under raster images or drawn paths, 0..1.
        words: lower-case distinct words of the page, at most 400, for lexical page selection.
        text_density: share of a scanned page's area that looks like text, 0..1; unknown on pages with a text layer.
        letters: letters and signs on a scanned page, counted by their edges.
        hidden: its text lies invisibly over a picture, as an earlier reading left it.
        doubt: why its text layer is not what is seen on the page, "" where it may be.
        figures: where on a page of text pictures hold words that its layer lacks: left, top, right, bottom of each, in
            points as the page is shown. Before they are looked at, where they may.
        figure_letters: letters and signs seen in them.
        script: of a scanned page, as of a picture (``PartFacts.script``).
        read_before: lines with words that an earlier reading of it was sure of, and all of them; (0, 0) where there was
            none, or where it was sure of nearly all.
        layer_only: somebody looked, and nothing on it but its text layer can hold words: no picture worth the name, no
            letters drawn as curves, no text without characters. Then its layer is its text, however short.
        answers: how well it answers the question, 0 to 1, by an encoder that read both; None where none did.
    """

    number: int
    width: float
    height: float
    chars: int = 0
    over: int = 0
    scripts: Scripts = ()
    figure_share: float = 0.0
    words: tuple[str, ...] = ()
    text_density: Quantity = Quantity(certainty="unknown", basis="not sampled")
    letters: Quantity = Quantity(certainty="unknown", basis="not sampled")
    hidden: bool = False
    doubt: str = ""
    figures: tuple[Box, ...] = ()
    figure_letters: Quantity = Quantity(certainty="unknown", basis="not sampled")
    layer_only: bool = False
    answers: float | None = None
    script: str = ""
    read_before: tuple[int, int] = (0, 0)

    @property
    def scanned(self) -> bool:
        """It has no text layer worth the name, and something on it that may hold words: it has to be seen or read.

        A page number or a stamp on a scan is no text layer; five letters on a page with nothing else are all there is.
        """
        return bool(self.doubt) or (self.chars < SCANNED_BELOW and not self.layer_only)

    @property
    def pictured(self) -> bool:
        """What is to be read on it is a picture, whether or not an earlier reading left its words with it."""
        return self.scanned or self.hidden


class SubtitleFacts(Value):
    """A track of subtitles that are text.

    Attributes:
        track: its number in the container.
        language: ISO 639-1 (three letters where that has none) as the file says, "" where it does not.
        title: what its maker calls it.
        forced: it has only what a viewer who understands the speech needs. default: players show it unasked.
        described: sounds are described too. spoken: in the language that the sound is said to be in.
        lines, chars, scripts: of its text. shown: seconds that something is to be read. last: when the last line ends.
    """

    track: int
    language: str = ""
    title: str = ""
    forced: bool = False
    default: bool = False
    described: bool = False
    spoken: bool = False
    lines: int = 0
    chars: int = 0
    scripts: Scripts = ()
    shown: float = 0.0
    last: float = 0.0


class ConversionOutcome(Value):
    """What a conversion of this part really made, known when a plan is made again while it runs.

    Attributes:
        op, endpoint, params: the step that made it; ``endpoint`` is "" for a transform.
        chars: characters of text it made. tokens: exact counts by tokenizer name. pictures: how many it made.
        language: ISO 639-1 of speech, "" where there is none.
        problem: "" when it is as it should be; otherwise what a check found ("empty", "looped", "language", "script",
            "confidence"): the same step is then not taken again for this part.
        said: that finding in words.
    """

    op: str
    endpoint: str = ""
    params: tuple[tuple[str, str], ...] = ()
    chars: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    language: str = ""
    problem: str = ""
    said: str = ""


class PartFacts(Value, gc=False):
    """One part. Fields that do not apply to its kind keep their defaults.

    Attributes:
        index: the part's place, as ``Request.parts()`` counts.
        name: how EXPLAIN calls it: a file name, a URL without its query, or "prompt".
        kind, media_type: the true ones, sniffed from the bytes.
        digest: SHA-256 of the original bytes, hex.
        size: bytes.
        width, height: pixels, after the orientation tag, of pictures and video. frames: of an animation or a
            video, else 1. fps: frames per second of a video.
        cuts: seconds at which a video's picture probably changes to another scene, from its key frames; the start
            is not among them.
        text_density: share of an image's area that looks like text, 0..1; of a video the most of its sampled frames.
        letters: letters and signs on an image, counted by their edges.
        script: that most words of an image are written in, where that is none of those that the embedded reader knows
            itself ("Cyrillic", as ``tesseract.SCRIPTS`` has them), or ``UNKNOWN_SCRIPT``; "" for those, and where
            nobody can tell.
        read_before: of an image, as of a page; of audio and of a video's sound, seconds of speech that an earlier
            hearing was sure of, and all of them. read_by: the ear that heard it then.
        seconds: length of audio, of video, of an animation that says so.
        sample_rate, channels: of audio, and of a video's sound; 0 channels is a video without sound.
        separate_channels: each of the two channels of a recording has a voice of its own.
        subtitles: of a video, its tracks of words.
        pages: of a document. page: which page of a file of pictures this one is (TIFF), else 0.
        chars: characters of a text part. scripts: what it is made of (``media/text/script_counts.py``); () where
            nobody looked.
        tokens: exact counts of a text part by tokenizer name.
        language: ISO 639-1 where it is known, else "".
        outcomes: conversions that are done, when a plan is made again while it runs; empty before.
        origins: names and kinds of the files this was taken out of, and the name it shares with an earlier part; a
            privacy label on any of them holds for this part.
        notes: what was left out when it was taken out of its file, and what in it is not as it should be, each a phrase
            after its name and a colon.
    """

    index: int
    name: str
    kind: Kind
    media_type: str = "text/plain"
    digest: str = ""
    size: int = 0
    width: int = 0
    height: int = 0
    frames: int = 1
    text_density: Quantity = Quantity(certainty="unknown", basis="not sampled")
    letters: Quantity = Quantity(certainty="unknown", basis="not sampled")
    script: str = ""
    seconds: Quantity = Quantity()
    sample_rate: int = 0
    channels: int = 0
    separate_channels: bool = False
    pages: tuple[PageFacts, ...] = ()
    chars: int = 0
    scripts: Scripts = ()
    tokens: dict[str, int] = field(default_factory=dict)
    language: str = ""
    fps: float = 0.0
    cuts: tuple[float, ...] = ()
    outcomes: tuple[ConversionOutcome, ...] = ()
    origins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    page: int = 0
    subtitles: tuple[SubtitleFacts, ...] = ()
    read_before: tuple[int, int] = (0, 0)
    read_by: str = ""


def needs_conversion(part: PartFacts) -> bool:
    """Whether its words have to be read, seen or heard: a picture, a recording, a film, a document with such pages."""
    return part.kind in ("image", "audio", "video") or any(page.scanned for page in part.pages)


class ToolFacts(Value):
    """The definitions of the tools that go along.

    Attributes:
        digest: SHA-256 by which the same list is known again, hex.
        chars, size, scripts: of their JSON, as most chat templates write it (``media/text/tool_definitions.py``).
        tokens: exact counts of that JSON by tokenizer name.
        rendered: what a server's own template makes of them, in tokens, by the name of the vocabulary that only it has.
        refused: endpoints that refused a request with them for its length.
    """

    digest: str = ""
    chars: int = 0
    size: int = 0
    scripts: Scripts = ()
    tokens: dict[str, int] = field(default_factory=dict)
    rendered: dict[str, int] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


class SchemaFacts(Value):
    """What a model is told of the schema of its answer (``json_schema/schema_prompt.py``).

    Attributes:
        digest: SHA-256 of that text, hex. chars, size, scripts: of it.
        tokens: exact counts of it by tokenizer name.
    """

    digest: str = ""
    chars: int = 0
    size: int = 0
    scripts: Scripts = ()
    tokens: dict[str, int] = field(default_factory=dict)


class Need(Value, gc=False):
    """An aspect that a question needs, or may need.

    Attributes:
        score: what the weighted votes of example questions come to, 0..1; 1 where a word of the question names it.
        like: the nearest of the examples that need it; "" where a word named it.
    """

    aspect: Aspect
    score: float = 1.0
    like: str = ""


class MediumNeeds(Value, gc=False):
    """What a question needs of one medium.

    Attributes:
        medium: a kind of part; of an image also ``photo`` (little text) or ``page`` (full of it); ``pictures`` where
            there are several, of which ``comparison`` alone is told.
        needed: what it cannot be answered without. unsure: what it may need: examples disagree.
    """

    medium: Medium
    needed: tuple[Need, ...] = ()
    unsure: tuple[Need, ...] = ()


class QuestionFacts(Value):
    """What the question needs of each medium, told before planning.

    ``by``: the sentence model whose vectors told it; "" where only English words of the question were looked at, which
    name some needs and leave the others open.
    """

    by: str = ""
    media: tuple[MediumNeeds, ...] = ()

    def of(self, medium: Medium) -> MediumNeeds:
        """The needs of one medium; without any where nothing was told of it."""
        return next((each for each in self.media if each.medium == medium), MediumNeeds(medium=medium))


class ScriptFacts(Value):
    """Scripts that are read in pictures here, beside those that the embedded reader knows itself.

    ``read``: by script, who does ("Tesseract rus"). ``todo``: by script, or ``UNKNOWN_SCRIPT``, what to do so that it
    is.
    """

    read: dict[str, str] = field(default_factory=dict)
    todo: dict[str, str] = field(default_factory=dict)


class PageRanking(Value):
    """Pages that were read beside the question before planning, as not all of them fit.

    ``by``: the encoder. ``read`` of ``pages``: how many. ``seconds``: that this was expected to take.
    """

    by: str
    read: int
    pages: int
    seconds: Quantity = Quantity()


class Facts(Value):
    """Facts of every part, in the order of ``Request.parts()``; of the tools and of the schema, where there are
    any; of the question, where there are media and a sentence model told what it needs of them; and of what can be
    read here, where words are in a script that not every reader knows; and who read pages beside the question, where
    some had to be chosen."""

    parts: tuple[PartFacts, ...] = ()
    tools: ToolFacts | None = None
    question: QuestionFacts | None = None
    schema: SchemaFacts | None = None
    scripts: ScriptFacts | None = None
    ranking: PageRanking | None = None
