"""``intermodal down``: stop servers that ``intermodal up`` or a plan started."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from intermodal.local.servers.lifecycle import ManagedServer

EPILOG = """\b
Examples
  intermodal down smollm2-135m-instruct
  intermodal down                         everything that is up
"""


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, metavar="[MODEL]…")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def down(names: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """Stop the servers of MODEL, or all of them, and forget them. No process is left behind; logs stay."""
    import anyio

    from intermodal.local.servers.lifecycle import all_servers
    from intermodal.local.servers.lifecycle import stop_server as end

    servers = all_servers(os.environ)
    server_names = tuple(dict.fromkeys(_find_server(name, servers) for name in names)) or tuple(
        server.wanted.name for server in servers
    )
    ended: list[str] = []

    async def go() -> None:
        for name in server_names:
            if await end(name, os.environ):
                ended.append(name)

    anyio.run(go)
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("down", {"ended": ended})
    elif not quiet:
        click.echo(f"down: {', '.join(ended)}" if ended else "nothing was up")


def _find_server(name: str, managed_servers: Iterable[ManagedServer]) -> str:
    """Return the name of the server that is meant by its own name, its host's, or its model's. Raises UnknownModel."""
    from intermodal.errors import UnknownModel

    for each in managed_servers:
        spec = each.wanted
        if name in (spec.name, f"up.{spec.name}", spec.requested, spec.model, spec.model_id):
            return spec.name
    names = ", ".join(each.wanted.name for each in managed_servers) or "none"
    raise UnknownModel("no server of that name is known", where=name, todo=f"servers are: {names}")
