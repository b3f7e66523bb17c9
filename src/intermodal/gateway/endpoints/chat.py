"""Chat endpoints: the codec of the client API decodes a call, which is planned and run, and encodes its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from intermodal.catalog.types import PROMPT_CACHING_PROTOCOLS
from intermodal.client_apis import OPENAI_CHAT, ClientApi
from intermodal.concurrency.offload import LONG, MANY, is_long_request, offload
from intermodal.core.content import Part, Refusal, Text
from intermodal.core.request import JsonOutput, Request
from intermodal.events import (
    AttemptFailed,
    Committed,
    Event,
    Finished,
    StepProgress,
    StepStarted,
)
from intermodal.gateway import response_metadata
from intermodal.gateway.endpoints.models import JSON_HEADERS
from intermodal.gateway.failures import error_code, shutdown_refusal
from intermodal.gateway.http1 import response_writer
from intermodal.gateway.http1.http_types import GatewayRequest
from intermodal.gateway.http1.response_writer import ResponseWriter, StreamKeepalive
from intermodal.gateway.requests.body_limits import check_media_count, decode_body
from intermodal.gateway.requests.prompt_files import parse_answer
from intermodal.gateway.requests.request_from_call import request_from_call
from intermodal.gateway.requests.request_policy import (
    apply_overrides,
    body_fields,
    check_model_allowed,
    check_output,
    policy_for_model,
    policy_overrides,
    with_default_limit,
)
from intermodal.gateway.runs import plan_request, remember_turn, run_plan
from intermodal.plans.plan import Plan
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    WireAudio,
    WireDocument,
    WireEvent,
    WireImage,
    WireLink,
    WireVideo,
)
from intermodal.protocols.conversation import result_without_call
from intermodal.protocols.errors.responses import RequestRefused, RunEventEncoder
from intermodal.protocols.openai_responses.server import echoed_fields
from intermodal.protocols.request_fields import ignored_content, unenforced_tools, unforwarded_fields

if TYPE_CHECKING:
    from intermodal.client.async_client import PreparedRequest
    from intermodal.gateway.context import GatewayContext
    from intermodal.gateway.direct.handover import Handover
    from intermodal.gateway.requests.prompt_variables import RenderedPrompt


class PlannedChat:
    """A chat request and its plan."""

    def __init__(
        self, call: ChatCall, request: Request, prepared: PreparedRequest, plan: Plan, ignored: tuple[str, ...]
    ):
        self.call = call
        self.request = request
        self.prepared = prepared
        self.plan = plan
        self.ignored = ignored
        self.usage = True  # the end of a stream reports token usage
        self.writes: dict[str, Any] = {}  # extra arguments for the writer
        self.after: Handover | None = None  # the attempt of the direct path
        self.rendered: RenderedPrompt | None = None  # the prompt that it was rendered from

    def run_metadata(self) -> response_metadata.RunMetadata:
        """Return the collector of its metadata."""
        return response_metadata.RunMetadata(self.plan, self.rendered.notes if self.rendered is not None else ())

    def parse_answer_by_format(self, events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
        """Return the events of its run, with the answer parsed by the prompt's own format."""
        file = self.rendered.kept.file if self.rendered is not None else None
        return parse_answer(events, file) if file is not None and file.parser is not None else events


