"""A route as a graph to be drawn, with nodes for parts, steps and the answer.

The graph has no coordinates. Many parts with the same path are merged, as in EXPLAIN: the first ones are drawn
individually, the rest as one node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from intermodal.core.content import Kind, Value
from intermodal.core.quantity import Quantity, total
from intermodal.plans import explain, numbers
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.explain import place_of_send
from intermodal.plans.plan import Candidate, NativeInput, PartRef, Send, input_references, input_steps
from intermodal.plans.step import Call, Check, Step, Transform

ALIKE = 6  # up to this many parts with the same route are drawn individually
SHOWN = 2  # beyond ``ALIKE``, the first ``SHOWN`` are drawn and the rest merged
LISTED = 40  # names in a tooltip
PROMPT, ANSWER = "prompt", "answer"
_KINDS: dict[str, Kind] = {
    "transcribe": "audio",
    "demux": "video",
    "subtitles": "video",
    "frames": "video",
    "extract": "document",
    "render": "document",
    "select": "document",
    "resize": "image",
}
_ANSWERING = ("generate", "translate", "embed", "speak", "score", "draw")  # they take the prompt, not only files
_SIZE = re.compile(
    r" (?P<size>[\d.,e+]+ s|\d+x\d+|pages? [\d, and-]+( at \d+ dpi)?|[\d,]+ chars|[\d,]+ pages?"
    r"|[\d,]+ (?:image|picture)s? of pages|and [\d,]+ more\b.*)$"
)
Style = Literal["ink", "soft", "good", "warn", "away", "maybe"]


class CardLine(Value):
    """A line of a card, before it is wrapped."""

    text: str
    style: Style = "soft"


class GraphNode(Value):
    """A node of the graph, drawn as a card.

    Attributes:
        key: "part:0", "prompt", a step's id, or "answer"; for merged nodes, the key of the first one with a plus.
        shape: shape of the card. title: its first line. lines: its other lines.
        kind: kind of a part or the answer. host: display name of the host if the step does not run on this machine.
        hint: full text for the tooltip. count: number of nodes it represents. column: column from the left.
        checks: checks of its result.
    """

    key: str
    shape: Literal["part", "step", "last", "answer"]
    title: str
    lines: tuple[CardLine, ...] = ()
    kind: str = ""
    host: str = ""
    hint: str = ""
    count: int = 1
    column: int = 0
    checks: tuple[Check, ...] = ()


class PlanGraph(Value):
    """``paths`` lead from a part to the answer, as node keys from left to right.

    Paths with a common start are adjacent.
    """

    nodes: tuple[GraphNode, ...]
    paths: tuple[tuple[str, ...], ...]


def checks_by_step(candidate: Candidate) -> dict[str, list[Check]]:
    """Return the checks of each step's result, by step id."""
    found: dict[str, list[Check]] = {}
    every = (*(step for step in candidate.steps if isinstance(step, Check)), *candidate.checks)
    for check in dict.fromkeys(every):
        for step in input_steps(check):
            found.setdefault(step, []).append(check)
    return found


def graph(candidate: Candidate) -> PlanGraph:
    """Return the graph of a route."""
    by_id: dict[str, Step] = {step.id: step for step in candidate.steps if not isinstance(step, Check)}
    last = candidate.last
    paths = _with_prompt(_paths(last, by_id), by_id, candidate)
    stands_for = _merge_paths(paths, by_id)
    merged_paths = list(dict.fromkeys(tuple(stands_for.get(key, key) for key in path) for path in paths))
    column = _columns(merged_paths)
    groups: dict[str, dict[str, None]] = {}
    for key in dict.fromkeys(key for path in paths for key in path):
        groups.setdefault(stands_for.get(key, key), {})[key] = None
    maker = _Maker(candidate, by_id, last, paths)
    nodes = [maker.node(key, list(groups[key]), column[key]) for key in column]
    nodes.append(maker.answer(column[last.id] + 1))
    return PlanGraph(nodes=tuple(nodes), paths=tuple((*path, ANSWER) for path in merged_paths))


# ---- ways ------------------------------------------------------------------------------------------

Paths = list[tuple[str, ...]]


