"""The journal of an evaluation: each finished trial is one line of JSON, written when it ends.

An interrupted evaluation continues where it stopped, and grading can change without new runs, because a line holds the
answer and not whether it is right. Only the user can read the file, since answers are content. A trial names its route
by ``EvaluatedRoute``: the answering endpoint, its inputs and the converters, the same for every item.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import field

from intermodal._version import __version__
from intermodal.catalog.types import Task
from intermodal.core.content import Value
from intermodal.core.hints import hint
from intermodal.core.request import Aspect
from intermodal.errors import StoreError, UsageError
from intermodal.plans.plan import Candidate
from intermodal.plans.step import Call, Check

VERSION = f"{__version__}/1"  # version of intermodal, on which routes depend, and of the record format


AGAIN = frozenset({"unreachable", "rate_limited", "overloaded", "stream_cut", "runtime_crashed"})


class EvaluatedRoute(Value):
    """A way of answering, independent of the item.

    Attributes:
        id: first 8 hex digits of a SHA-256 over the rest.
        endpoint, task: of the call that answers.
        summary: its inputs, in the planner's words.
        converters: earlier conversions, in the plan's order, each once ("transcribe embedded:openai/whisper-base").
    """

    id: str
    endpoint: str
    task: Task
    summary: str
    converters: tuple[str, ...] = ()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Return every endpoint it calls, the answering one first."""
        return (self.endpoint, *(word.partition(" ")[2] for word in self.converters if " " in word))

    @property
    def words(self) -> str:
        """Return inputs and converters for display."""
        model_names = [word.replace("embedded:", "") for word in self.converters if " " in word]
        return f"{self.summary} ({', '.join(model_names)})" if model_names else self.summary


class StepActuals(Value):
    """The measured time and cost of a step. ``cost`` in USD.

    ``key`` is the same for the same work on the same content: the key of the cache of derived media, from which other
    routes over the item are served.
    """

    key: str
    seconds: float
    cost: float | None = 0.0
    cached: bool = False


def last_call(candidate: Candidate) -> Call:
    """Return the step that answers."""
    return next(step for step in reversed(candidate.steps) if isinstance(step, Call))


def evaluated_route(candidate: Candidate) -> EvaluatedRoute:
    """Return the route of a candidate."""
    last = last_call(candidate)
    before = [step for step in candidate.steps if step is not last and not isinstance(step, Check)]
    conversions = tuple(dict.fromkeys(f"{s.op} {s.endpoint}" if isinstance(s, Call) else s.op for s in before))
    parts = (candidate.endpoint, last.task, candidate.summary, conversions)
    key = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:8]
    return EvaluatedRoute(
        id=key, endpoint=candidate.endpoint, task=last.task, summary=candidate.summary, converters=conversions
    )


class Trial(Value):
    """One run of one item over one route.

    Attributes:
        item: its id. digest: of everything that determines the request, and of the content of its files.
        repeat: index of the repetition, from 0. rank: the route's place in the planner's order for this item; 0 is its
            choice.
        answer, data, scores: the result. finish_reason: why it ended.
        error, message: the code of the error it ended with, and its message; "" on success.
        seconds: wall time as if nothing had been cached and all models were loaded.
        load_seconds: the actual loading. wall: measured time.
        cost: USD of the route, conversions included; None if unknown.
        spent: USD that this run added to the bill; less if a conversion was cached.
        guessed: whether a conversion was cached before the evaluation, so that its estimate is used for its time.
        input_tokens, output_tokens: of calls that answer or describe, as their endpoints counted.
        loses: aspects. replans: how often the plan was made again. when: UTC, ISO 8601.
    """

    item: str
    digest: str
    route: EvaluatedRoute
    version: str = VERSION
    repeat: int = 0
    rank: int = 0
    answer: str = ""
    data: Any = None
    scores: dict[str, float] = field(default_factory=dict)
    finish_reason: str = ""
    error: str = ""
    message: str = field(default="", name="said")
    seconds: float = 0.0
    load_seconds: float = 0.0
    wall: float = 0.0
    cost: float | None = 0.0
    spent: float = 0.0
    guessed: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    loses: tuple[Aspect, ...] = ()
    replans: int = 0
    steps: tuple[StepActuals, ...] = ()
    when: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.digest, self.route.id, self.repeat)


class TrialJournal:
    """The journal file.

    ``trials`` are those of this version, the newest of each run. Use ``writing`` to add to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trials: dict[tuple[str, str, int], Trial] = {}
        self.spent = 0.0  # USD of all lines, including outdated ones
        self._file: int | None = None

    def read(self) -> None:
        """Read the trials of the journal. Incomplete lines are skipped."""
        try:
            lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        except OSError as error:
            raise self._error("read", error) from None
        decoder = msgspec.json.Decoder(Trial)
        for line in filter(None, lines):
            try:
                trial = decoder.decode(line)
            except msgspec.DecodeError:
                continue  # incomplete or of another version: the item is run again
            self.spent += trial.spent
            if trial.version == VERSION:
                self.trials[trial.key] = trial

    @contextmanager
    def writing(self, *, fresh: bool = False) -> Iterator[TrialJournal]:
        """Lock the journal for this process. Raises UsageError if another process has it."""
        import fcntl

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        except OSError as error:
            raise self._error("opened for writing", error) from None
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    "is in use: another evaluation of this data runs", where=str(self.path), todo="wait for it to end"
                ) from None
            if fresh:
                os.ftruncate(handle, 0)
            else:
                self.read()
                _end_line(handle)
            self._file = handle
            yield self
        finally:
            self._file = None
            os.close(handle)

    def add(self, trial: Trial) -> None:
        """Append a finished run and sync it to disk."""
        assert self._file is not None
        self.trials[trial.key] = trial
        self.spent += trial.spent
        try:
            os.write(self._file, msgspec.json.encode(trial) + b"\n")
            os.fsync(self._file)
        except OSError as error:
            raise self._error("written", error) from None

    def finished_trial(self, key: tuple[str, str, int]) -> Trial | None:
        """Return the finished run for a key; a run that failed temporarily (``AGAIN``) is not finished."""
        trial = self.trials.get(key)
        return None if trial is None or trial.error in AGAIN else trial

    def _error(self, what: str, error: OSError) -> StoreError:
        reason = (error.strerror or type(error).__name__).lower()
        return StoreError(
            f"cannot be {what} ({reason})", where=str(self.path), todo=hint("name another one: {journal=}", "FILE")
        )


def _end_line(handle: int) -> None:
    """Terminate a line that was cut off when a process ended, so that the next one starts on its own line."""
    size = os.lseek(handle, 0, os.SEEK_END)
    if size and os.pread(handle, 1, size - 1) != b"\n":
        os.write(handle, b"\n")
