"""The last look before sending: can the endpoint take these parts, does the prompt fit? Nothing is cut in silence."""

from __future__ import annotations

import msgspec

from intermodal import errors
from intermodal.catalog.types import Endpoint
from intermodal.content import Kind
from intermodal.cost_model.context_window import TEMPLATE_TOKENS
from intermodal.executor.dependencies import Dependencies
from intermodal.plans.step import Call
from intermodal.protocols.calls import ChatCall, WireAudio, WireDocument, WireImage, WirePart, WireVideo
from intermodal.quantity import exact

_KINDS: tuple[tuple[type[WirePart], Kind, str], ...] = (
    (WireImage, "image", "pictures"),
    (WireAudio, "audio", "sound"),
    (WireVideo, "video", "video"),
    (WireDocument, "document", "documents"),
)


def kinds_in(call: ChatCall) -> tuple[Kind, ...]:
    """The kinds of part a call carries besides text."""
    parts = [part for message in call.messages for part in message.parts]
    return tuple(kind for of_wire, kind, _ in _KINDS if any(isinstance(part, of_wire) for part in parts))


def check_modalities(endpoint: Endpoint, call: ChatCall, step: Call) -> None:
    """Raises UnsupportedModality before a byte is sent where a part is of a kind the endpoint does not take.

    The planner does not plan such a call; a plan that is old, or made by hand, may hold one all the same.
    """
    given = kinds_in(call)
    for _, kind, what in _KINDS:
        if kind not in endpoint.input and kind in given:
            raise errors.UnsupportedModality(
                f"takes no {what}", where=endpoint.id, todo="plan again", step=step.id, sent=False
            )


def check_context_window(step: Call, endpoint: Endpoint, text: str, limit: int | None, world: Dependencies) -> Call:
    """The step with its real prompt size in its estimate, where it can be counted.

    Raises ContextExceeded with the numbers when prompt and reserved answer do not fit. Where only the
    host can count, the host says so itself: its refusal costs nothing.
    """
    counted = world.count(endpoint.model.tokenizer, text) if endpoint.model.tokenizer else None
    if counted is None:
        return step
    context = endpoint.context or endpoint.model.context
    needed = counted + TEMPLATE_TOKENS + (limit or 0)
    if context is not None and needed > context:
        raise errors.ContextExceeded(
            f"the prompt has {counted:,} tokens and the answer may take {limit or 0:,}, "
            f"together more than the {context:,} it can hold",
            where=endpoint.id,
            todo="send less (a shorter text, fewer pages), or let a model with a longer context answer",
            step=step.id,
            sent=False,
        )
    # Only a larger prompt changes anything: a reservation is never lowered below what was approved.
    estimate = step.estimate
    if not estimate.input_tokens.known or counted <= estimate.input_tokens.high:
        return step
    cost = estimate.cost
    rate = endpoint.price.of_request(counted).input_mtok
    if cost.known and rate:
        cost = cost + exact((counted - estimate.input_tokens.high) * rate / 1e6, cost.basis)
    return msgspec.structs.replace(step, estimate=msgspec.structs.replace(estimate, cost=cost))
