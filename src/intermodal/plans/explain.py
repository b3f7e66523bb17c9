"""EXPLAIN: renders a plan as stable text, from the plan alone. ``tests/plans/*.case`` use this format.

LLM call after one conversion: ...
policy: ...
Generate  host:vendor/model   tier (evidence)
│         in 1,212 (1,180..1,240)  out 120 (..256)  $0  6.1 s
└─ Transcribe  host:vendor/model  call.wav 63 s -> 171 tok (140..210)
               keeps words, timing; loses speakers, tone  $0  4.0 s
total ... / counted: ... / sends: ... / note ... / fallback ... / not chosen ... / rejected ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from intermodal.core.hints import action, consent_to, hint
from intermodal.core.quantity import Quantity, total
from intermodal.plans import numbers
from intermodal.plans.facts import Need, PropertiesNeed
from intermodal.plans.plan import (
    Candidate,
    NativeInput,
    Outranked,
    PartNeeds,
    PartRef,
    Plan,
    Rejected,
    Send,
    input_references,
    takes_step,
)
from intermodal.plans.step import SPEED_BASIS, Call, GenerateAnswer, JsonDelivery, Portion, Step, Transform

# Rejections in short form: one line for all hosts without consent, one for all models that were not pulled.


LISTED = 4  # endpoints named in a folded line
_PULL = ": intermodal pull "
Words = tuple[str, bool]  # a reason, and whether it is complete without a list of endpoints


def fold_rejections(rows: Iterable[Rejected]) -> tuple[Rejected, ...]:
    """Return the rejections with those of a foldable rule merged into one row, at the position of the first.

    Only rules in ``_FOLDED`` with more than one rejection are merged.
    """
    ordered = list(rows)
    found: list[Rejected] = []
    folded: set[str] = set()
    for row in ordered:
        words = _FOLDED.get(row.rule)
        same_rule = [each for each in ordered if each.rule == row.rule]
        if words is None or len(same_rule) == 1:
            found.append(row)
        elif row.rule not in folded:
            folded.add(row.rule)
            names = [name for each in same_rule for name in each.endpoints]
            reason, has_names = words(same_rule)
            found.append(
                Rejected(
                    rule=row.rule,
                    reason=reason,
                    count=sum(each.count for each in same_rule),
                    endpoints=() if has_names else tuple(names[:LISTED]),
                )
            )
    return tuple(found)


def _consent(rows: list[Rejected]) -> Words:
    hosts = sorted({name.partition(":")[0] for row in rows for name in row.endpoints})
    more = sum(row.hosts for row in rows)
    host_names = f"{', '.join(hosts)} and {more} more" if more else ", ".join(hosts)
    return hint("no consent for hosts {}: {}", host_names, consent_to()), True


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


# Single lines beside a route: data and destinations, other routes, and rejections.


# Loopback and private addresses: a proxy there may forward requests to the place that the host row states.
_NEAR = re.compile(r"localhost\b|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[?::1|\[?f[cd]")


def place_of_send(send: Send) -> str:
    """Return the host name of the URL; for a loopback or private address, also the host and zone it stands for."""
    rest = send.url.partition("://")[2] or send.url
    where = rest.partition("/")[0] or send.host
    return f"{where} ({send.host}, {send.zone})" if _NEAR.match(where) else where


def fallback_line(candidate: Candidate) -> str:
    """Return a fallback on one line: endpoint, route, losses, cost, time, destinations."""
    figures = f"{numbers.money(candidate.total.cost)}  {numbers.seconds(candidate.total.seconds)}"
    destinations = _destinations(candidate)
    sends = f"  sends to {destinations}" if destinations else ""
    return f"{candidate.endpoint}  {candidate.summary}{lost_needs_suffix(candidate)}  {figures}{sends}"


def one_line(candidate: Candidate) -> str:
    """Return a route on one line: endpoint, route, price, seconds, where data is sent, losses."""
    estimate = candidate.total
    destinations = _destinations(candidate)
    leaves = f"sends to {destinations}" if destinations else "nothing leaves this machine"
    lost = f"; loses {', '.join(candidate.loses)}" if candidate.loses else ""
    figures = f"{numbers.money(estimate.cost)}, {numbers.seconds(estimate.seconds)}"
    return f"{candidate.endpoint or 'no model'} ({candidate.summary}): {figures}; {leaves}{lost}"


def _destinations(candidate: Candidate) -> str:
    """Return the destinations of a route, without duplicates; "" if nothing leaves the machine."""
    return ", ".join(dict.fromkeys(map(place_of_send, candidate.sends)))


def lost_needs_suffix(candidate: Candidate) -> str:
    """Return the needs that a route loses, and whether it leaves out pages, as a suffix; "" if neither."""
    lost = dict.fromkeys(warning.split(" ", 2)[1] for warning in candidate.warnings if warning.startswith("loses "))
    fewer = "; leaves out pages" if any(warning.startswith("leaves out ") for warning in candidate.warnings) else ""
    return f"{'; loses ' if lost else ''}{', '.join(lost)}{fewer}"


def _needs_lines(part_needs: PartNeeds) -> str:
    """Return the question's needs for a part, with evidence: 'call.wav: tone (0.92, like "Is she angry?")'."""
    words = [_need_text(need) for need in part_needs.needed]
    if part_needs.properties is not None:
        words.append(f"properties of the file ({_evidence(part_needs.properties)})")
    if part_needs.unsure:
        words.append(f"unsure: {', '.join(map(_need_text, part_needs.unsure))}")
    return f"{part_needs.title}: {', '.join(words)}"


