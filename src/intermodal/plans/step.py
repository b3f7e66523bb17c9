"""A step of a plan: its operation, its inputs and parameters, the aspects it keeps and loses, and its estimate.

Inputs are references: ``part:0`` (a part of the request, as it came) or ``step:<id>`` (what another step made). A step
carries sizes and parameters; ``cost_model`` prices it; it never prices itself.

A step stores its parameters as ordered pairs of text, so that plans, ids and cache keys are stable bytes:
``(("max_side", "2000"), ("detail", "high"))``. Only this module reads or writes the pairs. The planner builds a value
of the operator's class and stores its ``pairs()``; everything else reads attributes:

>>> ResizeImage(max_side=2000, detail="high").pairs()
(('max_side', '2000'), ('detail', 'high'))

The order of the fields is the order of the pairs. A new parameter is a field; a new operator is a class and a row of
``PARAMETERS``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

import msgspec
from msgspec import Struct, field

from intermodal.catalog.types import Task
from intermodal.content import ImageDetail, Value
from intermodal.errors import PlanStale
from intermodal.hints import action
from intermodal.quantity import Quantity
from intermodal.request import Aspect, PictureFormat, Quality, Sampler

# Transform ops are deterministic and weightless; call ops have weights or a price.
TransformOp = Literal["extract", "render", "select", "frames", "demux", "subtitles", "resize", "concat", "properties"]
CallOp = Literal["read", "transcribe", "describe", "generate", "translate", "embed", "speak", "score", "draw"]
CheckOp = Literal["transcript", "reading", "size", "valid_json", "evidence"]

ParameterPairs = tuple[tuple[str, str], ...]  # names and values as text, in an order that ids and cache keys rely on
REPLAN = action("run intermodal explain --save again", python="plan it again", http="plan it again")
SPEED_BASIS = "speed"  # the basis of seconds without further explanation


class StepEstimate(Value):
    """The estimated cost of a step.

    Attributes:
        input_tokens, output_tokens: tokens. thought_tokens: those of the output that are thought before the answer.
        cost: USD. seconds: wall time without loading. load_seconds: of a cold runtime.
        memory: bytes resident while it runs.
        text: characters of text it makes (for a conversion).
        cores: how many of this machine's it keeps busy (``plans/cpu_schedule.py``), 0 for none.
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


PortionUnit = Literal["scenes", "lines", "pages", "seconds"]


class Portion(Value):
    """The share of an aspect that a step keeps, if it is counted and not complete.

    ``kept`` of ``of`` things called ``unit``: scenes of a film that are looked at; lines of a picture, or scanned
    pages, that an earlier reading of the same bytes was sure of; seconds of speech that an earlier hearing was.
    """

    aspect: Aspect
    kept: int
    of: int
    unit: PortionUnit

    @property
    def amount(self) -> Literal["most", "few"]:
        return amount_kept(self.kept, self.of, self.unit)


# Shares from which on most of the words are kept. Seconds are not words: their edges are a second off, speech in noise
# may be denser than before it, and some words of what was heard with confidence are wrong.
_MOST: dict[PortionUnit, float] = {"scenes": 0.5, "lines": 0.5, "pages": 0.5, "seconds": 0.6}


def amount_kept(kept: int, of: int, unit: PortionUnit) -> Literal["most", "few"]:
    """Return whether most of an aspect is kept where ``kept`` of ``of`` are.

    >>> amount_kept(12, 24, "lines"), amount_kept(12, 24, "seconds")
    ('most', 'few')
    """
    return "most" if kept >= _MOST[unit] * of else "few"


class Transform(Value, tag_field="step", tag="transform"):
    """A deterministic, weightless conversion done in the media worker.

    ``concat`` puts the texts of several conversions together, as the answer of a route on which no model answers; it
    has the part -1.

    ``params``: the operator's parameters as they are stored; ``parameters_of`` reads them, typed.
    ``partly``: of what it keeps, that of which some is counted to be missing; of a call, too.
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
    """Anything with weights or a price, embedded or remote.

    ``part`` is the part it converts, -1 for the last step, which answers the request. ``room``: tokens of context that
    the server is asked to load its model with, None where it is not asked.
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
    """A check of a step's result, with a finding if there is a problem.

    transcript  not empty, not looped, in a language the transcriber knows
    reading     text found, with enough confidence
    size        no longer than was planned for (the plan is made again otherwise)
    valid_json  the answer against its schema
    evidence    the answer's values against the text that it was made from

    ``note`` names the escalation; ``estimate`` is its price as a condition: low and mid 0, high its cost.
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
    """Return the first 8 hex digits of SHA-256 over what a step does, with what and to what."""
    return hashlib.sha256(_encode((op, endpoint, params, inputs))).hexdigest()[:8]


_MOST_PAGES = 100_000  # of one range; a plan that states more was not written by the planner
JsonDelivery = Literal["", "prompted", "told", "forced"]  # how a model gets the schema of a JSON answer


class ParameterFormat(NamedTuple):
    """How a value is written as text and read back. ``write`` returns None for a value that is left out."""

    write: Callable[[Any], str | None]
    read: Callable[[str], Any]
    expected: str


def _read_pages(text: str) -> tuple[int, ...]:
    """Return page numbers in order; "3-5" is a range.

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


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return read


