"""Error responses in the format of the requested API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from intermodal import errors
from intermodal.gateway.failures import clear_tracebacks, error_code, shutdown_refusal
from intermodal.gateway.response_metadata import report_failure
from intermodal.protocols.calls import Error, NotExpressible
from intermodal.protocols.errors.responses import RequestRefused, error_response
from intermodal.protocols.errors.retry_after import retry_after_header
from intermodal.protocols.framing.json_body import dumps

if TYPE_CHECKING:
    from intermodal.client_apis import ClientApi
    from intermodal.gateway.context import GatewayContext
    from intermodal.gateway.http1.http_types import GatewayRequest, RequestHead
    from intermodal.gateway.http1.response_writer import ResponseWriter
    from intermodal.telemetry.request_record import RequestRecord


def answer_error(
    head: RequestHead | None, error: BaseException, reply: ResponseWriter, record: RequestRecord | None = None
) -> None:
    """Answer with an error in the format of the route's API.

    ``record``: the record of a request that was read; its attempts and cost are reported as in an answer.
    """
    asks = record is not None and head is not None and head.method == "POST"
    about = report_failure(error, record) if asks and record is not None else {}
    status = error_response(error).status
    body = ERROR_ENCODERS[error_format(head.path if head is not None else "")](error)
    reply.write_whole(status, body, {"content-type": "application/json", **about, **retry_headers(error)})


def answer_failure(context: GatewayContext, request: GatewayRequest, reply: ResponseWriter, error: Exception) -> None:
    """Log a failed request and answer it with the error, which is the last event of a stream that has begun."""
    context.note_failure(error)
    request.served.record_failure(error_code(error), broken=bool(reply.status))
    if not reply.status:
        answer_error(request.head, error, reply, request.served)
    elif (api := _unfinished_stream(request, reply)) is not None:
        _end_stream(api, request, reply, error)
    clear_tracebacks(error)


def answer_cancelled(request: GatewayRequest, reply: ResponseWriter) -> None:
    """Close a cancelled request; if the server is stopping and the answer is not complete, inform the client."""
    if reply.disconnected:
        return
    api = _unfinished_stream(request, reply)
    if not reply.status:
        reply.keep_alive = False
        request.served.record_failure("stopping")
        answer_error(request.head, shutdown_refusal(reply), reply, request.served)
    elif api is not None:
        request.served.record_failure("stopping", broken=True)
        _end_stream(api, request, reply, shutdown_refusal(reply))


def _unfinished_stream(request: GatewayRequest, reply: ResponseWriter) -> ClientApi | None:
    """Return the API of a streamed chat that has begun and not ended; None for any other response."""
    api = request.api
    return None if api is None or reply.ended or reply.type != api.stream_type else api


def _end_stream(api: ClientApi, request: GatewayRequest, reply: ResponseWriter, error: Exception) -> None:
    """End a stream with the error as its last event."""
    report_failure(error, request.served)
    reply.write_last(api.encoder(request.served.model).feed(Error(error=error)))  # type: ignore[arg-type]


def retry_headers(error: BaseException) -> Mapping[str, str]:
    """Return the retry headers of an error: whether and after how long to retry."""
    if isinstance(error, RequestRefused):
        return error.headers
    if isinstance(error, NotExpressible) or not isinstance(error, errors.IntermodalError):
        return {}
    no_retry = {"x-should-retry": "false"}  # whatever can follow a failed attempt was already tried here
    if isinstance(error, errors.CallError) and error.retry_after is not None:
        no_retry["retry-after"] = retry_after_header(error.retry_after)
    return no_retry


def openai_error(error: BaseException) -> bytes:
    from intermodal.protocols.openai_chat.server import write_error

    return dumps({"error": write_error(error)})


def anthropic_error(error: BaseException) -> bytes:
    from intermodal.protocols.anthropic.server import write_error

    return dumps(write_error(error))


def ollama_error(error: BaseException) -> bytes:
    from intermodal.protocols.ollama.server import write_error

    return dumps(write_error(error))


ERROR_ENCODERS: Mapping[str, Callable[[BaseException], bytes]] = {
    "openai": openai_error, "anthropic": anthropic_error, "ollama": ollama_error,
}  # fmt: skip


def error_format(path: str) -> str:
    """Return the API whose error format applies at this path, whether or not a route exists."""
    if path.startswith("/api/"):
        return "ollama"
    return "anthropic" if path.startswith("/v1/messages") else "openai"
