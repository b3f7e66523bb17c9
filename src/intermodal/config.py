"""What the user allows and has: ``intermodal.toml``, and the folders intermodal writes to.

    $INTERMODAL_CONFIG                     this file and no other
    $INTERMODAL_HOME/config/…              config, data, cache and state together, wherever the user wants them
    the system's config folder             otherwise

Never the current folder: a cloned repository must not be able to grant consent. Keys are not in it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from intermodal.catalog.load import find_host
from intermodal.catalog.rows import HTTP, HostRow, decode, zone_of
from intermodal.catalog.shipped import known_hosts, parse_toml, read_toml
from intermodal.catalog.waits import Waits
from intermodal.content import Value
from intermodal.errors import ConfigError
from intermodal.request import DEFAULT_MAX_COST, DEFAULT_TIME_VALUE, Policy, Zone

if TYPE_CHECKING:
    import tomlkit

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
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
"""


class EndpointRate(Value, forbid_unknown_fields=True):
    """``[serve.rates."HOST:VENDOR/MODEL"]``: requests and tokens a minute that an endpoint gets from all clients."""

    rpm: int | None = None
    tpm: int | None = None


class Discovery(Value, forbid_unknown_fields=True):
    """``[discovery]``: whether servers of this machine are looked for, and where.

    Attributes:
        enabled: look at all. usual_ports: where such servers listen unless told otherwise.
        addresses: roots of servers that are looked at too ("http://127.0.0.1:9000"), on this machine or its network.
    """

    enabled: bool = True
    usual_ports: bool = True
    addresses: tuple[str, ...] = ()


class Telemetry(Value, forbid_unknown_fields=True):
    """``[telemetry]``: spans and measures for an OpenTelemetry collector.

    Attributes:
        enabled: None: where ``endpoint`` or OpenTelemetry's own variables say where they go.
        endpoint: root of the collector's HTTP address ("http://127.0.0.1:4318").
        service: what this process is called there. content: prompts and answers are told too; never media.
    """

    enabled: bool | None = None
    endpoint: str = ""
    service: str = "intermodal"
    content: bool = False


class Serve(Value, forbid_unknown_fields=True):
    """How ``intermodal serve`` listens: ``[serve]``.

    Attributes:
        host, port: where. names: names by which clients reach it, besides those of this machine's loopback.
        origins: web pages ("https://chat.example.com") whose scripts may call it; none without.
        max_body: MiB of one request. drain: seconds that answers get to end when it is stopped.
        aliases: names that clients ask for -> what they get ("gpt-4o" = "policy:cheap").
        rates: of endpoints, by id, for all clients together.
        metrics: who reads ``/metrics`` once there are keys: those made for it, whoever reaches the server, or nobody.
        log_format: "text" for people, "json" for programs. log_level: what goes to the log at all.
    """

    host: str = "127.0.0.1"
    port: int = 8787
    names: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    max_body: int = 64
    drain: float = 30.0
    aliases: dict[str, str] = msgspec.field(default_factory=dict)
    rates: dict[str, EndpointRate] = msgspec.field(default_factory=dict)
    metrics: Literal["keys", "open", "off"] = "keys"
    log_format: LogFormat = "text"
    log_level: LogLevel = "info"


class Config(Value):
    """The user's config.

    Attributes:
        path: the file it came from, "" when there is none.
        consent: shipped hosts that content may be sent to.
        hosts: host rows of the user's own.
        max_cost: USD per request, unless the request says otherwise.
        time_value: USD one second of waiting is worth.
        private: labels every request gets in addition to its own.
        declined: shipped hosts the user does not want to be asked about again.
        discovery: how servers of this machine are found.
        pay_twice: after a call that failed and may have been paid, another endpoint may be asked.
        timeouts: how long a call may take, unless its host's row says otherwise.
        policies: by name, what ``policy:NAME`` stands for where a model is asked for.
        serve: how the gateway listens.
        telemetry: what is told to a collector, and where.
    """

    path: str = ""
    consent: tuple[str, ...] = ()
    hosts: tuple[HostRow, ...] = ()
    max_cost: float = DEFAULT_MAX_COST
    time_value: float = DEFAULT_TIME_VALUE
    private: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    discovery: Discovery = Discovery()
    pay_twice: bool = True
    timeouts: Waits = Waits()
    policies: dict[str, Policy] = msgspec.field(default_factory=dict)
    serve: Serve = Serve()
    telemetry: Telemetry = Telemetry()


class _File(Value, forbid_unknown_fields=True):
    """The file's top level, as TOML."""

    consent: tuple[str, ...] = ()
    max_cost: float = DEFAULT_MAX_COST
    time_value: float = DEFAULT_TIME_VALUE
    private: tuple[str, ...] = ()
    declined: tuple[str, ...] = ()
    discovery: dict[str, Any] = msgspec.field(default_factory=dict)
    pay_twice: bool = True
    timeouts: Waits = Waits()
    hosts: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    serve: Serve = Serve()
    telemetry: Telemetry = Telemetry()


