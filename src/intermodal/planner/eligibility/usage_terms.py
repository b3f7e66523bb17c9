"""Terms of use of an endpoint: what its licence permits, where its host computes, and what the host retains.

Unknown terms do not satisfy a policy: the endpoint is rejected with the reason that nothing is stated. A licence
excludes what it explicitly forbids; if its permissions are unknown, a note is added.
"""

from __future__ import annotations

from collections.abc import Callable

from intermodal.catalog.types import Endpoint
from intermodal.core.hints import hint
from intermodal.core.request import Policy

EndpointTerms = tuple[tuple[str, ...], bool | None, int | None, bool]


def endpoint_terms(endpoint: Endpoint) -> EndpointTerms:
    """Return regions, training, days of retention, and whether the weights are for research only.

    A vendor that serves its own model does so under the terms of its service.
    """
    host = endpoint.host
    research = endpoint.model.permits == "research" and not endpoint.is_vendors_own
    return host.regions, host.trains, host.retention_days, research


def terms_rejection(endpoint: Endpoint, policy: Policy) -> str:
    """Return why the policy excludes an endpoint; "" if it does not."""
    conditions = endpoint_terms(endpoint)
    return next((reason for check in _CHECKS if (reason := check(endpoint, conditions, policy))), "")


def _licence(endpoint: Endpoint, conditions: EndpointTerms, policy: Policy) -> str:
    forbidden = policy.licence == "commercial" and conditions[3]
    return hint("its licence is for research only ({licence=})", "any") if forbidden else ""


def _regions(endpoint: Endpoint, conditions: EndpointTerms, policy: Policy) -> str:
    if not policy.regions or endpoint.host.zone != "internet":
        return ""
    regions = " or ".join(policy.regions)
    if not conditions[0]:
        return hint("where its host computes is unknown, and {} is asked for ({region})", regions)
    if set(conditions[0]) <= set(policy.regions):
        return ""
    return hint("its host computes in {}, and {} is asked for ({region})", " or ".join(conditions[0]), regions)


def _retention(endpoint: Endpoint, conditions: EndpointTerms, policy: Policy) -> str:
    if policy.retention == "any" or endpoint.host.zone != "internet":
        return ""
    _, trains, days, _ = conditions
    if trains:
        return hint("its host trains on content ({retention=})", "any")
    if policy.retention == "no-training":
        keeps_to_it = trains is False or days == 0
        return "" if keeps_to_it else hint("whether its host trains on content is unknown ({retention=})", "any")
    if days is None:
        return hint("how long its host keeps content is unknown ({retention})")
    return hint("its host keeps content for up to {} days ({retention})", days) if days else ""


_CHECKS: tuple[Callable[[Endpoint, EndpointTerms, Policy], str], ...] = (_licence, _regions, _retention)
