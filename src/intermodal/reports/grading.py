"""Whether an answer is right: one function per way to compare, in a table."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import field

from intermodal.content import Value
from intermodal.reports import texts
from intermodal.reports.items import Compare, Item


class Answered(Value):
    """What a route answered, as far as grading looks at it."""

    text: str = ""
    data: Any = None
    scores: dict[str, float] = field(default_factory=dict)


class Grade(Value):
    """``score`` is 0..1, how far the answer is right; ``said`` is what differs, "" where nothing does."""

    right: bool
    score: float
    said: str = ""


def grade(item: Item, answer: Answered) -> Grade:
    """Compare an answer in the way the item asks for."""
    return _WAYS[item.compare](item, answer)


def _yes_or_no(right: bool, said: str) -> Grade:
    return Grade(right=right, score=float(right), said="" if right else said)


def _exact(item: Item, answer: Answered) -> Grade:
    mine = texts.plain(answer.text)
    return _yes_or_no(any(mine == texts.plain(str(one)) for one in item.accepted), f"not {_shown(item)}")


def _contains(item: Item, answer: Answered) -> Grade:
    there = [texts.holds(answer.text, str(one)) for one in item.accepted]
    if item.all:
        missing = [str(one) for one, found in zip(item.accepted, there, strict=True) if not found]
        said = "" if not missing else f"lacks {', '.join(missing)}"
        return Grade(right=not missing, score=sum(there) / len(there), said=said)
    return _yes_or_no(any(there), f"does not say {_shown(item)}")


def _number(item: Item, answer: Answered) -> Grade:
    said = texts.numbers(answer.text)
    looked = {"any": said, "first": said[:1], "last": said[-1:]}[item.which]
    right = any(texts.near(value, float(one), item.tolerance) for value in looked for one in item.accepted)
    return _yes_or_no(right, f"no number is {_shown(item)}" if looked else "no number is stated")


def _regex(item: Item, answer: Answered) -> Grade:
    text = answer.text[: texts.MAX_ANSWER]
    found = [bool(re.search(str(pattern), text, re.IGNORECASE)) for pattern in item.accepted]
    if item.all:
        missing = [str(one) for one, there in zip(item.accepted, found, strict=True) if not there]
        said = "" if not missing else f"does not match {', '.join(missing)}"
        return Grade(right=not missing, score=sum(found) / len(found), said=said)
    right = any(found)
    return _yes_or_no(right, f"does not match {_shown(item)}")


def _wer(item: Item, answer: Answered) -> Grade:
    rate = min(texts.word_errors(answer.text, str(one)) for one in item.accepted)
    right = rate <= item.max_wer + 1e-12
    return Grade(right=right, score=max(0.0, 1.0 - rate), said=f"word error rate {rate:.3f}")


def _json(item: Item, answer: Answered) -> Grade:
    given = answer.data if answer.data is not None else texts.first_json(answer.text)
    if given is None:
        return Grade(right=False, score=0.0, said="no JSON")
    good, of, differs = texts.leaves(item.expected, given, item.tolerance)
    return Grade(right=good == of, score=good / of, said=f"differs at {differs}" if differs else "")


def _labels(item: Item, answer: Answered) -> Grade:
    """Which labels an answer names; one that is part of a longer one it names too does not count."""
    if answer.scores:
        named = {max(answer.scores, key=lambda label: answer.scores[label])}
    else:
        left = texts.plain(answer.text)
        named = set()
        for label in sorted(item.labels, key=len, reverse=True):
            if texts.holds(left, label):
                named.add(label)
                left = left.replace(texts.plain(label), " ")
    right = named == {str(one) for one in item.accepted}
    return _yes_or_no(right, f"says {', '.join(sorted(named))}" if named else "names no label")


def _shown(item: Item) -> str:
    return " or ".join(str(one) for one in item.accepted[:3])


_WAYS: dict[Compare, Callable[[Item, Answered], Grade]] = {
    "exact": _exact,
    "contains": _contains,
    "number": _number,
    "regex": _regex,
    "wer": _wer,
    "json": _json,
    "labels": _labels,
}