def _need_text(need: Need) -> str:
    return f"{need.aspect} ({_evidence(need)})"


def _evidence(need: Need | PropertiesNeed) -> str:
    return f'{need.score:.2f}, like "{need.like}"' if need.like else "named in the question"


def outranked_text(other: Outranked) -> str:
    return f"{other.endpoint}  {other.summary}  {other.reason}"


def rejection_text(row: Rejected) -> str:
    """Return the reason of a rejection and the endpoints it concerns."""
    if row.count == 1 and row.endpoints:
        return f"{row.endpoints[0]}  {row.reason}"
    more = ", …" if row.count > len(row.endpoints) else ""
    names = f" ({', '.join(row.endpoints)}{more})" if row.endpoints else ""
    return f"{row.count:,} endpoints: {row.reason}{names}"


def total_line(candidate: Candidate) -> str:
    """Return the totals of a route: "$0, 16 s (6.1..124), 1.6 s of it loading, memory 5.1 GiB (4.6..6.7)"."""
    estimate = candidate.total
    words = [numbers.money(estimate.cost), numbers.seconds(estimate.seconds)]
    if estimate.load_seconds.high:
        words.append(f"{numbers.plain_seconds(estimate.load_seconds.mid)} s of it loading")
    if estimate.memory.high:
        words.append(f"memory {numbers.memory(estimate.memory)}")
    return ", ".join(words)


def kept_text(step: Transform | Call) -> str:
    """Return the aspects that a step keeps, with counts for partial ones: "most words (12 of 18 scenes), timing"."""
    partly = {portion.aspect: portion for portion in step.partly}
    return ", ".join(_amount(partly[aspect]) if aspect in partly else aspect for aspect in step.keeps)


def _amount(portion: Portion) -> str:
    surely = {"scenes": "", "pages": "", "letters": "", "seconds": " recognised with confidence before"}.get(
        portion.unit, " surely read before"
    )
    return f"{portion.amount} {portion.aspect} ({portion.kept:,} of {portion.of:,} {portion.unit}{surely})"


def aspects(step: Transform | Call) -> str:
    keeps, lost = kept_text(step), ", ".join(step.loses)
    return "; ".join(part for part in (f"keeps {keeps}" if keeps else "", f"loses {lost}" if lost else "") if part)


def condition(step: Step) -> str:
    """Return the extra cost if a check fails: "up to $0.0003, 8.0 s more"; "" if it costs nothing."""
    estimate = step.estimate
    unknown = not estimate.cost.known
    words = ["price unknown" if unknown else f"${numbers.plain_money(estimate.cost.high)}"] if (
        unknown or estimate.cost.high
    ) else []  # fmt: skip
    if estimate.seconds.high:
        words.append(f"{numbers.plain_seconds(estimate.seconds.high)} s")
    return f"up to {', '.join(words)} more" if words else ""


_WIDTH = 116
LABEL = 13  # columns of "fallback 1", "not chosen", "rejected"
ALIKE = 6  # up to this many steps of the same kind are shown individually
SHOWN = 2  # beyond ``ALIKE``, the first ``SHOWN`` are shown and the rest summed up
_HIDDEN = ("output",)  # rejections of endpoints for other tasks; ``explain_all`` shows them


def explain(plan: Plan, *, runs: bool = False) -> str:
    """Return the plan as text: routes, numbers, losses, data that leaves the machine, rejections with reasons.

    ``runs``: whether to add the line that says if a gateway can pass the call through unchanged.
    """
    return _plan_lines(plan, everything=False, runs=runs)


