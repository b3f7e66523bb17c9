"""The HTML page of a monthly bill, self-contained, light and dark."""

from __future__ import annotations

from html import escape

from intermodal._version import __version__
from intermodal.charts.html import document, table
from intermodal.plans.svg import clean
from intermodal.workloads import cost_tables as tables
from intermodal.workloads.bills import MonthlyCost
from intermodal.workloads.cost_chart import svg
from intermodal.workloads.cost_tables import Table


def page(made: MonthlyCost) -> str:
    """The whole page."""
    said = "".join(f"<li>{_safe(line.strip().removeprefix('- '))}</li>" for line in tables.sentences(made, notes=True))
    body = (
        f'<p class="dim">{_safe(tables.headline(made))}; intermodal {_safe(__version__)}</p>\n{svg(made)}\n'
        f"<h2>By kind of part</h2>\n{_table(tables.by_modality(made))}\n"
        f"<h2>What it takes</h2>\n{_table(tables.plan_requirements(made))}\n"
        f"<h2>By step</h2>\n{_table(tables.by_step(made))}\n"
        f"<h2>What to know</h2>\n<ul>{said}</ul>"
    )
    return document(f"{clean(made.name)}: a month", body)


def _table(table_: Table) -> str:
    head, rows = table_
    return table(head, rows, "")


def _safe(text: str) -> str:
    return escape(clean(text))
