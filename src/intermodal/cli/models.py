"""``intermodal models``: the endpoints plans choose from, what they cost, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click

from intermodal.content import KINDS
from intermodal.request import TIERS

if TYPE_CHECKING:
    from intermodal.catalog.nouns import Catalog, Endpoint, Price
    from intermodal.config import Config

EPILOG = """\b
Examples
  intermodal models --ready
  intermodal models whisper
  intermodal models --input image --at-least medium
  intermodal models --host openai --json
"""

FEW = 8  # as many rows are shown with what to do


@click.command(epilog=EPILOG)
@click.argument("name", required=False, default="")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only this host; repeatable.")
@click.option("--input", "takes", type=click.Choice(KINDS), default=None, help="Only those that take this.")
@click.option("--task", default="", metavar="TASK", help="Only those for this task (Hugging Face's name for it).")
@click.option("--at-least", type=click.Choice(TIERS), default=None, help="Only those this strong.")
@click.option("--ready", is_flag=True, help="Only those that can be called now.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def models(**given: Any) -> None:
    """List the endpoints plans choose from; with NAME, those whose id contains it."""
    _check_task(given["task"])

    from intermodal.cli.table import count, echo_table
    from intermodal.client import AsyncClient

    client = AsyncClient()
    catalog = client.catalog
    _check_hosts(given["hosts"], catalog, client.config)
    _check_name(given["name"], catalog)
    found = [endpoint for endpoint in catalog.endpoints if _wanted(endpoint, catalog, given)]
    if given["as_json"]:
        from intermodal.cli.document import print_document

        body = {"catalog": catalog.version, "models": [describe(endpoint, catalog) for endpoint in found]}
        print_document("models", body)
        return
    rows = [
        (
            endpoint.id,
            endpoint.model.kind,
            "+".join(endpoint.input),
            tier_of(endpoint),
            price_words(endpoint.price),
            count(endpoint.context),
            state(endpoint, catalog, briefly=len(found) > FEW),
        )
        for endpoint in found
    ]
    if rows:
        echo_table(("endpoint", "kind", "takes", "tier", "price", "context", "state"), rows)
        if len(found) > FEW:
            click.echo("\nwhat to do about one that is not ready: intermodal models NAME", err=True)
    else:
        click.echo("no endpoint is like that", err=True)


def _check_task(task: str) -> None:
    from intermodal.catalog.nouns import Task
    from intermodal.errors import UsageError

    if task and task not in get_args(Task):
        raise UsageError(f"no task named {task!r}", where="--task", todo=f"tasks are {', '.join(get_args(Task))}")


def _check_hosts(names: tuple[str, ...], catalog: Catalog, config: Config) -> None:
    from intermodal.catalog.shipped import known_hosts
    from intermodal.errors import UsageError

    rows = (*known_hosts(), *config.hosts)
    known = sorted({endpoint.host.id for endpoint in catalog.endpoints} | {row.id for row in rows})
    for name in names:
        if name not in known:
            raise UsageError(f"no host named {name!r}", where="--host", todo=f"hosts are {', '.join(known)}")


def _check_name(name: str, catalog: Catalog) -> None:
    """A name that no endpoint has is a slip; one that only the other filters leave out is an answer: none."""
    from difflib import get_close_matches

    from intermodal.errors import UsageError

    if any(name.lower() in endpoint.id.lower() for endpoint in catalog.endpoints):
        return
    models: dict[str, str] = {}
    for endpoint in catalog.endpoints:
        models.setdefault(endpoint.model.id.lower(), endpoint.model.id)
        models.setdefault(endpoint.model.id.lower().rpartition("/")[2], endpoint.model.id)
    near = dict.fromkeys(models[match] for match in get_close_matches(name.lower(), models, 5, 0.6))
    todo = f"did you mean {' or '.join(list(near)[:3])}?" if near else "all of them: intermodal models"
    raise UsageError(f"no endpoint has {name!r} in its id", todo=todo)


def _wanted(endpoint: Endpoint, catalog: Catalog, given: dict[str, Any]) -> bool:
    floor = given["at_least"]
    return (
        _is_named(endpoint, given["name"].lower(), catalog)
        and (not given["hosts"] or endpoint.host.id in given["hosts"])
        and (given["takes"] is None or given["takes"] in endpoint.input)
        and (not given["task"] or given["task"] in endpoint.model.tasks)
        and (floor is None or any(TIERS.index(s.tier) >= TIERS.index(floor) for s in endpoint.model.strength))
        and (not given["ready"] or (endpoint.ready and allowed(endpoint, catalog)))
    )


def _is_named(endpoint: Endpoint, name: str, catalog: Catalog) -> bool:
    """A part of an id; where some model has just this name, only that one ("gpt-4o-mini" is not "gpt-4o-mini-tts")."""
    if any(name == other.model.id.lower().rpartition("/")[2] for other in catalog.endpoints):
        return name == endpoint.model.id.lower().rpartition("/")[2]
    return name in endpoint.id.lower()


def allowed(endpoint: Endpoint, catalog: Catalog) -> bool:
    """Whether a plan may use it without asking: it computes here, or the user consented to its host."""
    from intermodal.planner.index import needs_consent

    return not needs_consent(endpoint) or endpoint.host.id in catalog.consent


def state(endpoint: Endpoint, catalog: Catalog, *, briefly: bool) -> str:
    """ready, or why not and (in a short list) what to do about it."""
    if endpoint.ready and allowed(endpoint, catalog):
        return "ready"
    missing, todo = _lacks(endpoint, catalog)
    return missing if briefly else f"{missing}: {todo}"


def _lacks(endpoint: Endpoint, catalog: Catalog) -> tuple[str, str]:
    """What keeps it from being called, and what to do; "" and "" when nothing does. Consent comes first."""
    if not allowed(endpoint, catalog):
        return "no consent", f"intermodal hosts add {endpoint.host.id}"
    return endpoint.missing, endpoint.todo


def tier_of(endpoint: Endpoint) -> str:
    """The tier of its first task; with measured ones, those, and that they are."""
    strengths = endpoint.model.strength
    measured = dict.fromkeys(strength.tier for strength in strengths if strength.evidence.level == "measured")
    if measured:
        return f"{'/'.join(measured)} (measured)"
    return strengths[0].tier if strengths else "unknown"


def price_words(price: Price) -> str:
    """What it costs, in the unit it is sold by."""
    from intermodal.cli.table import money

    if price.second:
        return f"{money(price.second * 3600)} an hour"
    if price.input_mtok is None:
        return "unknown"
    if not any((price.input_mtok, price.output_mtok, price.request, price.page)):
        return "free"
    return f"{money(price.input_mtok)} in, {money(price.output_mtok)} out a Mtok"


def describe(endpoint: Endpoint, catalog: Catalog) -> dict[str, Any]:
    """An endpoint as ``--json`` gives it: every field there, whatever its value."""
    model, host, price = endpoint.model, endpoint.host, endpoint.price
    return {
        "id": endpoint.id,
        "model": model.id,
        "name": model.name,
        "kind": model.kind,
        "tasks": model.tasks,
        "input": endpoint.input,
        "output": model.output,
        "host": host.id,
        "zone": host.zone,
        "served_as": endpoint.served_as,
        "context": endpoint.context,
        "languages": model.languages,
        "parameters": model.parameters,
        "strength": [
            {"task": s.task, "tier": s.tier, "by": s.evidence.level, "source": s.evidence.source}
            for s in model.strength
        ],
        "price": {
            **{name: getattr(price, name) for name in ("input_mtok", "output_mtok", "second", "page", "request")},
            "source": price.evidence.source,
            "checked": price.evidence.checked,
        },
        "ready": endpoint.ready and allowed(endpoint, catalog),
        "allowed": allowed(endpoint, catalog),
        "missing": _lacks(endpoint, catalog)[0],
        "todo": _lacks(endpoint, catalog)[1],
    }
