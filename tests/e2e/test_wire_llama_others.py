"""Anthropic's messages and OpenAI's responses against a real llama.cpp server, which serves both by itself; and the
same server behind a door that speaks Ollama's protocol.

What its build of October 2026 does not do on these two, and vendors do: it forces no schema, and its responses do not
say that an answer was cut.
"""

from __future__ import annotations

import json
import os
import urllib.request
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.e2e.servers import EYE, LlamaServer, llama_server
from tests.unit.cli.conftest import Cli
from tests.unit.cli.conftest import cli as cli

from intermodal import errors
from intermodal.catalog.host_rows import HostRow, ServedRow
from intermodal.catalog.types import Host, Protocol
from intermodal.config import config_file
from intermodal.core.content import ToolCall, ToolResult
from intermodal.core.request import Sampling, Tool
from intermodal.protocols.anthropic import codec as anthropic_codec
from intermodal.protocols.calls import ChatCall, Error, Finish, WireEvent, WireImage, WireMessage, WireText, WireUsage
from intermodal.protocols.conversation import collect_turn
from intermodal.protocols.errors import classification
from intermodal.protocols.openai_responses import codec as openai_responses_codec
from intermodal.testing import Attempt, FakeVendor
from intermodal.transport.addresses import HostAddress
from intermodal.transport.client import Transport
from intermodal.transport.timeouts import Timeouts

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]
HOST = Host(id="real")
# Short and extractive: a model of 135M parameters is not asked what it knows.
QUESTION = WireText(text="The total of the invoice is 42 euros. What is the total of the invoice?")
ASKED = WireMessage(role="user", parts=(QUESTION,))
BOTH = pytest.mark.parametrize(
    "wire", [anthropic_codec, openai_responses_codec], ids=lambda wire: wire.__name__.split(".")[-2]
)


@pytest.fixture(scope="module")
def server() -> Iterator[LlamaServer]:
    with llama_server(context=1024) as running:
        yield running


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    transport = Transport()
    yield transport
    await transport.aclose()


def chat(*messages: WireMessage, stream: bool = True, tools: tuple[Tool, ...] = ()) -> ChatCall:
    sampling = Sampling(max_tokens=24, temperature=0.0)
    return ChatCall(model="m", messages=messages, sampling=sampling, stream=stream, tools=tools)


async def reply(transport: Transport, base_url: str, wire: ModuleType, call: ChatCall) -> bytes:
    """Raises the classified error of a reply that is not 2xx."""
    encoded = wire.encode_request(call, HOST)
    async with transport.post(HostAddress(base_url), encoded, timeouts=Timeouts(first_byte=60)) as response:
        body = await response.read_body(1 << 20)
        if response.status != 200:
            raise classification.classify(response.status, response.headers, body, "real:m")
        return body


def read(wire: ModuleType, *chunks: bytes) -> list[WireEvent]:
    decoder = wire.Decoder("real:m")
    found: list[WireEvent] = [event for chunk in chunks for event in decoder.feed(chunk)]
    return found + decoder.close()


@BOTH
@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_has_words_usage_and_an_end(
    transport: Transport, server: LlamaServer, wire: ModuleType, stream: bool
) -> None:
    events = read(wire, await reply(transport, server.base_url, wire, chat(ASKED, stream=stream)))
    assert "42" in collect_turn(events).text
    usage, finish = events[-2:]
    assert isinstance(usage, WireUsage)
    assert 10 < (usage.input_tokens or 0) < 80
    assert 0 < (usage.output_tokens or 0) <= 24
    assert isinstance(finish, Finish)
    assert finish.reason in ("stop", "length")


@BOTH
async def test_B1_a_real_stream_cut_at_any_byte_is_reassembled_or_an_error(
    transport: Transport, server: LlamaServer, wire: ModuleType
) -> None:
    body = await reply(transport, server.base_url, wire, chat(ASKED))
    whole = read(wire, body)
    for at in range(0, len(body), 3):
        assert read(wire, body[:at], body[at:]) == whole
        half = read(wire, body[:at])
        assert isinstance(half[-1], Error) or collect_turn(half).text == collect_turn(whole).text


