"""Decide on a kind of model: plan every use at every place and compare the plans. Pure.

The last section derives the path to the decision: questions with answers, whether the label matters, and why the other
uses lost.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Literal

import msgspec
from msgspec import Struct

from intermodal.advisor.advice import Advice, AdviceStep, DecisionFork, OfferPlace, RouteOffer, RoutePick, UseOffers
from intermodal.advisor.break_even import break_even, capacity, own_cost, requests_at_once
from intermodal.advisor.candidate_catalog import CONTEXT_EACH, OWN_SERVER, CandidateCatalog
from intermodal.advisor.model_uses import RECOGNITION, TITLES, ModelUse, UseName, job_of, narrow_catalog, use_of, uses
from intermodal.advisor.question import DAYS, LABELS, OPTION_NAMES, PROMPT, AdviceQuestion, check, hypothetical_request
from intermodal.catalog import provenance
from intermodal.catalog.shipped_rows import describe_data_policy
from intermodal.catalog.types import Catalog, Endpoint
from intermodal.core.content import Kind as Content
from intermodal.core.hints import action, hint, join_sentences
from intermodal.core.quantity import exact, unknown
from intermodal.core.request import TIERS, Request
from intermodal.errors import NoRoute
from intermodal.planner import plan_without_id
from intermodal.planner.eligibility.strength_floors import DEFAULT_FLOOR, is_floor_missed
from intermodal.planner.explanation.plan_text import nearest_keeper_text
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.explain import fold_rejections
from intermodal.plans.facts import Facts
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import plain_money, plain_seconds, with_noun
from intermodal.plans.plan import Candidate, Plan
from intermodal.plans.statistics import NO_STATISTICS, Statistics
from intermodal.plans.step import Call
from intermodal.plans.verdict import VerdictName
from intermodal.questions.keyword_needs import needs_from_keywords
from intermodal.sizing.machines import rental_words
from intermodal.sizing.memory import memory_floor

OTHERS, REASONS = 2, 3


class QuestionPlanner(Struct):
    """The inputs that all plans of one question share."""

    question: AdviceQuestion
    request: Request
    facts: Facts
    catalog: Catalog
    as_of: str
    statistics: Statistics
    no_host: str = ""  # why no candidate remains, "" if some do

    @property
    def machine(self) -> Machine:
        return self.question.hardware.machine

    def with_answers(self) -> QuestionPlanner:
        """Return a planner that requires a model to answer, even if recognised text alone would be enough."""
        needs = self.facts.question or needs_from_keywords(self.question.prompt)
        needs = msgspec.structs.replace(needs, words_alone=())
        return msgspec.structs.replace(self, facts=msgspec.structs.replace(self.facts, question=needs))

    def plan(self, catalog: Catalog, request: Request) -> Plan:
        """Return the best plan, with local endpoints limited to the time they have.

        If money alone ranks, local routes cost nothing and would always win. An endpoint is therefore used only for as
        many requests as it can answer in its spare time, or in a month if the hardware was stated for this purpose.
        """
        plan = self.plan_without_volume(catalog, request)
        while (
            self.question.by_bill
            and request.policy.farthest == "internet"
            and (busy := self._overloaded_endpoints(plan))
        ):
            every = tuple(_without_time(each) if each.id in busy else each for each in catalog.endpoints)
            catalog = catalog.among(every)
            try:
                plan = self.plan_without_volume(catalog, request)
            except NoRoute:
                break
        return plan

    def plan_without_volume(self, catalog: Catalog, request: Request) -> Plan:
        """Return the best plan regardless of the volume: several machines can do what one cannot."""
        return plan_without_id(request, self.facts, catalog, self.machine, self.statistics, self.as_of)

    def _overloaded_endpoints(self, plan: Plan) -> frozenset[str]:
        """Return the local endpoints of a plan that cannot keep up with the volume, one request at a time.

        If each of them could by itself, but not one after the other, it is the slowest.
        """
        volume = self.question.volume
        busy: dict[str, float] = {}
        for step in plan.chosen.steps:
            if isinstance(step, Call) and self.catalog.by_id[step.endpoint].host.zone in LOCAL_ZONES:
                seconds = step.estimate.seconds.mid * (0.0 if volume is None else volume.per_month)
                busy[step.endpoint] = busy.get(step.endpoint, 0.0) + seconds
        free = {id: self._free(self.catalog.by_id[id]) for id in busy}
        over = frozenset(id for id, seconds in busy.items() if seconds > free[id])
        if not over and busy and sum(busy.values()) > min(free.values()):
            return frozenset({max(busy, key=busy.__getitem__)})
        return over

    def _free(self, endpoint: Endpoint) -> float:
        """Return the seconds per month that a local endpoint may be busy."""
        lent = endpoint.host.zone == "process" and not self.question.hardware.is_stated
        alone = MONTH * (self.question.hardware.users if endpoint.host is OWN_SERVER else 1)
        return MONTH * ALSO_MADE if lent else alone


def _without_time(endpoint: Endpoint) -> Endpoint:
    """Return the endpoint as unusable; it stays in the catalog, so that the plan can state the reason."""
    return msgspec.structs.replace(endpoint, ready=False, missing=NO_TIME, todo="")


NO_TIME = "too slow for that many requests"


def decide(
    question: AdviceQuestion, offers: CandidateCatalog, as_of: str, statistics: Statistics = NO_STATISTICS
) -> Advice:
    """Return advice for a question, and for each further output.

    Args:
        as_of: date of the prices, ISO.
        statistics: of earlier runs, if the question is about the machine they ran on.

    Raises:
        UsageError: the question contradicts itself.
        NoRoute: no available model answers such a request; ``reasons`` say why.
    """
    answer, *others = [
        _advise(msgspec.structs.replace(question, makes=makes, beside=()), offers, as_of, statistics)
        for makes in (question.makes, *question.beside)
    ]
    return msgspec.structs.replace(answer, beside=tuple(others))


def _advise(question: AdviceQuestion, offers: CandidateCatalog, as_of: str, statistics: Statistics) -> Advice:
    """Return advice for one output."""
    check(question)
    request, facts = hypothetical_request(question)
    planning = QuestionPlanner(question, request, facts, offers.catalog, as_of, statistics, _no_host(question, offers))
    best = _deciding_plan(planning, offers.catalog)
    best_offer = offer(planning, best, _offer_place(best.chosen, offers.catalog))
    decided = use_of(best, question.makes)
    merged_uses = _merge_uses([_kind(planning, use, decided, best_offer) for use in uses(question)])
    merged_uses = [_with_deciding_route(kind, best_offer) if kind.use == decided else kind for kind in merged_uses]
    if all(kind.use != decided for kind in merged_uses):  # a use that ``uses`` did not list
        merged_uses.append(UseOffers(use=decided, title=TITLES[decided], offers=(best_offer,)))
    merged_uses = [
        msgspec.structs.replace(kind, lost=not_chosen_reason(question, kind, decided, best_offer))
        for kind in merged_uses
    ]
    picks = _picks(planning, offers, best_offer, decided)
    return Advice(
        by=_ranking_words(question, merged_uses, picks),
        best=picks,
        otherwise=_pick_for_latency(planning, picks[0]),
        headline=best.headline,
        verdict=best.verdict,
        use=decided,
        place=best_offer.place,
        endpoint=best_offer.endpoint,
        reason=_reason(question, decided, best_offer, merged_uses, best.verdict.value),
        matters=why_labels_do_not_matter(question, merged_uses, decided, best_offer),
        kinds=tuple(merged_uses),
        path=decision_path(question, merged_uses, decided, best_offer, best.verdict.value),
        break_even=break_even(question, next(kind for kind in merged_uses if kind.use == decided), merged_uses),
        stated=_question_words(question),
        assumed=_assumptions(question),
        sources=(*_sources(question, offers), *(f"counted: {line}" for line in best.chosen.counted)),
        notes=tuple(note.partition("; for better:")[0] for note in best.notes),  # everything was considered already
        rejected=_rejection_reasons(best),
        volume=question.volume,
        owned=question.owned,
        as_of=as_of,
        catalog=offers.catalog.version,
    )


MOST_PICKS = 3
MONTH = DAYS * 86_400.0  # seconds
ALSO_MADE = 0.05  # share of a month: spare time of a machine that has other work


def _deciding_plan(planning: QuestionPlanner, catalog: Catalog) -> Plan:
    """Return the best plan over a catalog.

    If hosts' bills rank, a server that would have to be bought first is considered only if its hardware was stated, and
    with its monthly cost if that was stated too. The break-even gives the price at which it pays. Otherwise such a
    server is chosen only over routes that lose needs or miss the strength floor.
    """
    question, request, job = planning.question, planning.request, job_of(planning.question)
    every = narrow_catalog(catalog, None, job, "here" if question.local else "any")
    if not question.by_bill:
        return planning.plan(every, request)
    found: list[Plan] = []
    available = tuple(each for each in every.endpoints if question.hardware.is_stated or each.host is not OWN_SERVER)
    for some in (every.among(available), narrow_catalog(catalog, None, job, "hosted")):
        with suppress(NoRoute):
            found.append(planning.plan(some, request))
    if not found:
        return planning.plan(every, request)
    bills = [offer(planning, each, _offer_place(each.chosen, planning.catalog)).per_month for each in found]
    dearer = len(found) > 1 and all(bill.known for bill in bills) and bills[1].mid < bills[0].mid
    best = found[1] if dearer and _shortfall(found[1]) <= _shortfall(found[0]) else found[0]
    return _plan_above_floor(planning, every, best)


def _plan_above_floor(planning: QuestionPlanner, every: Catalog, best: Plan) -> Plan:
    """Return the plan, or one with a smaller shortfall if it loses needs or misses the strength floor.

    The alternatives include servers that would have to be bought: first one machine, then any number.
    """
    for among in (planning.plan, planning.plan_without_volume):
        if _shortfall(best) == (0, 0):
            break
        wider = among(every, planning.request)
        best = min(_plan_keeping_content(best, wider), wider, key=_shortfall)
    return best


def _plan_keeping_content(best: Plan, wider: Plan) -> Plan:
    """Add to a plan the route that would keep its losses, if only the whole catalog has one."""
    if best.verdict.value != "not_enough" or best.verdict.keeps is not None:
        return best
    verdict = msgspec.structs.replace(best.verdict, keeps=wider.verdict.keeps)
    headline = f"{best.headline.removesuffix(nearest_keeper_text(best.verdict))}{nearest_keeper_text(verdict)}"
    return msgspec.structs.replace(best, verdict=verdict, headline=headline)


def _shortfall(plan: Plan) -> tuple[int, int]:
    """Return how many tiers a plan is below the floor, and how many needs it loses: (0, 0) for none."""
    short = DEFAULT_FLOOR - TIERS.index(plan.chosen.tier) if is_floor_missed(plan.notes) else 0
    return max(0, short), plan.chosen.lost


def _picks(
    planning: QuestionPlanner, offers: CandidateCatalog, deciding: RouteOffer, decided: UseName
) -> tuple[RoutePick, ...]:
    """Return the decision, and the next choices without the models before them."""
    question = planning.question
    found = [RoutePick(use=decided, title=TITLES[decided], offer=deciding)]
    while deciding.endpoint and len(found) < MOST_PICKS:
        rest = offers.catalog_without(frozenset(pick.offer.model for pick in found), planning.as_of)
        try:
            pick = _pick(msgspec.structs.replace(planning, catalog=rest))
        except NoRoute:
            break
        found.append(msgspec.structs.replace(pick, why=compare_picks(question, pick.offer, deciding)))
    return tuple(found)


def _pick(planning: QuestionPlanner) -> RoutePick:
    best = _deciding_plan(planning, planning.catalog)
    use = use_of(best, planning.question.makes)
    return RoutePick(
        use=use, title=TITLES[use], offer=offer(planning, best, _offer_place(best.chosen, planning.catalog))
    )


def _pick_for_latency(planning: QuestionPlanner, first: RoutePick) -> RoutePick | None:
    """Return the pick if a person waited for each answer; None if seconds count already or the pick is the same."""
    question = planning.question
    if question.objective != "default" or question.somebody_waits or question.waits is not None:
        return None
    waiting = msgspec.structs.replace(question, waits=True)
    request = msgspec.structs.replace(planning.request, policy=waiting.policy)
    pick = _pick(msgspec.structs.replace(planning, question=waiting, request=request))
    return pick if pick.offer.endpoint != first.offer.endpoint else None


def _with_deciding_route(kind: UseOffers, deciding: RouteOffer) -> UseOffers:
    """Return the offers of the chosen use, with exactly the chosen route among them."""
    offers = tuple(deciding if each.place == deciding.place else each for each in kind.offers)
    return msgspec.structs.replace(kind, offers=offers)


def _merge_uses(kinds: list[UseOffers]) -> list[UseOffers]:
    """Merge variants of one use (hears and sees, or speaks) and keep the better offer of each place."""
    found: dict[UseName, UseOffers] = {}
    for kind in kinds:
        other = found.get(kind.use)
        if other is None:
            found[kind.use] = kind
            continue
        pairs = zip(other.offers, kind.offers, strict=True)
        best = tuple(min(pair, key=lambda each: (not each.there, each.lost, each.score)) for pair in pairs)
        found[kind.use] = msgspec.structs.replace(other, offers=best)
    return list(found.values())


# ---- offers ----------------------------------------------------------------------------------------


def _kind(planning: QuestionPlanner, use: ModelUse, decided: UseName, deciding: RouteOffer) -> UseOffers:
    places: tuple[OfferPlace, ...] = ("here",) if planning.question.local else ("hosted", "here")
    found = tuple(
        deciding
        if use.name == decided and place == deciding.place and not use.speaks
        else _best_offer_of(planning, use, place)
        for place in places
    )
    return UseOffers(use=use.name, title=TITLES[use.name], offers=found)


def _best_offer_of(planning: QuestionPlanner, use: ModelUse, place: OfferPlace) -> RouteOffer:
    """Return the best route of a use at a place.

    The planner is first asked without restrictions; if its route is of another use, the aspects that only this use
    keeps are required.
    """
    if place == "hosted" and planning.no_host:
        return RouteOffer(place=place, refused=(planning.no_host,))
    if use.name not in RECOGNITION:
        planning = planning.with_answers()
    catalog = narrow_catalog(planning.catalog, use, use.job or job_of(planning.question), place)
    request = planning.request
    # For a local answer, conversions have to be local too.
    policy = msgspec.structs.replace(request.policy, farthest="machine") if place == "here" else request.policy
    reasons: tuple[str, ...] = ()
    for keep in dict.fromkeys(((), use.keep)):
        stated_policy = msgspec.structs.replace(policy, keep=tuple(dict.fromkeys((*policy.keep, *keep))))
        try:
            found = planning.plan(catalog, msgspec.structs.replace(request, policy=stated_policy))
        except NoRoute as error:
            added_aspects = set(keep) - set(policy.keep)
            reasons = _reasons(error, use, is_requested=not added_aspects) or reasons or _NOBODY
            continue
        if use_of(found, planning.question.makes) == use.name:
            return offer(planning, found, place)
        other = TITLES[use_of(found, planning.question.makes)]
        used = f"{found.chosen.endpoint} would be used as {other}" if found.chosen.endpoint else f"{other} is enough"
        reasons = reasons or (used,)
    return RouteOffer(place=place, refused=reasons)


_NOBODY, _ANOTHER_JOB = (
    ("no such model is known there",),
    ("another kind of output is wanted here", "no endpoint is known"),
)
_KEEP = hint("which {keep} asks for")


def _reasons(error: NoRoute, use: ModelUse, *, is_requested: bool) -> tuple[str, ...]:
    """Return why there is no route.

    If no aspect that only this use keeps was requested, a rejection for losing one, or for a speech model that is not
    suitable, means that no endpoint supports this use.
    """
    found = [each for each in error.hints.reasons if not each.endswith(_ANOTHER_JOB)]
    if is_requested:
        return tuple(found)
    telling = [each for each in found if _KEEP not in each and "hears only" not in each]
    return (*telling, f"no model there {_ABLE.get(use.name, 'can be used so')}")


_ABLE = {"vision": "sees it whole", "hearing": "hears it whole", "omni": "both sees and hears it"}


def _offer_place(candidate: Candidate, catalog: Catalog) -> OfferPlace:
    endpoint = catalog.by_id.get(candidate.endpoint)  # None if no model is needed
    return "here" if endpoint is None or endpoint.host.zone in LOCAL_ZONES else "hosted"


def offer(planning: QuestionPlanner, plan: Plan, place: OfferPlace) -> RouteOffer:
    """Return a plan as an offer."""
    route = plan.chosen
    endpoint = planning.catalog.by_id.get(route.endpoint)  # None if no model is needed
    volume = planning.question.volume
    usd = route.total.cost if route.total.cost.known else unknown(f"no price of {route.endpoint} is known")
    monthly = unknown("the number of requests is not stated") if volume is None else usd.scaled(volume.per_month)
    calls = [planning.catalog.by_id[step.endpoint] for step in route.steps if isinstance(step, Call)]
    slots = planning.question.hardware.users if all(each.host is OWN_SERVER for each in calls) else 1
    made_here = RouteOffer(place=place, seconds=route.total.seconds, load=route.total.load_seconds, slots=slots)
    owned = planning.question.owned
    if place == "here" and owned is not None and volume is not None:
        monthly = exact(
            own_cost(owned, volume.per_month, capacity(made_here).mid), f"hardware, {requests_at_once(slots)}"
        )
    return RouteOffer(
        place=place,
        endpoint=route.endpoint,
        model="" if endpoint is None else endpoint.model.id,
        summary=route.summary,
        steps=_steps(route),
        usd=usd,
        per_month=monthly,
        seconds=route.total.seconds,
        load=route.total.load_seconds,
        slots=slots,
        memory=route.total.memory,
        floor=memory_floor(None if endpoint is None else endpoint.model.parameters),
        tokens_in=route.answering.estimate.input_tokens,
        tokens_out=route.answering.estimate.output_tokens,
        tier=route.tier,
        weak=is_floor_missed(plan.notes),
        strength=route.answering.note,
        loses=route.loses,
        misses=route.warnings,
        lost=route.lost,
        score=route.score,
        sends=bool(route.sends),
        terms="no model is used" if endpoint is None else _licence_terms(planning.question, endpoint),
        contested=() if endpoint is None else _contested_facts(route, endpoint),
        counted=endpoint is None
        or endpoint.host is not OWN_SERVER
        or not planning.question.by_bill
        or planning.question.hardware.is_stated,
        others=tuple(hint("{}: {}", each.endpoint, each.reason) for each in plan.outranked[:OTHERS]),
    )


def _speed_sources(question: AdviceQuestion) -> str:
    """Say where the speeds of models on stated GPUs are from."""
    ears = (
        "speech recognition on a card by published factors, text recognition and synthesis by a wide range, as no "
        "figures are published"
    )
    if all(gpu.bandwidth for gpu in question.hardware.machine.gpus):
        return f"from bandwidth and compute of the cards, within the ranges that measurements have; {ears}"
    return f"the speed of those cards is unknown, so the ranges are wide; {ears}"


def _licence_terms(question: AdviceQuestion, endpoint: Endpoint) -> str:
    """Return the terms of use of the answering model.

    Includes the host's stated region or retention policy if one is required.
    """
    model, host = endpoint.model, endpoint.host
    licence = f"{model.licence} ({PERMITS[model.permits]})" if model.permits else model.licence
    if host.zone in LOCAL_ZONES:
        return f"licence: {licence or 'nobody states it'}"
    weights = f"; its weights: {licence}" if licence else ""
    has_conditions = bool(question.regions) or question.retention != "any"
    data_policy = describe_data_policy(host) if has_conditions else ""
    policy_note = f"; it states that it {data_policy}" if data_policy else ""
    return f"terms of the service of {host.name or host.id}{policy_note}{weights}"


PERMITS = {
    "commercial": "commercial use", "conditions": "commercial use on conditions", "research": "research only",
    "": "purpose not stated",
}  # fmt: skip


def _contested_facts(route: Candidate, endpoint: Endpoint) -> tuple[str, ...]:
    """Return the facts about the endpoint's inputs on which sources disagree."""
    native_kinds = {native.kind for native in route.takes}
    return tuple(map(provenance.describe_dispute, provenance.disputes_about(endpoint.doubts, native_kinds)))


