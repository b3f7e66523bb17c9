"""``intermodal fit``: predict whether a model fits a machine, its speed, and changes that would make it fit."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem
from msgspec.structs import replace

from intermodal.cli.arguments.report_options import svg_option
from intermodal.cli.arguments.request_options import split_list

if TYPE_CHECKING:
    from intermodal.model_fit.fit import FitQuery, FitReport, VllmReport
    from intermodal.model_fit.fit_check import FitComparison
    from intermodal.model_fit.ranking import RankedModel, Work
    from intermodal.plans.machine import Machine
    from intermodal.sizing.memory import TermComparison

EPILOG = """\b
Examples
  intermodal fit smollm2-135m-instruct
  intermodal fit ~/models/qwen3-8b-q4_k_m.gguf --ctx 8k,32k,128k --gpu "RTX 4090"
  intermodal fit hf:Qwen/Qwen3-30B-A3B-GGUF:Q4_K_M --gpu "RTX 3090" --ctx 32k
  intermodal fit model.gguf --gpu 2xH100 --slots 16 --kv q8_0
  intermodal fit model.gguf --gpu "RTX 3060 12GB" --ram "64GB DDR5-5600"
  intermodal fit model.gguf --gpu M3 --ram 16GB --mmproj mmproj.gguf
  intermodal fit model.gguf --ram 8GB --json
  intermodal fit --all --gpu "RTX 3060 12GB" --for sight
  intermodal fit --check http://127.0.0.1:8080           a running server's memory beside the prediction
"""
MOST_NAMES = 40  # the most completions that a shell gets at once
LOOK = "(look)"  # the value of --check without an argument
_COLOURS = {"fits": "green", "tight": "yellow", "no": "red", "unknown": "yellow"}


def _complete_names(context: click.Context, parameter: click.Parameter, prefix: str) -> list[CompletionItem]:
    """Return the names that start with the typed text, for completion in a shell, and files."""
    from intermodal.cli.pull import weights_store

    rows = [row for row in weights_store().rows() if row.runtime == "llama" and row.name.startswith(prefix)]
    return [*(CompletionItem(row.name) for row in rows), CompletionItem(prefix, type="file")]


def matching_cards(context: click.Context, parameter: click.Parameter, prefix: str) -> list[CompletionItem]:
    """Return the cards that start with the typed text, for completion in a shell.

    In "2xH100", and after a comma, the text that follows counts.
    """
    from intermodal.sizing.machines import complete_card_name as names

    before, rest = re.split(r"(?i)((?:.*,)?\s*(?:\d+\s*x\s*)?)", prefix, maxsplit=1)[1:] or ("", prefix)
    return [CompletionItem(f"{before}{name}") for name in names(rest)[:MOST_NAMES]]


@click.command(epilog=EPILOG)
@click.argument("model", required=False, default="", shell_complete=_complete_names)
@click.option("--all", "everything", is_flag=True,
              help="Rank models on disk, pullable models and open models, strongest first.")  # fmt: skip
@click.option("--for", "work", type=click.Choice(["chat", "sight"]), default="chat", show_default=True,
              help="With --all: the kind of work.")  # fmt: skip
@click.option("--ctx", default="", metavar="TOKENS", help="Context of each request: 8k, or 8k,32k,128k for a table; "
              "the verdict is about the largest.  [default: what it was trained for, 8k at most]")  # fmt: skip
@click.option("--quant", "quantizations", type=split_list, multiple=True, metavar="NAMES",
              help="Quantizations that the table shows.  [default: Q8_0 to Q2_K]")  # fmt: skip
@click.option("--kv", default="f16", show_default=True, metavar="TYPE",
              help="Type of the key-value cache: f16, q8_0, q4_0, …, or one for each: f16,q8_0.")  # fmt: skip
@click.option("--slots", "--users", type=click.IntRange(1, 1024), default=1, show_default=True,
              help="Requests at the same time; each has the whole context.")  # fmt: skip
@click.option("--mmproj", "projector", metavar="FILE", default="", help="Projector for images or audio.")
@click.option("--draft", metavar="FILE", default="", help="Draft model for speculative decoding.")
@click.option("--engine", type=click.Choice(["llama.cpp", "vllm"]), default=None,
              help="The server that runs it.  [default: llama.cpp of GGUF files, vllm of safetensors]")  # fmt: skip
@click.option("--gpu", "gpus", multiple=True, metavar="NAME", shell_complete=matching_cards,
              help='"RTX 4090", 2xH100, 24GB, none; repeatable.  [default: this machine]')  # fmt: skip
@click.option("--ram", default="", metavar="SIZE", help='Memory of that machine: 64GB, "64GB DDR5-5600", "… 8ch".')
@click.option("--prompt", type=click.IntRange(1, 10_000_000), default=1000, show_default=True, metavar="TOKENS",
              help="Length of the prompt.")  # fmt: skip
@click.option("--check", "checked", is_flag=False, flag_value=LOOK, default=None, metavar="[SERVER]",
              help="Compare with what a running server took: http://…, a name of intermodal up, or none to look for "
              "one; or with the load log of a llama-server.")  # fmt: skip
@click.option(
    "--measure", is_flag=True, help="First measure memory, and the model by llama-bench if that is here; kept."
)
@svg_option("Draw it")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def fit(**options: Any) -> None:
    """Predict whether MODEL fits: memory term by term, speed, and changes that would make it fit.

    MODEL is a GGUF file, a folder of safetensors, a URL, hf:OWNER/REPO[/FILE][:QUANT], a name of pull --list, or a
    model that Ollama, LM Studio or the hub's cache has here. Only headers of files are read; nothing is loaded or
    downloaded. For a repository it is the file, and the projector, that pull would choose for the machine. The machine
    is this one with the memory that is free now, or a named one.
    """
    from intermodal.cli.arguments.files import OutputFile, check_output_files, check_standard_output
    from intermodal.cli.pull import weights_store
    from intermodal.model_fit.fit import VllmReport
    from intermodal.model_fit.fit import check_fit as worked_out

    svg_file, as_json = options["svg_file"], options["as_json"]
    if options["checked"] is not None:
        _check_prediction(options, options["checked"])
        return
    if options["everything"] or not options["model"]:
        _rank(options)
        return
    check_standard_output(svg_file, as_json=as_json)
    check_output_files(
        (OutputFile("--svg", svg_file, "svg"),), (options["model"], options["projector"], options["draft"])
    )
    query = _as_listed(fit_query_of(options), quiet=as_json)
    if options["measure"]:
        _measure(query, quiet=as_json)
    if _drawing(query, svg_file, as_json=as_json):
        return
    query = _as_pulled(query, quiet=as_json)
    report = worked_out(query, weights_store(), os.environ)
    if isinstance(report, VllmReport):
        _show_vllm(report, svg_file, as_json=as_json)
        return
    if svg_file:
        from intermodal.charts.fit import svg
        from intermodal.cli.arguments.files import write_picture

        write_picture(svg_file, svg(report), quiet=as_json)
    if as_json:
        from intermodal.cli.rendering.json_document import print_document
        from intermodal.model_fit.fit_output import document

        print_document("fit", document(report))
    elif svg_file != "-":
        _echo(report)


def _as_listed(query: FitQuery, *, quiet: bool) -> FitQuery:
    """Return the query with the name of ``pull --list`` for a name of Ollama's library."""
    from intermodal.catalog.model_names import reading_of_tag
    from intermodal.cli.pull import weights_store
    from intermodal.model_fit.fit import name_of_tag

    name = name_of_tag(query.model, weights_store(), os.environ)
    if name == query.model:
        return query
    if not quiet:
        click.echo(reading_of_tag(query.model, name), err=True)
    return replace(query, model=name)