async def plan_chat(
    context: GatewayContext, request: GatewayRequest, dialect: ClientApi, *, exact: bool = False
) -> PlannedChat:
    """Decode and plan a chat. ``exact``: for its own sizes, not those of its shape.

    Raises RequestRefused, ValueError and what planning raises.
    """
    fields = await body_fields(request, context.limits)
    overrides = policy_overrides(request.head.headers, fields)
    decode = partial(dialect.decode, find=context.items.finder(request.owner)) if dialect.refers else dialect.decode
    call = await decode_body(decode, request.body)
    if call.sampling.max_tokens is not None and call.sampling.max_tokens < 1:
        raise RequestRefused(
            "an answer has at least one token", status=400, todo="leave the limit out, or set 1 or more"
        )
    request.served.model = call.model
    long = is_long_request(call)
    check_media_count(await offload(long, _media, call), context.limits.media)
    if dialect.refers:
        await offload(long, _check_results, call)
    rendered = await context.prompts.render(context.client, request, call, context.limits)
    if rendered is None:
        messages, policy = None, apply_overrides(policy_for_model(call.model, context.client), overrides)
        await check_model_allowed(request.key, call.model, context.client)
    else:
        call, messages, policy = rendered.call, rendered.messages, apply_overrides(rendered.policy, overrides)
    call = with_default_limit(call, context.client.config)
    run_request = await offload(long, request_from_call, call, policy, messages)
    run_request = await context.conversations.continue_conversation(run_request, request.owner)
    run_request = await context.signatures.restore_signatures(run_request, request.owner)
    if not any(_has_content(part) for message in run_request.messages for part in message.parts):
        raise _missing_messages(fields, dialect.asks)
    if isinstance(call.output, JsonOutput):
        run_request = replace(run_request, output=await check_output(call.output))
    prepared, plan = await plan_request(context, run_request, request.owner, exact=exact, rendered=rendered)
    answering = prepared.inputs.catalog.by_id.get(plan.chosen.endpoint)
    protocol = answering.host.protocol if answering is not None else ""
    carried = len(call.cache) if protocol in PROMPT_CACHING_PROTOCOLS else 0
    ignored = unforwarded_fields(fields, call.settings, dialect.table, answering)
    ignored += unenforced_tools(call.tools, protocol)
    ignored += await offload(len(request.body) > LONG, ignored_content, request.body, dialect.table, carried)
    job = PlannedChat(call, run_request, prepared, plan, ignored)
    job.rendered = rendered
    if dialect is OPENAI_CHAT:
        job.usage = _wants_usage(fields.get("stream_options"))
        if any(bytes(fields.get(name, b"null")) != b"null" for name in ("functions", "function_call")):
            job.writes["functions"] = True
    if dialect.refers:
        job.writes["request_fields"] = echoed_fields(fields)
    if dialect.refers and bytes(fields.get("store", b"")) != b"false":
        job.writes["keep"] = context.items.keeper(request.owner)
    return job


_MEDIA = (WireImage, WireAudio, WireVideo, WireDocument, WireLink)


def _media(call: ChatCall) -> int:
    """Return the number of media parts in a call."""
    return sum(isinstance(part, _MEDIA) for message in call.messages for part in message.parts)


def _check_results(call: ChatCall) -> None:
    """Raise RequestRefused, in OpenAI's wording, for a tool result whose call is missing."""
    if (result := result_without_call(call.messages)) is not None:
        what = f"No tool call found for function call output with call_id {result.id[:100]}"
        raise RequestRefused(what, status=400, todo="send the call, too")


def _has_content(part: Part) -> bool:
    """Return True if a part has content for a model to answer; hosts are not sent blank text."""
    return not isinstance(part, (Text, Refusal)) or bool(part.text.strip())


def _missing_messages(fields: Mapping[str, msgspec.Raw], name: str) -> RequestRefused:
    """Return the error for a request without content. ``name``: the field that holds messages."""
    given_messages = msgspec.json.decode(fields.get(name, b"null"), type=list[msgspec.Raw] | str | None)
    if not given_messages and isinstance(given_messages, list):
        return RequestRefused("there are no messages", status=400)
    if given_messages is None or isinstance(given_messages, str):
        what = f"{name} says nothing"
    elif len(given_messages) == 1:
        what = f"{name}[0] says nothing"
    else:
        what = f"{name}[0] to {name}[{len(given_messages) - 1}] say nothing"
    return RequestRefused(what, status=400, todo="send what is to be answered as its content")


def _wants_usage(options: msgspec.Raw | None) -> bool:
    """Return True if ``stream_options`` asks for usage. Raises RequestRefused if it is not an object."""
    try:
        stream_options = msgspec.json.decode(options, type=dict[str, Any] | None) if options is not None else None
    except msgspec.DecodeError:
        raise RequestRefused("stream_options is not an object", status=400) from None
    return stream_options is not None and stream_options.get("include_usage") is True


async def answer_chat(
    context: GatewayContext, request: GatewayRequest, reply: ResponseWriter, dialect: ClientApi
) -> None:
    """Answer a chat in this client API."""
    request.served.not_direct = request.served.not_direct or "chats of its API are not passed on"
    job = await plan_chat(context, request, dialect)
    job.after, request.after = request.after, None
    if job.call.stream:
        await ChatStream(context, request, reply, dialect, job).run()
    else:
        await _answer_whole(context, request, reply, dialect, job)


