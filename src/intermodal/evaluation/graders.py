"""Graders: one function per method of comparing an answer with the expected one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import field

from intermodal.content import Value
from intermodal.evaluation import text_comparison
from intermodal.evaluation.dataset import Compare, EvalItem


class RouteAnswer(Value):
    """What a route answered, as far as grading looks at it."""

    text: str = ""
    data: Any = None
    scores: dict[str, float] = field(default_factory=dict)


class AnswerGrade(Value):
    """``score`` is 0..1, how far the answer is right; ``said`` is what differs, "" where nothing does."""

    right: bool
    score: float
    said: str = ""


def grade(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    """Compare an answer in the way the item asks for."""
    return _GRADERS[item.compare](item, answer)


def _yes_or_no(right: bool, said: str) -> AnswerGrade:
    return AnswerGrade(right=right, score=float(right), said="" if right else said)


def _exact(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    mine = text_comparison.normalize(answer.text)
    return _yes_or_no(any(mine == text_comparison.normalize(str(one)) for one in item.accepted), f"not {_shown(item)}")


def _contains(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    there = [text_comparison.contains_words(answer.text, str(one)) for one in item.accepted]
    if item.all:
        missing = [str(one) for one, found in zip(item.accepted, there, strict=True) if not found]
        said = "" if not missing else f"lacks {', '.join(missing)}"
        return AnswerGrade(right=not missing, score=sum(there) / len(there), said=said)
    return _yes_or_no(any(there), f"does not say {_shown(item)}")


def _number(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    said = text_comparison.numbers(answer.text)
    looked = {"any": said, "first": said[:1], "last": said[-1:]}[item.which]
    right = any(
        text_comparison.is_close(value, float(one), item.tolerance) for value in looked for one in item.accepted
    )
    return _yes_or_no(right, f"no number is {_shown(item)}" if looked else "no number is stated")


def _regex(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    text = answer.text[: text_comparison.MAX_ANSWER]
    found = [bool(re.search(str(pattern), text, re.IGNORECASE)) for pattern in item.accepted]
    if item.all:
        missing = [str(one) for one, there in zip(item.accepted, found, strict=True) if not there]
        said = "" if not missing else f"does not match {', '.join(missing)}"
        return AnswerGrade(right=not missing, score=sum(found) / len(found), said=said)
    right = any(found)
    return _yes_or_no(right, f"does not match {_shown(item)}")


def _wer(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    rate = min(text_comparison.word_error_rate(answer.text, str(one)) for one in item.accepted)
    right = rate <= item.max_wer + 1e-12
    return AnswerGrade(right=right, score=max(0.0, 1.0 - rate), said=f"word error rate {rate:.3f}")


def _json(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    given = answer.data if answer.data is not None else text_comparison.first_json(answer.text)
    if given is None:
        return AnswerGrade(right=False, score=0.0, said="no JSON")
    good, of, differs = text_comparison.compare_leaves(item.expected, given, item.tolerance)
    return AnswerGrade(right=good == of, score=good / of, said=f"differs at {differs}" if differs else "")


def _labels(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    """Which labels an answer names; one that is part of a longer one it names too does not count."""
    if answer.scores:
        named = {max(answer.scores, key=lambda label: answer.scores[label])}
    else:
        left = text_comparison.normalize(answer.text)
        named = set()
        for label in sorted(item.labels, key=len, reverse=True):
            if text_comparison.contains_words(left, label):
                named.add(label)
                left = left.replace(text_comparison.normalize(label), " ")
    right = named == {str(one) for one in item.accepted}
    return _yes_or_no(right, f"says {', '.join(sorted(named))}" if named else "names no label")


def _shown(item: EvalItem) -> str:
    return " or ".join(str(one) for one in item.accepted[:3])


_GRADERS: dict[Compare, Callable[[EvalItem, RouteAnswer], AnswerGrade]] = {
    "exact": _exact,
    "contains": _contains,
    "number": _number,
    "regex": _regex,
    "wer": _wer,
    "json": _json,
    "labels": _labels,
}
