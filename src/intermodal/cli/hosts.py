"""``intermodal hosts``: the hosts that may be used, and the models that they list.

Listing models is quick and free, and only hosts that the user entered are asked for their models.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click

from intermodal.catalog.types import Host, Protocol
from intermodal.cli.arguments.plugin_choice import PluginChoice
from intermodal.core.content import KINDS, Kind, Value
from intermodal.errors import CallError, CredentialsRefused, IntermodalError, Unreachable, UsageError

if TYPE_CHECKING:
    from intermodal.catalog.host_rows import HostRow, ServedRow
    from intermodal.catalog.types import Task

LIST_EPILOG = """\b
Examples
  intermodal hosts
  intermodal hosts add openai
  intermodal hosts add mybox --base-url http://127.0.0.1:8080/v1
  intermodal hosts remove openai
"""
ADD_EPILOG = """\b
Examples
  intermodal hosts add openai
  intermodal hosts add openai --yes
  intermodal hosts add mybox --base-url http://127.0.0.1:11434/v1 --model qwen3:8b
  intermodal hosts add claude --base-url http://127.0.0.1:8080/v1 --protocol anthropic
  intermodal hosts add proxy --base-url http://127.0.0.1:4000/v1 --zone internet --key-env PROXY_KEY
"""
# The same as catalog.host_rows.HTTP_PROTOCOLS.
PROTOCOLS = ("openai", "openai-responses", "anthropic", "gemini", "ollama")


def _protocols_of_plugins() -> Iterable[str]:
    from intermodal.catalog.plugin_rows import protocol_plugins

    return protocol_plugins()


MOST_MODELS = 50  # the most models of one host if none are named
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group(epilog=LIST_EPILOG, invoke_without_command=True)
@_JSON
@click.pass_context
def hosts(context: click.Context, as_json: bool) -> None:
    """Add, allow and list hosts."""
    if context.invoked_subcommand is None:
        _list(as_json)


@hosts.command("list", epilog=LIST_EPILOG)
@_JSON
def list_hosts(as_json: bool) -> None:
    """List the hosts, how far away they are, and whether they are allowed."""
    _list(as_json)


@hosts.command(epilog=ADD_EPILOG)
@click.argument("name", required=False, default="", metavar="NAME")
@click.option("--base-url", default="", metavar="URL", help="Address of the server, its version included (…/v1).")
@click.option(
    "--protocol",
    type=PluginChoice(PROTOCOLS, _protocols_of_plugins),
    default=None,
    help="The protocol it speaks; see docs/protocols.md.  [default: openai, which most servers speak]",
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME[=VENDOR/MODEL]",
    help="A model it serves, by its own name there; repeatable.  [default: all it lists]",
)
@click.option("--key-env", default="", metavar="VARIABLE", help="Environment variable that holds its key.")
@click.option("--keyring", is_flag=True, help="Ask for the key and keep it in the system's keyring.")
@click.option(
    "--zone",
    type=click.Choice(["machine", "network", "internet"]),
    default=None,
    help="How far away it computes, where the address misleads: a local proxy to a hosted API is internet.",
)
@click.option("--forced-json", is_flag=True, help="It can force a JSON schema (response_format).")
@click.option("-y", "--yes", is_flag=True, help="Do not ask; consent.")
@_JSON
def add(**options: Any) -> None:
    """Allow a known host (openai, groq, …), or add a server of your own.

    Content is sent to a host only if a plan chooses it, and every plan shows what it sends. A key in the environment
    alone is no consent.
    """
    from intermodal.catalog.load import find_host
    from intermodal.config.config_file import snapshot_file

    if not options["name"]:
        own = "intermodal hosts add mybox --base-url http://127.0.0.1:8080/v1"
        raise UsageError("no host is named", todo=f"name one that intermodal hosts lists, or a server of yours: {own}")
    shipped = find_host(options["name"], snapshot_file(os.environ))
    if shipped is not None and not options["base_url"]:
        _consent_to_shipped_host(shipped, options)
    else:
        _add(options)


@hosts.command(epilog=LIST_EPILOG)
@click.argument("name")
@_JSON
def remove(name: str, as_json: bool) -> None:
    """Withdraw the consent to a host; a host of your own is removed from the config."""
    from intermodal.config import config_file

    if not config_file.remove_host(os.environ, name):
        raise UsageError(f"no host {name!r} was added or allowed", todo="see: intermodal hosts")
    _print_result(f"{name}: no longer allowed", as_json, {"host": name, "allowed": False})


# ---- list ------------------------------------------------------------------------------------------


def _list(as_json: bool) -> None:
    from intermodal.catalog.shipped_rows import known_hosts
    from intermodal.config.config_file import load_config

    config = load_config(os.environ)
    own = {row.id: row for row in config.hosts}
    shipped = {row.id for row in known_hosts()}
    rows = [row.overlaid(own[row.id]) if row.id in own else row for row in known_hosts()]
    rows += [row for row in config.hosts if row.id not in shipped]
    hosts = [
        _host_fields(row, row.id in config.consent or bool(row.id in own and own[row.id].base_url)) for row in rows
    ]
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("hosts", {"hosts": hosts, "config": config.path})
        return
    from intermodal.cli.rendering.tables import echo_table

    echo_table(
        ("host", "address", "zone", "key", "allowed", "models"),
        [
            (h["host"], h["base_url"], h["zone"], h["key"], "yes" if h["allowed"] else "no", str(h["models"]))
            for h in hosts
        ],
    )


def _host_fields(row: HostRow, allowed: bool) -> dict[str, Any]:
    key_is_set = row.key == "keyring" or bool(row.key_env and os.environ.get(row.key_env, "").strip())
    place = "keyring" if row.key == "keyring" else row.key_env
    key = f"{place} ({'set' if key_is_set else 'not set'})" if place else "none needed"
    return {"host": row.id, "base_url": row.base_url, "zone": row.host().zone, "key": key, "allowed": allowed,
            "models": len(row.models), "regions": row.regions, "trains": row.trains,
            "retention_days": row.retention_days, "conditions_source": row.conditions_source,
            "conditions_checked": row.conditions_checked}  # fmt: skip


# ---- allow a shipped host ---------------------------------------------------------------------------


def _consent_to_shipped_host(row: HostRow, options: dict[str, Any]) -> None:
    """Record the consent to a host that ships with intermodal."""
    from intermodal.config import config_file

    for option in ("models", "zone", "forced_json", "protocol"):
        if options[option]:
            raise UsageError(
                f"{row.id} has its row already", where=f"--{option.replace('_', '-').rstrip('s')}",
                todo="leave that option out, or give --base-url too to replace its address",
            )  # fmt: skip
    if not confirm_consent(row, options["yes"]):
        _print_result(f"{row.id}: not allowed", options["as_json"], {"host": row.id, "allowed": False})
        return
    changed = _key(row.id, row.key_env, options)
    if changed:
        from intermodal.catalog.host_rows import HostRow

        config_file.add_host(os.environ, HostRow(id=row.id, **changed))
    path = config_file.consent(os.environ, row.id)
    _print_result(
        f"{row.id}: allowed, written to {path}",
        options["as_json"],
        {"host": row.id, "allowed": True, "config": str(path)},
    )
    _hint_key(changed.get("key_env") or row.key_env, keyring=changed.get("key") == "keyring")


def confirm_consent(row: HostRow, yes: bool) -> bool:
    """Return whether the user consents. Without a terminal, only ``--yes`` counts as consent."""
    from urllib.parse import urlsplit

    from intermodal.catalog.shipped_rows import describe_data_policy

    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            f"consent to {row.id} cannot be asked for here: there is no terminal", todo="if you mean it, add --yes"
        )
    address = urlsplit(row.base_url).hostname or row.base_url
    click.echo(f"Plans may then send prompts and files to {row.name or row.id} ({address}).", err=True)
    if not row.checked and row.source.startswith("models.dev"):
        click.echo(f"Its address is that of {row.source}; it has not been tested.", err=True)
    data_policy = describe_data_policy(row.host())
    policy_sentence = (
        f"It states that it {data_policy}." if data_policy else "It does not state where it computes and what it keeps."
    )
    click.echo(policy_sentence, err=True)
    click.echo("Each plan shows what it sends before it sends it; --private and --local keep content here.", err=True)
    return click.confirm(f"Allow {row.id}?", default=False, err=True)


def _key(name: str, key_env: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the host's row that state where its key is."""
    if options["keyring"]:
        from intermodal.config.api_keys import store_key

        secret = (
            click.prompt(f"Key of {name}", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
        )
        store_key(name, secret)
        return {"key": "keyring"}
    if options["key_env"] and options["key_env"] != key_env:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", options["key_env"]):
            raise UsageError(
                "is not the name of an environment variable", where="--key-env",
                todo="name the variable that holds the key, never the key itself",
            )  # fmt: skip
        return {"key_env": options["key_env"]}
    return {}


def _hint_key(key_env: str, *, keyring: bool) -> None:
    if key_env and not keyring and not os.environ.get(key_env, "").strip():
        click.echo(f"its key is looked for in {key_env}, which is not set: export {key_env}=…", err=True)


# ---- add one of the user's own -----------------------------------------------------------------------


def _add(options: dict[str, Any]) -> None:
    from intermodal.catalog.host_rows import HostRow, check_name, check_url
    from intermodal.config import config_file

    name = check_name(options["name"])
    if not options["base_url"]:
        from intermodal.catalog.load import unknown_host

        what, todo = unknown_host(name, (), config_file.snapshot_file(os.environ))
        raise UsageError(what, todo=todo)
    url = check_url(options["base_url"].rstrip("/"), "--base-url")
    found = HostRow(
        id=name, base_url=url, stated_protocol=options["protocol"] or None, zone=options["zone"],
        forced_json=True if options["forced_json"] else None, **_key(name, "", options),
    )  # fmt: skip
    zone = found.host().zone
    if zone == "internet" and not confirm_consent(found, options["yes"]):
        _print_result(f"{name}: not added", options["as_json"], {"host": name, "allowed": False})
        return
    models = _models(found, options["models"])
    import msgspec

    row = msgspec.structs.replace(found, models=models)
    path = config_file.add_host(os.environ, row)
    ids = [f"{name}:{model.id}" for model in models]
    body = {"host": name, "allowed": True, "zone": zone, "models": ids, "config": str(path)}
    words = f"{name}: {config_file.zone_words(zone)}; {len(models)} models, written to {path}"
    _print_result(words, options["as_json"], body)
    if not options["as_json"]:
        for line in ids[:10]:
            click.echo(f"  {line}", err=True)
        click.echo("what they can do and cost can be stated there; see: intermodal models", err=True)
    _hint_key(row.key_env, keyring=row.key == "keyring")


def _models(row: HostRow, stated_models: tuple[str, ...]) -> tuple[ServedRow, ...]:
    """Return the models that the host serves: the named ones with the host's facts, or all that it lists."""
    import anyio

    from intermodal.config.api_keys import find_key

    async def ask() -> tuple[HostModel, ...]:
        return await listed_models(row.host(), key=find_key(row.host(), os.environ) or "", where=row.base_url, wait=3)

    try:
        host_models = anyio.run(ask)
    except IntermodalError as error:
        if not stated_models:
            raise UsageError(
                f"{error.wording_for('command line').what}, so its models are not known", where=row.base_url,
                todo="start the server, or name them: --model NAME",
            ) from None  # fmt: skip
        click.echo(f"note: {error.wording_for('command line')}; what you named is taken as it is", err=True)
        host_models = ()
    models_by_name = {model.id: model for model in host_models}
    if not stated_models:
        return tuple(served_row(row.id, model.id, "", model) for model in host_models[:MOST_MODELS])
    pairs = [word.partition("=")[::2] for word in stated_models]
    for called, _ in pairs:
        if models_by_name and called not in models_by_name:
            click.echo(f"note: {row.base_url} does not list {called}", err=True)
    return tuple(served_row(row.id, called, model, models_by_name.get(called)) for called, model in pairs)


def served_row(host: str, called: str, model: str, host_model: HostModel | None) -> ServedRow:
    """Return a row for a model by its host's own name. If the name has no vendor, the host takes its place."""
    from intermodal.catalog.discovered_servers import model_id_for
    from intermodal.catalog.host_rows import ServedRow

    plain = model_id_for(host, called, model)
    hears = "whisper" in called.lower()
    tasks: tuple[Task, ...] = ("automatic-speech-recognition",) if hears else ()
    if "embed" in called.lower():
        tasks = ("feature-extraction",)
    input_kinds = host_model.input if host_model is not None else ()
    return ServedRow(
        id=plain,
        served_as="" if called == plain else called,
        tasks=tasks,
        input=("audio",) if hears else input_kinds,
        context=host_model.context if host_model is not None else None,
    )


def _print_result(words: str, as_json: bool, body: dict[str, Any]) -> None:
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("host", body)
    else:
        click.echo(words, err=True)


MAX_LISTING = 8 << 20  # bytes; a hosted catalog of a thousand models is about 1 MB


class HostModel(Value):
    """A model as its host lists it. ``input`` is () and ``context`` is None if the host does not state them."""

    id: str
    input: tuple[Kind, ...] = ()
    context: int | None = None


class ModelListing(NamedTuple):
    """Where a protocol lists models: the path, the array in the reply, and the prefix of its names."""

    path: str = "/models"
    array: str = "data"
    name: str = "id"
    begin: str = ""
    headers: tuple[tuple[str, str], ...] = ()


OPENAI = ModelListing()

LISTINGS: Mapping[Protocol, ModelListing] = {
    "anthropic": ModelListing(headers=(("anthropic-version", "2023-06-01"),)),
    "gemini": ModelListing(array="models", name="name", begin="models/"),
    "ollama": ModelListing(path="/api/tags", array="models", name="model"),
}


async def listed_models(host: Host, *, key: str = "", where: str = "", wait: float = 1.0) -> tuple[HostModel, ...]:
    """Return the models that a host lists.

    Raises:
        Unreachable: the host does not answer within ``wait`` seconds. CredentialsRefused: it wants a key or another
            key. CallError: it answers, but not with a list of models.
    """
    import anyio

    from intermodal.transport.addresses import HostAddress
    from intermodal.transport.client import Transport

    transport = Transport()
    listing = LISTINGS.get(host.protocol, OPENAI)
    try:
        with anyio.fail_after(wait):
            async with transport.get(
                HostAddress(host.base_url, key, host.auth), listing.path, headers=listing.headers, where=where
            ) as response:
                status, body = response.status, await response.read_body(MAX_LISTING)
    except TimeoutError:
        raise Unreachable(f"gave no answer within {wait:g} s", where=where, todo="start the server") from None
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()
    if status in (401, 403):
        raise CredentialsRefused("wants a key, or another one", where=where, todo="see intermodal hosts add --help")
    return read_listing(status, body, where, listing)


def read_listing(status: int, body: bytes, where: str = "", listing: ModelListing = OPENAI) -> tuple[HostModel, ...]:
    """Return the models in a reply. Every field except the id is optional, and each server adds fields of its own."""
    try:
        data = json.loads(body)[listing.array]
        assert status == 200 and isinstance(data, list)
    except (ValueError, KeyError, TypeError, AssertionError):
        raise CallError(
            f"answers, but not with a list of models (HTTP {status})",
            where=where,
            todo="check base_url: it ends in /v1",
        ) from None
    rows = [item for item in data if isinstance(item, dict) and isinstance(item.get(listing.name), str)]
    return tuple(
        HostModel(id=item[listing.name].removeprefix(listing.begin), input=_kinds(item), context=_context(item))
        for item in rows
    )


def _kinds(item: dict[str, Any]) -> tuple[Kind, ...]:
    """Return the kinds in OpenRouter's ``architecture.input_modalities``, as llama.cpp and llama-swap have it too."""
    shape = item.get("architecture")
    modalities = shape.get("input_modalities") if isinstance(shape, dict) else item.get("input_modalities")
    words = {"file": "document"}
    found = (
        {words.get(word, word) for word in modalities if isinstance(word, str)}
        if isinstance(modalities, list)
        else set()
    )
    return tuple(kind for kind in KINDS if kind in found and kind in get_args(Kind))


def _context(item: dict[str, Any]) -> int | None:
    """Return the context in tokens, first the one in use.

    vLLM states it as ``max_model_len``, OpenRouter as ``context_length``, and llama.cpp in ``meta``.
    """
    meta = item.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    for value in (item.get("max_model_len"), item.get("context_length"), meta.get("n_ctx"), meta.get("n_ctx_train")):
        if isinstance(value, int) and value > 0:
            return value
    return None