def explain_all(plan: Plan, frontier: tuple[Candidate, ...] = ()) -> str:
    """Return the EXPLAIN text with every rejection, and with the Pareto frontier if it is given.

    The frontier is over cost, seconds, strength and loss.
    """
    text = _plan_lines(plan, everything=True, runs=True)
    return f"{text}\n{_frontier(plan, frontier)}" if frontier else text


def _plan_lines(plan: Plan, *, everything: bool, runs: bool) -> str:
    lines = wrap_text(plan.headline, "")
    lines += wrap_text(f"policy: {plan.policy_line}", "        ")
    lines.append(
        f"inputs {plan.inputs}   catalog {plan.catalog or '-'}   statistics {plan.statistics}   as of {plan.as_of}"
    )
    lines += tree(plan.chosen)
    weakest = f"weakest link {plan.chosen.tier}" if plan.chosen.endpoint else "no model"
    lines.append(f"total: {total_line(plan.chosen)}   {weakest}")
    if runs:
        lines += wrap_text(f"runs: {_execution_line(plan)}", "      ")
    for text in plan.chosen.counted:
        lines += wrap_text(f"counted: {text}", "         ")
    for needs in plan.needs:
        lines += wrap_text(f"needs: {_needs_lines(needs)}", "       ")
    lines += _checks(plan.chosen)
    lines += sends(plan.chosen.sends)
    for note in plan.notes:
        lines += wrap_text(f"note: {note}", "      ")
    for place, candidate in enumerate(plan.fallbacks, 1):
        lines += _labelled_lines(f"fallback {place}", fallback_line(candidate))
    for other in plan.outranked:
        lines += _labelled_lines("not chosen", outranked_text(other))
    for row in plan.rejected if everything else fold_rejections(plan.rejected):
        if everything or row.rule not in _HIDDEN:
            lines += _labelled_lines("rejected", rejection_text(row))
    return "\n".join(line.rstrip() for line in lines)


def _execution_line(plan: Plan) -> str:
    if plan.not_direct:
        return f"step by step, because {plan.not_direct}"
    return "as one call; a gateway can pass it on as it came if its client speaks the API of the host"


# ---- the tree ---------------------------------------------------------------------------------
def tree(candidate: Candidate) -> list[str]:
    """Return the lines of the answering step, with the steps it depends on below it."""
    by_id = {step.id: step for step in candidate.steps}
    last = candidate.last
    children = _children(last, by_id, candidate)
    lines = _root(last, candidate, bool(children))
    for place, child in enumerate(children):
        lines += _node(child, by_id, candidate, "", last=place == len(children) - 1)
    return lines


Child = Step | NativeInput | list[Step]


def _children(step: Step, by_id: dict[str, Step], candidate: Candidate) -> list[Child]:
    """Return the inputs of a step in part order; many steps of the same kind are merged into one list."""
    found: list[Child] = []
    inputs = {each.part: each for each in candidate.takes} if step is candidate.answering else {}
    for each in input_references(step):
        if isinstance(each, PartRef):
            found += [inputs[each.index]] if each.index in inputs else []
        elif each.id in by_id:
            found.append(by_id[each.id])
    return _merge_alike(found)


def _merge_alike(children: list[Child]) -> list[Child]:
    steps_by_operator: dict[tuple[str, str], list[Step]] = {}
    for child in children:
        if isinstance(child, Call | Transform):
            steps_by_operator.setdefault((child.op, child.endpoint if isinstance(child, Call) else ""), []).append(
                child
            )
    found: list[Child] = []
    merged_keys: set[tuple[str, str]] = set()
    for child in children:
        if not isinstance(child, Call | Transform):
            found.append(child)
            continue
        key = (child.op, child.endpoint if isinstance(child, Call) else "")
        same_steps = steps_by_operator[key]
        if len(same_steps) <= ALIKE:
            found.append(child)
        elif key not in merged_keys:
            merged_keys.add(key)
            found += [*same_steps[:SHOWN], same_steps[SHOWN:]]
    return found


