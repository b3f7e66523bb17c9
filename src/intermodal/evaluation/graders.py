"""Graders: one function per method of comparing an answer with the expected one.

``grade`` is the entry point. The pure functions that compare texts, numbers and JSON follow the graders.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from msgspec import field

from intermodal.core.content import Value
from intermodal.evaluation.dataset import Compare, EvalItem

MAX_ANSWER = 200_000  # characters of an answer that are graded


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


_NUMBER = re.compile(r"(?<![\w.,])[-−+]?(?:\d[\d.,'’\u00a0\u202f]*\d|\d)(?:[eE][-+]?\d+)?")


_EDGES = " \t\r\n.,;:!?\"'“”‘’«»()[]{}*_`"


class RouteAnswer(Value):
    """A route's answer, with the fields that grading needs."""

    text: str = ""
    data: Any = None
    scores: dict[str, float] = field(default_factory=dict)


class AnswerGrade(Value):
    """The grade of an answer.

    ``score``: how correct the answer is, 0..1. ``difference``: from the expected answer, in words; "" for none.
    """

    right: bool
    score: float
    difference: str = field(default="", name="said")


def grade(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    """Grade an answer with the method that the item states."""
    return _GRADERS[item.compare](item, answer)


def _yes_or_no(right: bool, difference: str) -> AnswerGrade:
    return AnswerGrade(right=right, score=float(right), difference="" if right else difference)


def _grade_exact(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    normalized_answer = normalize(answer.text)
    return _yes_or_no(
        any(normalized_answer == normalize(str(accepted)) for accepted in item.accepted_answers),
        f"not {_accepted_text(item)}",
    )


def _grade_contains(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    contained = [contains_words(answer.text, str(accepted)) for accepted in item.accepted_answers]
    if item.all:
        missing = [str(accepted) for accepted, found in zip(item.accepted_answers, contained, strict=True) if not found]
        difference = "" if not missing else f"lacks {', '.join(missing)}"
        return AnswerGrade(right=not missing, score=sum(contained) / len(contained), difference=difference)
    return _yes_or_no(any(contained), f"does not say {_accepted_text(item)}")


def _grade_number(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    stated_numbers = numbers_in(answer.text)
    graded_numbers = {"any": stated_numbers, "first": stated_numbers[:1], "last": stated_numbers[-1:]}[item.which]
    right = any(
        is_close(value, float(accepted), item.tolerance)
        for value in graded_numbers
        for accepted in item.accepted_answers
    )
    return _yes_or_no(right, f"no number is {_accepted_text(item)}" if graded_numbers else "no number is stated")


def _regex(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    text = answer.text[:MAX_ANSWER]
    found = [bool(re.search(str(pattern), text, re.IGNORECASE)) for pattern in item.accepted_answers]
    if item.all:
        missing = [str(accepted) for accepted, matches in zip(item.accepted_answers, found, strict=True) if not matches]
        difference = "" if not missing else f"does not match {', '.join(missing)}"
        return AnswerGrade(right=not missing, score=sum(found) / len(found), difference=difference)
    right = any(found)
    return _yes_or_no(right, f"does not match {_accepted_text(item)}")


def _wer(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    rate = min(word_error_rate(answer.text, str(accepted)) for accepted in item.accepted_answers)
    right = rate <= item.max_wer + 1e-12
    return AnswerGrade(right=right, score=max(0.0, 1.0 - rate), difference=f"word error rate {rate:.3f}")


def _json(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    data = answer.data if answer.data is not None else first_json(answer.text)
    if data is None:
        return AnswerGrade(right=False, score=0.0, difference="no JSON")
    good, total, differs = compare_leaves(item.expected, data, item.tolerance)
    return AnswerGrade(right=good == total, score=good / total, difference=f"differs at {differs}" if differs else "")


def _labels(item: EvalItem, answer: RouteAnswer) -> AnswerGrade:
    """Grade the labels that an answer names. A label that only occurs within a longer named label does not count."""
    if answer.scores:
        labels = {max(answer.scores, key=lambda label: answer.scores[label])}
    else:
        left = normalize(answer.text)
        labels = set()
        for label in sorted(item.labels, key=len, reverse=True):
            if contains_words(left, label):
                labels.add(label)
                left = left.replace(normalize(label), " ")
    right = labels == {str(accepted) for accepted in item.accepted_answers}
    return _yes_or_no(right, f"says {', '.join(sorted(labels))}" if labels else "names no label")


_GRADERS: dict[Compare, Callable[[EvalItem, RouteAnswer], AnswerGrade]] = {
    "exact": _grade_exact,
    "contains": _grade_contains,
    "number": _grade_number,
    "regex": _regex,
    "wer": _wer,
    "json": _json,
    "labels": _labels,
}


def _accepted_text(item: EvalItem) -> str:
    return " or ".join(str(accepted) for accepted in item.accepted_answers[:3])


def normalize(text: str) -> str:
    """Normalize text for comparison: Unicode NFKC, lower case, single spaces, no surrounding punctuation.

    >>> normalize("  “Gothenburg”. ")
    'gothenburg'
    """
    return " ".join(unicodedata.normalize("NFKC", text[:MAX_ANSWER]).casefold().split()).strip(_EDGES)


def contains_words(text: str, phrase: str) -> bool:
    """Return whether ``text`` contains ``phrase`` as whole words.

    >>> contains_words("The total is EUR 1,380.50.", "1,380.50"), contains_words("category", "cat")
    (True, False)
    """
    inside, sought = normalize(text), normalize(phrase)
    if not sought:
        return False
    before = r"(?<!\w)" if sought[0].isalnum() else ""
    after = r"(?!\w)" if sought[-1].isalnum() else ""
    return re.search(before + re.escape(sought) + after, inside) is not None


def numbers_in(text: str) -> list[float]:
    """Return all numbers in a text, in order. Both ``1,380.50`` and ``1.380,50`` are understood.

    >>> numbers_in("EUR 1,380.50, or 1.380,50; -3 of 48,210 and 7 percent")
    [1380.5, 1380.5, -3.0, 48210.0, 7.0]
    """
    found = [_number_in_answer(match[0]) for match in _NUMBER.finditer(text[:MAX_ANSWER])]
    return [value for value in found if value is not None]


def _number_in_answer(number: str) -> float | None:
    """Parse one number; None if it is not a number.

    The last separator is the decimal one, unless it is repeated or exactly three digits follow it.
    """
    digits, exponent, power = number.replace("−", "-").partition("e" if "e" in number else "E")
    digits = re.sub("['’\u00a0\u202f]", "", digits)
    last = max(digits.rfind("."), digits.rfind(","))
    if last >= 0:
        mark, after = digits[last], digits[last + 1 :]
        other = "." if mark == "," else ","
        integer_part = digits[:last].lstrip("+-")
        thousands = len(after) == 3 and (mark == "," or digits.count(mark) > 1) and integer_part not in ("", "0")
        if other not in digits and (digits.count(mark) > 1 or thousands):
            digits = digits.replace(mark, "")
        else:
            digits = digits[:last].replace(mark, "").replace(other, "") + "." + after
    try:
        return float(digits + exponent + power)
    except ValueError:
        return None


def words_for_wer(text: str) -> list[str]:
    """Split a text into words for speech recognition grading: lower case, no punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text[:MAX_ANSWER]).casefold().replace("’", "'"))


def word_error_rate(answer: str, expected: str) -> float:
    """Return the word error rate: substitutions, deletions and insertions divided by the number of expected words.

    It is the edit distance (Levenshtein 1966) over words. The rate exceeds 1 if much was inserted.

    >>> word_error_rate("ask not what your country", "Ask not: what your country?")
    0.0
    """
    answer_words, expected_words = words_for_wer(answer), words_for_wer(expected)
    if not expected_words:
        return 0.0 if not answer_words else float(len(answer_words))
    row = list(range(len(expected_words) + 1))
    for place, word in enumerate(answer_words, start=1):
        diagonal, row[0] = row[0], place
        for column, other in enumerate(expected_words, start=1):
            diagonal, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, diagonal + (word != other)),
            )
    return row[-1] / len(expected_words)


def first_json(text: str) -> Any:
    """Return the first JSON object or list in a text, None if there is none."""
    decoder = json.JSONDecoder()
    for match in re.finditer(r"[{\[]", text[:MAX_ANSWER]):
        try:
            value: Any = decoder.raw_decode(text, match.start())[0]
        except ValueError:
            continue
        return value
    return None


def compare_leaves(expected: Any, answer: Any, tolerance: float) -> tuple[int, int, str]:
    """Return how many leaves of ``expected`` the answer has, out of how many, and the first difference.

    Additional keys of the answer do not count against it. Lists are compared by position.
    """
    return _compare_leaves(expected, answer, tolerance, "")


def _compare_leaves(expected: Any, answer: Any, tolerance: float, path: str) -> tuple[int, int, str]:
    pairs: list[tuple[Any, Any, str]]
    if isinstance(expected, dict) and expected:
        members = answer if isinstance(answer, dict) else {}
        pairs = [(value, members.get(key), f"{path}.{key}".lstrip(".")) for key, value in expected.items()]
    elif isinstance(expected, list) and expected:
        there_list = answer if isinstance(answer, list) else []
        pairs = [
            (value, there_list[place] if place < len(there_list) else None, f"{path}[{place}]")
            for place, value in enumerate(expected)
        ]
        if len(there_list) > len(expected):
            pairs.append((len(expected), len(there_list), f"length of {path or 'the list'}"))
    else:
        good = _is_same_value(expected, answer, tolerance)
        return int(good), 1, "" if good else (path or "the answer")
    right = total = 0
    differs = ""
    for value, actual, where in pairs:
        some, leaf_count, first = _compare_leaves(value, actual, tolerance, where)
        right, total, differs = right + some, total + leaf_count, differs or first
    return right, total, differs


def _is_same_value(expected: Any, answer: Any, tolerance: float) -> bool:
    if isinstance(expected, bool) or expected is None or isinstance(expected, dict | list):
        return type(expected) is type(answer) and bool(expected == answer)
    if isinstance(expected, int | float):
        if isinstance(answer, str):
            stated_numbers = numbers_in(answer)
            return len(stated_numbers) == 1 and is_close(stated_numbers[0], float(expected), tolerance)
        return (
            not isinstance(answer, bool) and isinstance(answer, int | float) and is_close(answer, expected, tolerance)
        )
    return isinstance(answer, str | int | float) and normalize(str(expected)) == normalize(str(answer))


def is_close(value: float, expected: float, tolerance: float) -> bool:
    """Return whether two numbers are equal within ``tolerance`` and floating-point error."""
    return abs(value - expected) <= tolerance + 1e-9 * max(1.0, abs(expected))
