"""The sentences of a plan: headline, summary, policy line, warnings.

Plain and stable, because tests compare EXPLAIN.
"""

from __future__ import annotations

import math

from intermodal.catalog.types import Endpoint, Task, ToolSupport
from intermodal.core.content import Kind
from intermodal.core.hints import hint
from intermodal.core.quantity import Quantity
from intermodal.core.request import Aspect, Objective
from intermodal.planner.catalog_index import tier_name
from intermodal.planner.conversion import script_support
from intermodal.planner.conversion.conversion_option import ConversionOption, PartConversion
from intermodal.planner.conversion.conversion_steps import pages_title
from intermodal.planner.conversion.fidelity import SPARSE, figure_pages, medium_of, pages_with_figures
from intermodal.planner.part_bundles import Bundle
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.plans import numbers
from intermodal.plans.facts import MediumNeeds, PartFacts
from intermodal.plans.plan import PartNeeds
from intermodal.plans.verdict import (
    Other,
    Verdict,
    joined_names,
    lost_as_text,
    lost_aspects,
    needed_beyond_text,
    needed_losses,
    possible_losses,
)

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NATIVE: dict[Kind, str] = {
    "text": "text",
    "image": "image as it is",
    "audio": "sound as it is",
    "document": "document as it is",
    "video": "video as it is",
}
_OPTION_NAMES: dict[str, str] = {
    "transcribe": "transcript",
    "read": "text read from the image",
    "extract": "text of the document",
    "render": "images of its pages",
    "mixed": "text and images of its pages",
    "figured": "text of the document and descriptions of its figures",
    "describe": "description of the image",
    "both": "text read from the image and a description of it",
    "frames": "frames of the animation",
    "resized": "image made smaller",
    "read_along": "image as it is and the text read from it",
    "properties": "properties of the file alone",
}
_TRACKS: dict[str, str] = {
    "transcribe": "transcript", "demux": "its sound", "read": "text on the screen", "describe": "what is seen",
    "frames": "frames", "subtitles": "its subtitles", "properties": "its properties",
}  # fmt: skip
_GOES_IN: dict[str, str] = {"image": "an image", "audio": "sound", "document": "a document", "video": "a video"}
_GO_IN: dict[str, str] = {"image": "images", "audio": "sound", "document": "documents", "video": "videos"}
_SENSES: tuple[tuple[Kind, str], ...] = (("image", "see"), ("audio", "hear"))
_AS: dict[Kind, tuple[Kind, ...]] = {"document": ("document", "image"), "video": ("video", "image", "audio")}
NEEDED = "the question seems to need it"
UNSURE = "the question may need it"
_SUGGESTION_REASONS: dict[Aspect, str] = {
    "words": "there is something to read",
    "layout": "it is dense with text",
    "appearance": "there is little text in it",
    "comparison": "there are several images",
}
MAX_SOURCE = 48


