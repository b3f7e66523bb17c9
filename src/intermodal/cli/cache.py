"""``intermodal cache``: list, show and remove the cached results of conversions."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from intermodal.errors import UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from intermodal.store.conversion_cache import CachedConversion, CacheEntry, ConversionCache

EPILOG = """\b
Examples
  intermodal cache ls
  intermodal cache ls --json
  intermodal cache show 3f9a2c
  intermodal cache rm 3f9a2c
  intermodal cache rm --all
"""
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
_SHOWN = 12  # characters of a key that are shown: enough to distinguish thousands of results
_LEAST = 4  # the fewest characters by which a cached result may be named
_KINDS = {"transcribe": "transcript", "read": "text read", "describe": "what is seen"}


@click.group(epilog=EPILOG, invoke_without_command=True)
@_JSON
@click.pass_context
def cache(context: click.Context, as_json: bool) -> None:
    """Show or remove transcripts, recognised text and descriptions of your files that are cached on this machine.

    A value is keyed by the bytes of the file and by its converter, so that asking again converts nothing again.
    Beyond 1 GiB the least recently used are removed. Without a verb, the values are listed.
    """
    if context.invoked_subcommand is None:
        _list(as_json)


def _keys(context: click.Context, parameter: click.Parameter, prefix: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    cache = _cache()
    found = [entry for entry in cache.entries() if entry.key.startswith(prefix)][:50]
    return [CompletionItem(entry.key[:_SHOWN], help=_title(cache.peek(entry.key))) for entry in found]


@cache.command("ls", epilog=EPILOG)
@_JSON
def list_values(as_json: bool) -> None:
    """List cached values: what each is, its file, its size and its last use, newest first."""
    _list(as_json)


@cache.command(epilog=EPILOG)
@click.argument("key", shell_complete=_keys)
@_JSON
def show(key: str, as_json: bool) -> None:
    """Print the text of a value, named by its key or the first letters of it."""
    conversions = _cache()
    entry = _find_entry(conversions, key, "show")
    conversion = conversions.peek(entry.key)
    if conversion is None:
        raise UsageError("cannot be read", where=entry.key[:_SHOWN], todo=f"intermodal cache rm {entry.key[:_SHOWN]}")
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document(
            "cached",
            {**_entry_document(entry, conversion), "text": conversion.text, "transcript": conversion.transcript},
        )
    else:
        click.echo(conversion.text)


@cache.command(epilog=EPILOG)
@click.argument("keys", nargs=-1, shell_complete=_keys)
@click.option("--all", "everything", is_flag=True, help="All of them.")
@_JSON
def rm(keys: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Remove cached values by key or prefix; a value that is needed again is computed again."""
    if everything == bool(keys):
        raise UsageError("takes keys, or --all", where="cache rm", todo="intermodal cache ls lists the keys")
    conversions = _cache()
    if everything:
        found = conversions.entries()
        conversions.clear()
    else:
        found = list({entry.key: entry for entry in (_find_entry(conversions, key, "rm") for key in keys)}.values())
        for entry in found:
            conversions.remove(entry.key)
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("cache_removed", {"keys": [entry.key for entry in found], "bytes": _total_size(found)})
    else:
        click.echo(f"removed {_count_and_size(found)}")


def _list(as_json: bool) -> None:
    cache = _cache()
    found = [(entry, cache.peek(entry.key)) for entry in cache.entries()]
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        values = [_entry_document(entry, conversion) for entry, conversion in found]
        print_document("cache", {"folder": str(cache.root), "capacity": cache.capacity, "values": values})
        return
    if not found:
        click.echo("the cache is empty; transcripts and recognised text are cached when they are made", err=True)
        return
    from intermodal.cli.rendering.tables import echo_table, size

    now = time.time()
    echo_table(
        ("key", "what", "of", "size", "last used", "made by"),
        [(entry.key[:_SHOWN], _kind(conversion), (conversion.name if conversion else "") or "-", size(entry.size),
          _age_text(now - entry.used), (conversion.maker if conversion else "") or "-") for entry, conversion in found],
    )  # fmt: skip
    click.echo(f"{_count_and_size([entry for entry, _ in found])} in {cache.root}", err=True)


def _cache() -> ConversionCache:
    from intermodal.config.config_file import cache_dir
    from intermodal.store.conversion_cache import FOLDER, ConversionCache

    return ConversionCache(cache_dir(os.environ) / FOLDER)


def _find_entry(cache: ConversionCache, prefix: str, verb: str) -> CacheEntry:
    prefix = prefix.strip().lower()
    found = [entry for entry in cache.entries() if entry.key.startswith(prefix)] if len(prefix) >= _LEAST else []
    if len(found) == 1:
        return found[0]
    todo = "intermodal cache ls lists the keys"
    if found:
        raise UsageError(f"{prefix} begins {len(found)} keys", where=f"cache {verb}", todo="give more of its letters")
    short = f"{prefix!r} is too short: at least {_LEAST} letters of a key are needed"
    raise UsageError(
        f"no value has the key {prefix}" if len(prefix) >= _LEAST else short, where=f"cache {verb}", todo=todo
    )


def _entry_document(entry: CacheEntry, conversion: CachedConversion | None) -> dict[str, Any]:
    from datetime import UTC, datetime

    used = datetime.fromtimestamp(entry.used, UTC).isoformat(timespec="seconds")
    about = (conversion.op, conversion.name, conversion.maker) if conversion is not None else ("", "", "")
    return {
        "key": entry.key,
        "op": about[0] or None,
        "name": about[1] or None,
        "maker": about[2] or None,
        "bytes": entry.size,
        "used": used,
        "readable": conversion is not None,
    }


def _kind(conversion: CachedConversion | None) -> str:
    if conversion is None:
        return "unreadable"
    kind = "transcribe" if conversion.transcript is not None else "read" if conversion.lines else "describe"
    return _KINDS.get(conversion.op or kind, conversion.op)


def _title(conversion: CachedConversion | None) -> str:
    return (
        f"{_kind(conversion)} of {conversion.name}" if conversion is not None and conversion.name else _kind(conversion)
    )


def _age_text(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return "just now"


def _total_size(entries: list[CacheEntry]) -> int:
    return sum(entry.size for entry in entries)


def _count_and_size(entries: list[CacheEntry]) -> str:
    from intermodal.cli.rendering.tables import size
    from intermodal.plans.numbers import with_noun

    many = with_noun(len(entries), "value")
    return f"{many}, {size(_total_size(entries))}" if entries else many