# ---- where things are ------------------------------------------------------------------------------


def config_path(env: Mapping[str, str]) -> Path:
    """The config file, whether it is there or not."""
    if env.get("INTERMODAL_CONFIG"):
        return Path(env["INTERMODAL_CONFIG"]).expanduser()
    return _folder(env, "config") / FILE


def data_dir(env: Mapping[str, str]) -> Path:
    """What must not be lost: the store."""
    return _folder(env, "data")


def cache_dir(env: Mapping[str, str]) -> Path:
    """What can be fetched or made again: weights, derived media."""
    return _folder(env, "cache")


def state_dir(env: Mapping[str, str]) -> Path:
    """What is true of this machine now: the servers that ``intermodal up`` started, and their logs."""
    return _folder(env, "state")


def snapshot_file(env: Mapping[str, str]) -> Path:
    """The user's own snapshot of hosted models, there after ``intermodal models refresh``."""
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
    """The config; defaults when there is no file.

    Raises:
        ConfigError: the file cannot be read or used, or INTERMODAL_CONFIG names one that is not there
            (going on without it could send out what it forbids).
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
    return parse(table, where, snapshot_file(env))


def parse(table: Mapping[str, Any], where: str, snapshot: Path | None = None) -> Config:
    """A config from parsed TOML; ``snapshot`` is the user's own one. Raises ConfigError that names the key."""
    file = decode(table, _File, where=where, place="")
    hosts = tuple(_host(name, row, where, snapshot) for name, row in sorted(file.hosts.items()))
    names = {row.id for row in known_hosts()} | {row.id for row in hosts}
    for name in file.consent:
        if name not in names and find_host(name, snapshot) is None:
            raise ConfigError(
                f"consent names a host that is not known: {name}",
                where=where,
                todo=f"hosts are {', '.join(sorted(names))}; a new one: intermodal hosts add {name} --base-url URL",
            )
    for key in ("max_cost", "time_value"):
        value = getattr(file, key)
        if not 0 <= value < float("inf"):
            raise ConfigError(f"{key} must be 0 or more, is {value:g}", where=where, todo="correct it")
    for name, rate in file.serve.rates.items():
        if any(number is not None and number < 1 for number in (rate.rpm, rate.tpm)):
            raise ConfigError(
                f"rpm and tpm of [serve.rates.{name!r}] must be 1 or more",
                where=where,
                todo="leave out what has no limit",
            )
    if file.telemetry.endpoint:
        check_url(file.telemetry.endpoint, f"{where} [telemetry] endpoint")
    return Config(
        path=where,
        consent=file.consent,
        hosts=hosts,
        max_cost=file.max_cost,
        time_value=file.time_value,
        private=file.private,
        declined=file.declined,
        discovery=_discovery(file.discovery, where),
        pay_twice=file.pay_twice,
        timeouts=file.timeouts,
        policies={name: _policy(name, file, where) for name in file.policies},
        serve=file.serve,
        telemetry=file.telemetry,
    )


def _discovery(table: Mapping[str, Any], where: str) -> Discovery:
    found = decode(table, Discovery, where=where, place="discovery")
    for address in found.addresses:
        check_url(address, f"{where} [discovery] addresses")
        if zone_of(address) not in ("machine", "network"):
            raise ConfigError(
                f"[discovery] addresses has {address}, which is not on this machine or its network",
                where=where,
                todo=f"add it as a host: intermodal hosts add NAME --base-url {address}",
            )
    return found


def _policy(name: str, file: _File, where: str) -> Policy:
    """One ``[policies.NAME]``: of a policy; money, time and ``pay_twice`` are the file's unless it says others."""
    place = f"policies.{name}"
    check_name(name, where)
    table = file.policies[name]
    unknown = sorted(set(table) - set(Policy.__struct_fields__))
    if unknown:
        fields = ", ".join(Policy.__struct_fields__)
        raise ConfigError(f"[{place}] has an unknown key: {unknown[0]}", where=where, todo=f"keys are {fields}")
    usual = {
        "max_cost": file.max_cost, "max_cost_stated": "max_cost" in table, "time_value": file.time_value,
        "pay_twice": file.pay_twice,
    }  # fmt: skip
    both = {**usual, **table}
    return decode(both, Policy, where=where, place=place)


