"""Writes of many runs in one commit: whoever writes while a commit is on its way is in the next one.

A commit waits for the disk, and a lock is held meanwhile; thirty runs that each commit on their own wait for each
other. One thread writes for all of them, so a write waits for at most two commits, and the disk is asked
once for many.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from intermodal.errors import StoreError
from intermodal.store.connection import shown

if TYPE_CHECKING:
    import sqlite3

    from intermodal.store.connection import Database

T = TypeVar("T")
_MOST = 128  # writes of one commit


class _Write(NamedTuple):
    do: Callable[[], Any]
    later: bool
    done: Future[Any]


class Together:
    """``before``: done once ahead of a commit, outside of it."""

    def __init__(self, database: Database, before: Callable[[], None] = lambda: None) -> None:
        self._database = database
        self._before = before
        self._lock = threading.Lock()
        self._waiting: list[_Write] = []
        self._thread: ThreadPoolExecutor | None = None
        self._busy = False

    def write(self, do: Callable[[], T], *, later: bool = False) -> Future[T]:
        """Do it in the next commit. The result is there once that is on disk (``later``: once it is made).

        Each write is whole or not there, whatever the others of its commit do. It may be done twice: a commit that
        fails is made again for each write alone, so that nobody fails for another's sake.
        """
        done: Future[T] = Future()
        done.set_running_or_notify_cancel()  # whoever waits may leave; the write is made all the same
        with self._lock:
            self._waiting.append(_Write(do, later, done))
            if self._busy:
                return done
            self._busy = True
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
            try:
                self._thread.submit(self._drain)
            except RuntimeError as error:  # no thread is to be had; the next write tries again
                self._thread, self._busy = None, False
                self._waiting.clear()  # this one alone: others wait only for a thread that is there
                what, where = f"cannot be written ({error})", shown(self._database.path)
                done.set_exception(StoreError(what, where=where, todo="end other programs, or allow more threads"))
        return done

    def close(self) -> None:
        """Wait for what is to be written."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()

    def _drain(self) -> None:
        while True:
            with self._lock:
                taken, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                if not taken:
                    self._busy = False
                    return
            if len(taken) == 1 or not self._all(taken):
                for each in taken:
                    self._one(each)

    def _one(self, write: _Write) -> None:
        try:
            self._before()
            with self._database.writing(later=write.later):
                result = write.do()
        except BaseException as error:
            write.done.set_exception(error)
        else:
            write.done.set_result(result)

    def _all(self, taken: list[_Write]) -> bool:
        """All in one commit; False where nothing of it was made."""
        try:
            self._before()
            with self._database.writing(later=all(each.later for each in taken)) as connection:
                made = [_within(connection, each) for each in taken]
        except StoreError:
            return False
        except BaseException as error:
            for each in taken:
                each.done.set_exception(error)
            return True
        for each, (result, failure) in zip(taken, made, strict=True):
            if failure is None:
                each.done.set_result(result)
            else:
                each.done.set_exception(failure)
        return True


def _within(connection: sqlite3.Connection, write: _Write) -> tuple[Any, Exception | None]:
    """One write of a commit, undone alone where it is wrong. Raises StoreError where the file cannot be used."""
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