def _as_pulled(query: FitQuery, *, quiet: bool) -> FitQuery:
    """Return the query with the file and the projector that ``pull`` would take from a hub's repository."""
    if not query.model.startswith("hf:"):
        return query
    import anyio

    from intermodal.model_fit.fit import machine_of
    from intermodal.model_fit.hub_pull import as_pulled

    machine = machine_of(query, os.environ)
    found, why = anyio.run(as_pulled, query, machine, os.environ)
    if why and not quiet:
        click.echo(f"{query.model}: {why}", err=True)
    return found


def fit_query_of(options: dict[str, Any]) -> FitQuery:
    """Return the query that the options describe."""
    from intermodal.model_fit.fit import FitQuery, parse_cache_types, parse_contexts

    type_k, type_v = parse_cache_types(options["kv"])
    return FitQuery(
        model=options["model"], projector=options["projector"], draft=options["draft"], slots=options["slots"],
        contexts=parse_contexts(options["ctx"]) if options["ctx"] else (), type_k=type_k, type_v=type_v,
        quantizations=tuple(word for some in options["quantizations"] for word in some), gpus=options["gpus"],
        ram=options["ram"], prompt=options["prompt"], engine=options["engine"] or "",
    )  # fmt: skip


def _rank(options: dict[str, Any]) -> None:
    """Rank every model that could run on the machine, for ``--all``."""
    from intermodal.errors import UsageError
    from intermodal.model_fit.fit import PROMPT, this_machine
    from intermodal.sizing.machines import machine_of_options

    if not options["everything"]:
        raise UsageError("no model is named", where="MODEL", todo="name one, or rank all with --all")
    if options["model"]:
        raise UsageError("ranks every model, and one is named", where="--all", todo="leave one of them out")
    for option, is_set in (
        ("--mmproj", options["projector"]), ("--draft", options["draft"]), ("--quant", options["quantizations"]),
        ("--engine", options["engine"] not in (None, "llama.cpp")), ("--svg", options["svg_file"]),
        ("--measure", options["measure"]), ("--prompt", options["prompt"] != PROMPT),
    ):  # fmt: skip
        if is_set:
            raise UsageError(
                "is of one model, and --all ranks many", where=option, todo="name a model, or leave it out"
            )
    on_this_machine = not (options["gpus"] or options["ram"])
    machine = this_machine(os.environ) if on_this_machine else machine_of_options(options["gpus"], options["ram"])
    rank(
        machine,
        ctx=options["ctx"],
        work=options["work"],
        as_json=options["as_json"],
        slots=options["slots"],
        kv=options["kv"],
    )


