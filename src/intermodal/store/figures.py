"""From rows to statistics: pure. What earlier runs took, as the planner reads it.

Hygiene: only settled rows without an error, not answered from an endpoint's own cache. A cancelled,
failed or estimated row says nothing about speed. Loading is a figure of its own; the work of a cold
row counts only where there are too few warm ones (a command line is always cold).

A figure needs ``ENOUGH`` rows. It is low = 10th percentile, mid = median, high = 90th percentile of
the newest ``WINDOW`` rows of its endpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from intermodal.plans.statistics import Statistics
from intermodal.quantity import Quantity, between, q_error
from intermodal.store.rows import Attempt, EndpointUsage, Grade, Summary

ENOUGH = 3
WINDOW = 200
EPOCH_ROWS = 10
_SPREAD = 2.0  # largest prompt over smallest: below it, waiting and reading cannot be told apart

Figure = Callable[[Attempt], float | None]


def statistics(epoch: int, rows: Iterable[Attempt]) -> Statistics:
    """Figures of every endpoint. ``rows`` in the order they ended."""
    by_endpoint: dict[str, list[Attempt]] = {}
    for row in rows:
        if _counts(row):
            by_endpoint.setdefault(row.reservation.endpoint, []).append(row)
    found: dict[str, Quantity] = {}
    for endpoint in sorted(by_endpoint):
        for figure, quantity in _figures(by_endpoint[endpoint][-WINDOW:]).items():
            found[f"{endpoint}|{figure}"] = quantity
    return Statistics(epoch=epoch, rows=found)


def _counts(row: Attempt) -> bool:
    return row.state == "settled" and row.outcome is not None and not row.outcome.error and not row.outcome.cached


def _figures(rows: Sequence[Attempt]) -> dict[str, Quantity]:
    warm = [row for row in rows if row.outcome and row.outcome.load_seconds == 0]
    timed = warm if len(warm) >= ENOUGH else rows
    found: dict[str, Quantity] = {}
    for name, figure in _TIMED.items():
        _add(found, name, [value for row in timed if (value := figure(row)) is not None])
    for name, figure in _COUNTED.items():
        _add(found, name, [value for row in rows if (value := figure(row)) is not None])
    found.update(_prompt(timed))
    return found


def _add(found: dict[str, Quantity], name: str, values: list[float]) -> None:
    if len(values) >= ENOUGH:
        found[name] = spread(values, f"median of {len(values)} runs")


def spread(values: Sequence[float], basis: str) -> Quantity:
    """10th percentile, median and 90th percentile, the outer two moved apart while there are few values.

    Three runs do not show how bad a bad run is: with them the shares of later runs inside the bare percentiles
    were 0 to 67 % per figure (``benchmarks/estimates.py``). The margin is a factor of 1 + 2 / sqrt(n): 2.2 for 3 runs,
    1.6 for 10, 1.2 for 100. Rounded to 3 digits so that a plan reads well.
    """
    margin = 1 + 2 / math.sqrt(len(values))
    low, mid, high = (percentile(values, share) for share in (0.1, 0.5, 0.9))
    low, mid, high = (float(f"{value:.3g}") for value in (low / margin, mid, high * margin))
    return between(low, mid, high, basis)


def percentile(values: Sequence[float], share: float) -> float:
    """Linear interpolation between the closest ranks (type 7 of Hyndman and Fan, The American Statistician, 1996)."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    if place == below or ordered[above] == ordered[below]:
        return ordered[below]  # also keeps infinities from making a NaN
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


# ---- figures of one row -----------------------------------------------------------------------


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above and below and above > 0 and below > 0 else None


def _decode(row: Attempt) -> float | None:
    """Output tokens per second after the first: the first belongs to reading the prompt."""
    outcome = row.outcome
    if outcome is None or outcome.first_seconds is None or not outcome.usage.output_tokens:
        return None
    return _ratio(outcome.usage.output_tokens - 1, outcome.seconds - outcome.first_seconds)


def _seconds(row: Attempt) -> float | None:
    return row.outcome.seconds if row.outcome else None


def _output(row: Attempt) -> int | None:
    return row.outcome.usage.output_tokens if row.outcome else None


def _load(row: Attempt) -> float | None:
    return row.outcome.load_seconds if row.outcome and row.outcome.load_seconds > 0 else None


def _generated(row: Attempt) -> float | None:
    return _output(row) if row.reservation.op == "generate" else None


# Names are those of catalog.nouns.Speed and plans.statistics.Statistics.
_TIMED: dict[str, Figure] = {
    "decode": _decode,
    "realtime_factor": lambda row: _ratio(_seconds(row), row.reservation.work.audio_seconds),
    "page": lambda row: _ratio(_seconds(row), row.reservation.work.pages),
    "megapixel": lambda row: (
        None if row.reservation.work.pages else _ratio(_seconds(row), row.reservation.work.megapixels)
    ),
}
_COUNTED: dict[str, Figure] = {
    "load": _load,
    "output_tokens": _generated,
    "tokens_per_second_of_speech": lambda row: _ratio(_output(row), row.reservation.work.audio_seconds),
    "tokens_per_megapixel": lambda row: _ratio(_output(row), row.reservation.work.megapixels),
}


