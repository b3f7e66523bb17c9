"""From a priced route to a ``Candidate``: steps with ids, estimates with ranges, and what leaves the machine.

The same parts going the same way make the same steps, whoever answers, so steps are made once per plan.
"""

from __future__ import annotations

import hashlib
import math

import msgspec

from intermodal.catalog.nouns import Endpoint, Task
from intermodal.costing.levels import HIGH, LEVELS, ZEROS, Levels, levels, plus, quantity
from intermodal.costing.memory import peak
from intermodal.costing.rates import HERE
from intermodal.media.steps import DEFAULT_DPI
from intermodal.planner.aspects import kept
from intermodal.planner.case import Bundle, Case
from intermodal.planner.index import Job, tier_name
from intermodal.planner.pages import listed
from intermodal.planner.routes import Assignment, Route, answer, last_call, repair_call
from intermodal.planner.sends import sends_of
from intermodal.planner.takes import named_texts, taken
from intermodal.planner.ways import Passage, Piece, Way, pages_title
from intermodal.planner.words import strength, summary, warnings
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import Candidate, Taken
from intermodal.plans.step import Call, CallOp, Check, Estimate, Step, Transform, TransformOp
from intermodal.quantity import Quantity
from intermodal.request import ASPECTS, TranscriptOutput

TASK_OF: dict[str, Task] = {
    "transcribe": "automatic-speech-recognition",
    "read": "image-to-text",
    "generate": "text-generation",
    "embed": "feature-extraction",
}
TITLES: dict[str, str] = {"text": "answer", "json": "JSON answer", "embedding": "embedding", "transcript": "transcript"}
CHARS_PER_TOKEN = 4.0
Steps = tuple[tuple[Step, ...], tuple[str, ...]]  # steps of a part, and references to what stands for it
Params = tuple[tuple[str, str], ...]
_encode = msgspec.json.Encoder().encode


def as_call(op: TransformOp | CallOp) -> CallOp:
    """The op of a piece with an endpoint."""
    if op == "read" or op == "transcribe":
        return op
    raise AssertionError(f"{op} has no endpoint")


def as_transform(op: TransformOp | CallOp) -> TransformOp:
    """The op of a piece without one."""
    if op == "extract" or op == "render":
        return op
    raise AssertionError(f"{op} needs an endpoint")


def step_id(op: str, endpoint: str, params: Params, inputs: tuple[str, ...]) -> str:
    """First 8 hex digits of SHA-256 over what the step does, with what and to what."""
    return hashlib.sha256(_encode((op, endpoint, params, inputs))).hexdigest()[:8]


