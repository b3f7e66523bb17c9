"""Rows of the store as values, and reading many of them in slices.

They hold no content: identifiers, sizes, money and times only. A function of many rows calls a ``Pause`` between
slices; its caller decides what happens then. Slices are of rows and not of time, so that the same work is divided in
the same way everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeAlias, TypeVar

from intermodal.content import Value
from intermodal.events import AttemptState, Usage
from intermodal.request import Message, Policy, Zone

Bench = Literal["", "alone", "crowded"]


FILM_SOUND = "film"  # in place of the kind of answer (``Reservation.output``), for the sound of a film


class Work(Value, frozen=True):
    """The amount of work of an attempt, to which its time relates.

    Attributes:
        audio_seconds: seconds of sound transcribed.
        megapixels: of all input pictures.
        pages: pages read, 0 for a picture that is no page.
        characters: of text to be spoken.
        pictures: number of input pictures, pages among them, or of pictures to draw; 0 if not counted.
        denoised, made: of pictures that are drawn by diffusion here, megapixels of all evaluations of its steps, and of
            all that is decoded from latents or encoded; 0 of others.
        letters: counted on them at a distance when they were probed; 0 if any was not.
        text_tokens, image_tokens, audio_tokens: of the request, by our own rules; ``text_exact``: that of text is
            counted with the model's vocabulary. messages: how many; 0 if not counted.
    """

    audio_seconds: float = 0.0
    megapixels: float = 0.0
    pages: int = 0
    characters: int = 0
    pictures: int = 0
    letters: float = 0.0
    text_tokens: float = 0.0
    text_exact: bool = False
    image_tokens: float = 0.0
    audio_tokens: float = 0.0
    messages: int = 0
    denoised: float = 0.0
    made: float = 0.0


class Range(Value, frozen=True):
    """Low and high of an estimate."""

    low: float
    high: float


class Reservation(Value, frozen=True):
    """An attempt about to be made, with its estimates (mid) and its upper bounds.

    Attributes:
        run, step: ids of the run and of the plan's step.
        op, task, endpoint: of the call.
        zone: where the endpoint computes; statistics split waiting from work by it.
        input_tokens, output_tokens, cost, seconds, load_seconds: mid estimates; None if unknown.
        cost_high: USD reserved; the assumed cost of an unsettled attempt.
        work: its amount of work.
        output: kind of answer ("json", or as ``cost_model/answer_length.py`` names it), "" for a conversion,
            ``FILM_SOUND`` for that of a film's sound.
        input_range, output_range, seconds_range: of the estimates; None if unknown.
    """

    run: str
    step: str
    op: str
    task: str
    endpoint: str
    zone: Zone = "process"
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost: float | None = None
    seconds: float | None = None
    load_seconds: float | None = None
    cost_high: float = 0.0
    work: Work = Work()
    output: str = ""
    input_range: Range | None = None
    output_range: Range | None = None
    seconds_range: Range | None = None


class AttemptOutcome(Value, frozen=True):
    """The actual cost and result of an attempt.

    Attributes:
        usage: tokens as reported; for a conversion the tokens of the text it made.
        cost: USD; None if unknown, then the reserved amount counts.
        seconds: wall time without loading. first_seconds: until the first output, None if not streamed.
        load_seconds: loading of a cold runtime; more than 0 makes the row a cold one.
        cached: the endpoint answered from its own cache, so its times do not count.
        error: code of the error it ended with, "" on success.
        provider_id: the id the provider gave it; may be missing, repeated or reused.
        reasoning_tokens: the part of the output tokens that is not shown; None if not reported.
        busy: share of this machine's processors that other programs used meanwhile, 0..1; None if unknown.
        told_image, told_audio: input tokens that the host reports as images or sound; None if it does not.
        bench: made by a benchmark: "alone", or "crowded" among others at the same time, so that its times do not apply
            to one alone. The length of its answer was prescribed, and does not count either.
        cut: the answer ended at a limit, so it would have been longer.
    """

    usage: Usage = Usage()
    cost: float | None = 0.0
    seconds: float = 0.0
    first_seconds: float | None = None
    load_seconds: float = 0.0
    cached: bool = False
    error: str = ""
    provider_id: str = ""
    reasoning_tokens: int | None = None
    busy: float | None = None
    told_image: int | None = None
    told_audio: int | None = None
    bench: Bench = ""
    cut: bool = False


class TransformRow(Value, frozen=True):
    """One transform that was done: a conversion without weights or a price, so no attempt.

    Attributes:
        op: as the step's. amount: in the unit of its figure, see ``figures.TRANSFORMS``: pages, megapixels, seconds.
        seconds: wall time. expected: the mid estimate, None when unknown. expected_range: its low and high.
        busy: as of an outcome.
    """

    op: str
    amount: float
    seconds: float
    run: str = ""
    step: str = ""
    expected: float | None = None
    expected_range: Range | None = None
    busy: float | None = None
    started: str = ""
    sequence: int = 0


class AttemptRow(Value, frozen=True):
    """One row. ``started`` and ``finished`` are ISO 8601, UTC; ``sequence`` numbers ended rows, 0 while it is open."""

    id: str
    state: AttemptState
    reservation: Reservation
    started: str
    finished: str = ""
    outcome: AttemptOutcome | None = None
    sequence: int = 0

    @property
    def size_bucket(self) -> int:
        """As ``size_bucket_of`` has it."""
        return size_bucket_of(self.reservation, self.outcome)

    @property
    def spent(self) -> float:
        """Return the USD that this row counts for: its cost, or the reservation while that is unknown."""
        if self.outcome is not None and self.outcome.cost is not None:
            return self.outcome.cost
        return self.reservation.cost_high


def size_bucket_of(reservation: Reservation, outcome: AttemptOutcome | None) -> int:
    """Power of two of the size that drives its time: input tokens, else deciseconds of sound, else kilopixels."""
    tokens = outcome.usage.input_tokens if outcome is not None else None
    work = reservation.work
    size = tokens or reservation.input_tokens or work.audio_seconds * 10 or work.megapixels * 1000
    return int(size).bit_length()


PARTS = 20  # part names that a row of a run keeps: a conversation may have tens of thousands
_NAME = 200  # letters of each


def names_kept(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of parts as a row of a run keeps them: the first of them, and how many more there are.

    >>> names_kept(["a.png"] * 21)[-2:]
    ('a.png', '… and 1 more')
    """
    kept = tuple(name if len(name) <= _NAME else f"{name[: _NAME - 1]}…" for name in names[:PARTS])
    return kept if len(names) <= PARTS else (*kept, f"… and {len(names) - PARTS:,} more")