async def _answer_whole(
    context: GatewayContext, request: GatewayRequest, reply: ResponseWriter, dialect: ClientApi, job: PlannedChat
) -> None:
    metadata = job.run_metadata()
    run = RunEventEncoder(metadata.about)
    events: list[WireEvent] = []
    finished: Finished | None = None
    async with run_plan(context, job.prepared, job.plan, request, after=job.after) as happening:
        async for event in job.parse_answer_by_format(happening):
            metadata.record_event(event)
            if isinstance(event, Finished):
                await remember_turn(context, job.request, metadata, event, request.owner)
                finished = event
            events += run.feed(event)
    assert finished is not None
    long = len(events) > MANY or any(len(getattr(event, "text", "")) > LONG for event in events)
    status, body = await offload(long, dialect.encode, events, job.call.model, **job.writes)
    await reply.send(status, body, {**JSON_HEADERS, **metadata.headers(finished, job.ignored)})


class ChatStream:
    """A streamed answer.

    Its head is held until the first token, or a silence of ``FIRST_COMMENT_SECONDS``. Until then a failure is a
    response with a status of its own; after that it is the last event of the stream.
    """

    def __init__(
        self,
        context: GatewayContext,
        request: GatewayRequest,
        reply: ResponseWriter,
        dialect: ClientApi,
        job: PlannedChat,
    ) -> None:
        self._context = context
        self._asked = request
        self._reply = reply
        self._dialect = dialect
        self._job = job
        more: dict[str, Any] = {**job.writes, **({"usage": job.usage} if dialect is OPENAI_CHAT else {})}
        self._encoder = dialect.encoder(job.call.model, **more)
        self._doing = "planning done"
        self._route = ""
        self._now: response_metadata.RouteChange | None = None
        self._silence = StreamKeepalive(reply, self._comment)

    async def run(self) -> None:
        if self._dialect.comment:
            self._silence.start(response_writer.FIRST_COMMENT_SECONDS)
        try:
            await self._events()
        except asyncio.CancelledError:
            if self._reply.status and not self._reply.disconnected:  # the server stops
                await self._write_failure(shutdown_refusal(self._reply))
            raise
        except ConnectionResetError:
            raise
        except Exception as error:
            if not self._reply.status:
                raise  # nothing was sent yet: the answer gets a status of its own
            self._context.note_failure(error)
            await self._write_failure(error)
        finally:
            self._silence.close()

    async def _events(self) -> None:
        job = self._job
        metadata = job.run_metadata()
        run = RunEventEncoder(metadata.about)
        live = job.request.policy.streaming == "live"
        running = run_plan(self._context, job.prepared, job.plan, self._asked, live=live, after=job.after)
        async with running as happening:
            async for event in job.parse_answer_by_format(happening):
                metadata.record_event(event)
                self._now = metadata.now
                self._update_status(event)
                if isinstance(event, Finished):
                    await remember_turn(self._context, job.request, metadata, event, self._asked.owner)
                data = b"".join([self._encoder.feed(each) for each in run.feed(event)])
                if data:
                    self._begin()
                    await self._reply.write(data)
        self._reply.end()

    async def _write_failure(self, error: BaseException) -> None:
        self._silence.end()
        self._asked.served.record_failure(error_code(error), broken=True)
        self._begin()
        response_metadata.report_failure(error, self._asked.served)
        self._reply.write_unbuffered(self._encoder.feed(Error(error=error)))  # type: ignore[arg-type]
        self._reply.end()

    def _begin(self) -> None:
        if not self._reply.status:
            self._silence.end()
            head = response_metadata.plan_headers(
                self._job.plan, route=self._route, ignored=self._job.ignored, now=self._now
            )
            about = {"content-type": self._dialect.stream_type, **response_metadata.STREAM_HEADERS}
            self._reply.begin(200, {**about, **head})

    # ---- keep-alives

    def _update_status(self, event: Event) -> None:
        if isinstance(event, Committed):
            self._route = event.endpoint
            self._silence.end()
        elif isinstance(event, StepStarted):
            self._doing = event.title or event.step
        elif isinstance(event, StepProgress):
            share = "" if event.fraction is None else f" {100 * event.fraction:.0f} %"
            self._doing = f"{event.note or self._doing.partition(':')[0]}{share}"
        elif isinstance(event, AttemptFailed):
            self._doing = "another attempt"

    def _comment(self) -> None:
        doing = " ".join("".join(c if c.isprintable() else " " for c in self._doing).split())[:200]
        self._begin()
        self._reply.write_unbuffered(self._dialect.comment % doing.encode("utf-8", "replace"))
        self._silence.start(response_writer.COMMENT_SECONDS)
