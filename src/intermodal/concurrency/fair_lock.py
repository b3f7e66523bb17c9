"""A lock that takes turns among requesters: a hundred jobs of one requester delay another by only one job."""

from __future__ import annotations

from collections import OrderedDict, deque
from contextvars import ContextVar
from types import TracebackType
from typing import Any

_requester: ContextVar[object] = ContextVar("requester", default=None)


def new_requester() -> None:
    """Make this task, and the tasks it starts from now on, a separate requester."""
    _requester.set(object())


class FairLock:
    """A lock (``async with lock:``) that requesters hold in turns; tasks of one requester hold it in order.

    ``places``: how many tasks may hold it at the same time.
    """

    def __init__(self, places: int = 1) -> None:
        self._free = places
        self._waiting: OrderedDict[object, deque[Any]] = OrderedDict()

    def locked(self) -> bool:
        """Return whether the next task has to wait."""
        return not self._free

    async def __aenter__(self) -> None:
        import anyio

        if self._free:
            self._free -= 1
            return
        requester, turn = _requester.get(), anyio.Event()
        self._waiting.setdefault(requester, deque()).append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # it received the lock while being cancelled
                self._wake_next()
            else:
                queue = self._waiting[requester]
                queue.remove(turn)
                if not queue:
                    del self._waiting[requester]
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wake_next()

    def _wake_next(self) -> None:
        if not self._waiting:
            self._free += 1
            return
        requester, queue = self._waiting.popitem(last=False)
        turn = queue.popleft()
        if queue:
            self._waiting[requester] = queue  # behind the others
        turn.set()
