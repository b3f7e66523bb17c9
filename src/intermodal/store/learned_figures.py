"""Compute statistics of earlier runs from rows, for the planner. Pure.

A row counts only if it is settled, without an error, not answered from an endpoint's own cache, not the repetition of a
failed attempt, not one of several that a bench made at the same time, and not run while other programs kept the machine
busier than usual: a machine that is always busy is planned for as such, but one busy hour does not define a speed. A
recording that was skipped as silent says nothing about speed (see ``was_skipped_as_silent``). Loading is a separate
statistic; the work of a cold row counts only if there are too few warm ones (a command line is always cold).

Endpoints of one model are fitted together: while an endpoint has few rows, its values are shrunk towards those of the
endpoint with the most rows instead of the prior, and values that differ by no more than chance are considered equal. So
a few slow calls after an outage do not make one of two similar hosts the slower one.

Every statistic needs ``ENOUGH`` rows, out of the newest ``WINDOW`` of its endpoint; a row has half the weight of a row
that is ``HALF_LIFE`` rows newer. Seconds are modelled as a fixed part plus speeds, fitted together
(``speed_regression.py``), so that the size of the work is in the model rather than in the key. Low and high contain 80
% of the observations.

========================= ==========================================================================
overhead                  seconds before processing starts
prompt, decode            input and output tokens per second
realtime_factor           seconds per second of audio
film_factor               the same for films, on average: some speech models take many times as long on music
megapixel                 seconds per input megapixel
load                      seconds to load a cold runtime
output_tokens_<kind>      visible tokens of an answer, by kinds of cost_model/answer_length.py: see
                          ``answer_lengths.py``
output_mean_<kind>        their average
reasoning_tokens          reasoning tokens of the output; with @<effort> if a request named one
describe_tokens           output tokens of the description of one image
tokens_per_second_of_speech, tokens_per_megapixel
reading_factor            tokens read relative to those expected from the letters counted when it was probed
text_factor, image_factor, audio_factor, framing_start, framing_message
                          how a server counts input, relative to our rules: see "token calibration"
media: worker             seconds of one round trip to the media worker
media: extract_page       seconds per page; render_megapixel, frames_second, demux_second: see ``TRANSFORMS``
========================= ==========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from types import MappingProxyType

from intermodal.catalog.reasoning_effort import ThinkingRequest, thinking_tokens
from intermodal.catalog.thinking_models import thinking_of
from intermodal.catalog.types import EFFORTS, Speed
from intermodal.core.quantity import Quantity, between
from intermodal.core.request import Zone
from intermodal.cost_model.rates import FILM_FIGURE, reasoning_figure
from intermodal.cost_model.sibling_statistics import SPEEDS
from intermodal.cost_model.token_calibration import CALIBRATION_FACTORS, FRAMING_FIGURES
from intermodal.cost_model.tokens import MESSAGE, SPEECH, TEMPLATE
from intermodal.plans.cpu_schedule import LOCAL_ZONES
from intermodal.plans.statistics import Statistics
from intermodal.store import answer_lengths
from intermodal.store.rows import FILM_SOUND, AttemptRow, Pause, TransformRow, in_slices, no_pause
from intermodal.store.speed_regression import (
    CoefficientPrior,
    FittedCoefficient,
    Observation,
    fit_coefficients,
    lognormal_prior,
    media_priors,
    percentile,
    priors,
    residual,
    round_range,
    shrunk_deviation,
    spread_factors,
    states_decode_speed,
)

# ---- token calibration ------------------------------------------------------------------------------
#
# Compare servers' token counts with ours, and fit correction factors.
#
# Before a call is sent, its content is counted by our own rules (``executor/preparation/request_size.py``): text,
# images, audio, and the number of messages. The server's reported count is then modelled as
#
#     framing_start + framing_message * messages + text_factor * text + image_factor * image + audio_factor * audio
#
# with ``text_factor`` 1 if the text was counted exactly; a modality that the server reports separately is an equation
# of its own. The coefficients are fitted together (``speed_regression.py``) and shrunk towards our rules: factors to
# 1, framing to ``cost_model/tokens.py``. Our count is never corrected, so that learned factors stay valid.

FIGURES = (*CALIBRATION_FACTORS, *FRAMING_FIGURES)
# Spreads are standard deviations of a logarithm: vocabularies of one script differ by a third, rules for images by
# half, tokens of a second of audio by two (10 to 32), templates by e.
PRIORS: dict[str, CoefficientPrior] = {
    "text_factor": CoefficientPrior(1.0, 0.35),
    "image_factor": CoefficientPrior(1.0, 0.5),
    "audio_factor": CoefficientPrior(1.0, 0.7),
    "framing_start": CoefficientPrior(TEMPLATE[1], 1.0),
    "framing_message": CoefficientPrior(MESSAGE[1], 0.4),
}
# How far a plausible count may differ from ours: vocabularies and scripts differ by a factor of three, a server's own
# prompt adds some hundred tokens, rules for images and audio are guesses for many models.
_TEXT_APART, _MEDIA_APART, _BEFORE = 4.0, 10.0, 1500.0
_LEAST = 0.5  # tokens of framing if a server counts none: the logarithm needs a positive number


def token_equations(row: AttemptRow, weight: float = 1.0) -> list[Observation]:
    """Return the equations for a row's input counts; [] if it was not counted, or the server reported nothing."""
    work, outcome = row.reservation.work, row.outcome
    reported = outcome.usage.input_tokens if outcome is not None else None
    if outcome is None or not reported or implausible(row):
        return []
    if row.reservation.op == "transcribe":
        audio_tokens = work.audio_tokens
        return [Observation((("audio_factor", audio_tokens),), float(reported), weight)] if audio_tokens else []
    if row.reservation.op not in _CHATS or not work.messages:
        return []
    found: list[Observation] = []
    left, amounts = float(reported), [("framing_start", 1.0), ("framing_message", float(work.messages))]
    if work.text_exact:
        left -= work.text_tokens
    elif work.text_tokens:
        amounts.append(("text_factor", work.text_tokens))
    parts = (
        ("image_factor", work.image_tokens, outcome.told_image),
        ("audio_factor", work.audio_tokens, outcome.told_audio),
    )
    for name, own_count, other_count in parts:
        if own_count and other_count:
            left -= other_count
            found.append(Observation(((name, own_count),), float(other_count), weight))
        elif own_count:
            amounts.append((name, own_count))
    if left >= 0:
        found.append(Observation(tuple(amounts), max(left, _LEAST), weight))
    return found


