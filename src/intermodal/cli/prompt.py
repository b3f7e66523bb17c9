"""``intermodal prompt``: list, show, explain, run, test, convert and lint prompt files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intermodal.cli.arguments.report_options import svg_option
from intermodal.cli.arguments.request_options import money, seconds, split_list, with_all
from intermodal.cli.eval import OVER_BUDGET, common_options, evaluation_of, run_options
from intermodal.cli.eval import run as run_evaluation
from intermodal.cli.eval import show as show_report
from intermodal.core.request import ASPECTS, OBJECTIVES, TIERS
from intermodal.errors import PromptError, UsageError

if TYPE_CHECKING:
    from intermodal.config.config_file import Config
    from intermodal.core.request import Message
    from intermodal.prompts.conversion.convert import ConvertedPrompt, TargetFormat
    from intermodal.prompts.prompt_file import PromptFile

EPILOG = """\b
Examples
  intermodal prompt list prompts/
  intermodal prompt show invoice.prompt
  intermodal prompt explain invoice.prompt
  intermodal prompt run invoice.prompt --arg photo=@invoice.png
  intermodal prompt lint prompts/
  intermodal prompt test summary.prompt.yml
  intermodal prompt convert invoice.prompt --to poml
"""
FAILED = 2  # the exit code of ``lint``, the same as that of PromptError


_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group(epilog=EPILOG, invoke_without_command=True)
@_JSON
@click.pass_context
def prompt(context: click.Context, /, as_json: bool) -> None:
    """Prompt files: dotprompt (.prompt), GitHub's (.prompt.yml), Prompty (.prompty), POML (.poml) and BAML (.baml).

    The file states inputs and output, so it is checked, planned and priced before anything is sent. Without a
    subcommand: list the prompts of this folder.
    """
    if context.invoked_subcommand is None:
        _list(".", as_json)


_ARGS = click.option(
    "--arg", "arguments", multiple=True, metavar="NAME=VALUE", help="An argument, or NAME=@FILE; repeatable."
)
_POLICY = [
    click.option("-m", "--model", default="", metavar="NAME", help="Answer with this model; goes before the file's."),
    click.option("--objective", type=click.Choice(OBJECTIVES), default="default", help="What to prefer."),
    click.option("--at-least", type=click.Choice(TIERS), default=None, help="Strength floor; weaker is rejected."),
    click.option("--max-cost", type=money, default=None, metavar="USD", help="Money limit for a run."),
    click.option("--deadline", type=seconds, default=None, metavar="SECONDS", help="Time limit for a run."),
    click.option("--local", is_flag=True, help="Nothing leaves this machine."),
    click.option("--private", multiple=True, metavar="LIST", help="Kinds or arguments that may not leave it."),
    click.option("--keep", type=split_list, multiple=True, metavar="ASPECTS", help=f"Keep {', '.join(ASPECTS)}."),
    click.option("--host", "hosts", multiple=True, metavar="NAME", help="Consent to this host for this once."),
    click.option("--max-tokens", type=click.IntRange(min=1), default=None, metavar="N", help="Most tokens to answer."),
]  # fmt: skip


@prompt.command(name="list", epilog=EPILOG)
@click.argument("folder", type=click.Path(), default=".")
@_JSON
def list_(folder: str, as_json: bool) -> None:
    """List the prompt files of FOLDER: what goes in, what comes out."""
    _list(folder, as_json)


def _list(folder: str, as_json: bool) -> None:
    from intermodal.cli.rendering.json_document import print_document
    from intermodal.cli.rendering.tables import echo_table
    from intermodal.errors import InputMissing, PromptError
    from intermodal.prompts import formats

    if not Path(folder).is_dir():
        raise InputMissing("is no folder", where=folder, todo="name one, or run: intermodal prompt show FILE")
    rows, documents = [], []
    for path in formats.files_in(Path(folder)):
        try:
            found = formats.prompts_of(path)
        except PromptError as error:
            rows.append((str(path), "-", "-", "-", f"{error.what} ({error.where.rpartition(':')[2]})"))
            documents.append({"file": str(path), "error": {"what": error.what, "where": error.where}})
            continue
        for each in found:
            name = str(path) if len(found) == 1 else f"{path}#{each.name}"
            takes = ", ".join(argument.name for argument in each.arguments) or "-"
            media = ", ".join(each.media) or "-"
            rows.append((name, takes, media, _output_text(each), each.description or each.model or "-"))
            documents.append(_document(each))
    if as_json:
        print_document("prompts", {"prompts": documents})
    elif not rows:
        click.echo(f"no prompt file in {folder}")
    else:
        echo_table(("file", "takes", "media", "makes", "about"), rows)


@prompt.command(epilog=EPILOG)
@click.argument("file")
@_ARGS
@_JSON
def show(file: str, arguments: tuple[str, ...], as_json: bool) -> None:
    """Show the inputs, outputs and options of FILE; with its arguments, the rendered messages."""
    import msgspec

    from intermodal.cli.rendering.json_document import print_document
    from intermodal.prompts import argument_values, formats

    found = formats.load(file)
    values = argument_values.parse_assignments(found, arguments)
    messages: tuple[Message, ...] = ()
    if values or not any(each.required for each in found.arguments):
        messages = found.template.messages(argument_values.bind_values(found, values))
    if as_json:
        more = {"messages": msgspec.to_builtins(messages)} if messages else {}
        print_document("prompt", {**_document(found), **more})
        return
    for line in _describe(found):
        click.echo(line)
    for message in messages:
        click.echo(f"\n[{message.role}]")
        for part in message.parts:
            click.echo(getattr(part, "text", None) or f"<{type(part).__name__.lower()} {_source(part)}>")


@prompt.command(epilog=EPILOG)
@click.argument("file")
@_ARGS
@with_all(_POLICY)
@svg_option("Draw the plan as an SVG picture")
@_JSON
def explain(file: str, arguments: tuple[str, ...], svg_file: str | None, **options: Any) -> None:
    """Plan FILE before anything is sent: which endpoints are out and why, what a run and a thousand runs cost, whether
    a language model is enough. Arguments that are not given are imagined at a usual size.
    """
    from intermodal.cli.arguments.files import (
        OutputFile,
        check_output_files,
        check_standard_output,
        write_picture,
    )
    from intermodal.cli.rendering.json_document import print_document
    from intermodal.client.sync_client import Client
    from intermodal.prompts.argument_values import parse_assignments

    check_standard_output(svg_file, as_json=options["as_json"])
    check_output_files((OutputFile("--svg", svg_file, "svg"),), [file.partition("#")[0]])
    with Client() as client:
        loaded_prompt = client.prompt(file, **_options(options, client.asynchronous.config))
        prompt_plan = loaded_prompt.plan_with(parse_assignments(loaded_prompt.file, arguments))
    if svg_file:
        write_picture(svg_file, prompt_plan.plan.svg())
    if svg_file == "-":
        return
    if options["as_json"]:
        body = {
            "prompt": _document(prompt_plan.file),
            "imagined": prompt_plan.assumed,
            "notes": prompt_plan.notes,
            "plan": prompt_plan.plan,
            "usd": prompt_plan.cost,
            "usd_thousand": prompt_plan.thousand,
            "verdict": prompt_plan.plan.verdict.value,
            "text": str(prompt_plan),
        }
        print_document("prompt_plan", body)
    else:
        click.echo(str(prompt_plan))


@prompt.command(epilog=EPILOG)
@click.argument("file")
@_ARGS
@with_all(_POLICY)
@click.option("--analyze", is_flag=True, help="EXPLAIN ANALYZE after the answer.")
@click.option("-q", "--quiet", is_flag=True, help="Only the answer and its defects.")
@_JSON
@click.pass_context
def run(context: click.Context, /, file: str, **options: Any) -> int:
    """Run FILE with its arguments: what `intermodal ask --prompt FILE` does."""
    from intermodal.cli.ask import ask

    code: int = context.invoke(ask, prompt_file=file, **options)
    return code


@prompt.command(epilog=EPILOG)
@click.argument("places", nargs=-1, required=True, type=click.Path())
@click.option("--strict", is_flag=True, help="A warning fails, too.")
@_JSON
def lint(places: tuple[str, ...], strict: bool, as_json: bool) -> int:
    """Check prompt files and folders of them; exit code 2 where one has an error. Plans nothing, for CI."""
    from intermodal.cli.rendering.json_document import print_document
    from intermodal.plans.numbers import with_noun
    from intermodal.prompts.lint import lint

    report = lint(map(Path, places))
    if as_json:
        body = {"files": report.files, "prompts": report.prompts, "errors": report.errors, "warnings": report.warnings}
        print_document("prompt_lint", {**body, "found": report.found})
    else:
        for each in report.found:
            click.echo(str(each))
        click.echo(f"{with_noun(report.files, 'file')}, {with_noun(report.prompts, 'prompt')}: "
                   f"{with_noun(report.errors, 'error')}, {with_noun(report.warnings, 'warning')}")  # fmt: skip
    return FAILED if report.errors or (strict and report.warnings) else 0


# ---- a prompt file for people and for programs ---------------------------------------------------------


def _options(cli_options: dict[str, Any], config: Config) -> dict[str, Any]:
    """Return the policy options that the user set. Raises UsageError."""
    from intermodal.cli.arguments.request_options import keep_aspects
    from intermodal.client.request_builder import checked_hosts

    options = {name: cli_options[name] for name in ("model", "at_least", "max_cost", "deadline", "max_tokens")}
    options["hosts"] = checked_hosts(cli_options["hosts"], config)
    options["objective"] = cli_options["objective"] if cli_options["objective"] != "default" else None
    options["farthest"] = "machine" if cli_options["local"] else None
    options["private"] = tuple(word for text in cli_options["private"] for word in split_list(text))
    options["keep"] = keep_aspects(cli_options["keep"])
    return {name: value for name, value in options.items() if value not in ("", (), None)}


def _output_text(file: PromptFile) -> str:
    from intermodal.core.request import JsonOutput

    if not isinstance(file.output, JsonOutput):
        return "text"
    fields = file.output.schema.get("properties")
    return f"JSON: {', '.join(fields)}" if fields else "JSON"


def _describe(file: PromptFile) -> list[str]:
    lines = [f"{file.name}  {file.path} ({file.format})"]
    lines += [file.description] if file.description else []
    for each in file.arguments:
        description = f"  {each.description}" if each.description else ""
        default = f"  [default: {each.default}]" if each.default is not None else ""
        lines.append(f"takes   {each.name}: {each.words}{description}{default}")
    lines.append(f"makes   {_output_text(file)}")
    models = ", else ".join((file.model, *file.others))
    lines += [f"model   {models}, as a preference"] if file.model else []
    lines += [f"wishes  {name}: {_value_text(value)}" for name, value in file.options.items()]
    lines += [f"tool    {tool.name}  {tool.description}".rstrip() for tool in file.tools]
    return lines


def _value_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _source(part: Any) -> str:
    source = getattr(part, "source", None)
    return str(getattr(source, "path", "") or getattr(source, "url", "")[:80] or getattr(source, "name", ""))


def _document(file: PromptFile) -> dict[str, Any]:
    from intermodal.core.request import JsonOutput

    takes = [
        {
            "name": each.name, "kind": each.kind, "many": each.many, "required": each.required,
            "description": each.description, "default": each.default, "schema": dict(each.schema), "line": each.line,
        }
        for each in file.arguments
    ]  # fmt: skip
    return {
        "file": file.path, "name": file.name, "format": file.format, "description": file.description,
        "takes": takes, "makes": "json" if isinstance(file.output, JsonOutput) else "text",
        "schema": file.output.schema if isinstance(file.output, JsonOutput) else None,
        "model": file.model, "wishes": dict(file.options), "tools": [tool.name for tool in file.tools],
        "findings": [
            {"level": each.level, "line": each.line, "what": each.what, "todo": each.todo} for each in file.findings
        ],
    }  # fmt: skip


TEST_EPILOG = """\b
Examples
  intermodal prompt test summary.prompt.yml
  intermodal prompt test summary.prompt.yml --most-routes 4 --html summary.html
  intermodal prompt test summary.prompt.yml --routes gpt-5-mini,qwen3-4b --host openai
