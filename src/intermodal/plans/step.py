"""A step of a plan: its operation, inputs, parameters, the aspects it keeps and loses, and its estimate.

Inputs are references: ``part:0`` (a part of the request, unconverted) or ``step:<id>`` (the result of another step). A
step carries sizes and parameters; ``cost_model`` computes its price.

A step stores its parameters as ordered pairs of text, so that plans, ids and cache keys are stable bytes:
``(("max_side", "2000"), ("detail", "high"))``. Only this module reads or writes the pairs. The planner creates an
instance of the operator's class and stores its ``pairs()``; all other code reads attributes:

>>> ResizeImage(max_side=2000, detail="high").pairs()
(('max_side', '2000'), ('detail', 'high'))

The order of the fields is the order of the pairs. To add a parameter, add a field; to add an operator, add a class and
a row of ``PARAMETERS``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

import msgspec
from msgspec import Struct, field

from intermodal.catalog.types import Task
from intermodal.core.content import ImageDetail, Value
from intermodal.core.hints import action
from intermodal.core.quantity import Quantity
from intermodal.core.request import Aspect, ImageFormat, Quality, Sampler
from intermodal.errors import PlanStale

# Transform ops are deterministic and weightless; call ops have weights or a price.
TransformOp = Literal["extract", "render", "select", "frames", "demux", "subtitles", "resize", "concat", "properties"]
CallOp = Literal["read", "transcribe", "describe", "generate", "translate", "embed", "speak", "score", "draw"]
CheckOp = Literal["transcript", "reading", "size", "valid_json", "evidence"]

ParameterPairs = tuple[tuple[str, str], ...]  # names and values as text, in an order that ids and cache keys rely on
REPLAN = action("run intermodal explain --save again", python="plan it again", http="plan it again")
SPEED_BASIS = "speed"  # the basis of ``seconds`` if nothing more specific is known


class StepEstimate(Value):
    """The estimated cost of a step.

    Attributes:
        input_tokens, output_tokens: token counts. thought_tokens: the reasoning share of the output.
        cost: USD. seconds: wall time without loading. load_seconds: time to load a cold runtime.
        memory: bytes resident while it runs.
        text: characters of output text (for a conversion).
        cores: number of this machine's cores that it occupies (``plans/cpu_schedule.py``).
    """

    input_tokens: Quantity = Quantity()
    output_tokens: Quantity = Quantity()
    cost: Quantity = Quantity()
    seconds: Quantity = Quantity()
    load_seconds: Quantity = Quantity()
    memory: Quantity = Quantity()
    text: Quantity = Quantity()
    thought_tokens: Quantity = Quantity()
    cores: int = 0


PortionUnit = Literal["scenes", "lines", "pages", "seconds", "letters"]


class Portion(Value):
    """The share of an aspect that a step keeps, if it is counted and incomplete.

    The step keeps ``kept`` of ``of`` items of ``unit``: scenes of a video that are sampled; lines of an image, or pages
    of a document, that an earlier OCR run of the same bytes read with confidence; letters of a document without those
    that it doubted and those in a script that no reader supports; seconds of speech that an earlier transcription
    recognised with confidence.
    """

    aspect: Aspect
    kept: int
    of: int
    unit: PortionUnit

    @property
    def amount(self) -> Literal["most", "few"]:
        return amount_kept(self.kept, self.of, self.unit)


# Minimum shares that count as most of the words. The threshold for seconds is higher, because seconds are not words:
# their boundaries are off by up to a second, speech in noise may be denser than the rest, and some confidently
# recognised words are wrong.
_MOST: dict[PortionUnit, float] = {"scenes": 0.5, "lines": 0.5, "pages": 0.5, "letters": 0.5, "seconds": 0.6}


def amount_kept(count: int, total: int, unit: PortionUnit) -> Literal["most", "few"]:
    """Return "most" or "few" for ``count`` of ``total`` items.

    >>> amount_kept(12, 24, "lines"), amount_kept(12, 24, "seconds")
    ('most', 'few')
    """
    return "most" if count >= _MOST[unit] * total else "few"


class Transform(Value, tag_field="step", tag="transform"):
    """A deterministic conversion without weights, run in the media worker.

    ``concat`` joins the texts of several conversions into the answer of a route on which no model answers; its part is
    -1.

    ``params``: the operator's parameters as stored; ``parameters_of`` decodes them. ``partly``: kept aspects of which a
    counted share is missing; ``Call`` has it too.
    """

    id: str
    op: TransformOp
    inputs: tuple[str, ...]
    part: int
    title: str
    params: ParameterPairs = ()
    keeps: tuple[Aspect, ...] = ()
    loses: tuple[Aspect, ...] = ()
    note: str = ""
    estimate: StepEstimate = StepEstimate()
    partly: tuple[Portion, ...] = ()


class Call(Value, tag_field="step", tag="call"):
    """A call to a model, embedded or remote: any step with weights or a price.

    ``part`` is the part it converts, or -1 for the last step, which answers the request. ``room``: context length in
    tokens that the server is asked to load its model with, or None.
    """

    id: str
    op: CallOp
    task: Task
    endpoint: str
    inputs: tuple[str, ...]
    part: int = -1
    title: str = ""
    params: ParameterPairs = ()
    keeps: tuple[Aspect, ...] = ()
    loses: tuple[Aspect, ...] = ()
    note: str = ""
    room: int | None = None
    estimate: StepEstimate = StepEstimate()
    partly: tuple[Portion, ...] = ()


class Check(Value, tag_field="step", tag="check"):
    """A check of a step's result, which reports a finding if there is a problem.

    transcript  not empty, not looped, in a language the transcriber knows
    reading     text found, with enough confidence
    size        no longer than planned (otherwise the request is replanned)
    valid_json  the answer against its schema
    evidence    the answer's values against the source text

    ``note`` names the escalation. ``estimate`` is the price of the escalation if it happens: low and mid are 0.
    """

    id: str
    op: CheckOp
    inputs: tuple[str, ...]
    part: int = -1
    title: str = ""
    note: str = ""
    estimate: StepEstimate = StepEstimate()


Step = Transform | Call | Check


_encode = msgspec.json.Encoder().encode


def step_id(op: str, endpoint: str, params: ParameterPairs, inputs: tuple[str, ...]) -> str:
    """Return the first 8 hex digits of the SHA-256 of a step's operation, endpoint, parameters and inputs."""
    return hashlib.sha256(_encode((op, endpoint, params, inputs))).hexdigest()[:8]


