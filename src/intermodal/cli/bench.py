"""``intermodal bench``: measure endpoints on one request; the table goes to stdout, progress to stderr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intermodal.cli.arguments.report_options import svg_option
from intermodal.cli.arguments.request_options import money
from intermodal.client.request_builder import checked_hosts

if TYPE_CHECKING:
    from intermodal.catalog.types import Endpoint
    from intermodal.concurrency.sync_bridge import SyncBridge
    from intermodal.evaluation.bench import Bench, BenchEndpoint, BenchSample, LoadLevel, Percentiles

EPILOG = """\b
Examples
  intermodal bench up.qwen3-4b ollama --concurrency 1,4,16
  intermodal bench up.qwen3-4b gpt-5-mini --host openai --max-cost 0.20
  intermodal bench embedded:qwen3-4b --prompt question.txt --requests 20 --tokens 128
  intermodal bench up.vision --prompt ask.txt --media chart.png --json
  intermodal bench up.a up.b --svg compared.svg
"""


class LoadLevels(click.ParamType[tuple[int, ...]]):
    """Parse a list of numbers such as 1,4,16."""

    name = "counts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        words = [word.strip() for word in str(value).split(",")]
        if not all(word.isascii() and word.isdigit() and 1 <= int(word) <= 256 for word in words):
            self.fail(f"{value!r} is not a list of numbers from 1 to 256; write 1,4,16", param, ctx)
        return tuple(sorted({int(word) for word in words}))


@click.command(epilog=EPILOG)
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option("--concurrency", type=LoadLevels(), default="1,4,16", metavar="LIST",
              help="Numbers of simultaneous requests, each measured on its own.  [default: 1,4,16]")  # fmt: skip
@click.option("--prompt", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Send this text instead of the built-in prompt.")  # fmt: skip
@click.option("--media", multiple=True, metavar="FILE", help="A file or URL to send with the prompt; repeatable.")
@click.option("--requests", type=click.IntRange(1, 10_000), metavar="N",
              help="Requests per level (default: 8, or twice the concurrency).")  # fmt: skip
@click.option("--tokens", type=click.IntRange(1, 8192), default=64, show_default=True, metavar="N",
              help="Maximum tokens of an answer.")  # fmt: skip
@click.option("--max-cost", type=money, default="0.10", show_default=True, metavar="USD",
              help="Limit on the total cost; nothing is sent beyond it.")  # fmt: skip
@click.option(
    "--host", "hosts", multiple=True, metavar="NAME", help="Consent to this host for this one run; repeatable."
)
@svg_option("Draw the results")
@click.option("-q", "--quiet", is_flag=True, help="Only the table: no progress.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def bench(**options: Any) -> int | None:
    """Measure NAME, endpoints, models or hosts, on your own request, side by side: seconds to the first word, tokens
    a second, throughput under load, errors, memory, money per million tokens.

    Everything is warmed up first. Plans use the speeds measured with one request at a time. Hosted endpoints are
    called only with consent and within --max-cost, which is checked before anything is sent.
    """  # fmt: skip
    from intermodal.cli.arguments.files import OutputFile, check_output_files, check_standard_output
    from intermodal.client.async_client import AsyncClient
    from intermodal.concurrency.sync_bridge import SyncBridge
    from intermodal.evaluation.bench import Bench

    picture_file = options["svg_file"]
    check_standard_output(picture_file, as_json=options["as_json"])
    check_output_files(
        [OutputFile("--svg", picture_file, "svg")], [each for each in options["media"] if "://" not in each]
    )
    client, bridge = AsyncClient(), SyncBridge()
    try:
        benchmark = Bench(
            client=client, settings=_settings(options, client), resident=lambda each: resident(each, client)
        )
        bridge.run(benchmark.plan)
        _measure(benchmark, bridge, quiet=options["quiet"] or options["as_json"])
    finally:
        bridge.close(client.aclose)
    if picture_file:
        from intermodal.charts.bench import bar_chart
        from intermodal.cli.arguments.files import write_picture

        write_picture(picture_file, bar_chart(benchmark.levels), quiet=options["as_json"])
    if options["as_json"]:
        from intermodal.cli.rendering.json_document import print_document

        print_document("bench", document(benchmark))
    elif picture_file != "-":
        _show(benchmark)
    return 5 if benchmark.left and not any(level.first.count for level in benchmark.levels) else None


def _settings(options: dict[str, Any], client: Any) -> Any:
    from intermodal.errors import InputBroken, InputEmpty
    from intermodal.evaluation.bench import PROMPT, BenchSettings

    prompt = PROMPT
    if options["prompt"]:
        try:
            prompt = Path(options["prompt"]).read_text("utf-8")
        except UnicodeDecodeError:
            raise InputBroken("is not text in UTF-8", where=options["prompt"], todo="name a text file") from None
        if not prompt.strip():
            raise InputEmpty("holds no text", where=options["prompt"], todo="name a text file that does")
    common = {"hosts": checked_hosts(options["hosts"], client.config)}
    return BenchSettings(
        names=tuple(dict.fromkeys(options["names"])), prompt=prompt, files=options["media"],
        concurrency=options["concurrency"], requests=options["requests"] or 0, tokens=options["tokens"],
        most=options["max_cost"], common=common,
    )  # fmt: skip


def _measure(bench_run: Bench, bridge: SyncBridge, *, quiet: bool) -> None:
    from intermodal.cli.rendering.progress import ProgressBar
    from intermodal.cli.rendering.tables import money as dollars

    if not quiet:
        bound = f", at most {dollars(bench_run.cost_bound)}" if bench_run.cost_bound else ", free of charge"
        endpoints = "1 endpoint" if len(bench_run.subjects) == 1 else f"{len(bench_run.subjects)} endpoints"
        click.echo(f"{endpoints}, {bench_run.total} requests{bound}", err=True)
    finished, failed = 0, 0
    with ProgressBar("Measuring", quiet=quiet, at_once=True) as bar:

        def report(sample: BenchSample) -> None:
            nonlocal finished, failed
            finished, failed = finished + 1, failed + bool(sample.error)
            bar(finished, bench_run.total, f"{failed} failed" if failed else "")

        bridge.run(bench_run.run, report)


def resident(endpoint: Endpoint, client: Any) -> int | None:
    """Return the resident bytes of the process that serves an endpoint; None if it is elsewhere or unknown."""
    import os

    from intermodal.cli.up import resident_of
    from intermodal.local.servers.lifecycle import all_servers
    from intermodal.local.servers.server_rows import endpoint_id
    from intermodal.local.servers.server_status import listening_process, resident_memory
    from intermodal.plans.cpu_schedule import LOCAL_ZONES

    if endpoint.host.zone not in LOCAL_ZONES:
        return None
    for server in all_servers(os.environ):
        if endpoint_id(server) == endpoint.id and server.phase == "ready":
            return resident_of(server) or None
    if endpoint.host.zone == "process":
        runtimes = client._runtimes
        found: int | None = runtimes.peak_memory(endpoint.id) if runtimes is not None else None
        return found
    pid = listening_process(endpoint.host.base_url)
    return resident_memory(pid) or None if pid else None


# ---- showing -----------------------------------------------------------------------------------------


def _show(bench_run: Bench) -> None:
    from intermodal.cli.rendering.tables import echo_table, memory_size

    head = (
        "endpoint", "parallel", "first word", "tokens/s each", "tokens/s all", "requests", "errors", "memory",
        "$ a Mtok in, out",
    )  # fmt: skip
    rows = []
    for subject in bench_run.subjects:
        for level in (each for each in bench_run.levels if each.endpoint == subject.endpoint):
            rows.append(
                (
                    subject.endpoint, str(level.concurrency),
                    _spread_text(level.first, 3, " s"), _spread_text(level.decode, 1),
                    "unknown" if level.throughput is None else f"{level.throughput:.1f}", str(level.requests),
                    _errors(level),
                    memory_size(level.memory) if level.memory else "-", _price(subject),
                )
            )  # fmt: skip
    if rows:
        echo_table(head, rows)
    for subject in bench_run.subjects:
        if " -> " in subject.route:
            click.echo(f"{subject.endpoint}: is given what other steps make of the files: {subject.route}")
    for name, why in bench_run.left.items():
        click.echo(f"{name}: left out, {why}")
    click.echo("median (10th to 90th percentile); plans now use the figures of one request at a time")


def _spread_text(spread: Percentiles, digits: int, unit: str = "") -> str:
    if spread.median is None or spread.low is None or spread.high is None:
        return "-"
    return f"{spread.median:.{digits}f}{unit} ({spread.low:.{digits}f}..{spread.high:.{digits}f})"


def _errors(level: LoadLevel) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(level.errors.items())) or "0"


def _price(subject: BenchEndpoint) -> str:
    if subject.own and not subject.input_mtok and not subject.output_mtok:
        return "own hardware"
    if subject.input_mtok is None or subject.output_mtok is None:
        return "unknown"
    return f"${subject.input_mtok:g}, ${subject.output_mtok:g}"


def document(bench_run: Bench) -> dict[str, Any]:
    from intermodal.cli.rendering.json_document import plain_data

    return {
        "endpoints": [plain_data(each) for each in bench_run.subjects],
        "levels": [plain_data(each) for each in bench_run.levels],
        "left_out": bench_run.left,
        "tokens": bench_run.settings.tokens,
        "bound": bench_run.cost_bound,
    }


__all__ = ["bench", "document"]
