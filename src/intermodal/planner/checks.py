"""What is looked at on the way, and what an escalation would take: a condition with a price, in the plan beforehand.

A transcript that is empty, loops, is doubted or is in another language is heard again by a stronger ear; text that is
hardly legible is read by a stronger reader or described by an eye; text longer than planned for makes the plan be made
again. Where nothing better is reachable, what is wrong is said.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from intermodal.catalog.types import Endpoint
from intermodal.costing.levels import HIGH, quantity
from intermodal.planner import pieces
from intermodal.planner.again import may_follow
from intermodal.planner.assignment import Assignment
from intermodal.planner.bundles import Bundle
from intermodal.planner.case import Case
from intermodal.planner.step_ids import step_id
from intermodal.planner.way import Conversions, Piece, Way
from intermodal.planner.ways import may
from intermodal.plans.facts import Outcome, PartFacts
from intermodal.plans.step import Call, Check, CheckOp, Estimate, Step

_CHECKS: dict[str, CheckOp] = {"transcribe": "transcript", "read": "reading"}
_WHAT: dict[str, str] = {"transcribe": "transcript", "read": "reading"}
_IF: dict[str, str] = {
    "empty": "if it is empty, loops, is doubted or is in another language",
    "language": "if it is in another language",
    "confidence": "if it is doubted",
}
_DOES: dict[str, str] = {"transcribe": "hears", "read": "reads", "describe": "describes"}
TOLD = "problems are reported"
NOTHING_BETTER = f"{TOLD}, but no better model is available"
NOWHERE = "if one stands in none of the files"
SIZE = "if it is more than planned for, the plan is made again"


class _Watched(Struct):
    """Conversions of one kind by one endpoint, with the price of doing them better."""

    titles: list[str]
    note: str
    cost: float
    seconds: float


def checks_of(case: Case, conversions: Conversions, assignment: Assignment, steps: Iterable[Step]) -> tuple[Check, ...]:
    """One check for all conversions of a kind by an endpoint, and one for the size of everything that was made."""
    found: dict[tuple[str, str], _Watched] = {}
    for bundle, way in zip(case.bundles, assignment.ways, strict=True):
        for piece in way.passages[0].pieces:
            if piece.endpoint is not None and piece.op in _CHECKS:
                _watch(case, conversions, bundle, way, piece, piece.endpoint, found)
    by_maker: dict[tuple[str, str], list[str]] = {}
    sized: list[str] = []
    for step in steps:
        if isinstance(step, Call):
            by_maker.setdefault((step.op, step.endpoint), []).append(f"step:{step.id}")
            sized.append(f"step:{step.id}")
    made: list[Check] = []
    for (op, endpoint), watched in found.items():
        inputs = tuple(by_maker.get((op, endpoint), ()))
        name = (
            watched.titles[0] if len(watched.titles) == 1 else f"{watched.titles[0]} and {len(watched.titles) - 1} more"
        )
        made.append(
            Check(
                id=step_id(_CHECKS[op], "", (), inputs), op=_CHECKS[op], inputs=inputs, title=f"{_WHAT[op]} of {name}",
                note=watched.note, estimate=_only_if_wrong(watched.cost, watched.seconds),
            )
        )  # fmt: skip
    if sized:
        inputs = tuple(sized)
        made.append(
            Check(id=step_id("size", "", (), inputs), op="size", inputs=inputs, title="size of what is made", note=SIZE)
        )
    return tuple(made)


def check_of_transcript(case: Case, last: Call, ear: Endpoint, others: list[Endpoint]) -> Check:
    """A transcript that is itself the answer: heard again by a better ear, where one of those who may answer is."""
    bundle, inputs = case.bundles[0], (f"step:{last.id}",)
    part = bundle.parts[0]
    follower = _follower(case, {"transcribe": others}, bundle, "transcribe", ear)
    cost = seconds = 0.0
    note = TOLD
    if follower is not None:
        _, problem, better = follower
        note = f"{_IF[problem]}, {better.id} {_DOES['transcribe']} it"
        again = pieces.hear(case, part, better, case.rates(better))
        cold = case.rates(better).load[HIGH] if better.id not in case.loaded else 0.0
        cost, seconds = again.cost[HIGH], again.seconds[HIGH] + cold
    return Check(
        id=step_id("transcript", "", (), inputs), op="transcript", inputs=inputs, title=f"transcript of {part.name}",
        note=note, estimate=_only_if_wrong(cost, seconds),
    )  # fmt: skip


def check_of_evidence(last: Call, cost: float, seconds: float, *, shared: bool) -> Check:
    """The values of a JSON answer against the text that it is made from.

    ``cost`` and ``seconds`` of asking once more, 0 where that is not done. ``shared``: the one repair of the answer is
    there for this where it was not needed.
    """
    inputs = (f"step:{last.id}",)
    note = f"{NOWHERE}, it is asked again once" if shared or seconds else f"{NOWHERE}, that is said"
    return Check(
        id=step_id("evidence", "", (), inputs), op="evidence", inputs=inputs, title="values of the answer", note=note,
        estimate=_only_if_wrong(cost, seconds) if seconds else Estimate(),
    )  # fmt: skip


def _only_if_wrong(cost: float, seconds: float) -> Estimate:
    return Estimate(
        cost=quantity((0.0, 0.0, cost), "only if it is wrong", 8),
        seconds=quantity((0.0, 0.0, seconds), "only if it is wrong", 3),
    )


def _watch(
    case: Case, conversions: Conversions, bundle: Bundle, way: Way, piece: Piece, endpoint: Endpoint,
    found: dict[tuple[str, str], _Watched],
) -> None:  # fmt: skip
    held = found.setdefault((piece.op, endpoint.id), _Watched([], NOTHING_BETTER, 0.0, 0.0))
    held.titles += [part.name for part in bundle.parts]
    follower = _follower(case, conversions, bundle, piece.op, endpoint)
    if follower is None:
        return
    job, problem, better = follower
    held.note = f"{_IF[problem]}, {better.id} {_DOES[job]} it"
    counted: dict[int, int] = {}
    for passage in way.passages:
        counted[id(passage)] = counted.get(id(passage), 0) + 1
    done: set[int] = set()
    for part, passage in zip(bundle.parts, way.passages, strict=True):
        if id(passage) in done:
            continue
        done.add(id(passage))
        again = _again(case, part, job, better, next((p for p in passage.pieces if p.op == piece.op), piece))
        held.cost += again.cost[HIGH] * counted[id(passage)]
        held.seconds += again.seconds[HIGH] * counted[id(passage)]
    if better.id not in case.loaded:
        held.seconds += case.rates(better).load[HIGH]


def _follower(
    case: Case, conversions: Conversions, bundle: Bundle, op: str, endpoint: Endpoint
) -> tuple[str, str, Endpoint] | None:
    """Who would do it better: the job, the problem it is for, and the endpoint."""
    group = case.index.group_of
    some = may(case, bundle, op, conversions.get(op, []))
    general = "empty" if op == "transcribe" else "confidence"
    for problem in (general, "language") if op == "transcribe" else (general,):
        bad = Outcome(op=op, endpoint=endpoint.id, problem=problem)
        able = [e for e in some if may_follow(case, e, bad)]
        if problem == "language" and not endpoint.model.languages:
            able = []
        if able:
            return op, problem, max(able, key=lambda e: (group[e.id].tier(pieces.task_of(op)), e.id))
    eyes = may(case, bundle, "describe", conversions.get("describe", [])) if op == "read" else []
    return ("describe", general, eyes[0]) if eyes else None


def _again(case: Case, part: PartFacts, job: str, better: Endpoint, piece: Piece) -> Piece:
    """The same conversion by somebody better."""
    rates = case.rates(better)
    if job == "transcribe":
        return pieces.hear(case, part, better, rates)
    if job == "read":
        if piece.pages:
            pages = tuple(page for page in part.pages if page.number in piece.pages)
            return pieces.read_pages(case, part, pages, better, rates, -1)
        return pieces.read(case, part, better, rates)
    shape = (part.width or 1240, part.height or 1755, "auto")
    return pieces.describe(case, part, better, pieces.Look("", (shape,) * max(1, piece.count)))
