"""The client of a long-running server: it checks installed, pulled and allowed models at most once a second."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from intermodal.catalog.snapshot.endpoints import has_name
from intermodal.catalog.types import Catalog, EndpointShortcoming
from intermodal.client.async_client import AsyncClient
from intermodal.concurrency.offload import offload
from intermodal.core.bounded_cache import BoundedCache
from intermodal.core.hints import Surface
from intermodal.core.request import Policy
from intermodal.errors import IntermodalError
from intermodal.executor.api import EndpointHealth
from intermodal.plans.machine import Machine
from intermodal.telemetry.activation import is_enabled, start_telemetry
from intermodal.transport.client import Transport

if TYPE_CHECKING:
    from intermodal.telemetry.signals import Signals

REFRESH_SECONDS = 1.0  # seconds after which newly pulled weights are seen
_GOOD = 10.0  # seconds for which a snapshot is used while a new one is taken: servers may take seconds to answer
MAX_CATALOGS = 32  # by named model: a client can name anything


class _CachedCatalog(NamedTuple):
    since: float
    looked_in: Catalog  # without the named models; with them it is ``named``
    named: Catalog
    catalog: Catalog
    learned: tuple[EndpointShortcoming, ...]  # shortcomings of the called endpoints; with them it is ``corrected``
    corrected: Catalog


class ServerClient(AsyncClient):
    """An :class:`AsyncClient` for many requests. It caches the catalog, which takes longer to build than a plan."""

    surface: ClassVar[Surface] = "http"

    def __init__(self) -> None:
        super().__init__()
        self.upstreams: EndpointHealth = self._upstreams
        self.machine = Machine()
        self.epoch = -1
        self.today = ""  # date of a plan, UTC
        self.moment = ""  # minute of a bill, UTC
        self._looked = -math.inf  # when the last look began, for callers that need not wait for it
        self._seen = -math.inf  # when the whole state was last confirmed
        self._look: asyncio.Task[None] | None = None
        self.remarks: list[str] = []  # requested settings without effect
        self._machines: tuple[float, tuple[str, ...], Machine] | None = None
        self._catalogs: BoundedCache[tuple[tuple[str, ...], tuple[str, ...]], _CachedCatalog] = BoundedCache(
            "catalogs by what was named", MAX_CATALOGS
        )

    @cached_property
    def telemetry(self) -> Signals | None:
        """The telemetry of runs; None if it is not enabled.

        Telemetry that the config enables must start, or this raises; environment variables may be meant for other
        programs of the machine, so a failure is only noted in ``remarks``.
        """
        settings = self.config.telemetry
        if not is_enabled(settings, self.env):
            return None
        try:
            return start_telemetry(settings, self.env)
        except IntermodalError as error:
            if settings.enabled or settings.endpoint:
                raise
            self.remarks.append(str(error))
            return None

    # ---- for planning without a request (``direct/``)

    @property
    def up_to_date(self) -> bool:
        """True if ``refresh`` would return at once."""
        return time.monotonic() - self._looked < REFRESH_SECONDS

    async def refresh(self) -> None:
        """Refresh servers, machine, learned limits and the date, at most once a second.

        One refresh serves all requests that wait for it, whichever of them is cancelled.
        """
        if self.up_to_date:
            return
        look = self._look
        if look is None or look.done():
            look = self._look = asyncio.get_running_loop().create_task(self._refresh())
            look.add_done_callback(lambda look: look.cancelled() or look.exception())  # all waiting callers may be gone
        elif time.monotonic() - self._seen < _GOOD:
            return
        await asyncio.shield(look)

    async def _refresh(self) -> None:
        began = time.monotonic()
        if began - self._seen < _GOOD:
            self._looked = began
        await self.known.scan()
        loaded = self._runtimes.loaded_endpoints() if self._runtimes is not None else ()
        machine = self._machine(loaded)
        self.machine = self.machine if machine == self.machine else machine
        self._upstreams.drop_expired(began)
        self.epoch = self.store.statistics().epoch
        self.moment = datetime.now(UTC).isoformat(timespec="minutes")[:16]
        self.today = self.moment[:10]
        self._looked = self._seen = began

    async def aclose(self) -> None:
        if self._look is not None:
            self._look.cancel()
            await asyncio.wait((self._look,))
        await super().aclose()

    def catalog_for(self, policy: Policy) -> Catalog:
        """Return the catalog that a request under this policy is planned with."""
        return self._catalog(policy.hosts, (policy.model,))

    @property
    def proxies(self) -> bool:
        """True if the environment names a proxy for hosts on the internet."""
        return Transport().proxies

    def has_catalog_for(self, policy: Policy) -> bool:
        """Return True if the catalog for a policy is cached, so that its model's name was already looked up."""
        return (policy.hosts, (policy.model,)) in self._catalogs

    async def look_up(self, policy: Policy) -> None:
        """Look up the model that a policy names, in a thread if the whole snapshot has to be searched.

        On the event loop this would delay all other requests for several milliseconds, and for a tenth of a second the
        first time, when names are indexed.
        """
        word, key = policy.model.strip().lower(), (policy.hosts, (policy.model,))
        cached = self._catalogs.get(key)
        if not word or (cached is not None and time.monotonic() - cached.since <= REFRESH_SECONDS):
            return
        catalog = self._catalog_of_hosts(policy.hosts)
        if (cached is not None and cached.looked_in is catalog) or has_name(word, catalog.by_id):
            return
        named_catalog = await offload(True, self._with_named, catalog, *key)
        found = _CachedCatalog(-math.inf, catalog, named_catalog, Catalog(), (), Catalog())
        self._catalogs[key] = (
            found if cached is None else cached._replace(since=-math.inf, looked_in=catalog, named=named_catalog)
        )

    def _machine(self, loaded: tuple[str, ...]) -> Machine:
        now = time.monotonic()
        if self._machines is None or self._machines[1] != loaded or now - self._machines[0] > REFRESH_SECONDS:
            self._machines = (now, loaded, super()._machine(loaded))
        return self._machines[2]

    def _catalog(self, hosts: tuple[str, ...], model_names: tuple[str, ...] = ()) -> Catalog:
        now = time.monotonic()
        cached = self._catalogs.get((hosts, model_names))
        if cached is None or now - cached.since > REFRESH_SECONDS:
            looked_in = self._catalog_of_hosts(hosts)
            is_same = cached is not None and cached.looked_in is looked_in
            found = cached.named if cached is not None and is_same else self._with_named(looked_in, hosts, model_names)
            catalog = self._apply_lessons(found)
            # The planner caches facts about a catalog on the object.
            if cached is not None and cached.catalog == catalog:
                cached = cached._replace(since=now, looked_in=looked_in, named=found)
            else:
                cached = _CachedCatalog(now, looked_in, found, catalog, (), catalog)
            self._catalogs[hosts, model_names] = cached
        lessons = self._upstreams.learned
        if cached.learned != lessons:
            corrected = self._upstreams.apply_lessons(cached.catalog)
            cached = self._catalogs[hosts, model_names] = cached._replace(learned=lessons, corrected=corrected)
        return cached.corrected
