"""Memory of this machine: whether the models of a route fit."""

from __future__ import annotations

from typing import Final

from intermodal.catalog.types import Catalog, Endpoint, FullContext
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import held

_SERVED: Final = ("llama", "started")  # protocols of models whose context intermodal chooses


def fits(machine: Machine, needed: float) -> bool:
    """Return whether ``needed`` more bytes fit. Loaded models are already subtracted from ``free``.

    A machine of unknown memory (``memory`` 0) rejects nothing.
    """
    return machine.memory == 0 or needed <= machine.free


def endpoints_that_do_not_fit(catalog: Catalog, machine: Machine) -> tuple[Endpoint, ...]:
    """Return the endpoints that would have to be loaded and do not fit as they are. Opens no file."""
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


def reduced_context(uncut: FullContext, free: int) -> str:
    """Say why an endpoint currently has less than its full context length."""
    return f"with {uncut.context:,} it needs {held(uncut.memory.high)} of memory, and {held(free)} are free"