def _flag(word: str) -> ParameterFormat:
    """Return the format of a switch: its word when on, left out when off."""
    return ParameterFormat(lambda on: word if on else None, lambda text: bool(_one_of((word,))(text)), repr(word))


def _choice(literal: Any, usual: str = "") -> ParameterFormat:
    """Return the format of one word out of a ``Literal``; the usual one is left out."""
    words = get_args(literal)
    return ParameterFormat(
        lambda word: None if word == usual else word, _one_of(words), f"one of {', '.join(filter(None, words))}"
    )


_NUMBER = ParameterFormat(lambda value: None if value is None else str(value), int, "a whole number")
_DECIMAL = ParameterFormat(lambda value: None if value is None else f"{value:g}", float, "a number")
_TEXT = ParameterFormat(lambda text: text or None, str, "text")
_STATED_TEXT = ParameterFormat(lambda text: text, str, "text")  # written even where it is empty, unless it is None
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
    """Base of the parameters of an operator: frozen, slotted, compared by value."""

    def pairs(self) -> ParameterPairs:
        """Return the parameters as a step stores them."""
        found: list[tuple[str, str]] = []
        for each in _fields(type(self)):
            text = each.format.write(getattr(self, each.attribute))
            if text is not None:
                found.append((each.name, text))
        return tuple(found)

    @classmethod
    def of(cls, step: Transform | Call) -> Self:
        """Return the parameters of a step of this operator. Raises PlanStale where they are not understood."""
        found = parameters_of(step)
        if not isinstance(found, cls):
            raise TypeError(f"{step.op} has the parameters {type(found).__name__}, not {cls.__name__}")
        return found


# ---- transforms ---------------------------------------------------------------------------------


class ExtractText(StepParameters, frozen=True):
    """The pages whose text layer is taken; None for all."""

    pages: Pages = None


class RenderPages(StepParameters, frozen=True):
    """The pages to draw, None for all; or the figures on them, each cut out of its page."""

    pages: Pages = None
    cut_out_figures: CutOut = field(default=False, name="figures")
    dpi: Number = 150


class SelectPages(StepParameters, frozen=True):
    """The pages that later steps use, and those that nothing uses."""

    pages: Pages = None
    left_out: Pages = None


class SampleFrames(StepParameters, frozen=True):
    """Which frames of a video are taken: ``fps`` a second, or one per scene.

    ``most``: no more than so many. ``max_side``: pixels of the longer side, None for their own size.
    """

    by_scene: Annotated[bool, _flag("scenes")] = field(default=False, name="frames")
    fps: OptionalDecimal = None
    most: OptionalNumber = None
    max_side: OptionalNumber = None


class ExtractSound(StepParameters, frozen=True):
    """``separate_channels``: each of two channels by itself."""

    separate_channels: SeparateChannels = field(default=False, name="channels")


class ExtractSubtitles(StepParameters, frozen=True):
    """The number of the track. ``timed``: each line keeps its own time."""

    track: Number
    timed: EachTime = field(default=False, name="times")


class ResizeImage(StepParameters, frozen=True):
    """Pixels of the longer side, and the detail that the host is asked for."""

    max_side: Number
    detail: Annotated[ImageDetail, _choice(ImageDetail, "auto")] = "auto"


class StateProperties(StepParameters, frozen=True):
    """The statement of a file's properties has no parameters."""


# ---- calls --------------------------------------------------------------------------------------


class ReadText(StepParameters, frozen=True):
    """The script that the reader is told, and whether it gets figures cut out of pages of text."""

    script: Word = ""
    cut_out_figures: CutOut = field(default=False, name="figures")


class TranscribeSpeech(StepParameters, frozen=True):
    """How speech becomes text.

    Attributes:
        format: of the output, where the transcript is the answer.
        language: spoken, ISO 639-1; "" lets the model find out. into: the language to write, "" for the spoken one.
        timed: each segment keeps its own time. separate_channels: each of two channels by itself.
    """

    format: Word = ""
    language: Word = ""
    into: Word = field(default="", name="translate")
    timed: EachTime = field(default=False, name="times")
    separate_channels: SeparateChannels = field(default=False, name="channels")


