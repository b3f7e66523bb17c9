"""EXPLAIN: a plan as stable text, from the plan alone. It is the format of ``tests/plans/*.case``.

LLM call after one conversion: ...
policy: ...
Generate  host:vendor/model   tier (evidence)
│         in 1,212 (1,180..1,240)  out 120 (..256)  $0  6.1 s
└─ Transcribe  host:vendor/model  call.wav 63 s -> 171 tok (140..210)
               keeps words, timing; loses speakers, tone  $0  4.0 s
total ... / sends: ... / note ... / fallback ... / outranked ... / rejected ...
"""

from __future__ import annotations

from collections.abc import Iterable

from intermodal.plans import numbers
from intermodal.plans.plan import Candidate, Outranked, Plan, Rejected, Send, Taken
from intermodal.plans.rejections import folded
from intermodal.plans.step import Call, Step, Transform
from intermodal.quantity import Quantity, total

WIDTH = 116
LABEL = 13  # columns of "fallback 1", "outranked", "rejected"
ALIKE = 6  # children that do the same, up to which each is shown
SHOWN = 2  # of more than that, so many are shown and the rest summed up
_HIDDEN = ("output",)  # rejections of endpoints that do another job; ``explain_all`` shows them


def explain(plan: Plan) -> str:
    """The plan: routes, numbers, what is lost, what leaves the machine, what was not taken and why."""
    return _lines(plan, everything=False)


def explain_all(plan: Plan) -> str:
    """The same, every rejection included, and the Pareto frontier over cost, seconds and strength."""
    return f"{_lines(plan, everything=True)}\n{_frontier(plan)}"


def _lines(plan: Plan, *, everything: bool) -> str:
    lines = wrapped(plan.headline, "")
    lines += wrapped(f"policy: {plan.policy_line}", "        ")
    lines.append(
        f"inputs {plan.inputs}   catalog {plan.catalog or '-'}   statistics {plan.statistics}   as of {plan.as_of}"
    )
    lines += tree(plan.chosen)
    lines += _total(plan.chosen)
    lines += sends(plan.chosen.sends)
    for note in plan.notes:
        lines += wrapped(f"note: {note}", "      ")
    for place, candidate in enumerate(plan.fallbacks, 1):
        lines += _labelled(f"fallback {place}", _brief(candidate))
    for other in plan.outranked:
        lines += _labelled("outranked", _outranked(other))
    for row in plan.rejected if everything else folded(plan.rejected):
        if everything or row.rule not in _HIDDEN:
            lines += _labelled("rejected", _rejected(row))
    return "\n".join(line.rstrip() for line in lines)


# ---- the tree ---------------------------------------------------------------------------------


def tree(candidate: Candidate) -> list[str]:
    """The answering step with everything that leads to it below."""
    by_id = {step.id: step for step in candidate.steps}
    last = candidate.steps[-1]
    children = _children(last, by_id, candidate)
    lines = _root(last, candidate, bool(children))
    for place, child in enumerate(children):
        lines += _node(child, by_id, candidate, "", last=place == len(children) - 1)
    return lines


Child = Step | Taken | list[Step]


def _children(step: Step, by_id: dict[str, Step], candidate: Candidate) -> list[Child]:
    """What a step is made of, in part order; many alike as one list."""
    found: list[Child] = []
    taken = {each.part: each for each in candidate.takes} if step is candidate.steps[-1] else {}
    for ref in step.inputs:
        kind, _, name = ref.partition(":")
        if kind == "step" and name in by_id:
            found.append(by_id[name])
        elif kind == "part" and name.isdigit() and int(name) in taken:
            found.append(taken[int(name)])
    return _summed(found)


def _summed(children: list[Child]) -> list[Child]:
    alike: dict[tuple[str, str], list[Step]] = {}
    for child in children:
        if isinstance(child, Call | Transform):
            alike.setdefault((child.op, child.endpoint if isinstance(child, Call) else ""), []).append(child)
    found: list[Child] = []
    done: set[tuple[str, str]] = set()
    for child in children:
        if not isinstance(child, Call | Transform):
            found.append(child)
            continue
        key = (child.op, child.endpoint if isinstance(child, Call) else "")
        some = alike[key]
        if len(some) <= ALIKE:
            found.append(child)
        elif key not in done:
            done.add(key)
            found += [*some[:SHOWN], some[SHOWN:]]
    return found