def _steps(route: Candidate) -> tuple[AdviceStep, ...]:
    """Return each operation of each endpoint once."""
    steps = [step for step in route.steps if step.op != "concat"]
    found = dict.fromkeys((step.op, step.endpoint if isinstance(step, Call) else "") for step in steps)
    return tuple(AdviceStep(op=op, endpoint=endpoint) for op, endpoint in found)


def _ranking_words(question: AdviceQuestion, kinds: list[UseOffers], picks: tuple[RoutePick, ...]) -> str:
    """Return what routes are ranked by, in words; losses are named if they affect one of the routes shown."""
    shown_offers = [*(pick.offer for pick in picks), *(kind.best for kind in kinds if kind.best is not None)]
    return f"{question.by} and what is lost" if any(penalty(question, each) for each in shown_offers) else question.by


# ---- sentences -------------------------------------------------------------------------------------


def _reason(
    question: AdviceQuestion, decided: UseName, deciding: RouteOffer, kinds: list[UseOffers], verdict: VerdictName
) -> str:
    """Return why a use was chosen: the aspects it keeps, or the cost it saves."""
    rivals = [kind.best for kind in kinds if kind.use != decided and kind.best is not None]
    enough = verdict in ("enough", "enough_with_loss")  # the question does not need what the text loses
    needed = [each for rival in rivals if not enough for each in rival.misses]
    if question.keep and not rivals and decided in ("vision", "hearing", "omni"):
        return hint("only this keeps {}, which {keep} asks for", " and ".join(question.keep))
    if decided in ("vision", "hearing", "omni") and needed:
        return hint("otherwise it {}", needed[0])
    if losses := [each for each in deciding.misses if each.startswith("loses ")]:
        return hint("nothing within these limits keeps everything: it {}", losses[0])
    if decided in _BY_OUTPUT:
        return _BY_OUTPUT[decided]
    if rivals and deciding.usd.known:
        return f"it keeps what the request needs, and is the best by {question.by}"
    if len(kinds) > 1:
        return "no other kind of model can answer it within these limits"
    return "text goes in and text comes out"


