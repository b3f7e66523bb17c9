"""Ask for consent on a terminal when a hosted service would answer a request better.

Asked only where there is a person to answer, a key that was never allowed, and a plan that is stronger
than the one without it. "Never" is remembered; nothing else is, but what the user says to keep.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from intermodal.request import TIERS

if TYPE_CHECKING:
    from intermodal.client import PreparedRequest
    from intermodal.config import Config
    from intermodal.plans.plan import Plan

_WORDS = {"y": "once", "yes": "once", "a": "always", "always": "always", "never": "never"}


def plan_or_ask(prepared: PreparedRequest, config: Config, *, may_ask: bool) -> tuple[PreparedRequest, Plan]:
    """The plan; a better one when the user, asked, allows its host. Raises as the planner does."""
    from intermodal.client import plan_from
    from intermodal.errors import NoRoute

    try:
        chosen, refused = plan_from(prepared.inputs), None
    except NoRoute as error:
        chosen, refused = None, error
    if may_ask and sys.stdin.isatty() and sys.stderr.isatty():
        better = _better(prepared, config, chosen)
        if better is not None and _agreed(better[1], config):
            return better
    if chosen is None:
        assert refused is not None
        raise refused
    return prepared, chosen


def _better(prepared: PreparedRequest, config: Config, now: Plan | None) -> tuple[PreparedRequest, Plan] | None:
    """The plan with every keyed host allowed, if it is stronger."""
    import msgspec

    from intermodal.api_keys import find_key
    from intermodal.client import plan_from
    from intermodal.errors import NoRoute

    inputs = prepared.inputs
    policy = inputs.request.policy
    waiting = {
        e.host.id
        for e in inputs.catalog.endpoints
        if e.ready
        and e.host.key_env
        and e.host.id not in (*inputs.catalog.consent, *policy.hosts, *config.declined)
        and find_key(e.host, os.environ)
    }
    if not waiting or policy.farthest != "internet":
        return None
    wider = msgspec.structs.replace(policy, hosts=(*policy.hosts, *sorted(waiting)))
    request = msgspec.structs.replace(inputs.request, policy=wider)
    asked = dataclasses.replace(prepared, inputs=msgspec.structs.replace(inputs, request=request))
    try:
        plan = plan_from(asked.inputs)
    except NoRoute:
        return None
    if now is not None and TIERS.index(plan.chosen.tier) <= TIERS.index(now.chosen.tier):
        return None
    # Only what this plan uses is allowed by a yes.
    used = tuple(sorted({send.host for send in plan.chosen.sends} & waiting))
    if not used:
        return None
    narrow = msgspec.structs.replace(policy, hosts=(*policy.hosts, *used))
    request = msgspec.structs.replace(inputs.request, policy=narrow)
    asked = dataclasses.replace(prepared, inputs=msgspec.structs.replace(inputs, request=request))
    return asked, plan_from(asked.inputs)


def _agreed(plan: Plan, config: Config) -> bool:
    from urllib.parse import urlsplit

    from intermodal import config as configs
    from intermodal.cli.rendering.tables import money

    chosen = plan.chosen
    used = sorted({send.host for send in chosen.sends} - set(config.consent))
    places = {send.host: urlsplit(send.url).hostname or send.url for send in chosen.sends}
    sends = ", ".join(f"{send.what} (from {send.origin})" for send in chosen.sends)
    click.echo(
        f"{chosen.endpoint} ({chosen.tier}) would answer for {money(chosen.total.cost.for_ranking())}, "
        f"if this may go to {', '.join(f'{host} ({places[host]})' for host in used)}: {sends}.",
        err=True,
    )
    said: Any = click.prompt("Send it? [y]es, [a]lways, [N]o, never", default="n", show_default=False, err=True)
    meant = _WORDS.get(str(said).strip().lower(), "no")
    for host in used:
        if meant == "always":
            configs.consent(os.environ, host)
        elif meant == "never":
            configs.decline(os.environ, host)
    return meant in ("once", "always")