"""

_SMOKE = "no answer to compare with: it passes when one comes, of the schema where there is one"

TESTS_FAILED = 14  # the exit code if no route passed all tests


@click.command(epilog=TEST_EPILOG)
@click.argument("file")
@run_options(1)
@click.option("-q", "--quiet", is_flag=True, help="Only the report: no progress, no notes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def test(file: str, **options: Any) -> int:
    """Run the test data of FILE and check the answers: passed, tokens, money and seconds, over the file's own model or
    what plans take in its place; with --most-routes or --routes over several, side by side.

    Finished runs are kept: after an interruption the same command resumes. Exit code 14 means that no route passes all
    tests. The results become the strengths that plans use, as with `intermodal eval`. The sample of a Prompty file
    passes when an answer arrives, and measures nothing.
    """
    from intermodal.client.async_client import AsyncClient
    from intermodal.concurrency.sync_bridge import SyncBridge
    from intermodal.evaluation.dataset import example_dataset, example_requests

    client, bridge = AsyncClient(), SyncBridge()
    try:
        prompt = client.prompt(file, **common_options(client.config, options))
        data, examples = example_dataset(prompt.file)
        if not (options["quiet"] or options["as_json"]):
            for each in prompt.file.findings:
                click.echo(f"{file}:{each.line}: {each.what}", err=True)
            for example in examples.values():
                if example.smoke:
                    click.echo(f"{file}:{example.line}: {_SMOKE}", err=True)
        one_route = options["most_routes"] == 1 and not options["routes"]
        requests = bridge.run(partial(example_requests, prompt, examples, one_route=one_route))
        report = run_evaluation(evaluation_of(client, data, options, requests), bridge, options)
    finally:
        bridge.close(client.aclose)
    show_report(report, options)
    if report.stopped:
        return OVER_BUDGET
    return 0 if any(row.right == report.items for row in report.routes) else TESTS_FAILED


CONVERT_EPILOG = """\b
Examples
  intermodal prompt convert invoice.prompt --to poml
  intermodal prompt convert summary.prompt.yml --to dotprompt -o summary.prompt
  intermodal prompt convert report.prompt --to prompty --lossy -o report.prompty
