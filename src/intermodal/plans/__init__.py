"""Plans as values, and what shows them: EXPLAIN text, pictures, timelines. Nothing here does I/O.

- values: ``plan``, ``step``, ``facts``, ``machine``, ``statistics``, ``verdict``, ``rejections``
- text: ``explain``, ``explain_lines``, ``analyze``, ``timeline_text``, ``text_table``, ``numbers``,
  ``wording_by_surface``
- pictures: ``plan_svg``, ``plan_graph``, ``graph_layout``, ``timeline_svg``, ``timeline``, ``cpu_schedule``, ``svg``,
  ``answer_html``; ``display`` is how a plan finds them
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from intermodal.plans.display import RENDERERS

if TYPE_CHECKING:
    from intermodal.plans.plan import Plan


def _text(plan: Plan) -> str:
    from intermodal.plans.explain import explain

    return explain(plan)


def _svg(plan: Plan, name: str) -> str:
    from intermodal.plans.plan_svg import svg

    return svg(plan, name)


RENDERERS["text"], RENDERERS["svg"] = _text, _svg
