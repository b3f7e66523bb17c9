"""Faults of the fake host, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Faults that come instead of an answer: name -> (status, body).
REFUSALS: Mapping[str, tuple[int, dict[str, Any]]] = {
    "limited": (429, {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}),
    "quota": (429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota",
                              "code": "insufficient_quota"}}),
    "unavailable": (503, {"error": {"message": "Service unavailable", "type": "server_error"}}),
    "overloaded": (529, {"error": {"message": "Overloaded", "type": "overloaded_error"}}),
    "broken": (500, {"error": {"message": "Internal error", "type": "server_error"}}),
    "gateway": (502, {"error": {"message": "Bad gateway"}}),
    "key": (401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}),
    "context": (400, {"error": {"message": "This model's maximum context length is 64 tokens. However, your messages "
                                           "resulted in 9000 tokens.", "code": "context_length_exceeded"}}),
    "policy": (400, {"error": {"message": "Your request was rejected by our safety system",
                               "code": "content_policy_violation"}}),
    "wrong": (400, {"error": {"message": "Unsupported value: 'temperature' does not support 3", "type":
                              "invalid_request_error", "param": "temperature", "code": "unsupported_value"}}),
    "unprocessable": (422, {"detail": [{"type": "missing", "loc": ["body", "seed"], "msg": "Field required"}]}),
    "redirect": (307, {"error": {"message": "moved"}}),
}  # fmt: skip
# Refusals that may have been paid for: the host worked, then failed.
MAYBE_PAID = frozenset({"broken", "gateway"})
# Faults in the middle of an answer; the number says after how many tokens.
CUTS: Mapping[str, str] = {
    "cut": "the connection closes (FIN)",
    "reset": "the connection is reset (RST)",
    "end": "the reply ends in good order, without finish reason or [DONE]",
    "stall": "nothing comes any more, the connection stays open",
    "inband": "an error event instead of the next token",
    "malformed": "half a JSON document, then the end",
}
# Faults in how an answer is sent; the answer itself is whole.
MANNERS: Mapping[str, str] = {
    "nodone": "no [DONE] at the end",
    "open": "no [DONE], and the connection stays open",
    "split": "one byte at a time",
    "pings": "comment lines between the events",
    "json": "one JSON document although a stream was asked for",
    "slow": "the number's seconds pass before the first byte",
    "silent": "the request is taken and never answered",
    "gone": "the request is taken and the connection closed",
    "blind": "a message with an image is refused, the way llama.cpp does",
}
NUMBERS: Mapping[str, float] = {"limited": 1.0, "slow": 0.2}  # of faults that nobody numbered
_IN_NAME = re.compile(r"fault-([a-z]+)(?:-(\d+(?:\.\d+)?))?(?:-x(\d+))?$")


@dataclass(frozen=True)
class Fault:
    """One fault. ``times`` requests are hit (None: all); the meaning of ``number`` depends on ``name``."""

    name: str
    number: float | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        if self.name not in {*REFUSALS, *CUTS, *MANNERS}:
            raise ValueError(f"no fault is called {self.name!r}; there are {sorted({*REFUSALS, *CUTS, *MANNERS})}")

    @property
    def value(self) -> float:
        return NUMBERS.get(self.name, 0.0) if self.number is None else self.number


def in_name(model: str) -> Fault | None:
    """Return the fault that a model's name asks for: ``any/thing-fault-NAME[-NUMBER][-xTIMES]``."""
    found = _IN_NAME.search(model)
    if found is None:
        return None
    name, number, times = found.groups()
    return Fault(name, float(number) if number else None, int(times) if times else None)
