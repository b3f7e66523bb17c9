"""Sentences a plan says about itself. English, plain, stable: EXPLAIN is a test format."""

from __future__ import annotations

import math

from intermodal.catalog.nouns import Endpoint, Task, Tooling
from intermodal.content import Kind
from intermodal.planner.aspects import SPARSE, figured_pages, medium_of, pages_with_figures
from intermodal.planner.assignment import Assignment
from intermodal.planner.bundles import Bundle
from intermodal.planner.case import Case
from intermodal.planner.index import tier_name
from intermodal.planner.pieces import pages_title
from intermodal.planner.way import Passage, Way
from intermodal.plans import numbers
from intermodal.plans.facts import MediumNeeds, PartFacts
from intermodal.plans.plan import PartNeeds
from intermodal.quantity import Quantity
from intermodal.request import Aspect

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NATIVE: dict[Kind, str] = {
    "text": "text",
    "image": "picture as it is",
    "audio": "sound as it is",
    "document": "document as it is",
    "video": "video as it is",
}
_WAYS: dict[str, str] = {
    "transcribe": "transcript",
    "read": "text read from the picture",
    "extract": "text of the document",
    "render": "pictures of its pages",
    "mixed": "text and pictures of its pages",
    "figured": "text of the document and descriptions of its figures",
    "describe": "description of the picture",
    "both": "text read from the picture and a description of it",
    "frames": "frames of the animation",
    "resized": "picture made smaller",
    "read_along": "picture as it is and the text read from it",
}
_TRACKS: dict[str, str] = {
    "transcribe": "transcript", "demux": "its sound", "read": "text on the screen", "describe": "what is seen",
    "frames": "frames",
}  # fmt: skip
_GOES_IN: dict[str, str] = {"image": "a picture", "audio": "sound", "document": "a document", "video": "a video"}
_GO_IN: dict[str, str] = {"image": "pictures", "audio": "sound", "document": "documents", "video": "videos"}
_SENSES: tuple[tuple[Kind, str], ...] = (("image", "see"), ("audio", "hear"))
_AS: dict[Kind, tuple[Kind, ...]] = {"document": ("document", "image"), "video": ("video", "image", "audio")}
NEEDED = "the question seems to need it"
UNSURE = "the question may need it"
_SUGGESTED: dict[Aspect, str] = {
    "words": "there is something to read",
    "layout": "it is dense with text",
    "appearance": "there is little text in it",
    "comparison": "there are several pictures",
}
MAX_SOURCE = 48


def number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else f"{count:,}"


def strength(endpoint: Endpoint, task: Task, place: int | None = None) -> str:
    """A tier with its evidence: "medium (proxy: 8B, Q4_K_M)"."""
    found = endpoint.tier(task) or endpoint.tier("text-generation")
    if found is None:
        return f"{tier_name(place)} (strength not known)" if place is not None else "strength not known"
    source = found.evidence.source
    if not source or "://" in source:
        return f"{found.tier} ({found.evidence.level})"
    short = source if len(source) <= MAX_SOURCE else f"{source[: MAX_SOURCE - 1].rstrip()}…"
    return f"{found.tier} ({found.evidence.level}: {short})"


def counted_by(basis: str, source: str) -> str:
    """A rule of counting and where it is published: "OpenAI's tile rule (OpenAI, Images and vision guide)"."""
    return f"{basis} ({source})" if source and not basis.startswith("no published rule") else basis


def tools_counted(count: int, tokens: Quantity, source: str, known: Tooling) -> str:
    """Tools that go along, what they add, and who says that they are taken."""
    said = f"it takes tools ({known.evidence.level}{f': {known.evidence.cited}' if known.evidence.source else ''})"
    taken = said if known.takes else "nobody says that it takes tools"
    what = f"{count} tool{'s' if count != 1 else ''} {numbers.tokens(tokens)}"
    return f"{what}: {counted_by(tokens.basis, source)}; {taken}"