_BY_OUTPUT: dict[UseName, str] = {
    "recognition": "the output is the words of a recording, with no answer to generate",
    "synthesis": "the text itself is spoken, with no answer to generate",
    "translation": "the output is a translation, with no answer to generate",
    "embedding": "vectors say enough, and no words come out",
    "encoding": "scores of labels come out, and no words",
    "matching": "labels are held against what images show, and no words come out",
    "drawing": "an image comes out, and no words",
    "reading": "the output is the words of an image, with no answer to generate",
    "reading and recognition": "the output is the words of the files, with no answer to generate",
    "extraction": "the output is the words of the file, which have only to be extracted",
    "properties": "the output is what is known of the file itself, which no model has to answer",
}


def _rejection_reasons(plan: Plan) -> tuple[str, ...]:
    rows = [row for row in fold_rejections(plan.rejected) if row.rule not in ("output", "model")]
    return tuple(hint("{}: {}", with_noun(row.count, "endpoint"), row.reason) for row in rows[:REASONS])


def _question_words(question: AdviceQuestion) -> str:
    inputs = ", ".join(piece.name for piece in question.parts)
    often = f", {question.volume.words} ({question.volume.per_month:,.0f} a month)" if question.volume else ""
    into = f" into {question.translate}" if question.translate else ""
    return f"{inputs} -> {question.makes}{into}{often}"


