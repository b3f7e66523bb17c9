"""``intermodal ask``: run a request; the plan goes to stderr, and the answer is streamed to stdout.

If a hosted service would answer better, the user is asked for consent: only on a terminal where a person can answer,
only for a host with a key that was never allowed, and only if the plan is stronger than the one without it. The answer
"never" is remembered; anything else only if the user asks for that. Requests of a prompt file (``--prompt``) are made
below.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from intermodal.cli.arguments.request_options import (
    build_request,
    policy_options,
    request_files,
    request_options,
    stated_options,
)
from intermodal.core.request import TIERS
from intermodal.errors import UsageError

if TYPE_CHECKING:
    from intermodal.cli.arguments.files import OutputFile
    from intermodal.cli.rendering.progress import Progress
    from intermodal.client.async_client import PreparedRequest
    from intermodal.client.sync_client import Client
    from intermodal.config.config_file import Config
    from intermodal.events import Derived, Event, Result
    from intermodal.plans.plan import Plan, SavedPlan
    from intermodal.prompts.prompt_file import PromptFile

EPILOG = """\b
Examples
  intermodal ask "What does the caller want?" call.wav
  intermodal ask "Total?" invoice.png --schema total.schema.json
  intermodal ask --output transcript --format srt call.wav > call.srt
  intermodal ask "What does the caller want?" call.wav --analyze --svg run.svg
  intermodal ask "Compare" a.pdf https://example.org/b.pdf --max-cost 0.01
  cat notes.txt | intermodal ask "Summarise" -
  intermodal ask @question.txt call.wav
  intermodal ask --prompt invoice.prompt --arg photo=@invoice.png
  intermodal ask "And the second one?" --continue
  intermodal ask "What does the caller want?" call.wav --to answer.wav
  intermodal ask --labels "invoice,letter,photo of a cat" scan.png
