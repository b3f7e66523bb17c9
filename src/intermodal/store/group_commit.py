"""Group commit: writes of many runs in one transaction.

A commit waits for the disk while holding a lock; thirty runs that each commit on their own wait for each other. One
thread writes for all of them, so a write waits for at most two commits, and the disk is synced once for many.

Computing statistics takes longer than a commit: a third of a second for four endpoints. The same thread computes them
when nothing is queued, outside a transaction, so that no other process waits for it, and in slices: after each slice it
writes what is queued, or yields the processor.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from intermodal.errors import StoreError
from intermodal.files.atomic_file import display_path
from intermodal.store.rows import Pause, no_pause

if TYPE_CHECKING:
    import sqlite3

    from intermodal.store.sqlite_file import Database

T = TypeVar("T")
_MOST = 128  # writes of one commit
_REST = 3.0  # pause after a slice, relative to its duration
_LONGEST = 0.02  # seconds of rest; a slice that took long had waited for the processor itself


class _Write(NamedTuple):
    do: Callable[[], Any]
    later: bool
    done: Future[Any]


class GroupCommitter:
    """Commits queued writes together.

    Args:
        before: called ahead of each commit, outside of it.
        after: called when everything is written; it calls its argument between slices.
    """

    def __init__(
        self, database: Database, before: Callable[[], None] = no_pause, after: Callable[[Pause], None] = lambda _: None
    ) -> None:
        self._database = database
        self._before = before
        self._after = after
        self._came = threading.Event()  # a write, or the end
        self._since = 0.0  # when the slice began, on the monotonic clock
        self._mine = 0  # identity of the thread
        self._lock = threading.Lock()
        self._waiting: list[_Write] = []
        self._thread: ThreadPoolExecutor | None = None
        self._busy = False

    def write(self, do: Callable[[], T], *, later: bool = False) -> Future[T]:
        """Queue a write for the next commit; its result is available when that commit is on disk (``later``:
        committed).

        Each write is applied completely or not at all, regardless of the other writes in its commit. It may run twice:
        a failed commit is repeated for each write alone, so that no write fails because of another.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # the write happens even if the waiting caller is cancelled
        with self._lock:
            self._waiting.append(_Write(do, later, future))
            self._came.set()
            if self._busy:
                return future
            self._busy = True
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
            try:
                self._thread.submit(self._drain)
            except RuntimeError as error:  # no thread is to be had; the next write tries again
                self._thread, self._busy = None, False
                self._waiting.clear()  # only this write: others wait only while a thread exists
                what, where = f"cannot be written ({error})", display_path(self._database.path)
                future.set_exception(StoreError(what, where=where, todo="end other programs, or allow more threads"))
        return future

    @property
    def writes(self) -> bool:
        """Whether the current thread is the writing thread."""
        return threading.get_ident() == self._mine

    def close(self) -> None:
        """Wait for queued writes and the work that follows them."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._came.set()
        if thread is not None:
            thread.shutdown()

    def _drain(self) -> None:
        self._mine = threading.get_ident()
        while True:
            self._write_waiting()
            self._since = time.monotonic()
            try:
                self._after(self._pause)
            except Exception as error:  # no caller waits for it, and later writes must go on
                what = (type(error), error, error.__traceback__, threading.current_thread())
                threading.excepthook(threading.ExceptHookArgs(what))
            with self._lock:
                if not self._waiting:
                    self._busy = False
                    return

    def _pause(self) -> None:
        """Yield the processor to others, unless the store is about to be closed, and write what is queued."""
        if self._thread is not None:
            self._came.wait(min(_LONGEST, _REST * (time.monotonic() - self._since)))
        self._write_waiting()
        self._since = time.monotonic()

    def _write_waiting(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                self._came.clear()
            if not batch:
                return
            if len(batch) == 1 or not self._commit_together(batch):
                for each in batch:
                    self._commit_alone(each)

    def _commit_alone(self, write: _Write) -> None:
        try:
            self._before()
            with self._database.writing(later=write.later):
                result = write.do()
        except BaseException as error:
            write.done.set_exception(error)
        else:
            write.done.set_result(result)

    def _commit_together(self, writes: list[_Write]) -> bool:
        """Write all in one commit; return False if nothing was applied."""
        try:
            self._before()
            with self._database.writing(later=all(each.later for each in writes)) as connection:
                results = [_run_in_savepoint(connection, each) for each in writes]
        except StoreError:
            return False
        except BaseException as error:
            for each in writes:
                each.done.set_exception(error)
            return True
        for each, (result, failure) in zip(writes, results, strict=True):
            if failure is None:
                each.done.set_result(result)
            else:
                each.done.set_exception(failure)
        return True


def _run_in_savepoint(connection: sqlite3.Connection, write: _Write) -> tuple[Any, Exception | None]:
    """Run one write of a commit in a savepoint, so that an error undoes only this write.

    Returns its result and its error. Raises StoreError if the file cannot be used.
    """
    connection.execute("SAVEPOINT one")
    try:
        result, failure = write.do(), None
    except StoreError:
        raise
    except Exception as error:
        connection.execute("ROLLBACK TO one")
        result, failure = None, error
    connection.execute("RELEASE one")
    return result, failure
