"""Step ids by content: operation, endpoint, parameters and inputs."""

from __future__ import annotations

import hashlib

import msgspec

from intermodal.plans.step import ParameterPairs

_encode = msgspec.json.Encoder().encode


def step_id(op: str, endpoint: str, params: ParameterPairs, inputs: tuple[str, ...]) -> str:
    """Return the first 8 hex digits of SHA-256 over what a step does, with what and to what."""
    return hashlib.sha256(_encode((op, endpoint, params, inputs))).hexdigest()[:8]