def _root(step: Step, candidate: Candidate, more: bool) -> list[str]:
    assert isinstance(step, Call)
    estimate = step.estimate
    head = f"{step.op.capitalize()}  "
    bar = "│" if more else " "
    figures = []
    if estimate.input_tokens.high or not estimate.input_tokens.known:
        figures.append(f"in {numbers.count(estimate.input_tokens)}")
    if estimate.output_tokens.high or not estimate.output_tokens.known:
        figures.append(f"out {numbers.count(estimate.output_tokens)}")
    figures += _cost_and_time(step)
    title = "" if step.op == "generate" or step.op == "embed" else f"  {step.title}"
    lines = [f"{head}{step.endpoint}{title}   {step.note}"]
    lines.append(f"{bar}{' ' * (len(head) - 1)}{'  '.join(figures)}")
    if step.keeps or step.loses:
        lines.append(f"{bar}{' ' * (len(head) - 1)}{_aspects(step.keeps, step.loses)}")
    for name, value in step.params:
        if name == "json":
            check = "; checked against the schema, one repair at most" if value == "prompted" else " by the wire"
            lines.append(f"{bar}{' ' * (len(head) - 1)}JSON {value}{check}")
    return lines


def _node(child: Child, by_id: dict[str, Step], candidate: Candidate, indent: str, *, last: bool) -> list[str]:
    branch, rail = ("└─ ", "   ") if last else ("├─ ", "│  ")
    if isinstance(child, list):
        return [f"{indent}{branch}{_many(child)}"]
    if isinstance(child, Taken):
        return [f"{indent}{branch}As it is  {child.title} -> {numbers.tokens(child.tokens)}"]
    below = _children(child, by_id, candidate)
    head = f"{child.op.replace('_', ' ').capitalize()}  "
    lines = [f"{indent}{branch}{head}{_what(child, candidate)}"]
    details = _details(child)
    if details:
        pad = " " * (len(head) - 1)
        lines.append(f"{indent}{rail}{'│' if below else ' '}{pad}{details}")
    for place, each in enumerate(below):
        lines += _node(each, by_id, candidate, f"{indent}{rail}", last=place == len(below) - 1)
    return lines


def _what(step: Step, candidate: Candidate) -> str:
    made = step.estimate.output_tokens
    if isinstance(step, Call):
        return f"{step.endpoint}  {step.title} -> {numbers.tokens(made)}"
    if isinstance(step, Transform) and step.op == "extract":
        return f"{step.title} -> {numbers.tokens(_tokens_of_text(step))}"
    if isinstance(step, Transform) and step.op == "render":
        shown = next((take for take in candidate.takes if take.part == step.part), None)
        return f"{step.title}{f' -> {numbers.tokens(shown.tokens)}' if shown is not None else ''}"
    return f"{step.title}{f'; {step.note}' if step.note else ''}"


def _tokens_of_text(step: Transform) -> Quantity:
    return step.estimate.text.scaled(0.25)


def _details(step: Step) -> str:
    words = []
    if isinstance(step, Call | Transform) and (step.keeps or step.loses):
        words.append(_aspects(step.keeps, step.loses))
    if isinstance(step, Call):
        words += _cost_and_time(step)
        words.append(step.note)
    elif step.estimate.seconds.high:
        words.append(numbers.seconds(step.estimate.seconds))
    return "  ".join(word for word in words if word)


def _aspects(keeps: Iterable[str], loses: Iterable[str]) -> str:
    kept, lost = ", ".join(keeps), ", ".join(loses)
    return "; ".join(part for part in (f"keeps {kept}" if kept else "", f"loses {lost}" if lost else "") if part)


def _cost_and_time(step: Step) -> list[str]:
    estimate = step.estimate
    found = [numbers.money(estimate.cost), numbers.seconds(estimate.seconds)]
    if estimate.load_seconds.high:
        found.append(f"+ {numbers.plain_seconds(estimate.load_seconds.mid)} s to load")
    return found


