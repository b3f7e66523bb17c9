"""The config file ``intermodal.toml``, and the folders that intermodal writes to.

    $INTERMODAL_CONFIG                     only this file
    $INTERMODAL_HOME/config/…              config, data, cache and state together in this folder
    the system's config folder             otherwise

The current folder is never searched: a cloned repository must not be able to grant consent. API keys are not in the
file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from intermodal.catalog.host_rows import (
    FOLDER_PROTOCOLS,
    HostRow,
    check_name,
    check_row,
    check_url,
    decode_row,
    zone_of,
)
from intermodal.catalog.load import find_host
from intermodal.catalog.model_folders import is_model_folder
from intermodal.catalog.plugin_rows import http_protocols
from intermodal.catalog.shipped_rows import known_hosts, parse_toml, read_toml
from intermodal.catalog.types import TimeoutSettings
from intermodal.config.tables import (
    AUTO,
    POLICY,
    PROMPT,
    REQUEST_DEFAULTS,
    ConfigFile,
    DiscoveryTable,
    EndpointRate,
    PolicyTable,
    ServeTable,
    StoreTable,
    TelemetryTable,
)
from intermodal.core.content import Value
from intermodal.core.hints import command
from intermodal.core.request import DEFAULT_MAX_COST, DEFAULT_TIME_VALUE, Licence, Policy, Retention, Zone
from intermodal.errors import ConfigError
from intermodal.files.atomic_file import exclusive_lock, file_mode, replace_file

if TYPE_CHECKING:
    import tomlkit

T = TypeVar("T")

FILE = "intermodal.toml"
HEADER = """\
# What intermodal may use and what it may spend. Keys are not kept here.
# consent = ["openai"]     hosted services that content may be sent to
# max_cost = 0.05          USD per request, at most
# time_value = 0.002       USD one second of waiting is worth
# private = ["audio"]      kinds or file names that never leave this machine
# declined = ["groq"]      hosted services that are not asked about again
# [discovery]              enabled = false: servers of this machine are not looked for
# pay_twice = false        after a call that failed and may have been paid, nobody else is asked
# explore = false          what was not measured yet is not tried out
# licence = "commercial"   models whose licence does not permit commercial use are left out
# regions = ["eu"]         hosts that compute anywhere else are left out
# retention = "none"       hosts that keep what they are sent are left out; "no-training": those that train on it
# trusted_hosts = ["groq"] the only hosts that advice names and that can be consented to
# free_tiers = true        "best" and "cheapest" may take endpoints that are free and rationed
"""


class Config(Value):
    """The user's config.

    Attributes:
        path: the file it came from, "" if there is none.
        consent: shipped hosts that content may be sent to.
        hosts: host rows of the user's own.
        max_cost: USD per request, unless the request states a limit. max_cost_stated: the file states it.
        time_value: USD one second of waiting is worth.
        private: labels every request gets in addition to its own.
        declined: shipped hosts that the user declined.
        discovery: how servers of this machine are discovered.
        pay_twice: after a call that failed and may have been charged, another endpoint may be called.
        explore: unmeasured endpoints may be tried out if they cost no more.
        free_tiers: ``best`` and ``cheapest`` may use endpoints that cost nothing and are rationed.
        licence, regions, retention: defaults of requests (``request.Policy``).
        trusted_hosts: the only hosts that advice may name and that may be consented to; () for all.
        timeouts: limits of a call, unless its host's row states others.
        policies: by name, the meaning of ``policy:NAME`` in place of a model.
        serve: how the gateway listens.
        telemetry: what is exported to a collector, and where.
        store: how long single attempts are kept.
    """

    path: str = ""
    consent: tuple[str, ...] = ()
    hosts: tuple[HostRow, ...] = ()
    max_cost: float = DEFAULT_MAX_COST
    max_cost_stated: bool = False
    time_value: float = DEFAULT_TIME_VALUE
    private: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    discovery: DiscoveryTable = DiscoveryTable()
    pay_twice: bool = True
    explore: bool = True
    free_tiers: bool = False
    licence: Licence = "any"
    licence_stated: bool = False
    regions: tuple[str, ...] = ()
    retention: Retention = "any"
    trusted_hosts: tuple[str, ...] = ()
    timeouts: TimeoutSettings = TimeoutSettings()
    policies: dict[str, Policy] = msgspec.field(default_factory=dict)
    serve: ServeTable = ServeTable()
    telemetry: TelemetryTable = TelemetryTable()
    store: StoreTable = StoreTable()


# ---- where things are ------------------------------------------------------------------------------


def config_path(env: Mapping[str, str]) -> Path:
    """Return the path of the config file, which need not exist."""
    if env.get("INTERMODAL_CONFIG"):
        return Path(env["INTERMODAL_CONFIG"]).expanduser()
    return _folder(env, "config") / FILE


def data_dir(env: Mapping[str, str]) -> Path:
    """Return the folder for data that must not be lost: the store."""
    return _folder(env, "data")


def cache_dir(env: Mapping[str, str]) -> Path:
    """Return the folder for data that can be downloaded or computed again: weights, derived media."""
    return _folder(env, "cache")


def state_dir(env: Mapping[str, str]) -> Path:
    """Return the folder for this machine's state: servers started by ``intermodal up``, and their logs."""
    return _folder(env, "state")


