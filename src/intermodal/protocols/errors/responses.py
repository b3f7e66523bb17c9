"""Errors as a server's replies, and a run's events as protocol events, shared by all server sides.

The gateway reads a client's request with ``decode_request`` of the client's protocol, converts it to a ``Request``,
runs it, and writes its events (``RunEventEncoder``) with the same protocol's ``StreamEncoder`` or ``encode_reply``.
Nothing here does I/O: ids and times come from the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from intermodal import errors, events
from intermodal.core.content import Value
from intermodal.protocols.calls import (
    Finish,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    SpeechDelta,
    ToolCallDelta,
    WireEvent,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.errors.classification import SchemaRefused
from intermodal.protocols.gemini.thought_signatures import signatures_by_call

# Error class -> (HTTP status, OpenAI's type, Anthropic's type). The nearest class in the MRO decides.
_ANSWERS: Mapping[type[BaseException], tuple[int, str, str]] = {
    errors.RateLimited: (429, "rate_limit_error", "rate_limit_error"),
    errors.Overloaded: (503, "service_unavailable", "overloaded_error"),
    errors.ContentRefused: (400, "content_policy_violation", "invalid_request_error"),
    errors.UnsupportedModality: (400, "invalid_request_error", "invalid_request_error"),
    errors.RequestTooLarge: (413, "invalid_request_error", "request_too_large"),
    errors.ContextExceeded: (400, "invalid_request_error", "invalid_request_error"),
    SchemaRefused: (400, "invalid_request_error", "invalid_request_error"),
    errors.UnknownModel: (404, "invalid_request_error", "not_found_error"),
    errors.UsageError: (400, "invalid_request_error", "invalid_request_error"),
    errors.NoRoute: (400, "invalid_request_error", "invalid_request_error"),
    errors.BudgetExceeded: (402, "insufficient_quota", "billing_error"),
    errors.InputError: (400, "invalid_request_error", "invalid_request_error"),
    ValueError: (400, "invalid_request_error", "invalid_request_error"),
    errors.NotInstalled: (503, "service_unavailable", "api_error"),
    errors.StoreError: (503, "service_unavailable", "api_error"),
    errors.OutputInvalid: (502, "server_error", "api_error"),
    errors.CallError: (502, "server_error", "api_error"),
    Exception: (500, "server_error", "api_error"),
}


# Statuses with which a host rejects the request itself: the client can correct it, a retry cannot.
_WRONG = frozenset({400, 422})

# Refusals of the server itself: types of either API by status, if not invalid_request_error.
_REFUSALS: Mapping[int, tuple[str, str]] = {
    401: ("authentication_error", "authentication_error"),
    402: ("insufficient_quota", "billing_error"),
    403: ("permission_error", "permission_error"),
    404: ("invalid_request_error", "not_found_error"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_error"),
    503: ("service_unavailable", "overloaded_error"),
}


# Every value of ``type`` that a client of either API may get.
ERROR_TYPES: Mapping[str, frozenset[str]] = {
    "openai": frozenset([*(row[1] for row in _ANSWERS.values()), *(row[0] for row in _REFUSALS.values())]),
    "anthropic": frozenset([*(row[2] for row in _ANSWERS.values()), *(row[1] for row in _REFUSALS.values())]),
}


class RequestRefused(Exception):
    """A request that the server does not accept: no access, no such endpoint, too much at once.

    Args:
        what: the problem, without a full stop. todo: the remedy, "" for none.
        status: the HTTP status. headers: response headers ("retry-after"). code: a stable code for programs.
    """

    def __init__(
        self, what: str, *, status: int, todo: str = "", headers: Mapping[str, str] | None = None, code: str = ""
    ) -> None:
        super().__init__(f"{what}; {todo}" if todo else what)
        self.status = status
        self.headers = headers or {}
        self.code = code


class ErrorResponse(Value, frozen=True):
    """An error as a server reports it: the HTTP ``status``, and the ``type`` in OpenAI's and Anthropic's terms.

    ``code`` is OpenAI's, if programs act on it. ``about`` is the summary of the run up to the error, as in an answer's
    usage; empty if there is none.
    """

    status: int
    openai: str
    anthropic: str
    message: str
    code: str = ""
    about: Mapping[str, Any] = {}

    @property
    def summary_field(self) -> dict[str, Any]:
        """The field of an error body that holds the summary; empty if there is none."""
        return {"intermodal": self.about} if self.about else {}


def attach_run_summary(error: BaseException, about: Mapping[str, Any]) -> None:
    """Attach the summary of the run to an error, for whichever protocol it is written in."""
    vars(error)["about"] = about


def error_response(error: BaseException) -> ErrorResponse:
    """Return the response for an error.

    The message of an IntermodalError or ValueError is shown to the client; any other error reveals nothing internal.
    """
    if isinstance(error, RequestRefused):
        openai, anthropic = _REFUSALS.get(error.status, ("invalid_request_error", "invalid_request_error"))
        message, about = str(error), vars(error).get("about", {})
        return ErrorResponse(status=error.status, openai=openai, anthropic=anthropic, message=message, about=about)
    wrong = type(error) is errors.CallError and error.status in _WRONG and error.retry == "never"
    row = _ANSWERS[ValueError] if wrong else next(_ANSWERS[kind] for kind in type(error).__mro__ if kind in _ANSWERS)
    is_own_error = isinstance(error, (errors.IntermodalError, ValueError))
    message = (
        str(error.wording_for("http") if isinstance(error, errors.IntermodalError) else error)
        if is_own_error
        else "failed inside"
    )
    about = vars(error).get("about", {})
    return ErrorResponse(
        status=row[0], openai=row[1], anthropic=row[2], message=message, code=_code(error), about=about
    )


def _code(error: BaseException) -> str:
    """Return OpenAI's code for an error; "" if none applies.

    Clients shorten a conversation or choose another model by these codes. ``no_content_found`` and ``input_unreadable``
    are our own, so that a program can tell empty files from an invalid request.
    """
    if isinstance(error, errors.UnknownModel):
        return "model_not_found"
    if isinstance(error, errors.NoContentFound | errors.InputUnreadable):
        return error.code
    long = isinstance(error, errors.ContextExceeded) and not isinstance(error, errors.RequestTooLarge)
    long = long or (isinstance(error, errors.NoRoute) and error.rule == "context")
    return "context_length_exceeded" if long else ""


class RunEventEncoder:
    """Converts a run's events to protocol events: visible text, a refusal, tool calls, usage and the end.

    ``about`` returns the summary of the run that accompanies the usage.
    """

    def __init__(self, about: Callable[[events.Finished], Mapping[str, Any]] | None = None) -> None:
        self._usage = WireUsage()
        self._cached = False  # the answer was not made by a call
        self._speech_steps = set[str]()  # steps that speak the answer, whose usage does not count here
        self._about = about

    def feed(self, event: events.Event) -> list[WireEvent]:
        if isinstance(event, events.TextDelta):
            return [WireTextDelta(text=event.text)]
        if isinstance(event, events.Thought):
            if event.wire:
                return [OpaqueBlock(wire=event.wire, body=event.body)]
            return [ReasoningDelta(text=event.text, signature=event.signature, summary=event.summary)]
        if isinstance(event, events.StepStarted) and event.op == "speak":
            self._speech_steps.add(event.step)
        # The last one before the end is that of the answer.
        if isinstance(event, events.StepFinished) and event.actual.step not in self._speech_steps:
            usage, self._cached = event.actual.usage, event.actual.cached
            self._usage = WireUsage(
                input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cached_tokens=usage.cached_tokens,
                cache_write_tokens=usage.cache_write_tokens, reasoning_tokens=usage.reasoning_tokens,
            )  # fmt: skip
        if not isinstance(event, events.Finished):
            return []
        signatures = signatures_by_call(event.parts)
        refusal: list[WireEvent] = [RefusalDelta(text=event.refusal)] if event.refusal else []
        calls: list[WireEvent] = [
            ToolCallDelta(
                index=index, id=call.id, name=call.name, arguments=call.arguments,
                signature=signatures.get(call.id, ""),
            )
            for index, call in enumerate(event.tool_calls)
        ]  # fmt: skip
        if event.speech is not None:
            calls.append(SpeechDelta(data=event.speech.data))
        if self._about is not None:
            unreported = () if self._cached else self._usage.missing_counts
            about = {**self._about(event), **({"unreported": list(unreported)} if unreported else {})}
            self._usage = replace(self._usage, about=about)
        return [*refusal, *calls, self._usage, Finish(reason=event.finish_reason, stop_sequence=event.stop_sequence)]