def _many(steps: list[Step]) -> str:
    made = total([step.estimate.output_tokens for step in steps])
    time = total([step.estimate.seconds for step in steps])
    cost = total([step.estimate.cost for step in steps])
    first = steps[0]
    name = first.op.replace("_", " ").capitalize()
    tokens = f" -> {numbers.tokens(made)}" if made.high else ""
    return f"{name}  {len(steps):,} more like these{tokens}  {numbers.money(cost)}  {numbers.seconds(time)}"


# ---- the lists --------------------------------------------------------------------------------


def _total(candidate: Candidate) -> list[str]:
    estimate = candidate.total
    words = [numbers.money(estimate.cost), numbers.seconds(estimate.seconds)]
    if estimate.load_seconds.high:
        words.append(f"{numbers.plain_seconds(estimate.load_seconds.mid)} s of it loading")
    if estimate.memory.high:
        words.append(f"memory {numbers.memory(estimate.memory)}")
    return [f"total: {', '.join(words)}   weakest link {candidate.tier}"]


def sends(sent: tuple[Send, ...]) -> list[str]:
    """What leaves the machine, per destination."""
    if not sent:
        return ["sends: nothing leaves this machine"]
    by_place: dict[str, list[str]] = {}
    for each in sent:
        by_place.setdefault(_place(each), []).append(f"{each.what} (from {each.origin})")
    lines: list[str] = []
    for place, things in by_place.items():
        shown = things if len(things) <= 12 else [*things[:12], f"{len(things) - 12} more"]
        lines += wrapped(f"sends: {', '.join(shown)} -> {place}", "       ")
    return lines


def _place(sent: Send) -> str:
    """The host of the URL as people know it."""
    rest = sent.url.partition("://")[2] or sent.url
    return rest.partition("/")[0] or sent.host


def _brief(candidate: Candidate) -> str:
    figures = f"{numbers.money(candidate.total.cost)}  {numbers.seconds(candidate.total.seconds)}"
    away = "" if not candidate.sends else f"  sends to {', '.join(dict.fromkeys(map(_place, candidate.sends)))}"
    lost = dict.fromkeys(warning.split(" ", 2)[1] for warning in candidate.warnings if warning.startswith("loses "))
    fewer = "; leaves out pages" if any(warning.startswith("leaves out ") for warning in candidate.warnings) else ""
    loses = f"; loses {', '.join(lost)}" if lost else ""
    return f"{candidate.endpoint}  {candidate.summary}{loses}{fewer}  {figures}{away}"


def _outranked(other: Outranked) -> str:
    return f"{other.endpoint}  {other.summary}  {other.reason}"


def _rejected(row: Rejected) -> str:
    if row.count == 1 and row.endpoints:
        return f"{row.endpoints[0]}  {row.reason}"
    more = ", …" if row.count > len(row.endpoints) else ""
    names = f" ({', '.join(row.endpoints)}{more})" if row.endpoints else ""
    return f"{row.count:,} endpoints: {row.reason}{names}"


def _labelled(label: str, text: str) -> list[str]:
    return wrapped(f"{label:<{LABEL}}{text}", " " * LABEL)


def _frontier(plan: Plan) -> str:
    rows = [("cost", "seconds", "weakest link", "endpoint", "route")]
    for candidate in plan.frontier:
        total = candidate.total
        rows.append(
            (
                f"${numbers.plain_money(total.cost.mid)}" if total.cost.known else "price unknown",
                f"{numbers.plain_seconds(total.seconds.mid)} s" if total.seconds.known else "unknown",
                candidate.tier,
                candidate.endpoint,
                f"{candidate.summary}{'  <- chosen' if candidate.id == plan.chosen.id else ''}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    indent = " " * (sum(widths[:3]) + 6)
    lines = ["frontier: no route is cheaper, faster and stronger than one of these"]
    for row in rows:
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row[:4], widths, strict=True))
        lines += wrapped(f"{cells}  {row[4]}", f"{indent}  ")
    return "\n".join(line.rstrip() for line in lines)


def wrapped(text: str, indent: str) -> list[str]:
    """The text in lines of at most ``WIDTH`` columns where its words allow it, later ones indented."""
    lines: list[str] = []
    rest = text
    while len(rest) > WIDTH:
        cut = rest.rfind(" ", len(indent) + 20, WIDTH + 1)
        if cut < 0:
            break
        lines.append(rest[:cut].rstrip())
        rest = f"{indent}{rest[cut:].lstrip()}"
    return [*lines, rest]
