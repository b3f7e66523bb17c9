"""The models that can rank or embed here and are ready, of a name or of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from intermodal.catalog.model_names import resolve_name
from intermodal.errors import NoRoute, UsageError
from intermodal.hints import command
from intermodal.local.weights.registry import shipped_weights
from intermodal.request import TIERS

if TYPE_CHECKING:
    from intermodal.catalog.types import Catalog, Endpoint


def ready_endpoints(
    catalog: Catalog, name: str, can: Callable[[Endpoint], object], *, unable: str, kind: str, none: str, usual: str
) -> list[Endpoint]:
    """Return the capable endpoints that are ready, of those that ``name`` means, of all where it is "".

    Args:
        unable: what is wrong with a name that means none that can. kind: what to name in its place.
        none: what is said where none is ready. usual: weights that are proposed to who has none.

    Raises:
        UsageError: none that is named can. NoRoute: none is ready; ``reasons`` say what each lacks.
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