_NOBODY_WAITS = action("--nobody-waits", python="waits=False")
_SOMEBODY_WAITS = action("--waiting", python="waits=True")


def _assumptions(question: AdviceQuestion) -> tuple[str, ...]:
    found = [f"sizes assumed: {', '.join(question.assumed)}"] if question.assumed else []
    if question.prompt == PROMPT and question.makes in ("text", "json", "speech") and not question.verbatim:
        found.append(hint("a neutral prompt ({prompt})"))
    if question.out_tokens is None and question.makes in ("text", "json", "speech") and not question.verbatim:
        found.append(hint("an answer as long as such prompts usually get ({out-tokens})"))
    kinds = {piece.kind for piece in question.parts}
    if "document" in kinds and not question.scanned:
        pages = "every page of a pdf has a text layer of 2,500 letters"
        found.append(pages if question.figures else hint("{} and no figures ({scanned}, {figures})", pages))
    if kinds & {"image"} and not question.shows:
        found.append(hint("whether images show text or a scene is not stated ({shows})"))
    if question.makes == "scores" and not question.labels:
        found.append(hint("{} labels of a word or two ({labels})", len(LABELS)))
    if question.makes == "image":
        found.append("one image of 1024x1024 a request, of medium quality where a model sells by quality")
    if question.objective == "default" and question.somebody_waits:
        worth = f"{question.policy.time_value:g}"
        found.append(hint("a person waits, and a second is worth ${} ({})", worth, _NOBODY_WAITS))
    elif question.objective == "default" and question.waits is None:
        found.append(hint("no person waits for an answer, so money alone ranks ({})", _SOMEBODY_WAITS))
    return tuple(found)