"""

FORMATS = ("dotprompt", "poml", "github", "prompty", "baml")


@click.command(epilog=CONVERT_EPILOG)
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

    The result is read again and rendered beside FILE with the same values. If the two differ nothing is written, and
    the exit code is 2; --lossy writes it nevertheless.
    """
    from intermodal.cli.arguments.files import write_atomically
    from intermodal.cli.rendering.json_document import print_document
    from intermodal.prompts import formats
    from intermodal.prompts.conversion.convert import TARGETS, convert_prompt, target_path

    found, target = formats.load(file), TARGETS[to]
    place = Path(out) if out else target_path(found, target)
    _check_place(found.path, out, target, replaces)
    conversion = convert_prompt(found, target, place)
    for loss in conversion.lost:
        click.echo(f"{found.path}:{loss.line}: not converted: {loss.what}", err=True)
    if conversion.meaning_losses and not lossy:
        raise _meaning_changed_error(found.path, conversion, target)
    if out:
        write_atomically(place, conversion.text.encode("utf-8"))
        click.echo(f"wrote {out}", err=True)
    if as_json:
        lost = [{"line": loss.line, "what": loss.what, "meaning": loss.meaning} for loss in conversion.lost]
        body = {"file": found.path, "from": found.format, "to": target.name, "out": out, "text": conversion.text}
        print_document("prompt_convert", {**body, "lost": lost})
    elif not out:
        click.echo(conversion.text, nl=False)


def _check_place(path: str, out: str | None, target: TargetFormat, replaces: bool) -> None:
    from intermodal.cli.arguments.files import same_file
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


def _meaning_changed_error(path: str, converted_prompt: ConvertedPrompt, target: TargetFormat) -> PromptError:
    first = converted_prompt.meaning_losses[0]
    more = f", and {len(converted_prompt.meaning_losses) - 1} more" if len(converted_prompt.meaning_losses) > 1 else ""
    what = f"cannot say the same in {target.name}: {first.what}{more}"
    return PromptError(what, where=f"{path}:{first.line}", todo="choose another format, or give --lossy")


prompt.add_command(test)
prompt.add_command(convert)
