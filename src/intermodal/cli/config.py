"""``intermodal config``: the path and validity of the config file, and its JSON Schema."""

from __future__ import annotations

import os

import click

EPILOG = """\b
Examples
  intermodal config
  intermodal config schema > intermodal.schema.json
"""


@click.group(epilog=EPILOG, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def config(context: click.Context, as_json: bool) -> None:
    """Show the path of intermodal.toml, and its errors with their lines.

    To see how the gateway would use it: intermodal serve --check.
    """
    if context.invoked_subcommand is not None:
        return
    from intermodal.client.request_builder import checked_config
    from intermodal.config.config_file import config_path, load_config

    path = config_path(os.environ)
    found = checked_config(load_config(os.environ))
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("config", {"path": str(path), "exists": bool(found.path)})
        return
    click.echo(str(path))
    click.echo("no errors" if found.path else "does not exist, and is optional; intermodal init creates it", err=True)


@config.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, with the schema in it.")
def schema(as_json: bool) -> None:
    """Print the JSON Schema (2020-12) of intermodal.toml: editors complete and check the file by it."""
    import json

    from intermodal.cli.rendering.json_document import print_document
    from intermodal.config.schema import config_json_schema as made

    if as_json:
        print_document("config_schema", {"schema": made()})
    else:
        click.echo(json.dumps(made(), indent=2, ensure_ascii=False))
