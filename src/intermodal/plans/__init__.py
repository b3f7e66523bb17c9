"""Plans as values, and their renderings: EXPLAIN text, SVG pictures, timelines. Nothing here does I/O.

- values: ``plan``, ``step``, ``facts``, ``file_properties``, ``machine``, ``statistics``, ``verdict``
- text: ``explain``, ``analyze``, ``timeline``, ``numbers``
- pictures: ``plan_svg``, ``plan_graph``, ``timeline_svg``, ``cpu_schedule``, ``svg``
- ``display``: the registry through which a plan calls its renderers
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
    from intermodal.plans.plan_svg import plan_svg

    return plan_svg(plan, name)


RENDERERS["text"], RENDERERS["svg"] = _text, _svg