def snapshot_file(env: Mapping[str, str]) -> Path:
    """Return the path of the user's snapshot of hosted models, which ``intermodal models refresh`` writes."""
    return data_dir(env) / "models.jsonl"


def _folder(env: Mapping[str, str], kind: str) -> Path:
    home = env.get("INTERMODAL_HOME")
    return _in_home(home, kind) if home else _of_the_system(kind)


@cache
def _in_home(home: str, kind: str) -> Path:
    return Path(home).expanduser() / kind


def _of_the_system(kind: str) -> Path:
    import platformdirs

    folders: dict[str, Callable[[str], Path]] = {
        "config": platformdirs.user_config_path,
        "data": platformdirs.user_data_path,
        "cache": platformdirs.user_cache_path,
        "state": platformdirs.user_state_path,
    }
    return folders[kind]("intermodal")


# ---- reading ---------------------------------------------------------------------------------------


def load_config(env: Mapping[str, str] | None = None) -> Config:
    """Read the config file; return the defaults if there is none.

    Raises:
        ConfigError: the file cannot be read or is invalid, or INTERMODAL_CONFIG names a file that does not exist
            (falling back to the defaults could send out data that the file forbids).
    """
    env = os.environ if env is None else env
    path = config_path(env)
    where = str(path)
    try:
        table = read_toml(path, where)
    except FileNotFoundError:
        if env.get("INTERMODAL_CONFIG"):
            raise ConfigError(
                "INTERMODAL_CONFIG names a file that is not there", where=where, todo="run: intermodal init"
            ) from None
        return Config()
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise ConfigError(f"cannot be read ({reason})", where=where, todo="correct its permissions") from None
    try:
        return parse(table, where, snapshot_file(env))
    except ConfigError as error:
        error.where = error.where.replace(where, key_location(where, error.key), 1)
        raise


def key_location(path: str, key: tuple[str | int, ...]) -> str:
    """Return the location of a key for an error: "…/intermodal.toml line 12", or the file if the line is unknown."""
    from intermodal.files.located_document import line_of_key

    try:
        line = line_of_key(Path(path).read_text("utf-8-sig"), key) if key else None
    except (OSError, UnicodeDecodeError):
        line = None
    return path if line is None else f"{path} line {line}"


