"""The local and hosted models that can rank or embed and are ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from intermodal.catalog.model_names import resolve_name
from intermodal.core.hints import command
from intermodal.core.request import TIERS
from intermodal.errors import NoRoute, UsageError
from intermodal.local.weights.registry import shipped_weights

if TYPE_CHECKING:
    from intermodal.catalog.types import Catalog, Endpoint


def ready_endpoints(
    catalog: Catalog, name: str, can: Callable[[Endpoint], object], *, unable: str, kind: str, none: str, usual: str
) -> list[Endpoint]:
    """Return the ready endpoints that satisfy ``can``, among those that ``name`` matches, or all if it is "".

    Args:
        unable: error text if ``name`` matches no capable model. kind: the kind of model to suggest instead.
        none: error text if no model is ready. usual: weights suggested to users who have none.

    Raises:
        UsageError: no model matched by ``name`` is capable. NoRoute: none is ready; ``reasons`` state what each lacks.
    """
    able = [each for each in (resolve_name(catalog, name) if name else catalog.endpoints) if can(each)]
    if name and not able:
        raise UsageError(unable, where=name, todo=f"name {kind}, or none")
    found = [each for each in able if each.ready]
    if not found:
        reasons = tuple(f"{each.id}: {each.missing}{f' ({each.todo})' if each.todo else ''}" for each in able)
        pull = next(row.pull for row in shipped_weights() if row.name == usual)
        raise NoRoute(none, todo=command(pull), reasons=reasons)
    return found


def tier_strength(endpoint: Endpoint) -> int:
    """Return the rank of a model's best tier."""
    return max((TIERS.index(each.tier) for each in endpoint.model.strength), default=0)


__all__ = ["ready_endpoints", "tier_strength"]
