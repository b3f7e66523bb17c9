"""Models of this machine for which there is memory at a smaller context only: they are offered with that.

By the formulas of ``intermodal fit``, and only where a model does not fit as it is: otherwise no file is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from intermodal.catalog.nouns import Catalog, Endpoint, Uncut
from intermodal.config import cache_dir, state_dir
from intermodal.content import Value
from intermodal.costing.memory import fits
from intermodal.errors import IntermodalError
from intermodal.plans.machine import Machine
from intermodal.quantity import between
from intermodal.runtimes.corrections import kept
from intermodal.servers.here import name_of
from intermodal.servers.need import gguf_need, longest_context
from intermodal.servers.records import Place
from intermodal.sizing.sources import local
from intermodal.weights.store import WeightsStore

LEAST: Final = 512  # tokens: in less there is no room for a question and an answer
_SERVED: Final = ("llama", "started")  # protocols of models whose context is ours to choose


class _Files(Value):
    """What an endpoint serves."""

    model: str
    projector: str
    slots: int = 1


def lacking(catalog: Catalog, machine: Machine) -> tuple[Endpoint, ...]:
    """Endpoints that would have to be loaded and do not fit as they are. Opens nothing."""
    if not machine.memory:
        return ()
    return tuple(
        endpoint
        for endpoint in catalog.loadable
        if endpoint.host.protocol in _SERVED
        and endpoint.id not in machine.loaded
        and endpoint.uncut is None
        and not fits(machine, endpoint.memory.high)
    )


class Room:
    """For one client: catalogs with local models as they fit, and which were planned with less than their context."""

    def __init__(self, weights: WeightsStore, env: Mapping[str, str]) -> None:
        self._weights, self._env = weights, env
        self._shortened: dict[str, Endpoint] = {}
        self._made: tuple[object, Catalog] | None = None  # of what, and what was made of it

    async def fitted(self, catalog: Catalog, machine: Machine) -> Catalog:
        """The catalog with local models at the context there is memory for. What is loaded with less stays so."""
        short = lacking(catalog, machine)
        kept_so = {key: each for key, each in self._shortened.items() if key in machine.loaded}
        if not (short or kept_so):
            return catalog
        import anyio.to_thread

        asked = (catalog, tuple(each.id for each in short), tuple(kept_so), machine.free)
        if self._made is None or self._made[0] != asked:
            found = catalog
            if kept_so:
                found = catalog.among(tuple(kept_so.get(each.id, each) for each in catalog.endpoints))
            made = await anyio.to_thread.run_sync(with_room, found, machine, self._weights, self._env)
            self._shortened |= {each.id: each for each in made.loadable if each.uncut is not None}
            self._made = asked, made
        return self._made[1]


def with_room(catalog: Catalog, machine: Machine, weights: WeightsStore, env: Mapping[str, str]) -> Catalog:
    """The catalog with these endpoints at the longest context for which there is memory; those for which there is
    none at ``LEAST`` tokens stay as they are, and plans reject them."""
    made = {each.id: _shorter(each, machine, weights, env) for each in lacking(catalog, machine)}
    changed = {key: endpoint for key, endpoint in made.items() if endpoint is not None}
    if not changed:
        return catalog
    return catalog.among(tuple(changed.get(each.id, each) for each in catalog.endpoints))


def _shorter(endpoint: Endpoint, machine: Machine, weights: WeightsStore, env: Mapping[str, str]) -> Endpoint | None:
    files = _files(endpoint, weights, env)
    has = endpoint.context or endpoint.model.context
    if files is None or not has or not files.model.endswith(".gguf"):
        return None
    try:
        corrections = kept(cache_dir(env), files.model)
        most = longest_context(
            files.model, files.projector, files.slots, has - 1, partial(fits, machine), corrections
        ) // LEAST * LEAST  # fmt: skip
        if most < LEAST:
            return None
        shape = local(Path(files.model)).shape
        eyes = local(Path(files.projector)).shape if files.projector else None
        needed = gguf_need(shape, eyes, most, files.slots, corrections)
    except (IntermodalError, OSError):  # damaged or gone: whoever runs it is told
        return None
    memory = between(*needed, f"for {most:,} tokens, by the header of its file")
    return replace(endpoint, context=most, memory=memory, uncut=Uncut(context=has, memory=endpoint.memory))


def _files(endpoint: Endpoint, weights: WeightsStore, env: Mapping[str, str]) -> _Files | None:
    if endpoint.host.protocol == "started":
        wanted = Place(state_dir(env), name_of(endpoint.host.id)).wanted()
        return None if wanted is None else _Files(model=wanted.model, projector=wanted.projector, slots=wanted.slots)
    path = weights.path(endpoint.weights) if endpoint.weights else None
    eyes = weights.projector(endpoint.weights) if path is not None else None
    return None if path is None else _Files(model=str(path), projector=str(eyes or ""))


__all__ = ["LEAST", "Room", "lacking", "with_room"]