def parse(table: Mapping[str, Any], where: str, snapshot: Path | None = None) -> Config:
    """Build a config from parsed TOML.

    ``snapshot`` is the path of the user's snapshot. Raises ConfigError, which names the key.
    """
    parted = {name: _tables(table, name, where) for name in ("hosts", "policies")}
    file = _decode({key: value for key, value in table.items() if key not in (*parted, *_ALONE)}, ConfigFile, where)
    hosts = tuple(_host(name, row, where, snapshot) for name, row in sorted(parted["hosts"].items()))
    names = {row.id for row in known_hosts()} | {row.id for row in hosts}
    for at, name in enumerate(file.consent):
        if name not in names and find_host(name, snapshot) is None:
            raise ConfigError(
                f"consent names a host that is not known: {name}",
                where=where,
                todo=command(
                    f"hosts are {', '.join(sorted(names))}; a new one: intermodal hosts add {name} --base-url URL; "
                    f"one of a plugin that is gone: intermodal hosts remove {name}"
                ),
                key=("consent", at),
            )
    _check_trusted(file, names, where, snapshot)
    usual: dict[str, Any] = {name: getattr(file, name) for name in REQUEST_DEFAULTS}
    usual["max_cost_stated"] = "max_cost" in table
    serve = _serve(_table(table, "serve", where), where)
    bounds = {**usual, "streaming": serve.streaming}
    return Config(
        path=where,
        consent=file.consent,
        hosts=hosts,
        private=file.private,
        declined=file.declined,
        licence_stated="licence" in table,
        trusted_hosts=file.trusted_hosts,
        discovery=_discovery(_table(table, "discovery", where), where),
        timeouts=file.timeouts,
        policies={name: _policy(name, row, bounds, where) for name, row in parted["policies"].items()},
        serve=serve,
        telemetry=_telemetry(_table(table, "telemetry", where), where),
        store=_decode(_table(table, "store", where), StoreTable, where, "store"),
        **usual,
    )


def _check_trusted(file: ConfigFile, names: set[str], where: str, snapshot: Path | None) -> None:
    """Raise ConfigError for an unknown trusted host, or for consent to a host that is not trusted."""
    trusted = file.trusted_hosts
    for at, name in enumerate(trusted):
        if name not in names and find_host(name, snapshot) is None:
            todo = f"hosts are {', '.join(sorted(names))}; or leave trusted_hosts out"
            what = f"trusted_hosts names a host that is not known: {name}"
            raise ConfigError(what, where=where, todo=todo, key=("trusted_hosts", at))
    for at, name in enumerate(file.consent):
        if trusted and name not in trusted:
            what = f"consent names {name}, and trusted_hosts does not"
            raise ConfigError(what, where=where, todo="add it there, or take it out here", key=("consent", at))


_ALONE = ("discovery", "serve", "store", "telemetry")  # each is parsed separately, so errors name it


def _table(table: Mapping[str, Any], name: str, where: str, *above: str) -> dict[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, dict):
        path = ".".join((*above, name))
        raise ConfigError(f"{path} must be a table", where=where, todo=f"write [{path}]", key=(*above, name))
    return found


def _tables(table: Mapping[str, Any], name: str, where: str, *above: str) -> dict[str, dict[str, Any]]:
    """Return the tables under ``name``, by their names."""
    found = _table(table, name, where, *above)
    return {each: _table(found, each, where, *above, name) for each in found}


def _decode(table: Mapping[str, Any], cls: type[T], where: str, *key: str) -> T:
    try:
        return decode_row(table, cls, where=where, place=".".join(key))
    except ConfigError as error:
        error.key = (*key, *error.key)
        raise


def _discovery(table: Mapping[str, Any], where: str) -> DiscoveryTable:
    found = _decode(table, DiscoveryTable, where, "discovery")
    for at, address in enumerate(found.addresses):
        key = ("discovery", "addresses", at)
        check_url(address, f"{where} [discovery] addresses", key)
        if zone_of(address) not in ("machine", "network"):
            raise ConfigError(
                f"[discovery] addresses has {address}, which is not on this machine or its network",
                where=where,
                todo=command(f"add it as a host: intermodal hosts add NAME --base-url {address}"),
                key=key,
            )
    return found