class DescribeImages(StepParameters, frozen=True):
    """The digest of the question that the model is told, "" for none, and the limit of a description."""

    question_digest: Word = field(default="", name="question")
    max_tokens: OptionalNumber = None


class GenerateAnswer(StepParameters, frozen=True):
    """The limit of an answer, and its form.

    Attributes:
        json: how the schema is delivered, "" where the answer is not JSON. repairs: how often invalid JSON is repaired.
        voice, format: of an answer that the model speaks itself; None and "" where it writes.
    """

    max_tokens: OptionalNumber = None
    json: Annotated[JsonDelivery, _choice(JsonDelivery)] = ""
    repairs: OptionalNumber = field(default=None, name="repair")
    voice: StatedText = None
    format: Word = ""


class TranslateText(StepParameters, frozen=True):
    """The limit of a translation, and the language to write."""

    max_tokens: OptionalNumber = None
    into: Word = field(default="", name="translate")


class EmbedContent(StepParameters, frozen=True):
    """An embedding has no parameters."""


class ScoreLabels(StepParameters, frozen=True):
    """A score has no parameters; the labels are the request's."""


class SpeakText(StepParameters, frozen=True):
    """The voice, "" for the model's usual one, and the format of the sound."""

    voice: StatedText = None
    format: Word = ""


class ConcatenateTexts(StepParameters, frozen=True):
    """Texts are put together in the order of their parts, each under the name of its file."""


class DrawImage(StepParameters, frozen=True):
    """The settings of generated images, stated or decided by the planner; None and "" where the host decides."""

    size: Annotated[tuple[int, int] | None, _SIZE] = None
    quality: Annotated[Quality | Literal[""], _choice(Quality)] = ""
    count: OptionalNumber = None
    steps: OptionalNumber = None
    guidance: OptionalDecimal = None
    sampler: Annotated[Sampler | Literal[""], _choice(Sampler)] = ""
    strength: OptionalDecimal = None
    negative: Word = ""
    format: Annotated[PictureFormat | Literal[""], _choice(PictureFormat)] = ""


PARAMETERS: Mapping[TransformOp | CallOp, type[StepParameters]] = {
    "extract": ExtractText, "render": RenderPages, "select": SelectPages, "frames": SampleFrames,
    "demux": ExtractSound, "subtitles": ExtractSubtitles, "resize": ResizeImage, "concat": ConcatenateTexts,
    "properties": StateProperties,
    "read": ReadText, "transcribe": TranscribeSpeech, "describe": DescribeImages, "generate": GenerateAnswer,
    "translate": TranslateText, "embed": EmbedContent, "score": ScoreLabels, "speak": SpeakText, "draw": DrawImage,
}  # fmt: skip


def parameters_of(step: Transform | Call) -> StepParameters:
    """Return the parameters of a step. Raises PlanStale for one that is unknown, missing, doubled or malformed."""
    kind, given = PARAMETERS[step.op], dict(step.params)
    if len(given) < len(step.params):
        raise _refused(step, "a parameter is stated twice")
    values: dict[str, object] = {}
    for each in _fields(kind):
        text = given.pop(each.name, None)
        if text is None:
            if each.required:
                raise _refused(step, f"the parameter {each.name!r} is missing")
            continue
        try:
            values[each.attribute] = each.format.read(text)
        except ValueError:
            wrong = f"the parameter {each.name!r} is {text[:40]!r}, not {each.format.expected}"
            raise _refused(step, wrong) from None
    if given:
        known = ", ".join(each.name for each in _fields(kind)) or "none"
        raise _refused(step, f"the parameter {next(iter(given))!r} is unknown; known: {known}")
    return kind(**values)


def takes_separate_channels(step: Transform | Call) -> bool:
    """Return whether a step takes each of two channels by itself."""
    found = parameters_of(step) if step.op in ("demux", "transcribe") else None
    return isinstance(found, ExtractSound | TranscribeSpeech) and found.separate_channels


@cache
def _fields(kind: type[StepParameters]) -> tuple[_Field, ...]:
    """Return the fields of a class with their names and formats in JSON."""
    return tuple(
        _Field(each.name, each.encode_name, each.type.__metadata__[0], each.required)
        for each in msgspec.structs.fields(kind)
    )


def _refused(step: Transform | Call, wrong: str) -> PlanStale:
    return PlanStale(wrong, where=f"step {step.id} ({step.op})", todo=REPLAN)
