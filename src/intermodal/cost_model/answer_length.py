"""Expected length of an answer, from what the question asks for and from the endpoint's earlier answers.

The defaults are measured answers of a small model to 55 questions of the benchmark's written set
(``benchmarks/estimates_set.py``): one word or a name 3 to 40 tokens, facts 8 to 120, one or two sentences 11 to 158,
reading aloud 14 to 512, explanations, stories and reports 75 to 512. Lengths are for English; kinds of questions are
recognised in ten languages (``questions/answer_kinds.py``). Answers of one kind vary by a factor of 2 to 3 in either
direction, which the ranges reflect. Lengths learned from an endpoint's own answers (``store/answer_lengths.py``) take
precedence.

``mid`` is the median and is used for time and context. A few long answers dominate the bill, so money uses ``mean``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from intermodal.core.content import Text
from intermodal.core.quantity import Quantity
from intermodal.core.request import JsonOutput, Request
from intermodal.plans.statistics import Statistics
from intermodal.questions.answer_kinds import answer_kind

AnswerKind = str  # a key of TYPICAL, with a suffix "_SCRIPT" if not Latin, or "_SIZE" for "json"
# Tokens: low, typical. The high end is the limit the request sets.
TYPICAL: dict[AnswerKind, tuple[float, float]] = {
    "word": (2.0, 10.0),
    "fact": (8.0, 55.0),
    "sentence": (15.0, 45.0),
    "list": (20.0, 100.0),
    "whole": (14.0, 110.0),
    "long": (60.0, 200.0),
    "other": (8.0, 60.0),
    "json": (10.0, 50.0),
}
_LOW_END = 1.96  # standard deviations of the logarithm from typical to low: 1 answer in 40 is shorter
LENGTH_FIGURE, MEAN_FIGURE = "output_tokens", "output_mean"  # names of statistics, followed by "_KIND"
# First and last letter of each script; other scripts are not distinguished.
_SCRIPTS: tuple[tuple[str, str, str], ...] = (
    ("greek", "\u0370", "\u03ff"), ("cyrillic", "\u0400", "\u052f"), ("hebrew", "\u0590", "\u05ff"),
    ("arabic", "\u0600", "\u06ff"), ("indic", "\u0900", "\u0dff"), ("thai", "\u0e00", "\u0e7f"),
    ("kana", "\u3040", "\u30ff"), ("han", "\u3400", "\u9fff"), ("hangul", "\uac00", "\ud7a3"),
)  # fmt: skip
_QUESTION_CHARS = 400  # characters of the question


class AnswerLength(NamedTuple):
    """Tokens of an answer: ``low`` is the 2.5 % quantile, ``mid`` the median, ``mean`` the average."""

    low: float
    mid: float
    mean: float

    def times(self, factor: float) -> AnswerLength:
        return AnswerLength(self.low * factor, self.mid * factor, self.mean * factor)


def log_deviation(kind: AnswerKind) -> float:
    """Return the standard deviation of the logarithm of the length of answers of one kind."""
    low, mid = TYPICAL.get(base_kind(kind), TYPICAL["other"])
    return math.log(mid / low) / _LOW_END


def typical_length(kind: AnswerKind) -> AnswerLength:
    """Return the default length of answers of a kind. It is log-normal, so the mean exceeds the median.

    >>> [round(value) for value in typical_length("fact")]
    [8, 55, 89]
    """
    low, mid = TYPICAL.get(base_kind(kind), TYPICAL["other"])
    found = AnswerLength(low, mid, mid * math.exp(log_deviation(kind) ** 2 / 2))
    size = kind.partition("_")[2]
    return found.times(float(size) / mid) if base_kind(kind) == "json" and size else found


def base_kind(kind: AnswerKind) -> AnswerKind:
    """Return the kind without its script or size.

    >>> base_kind("other_han"), base_kind("fact")
    ('other', 'fact')
    """
    return kind.partition("_")[0]


def learned_length(statistics: Statistics, endpoint: str, kind: AnswerKind) -> Quantity | None:
    """Return the learned length in tokens of an endpoint's answers of this kind or its base kind, or None."""
    return _learned_figure(statistics, endpoint, kind, LENGTH_FIGURE)


def expected_length(statistics: Statistics, endpoint: str, kind: AnswerKind) -> AnswerLength | None:
    """Return the learned length with its mean; None if nothing was learned."""
    found = learned_length(statistics, endpoint, kind)
    if found is None:
        return None
    mean = _learned_figure(statistics, endpoint, kind, MEAN_FIGURE) or found
    return AnswerLength(found.low, found.mid, max(found.mid, mean.mid))


def _learned_figure(statistics: Statistics, endpoint: str, kind: AnswerKind, figure: str) -> Quantity | None:
    found, base = statistics.get(endpoint, f"{figure}_{kind}"), base_kind(kind)
    if found is not None or base == kind:
        return found
    found = statistics.get(endpoint, f"{figure}_{base}")
    if found is None or found.certainty == "exact":
        return found
    return found.scaled(typical_length(kind).mid / typical_length(base).mid)


def kind_of_request(request: Request) -> AnswerKind:
    """Return the kind of answer that a request asks for. JSON is sized at about half the length of its schema."""
    schema = request.output.schema if isinstance(request.output, JsonOutput) else None
    if not schema:
        return kind_of(last_user_words(request))
    tokens = len(msgspec.json.encode(schema)) / 8
    return "json" if tokens <= TYPICAL["json"][1] else f"json_{1 << round(math.log2(tokens))}"


def kind_of(question: str) -> AnswerKind:
    """Return the kind of answer that a question asks for, and its script if that is not Latin.

    >>> [kind_of(q) for q in ("Is it dry? Answer yes or no.", "Who wrote it?", "Why is the sky blue?", "Hm.")]
    ['word', 'fact', 'long', 'other']
    >>> kind_of("Résume ce document."), kind_of("Is the letter dated 2024?"), kind_of("总结这份文件")
    ('long', 'fact', 'long_han')
    """
    start = question.strip()[:_QUESTION_CHARS]
    if not start:  # for example labels or a transcript; avoids compiling the patterns
        return "other"
    script = main_script(start)
    kind = answer_kind(start, not script) or "other"
    return f"{kind}_{script}" if script else kind


def main_script(text: str) -> str:
    """Return the script of most letters; "" for Latin, or if there are no letters.

    >>> main_script("何ですか"), main_script("What is 大?")
    ('kana', '')
    """
    if text.isascii():
        return ""
    counts = {name: sum(low <= letter <= high for letter in text) for name, low, high in _SCRIPTS}
    if counts["kana"]:  # Japanese uses kana and Han characters
        counts["kana"] += counts.pop("han")
    most = max(counts, key=lambda name: counts[name])
    latin = sum(letter.isalpha() for letter in text) - sum(counts.values())
    return most if counts[most] > latin else ""


def last_user_words(request: Request) -> str:
    """Return the text of the user's last message, without files."""
    for message in reversed(request.messages):
        if message.role == "user":
            # no function call per part: a message can have tens of thousands of parts
            return " ".join([part.text for part in message.parts if type(part) is Text and not part.name])
    return ""