def _serve(table: Mapping[str, Any], where: str) -> ServeTable:
    rates = {
        name: _decode(row, EndpointRate, where, "serve", "rates", name)
        for name, row in _tables(table, "rates", where, "serve").items()
    }
    found = _decode({key: value for key, value in table.items() if key != "rates"}, ServeTable, where, "serve")
    for alias, target in found.aliases.items():
        wrong = _alias(alias, target)
        if wrong:
            key = ("serve", "aliases", alias)
            raise ConfigError(f"[serve.aliases] {wrong}", where=where, todo=_ALIAS, key=key)
    prompts = str(Path(where).parent / Path(found.prompts).expanduser()) if found.prompts else ""
    return msgspec.structs.replace(found, rates=rates, prompts=prompts)


_ALIAS = 'write the name that clients use, and its target: "gpt-4o" = "policy:cheap"'


def _alias(alias: str, target: str) -> str:
    """Return the problem with an alias; "" if it is valid."""
    if not alias.strip():
        return f"has an alias without a name, for {target}"
    if alias == AUTO or alias.startswith((POLICY, PROMPT)):
        return f"has an alias {alias}, which is a name of intermodal's own: its limits would be gone"
    return "" if target.strip() else f"says nothing for {alias}"


def _telemetry(table: Mapping[str, Any], where: str) -> TelemetryTable:
    found = _decode(table, TelemetryTable, where, "telemetry")
    if found.endpoint:
        check_url(found.endpoint, f"{where} [telemetry] endpoint", ("telemetry", "endpoint"))
    return found


def _policy(name: str, table: Mapping[str, Any], usual: Mapping[str, Any], where: str) -> Policy:
    """Read one ``[policies.NAME]`` table.

    Its money, time, ``pay_twice``, ``explore`` and ``streaming`` default to the values at the top of the file.
    """
    key = ("policies", name)
    check_name(name, where, key, "a policy")
    if "max_cost_stated" in table:
        raise ConfigError(
            f"unknown key max_cost_stated in [policies.{name}]", where=where, todo="say max_cost",
            key=(*key, "max_cost_stated"),
        )  # fmt: skip
    _decode(table, PolicyTable, where, *key)
    stated_fields = {"max_cost_stated": True} if "max_cost" in table else {}
    return msgspec.convert({**usual, **table, **stated_fields}, Policy)


_FILES: Mapping[str, str] = {
    "contrastive": "ONNX files", "diffusion": ".safetensors or .gguf", "encoder": "ONNX files",
}  # fmt: skip


def _of_folders(row: HostRow, where: str, key: tuple[str, ...]) -> HostRow:
    """Read a host whose models are the user's own folders or files, opened by an embedded runtime."""
    place = ".".join(key)
    for field in ("base_url", "zone"):
        if getattr(row, field):
            what = f"[{place}] sets {field}, and models in folders run in a process of this machine"
            raise ConfigError(what, where=where, todo=f"leave {field} out", key=(*key, field))
    for at, served_row in enumerate(row.models):
        if not is_model_folder(served_row.weights):
            raise ConfigError(
                f"model {served_row.id} of [{place}] names no folder", where=where,
                todo=f'add weights = "/path/to/the/folder", with its {_FILES[row.protocol]}',
                key=(*key, "models", at, "id"),
            )  # fmt: skip
    return row


def _host(name: str, table: Mapping[str, Any], where: str, snapshot: Path | None) -> HostRow:
    """Read one ``[hosts.NAME]``."""
    key, place = ("hosts", name), f"hosts.{name}"
    row = _decode({**table, "id": name}, HostRow, where, *key)
    check_name(name, where, key)
    if table.get("id", name) != name:
        what = f"[{place}] has another name inside: {table['id']}"
        raise ConfigError(what, where=where, todo="leave id out", key=(*key, "id"))
    if row.protocol in FOLDER_PROTOCOLS:
        return _of_folders(row, where, key)
    check_row(row, where, key, http_protocols())
    if not row.base_url and find_host(name, snapshot) is None:
        raise ConfigError(f"[{place}] lacks base_url", where=where, todo='add base_url = "http://…/v1"', key=key)
    return row


