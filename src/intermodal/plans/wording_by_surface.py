"""The sentences of a plan in the words of a surface: command line, Python or HTTP.

The planner writes them as hints (``hints.py``), whose settings each surface names differently; a plan has plain text.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from intermodal.hints import Hint, Surface, words
from intermodal.plans.plan import Candidate, Outranked, Plan, Rejected
from intermodal.plans.verdict import Other, Verdict

_Row = TypeVar("_Row", Outranked, Rejected)


def for_surface(plan: Plan, surface: Surface) -> Plan:
    """Return the plan with every sentence as plain text, in the words of a surface."""
    return replace(
        plan,
        headline=words(plan.headline, surface),
        verdict=_verdict(plan.verdict, surface),
        chosen=_candidate(plan.chosen, surface),
        fallbacks=tuple(_candidate(each, surface) for each in plan.fallbacks),
        outranked=tuple(_reasoned(each, surface) for each in plan.outranked),
        rejected=tuple(_reasoned(each, surface) for each in plan.rejected),
        notes=tuple(words(each, surface) for each in plan.notes),
    )


def _reasoned(row: _Row, surface: Surface) -> _Row:
    return replace(row, reason=words(row.reason, surface)) if isinstance(row.reason, Hint) else row


def _candidate(made: Candidate, surface: Surface) -> Candidate:
    if not any(isinstance(each, Hint) for each in made.warnings):
        return made
    return replace(made, warnings=tuple(words(each, surface) for each in made.warnings))


def _verdict(made: Verdict, surface: Surface) -> Verdict:
    phrased = {
        name: replace(other, kept_out=words(other.kept_out, surface))
        for name in made.__struct_fields__
        if isinstance(other := getattr(made, name), Other) and isinstance(other.kept_out, Hint)
    }
    return replace(made, **phrased) if phrased else made
