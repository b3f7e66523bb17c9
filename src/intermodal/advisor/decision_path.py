"""The path to a decision: questions with answers, whether the label matters, and why the other uses lost."""

from __future__ import annotations

import math
from typing import Literal

from intermodal.advisor.advice import DecisionFork, RouteOffer, UseOffers
from intermodal.advisor.model_uses import TITLES, UseName
from intermodal.advisor.question import OPTION_NAMES, AdviceQuestion
from intermodal.content import Kind as Content
from intermodal.plans.numbers import plain_money, plain_seconds
from intermodal.plans.verdict import VerdictName

ROUNDED = 1e-8  # USD: less is how a score is rounded
CLOSE = 0.10  # of the objective's number: nearer than that, estimates do not tell two uses apart
_ENDS: dict[UseName, str] = {
    "recognition": "the words of a recording are wanted, and nobody answers anything",
    "synthesis": "the text itself is spoken, and nobody answers anything",
    "translation": "the words of a recording are wanted in another language, and nobody answers anything",
    "embedding": "vectors say enough, and no words are wanted",
    "encoding": "scores of labels are wanted, and no words",
    "matching": "labels are held against what pictures show, and no words are wanted",
    "drawing": "a picture is wanted, and no words",
}


def decision_path(
    question: AdviceQuestion, kinds: list[UseOffers], decided: UseName, made: RouteOffer, verdict: VerdictName
) -> tuple[DecisionFork, ...]:
    """The forks that lead to the decision."""
    if decided in _ENDS:
        return (_fork(WORDS, "no", _ENDS[decided], decided),)
    found = [_fork(WORDS, "yes", f"{question.makes} comes out")]
    media = [OPTION_NAMES[kind] for kind in question.takes if kind != "text"]
    if not media:
        return (*found, _fork(MEDIA, "no", "text alone goes in", decided))
    found.append(_fork(MEDIA, "yes", f"{_joined(media)} {_go(question.takes)} in"))
    text = next((kind for kind in kinds if kind.use in ("cascade", "llm")), None)
    carried = text is not None and text.best is not None and not _needed(text.best)
    if not carried:
        why = _without(text)
        found.append(_fork(CARRIED, "no", why))
        if decided in ("cascade", "llm"):
            return (*found, _fork(WHOLE, "no", "nothing within these limits does", decided))
        return (*found, *_senses(kinds, decided))
    assert text is not None and text.best is not None
    guessed = ", as far as the prompt tells what is needed (--prompt, --keep)" if verdict == "unknown" else ""
    found.append(_fork(CARRIED, "yes", f"as {text.best.summary}{guessed}"))
    if decided in ("cascade", "llm"):
        return (*found, _fork(DETOUR, "yes", _cheaper(question, kinds, made), decided))
    found.append(_fork(DETOUR, "no", _dearer(question, text.best, made)))
    return (*found, *_senses(kinds, decided))


# Each question, and where "yes" and "no" lead when the way does not go on.
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
    """A fork, with where its other answer would have led."""
    other = (_NO if answer == "yes" else _YES).get(question, "")
    return DecisionFork(question=question, answer=answer, why=why, otherwise=other, leads=leads)


def _senses(kinds: list[UseOffers], decided: UseName) -> tuple[DecisionFork, ...]:
    if len(kinds) < 3:
        return (_fork(WHOLE, "yes", f"as {TITLES[decided]}", decided),)
    answer: Literal["yes", "no"] = "yes" if decided == "omni" else "no"
    why = "it sees and hears" if decided == "omni" else "one sense is enough, the rest becomes text"
    return (_fork(BOTH, answer, why, decided),)


def _needed(offer: RouteOffer) -> list[str]:
    return [each for each in offer.misses if each.startswith("loses ")]


def _without(text: UseOffers | None) -> str:
    if text is None:
        return "no route over words came into question"
    if text.best is None:
        return text.offers[0].refused[0] if text.offers and text.offers[0].refused else "there is no such route"
    return f"it {_needed(text.best)[0]}"


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _go(takes: tuple[Content, ...]) -> str:
    return "go" if len([kind for kind in takes if kind != "text"]) > 1 else "goes"


