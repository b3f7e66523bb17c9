"""Run coroutines for synchronous callers, on an event loop in its own thread.

An entire ``async for`` runs in one task and feeds a queue, at most a few hundred items ahead, so that cancel scopes
opened by the generator are closed in the task that opened them. Ctrl-C in the calling thread cancels that task and
waits until it has finished.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

from intermodal.errors import UsageError

T = TypeVar("T")
_DONE = object()
_AHEAD = 256  # items produced ahead of the reader


class SyncBridge:
    """Runs coroutines for a synchronous caller. Started on first use, stopped by :meth:`close`."""

    def __init__(self) -> None:
        self._manager: Any = None
        self._portal: Any = None
        self._process = os.getpid()
        self._thread = 0
        self._streams: set[Any] = set()  # futures of iterations that may have been abandoned half read

    def _start(self) -> Any:
        if self._process != os.getpid():
            raise UsageError(
                "this client was made before the process was forked, and its threads did not come along",
                todo="make a Client in the child process",
            )
        if self._portal is None:
            from anyio.from_thread import start_blocking_portal

            self._manager = start_blocking_portal("asyncio")
            self._portal = self._manager.__enter__()
            self._thread = self._portal.call(threading.get_ident)
        return self._portal

    @property
    def started(self) -> bool:
        """Whether the loop runs in this process."""
        return self._portal is not None and self._process == os.getpid()

    @property
    def is_loop_thread(self) -> bool:
        """Whether the calling thread is that of the loop, which cannot wait for itself."""
        return self.started and threading.get_ident() == self._thread

    def run(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Call an async function and wait for it; an interrupt cancels it and waits for its cleanup."""
        future = self._start().start_task_soon(function, *arguments)
        try:
            result: T = future.result()
            return result
        except KeyboardInterrupt:
            _cancel_and_wait(future)
            raise

    def iterate(self, make: Callable[[], AsyncGenerator[T]]) -> Iterator[T]:
        """Iterate over an async generator created by ``make``. Closing the returned iterator cancels it."""
        items: queue.Queue[Any] = queue.Queue()

        async def feed() -> None:
            import anyio

            async with aclosing(make()) as source:
                async for item in source:
                    while items.qsize() >= _AHEAD:  # noqa: ASYNC110 - the reader is a thread, it sets no event
                        await anyio.sleep(0.01)  # a slow reader slows the source, never fills the memory
                    items.put_nowait(item)

        future = self._start().start_task_soon(feed)
        self._streams.add(future)
        future.add_done_callback(lambda _: items.put_nowait(_DONE))
        try:
            while True:
                item = items.get()
                if item is _DONE:
                    future.result()
                    return
                yield item
        finally:
            self._streams.discard(future)
            if not future.done():
                _cancel_and_wait(future)

    def close(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Call ``last``, cancel unfinished iterations, and stop the loop when every call has ended.

        ``last`` is skipped if the loop never started.
        """
        if last is not None and self.started:
            self.run(last)
        if self._manager is not None and self._process == os.getpid():
            manager, self._manager, self._portal = self._manager, None, None
            for stream in tuple(self._streams):
                _cancel_and_wait(stream)
            manager.__exit__(None, None, None)


def _cancel_and_wait(future: Any) -> None:
    """Cancel the task and wait for its shielded cleanup (rows settled, children killed)."""
    import concurrent.futures

    future.cancel()
    try:
        concurrent.futures.wait([future], timeout=2)
    except KeyboardInterrupt:
        return  # a second Ctrl-C: leave at once
