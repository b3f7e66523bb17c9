"""Hosts that speak OpenAI's HTTP: chat, transcriptions, embeddings. One driver for all of them; they are data rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from intermodal import errors
from intermodal.executor.guard import LoopGuard
from intermodal.executor.job import Job, Line, Made
from intermodal.executor.world import World
from intermodal.wire import openai_audio, openai_chat, openai_embeddings, openai_reply, status
from intermodal.wire.call import (
    ChatCall,
    EmbeddingCall,
    Encoded,
    Error,
    Finish,
    RefusalDelta,
    TextDelta,
    TranscriptionCall,
    Usage,
    WireEvent,
)

if TYPE_CHECKING:
    from intermodal.executor.transport import Response

MAX_REPLY = 64 << 20  # bytes of a reply that is not streamed
_LAST_WORDS = 0.5  # seconds to wait for usage or [DONE] after the finish reason


class Server(NamedTuple):
    """Where to send, and the key for it."""

    base_url: str
    key: str = ""


async def drive(job: Job, world: World, line: Line) -> Made:
    return await _BY_OP[job.step.op](job, world, line, Server(job.endpoint.host.base_url, line.key))


async def chat(job: Job, world: World, line: Line, server: Server) -> Made:
    """A chat completion, streamed."""
    assert isinstance(job.chat, ChatCall)
    encoded = openai_chat.encode_request(job.chat, job.endpoint.host)
    text: list[str] = []
    refusal: list[str] = []
    usage = Usage()
    reason = ""
    guard = LoopGuard() if job.stop_loops else None
    async with _posted(job, world, line, server, encoded) as response:
        decoder = openai_reply.Decoder(job.endpoint.id, headers=response.headers)
        async for event in _events(response, decoder):
            if isinstance(event, TextDelta):
                text.append(event.text)
                await line.say(event.text)
                if guard is not None and guard.looped(event.text):
                    # Leaving closes the connection, which is how a server learns that it may stop.
                    return Made(text="".join(text), finish_reason="length", looped=True)
            elif isinstance(event, RefusalDelta):
                refusal.append(event.text)
            elif isinstance(event, Usage):
                usage = event
            elif isinstance(event, Finish):
                reason = event.reason
            elif isinstance(event, Error):
                raise event.error
    return Made(text="".join(text), refusal="".join(refusal), finish_reason=reason, usage=usage)


async def _events(response: Response, decoder: openai_reply.Decoder) -> AsyncIterator[WireEvent]:
    """Decoded events until the proper end, or an Error. Some hosts never close after the finish reason."""
    import anyio

    chunks = response.chunks()
    while not decoder.done:
        chunk = None
        with anyio.move_on_after(_LAST_WORDS if decoder.complete else None):
            chunk = await anext(chunks, None)
        if chunk is None:
            break
        for event in decoder.feed(chunk):
            yield event
    for event in decoder.close():
        yield event


async def transcribe(job: Job, world: World, line: Line, server: Server) -> Made:
    assert job.sound is not None
    call = TranscriptionCall(
        model=_model(job), data=job.sound.data, media_type=job.sound.media_type, language=job.language
    )
    encoded = openai_audio.encode_request(call, job.endpoint.host)
    async with _posted(job, world, line, server, encoded) as response:
        body = await response.read(MAX_REPLY)
        reply = openai_audio.decode_reply(body, job.endpoint.id, headers=response.headers)
    return Made(transcript=reply.transcript, usage=reply.usage)


async def embed(job: Job, world: World, line: Line, server: Server) -> Made:
    encoded = openai_embeddings.encode_request(EmbeddingCall(model=_model(job), texts=(job.text,)), job.endpoint.host)
    async with _posted(job, world, line, server, encoded) as response:
        body = await response.read(MAX_REPLY)
        reply = openai_embeddings.decode_reply(body, job.endpoint.id, headers=response.headers)
    return Made(vector=reply.vectors[0], usage=reply.usage)


_BY_OP = {"generate": chat, "transcribe": transcribe, "embed": embed}


def _model(job: Job) -> str:
    return job.endpoint.served_as or job.endpoint.model.id


@asynccontextmanager
async def _posted(job: Job, world: World, line: Line, server: Server, encoded: Encoded) -> AsyncIterator[Response]:
    """The reply to a POST, once it says 2xx; any other is raised as the error it stands for."""
    from intermodal.executor.transport import FIRST_BYTE_TIMEOUT, Timeouts

    endpoint = job.endpoint
    timeouts = Timeouts()
    if line.remaining is not None:
        # An attempt never gets more time than the whole run has left.
        timeouts = Timeouts(first_byte=min(FIRST_BYTE_TIMEOUT, max(0.1, line.remaining)))
    await line.sending()
    async with world.transport.post(
        server.base_url,
        encoded,
        key=server.key,
        where=endpoint.id,
        proxied=endpoint.host.zone == "internet",
        timeouts=timeouts,
    ) as response:
        if not 200 <= response.status < 300:
            try:
                body = await response.read()
            except errors.CallError:
                body = b""  # the status alone must do
            raise status.classify(response.status, response.headers, body, endpoint.id, secrets=(server.key,))
        yield response