"""


UNVERIFIED, CUT, REPEATS, UNREAD = 10, 11, 12, 13  # exit codes of an answer that has a defect
_WORDS = {"y": "once", "yes": "once", "a": "always", "always": "always", "never": "never"}
# Parameters of ``ask`` that a prompt file sets itself.
_OF_THE_FILE = ("prompt", "files", "schema_file", "output_kind", "form", "voice", "verbatim", "labels", "size", "count",
                "quality", "negative", "steps", "system")  # fmt: skip


@click.command(epilog=EPILOG)
@request_options
@click.option(
    "--analyze", is_flag=True, help="EXPLAIN ANALYZE after the answer: estimate beside actual, in numbers and in time."
)
@click.option(
    "--prompt",
    "prompt_file",
    default=None,
    metavar="FILE",
    help="Ask what this prompt file asks (docs/prompts.md); FILE#NAME for one of several.",
)
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of the prompt file, or NAME=@FILE; repeatable.",
)
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
    type=click.Path(file_okay=False),
    default=None,
    metavar="DIR",
    help="Write the transcripts and texts that conversions made.",
)
@click.option(
    "--svg",
    "svg_file",
    type=click.Path(dir_okay=False),
    default=None,
    metavar="FILE",
    help="Draw the run beside its plan, on one axis of time, as an SVG picture.",
)
@click.option(
    "--to", default=None, metavar="FILE", help="Write speech (.wav, .mp3) or images (.png, .jpg, .webp) here."
)
@click.option("--preview", default=None, metavar="FILE",
              help="While an image is generated on this machine, write previews here, as PNG.")  # fmt: skip
@click.option("--continue", "go_on", is_flag=True, help="Continue the last conversation.")
@click.option("--explain", is_flag=True,
              help="Show the whole plan before the answer. On a terminal it is one line otherwise.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Only the answer and its defects: no plan, no progress.")
def ask(**options: Any) -> int:
    """Ask PROMPT of FILES (paths, URLs, or - for standard input). Kinds are read from the bytes, not the names.

    The answer goes to standard output, everything else to standard error. Exit codes 10 to 13 mean that there is an
    answer with a defect: docs/exit-codes.md.
    """  # fmt: skip
    from intermodal.cli.arguments.files import (
        check_output_files,
        file_paths,
        timeline_svg,
        timeline_text,
        write_picture,
    )
    from intermodal.cli.arguments.output_options import check_target
    from intermodal.cli.rendering.progress import Progress
    from intermodal.client.async_client import explain_analyze
    from intermodal.client.sync_client import Client
    from intermodal.errors import UsageError
    from intermodal.events import fold

    if options["svg_file"] == "-":
        raise UsageError("standard output is for the answer", where="--svg -", todo="name a file")
    if options["preview"] and Path(options["preview"]).suffix.lower() != ".png":
        raise UsageError("is written as PNG", where=f"--preview {options['preview']}", todo="end the name in .png")
    targets = _targets(options)
    check_output_files(
        targets, [*request_files(options), *filter(None, (options["plan_file"], options["prompt_file"]))]
    )
    quiet = options["quiet"] or options["as_json"]
    events: list[Event] = []
    with Client(remember=True, keep_loaded=False) as client:
        file: PromptFile | None = None
        if options["plan_file"]:
            prepared, plan = _load_approved(client, options)
        elif options["prompt_file"]:
            prepared, plan, file = plan_prompt_file(client, options)
        else:
            prepared, plan = _plan_request(client, options)
        inputs = list(file_paths(prepared.inputs.original))
        check_output_files(targets, inputs)  # approved plans and conversations name files too
        check_target(prepared.inputs.request.output, options["to"], as_json=options["as_json"])
        in_full = options["explain"] or not sys.stderr.isatty()
        if not quiet:
            click.echo(_plan_text(plan, in_full=in_full) + "\n", err=True)
        try:
            _show(
                client,
                prepared,
                plan,
                events,
                stream=_streams(prepared, options),
                progress=Progress(
                    quiet=quiet,
                    silent=options["as_json"],
                    preview=options["preview"] or "",
                    plan_notes=plan.notes if in_full and not quiet else (),
                ),
                exact=bool(options["plan_file"]),
            )
        finally:  # show what was made even when the last call failed
            result = fold(events)
            derived = (*_extracted_texts(prepared), *result.derived)
            if options["save_derived"] and derived:
                _save_derived(Path(options["save_derived"]), derived, [*request_files(options), *inputs], quiet)
            if options["svg_file"] and result.actuals:
                write_picture(options["svg_file"], timeline_svg(plan, result), quiet=quiet)
    if file is not None:
        result = with_value(file, result)
    analysis = explain_analyze(plan, result) if options["analyze"] else ""
    _finish(options, prepared, plan, result, analysis)
    if analysis and not options["as_json"]:
        click.echo(f"\n{analysis}\n\n{timeline_text(plan, result)}", err=True)
    return exit_code(result)


def exit_code(result: Result) -> int:
    """Return the exit code of an answer: 0, or the code of its defect (docs/exit-codes.md)."""
    if any(each.status == "unverified" for each in result.evidence):
        return UNVERIFIED
    if result.looped:
        return REPEATS
    if result.finish_reason == "length":
        return CUT
    return UNREAD if result.unread else 0


def _plan_text(plan: Plan, *, in_full: bool) -> str:
    """Return the plan as ``explain`` shows it, or one line of it, after its verdict if that is not "enough"."""
    from intermodal.plans import explain
    from intermodal.plans.explain import explain as as_text

    if in_full:
        return as_text(plan)
    line = explain.one_line(plan.chosen)
    return line if plan.chosen.verdict.startswith("enough") else f"{plan.headline}\n{line}"


def _plan_request(client: Client, options: dict[str, Any]) -> tuple[PreparedRequest, Plan]:
    from intermodal.client.request_builder import next_turn
    from intermodal.errors import UsageError

    config = client.asynchronous.config
    if options["arguments"]:
        raise UsageError("--arg is for a prompt file", where="--arg", todo="name one: --prompt FILE")
    if options["go_on"]:
        last = client.asynchronous.store.last_conversation()
        if last is None:
            raise UsageError("there is no conversation to continue", where="--continue", todo="ask something first")
        request = next_turn(build_request(options, config, last.messages, last.endpoint), last.policy)
    else:
        request = build_request(options, config)
    prepared = client.prepare(request, counting=True)
    return plan_or_ask(prepared, config, may_ask=not (options["quiet"] or options["as_json"]))


def _load_approved(client: Client, options: dict[str, Any]) -> tuple[PreparedRequest, Plan]:
    """Load a saved plan, and open its media and compare them.

    The plan is run unchanged, so no other option of the request may be given.
    """
    from intermodal.errors import UsageError

    if options["prompt"] or options["files"] or options["go_on"] or options["prompt_file"]:
        raise UsageError("an approved plan has its own prompt and files", where="--plan", todo="leave the others out")
    own = (
        "plan_file", "to", "as_json", "quiet", "explain", "analyze", "save_derived", "svg_file", "go_on", "prompt",
        "files",
    )  # fmt: skip
    for option in stated_options(but=own):
        raise UsageError(
            f"{option} cannot change an approved plan", where="--plan",
            todo="leave it out, or plan again with: intermodal explain --save",
        )  # fmt: skip
    saved = load_plan(Path(options["plan_file"]))
    return client.approved(saved), saved.plan


def load_plan(path: Path) -> SavedPlan:
    """Read an approved plan from its file. Raises InputMissing or InputBroken."""
    from intermodal.cli.arguments.files import load_json
    from intermodal.plans.plan import PLAN_VERSION, SavedPlan

    todo = "save one with: intermodal explain PROMPT FILES --save FILE"
    saved = load_json(path, SavedPlan, PLAN_VERSION, what="a saved plan", todo=todo)
    assert isinstance(saved, SavedPlan)
    return saved


def _streams(prepared: PreparedRequest, options: dict[str, Any]) -> bool:
    """Return whether words go to stdout as they arrive; they do not if stdout gets a finished document."""
    from intermodal.cli.arguments.output_options import plugin_output
    from intermodal.core.request import SpeechOutput, TextOutput, TranscriptOutput

    output = prepared.inputs.request.output
    if options["as_json"] or plugin_output(options["output_kind"]) is not None:
        return False
    if isinstance(output, SpeechOutput):
        return bool(options["to"])
    return isinstance(output, TextOutput) or (isinstance(output, TranscriptOutput) and output.format == "text")


def _show(
    client: Client,
    prepared: PreparedRequest,
    plan: Plan,
    events: list[Event],
    *,
    stream: bool,
    progress: Progress,
    exact: bool,
) -> None:
    """Run the request, with words shown on stdout, and progress and notes on stderr.

    Every event is added to ``events``, except the intermediate states of an image.
    """
    from intermodal.cli.rendering.progress import for_terminal
    from intermodal.events import Sketched, TextDelta

    terminal = sys.stdout.isatty()
    last = "\n"
    delayed_events: list[Event] = []  # notes that arrive in the middle of a line; they are shown after it

    def release() -> None:
        while delayed_events:
            progress.show(delayed_events.pop(0))

    try:
        for event in client.execute(prepared, plan, exact=exact):
            if isinstance(event, Sketched):
                progress.show(event)
                continue
            events.append(event)
            if not isinstance(event, TextDelta):
                if terminal and not last.endswith("\n") and progress.speaks(event):
                    sys.stdout.write("\n")
                    sys.stdout.flush()
                    last = "\n"
                if not last.endswith("\n") and progress.speaks(event):
                    delayed_events.append(event)  # a pipe gets the answer verbatim, so its line ends after the answer
                else:
                    progress.show(event)
            elif stream and event.text:
                progress.clear()
                sys.stdout.write(for_terminal(event.text) if terminal else event.text)
                sys.stdout.flush()
                last = event.text
                if last.endswith("\n"):
                    release()
    finally:
        progress.clear()
        if not last.endswith("\n"):
            sys.stdout.write("\n")
            sys.stdout.flush()
        release()


def _targets(options: dict[str, Any]) -> tuple[OutputFile, ...]:
    from intermodal.cli.arguments.files import OutputFile
    from intermodal.cli.arguments.output_options import SUFFIXES, image_paths

    suffix = Path(options["to"] or "").suffix.lower()
    kind = "mp3" if suffix == ".mp3" else SUFFIXES.get(suffix, "wav")
    places = image_paths(options["to"], options["count"] or 1) if options["to"] else ()
    return (
        *(OutputFile("--to", place, kind) for place in places), OutputFile("--svg", options["svg_file"], "svg"),
        OutputFile("--preview", options["preview"], "png"),
    )  # fmt: skip


def _extracted_texts(prepared: PreparedRequest) -> tuple[Derived, ...]:
    """Return the texts that were extracted from documents, pages and mail before planning.

    The answer is based on them as much as on the results of conversions.
    """
    from intermodal.core.content import Text
    from intermodal.events import Derived

    return tuple(
        Derived(step="", name=part.name, op="extract", text=part.text)
        for _, _, part in prepared.inputs.request.parts()
        if isinstance(part, Text) and part.name
    )


def _save_derived(folder: Path, derived: tuple[Derived, ...], inputs: list[str], quiet: bool) -> None:
    from intermodal.cli.arguments.files import save_derived

    for path in save_derived(folder, derived, inputs):
        if not quiet:
            click.echo(f"wrote {path}", err=True)


def _finish(options: dict[str, Any], prepared: PreparedRequest, plan: Plan, result: Result, analysis: str) -> None:
    """Write the rest of the output after the run: a document, subtitles, a vector, or nothing."""
    import json

    from intermodal.cli.arguments.output_options import (
        LABEL,
        best_label,
        images_document,
        plugin_output,
        scores_table,
        speech_document,
        write_images,
        write_speech,
    )
    from intermodal.cli.rendering.json_document import print_document
    from intermodal.core.request import (
        EmbeddingOutput,
        ImageOutput,
        JsonOutput,
        ScoresOutput,
        SpeechOutput,
        TranscriptOutput,
    )
    from intermodal.protocols.openai_media.transcription import subtitles

    output = prepared.inputs.request.output
    quiet = options["quiet"] or options["as_json"]
    if isinstance(output, SpeechOutput) and (options["to"] or not options["as_json"]):
        write_speech(result.speech, options["to"], quiet=quiet)
    if isinstance(output, ImageOutput) and (options["to"] or not options["as_json"]):
        write_images(result.images, options["to"], quiet=quiet)
    own = plugin_output(options["output_kind"])
    if own is not None and not options["as_json"]:
        click.echo(own.render(result).rstrip("\n"))
    elif options["as_json"]:
        answer = _answer(plan, msgspec.structs.replace(result, speech=None, images=()), analysis)
        media = {
            "speech": speech_document(result.speech, options["to"]),
            "images": images_document(result.images, options["to"]),
        }
        rendered = {"rendered": own.render(result)} if own is not None else {}
        print_document("answer", {**answer, **media, **rendered})
    elif isinstance(output, ScoresOutput):
        click.echo(best_label(result.scores) if options["output_kind"] == LABEL else scores_table(result.scores))
    elif isinstance(output, JsonOutput):
        click.echo(json.dumps(result.data, ensure_ascii=False, indent=2))
    elif isinstance(output, EmbeddingOutput):
        click.echo(json.dumps(list(result.embedding)))
    elif isinstance(output, TranscriptOutput) and result.transcript is not None:
        if output.format == "json":
            print_document("transcript", transcript(result.transcript))
        elif output.format in ("srt", "vtt"):
            click.echo(subtitles(result.transcript, output.format), nl=False)


def _answer(plan: Plan, result: Result, analysis: str) -> dict[str, Any]:
    """Return the document of ``ask --json`` with every field, whatever its value; ``plan`` is printed as in explain."""
    from intermodal.cli.arguments.output_options import best_label
    from intermodal.cli.rendering.json_document import plain_data

    body: dict[str, Any] = plain_data(result)
    body["transcript"] = transcript(result.transcript) if result.transcript is not None else None
    body["label"] = best_label(result.scores)
    body["steps"] = body.pop("actuals")
    return {**body, "plan": plan, **({"analyze": analysis} if analysis else {})}


def transcript(transcript: Any) -> dict[str, Any]:
    from intermodal.cli.rendering.json_document import plain_data

    return {**plain_data(transcript), "text": transcript.text}


# ---- consent ----------------------------------------------------------------------------------------


def plan_or_ask(prepared: PreparedRequest, config: Config, *, may_ask: bool) -> tuple[PreparedRequest, Plan]:
    """Return the plan, or a better one if the user, when asked, allows its host. Raises the planner's errors."""
    from intermodal.client.async_client import plan_from
    from intermodal.errors import NoRoute

    try:
        chosen, refused = plan_from(prepared.inputs), None
    except NoRoute as error:
        chosen, refused = None, error
    if may_ask and sys.stdin.isatty() and sys.stderr.isatty():
        better = _stronger_hosted_plan(prepared, config, chosen)
        if better is not None and _user_consents(better[1], config):
            return better
    if chosen is None:
        assert refused is not None
        raise refused
    return prepared, chosen


