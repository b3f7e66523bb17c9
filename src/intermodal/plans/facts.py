"""Facts known before planning: of each part by probing (``media/request_media.py``), of the question its needs by
medium (``questions/``). Read by the planner.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import field

from intermodal.content import Kind, Scripts, Value
from intermodal.quantity import Quantity
from intermodal.request import Aspect

Box = tuple[float, float, float, float]
UNKNOWN_SCRIPT: Final = "another"  # an unknown script: an earlier reading met letters that the reader lacks
PROPERTIES_ALONE: Final = 0.6  # score of a question for properties from which on contents may be left out ...
PROPERTIES_ANSWER: Final = 0.7  # ... and from which on the properties themselves are the answer
SCANNED_BELOW: Final = 16  # characters: from here on a text layer is more than a page number or a stamp
Medium = Literal["photo", "page", "image", "pictures", "audio", "video", "document"]


class PageFacts(Value):
    """One page of a document.

    Attributes:
        number: 1-based.
        width, height: in points (1/72 inch).
        chars: characters in the text layer; 0 on a scanned page.
        over: characters of links, form values and annotations that cover it and are added to its text layer.
        scripts: of its text (``media/text/script_counts.py``); () if not counted.
        figure_share: share of the page's area under raster images or drawn paths, 0..1.
        words: lower-case distinct words of the page, at most 400, for lexical page selection.
        text_density: share of a scanned page's area that looks like text, 0..1; unknown on pages with a text layer.
        letters: letters and signs on a scanned page, counted by their edges.
        hidden: its text is invisible over a picture, as left by an earlier text recognition.
        doubt: why its text layer is not what is seen on the page, "" if it may be.
        figures: pictures on a page of text with words that its layer lacks: left, top, right, bottom of each, in points
            as the page is shown. Before sampling, pictures that may have some.
        figure_letters: letters and signs seen in them.
        script: of a scanned page, as of a picture (``PartFacts.script``).
        read_before: lines with words that an earlier reading of it was sure of, and all of them; (0, 0) if there was
            none, or if it was sure of nearly all.
        layer_only: by inspection nothing on it but its text layer can hold words: no picture worth the name, no letters
            drawn as curves, no unmapped text. Then its layer is its text, however short.
        answers: its relevance to the question, 0 to 1, by an encoder that read both; None without one.
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
        """Return whether it has to be seen or read: its text layer is empty or doubted, and it may hold words.

        A page number or a stamp on a scan is no text layer; five letters on a page with nothing else are all there is.
        """
        return bool(self.doubt) or (self.chars < SCANNED_BELOW and not self.layer_only)

    @property
    def pictured(self) -> bool:
        """Return whether the text on it is a picture, with or without the words of an earlier text recognition."""
        return self.scanned or self.hidden


class SubtitleFacts(Value):
    """A track of subtitles that are text.

    Attributes:
        track: its number in the container.
        language: ISO 639-1 (three letters where that has none) as the file states it, "" if it does not.
        title: its name in the file.
        forced: only for viewers who understand the speech. default: players show it by default.
        described: includes descriptions of sounds. spoken: in the stated language of the sound.
        lines, chars, scripts: of its text. shown: seconds with text on the screen. last: when the last line ends.
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
    """The actual result of a conversion of this part, known when a plan is remade during a run.

    Attributes:
        op, endpoint, params: the step that made it; ``endpoint`` is "" for a transform.
        chars: characters of text it made. tokens: exact counts by tokenizer name. pictures: how many it made.
        language: ISO 639-1 of speech, "" if there is none.
        problem: "" for a good result; otherwise a check's finding ("empty", "looped", "language", "script",
            "confidence"): the same step is then not repeated for this part.
        message: that finding in words.
    """

    op: str
    endpoint: str = ""
    params: tuple[tuple[str, str], ...] = ()
    chars: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    language: str = ""
    problem: str = ""
    message: str = field(default="", name="said")


class PartFacts(Value, gc=False):
    """One part. Fields that do not apply to its kind keep their defaults.

    Attributes:
        index: the part's place, as ``Request.parts()`` counts.
        name: in EXPLAIN: a file name, a URL without its query, or "prompt".
        kind, media_type: the true ones, sniffed from the bytes.
        digest: SHA-256 of the original bytes, hex.
        size: bytes.
        width, height: pixels, after the orientation tag, of pictures and video. frames: of an animation or a video,
            else 1. fps: frames per second of a video.
        cuts: seconds at which a video's picture probably changes to another scene, from its key frames; the start is
            not among them.
        text_density: share of an image's area that looks like text, 0..1; of a video the most of its sampled frames.
        letters: letters and signs on an image, counted by their edges.
        script: of most words of an image, if it is none of those that the embedded reader knows itself ("Cyrillic", as
            ``tesseract.SCRIPTS`` has them), or ``UNKNOWN_SCRIPT``; "" for those, and if undetermined.
        read_before: of an image, as of a page; of audio and of a video's sound, seconds of speech that an earlier
            transcription was sure of, and all of them. read_by: the speech model of that transcription.
        seconds: length of audio, of video, of a timed animation.
        sample_rate, channels: of audio, and of a video's sound; 0 channels is a video without sound.
        separate_channels: each of the two channels of a recording has a voice of its own.
        subtitles: of a video, its text tracks.
        pages: of a document. page: which page of a file of pictures this one is (TIFF), else 0.
        chars: characters of a text part. scripts: of its text (``media/text/script_counts.py``); () if not counted.
        tokens: exact counts of a text part by tokenizer name.
        language: ISO 639-1 if known, else "".
        outcomes: finished conversions, when a plan is remade during a run; empty before.
        origins: names and kinds of the files this was extracted from, and the name it shares with an earlier part; a
            privacy label on any of them holds for this part.
        notes: omissions of its extraction, and its defects, each a phrase after its name and a colon.
        created: when it was made, and device: with what, as the file states it; "" where it does not.
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
    created: str = ""
    device: str = ""


