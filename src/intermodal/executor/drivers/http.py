"""The driver of every HTTP host: chat, transcription, speech, embeddings and images. A host is a data row.

The codec follows from the host's protocol (``codecs.py``).
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.concurrency.offload import HEAVY, LONG, is_long_request, offload
from intermodal.events import Drawn
from intermodal.executor.attempt.capability_learning import detect_truncated_prompt
from intermodal.executor.chat_answer import ChatAnswer, read_thought
from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers.codecs import VectorCodec, chat_codec, image_codec, vector_codec
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult, HeadScores
from intermodal.executor.preparation.prompt import all_text
from intermodal.media.audio.encoding import samples
from intermodal.protocols.answer_state import (
    MAX_REPLY,
    AnswerState,
    is_output,
    is_visible,
    output_length,
    trailing_timeout,
)
from intermodal.protocols.calls import (
    ChatCall,
    EmbeddingCall,
    EncodedRequest,
    Error,
    SpeechCall,
    TranscriptionCall,
    WireEvent,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.errors import classification
from intermodal.protocols.openai_media import speech, transcription
from intermodal.protocols.reply_decoder import NO_REASON, ReplyDecoder
from intermodal.protocols.rerank import decode_rerank, encode_rerank, rerank_address
from intermodal.transport.addresses import HostAddress
from intermodal.transport.timeouts import Deadline, Timeouts

if TYPE_CHECKING:
    from intermodal.transport.response import Response

MAX_IMAGES = 256 << 20  # bytes of a reply that holds images in base64
_EVENTS_PER_TURN = 32  # events of an answer that are handled in one turn of the event loop
_BYTES_PER_TURN = 8 << 10  # bytes of a reply handled in one turn: 200 to 300 of the shortest events
_LAST_BYTES = 0.05  # seconds to wait for the end of the body after the end of the answer


async def drive_http(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    return await call_server(_server(job.endpoint.host, context.key), job, dependencies, context)


async def call_server(
    server: HostAddress, job: CallJob, dependencies: Dependencies, context: AttemptContext
) -> CallResult:
    """Do the job at this server. Raises Unreachable if it exceeds the host's total timeout."""
    import anyio

    total = _timeouts(job, dependencies).total
    with anyio.move_on_after(total):
        return await _BY_OP[job.step.op](job, dependencies, context, server)
    what = f"did not end within {total:g} s"
    raise errors.Unreachable(
        what, where=job.endpoint.id, todo="allow more time (timeouts.total of the config)", sent=context.sent
    )


def _timeouts(job: CallJob, dependencies: Dependencies) -> Timeouts:
    timeouts = (dependencies.timeouts or Timeouts()).as_said(job.endpoint.host.timeouts)
    return timeouts.on_trial() if job.trial else timeouts


def _server(host: Host, key: str) -> HostAddress:
    return HostAddress(host.base_url, key, host.auth)


def _vector_codec(job: CallJob) -> VectorCodec:
    codec = vector_codec(job.endpoint.host)
    if codec is None:
        what = "speaks a protocol in which intermodal asks for no vectors"
        raise errors.CallError(what, where=job.endpoint.id, todo="ask another host", sent=False)
    return codec


async def chat(job: CallJob, dependencies: Dependencies, context: AttemptContext, server: HostAddress) -> CallResult:
    """Make a chat call, streamed or not."""
    assert isinstance(job.chat, ChatCall)
    codec = chat_codec(job.endpoint.host)
    long = is_long_request(job.chat)
    encoded = await offload(long, codec.encode_request, job.chat, job.endpoint.host)
    answer = ChatAnswer()
    state = AnswerState(
        job.endpoint.id, limit=job.chat.sampling.max_tokens, guarded=job.stop_loops, streamed=job.chat.stream
    )
    async with _post(job, dependencies, context, server, encoded) as response:
        decoder = codec.Decoder(job.endpoint.id, headers=response.headers)
        decoder.reasonless = NO_REASON in job.endpoint.host.quirks
        async for event in _events(response, decoder, buffered=not job.chat.stream):
            answer_event = await offload(output_length(event) > LONG, state.record_event, event)
            if answer_event is not None:
                answer.add(answer_event)
                await _report(answer_event, context)
            if isinstance(event, Error):
                raise state.mark_billed(event.error)
            if state.stopped == "blanks":
                raise state.blanks_error()
            if state.stopped and job.chat.stream:
                answer.usage = WireUsage()  # counts before the end are not those of the whole answer
                break  # closing the connection tells the server to stop
    if state.stopped_for_loop:
        return answer.stopped_for_loop(other_output="".join(state.beside))
    cut = detect_truncated_prompt(job.endpoint, job.work, answer.usage.input_tokens, lambda: _texts_of_job(job))
    if cut is not None:
        raise cut
    return answer.result("".join(state.beside), state.stop_reason) if state.overran else answer.result()


