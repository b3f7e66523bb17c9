"""``intermodal explain``: the plan, and nothing but the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from intermodal.cli.options import build_request, request_options

EPILOG = """\b
Examples
  intermodal explain "What does the caller want?" call.wav
  intermodal explain "Total?" invoice.png --all
  intermodal explain "Total?" invoice.png --why-not gpt-4o
  intermodal explain "Summarise" report.pdf --save plan.json
  intermodal ask --plan plan.json
"""


@click.command(epilog=EPILOG)
@request_options
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help="The Pareto frontier: every route that nothing beats on all of money, time and strength.",
)
@click.option(
    "--why-not", "why_not_name", default="", metavar="NAME", help="Why this model or endpoint was not chosen."
)
@click.option(
    "--save", type=click.Path(), default=None, metavar="FILE", help="Save the plan, for `intermodal ask --plan FILE`."
)
@click.option(
    "--inputs",
    "inputs_file",
    type=click.Path(),
    default=None,
    metavar="FILE",
    help="Save what the planner read; without a prompt: plan again from a saved FILE.",
)
def explain(**given: Any) -> None:
    """Show how a request would be answered: routes, numbers, what is lost, what was rejected and why, what leaves the machine.

    Spends nothing and contacts no model.
    """
    from intermodal.cli.document import print_document
    from intermodal.client import Client, why_not
    from intermodal.planner import plan as make_plan
    from intermodal.plans.explain import explain as as_text
    from intermodal.plans.explain import explain_all
    from intermodal.plans.plan import SavedPlan

    replay = given["inputs_file"] and not given["prompt"] and not given["files"]
    if replay:
        inputs = _load_inputs(Path(given["inputs_file"]))
    else:
        with Client() as client:
            inputs = client.prepare(build_request(given)).inputs
        if given["inputs_file"]:
            _save(Path(given["inputs_file"]), inputs)
    if given["why_not_name"]:
        reason = why_not(inputs, given["why_not_name"])
        if given["as_json"]:
            print_document("why_not", {"name": given["why_not_name"], "reason": reason})
        else:
            click.echo(reason)
        return
    plan = make_plan(
        inputs.request, inputs.facts, inputs.catalog, inputs.machine, inputs.statistics, inputs.as_of
    )  # fmt: skip
    if given["save"]:
        _save(Path(given["save"]), SavedPlan(plan=plan, request=inputs.request, facts=inputs.facts))
        click.echo(f"saved {given['save']}; run it with: intermodal ask --plan {given['save']}", err=True)
    if given["as_json"]:
        print_document("plan", plan)
    else:
        click.echo(explain_all(plan) if given["show_all"] else as_text(plan))


def _load_inputs(path: Path) -> Any:
    import msgspec

    from intermodal.errors import InputBroken, InputMissing
    from intermodal.plans.plan import INPUTS_VERSION, Inputs

    try:
        inputs = msgspec.json.decode(path.read_bytes(), type=Inputs)
    except OSError as error:
        raise InputMissing(
            f"cannot be read ({error.strerror})",
            where=str(path),
            todo="save it first: intermodal explain PROMPT FILES --inputs FILE",
        ) from None
    except msgspec.DecodeError as error:
        raise InputBroken(
            f"does not hold planner inputs ({error})", where=str(path), todo="save it again with explain --inputs"
        ) from None
    if inputs.version != INPUTS_VERSION:
        raise InputBroken(
            f"holds planner inputs of version {inputs.version}, this is version {INPUTS_VERSION}",
            where=str(path),
            todo="save it again",
        )
    return inputs


def _save(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of one."""
    import msgspec

    from intermodal.cli.files import write_atomically

    write_atomically(path, msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n")
