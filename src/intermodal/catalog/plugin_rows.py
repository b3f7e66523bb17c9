"""Host rows and protocols of installed plugins (``plugins.py``): what the catalog lists beside the shipped rows."""

from __future__ import annotations

from functools import cache

import msgspec

from intermodal.catalog.host_rows import HTTP_PROTOCOLS, HostRow, check_name, check_row, decode_row
from intermodal.catalog.snapshot.file import SHIPPED_SNAPSHOT, Snapshot
from intermodal.errors import ConfigError, NotInstalled
from intermodal.plugin_registry import Plugin, installed_plugins, load_plugin, report_problem


def http_protocols() -> tuple[str, ...]:
    """Return the protocols over HTTP: built in, and of plugins, which are not imported for this."""
    return HTTP_PROTOCOLS


@cache
def plugin_hosts(shipped: frozenset[str]) -> tuple[HostRow, ...]:
    """Return the host rows of plugins, each checked as rows of ``intermodal.toml`` are. ``shipped``: hosts whose names
    are taken, as are those of the snapshot.

    A row that cannot be used is reported and left out.
    """
    plugins = installed_plugins("host", shipped)
    if not plugins:
        return ()
    published = Snapshot(SHIPPED_SNAPSHOT).places
    rows = []
    for plugin in plugins.values():
        if plugin.name in published:
            report_problem(plugin, "is not used: a hosted service has that name", "rename it")
            continue
        try:
            rows.append(_row(plugin))
        except (ConfigError, NotInstalled) as error:
            report_problem(plugin, f"is not used: {error.what}", error.todo)
    return tuple(rows)


def _row(plugin: Plugin) -> HostRow:
    """Return the row that a plugin names. Raises NotInstalled and ConfigError."""
    key = ("hosts", plugin.name)
    check_name(plugin.name, plugin.title, key)
    found = load_plugin(plugin)
    if not isinstance(found, dict):
        raise ConfigError(f"{plugin.value} is {type(found).__name__}, not a dict", todo="name a dict of the host's row")
    row = decode_row({**found, "id": plugin.name}, HostRow, where=plugin.title, place=".".join(key))
    if found.get("id", plugin.name) != plugin.name:
        raise ConfigError(f"its row has another id: {found['id']}", todo="leave id out")
    check_row(row, plugin.title, key, http_protocols())
    if not row.base_url:
        raise ConfigError("its row lacks base_url", todo='add base_url = "http://…/v1"')
    return row if row.source else msgspec.structs.replace(row, source=f"the plugin {plugin.title}")
