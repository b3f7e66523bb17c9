"""The server direction: what our encoders write, our decoders read back, and so do the vendors' own clients."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intermodal import errors, events
from intermodal.core.content import BytesSource, Image, ToolCall, UrlSource
from intermodal.core.request import JsonOutput
from intermodal.gateway.requests.request_from_call import request_from_call
from intermodal.protocols.anthropic import codec as anthropic_codec
from intermodal.protocols.anthropic import server as anthropic_server
from intermodal.protocols.calls import (
    Error,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDelta,
    WireEvent,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import AssistantTurn, collect_turn
from intermodal.protocols.errors.responses import RunEventEncoder
from intermodal.protocols.ollama import codec as ollama_codec
from intermodal.protocols.ollama import server as ollama_server
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.protocols.openai_chat import server as openai_chat_server
from intermodal.protocols.openai_responses import codec as openai_responses_codec
from intermodal.protocols.openai_responses import server as openai_responses_server
from intermodal.protocols.reply_decoder import ReplyDecoder

AT = "2026-11-25T00:00:00Z"


@dataclass(frozen=True)
class Server:
    name: str
    stream: Callable[[], Any]
    whole: Callable[[list[WireEvent]], tuple[int, bytes]]
    decoder: Callable[[], ReplyDecoder]
    drops: tuple[type[Any], ...] = ()  # what the wire has no place for
    ids: bool = True


SERVERS = (
    Server(
        "openai_chat",
        lambda: openai_chat_server.OpenAIChatStreamEncoder("m", id="c1", created=1),
        lambda events: openai_chat_server.encode_reply(events, "m", id="c1", created=1),
        openai_chat_codec.OpenAIChatDecoder,
    ),
    Server(
        "openai_responses",
        lambda: openai_responses_server.OpenAIResponsesStreamEncoder("m", id="r1", created=1),
        lambda events: openai_responses_server.encode_reply(events, "m", id="r1", created=1),
        openai_responses_codec.OpenAIResponsesDecoder,
    ),
    Server(
        "anthropic",
        lambda: anthropic_server.AnthropicStreamEncoder("m", id="msg_1"),
        lambda events: anthropic_server.encode_reply(events, "m", id="msg_1"),
        anthropic_codec.AnthropicDecoder,
    ),
    Server(
        "ollama",
        lambda: ollama_server.OllamaStreamEncoder("m", now=lambda: AT),
        lambda events: ollama_server.encode_reply(events, "m", now=lambda: AT),
        ollama_codec.OllamaDecoder,
    ),
)
EVERY = pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
WORDS = st.text('ab é😀\n"', min_size=1, max_size=6)
CALLED: list[WireEvent] = [
    ReasoningDelta(text="Two tools, then."),
    WireTextDelta(text="I "),
    WireTextDelta(text="look."),
    ToolCallDelta(index=0, id="call_0", name="weather", arguments='{"city":'),
    ToolCallDelta(index=0, arguments='"Zürich"}'),
    ToolCallDelta(index=1, id="call_1", name="clock"),
    WireUsage(input_tokens=11, output_tokens=7),
    Finish(reason="tool_call"),
]


def streamed(server: Server, given: list[WireEvent]) -> bytes:
    encoder = server.stream()
    return b"".join(encoder.feed(event) for event in given)


def read(server: Server, *chunks: bytes) -> list[WireEvent]:
    decoder = server.decoder()
    found = [event for chunk in chunks for event in decoder.feed(chunk)]
    return found + decoder.close()


def said(events: list[WireEvent]) -> tuple[Any, ...]:
    """What a client has in the end, the order between words and calls left out."""
    made: AssistantTurn = collect_turn(events)
    kinds = {"Reasoning": "", "WireText": "", "Refusal": ""}
    for part in made.parts:
        if type(part).__name__ in kinds:
            kinds[type(part).__name__] += part.text  # type: ignore[union-attr]
    return (kinds, made.calls, made.finish, made.usage.input_tokens, made.usage.output_tokens)


@pytest.mark.slow
@EVERY
@settings(max_examples=60)
@given(data=st.data())
def test_what_is_written_is_read_back(server: Server, data: st.DataObject) -> None:
    given: list[WireEvent] = [
        *(ReasoningDelta(text=text) for text in data.draw(st.lists(WORDS, max_size=2))),
        *(WireTextDelta(text=text) for text in data.draw(st.lists(WORDS, max_size=3))),
    ]
    calls = data.draw(st.lists(st.tuples(st.sampled_from("fg"), st.dictionaries(WORDS, WORDS, max_size=2)), max_size=3))
    for index, (name, arguments) in enumerate(calls):
        text = json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
        cut = data.draw(st.integers(0, len(text)))
        given.append(ToolCallDelta(index=index, id=f"call_{index}", name=name, arguments=text[:cut]))
        given += [ToolCallDelta(index=index, arguments=text[cut:])] if text[cut:] else []
    reason = "tool_call" if calls else data.draw(st.sampled_from(["stop", "length"]))
    given += [WireUsage(input_tokens=data.draw(st.integers(0, 99)), output_tokens=3), Finish(reason=reason)]
    assert said(read(server, streamed(server, given))) == said(given)
    status, body = server.whole(given)
    assert status == 200
    assert said(read(server, body)) == said(given)


@pytest.mark.slow
@EVERY
def test_a_stream_cut_at_every_byte_is_reassembled(server: Server) -> None:
    body = streamed(server, CALLED)
    whole = read(server, body)
    assert said(whole) == said(CALLED)
    for cut in range(len(body)):
        assert read(server, body[:cut], body[cut:]) == whole


@pytest.mark.slow
@EVERY
def test_a_stream_that_stops_at_any_byte_is_an_error_or_whole(server: Server) -> None:
    body = streamed(server, CALLED)
    for at in range(len(body)):
        found = read(server, body[:at])
        ends = [event for event in found if isinstance(event, (Finish, Error))]
        assert ends == [found[-1]]
        if isinstance(ends[0], Finish):
            assert said(found)[:3] == said(CALLED)[:3]
        else:
            assert isinstance(ends[0].error, errors.StreamCut)


@EVERY
def test_an_error_reaches_the_client_with_its_sentence_in_a_stream_and_without_one(server: Server) -> None:
    error = errors.ContextExceeded("the request has 9,000 tokens, the endpoint takes 512", where="h:m")
    given: list[WireEvent] = [WireTextDelta(text="a"), Error(error=error)]
    end = read(server, streamed(server, given))[-1]
    assert isinstance(end, Error)
    assert "9,000 tokens" in str(end.error)
    status, body = server.whole(given)
    assert status == 400
    assert b"9,000 tokens" in body


@EVERY
def test_an_error_of_ours_that_nobody_wrote_for_showing_says_nothing_of_our_inside(server: Server) -> None:
    given: list[WireEvent] = [Error(error=RuntimeError("secret"))]  # type: ignore[arg-type]
    status, body = server.whole(given)
    assert status == 500
    assert b"secret" not in body + streamed(server, given)


@EVERY
def test_a_refusal_is_told_in_its_own_words(server: Server) -> None:
    given: list[WireEvent] = [RefusalDelta(text="Not that."), Finish(reason="content_filter")]
    for body in (streamed(server, given), server.whole(given)[1]):
        found = collect_turn(read(server, body))
        assert "Not that." in "".join(part.text for part in found.parts)  # type: ignore[union-attr]
        if server.name != "ollama":  # which has no word for it
            assert found.finish == "content_filter"


def test_openai_s_client_reads_a_chat() -> None:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    reply = ChatCompletion.model_validate_json(SERVERS[0].whole(CALLED)[1])
    (choice,) = reply.choices
    assert choice.finish_reason == "tool_calls"
    assert [call.function.name for call in choice.message.tool_calls or ()] == ["weather", "clock"]  # type: ignore[union-attr]
    lines = streamed(SERVERS[0], CALLED).decode().split("\n\n")
    for line in lines:
        if line.startswith("data: {"):
            ChatCompletionChunk.model_validate_json(line.removeprefix("data: "))


def test_openai_s_client_reads_a_response() -> None:
    from openai.types.responses import Response, ResponseStreamEvent
    from pydantic import TypeAdapter

    reply = Response.model_validate_json(SERVERS[1].whole(CALLED)[1])
    assert reply.output_text == "I look."
    assert [item.type for item in reply.output] == ["reasoning", "message", "function_call", "function_call"]
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    kinds = []
    for block in streamed(SERVERS[1], CALLED).decode().split("\n\n"):
        if block:
            kinds.append(adapter.validate_json(block.split("data: ", 1)[1]).type)
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


def test_anthropic_s_client_reads_a_message() -> None:
    from anthropic.types import Message, RawMessageStreamEvent
    from pydantic import TypeAdapter

    reply = Message.model_validate_json(SERVERS[2].whole(CALLED)[1])
    assert reply.stop_reason == "tool_use"
    assert [block.type for block in reply.content] == ["thinking", "text", "tool_use", "tool_use"]
    adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    for block in streamed(SERVERS[2], CALLED).decode().split("\n\n"):
        if block:
            head, data = block.split("\ndata: ", 1)
            assert adapter.validate_json(data).type == head.removeprefix("event: ")


def test_ollama_s_client_reads_a_chat() -> None:
    from ollama import ChatResponse

    reply = ChatResponse.model_validate_json(SERVERS[3].whole(CALLED)[1])
    assert reply.message.content == "I look."
    assert [call.function.name for call in reply.message.tool_calls or ()] == ["weather", "clock"]
    lines = [ChatResponse.model_validate_json(line) for line in streamed(SERVERS[3], CALLED).splitlines()]
    assert lines[-1].done
    assert lines[-1].prompt_eval_count == 11


def test_a_client_s_call_becomes_a_request_to_plan() -> None:
    body = {
        "model": "policy:cheapest",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAB"}},
                    {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
                ],
            }
        ],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    }
    call = openai_chat_server.decode_request(json.dumps(body).encode())
    request = request_from_call(call)
    assert call.model == "policy:cheapest"
    assert request.messages[0].parts[1:] == (
        Image(source=BytesSource(data=b"\0\0\0", name="image")),
        Image(source=BytesSource(data=b"\0\0\1", name="image 2")),  # what a plan and a model call it
        Image(source=UrlSource(url="https://example.org/a.png"), detail="low"),
    )
    assert request.output == JsonOutput(schema={"type": "object"}, name="n")
    assert [tool.name for tool in request.tools] == ["f"]
    assert request.tool_choice == "required"


def _allowing(mode: str, *names: str, wrapped: bool) -> dict[str, Any]:
    """What a body of chat completions (``wrapped``) or responses says of three tools, of which these may be called."""
    tools = [{"name": name, "parameters": {"type": "object"}} for name in ("f", "g", "h")]
    named: list[dict[str, Any]] = [{"name": name} for name in names]
    if wrapped:
        among = {"mode": mode, "tools": [{"type": "function", "function": name} for name in named]}
        return {
            "messages": [{"role": "user", "content": "go"}],
            "tools": [{"type": "function", "function": tool} for tool in tools],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": among},
        }
    return {
        "input": "go", "tools": [{"type": "function", **tool} for tool in tools],
        "tool_choice": {
            "type": "allowed_tools", "mode": mode, "tools": [{"type": "function", **name} for name in named],
        },
    }  # fmt: skip


@pytest.mark.parametrize("server", [openai_chat_server, openai_responses_server])
def test_of_several_tools_those_that_may_be_called_are_asked_for(server: Any) -> None:
    wrapped = server is openai_chat_server
    for mode in ("auto", "required"):
        body = {"model": "m", **_allowing(mode, "h", "f", wrapped=wrapped)}
        call = server.decode_request(json.dumps(body).encode())
        assert ([tool.name for tool in call.tools], call.tool_choice) == (["f", "h"], mode)
    for wrong, said in (
        (_allowing("auto", "x", wrapped=wrapped), "'x', which is not among the tools"),
        (_allowing("none", "f", wrapped=wrapped), "neither 'auto' nor 'required'"),
    ):
        with pytest.raises(ValueError, match=said):
            server.decode_request(json.dumps({"model": "m", **wrong}).encode())


def test_the_events_of_a_run_become_a_wire_s() -> None:
    run = RunEventEncoder()
    counts = {"input_tokens": 5, "output_tokens": 2, "cached_tokens": 3, "cache_write_tokens": 1, "reasoning_tokens": 1}
    actual = events.Actual(step="s", seconds=1.0, usage=events.Usage(**counts))
    finished = events.Finished(
        endpoint="h:m", finish_reason="tool_call", parts=(ToolCall(id="1", name="f", arguments="{}"),)
    )
    given: tuple[events.Event, ...] = (
        events.StepStarted(step="s", title="t"),
        events.TextDelta(text="hi"),
        events.StepFinished(actual=actual),
        finished,
    )
    assert [found for event in given for found in run.feed(event)] == [
        WireTextDelta(text="hi"),
        ToolCallDelta(index=0, id="1", name="f", arguments="{}"),
        WireUsage(**counts),
        Finish(reason="tool_call"),
    ]
