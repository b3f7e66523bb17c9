"""``intermodal prompt test``: the examples of a prompt file, run and checked, over one route or several at once."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from intermodal.cli.eval import OVER_BUDGET, evaluation_of, run_options, said_options
from intermodal.cli.eval import run as run_evaluation
from intermodal.cli.eval import show as show_report

EPILOG = """\b
Examples
  intermodal prompt test summary.prompt.yml
  intermodal prompt test summary.prompt.yml --most-routes 4 --html summary.html
  intermodal prompt test summary.prompt.yml --routes gpt-5-mini,qwen3-4b --host openai
"""
_SMOKE = "no answer to compare with: it passes when one comes, of the schema where there is one"
FAILED = 14  # exit code: no route passed all tests


@click.command(epilog=EPILOG)
@click.argument("file")
@run_options(1)
@click.option("-q", "--quiet", is_flag=True, help="Only the report: no progress, no notes.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def test(file: str, **given: Any) -> int:
    """Run the test data of FILE and check the answers: passed, tokens, money and seconds, over the file's own model or
    what plans take in its place; with --most-routes or --routes over several, side by side.

    Finished runs are kept: interrupted, the same command goes on. Exit code 14 where no route passes all. What it
    measures becomes the strength that plans go by, as with `intermodal eval`. The sample of a Prompty file passes when
    an answer comes, and is no measure.
    """
    from intermodal.client import AsyncClient
    from intermodal.concurrency.sync_bridge import SyncBridge
    from intermodal.evaluation.prompt_examples import example_dataset, example_requests

    client, bridge = AsyncClient(), SyncBridge()
    try:
        prompt = client.prompt(file, **said_options(client.config, given))
        data, examples = example_dataset(prompt.file)
        if not (given["quiet"] or given["as_json"]):
            for each in prompt.file.findings:
                click.echo(f"{file}:{each.line}: {each.what}", err=True)
            for example in examples.values():
                if example.smoke:
                    click.echo(f"{file}:{example.line}: {_SMOKE}", err=True)
        one_route = given["most_routes"] == 1 and not given["routes"]
        requests = bridge.run(partial(example_requests, prompt, examples, one_route=one_route))
        report = run_evaluation(evaluation_of(client, data, given, requests), bridge, given)
    finally:
        bridge.close(client.aclose)
    show_report(report, given)
    if report.stopped:
        return OVER_BUDGET
    return 0 if any(row.right == report.items for row in report.routes) else FAILED