def _paths(last: Transform | Call, by_id: dict[str, Step]) -> Paths:
    """Return every path from a part to the last step, sorted so that paths with the same beginning are adjacent."""

    def back(step: Step) -> Paths:
        found: Paths = []
        for each in input_references(step):
            if isinstance(each, PartRef):
                found.append((str(each), step.id))
            elif each.id in by_id:
                found += [(*path, step.id) for path in back(by_id[each.id])]
        return found or [(step.id,)]

    every = list(dict.fromkeys(back(last)))
    order_of_prefix: dict[tuple[str, ...], int] = {}
    for path in every:
        for length in range(1, len(path) + 1):
            order_of_prefix.setdefault(path[:length], len(order_of_prefix))
    return sorted(every, key=lambda path: [order_of_prefix[path[:length]] for length in range(1, len(path) + 1)])


def _with_prompt(paths: Paths, by_id: dict[str, Step], candidate: Candidate) -> Paths:
    """Replace the starts of text paths with one prompt node.

    Parts that a merged ``NativeInput`` represents are dropped in favour of that node.
    """
    inputs = {str(PartRef(each.part)) for each in candidate.takes}
    loose = [
        path for path in paths
        if _is_part_key(path[0]) and path[0] not in inputs and by_id[path[1]].op in _ANSWERING
    ]  # fmt: skip
    starts = {path[0] for path in paths}
    others = sum(each.count - 1 for each in candidate.takes if str(PartRef(each.part)) in starts)
    found: Paths = []
    for path in paths:
        if path not in loose:
            found.append(path)
        elif len(loose) > others and (PROMPT, *path[1:]) not in found:
            found.append((PROMPT, *path[1:]))
    return found or [(PROMPT, *paths[0][1:])]


def _merge_paths(paths: Paths, by_id: dict[str, Step]) -> dict[str, str]:
    """Return the key of the merged node for each key of a part whose path many parts share."""
    paths_by_part: dict[str, Paths] = {}
    for path in paths:
        if _is_part_key(path[0]):
            paths_by_part.setdefault(path[0], []).append(path)
    shapes: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for part, part_paths in paths_by_part.items():
        shape = tuple(tuple(_step_action(by_id[key]) for key in path[1:] if key in by_id) for path in part_paths)
        shapes.setdefault(shape, []).append(part)
    found: dict[str, str] = {}
    for parts in shapes.values():
        if len(parts) <= ALIKE or all(len(path) == 2 for path in paths_by_part[parts[0]]):
            continue
        first = paths_by_part[parts[SHOWN]]
        for part in parts[SHOWN:]:
            for own_nodes, model in zip(paths_by_part[part], first, strict=True):
                for key, stands in zip(own_nodes[:-1], model[:-1], strict=True):
                    found[key] = f"{stands}+"
    return found


def _is_part_key(key: str) -> bool:
    return key.startswith("part:")


def _step_action(step: Step) -> str:
    return f"{step.op} {step.endpoint}" if isinstance(step, Call) else step.op


def _columns(paths: Paths) -> dict[str, int]:
    """Return the column of each key: the length of the longest path to it from the left."""
    column: dict[str, int] = {}
    for _ in range(max(map(len, paths))):
        for path in paths:
            for place_, key in enumerate(path):
                before = column[path[place_ - 1]] + 1 if place_ else 0
                column[key] = max(column.get(key, 0), before)
    return column


# ---- cards -----------------------------------------------------------------------------------------


