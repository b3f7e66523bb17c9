"""Reasoning effort: as stated by a request, as sent to a host, and the tokens it produces.

Sources: the vendors' pages named in ``data/thinking.toml``; Google, "OpenAI compatibility", for efforts as budgets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from intermodal.catalog.types import EFFORTS, Effort, Host, ThinkingProfile
from intermodal.core.request import Settings

TokenRange = tuple[float, float, float]  # tokens: low, mid, high

OPENAI = ("openai", "openai-responses")
COMMON_EFFORTS: tuple[Effort, ...] = ("low", "medium", "high")  # supported by every model with efforts
# Google, "OpenAI compatibility": reasoning_effort as tokens of Gemini 2.5.
EFFORT_BUDGETS: Mapping[str, int] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
MAX_THINKING_BUDGET = 24576  # tokens: a budget that every model of Gemini 2.5 accepts
PROTOCOL_OF_LOCAL_SERVER: Mapping[str, str] = {
    "llama": "openai",
    "started": "openai",
}  # protocol of a server started here -> its wire protocol
_NOTHING: TokenRange = (0.0, 0.0, 0.0)


def translate_effort(value: Any, source: str, protocol: str, quirks: tuple[str, ...]) -> dict[str, Any]:
    """Translate an effort to another protocol: as ``effort``, or as ``thinking`` tokens.

    Returns {} if the protocol cannot express it, or the host's row does not state that it is accepted.
    """
    if source in OPENAI and protocol in OPENAI:
        return {"effort": value}
    if protocol == "gemini":
        if "thinking_level" in quirks and value in COMMON_EFFORTS:
            return {"effort": value}
        return {"thinking": EFFORT_BUDGETS[value]} if "thinking_budget" in quirks and value in EFFORT_BUDGETS else {}
    return {"effort": value} if "effort" in quirks and value in COMMON_EFFORTS else {}


def translate_budget(tokens: int, quirks: tuple[str, ...]) -> dict[str, Any]:
    """Translate a budget in tokens to another protocol."""
    return {"thinking": min(tokens, MAX_THINKING_BUDGET)} if "thinking_budget" in quirks else {}


class ThinkingRequest(NamedTuple):
    """What a request states about reasoning, small enough to be a cache key.

    Attributes:
        protocol: the protocol of the values. effort: "" if none was stated, or an unknown one.
        budget: reasoning tokens, rounded up to a power of two; 0 if not stated.
        switch: whether reasoning was turned on or off, in fields that are only sent to hosts of the same protocol.
    """

    protocol: str = ""
    effort: Effort | Literal[""] = ""
    budget: int = 0
    switch: Literal["", "on", "off"] = ""


NO_THINKING_REQUEST = ThinkingRequest()
_SWITCHES = ("think", "thinking")
_MOST = 1 << 20


def thinking_request_of(settings: Settings) -> ThinkingRequest:
    """Return what a request's settings state about reasoning."""
    effort = settings.effort if settings.effort in EFFORTS else ""
    budget, switch = settings.thinking or 0, _reasoning_switch(settings)
    if not (effort or budget > 0 or switch):
        return NO_THINKING_REQUEST
    rounded = 0 if budget <= 0 else min(1 << (budget - 1).bit_length(), _MOST)
    return ThinkingRequest(settings.protocol, effort, rounded, switch)


def _reasoning_switch(settings: Settings) -> Literal["", "on", "off"]:
    """Return whether reasoning is switched "on" or "off"; "" if it is not stated.

    Reads Ollama's ``think``, and Anthropic's ``thinking`` without a budget.
    """
    for path, value in settings.own:
        if path in _SWITCHES:
            state = value.get("type") if isinstance(value, dict) else value
            return "off" if state in (False, "disabled", "between_tools") else "on"
    return ""


def sent_thinking_request(thinking_request: ThinkingRequest, host: Host) -> ThinkingRequest:
    """Return a thinking request as it is translated for a host."""
    protocol = PROTOCOL_OF_LOCAL_SERVER.get(host.protocol, host.protocol)
    if thinking_request is NO_THINKING_REQUEST or thinking_request.protocol == protocol:
        return thinking_request
    translated: dict[str, Any] = {}
    if thinking_request.effort:
        translated |= translate_effort(thinking_request.effort, thinking_request.protocol, protocol, host.quirks)
    if thinking_request.budget:
        translated |= translate_budget(thinking_request.budget, host.quirks)
    return (
        ThinkingRequest(protocol, translated.get("effort", ""), translated.get("thinking", 0))
        if translated
        else NO_THINKING_REQUEST
    )


def resolve_effort(thinking: ThinkingProfile, thinking_request: ThinkingRequest) -> Effort | Literal["unsaid"]:
    """Return the effort at which a model reasons, given what its host was sent."""
    if thinking_request.effort:
        return "minimal" if thinking_request.effort == "none" and thinking.always else thinking_request.effort
    if thinking_request.switch == "off":
        return "minimal" if thinking.always else "none"
    thinks = thinking.unasked not in ("none", "unsaid")
    if thinking_request.budget or thinking_request.switch == "on":
        return thinking.unasked if thinks else "medium"
    return thinking.unasked


def thinking_tokens(thinking: ThinkingProfile, thinking_request: ThinkingRequest) -> TokenRange:
    """Return the number of reasoning tokens (low, mid, high) before the answer; a stated budget is the high value."""
    effort = resolve_effort(thinking, thinking_request)
    if effort == "none":
        return _NOTHING
    low, mid, high = thinking.tokens(effort)
    if thinking_request.budget:
        most = float(thinking_request.budget)
        return (min(low, most), min(mid, most), most)
    return (low, mid, high)
