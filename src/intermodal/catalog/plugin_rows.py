"""Host rows and protocols of installed plugins (``plugins.py``), which the catalog lists beside the shipped rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from intermodal.catalog.host_rows import HTTP_PROTOCOLS, HostRow, check_name, check_row, decode_row
from intermodal.catalog.snapshot.file import SHIPPED_SNAPSHOT, Snapshot
from intermodal.catalog.types import BuiltInProtocol, Model, Protocol, Task
from intermodal.core.plugin_registry import Plugin, installed_plugins, load_plugin, plugin_not_usable, report_problem
from intermodal.errors import ConfigError, NotInstalled

# Tasks for which a plugin's protocol, which carries chats, can be used.
CHAT_TASKS: frozenset[Task] = frozenset((
    "text-generation", "image-text-to-text", "audio-text-to-text", "video-text-to-text", "any-to-any",
))  # fmt: skip


# Tasks that a plugin's runtime can run, with the method that it calls.
RUNTIME_TASKS: Mapping[Task, str] = {"automatic-speech-recognition": "transcribe", "image-to-text": "read"}


def protocol_plugins() -> Mapping[Protocol, Plugin]:
    """Return the plugins that implement a protocol over HTTP, keyed by protocol. Imports none of them."""
    return installed_plugins("protocol", get_args(BuiltInProtocol))


def runtime_plugins() -> Mapping[Protocol, Plugin]:
    """Return the plugins that run models in a process on this machine, keyed by the protocol of their host rows.

    None is imported, here or ever in this process.
    """
    reserved = {*get_args(BuiltInProtocol), *protocol_plugins()}
    return installed_plugins("runtime", frozenset(reserved))


def http_protocols() -> tuple[Protocol, ...]:
    """Return the protocols over HTTP, both built-in and of plugins."""
    return (*HTTP_PROTOCOLS, *protocol_plugins())


def load_protocol(protocol: Protocol) -> Any:
    """Import the implementation of a plugin's protocol. Raises NotInstalled."""
    plugin = protocol_plugins()[protocol]
    found = load_plugin(plugin, "encode_request", "read_event")
    framing = getattr(found, "FRAMING", "sse")
    if framing not in ("sse", "ndjson"):
        raise plugin_not_usable(plugin, f"has a FRAMING of {framing!r}, neither 'sse' nor 'ndjson'")
    return found


def missing_protocol(protocol: Protocol, model: Model) -> tuple[str, str] | None:
    """Return why a model cannot be called over a plugin's protocol, and the fix; None if it can.

    Always None for a built-in protocol.
    """
    if protocol not in protocol_plugins():
        return None
    if not CHAT_TASKS & {*model.tasks}:
        return f"the protocol {protocol} of a plugin carries chats only", "take a model that answers in words"
    try:
        load_protocol(protocol)
    except NotInstalled as error:
        return f"the {error.where} {error.what}", error.todo
    return None


def plugin_hosts(shipped: frozenset[str]) -> tuple[HostRow, ...]:
    """Return the host rows of plugins, each checked like rows of ``intermodal.toml``.

    ``shipped``: host names that are taken; those of the snapshot are taken too. An invalid row is reported and left
    out.
    """
    plugins = installed_plugins("host", shipped)
    if not plugins:
        return ()
    published = Snapshot(SHIPPED_SNAPSHOT).places
    rows = []
    for plugin in plugins.values():
        if plugin.name in published:
            report_problem(plugin, "a hosted service has that name", "rename it")
            continue
        try:
            rows.append(_row(plugin))
        except (ConfigError, NotInstalled) as error:
            report_problem(plugin, error.what, error.todo)
    return tuple(rows)


def _row(plugin: Plugin) -> HostRow:
    """Return the host row that a plugin provides. Raises NotInstalled and ConfigError."""
    key = ("hosts", plugin.name)
    check_name(plugin.name, plugin.title, key)
    found = load_plugin(plugin)
    if not isinstance(found, dict):
        raise ConfigError(f"{plugin.value} is {type(found).__name__}, not a dict", todo="name a dict of the host's row")
    row = decode_row({**found, "id": plugin.name}, HostRow, where=plugin.title, place=".".join(key))
    if found.get("id", plugin.name) != plugin.name:
        raise ConfigError(f"its row has another id: {found['id']}", todo="leave id out")
    if row.protocol in runtime_plugins():
        return _runtime_row(row, plugin)
    check_row(row, plugin.title, key, http_protocols())
    if not row.base_url:
        raise ConfigError("its row lacks base_url", todo='add base_url = "http://…/v1"')
    return _with_source(row, plugin)


def _with_source(row: HostRow, plugin: Plugin) -> HostRow:
    return row if row.source else msgspec.structs.replace(row, source=f"the plugin {plugin.title}")


def _runtime_row(row: HostRow, plugin: Plugin) -> HostRow:
    """Return the row of a host whose models run in a process on this machine. Raises ConfigError."""
    key = ("hosts", plugin.name)
    for name in ("base_url", "zone", "key_env"):
        if getattr(row, name):
            raise ConfigError(f"its row sets {name}, and its models run in a process", todo=f"leave {name} out")
    check_row(row, plugin.title, key, tuple(runtime_plugins()))
    for served_row in row.models:
        if not {*served_row.tasks} <= RUNTIME_TASKS.keys() or not served_row.tasks:
            raise ConfigError(
                f"its model {served_row.id} does not state tasks of a runtime",
                todo=f"tasks are {', '.join(RUNTIME_TASKS)}",
            )
    return _with_source(msgspec.structs.replace(row, zone="process"), plugin)