def implausible(row: AttemptRow) -> str:
    """Return why a server's input count is implausible; "" if it is plausible, or there is nothing to compare.

    A server that reports 0 or ten times the input (some do, for cached prompts or by mistake) is billed by that count,
    but nothing is learned from it.
    """
    work, outcome = row.reservation.work, row.outcome
    reported = outcome.usage.input_tokens if outcome is not None else None
    media = work.image_tokens + work.audio_tokens
    if reported is None or row.reservation.op not in _CHATS or not work.messages or not (work.text_tokens or media):
        return ""
    most = work.text_tokens * _TEXT_APART + media * _MEDIA_APART + _BEFORE
    least = work.text_tokens / _TEXT_APART + media / _MEDIA_APART
    if least <= reported <= most:
        return ""
    return f"it counted {reported:,} tokens where between {least:,.0f} and {most:,.0f} can be"


def weighted_equations(rows: Sequence[tuple[AttemptRow, float]]) -> list[Observation]:
    """Return the equations of all rows with their weights."""
    return [one for row, weight in rows for one in token_equations(row, weight)]


# ---- learned figures --------------------------------------------------------------------------------

ENOUGH = 3
WINDOW = 120  # rows
READ = 2 * WINDOW  # newest rows of an endpoint to read, since some are not informative; they are never deleted
HALF_LIFE = 50  # rows
EPOCH_ROWS = 10
_QUIET = 0.25  # share of the processors that other programs may use without affecting a row
_UNUSUAL = 1.5  # times the usual share is unusually busy
FEWEST_LETTERS = 60.0  # minimum of a row to learn from: fewer may be stray edges or faint writing
TOKENS_PER_LETTER = 0.25  # of text that was recognised; ``reading_factor`` corrects it
_BY_CHANCE = 1.96  # standard errors: 95% of differences between two estimates of one value are smaller
_SHRUNK = 2.0  # weight of the rule's own figure, in rows
# Op -> statistic. The amount of a row: pages, megapixels, seconds of video times megapixels of a frame, seconds of
# sound.
TRANSFORMS: dict[str, str] = {
    "extract": "extract_page", "render": "render_megapixel", "frames": "frames_second", "demux": "demux_second",
}  # fmt: skip
_PER_SECOND = ("prompt", "decode")
_CHATS = ("generate", "translate", "describe")

