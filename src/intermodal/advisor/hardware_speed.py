"""Speed of models on stated hardware, by the formulas of ``intermodal fit`` and by published factors.

What was measured on two cores says nothing of a card. Where nobody published how a part runs on one, the range is wide
and says so.
"""

from __future__ import annotations

from msgspec.structs import replace

from intermodal.catalog.default_speeds import ZONE_SPEEDS
from intermodal.catalog.types import Endpoint, Speed
from intermodal.plans.machine import Machine
from intermodal.quantity import Quantity, between
from intermodal.sizing.speed import speed_of_parameters

# Seconds a second of sound. faster-whisper's own benchmark: large-v2 in half precision on an RTX 3070 Ti 0.081, batched
# 0.022; large-v3-turbo on an RTX 2080 Ti 0.025 (its issue 1030). Hugging Face's leaderboard of January 2025, one card,
# not batched: tiny 0.020, base 0.026, small 0.029, turbo 0.025, large-v3 0.052.
_HEARS_LARGE = between(0.02, 0.06, 0.1, "published of faster-whisper with large models on one card (2024-11, 2025-01)")
_HEARS = between(0.005, 0.028, 0.06, "published of faster-whisper with small models and turbo on one card (2025-01)")
LARGE = 1e9  # parameters
# Of what two cores take: nobody published it on a card.
_FASTER = (0.05, 0.3, 1.2)
_UNPUBLISHED = "measured on 2 cores; nobody published it on a card"


def server_speed(parameters: float, active: float, machine: Machine, users: int = 1) -> Speed:
    """A server of one's own with a model of so many parameters in four bits, ``users`` texts at once."""
    base = ZONE_SPEEDS["machine"]
    found = speed_of_parameters(parameters, active, machine, users=users)
    if not found.decode.known:  # a card of which only the memory is known: as of a server in the network
        return replace(ZONE_SPEEDS["network"], overhead=base.overhead)
    prompt = found.prefill if found.prefill.known else ZONE_SPEEDS["network"].prompt
    return replace(base, decode=found.decode, prompt=prompt)


def speed_on_cards(endpoint: Endpoint, machine: Machine) -> Endpoint:
    """What intermodal runs itself, on cards instead of the two cores that it was timed on."""
    speed, model = endpoint.speed, endpoint.model
    if model.parameters and "text-generation" in model.tasks:
        own = server_speed(model.parameters, model.active or model.parameters, machine)
        return replace(endpoint, speed=replace(speed, decode=own.decode, prompt=own.prompt))
    hears = _HEARS_LARGE if (model.parameters or 0) >= LARGE else _HEARS
    recognizes = "automatic-speech-recognition" in model.tasks
    changed = replace(
        speed,
        realtime_factor=hears if recognizes else _scale_to_card(speed.realtime_factor),
        megapixel=_scale_to_card(speed.megapixel),
        page=_scale_to_card(speed.page),
    )
    return replace(endpoint, speed=changed)


def _scale_to_card(seconds: Quantity) -> Quantity:
    if not seconds.known or not seconds.mid:
        return seconds
    less, some, more = _FASTER
    return between(seconds.low * less, seconds.mid * some, seconds.high * more, _UNPUBLISHED)
