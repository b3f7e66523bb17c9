"""The client of a process that stays: what is installed, pulled and allowed is looked at once a second."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import NamedTuple

from intermodal.catalog.nouns import Catalog
from intermodal.client import AsyncClient

FRESH = 1.0  # seconds; weights that were pulled meanwhile are seen after that
_KEPT = 64  # by what was named: a client can name anything


class _Held(NamedTuple):
    since: float
    catalog: Catalog


class LastingClient(AsyncClient):
    """An :class:`AsyncClient` for many requests. Making the catalog takes longer than planning with it."""

    def __init__(self) -> None:
        super().__init__()
        self._catalogs: OrderedDict[tuple[tuple[str, ...], tuple[str, ...]], _Held] = OrderedDict()

    def _catalog(self, hosts: tuple[str, ...], named: tuple[str, ...] = ()) -> Catalog:
        now = time.monotonic()
        held = self._catalogs.get((hosts, named))
        if held is None or now - held.since > FRESH:
            made = super()._catalog(hosts, named)
            # What the planner worked out about a catalog stays with the object.
            held = _Held(now, held.catalog if held is not None and held.catalog == made else made)
            self._catalogs[hosts, named] = held
            self._catalogs.move_to_end((hosts, named))
            if len(self._catalogs) > _KEPT:
                self._catalogs.popitem(last=False)
        return self._upstreams.corrected(held.catalog)