def _root(step: Transform | Call, candidate: Candidate, more: bool) -> list[str]:
    estimate = step.estimate
    head = f"{step.op.capitalize()}  "
    bar = "│" if more else " "
    if isinstance(step, Transform):
        details = [f"{bar}{' ' * (len(head) - 1)}{'  '.join(_details(step))}"] if _details(step) else []
        return [f"{head}{_step_action(step, candidate)}", *details]
    figures = []
    if estimate.input_tokens.high or not estimate.input_tokens.known:
        figures.append(f"in {numbers.count(estimate.input_tokens)}")
    if estimate.output_tokens.high or not estimate.output_tokens.known:
        figures.append(f"out {numbers.count(estimate.output_tokens)}")
    figures += _cost_and_time(step)
    title = f"  {step.title}" if step.op in ("read", "transcribe", "speak", "draw") else ""
    lines = [f"{head}{step.endpoint}{title}   {step.note}"]
    lines.append(f"{bar}{' ' * (len(head) - 1)}{'  '.join(figures)}")
    if estimate.thought_tokens.high:
        thought = f"thinks {numbers.count(estimate.thought_tokens)} of it: {estimate.thought_tokens.basis}"
        lines += wrap_text(f"{bar}{' ' * (len(head) - 1)}{thought}", f"{bar}{' ' * (len(head) + 7)}")
    if estimate.seconds.basis not in ("", SPEED_BASIS):
        lines.append(f"{bar}{' ' * (len(head) - 1)}seconds: {estimate.seconds.basis}")
    if step.keeps or step.loses:
        lines.append(f"{bar}{' ' * (len(head) - 1)}{aspects(step)}")
    if step.room is not None:
        lines.append(f"{bar}{' ' * (len(head) - 1)}asks for a context of {step.room:,} tokens")
    if corrected := _correction_note(step):
        lines += wrap_text(f"{bar}{' ' * (len(head) - 1)}{corrected}", f"{bar}{' ' * (len(head) + 8)}")
    if step.op == "generate" and (delivery := GenerateAnswer.parameters_of(step).json):
        lines.append(f"{bar}{' ' * (len(head) - 1)}JSON {_JSON[delivery]}")
    return lines


_JSON: dict[JsonDelivery, str] = {
    "prompted": "prompted; checked against the schema, one repair at most",
    "told": "forced by the host, its fields listed in the prompt",
    "forced": "forced by the host",
}


def _correction_note(step: Call) -> str:
    """Return how statistics of earlier runs corrected the input token count; "" if they did not."""
    _, _, words = step.estimate.input_tokens.basis.partition("; ")
    return f"counted: {words}" if words else ""


def _node(child: Child, by_id: dict[str, Step], candidate: Candidate, indent: str, *, last: bool) -> list[str]:
    branch, rail = ("└─ ", "   ") if last else ("├─ ", "│  ")
    if isinstance(child, list):
        return [f"{indent}{branch}{_count_text(child)}"]
    if isinstance(child, NativeInput):
        return [f"{indent}{branch}As it is  {child.title} -> {numbers.tokens(child.tokens)}"]
    below = _children(child, by_id, candidate)
    head = f"{child.op.replace('_', ' ').capitalize()}  "
    lines = [f"{indent}{branch}{head}{_step_action(child, candidate)}"]
    pad = f"{indent}{rail}{'│' if below else ' '}{' ' * (len(head) - 1)}"
    details = _details(child)
    one_line = f"{pad}{'  '.join(details)}"
    if details and len(one_line) > _WIDTH and len(details) > 1:
        lines += [f"{pad}{details[0]}", f"{pad}{'  '.join(details[1:])}"]
    elif details:
        lines.append(one_line)
    for place, each in enumerate(below):
        lines += _node(each, by_id, candidate, f"{indent}{rail}", last=place == len(below) - 1)
    return lines


def _step_action(step: Step, candidate: Candidate) -> str:
    output_tokens = step.estimate.output_tokens
    if isinstance(step, Call):
        return f"{step.endpoint}  {step.title} -> {numbers.tokens(output_tokens)}"
    if isinstance(step, Transform) and step.op in ("extract", "subtitles", "properties"):
        return f"{step.title} -> {numbers.tokens(_tokens_of_text(step))}"
    if isinstance(step, Transform) and step.op in _TAKEN_AS:
        kinds = _TAKEN_AS[step.op]
        reaches = takes_step(candidate.answering, step.id)
        native_input = next(
            (t for t in candidate.takes if t.part == step.part and t.kind in kinds and reaches and t.count == 1), None
        )
        return f"{step.title}{f' -> {numbers.tokens(native_input.tokens)}' if native_input is not None else ''}"
    return f"{step.title}{f'; {step.note}' if step.note else ''}"


# The kinds of input that a transform's output becomes at the last endpoint, as in ``Candidate.takes``.
_TAKEN_AS: dict[str, tuple[str, ...]] = {
    "render": ("document",), "frames": ("image",), "demux": ("audio",), "resize": ("image",),
}  # fmt: skip


def _tokens_of_text(step: Transform) -> Quantity:
    return step.estimate.text.scaled(0.25)


