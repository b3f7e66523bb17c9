"""Plans that were made, for who asked: kept for ``GET /v1/plans/ID``, whichever worker is asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from intermodal.gateway.latest import Latest
from intermodal.gateway.workers.table import named
from intermodal.plans.plan import Plan

if TYPE_CHECKING:
    from intermodal.gateway.workers.table import Long

_KEPT = 2048
_AGAIN = 1.0  # seconds after which a plan that is made again is told again, so that it counts among the latest


class Plans:
    """The latest two thousand. ``shared``: what other workers know, and are told."""

    def __init__(self, shared: Long | None = None) -> None:
        self._plans: Latest[tuple[str, str], Plan] = Latest(_KEPT)
        self._shared = shared
        self._told: Latest[tuple[str, str], float] = Latest(_KEPT)

    def __setitem__(self, key: tuple[str, str], plan: Plan) -> None:
        """``key``: for whom, and its id."""
        self._plans[key] = plan
        if self._shared is not None:
            now = time.monotonic()
            if now - self._told.get(key, -_AGAIN) >= _AGAIN:
                self._told[key] = now
                self._shared.put(named(*key), msgspec.msgpack.encode(plan))

    def of(self, owner: str, name: str) -> Plan | None:
        """A plan by its id, if it was made for this owner and is still kept."""
        found = self._plans.get((owner, name))
        if found is None and self._shared is not None:
            said = self._shared.get(named(owner, name))
            try:
                return msgspec.msgpack.decode(said, type=Plan) if said is not None else None
            except msgspec.MsgspecError:  # of a worker of another version
                return None
        return found