def _host(name: str, table: Mapping[str, Any], where: str, snapshot: Path | None) -> HostRow:
    """One ``[hosts.NAME]``."""
    place = f"hosts.{name}"
    row = decode({**table, "id": name}, HostRow, where=where, place=place)
    check_name(name, where)
    if table.get("id", name) != name:
        raise ConfigError(f"[{place}] has another name inside: {table['id']}", where=where, todo="leave id out")
    if row.protocol not in HTTP or row.zone == "process":
        raise ConfigError(
            f"[{place}] sets protocol or zone to what only built-in rows may have",
            where=where,
            todo=f"protocol is one of {', '.join(HTTP)}; zone is machine, network or internet",
        )
    if row.discovery is not None:
        todo = "to have another address looked at, add it to [discovery] addresses"
        raise ConfigError(f"[{place}] sets discovery, which only built-in rows have", where=where, todo=todo)
    if not row.base_url and find_host(name, snapshot) is None:
        raise ConfigError(f"[{place}] lacks base_url", where=where, todo='add base_url = "http://…/v1"')
    if row.base_url:
        check_url(row.base_url, f"{where} [{place}]")
    for at, served in enumerate(row.models):
        wrong = served.contradiction()
        if any(served.id == other.id for other in row.models[:at]):
            wrong = "is described twice"
        if wrong:
            raise ConfigError(f"[{place}] {served.id}: {wrong}", where=where, todo="correct one of the two")
    return row


def check_name(name: str, where: str = "") -> str:
    """A host's name, which endpoint ids begin with. Raises ConfigError."""
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum()) or name in ("embedded", "prompt", "policy"):
        raise ConfigError(
            f"a host cannot be called {name!r}",
            where=where,
            todo="use letters, digits, dots and dashes",
        )
    return name


def check_url(base_url: str, where: str = "") -> str:
    """A base URL: http(s), with a host, without a user, a query or a fragment. Raises ConfigError."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(base_url)
        plain = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        extra = bool(parts.username is not None or parts.query or parts.fragment)
    except ValueError:  # a port that is none, half an IPv6 address
        plain, extra = False, False
    if not plain or extra:
        raise ConfigError(
            "base_url must be an http or https address without user, query or fragment",
            where=where,
            todo="for example http://127.0.0.1:8080/v1",
        )
    return base_url


# ---- writing: the user's own text, comments and order are kept ----------------------------------------


def consent(env: Mapping[str, str], host: str) -> Path:
    """Allow content to be sent to a shipped host. Returns the file."""
    return _edit(env, lambda document: _list(document, "consent", host, present=True))


def decline(env: Mapping[str, str], host: str) -> Path:
    """Do not ask about this host again. Returns the file."""
    return _edit(env, lambda document: _list(document, "declined", host, present=True))


def add_host(env: Mapping[str, str], row: HostRow) -> Path:
    """Write ``[hosts.NAME]``, in place of one of that name. Returns the file."""
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
    """Take a host out of the config, its row and its consent. False when it was in neither."""
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
    """Make sure the file is there."""
    return _edit(env, lambda document: None)


def _list(document: tomlkit.TOMLDocument, key: str, name: str, *, present: bool) -> None:
    """Put a name into a top-level list, or take it out. A new key goes before the first table, where TOML wants it."""
    names = [str(other) for other in document.get(key, ()) if other != name] + ([name] if present else [])
    if key in document:
        document[key] = names
        return
    tables = [other for other in list(document) if isinstance(document[other], dict)]
    held = {other: document.pop(other) for other in tables}
    document[key] = names
    for other, item in held.items():
        document[other] = item


def _edit(env: Mapping[str, str], change: Callable[[tomlkit.TOMLDocument], None], *, touch: bool = True) -> Path:
    """Change the file in one step: a reader sees the old text or the new, and a crash leaves the old."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = config_path(env)
    path = path.resolve() if path.is_symlink() else path
    try:
        before = path.read_text("utf-8") if path.exists() else ""
        document = tomlkit.parse(before or HEADER)
        change(document)
        text = tomlkit.dumps(document)
        parse(parse_toml(text, str(path)), str(path))  # never leave a file that cannot be read back
        if text != before and (before or touch):
            _write(path, text)
    except TOMLKitError as error:
        raise ConfigError(f"is not TOML: {error}", where=str(path), todo="correct that line") from None
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        todo = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "correct its permissions"
        raise ConfigError(f"cannot be written ({reason})", where=str(path), todo=todo) from None
    return path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, "utf-8")
        temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o600)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def zone_words(zone: Zone) -> str:
    """How far content goes, for people."""
    words: dict[Zone, str] = {
        "process": "stays inside this process",
        "machine": "stays on this machine",
        "network": "goes to another machine of this network",
        "internet": "leaves this network",
    }
    return words[zone]


__all__ = [
    "Config", "add_host", "cache_dir", "config_path", "consent", "create", "data_dir", "decline",
    "load_config", "parse", "remove_host", "state_dir", "zone_words",
]  # fmt: skip