def _drawing(query: FitQuery, svg_file: str | None, *, as_json: bool) -> bool:
    """Print the answer for a diffusion model, and return whether the model is one."""
    from intermodal.errors import UsageError
    from intermodal.model_fit.diffusion_fit import diffusion_fit, document, report_lines
    from intermodal.model_fit.fit import machine_of

    report = diffusion_fit(query.model, machine_of(query, os.environ), is_this_machine=not (query.gpus or query.ram))
    if report is None:
        return False
    if svg_file:
        raise UsageError("is not drawn of a diffusion model", where="--svg", todo="leave it out")
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("fit", document(report))
        return True
    for line, verdict in report_lines(report):
        click.echo(click.style(line, fg=_COLOURS[verdict]) if verdict else line)
    return True


def _show_vllm(report: VllmReport, svg_file: str | None, *, as_json: bool) -> None:
    from intermodal.model_fit.fit_output import vllm_document, vllm_lines

    if svg_file:
        from intermodal.charts.fit import vllm_svg
        from intermodal.cli.arguments.files import write_picture

        write_picture(svg_file, vllm_svg(report), quiet=as_json)
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("fit", vllm_document(report))
    elif svg_file != "-":
        for line, verdict in vllm_lines(report, plain=_is_ascii_output()):
            click.echo(click.style(line, fg=_COLOURS[verdict]) if verdict else line)


def _is_ascii_output() -> bool:
    """Return whether the output cannot show the characters of bars."""
    from intermodal.model_fit.fit_output import FILLS

    try:
        FILLS.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def _echo(report: FitReport) -> None:
    from intermodal.model_fit.fit_output import report_lines

    for line in report_lines(report, plain=_is_ascii_output()):
        click.echo("".join(click.style(words, fg=_COLOURS[verdict]) if verdict else words for words, verdict in line))


def _measure(query: FitQuery, *, quiet: bool) -> None:
    """Measure the memory, and also the model if a program for that is installed."""
    from intermodal.cli.pull import weights_store
    from intermodal.config.config_file import cache_dir
    from intermodal.errors import UsageError
    from intermodal.local.hardware import memory_bandwidth, model_measurements
    from intermodal.local.hardware.machine import cores, processor
    from intermodal.model_fit.fit import REMOTE, find_model

    if query.gpus or query.ram:
        raise UsageError("measures this machine, and another one is named", where="--measure", todo="leave one out")
    folder = cache_dir(os.environ)
    found = memory_bandwidth.measure_bandwidth(processor(), cores())
    memory_bandwidth.save_bandwidth(folder, found)
    if not quiet:
        click.echo(memory_bandwidth.as_quantity(found).basis, err=True)
    if query.model.startswith(REMOTE) or not model_measurements.is_installed():
        return
    path = Path(find_model(query.model, weights_store(), os.environ).where)
    speeds = model_measurements.run_llama_bench(path)
    if speeds is not None:
        model_measurements.save_speeds(folder, path, speeds)
    elif not quiet:
        click.echo(f"{model_measurements.PROGRAM} could not run it", err=True)


ROWS = 25


def rank(machine: Machine, *, ctx: str, work: Work, as_json: bool, slots: int = 1, kv: str = "f16") -> None:
    """Print the models that fit, the strongest first."""
    from intermodal.cli.pull import weights_store
    from intermodal.model_fit.fit import parse_cache_types, parse_contexts
    from intermodal.model_fit.ranking import RankingQuery, rank_models

    type_k, type_v = parse_cache_types(kv)
    context = max(parse_contexts(ctx)) if ctx else 0
    query = RankingQuery(context=context, slots=slots, type_k=type_k, type_v=type_v, work=work)
    found = rank_models(machine, weights_store(), os.environ, query)
    if as_json:
        from intermodal.cli.rendering.json_document import print_document
        from intermodal.model_fit.ranking import ranking_document

        print_document("fit", ranking_document(found))
    else:
        _table(machine, found)