@BOTH
async def test_a_conversation_with_calls_and_results_of_tools_is_understood(
    transport: Transport, server: LlamaServer, wire: ModuleType
) -> None:
    tools = (Tool(name="weather", description="Weather of a city", schema={"type": "object", "properties": {}}),)
    said = (WireText(text="I look."), ToolCall(id="call_1", name="weather", arguments='{"city":"Basel"}'))
    call = chat(
        ASKED,
        WireMessage(role="assistant", parts=said),
        WireMessage(role="tool", parts=(ToolResult(id="call_1", text="rain"),)),
        ASKED,
        tools=tools,
    )
    events = read(wire, await reply(transport, server.base_url, wire, call))
    assert isinstance(events[-1], Finish)
    assert (events[-2].input_tokens or 0) > 60  # type: ignore[union-attr]


@BOTH
async def test_A10_a_picture_that_a_text_model_cannot_take_is_told_from_a_failure(
    transport: Transport, server: LlamaServer, wire: ModuleType, media: Path
) -> None:
    picture = WireImage(data=(media / "screenshot-invoice.png").read_bytes())
    call = chat(WireMessage(role="user", parts=(picture, QUESTION)))
    with pytest.raises(errors.UnsupportedModality, match="image input is not supported"):
        await reply(transport, server.base_url, wire, call)


@BOTH
async def test_A8_an_overflow_says_how_many_tokens_there_were(
    transport: Transport, server: LlamaServer, wire: ModuleType
) -> None:
    long = WireMessage(role="user", parts=(WireText(text="word " * 2400),))
    with pytest.raises(errors.ContextExceeded, match=r"2,\d\d\d tokens, the endpoint takes 1,024"):
        await reply(transport, server.base_url, wire, chat(long))


@pytest.mark.parametrize("protocol", ["anthropic", "openai-responses"])
def test_a_picture_is_seen_through_either_protocol_and_paid_in_tokens(
    cli: Cli, protocol: Protocol, media: Path
) -> None:
    with llama_server(eye=EYE) as seeing:
        model = ServedRow(
            id=seeing.model, input=("text", "image"), context=seeing.context, tier="tiny", tokenizer="smollm2",
            image_tokens="fixed:16",
        )  # fmt: skip
        row = HostRow(id="box", base_url=seeing.base_url, stated_protocol=protocol, zone="machine", models=(model,))
        config_file.add_host(os.environ, row)
        name = f"box:{seeing.model}"
        picture = str(media / "photo-cat.jpg")
        # The likeliest token begins a word here. Where the first one is half a character, llama-server leaves out
        # message_start, and with it the count.
        usual = ("-m", name, "--json", "--max-tokens", "8", "--at-least", "tiny", "--temperature", "0")
        without = cli("ask", "What is it?", *usual)
        done = cli("ask", "What is it?", picture, *usual)
    assert done.answered, done.out + done.err
    assert without.answered, without.out + without.err
    seen, blind = (each.document["steps"][-1]["usage"]["input_tokens"] for each in (done, without))
    assert blind + 16 <= seen <= blind + 40


def behind_the_door(base_url: str, attempt: Attempt) -> str:
    """What the real server answers to what arrived, asked in OpenAI's words by the standard library."""
    uris = [f"data:image/png;base64,{b64encode(image).decode()}" for image in attempt.images]
    content = [{"type": "image_url", "image_url": {"url": uri}} for uri in uris]
    body = {
        "messages": [{"role": "user", "content": [*content, {"type": "text", "text": attempt.text}]}],
        "max_tokens": attempt.json["options"]["num_predict"],
        "temperature": 0,
    }
    request = urllib.request.Request(
        f"{base_url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as reply:
        return str(json.loads(reply.read())["choices"][0]["message"]["content"])


def test_a_real_model_behind_ollama_s_api_answers_and_gets_the_picture(
    cli: Cli, eye_server: LlamaServer, media: Path
) -> None:
    base_url = eye_server.base_url
    with FakeVendor("ollama", lambda attempt: behind_the_door(base_url, attempt)) as door:
        row = ServedRow(
            id=eye_server.model, served_as="eye", input=("text", "image"), context=2048, tier="tiny",
            tokenizer="smollm2", image_tokens="fixed:16",
        )  # fmt: skip
        config_file.add_host(os.environ, HostRow(id="ollama", base_url=door.base_url, zone="machine", models=(row,)))
        picture = str(media / "photo-cat.jpg")
        name = f"ollama:{eye_server.model}"
        done = cli("ask", "What is it?", picture, "-m", name, "--json", "--max-tokens", "8", "--at-least", "tiny")
    assert done.answered, done.out + done.err
    (attempt,) = door.attempts
    assert len(attempt.images) == 1
    assert attempt.json["options"]["num_ctx"] == 2048
    assert done.document["text"].strip()
    assert done.document["steps"][-1]["usage"]["output_tokens"] == attempt.output_tokens
