"""Drivers of servers that intermodal starts: the embedded llama.cpp, and servers shared by all of the user's processes.

A server is started on first use, then called like any other host.
"""

from __future__ import annotations

import msgspec

from intermodal.executor.dependencies import Dependencies
from intermodal.executor.drivers import http
from intermodal.executor.drivers.interface import AttemptContext, CallJob, CallResult
from intermodal.protocols.special_tokens import special_tokens, without_special_tokens
from intermodal.transport.addresses import HostAddress

# Temperature 0 if no sampling is stated: small models drift off otherwise, and the same question gets the same answer
# each time.
TEMPERATURE = 0.0


async def chat(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Make a chat call of the embedded llama.cpp server."""
    server = await dependencies.runtimes.chat_url(job.endpoint)
    context.report_load_seconds(server.load_seconds)
    job = break_special_tokens(with_temperature_zero(job), server.marks)
    return await http.call_server(HostAddress(server.base_url, server.key, "bearer"), job, dependencies, context)


def with_temperature_zero(job: CallJob) -> CallJob:
    """Return the job with temperature 0 if no sampling is stated."""
    if job.chat is None or job.chat.sampling.temperature is not None:
        return job
    sampling = msgspec.structs.replace(job.chat.sampling, temperature=TEMPERATURE)
    return msgspec.structs.replace(job, chat=msgspec.structs.replace(job.chat, sampling=sampling))


def break_special_tokens(job: CallJob, marks: tuple[str, ...]) -> CallJob:
    """Return the job with the model's special tokens broken up in all content, so that only the template begins a turn.

    On a remote server a client's text is the client's responsibility; this server is ours.
    """
    found = special_tokens(marks, include_known=False)
    chat = None if job.chat is None else without_special_tokens(job.chat, found)
    labels = tuple(map(found.break_tokens, job.labels))
    return msgspec.structs.replace(job, chat=chat, text=found.break_tokens(job.text), labels=labels)


async def call(job: CallJob, dependencies: Dependencies, context: AttemptContext) -> CallResult:
    """Make a call of a server that is shared by all of the user's processes."""
    server = await dependencies.runtimes.serving(job.endpoint)
    context.report_load_seconds(server.load_seconds)
    job = break_special_tokens(with_temperature_zero(job), server.marks)
    return await http.call_server(HostAddress(server.base_url, server.key, "bearer"), job, dependencies, context)
