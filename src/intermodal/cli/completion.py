"""``intermodal completion``: the script a shell sources to complete verbs and options."""

from __future__ import annotations

import click

EPILOG = """\b
Examples
  bash:  eval "$(intermodal completion bash)"            in ~/.bashrc
  zsh:   eval "$(intermodal completion zsh)"             in ~/.zshrc
  fish:  intermodal completion fish > ~/.config/fish/completions/intermodal.fish
"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def completion(shell: str, as_json: bool) -> None:
    """Print the completion script for SHELL."""
    from click.shell_completion import get_completion_class

    from intermodal.cli.main import app
    from intermodal.cli.rendering.json_document import print_document

    completion_class = get_completion_class(shell)
    assert completion_class is not None  # click supports these three shells
    script = completion_class(app, {}, "intermodal", "_INTERMODAL_COMPLETE").source()
    if as_json:
        print_document("completion", {"shell": shell, "script": script})
    else:
        click.echo(script)
