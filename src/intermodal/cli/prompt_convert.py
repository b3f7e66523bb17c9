"""``intermodal prompt convert``: a prompt file as a file of another format, and what it cannot say there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from intermodal.errors import PromptError, UsageError

if TYPE_CHECKING:
    from intermodal.prompts.conversion.convert import ConvertedPrompt, TargetFormat

EPILOG = """\b
Examples
  intermodal prompt convert invoice.prompt --to poml
  intermodal prompt convert summary.prompt.yml --to dotprompt -o summary.prompt
  intermodal prompt convert report.prompt --to prompty --lossy -o report.prompty
"""
FORMATS = ("dotprompt", "poml", "github", "prompty", "baml")


@click.command(epilog=EPILOG)
@click.argument("file", type=click.Path())
@click.option("--to", "to", type=click.Choice(FORMATS), required=True, help="The format to write.")
@click.option("-o", "--output", "out", type=click.Path(), default=None, metavar="OUT",
              help="Write this file.  [default: standard output]")  # fmt: skip
@click.option("--replace", "replaces", is_flag=True, help="Write OUT also where it is there already.")
@click.option("--lossy", is_flag=True, help="Write it also where the prompt asks or gives something else then.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def convert(file: str, to: str, out: str | None, replaces: bool, lossy: bool, as_json: bool) -> None:
    """Write FILE in another format; FILE#NAME for one of several. What the format has no place for is named on stderr,
    with its line.

    What was written is read again and rendered beside FILE with the same values. Where it says something else nothing
    is written, and the exit code is 2; --lossy writes it all the same.
    """
    from intermodal.cli.arguments.saved_files import write_atomically
    from intermodal.cli.rendering.json_document import print_document
    from intermodal.prompts import formats
    from intermodal.prompts.conversion.convert import TARGETS, convert_prompt, target_path

    found, target = formats.load(file), TARGETS[to]
    place = Path(out) if out else target_path(found, target)
    _check_place(found.path, out, target, replaces)
    made = convert_prompt(found, target, place)
    for loss in made.lost:
        click.echo(f"{found.path}:{loss.line}: not converted: {loss.what}", err=True)
    if made.changed and not lossy:
        raise _refused(found.path, made, target)
    if out:
        write_atomically(place, made.text.encode("utf-8"))
        click.echo(f"wrote {out}", err=True)
    if as_json:
        lost = [{"line": loss.line, "what": loss.what, "meaning": loss.meaning} for loss in made.lost]
        body = {"file": found.path, "from": found.format, "to": target.name, "out": out, "text": made.text}
        print_document("prompt_convert", {**body, "lost": lost})
    elif not out:
        click.echo(made.text, nl=False)


def _check_place(path: str, out: str | None, target: TargetFormat, replaces: bool) -> None:
    from intermodal.cli.arguments.output_files import same_file
    from intermodal.prompts import formats

    if not out:
        return
    if same_file(path, out):
        raise UsageError("is the file that is converted", where=out, todo="name another file for -o")
    reader = formats.format_of(Path(out))
    if reader is None or reader.name != target.name:
        raise UsageError(f"is no name of a file of {target.name}", where=out, todo=f"end it with {target.ending}")
    if Path(out).exists() and not replaces:
        raise UsageError("is there already", where=out, todo="name a new file, or give --replace")


def _refused(path: str, made: ConvertedPrompt, target: TargetFormat) -> PromptError:
    first = made.changed[0]
    more = f", and {len(made.changed) - 1} more" if len(made.changed) > 1 else ""
    what = f"cannot say the same in {target.name}: {first.what}{more}"
    return PromptError(what, where=f"{path}:{first.line}", todo="choose another format, or give --lossy")