class _Maker:
    """Builds the nodes of one route."""

    def __init__(self, candidate: Candidate, by_id: dict[str, Step], last: Transform | Call, paths: Paths) -> None:
        self._candidate = candidate
        self._by_id = by_id
        self._last = last
        self._paths = paths
        self._checks = checks_by_step(candidate)
        self._drawn_checks: set[str] = set()  # a check of several steps is drawn under the first of them
        self._remote_places = {
            each.host: place_of_send(each) for each in candidate.sends if each.zone not in LOCAL_ZONES
        }
        self._native_inputs = {str(PartRef(each.part)): each for each in candidate.takes}

    def node(self, key: str, keys: list[str], column: int) -> GraphNode:
        if keys == [PROMPT]:
            return GraphNode(key=key, shape="part", kind="text", title=PROMPT, column=column, hint="what is asked")
        if _is_part_key(keys[0]):
            return self._part_node(key, keys, column)
        return self._step(key, [self._by_id[each] for each in keys], column)

    def _part_node(self, key: str, keys: list[str], column: int) -> GraphNode:
        native = self._native_inputs.get(keys[0])
        titles = [self._title(each) for each in keys]
        kind = self._kind(keys[0], native)
        if len(keys) > 1:
            names = [_split_title(title)[0] for title in titles]
            hint = _names_text(names)
            return GraphNode(
                key=key, shape="part", kind=kind, title=f"{len(keys):,} more like these", column=column, hint=hint,
                count=len(keys), lines=(CardLine(text=f"{names[0]} … {names[-1]}"),),
            )  # fmt: skip
        name, size = self._name_and_size(keys[0])
        words = (" " if size.startswith("and ") else ", ").join(word for word in (kind, size) if word)
        return GraphNode(
            key=key, shape="part", kind=kind, title=name or "a part", column=column, hint=titles[0],
            count=native.count if native is not None else 1, lines=(CardLine(text=words),) if words else (),
        )  # fmt: skip

    def _name_and_size(self, key: str) -> tuple[str, str]:
        """Return a part's name, and its size if the titles of its steps contain it."""
        name, size = _split_title(self._title(key))
        lengths = [_split_title(title)[1] for title in self._titles(key)]
        size = size.partition(" at ")[0]  # the resolution is shown with the pages
        return name, size or next((each for each in lengths if each.endswith(" s")), "")

    def _titles(self, key: str) -> list[str]:
        by_part = [path for path in self._paths if path[0] == key]
        steps = [self._by_id[path[1]] for path in by_part if len(path) > 1 and path[1] in self._by_id]
        return list(dict.fromkeys(step.title for step in steps if step is not self._last))

    def _title(self, key: str) -> str:
        """Return a part's name: the prefix shared by the titles of its steps."""
        native = self._native_inputs.get(key)
        titles = self._titles(key)
        if not titles:
            return native.title if native is not None else self._last.title
        shared = titles[0] if len(titles) == 1 else _common(titles)
        return shared or titles[0]

    def _kind(self, key: str, native: NativeInput | None) -> str:
        by_part = [path for path in self._paths if path[0] == key]
        steps = [self._by_id[path[1]] for path in by_part if len(path) > 1 and path[1] in self._by_id]
        if any(step.op == "demux" for step in steps):
            return "video"
        for step in steps:
            if step is not self._last or self._candidate.words_alone or step.op == "transcribe":
                return _KINDS.get(step.op, "image" if step.op in ("read", "describe") else "")
        return native.kind if native is not None else ""

    def _step(self, key: str, steps: list[Step], column: int) -> GraphNode:
        first = steps[0]
        host = ""
        lines: list[CardLine] = []
        if isinstance(first, Call):
            host_id, _, model = first.endpoint.partition(":")
            host = self._remote_places.get(host_id, "")
            lines.append(CardLine(text=model.rpartition("/")[2] or first.endpoint, style="ink"))
            if not host:
                lines.append(CardLine(text=f"host {host_id}"))
        if len(steps) == 1 and first is not self._last:
            name, size = self._name_and_size(str(PartRef(first.part)))
            subtitle = first.title.removeprefix(name).strip()
            note = first.note if isinstance(first, Transform) else ""
            lines += [CardLine(text=word) for word in (subtitle if subtitle != size else "", note) if word]
        lines += figures(steps, last=first is self._last or first.op in _ANSWERING)
        if isinstance(first, Call | Transform):
            lines += [CardLine(text=f"keeps {explain.kept_text(first)}", style="good")] if first.keeps else []
            lines += [CardLine(text=f"loses {', '.join(first.loses)}", style="warn")] if first.loses else []
        if isinstance(first, Call) and first.note:
            lines.append(CardLine(text=first.note))
        title = first.op.replace("_", " ").capitalize()
        return GraphNode(
            key=key, shape="last" if first is self._last else "step", title=_times(title, len(steps)), host=host,
            lines=tuple(lines), column=column, count=len(steps), hint=_hint(steps),
            checks=self._checks_below(steps),
        )  # fmt: skip

    def _checks_below(self, steps: list[Step]) -> tuple[Check, ...]:
        """Return the checks to draw below a card.

        The size check is excluded because it covers all steps; the list has it.
        """
        every = dict.fromkeys(check for step in steps for check in self._checks.get(step.id, ()))
        found = tuple(check for check in every if check.op != "size" and check.id not in self._drawn_checks)
        self._drawn_checks |= {check.id for check in found}
        return found

    def answer(self, column: int) -> GraphNode:
        output_tokens = self._last.estimate.output_tokens
        transcript = self._last.op == "transcribe" and not self._candidate.words_alone
        title = "transcript" if transcript else (ANSWER if self._candidate.words_alone else self._last.title or ANSWER)
        lines = (CardLine(text=numbers.tokens(output_tokens)),) if output_tokens.high and not transcript else ()
        return GraphNode(key=ANSWER, shape="answer", title=title, lines=lines, column=column, hint=title)


