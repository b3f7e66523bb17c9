"""``intermodal explain``: print the plan of a request without running it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intermodal.cli.arguments.report_options import svg_option
from intermodal.cli.arguments.request_options import build_request, request_files, request_options, stated_options
from intermodal.errors import NoRoute, UsageError

if TYPE_CHECKING:
    from intermodal.plans.plan import Inputs, Plan

EPILOG = """\b
Examples
  intermodal explain "What does the caller want?" call.wav
  intermodal explain "Total?" invoice.png --all
  intermodal explain "Total?" invoice.png --why-not gpt-4o
  intermodal explain "Total?" invoice.png --svg plan.svg
  intermodal explain "Summarise" report.pdf --save plan.json
  intermodal ask --plan plan.json
"""


@click.command(epilog=EPILOG)
@request_options
@click.option(
    "--all",
    "show_all",
    is_flag=True,
    help="The Pareto frontier: every route that nothing beats on all of money, time, strength and loss.",
)
@click.option(
    "--why-not", "why_not_name", default="", metavar="NAME", help="Why this model or endpoint was not chosen."
)
@click.option(
    "--save",
    type=click.Path(dir_okay=False),
    default=None,
    metavar="FILE",
    help="Save the plan, for `intermodal ask --plan FILE`.",
)
@click.option(
    "--inputs",
    "inputs_file",
    type=click.Path(dir_okay=False),
    default=None,
    metavar="FILE",
    help="Save what the planner read; without a prompt: plan again from a saved FILE.",
)
@svg_option("Draw the plan as an SVG picture")
def explain(**options: Any) -> None:
    """Show how a request would be answered: routes, numbers, losses, rejections, and what leaves the machine.

    Spends nothing and contacts no model.
    """  # fmt: skip
    from intermodal.cli.arguments.files import (
        OutputFile,
        check_output_files,
        check_standard_output,
        write_picture,
    )
    from intermodal.cli.rendering.json_document import print_document
    from intermodal.client.async_client import frontier, not_chosen_reasons, plan_from
    from intermodal.plans.explain import explain as as_text
    from intermodal.plans.explain import explain_all

    if options["why_not_name"] and (options["show_all"] or options["save"] or options["svg_file"]):
        other = "--all" if options["show_all"] else "--save" if options["save"] else "--svg"
        raise UsageError(f"--why-not answers one question, {other} is about the plan", todo="ask for one of them")
    picture = options["svg_file"]
    check_standard_output(picture, as_json=options["as_json"])
    targets = (OutputFile("--save", options["save"], "plan"), OutputFile("--svg", picture, "svg"))
    check_output_files(targets, [*request_files(options), *filter(None, (options["inputs_file"],))])
    inputs = _inputs(options)
    if options["why_not_name"]:
        reason = not_chosen_reasons(inputs, options["why_not_name"])
        if options["as_json"]:
            print_document("why_not", {"name": options["why_not_name"], "reason": reason})
        else:
            click.echo(reason)
        return
    try:
        plan = plan_from(inputs)
    except NoRoute as error:
        _add_what_if(inputs, error)
        raise
    if options["save"]:
        _save_plan(Path(options["save"]), plan, inputs)
        click.echo(f"saved {options['save']}; run it with: intermodal ask --plan {options['save']}", err=True)
    if picture:
        write_picture(picture, plan.svg())
    if picture == "-":
        return
    routes = frontier(inputs) if options["show_all"] else ()
    text = explain_all(plan, routes) if options["show_all"] else as_text(plan)
    if options["as_json"]:
        print_document("explain", {"plan": plan, "text": text, **({"frontier": routes} if routes else {})})
    else:
        click.echo(text)


def _inputs(options: dict[str, Any]) -> Inputs:
    """Return the inputs of the planner: gathered now (and saved), or read from a file."""
    from intermodal.cli.arguments.files import load_json, write_json
    from intermodal.client.sync_client import Client
    from intermodal.plans.plan import INPUTS_VERSION, Inputs

    file = Path(options["inputs_file"]) if options["inputs_file"] else None
    has_request = bool(options["prompt"] or options["files"])
    if file is not None and not has_request:
        for option in stated_options(
            but=("inputs_file", "as_json", "show_all", "why_not_name", "save", "svg_file", "prompt", "files")
        ):
            raise UsageError(
                f"{option} cannot change saved inputs",
                where="--inputs",
                todo="leave it out, or ask again with a prompt",
            )
        todo = "save it first: intermodal explain PROMPT FILES --inputs FILE"
        inputs = load_json(file, Inputs, INPUTS_VERSION, what="the planner's inputs", todo=todo)
        assert isinstance(inputs, Inputs)
        return inputs
    if file is not None and file.exists():
        raise UsageError(
            "is there already", where=str(file), todo="name a new file, or leave the prompt out to plan from this one"
        )
    with Client() as client:
        request = build_request(options, client.asynchronous.config)
        inputs = client.prepare(request, also=(options["why_not_name"],), planning=True).inputs
    if file is not None:
        write_json(file, inputs)
        click.echo(f"saved {file}; plan from it with: intermodal explain --inputs {file}", err=True)
    return inputs


def _add_what_if(inputs: Inputs, error: NoRoute) -> None:
    """Add to the error the routes that consent, a key or weights would make possible."""
    from intermodal.advisor.what_if import what_if_routes
    from intermodal.config.config_file import load_config, snapshot_file
    from intermodal.plans.numbers import money, seconds

    config = load_config(os.environ)
    routes = what_if_routes(
        inputs, user=config.hosts, hosts=config.trusted_hosts, own_snapshot=snapshot_file(os.environ)
    )
    error.details = {"what_if": routes}
    lines = ["\nIf every model of the catalog could be used (its prices; no service was contacted):"] if routes else []
    for route in routes:
        lines += [f"\n{route.headline}", f"  {route.endpoint}   {money(route.cost)}, {seconds(route.seconds)}"]
        lines += [f"  to use it: {command}" for command in route.todo]
    error.supplement = "\n".join(lines)


def _save_plan(path: Path, plan: Plan, inputs: Inputs) -> None:
    from intermodal.cli.arguments.files import with_absolute_paths, write_json
    from intermodal.plans.plan import SavedPlan

    write_json(path, SavedPlan(plan=plan, request=with_absolute_paths(inputs.original), facts=inputs.facts))
