"""The state shared by the direct calls of one process: connections, rows in batches, and the health of hosts."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from intermodal.errors import StoreError
from intermodal.store.attempts import DirectAttemptRow
from intermodal.transport.http1 import ConnectionPool

if TYPE_CHECKING:
    from intermodal.executor.attempt.circuit_breaker import EndpointHealth
    from intermodal.executor.attempt.step_caller import PriorAttempt
    from intermodal.executor.direct.compiled_plan import CompiledPlan
    from intermodal.store.attempt_journal import AttemptJournal
    from intermodal.store.database import Store
    from intermodal.transport.http1 import Writer


# ---- attempt writer ---------------------------------------------------------------------------------
#
# Writes the rows of direct attempts in batches: noted before the request is sent, committed after it ended.
#
# Everything that ended within a tenth of a second goes into one commit. Until then an attempt that may cost money is
# kept in the crash journal, from which its row is written if this process dies.

# Ids of rows that are written by the thousand: UUID version 7 (RFC 9562), which sort by time of writing.
#
# With random ids each row would touch another page of the index.


_number = itertools.count(int.from_bytes(os.urandom(2), "big"))
_VERSION, _VARIANT = 0x7000, 0x8000
_pack = struct.Struct(">QH6s").pack
_PROCESS_BYTES = os.urandom(6)  # random bytes of this process; a forked child would share them, but no child is forked


def new_ids(now: float) -> tuple[bytes, bytes]:
    """Return two 16-byte ids: milliseconds, a counter, and random bytes of this process.

    ``now``: seconds since the epoch.
    """
    moment, first, second = int(now * 1000) << 16, next(_number), next(_number)
    return (
        _pack(moment | _VERSION | (first >> 12 & 0xFFF), _VARIANT | (first & 0xFFF), _PROCESS_BYTES),
        _pack(moment | _VERSION | (second >> 12 & 0xFFF), _VARIANT | (second & 0xFFF), _PROCESS_BYTES),
    )


def _time_of(name: str) -> float:
    """Return when ``new_ids`` made an id, in seconds since the epoch. ``name``: in hexadecimal digits."""
    return int(name[:12], 16) / 1000


_FLUSH_SECONDS = 0.1  # seconds
_CLOSE_SECONDS = 5.0  # seconds for the last write: a locked store is waited for twice
_MAX_PENDING_ROWS = 20_000  # rows kept while the store does not accept them


class AttemptWriter:
    """Writes the attempt rows of one process. ``store``: returns the store to write to."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._journal: AttemptJournal | None = None
        self._broken = 0.0  # when the store last failed, on the monotonic clock; 0 for never
        self._waiting: list[DirectAttemptRow] = []
        self._slots: list[int] = []
        self._writing: asyncio.Task[None] | None = None
        self._over = asyncio.Event()  # no more rows follow: those waiting are written immediately

    def note(self, compiled: CompiledPlan, attempt: bytes, run: bytes, started: float) -> int:
        """Note an attempt in the journal and return its slot; -1 if it cannot be noted and must not be sent."""
        if self._broken and (self._writing is not None or time.monotonic() - self._broken < 1.0):
            return -1  # until the store accepts the earlier rows: the journal would note it, but is bounded
        try:
            if self._journal is None:
                self._journal = self._store().attempt_journal()
            if compiled.number < 0 or compiled.since != self._journal.since:
                compiled.number = self._journal.add(compiled.sort)
                compiled.since = self._journal.since
        except (StoreError, OSError):
            self._broken = time.monotonic()
            return -1
        return self._journal.note(compiled.number, attempt, run, started)

    def add(self, row: DirectAttemptRow, slot: int) -> None:
        """Add the row of an attempt that ended. ``slot``: in the journal, -1 if it was not noted."""
        self._waiting.append(row)
        if slot >= 0:
            self._slots.append(slot)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_rows())

    def end_run(self, compiled: CompiledPlan, prior: PriorAttempt, outcome: str) -> None:
        """Add the row of a run that ended after its first attempt, since nothing continues it."""
        ending = prior.ending
        self.add(
            DirectAttemptRow(
                compiled.sort, "", prior.run, _time_of(prior.run), time.time(), ending.charge.state, ending.outcome,
                ended=outcome,
            ),
            -1,
        )  # fmt: skip

    @property
    def idle(self) -> bool:
        """True if all attempts that ended are in the store."""
        return self._writing is None

    async def _write_rows(self) -> None:
        try:
            while self._waiting:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), _FLUSH_SECONDS)
                await self._flush()
        finally:
            self._writing = None

    async def _flush(self) -> None:
        rows, self._waiting = self._waiting, []
        slots, self._slots = self._slots, []
        store = self._store()
        commit = asyncio.wrap_future(store.write_in_group(lambda: store.record_direct_calls(rows), later=True))
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError:  # it is unknown whether it commits: its rows stay in the journal
            commit.add_done_callback(lambda future: future.cancelled() or future.exception())
            raise
        except StoreError:
            self._broken = time.monotonic()
            self._waiting = _newest([*rows, *self._waiting])
            self._slots = [*slots, *self._slots]
            await asyncio.sleep(20 * _FLUSH_SECONDS)
        else:
            self._broken = 0.0
            if self._journal is not None:
                for slot in slots:
                    self._journal.free_slot(slot)

    async def close(self) -> None:
        """Write pending rows.

        Rows that the store does not accept in time stay in the crash journal for the next process that opens it.
        """
        self._over.set()
        if self._writing is not None:
            await asyncio.wait((self._writing,), timeout=_CLOSE_SECONDS)
        if self._writing is not None:  # its commit continues in a thread: no other may begin with the same rows
            self._writing.cancel()
            await asyncio.wait((self._writing,))
        self._broken = math.inf  # nothing is journalled from now on: a new journal would replace this one
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def _newest(rows: Sequence[DirectAttemptRow]) -> list[DirectAttemptRow]:
    """Return the rows to keep: all that may have cost money, and the latest of the rest.

    The former never exceed the slots of the journal.
    """
    if len(rows) <= _MAX_PENDING_ROWS:
        return list(rows)
    paid = [row for row in rows if _may_cost(row)]
    free = [row for row in rows if not _may_cost(row)]
    return [*paid, *free[len(rows) - _MAX_PENDING_ROWS :]]