def figures(steps: list[Step], *, last: bool) -> Iterable[CardLine]:
    """Return the lines with tokens, cost and time of a step, or their sums over several steps."""
    output_tokens = total([step.estimate.output_tokens for step in steps])
    input_tokens = total([step.estimate.input_tokens for step in steps])
    cost = total([step.estimate.cost for step in steps])
    time = total([step.estimate.seconds for step in steps])
    load = total([step.estimate.load_seconds for step in steps])
    found: list[CardLine] = []
    if last and (input_tokens.high or not input_tokens.known):
        found.append(CardLine(text=f"in {numbers.tokens(input_tokens)}", style="ink"))
    if last and (output_tokens.high or not output_tokens.known):
        found.append(CardLine(text=f"out {numbers.tokens(output_tokens)}", style="ink"))
    elif not last and _tokens(steps).high:
        found.append(CardLine(text=f"→ {numbers.tokens(_tokens(steps))}", style="ink"))
    weighs = isinstance(steps[0], Call)
    when = [numbers.seconds(time)] if weighs or time.high else []
    when += [f"+ {numbers.plain_seconds(load.mid)} s to load"] if load.high else []
    if weighs and (cost.high or not cost.known):
        found.append(CardLine(text=numbers.money(cost), style="ink"))
    elif weighs:
        when.insert(0, "$0,")
    if when:
        found.append(CardLine(text=" ".join(when), style="ink"))
    return found


def _tokens(steps: list[Step]) -> Quantity:
    """Return the output tokens of conversions; for transforms, estimated from the number of characters."""
    if isinstance(steps[0], Call):
        return total([step.estimate.output_tokens for step in steps])
    return total([step.estimate.text.scaled(0.25) for step in steps])


def _hint(steps: list[Step]) -> str:
    first = steps[0]
    endpoint_text = f" {first.endpoint}" if isinstance(first, Call) else ""
    titles = _names_text([step.title for step in steps if step.title])
    words = [f"{first.op}{endpoint_text}", titles]
    words += [f"{name} {value}" for name, value in getattr(first, "params", ())]
    words += [line.text for line in figures(steps, last=False)]
    if isinstance(first, Call) and first.estimate.seconds.basis:
        words.append(f"time by: {first.estimate.seconds.basis}")
    return "; ".join(word for word in words if word)


def _names_text(names: list[str]) -> str:
    """Return the names for a tooltip: at most ``LISTED``, then the number of the others."""
    more = [f"and {len(names) - LISTED:,} more"] if len(names) > LISTED else []
    return ", ".join([*names[:LISTED], *more])


def _times(title: str, count: int) -> str:
    return title if count == 1 else f"{title} ×{count:,}"


def _split_title(title: str) -> tuple[str, str]:
    """Split a title into name and size: ("call.wav", "63 s")."""
    found = _SIZE.search(title)
    return (title[: found.start()], found["size"]) if found else (title, "")


def _common(titles: list[str]) -> str:
    """Return the words with which all titles begin."""
    words = [title.split(" ") for title in titles]
    count = 0
    while all(len(some) > count and some[count] == words[0][count] for some in words):
        count += 1
    return " ".join(words[0][:count])


def sent_data(candidate: Candidate) -> dict[str, list[Send]]:
    """Return the data that leaves the machine, grouped by the display name of its destination."""
    found: dict[str, list[Send]] = {}
    for each in candidate.sends:
        found.setdefault(place_of_send(each), []).append(each)
    return found