Figure = Callable[[AttemptRow], float | None]

__all__ = [
    "ENOUGH",
    "EPOCH_ROWS",
    "READ",
    "TOKENS_PER_LETTER",
    "TRANSFORMS",
    "WINDOW",
    "informs",
    "is_informative",
    "observations",
    "percentile",
    "without_contention",
    "weighted_median",
    "statistics",
]


def statistics(
    epoch: int, rows: Iterable[AttemptRow], transforms: Iterable[TransformRow] = (), pause: Pause = no_pause
) -> Statistics:
    """Return the statistics of every endpoint, and of the media worker as ``media``. Rows are in the order they ended.

    ``pause`` is called after every slice of work: a full window takes 50 to 100 ms per endpoint.
    """
    by_endpoint: dict[str, list[AttemptRow]] = {}
    failed: set[tuple[str, str]] = set()
    for row in rows:
        by_endpoint.setdefault(row.reservation.endpoint, []).append(row)
        if row.outcome and row.outcome.error:
            failed.add((row.reservation.run, row.reservation.step))
    return of_endpoints(epoch, by_endpoint, by_endpoint.__getitem__, failed, transforms, pause)


def of_endpoints(
    epoch: int, endpoints: Iterable[str], rows_of: Callable[[str], Iterable[AttemptRow]], failed: Set[tuple[str, str]],
    transforms: Iterable[TransformRow] = (), pause: Pause = no_pause,
) -> Statistics:  # fmt: skip
    """Return the statistics from rows that are read one endpoint at a time.

    Rows are read twice if another endpoint has the same model. This keeps peak memory low in a gateway, which computes
    the statistics every few seconds. ``failed``: run and step of failed attempts, at any endpoint.
    """
    priors: dict[str, dict[str, Quantity]] = {}
    sizes: dict[str, int] = {}
    zones: dict[str, Zone] = {}
    for endpoint in sorted(endpoints):
        window = _window(rows_of(endpoint), failed)
        if window:
            priors[endpoint] = _figures(endpoint, window, pause=pause)
            sizes[endpoint], zones[endpoint] = len(window), window[-1].reservation.zone
    found: dict[str, Quantity] = {}
    for endpoint, figures in priors.items():
        other = _best_known(endpoint, sizes)
        if other is not None and (window := _window(rows_of(endpoint), failed)):
            other_figures = _shareable_figures(priors[other], zones[endpoint], zones[other])
            own = _figures(endpoint, window, other_figures, pause)
            figures = _combine_figures(
                own, other_figures, _equal_within_chance(own, other_figures, window, sizes[other])
            )
        for figure, quantity in figures.items():
            found[f"{endpoint}|{figure}"] = quantity
    for figure, quantity in _media([row for row in transforms if row.amount > 0 and row.seconds > 0], pause).items():
        found[f"media|{figure}"] = quantity
    return Statistics(epoch=epoch, rows=found)


def _window(rows: Iterable[AttemptRow], failed: Set[tuple[str, str]]) -> list[AttemptRow]:
    """Return the newest informative rows of an endpoint."""
    return [row for row in rows if informs(row, failed)][-WINDOW:]


def informs(row: AttemptRow, failed: Set[tuple[str, str]]) -> bool:
    """Return whether a row is informative and no attempt at its step is among ``failed``."""
    return is_informative(row) and (row.reservation.run, row.reservation.step) not in failed


def is_informative(row: AttemptRow) -> bool:
    """Return whether a row says something about its endpoint.

    It does if it is settled, without error, not cached, and not from a crowded bench.
    """
    outcome = row.outcome
    return (
        row.state == "settled"
        and outcome is not None
        and not (outcome.error or outcome.cached or outcome.bench == "crowded")
    )


def _best_known(endpoint: str, sizes: Mapping[str, int]) -> str | None:
    """Return the endpoint of the same model that has the most rows; None if that is this endpoint."""
    model = endpoint.partition(":")[2]
    alike = [each for each in sizes if each.partition(":")[2] == model]
    best = min(alike, key=lambda each: (-sizes[each], each))
    return best if best != endpoint and model else None


