"""Memory of this machine: the context with which a server loads a model, and whether the models of a route fit."""

from __future__ import annotations

from typing import Final

from intermodal.catalog.types import Catalog, Endpoint, FullContext, Protocol
from intermodal.core.request import Request
from intermodal.plans.machine import Machine
from intermodal.plans.numbers import memory_size
from intermodal.plans.step import Call, GenerateAnswer, TranslateText, parameters_of

# ---- context window ---------------------------------------------------------------------------------
#
# The tokens of context with which a server is asked to load a model, if its protocol allows it (Ollama).

# Chat templates add a few tokens per message; a generous allowance for a whole conversation.
TEMPLATE_TOKENS = 32
LEAST_CONTEXT = 4096  # minimum tokens of context to request
PROTOCOLS_WITH_CONTEXT: frozenset[Protocol] = frozenset({"ollama"})  # protocols that can request a context


def requested_context(step: Call, endpoint: Endpoint, limit: int | None) -> int | None:
    """Return the tokens of context to request, None if nothing is known.

    It is the context that the call may need, rounded up to a power of two, because a runtime reloads its model for
    every new size.
    """
    input_tokens = step.estimate.input_tokens
    context = endpoint.context_limit
    if not input_tokens.known:
        return context and min(context, LEAST_CONTEXT)
    needed = input_tokens.high + TEMPLATE_TOKENS + (limit or LEAST_CONTEXT // 2)
    context_tokens: int = max(LEAST_CONTEXT, 1 << (int(needed) - 1).bit_length())
    return context_tokens if context is None else min(context_tokens, context)


def output_limit(step: Call, request: Request) -> int | None:
    """Return the output limit to send, so that the highest estimate is a guarantee.

    The plan's limit takes precedence over the request's, which may exceed what the endpoint allows.
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
    """Return the context as a plan shows it, None if no context is requested."""
    if endpoint.host.protocol not in PROTOCOLS_WITH_CONTEXT or step.op not in ("generate", "translate", "score"):
        return None
    return requested_context(step, endpoint, output_limit(step, request))


# ---- memory -----------------------------------------------------------------------------------------

_SERVED: Final = ("llama", "started")  # protocols of models whose context intermodal chooses


def fits_in_memory(machine: Machine, needed: float) -> bool:
    """Return whether ``needed`` more bytes fit. Loaded models are already subtracted from ``free``.

    A machine of unknown memory (``memory`` 0) rejects nothing.
    """
    return machine.memory == 0 or needed <= machine.free


def endpoints_that_do_not_fit(catalog: Catalog, machine: Machine) -> tuple[Endpoint, ...]:
    """Return the endpoints that would have to be loaded and do not fit as they are. Opens no file."""
    if not machine.memory:
        return ()
    return tuple(
        endpoint
        for endpoint in catalog.loadable
        if endpoint.host.protocol in _SERVED
        and endpoint.id not in machine.loaded
        and endpoint.uncut is None
        and not fits_in_memory(machine, endpoint.memory.high)
    )


def reduced_context(uncut: FullContext, free: int) -> str:
    """Say why an endpoint currently has less than its full context length."""
    return (
        f"with {uncut.context:,} it needs {memory_size(uncut.memory.high)} of memory, and {memory_size(free)} are free"
    )
