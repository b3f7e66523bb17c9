"""``intermodal models show`` and ``compare``: all that is known of models, each figure with its source and date."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from intermodal.cli.rendering.server_text import find_local_servers, lesson_words, lessons_of, server_claims

if TYPE_CHECKING:
    from intermodal.catalog.model_facts import HostOffer, ModelFact
    from intermodal.catalog.search import EcosystemTerm
    from intermodal.catalog.snapshot.file import Snapshot
    from intermodal.catalog.types import Catalog, Endpoint, Model

SHOW_EPILOG = """\b
Examples
  intermodal models show gpt-4o
  intermodal models show openai/whisper-base
  intermodal models show groq:qwen/qwen3-32b --json
"""
COMPARE_EPILOG = """\b
Examples
  intermodal models compare gpt-4o gemini-2.5-flash qwen3-8b
  intermodal models compare whisper-base whisper-large-v3 --json
"""
MOST_OFFERS = 12  # hosts shown; --json has all
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


class ModelFacts(NamedTuple):
    """A model with everything that is known of it. ``endpoints``: where plans know it; ``offers``: the snapshot's."""

    model: Model
    figures: tuple[ModelFact, ...]
    endpoints: tuple[Endpoint, ...]
    offers: tuple[HostOffer, ...]


@click.command(epilog=SHOW_EPILOG)
@click.argument("name")
@_JSON
def show(name: str, as_json: bool) -> None:
    """All that is known of one model, each figure with its source.

    What it is, its limits, where it is served and for how much; and the day each source was opened. Sources that
    disagree are shown side by side. Of a runtime or a format (ollama, gguf) it says what that is.
    """
    from intermodal.catalog.search import term_of
    from intermodal.cli.rendering.model_rows import snapshot_of
    from intermodal.client import AsyncClient

    if (term := term_of(name)) is not None:
        _say_term(term, as_json)
        return
    client = AsyncClient()
    servers = find_local_servers(client)
    catalog, snapshot = client.catalog, snapshot_of(client)
    known = _known(name, catalog, snapshot)
    said = [(endpoint.id, *row) for endpoint in known.endpoints for row in server_claims(endpoint, servers)]
    learned = list(lessons_of(known.endpoints, client))
    if as_json:
        from intermodal.cli.rendering.json_document import plain_data, print_document

        told = [dict(zip(("endpoint", "about", "says", "source"), row, strict=True)) for row in said]
        lessons = [plain_data(lesson) for lesson in learned]
        body = {**document(known, catalog), "servers_say": told, "learned": lessons}
        print_document("model", {"catalog": catalog.version, "model": body})
        return
    _say(known, catalog)
    if said:
        from intermodal.cli.rendering.tables import echo_table

        click.echo("\nits server says")
        echo_table(("endpoint", "of", "what", "where"), said)
    if learned:
        from intermodal.cli.rendering.tables import echo_table

        click.echo("\nlearned by asking")
        echo_table(("endpoint", "what"), [(lesson.endpoint, lesson_words(lesson)) for lesson in learned])


def _say_term(term: EcosystemTerm, as_json: bool) -> None:
    """What a name is that people take for a model's."""
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("term", {"term": term})
        return
    click.echo(f"{term.name}: {term.what}\n")
    for line in term.here:
        click.echo(f"- {line}")
    click.echo(f"\nsource: {_source(term.source, term.checked)}")


@click.command(epilog=COMPARE_EPILOG)
@click.argument("names", nargs=-1, required=True)
@_JSON
def compare(names: tuple[str, ...], as_json: bool) -> None:
    """Models side by side. A * marks a figure that sources disagree on: see models show."""
    from intermodal.cli.rendering.model_rows import snapshot_of
    from intermodal.client import AsyncClient

    client = AsyncClient()
    catalog, snapshot = client.catalog, snapshot_of(client)
    many = [_known(name, catalog, snapshot) for name in names]
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("comparison", {"catalog": catalog.version, "models": [document(k, catalog) for k in many]})
        return
    from intermodal.cli.rendering.tables import echo_table

    by_name = [{figure.name: figure for figure in known.figures} for known in many]
    rows = [
        (name, *(_short(figures.get(name)) for figures in by_name))
        for name in dict.fromkeys(figure.name for known in many for figure in known.figures)
    ]
    rows.append(("cheapest host", *(_cheapest(known) for known in many)))
    rows.append(("in plans", *(_in_plans(known, catalog) for known in many)))
    echo_table(("", *(known.model.id for known in many)), rows)