def _shareable_figures(figures: Mapping[str, Quantity], own_zone: Zone, other_zone: Zone) -> dict[str, Quantity]:
    """Return the values of another endpoint that apply to this one.

    These are the values of the model, and the speeds if the zone is similar.
    """
    alike = own_zone == other_zone or {own_zone, other_zone} <= set(LOCAL_ZONES)
    return {
        name: quantity
        for name, quantity in figures.items()
        if alike or name not in (*Speed.__struct_fields__, FILM_FIGURE)
    }


def _combine_figures(
    own: dict[str, Quantity], other_figures: Mapping[str, Quantity], same: Set[str]
) -> dict[str, Quantity]:
    """Return the endpoint's own values; those in ``same`` get the other endpoint's mid, clipped to the own range."""
    found: dict[str, Quantity] = {}
    for name, own_figure in own.items():
        middle = (
            min(max(other_figures[name].mid, own_figure.low), own_figure.high)
            if name in same and name in other_figures
            else own_figure.mid
        )
        found[name] = between(own_figure.low, middle, own_figure.high, own_figure.basis)
    return found


def _equal_within_chance(
    own: Mapping[str, Quantity], other_figures: Mapping[str, Quantity], rows: Sequence[AttemptRow], others: int
) -> set[str]:
    """Return the values that differ from another endpoint's by no more than chance.

    ``others``: rows of the other endpoint.

    Speeds are fitted together, and one that is too high compensates for another that is too low. So instead of speeds,
    the seconds of these runs are compared with those predicted by the other endpoint's speeds.
    """
    same = {
        name
        for name, own_figure in own.items()
        if name in other_figures and name not in SPEEDS and min(own_figure.low, other_figures[name].low) > 0
        and abs(math.log(own_figure.mid / other_figures[name].mid))
        <= _BY_CHANCE
        * math.hypot(_log_deviation(own_figure) / len(rows) ** 0.5, _log_deviation(other_figures[name]) / others**0.5)
    }  # fmt: skip
    logs = {
        name: math.log(1 / other_figures[name].mid if name in _PER_SECOND else other_figures[name].mid)
        for name in SPEEDS if name in other_figures
    }  # fmt: skip
    off: dict[tuple[str, ...], list[float]] = {}
    for observation in (one for row in rows for one in observations(row)):
        names = tuple(name for name, _ in observation.amounts)
        if all(name in logs for name in names):
            off.setdefault(names, []).append(residual(observation, logs))
    like, unlike = set[str](), set[str]()
    for names, found in off.items():
        error = shrunk_deviation(found) * math.sqrt(1 / len(found) + 1 / others)
        (like if abs(percentile(found, 0.5)) <= _BY_CHANCE * error else unlike).update(names)
    return same | (like - unlike)


def _log_deviation(quantity: Quantity) -> float:
    """Return the standard deviation of the logarithm of one run, from its 80 % range."""
    return math.log(quantity.high / quantity.low) / 2.56


def _figures(
    endpoint: str, rows: Sequence[AttemptRow], other_figures: Mapping[str, Quantity] = MappingProxyType({}),
    pause: Pause = no_pause,
) -> dict[str, Quantity]:  # fmt: skip
    """Return the statistics of one endpoint.

    ``other_figures``: values of the same model elsewhere, which replace the prior.
    """
    timed = without_contention([row for row in rows if _load(row) is None])
    if len(timed) < ENOUGH:
        timed = without_contention(rows)
    found = _speeds(timed, priors(endpoint, rows[-1].reservation.zone, other_figures), pause)
    _add_films(found, timed)
    loads = [
        (load, _weight(age)) for age, row in _with_age(without_contention(rows)) if (load := _load(row)) is not None
    ]
    _add(found, "load", loads)
    for name, figure in _COUNTED.items():
        values = [(value, _weight(age)) for age, row in _with_age(rows) if (value := figure(row)) is not None]
        _add(found, name, values, _RULES.get(name))
        pause()
    found.update(_counting(rows, other_figures, pause))
    answers = [answer for age, row in _with_age(rows) if (answer := _answer_length(row, _weight(age))) is not None]
    pause()
    if len(answers) >= ENOUGH:
        found.update(answer_lengths.learn_lengths(answers, pause))
        pause()
    found.update(_reasoning_figures(endpoint, rows))
    return found


