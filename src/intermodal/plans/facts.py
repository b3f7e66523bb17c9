"""Facts known before planning: properties of each part, and the question's needs for each medium.

Parts are probed in ``media/request_media.py``; needs are estimated in ``questions/``. The planner reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import field

from intermodal.core.content import Kind, Scripts, Value
from intermodal.core.quantity import Quantity
from intermodal.core.request import Aspect

Box = tuple[float, float, float, float]
UNKNOWN_SCRIPT: Final = "another"  # an earlier reading found letters that the reader does not support
PROPERTIES_ALONE: Final = 0.6  # minimum properties score for leaving out the contents ...
PROPERTIES_ANSWER: Final = 0.7  # ... and for answering with the properties alone
SCANNED_BELOW: Final = 16  # characters; a shorter text layer is only a page number or a stamp
Medium = Literal["photo", "page", "image", "pictures", "audio", "video", "document"]


class PageFacts(Value):
    """One page of a document.

    Attributes:
        number: 1-based.
        width, height: in points (1/72 inch).
        chars: characters in the text layer; 0 on a scanned page.
        over: characters of links, form values and annotations on the page, which are added to its text layer.
        scripts: scripts of its text (``media/text/script_counts.py``); () if not counted.
        figure_share: share of the page's area under raster images or drawn paths, 0..1.
        words: lower-case distinct words of the page, at most 400, for lexical page selection.
        text_density: share of a scanned page's area that looks like text, 0..1; unknown on pages with a text layer.
        letters: letters and signs on a scanned page, counted by their edges.
        hidden: whether its text is an invisible layer over an image, as OCR software writes it.
        doubt: why its text layer does not match the visible page; "" if there is no reason to doubt it.
        figures: bounding boxes of images that contain words missing from the text layer: left, top, right, bottom in
            points, in the page's display orientation. Before sampling, all images that may contain words.
        figure_letters: letters and signs counted in ``figures``.
        script: script of a scanned page, as in ``PartFacts.script``.
        read_before: lines that an earlier OCR run read with confidence, and all lines it found; (0, 0) without an
            earlier run, or if nearly all lines were confident.
        layer_only: whether only the text layer can contain words: the page has no sizeable image, no letters drawn as
            curves and no unmapped text. Its text layer is then complete, however short.
        answers: relevance of the page to the question, 0 to 1, scored by an encoder; None if no encoder ran.
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
        """Return whether the page must be read by OCR or by a vision model.

        True if its text layer is doubted, or is shorter than ``SCANNED_BELOW`` characters while the page may contain
        other words. A page number or a stamp on a scan does not count as a text layer, but a short layer on an
        otherwise empty page does.
        """
        return bool(self.doubt) or (self.chars < SCANNED_BELOW and not self.layer_only)

    @property
    def is_image(self) -> bool:
        """Return whether the page's text is an image, with or without an invisible OCR layer."""
        return self.scanned or self.hidden


