"""The interface of a driver: the call it receives, the result it returns, and how it reports while it works."""

from __future__ import annotations

from typing import Protocol

from intermodal.catalog.types import Endpoint
from intermodal.content import Part, ReadLine, Transcript, Value
from intermodal.events import Drawn, Thought
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.preparation.model_inputs import AudioInput, ImageInput
from intermodal.local.embedded.results import ContrastiveLoss
from intermodal.plans.step import Call
from intermodal.protocols.calls import ChatCall, ImageCall, WireMedia, WireUsage
from intermodal.store.rows import Work
from intermodal.transport.client import SendRecord


class CallJob(Value, frozen=True):
    """What is to be done. One of ``chat``, ``sound``, ``pictures``, ``drawing`` and ``text`` is set, by ``step.op``.

    ``language`` is the speech's, ISO 639-1, "" when nobody said; ``into`` that of the translation, "" for none.
    ``stop_loops`` leaves a model that says the same
    over and over. ``lines`` are to be spoken, in ``voice`` ("" the usual one). ``labels`` are to be held against
    ``text`` or ``pictures`` by their vectors; media ``beside`` a text go into its one vector. ``trial``: it finds out
    what its endpoint is like, while another route is left. ``fresh``: over a connection that has served no
    other request.
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
    drawing: ImageCall | None = None
    beside: tuple[WireMedia, ...] = ()
    language: str = ""
    into: str = ""
    stop_loops: bool = False
    work: Work = Work()
    trial: bool = False
    fresh: bool = False


class ContrastiveScale(Value, frozen=True):
    """How a contrastive model makes scores of cosines: times ``scale``, plus ``bias``, through what it was trained
    with. ``cut``: texts that are longer than it reads."""

    loss: ContrastiveLoss
    scale: float
    bias: float = 0.0
    cut: int = 0


class HeadScores(Value, frozen=True):
    """What an encoder's head says of a text: each label with its score, of how many windows, and whether its end is in
    none of them."""

    scores: tuple[tuple[str, float], ...]
    windows: int = 1
    cut: bool = False


class CallResult(Value, frozen=True):
    """What came back. ``lines`` are those of each picture, in order; ``refusal`` the model's words for why not.

    ``looped`` says that we stopped reading an answer that repeated itself; no usage came with it then. ``overran``: it
    went on after the tokens that were allowed, and was stopped there; usage came with it only where it came at once.
    ``beside`` is what such an answer had made besides words: thoughts, and arguments of calls.
    ``pcm`` is speech (signed 16-bit, mono, ``rate`` samples per second), ``silent`` what has no sound in it.
    ``drawn`` are pictures, ``seed`` what was chosen for them where nobody said one. ``candidates`` are the likeliest
    first words of an answer, each with its logarithm of probability; ``vectors`` are those of a text, or of pictures,
    and of the labels after it, which ``matching`` compares. ``said`` is all that a chat said, in order, where that was
    not words alone: calls of tools, and blocks that go back as they came.
    """

    text: str = ""
    refusal: str = ""
    finish_reason: str = "stop"
    transcript: Transcript | None = None
    lines: tuple[tuple[ReadLine, ...], ...] = ()
    vector: tuple[float, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = ()
    contrastive: ContrastiveScale | None = None
    told: HeadScores | None = None
    candidates: tuple[tuple[str, float], ...] = ()
    drawn: tuple[Drawn, ...] = ()
    seed: int | None = None
    pcm: bytes = b""
    rate: int = 0
    silent: tuple[str, ...] = ()
    looped: bool = False
    overran: bool = False
    beside: str = ""
    usage: WireUsage = WireUsage()
    said: tuple[Part, ...] = ()
    peak_memory: int | None = None


class AttemptContext(Protocol):
    """What a driver reports to while it works. ``key``: the host's API key, "" where it needs none."""

    @property
    def key(self) -> str: ...

    @property
    def remaining(self) -> float | None:
        """Seconds until the run's deadline, None when there is none."""

    async def sending(self) -> None:
        """Call right before the first byte leaves: records that money may be spent, or raises StoreError."""

    def record(self) -> SendRecord:
        """Return the record of the request, for a transport that reports its first and last byte itself."""
        ...

    async def say(self, text: str) -> None:
        """Report a piece of the answer."""

    async def think(self, thought: Thought) -> None:
        """Report a piece of the reasoning."""

    def loaded(self, seconds: float) -> None:
        """Report the seconds that starting or loading the runtime took."""

    def progress(self, fraction: float | None, note: str = "") -> None: ...

    def sketched(self, picture: Drawn, done: int, steps: int) -> None:
        """Report how an image looks after ``done`` of its steps."""


class Driver(Protocol):
    """Makes calls of one protocol: a module with this function, named in ``attempt.caller.DRIVERS``.

    Raises CallError, with ``sent`` False where it certainly cost nothing.
    """

    async def drive(self, job: CallJob, world: Dependencies, line: AttemptContext) -> CallResult: ...
