"""Notes about the chosen route."""

from __future__ import annotations

import math

from intermodal.catalog import provenance
from intermodal.catalog.encoder_heads import scores_text
from intermodal.core.hints import command, hint
from intermodal.core.request import DEFAULT_MAX_COST, ScoresOutput
from intermodal.cost_model.levels import HIGH, MID
from intermodal.cost_model.memory import reduced_context
from intermodal.planner.conversion.conversion_outcomes import portion_notes
from intermodal.planner.conversion.script_support import unread_page_notes
from intermodal.planner.conversion.video_options import scene_notes, subtitle_notes
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.planner.route_estimates.call_demand import answer_length
from intermodal.planner.route_estimates.routes import Route
from intermodal.plans.numbers import plain_money, plain_seconds
from intermodal.plans.plan import Candidate
from intermodal.plans.step import (
    Call,
    DescribeImages,
    ExtractSubtitles,
    SampleFrames,
    takes_separate_channels,
)
from intermodal.plans.verdict import joined_names


def plan_notes(case: PlanningCase, chosen_route: Route, candidate: Candidate) -> list[str]:
    """Return the notes by decreasing weight: losses, omitted pages, prices, room, unused input."""
    found = [*candidate.warnings]
    if chosen_route.cost == math.inf:
        limit = case.policy.max_cost
        ends = f", so the default limit of ${limit:g} cannot be checked" if limit == DEFAULT_MAX_COST else ""
        unsaid = chosen_route.endpoint.price_on(case.as_of).unsaid
        if chosen_route.demand.audio[HIGH] and "audio" in chosen_route.endpoint.price_on(case.as_of).unpriced:
            unsaid = unsaid or "sound there"
        why = f", as no price of {unsaid} is known" if unsaid else ""
        found.append(
            f"the price of {joined_names(_without_price(candidate) or [chosen_route.endpoint.id])} "
            f"is not known{why}{ends}"
        )
    stated_limit = case.request.sampling.max_tokens
    full_length = min(answer_length(case), chosen_route.rates.most_out)
    if case.job == "generate" and chosen_route.numbers.cap < (full_length if stated_limit is None else stated_limit):
        instead = "" if stated_limit is None else f", not the {stated_limit:,} that were allowed"
        found.append(
            f"room for {chosen_route.numbers.cap:,.0f} tokens of answer{instead}: {_answer_limit(case, chosen_route)}"
        )
    found += _reasoning_limit_note(case, chosen_route, candidate)
    if not chosen_route.endpoint.context_limit and case.job == "generate":
        found.append(
            f"the context length of {chosen_route.endpoint.id} is unknown; "
            f"{chosen_route.rates.context:,.0f} tokens are assumed"
        )
    found += _tools_perhaps_too_long(case, chosen_route)
    found += _images_perhaps_too_long(case, chosen_route)
    found += _without_question(case, candidate)
    found += _reduced_context_notes(case, candidate)
    found += _started_servers(case, candidate)
    found += _unloaded_converters(candidate)
    if case.request.tools and case.request.tool_choice != "none":
        found.append("a call of a tool ends the run; its result is asked about next, of the same endpoint")
    found += _contradiction_notes(case, chosen_route)
    found += _licence_notes(case, chosen_route)
    found += _missing_requirements(case, candidate)
    found += _unverified_source_notes(case, candidate)
    found += _page_selection_note(case, chosen_route)
    if isinstance(case.request.output, ScoresOutput):
        found.append(scores_text(chosen_route.endpoint.model, independent=case.request.output.independent))
    found += file_notes(case, chosen_route.assignment, candidate)
    found += _channels(case, candidate)
    found += _untranslated_speech_note(case, chosen_route, candidate)
    if case.policy.pages:
        files = [*case.text_files, *(part for part in case.facts.parts if part.kind != "text")]
        unpaged_files = [
            part.name for part in sorted(files, key=lambda each: each.index) if not (part.pages or part.page)
        ]
        if unpaged_files:
            found.append(f"without pages to choose from, taken whole: {joined_names(unpaged_files)}")
    if case.ignored:
        found.append(f"not used for a transcript: {joined_names(list(case.ignored))}")
    return found


def file_notes(case: PlanningCase, assignment: Assignment, candidate: Candidate) -> list[str]:
    """Return the notes on the files themselves: on their content, tracks and earlier readings."""
    names = {part.index: part.name for part in case.facts.parts}
    if case.job == "transcribe":
        names[-1] = case.bundles[0].parts[0].name  # its only call is the last one, which belongs to no part
    return [
        *(f"{part.name}: {note}" for part in case.facts.parts for note in part.notes),
        *_film_notes(case, assignment),
        *portion_notes(candidate.steps, names),
        *unread_page_notes(case, candidate.steps),
    ]


