"""Outputs of plugins: the model produces one of the built-in outputs, which the plugin renders in another format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, get_args

from intermodal.client.answer_schema import check_schema
from intermodal.core.plugin_registry import Plugin, installed_plugins, load_plugin, plugin_not_usable
from intermodal.core.request import OUTPUT_NAMES, JsonOutput, Output
from intermodal.errors import IntermodalError, OutputInvalid, SchemaInvalid
from intermodal.events import Result


class PluginOutput:
    """An output of a plugin: ``output`` is the built-in output to request, ``render`` formats the answer."""

    def __init__(self, plugin: Plugin, output: Output, render: Callable[[Result], str]) -> None:
        self.name = plugin.name
        self.output = output
        self._plugin = plugin
        self._render = render

    def render(self, result: Result) -> str:
        """Return the answer in the plugin's format. Raises OutputInvalid if the plugin fails."""
        try:
            rendered = self._render(result)
        except IntermodalError:
            raise
        except Exception as error:
            raise self._output_error(f"failed ({type(error).__name__})") from error
        if not isinstance(rendered, str):
            raise self._output_error(f"returned {type(rendered).__name__}, not text")
        return rendered

    def _output_error(self, what: str) -> OutputInvalid:
        reason = f"the answer could not be written as {self.name}: the plugin {self._plugin.title} {what}"
        return OutputInvalid(reason, todo=self._plugin.removal)


def output_plugins() -> Mapping[str, Plugin]:
    """Return the plugins that add an output, keyed by output name. Imports none of them."""
    return installed_plugins("output", OUTPUT_NAMES)


def output_format(name: str) -> PluginOutput:
    """Return the output of a plugin by its name in ``output_plugins``. Raises NotInstalled if it is not usable."""
    return _load(output_plugins()[name])


@cache
def _load(plugin: Plugin) -> PluginOutput:
    found: Any = load_plugin(plugin, "output", "render")
    if not isinstance(found.output, get_args(Output)):
        raise plugin_not_usable(plugin, f"asks for {type(found.output).__name__}, which is no output")
    if isinstance(found.output, JsonOutput):
        try:
            check_schema(found.output.schema)
        except SchemaInvalid as error:
            raise plugin_not_usable(plugin, f"has a schema that cannot be used: {error.what}") from None
    return PluginOutput(plugin, found.output, found.render)
