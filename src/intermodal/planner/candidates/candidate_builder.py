"""Builds a ``Candidate`` from a priced route: steps with ids, estimates with ranges, and data sent.

Equal conversions of equal parts yield the same steps, whichever endpoint answers, so steps are built once per plan.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import msgspec

from intermodal.catalog.types import Endpoint, Task
from intermodal.core.content import Kind
from intermodal.core.quantity import Quantity, between, exact, total
from intermodal.core.request import Aspect, SpeechOutput, TranscriptOutput
from intermodal.cost_model.image_tokens import image_tokens
from intermodal.cost_model.levels import HIGH, LOW, ZEROS, Levels, add_levels, quantity
from intermodal.cost_model.memory import planned_context
from intermodal.cost_model.token_rules import (
    TokenRules,
    native_audio_tokens,
    native_document_tokens,
    native_video_tokens,
)
from intermodal.cost_model.tokens import CHARS_OF_TOKEN, Vocabulary, text_part_tokens
from intermodal.planner.candidates.egress import route_sends, spoken_answer_sends
from intermodal.planner.candidates.quality_checks import evidence_check, transcript_check
from intermodal.planner.candidates.step_builder import StepBuilder
from intermodal.planner.catalog_index import tier_name
from intermodal.planner.conversion.conversion_option import (
    TASK_OF,
    ConversionOption,
    ConvertersByJob,
    PartConversion,
    native_tokens,
)
from intermodal.planner.conversion.conversion_outcomes import transcribed_portion
from intermodal.planner.conversion.conversion_steps import (
    as_range,
    at_each,
    transcription_parameters,
    transcription_title,
)
from intermodal.planner.conversion.fidelity import transcribed_channels, transcript_fidelity
from intermodal.planner.explanation.plan_text import counting_source, route_summary, strength_text, tools_text
from intermodal.planner.explanation.verdict_builder import verdict_name
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.planner.route_estimates.call_demand import calibrated_input, retry_tokens, token_basis
from intermodal.planner.route_estimates.final_call_estimate import (
    AnswerTokens,
    answer_tokens,
    final_call_cost,
    repair_cost,
    retry_call_cost,
    speech_cost,
    typical_call_cost,
)
from intermodal.planner.route_estimates.image_generation import image_parameters, image_title
from intermodal.planner.route_estimates.routes import (
    Route,
    main_speed_of,
    peak_memory_levels,
    unloaded_endpoints,
    unloads_first,
)
from intermodal.planner.route_estimates.voice_selection import needs_voice, speaks, voice_load_seconds
from intermodal.planner.route_estimates.voice_selection import voice_memory_bytes as voice_memory
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.facts import PartFacts
from intermodal.plans.plan import Candidate, NativeInput, StepRef
from intermodal.plans.step import (
    SPEED_BASIS,
    Call,
    CallOp,
    Check,
    DrawImage,
    EmbedContent,
    GenerateAnswer,
    JsonDelivery,
    Portion,
    ScoreLabels,
    SpeakText,
    StepEstimate,
    StepParameters,
    TranslateText,
    step_id,
)

# Parts that reach the answering endpoint unconverted: media it accepts, and text files.


_TOGETHER = 8  # up to this many similar parts are listed individually


def _text_file_inputs(case: PlanningCase, vocabulary: Vocabulary) -> list[NativeInput]:
    """Return the inputs for texts given as files, without the prompt; many files are merged into one entry."""
    texts = case.text_files
    if len(texts) > _TOGETHER:
        chars = sum(part.chars for part in texts)
        title = f"{texts[0].name} and {len(texts) - 1} more, {chars:,} chars"
        tokens = total([text_part_tokens(part, vocabulary) for part in texts])
        return [NativeInput(part=texts[0].index, title=title, kind="text", tokens=tokens, count=len(texts))]
    return [
        NativeInput(
            part=part.index, title=f"{part.name} {part.chars:,} chars", kind="text",
            tokens=text_part_tokens(part, vocabulary),
        )
        for part in texts
    ]  # fmt: skip


def _native_inputs(bundle: Bundle, option: ConversionOption, token_rules: TokenRules) -> list[NativeInput]:
    """Return the inputs for parts that are not converted to text; many similar parts are merged into one entry."""
    if len(bundle.parts) > _TOGETHER:
        basis = _native_tokens(option.conversions[0], token_rules).basis
        tokens = total([quantity(each, basis, 0) for each in native_tokens(option, token_rules)])
        return [
            NativeInput(
                part=bundle.parts[0].index,
                title=bundle.title,
                kind=bundle.kind,
                tokens=tokens,
                count=len(bundle.parts),
                counted_as=_billed_kind(bundle, option.conversions[0]),
            )
        ]
    found: list[NativeInput] = []
    for part, conversion in zip(bundle.parts, option.conversions, strict=True):
        if option.name in ("watch", "frames", "resized") and conversion.steps:
            found += _as_tracks(part, conversion, token_rules)
            continue
        title = f"{part.name} {_size_text(part, conversion)}"
        found.append(
            NativeInput(
                part=part.index, title=title, kind=bundle.kind, tokens=_native_tokens(conversion, token_rules),
                counted_as=_billed_kind(bundle, conversion),
            )
        )  # fmt: skip
    return found


def _billed_kind(bundle: Bundle, conversion: PartConversion) -> Kind | Literal[""]:
    """Return "image" for rendered pages, which count as images."""
    return "image" if bundle.kind == "document" and conversion.pictures else ""


def _as_tracks(part: PartFacts, conversion: PartConversion, token_rules: TokenRules) -> list[NativeInput]:
    """Return a video or an animation as tracks: its frames, and its sound if it is not converted."""
    found: list[NativeInput] = []
    for step in conversion.steps:
        if step.for_final_call and step.op == "demux":
            found.append(
                NativeInput(
                    part=part.index,
                    title=f"{part.name} {step.title}",
                    kind="audio",
                    tokens=native_audio_tokens(token_rules.audio, conversion.sound),
                )
            )
        if step.for_final_call and step.op in ("frames", "resize"):
            title = f"{part.name} {step.title}"
            found.append(
                NativeInput(
                    part=part.index, title=title, kind="image", tokens=_image_tokens(conversion, token_rules.image)
                )
            )
    return found


def _native_tokens(conversion: PartConversion, token_rules: TokenRules) -> Quantity:
    if conversion.leaves:
        return native_document_tokens(token_rules, conversion.leaves)
    if conversion.film is not None:
        return native_video_tokens(token_rules.video, conversion.film)
    return (
        _image_tokens(conversion, token_rules.image)
        if conversion.pictures
        else native_audio_tokens(token_rules.audio, conversion.sound)
    )


def _image_tokens(conversion: PartConversion, rule: str) -> Quantity:
    tokens = exact(0.0)
    for width, height, detail in conversion.pictures:
        tokens = tokens + image_tokens(rule, width, height, detail).times(as_range(conversion.many))
    return tokens


def _size_text(part: PartFacts, conversion: PartConversion) -> str:
    if part.kind in ("audio", "video"):
        return f"{part.seconds.mid:.3g} s"
    if part.kind == "image":
        return f"{part.width}x{part.height}"
    count = len(conversion.leaves or conversion.pictures)
    return (
        f"{count} page{'s' if count != 1 else ''}"
        if conversion.leaves
        else f"{count} image{'s' if count != 1 else ''} of pages"
    )


_TITLES: dict[str, str] = {
    "text": "answer",
    "json": "JSON answer",
    "embedding": "embedding",
    "transcript": "transcript",
    "speech": "answer",
    "scores": "scores",
    "image": "image",
}
_JSON: dict[str, tuple[JsonDelivery, int | None]] = {  # how the schema is passed, and the maximum number of repairs
    "asked": ("prompted", 1), "told": ("told", None), "forced": ("forced", None),
}  # fmt: skip
_SEEING: dict[str, Task] = {"score": "zero-shot-image-classification", "draw": "image-to-image"}
_encode = msgspec.json.Encoder().encode


class CandidateBuilder:
    """Builds the candidates of one plan. ``others``: endpoints that may repeat a bad answer."""

    def __init__(self, case: PlanningCase, conversions: ConvertersByJob, others: Sequence[Endpoint] = ()) -> None:
        self.case = case
        self._others = list(others)
        self._before = StepBuilder(case, conversions).preparation_steps
        self._text_inputs: dict[Vocabulary, list[NativeInput]] = {}
        self._media_inputs: dict[tuple[int, TokenRules], list[NativeInput]] = {}
        self._summaries: dict[Assignment, str] = {}
        self._numbers: dict[Route, tuple[Levels, Levels, Levels]] = {}
        self._keep: list[object] = []  # keeps options alive, so that their ids are not reused
        self._send_cache: dict[object, list[tuple[str, Kind, str]]] = {}
        self._candidates: dict[tuple[str, tuple[int, ...]], Candidate] = {}

    def candidate(self, route: Route) -> Candidate:
        """Return the candidate of a route."""
        self._keep.append(route.assignment)
        key = (route.endpoint.id, tuple(id(option) for option in route.assignment.options))
        found = self._candidates.get(key)
        if found is None:
            found = self._candidates[key] = self._build_candidate(route)
        return found

    def summary(self, route: Route) -> str:
        """Return a route in a few words, such as "transcript + image as it is"."""
        found = self._summaries.get(route.assignment)
        if found is None:
            found = self._summaries[route.assignment] = route_summary(self.case, route.assignment)
        return found

    def total(self, route: Route) -> StepEstimate:
        """Return the total estimate of a route, without building its steps."""
        return self._total(route, self._tokens_in(route), self._cost_basis(route))

    def _build_candidate(self, route: Route) -> Candidate:
        case = self.case
        before = self._before(route.assignment)
        last = self._answering_call(route, before.inputs)
        total = self._total(route, last.estimate.input_tokens, last.estimate.cost.basis)
        ends = (last, *self._speech_steps(route, last))
        takes = self._native_inputs(route)
        hashed = hashlib.sha256(_encode((before.names, [step.id for step in ends], total, round(route.score, 9))))
        return Candidate(
            id=hashed.hexdigest()[:12],
            steps=(*before.steps, *ends),
            endpoint=route.endpoint.id,
            total=total,
            score=round(route.score, 9),
            tier=tier_name(route.tier),
            keeps=before.keeps,
            loses=before.loses,
            sends=(*route_sends(case, route, self._send_cache), *spoken_answer_sends(case, route, ends)),
            warnings=before.warnings,
            summary=f"{before.summary}, spoken by {ends[-1].endpoint}" if len(ends) > 1 else before.summary,
            takes=takes,
            counted=self._token_rule_notes(route, takes),
            lost=route.demand.lost,
            diverted=route.demand.diverted,
            verdict=verdict_name(case, route),
            cores=case.machine.cores,
            decoders=route.assignment.decoders,
            ends=unloaded_endpoints(route.assignment) if self._ends_with_conversion(route) else (),
            checks=(*before.checks, *self._checks(route, last)),
        )

    # ---- the last step ------------------------------------------------------------------------

    def _answering_call(self, route: Route, inputs: tuple[str, ...]) -> Call:
        case, endpoint = self.case, route.endpoint
        op: CallOp = case.job if not case.translating else "translate"
        task: Task = TASK_OF[case.job]
        if route.assignment.pictures:
            task = _SEEING.get(op, "image-text-to-text")
        elif case.job == "generate" and route.assignment.audio != ZEROS:
            task = "audio-text-to-text"
        judged = task
        if op == "score" and endpoint.model.head_task is not None:
            task = judged = endpoint.model.head_task
        elif op == "score" and not endpoint.model.answers_in_words and not endpoint.model.matches_images:
            judged = "feature-extraction"
        parameters = self._parameters(route)
        title = _TITLES[case.output]
        if op == "speak":
            title = "the text"
        if op == "translate":
            title = f"translation into {case.translating}"
        if isinstance(parameters, DrawImage):
            title = image_title(parameters)
        keeps: tuple[Aspect, ...] = ()
        loses: tuple[Aspect, ...] = ()
        partly: tuple[Portion, ...] = ()
        if op == "transcribe":
            part = case.bundles[0].parts[0]
            partly = transcribed_portion(case, part, endpoint)
            keeps, loses = transcript_fidelity(part, timed=True)
            what = transcription_title(case, part.seconds.mid, separate_channels=transcribed_channels(part) > 1)
            title = f"{case.bundles[0].title} {what}"
        params = parameters.pairs()
        step = Call(
            id=step_id(op, endpoint.id, params, inputs), op=op, task=task, endpoint=endpoint.id, inputs=inputs,
            title=title, params=params, note=strength_text(endpoint, judged, route.own_tier),
            keeps=keeps, loses=loses, partly=partly,
            estimate=self._last_estimate(route),
        )  # fmt: skip
        context = planned_context(step, endpoint, case.request)
        return step if context is None else msgspec.structs.replace(step, room=context)

    def _parameters(self, route: Route) -> StepParameters:
        """Return the parameters of the last call."""
        case = self.case
        output = case.request.output
        if case.job == "transcribe":
            output_format = output.format if isinstance(output, TranscriptOutput) else "text"
            return transcription_parameters(case, case.bundles[0].parts[0], output_format=output_format)
        if case.job == "embed":
            return EmbedContent()
        if case.job == "score":
            return ScoreLabels()
        if case.job == "draw":
            return image_parameters(route.endpoint, case.request, case.facts)
        if case.job == "speak":
            assert isinstance(output, SpeechOutput)
            return SpeakText(voice=output.voice, format=output.format)
        limit = int(route.numbers.cap)
        if case.translating:
            return TranslateText(max_tokens=limit, into=case.translating)
        json, repairs = _JSON[case.schema_by(route.group)] if case.output == "json" else ("", None)
        if isinstance(output, SpeechOutput) and speaks(route.endpoint):
            return GenerateAnswer(max_tokens=limit, voice=output.voice, format=output.format)
        return GenerateAnswer(max_tokens=limit, json=json, repairs=repairs)

    def _speech_steps(self, route: Route, answer_: Call) -> tuple[Call, ...]:
        """Return the speech synthesis step after a text answer, if one is needed."""
        case, voice = self.case, self.case.voice
        if not needs_voice(case) or voice is None or speaks(route.endpoint):
            return ()
        output = case.request.output
        assert isinstance(output, SpeechOutput)
        inputs, params = (str(StepRef(answer_.id)),), SpeakText(voice=output.voice, format=output.format).pairs()
        out = self._levels(route)[0]
        local = voice.endpoint.host.zone in LOCAL_ZONES
        cold = local and voice.endpoint.id not in case.loaded
        return (
            Call(
                id=step_id("speak", voice.endpoint.id, params, inputs),
                op="speak",
                task="text-to-speech",
                endpoint=voice.endpoint.id,
                inputs=inputs,
                title="the answer",
                params=params,
                note=strength_text(voice.endpoint, "text-to-speech"),
                estimate=StepEstimate(
                    cost=quantity(voice.cost(out), "price list", 8),
                    seconds=quantity(voice.seconds(out), "speed", 3),
                    load_seconds=quantity(voice.rates.load, "cold start", 3) if cold else Quantity(),
                    memory=quantity(voice.rates.memory, "resident when loaded", 0) if local else Quantity(),
                ),
            ),
        )

    def _last_estimate(self, route: Route) -> StepEstimate:
        case, rates = self.case, route.rates
        out, cost, seconds = self._levels(route)
        local = route.endpoint.host.zone in LOCAL_ZONES
        return StepEstimate(
            input_tokens=self._tokens_in(route),
            output_tokens=quantity(out, "output kind and limit", 0),
            thought_tokens=self._reasoning_tokens(route, out),
            cost=quantity(cost, self._cost_basis(route), 8),
            seconds=quantity(seconds, self._seconds_basis(route), 3),
            load_seconds=quantity(rates.load, "cold start", 3) if self._needs_loading(route) else Quantity(),
            memory=quantity(rates.memory, "resident when loaded", 0) if local else Quantity(),
            text=quantity(_plain_chars(out), "4 characters a token", 0) if case.job == "transcribe" else Quantity(),
        )

    def _reasoning_tokens(self, route: Route, out: Levels) -> Quantity:
        """Return the reasoning share of the output."""
        case, endpoint = self.case, route.endpoint
        if case.job != "generate" or not route.rates.thought[HIGH]:
            return Quantity()
        found, _ = case.reasoning_tokens(endpoint, case.effort)
        most = out[HIGH]
        low, mid, high = (float(round(min(value, most))) for value in (found.low, found.mid, found.high))
        return between(low, mid, high, found.basis)

    def _seconds_basis(self, route: Route) -> str:
        """Return the basis of the seconds, which EXPLAIN shows for hosts."""
        if route.endpoint.host.zone in LOCAL_ZONES:
            return SPEED_BASIS
        return route.rates.basis_of(main_speed_of(self.case.job)) or SPEED_BASIS

    def _tokens_in(self, route: Route) -> Quantity:
        transcribes = self.case.job == "transcribe"
        return Quantity() if transcribes else quantity(route.demand.total, self._token_basis(route), 0)

    def _token_basis(self, route: Route) -> str:
        return token_basis(self.case, route.group, route.rates, route.demand)

    def _cost_basis(self, route: Route) -> str:
        return "price not known" if self._levels(route)[1][HIGH] == math.inf else "price list"

    def _levels(self, route: Route) -> tuple[Levels, Levels, Levels]:
        """Return output tokens, cost and seconds of the last call, cached by route."""
        found = self._numbers.get(route)
        if found is None:
            answer = answer_tokens(self.case, route.endpoint, route.rates, route.numbers.cap, route.demand.sound)
            out, (cost, seconds) = answer.tokens, _levels_of(self.case, route, answer)
            retry_cost, retry_seconds = self._retry(route, out)
            cost, seconds = add_levels(cost, (0.0, 0.0, retry_cost)), add_levels(seconds, (0.0, 0.0, retry_seconds))
            if speaks(route.endpoint):
                more_cost, more_seconds = speech_cost(self.case, route.endpoint, route.rates, out)
                cost, seconds = add_levels(cost, more_cost), add_levels(seconds, more_seconds)
            found = self._numbers[route] = (out, cost, seconds)
        return found

    def _retry(self, route: Route, out: Levels) -> tuple[float, float]:
        """Return the cost in USD and the seconds of one retry if an answer's value does not occur in the source.

        Zeros if no value is checked, if a repair is already priced, or if limits leave no room: an optional retry must
        not reject a route.
        """
        case, numbers = self.case, route.numbers
        if not route.demand.evident or route.demand.again or case.policy.evidence != "retry":
            return 0.0, 0.0
        cost, seconds = retry_call_cost(route.rates, route.demand, retry_tokens(case), out[HIGH])
        deadline = math.inf if case.policy.deadline is None else case.policy.deadline
        if numbers.cost_high + cost > case.policy.max_cost or numbers.seconds_high + seconds > deadline:
            return 0.0, 0.0
        return cost, seconds

    def _needs_loading(self, route: Route) -> bool:
        """Return whether the answering runtime must be loaded and no conversion loads it."""
        endpoint = route.endpoint
        local = endpoint.host.zone in LOCAL_ZONES
        return local and endpoint.id not in self.case.loaded and endpoint.id not in route.assignment.cold

    def _total(self, route: Route, tokens_in: Quantity, basis: str) -> StepEstimate:
        case, assignment = self.case, route.assignment
        cold = self._needs_loading(route)
        own = route.rates.load if cold else ZEROS
        loaded = self._loaded_bytes(route)
        out, cost, seconds = self._levels(route)
        if needs_voice(case) and not speaks(route.endpoint) and case.voice is not None:
            more_cost, more_seconds = speech_cost(case, route.endpoint, route.rates, out)
            loading = at_each(partial(voice_load_seconds, case, case.voice))
            cost, seconds, own = (
                add_levels(cost, more_cost),
                add_levels(seconds, more_seconds),
                add_levels(own, loading),
            )
        return StepEstimate(
            input_tokens=tokens_in,
            output_tokens=quantity(add_levels(out, assignment.output_tokens), "sum", 0),
            cost=quantity(add_levels(cost, assignment.cost), basis, 8),
            seconds=quantity(
                add_levels(assignment.before, add_levels(seconds, own)), "schedule over cores and network", 3
            ),
            load_seconds=quantity(add_levels(assignment.load, own), "cold start", 3),
            memory=quantity(
                peak_memory_levels(assignment, loaded, ends=self._ends_with_conversion(route)),
                "of what is loaded for it",
                0,
            ),
        )

    def _loaded_bytes(self, route: Route) -> Levels:
        """Return the bytes loaded for the answer and for its speech synthesis."""
        case = self.case
        own = route.rates.memory if self._needs_loading(route) else ZEROS
        if needs_voice(case) and not speaks(route.endpoint) and case.voice is not None:
            own = add_levels(own, voice_memory(case, case.voice))
        return own

    def _ends_with_conversion(self, route: Route) -> bool:
        return unloads_first(self.case, route.endpoint, route.demand, self._loaded_bytes(route)[HIGH])

    def _checks(self, route: Route, last: Call) -> tuple[Check, ...]:
        """Return the checks after the last step.

        Prompted JSON is checked and repaired at most once; the repair is priced in the high estimate only. A transcript
        that is the answer is checked like any other transcript.
        """
        case = self.case
        if case.job == "transcribe":
            return (transcript_check(case, last, route.endpoint, self._others),)
        out = answer_tokens(case, route.endpoint, route.rates, route.numbers.cap, ZEROS).tokens
        shared = bool(route.demand.again) and case.policy.evidence == "retry"
        evident = (evidence_check(last, *self._retry(route, out), shared=shared),) if route.demand.evident else ()
        if not route.demand.again:
            return evident
        cost, seconds = repair_cost(case, route.rates, route.demand, out[HIGH])
        inputs = (str(StepRef(last.id)),)
        return (
            *evident,
            Check(
                id=step_id("valid_json", "", (), inputs),
                op="valid_json",
                inputs=inputs,
                title="answer against its schema",
                note="one repair call at most",
                estimate=StepEstimate(
                    cost=quantity((0.0, 0.0, cost), "only if invalid", 8),
                    seconds=quantity((0.0, 0.0, seconds), "only if invalid", 3),
                ),
            ),
        )

    def _token_rule_notes(self, route: Route, takes: tuple[NativeInput, ...]) -> tuple[str, ...]:
        """Return the token rules for unconverted media, with their publishers."""
        tools = self._tools(route)
        kinds: set[tuple[Kind, str]] = {
            (each.counted_as or each.kind, each.tokens.basis) for each in takes if each.kind != "text"
        }
        if not kinds:
            return tools
        sources = self.case.index.sheet(route.group, self.case.as_of).sources
        return (*tools, *dict.fromkeys(counting_source(basis, sources.get(kind, "")) for kind, basis in sorted(kinds)))

    def _tools(self, route: Route) -> tuple[str, ...]:
        """Return the line about the request's tools: count, tokens, and evidence that they are supported."""
        case, request = self.case, self.case.request
        if not request.tools:
            return ()
        tokens = case.tools(case.tool_rule(route.group), case.vocabulary(route.group.first.model))
        source = case.index.sheet(route.group, case.as_of).sources.get("tools", "")
        return (tools_text(len(request.tools), tokens, source, route.endpoint.tools),)

    def _native_inputs(self, route: Route) -> tuple[NativeInput, ...]:
        if self.case.job == "transcribe":
            return ()
        model = route.group.first.model
        token_rules = self.case.token_rules(route.group)
        vocabulary = self.case.vocabulary(model)
        if vocabulary not in self._text_inputs:
            self._text_inputs[vocabulary] = _text_file_inputs(self.case, vocabulary)
        found = list(self._text_inputs[vocabulary])
        for bundle, option in zip(self.case.bundles, route.assignment.options, strict=True):
            if option.name == "native" or option.pictures:
                key = (id(option), token_rules)
                if key not in self._media_inputs:
                    self._media_inputs[key] = _native_inputs(bundle, option, token_rules)
                found += self._media_inputs[key]
        inputs = [calibrated_input(self.case, route.group, route.rates, each) for each in found]
        return tuple(sorted(inputs, key=lambda each: each.part))


def _levels_of(case: PlanningCase, route: Route, answer_tokens: AnswerTokens) -> tuple[Levels, Levels]:
    """Return cost and seconds of the last call at all levels; the high ones include the repair."""
    low, high = (
        final_call_cost(case, route.rates, level, route.demand, answer_tokens.tokens[level]) for level in (LOW, HIGH)
    )
    mid = typical_call_cost(case, route.rates, route.demand, answer_tokens)
    more_cost, more_seconds = repair_cost(case, route.rates, route.demand, answer_tokens.tokens[HIGH])
    return (low[0], mid[0], high[0] + more_cost), (low[1], mid[1], high[1] + more_seconds)


def _plain_chars(tokens: Levels) -> Levels:
    return (tokens[0] * CHARS_OF_TOKEN, tokens[1] * CHARS_OF_TOKEN, tokens[2] * CHARS_OF_TOKEN)