async def _report(event: WireEvent, context: AttemptContext) -> None:
    """Forward a piece of an answer."""
    if is_visible(event):
        context.answering()
    if isinstance(event, WireTextDelta):
        await context.say(event.text)
    elif (thought := read_thought(event)) is not None:
        await context.think(thought)


def _texts_of_job(job: CallJob) -> tuple[str, ...]:
    return () if job.chat is None else (all_text(job.chat.messages),)


async def _events(response: Response, decoder: ReplyDecoder, *, buffered: bool) -> AsyncIterator[WireEvent]:
    """Yield decoded events until the proper end, or an Error.

    Some hosts never close the stream after the finish reason. ``buffered``: no stream was requested.
    """
    import anyio

    chunks = response.chunks()
    response.wordless = response.by_words = True
    until = math.inf
    while not decoder.done:
        chunk = None
        if decoder.complete:  # further pieces are read but do not extend the wait
            until = min(until, anyio.current_time() + trailing_timeout(has_usage=decoder.has_usage))
            with Deadline(until), suppress(errors.CallError):  # a connection that breaks now interrupts nothing
                chunk = await anext(chunks, None)
        else:
            chunk = await anext(chunks, None)
        if chunk is None:
            break
        for start in range(0, len(chunk), _BYTES_PER_TURN):
            if start:  # a read may hold thousands of events: let other requests run in between
                await anyio.lowlevel.checkpoint()
            events = await offload(decoder.pending > HEAVY, decoder.feed, chunk[start : start + _BYTES_PER_TURN])
            response.document = decoder.begun and (buffered or decoder.document)
            if any(map(is_output, events)):
                response.record_answer_piece()
            for number, event in enumerate(events, 1):
                if number % _EVENTS_PER_TURN == 0:
                    await anyio.lowlevel.checkpoint()
                yield event
    if decoder.done:  # a reply read to its end returns its connection for the next request
        with anyio.move_on_after(_LAST_BYTES), suppress(errors.CallError):  # the answer is complete
            await anext(chunks, None)
    for event in await offload(decoder.pending > HEAVY, decoder.close):
        yield event


async def transcribe(
    job: CallJob, dependencies: Dependencies, context: AttemptContext, server: HostAddress
) -> CallResult:
    assert job.sound is not None
    call = TranscriptionCall(
        model=_model(job), data=job.sound.data, media_type=job.sound.media_type, language=job.language, into=job.into
    )
    encoded = transcription.encode_request(call, job.endpoint.host)
    async with _post(job, dependencies, context, server, encoded) as response:
        body = await response.read_body(MAX_REPLY)
        reply = transcription.decode_reply(body, job.endpoint.id, headers=response.headers, into=job.into)
    return CallResult(transcript=reply.transcript, usage=reply.usage)


async def embed(job: CallJob, dependencies: Dependencies, context: AttemptContext, server: HostAddress) -> CallResult:
    codec = _vector_codec(job)
    encoded = codec.encode_request(
        EmbeddingCall(model=_model(job), texts=(job.text,) if job.text else (), media=job.beside), job.endpoint.host
    )
    async with _post(job, dependencies, context, server, encoded) as response:
        body = await response.read_body(MAX_REPLY)
        reply = codec.decode_reply(body, job.endpoint.id, texts=1, headers=response.headers)
    return CallResult(vector=reply.vectors[0], usage=reply.usage)


async def score(job: CallJob, dependencies: Dependencies, context: AttemptContext, server: HostAddress) -> CallResult:
    """Score labels for a text, by the next token of a chat or by embeddings; or passages for a query, by reranking."""
    if job.lines:
        return await rank(job, dependencies, context, server)
    if job.chat is not None:
        return await chat(job, dependencies, context, server)
    texts = (job.text, *job.labels)
    codec = _vector_codec(job)
    encoded = codec.encode_request(EmbeddingCall(model=_model(job), texts=texts), job.endpoint.host)
    async with _post(job, dependencies, context, server, encoded) as response:
        body = await response.read_body(MAX_REPLY)
        reply = codec.decode_reply(body, job.endpoint.id, texts=len(texts), headers=response.headers)
    return CallResult(vectors=reply.vectors, usage=reply.usage)


