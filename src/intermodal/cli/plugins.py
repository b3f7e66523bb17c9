"""``intermodal plugins``: what installed plugins provide, and why a plugin is not used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import click

from intermodal.core.content import Value
from intermodal.core.hints import one_line
from intermodal.core.plugin_registry import (
    Plugin,
    PluginKind,
    every_plugin,
    plugin_problem,
    pop_new_problems,
    report_problem,
)
from intermodal.errors import NotInstalled

EPILOG = """\b
Examples
  intermodal plugins
  intermodal plugins --json
"""


class PluginFinding(Value):
    """One thing that a package provides. ``problem`` is "" if it can be used."""

    kind: str
    name: str
    package: str
    version: str
    place: str
    problem: str = ""
    todo: str = ""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def plugins(as_json: bool) -> None:
    """List installed plugins, and why one is not used.

    Each is imported and checked. docs/plugins.md says how to write one.
    """
    found = plugin_findings()
    if as_json:
        from intermodal.cli.rendering.json_document import plain_data, print_document

        print_document("plugins", {"plugins": [plain_data(each) for each in found]})
        return
    if not found:
        click.echo("no plugin is installed; docs/plugins.md says how to write one")
        return
    from intermodal.cli.rendering.tables import echo_table

    rows = [
        (
            each.kind,
            each.name,
            f"{each.package} {each.version}",
            f"not used: {each.problem}; {each.todo}" if each.problem else "ok",
        )
        for each in found
    ]
    echo_table(("provides", "name", "package", "state"), rows)


def warn_of_plugins() -> None:
    """Warn of each plugin that a verb found to be unusable and did not list."""
    for problem in pop_new_problems():
        with suppress(OSError):
            click.echo(f"warning: {one_line(str(problem))}", err=True)


def plugin_findings() -> tuple[PluginFinding, ...]:
    """Check each installed plugin without touching files or hosts, and return what it provides."""
    every = every_plugin()
    kinds: set[PluginKind] = {plugin.kind for plugin in every}
    for kind in kinds:
        _CHECKS[kind]()
    pop_new_problems()  # no warning follows, since they are listed
    return tuple(map(_plugin_finding, every))


def _plugin_finding(plugin: Plugin) -> PluginFinding:
    problem = plugin_problem(plugin)
    return PluginFinding(
        kind=plugin.kind, name=plugin.name, package=plugin.distribution, version=plugin.version, place=plugin.value,
        problem=problem.what if problem else "", todo=problem.todo if problem else "",
    )  # fmt: skip


@contextmanager
def _reporting(plugin: Plugin) -> Iterator[None]:
    """Report a plugin that turns out to be unusable, and continue with the next one."""
    try:
        yield
    except NotInstalled as error:
        report_problem(plugin, error.what)


def _check_hosts() -> None:
    from intermodal.catalog.shipped_rows import shipped_rows

    shipped_rows()


def _check_prompt_formats() -> None:
    from intermodal.prompts.formats import file_endings

    file_endings()


def _check_protocols() -> None:
    from intermodal.catalog.plugin_rows import load_protocol, protocol_plugins

    for name, plugin in protocol_plugins().items():
        with _reporting(plugin):
            load_protocol(name)


def _check_runtimes() -> None:
    """Let a process of each runtime import it, as it does before it loads a model."""
    import anyio

    from intermodal.catalog.plugin_rows import runtime_plugins
    from intermodal.errors import IntermodalError
    from intermodal.local.embedded.runtimes import check_plugin_runtime

    for name, plugin in runtime_plugins().items():
        try:
            anyio.run(check_plugin_runtime, name)
        except IntermodalError as error:
            report_problem(plugin, error.what.removeprefix(f"the plugin {plugin.title} "))


def _check_converters() -> None:
    """Let the media worker import each converter, as it does for a file."""
    import anyio

    from intermodal.media.sniff import plugin_converters
    from intermodal.media.worker_client import MediaWorker

    async def check() -> None:
        async with MediaWorker() as worker:
            for ending, plugin in plugin_converters().items():
                with _reporting(plugin):
                    await worker.load_plugin(ending)

    anyio.run(check)


def _check_outputs() -> None:
    from intermodal.client.plugin_outputs import output_format, output_plugins

    for name, plugin in output_plugins().items():
        with _reporting(plugin):
            output_format(name)


# Kind -> the function that reads all plugins of it and reports those that cannot be used.
_CHECKS: Mapping[PluginKind, Callable[[], None]] = {
    "host": _check_hosts,
    "protocol": _check_protocols,
    "converter": _check_converters,
    "runtime": _check_runtimes,
    "prompt format": _check_prompt_formats,
    "output": _check_outputs,
}