def _page_selection_note(case: PlanningCase, chosen_route: Route) -> list[str]:
    """Return a note on how pages were selected, if some were omitted."""
    ranking = case.facts.ranking
    if ranking is None or not any(option.left_out for option in chosen_route.assignment.options):
        return []
    read = f"{ranking.read:,} of {ranking.pages:,}" if ranking.read < ranking.pages else f"all {ranking.pages:,}"
    what = f"pages were chosen by {ranking.by}, an encoder that read {read} beside the question before this plan"
    return [f"{what} ($0, about {plain_seconds(ranking.seconds.mid)} s)" if ranking.seconds.known else what]


def _untranslated_speech_note(case: PlanningCase, chosen_route: Route, candidate: Candidate) -> list[str]:
    """Return a note if a model gets a transcript in an unsupported language and a transcriber could translate."""
    supported_languages = chosen_route.endpoint.model.languages
    unsupported_languages = sorted(case.languages - set(supported_languages))
    transcribes = any(isinstance(step, Call) and step.op == "transcribe" for step in candidate.steps)
    if (
        case.job != "generate"
        or case.into
        or "en" not in supported_languages
        or not unsupported_languages
        or not transcribes
    ):
        return []
    return [
        hint(
            "{} supports {} only, and the speech is in {}: with {translate=}, speech recognition translates it first",
            chosen_route.endpoint.id, joined_names(supported_languages), joined_names(unsupported_languages), "en",
        )
    ]  # fmt: skip


def _channels(case: PlanningCase, candidate: Candidate) -> list[str]:
    parts = {part.index: part for part in case.facts.parts}
    transcriptions = [step for step in candidate.steps if isinstance(step, Call) and takes_separate_channels(step)]
    names = [parts[step.part].name if step.part >= 0 else case.bundles[0].title for step in transcriptions]
    return [f"speakers of {name} are told apart by its two channels, not within one" for name in names]


def _film_notes(case: PlanningCase, assignment: Assignment) -> list[str]:
    found: list[str] = []
    for bundle, option in zip(case.bundles, assignment.options, strict=True):
        for part, conversion in zip(bundle.parts, option.conversions, strict=True):
            parameters = [step.parameters for step in conversion.steps]
            for each in parameters:
                if isinstance(each, SampleFrames) and each.by_scene and each.most is not None:
                    found += scene_notes(part, each.most)
            if part.subtitles:
                used = {each.track for each in parameters if isinstance(each, ExtractSubtitles)}
                found += subtitle_notes(part, case.policy.language, used)
    return found


def _tools_perhaps_too_long(case: PlanningCase, chosen_route: Route) -> list[str]:
    """Return a note if the tools at their high estimate would exceed the context."""
    needs, context = chosen_route.demand, chosen_route.rates.context
    if not case.request.tools or case.job == "transcribe" or needs.total[HIGH] + chosen_route.numbers.cap <= context:
        return []
    count, (low, _, high) = len(case.request.tools), needs.tools
    return [
        f"{count} tool{'s' * (count > 1)} may take {low:,.0f} to {high:,.0f} tokens of a context of {context:,.0f}; "
        f"how the template of {chosen_route.endpoint.id} writes them is not known, so it may refuse"
    ]


def _images_perhaps_too_long(case: PlanningCase, chosen_route: Route) -> list[str]:
    """Return a note if the images at their high estimate would exceed the context."""
    (low, _, high), context = chosen_route.demand.image, chosen_route.rates.context
    if (
        case.job == "transcribe"
        or chosen_route.demand.one_by_one
        or low == high
        or chosen_route.demand.total[HIGH] + chosen_route.numbers.cap <= context
    ):
        return []
    return [
        f"images may take {low:,.0f} to {high:,.0f} tokens of a context of {context:,.0f}; how many "
        f"{chosen_route.endpoint.id} counts is not known, so it may refuse"
    ]


def _without_price(candidate: Candidate) -> list[str]:
    """Return the endpoints that a route calls at an unknown price."""
    calls = (step for step in candidate.steps if isinstance(step, Call) and not step.estimate.cost.known)
    return list(dict.fromkeys(step.endpoint for step in calls))


def _reasoning_limit_note(case: PlanningCase, chosen_route: Route, candidate: Candidate) -> list[str]:
    """Return a note if twice the usual reasoning leaves no room for a usual answer within the limit."""
    thought, cap = candidate.answering.estimate.thought_tokens, chosen_route.numbers.cap
    usual = chosen_route.rates.thought[MID]
    if not thought.high or cap >= case.ranked_answer + _USUAL_REASONING_FACTOR * usual:
        return []
    return [
        hint(
            "{} thinks before it answers, usually {} tokens ({}), and the limit of {} counts them: it may end without "
            "a word ({max-tokens} allows more)",
            chosen_route.endpoint.id,
            f"{usual:,.0f}",
            thought.basis,
            f"{cap:,.0f}",
        )
    ]


_USUAL_REASONING_FACTOR = 2.0  # factor on the usual reasoning, which half of all questions exceed