def _conditions(question: AdviceQuestion, offers: CandidateCatalog) -> list[str]:
    """Return the conditions on models and hosts, and how many endpoints they exclude, by reason."""
    conditions = [f"licence {question.licence}"]
    conditions += [f"region {', '.join(question.regions)}"] if question.regions else []
    conditions += [f"retention {question.retention}"] if question.retention != "any" else []
    conditions += [f"trusted hosts {', '.join(question.trusted)}"] if question.trusted else []
    left = join_sentences(
        "; ", (hint("{}: {}", with_noun(count, "endpoint"), reason) for reason, count in offers.refused)
    )
    return [hint("conditions: {}{}", ", ".join(conditions), hint("; left out: {}", left) if left else "")]


def _no_host(question: AdviceQuestion, offers: CandidateCatalog) -> str:
    """Return why the conditions exclude all hosts, and how to state unknown facts; "" if some hosts remain."""
    if offers.endpoints or not offers.unhosted:
        return ""
    reason, count = offers.unhosted[0]
    rows = [f"regions = {list(question.regions)}".replace("'", '"')] if question.regions else []
    rows += ["trains = false"] if question.retention == "no-training" else []
    rows += ["retention_days = 0"] if question.retention == "none" else []
    todo = f"; to state better figures, write [hosts.NAME] with {' and '.join(rows)} into the config" if rows else ""
    return f"{with_noun(count, 'endpoint')}: {reason}{todo}"


