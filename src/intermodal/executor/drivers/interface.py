"""The interface of a driver: the call it receives, the result it returns, and how it reports while it works."""

from __future__ import annotations

from typing import Protocol

from intermodal.catalog.types import Endpoint
from intermodal.core.content import Part, ReadLine, ToolCall, Transcript, Value
from intermodal.events import Drawn, Thought
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.preparation.model_inputs import AudioInput, ImageInput
from intermodal.local.embedded.results import ContrastiveLoss
from intermodal.plans.step import Call
from intermodal.protocols.calls import ChatCall, ImageCall, WireMedia, WireUsage
from intermodal.store.rows import Work
from intermodal.transport.response import SendRecord


class CallJob(Value, frozen=True):
    """A call for a driver. One of ``chat``, ``sound``, ``pictures``, ``drawing`` and ``text`` is set, by ``step.op``.

    Attributes:
        lines: sentences to be spoken in ``voice`` ("" for the default), or passages to be ranked for ``text``.
        independent: judge each label by itself, if the model supports both ways.
        labels: labels to compare with ``text`` or ``pictures`` by embeddings.
        beside: media that are embedded into one vector with a text.
        language: of the speech, ISO 639-1, "" if not stated. into: language of the translation, "" for none.
        stop_loops: stop a model that repeats itself.
        trial: the call measures or probes its endpoint while another route is left.
        fresh: use a connection that has served no other request.
    """

    step: Call
    endpoint: Endpoint
    chat: ChatCall | None = None
    sound: AudioInput | None = None
    pictures: tuple[ImageInput, ...] = ()
    text: str = ""
    lines: tuple[str, ...] = ()
    voice: str = ""
    labels: tuple[str, ...] = ()
    independent: bool = False
    drawing: ImageCall | None = None
    beside: tuple[WireMedia, ...] = ()
    language: str = ""
    into: str = ""
    stop_loops: bool = False
    work: Work = Work()
    trial: bool = False
    fresh: bool = False


class ContrastiveScale(Value, frozen=True):
    """The scoring of a contrastive model: cosines times ``scale``, plus ``bias``, through its ``loss`` function.

    ``assumed``: the scale is CLIP's, because the model's files state none. ``cut``: number of texts longer than the
    model reads.
    """

    loss: ContrastiveLoss
    scale: float
    bias: float = 0.0
    assumed: bool = False
    cut: int = 0


class HeadScores(Value, frozen=True):
    """The scores of an encoder's head by label, the number of text windows, and whether the text was cut after them."""

    scores: tuple[tuple[str, float], ...]
    windows: int = 1
    cut: bool = False


class CallResult(Value, frozen=True):
    """The result of a driver's attempt.

    Attributes:
        refusal: the model's reason for a refusal.
        lines: recognised lines of each image, in order.
        stop_sequence: the words of the request that ended a chat, if its host says so.
        vectors: of a text or of images, followed by those of the labels; ``contrastive``: how to compare them.
        candidates: the most likely first tokens of an answer, each with its log probability.
        images: generated images. seed: the seed that was chosen if none was given.
        pcm: speech (signed 16-bit, mono, ``rate`` samples per second). silent: lines that have no sound.
        looped: reading was stopped because the answer repeated itself; it has no usage then.
        overran: the answer exceeded its token limit and was stopped there; it has usage only if it was not streamed.
        beside: output of a stopped answer other than text: reasoning, and arguments of tool calls.
        parts: everything a chat returned, in order, if that was not only text: tool calls, and blocks that must be sent
            back unchanged.
    """

    text: str = ""
    refusal: str = ""
    finish_reason: str = "stop"
    stop_sequence: str = ""
    transcript: Transcript | None = None
    lines: tuple[tuple[ReadLine, ...], ...] = ()
    vector: tuple[float, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    contrastive: ContrastiveScale | None = None
    head_scores: HeadScores | None = None
    candidates: tuple[tuple[str, float], ...] = ()
    images: tuple[Drawn, ...] = ()
    seed: int | None = None
    pcm: bytes = b""
    rate: int = 0
    silent: tuple[str, ...] = ()
    looped: bool = False
    overran: bool = False
    beside: str = ""
    usage: WireUsage = WireUsage()
    parts: tuple[Part, ...] = ()
    peak_memory: int | None = None

    @property
    def calls_tool(self) -> bool:
        """True if it calls a tool."""
        return any(isinstance(part, ToolCall) for part in self.parts)


class AttemptContext(Protocol):
    """The interface that a driver reports to while it works. ``key``: the host's API key, "" if it needs none."""

    @property
    def key(self) -> str: ...

    @property
    def remaining(self) -> float | None:
        """Seconds until the run's deadline; None if there is none."""

    async def sending(self) -> None:
        """Call right before the first byte is sent: records that money may be spent, or raises StoreError."""

    def record(self) -> SendRecord:
        """Return the record of the request, for a transport that reports its first and last byte itself."""
        ...

    @property
    def sent(self) -> bool:
        """True if some of the request may have reached the endpoint."""
        ...

    def answering(self) -> None:
        """Report that a visible piece of the answer arrived; only the first call has an effect."""

    async def say(self, text: str) -> None:
        """Report a piece of the answer."""

    async def think(self, thought: Thought) -> None:
        """Report a piece of the reasoning."""

    def report_load_seconds(self, seconds: float) -> None:
        """Report the seconds that starting or loading the runtime took."""

    def progress(self, fraction: float | None, note: str = "") -> None: ...

    def report_preview(self, picture: Drawn, done: int, steps: int) -> None:
        """Report an intermediate image, after ``done`` of its steps."""


class Driver(Protocol):
    """Makes calls of one protocol: a function named in ``step_caller.DRIVERS``.

    Raises CallError, with ``sent`` False if it certainly cost nothing.
    """

    async def __call__(self, job: CallJob, dependencies: Dependencies, context: AttemptContext, /) -> CallResult: ...
