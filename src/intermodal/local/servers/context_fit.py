"""Offers local models that fit only with a smaller context, with that context.

Every request passes through here, so the module that opens files and computes contexts (``context_reduction.py``) is
imported only if a model does not fit unchanged, or if measurements exist.
"""

from __future__ import annotations

from collections.abc import Mapping

from intermodal.catalog.types import Catalog, Endpoint
from intermodal.config.config_file import cache_dir
from intermodal.cost_model.memory import endpoints_that_do_not_fit
from intermodal.local.hardware.model_measurements import corrections_changed_at
from intermodal.local.weights.store import WeightsStore
from intermodal.plans.machine import Machine


class ContextFitter:
    """Adapts catalogs for one client: local models as they fit, including those planned with a reduced context."""

    def __init__(self, weights: WeightsStore, env: Mapping[str, str]) -> None:
        self._weights, self._env = weights, env
        self._shortened: dict[str, Endpoint] = {}
        self._made: tuple[object, Catalog] | None = None  # the input, and the resulting catalog
        self._measured: tuple[object, Catalog] | None = None

    async def fit_contexts(self, catalog: Catalog, machine: Machine) -> Catalog:
        """Return the catalog with measured memory and, for local models that do not fit, a reduced context.

        Models that are loaded with a reduced context keep it.
        """
        catalog = await self._with_measured_memory(catalog)
        short = endpoints_that_do_not_fit(catalog, machine)
        kept_so = {key: each for key, each in self._shortened.items() if key in machine.loaded}
        if not (short or kept_so):
            return catalog
        cache_key = (catalog, tuple(each.id for each in short), tuple(kept_so), machine.free)
        if self._made is None or self._made[0] != cache_key:
            import anyio.to_thread

            from intermodal.local.servers.context_reduction import with_reduced_contexts

            found = catalog
            if kept_so:
                found = catalog.among(tuple(kept_so.get(each.id, each) for each in catalog.endpoints))
            reduced = await anyio.to_thread.run_sync(with_reduced_contexts, found, machine, self._weights, self._env)
            self._shortened |= {each.id: each for each in reduced.loadable if each.uncut is not None}
            self._made = cache_key, reduced
        return self._made[1]

    async def _with_measured_memory(self, catalog: Catalog) -> Catalog:
        """Return the catalog with measured memory. Reads nothing without measurements, and caches the result."""
        stamp = corrections_changed_at(cache_dir(self._env))
        if not stamp:
            return catalog
        if self._measured is None or self._measured[0] != (catalog, stamp):
            import anyio.to_thread

            from intermodal.local.servers.context_reduction import with_measured_memory

            with_memory = await anyio.to_thread.run_sync(with_measured_memory, catalog, self._weights, self._env)
            self._measured = (catalog, stamp), with_memory
        return self._measured[1]