def _answer_limit(case: PlanningCase, chosen_route: Route) -> str:
    """Return what limits the length of the answer."""
    cap = chosen_route.numbers.cap
    if cap >= chosen_route.rates.most_out:
        return "it writes no more"
    if chosen_route.demand.total[HIGH] + cap + 1 > chosen_route.rates.context:
        return f"the rest of the context of {chosen_route.rates.context:,.0f} is taken"
    deadline = case.policy.deadline
    if deadline is not None and chosen_route.numbers.seconds_high > 0.9 * deadline:
        return f"more might take longer than {deadline:g} s"
    return f"more might cost over ${plain_money(case.policy.max_cost)}"


def _without_question(case: PlanningCase, candidate: Candidate) -> list[str]:
    """Return notes on describers that do not get the question, because it is private."""
    steps = (
        [step for step in candidate.steps if isinstance(step, Call) and step.op == "describe"]
        if case.question_parts
        else []
    )
    describers = dict.fromkeys(
        step.endpoint for step in steps if not DescribeImages.parameters_of(step).question_digest
    )
    return [f"{describer} describes without the question, which is private" for describer in describers]


def _started_servers(case: PlanningCase, candidate: Candidate) -> list[str]:
    """Return notes on servers that this run would start and leave running, its only lasting effect."""
    found: dict[str, str] = {}
    for step in candidate.steps:
        endpoint = case.index.catalog.by_id.get(step.endpoint) if isinstance(step, Call) else None
        if endpoint is None or endpoint.host.protocol != "started" or endpoint.id in case.loaded:
            continue
        found[endpoint.host.id] = (
            f"{endpoint.host.id} is not running: the run starts it ({plain_seconds(endpoint.speed.load.mid)} s, "
            f"{endpoint.memory.mid / (1 << 30):.1f} GiB of memory, up to {endpoint.memory.high / (1 << 30):.1f}, "
            f"{endpoint.memory.basis}) "
            "and leaves it up for others, until it is idle"
        )
    return list(found.values())


def _reduced_context_notes(case: PlanningCase, candidate: Candidate) -> list[str]:
    """Return notes on models loaded with a reduced context for lack of memory."""
    used = dict.fromkeys(step.endpoint for step in candidate.steps if isinstance(step, Call))
    found = (case.index.catalog.by_id.get(each) for each in used)
    return [
        f"{endpoint.id} runs with a context of {endpoint.context:,} tokens: "
        f"{reduced_context(endpoint.uncut, case.machine.free)}"
        for endpoint in found
        if endpoint is not None and endpoint.uncut is not None
    ]


def _unloaded_converters(candidate: Candidate) -> list[str]:
    """Return a note on converters that are unloaded before the answer."""
    if not candidate.ends:
        return []
    names = " and ".join(candidate.ends)
    return [f"{names} {'ends' if len(candidate.ends) == 1 else 'end'} before the answer: there is no memory for both"]


def _licence_notes(case: PlanningCase, chosen_route: Route) -> list[str]:
    """Return a note if commercial use is requested and the licence of local weights is unknown.

    Hosts serve under their own terms.
    """
    model = chosen_route.endpoint.model
    if case.policy.licence == "any" or model.permits or chosen_route.group.remote:
        return []
    return [hint("it is unknown what the licence of {} permits, and commercial use is asked for ({licence})", model.id)]


def _contradiction_notes(case: PlanningCase, chosen_route: Route) -> list[str]:
    """Return notes on contradictions between sources about the inputs of the model."""
    input_kinds = {kind for option in chosen_route.assignment.options for kind in option.kinds} | {
        bundle.kind for bundle in case.bundles
    }
    return [
        f"sources differ on {chosen_route.endpoint.id}: {provenance.describe_dispute(doubt)}"
        for doubt in provenance.disputes_about(chosen_route.endpoint.doubts, input_kinds)
    ]


def _missing_requirements(case: PlanningCase, candidate: Candidate) -> list[str]:
    """Return what is missing before a plan can run, such as a key."""
    called = (case.index.catalog.by_id[step.endpoint] for step in candidate.steps if isinstance(step, Call))
    return list(
        dict.fromkeys(
            hint("cannot run yet: {} ({})", each.missing, command(each.todo)) for each in called if each.missing
        )
    )


def _unverified_source_notes(case: PlanningCase, candidate: Candidate) -> list[str]:
    """Return a note on endpoints whose facts rest on an unverified source."""
    found: list[str] = []
    for step in candidate.steps:
        endpoint = case.index.catalog.by_id.get(step.endpoint) if isinstance(step, Call) else None
        if endpoint is None or not endpoint.evidence.source:
            continue
        if not (endpoint.evidence.checked and endpoint.model.evidence.checked) and endpoint.id not in found:
            found.append(endpoint.id)
    return [f"unverified: the catalog's facts about {joined_names(found)} (intermodal models show)"] if found else []
