"""The OpenAI wire against a real llama.cpp server with a real model: each understands what the other sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from intermodal import errors
from intermodal.catalog.shipped_rows import shipped_rows
from intermodal.catalog.types import Host
from intermodal.config.config_file import cache_dir
from intermodal.core.request import JsonOutput, Sampling
from intermodal.local.weights.store import WeightsStore
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    WireAudio,
    WireEvent,
    WireImage,
    WireMessage,
    WirePart,
    WireText,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.errors import classification
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.transport.addresses import HostAddress
from intermodal.transport.client import Transport
from intermodal.transport.timeouts import Timeouts

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
WEIGHTS = WeightsStore(Path(cache_dir(os.environ)) / "weights")  # before a test moves the cache
CONTEXT = 512
# Short and extractive: a model of 135M parameters is not asked what it knows.
QUESTION = WireText(text="The total of the invoice is 42 euros. What is the total of the invoice?")
KEY = "a-key-of-this-test"
HOST = Host(id="real", forced_json=True)
SERVER = f"""
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.hostnames, p.port, p.n_ctx, p.n_parallel = sys.argv[1], ["127.0.0.1"], 0, {CONTEXT}, 1
p.ctx_shift, p.api_keys, p.verbosity = False, [{KEY!r}], -1
# One thread: several wait for each other at every step, which takes minutes where others hold the processors.
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    weights = WEIGHTS.path("smollm2-135m-instruct")
    assert weights is not None, "run `make setup`"
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(weights)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield f"{server.stdout.readline().strip()}/v1"
        server.kill()


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.aclose()


def chat(*parts: WirePart, stream: bool = True, schema: dict[str, object] | None = None, tokens: int = 24) -> ChatCall:
    output = {} if schema is None else {"output": JsonOutput(schema=schema)}
    sampling = Sampling(max_tokens=tokens, temperature=0.0, seed=1)
    messages = (WireMessage(role="user", parts=parts),)
    return ChatCall(model="m", messages=messages, sampling=sampling, stream=stream, **output)  # type: ignore[arg-type]


async def ask(transport: Transport, base_url: str, call: ChatCall, *, key: str = KEY) -> list[WireEvent]:
    """Raises the classified error of a reply that is not 2xx. The server ends a connection after each stream."""
    encoded = openai_chat_codec.encode_request(call, HOST)
    waits = Timeouts(first_byte=300)
    async with transport.post(HostAddress(base_url, key), encoded, timeouts=waits, fresh=True) as response:
        if response.status != 200:
            raise classification.classify(
                response.status, response.headers, await response.read_body(), "real:m", secrets=(key,)
            )
        decoder = openai_chat_codec.OpenAIChatDecoder("real:m", headers=response.headers)
        events = [event async for chunk in response.chunks() for event in decoder.feed(chunk)]
        return events + decoder.close()


def words(events: list[WireEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, WireTextDelta))


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_has_words_usage_and_an_end(transport: Transport, base_url: str, stream: bool) -> None:
    events = await ask(transport, base_url, chat(QUESTION, stream=stream))
    assert "42" in words(events)
    usage, finish = events[-2:]
    assert isinstance(usage, WireUsage)
    assert 10 < (usage.input_tokens or 0) < 60
    assert 0 < (usage.output_tokens or 0) <= 24
    assert finish in (Finish(reason="stop"), Finish(reason="length"))


async def test_a_token_limit_ends_with_length(transport: Transport, base_url: str) -> None:
    events = await ask(transport, base_url, chat(WireText(text="Tell a long story."), tokens=3))
    assert events[-1] == Finish(reason="length")
    assert events[-2].output_tokens == 3  # type: ignore[union-attr]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_schema_is_forced(transport: Transport, base_url: str, stream: bool) -> None:
    schema = {
        "type": "object",
        "properties": {"animal": {"enum": ["cat", "dog"]}, "age": {"type": "integer"}},
        "required": ["animal", "age"],
        "additionalProperties": False,
    }
    events = await ask(transport, base_url, chat(WireText(text="Sing."), stream=stream, schema=schema, tokens=60))
    answer = json.loads(words(events))
    assert answer["animal"] in ("cat", "dog")
    assert isinstance(answer["age"], int)


async def test_a_schema_that_is_forced_is_not_in_the_prompt(transport: Transport, base_url: str) -> None:
    """The server makes a grammar of it and tells its model nothing, which is what its host's row says."""
    said = "the total amount that is due, with all taxes, as it stands on the last line of the invoice"
    schema = {
        "type": "object",
        "properties": {"total": {"type": "integer", "description": said}},
        "required": ["total"],
    }
    call = chat(WireText(text="Read the invoice: 42 EUR."), tokens=20)
    events = [await ask(transport, base_url, call)]
    for each in (schema, {"type": "object"}):
        events.append(await ask(transport, base_url, chat(*call.messages[-1].parts, schema=each, tokens=20)))
    counts = {next(event.input_tokens for event in some if isinstance(event, WireUsage)) for some in events}
    assert len(counts) == 1
    assert not any(row.host().tells_schema for row in shipped_rows().hosts if row.id in ("llama.cpp", "embedded"))


@pytest.mark.parametrize("part", [WireImage(data=b"\x89PNG\r\n"), WireAudio(data=b"RIFF0000WAVE")])
async def test_A10_media_that_a_text_model_cannot_take_are_told_from_a_failure(
    transport: Transport, base_url: str, part: WirePart
) -> None:
    with pytest.raises(errors.UnsupportedModality, match="input is not supported"):
        await ask(transport, base_url, chat(WireText(text="What is it?"), part))
    assert "42" in words(await ask(transport, base_url, chat(QUESTION)))


async def test_A8_an_overflow_says_how_many_tokens_there_were(transport: Transport, base_url: str) -> None:
    with pytest.raises(errors.ContextExceeded, match=r"1,\d\d\d tokens, the endpoint takes 512"):
        await ask(transport, base_url, chat(WireText(text="word " * 1200)))


async def test_a_wrong_key_is_refused_and_not_quoted(transport: Transport, base_url: str) -> None:
    with pytest.raises(errors.CredentialsRefused) as caught:
        await ask(transport, base_url, chat(WireText(text="hi")), key="another-key")
    assert "another-key" not in str(caught.value)


async def test_a_schema_that_the_server_cannot_use_is_the_caller_s_fault(transport: Transport, base_url: str) -> None:
    with pytest.raises(errors.CallError) as caught:
        await ask(transport, base_url, chat(WireText(text="hi"), schema={"type": "foo"}))
    assert caught.value.status == 400


async def test_B1_a_real_stream_cut_at_any_byte_is_reassembled_or_an_error(transport: Transport, base_url: str) -> None:
    encoded = openai_chat_codec.encode_request(chat(WireText(text="Name three colours."), tokens=8), HOST)
    async with transport.post(HostAddress(base_url, KEY), encoded) as response:
        body = await response.read_body()
    decoder = openai_chat_codec.OpenAIChatDecoder()
    whole = decoder.feed(body) + decoder.close()
    assert isinstance(whole[-1], Finish)
    for at in range(len(body)):
        decoder = openai_chat_codec.OpenAIChatDecoder()
        assert decoder.feed(body[:at]) + decoder.feed(body[at:]) + decoder.close() == whole
        decoder = openai_chat_codec.OpenAIChatDecoder()
        half = decoder.feed(body[:at]) + decoder.close()
        assert isinstance(half[-1], Error) or words(half) == words(whole)
