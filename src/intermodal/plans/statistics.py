"""Statistics of earlier runs, as read by the planner. ``store/learned_figures.py`` computes them."""

from __future__ import annotations

from msgspec import field

from intermodal.core.content import Value
from intermodal.core.quantity import Quantity


class Statistics(Value):
    """Figures learned from earlier runs.

    Attributes:
        epoch: number of refreshes so far; recorded in plans.
        rows: quantities by ``endpoint|figure``. Figures are the fields of ``catalog.types.Speed``,
            ``tokens_per_second_of_speech``, ``tokens_per_megapixel``, ``reasoning_tokens``, lengths of answers
            (``cost_model/answer_length.py``), and corrections of token counts (``cost_model/token_calibration.py``).
    """

    epoch: int = 0
    rows: dict[str, Quantity] = field(default_factory=dict)

    def get(self, endpoint: str, figure: str) -> Quantity | None:
        return self.rows.get(f"{endpoint}|{figure}")


NO_STATISTICS = Statistics()  # for a machine without earlier runs