def _may_cost(row: DirectAttemptRow) -> bool:
    return bool(row.attempt and row.sort.attempt.cost_high)


# ---- engine -----------------------------------------------------------------------------------------


class TokenCounts(Protocol):
    """Counts tokens with the vocabularies of this machine."""

    def count(self, tokenizer: str, text: str, /) -> int | None:
        """Return the tokens of a text; None if the vocabulary is not available."""
        ...


class DirectCaller(Protocol):
    """The parts of the calling client that direct calls need. ``moment``: the time of a bill, UTC."""

    upstreams: EndpointHealth
    moment: str

    @property
    def store(self) -> Store: ...

    @property
    def vocabularies(self) -> TokenCounts: ...


class LoopClock:
    """The current time, and timers of the running event loop, for code that reads replies and must not wait."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    def later(self, seconds: float, do: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, do)


class DirectEngine:
    """Shared by the direct calls of one process. ``answered_calls``: their number."""

    def __init__(self, caller: DirectCaller, outbox: Writer | None = None) -> None:
        self.answered_calls = 0
        self.caller = caller
        self.health = caller.upstreams
        self.pool = ConnectionPool(outbox)
        self.rows = AttemptWriter(lambda: caller.store)
        self.clock = LoopClock()

    def watch(self, now: float) -> None:
        """Time out silent hosts. ``now``: on the clock of the event loop."""
        self.pool.fail_silent_hosts(now)

    async def close(self) -> None:
        """Close connections and write the pending rows."""
        self.pool.close()
        await self.rows.close()
