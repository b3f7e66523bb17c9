"""``Answer``: what ``ask`` returns, with the result and the plan behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from intermodal.events import FieldEvidence, Result, Usage
from intermodal.plans.plan import Plan

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The result of ``ask``: the text, the typed value with its evidence (with a schema), and its origin."""

    value: T
    result: Result
    plan: Plan

    @property
    def text(self) -> str:
        return self.result.text

    @property
    def cost(self) -> float | None:
        """USD; None if unknown."""
        return self.result.cost

    @property
    def seconds(self) -> float:
        """Wall time of the whole run."""
        return self.result.seconds

    @property
    def usage(self) -> Usage:
        """Tokens of all calls, as the endpoints reported them."""
        return self.result.usage

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the answer: a loss, a finding of a check, a changed route."""
        return self.result.notes

    @property
    def evidence(self) -> tuple[FieldEvidence, ...]:
        """Where each value of a JSON answer stands in the files it was made from; () without a schema or a file."""
        return self.result.evidence

    def __str__(self) -> str:
        return self.result.text

    def _repr_html_(self) -> str:
        """Return an answer for a notebook: text, pictures and sound, its cost, and the plan below it."""
        from intermodal.plans.answer_html import answer_html

        return answer_html(self.result, self.plan)