def without_contention(rows: Sequence[AttemptRow]) -> list[AttemptRow]:
    """Drop rows that ran while other programs used much more of the machine than usual."""
    busy = [row.outcome.busy for row in rows if row.outcome and row.outcome.busy is not None]
    if not busy:
        return list(rows)
    most = max(_QUIET, _UNUSUAL * percentile(busy, 0.5))
    return [row for row in rows if row.outcome and (row.outcome.busy or 0.0) <= most]


def _with_age(rows: Sequence[AttemptRow]) -> list[tuple[int, AttemptRow]]:
    """Return each row with the number of rows after it."""
    return [(len(rows) - 1 - index, row) for index, row in enumerate(rows)]


def _weight(age: int) -> float:
    return float(0.5 ** (age / HALF_LIFE))


# ---- seconds ------------------------------------------------------------------------------------


def _speeds(rows: Sequence[AttemptRow], before: dict[str, CoefficientPrior], pause: Pause) -> dict[str, Quantity]:
    weighted = [one for age, row in in_slices(_with_age(rows), pause) for one in observations(row, _weight(age))]
    found: dict[str, Quantity] = {}
    for figure, result in _fit_coefficients(weighted, before, pause).items():
        found[figure] = _quantity(result, per_second=figure in _PER_SECOND)
    return found


def observations(row: AttemptRow, weight: float = 1.0) -> list[Observation]:
    """Return the equations for a row's times: one, or two if the first output was timed."""
    outcome, expected = row.outcome, row.reservation
    if outcome is None or outcome.seconds <= 0:
        return []
    usage, work = outcome.usage, expected.work
    if expected.op == "transcribe" and work.audio_seconds:
        if was_skipped_as_silent(row) or (expected.output == FILM_SOUND and not usage.output_tokens):
            return []
        return [Observation((("overhead", 1.0), ("realtime_factor", work.audio_seconds)), outcome.seconds, weight)]
    if expected.op == "read" and work.megapixels:
        read = [("overhead", float(max(1, work.pictures, work.pages))), ("megapixel", work.megapixels)]
        if usage.output_tokens and states_decode_speed(expected.endpoint):
            read.append(("decode", float(usage.output_tokens)))
        return [Observation(tuple(read), outcome.seconds, weight)]
    if expected.op == "score" and usage.input_tokens and usage.output_tokens:  # a letter of a model that writes
        wrote = ("decode", float(usage.output_tokens))
        return [Observation((("overhead", 1.0), ("prompt", float(usage.input_tokens)), wrote), outcome.seconds, weight)]
    if expected.op in ("embed", "score") and usage.input_tokens and outcome.told_image:  # of a contrastive model
        looked = (("overhead", float(max(1, work.pictures))), ("megapixel", work.megapixels))
        captions = float(usage.input_tokens - outcome.told_image)
        parts = (*looked, ("prompt", captions))
        return [Observation(tuple(part for part in parts if part[1] > 0), outcome.seconds, weight)]
    if expected.op in ("embed", "score") and usage.input_tokens:
        return [Observation((("overhead", 1.0), ("prompt", float(usage.input_tokens))), outcome.seconds, weight)]
    if expected.op == "draw" and work.made:
        image_work = (("overhead", 1.0), ("denoise", work.denoised), ("latent", work.made))
        return [Observation(image_work, outcome.seconds, weight)]
    if expected.op == "draw" and work.pictures:
        return [Observation((("overhead", 1.0), ("picture", float(work.pictures))), outcome.seconds, weight)]
    if expected.op not in _CHATS or not usage.input_tokens or implausible(row):
        return []
    reading = (("overhead", 1.0), ("prompt", float(usage.input_tokens)))
    out = float(usage.output_tokens or 0)
    if outcome.first_seconds is None or outcome.reasoning_tokens:  # the first that is seen is not the first made
        if usage.output_tokens is None:  # how much of the time was writing is unknown
            return []
        return [Observation((*reading, ("decode", out)) if out else reading, outcome.seconds, weight)]
    found = [Observation(reading, outcome.first_seconds, weight)] if outcome.first_seconds > 0 else []
    rest = outcome.seconds - outcome.first_seconds
    if out > 1 and rest > 0:  # the first token belongs to reading
        found.append(Observation((("decode", out - 1),), rest, weight))
    return found