class SubtitleFacts(Value):
    """A text subtitle track.

    Attributes:
        track: track number in the container.
        language: language code stated in the file: ISO 639-1, or three letters if that has no code; "" if none is
            stated.
        title: track name in the file.
        forced: whether the track is for viewers who understand the speech. default: whether players show it by default.
        described: whether it describes sounds. spoken: whether its language is the stated language of the audio.
        lines, chars, scripts: counts over its text. shown: seconds with text on the screen. last: end time of the last
            line.
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
    """The actual result of a conversion of this part, used when the request is replanned during a run.

    Attributes:
        op, endpoint, params: identify the step; ``endpoint`` is "" for a transform.
        chars: characters of output text. tokens: exact counts by tokenizer name. pictures: number of output images.
        language: ISO 639-1 code of the speech, "" if there is none.
        problem: "" for a good result; otherwise a check's finding ("empty", "looped", "language", "script",
            "confidence"): replanning then does not repeat the step for this part.
        message: the finding as a sentence.
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
    """The facts of one part. Fields that do not apply to its kind keep their defaults.

    Attributes:
        index: index of the part in ``Request.parts()``.
        name: name shown in EXPLAIN: a file name, a URL without its query, or "prompt".
        kind, media_type: actual kind and media type, sniffed from the bytes.
        digest: SHA-256 of the original bytes, hex.
        size: bytes.
        width, height: pixels, after the orientation tag, of images and video. frames: of an animation or a video,
            else 1. fps: frames per second of a video.
        cuts: times in seconds of probable scene changes of a video, from its key frames; the start is not included.
        text_density: share of an image's area that looks like text, 0..1; for a video, the maximum over its sampled
            frames.
        letters: letters and signs on an image, counted by their edges.
        script: script of most words of an image if the embedded OCR does not support it (a name in
            ``tesseract.SCRIPTS`` such as "Cyrillic", or ``UNKNOWN_SCRIPT``); "" if it does, or if undetermined.
        read_before: for an image, as for a page; for audio and a video's sound, seconds of speech that an earlier
            transcription recognised with confidence, and all seconds of speech. read_by: the speech model of that
            transcription.
        seconds: duration of audio, video or a timed animation.
        sample_rate, channels: of audio, and of a video's sound; 0 channels means a video without sound.
        separate_channels: whether each of the two channels of a recording carries a different speaker.
        subtitles: text subtitle tracks of a video.
        pages: pages of a document. page: page number of this image in a multi-page file (TIFF), else 0.
        chars: characters of a text part. scripts: of its text (``media/text/script_counts.py``); () if not counted.
        tokens: exact counts of a text part by tokenizer name.
        language: ISO 639-1 if known, else "".
        outcomes: finished conversions, if the request is replanned during a run; empty before the run.
        origins: names and kinds of the files this part was extracted from, and a name it shares with an earlier part. A
            privacy label on any of them applies to this part.
        notes: omissions of the extraction and defects of the file, each a phrase to follow the part's name and a colon.
        created: creation time stated in the file. device: recording device stated in the file. "" if not stated.
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
    """Return whether any part has to be recognised, seen or transcribed: an image, audio, video, or a scanned page."""
    for part in parts:  # a conversation can have tens of thousands of parts, so the loop avoids function calls
        if part.kind in ("image", "audio", "video"):
            return True
        if part.pages and any(page.scanned for page in part.pages):
            return True
    return False


class ToolFacts(Value):
    """The size of the request's tool definitions.

    Attributes:
        digest: SHA-256 of the tool list, hex.
        chars, size, scripts: measured on their JSON, in the form that most chat templates use
            (``media/text/tool_definitions.py``).
        tokens: exact counts of that JSON by tokenizer name.
        rendered: token counts after rendering by a server's own chat template, by the name of that server's vocabulary.
        refused: endpoints that refused a request with these tools as too long.
    """

    digest: str = ""
    chars: int = 0
    size: int = 0
    scripts: Scripts = ()
    tokens: dict[str, int] = field(default_factory=dict)
    rendered: dict[str, int] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


class SchemaFacts(Value):
    """The size of the text that describes a JSON schema in the prompt (``json_schema/schema_prompt.py``).

    Attributes:
        digest: SHA-256 of the text, hex. chars, size, scripts: measured on the text.
        tokens: exact counts by tokenizer name.
    """

    digest: str = ""
    chars: int = 0
    size: int = 0
    scripts: Scripts = ()
    tokens: dict[str, int] = field(default_factory=dict)


class Need(Value, gc=False):
    """An aspect that a question needs, or may need.

    Attributes:
        score: weighted vote of the example questions, 0..1; 1 if a word of the question names the aspect.
        like: the nearest example question that needs the aspect; "" if a word of the question named it.
    """

    aspect: Aspect
    score: float = 1.0
    like: str = ""


class PropertiesNeed(Value, gc=False):
    """The need for properties of the file: length, pages, pixels, format, size, date.

    Only the sentence model detects it. Keywords cannot: "how long is the bridge" would match too. ``score`` and
    ``like`` are as in ``Need``.
    """

    score: float = 1.0
    like: str = ""


class MediumNeeds(Value, gc=False):
    """The needs of a question for one medium.

    Attributes:
        medium: a kind of part. An image may also be ``photo`` (little text) or ``page`` (mostly text). ``pictures``
            means several images, whose only need is ``comparison``.
        needed: aspects that the answer depends on. unsure: aspects that it may depend on, because the example questions
            disagree.
        properties: set if the question asks for properties of the file, alone or beside those aspects.
    """

    medium: Medium
    needed: tuple[Need, ...] = ()
    unsure: tuple[Need, ...] = ()
    properties: PropertiesNeed | None = None

    @property
    def properties_alone(self) -> bool:
        """Return whether the question asks only for properties of the file, so that its contents need not be read."""
        sure = self.properties is not None and self.properties.score >= PROPERTIES_ALONE
        return sure and not self.needed and not self.unsure

    @property
    def properties_answer(self) -> bool:
        """Return whether the properties of the file certainly are the whole answer, so that no model is needed."""
        return self.properties_alone and self.properties is not None and self.properties.score >= PROPERTIES_ANSWER


class QuestionFacts(Value):
    """The needs of a question by medium, estimated before planning.

    ``by``: the sentence model that estimated them; "" if only English keywords were examined, which detect some needs
    and leave the others open. ``words_alone``: kinds of files whose words are all that the question asks for.
    """

    by: str = ""
    media: tuple[MediumNeeds, ...] = ()
    words_alone: tuple[Kind, ...] = ()

    def needs_of(self, medium: Medium) -> MediumNeeds:
        """Return the needs for one medium; empty needs if they are unknown."""
        for each in self.media:
            if each.medium == medium:
                return each
        return MediumNeeds(medium=medium)


def needs_looks(question: QuestionFacts) -> bool:
    """Return whether a question about an office file needs its visual appearance, which its text does not carry.

    The extracted text contains the rows of tables and the numbers of charts, so ``layout`` or ``figures`` needed beside
    ``words`` are covered by it. Without ``words``, they refer to the visual appearance. English keywords do not
    distinguish the two cases.
    """
    needed = {need.aspect for need in question.needs_of("document").needed}
    return "appearance" in needed or bool(question.by and needed & {"layout", "figures"} and "words" not in needed)


class ScriptFacts(Value):
    """Scripts that this installation can read in images, beside those of the embedded OCR.

    ``read``: the reader by script ("Tesseract rus"). ``todo``: how to make a script readable, by script or
    ``UNKNOWN_SCRIPT``.
    """

    read: dict[str, str] = field(default_factory=dict)
    todo: dict[str, str] = field(default_factory=dict)


class PageRanking(Value):
    """The ranking of pages against the question before planning, made if not all pages fit.

    ``by``: the encoder. ``read`` of ``pages``: number of pages scored. ``seconds``: expected duration of the ranking.
    """

    by: str
    read: int
    pages: int
    seconds: Quantity = Quantity()


class Facts(Value):
    """The facts of a request.

    ``parts`` are in the order of ``Request.parts()``. ``tools`` and ``schema`` are set if the request has them;
    ``question`` if there are media and a sentence model estimated the needs; ``scripts`` if some text needs a script
    that not every reader supports; ``ranking`` if an encoder ranked pages against the question.
    """

    parts: tuple[PartFacts, ...] = ()
    tools: ToolFacts | None = None
    question: QuestionFacts | None = None
    schema: SchemaFacts | None = None
    scripts: ScriptFacts | None = None
    ranking: PageRanking | None = None