# ---- writing: the user's text, comments and order are kept --------------------------------------------


def consent(env: Mapping[str, str], host: str) -> Path:
    """Allow content to be sent to a shipped host. Return the path of the config file."""
    return _edit(env, lambda document: _list(document, "consent", host, present=True))


def decline_host(env: Mapping[str, str], host: str) -> Path:
    """Stop asking about this host. Return the path of the config file."""
    return _edit(env, lambda document: _list(document, "declined", host, present=True))


def add_host(env: Mapping[str, str], row: HostRow) -> Path:
    """Write ``[hosts.NAME]``, replacing an existing table of that name. Return the path of the config file."""
    fields = {key: value for key, value in msgspec.to_builtins(row).items() if key != "id"}

    def edit(document: tomlkit.TOMLDocument) -> None:
        import tomlkit

        hosts = document.setdefault("hosts", tomlkit.table(is_super_table=True))
        models = fields.pop("models", ())
        table = tomlkit.item(fields)
        if models:
            rows = tomlkit.aot()
            for model in models:
                rows.append(tomlkit.item(model))
            table["models"] = rows
        hosts[row.id] = table

    return _edit(env, edit)


def remove_host(env: Mapping[str, str], name: str) -> bool:
    """Remove a host's row and consent from the config. Return False if it had neither."""
    found = False

    def edit(document: tomlkit.TOMLDocument) -> None:
        nonlocal found
        if name in document.get("consent", ()):
            found = True
            _list(document, "consent", name, present=False)
        if name in document.get("hosts", {}):
            found = True
            del document["hosts"][name]

    _edit(env, edit, touch=False)
    return found


def create(env: Mapping[str, str]) -> Path:
    """Create the config file if there is none."""
    return _edit(env, lambda document: None)


def _list(document: tomlkit.TOMLDocument, key: str, name: str, *, present: bool) -> None:
    """Add a name to a top-level list, or remove it. A new key is inserted before the first table, as TOML requires."""
    names = [str(other) for other in document.get(key, ()) if other != name] + ([name] if present else [])
    if key in document:
        document[key] = names
        return
    tables = [other for other in list(document) if isinstance(document[other], dict)]
    other_tables = {other: document.pop(other) for other in tables}
    document[key] = names
    for other, item in other_tables.items():
        document[other] = item


def _edit(env: Mapping[str, str], change: Callable[[tomlkit.TOMLDocument], None], *, touch: bool = True) -> Path:
    """Edit the config file atomically: a reader sees the old text or the new, and a crash leaves the old.

    Concurrent edits wait for each other, so that none is lost.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = config_path(env)
    path = path.resolve() if path.is_symlink() else path
    try:
        if not touch and not path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(path.parent):  # locks the folder, so no lock file is left in it
            before = path.read_text("utf-8-sig") if path.exists() else ""
            document = tomlkit.parse(before or HEADER)
            change(document)
            text = tomlkit.dumps(document)
            parse(parse_toml(text, str(path)), str(path))  # never leave a file that cannot be read back
            if text != before and (before or touch):
                replace_file(path, text.encode(), mode=file_mode(path, private=True))
    except TOMLKitError as error:
        raise ConfigError(f"is not TOML: {error}", where=str(path), todo="correct that line") from None
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        todo = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "correct its permissions"
        raise ConfigError(f"cannot be written ({reason})", where=str(path), todo=todo) from None
    return path


def zone_words(zone: Zone) -> str:
    """Return how far content travels in a zone, as a phrase for users."""
    words: dict[Zone, str] = {
        "process": "stays inside this process",
        "machine": "stays on this machine",
        "network": "goes to another machine of this network",
        "internet": "leaves this network",
    }
    return words[zone]


__all__ = [
    "Config", "add_host", "cache_dir", "config_path", "consent", "create", "data_dir", "decline_host",
    "load_config", "parse", "remove_host", "state_dir", "zone_words",
]  # fmt: skip