class Builder:
    """Makes candidates of one plan."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self._steps: dict[tuple[int, int, bool], Steps] = {}
        self._estimates: dict[tuple[int, bool], Estimate] = {}
        self._texts: dict[str, list[Taken]] = {}
        self._numbers: dict[Route, tuple[Levels, Levels, Levels]] = {}
        self._keep: list[object] = []  # ways, so that their identities stay theirs
        self._candidates: dict[tuple[str, tuple[int, ...]], Candidate] = {}

    def candidate(self, route: Route) -> Candidate:
        """The candidate of a route."""
        self._keep.append(route.assignment)
        key = (route.endpoint.id, tuple(id(way) for way in route.assignment.ways))
        found = self._candidates.get(key)
        if found is None:
            found = self._candidates[key] = self._make(route)
        return found

    def total(self, route: Route) -> Estimate:
        """The estimate of a route without its steps."""
        return self._total(route, self._last_estimate(route))

    def _make(self, route: Route) -> Candidate:
        steps, refs = self._conversions(route.assignment)
        last = self._last(route, refs)
        total = self._total(route, last.estimate)
        loses = {aspect for way in route.assignment.ways for aspect in way.loses}
        keeps = {aspect for way in route.assignment.ways for aspect in way.keeps} - loses
        names = (*(step.id for step in steps), last.id)
        hashed = hashlib.sha256(_encode((names, total, round(route.score, 9))))
        return Candidate(
            id=hashed.hexdigest()[:12],
            steps=(*steps, last),
            endpoint=route.endpoint.id,
            total=total,
            score=round(route.score, 9),
            tier=tier_name(route.tier),
            keeps=tuple(aspect for aspect in ASPECTS if aspect in keeps),
            loses=tuple(aspect for aspect in ASPECTS if aspect in loses),
            sends=sends_of(self.case, route),
            warnings=warnings(self.case, route.assignment),
            summary=summary(self.case, route.assignment),
            takes=self._takes(route),
            checks=self._checks(route, last),
        )

    # ---- conversions --------------------------------------------------------------------------

    def _conversions(self, assignment: Assignment) -> tuple[list[Step], list[tuple[str, ...]]]:
        """Steps in part order, and per part the references that stand for it."""
        case = self.case
        by_part: dict[int, Steps] = {}
        first: set[str] = set()
        for bundle, way in zip(case.bundles, assignment.ways, strict=True):
            for place, (part, passage) in enumerate(zip(bundle.parts, way.passages, strict=True)):
                if not passage.pieces:
                    by_part[part.index] = ((), (f"part:{part.index}",))
                    continue
                cold = way.endpoint is not None and way.endpoint.id in assignment.cold and way.endpoint.id not in first
                if way.endpoint is not None:
                    first.add(way.endpoint.id)
                by_part[part.index] = self._part(bundle, way, place, part, passage, cold)
        if case.job != "transcribe":
            for text in case.texts:
                by_part[text.index] = ((), (f"part:{text.index}",))
        steps: list[Step] = []
        refs: list[tuple[str, ...]] = []
        for index in sorted(by_part):
            some, stands_for = by_part[index]
            steps.extend(some)
            refs.append(stands_for)
        return steps, refs

    def _part(self, bundle: Bundle, way: Way, place: int, part: PartFacts, passage: Passage, cold: bool) -> Steps:
        key = (id(way), part.index, cold)
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = self._make_part(bundle, way, place, part, passage, cold)
        return found

    def _make_part(self, bundle: Bundle, way: Way, place: int, part: PartFacts, passage: Passage, cold: bool) -> Steps:
        steps: list[Step] = []
        ends: list[str] = []
        source = f"part:{part.index}"
        if bundle.kind == "document" and way.left_out:
            steps.append(_select_step(part, source, passage, bundle, place))
            source = f"step:{steps[0].id}"
        for piece in passage.pieces:
            if isinstance(piece.endpoint, Endpoint):
                of = ends.pop() if piece.pages else source  # scanned pages are read from the pictures just rendered
                made: Step = self._call(piece, piece.endpoint, part, of, way, cold)
            else:
                made = self._transform(piece, part, source, way)
            steps.append(made)
            ends.append(f"step:{made.id}")
        return tuple(steps), tuple(ends)

    def _call(
        self, piece: Piece, endpoint: Endpoint, part: PartFacts, source: str, way: Way, cold: bool
    ) -> Call:  # fmt: skip
        language = self.case.policy.language
        params: Params = (("language", language),) if piece.op == "transcribe" and language else ()
        task = TASK_OF[piece.op]
        return Call(
            id=step_id(piece.op, endpoint.id, params, (source,)), op=as_call(piece.op), task=task, endpoint=endpoint.id,
            inputs=(source,), part=part.index, title=f"{part.name} {piece.title}", params=params,
            keeps=way.keeps, loses=way.loses, note=strength(endpoint, task),
            estimate=self._estimate(piece, cold),
        )  # fmt: skip

    def _transform(self, piece: Piece, part: PartFacts, source: str, way: Way) -> Transform:
        params: Params = (("pages", listed(piece.pages)),)
        keeps, loses = way.keeps, way.loses
        if piece.op == "render":
            params = (*params, ("dpi", str(DEFAULT_DPI)))
            keeps, loses = (way.keeps if way.name == "render" else ()), ()
        elif way.name == "mixed":  # what the text does not keep, the pictures beside it do
            keeps = kept("extract", part.kind)
        return Transform(
            id=step_id(piece.op, "", params, (source,)), op=as_transform(piece.op), inputs=(source,), part=part.index,
            title=f"{part.name} {piece.title}", params=params, keeps=keeps, loses=loses,
            estimate=self._estimate(piece, False),
        )  # fmt: skip

    def _estimate(self, piece: Piece, cold: bool) -> Estimate:
        key = (id(piece), cold)
        found = self._estimates.get(key)
        if found is None:
            endpoint = piece.endpoint
            rates = self.case.rates(endpoint) if endpoint is not None else None
            found = self._estimates[key] = Estimate(
                output_tokens=piece.tokens if endpoint is not None else Quantity(),
                cost=quantity(piece.cost, "price list", 8),
                seconds=quantity(piece.seconds, "speed", 3),
                load_seconds=quantity(rates.load, "cold start", 3) if rates is not None and cold else Quantity(),
                memory=quantity(rates.memory, "resident when loaded", 0) if rates is not None else Quantity(),
                text=quantity(_chars(piece.tokens), "4 characters a token", 0),
            )
        return found

    # ---- the last step ------------------------------------------------------------------------

    def _last(self, route: Route, refs: list[tuple[str, ...]]) -> Call:
        case, endpoint = self.case, route.endpoint
        inputs = tuple(ref for some in refs for ref in some)
        op = case.job
        task: Task = TASK_OF[op]
        if route.assignment.pictures:
            task = "image-text-to-text"
        elif op == "generate" and route.assignment.audio != ZEROS:
            task = "audio-text-to-text"
        params = self._params(route)
        title = TITLES[case.output]
        if op == "transcribe":
            title = f"{case.bundles[0].title} {case.bundles[0].parts[0].seconds.mid:.3g} s"
        return Call(
            id=step_id(op, endpoint.id, params, inputs), op=op, task=task, endpoint=endpoint.id, inputs=inputs,
            title=title, params=params, note=strength(endpoint, task, route.own_tier),
            keeps=kept("transcribe", "audio") if op == "transcribe" else (),
            loses=("speakers", "tone") if op == "transcribe" else (),
            estimate=self._last_estimate(route),
        )  # fmt: skip

    def _params(self, route: Route) -> Params:
        case = self.case
        if case.job == "transcribe":
            output = case.request.output
            wanted = output.format if isinstance(output, TranscriptOutput) else "text"
            language = case.policy.language
            return (("format", wanted), *((("language", language),) if language else ()))
        if case.job == "embed":
            return ()
        found: Params = (("max_tokens", str(int(route.numbers.cap))),)
        if case.output == "json":
            forced = route.group.first.host.forced_json
            found += (("json", "forced"),) if forced else (("json", "prompted"), ("repair", "1"))
        return found

    def _last_estimate(self, route: Route) -> Estimate:
        case, rates, needs = self.case, route.rates, route.demand
        out, cost, seconds = self._levels(route)
        here = route.endpoint.host.zone in HERE
        return Estimate(
            input_tokens=quantity(needs.total, "counted and estimated", 0) if case.job != "transcribe" else Quantity(),
            output_tokens=quantity(out, "output kind and limit", 0),
            cost=quantity(cost, "price not known" if cost[HIGH] == math.inf else "price list", 8),
            seconds=quantity(seconds, "speed", 3),
            load_seconds=quantity(rates.load, "cold start", 3) if self._is_cold(route) else Quantity(),
            memory=quantity(rates.memory, "resident when loaded", 0) if here else Quantity(),
            text=quantity(_plain_chars(out), "4 characters a token", 0) if case.job == "transcribe" else Quantity(),
        )

    def _levels(self, route: Route) -> tuple[Levels, Levels, Levels]:
        """Output tokens, cost and seconds of the last call, worked out once per route."""
        found = self._numbers.get(route)
        if found is None:
            out = answer(self.case, route.endpoint, route.numbers.cap, route.demand.sound)
            found = self._numbers[route] = (out, *_levels_of(self.case, route, out))
        return found

    def _is_cold(self, route: Route) -> bool:
        """The answering runtime has to be loaded, and no conversion did."""
        endpoint = route.endpoint
        here = endpoint.host.zone in HERE
        return here and endpoint.id not in self.case.loaded and endpoint.id not in route.assignment.cold

    def _total(self, route: Route, estimate: Estimate) -> Estimate:
        case, assignment = self.case, route.assignment
        cold = self._is_cold(route)
        own = route.rates.load if cold else ZEROS
        memory = plus(assignment.memory, route.rates.memory) if cold else assignment.memory
        out, cost, seconds = self._levels(route)
        return Estimate(
            input_tokens=estimate.input_tokens,
            output_tokens=quantity(plus(out, assignment.made), "sum", 0),
            cost=quantity(plus(cost, assignment.cost), estimate.cost.basis, 8),
            seconds=quantity(plus(assignment.before, plus(seconds, own)), "schedule over cores and network", 3),
            load_seconds=quantity(plus(assignment.load, own), "cold start", 3),
            memory=quantity(peak(case.loaded_memory, memory), "peak of what is loaded together", 0),
        )

    def _checks(self, route: Route, last: Call) -> tuple[Check, ...]:
        """Prompted JSON is checked, and repaired at most once: priced, and only in the high estimate."""
        case = self.case
        if not route.demand.again:
            return ()
        out = answer(case, route.endpoint, route.numbers.cap, ZEROS)
        cost, seconds = repair_call(case, route.rates, route.demand, out[HIGH])
        inputs = (f"step:{last.id}",)
        return (
            Check(
                id=step_id("valid_json", "", (), inputs), op="valid_json", inputs=inputs,
                title="answer against its schema", note="one repair call at most",
                estimate=Estimate(
                    cost=quantity((0.0, 0.0, cost), "only if invalid", 8),
                    seconds=quantity((0.0, 0.0, seconds), "only if invalid", 3),
                ),
            ),
        )  # fmt: skip

    def _takes(self, route: Route) -> tuple[Taken, ...]:
        if self.case.job == "transcribe":
            return ()
        model = route.group.first.model
        rule = model.image_tokens
        tokenizer = self.case.vocabulary(model.tokenizer)
        if tokenizer not in self._texts:
            self._texts[tokenizer] = named_texts(self.case, tokenizer)
        found = list(self._texts[tokenizer])
        for bundle, way in zip(self.case.bundles, route.assignment.ways, strict=True):
            if way.name == "native" or way.pictures:
                found += taken(bundle, way, rule)
        return tuple(sorted(found, key=lambda each: each.part))


def _levels_of(case: Case, route: Route, out: Levels) -> tuple[Levels, Levels]:
    """Cost and seconds of the last call at all levels, the repair in the high ones."""
    pairs = [last_call(case, route.rates, level, route.demand, out[level]) for level in LEVELS]
    more_cost, more_seconds = repair_call(case, route.rates, route.demand, out[HIGH])
    cost = (pairs[0][0], pairs[1][0], pairs[2][0] + more_cost)
    return cost, (pairs[0][1], pairs[1][1], pairs[2][1] + more_seconds)


def _select_step(part: PartFacts, source: str, passage: Passage, bundle: Bundle, place: int) -> Transform:
    kept = sorted({page for piece in passage.pieces for page in piece.pages})
    out = [page.number for page in bundle.pages[place] if page.number not in kept]
    params: Params = (("pages", listed(kept)), ("left_out", listed(out)))
    return Transform(
        id=step_id("select", "", params, (source,)), op="select", inputs=(source,), part=part.index,
        title=f"{part.name} {pages_title(tuple(kept))}", params=params,
        note=f"leaves out {pages_title(tuple(out))}" if out else "",
    )  # fmt: skip


def _chars(tokens: Quantity) -> Levels:
    return _plain_chars(levels(tokens))


def _plain_chars(tokens: Levels) -> Levels:
    return (tokens[0] * CHARS_PER_TOKEN, tokens[1] * CHARS_PER_TOKEN, tokens[2] * CHARS_PER_TOKEN)


__all__ = ["Builder", "Job", "step_id"]