def was_skipped_as_silent(row: AttemptRow) -> bool:
    """Return whether a recording was quickly skipped as silent, which does not show the model's speed.

    A model with voice detection skips it; one without may try again and again to transcribe music (5 s of it took 31 s,
    with half a second planned), and that time counts.
    """
    outcome, expected = row.outcome, row.reservation
    if outcome is None or expected.op != "transcribe" or outcome.usage.output_tokens != 0:
        return False
    promised = expected.seconds_range.high if expected.seconds_range is not None else expected.seconds
    return promised is None or outcome.seconds <= promised


def _media(rows: Sequence[TransformRow], pause: Pause) -> dict[str, Quantity]:
    weighted: list[Observation] = []
    for op, figure in TRANSFORMS.items():
        of_op = [row for row in rows if row.op == op][-WINDOW:]
        busy = [row.busy for row in of_op if row.busy is not None]
        most = max(_QUIET, _UNUSUAL * percentile(busy, 0.5)) if busy else 1.0
        usual = [row for row in of_op if (row.busy or 0.0) <= most]
        weighted += [
            Observation((("worker", 1.0), (figure, row.amount)), row.seconds, _weight(len(usual) - 1 - index))
            for index, row in enumerate(usual)
        ]
    return {figure: _quantity(result) for figure, result in _fit_coefficients(weighted, media_priors(), pause).items()}


def _fit_coefficients(
    weighted: Sequence[Observation], before: Mapping[str, CoefficientPrior], pause: Pause
) -> dict[str, FittedCoefficient]:
    """Return the values with enough observations; if there are too few, nothing is computed."""
    results = fit_coefficients(weighted, before, pause) if len(weighted) >= ENOUGH else {}
    return {figure: result for figure, result in results.items() if result.times >= ENOUGH}


def _quantity(result: FittedCoefficient, *, per_second: bool = False) -> Quantity:
    low, mid, high = result.value * result.low, result.value, result.value * result.high
    if per_second:
        low, mid, high = 1 / high, 1 / mid, 1 / low
    return round_range(low, mid, high, f"{result.times} runs here")


def _counting(rows: Sequence[AttemptRow], other_figures: Mapping[str, Quantity], pause: Pause) -> dict[str, Quantity]:
    """Return how the server counts inputs, relative to our rules."""
    equations = weighted_equations([(row, _weight(age)) for age, row in in_slices(_with_age(rows), pause)])
    before = {
        name: lognormal_prior(other_figures[name]) if name in other_figures else usual for name, usual in PRIORS.items()
    }
    return {figure: _quantity(result) for figure, result in _fit_coefficients(equations, before, pause).items()}


def _add_films(found: dict[str, Quantity], rows: Sequence[AttemptRow]) -> None:
    """Add the seconds per second of the sound of films, with and without speech; mid is their average.

    It is unknown beforehand whether a film has speech, and a model that takes its usual time for most films and twenty
    times as long for the others has a heavy tail, although the median film is ordinary. The range is the observed one:
    a normal distribution fitted to two kinds of films would compare limits with times that no film took.
    """
    films = [(age, row) for age, row in _with_age(rows) if row.reservation.output == FILM_SOUND]
    values = [
        (row.outcome.seconds / row.reservation.work.audio_seconds, _weight(age))
        for age, row in films
        if row.outcome and row.outcome.seconds > 0 and row.reservation.work.audio_seconds
    ]
    if len(values) >= ENOUGH:
        mean = sum(value * weight for value, weight in values) / sum(weight for _, weight in values)
        least, most = min(values)[0], max(values)[0]
        found[FILM_FIGURE] = round_range(least, min(max(mean, least), most), most, f"{len(values)} runs here")


# ---- counts -------------------------------------------------------------------------------------


def _add(found: dict[str, Quantity], name: str, values: list[tuple[float, float]], rule: float | None = None) -> None:
    if len(values) >= ENOUGH:
        found[name] = weighted_median(values, f"{len(values)} runs here", rule)


def weighted_median(values: Sequence[tuple[float, float]], basis: str, rule: float | None = None) -> Quantity:
    """Return the weighted median of positive values and its 80 % range.

    With few values, the median is shrunk towards ``rule``.
    """
    middle = _median(values)
    if rule is not None:
        share = len(values) / (len(values) + _SHRUNK)
        middle = math.exp(share * math.log(middle) + (1 - share) * math.log(rule))
    low, high = spread_factors([math.log(value / middle) for value, _ in values])
    return round_range(middle * low, middle, middle * high, basis)


