"""Voice selection: the endpoint that speaks a text answer, and its cost.

A model with audio output needs no voice. For all others one voice is chosen, the best under the objective for an answer
of usual length; its additional cost depends on the answer alone. A voice's strength is about its sound and not the
answer's content, so the floor does not apply to it.
"""

from __future__ import annotations

from intermodal.catalog.types import Endpoint
from intermodal.cost_model.levels import MID, ZEROS, Level, Levels
from intermodal.planner.eligibility.eligible_endpoints import EligibleEndpoints, EndpointFilter, members_to_price
from intermodal.planner.planning_case import PlanningCase
from intermodal.planner.route_estimates.voice import Voice
from intermodal.plans.cpu_schedule import LOCAL_ZONES


def needs_voice(case: PlanningCase) -> bool:
    """Return whether a generated answer must be spoken."""
    return case.job == "generate" and case.output == "speech"


def is_private(case: PlanningCase) -> bool:
    """Return whether the answer derives from private content and therefore may not leave this machine."""
    return bool(case.private_text) or any(bundle.text_private for bundle in case.bundles)


def best_voice(case: PlanningCase, left: EligibleEndpoints, only: EndpointFilter | None) -> Voice | None:
    """Return the voice to use; None if there is none."""
    if not needs_voice(case):
        return None
    here_only = is_private(case)
    low, mid, _ = case.typical_answer
    tokens: Levels = (low, mid, mid)
    found: list[tuple[tuple[float | str, ...], Voice]] = []
    for group in left.by_job.get("speak", []):
        if group.remote and here_only:
            continue
        for endpoint in members_to_price(case, group, "speak", only):
            voice = Voice(endpoint, case.rates(endpoint))
            money, time = voice.cost(tokens)[MID], voice.seconds(tokens)[MID] + voice_load_seconds(case, voice, MID)
            found.append(
                ((*_voice_order(case, min(money, 1e6), time, group.tier("text-to-speech")), endpoint.id), voice)
            )
    return min(found, key=lambda pair: pair[0])[1] if found else None


def voice_load_seconds(case: PlanningCase, voice: Voice, level: Level) -> float:
    """Return the seconds to load a voice."""
    return 0.0 if voice.endpoint.id in case.loaded else voice.rates.load[level]


def voice_memory_bytes(case: PlanningCase, voice: Voice) -> Levels:
    """Return the memory of a local voice in bytes, 0 if it is loaded or remote."""
    cold = voice.endpoint.host.zone in LOCAL_ZONES and voice.endpoint.id not in case.loaded
    return voice.rates.memory if cold else ZEROS


def _voice_order(case: PlanningCase, money: float, time: float, tier: int) -> tuple[float, ...]:
    policy = case.policy
    if policy.objective == "cheapest":
        return money, time
    if policy.objective == "fastest":
        return time, money
    if policy.objective == "best":
        return -float(tier), money, time
    return money + time * policy.time_value, time


def is_mute(case: PlanningCase, endpoint: Endpoint) -> bool:
    """Return whether speech is required, the endpoint answers only in text, and there is no voice."""
    return needs_voice(case) and case.voice is None and not speaks(endpoint)


def speaks(endpoint: Endpoint) -> bool:
    """Return whether an endpoint itself speaks its answer."""
    return "audio" in endpoint.model.output and "text-generation" in endpoint.model.tasks


__all__ = ["best_voice", "is_mute", "voice_load_seconds", "voice_memory_bytes", "needs_voice", "speaks"]