class RunRow(Value, frozen=True):
    """One run: names and digests, no content.

    ``parts``: their names, by ``names_kept``. ``outcome`` is "running", "finished", "cancelled", an error code,
    or "process_died" where its process was killed.
    """

    id: str
    plan: str
    inputs: str = ""
    endpoint: str = ""
    objective: str = ""
    parts: tuple[str, ...] = ()
    started: str = ""
    finished: str = ""
    outcome: str = "running"
    cost: float | None = None
    seconds: float | None = None


class Conversation(Value, frozen=True):
    """The last conversation, for ``--continue``: the only place of the store that holds content."""

    messages: tuple[Message, ...]
    endpoint: str = ""
    updated: str = ""
    policy: Policy = Policy()


class EstimateGrade(Value, frozen=True):
    """The accuracy of estimates, over ``count`` attempts: q-error, median and 90th percentile (1.0 is perfect).

    ``before`` is the median of those made before anything was learned, None where there are none; ``median`` and
    ``p90`` are of those made since, or of all where nothing was learned yet. ``inside``: share of them within
    the range they were promised; None where none was recorded.
    """

    op: str
    figure: str
    count: int
    median: float
    p90: float
    endpoint: str = ""
    before: float | None = None
    inside: float | None = None


class Drift(Value, frozen=True):
    """A figure or rule that is off by more than its stated range, with the evidence.

    Attributes:
        endpoint: "media" for a transform. figure: that is off. unit: of both ranges.
        count: runs it was seen in, since ``since`` (day, UTC).
        q_error: median over them.
        stated: low and high that were promised. seen: 10th and 90th percentile of the actuals.
        learned: plans use the actuals instead, from now on.
    """

    endpoint: str
    figure: str
    unit: str
    count: int
    since: str
    q_error: float
    stated: Range
    seen: Range
    learned: bool = False


class EndpointUsage(Value, frozen=True):
    """The usage of one endpoint. ``cost`` in USD, open and unknown attempts at their upper bound."""

    endpoint: str
    attempts: int
    failed: int
    input_tokens: int
    output_tokens: int
    cost: float
    seconds: float


class EstimateComparison(Value, frozen=True):
    """Estimate beside actual at one endpoint, over the ``runs`` that report both: sums of tokens and USD.

    ``learned``: how plans correct the estimate of what goes in, in words; "" where they do not.
    """

    endpoint: str
    runs: int
    input_estimated: float
    input_counted: int
    output_estimated: float
    output_counted: int
    cost_estimated: float
    cost_billed: float
    learned: str = ""


class Summary(Value, frozen=True):
    """``intermodal usage``: everything the store knows, added up.

    ``added_up``: old attempts whose rows are gone; they are in every sum. Of the ``runs``, ``running`` are under way in
    some process, and ``interrupted`` are those whose process ended first.
    """

    endpoints: tuple[EndpointUsage, ...] = ()
    grades: tuple[EstimateGrade, ...] = ()
    beside: tuple[EstimateComparison, ...] = ()
    attempts: int = 0
    runs: int = 0
    running: int = 0
    interrupted: int = 0
    cost: float = 0.0
    open: int = 0
    epoch: int = 0
    added_up: int = 0


T = TypeVar("T")
Pause: TypeAlias = Callable[[], None]
SLICE = 50  # rows; reading one takes 40 µs, fitting it a few µs


def no_pause() -> None:
    """Continue at once."""


def sliced(rows: Iterable[T], pause: Pause) -> Iterator[T]:
    """Yield the rows, with a pause after every ``SLICE`` of them.

    >>> pauses = []
    >>> len(list(sliced(range(120), lambda: pauses.append("pause")))), len(pauses)
    (120, 2)
    """
    for number, row in enumerate(rows, 1):
        yield row
        if number % SLICE == 0:
            pause()