def joined(names: list[str]) -> str:
    """Names as a sentence has them.

    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def summary(case: Case, assignment: Assignment) -> str:
    """The route in a few words."""
    if case.job == "transcribe":
        return "speech recognition alone"
    if not case.bundles:
        return "text only"
    found: list[str] = []
    for bundle, way in zip(case.bundles, assignment.ways, strict=True):
        if way.name == "watch":
            found += _tracks(way)
        else:
            found.append(_NATIVE[bundle.kind] if way.name == "native" else _WAYS[way.name])
    return " + ".join(dict.fromkeys(found))


def _tracks(way: Way) -> list[str]:
    """What a video becomes, in words."""
    shown = [piece for piece in way.passages[0].pieces if piece.shown]
    return [f"{piece.title} shown" if piece.op == "frames" else _TRACKS[piece.op] for piece in shown]


def headline(case: Case, assignment: Assignment, answering: Endpoint) -> str:
    """What kind of call this is, and why: is a language model enough?"""
    conversions = sum(_conversions(way, passage) for way in assignment.ways for passage in way.passages)
    after = f" after {number(conversions)} conversion{'s' if conversions != 1 else ''}" if conversions else ""
    if case.job == "transcribe":
        return "no language model needed: speech recognition"
    if case.job == "embed":
        return f"no language model needed: an embedding model{after}"
    if case.job == "draw":
        seen = _seen(case, assignment)
        return f"no language model needed: image generation{after}{f': {seen}' if seen else ''}"
    if case.job == "speak":
        return f"no language model needed: speech synthesis{after}"
    if case.job == "score" and answering.model.output == ("embedding",):
        return f"no language model needed: labels scored by an embedding model{after}"
    seen = _seen(case, assignment)
    if seen:
        return f"multimodal call{after}: {seen}{_because(case, assignment)}"
    turned = [
        part
        for bundle, way in zip(case.bundles, assignment.ways, strict=True)
        if way.name != "native"
        for part in bundle.parts
    ]
    if turned:
        names = [part.name for part in sorted(turned, key=lambda part: part.index)]
        verb = "become" if len(names) > 1 else "becomes"
        enough = f"LLM call{after}: a language model is enough, {joined(names)} {verb} text first"
    else:
        enough = "LLM call: a language model is enough, text goes in and text comes out"
    return f"{enough}{_no_matter(answering, turned)}"


def _no_matter(answering: Endpoint, turned: list[PartFacts]) -> str:
    """A model that takes more than text is used as a language model here, and nothing given is what it could take."""
    senses = [word for kind, word in _SENSES if kind in answering.model.input]
    given = {kind for part in turned for kind in _AS.get(part.kind, (part.kind,))}
    if not senses or given & set(answering.input):
        return ""
    return f"; that the model could also {joined(senses)} makes no difference"


def _conversions(way: Way, passage: Passage) -> int:
    """How often content becomes text: once a part, but for parts that are heard and seen, or read and described."""
    if way.name in ("watch", "both"):
        return sum(piece.endpoint is not None for piece in passage.pieces)
    return any(piece.endpoint is not None or piece.op == "extract" for piece in passage.pieces)


def _seen(case: Case, assignment: Assignment) -> str:
    """What goes in as more than text, parts that go the same way named together; "" when nothing does."""
    alike: dict[tuple[Kind, str], list[tuple[PartFacts, Passage]]] = {}
    for bundle, way in zip(case.bundles, assignment.ways, strict=True):
        if way.name == "native" or way.pictures or "audio" in way.hands:
            alike.setdefault((bundle.kind, way.name), []).extend(zip(bundle.parts, way.passages, strict=True))
    found: list[str] = []
    for (kind, name), pairs in alike.items():
        pairs.sort(key=lambda pair: pair[0].index)
        many = len(pairs) > 1
        goes = "go in as" if many else "goes in as"
        if name == "native":
            words = f"{goes} {(_GO_IN if many else _GOES_IN).get(kind, kind)}"
        elif name == "mixed":
            words = f"{goes} text with {_shown(pairs)}"
        elif name == "watch":
            words = f"{goes} {_watched(pairs[0][1])}"
        elif name == "resized":
            words = f"{goes} {'pictures' if many else 'a picture'} made smaller"
        elif name == "frames":
            words = f"{goes} frames"
        elif name == "read_along":
            words = f"{goes} {'pictures' if many else 'a picture'} with the text read from {'them' if many else 'it'}"
        else:
            words = f"{'are' if many else 'is'} shown as pictures of {'their' if many else 'its'} pages"
        found.append(f"{joined([part.name for part, _ in pairs])} {words}")
    return ", ".join(found)


def _watched(passage: Passage) -> str:
    """What reaches the model of a video that was taken apart."""
    names = {"transcribe": "its transcript", "demux": "its sound", "read": "the text on the screen"}
    return joined(
        [names.get(p.op, "frames" if p.op == "frames" else "descriptions") for p in passage.pieces if p.shown]
    )


def _shown(pairs: list[tuple[PartFacts, Passage]]) -> str:
    """Which pages are seen beside the text, of several documents how many."""
    pages = [page for _, passage in pairs for piece in passage.pieces if piece.op == "render" for page in piece.pages]
    which = pages_title(tuple(pages)) if len(pairs) == 1 else f"{number(len(pages))} pages"
    return f"{'a picture' if len(pages) == 1 else 'pictures'} of {which}"


def _because(case: Case, assignment: Assignment) -> str:
    """The need that only a direct look serves, when one was noticed."""
    for bundle, way in zip(case.bundles, assignment.ways, strict=True):
        if way.name == "native" or way.pictures or "audio" in way.hands:
            for aspect in (*case.policy.keep, *bundle.needs):
                if aspect in way.keeps and aspect not in ("words", "timing"):
                    return f"; text would lose its {aspect}"
    return ""


def warnings(case: Case, assignment: Assignment) -> tuple[str, ...]:
    """What a route loses that the question or the media seem to need, and pages it leaves out."""
    found: list[str] = []
    for bundle, way in zip(case.bundles, assignment.ways, strict=True):
        for aspect in way.missed:
            found.append(f"loses {aspect} of {bundle.title}: {_why(case, aspect, bundle)}")
        if way.left_out:
            found += _left_out(bundle, way)
        for part in bundle.parts:
            if part.kind == "image" and part.frames > 1 and way.name != "frames":
                found.append(f"takes only the first of {part.frames:,} frames of {part.name}")
    return tuple(found)


def told_needs(case: Case) -> tuple[PartNeeds, ...]:
    """What was told of the question, for each bundle: the media's own facts may ask for more."""
    found: list[PartNeeds] = []
    for bundle in case.bundles:
        first = bundle.parts[0]
        asked = case.asked.of(medium_of(first))
        together = case.asked.of("pictures") if bundle.compared else MediumNeeds(medium="pictures")
        needed = tuple(need for need in (*asked.needed, *together.needed) if need.aspect in bundle.needs)
        unsure = tuple(need for need in (*asked.unsure, *together.unsure) if need.aspect in bundle.needs)
        if needed or unsure:
            found.append(
                PartNeeds(
                    part=first.index, title=bundle.title, count=len(bundle.parts), needed=needed, unsure=unsure,
                    by=case.asked.by,
                )
            )  # fmt: skip
    return tuple(found)


