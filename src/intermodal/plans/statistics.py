"""The actual costs of earlier runs, as the planner reads them. Filled from the store."""

from __future__ import annotations

from msgspec import field

from intermodal.content import Value
from intermodal.quantity import Quantity


class Statistics(Value):
    """``rows`` is keyed ``endpoint|figure``: figures are those of ``catalog.types.Speed`` by name,
    and ``tokens_per_second_of_speech``, ``tokens_per_megapixel``, lengths of answers (``cost_model/answer_length.py``),
    ``reasoning_tokens``, and how a server counts what goes in (``cost_model/token_calibration.py``).
    ``epoch`` counts the refreshes; plans name it."""

    epoch: int = 0
    rows: dict[str, Quantity] = field(default_factory=dict)

    def get(self, endpoint: str, figure: str) -> Quantity | None:
        return self.rows.get(f"{endpoint}|{figure}")


NO_STATISTICS = Statistics()  # of a machine that ran nothing yet