_MOST_PAGES = 100_000  # limit of one page range; the planner never writes a larger one
JsonDelivery = Literal["", "prompted", "told", "forced"]  # how the schema of a JSON answer is passed to the model


class ParameterFormat(NamedTuple):
    """The text format of a parameter. ``write`` returns None for a value that is omitted."""

    write: Callable[[Any], str | None]
    read: Callable[[str], Any]
    expected: str


def _read_pages(text: str) -> tuple[int, ...]:
    """Parse page numbers in order; "3-5" is a range.

    >>> _read_pages("1,3-5")
    (1, 3, 4, 5)
    """
    numbers: list[int] = []
    for stretch in text.split(",") if text else ():
        first, *rest = map(int, stretch.split("-"))
        last = rest[-1] if rest else first
        if len(rest) > 1 or not first <= last <= first + _MOST_PAGES:
            raise ValueError(stretch)
        numbers.extend(range(first, last + 1))
    return tuple(numbers)


def _read_size(text: str) -> tuple[int, int]:
    width, height = map(int, text.split("x"))
    return width, height


def _one_of_words(words: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return read


def _flag(word: str) -> ParameterFormat:
    """Return the format of a boolean: ``word`` if true, omitted if false."""
    return ParameterFormat(lambda on: word if on else None, lambda text: bool(_one_of_words((word,))(text)), repr(word))


def _literal_format(literal: Any, usual: str = "") -> ParameterFormat:
    """Return the format of a ``Literal``; the value ``usual`` is omitted."""
    words = get_args(literal)
    return ParameterFormat(
        lambda word: None if word == usual else word, _one_of_words(words), f"one of {', '.join(filter(None, words))}"
    )


_NUMBER = ParameterFormat(lambda value: None if value is None else str(value), int, "a whole number")
_DECIMAL = ParameterFormat(lambda value: None if value is None else f"{value:g}", float, "a number")
_TEXT = ParameterFormat(lambda text: text or None, str, "text")
_STATED_TEXT = ParameterFormat(lambda text: text, str, "text")  # written even if empty, unless it is None
_PAGES = ParameterFormat(
    lambda pages: None if pages is None else ",".join(map(str, pages)), _read_pages, "page numbers such as 1,3-5"
)
_SIZE = ParameterFormat(
    lambda size: None if size is None else f"{size[0]}x{size[1]}", _read_size, "a size such as 1024x768"
)

Number = Annotated[int, _NUMBER]
OptionalNumber = Annotated[int | None, _NUMBER]
OptionalDecimal = Annotated[float | None, _DECIMAL]
Word = Annotated[str, _TEXT]
StatedText = Annotated[str | None, _STATED_TEXT]
Pages = Annotated[tuple[int, ...] | None, _PAGES]
SeparateChannels = Annotated[bool, _flag("apart")]
CutOut = Annotated[bool, _flag("cut out")]
EachTime = Annotated[bool, _flag("each")]


class _Field(NamedTuple):
    attribute: str
    name: str
    format: ParameterFormat
    required: bool


class StepParameters(Struct, frozen=True, kw_only=True, gc=False):
    """Base class of operator parameters: frozen, compared by value."""

    def pairs(self) -> ParameterPairs:
        """Return the parameters as the pairs that a step stores."""
        found: list[tuple[str, str]] = []
        for each in _fields(type(self)):
            text = each.format.write(getattr(self, each.attribute))
            if text is not None:
                found.append((each.name, text))
        return tuple(found)

    @classmethod
    def parameters_of(cls, step: Transform | Call) -> Self:
        """Return the parameters of a step of this operator. Raises PlanStale if they cannot be decoded."""
        found = parameters_of(step)
        if not isinstance(found, cls):
            raise TypeError(f"{step.op} has the parameters {type(found).__name__}, not {cls.__name__}")
        return found


# ---- transforms ---------------------------------------------------------------------------------


class ExtractText(StepParameters, frozen=True):
    """``pages``: the pages whose text layer is extracted; None for all."""

    pages: Pages = None


class RenderPages(StepParameters, frozen=True):
    """The pages to render, None for all; or only the figures on them, each cropped from its page."""

    pages: Pages = None
    cut_out_figures: CutOut = field(default=False, name="figures")
    dpi: Number = 150


class SelectPages(StepParameters, frozen=True):
    """The pages that later steps use, and the pages that no step uses."""

    pages: Pages = None
    left_out: Pages = None


class SampleFrames(StepParameters, frozen=True):
    """How the frames of a video are sampled: ``fps`` per second, or one per scene.

    ``most``: maximum number of frames. ``max_side``: pixels of the longer side; None keeps the original size.
    """

    by_scene: Annotated[bool, _flag("scenes")] = field(default=False, name="frames")
    fps: OptionalDecimal = None
    most: OptionalNumber = None
    max_side: OptionalNumber = None


class ExtractSound(StepParameters, frozen=True):
    """``separate_channels``: whether to extract each of two channels separately."""

    separate_channels: SeparateChannels = field(default=False, name="channels")


class ExtractSubtitles(StepParameters, frozen=True):
    """``track``: the track number. ``timed``: whether each line keeps its own timestamp."""

    track: Number
    timed: EachTime = field(default=False, name="times")


class ResizeImage(StepParameters, frozen=True):
    """``max_side``: pixels of the longer side. ``detail``: the detail level requested from the host."""

    max_side: Number
    detail: Annotated[ImageDetail, _literal_format(ImageDetail, "auto")] = "auto"


class StateProperties(StepParameters, frozen=True):
    """Stating the properties of a file takes no parameters."""


# ---- calls --------------------------------------------------------------------------------------


class ReadText(StepParameters, frozen=True):
    """``script``: the script passed to the reader.

    ``cut_out_figures``: whether it gets figures cropped from text pages.
    """

    script: Word = ""
    cut_out_figures: CutOut = field(default=False, name="figures")


class TranscribeSpeech(StepParameters, frozen=True):
    """The settings of a transcription.

    Attributes:
        format: output format if the transcript is the answer.
        language: spoken language, ISO 639-1; "" lets the model detect it. into: output language, "" for the spoken one.
        timed: whether each segment keeps its own timestamp. separate_channels: whether each of two channels is
            transcribed separately.
    """

    format: Word = ""
    language: Word = ""
    into: Word = field(default="", name="translate")
    timed: EachTime = field(default=False, name="times")
    separate_channels: SeparateChannels = field(default=False, name="channels")


class DescribeImages(StepParameters, frozen=True):
    """``question_digest``: digest of the question passed to the model, "" for none.

    ``max_tokens``: limit of a description.
    """

    question_digest: Word = field(default="", name="question")
    max_tokens: OptionalNumber = None


class GenerateAnswer(StepParameters, frozen=True):
    """The token limit of an answer, and its form.

    Attributes:
        json: how the schema is passed to the model, "" if the answer is not JSON. repairs: maximum number of repairs of
            invalid JSON.
        voice, format: settings of an answer that the model itself speaks; None and "" if it writes.
    """

    max_tokens: OptionalNumber = None
    json: Annotated[JsonDelivery, _literal_format(JsonDelivery)] = ""
    repairs: OptionalNumber = field(default=None, name="repair")
    voice: StatedText = None
    format: Word = ""


class TranslateText(StepParameters, frozen=True):
    """The token limit of a translation, and the output language."""

    max_tokens: OptionalNumber = None
    into: Word = field(default="", name="translate")


class EmbedContent(StepParameters, frozen=True):
    """Embedding takes no parameters."""


class ScoreLabels(StepParameters, frozen=True):
    """Scoring takes no parameters; the request contains the labels."""


class SpeakText(StepParameters, frozen=True):
    """``voice``: "" for the model's default. ``format``: the audio format."""

    voice: StatedText = None
    format: Word = ""


class ConcatenateTexts(StepParameters, frozen=True):
    """Texts are concatenated in the order of their parts, each under the name of its file."""


class DrawImage(StepParameters, frozen=True):
    """The settings of generated images, from the request or the planner; None or "" leaves them to the host."""

    size: Annotated[tuple[int, int] | None, _SIZE] = None
    quality: Annotated[Quality | Literal[""], _literal_format(Quality)] = ""
    count: OptionalNumber = None
    steps: OptionalNumber = None
    guidance: OptionalDecimal = None
    sampler: Annotated[Sampler | Literal[""], _literal_format(Sampler)] = ""
    strength: OptionalDecimal = None
    negative: Word = ""
    format: Annotated[ImageFormat | Literal[""], _literal_format(ImageFormat)] = ""


PARAMETERS: Mapping[TransformOp | CallOp, type[StepParameters]] = {
    "extract": ExtractText, "render": RenderPages, "select": SelectPages, "frames": SampleFrames,
    "demux": ExtractSound, "subtitles": ExtractSubtitles, "resize": ResizeImage, "concat": ConcatenateTexts,
    "properties": StateProperties,
    "read": ReadText, "transcribe": TranscribeSpeech, "describe": DescribeImages, "generate": GenerateAnswer,
    "translate": TranslateText, "embed": EmbedContent, "score": ScoreLabels, "speak": SpeakText, "draw": DrawImage,
}  # fmt: skip


def parameters_of(step: Transform | Call) -> StepParameters:
    """Return the parameters of a step. Raises PlanStale if one is unknown, missing, duplicated or malformed."""
    kind, texts = PARAMETERS[step.op], dict(step.params)
    if len(texts) < len(step.params):
        raise _stale_plan(step, "a parameter is stated twice")
    values: dict[str, object] = {}
    for each in _fields(kind):
        text = texts.pop(each.name, None)
        if text is None:
            if each.required:
                raise _stale_plan(step, f"the parameter {each.name!r} is missing")
            continue
        try:
            values[each.attribute] = each.format.read(text)
        except ValueError:
            wrong = f"the parameter {each.name!r} is {text[:40]!r}, not {each.format.expected}"
            raise _stale_plan(step, wrong) from None
    if texts:
        known_names = ", ".join(each.name for each in _fields(kind)) or "none"
        raise _stale_plan(step, f"the parameter {next(iter(texts))!r} is unknown; known: {known_names}")
    return kind(**values)


def takes_separate_channels(step: Transform | Call) -> bool:
    """Return whether a step processes each of two channels separately."""
    found = parameters_of(step) if step.op in ("demux", "transcribe") else None
    return isinstance(found, ExtractSound | TranscribeSpeech) and found.separate_channels


@cache
def _fields(kind: type[StepParameters]) -> tuple[_Field, ...]:
    """Return the fields of a class with their stored names and formats."""
    return tuple(
        _Field(each.name, each.encode_name, each.type.__metadata__[0], each.required)
        for each in msgspec.structs.fields(kind)
    )


def _stale_plan(step: Transform | Call, wrong: str) -> PlanStale:
    return PlanStale(wrong, where=f"step {step.id} ({step.op})", todo=REPLAN)
