"""Recent plans by owner and id, for ``GET /v1/plans/ID``, whichever worker serves the request."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING

import msgspec

from intermodal.core.bounded_cache import BoundedCache
from intermodal.gateway.workers.shared_state import row_key
from intermodal.plans.plan import Plan

if TYPE_CHECKING:
    from intermodal.gateway.workers.shared_state import ChunkedSharedTable

MAX_PLANS, MAX_PLAN_BYTES = 1024, 4 << 20  # plans, and bytes of all of them
_AGAIN = 1.0  # seconds after which a repeated plan is recorded again, so that it counts among the latest


class PlanHistory:
    """The latest thousand plans. ``shared``: the table of all workers.

    Plans are rarely read, so they are stored encoded: 1 to 3 KB each instead of 7 to 30.
    """

    def __init__(self, shared: ChunkedSharedTable | None = None) -> None:
        self._plans: BoundedCache[tuple[str, str], bytes] = BoundedCache(
            "plans by their ids", MAX_PLANS, room=MAX_PLAN_BYTES, size=lambda _, plan: len(plan)
        )
        self._shared = shared
        self._shared_at: BoundedCache[tuple[str, str], float] = BoundedCache("plans that other workers know", MAX_PLANS)

    def __setitem__(self, key: tuple[str, str], plan: Plan) -> None:
        """Keep a plan. ``key``: its owner and id."""
        data = self._plans.get(key)
        if data is None:
            data = zlib.compress(msgspec.msgpack.encode(plan), 1)
            self._plans[key] = data
        else:  # the id is a digest of the whole content
            self._plans.move_to_end(key)
        if self._shared is not None:
            now = time.monotonic()
            if now - self._shared_at.get(key, -_AGAIN) >= _AGAIN:
                self._shared_at[key] = now
                self._shared.store(row_key(*key), data)

    def find_plan(self, owner: str, name: str) -> Plan | None:
        """Return a plan by its id, if it was made for this owner and is still kept."""
        found = self._plans.get((owner, name))
        if found is None and self._shared is not None:
            found = self._shared.get(row_key(owner, name))
        try:
            return msgspec.msgpack.decode(zlib.decompress(found), type=Plan) if found is not None else None
        except (msgspec.MsgspecError, zlib.error):  # of a worker of another version
            return None