# ---- finding -----------------------------------------------------------------------------------------


def _known(name: str, catalog: Catalog, snapshot: Snapshot) -> ModelFacts:
    """The one model a name stands for. Raises UnknownModel with near names, or with those it could be."""
    from intermodal.catalog.model_facts import host_offer, model_facts
    from intermodal.catalog.search import find_model_id
    from intermodal.catalog.shipped_rows import shipped_rows
    from intermodal.catalog.snapshot.consensus import row_over_hosts
    from intermodal.catalog.snapshot.interpretation import model_of
    from intermodal.sizing.memory_by_size import memory_floor

    model = find_model_id(catalog, snapshot, name)
    endpoints = tuple(endpoint for endpoint in catalog.endpoints if endpoint.model.id == model)
    rows = snapshot.by_model.get(model, [])
    own = shipped_rows().rows.get(model) or shipped_rows().rows.get(
        f"{model}-instruct"
    )  # many hosts leave that word out
    if endpoints:
        made = endpoints[0].model
    elif rows:
        made = model_of(row_over_hosts(rows), own, snapshot.header)
    else:
        made = shipped_rows().models[model]
    offers = tuple(host_offer(row, snapshot.header) for row in rows)
    least = memory_floor(made.parameters)
    return ModelFacts(made, model_facts(made, own, rows, snapshot.header, least), endpoints, offers)


# ---- saying ------------------------------------------------------------------------------------------


def _say(known: ModelFacts, catalog: Catalog) -> None:
    from intermodal.catalog.model_facts import missing_facts
    from intermodal.cli.rendering.tables import echo_table

    click.echo(f"{known.model.id}   {known.model.name}\n")
    rows = []
    for figure in known.figures:
        rows.append((figure.name, _words(figure.name, figure.value), _source(figure.source, figure.checked)))
        for other in figure.conflicts:
            rows.append(("", f"but: {_words(figure.name, other.value)}", _source(other.source, other.checked)))
    if missing := missing_facts(known.figures, known.model):
        rows.append(("not known", ", ".join(missing), "no source here says"))
    echo_table(("figure", "value", "source"), rows)
    if known.endpoints:
        click.echo("\nin plans")
        echo_table(("endpoint", "takes", "price", "source", "state"), _plan_rows(known, catalog))
    if known.offers:
        _say_offers(known.offers)


def _plan_rows(known: ModelFacts, catalog: Catalog) -> list[tuple[str, ...]]:
    from intermodal.cli.rendering.model_rows import input_kinds, price_words, row_of_endpoint, state

    rows: list[tuple[str, ...]] = []
    for endpoint in known.endpoints:
        line, evidence = row_of_endpoint(endpoint, catalog), endpoint.price.evidence
        source = _source(evidence.source, evidence.checked) if evidence.level == "declared" else evidence.source
        rows.append((endpoint.id, input_kinds(line), price_words(endpoint.price), source, state(line, briefly=False)))
        for later in endpoint.later:
            rows.append(("", "", price_words(later), f"from {later.effective_from}", ""))
    return rows


def _say_offers(offers: Sequence[HostOffer]) -> None:
    from intermodal.catalog.model_facts import price_disagreements
    from intermodal.cli.rendering.tables import count, echo_table

    ordered = sorted(offers, key=lambda offer: (_sum(offer), offer.host))
    click.echo(f"\nat {len(offers)} hosts of the snapshot, cheapest first")
    rows: list[tuple[str, ...]] = []
    for offer in ordered[:MOST_OFFERS]:
        name = f"{offer.host}{f' ({offer.status})' if offer.status else ''}"
        rows.append((name, offer.served_as, count(offer.context), _prices(offer), _source(offer.source, offer.checked)))
        if offer.cheapest:
            rows.append(("", "", "", f"at its cheapest hour {_listed(offer.cheapest)}", ""))
        for unit, (_, stated) in price_disagreements(offer).items():
            rows.append(("", "", "", f"but models.dev: {_unit(unit, stated)}", ""))
        for above in offer.steps:
            rows.append(("", "", "", f"above {above:,} input tokens another price", ""))
    echo_table(("host", "its name there", "context", "prices in USD", "source"), rows)
    if len(ordered) > MOST_OFFERS:
        click.echo(f"… and {len(ordered) - MOST_OFFERS} more: --json", err=True)


