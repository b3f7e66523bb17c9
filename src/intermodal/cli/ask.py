"""``intermodal ask``: the plan on stderr, the answer on stdout as it comes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intermodal.cli.options import build_request, request_options

if TYPE_CHECKING:
    from intermodal.client import Client, Prepared
    from intermodal.events import Event, Result
    from intermodal.plans.plan import Plan, SavedPlan

EPILOG = """\b
Examples
  intermodal ask "What does the caller want?" call.wav
  intermodal ask "Total?" invoice.png --schema total.schema.json
  intermodal ask --output transcript --format srt call.wav > call.srt
  intermodal ask "Compare" a.pdf https://example.org/b.pdf --max-cost 0.01
  cat notes.txt | intermodal ask "Summarise" -
  intermodal ask "And the second one?" --continue
"""


@click.command(epilog=EPILOG)
@request_options
@click.option("--analyze", is_flag=True, help="EXPLAIN ANALYZE after the answer: estimate beside actual.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(),
    default=None,
    metavar="FILE",
    help="Run exactly this approved plan (from explain --save).",
)
@click.option(
    "--save-derived",
    type=click.Path(),
    default=None,
    metavar="DIR",
    help="Write the transcripts and texts that conversions made.",
)
@click.option("--continue", "go_on", is_flag=True, help="Go on with the last conversation.")
@click.option("-q", "--quiet", is_flag=True, help="Only the answer: no plan, no notes, no progress.")
def ask(**given: Any) -> None:
    """Ask PROMPT of FILES (paths, URLs, or - for standard input). Kinds are read from the bytes, not the names."""
    from intermodal.client import Client, explain_analyze
    from intermodal.events import fold
    from intermodal.plans.explain import explain as as_text

    quiet = given["quiet"] or given["as_json"]
    with Client(remember=True) as client:
        prepared, plan = _approved(client, given) if given["plan_file"] else _planned(client, given)
        if not quiet:
            click.echo(as_text(plan) + "\n", err=True)
        events = _show(client, prepared, plan, stream=_streams(prepared, given), quiet=quiet)
        result = fold(events)
        if given["save_derived"]:
            _save_derived(Path(given["save_derived"]), result, quiet)
        _finish(given, prepared, plan, result)
    if given["analyze"] and not given["as_json"]:
        click.echo("\n" + explain_analyze(plan, result), err=True)


def _planned(client: Client, given: dict[str, Any]) -> tuple[Prepared, Plan]:
    from intermodal.errors import UsageError
    from intermodal.planner import plan

    history: Any = ()
    previous = ""
    if given["go_on"]:
        last = client.asynchronous.store.last_conversation()
        if last is None:
            raise UsageError("there is no conversation to go on with", where="--continue", todo="ask something first")
        history, previous = last
    prepared = client.prepare(build_request(given, history, previous))
    inputs = prepared.inputs
    return prepared, plan(
        inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of
    )  # fmt: skip


def _approved(client: Client, given: dict[str, Any]) -> tuple[Prepared, Plan]:
    from intermodal.errors import UsageError

    if given["prompt"] or given["files"]:
        raise UsageError("an approved plan has its own prompt and files", where="--plan", todo="leave the others out")
    saved = _load_plan(Path(given["plan_file"]))
    return client.approved(saved), saved.plan


def _load_plan(path: Path) -> SavedPlan:
    import msgspec

    from intermodal.errors import InputBroken, InputMissing
    from intermodal.plans.plan import PLAN_VERSION, SavedPlan

    todo = "save one with: intermodal explain PROMPT FILES --save FILE"
    try:
        saved = msgspec.json.decode(path.read_bytes(), type=SavedPlan)
    except OSError as error:
        raise InputMissing(f"cannot be read ({error.strerror})", where=str(path), todo=todo) from None
    except msgspec.DecodeError as error:
        raise InputBroken(f"does not hold a saved plan ({error})", where=str(path), todo=todo) from None
    if saved.version != PLAN_VERSION:
        raise InputBroken(
            f"holds a plan of version {saved.version}, this is version {PLAN_VERSION}", where=str(path), todo=todo
        )
    return saved


def _streams(prepared: Prepared, given: dict[str, Any]) -> bool:
    """Words go to stdout as they come, except where stdout gets a finished document."""
    from intermodal.request import TextOutput, TranscriptOutput

    output = prepared.inputs.request.output
    if given["as_json"]:
        return False
    return isinstance(output, TextOutput) or (isinstance(output, TranscriptOutput) and output.format == "text")


def _show(client: Client, prepared: Prepared, plan: Plan, *, stream: bool, quiet: bool) -> list[Event]:
    """Run, showing words on stdout and progress and notes on stderr; all events come back."""
    from intermodal.cli.render import Progress
    from intermodal.events import TextDelta

    events: list[Event] = []
    progress = Progress(quiet=quiet)
    ended_with_newline = True
    try:
        for event in client.execute(prepared, plan):
            events.append(event)
            if isinstance(event, TextDelta):
                progress.clear()
                if stream:
                    sys.stdout.write(event.text)
                    sys.stdout.flush()
                    ended_with_newline = event.text.endswith("\n")
            else:
                progress.show(event)
    finally:
        progress.clear()
        if not ended_with_newline:
            sys.stdout.write("\n")
            sys.stdout.flush()
    return events


def _save_derived(folder: Path, result: Result, quiet: bool) -> None:
    from intermodal.cli.files import save_derived

    for path in save_derived(folder, result.derived):
        if not quiet:
            click.echo(f"wrote {path}", err=True)


def _finish(given: dict[str, Any], prepared: Prepared, plan: Plan, result: Result) -> None:
    """What stdout gets after the run: a document, subtitles, a vector, or nothing more."""
    import json

    from intermodal.cli.document import print_document
    from intermodal.cli.files import subtitles
    from intermodal.request import EmbeddingOutput, JsonOutput, TranscriptOutput

    output = prepared.inputs.request.output
    if given["as_json"]:
        print_document("answer", {"result": result, "plan": plan})
    elif isinstance(output, JsonOutput):
        click.echo(json.dumps(result.data, ensure_ascii=False, indent=2))
    elif isinstance(output, EmbeddingOutput):
        click.echo(json.dumps(list(result.embedding)))
    elif isinstance(output, TranscriptOutput) and result.transcript is not None:
        if output.format == "json":
            print_document("transcript", result.transcript)
        elif output.format in ("srt", "vtt"):
            click.echo(subtitles(result.transcript, output.format), nl=False)
