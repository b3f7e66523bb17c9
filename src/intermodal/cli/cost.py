"""``intermodal cost``: the monthly cost of a workload, by modality and by step, for several plans side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intermodal.cli.arguments.report_options import html_option, svg_option

if TYPE_CHECKING:
    from intermodal.core.quantity import Quantity
    from intermodal.workloads.monthly_cost import MonthlyCost, PlanBill

EPILOG = """\b
Examples
  intermodal cost calls.yaml
  intermodal cost calls.yaml --svg calls.svg --html calls.html
  intermodal cost calls.toml --json
"""


@click.command(epilog=EPILOG)
@click.argument("workload", type=click.Path())
@svg_option("A chart of the bills")
@html_option("Tables and chart as one page")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def cost(workload: str, svg_file: str | None, html_file: str | None, as_json: bool) -> None:
    """Compute what a WORKLOAD costs a month: one kind of request, its rate, and plans to compare.

    The file is YAML, TOML or JSON. Plans are made as by explain, over real files or hypothetical parts. Nothing is
    spent and no model is contacted. Ranges stay ranges, and a missing price is unknown.
    """
    import os

    import anyio

    from intermodal.cli.arguments.files import OutputFile, check_output_files, check_standard_output
    from intermodal.client.async_client import AsyncClient
    from intermodal.config.config_file import load_config
    from intermodal.workloads.monthly_cost import monthly_cost, text
    from intermodal.workloads.workload import read_workload

    found = read_workload(Path(workload), load_config(os.environ), os.environ)
    check_standard_output(svg_file, as_json=as_json)
    inputs = [workload, *(part.file for part in found.parts if part.file)]
    check_output_files([OutputFile("--svg", svg_file, "svg"), OutputFile("--html", html_file, "html")], inputs)

    async def compute() -> MonthlyCost:
        async with AsyncClient() as client:
            return await monthly_cost(found, client)

    costs = anyio.run(compute)
    _write_charts(costs, svg_file, html_file, quiet=as_json)
    if as_json:
        from intermodal.cli.rendering.json_document import print_document

        print_document("cost", document(costs))
    elif svg_file != "-":
        click.echo(text(costs))


def _write_charts(monthly_bill: MonthlyCost, svg_file: str | None, html_file: str | None, *, quiet: bool) -> None:
    from intermodal.cli.arguments.files import write_picture

    if svg_file:
        from intermodal.workloads.monthly_cost import svg

        write_picture(svg_file, svg(monthly_bill), quiet=quiet)
    if html_file:
        from intermodal.charts.html import monthly_cost_page

        write_picture(html_file, monthly_cost_page(monthly_bill), quiet=quiet)


# ---- as JSON ---------------------------------------------------------------------------------------


def document(monthly_bill: MonthlyCost) -> dict[str, Any]:
    """Return the cost as a document. Amounts are ``{low, mid, high}``, null if unknown."""
    return {
        "workload": monthly_bill.name,
        "requests": monthly_bill.requests,
        "as_of": monthly_bill.day,
        "assumed": list(monthly_bill.assumed),
        "plans": [_plan(plan) for plan in monthly_bill.plans],
    }


def _plan(plan: PlanBill) -> dict[str, Any]:
    if plan.refused:
        return {"name": plan.name, "refused": plan.refused, "reasons": list(plan.reasons), "usd": None, "total": None}
    return {
        "name": plan.name,
        "endpoint": plan.endpoint,
        "route": plan.summary,
        "usd": {name: _levels(usd) for name, usd in plan.usd.items()},
        "total": _levels(plan.total),
        "tokens_in": _levels(plan.tokens_in),
        "tokens_out": _levels(plan.tokens_out),
        "hours_here": _levels(plan.hours),
        "seconds_a_request": _levels(plan.seconds),
        "steps": [
            {
                "op": step.op, "what": step.what, "endpoint": step.endpoint or None, "modality": step.modality or None,
                "usd": _levels(step.usd), "tokens_in": _levels(step.tokens_in), "tokens_out": _levels(step.tokens_out),
                "hours_here": _levels(step.hours),
            }
            for step in plan.steps
        ],
        "loses": list(plan.lost),
        "warnings": list(plan.warnings),
        "notes": list(plan.notes),
        "refused": None,
    }  # fmt: skip


def _levels(quantity: Quantity) -> dict[str, float] | None:
    if not quantity.known:
        return None
    return {"low": round(quantity.low, 6), "mid": round(quantity.mid, 6), "high": round(quantity.high, 6)}
