"""Tokens of audio input and output, by the named rule of a model's family.

``rate:10`` tokens a second, ``rate:25:32`` where sources differ, ``window:30:375`` where sound is padded to whole
windows, ``window:30:750:25`` where some runtimes pad it and others count so many a second, ``by_time`` where it is
billed by its length and has no tokens.
"""

from __future__ import annotations

import math

from intermodal.cost_model.rule_syntax import parse_rule
from intermodal.cost_model.tokens import AUDIO
from intermodal.quantity import Quantity, between, exact

UNKNOWN_RULE = "no published rule for this model's sound"
RULES: dict[str, tuple[int, int]] = {"rate": (1, 2), "window": (2, 3), "by_time": (0, 0)}  # fewest and most numbers
BY_TIME = "billed by its length, not by tokens"


def audio_tokens(rule: str, seconds: float) -> Quantity:
    """Return the tokens of ``seconds`` of sound; without a known rule the range over the published families.

    Its middle is the most expensive of them, so that an endpoint does not rank higher for being unknown.

    >>> int(audio_tokens("rate:10", 60).mid), int(audio_tokens("window:30:375", 31).mid)
    (600, 750)
    """
    read = parse_rule(rule)
    if read is None or not is_audio_rule(rule):
        low, _, high = (float(math.ceil(seconds * rate)) for rate in AUDIO)
        return between(low, high, high, UNKNOWN_RULE)
    name, numbers = read[0], read[1].numbers
    if name == "by_time":
        return exact(0.0, BY_TIME)
    if name == "window":
        window, tokens, *by_runtime = numbers
        padded = float(tokens * math.ceil(seconds / window - 1e-9))
        basis = f"{tokens:g} tokens per {window:g} seconds, padded"
        least = min([padded, *(float(math.ceil(seconds * rate - 1e-9)) for rate in by_runtime)])
        if least == padded:
            return exact(padded, basis)
        return between(least, padded, padded, f"{basis}, or {by_runtime[0]:g} a second, by runtime")
    found = [float(math.ceil(seconds * rate - 1e-9)) for rate in sorted(numbers)]
    basis = " or ".join(f"{rate:g}" for rate in sorted(numbers)) + " tokens a second"
    return exact(found[0], basis) if len(found) == 1 else between(found[0], found[0], found[1], basis)


def is_audio_rule(rule: str) -> bool:
    """Return whether a rule string is valid."""
    read = parse_rule(rule)
    if read is None or read[0] not in RULES or read[1].words:
        return False
    fewest, most = RULES[read[0]]
    return fewest <= len(read[1].numbers) <= most and all(number > 0 for number in read[1].numbers)
