"""Rejections for people: hosts without consent in one line, models that were not pulled in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from intermodal.hints import action, consent_to, hint
from intermodal.plans.plan import Rejected

LISTED = 4  # endpoints a folded line names
_PULL = ": intermodal pull "
Words = tuple[str, bool]  # a reason, and whether it names all there is to name, so that no endpoints need follow


def fold_rejections(rows: Iterable[Rejected]) -> tuple[Rejected, ...]:
    """The same rejections, those of a rule that has many reasons of one kind as one row where the first stood."""
    ordered = list(rows)
    found: list[Rejected] = []
    done: set[str] = set()
    for row in ordered:
        words = _FOLDED.get(row.rule)
        alike = [each for each in ordered if each.rule == row.rule]
        if words is None or len(alike) == 1:
            found.append(row)
        elif row.rule not in done:
            done.add(row.rule)
            names = [name for each in alike for name in each.endpoints]
            reason, named = words(alike)
            found.append(
                Rejected(
                    rule=row.rule,
                    reason=reason,
                    count=sum(each.count for each in alike),
                    endpoints=() if named else tuple(names[:LISTED]),
                )
            )
    return tuple(found)


def _consent(rows: list[Rejected]) -> Words:
    hosts = sorted({name.partition(":")[0] for row in rows for name in row.endpoints})
    more = sum(row.hosts for row in rows)
    named = f"{', '.join(hosts)} and {more} more" if more else ", ".join(hosts)
    return hint("no consent for hosts {}: {}", named, consent_to()), True


def _not_ready(rows: list[Rejected]) -> Words:
    pulls = [str(row.reason).partition(_PULL) for row in rows]
    if not all(pull for _, pull, _ in pulls):
        return hint(
            "{}; others lack something else ({})",
            rows[0].reason,
            action("intermodal models NAME", http="see /v1/models"),
        ), False
    names = list(dict.fromkeys(name for _, _, name in pulls))
    return f"weights not here{_PULL}{' '.join(names[:LISTED])}{' …' if len(names) > LISTED else ''}", True


_FOLDED: dict[str, Callable[[list[Rejected]], Words]] = {"consent": _consent, "not_ready": _not_ready}
