"""``Store``, the entry point to the user's records: attempts, runs and the last conversation, in one SQLite file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from intermodal.core.content import Value
from intermodal.core.request import Message, Policy
from intermodal.errors import StoreError
from intermodal.events import AttemptState
from intermodal.files.atomic_file import display_path
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.statistics import Statistics
from intermodal.store import attempts, cpu_contention, epochs, estimate_accuracy, learned_figures, pruning
from intermodal.store.attempt_journal import AttemptJournal
from intermodal.store.attempts import DirectAttemptRow
from intermodal.store.group_commit import GroupCommitter
from intermodal.store.process_identity import identity
from intermodal.store.pruning import PruneResult, RetentionPolicy
from intermodal.store.rows import (
    AttemptOutcome,
    AttemptRow,
    Bench,
    Conversation,
    Drift,
    Pause,
    Reservation,
    RunRow,
    Summary,
    TransformRow,
    no_pause,
)
from intermodal.store.sqlite_file import Database

T = TypeVar("T")
LEARN_SECONDS = 5.0  # minimum between two reads of direct attempts, of which there may be thousands a second ...
LEARN_SHARE = 0.01  # ... and the maximum share of time spent on it
MAX_CONVERSATION = 32 << 20  # bytes of JSON; a longer conversation (pasted media) is not stored


class Store:
    """Records money and time spent. It holds no content except the last conversation.

    A store that was never written is empty, and reading it creates no file. Rows that dead processes left open are
    closed at their upper bound before anything is read or reserved.

    Every method raises StoreError if the file cannot be used. Methods block for milliseconds (at most 2 s, waiting for
    a lock); asynchronous callers run them in a thread, except ``statistics``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path)
        self._reader = Database(path)  # a second connection, so that reads do not wait for our writes
        self._recovered = False
        self._learned = False
        self._together = GroupCommitter(self._database, self._open_once, self._learn_beside)
        self._learning = threading.Lock()  # one at a time: of two that start together, the later result would be lost
        self._ended = False  # a write asked to recompute the statistics
        self.bench: Bench = ""  # the purpose of ending runs: see ``rows.Outcome``
        self._learn_at = 0.0  # on the monotonic clock
        self._began: dict[str, cpu_contention.CpuMoment | None] = {}  # of rows that are open: how busy the machine was

    def write_in_group(self, write: Callable[[], T], *, later: bool = False) -> Future[T]:
        """Run ``write`` in one commit that is shared with other runs: all of its changes are applied, or none.

        Does not block. ``later``: does not wait for the disk.
        """
        return self._together.write(write, later=later)

    # ---- attempts: see store/attempts.py for the states ---------------------------------------

    def reserve(self, reservation: Reservation) -> str:
        """Write the row of an attempt before anything is sent; return its id."""
        self._open_once()
        key = attempts.reserve(self._database, reservation)
        if reservation.zone in LOCAL_ZONES:  # elsewhere this machine's load does not matter
            self._began[key] = cpu_contention.cpu_moment()
        return key

    def mark_sent(self, attempt: str) -> None:
        """Record that the first byte is about to be sent. Raises WrongState unless the row is reserved."""
        attempts.move_row(self._database, attempt, "sent")

    def settle(self, attempt: str, outcome: AttemptOutcome) -> None:
        """Close an attempt whose cost is known."""
        self._end(attempt, "settled", outcome)

    def estimate(self, attempt: str, outcome: AttemptOutcome) -> None:
        """Close an attempt that may have been billed; if ``outcome.cost`` is None, the reserved amount counts."""
        self._end(attempt, "estimated", outcome)

    def void(self, attempt: str, outcome: AttemptOutcome | None = None) -> None:
        """Close an attempt that was certainly not billed."""
        self._end(attempt, "void", outcome or AttemptOutcome())

    def _end(self, attempt: str, state: AttemptState, outcome: AttemptOutcome) -> None:
        began = self._began.pop(attempt, None)
        if self.bench:
            outcome = msgspec.structs.replace(outcome, bench=self.bench)
        if outcome.busy is None and began is not None:
            outcome = msgspec.structs.replace(
                outcome, busy=cpu_contention.share_of_others(began, cpu_contention.cpu_moment())
            )
        attempts.move_row(self._database, attempt, state, outcome)
        self._learn()

    def record_transform(self, transform_row: TransformRow) -> None:
        """Record a completed transform."""
        attempts.add_transform(self._database, transform_row)
        self._learn()

    def learn(self) -> Statistics:
        """Recompute the statistics now, not after more rows: a benchmark needs them in the next plan."""
        self._learn_later(at_once=True)
        return self.statistics()

    def _learn(self) -> None:
        """Recompute the statistics if enough rows were added: now, or after the current commit."""
        if self._together.writes:
            self._ended = True
        else:
            self._learn_later()

    def _learn_beside(self, pause: Pause) -> None:
        """Recompute the statistics if a write asked for it.

        If the store cannot be used now, this happens after more rows.
        """
        if self._ended:
            self._ended = False
            with suppress(StoreError):
                self._learn_later(pause)

    def _learn_later(self, pause: Pause = no_pause, *, at_once: bool = False) -> None:
        with self._learning:
            began = time.thread_time()
            epochs.learn(self._database, at_once=at_once, pause=pause)
            took = time.thread_time() - began
            self._learn_at = time.monotonic() + max(LEARN_SECONDS, took / LEARN_SHARE)

    def recover(self) -> int:
        """Close what dead processes left open: attempts at their upper bound, and runs; return the number of rows."""
        self._recovered = True
        attempted = attempts.recover(self._database) + attempts.recover_journal(self._database, self._journal_folder)
        return attempted + attempts.recover_runs(self._database)

    # ---- calls that are passed on: see store/attempts.py -----------------------------------------

    def attempt_journal(self) -> AttemptJournal:
        """Return the journal in which this process records direct attempts before it sends them. Raises StoreError."""
        self._open_once()
        self._database.ready()
        try:
            return AttemptJournal(self._journal_folder, identity())
        except OSError as error:
            what = f"cannot be made ({error.strerror or type(error).__name__})"
            raise StoreError(what, where=display_path(self._journal_folder), todo="free some space") from None

    def record_direct_calls(self, rows: Sequence[DirectAttemptRow]) -> None:
        """Record ended direct calls."""
        attempts.add_direct(self._database, rows)
        if time.monotonic() >= self._learn_at:
            self._learn()

    @property
    def _journal_folder(self) -> Path:
        return self.path.with_name("slates")

    def attempts(self, limit: int = 100) -> tuple[AttemptRow, ...]:
        """Return the newest attempts, newest first."""
        self._open_once()
        return attempts.newest(self._database, limit)

    def transforms(self, limit: int = 100) -> tuple[TransformRow, ...]:
        """Return the newest transforms of every op, in the order in which they were done."""
        return attempts.recent_transforms(self._database, limit)

    # ---- statistics ---------------------------------------------------------------------------

    def statistics(self) -> Statistics:
        """Return the statistics of earlier attempts for the planner: the newest epoch (``store/epochs.py``).

        Does not wait for writers.
        """
        found = epochs.newest(self._reader)
        if not found.looked and not self._learned:
            epochs.learn(self._database)  # rows of an older version; later rows are learned from when they end
            self._learned = True
            found = epochs.newest(self._reader)
        return found.statistics

    def summary(self) -> Summary:
        """Return the totals of the store, for ``intermodal usage``."""
        self._open_once()
        totals = pruning.totals(self._database)
        newest, first = epochs.newest(self._database), epochs.oldest(self._database)
        rows = attempts.recent(self._database, learned_figures.READ)
        if first.number:  # rows planned before anything was learned are graded separately
            early = attempts.recent(self._database, learned_figures.READ, upto=first.ended)
            rows = tuple(sorted({row.sequence: row for row in (*early, *rows)}.values(), key=lambda row: row.sequence))
        return estimate_accuracy.summary(
            totals, rows, self.transforms(estimate_accuracy.LOOKED_AT), newest=newest, first=first
        )

    def drifts(self) -> tuple[Drift, ...]:
        """Return the values and rules that are off by more than their stated range, for ``intermodal doctor``."""
        self._open_once()
        newest = epochs.newest(self._database)
        rows = attempts.recent(self._database, estimate_accuracy.LOOKED_AT)
        return estimate_accuracy.drifts(rows, self.transforms(estimate_accuracy.LOOKED_AT), newest)

    def prune(self, keep: RetentionPolicy, rest: Callable[[float], None] = pruning.pause) -> PruneResult | None:
        """Roll up ended rows and delete those beyond ``keep``: see ``store/pruning.py``.

        Works concurrently with writers, over its own connection; takes seconds if there are many rows. Returns None if
        another process is pruning. ``rest``: waits between two batches.
        """
        self._open_once()
        if not self.path.exists():
            return PruneResult()
        database = Database(self.path)
        try:
            with pruning.prune_lock(self.path) as has_lock:
                return pruning.prune(database, keep, self._journal_folder, rest=rest) if has_lock else None
        finally:
            database.close()

    # ---- runs ---------------------------------------------------------------------------------

    def start_run(self, row: RunRow) -> None:
        attempts.start_run(self._database, row)

    def finish_run(self, row: RunRow) -> None:
        attempts.finish_run(self._database, row)

    def runs(self, limit: int = 100) -> tuple[RunRow, ...]:
        """Return the newest runs, newest first."""
        self._open_once()
        return attempts.newest_runs(self._database, limit)

    # ---- the last conversation ----------------------------------------------------------------

    def save_conversation(self, messages: tuple[Message, ...], endpoint: str, policy: Policy) -> bool:
        """Store this conversation and its policy, replacing the last one. Return False if it is too long to store."""
        body = msgspec.json.encode(_Messages(messages=messages, policy=policy))
        if len(body) > MAX_CONVERSATION:
            return False
        with self._database.writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO conversation VALUES (1, ?, ?, ?)", (body, endpoint, attempts.utc_now_text())
            )
        return True

    def last_conversation(self) -> Conversation | None:
        """Return the last conversation; None if there is none or an older version wrote it."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT * FROM conversation").fetchone() if connection is not None else None
        if row is None:
            return None
        try:
            messages = msgspec.json.decode(row["messages"], type=_Messages)
        except msgspec.DecodeError:
            return None
        return Conversation(
            messages=messages.messages, endpoint=row["endpoint"], updated=row["updated"], policy=messages.policy
        )

    def check(self) -> None:
        """Raise StoreError if a run could not be recorded. Creates no file and writes no row."""
        self._database.check()

    def ready(self) -> None:
        """Raise StoreError if the file cannot be opened for writing.

        Called before anything is sent whose row is written later.
        """
        self._database.ready()

    def close(self) -> None:
        self._together.close()
        self._database.close()
        self._reader.close()

    def _open_once(self) -> None:
        if not self._recovered:
            self.recover()


class _Messages(Value, frozen=True):
    messages: tuple[Message, ...] = ()
    policy: Policy = Policy()


__all__ = ["Store", "StoreError"]