def _prompt(rows: Sequence[Attempt]) -> dict[str, Quantity]:
    """``overhead`` and ``prompt`` from (input tokens, seconds to the first output).

    With prompts of different sizes both come from a line through the points: slope = median of the
    slopes of all pairs (Theil 1950, Sen 1968), robust against single slow runs. Without, all the
    time is reading in a runtime on this machine, and all of it is waiting elsewhere.
    """
    points = [
        (float(row.outcome.usage.input_tokens), row.outcome.first_seconds)
        for row in rows[-50:]
        if row.outcome and row.outcome.first_seconds is not None and row.outcome.usage.input_tokens
    ]
    if len(points) < ENOUGH:
        return {}
    basis = f"median of {len(points)} runs"
    sizes = [size for size, _ in points]
    slope = _slope(points) if max(sizes) >= _SPREAD * min(sizes) else 0.0
    if slope > 0:
        rests = [max(0.0, seconds - slope * size) for size, seconds in points]
        overhead = spread(rests, basis)
        reading = [(seconds - overhead.mid) / size for size, seconds in points]
        rates = [1 / pace for pace in reading if pace > 0]
        return {"overhead": overhead, **({"prompt": spread(rates, basis)} if len(rates) >= ENOUGH else {})}
    if rows[-1].reservation.zone in ("process", "machine"):
        rates = [rate for size, seconds in points if (rate := _ratio(size, seconds)) is not None]
        return {"prompt": spread(rates, basis)} if len(rates) >= ENOUGH else {}
    return {"overhead": spread([seconds for _, seconds in points], basis)}


def _slope(points: Sequence[tuple[float, float]]) -> float:
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for index, earlier in enumerate(points)
        for later in points[index + 1 :]
        if later[0] != earlier[0]
    ]
    return percentile(slopes, 0.5) if slopes else 0.0


# ---- what was used, and how good estimates were ------------------------------------------------


def summary(rows: Sequence[Attempt], *, runs: int, epoch: int) -> Summary:
    """``intermodal usage``: per endpoint what was used, per op how good the estimates were."""
    by_endpoint: dict[str, list[Attempt]] = {}
    for row in rows:
        by_endpoint.setdefault(row.reservation.endpoint, []).append(row)
    return Summary(
        endpoints=tuple(_usage(endpoint, by_endpoint[endpoint]) for endpoint in sorted(by_endpoint)),
        grades=tuple(_grades(rows)),
        attempts=len(rows),
        runs=runs,
        cost=sum(row.spent for row in rows),
        open=sum(row.state in ("reserved", "sent") for row in rows),
        epoch=epoch,
    )


def _usage(endpoint: str, rows: Sequence[Attempt]) -> EndpointUsage:
    outcomes = [row.outcome for row in rows if row.outcome is not None]
    return EndpointUsage(
        endpoint=endpoint,
        attempts=len(rows),
        failed=sum(bool(outcome.error) for outcome in outcomes),
        input_tokens=sum(outcome.usage.input_tokens or 0 for outcome in outcomes),
        output_tokens=sum(outcome.usage.output_tokens or 0 for outcome in outcomes),
        cost=sum(row.spent for row in rows),
        seconds=round(sum(outcome.seconds for outcome in outcomes), 3),
    )


def _grades(rows: Sequence[Attempt]) -> Iterable[Grade]:
    """A q-error needs something on both sides: an actual of 0 (music has no words) is left out of the grade."""
    graded: dict[tuple[str, str], list[float]] = {}
    for row in filter(_counts, rows):
        assert row.outcome is not None
        expected, usage = row.reservation, row.outcome.usage
        pairs = (
            ("input_tokens", _at_least_one(expected.input_tokens), usage.input_tokens),
            ("output_tokens", _at_least_one(expected.output_tokens), usage.output_tokens),
            ("seconds", expected.seconds, row.outcome.seconds),
        )
        for figure, estimate, actual in pairs:
            if estimate is not None and actual:
                graded.setdefault((row.reservation.op, figure), []).append(q_error(estimate, actual))
    for (op, figure), errors in sorted(graded.items()):
        yield Grade(
            op=op, figure=figure, count=len(errors), median=percentile(errors, 0.5), p90=percentile(errors, 0.9)
        )


def _at_least_one(tokens: float | None) -> float | None:
    """Estimated counts below 1 are graded as 1, as is usual for cardinalities."""
    return None if tokens is None else max(1.0, tokens)
