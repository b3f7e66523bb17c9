"""Installed plugins: found by their entry points, imported on first use, reported if they are not usable.

``docs/plugins.md`` says what a plugin provides. A plugin is a package that is installed in a folder on Python's path.
Finding plugins imports none of them: among 212 installed packages without any it takes 1.5 ms, whereas importing
``importlib.metadata`` alone takes 24 ms.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from intermodal.errors import NotInstalled

if TYPE_CHECKING:
    from importlib.metadata import Distribution

PluginKind = Literal["host", "protocol", "converter", "runtime", "prompt format", "output"]
# Kind -> the group of entry points in which a plugin names what it provides.
GROUPS: Final[Mapping[PluginKind, str]] = {
    "host": "intermodal.hosts",
    "protocol": "intermodal.protocols",
    "converter": "intermodal.converters",
    "runtime": "intermodal.runtimes",
    "prompt format": "intermodal.prompts",
    "output": "intermodal.outputs",
}
LOG = logging.getLogger("intermodal.plugins")
LOG.addHandler(logging.NullHandler())  # otherwise Python prints warnings to stderr
_MARK = b"[intermodal."  # begins one of our groups in entry_points.txt
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Plugin(NamedTuple):
    """An entry point of ``distribution``. ``value`` is the object reference (``module:object``)."""

    kind: PluginKind
    name: str
    value: str
    distribution: str
    version: str

    @property
    def title(self) -> str:
        """The package with its version: "intermodal-calendar 0.1"."""
        return f"{self.distribution} {self.version}"

    @property
    def removal(self) -> str:
        """Advice on what to do if the plugin is not usable."""
        return f"update it (pip install -U {self.distribution}) or remove it (pip uninstall {self.distribution})"


class PluginProblem(NamedTuple):
    """Why a plugin is not used, and what to do about it. Everything else works as if it were not installed."""

    plugin: Plugin
    what: str
    todo: str

    def __str__(self) -> str:
        return f"{self.plugin.kind} {self.plugin.name!r} of {self.plugin.title} is not used: {self.what}; {self.todo}"


_problems: dict[Plugin, PluginProblem] = {}
_reported: set[Plugin] = set()


def report_problem(plugin: Plugin, what: str, todo: str = "") -> None:
    """Record why a plugin is not used; log it once."""
    if plugin not in _problems:
        _problems[plugin] = problem = PluginProblem(plugin, what, todo or plugin.removal)
        LOG.warning("%s", problem)


def plugin_problem(plugin: Plugin) -> PluginProblem | None:
    """Return the known reason why a plugin is not used; None if none was reported."""
    return _problems.get(plugin)


def pop_new_problems() -> tuple[PluginProblem, ...]:
    """Return the problems found since the last call, in order, so that each is reported to the user once."""
    found = tuple(problem for plugin, problem in _problems.items() if plugin not in _reported)
    _reported.update(problem.plugin for problem in found)
    return found


def installed_plugins(kind: PluginKind, taken_names: Collection[str] = ()) -> Mapping[str, Plugin]:
    """Return the plugins of a kind, keyed by name. Imports none of them. ``taken_names``: names reserved by intermodal.

    A plugin whose name is taken by intermodal or by another plugin is reported and left out.
    """
    return _installed_plugins(kind, frozenset(taken_names), tuple(sys.path))


@lru_cache(maxsize=64)
def _installed_plugins(kind: PluginKind, taken_names: frozenset[str], paths: tuple[str, ...]) -> Mapping[str, Plugin]:
    found: dict[str, Plugin] = {}
    for plugin in _scan(paths):
        if plugin.kind != kind:
            continue
        if not _NAME.fullmatch(plugin.name):
            report_problem(plugin, "its name is not of letters, digits, dots and dashes")
        elif plugin.name in taken_names:
            report_problem(plugin, "its name is one of intermodal's own")
        elif plugin.name in found:
            report_problem(plugin, f"{found[plugin.name].title} has that name too, and comes first")
        else:
            found[plugin.name] = plugin
    return found


def every_plugin() -> tuple[Plugin, ...]:
    """Return all entry points of all kinds, sorted by package and name. Imports none of them."""
    return _scan(tuple(sys.path))


@lru_cache(maxsize=8)
def _scan(paths: tuple[str, ...]) -> tuple[Plugin, ...]:
    found: dict[str, tuple[Plugin, ...]] = {}
    for folder in _folders_with_plugins(paths):
        from importlib.metadata import Distribution

        distribution = Distribution.at(folder)
        name = distribution.metadata["Name"] or ""
        plain = re.sub(r"[-_.]+", "-", name).lower()
        if plain not in found:  # the first one on the path is imported
            found[plain] = tuple(_plugins_of(distribution, name))
    return tuple(plugin for name in sorted(found) for plugin in found[name])


def _plugins_of(distribution: Distribution, name: str) -> Iterator[Plugin]:
    kinds: dict[str, PluginKind] = {group: kind for kind, group in GROUPS.items()}
    for each in sorted(distribution.entry_points, key=lambda each: (each.group, each.name)):
        if each.group in kinds:
            yield Plugin(kinds[each.group], each.name, each.value, name, distribution.version or "of unknown version")


def _folders_with_plugins(paths: tuple[str, ...]) -> Iterator[str]:
    """Yield the metadata folders on the path whose entry points mention a group of intermodal."""
    for path in paths:
        try:
            entries = os.scandir(path or ".")
        except OSError:  # not a folder: a ZIP file, or deleted
            continue
        with entries:
            names = sorted(each.name for each in entries if each.name.endswith((".dist-info", ".egg-info")))
        for name in names:
            folder = os.path.join(path, name)
            try:
                with open(os.path.join(folder, "entry_points.txt"), "rb") as file:
                    mentioned = _MARK in file.read()
            except OSError:
                continue
            if mentioned:
                yield folder


def load_plugin(plugin: Plugin, *needs: str) -> Any:
    """Import the object that a plugin provides. ``needs``: attributes it must have.

    Raises:
        NotInstalled: it cannot be imported or lacks a required attribute; the message names the package and what to do.
    """
    try:
        found = _import_plugin(plugin)
    except (Exception, SystemExit) as error:
        raise plugin_not_usable(plugin, f"cannot be loaded ({describe_failure(error)})") from error
    for name in needs:
        if not hasattr(found, name):
            raise plugin_not_usable(plugin, f"has no {name}")
    return found


@cache
def _import_plugin(plugin: Plugin) -> Any:
    from importlib.metadata import EntryPoint

    return EntryPoint(plugin.name, plugin.value, GROUPS[plugin.kind]).load()


def plugin_not_usable(plugin: Plugin, what: str) -> NotInstalled:
    """Return the error for a request that needs a plugin which is not usable."""
    return NotInstalled(what, where=f"{plugin.kind} {plugin.name!r} of {plugin.title}", todo=plugin.removal)


def describe_failure(error: BaseException) -> str:
    """Return an exception raised by a plugin as one short line: "ModuleNotFoundError: No module named 'x'"."""
    message = (str(error).strip().splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