def _stronger_hosted_plan(
    prepared: PreparedRequest, config: Config, now: Plan | None
) -> tuple[PreparedRequest, Plan] | None:
    """Return the plan with every host allowed that has a key, if that plan is stronger."""
    import msgspec

    from intermodal.client.async_client import plan_from
    from intermodal.config.api_keys import find_key
    from intermodal.errors import NoRoute

    inputs = prepared.inputs
    policy = inputs.request.policy
    waiting = {
        e.host.id
        for e in inputs.catalog.endpoints
        if e.ready
        and e.host.id not in (*inputs.catalog.consent, *policy.hosts, *config.declined)
        and find_key(e.host, os.environ)
    }
    if not waiting or policy.farthest != "internet":
        return None
    wider = msgspec.structs.replace(policy, hosts=(*policy.hosts, *sorted(waiting)))
    request = msgspec.structs.replace(inputs.request, policy=wider)
    candidate = dataclasses.replace(prepared, inputs=msgspec.structs.replace(inputs, request=request))
    try:
        plan = plan_from(candidate.inputs)
    except NoRoute:
        return None
    if now is not None and TIERS.index(plan.chosen.tier) <= TIERS.index(now.chosen.tier):
        return None
    # A yes allows only the hosts of this plan.
    used = tuple(sorted({send.host for send in plan.chosen.sends} & waiting))
    if not used:
        return None
    narrow = msgspec.structs.replace(policy, hosts=(*policy.hosts, *used))
    request = msgspec.structs.replace(inputs.request, policy=narrow)
    candidate = dataclasses.replace(prepared, inputs=msgspec.structs.replace(inputs, request=request))
    return candidate, plan_from(candidate.inputs)