def _details(step: Step) -> list[str]:
    words = []
    if isinstance(step, Call | Transform) and (step.keeps or step.loses):
        words.append(aspects(step))
    if isinstance(step, Call):
        words += _cost_and_time(step)
        words += [step.note, _correction_note(step)]
    elif step.estimate.seconds.high:
        words.append(numbers.seconds(step.estimate.seconds))
    return [word for word in words if word]


def _cost_and_time(step: Step) -> list[str]:
    estimate = step.estimate
    found = [numbers.money(estimate.cost), numbers.seconds(estimate.seconds)]
    if estimate.load_seconds.high:
        found.append(f"+ {numbers.plain_seconds(estimate.load_seconds.mid)} s to load")
    return found


def _count_text(steps: list[Step]) -> str:
    output_tokens = total([step.estimate.output_tokens for step in steps])
    time = total([step.estimate.seconds for step in steps])
    cost = total([step.estimate.cost for step in steps])
    first = steps[0]
    name = first.op.replace("_", " ").capitalize()
    tokens = f" -> {numbers.tokens(output_tokens)}" if output_tokens.high else ""
    return f"{name}  {len(steps):,} more like these{tokens}  {numbers.money(cost)}  {numbers.seconds(time)}"


# ---- the lists --------------------------------------------------------------------------------
def _checks(candidate: Candidate) -> list[str]:
    """Return the lines of a candidate's checks: those that may cost, with their price; the others by note."""
    lines: list[str] = []
    plain: dict[str, list[str]] = {}
    more = ""
    for check in candidate.checks:
        if check.op == "size":
            more = f"{check.title}: {check.note}"
        elif check.op != "valid_json":  # shown beside the answer
            high = check.estimate.seconds.high
            if not high:
                plain.setdefault(check.note, []).append(check.title)
                continue
            money = f"${numbers.plain_money(check.estimate.cost.high)}, " if check.estimate.cost.high else ""
            words = f"check: {check.title}: {check.note}, + up to {money}{numbers.plain_seconds(high)} s"
            lines += wrap_text(words, "       ")
    for note, titles in plain.items():
        lines += wrap_text(f"check: {', '.join(titles)}: {note}", "       ")
    return [*lines, f"check: {more}"] if more else lines


def sends(all_sends: tuple[Send, ...]) -> list[str]:
    """Return the lines for data that leaves the machine, grouped by destination."""
    if not all_sends:
        return ["sends: nothing leaves this machine"]
    by_place: dict[str, list[str]] = {}
    for each in all_sends:
        by_place.setdefault(place_of_send(each), []).append(f"{each.what} (from {each.origin})")
    lines: list[str] = []
    for place, descriptions in by_place.items():
        items = descriptions if len(descriptions) <= 12 else [*descriptions[:12], f"{len(descriptions) - 12} more"]
        lines += wrap_text(f"sends: {', '.join(items)} -> {place}", "       ")
    return lines


def _labelled_lines(label: str, text: str) -> list[str]:
    return wrap_text(f"{label:<{LABEL}}{text}", " " * LABEL)


def _frontier(plan: Plan, frontier: tuple[Candidate, ...]) -> str:
    rows = [("cost", "seconds", "weakest link", "endpoint", "route")]
    for candidate in frontier:
        total, mark = candidate.total, "  <- chosen" if candidate.id == plan.chosen.id else ""
        rows.append(
            (
                f"${numbers.plain_money(total.cost.mid)}" if total.cost.known else "price unknown",
                f"{numbers.plain_seconds(total.seconds.mid)} s" if total.seconds.known else "unknown",
                candidate.tier,
                candidate.endpoint,
                f"{candidate.summary}{lost_needs_suffix(candidate)}{mark}",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    indent = " " * (sum(widths[:3]) + 6)
    lines = ["frontier: no route is cheaper, faster and stronger than one of these"]
    for row in rows:
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(row[:4], widths, strict=True))
        lines += wrap_text(f"{cells}  {row[4]}", f"{indent}  ")
    return "\n".join(line.rstrip() for line in lines)


def wrap_text(text: str, indent: str) -> list[str]:
    """Return the text in lines of at most ``_WIDTH`` columns, broken at spaces."""
    lines: list[str] = []
    rest = text
    while len(rest) > _WIDTH:
        cut = rest.rfind(" ", len(indent) + 20, _WIDTH + 1)
        if cut < 0:
            break
        lines.append(rest[:cut].rstrip())
        rest = f"{indent}{rest[cut:].lstrip()}"
    return [*lines, rest]
