"""``intermodal models``: what there is, what it costs, and what is missing; ``show``, ``compare``, ``refresh``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import click

from intermodal.cli.models_refresh import refresh
from intermodal.cli.models_show import compare, show
from intermodal.cli.rendering.server_text import find_local_servers
from intermodal.content import KINDS
from intermodal.request import TIERS

if TYPE_CHECKING:
    from intermodal.catalog.snapshot.file import Snapshot, SnapshotRow
    from intermodal.catalog.types import Catalog
    from intermodal.cli.rendering.model_rows import ModelRow
    from intermodal.local_models.ranking import Work

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

FEW = 8  # as many rows are shown with what to do
MOST = 40  # rows of a table, unless more are asked for
SORTS = ("price", "context", "strength", "name")
_SHORT = {
    "vlm": "vision-language", "asr": "speech recognition", "stt": "speech recognition", "tts": "speech synthesis",
    "ocr": "text recognition", "encoder": "encoder language model", "contrastive": "contrastive image-text",
}  # fmt: skip
_WORDS = {"pdf": "document", "picture": "image", "speech": "audio", "vector": "embedding"}
# The filters that ask about models at large: with one of them the whole snapshot is looked through.
_AT_LARGE = ("name", "kind", "takes", "makes", "task", "hosts", "max_price", "at_least", "sort", "everywhere")


class _Models(click.Group):
    """``models`` itself lists; a first word that is no verb of it is a part of a name."""

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
    """List the endpoints plans choose from; with NAME or a filter, all models of the catalog that are so.

    Hosted models come from published data: a snapshot with a date (see: models refresh).
    """


def _kinds(words: tuple[str, ...], known: tuple[str, ...], option: str) -> tuple[str, ...]:
    from intermodal.errors import UsageError

    found = []
    for word in (part.strip().lower() for text in words for part in text.split(",") if part.strip()):
        kind = _WORDS.get(word, word)
        if kind not in known:
            raise UsageError(f"{word} is no kind of content", where=option, todo=f"kinds are {', '.join(known)}")
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
              help='Rank models that fit 8GB of memory, or a card: "RTX 4090" (see: fit --all).')  # fmt: skip
@click.option("--ctx", default="", metavar="TOKENS", help="With --fits: tokens of a text, of files that are here.")
@click.option("--sort", type=click.Choice(SORTS), default=None, help="Order; what is not known comes last.")
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
def list_models(**given: Any) -> None:  # fmt: skip
    """List the endpoints plans choose from; with NAME or a filter, all models that are so."""
    from intermodal.cli.rendering.model_rows import all_rows, passes_filters, snapshot_of, sort_rows
    from intermodal.client import AsyncClient

    if given["fits"]:
        from intermodal.cli.fit_ranking import named, rank

        work: Work = "sight" if "image" in _kinds(given["takes"], KINDS, "--in") else "chat"
        rank(named(given["fits"]), ctx=given["ctx"], work=work, as_json=given["as_json"])
        return
    _check_task(given["task"])
    given["kind"] = _checked_kind(given["kind"])
    given["takes"] = _kinds(given["takes"], KINDS, "--in")
    given["makes"] = _kinds(given["makes"], _made(), "--out")
    client = AsyncClient()
    find_local_servers(client)
    catalog, snapshot = client.catalog, snapshot_of(client)
    _check_hosts(given["hosts"], catalog, snapshot)
    at_large = any(given[name] for name in _AT_LARGE) or given["max_price"] is not None
    rows = _rows(snapshot, given) if at_large and not given["ready"] and not given["local"] else []
    listed = all_rows(catalog, snapshot, rows)
    if given["name"]:
        listed = _called(given["name"], listed, all_rows(catalog, snapshot, snapshot.rows))
    found = sort_rows([each for each in listed if passes_filters(each, given)], given["sort"] or "")
    if given["as_json"]:
        from intermodal.cli.rendering.json_document import print_document
        from intermodal.cli.rendering.model_rows import row_document

        print_document(
            "models", {"catalog": catalog.version, "models": [row_document(each, catalog) for each in found]}
        )
    else:
        _table(found, given["limit"], at_large=at_large, more=_beyond(catalog, snapshot))


def _rows(snapshot: Snapshot, given: dict[str, Any]) -> list[SnapshotRow]:
    from intermodal.catalog.search import ModelFilter, filter_rows

    wanted = ModelFilter(
        kind=given["kind"], takes=frozenset(given["takes"]), makes=frozenset(given["makes"]), task=given["task"],
        hosts=frozenset(given["hosts"]), max_price=given["max_price"],
    )  # fmt: skip
    return filter_rows(snapshot.rows, wanted)


def _beyond(catalog: Catalog, snapshot: Snapshot) -> int:
    known = sum(place.rows for place in snapshot.places.values()) + snapshot.header.first[1]
    return known - sum(1 for endpoint in catalog.endpoints if endpoint.host.id in snapshot.places)


def _table(found: list[ModelRow], limit: int, *, at_large: bool, more: int) -> None:
    from intermodal.cli.rendering.model_rows import input_kinds, price_of, state, tier_words
    from intermodal.cli.rendering.tables import count, echo_table

    if not found:
        click.echo("no endpoint is like that", err=True)
        return
    shown = found[:limit]
    rows = [
        (each.id, each.kind, input_kinds(each), tier_words(each), price_of(each), count(each.context),
         state(each, briefly=len(shown) > FEW))
        for each in shown
    ]  # fmt: skip
    echo_table(("endpoint", "kind", "takes", "tier", "price", "context", "state"), rows)
    if len(found) > limit:
        click.echo(f"\n… and {len(found) - limit:,} more: a narrower filter, --limit {len(found)}, or --json", err=True)
    if not at_large:
        click.echo(f"\n{more:,} more in the snapshot: any filter looks through them, or --all", err=True)
    if len(shown) > FEW:
        click.echo("all that is known of one, and what to do about it: intermodal models show NAME", err=True)


# ---- slips -----------------------------------------------------------------------------------------


def _check_task(task: str) -> None:
    from intermodal.catalog.types import Task
    from intermodal.errors import UsageError

    if task and task not in get_args(Task):
        raise UsageError(f"no task named {task!r}", where="--task", todo=f"tasks are {', '.join(get_args(Task))}")


def _checked_kind(name: str) -> str:
    """A kind as ``kinds.KINDS`` has it, capitals and dashes aside."""
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


def _made() -> tuple[str, ...]:
    from intermodal.catalog.types import OutputKind

    return get_args(OutputKind)


def _check_hosts(names: tuple[str, ...], catalog: Catalog, snapshot: Snapshot) -> None:
    from intermodal.catalog.load import unknown_host
    from intermodal.errors import UsageError

    known = {endpoint.host.id for endpoint in catalog.endpoints} | snapshot.places.keys()
    for name in names:
        if name not in known:
            what, todo = unknown_host(name, known, snapshot.path)
            raise UsageError(what, where="--host", todo=todo)


def _called(name: str, listed: list[ModelRow], whole: list[ModelRow]) -> list[ModelRow]:
    """Those with the name. One that no endpoint has is a slip; one that only the filters leave out is an answer: none.

    Raises UsageError with near names.
    """
    from difflib import get_close_matches

    from intermodal.cli.rendering.model_rows import is_named
    from intermodal.errors import UsageError

    word = name.lower()
    exactly = any(is_named(each, word, True) and not each.uncallable for each in listed)
    if exactly or any(is_named(each, word, False) for each in whole):
        return [each for each in listed if is_named(each, word, exactly)]
    models: dict[str, str] = {}
    for each in whole:
        models.setdefault(each.model.lower(), each.model)
        models.setdefault(each.model.lower().rpartition("/")[2], each.model)
    near = dict.fromkeys(models[match] for match in get_close_matches(word, models, 5, 0.6))
    todo = f"did you mean {' or '.join(list(near)[:3])}?" if near else "all of them: intermodal models --all"
    raise UsageError(f"no endpoint has {name!r} in its id", todo=todo)


# What ``models`` takes is what its listing takes; they are declared once.
models.params += [parameter for parameter in list_models.params if isinstance(parameter, click.Option)]
models.add_command(show)
models.add_command(compare)
models.add_command(refresh)

__all__ = ["models"]