def machine_for_fits(words: str) -> Machine:
    """Return the machine of ``--fits``, which is a size of memory or a card."""
    from intermodal.errors import UsageError
    from intermodal.sizing.machines import machine_of_options, parse_memory

    try:
        parse_memory(words)
    except UsageError:
        return machine_of_options((words,))
    return machine_of_options((), words)


def _table(machine: Machine, ranked_models: tuple[RankedModel, ...]) -> None:
    from intermodal.cli.rendering.tables import echo_table
    from intermodal.model_fit.fit_output import gib, rate
    from intermodal.sizing.machines import describe_machine

    fitting = [each for each in ranked_models if each.verdict in ("fits", "tight")]
    click.echo(describe_machine(machine))
    unsure = sum(each.verdict == "unknown" for each in ranked_models)
    if not fitting:
        click.echo(
            f"none of {len(ranked_models):,} models is known to fit"
            if unsure
            else f"none of {len(ranked_models):,} models fits"
        )
        return
    rows = [
        (each.name, each.store or each.where, each.tier or "-",
         gib(each.check.needed) + (" ~" if each.verdict == "tight" else ""),
         f"{rate(each.decode.low)}..{rate(each.decode.high)}" if each.decode.known else "unknown", each.todo)
        for each in fitting[:ROWS]
    ]  # fmt: skip
    echo_table(("model", "where", "tier", "GiB", "tokens/s", "to do"), rows)
    more = f"{len(fitting) - ROWS:,} more fit; " if len(fitting) > ROWS else ""
    assumed = (
        "files on disk are sized by their headers; others are assumed to have 4-bit weights; within a tier, larger "
        "models come first, since no measurement covers them all"
    )
    open_ = f"for {unsure:,} no header states the memory of a context so long; " if unsure else ""
    click.echo(f"\n{more}{len(ranked_models) - len(fitting) - unsure:,} do not fit; {open_}{assumed}", err=True)


# ---- --check ------------------------------------------------------------------------------------------


def _check_prediction(options: dict[str, Any], argument: str) -> None:
    """Compare the prediction with what runs, and print both.

    ``argument`` is that of ``--check``; it is a model if no model is named before it.
    """
    from intermodal.cli.pull import weights_store
    from intermodal.errors import UsageError
    from intermodal.model_fit.fit_check import compare_with_actual as compared
    from intermodal.model_fit.fit_check import document, is_server

    if options["everything"] or options["svg_file"] or options["measure"]:
        raise UsageError("is a check of one model, without --all, --svg and --measure", where="--check",
                         todo="leave them out")  # fmt: skip
    target = "" if argument == LOOK else argument
    query = fit_query_of(options)
    if target and not query.model and not is_server(target, os.environ):
        query, target = fit_query_of({**options, "model": target}), ""
    if not query.model and not target:
        raise UsageError("neither a model nor a server is named", where="--check",
                         todo="name one: --check http://127.0.0.1:8080")  # fmt: skip
    found = compared(query, target, weights_store(), os.environ)
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("fit", document(found))
        return
    _echo_comparison(found)


def _echo_comparison(comparison: FitComparison) -> None:
    from intermodal.cli.rendering.tables import echo_table
    from intermodal.model_fit.fit_output import rate

    click.echo(f"{comparison.model}{f': {comparison.server.description}' if comparison.server is not None else ''}")
    if comparison.rows:
        click.echo("")
        rows = [_comparison_cells(row) for row in comparison.rows]
        echo_table(("memory", "where", "predicted MiB", "real MiB", "error", "by"), rows)
    server = comparison.server
    if server is not None and server.written and comparison.decode.known:
        low, high = rate(comparison.decode.low), rate(comparison.decode.high)
        click.echo(f"\nwrote {rate(server.written)} tokens a second so far, predicted {low} to {high}")
    for note in comparison.notes:
        click.echo(f"  {note}")
    if comparison.correction is not None:
        click.echo(f"\nkept for this file with {comparison.correction.flags}: fit, up, doctor and plans use it")


def _comparison_cells(row: TermComparison) -> tuple[str, ...]:
    from intermodal.sizing.memory import MIB, TOKENS

    unit, digits = (1, 0) if row.name == TOKENS else (MIB, 2 if row.source == "log" else 0)
    low, mid, high = (f"{value / unit:,.{digits}f}" for value in
                      (row.predicted.low, row.predicted.mid, row.predicted.high))  # fmt: skip
    wide = f" ({low}..{high})" if low != high else ""
    name = f"{row.name} (tokens)" if row.name == TOKENS else row.name
    error = f"{row.error:+.2%}" if row.error is not None else "not logged"
    return name, row.device, f"{mid}{wide}", f"{row.real / unit:,.{digits}f}" if row.real else "-", error, row.source