def _cheaper(question: AdviceQuestion, kinds: list[UseOffers], made: RouteOffer) -> str:
    rivals = [kind.best for kind in kinds if kind.use not in ("cascade", "llm") and kind.best is not None]
    if not rivals:
        return "nothing reachable takes it as it is"
    best = min(rivals, key=lambda offer: (offer.lost, offer.score))
    return f"{_number(question, made)} instead of {_number(question, best)}"


def _dearer(question: AdviceQuestion, text: RouteOffer, made: RouteOffer) -> str:
    return f"{_number(question, text)} instead of {_number(question, made)}"


def _number(question: AdviceQuestion, offer: RouteOffer) -> str:
    """What the objective looks at."""
    money = f"${plain_money(offer.usd.mid)}" if offer.usd.known else "an unknown price"
    seconds = f" and {plain_seconds(offer.seconds.mid)} s" if "waiting" in question.by else ""
    strong = f"{offer.tier}, " if question.objective == "best" else ""
    lost = penalty(question, offer)
    return f"{strong}{money}{seconds}{f' and ${plain_money(lost)} for what is lost' if lost else ''}"


def _other_number(question: AdviceQuestion, offer: RouteOffer, made: RouteOffer) -> str:
    """Money and seconds of a use beside those of the decision, in words where one is the price of the other."""
    said = f"{_number(question, offer)} instead of {_number(question, made)}"
    slower = offer.seconds.mid - made.seconds.mid
    if "waiting" in question.by and made.usd.known and offer.usd.mid < made.usd.mid and slower > 0:
        return f"cheaper, but {plain_seconds(slower)} s slower ({said})"
    return said


def penalty(question: AdviceQuestion, offer: RouteOffer) -> float:
    """USD that the objective adds to the money of a route for what it loses and may be needed; 0 where it adds none, or
    seconds as well."""
    if not question.by_bill or not offer.usd.known:
        return 0.0
    added = offer.score - offer.usd.mid
    return added if added > ROUNDED else 0.0


def why_lost(question: AdviceQuestion, kind: UseOffers, decided: UseName, made: RouteOffer) -> str:
    """Why a use is not the decision, in the objective's own numbers."""
    if kind.use == decided:
        return ""
    best = kind.best
    if best is None:
        return "no route"
    if needed := _needed(best):
        return f"{needed[0]}; {_number(question, best)} instead of {_number(question, made)}"
    if best.weak and not made.weak:
        return f"its weakest link is {best.tier}, below the default strength"
    if not best.usd.known:
        return "its price is not known, so it sorts last"
    return _other_number(question, best, made)


def compare_picks(question: AdviceQuestion, offer: RouteOffer, first: RouteOffer) -> str:
    """A pick that comes after the first, in the objective's own numbers."""
    return f"{_number(question, offer)} instead of {_number(question, first)}"


def why_labels_do_not_matter(
    question: AdviceQuestion, kinds: list[UseOffers], decided: UseName, made: RouteOffer
) -> str:
    """When the label does not matter: the same model either way, or numbers too near each other to tell."""
    for kind in kinds:
        best = kind.best
        if kind.use == decided or best is None or _needed(best) or (best.weak and not made.weak):
            continue
        if best.model == made.model:
            both = f"as {TITLES[decided]} and as {TITLES[kind.use]}"
            return f"{made.model} serves {both}: the label says nothing"
        if question.objective in ("fastest", "best") or not (best.usd.known and made.usd.known):
            continue
        if made.score > 0 and math.isfinite(best.score) and best.score / made.score - 1 <= CLOSE:
            apart = best.score / made.score - 1
            near = f"within {max(apart, 0.01):.0%} of it by {question.by}"
            return f"{kind.title} is {near}: too near to tell apart"
    return ""