def _readers(question: AdviceQuestion, offers: CandidateCatalog) -> list[str]:
    """Say that hosted text recognition services are left out, with the price of the cheapest."""
    kinds = {piece.kind for piece in question.parts}
    if not offers.readers or not kinds & {"image", "document", "video"} or question.makes not in ("text", "json"):
        return []
    count, first = len(offers.readers), offers.readers[0]
    price = f"; the cheapest by the page: {first.endpoint}, ${plain_money(first.page)}" if first.page else ""
    return [
        f"text recognition at hosts: {with_noun(count, 'endpoint')} left out, as intermodal does not speak "
        f"{'their APIs' if count > 1 else 'its API'}{price}"
    ]  # fmt: skip


def _sources(question: AdviceQuestion, offers: CandidateCatalog) -> tuple[str, ...]:
    found = []
    if not question.local:
        excluded_rows = [f"{offers.rationed} free tiers, which are rationed"] if offers.rationed else []
        if offers.doubted:
            excluded_rows.append(f"{offers.doubted} prices below a tenth of what other hosts ask for the same model")
        found += _conditions(question, offers)
        hosts = f"{offers.hosts} host{'s' if offers.hosts != 1 else ''}"
        excluded = f"; left out: {' and '.join(excluded_rows)}" if excluded_rows else ""
        found.append(f"prices: {offers.dated}; {offers.endpoints:,} endpoints at {hosts}{excluded}")
        found.append("hosts: their prices come from the catalog; no service was contacted")
        found += _readers(question, offers)
    found.append(
        f"hardware: {question.hardware.words}; {requests_at_once(question.hardware.users)}; models count as pulled"
    )
    if question.hardware.users > 1:
        users = question.hardware.users
        found.append(f"memory: for {users} requests in parallel, each with {CONTEXT_EACH:,} tokens of context")
    if question.hardware.is_stated and not question.hardware.cards:
        found.append("embedded models are timed as on 2 cores without a GPU")
    if question.hardware.cards:
        found.append(f"speeds: {_speed_sources(question)}")
        rented = rental_words(question.hardware.machine)
        found += [rented] if rented else []
    return tuple(found)