def _user_consents(plan: Plan, config: Config) -> bool:
    from urllib.parse import urlsplit

    from intermodal.cli.rendering.tables import money
    from intermodal.config import config_file

    chosen = plan.chosen
    used = sorted({send.host for send in chosen.sends} - set(config.consent))
    places = {send.host: urlsplit(send.url).hostname or send.url for send in chosen.sends}
    sends = ", ".join(f"{send.what} (from {send.origin})" for send in chosen.sends)
    click.echo(
        f"{chosen.endpoint} ({chosen.tier}) would answer for {money(chosen.total.cost.for_ranking())}, "
        f"if this may go to {', '.join(f'{host} ({places[host]})' for host in used)}: {sends}.",
        err=True,
    )
    reply: Any = click.prompt("Send it? [y]es, [a]lways, [N]o, never", default="n", show_default=False, err=True)
    decision = _WORDS.get(str(reply).strip().lower(), "no")
    for host in used:
        if decision == "always":
            config_file.consent(os.environ, host)
        elif decision == "never":
            config_file.decline_host(os.environ, host)
    return decision in ("once", "always")


# ---- prompt files -----------------------------------------------------------------------------------


def plan_prompt_file(client: Client, options: Mapping[str, Any]) -> tuple[PreparedRequest, Plan, PromptFile]:
    """Return the request that a prompt file and its arguments make, the plan for it, and the file."""
    import msgspec

    from intermodal.client.request_builder import next_turn
    from intermodal.prompts.argument_values import parse_assignments

    for name in _OF_THE_FILE:
        if options[name]:
            setting = {"prompt": "a question", "files": "files"}.get(name, f"--{name.removesuffix('_file')}")
            raise UsageError(f"the prompt file says {setting} itself", where="--prompt", todo="give --arg NAME=VALUE")
    prompt = client.prompt(options["prompt_file"], **stated_policy(options, client.asynchronous.config))
    last = client.asynchronous.store.last_conversation() if options["go_on"] else None
    if options["go_on"] and last is None:
        raise UsageError("there is no conversation to continue", where="--continue", todo="ask something first")
    args = parse_assignments(prompt.file, options["arguments"])
    request = prompt.request_with(args, history=last.messages if last else ())
    if last is not None:
        request = next_turn(msgspec.structs.replace(request, previous_endpoint=last.endpoint), last.policy)
    prepared, plan, notes = prompt.plan_request(request)
    if not (options["quiet"] or options["as_json"]):
        for note in notes:
            click.echo(f"file: {note}", err=True)
    return prepared, plan, prompt.file


def with_value(file: PromptFile, result: Result) -> Result:
    """Return the result with the value that the file's own parser finds in the answer, if its format has a parser.

    Raises OutputInvalid if the parser finds none.
    """
    import msgspec

    if file.parser is None:
        return result
    value = file.value(result)
    return result if isinstance(value, str) else msgspec.structs.replace(result, data=value)


def stated_policy(options: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """Return the policy options that the user set; for the others, those of the prompt file apply."""
    empty = ("", (), None, "default")
    return {name: value for name, value in policy_options(options, config).items() if value not in empty}
