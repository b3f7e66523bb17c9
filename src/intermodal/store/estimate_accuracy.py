"""Grade estimates against actuals, and find values that are off by more than their stated range. Pure.

Estimates are graded as they were made at the time, so no estimate is judged by runs it was learned from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from intermodal.catalog.types import Speed
from intermodal.core.quantity import Quantity, between, q_error
from intermodal.cost_model.token_calibration import calibration_text
from intermodal.cost_model.tokens import SPEECH
from intermodal.store.epochs import Epoch
from intermodal.store.learned_figures import (
    TOKENS_PER_LETTER,
    TRANSFORMS,
    is_informative,
    observations,
    was_skipped_as_silent,
    without_contention,
)
from intermodal.store.pruning import PICO, EndpointTotal, UsageTotals
from intermodal.store.rows import (
    AttemptRow,
    Drift,
    EndpointUsage,
    EstimateComparison,
    EstimateGrade,
    Range,
    Summary,
    TransformRow,
)
from intermodal.store.speed_regression import MEDIA, percentile, priors, stated_speed

LOOKED_AT = 60  # newest rows of an endpoint, or of an op, that a drift is judged by
_ENOUGH = 5  # rows below which no estimate is reported as off
_MOST_OUTSIDE = 0.5  # share of rows outside their range above which the range counts as wrong; it promises 0.2
_CLOCK = 0.005  # seconds below which a q-error grades the clock
_UNITS = {
    "overhead": "s", "load": "s", "prompt": "tok/s", "decode": "tok/s", "realtime_factor": "s per s of sound",
    "megapixel": "s per megapixel", "page": "s per page", "tokens_per_second_of_speech": "tok per s of speech",
    "reading_factor": "times the rule", "worker": "s", "extract_page": "s per page",
    "render_megapixel": "s per megapixel", "frames_second": "s per megapixel second",
    "demux_second": "s per s of sound",
}  # fmt: skip
_RULES: dict[str, Quantity] = {  # token rules that a figure corrects, and the range each states
    "tokens_per_second_of_speech": between(*SPEECH, "rule"),
    "reading_factor": between(0.6, 1.0, 1.7, "rule"),
}  # fmt: skip


class EstimatePair(NamedTuple):
    """One estimate with its actual value.

    ``number`` of the row, ``day`` it was made; ``call`` is False for a transform.
    """

    endpoint: str
    op: str
    figure: str
    estimate: float
    actual: float
    promised: Range | None
    number: int
    day: str
    call: bool = True

    def is_after(self, epoch: Epoch) -> bool:
        """Return whether it was made after an epoch began; attempts and transforms are numbered separately."""
        return self.number > (epoch.ended if self.call else epoch.made)

    @property
    def is_outside_range(self) -> bool:
        """Whether the actual lies outside the promised range, by more than rounding and clock resolution."""
        if self.promised is None:
            return False
        slack = _CLOCK if self.figure == "seconds" else 0.5
        return not self.promised.low - slack <= self.actual <= self.promised.high + slack


# ---- usage ----------------------------------------------------------------------------------------


def summary(
    totals: UsageTotals, rows: Sequence[AttemptRow], transform_rows: Sequence[TransformRow], *,
    newest: Epoch, first: Epoch,
) -> Summary:  # fmt: skip
    """Return the data of ``intermodal usage``: usage by endpoint, and the accuracy of estimates by endpoint and value.

    ``rows``, ``transform_rows``: the newest attempts and transforms, by which estimates are graded.
    """
    every = totals.endpoints
    attempts = sum(each.attempts for each in every)
    return Summary(
        endpoints=tuple(_usage(each) for each in every),
        grades=tuple(_grade_estimates([*pairs(rows), *transform_pairs(transform_rows)], first)),
        beside=tuple(_endpoint_comparison(each, newest) for each in every if each.compared),
        attempts=attempts,
        runs=totals.runs,
        running=totals.running,
        interrupted=totals.interrupted,
        cost=sum(each.pico for each in every) / PICO + sum(each.vast for each in every),
        open=totals.open,
        epoch=newest.number,
        added_up=attempts - totals.kept,
    )


def _endpoint_comparison(total: EndpointTotal, newest: Epoch) -> EstimateComparison:
    """Return estimate and actual of an endpoint, over rows whose input tokens were both estimated and reported."""
    return EstimateComparison(
        endpoint=total.endpoint, runs=total.compared,
        input_estimated=round(total.input_estimated / 1000), input_counted=total.input_counted,
        output_estimated=round(total.output_estimated / 1000), output_counted=total.output_counted,
        cost_estimated=total.pico_estimated / PICO, cost_billed=total.pico_billed / PICO,
        learned=calibration_text(total.endpoint, newest.statistics),
    )  # fmt: skip


def _usage(total: EndpointTotal) -> EndpointUsage:
    return EndpointUsage(
        endpoint=total.endpoint,
        attempts=total.attempts,
        failed=total.failed,
        input_tokens=_reported_count(total.input_tokens, total.input_unreported),
        output_tokens=_reported_count(total.output_tokens, total.output_unreported),
        cost=total.cost,
        seconds=round(total.micros / 1e6, 3),
        input_unreported=total.input_unreported,
        output_unreported=total.output_unreported,
    )


def _reported_count(tokens: int, unreported: int) -> int | None:
    return None if unreported and not tokens else tokens


def _grade_estimates(every: Iterable[EstimatePair], first: Epoch) -> Iterator[EstimateGrade]:
    graded: dict[tuple[str, str, str], list[EstimatePair]] = {}
    for pair in every:
        graded.setdefault((pair.endpoint, pair.op, pair.figure), []).append(pair)
    for (endpoint, op, figure), some in sorted(graded.items()):
        learned_pairs = [pair for pair in some if first.number and pair.is_after(first)]
        before = [pair for pair in some if not first.number or not pair.is_after(first)]
        judged = learned_pairs or before
        errors = [q_error(pair.estimate, pair.actual) for pair in judged]
        promised = [pair for pair in judged if pair.promised is not None]
        yield EstimateGrade(
            endpoint=endpoint, op=op, figure=figure, count=len(judged),
            median=percentile(errors, 0.5), p90=percentile(errors, 0.9),
            before=percentile([q_error(pair.estimate, pair.actual) for pair in before], 0.5) if before else None,
            inside=sum(not pair.is_outside_range for pair in promised) / len(promised) if promised else None,
        )  # fmt: skip


def pairs(rows: Iterable[AttemptRow]) -> Iterator[EstimatePair]:
    """Yield the estimates and actuals of informative rows.

    A q-error needs positive values on both sides: an actual of 0 (music has no words) is left out, and an estimated
    count below 1 is graded as 1, as is usual for cardinalities. Seconds exclude loading, and a recording that was
    skipped as silent is left out of them.
    """
    by_step: dict[tuple[str, str], list[AttemptRow]] = {}
    for row in filter(is_informative, rows):
        by_step.setdefault((row.reservation.run, row.reservation.step), []).append(row)
    for calls in by_step.values():  # a step of several calls was estimated as a whole
        last, expected = calls[-1], calls[-1].reservation
        outcomes = [row.outcome for row in calls if row.outcome is not None]
        for figure, estimate, actual, promised in (
            ("input_tokens", _at_least_one(expected.input_tokens),
             _sum_if_all_known(outcome.usage.input_tokens for outcome in outcomes), expected.input_range),
            ("output_tokens", _at_least_one(expected.output_tokens),
             _sum_if_all_known(outcome.usage.output_tokens for outcome in outcomes), expected.output_range),
            ("seconds", expected.seconds, sum(outcome.seconds for outcome in outcomes), expected.seconds_range),
        ):  # fmt: skip
            silent = figure == "seconds" and all(map(was_skipped_as_silent, calls))
            if estimate is not None and actual and not silent:
                day = last.started[:10]
                yield EstimatePair(
                    expected.endpoint, expected.op, figure, estimate, actual, promised, last.sequence, day
                )


def transform_pairs(rows: Iterable[TransformRow]) -> Iterator[EstimatePair]:
    for row in rows:
        if row.expected and row.seconds > 0:
            promised, day = row.expected_range, row.started[:10]
            yield EstimatePair(
                "media", row.op, "seconds", row.expected, row.seconds, promised, row.sequence, day, call=False
            )


def _sum_if_all_known(counts: Iterable[int | None]) -> int | None:
    found = list(counts)
    known = [count for count in found if count is not None]
    return sum(known) if len(known) == len(found) else None


def _at_least_one(tokens: float | None) -> float | None:
    return None if tokens is None else max(1.0, tokens)


# ---- drift ----------------------------------------------------------------------------------------


def drifts(rows: Sequence[AttemptRow], transform_rows: Sequence[TransformRow], newest: Epoch) -> tuple[Drift, ...]:
    """Return values that are off by more than their stated range.

    Compares shipped values with learned ones, then promises with actuals.
    """
    found = [*_figures_off(rows, newest), *_media_off(transform_rows, newest)]
    by_kind: dict[tuple[str, str, str], list[EstimatePair]] = {}
    for pair in (*pairs(without_contention(rows)), *transform_pairs(transform_rows)):
        by_kind.setdefault((pair.endpoint, pair.op, pair.figure), []).append(pair)
    for key in sorted(by_kind):
        promise = _range_drift(by_kind[key], newest)
        if promise is not None:
            found.append(promise)
    return tuple(found)


def _figures_off(rows: Sequence[AttemptRow], newest: Epoch) -> Iterator[Drift]:
    """Yield learned values that lie outside the range stated by their shipped row or rule."""
    by_endpoint: dict[str, list[AttemptRow]] = {}
    for row in filter(is_informative, rows):
        by_endpoint.setdefault(row.reservation.endpoint, []).append(row)
    for endpoint, some in sorted(by_endpoint.items()):
        speed = stated_speed(endpoint)
        known = {figure: getattr(speed, figure) for figure in Speed.__struct_fields__} | _RULES
        for figure, stated_value in sorted(known.items()):
            learned_value = newest.statistics.get(endpoint, figure)
            if (
                learned_value is None
                or stated_value.mid <= 0
                or stated_value.low <= learned_value.mid <= stated_value.high
            ):
                continue
            errors = list(_stated_errors(endpoint, figure, stated_value, some))
            if len(errors) >= _ENOUGH:
                yield _drift_of(
                    endpoint, figure, stated_value, learned_value, errors, min(row.started[:10] for row in some)
                )


def _stated_errors(endpoint: str, figure: str, stated_value: Quantity, rows: Sequence[AttemptRow]) -> Iterator[float]:
    """Yield the q-error of a stated value for each run.

    The error is that of the seconds to which the value contributes, or of the count that it predicts.
    """
    if figure == "load":
        loads = [row.outcome.load_seconds for row in rows if row.outcome and row.outcome.load_seconds > 0]
        yield from (q_error(stated_value.mid, load) for load in loads)
        return
    if figure in _RULES:
        for row in rows:
            out, sound = row.outcome.usage.output_tokens if row.outcome else None, row.reservation.work.audio_seconds
            if out and figure == "tokens_per_second_of_speech" and sound:
                yield q_error(stated_value.mid * sound, out)
            elif out and figure == "reading_factor" and row.reservation.work.letters:
                yield q_error(row.reservation.work.letters * TOKENS_PER_LETTER, out)
        return
    before = priors(endpoint, rows[-1].reservation.zone)
    for row in rows:
        for observation in observations(row):
            if figure in dict(observation.amounts):
                yield q_error(
                    sum(before[name].typical * amount for name, amount in observation.amounts), observation.seconds
                )


def _media_off(transform_rows: Sequence[TransformRow], newest: Epoch) -> Iterator[Drift]:
    for op, figure in TRANSFORMS.items():
        learned_value, stated_value = newest.statistics.get("media", figure), MEDIA[figure]
        rows = [row for row in transform_rows if row.op == op and row.amount > 0 and row.seconds > 0]
        if learned_value is None or len(rows) < _ENOUGH or stated_value.low <= learned_value.mid <= stated_value.high:
            continue
        worker = MEDIA["worker"].mid
        errors = [q_error(worker + stated_value.mid * row.amount, row.seconds) for row in rows]
        yield _drift_of("media", figure, stated_value, learned_value, errors, min(row.started[:10] for row in rows))


def _drift_of(
    endpoint: str, figure: str, stated_value: Quantity, learned_value: Quantity, errors: Sequence[float], since: str
) -> Drift:  # fmt: skip
    return Drift(
        endpoint=endpoint, figure=figure, unit=_UNITS[figure], count=len(errors), since=since,
        q_error=percentile(errors, 0.5), stated=Range(low=stated_value.low, high=stated_value.high),
        seen=Range(low=learned_value.low, high=learned_value.high), learned=True,
    )  # fmt: skip


def _range_drift(every: Sequence[EstimatePair], newest: Epoch) -> Drift | None:
    """Return the drift of one value of one op at one endpoint, if most of its actuals lay outside the promised range.

    Judged by promises since the newest epoch if there are enough, else by all, in which case the epoch may already have
    corrected it.
    """
    promised = [pair for pair in every if pair.promised is not None]
    first = every[0]
    since = [pair for pair in promised if pair.is_after(newest)]
    judged = since if len(since) >= _ENOUGH else promised
    if len(judged) < _ENOUGH or sum(pair.is_outside_range for pair in judged) <= _MOST_OUTSIDE * len(judged):
        return None
    actuals = [pair.actual for pair in judged]
    ranges = [pair.promised for pair in judged if pair.promised is not None]
    return Drift(
        endpoint=first.endpoint, figure=f"{first.op} {first.figure.replace('_', ' ')}",
        unit="s" if first.figure == "seconds" else "tok", count=len(judged), since=min(pair.day for pair in judged),
        q_error=percentile([q_error(pair.estimate, pair.actual) for pair in judged], 0.5),
        stated=Range(low=_typical(each.low for each in ranges), high=_typical(each.high for each in ranges)),
        seen=Range(low=percentile(actuals, 0.1), high=percentile(actuals, 0.9)),
        learned=newest.number > 0 and judged is not since,
    )  # fmt: skip


def _typical(values: Iterable[float]) -> float:
    return percentile([value for value in values if math.isfinite(value)], 0.5)
