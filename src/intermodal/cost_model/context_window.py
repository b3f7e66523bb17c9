"""Context window: the tokens of context that a server is asked to load a model with, where its protocol allows
(Ollama).
"""

from __future__ import annotations

from intermodal.catalog.types import Endpoint, Protocol
from intermodal.plans.step import Call, GenerateAnswer, TranslateText, parameters_of
from intermodal.request import Request

# Chat templates put a few tokens around each message; a whole conversation's worth, generously.
TEMPLATE_TOKENS = 32
LEAST_CONTEXT = 4096  # tokens of context that are requested even where less would do
PROTOCOLS_WITH_CONTEXT: frozenset[Protocol] = frozenset({"ollama"})  # protocols that have words for it


def requested_context(step: Call, endpoint: Endpoint, limit: int | None) -> int | None:
    """Return the tokens of context to request, None where nothing is known.

    Return the context that the call may need, in powers of two, as a runtime reloads its model for every other number.
    """
    given = step.estimate.input_tokens
    context = endpoint.context or endpoint.model.context
    if not given.known:
        return context and min(context, LEAST_CONTEXT)
    needed = given.high + TEMPLATE_TOKENS + (limit or LEAST_CONTEXT // 2)
    context_tokens: int = max(LEAST_CONTEXT, 1 << (int(needed) - 1).bit_length())
    return context_tokens if context is None else min(context_tokens, context)


def output_limit(step: Call, request: Request) -> int | None:
    """Return the output limit that is sent, so that the highest estimate is a guarantee.

    The plan's takes precedence over the request's, which may exceed what the endpoint writes or has room for.
    """
    parameters = parameters_of(step)
    planned = parameters.max_tokens if isinstance(parameters, GenerateAnswer | TranslateText) else None
    if planned is not None:
        return planned
    if request.sampling.max_tokens is not None and not request.sampling.room_for_thought:
        return request.sampling.max_tokens
    high = step.estimate.output_tokens
    return int(high.high) if high.known and high.high >= 1 else None


def planned_context(step: Call, endpoint: Endpoint, request: Request) -> int | None:
    """Return the context as a plan shows it, None where no context is requested."""
    if endpoint.host.protocol not in PROTOCOLS_WITH_CONTEXT or step.op not in ("generate", "translate", "score"):
        return None
    return requested_context(step, endpoint, output_limit(step, request))
