"""Runs an event producer in its own task, so that its reader may leave at any time.

A task group or cancel scope must be left by the task that entered it. An async generator cannot guarantee that: its
reader may ``break``, and the garbage collector then closes it in another task. So the producer runs in its own task,
with the only cancel scope, and the generator holds only a bounded queue.

anyio has no task without a group, so this module uses asyncio. Trio is not supported.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from intermodal.errors import UsageError

if TYPE_CHECKING:
    from anyio import CancelScope
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

T = TypeVar("T")
CLEAN_UP = 1.0  # seconds that closing waits for rows to be settled and children to end

# Strong references to tasks, since the event loop keeps only weak ones; the values identify their owners.
_running: dict[asyncio.Task[None], tuple[Hashable, CancelScope]] = {}


class ItemSender(Generic[T]):
    """The producer's end of the queue.

    anyio hands an item to a waiting reader directly, and it is lost if the reader is cancelled before its next turn. So
    no reader waits in the queue: it is woken by ``arrived`` and takes the item itself.
    """

    def __init__(self, queue: MemoryObjectSendStream[T], arrived: asyncio.Event) -> None:
        self._queue = queue
        self._arrived = arrived

    async def send(self, item: T) -> None:
        """Queue an item, once there is room."""
        await self._queue.send(item)
        self._arrived.set()

    def send_nowait(self, item: T) -> None:
        """Queue an item. Raises ``anyio.WouldBlock`` if there is no room."""
        self._queue.send_nowait(item)
        self._arrived.set()


async def stream_from_task(
    produce: Callable[[ItemSender[T]], Awaitable[None]], *, ahead: int, owner: Hashable,
    unread: Callable[[T], None] | None = None,
) -> AsyncGenerator[T, None]:  # fmt: skip
    """Yield the items that ``produce`` sends until it returns; raise its exceptions.

    Closing the generator, leaving it to the garbage collector, or cancelling the reader cancels the producer. All but
    the second wait up to ``CLEAN_UP`` seconds for its clean-up.

    Args:
        ahead: items that may be queued; a slow reader slows the producer.
        owner: the object that the producer works with, for ``cancel_tasks_of``.
        unread: receives the items that the reader left unread, among them those of the clean-up.
    """
    import anyio

    send, receive = anyio.create_memory_object_stream[T](ahead)
    scope, arrived = anyio.CancelScope(), asyncio.Event()

    async def drive() -> None:
        try:
            async with send:
                with scope:
                    await produce(ItemSender(send, arrived))
        finally:
            arrived.set()

    try:
        task = asyncio.get_running_loop().create_task(drive())
    except RuntimeError:
        raise UsageError("runs on asyncio only", todo="run it with asyncio.run") from None
    _running[task] = (owner, scope)
    task.add_done_callback(_drop_task)
    try:
        while True:
            try:
                item = receive.receive_nowait()
            except anyio.WouldBlock:
                arrived.clear()
                await arrived.wait()
            except anyio.EndOfStream:
                break
            else:
                yield item
        await task  # it has ended: raise its error
        if scope.cancelled_caught:
            raise UsageError("the client was closed while this was running", todo="read to the end before closing it")
    finally:
        if unread is not None:
            _read_rest(receive, unread)  # before the clean-up, which finds no room in a full queue
        await _stop([task])
        if unread is not None:
            _read_rest(receive, unread)
        receive.close()
        del task  # it holds the error that it ended with, whose traceback holds this frame


def _read_rest(receive: MemoryObjectReceiveStream[T], unread: Callable[[T], None]) -> None:
    import anyio

    with suppress(anyio.WouldBlock, anyio.EndOfStream):
        while True:
            unread(receive.receive_nowait())


async def cancel_tasks_of(owner: Hashable) -> None:
    """Cancel the tasks that still work with ``owner`` after their readers left, and wait for their clean-up."""
    await _stop([task for task, (whose, _) in _running.items() if whose is owner])


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    import anyio

    loop = asyncio.get_running_loop()
    waiting = [task for task in tasks if not task.done() and task.get_loop() is loop]
    if not waiting:
        return
    for task in waiting:
        _running[task][1].cancel()
    with anyio.CancelScope(shield=True):
        await asyncio.wait(waiting, timeout=CLEAN_UP)


def _drop_task(task: asyncio.Task[None]) -> None:
    del _running[task]
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it after the reader left