def _median(values: Sequence[tuple[float, float]]) -> float:
    ordered = sorted(values)
    half = sum(weight for _, weight in ordered) / 2
    passed_weight = 0.0
    for place, (value, weight) in enumerate(ordered):
        passed_weight += weight
        if math.isclose(passed_weight, half) and place + 1 < len(ordered):
            return (value + ordered[place + 1][0]) / 2
        if passed_weight >= half:
            return value
    return ordered[-1][0]


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above and below and above > 0 and below > 0 else None


def _output(row: AttemptRow) -> int | None:
    return row.outcome.usage.output_tokens if row.outcome else None


def _load(row: AttemptRow) -> float | None:
    return row.outcome.load_seconds if row.outcome and row.outcome.load_seconds > 0 else None


def _answer_length(row: AttemptRow, weight: float) -> answer_lengths.ObservedAnswer | None:
    """Return the visible tokens of an answer; None if the row says nothing about its length.

    Answers of a bench have a prescribed length; in older rows the limit shows which answers were cut.
    """
    outcome, expected, out = row.outcome, row.reservation, _output(row)
    if outcome is None or outcome.bench or expected.op != "generate" or not expected.output:
        return None
    visible = (out or 0) - (outcome.reasoning_tokens or 0)
    if out is None or visible < 1:
        return None
    cut = outcome.cut or (expected.output_range is not None and out >= expected.output_range.high)
    return answer_lengths.ObservedAnswer(expected.output.partition("@")[0], float(visible), weight, cut)


def _description_tokens(row: AttemptRow) -> float | None:
    return (_output(row) or None) if row.reservation.op == "describe" else None


def _reasoning_figures(endpoint: str, rows: Sequence[AttemptRow]) -> dict[str, Quantity]:
    """Return the reasoning tokens by requested effort, shrunk towards the model's prior if there are few answers.

    An answer without reasoning counts as one token, since the logarithm needs a positive number.
    """
    found: dict[str, Quantity] = {}
    thinking = thinking_of(endpoint.partition(":")[2])
    by_effort: dict[str, list[tuple[float, float]]] = {}
    for age, row in _with_age(rows):
        outcome = row.outcome
        reasoning = outcome.reasoning_tokens if outcome and not (outcome.bench or outcome.cut) else None
        if reasoning is not None and row.reservation.op == "generate":
            effort = row.reservation.output.partition("@")[2]
            by_effort.setdefault(effort, []).append((max(float(reasoning), 1.0), _weight(age)))
    for effort, values in sorted(by_effort.items()):
        if thinking is None and not any(value > 1 for value, _ in values):
            continue
        rule = None
        if thinking is not None:
            thinking_request = ThinkingRequest(effort=effort if effort in EFFORTS else "")
            rule = thinking_tokens(thinking, thinking_request)[1] or None
        _add(found, reasoning_figure("reasoning_tokens", effort), values, rule)
    return found


def _per_megapixel(row: AttemptRow) -> float | None:
    """Return output tokens per megapixel, only for images whose letters were not counted.

    For the others there is a better rule. Old rows do not state the count.
    """
    work = row.reservation.work
    return None if work.letters or not work.pictures else _ratio(_output(row), work.megapixels)


def _against_letters(row: AttemptRow) -> float | None:
    work = row.reservation.work
    if work.letters < FEWEST_LETTERS or row.outcome is None:
        return None
    if row.reservation.op == "score":  # passages that were ranked: read by the encoder itself
        return _ratio(row.outcome.usage.input_tokens, work.letters * TOKENS_PER_LETTER)
    return _ratio(_output(row), work.letters * TOKENS_PER_LETTER) if row.reservation.op == "read" else None


_COUNTED: dict[str, Figure] = {
    "describe_tokens": _description_tokens,
    "tokens_per_second_of_speech": lambda row: _ratio(_output(row), row.reservation.work.audio_seconds),
    "tokens_per_megapixel": _per_megapixel,
    "reading_factor": _against_letters,
}
_RULES: dict[str, float] = {"tokens_per_second_of_speech": SPEECH[1], "reading_factor": 1.0}
