"""The rules that exclude an endpoint from a plan: plain functions in one ordered tuple, ``RULES``.

A rule returns "" if it is satisfied, otherwise the reason in words. Rules have three stages, by what is known at each:

    endpoint   a group of endpoints doing one job               before any route is considered
    option     a bundle of parts reaching a group of endpoints  one conversion option of many
    route      a complete route with its numbers                after pricing

The first violated rule is the reason. To add a rule, add a function and a line in ``RULES``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

from msgspec import Struct

from intermodal.catalog import provenance
from intermodal.catalog.encoder_heads import unknown_labels
from intermodal.catalog.image_options import EDITS, supported_image_options
from intermodal.catalog.schema_enforcement import is_schema_guaranteed
from intermodal.catalog.types import UNSUPPORTED_TOOL_CHOICES, FullContext
from intermodal.core.hints import command, consent_to, hint, release
from intermodal.core.request import ZONES, JsonOutput, ScoresOutput, Zone
from intermodal.cost_model.memory import fits_in_memory, reduced_context
from intermodal.cost_model.request_limits import MediaAmounts, RequestLimits, exceeded_limit
from intermodal.planner.catalog_index import EndpointGroup, Job, needs_consent, tier_name
from intermodal.planner.conversion.conversion_option import ConversionOption, native_refusal
from intermodal.planner.conversion.conversion_outcomes import may_redo
from intermodal.planner.eligibility.usage_terms import terms_rejection as refused_by_wish
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.image_generation import unsupported_by_host, unsupported_by_model
from intermodal.plans.numbers import plain_money
from intermodal.plans.verdict import joined_names

_MAKES: dict[str, str] = {
    "generate": "it answers in text",
    "transcribe": "it turns speech into text",
    "read": "it reads text from images",
    "describe": "it describes images",
    "speak": "it speaks text",
    "score": "it scores labels",
    "embed": "it makes embeddings",
    "draw": "it draws images",
}
_IS: dict[str, str] = {
    "text": "text", "image": "an image", "audio": "a recording", "video": "a video", "document": "a document",
}  # fmt: skip
_COMPUTES: dict[Zone, str] = {
    "process": "in a process of this machine",
    "machine": "on this machine",
    "network": "in your network",
    "internet": "on the internet",
}
_ZONE_LIMITS: dict[Zone, str] = {
    "process": "intermodal's own processes",
    "machine": "this machine",
    "network": "your network",
}


class PricedRoute(Struct, gc=False):
    """The figures of a complete route that route rules read.

    ``tokens`` and ``answer``: high estimate of the input, and the room reserved for the answer. ``context_known``:
    False if the endpoint does not state its context length. ``own_tier``: strength of the answering endpoint, compared
    with ``floor``; ``tier``: strength of the weakest link. ``cut``: the room for reasoning was reduced to meet a limit,
    and the high figures are for that answer. ``uncut``: the full context that the endpoint would offer with more
    memory.
    """

    cost: float
    cost_high: float
    seconds: float
    seconds_high: float
    tokens: float
    answer: float
    context: float
    context_known: bool
    pictures: int
    max_images: int | None
    memory: float
    limits: RequestLimits | None
    media_amounts: MediaAmounts
    tier: int
    own_tier: int
    cut: bool
    floor: int
    uncut: FullContext | None = None


# ---- endpoint ---------------------------------------------------------------------------------


def output(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Require that the group can do the job."""
    if job in group.jobs:
        return ""
    if group.first.model.ranks:
        return "it ranks passages, for intermodal rerank; this request asks for another output"
    actual_output = (
        _MAKES.get(group.jobs[0], "it does something else") if group.jobs else "it has no task intermodal can drive"
    )
    return f"{actual_output}; this request asks for another output"


