"""Errors for a log without content: a stable code, and the errors of a shutdown."""

from __future__ import annotations

from intermodal.errors import IntermodalError
from intermodal.gateway.http1.response_writer import ResponseWriter
from intermodal.protocols.errors.responses import RequestRefused, error_response

_STOPPING = "the server is stopping"


def error_code(error: BaseException) -> str:
    """Return a stable code for an error: the same for all errors of its kind, without values."""
    if isinstance(error, RequestRefused):
        return error.code or f"refused_{error.status}"
    if isinstance(error, IntermodalError):
        return error.code
    return "invalid_request" if error_response(error).status == 400 else "internal"


def shutdown_refusal(reply: ResponseWriter) -> RequestRefused:
    """Return the error for a request that the shutdown interrupts."""
    reply.exclude_from_replay()
    return RequestRefused(_STOPPING, status=503, todo="ask again", code="stopping")


def shutting_down() -> RequestRefused:
    """Return the error for a request that arrives during shutdown."""
    return RequestRefused(_STOPPING, status=503, headers={"retry-after": "5"}, code="stopping")


def clear_tracebacks(error: BaseException) -> None:
    """Drop the tracebacks of an error and its causes after it was reported.

    Frames reference the request with its body and the error itself: a cycle that only the garbage collector would free.
    """
    seen = set[int]()
    errors: list[BaseException | None] = [error]
    while errors:
        each = errors.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        errors += [each.__context__, each.__cause__]
        if isinstance(each, BaseExceptionGroup):
            errors += each.exceptions
