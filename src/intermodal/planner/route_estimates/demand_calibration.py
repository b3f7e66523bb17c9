"""What an endpoint would count of a call, given what its server counted of earlier ones."""

from __future__ import annotations

import math

import msgspec

from intermodal.cost_model.levels import ZEROS, Levels, levels, plus, quantity, summed, times
from intermodal.cost_model.rates import Rates
from intermodal.cost_model.token_calibration import TokenCalibration, calibrated, correction_text
from intermodal.cost_model.tokens import MESSAGE, TEMPLATE
from intermodal.planner.catalog_index import EndpointGroup
from intermodal.planner.conversion.conversion_option import whole_video_tokens
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.assignment import Assignment
from intermodal.planner.route_estimates.call_demand import CallDemand
from intermodal.plans.plan import NativeInput
from intermodal.quantity import Quantity

_CHATS = ("generate", "score")


def calibrated_demand(
    case: PlanningCase, group: EndpointGroup, rates: Rates, assignment: Assignment, needs: CallDemand
) -> CallDemand:
    """Return the demand as this endpoint's server counts, where that was learned; videos stay as they are."""
    learned = rates.counts
    if learned is None or case.job not in _CHATS:
        return needs
    words = plus(case.text(case.vocabulary(group.first.model)), assignment.text)
    beside = _minus(needs.text, words)
    framing = learned.framing(len(case.request.messages))
    if framing is not None:
        beside = plus(_minus(beside, plus(TEMPLATE, times(MESSAGE, len(case.request.messages)))), framing)
    text = plus(calibrated(words, _of_text(case, group, learned)), beside)
    book = case.book(group)
    film = summed([whole_video_tokens(way, book) for way in assignment.ways if way.natives])
    image = plus(calibrated(_minus(needs.image, film), learned.image), film)
    audio = calibrated(needs.audio, learned.audio)
    return msgspec.structs.replace(needs, text=text, image=image, audio=audio, total=plus(plus(text, image), audio))


def token_basis(case: PlanningCase, group: EndpointGroup, rates: Rates, needs: CallDemand) -> str:
    """Return where the input tokens are from, in words."""
    learned = rates.counts
    if learned is None or case.job not in _CHATS:
        return _PLAINLY
    used = (
        ("text_factor", _of_text(case, group, learned), needs.text),
        ("image_factor", learned.image, needs.image),
        ("audio_factor", learned.audio, needs.audio),
        ("framing_start", learned.framing(0) and learned.start, needs.text),
    )
    return "; ".join(
        (_PLAINLY, *(correction_text(name, factor) for name, factor, tokens in used if factor and tokens != ZEROS))
    )


_PLAINLY = "counted and estimated"


def calibrated_input(case: PlanningCase, group: EndpointGroup, rates: Rates, taken: NativeInput) -> NativeInput:
    """Return an unconverted part as this endpoint's server counts it."""
    learned = rates.counts
    if learned is None or case.job not in _CHATS or not taken.tokens.known:
        return taken
    factors = {"text": _of_text(case, group, learned), "image": learned.image, "audio": learned.audio}
    factor = factors.get(taken.kind)
    if factor is None:
        return taken
    tokens = quantity(calibrated(levels(taken.tokens), factor), taken.tokens.basis, 0)
    return msgspec.structs.replace(taken, tokens=tokens)


def _of_text(case: PlanningCase, group: EndpointGroup, learned: TokenCalibration) -> Quantity | None:
    """Return the learned text factor, None where a vocabulary counts exactly: it was learned without that."""
    return None if case.vocabulary(group.first.model).counts else learned.text


def _minus(whole: Levels, part: Levels) -> Levels:
    """Return the difference at each level; infinite stays infinite."""
    return (_less(whole[0], part[0]), _less(whole[1], part[1]), _less(whole[2], part[2]))


def _less(whole: float, part: float) -> float:
    return whole if whole == math.inf else max(0.0, whole - part)