def number_word(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else f"{count:,}"


def strength_text(endpoint: Endpoint, task: Task, place: int | None = None) -> str:
    """Return a tier with its evidence: "medium (proxy: 8B, Q4_K_M)"."""
    found = endpoint.tier(task) or endpoint.tier("text-generation")
    if found is None:
        return f"{tier_name(place)} (strength not known)" if place is not None else "strength not known"
    source = found.evidence.source
    if not source or "://" in source:
        return f"{found.tier} ({found.evidence.level})"
    short = source if len(source) <= MAX_SOURCE else f"{source[: MAX_SOURCE - 1].rstrip()}…"
    return f"{found.tier} ({found.evidence.level}: {short})"


def counting_source(basis: str, source: str) -> str:
    """Return a token rule and its source: "OpenAI's tile rule (OpenAI, Images and vision guide)"."""
    return f"{basis} ({source})" if source and not basis.startswith("no published rule") else basis


def tools_text(count: int, tokens: Quantity, source: str, tool_support: ToolSupport) -> str:
    """Return the number of tools, the tokens they add, and the evidence that they are supported."""
    evidence = tool_support.evidence
    evidence_text = f"it takes tools ({evidence.level}{f': {evidence.citation}' if evidence.source else ''})"
    support = evidence_text if tool_support.takes else "it is not stated that it accepts tools"
    what = f"{count} tool{'s' if count != 1 else ''} {numbers.tokens(tokens)}"
    return f"{what}: {counting_source(tokens.basis, source)}; {support}"


def route_summary(case: PlanningCase, assignment: Assignment) -> str:
    """Return the route in a few words."""
    if case.job == "transcribe":
        return f"speech translation into {case.into} alone" if case.into else "speech recognition alone"
    if not case.bundles:
        return "text only"
    found: list[str] = []
    for bundle, option in zip(case.bundles, assignment.options, strict=True):
        if option.name == "watch":
            found += _tracks(option)
        else:
            found.append(_NATIVE[bundle.kind] if option.name == "native" else _OPTION_NAMES[option.name])
    return " + ".join(dict.fromkeys(found))


def _tracks(option: ConversionOption) -> list[str]:
    """Return the conversions of a video as text."""
    final_steps = [step for step in option.conversions[0].steps if step.for_final_call]
    return [f"{step.title} shown" if step.op == "frames" else _TRACKS[step.op] for step in final_steps]


def headline(case: PlanningCase, assignment: Assignment, answering: Endpoint, verdict: Verdict) -> str:
    """Return the kind of call, and the verdict: is a language model enough?"""
    conversions = sum(
        _conversions(option, conversion) for option in assignment.options for conversion in option.conversions
    )
    after = f" after {number_word(conversions)} conversion{'s' if conversions != 1 else ''}" if conversions else ""
    media_inputs = _non_text_inputs(case, assignment)
    kind = "speech translation" if case.job == "transcribe" and case.into else _OTHER_KINDS.get(case.job, "")
    if answering.model.matches_images:
        return _matching(case, verdict, after)
    if case.job == "score" and not answering.model.answers_in_words:
        if describers(assignment):
            scorer = "an encoder" if answering.model.classifies or answering.model.entails else "an embedding model"
            alone = _text_only_verdict(case, assignment, answering, verdict)
            return hint("labels scored by {}{}: {}{}", scorer, after, alone, _or_contrastive(verdict))
        if answering.model.classifies:
            what = f"its head was trained for these labels{after}"
            alternative = or_language_model(verdict)
            return hint("an encoder is enough, no language model is needed: {}{}", what, alternative)
        if answering.model.entails:
            what = f"how well the text entails each label{after}"
            return hint(
                "an encoder is enough, no language model is needed: it judges {}{}", what, or_language_model(verdict)
            )
        kind = "labels scored by an embedding model"
        if answering.model.fills_masks:
            kind = "an encoder says which word is masked"
    if kind:
        media_suffix = f"; {media_inputs}" if media_inputs and case.job == "draw" else ""
        alternative = or_language_model(verdict)
        reason = f", as {_REASONS[case.job]}" if case.job in _REASONS else ""
        return hint(
            "no language model needed: {}{}{}{}{}{}",
            kind,
            after,
            reason,
            media_suffix,
            lossy_verdict(verdict),
            alternative,
        )
    if media_inputs:
        return hint(
            "multimodal call{}: {}{}", after, _multimodal_verdict(case, media_inputs, verdict), _or_contrastive(verdict)
        )
    return hint(
        "LLM call{}: {}{}", after, _text_only_verdict(case, assignment, answering, verdict), _or_contrastive(verdict)
    )


def _or_contrastive(verdict: Verdict) -> str:
    """Return the contrastive model or encoder that could score these labels instead."""
    kind = "a contrastive model" if verdict.contrastive is not None else "an encoder"
    figures = _beside_in_numbers(verdict.contrastive or verdict.encoder)
    return hint("; {} may be enough: {}", kind, figures) if figures else ""


def or_language_model(verdict: Verdict) -> str:
    """Return the language model that could also do it, with its price."""
    figures = _beside_in_numbers(verdict.language_model)
    kind = "a model that sees and picks one" if verdict.instead == "contrastive model" else "a language model for it"
    return hint("; {}: {}", kind, figures) if figures else ""


def _beside_in_numbers(other: Other | None) -> str:
    if other is None or other.seconds is None:
        return ""
    price = f"{numbers.money(other.cost)}, {numbers.seconds(other.seconds)}"
    return hint("{} ({}){}", other.endpoint, price, _kept_out_text(other))


def _matching(case: PlanningCase, verdict: Verdict, after: str) -> str:
    """Return the verdict on a route that compares images with words."""
    titles = joined_names([bundle.title for bundle in case.bundles])
    if case.job == "embed":
        what = f"{titles} as a vector, in one space with words" if titles else "words as a vector, in one with images"
    else:
        what = f"labels are held against what {titles} shows{after}"
    alternative = or_language_model(verdict)
    return hint(
        "a contrastive model is enough, no language model is needed: {}{}{}", what, lossy_verdict(verdict), alternative
    )


# Why no model needs to answer.
_REASONS: dict[str, str] = {
    "transcribe": "the words of a recording come out, with no answer to generate",
    "embed": "a vector comes out and no words",
    "draw": "an image comes out and no words",
    "speak": "the text itself is spoken, with no answer to generate",
}
_OTHER_KINDS: dict[str, str] = {
    "transcribe": "speech recognition", "embed": "an embedding model", "draw": "an image generator",
    "speak": "speech synthesis",
}  # fmt: skip


def _text_only_verdict(case: PlanningCase, assignment: Assignment, answering: Endpoint, verdict: Verdict) -> str:
    """Return the verdict on a route whose last model receives only text."""
    converted_parts = [
        part
        for bundle, option in _pairs(case, assignment)
        if option.name not in ("native", "properties")
        for part in bundle.parts
    ]
    file_titles = [bundle.title for bundle, option in _pairs(case, assignment) if option.name == "properties"]
    names = [part.name for part in sorted(converted_parts, key=lambda part: part.index)]
    verb = "become" if len(names) > 1 else "becomes"
    out = "speech" if case.output == "speech" else "text"
    data_flow = f"{joined_names(names)} {verb} text first" if names else f"text goes in and {out} comes out"
    if file_titles:
        before = f"{data_flow}, and " if names else ""
        data_flow = f"{before}only properties of {joined_names(file_titles)} are asked for, which go in"
    if case.translating:
        data_flow += f" and is translated into {case.translating}"
    if verdict.value == "not_enough":
        return hint(
            "a language model is not enough, {}{}", data_flow, lossy_verdict(verdict, loss_reason(case, verdict))
        )
    if verdict.value == "broader_needed":
        seers = joined_names(describers(assignment))
        return (
            f"a language model alone is not enough, {_extra_needs_text(verdict)}; {seers} sees it and puts it in words"
        )
    if verdict.value == "unknown":
        return hint("{}; {}, which loses {}", _open(verdict), data_flow, lost_aspects(verdict))
    return hint(
        "a language model is enough, {}{}{}",
        data_flow,
        _unneeded_losses(case, verdict),
        _needless_multimodality(answering, converted_parts),
    )


def _pairs(case: PlanningCase, assignment: Assignment) -> list[tuple[Bundle, ConversionOption]]:
    return list(zip(case.bundles, assignment.options, strict=True))


def _multimodal_verdict(case: PlanningCase, looked_at: str, verdict: Verdict) -> str:
    """Return the verdict on a route whose last model receives more than text."""
    if verdict.value == "not_enough":
        return hint("{}, and this is not enough{}", looked_at, lossy_verdict(verdict))
    if verdict.value == "broader_needed":
        return f"a language model is not enough, {_extra_needs_text(verdict)}; {looked_at}, which keeps it"
    if verdict.value == "unknown":
        loss = lost_aspects(verdict)
        return hint("{}; {}, which {}", _open(verdict), looked_at, f"loses {loss}" if loss else "keeps everything")
    other = verdict.language_model
    without = lost_as_text(verdict)
    loss = hint(", though text would lose {}, which {}", without, _harmless_loss_reason(case)) if without else ""
    if other is None or other.kept_out:
        why = _kept_out_text(other) if other is not None else ""
        return hint("a language model would be enough{}{}; {}", loss, why, looked_at)
    return hint("a language model would be enough{}; {}, as {}", loss, looked_at, _preference_reason(case, other))


def _preference_reason(case: PlanningCase, other: Other) -> str:
    """Return why a broader model was chosen although a language model would suffice."""
    if case.named_endpoints is not None:
        return f"{case.policy.model} was named"
    if other.endpoint and case.request.previous_endpoint:
        return "the conversation stays where it is"
    if case.policy.objective == "default" and not case.policy.time_value:
        return "that is better by money and by the aspects it keeps"
    return f"that is {_BETTER[case.policy.objective]}"


_BETTER: dict[Objective, str] = {
    "default": "better by money and waiting", "cheapest": "cheaper", "fastest": "faster",
    "best": "stronger, or as strong and keeps more",
}  # fmt: skip


def _open(verdict: Verdict) -> str:
    """Return why the verdict is unknown, and the remedy."""
    maybe = possible_losses(verdict)
    why = (
        hint("the question may need {} ({keep} tells)", maybe)
        if maybe
        else hint("what is needed is unknown ({keep} states it)")
    )
    return hint("whether a language model is enough is not known: {}", why)


def loss_reason(case: PlanningCase, verdict: Verdict) -> str:
    """Return why existing words are lost, and how to have them read."""
    lost_words = any("words" in part.loses and "words" in part.needs for part in verdict.parts)
    why = script_support.unreadable_reason(case, case.facts.parts) if lost_words else ""
    return hint(" ({})", why) if why else ""


def _extra_needs_text(verdict: Verdict) -> str:
    return f"text would lose {needed_beyond_text(verdict)}"


def _unneeded_losses(case: PlanningCase, verdict: Verdict) -> str:
    """Return the losses that no need seems to require."""
    loss = lost_aspects(verdict)
    return hint("; {} {} lost, which {}", loss, _verb_for(loss), _harmless_loss_reason(case)) if loss else ""


def _harmless_loss_reason(case: PlanningCase) -> str:
    """Return the reason for which a loss does no harm."""
    return (
        hint("neither {keep} nor the question asks for") if case.policy.keep else "the question does not seem to need"
    )


def _verb_for(subject: str) -> str:
    """Return the verb for a list of aspects: "are" for words, figures, speakers and several aspects, else "is"."""
    many = " and " in subject or "," in subject or subject.split(" ", 1)[0] in ("words", "figures", "speakers")
    return "are" if many else "is"


def lossy_verdict(verdict: Verdict, why: str = "") -> str:
    """Return the needs that are lost, the reason, and the route that would keep them."""
    loss = needed_losses(verdict)
    if verdict.value != "not_enough":
        return ""
    return hint("; {} {} needed and lost{}{}", loss, _verb_for(loss), why, nearest_keeper_text(verdict))


def nearest_keeper_text(verdict: Verdict) -> str:
    """Return the nearest route that keeps the needs, with its price and its requirement."""
    other = verdict.keeps
    if other is None:
        return "; nothing that is known would keep it"
    if not other.endpoint:
        return hint("; {}", other.kept_out)
    usd = f"${numbers.plain_money(other.cost.mid)}" if other.cost.known else "price unknown"
    return hint("; {} would keep it ({}){}", other.endpoint, usd, _kept_out_text(other))


def _kept_out_text(other: Other) -> str:
    """Return why a route is not available, as the end of a clause about it."""
    return hint(", but {}", other.kept_out) if other.kept_out else ""


def describers(assignment: Assignment) -> list[str]:
    """Return the models that describe parts for the answering model."""
    pieces = (step for option in assignment.options for conversion in option.conversions for step in conversion.steps)
    return list(dict.fromkeys(p.endpoint.id for p in pieces if p.op == "describe" and p.endpoint is not None))


def _needless_multimodality(answering: Endpoint, converted_parts: list[PartFacts]) -> str:
    """Return that a multimodal model is used as a language model, if no input needs more."""
    senses = [word for kind, word in _SENSES if kind in answering.model.input]
    input_kinds = {kind for part in converted_parts for kind in _AS.get(part.kind, (part.kind,))}
    if not senses or input_kinds & set(answering.input):
        return ""
    return f"; that the model could also {joined_names(senses)} makes no difference"


def _conversions(option: ConversionOption, conversion: PartConversion) -> int:
    """Return the number of conversions to text of a part.

    One per part; more for video tracks and for images that are read and described.
    """
    if option.name in ("watch", "both"):
        return sum(step.endpoint is not None or step.op == "subtitles" for step in conversion.steps)
    return any(step.endpoint is not None or step.op == "extract" for step in conversion.steps)


def _non_text_inputs(case: PlanningCase, assignment: Assignment) -> str:
    """Return the inputs that are more than text, grouped by option; "" if there are none."""
    pairs_by_option: dict[tuple[Kind, str], list[tuple[PartFacts, PartConversion]]] = {}
    for bundle, option in zip(case.bundles, assignment.options, strict=True):
        if option.name == "native" or option.pictures or "audio" in option.kinds:
            pairs_by_option.setdefault((bundle.kind, option.name), []).extend(
                zip(bundle.parts, option.conversions, strict=True)
            )
    found: list[str] = []
    for (kind, name), pairs in pairs_by_option.items():
        pairs.sort(key=lambda pair: pair[0].index)
        many = len(pairs) > 1
        goes = "go in as" if many else "goes in as"
        if name == "native":
            words = f"{goes} {(_GO_IN if many else _GOES_IN).get(kind, kind)}"
        elif name == "mixed":
            words = f"{goes} text with {_shown_pages(pairs)}"
        elif name == "watch":
            words = f"{goes} {_video_summary(pairs[0][1])}"
        elif name == "resized":
            words = f"{goes} {'images' if many else 'an image'} made smaller"
        elif name == "frames":
            words = f"{goes} frames"
        elif name == "read_along":
            words = f"{goes} {'images' if many else 'an image'} with the text read from {'them' if many else 'it'}"
        else:
            words = f"{'are' if many else 'is'} shown as images of {'their' if many else 'its'} pages"
        found.append(f"{joined_names([part.name for part, _ in pairs])} {words}")
    return ", ".join(found)


def _video_summary(conversion: PartConversion) -> str:
    """Return the tracks of a video that reach the model."""
    names = {
        "transcribe": "its transcript", "demux": "its sound", "subtitles": "its subtitles",
        "read": "the text on the screen", "properties": "its properties",
    }  # fmt: skip
    return joined_names(
        [
            names.get(p.op, "frames" if p.op == "frames" else "descriptions")
            for p in conversion.steps
            if p.for_final_call
        ]
    )


def _shown_pages(pairs: list[tuple[PartFacts, PartConversion]]) -> str:
    """Return the pages shown beside the text; for several documents, their number."""
    pages = [page for _, conversion in pairs for step in conversion.steps if step.op == "render" for page in step.pages]
    which = pages_title(tuple(pages)) if len(pairs) == 1 else f"{number_word(len(pages))} pages"
    return f"{'an image' if len(pages) == 1 else 'images'} of {which}"


def route_warnings(case: PlanningCase, assignment: Assignment) -> tuple[str, ...]:
    """Return the warnings of a route: needed aspects that it loses, and pages that it omits."""
    found: list[str] = []
    for bundle, option in zip(case.bundles, assignment.options, strict=True):
        for aspect in option.missed:
            found.append(f"loses {aspect} of {bundle.title}: {_need_reason(case, aspect, bundle)}")
        if option.left_out:
            found += _omitted_pages(bundle, option)
        found += _unread_figures(bundle, option)
        for part in bundle.parts:
            if part.kind == "image" and part.frames > 1 and option.name not in ("frames", "read"):
                found.append(f"takes only the first of {part.frames:,} frames of {part.name}")
    return tuple(found)


def _unread_figures(bundle: Bundle, option: ConversionOption) -> list[str]:
    """Return warnings for pages whose text is sent without the words in their images."""
    found: list[str] = []
    for part, conversion in zip(bundle.parts, option.conversions, strict=True):
        extracted = {page for step in conversion.steps if step.op == "extract" for page in step.pages}
        looked_at = {page for step in conversion.steps if step.op != "extract" for page in step.pages}
        left = tuple(page.number for page in part.pages if page.figures and page.number in extracted - looked_at)
        if left:
            found.append(f"images on {pages_title(left)} of {part.name} hold words that are not read")
    return found


def part_needs(case: PlanningCase) -> tuple[PartNeeds, ...]:
    """Return the needs of each bundle inferred from the question. Facts about the media may add others."""
    found: list[PartNeeds] = []
    for bundle in case.bundles:
        first = bundle.parts[0]
        medium_needs = case.question_facts.needs_of(medium_of(first))
        together = case.question_facts.needs_of("pictures") if bundle.compared else MediumNeeds(medium="pictures")
        needed = tuple(need for need in (*medium_needs.needed, *together.needed) if need.aspect in bundle.needs)
        unsure = tuple(need for need in (*medium_needs.unsure, *together.unsure) if need.aspect in bundle.needs)
        if needed or unsure or bundle.properties:
            found.append(
                PartNeeds(
                    part=first.index, title=bundle.title, count=len(bundle.parts), needed=needed, unsure=unsure,
                    by=case.question_facts.by, properties=medium_needs.properties if bundle.properties else None,
                )
            )  # fmt: skip
    return tuple(found)


def _need_reason(case: PlanningCase, aspect: Aspect, bundle: Bundle) -> str:
    """Return why an aspect seems to be needed; for existing words, why they are lost."""
    if aspect == "words" and (why := script_support.unreadable_reason(case, bundle.parts)):
        return why
    medium_needs = case.question_facts.needs_of(medium_of(bundle.parts[0]))
    together = case.question_facts.needs_of("pictures")
    if any(need.aspect == aspect for need in (*medium_needs.needed, *together.needed)):
        return NEEDED
    if any(need.aspect == aspect for need in (*medium_needs.unsure, *together.unsure)):
        return UNSURE
    return _suggestion_reason(aspect, bundle)


def _suggestion_reason(aspect: Aspect, bundle: Bundle) -> str:
    """Return why an aspect that the question does not mention seems to be needed."""
    if aspect == "figures":
        mostly = tuple(page for part in bundle.parts for page in figure_pages(part))
        some = tuple(page for part in bundle.parts for page in pages_with_figures(part))
        if mostly:
            return f"{pages_title(mostly)} {'is' if len(mostly) == 1 else 'are'} mostly figures"
        if some:
            return f"{pages_title(some)} {'shows' if len(some) == 1 else 'show'} some"
    if bundle.kind == "image" and aspect in ("words", "appearance"):
        if not any(part.text_density.known for part in bundle.parts):
            return "its content is unknown so far"
        if aspect == "appearance" and any(part.text_density.mid > SPARSE for part in bundle.parts):
            return "it is more than a page of text"
    return _SUGGESTION_REASONS.get(aspect, "it seems to be about that")


def _omitted_pages(bundle: Bundle, option: ConversionOption) -> list[str]:
    found: list[str] = []
    for part, pages, conversion in zip(bundle.parts, bundle.pages, option.conversions, strict=True):
        used = {page for step in conversion.steps for page in step.pages}
        out = tuple(page.number for page in pages if page.number not in used)
        if out:
            found.append(f"leaves out {pages_title(out)} of {part.name}: the text of all {len(pages)} does not fit")
    return found


def policy_line(case: PlanningCase, default_floor: str) -> str:
    """Return the policy as text: only settings that limit or prefer something."""
    policy = case.policy
    floor = f"{policy.at_least} stated" if policy.at_least is not None else default_floor
    words = [f"time_value ${policy.time_value:g}/s"] if policy.objective == "default" else []
    words.append(f"floor {floor}")
    words.append(
        f"max cost ${numbers.plain_money(policy.max_cost)}" if policy.max_cost < math.inf else "no limit on cost"
    )
    if policy.deadline is not None:
        words.append(f"deadline {policy.deadline:g} s")
    if policy.farthest != "internet":
        words.append(f"nothing beyond {policy.farthest}")
    for label, values in (
        ("private", policy.private), ("release", policy.release), ("keep", policy.keep),
        ("host", policy.hosts),
    ):  # fmt: skip
        if values:
            words.append(f"{label} {', '.join(values)}")
    if policy.pages:
        words.append(pages_title(policy.pages))
    if policy.licence != "any":
        words.append(f"licence {policy.licence}")
    if policy.regions:
        words.append(f"region {', '.join(policy.regions)}")
    if policy.retention != "any":
        words.append(f"retention {policy.retention}")
    if policy.free_tiers:
        words.append("free tiers too")
    if policy.language:
        words.append(f"language {policy.language}")
    if policy.translate:
        words.append(f"translate {policy.translate}")
    if policy.model:
        words.append(f"model {policy.model}")
    return f"{policy.objective} ({', '.join(words)})"