def need_conversion(parts: Iterable[PartFacts]) -> bool:
    """Return whether words of some part have to be recognised, seen or transcribed: of a picture, a recording, a film,
    a document with such pages.
    """
    for part in parts:  # a conversation has tens of thousands, so nothing is called for each of them
        if part.kind in ("image", "audio", "video"):
            return True
        if part.pages and any(page.scanned for page in part.pages):
            return True
    return False


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
    """The text about a schema that a model is given (``json_schema/schema_prompt.py``).

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


class PropertiesNeed(Value, gc=False):
    """A question that asks for properties of its file: length, pages, pixels, format, size, date.

    Only the sentence model tells. By its words, "how long is the bridge" asks for one, too.

    ``score``, ``like``: as of a ``Need``.
    """

    score: float = 1.0
    like: str = ""


class MediumNeeds(Value, gc=False):
    """The needs of a question of one medium.

    Attributes:
        medium: a kind of part; of an image also ``photo`` (little text) or ``page`` (full of it); ``pictures`` for
            several, which have ``comparison`` alone.
        needed: aspects that the answer depends on. unsure: aspects that it may need: examples disagree.
        properties: whether properties of the file are asked for, alone or beside those aspects.
    """

    medium: Medium
    needed: tuple[Need, ...] = ()
    unsure: tuple[Need, ...] = ()
    properties: PropertiesNeed | None = None

    @property
    def properties_alone(self) -> bool:
        """Return whether nothing but properties of the file is asked for, so that its contents need not be read."""
        sure = self.properties is not None and self.properties.score >= PROPERTIES_ALONE
        return sure and not self.needed and not self.unsure

    @property
    def properties_answer(self) -> bool:
        """Return whether the properties of the file are so surely all that is asked for that no model need be asked."""
        return self.properties_alone and self.properties is not None and self.properties.score >= PROPERTIES_ANSWER


class QuestionFacts(Value):
    """The needs of a question by medium, estimated before planning.

    ``by``: the sentence model whose vectors decided; "" if only English keywords of the question were examined, which
    give some needs and leave the others open. ``words_alone``: kinds of files of which all of the question asks for the
    words, and for nothing else.
    """

    by: str = ""
    media: tuple[MediumNeeds, ...] = ()
    words_alone: tuple[Kind, ...] = ()

    def of(self, medium: Medium) -> MediumNeeds:
        """Return the needs of one medium; none if they are unknown."""
        for each in self.media:
            if each.medium == medium:
                return each
        return MediumNeeds(medium=medium)


def needs_looks(question: QuestionFacts) -> bool:
    """Return whether a question about an office file needs its looks, which its text does not carry.

    That text has the rows of tables and the numbers of charts: a layout or figures that are needed beside words are in
    it, and without words they are those to be seen. English keywords do not tell these apart.
    """
    needed = {need.aspect for need in question.of("document").needed}
    return "appearance" in needed or bool(question.by and needed & {"layout", "figures"} and "words" not in needed)


class ScriptFacts(Value):
    """Scripts that are read in pictures here, beside those that the embedded reader knows itself.

    ``read``: the reader by script ("Tesseract rus"). ``todo``: by script, or ``UNKNOWN_SCRIPT``, how to make it
    readable.
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
    """Facts of every part, in the order of ``Request.parts()``; of tools and schema, if any; of the question, if there
    are media and a sentence model estimated its needs; of the scripts that can be read here, if not every reader knows
    the text's; and the encoder that ranked pages against the question, if some had to be chosen.
    """

    parts: tuple[PartFacts, ...] = ()
    tools: ToolFacts | None = None
    question: QuestionFacts | None = None
    schema: SchemaFacts | None = None
    scripts: ScriptFacts | None = None
    ranking: PageRanking | None = None