async def rank(job: CallJob, dependencies: Dependencies, context: AttemptContext, server: HostAddress) -> CallResult:
    """Score passages (``lines``) for a query (``text``) with the host's reranking endpoint."""
    host = job.endpoint.host
    encoded = encode_rerank(_model(job), job.text, job.lines, host)
    server = server._replace(base_url=rerank_address(host)[0])
    async with _post(job, dependencies, context, server, encoded) as response:
        body = await response.read_body(MAX_REPLY)
        reply = decode_rerank(body, job.endpoint.id, documents=len(job.lines), headers=response.headers)
    scores = tuple((str(index), score) for index, score in enumerate(reply.scores))
    return CallResult(head_scores=HeadScores(scores=scores), usage=reply.usage)


async def speak(job: CallJob, dependencies: Dependencies, context: AttemptContext, server: HostAddress) -> CallResult:
    """Speak lines, as many at a time as one request takes. Always requests WAV; the result is encoded here."""
    recordings: list[bytes] = []
    rate = 0
    stretches = tuple(_batch_lines(job.lines))
    for number, text in enumerate(stretches):
        call = SpeechCall(model=_model(job), text=text, voice=job.voice)
        encoded = speech.encode_request(call, job.endpoint.host)
        try:
            async with _post(job, dependencies, context, server, encoded) as response:
                body = await response.read_body(MAX_REPLY)
                file = speech.decode_reply(body, job.endpoint.id, headers=response.headers)
        except errors.CallError as error:
            if number and not error.stale:  # the pieces before are paid for, whatever ended this one
                error.billing = "billed"
            raise
        try:
            pcm, rate = samples(file)
        except ValueError as error:
            what = f"sent a WAV file that is not 16-bit mono ({error})"
            raise errors.CallError(what, where=job.endpoint.id, status=200) from None
        recordings.append(pcm)
        context.progress((number + 1) / len(stretches), "")
    return CallResult(pcm=b"".join(recordings), rate=rate)


def _batch_lines(lines: tuple[str, ...]) -> Iterator[str]:
    """Yield lines joined up to the size that one request takes."""
    waiting = ""
    for line in lines:
        if waiting and len(waiting) + 1 + len(line) > speech.MAX_TEXT:
            yield waiting
            waiting = ""
        waiting = f"{waiting}\n{line}" if waiting else line
    if waiting:
        yield waiting


async def draw(job: CallJob, dependencies: Dependencies, context: AttemptContext, server: HostAddress) -> CallResult:
    assert job.drawing is not None
    codec = image_codec(job.endpoint.host)
    if codec is None:
        what = "speaks a protocol in which intermodal asks for no images"
        raise errors.CallError(what, where=job.endpoint.id, todo="ask another host", sent=False)
    encoded = codec.encode_request(job.drawing, job.endpoint.host)
    async with _post(job, dependencies, context, server, encoded) as response:
        body = await response.read_body(MAX_IMAGES)
        reply = codec.decode_reply(body, job.endpoint.id, headers=response.headers)
    usage = reply.usage
    if usage.image_tokens is None:  # all output counts as image tokens until they are reported separately
        usage = msgspec.structs.replace(usage, image_tokens=usage.output_tokens)
    prompts = reply.prompts or ("",) * len(reply.images)
    images = tuple(
        Drawn(data=image.data, media_type=image.media_type, prompt=prompt)
        for image, prompt in zip(reply.images, prompts, strict=True)
    )
    return CallResult(images=images, usage=usage)


_BY_OP = {
    "generate": chat, "translate": chat, "describe": chat, "transcribe": transcribe, "embed": embed, "score": score,
    "speak": speak, "draw": draw,
}  # fmt: skip


def _model(job: CallJob) -> str:
    return job.endpoint.served_as or job.endpoint.model.id


@asynccontextmanager
async def _post(
    job: CallJob, dependencies: Dependencies, context: AttemptContext, server: HostAddress, encoded: EncodedRequest
) -> AsyncIterator[Response]:
    """Yield the response to a POST if its status is 2xx; raise the corresponding error for any other."""
    endpoint = job.endpoint
    timeouts = _timeouts(job, dependencies)
    if context.remaining is not None:
        # An attempt never gets more time than the whole run has left.
        timeouts = timeouts.limited_to(max(0.1, context.remaining))
    async with dependencies.transport.post(
        server,
        encoded,
        where=endpoint.id,
        proxied=endpoint.host.zone == "internet",
        timeouts=timeouts,
        record=context.record(),
        fresh=job.fresh,
    ) as response:
        if not 200 <= response.status < 300:
            try:
                body = await response.read_body()
            except errors.CallError:
                body = b""  # only the status is available
            raise classification.classify(
                response.status, response.headers, body, endpoint.id, secrets=(server.key,), now=time.time()
            )
        if classification.announces_web_page(response.headers):
            raise classification.web_page_error(endpoint.id, response.status)
        yield response
