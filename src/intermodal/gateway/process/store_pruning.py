"""Aggregates and deletes old rows of the store once a minute, in a thread beside the requests.

One of several workers does it; the others find nothing left to do.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from intermodal.errors import StoreError
from intermodal.store.pruning import PruneStopped, RetentionPolicy

if TYPE_CHECKING:
    from intermodal.client.async_client import AsyncClient

PRUNE_SECONDS = 60.0  # seconds


class StorePruner:
    """Runs ``store/pruning.py`` once a minute, from ``start`` in a running loop."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._over = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._prune_repeatedly())

    async def close(self) -> None:
        """Stop after the current batch, which takes a moment."""
        self._over.set()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _prune_repeatedly(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_SECONDS)
            with suppress(StoreError, PruneStopped):  # a full disk or a lock: tried again in a minute
                work = asyncio.ensure_future(asyncio.to_thread(self._prune))
                try:
                    await asyncio.shield(work)
                except asyncio.CancelledError:
                    with suppress(StoreError, PruneStopped):
                        await work
                    raise

    def _prune(self) -> None:
        settings = self._client.config.store
        self._client.store.prune(RetentionPolicy(seconds=settings.seconds, rows=settings.rows), self._pause)

    def _pause(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise PruneStopped
