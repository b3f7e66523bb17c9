"""Learn the length of an endpoint's answers from few observations: hierarchical credibility. Pure arithmetic.

An endpoint's answers of one kind in one script are a class of a kind, kinds are classes of the endpoint, and above the
endpoint is the prior of every kind (``cost_model/answer_length.py``). The learned quantity is the ratio of answer
length to the prior. The estimate of a class is Z times its own mean plus 1 - Z times that of its parent, with Z = n /
(n + ``LEVELS`` * ``ENOUGH``) for n answers: classes, kinds and endpoints are assumed to differ equally from their
parents, so that ``ENOUGH`` answers of one kind count as much as the prior. A parent is the mean of its classes, each
weighted by its Z, so that many answers of one kind say little about another (Bühlmann and Straub, Mitteilungen der
Vereinigung schweizerischer Versicherungsmathematiker, 1970; Jewell, Giornale dell'Istituto Italiano degli Attuari,
1975).

Mid and range are computed on logarithms, the mean on tokens. The range holds 95 % of further answers: a predictive
interval. Its standard deviation combines that of answers of the kind, shrunk towards the prior by ``ENOUGH`` answers,
and that of the estimate itself.

An answer that was cut at a limit is a censored observation: it would have been at least that long. It counts with the
limit, or with its expected length if that is longer. Without it, only short answers would remain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from intermodal.core.quantity import Quantity
from intermodal.cost_model.answer_length import (
    LENGTH_FIGURE,
    MEAN_FIGURE,
    TYPICAL,
    AnswerKind,
    base_kind,
    log_deviation,
    typical_length,
)
from intermodal.store.rows import Pause, no_pause
from intermodal.store.speed_regression import round_range

ENOUGH = 20.0  # answers of one kind that weigh as much as the prior
LEVELS = 3.0
_ROUNDS = 2  # rounds in which cut answers get the length expected from the others
_REACH = 2.0  # standard deviations: 95 %
_LEAST = 1.0  # token


class ObservedAnswer(NamedTuple):
    """The visible tokens of one answer, its kind, and its weight. ``cut``: it was cut at a limit."""

    kind: AnswerKind
    tokens: float
    weight: float = 1.0
    cut: bool = False


class _Class(NamedTuple):
    """The mean of a class from its own answers, and its credibility."""

    mean: float
    credibility: float


def learn_lengths(answers: Sequence[ObservedAnswer], pause: Pause = no_pause) -> dict[str, Quantity]:
    """Return statistics by name: the length of answers of each kind, including kinds that were not observed.

    ``pause`` is called after every few thousand steps.

    >>> few, many = (learn_lengths([ObservedAnswer("fact", 110.0)] * times)["output_tokens_fact"] for times in (2, 200))
    >>> few.mid, many.mid
    (58.6, 103.0)
    """
    kinds = sorted({*TYPICAL, *(each.kind for each in answers)})
    logs = [each._replace(tokens=math.log(each.tokens / typical_length(each.kind).mid)) for each in answers]
    longer = _estimates([each for each in logs if not each.cut], kinds)
    for _ in range(_ROUNDS):
        pause()
        longer = _estimates([_extrapolate_cut(each, longer) for each in logs], kinds)
    pause()
    logs = [_extrapolate_cut(each, longer) for each in logs]
    means = [each._replace(tokens=_tokens(each) / typical_length(each.kind).mean - 1.0) for each in logs]
    dearer = _estimates(means, kinds)
    pause()
    found: dict[str, Quantity] = {}
    for kind in kinds:
        run_count = sum(kind in (each.kind, base_kind(each.kind)) for each in answers)
        basis = f"{run_count} runs here" if run_count == len(answers) else f"{run_count} of {len(answers)} runs here"
        middle = max(_LEAST, typical_length(kind).mid * math.exp(longer[kind]))
        reach = math.exp(_REACH * _deviation_of_class(logs, longer, kind))
        mean = max(middle, typical_length(kind).mean * (1.0 + dearer[kind]))
        found[f"{LENGTH_FIGURE}_{kind}"] = round_range(max(_LEAST, middle / reach), middle, middle * reach, basis)
        found[f"{MEAN_FIGURE}_{kind}"] = round_range(mean, mean, mean, basis)
    return found


def _extrapolate_cut(answer: ObservedAnswer, longer: Mapping[AnswerKind, float]) -> ObservedAnswer:
    """Raise the logarithm of a cut answer to its expected length."""
    return answer._replace(tokens=max(answer.tokens, longer[answer.kind])) if answer.cut else answer


def _tokens(log: ObservedAnswer) -> float:
    return typical_length(log.kind).mid * math.exp(log.tokens)


def _estimates(values: Sequence[ObservedAnswer], kinds: Sequence[AnswerKind]) -> dict[AnswerKind, float]:
    """Return the estimate of each kind relative to the prior, which is 0.

    ``values``: the averaged quantity in ``tokens``.
    """
    leaves = {kind: _leaf([each for each in values if each.kind == kind]) for kind in kinds}
    bases = sorted({base_kind(kind) for kind in kinds})
    by_base = {base: _parent_class([leaves[kind] for kind in kinds if base_kind(kind) == base]) for base in bases}
    endpoint = _credible_mean(_parent_class(list(by_base.values())), 0.0)
    expected = {base: _credible_mean(by_base[base], endpoint) for base in bases}
    return {kind: _credible_mean(leaves[kind], expected[base_kind(kind)]) for kind in kinds}


def _leaf(values: Sequence[ObservedAnswer]) -> _Class:
    weight = sum(each.weight for each in values)
    mean = sum(each.weight * each.tokens for each in values) / weight if weight else 0.0
    return _Class(mean, weight / (weight + LEVELS * ENOUGH))


def _parent_class(classes: Sequence[_Class]) -> _Class:
    """Return the parent of these classes.

    Parents are assumed to differ among themselves as much as their classes do.
    """
    weight = sum(each.credibility for each in classes)
    mean = sum(each.credibility * each.mean for each in classes) / weight if weight else 0.0
    return _Class(mean, weight / (weight + 1.0))


def _credible_mean(own: _Class, other: float) -> float:
    return own.credibility * own.mean + (1.0 - own.credibility) * other


def _deviation_of_class(logs: Sequence[ObservedAnswer], longer: Mapping[AnswerKind, float], kind: AnswerKind) -> float:
    """Return the standard deviation of the logarithm of a further answer.

    It combines the deviation of the kind and that of the estimate.
    """
    alike = [each for each in logs if base_kind(each.kind) == base_kind(kind)]
    count = ENOUGH + sum(each.weight for each in alike)
    squares = sum(each.weight * (each.tokens - longer[each.kind]) ** 2 for each in alike)
    return math.sqrt((ENOUGH * log_deviation(kind) ** 2 + squares) / count * (1.0 + 1.0 / count))