# ---- the path to the decision -----------------------------------------------------------------------


ROUNDED = 1e-8  # USD; smaller differences are rounding errors of the score
CLOSE = 0.10  # relative score difference below which estimates do not tell two uses apart
_ENDS: dict[UseName, str] = {
    "recognition": "the words of a recording are wanted, with no answer to generate",
    "synthesis": "the text itself is spoken, with no answer to generate",
    "translation": "the words of a recording are wanted in another language, with no answer to generate",
    "embedding": "vectors say enough, and no words are wanted",
    "encoding": "scores of labels are wanted, and no words",
    "matching": "labels are held against what images show, and no words are wanted",
    "drawing": "an image is wanted, and no words",
    "reading": "the words of an image are wanted, with no answer to generate",
    "reading and recognition": "the words of the files are wanted, with no answer to generate",
    "extraction": "the words of a file are wanted, and have only to be extracted",
    "properties": "properties of the file itself are wanted, which no model has to answer",
}


def decision_path(
    question: AdviceQuestion, kinds: list[UseOffers], decided: UseName, deciding: RouteOffer, verdict: VerdictName
) -> tuple[DecisionFork, ...]:
    """Return the questions that lead to the decision."""
    if decided in _ENDS:
        return (_fork(WORDS, "no", _ENDS[decided], decided),)
    found = [_fork(WORDS, "yes", f"{question.makes} comes out")]
    media = [OPTION_NAMES[kind] for kind in question.takes if kind != "text"]
    if not media:
        return (*found, _fork(MEDIA, "no", "text alone goes in", decided))
    found.append(_fork(MEDIA, "yes", f"{_enumerate(media)} {_verb_go(question.takes)} in"))
    text = next((kind for kind in kinds if kind.use in ("cascade", "llm")), None)
    carried = text is not None and text.best is not None and not _losses(text.best)
    if not carried:
        why = _text_route_refusal(text)
        found.append(_fork(CARRIED, "no", why))
        if decided in ("cascade", "llm"):
            return (*found, _fork(WHOLE, "no", "nothing within these limits does", decided))
        return (*found, *_omni_fork(kinds, decided))
    assert text is not None and text.best is not None
    guessed = hint(", as far as the prompt tells what is needed ({prompt}, {keep})") if verdict == "unknown" else ""
    found.append(_fork(CARRIED, "yes", hint("as {}{}", text.best.summary, guessed)))
    if decided in ("cascade", "llm"):
        return (*found, _fork(DETOUR, "yes", _cheaper(question, kinds, deciding), decided))
    found.append(_fork(DETOUR, "no", _compare_numbers(question, text.best, deciding)))
    return (*found, *_omni_fork(kinds, decided))


# Each question, and where "yes" and "no" lead when the path ends there.
WORDS = "must a model answer in words?"
MEDIA = "does anything but text go in?"
CARRIED = "can words carry what is needed?"
DETOUR = "is the detour over words worth it?"
WHOLE = "does one model take it as it is?"
BOTH = "must one model both see and hear?"
_YES = {DETOUR: TITLES["cascade"], BOTH: TITLES["omni"], CARRIED: "an LLM, after conversion"}
_NO = {
    WORDS: "a model of that one task", MEDIA: TITLES["llm"], CARRIED: "a model that takes it as it is",
    DETOUR: "a model that takes it as it is", BOTH: "a model of one sense, the rest as text",
}  # fmt: skip


def _fork(question: str, answer: Literal["yes", "no"], why: str, leads: UseName | Literal[""] = "") -> DecisionFork:
    """Return a fork, and where its other answer would have led."""
    other = (_NO if answer == "yes" else _YES).get(question, "")
    return DecisionFork(question=question, answer=answer, why=why, otherwise=other, leads=leads)