def model(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Require that the named model answers."""
    if case.named_endpoints is None or job != case.job or any(e.id in case.named_endpoints for e in group.members):
        return ""
    return other_model_named(case)


def other_model_named(case: PlanningCase) -> str:
    """Return the reason for rejecting an endpoint that is not the named model."""
    return f"another model was named ({case.policy.model})"


def not_ready(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    first = group.first
    if first.ready:
        return ""
    missing = first.missing or "not ready"
    return hint("{}: {}", missing, command(first.todo)) if first.todo else missing


def consent(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Require consent for remote hosts. A key in the environment makes a host known, but is not consent."""
    if not needs_consent(group.first) or group.first.host.id in case.consented:
        return ""
    name = group.first.host.id
    return hint("no consent for host {}: {}", name, consent_to(name))


def zone(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    place, farthest = group.first.host.zone, case.policy.farthest
    if ZONES.index(place) <= ZONES.index(farthest):
        return ""
    return f"computes {_COMPUTES[place]}, and nothing may leave {_ZONE_LIMITS.get(farthest, farthest)}"


def language(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Require a stated spoken language for monolingual transcribers, which produce fluent nonsense for any other."""
    languages = group.first.model.languages
    if job != "transcribe" or not languages or (case.named_endpoints is not None and case.job == "transcribe"):
        return ""
    spoken_languages = case.languages
    if spoken_languages and spoken_languages <= frozenset(languages):
        return ""
    first = next((bundle for bundle in case.bundles if bundle.kind in ("audio", "video")), None)
    name = first.title if first is not None else "the recording"
    verb = "are" if first is not None and len(first.parts) > 1 else "is"
    supported = ", ".join(languages)
    if spoken_languages:
        return f"transcribes only {supported}, and {name} {verb} {', '.join(sorted(spoken_languages))}"
    return hint(
        "transcribes only {}, and the language of {} is not stated (if it is {}: {language=})",
        supported,
        name,
        languages[0],
        languages[0],
    )


def translation(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Require that the target language is supported.

    A translating transcriber must support it as its output; a translating model must support both languages.
    """
    first, into = group.first, case.into
    if job == "transcribe" and into and into not in first.translates:
        target_languages = ", ".join(first.translates)
        if target_languages:
            return f"translates speech into {target_languages} only, and {into} is asked for"
        route_note = (
            f": it is not stated that {first.host.id} has /audio/translations" if first.model.translates else ""
        )
        return f"transcribes and does not translate{route_note}"
    if job != case.job or not case.translating or not first.model.languages:
        return ""
    unknown = sorted((case.languages | {case.translating}) - set(first.model.languages))
    supported = joined_names(first.model.languages)
    if unknown:
        return f"supports {supported} only, and {joined_names(unknown)} is needed"
    return f"supports {supported} only, so it cannot translate" if len(first.model.languages) == 1 else ""


def already_transcribed(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """After a transcript that failed as an answer, require a better transcriber."""
    if job != "transcribe" or case.job != "transcribe":
        return ""
    for bundle in case.bundles:
        for part in bundle.parts:
            for outcome in part.outcomes:
                if outcome.problem and outcome.op == job and not may_redo(case, group.first, outcome):
                    return f"transcribed {part.name} already, or is no better than what did ({outcome.endpoint})"
    return ""


def rationed(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Exclude free tiers under ``best`` and ``cheapest`` unless the policy allows them.

    They may be exhausted when the plan runs.
    """
    objective = case.without_free_tiers
    if not group.first.is_free_tier or not objective:
        return ""
    if (
        case.named_endpoints is not None
        and job == case.job
        and any(e.id in case.named_endpoints for e in group.members)
    ):
        return ""
    return hint("a free tier, which is rationed: not taken for {} unless asked for ({free-tiers})", objective)


def conditions(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Require the stated licence, region and retention of every endpoint that receives data."""
    return refused_by_wish(group.first, case.policy)


def tools(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Exclude endpoints that do not accept tools, or whose protocol cannot express the tool choice.

    Tools are not emulated.
    """
    request, first = case.request, group.first
    if not request.tools or job != case.job or request.tool_choice == "none":
        return ""
    if first.tools.takes is False:
        return "takes no tools"
    unsayable = UNSUPPORTED_TOOL_CHOICES.get(first.host.protocol, ())
    if not request.parallel_tools and "one at a time" in unsayable:
        return "its wire cannot say that tools be called one at a time"
    if request.tool_choice == "required" and "must" in unsayable:
        return "its wire cannot say that a tool must be called"
    if case.schema_by(group) in ("told", "forced") and first.tools.with_json is False:
        return "takes no tools beside a forced schema"
    return ""


def schema(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Require schema enforcement if the request is strict. A prompted and checked answer is not sufficient."""
    output = case.request.output
    if job != case.job or not isinstance(output, JsonOutput) or not output.strict:
        return ""
    if is_schema_guaranteed(group.first.host, output.schema, case.closable):
        return ""
    return "is not held to this JSON schema by its wire, and the request wants that (strict)"


def labels(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Require labels that the model can score.

    A head knows its own labels; a chat model chooses among a limited number of lettered labels.
    """
    output = case.request.output
    if job != "score" or not isinstance(output, ScoresOutput):
        return ""
    model = group.first.model
    if output.independent and not (model.independent or model.entails):
        return "is not known to judge each label by itself: it chooses one among all"
    if model.classifies:
        unknown = unknown_labels(output.labels, model.labels)
        verb = "is no label" if len(unknown) == 1 else "are no labels"
        return (
            f"{joined_names(unknown)} {verb} of its head, which knows {joined_names(model.labels)}" if unknown else ""
        )
    if model.fills_masks:
        return (
            "" if case.named_endpoints is not None else hint("says which word is masked: for that, name it ({model})")
        )
    if not output.labels:
        return hint("has no labels of its own: give some ({labels})")
    if not model.answers_in_words:
        return ""
    most = 26 if "many_logprobs" in group.first.host.quirks else 20
    if len(output.labels) <= most:
        return ""
    return f"scores {most} labels at once, and there are {len(output.labels)}"


def matched(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Exclude contrastive models from text-only jobs, because their text encoders are for captions of a few words."""
    if job != case.job or job not in ("score", "embed") or not group.first.model.matches_images or case.bundles:
        return ""
    if job == "score":
        return "scores labels against images, and there is none"
    return (
        ""
        if case.named_endpoints is not None
        else hint("its vectors of words are for finding images: for those, name it ({model})")
    )


def drawing(group: EndpointGroup, job: Job, case: PlanningCase) -> str:
    """Exclude hosts whose protocol has no field for a stated image setting."""
    if job != "draw":
        return ""
    return unsupported_by_host(group.first.host, case.request) or unsupported_by_model(
        group.first.model.diffusion, case.request, case.facts
    )


# ---- option --------------------------------------------------------------------------------------


def modality(group: EndpointGroup, option: ConversionOption, bundle: Bundle, case: PlanningCase) -> str:
    for kind in () if group.remote else ("video", "document"):
        if kind in option.kinds:
            return f"{bundle.title} is {_IS[kind]}, and nothing on this machine is given a whole one: it is taken apart"
    if option.kinds <= group.inputs:
        return ""
    missing = sorted(option.kinds - group.inputs)
    doubted = "".join(
        f" ({provenance.describe_dispute(each)})" for each in provenance.disputes_about(group.first.doubts, missing)
    )
    return f"takes {', '.join(sorted(group.inputs))}; {bundle.title} is {_IS[bundle.kind]}{doubted}"


def privacy(group: EndpointGroup, option: ConversionOption, bundle: Bundle, case: PlanningCase) -> str:
    """Keep private parts and all data derived from them on this machine, unless released."""
    if not bundle.private or not group.remote:
        return ""
    if option.name in ("native", "resized", "read_along") or (option.name == "frames" and bundle.image_private):
        return f"{bundle.kind} may not leave this machine ({bundle.title} is private)"
    if "text" in option.kinds and bundle.text_private:
        return hint("{} is private, and so is its text ({})", bundle.title, release(f"{bundle.kind}:text"))
    if "image" in option.kinds and bundle.image_private:
        what = "images of its pages" if bundle.kind == "document" else "its images"
        return f"{bundle.title} is private, and so are {what}"
    if "audio" in option.kinds and bundle.sound_private:
        return hint("{} is private, and so is its sound ({})", bundle.title, release(f"{bundle.kind}:audio"))
    return ""


def as_it_is(group: EndpointGroup, option: ConversionOption, bundle: Bundle, case: PlanningCase) -> str:
    """Exclude unconverted media that the vendor is known to reject."""
    reason = native_refusal(option, case.token_rules(group)) if option.odd or option.name == "native" else ""
    return hint("{}: {}", bundle.title, reason) if reason else ""


_DOING = {
    "native": "sending it as it is", "transcribe": "transcribing", "read": "reading", "describe": "describing",
    "both": "reading and describing", "extract": "extracting text", "watch": "taking it apart",
    "figured": "putting its figures in words", "read_along": "sending it as it is, with the text read from it",
}  # fmt: skip


def keep(group: EndpointGroup, option: ConversionOption, bundle: Bundle, case: PlanningCase) -> str:
    """Reject options that lose a stated aspect."""
    if not case.request.policy.keep:
        return ""
    lost = [aspect for aspect in case.policy.keep if aspect in option.loses]
    if not lost:
        return ""
    return hint(
        "{} loses {} of {}, which {keep} asks for",
        _DOING.get(option.name, "this way"),
        " and ".join(lost),
        bundle.title,
    )


def labelled(group: EndpointGroup, option: ConversionOption, bundle: Bundle, case: PlanningCase) -> str:
    """If labels are scored against a part, reject options that lose an aspect that the labels depend on."""
    if not option.lost:
        return ""
    if (
        group.first.model.matches_images and bundle.kind == "image"
    ):  # it comes after the models that read, if the image looks like print
        return ""
    lost = joined_names(option.missed)
    return f"labels go by {lost} of {bundle.title}, and {_DOING.get(option.name, 'this way')} loses it"


def as_images(group: EndpointGroup, option: ConversionOption, bundle: Bundle, case: PlanningCase) -> str:
    """Require that contrastive models receive images, not text about them."""
    if not group.first.model.matches_images or option.kinds == {"image"}:
        return ""
    return f"compares images, and {_DOING.get(option.name, 'this way')} makes something else of {bundle.title}"


def drawn_from(group: EndpointGroup, option: ConversionOption, bundle: Bundle, case: PlanningCase) -> str:
    """Reject options that convert the input image of an image generation to text."""
    if bundle.kind != "image":
        return ""
    if option.name == "native":
        edits = EDITS in supported_image_options(group.first.host)
        return "" if edits else f"draws from words alone, and {bundle.title} is an image"
    return f"{bundle.title} is an image to be drawn from, and words about it would make another"


# ---- route ------------------------------------------------------------------------------------


def images(priced: PricedRoute, case: PlanningCase) -> str:
    if priced.max_images is None or priced.pictures <= priced.max_images:
        return ""
    return f"takes {priced.max_images} images a request, and there are {priced.pictures}"


def media(priced: PricedRoute, case: PlanningCase) -> str:
    """Reject media beyond the published limits of the model's family."""
    return exceeded_limit(priced.limits, priced.media_amounts, priced.context) if priced.limits is not None else ""


def context(priced: PricedRoute, case: PlanningCase) -> str:
    """Reject input that does not fit the context. Input is counted before sending and never truncated silently."""
    if priced.tokens + priced.answer <= priced.context:
        return ""
    assumption = "" if priced.context_known else " (assumed: its context length is unknown)"
    if priced.tokens == float("inf"):
        return f"the number of tokens is unknown, and it holds {priced.context:,.0f}{assumption}"
    count = len(case.request.tools)
    tools = f" with {count} tool{'s' * (count > 1)}" if count else ""  # chat programs send dozens, unasked
    tools += " at their fewest" if case.hopeful else ""
    answer = f" and {priced.answer:,.0f} for the answer" if priced.answer else ""
    short = f", as {reduced_context(priced.uncut, case.machine.free)}" if priced.uncut is not None else ""
    return f"needs up to {priced.tokens:,.0f} tokens{tools}{answer}; holds {priced.context:,.0f}{assumption}{short}"


def memory(priced: PricedRoute, case: PlanningCase) -> str:
    if fits_in_memory(case.machine, priced.memory):
        return ""
    gib = 2**30
    return f"needs {priced.memory / gib:.1f} GiB of memory, and {case.machine.free / gib:.1f} GiB are free"


def unknown_price(priced: PricedRoute, case: PlanningCase) -> str:
    """Reject an unknown price if the user set a limit. Under the default limit it sorts last and is noted."""
    if priced.cost_high < float("inf") or case.policy.takes_unknown_prices:
        return ""
    return f"its price is not known, and the limit is ${plain_money(case.policy.max_cost)}"


def max_cost(priced: PricedRoute, case: PlanningCase) -> str:
    if priced.cost_high <= case.policy.max_cost or priced.cost_high == float("inf"):
        return ""
    high = f"${plain_money(priced.cost_high)}{_reduced_answer_note(priced)}"
    return hint("would cost up to {}, and the limit is ${} ({max-cost})", high, plain_money(case.policy.max_cost))


def deadline(priced: PricedRoute, case: PlanningCase) -> str:
    limit = case.policy.deadline
    if limit is None or priced.seconds_high <= limit:
        return ""
    return (
        f"would take up to {priced.seconds_high:.3g} s{_reduced_answer_note(priced)}, and the deadline is {limit:g} s"
    )


def _reduced_answer_note(priced: PricedRoute) -> str:
    """Return the qualification of a high figure that refers to a reduced answer; "" otherwise."""
    return f" with no more than {priced.answer:,.0f} tokens of thought and answer" if priced.cut else ""


def floor(priced: PricedRoute, case: PlanningCase) -> str:
    """Require the strength floor: the stated one, or the default one as lowered by ``strength_floors.py``."""
    return "" if priced.own_tier >= priced.floor else below_floor(case, priced.floor)


def below_floor(case: PlanningCase, place: int, job: Job = "generate") -> str:
    """Return the reason for a missed floor; for the default floor, with the option that admits weaker endpoints."""
    name = tier_name(place)
    if case.policy.at_least is not None:
        return f"below the floor {name}{_AS.get(job, '')}"
    return hint(
        "below the default strength {}{} (change it with {at-least})",
        name,
        _AS.get(job, ""),
    )


_AS: dict[Job, str] = {
    "transcribe": " for speech recognition",
    "read": " for text recognition",
    "describe": " for describing images",
}


class Rule(Struct, frozen=True):
    """A rule. ``name``: the stable word used in ``Rejected.rule``. ``jobs``: the jobs it applies to, () for all."""

    name: str
    stage: Literal["endpoint", "option", "route"]
    check: Callable[..., str]
    jobs: tuple[Job, ...] = ()


RULES: tuple[Rule, ...] = (
    Rule("output", "endpoint", output),
    Rule("model", "endpoint", model),
    Rule("consent", "endpoint", consent),  # first: without consent, no other property of a host matters
    Rule("not_ready", "endpoint", not_ready),
    Rule("zone", "endpoint", zone),
    Rule("conditions", "endpoint", conditions),
    Rule("rationed", "endpoint", rationed),
    Rule("language", "endpoint", language),
    Rule("translation", "endpoint", translation),
    Rule("heard", "endpoint", already_transcribed),
    Rule("labels", "endpoint", labels),
    Rule("matched", "endpoint", matched),
    Rule("tools", "endpoint", tools),
    Rule("schema", "endpoint", schema),
    Rule("drawing", "endpoint", drawing),
    Rule("modality", "option", modality),
    Rule("privacy", "option", privacy),
    Rule("refused", "option", as_it_is),
    Rule("keep", "option", keep),
    Rule("labelled", "option", labelled, ("score",)),
    Rule("as_images", "option", as_images, ("score", "embed")),
    Rule("drawn_from", "option", drawn_from, ("draw",)),
    Rule("floor", "route", floor),
    Rule("images", "route", images),
    Rule("media", "route", media),
    Rule("context", "route", context),
    Rule("memory", "route", memory),
    Rule("unknown_price", "route", unknown_price),
    Rule("max_cost", "route", max_cost),
    Rule("deadline", "route", deadline),
)
_ORDER = {rule.name: place for place, rule in enumerate(RULES)}
_ENDPOINT = tuple((rule.name, rule.check) for rule in RULES if rule.stage == "endpoint")
_OPTION_RULES: dict[Job, tuple[tuple[str, Callable[..., str]], ...]] = {
    job: tuple(
        (rule.name, rule.check) for rule in RULES if rule.stage == "option" and (not rule.jobs or job in rule.jobs)
    )
    for job in get_args(Job)
}
_ROUTE = tuple((rule.name, rule.check) for rule in RULES if rule.stage == "route")

Reason = tuple[str, str]  # rule, words


def endpoint_rejection(group: EndpointGroup, job: Job, case: PlanningCase, *, consented: bool = False) -> Reason | None:
    """Return why a group cannot do a job; None if it can. ``consented``: assume consent for its host."""
    for name, check in _ENDPOINT:
        reason = "" if consented and name == "consent" else check(group, job, case)
        if reason:
            return name, reason
    return None


def option_rejection(
    group: EndpointGroup, option: ConversionOption, bundle: Bundle, case: PlanningCase
) -> Reason | None:
    for name, check in _OPTION_RULES[case.job]:
        reason = check(group, option, bundle, case)
        if reason:
            return name, reason
    return None


def route_rejection(priced: PricedRoute, case: PlanningCase) -> Reason | None:
    for name, check in _ROUTE:
        reason = check(priced, case)
        if reason:
            return name, reason
    return None


def rule_order(rule: str) -> int:
    """Return the index of a rule. The later the rule that rejects, the nearer the miss."""
    return len(RULES) if rule == "named" else _ORDER.get(rule, -1)