def _sum(offer: HostOffer) -> float:
    """What it comes to by tokens in and out; of what is sold by the hour, page or letter, that price."""
    both = [offer.prices[unit] for unit in ("input_mtok", "output_mtok") if unit in offer.prices]
    return sum(both or [min(offer.prices.values(), default=float("inf"))])


def _prices(offer: HostOffer) -> str:
    if not offer.prices:
        free = not any(offer.stated.values())
        said = "0" if free else ", ".join(_unit(unit, usd) for unit, usd in sorted(offer.stated.items()) if usd)
        return f"unknown (models.dev writes {said})" if offer.stated else "unknown"
    listed = _listed(offer.prices)
    return f"{listed}, at its dearest hour" if offer.cheapest else listed


def _listed(prices: dict[str, float]) -> str:
    order = sorted(prices, key=lambda unit: (unit not in _FIRST, unit))
    return ", ".join(_unit(unit, prices[unit]) for unit in order if "search" not in unit)


_FIRST = ("input_mtok", "output_mtok")
_PER = {
    "_mtok": "a Mtok", "_hours": "an hour", "_kpages": "a thousand pages", "_mchars": "a million characters",
    "_kcount": "a thousand",
}  # fmt: skip


def _unit(unit: str, usd: float) -> str:
    from intermodal.cli.rendering.tables import money

    for ending, per in _PER.items():
        if unit.endswith(ending):
            return f"{money(usd)} {unit.removesuffix(ending).replace('_', ' ')} {per}"
    return f"{money(usd)} {unit}"


def _source(source: str, checked: str) -> str:
    from intermodal.catalog.provenance import UNVERIFIED

    if not source or source.startswith(("derived", "its name", "from its", "proxy", "stated")):
        return source
    return f"{source}, {checked or UNVERIFIED}"


def _words(name: str, value: Any) -> str:
    from intermodal.cli.rendering.tables import held

    if name in ("parameters", "active"):
        return f"{value / 1e9:g}B" if value >= 1e9 else f"{value / 1e6:g}M"
    if name == "compute floor":
        return f"{held(value[0])} to {held(value[1])} of memory"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _short(figure: ModelFact | None) -> str:
    if figure is None:
        return "-"
    return f"{_words(figure.name, figure.value)}{'*' if figure.conflicts else ''}"


def _cheapest(known: ModelFacts) -> str:
    priced = [offer for offer in known.offers if _sum(offer) < float("inf") and offer.status != "deprecated"]
    if not priced:
        return "-"
    best = min(priced, key=lambda offer: (_sum(offer), offer.host))
    units = [unit for unit in _FIRST if unit in best.prices] or [min(best.prices, key=lambda unit: best.prices[unit])]
    return f"{best.host}: {', '.join(_unit(unit, best.prices[unit]) for unit in units)}"


def _in_plans(known: ModelFacts, catalog: Catalog) -> str:
    from intermodal.cli.rendering.model_rows import row_of_endpoint

    lines = [row_of_endpoint(endpoint, catalog) for endpoint in known.endpoints]
    ready = [line.host for line in lines if line.ready]
    if ready:
        return f"ready at {', '.join(ready)}"
    return lines[0].missing if lines else "-"


def document(known: ModelFacts, catalog: Catalog) -> dict[str, Any]:
    """A model as ``--json`` gives it."""
    from intermodal.catalog.model_facts import missing_facts, price_disagreements
    from intermodal.cli.rendering.json_document import plain_data
    from intermodal.cli.rendering.model_rows import row_document as line
    from intermodal.cli.rendering.model_rows import row_of_endpoint

    return {
        "id": known.model.id,
        "name": known.model.name,
        "kind": known.model.kind,
        "figures": [
            {**plain_data(figure), "verified": bool(figure.checked), "conflict": bool(figure.conflicts)}
            for figure in known.figures
        ],
        "not_known": list(missing_facts(known.figures, known.model)),
        "endpoints": [line(row_of_endpoint(endpoint, catalog), catalog) for endpoint in known.endpoints],
        "offers": [{**plain_data(offer), "disagreements": price_disagreements(offer)} for offer in known.offers],
    }