def _why(case: Case, aspect: Aspect, bundle: Bundle) -> str:
    """Why an aspect of these parts seems to be needed."""
    asked = case.asked.of(medium_of(bundle.parts[0]))
    together = case.asked.of("pictures")
    if any(need.aspect == aspect for need in (*asked.needed, *together.needed)):
        return NEEDED
    if any(need.aspect == aspect for need in (*asked.unsure, *together.unsure)):
        return UNSURE
    return _suggested(aspect, bundle)


def _suggested(aspect: Aspect, bundle: Bundle) -> str:
    """Why something seems to be needed that nobody asked for."""
    if aspect == "figures":
        mostly = tuple(page for part in bundle.parts for page in figured_pages(part))
        some = tuple(page for part in bundle.parts for page in pages_with_figures(part))
        if mostly:
            return f"{pages_title(mostly)} {'is' if len(mostly) == 1 else 'are'} mostly figures"
        if some:
            return f"{pages_title(some)} {'shows' if len(some) == 1 else 'show'} some"
    if bundle.kind == "image" and aspect in ("words", "appearance"):
        if not any(part.text_density.known for part in bundle.parts):
            return "nobody knows yet what is in it"
        if aspect == "appearance" and any(part.text_density.mid > SPARSE for part in bundle.parts):
            return "it is more than a page of text"
    return _SUGGESTED.get(aspect, "it seems to be about that")


def _left_out(bundle: Bundle, way: Way) -> list[str]:
    found: list[str] = []
    for part, wanted, passage in zip(bundle.parts, bundle.pages, way.passages, strict=True):
        kept = {page for piece in passage.pieces for page in piece.pages}
        out = tuple(page.number for page in wanted if page.number not in kept)
        if out:
            found.append(f"leaves out {pages_title(out)} of {part.name}: the text of all {len(wanted)} does not fit")
    return found


def policy_line(case: Case, default_floor: str) -> str:
    """The policy in words, only what bounds or prefers something."""
    policy = case.policy
    floor = f"{policy.at_least} stated" if policy.at_least is not None else default_floor
    words = [f"time_value ${policy.time_value:g}/s"] if policy.objective == "default" else []
    words.append(f"floor {floor}")
    words.append(f"max cost ${policy.max_cost:g}" if policy.max_cost < math.inf else "no limit on cost")
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
    if policy.language:
        words.append(f"language {policy.language}")
    if policy.model:
        words.append(f"model {policy.model}")
    return f"{policy.objective} ({', '.join(words)})"