def _omni_fork(kinds: list[UseOffers], decided: UseName) -> tuple[DecisionFork, ...]:
    if len(kinds) < 3:
        return (_fork(WHOLE, "yes", f"as {TITLES[decided]}", decided),)
    answer: Literal["yes", "no"] = "yes" if decided == "omni" else "no"
    why = "it sees and hears" if decided == "omni" else "one sense is enough, the rest becomes text"
    return (_fork(BOTH, answer, why, decided),)


def _losses(offer: RouteOffer) -> list[str]:
    return [each for each in offer.misses if each.startswith("loses ")]


def _text_route_refusal(text: UseOffers | None) -> str:
    if text is None:
        return "no route over words came into question"
    if text.best is None:
        return text.offers[0].refused[0] if text.offers and text.offers[0].refused else "there is no such route"
    return f"it {_losses(text.best)[0]}"


def _enumerate(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _verb_go(takes: tuple[Content, ...]) -> str:
    return "go" if len([kind for kind in takes if kind != "text"]) > 1 else "goes"


def _cheaper(question: AdviceQuestion, kinds: list[UseOffers], deciding: RouteOffer) -> str:
    rivals = [kind.best for kind in kinds if kind.use not in ("cascade", "llm") and kind.best is not None]
    if not rivals:
        return "nothing reachable takes it as it is"
    best = min(rivals, key=lambda offer: (offer.lost, offer.score))
    return f"{_objective_text(question, deciding)} instead of {_objective_text(question, best)}"


def _compare_numbers(question: AdviceQuestion, text: RouteOffer, deciding: RouteOffer) -> str:
    return f"{_objective_text(question, text)} instead of {_objective_text(question, deciding)}"


def _objective_text(question: AdviceQuestion, offer: RouteOffer) -> str:
    """Return the figures that the objective compares, in words."""
    money = f"${plain_money(offer.usd.mid)}" if offer.usd.known else "an unknown price"
    seconds = f" and {plain_seconds(offer.seconds.mid)} s" if "waiting" in question.by else ""
    strong = f"{offer.tier}, " if question.objective == "best" else ""
    lost = penalty(question, offer)
    return f"{strong}{money}{seconds}{f' and ${plain_money(lost)} for what is lost' if lost else ''}"


def _other_number(question: AdviceQuestion, offer: RouteOffer, deciding: RouteOffer) -> str:
    """Compare a use with the decision in the objective's figures; say so if it is cheaper but slower."""
    numbers = f"{_objective_text(question, offer)} instead of {_objective_text(question, deciding)}"
    slower = offer.seconds.mid - deciding.seconds.mid
    if "waiting" in question.by and deciding.usd.known and offer.usd.mid < deciding.usd.mid and slower > 0:
        return f"cheaper, but {plain_seconds(slower)} s slower ({numbers})"
    return numbers


def penalty(question: AdviceQuestion, offer: RouteOffer) -> float:
    """Return the USD that the objective adds for needs that a route may lose; 0 if seconds count too."""
    if not question.by_bill or not offer.usd.known:
        return 0.0
    added = offer.score - offer.usd.mid
    return added if added > ROUNDED else 0.0


def not_chosen_reason(question: AdviceQuestion, kind: UseOffers, decided: UseName, deciding: RouteOffer) -> str:
    """Return why a use was not chosen, in the objective's figures."""
    if kind.use == decided:
        return ""
    best = kind.best
    if best is None:
        return "no route"
    if needed := _losses(best):
        return f"{needed[0]}; {_objective_text(question, best)} instead of {_objective_text(question, deciding)}"
    if best.weak and not deciding.weak:
        return f"its weakest link is {best.tier}, below the default strength"
    if not best.usd.known:
        return "its price is not known, so it sorts last"
    return _other_number(question, best, deciding)


def compare_picks(question: AdviceQuestion, offer: RouteOffer, first: RouteOffer) -> str:
    """Compare a pick with the first one, in the objective's figures."""
    return f"{_objective_text(question, offer)} instead of {_objective_text(question, first)}"


def why_labels_do_not_matter(
    question: AdviceQuestion, kinds: list[UseOffers], decided: UseName, deciding: RouteOffer
) -> str:
    """Return why a label does not matter: the same model serves both uses, or their scores are too close.

    Returns "" if it does matter.
    """
    for kind in kinds:
        best = kind.best
        if kind.use == decided or best is None or _losses(best) or (best.weak and not deciding.weak):
            continue
        if best.model == deciding.model:
            both = f"as {TITLES[decided]} and as {TITLES[kind.use]}"
            return f"{deciding.model} serves {both}: the label says nothing"
        if question.objective in ("fastest", "best") or not (best.usd.known and deciding.usd.known):
            continue
        difference = abs(best.score / deciding.score - 1) if deciding.score > 0 else math.inf
        if difference <= CLOSE:
            near = f"within {max(difference, 0.01):.0%} of it by {question.by}"
            return f"{kind.title} is {near}: too near to tell apart"
    return ""
