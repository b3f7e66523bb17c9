"""Anthropic's messages: what is said in its words, and its streams, which keep reasoning as it came."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.core.content import Opaque, Reasoning, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, Tool
from intermodal.protocols.anthropic.codec import AnthropicDecoder, encode_request
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    NotExpressible,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    ToolCallDelta,
    WireDocument,
    WireEvent,
    WireImage,
    WireMessage,
    WireText,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.conversation import collect_turn

HOST = Host(id="h", forced_json=True)
ASKED = WireMessage(role="user", parts=(WireText(text="hi"),))


def said(call: ChatCall) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(encode_request(call, HOST).segments))
    return tree


def sse(*trees: dict[str, Any]) -> bytes:
    return "".join(f"event: {tree['type']}\ndata: {json.dumps(tree)}\n\n" for tree in trees).encode()


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def ended(reason: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None, **more},
         "usage": {"output_tokens": 21, "output_tokens_details": {"thinking_tokens": 9}}},
        {"type": "message_stop"},
    ]  # fmt: skip


START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5,
                  "output_tokens": 1},
    },
}  # fmt: skip
THOUGHT = sse(
    START,
    {"type": "ping"},
    *block(
        0,
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "Two "},
        {"type": "thinking_delta", "thinking": "tools 🛠."},
        {"type": "signature_delta", "signature": "c2ln"},
    ),
    *block(1, {"type": "redacted_thinking", "data": "aGlkZGVu"}),
    *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "I look."}),
    *block(
        3,
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
        {"type": "input_json_delta", "partial_json": ""},
        {"type": "input_json_delta", "partial_json": '{"city":'},
        {"type": "input_json_delta", "partial_json": '"Zürich"}'},
    ),
    *block(4, {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}}),
    *ended("tool_use"),
)
EVENTS: list[WireEvent] = [
    ReasoningDelta(text="Two "),
    ReasoningDelta(text="tools 🛠."),
    ReasoningDelta(text="", signature="c2ln"),
    OpaqueBlock(wire="anthropic", body='{"type":"redacted_thinking","data":"aGlkZGVu"}'),
    WireTextDelta(text="I look."),
    ToolCallDelta(index=0, id="toolu_1", name="weather"),
    ToolCallDelta(index=0, arguments='{"city":'),
    ToolCallDelta(index=0, arguments='"Zürich"}'),
    ToolCallDelta(index=1, id="toolu_2", name="clock"),
    WireUsage(input_tokens=115, output_tokens=21, cached_tokens=100, cache_write_tokens=5, reasoning_tokens=9),
    Finish(reason="tool_call"),
]


def read(*chunks: bytes) -> list[WireEvent]:
    decoder = AnthropicDecoder("h:m")
    found = [event for chunk in chunks for event in decoder.feed(chunk)]
    return found + decoder.close()


def test_says_every_setting_in_anthropic_s_words() -> None:
    call = ChatCall(
        model="claude",
        messages=(
            WireMessage(role="system", parts=(WireText(text="be brief"),)),
            WireMessage(
                role="user",
                parts=(
                    WireImage(data=b"png", detail="low"),
                    WireDocument(data=b"%PDF", name="a.pdf"),
                    WireText(text="what?"),
                ),
            ),
        ),
        output=JsonOutput(schema={"type": "object", "properties": {"n": {"type": "integer"}}}),
        sampling=Sampling(max_tokens=9, temperature=0.0, top_p=0.5, stop=("END",)),
        tools=(Tool(name="f", description="d", schema={"type": "object"}),),
        tool_choice="required",
        parallel_tools=False,
    )
    assert said(call) == {
        "model": "claude",
        "max_tokens": 9,
        "system": "be brief",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                                 "data": b64encode(b"png").decode()}},
                    {"type": "document", "title": "a.pdf",
                     "source": {"type": "base64", "media_type": "application/pdf",
                                "data": b64encode(b"%PDF").decode()}},
                    {"type": "text", "text": "what?"},
                ],
            }
        ],
        "temperature": 0.0,
        "top_p": 0.5,
        "stop_sequences": ["END"],
        "output_config": {
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False,
                },
            }
        },
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "stream": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sampling", "version"),
    [
        (Sampling(), "2026-10-21"),
        (Sampling(max_tokens=5, stop=("x",)), "2026-10-21"),
        (Sampling(temperature=0.0), "2023-06-01"),
        (Sampling(top_p=0.9), "2023-06-01"),
    ],
)
def test_the_version_of_the_api_goes_along_and_no_key_does(sampling: Sampling, version: str) -> None:
    """The newer version refuses a temperature, whatever it is."""
    headers = dict(encode_request(ChatCall(model="m", messages=(ASKED,), sampling=sampling), HOST).headers)
    assert headers["anthropic-version"] == version
    assert not {"x-api-key", "authorization"} & headers.keys()


def test_results_of_parallel_tools_go_back_in_one_message_with_what_the_user_adds() -> None:
    call = ChatCall(
        model="m",
        messages=(
            ASKED,
            WireMessage(
                role="assistant",
                parts=(
                    ToolCall(id="1", name="f", arguments="{}"),
                    ToolCall(id="2", name="f", arguments=""),
                ),
            ),
            WireMessage(role="tool", parts=(ToolResult(id="1", text="a"),)),
            WireMessage(role="tool", parts=(ToolResult(id="2", text="b", is_error=True),)),
            WireMessage(role="user", parts=(WireText(text="and?"),)),
        ),
    )
    assert [message["role"] for message in said(call)["messages"]] == ["user", "assistant", "user"]
    assert said(call)["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "1", "content": "a"},
        {"type": "tool_result", "tool_use_id": "2", "content": "b", "is_error": True},
        {"type": "text", "text": "and?"},
    ]


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (ChatCall(model="m", messages=(ASKED,), sampling=Sampling(seed=1)), "a seed"),
        (ChatCall(model="m", messages=(ASKED,), candidates=3), "probabilities"),
        (
            ChatCall(
                model="m", messages=(WireMessage(role="assistant", parts=(ToolCall(id="1", name="f", arguments="{"),)),)
            ),
            "not a JSON object",
        ),
    ],
)
def test_a_call_that_anthropic_cannot_express_is_refused(call: ChatCall, part: str) -> None:
    with pytest.raises(NotExpressible, match=part):
        encode_request(call, HOST)


def test_reads_thinking_tools_and_usage() -> None:
    assert read(THOUGHT) == EVENTS


@pytest.mark.slow
def test_a_cut_between_any_two_bytes_changes_nothing() -> None:
    for cut in range(len(THOUGHT)):
        assert read(THOUGHT[:cut], THOUGHT[cut:]) == EVENTS


def test_what_was_thought_goes_back_as_it_came() -> None:
    message = WireMessage(role="assistant", parts=collect_turn(read(THOUGHT)).parts)
    assert message.parts[:2] == (
        Reasoning(text="Two tools 🛠.", signature="c2ln"),
        Opaque(wire="anthropic", body='{"type":"redacted_thinking","data":"aGlkZGVu"}'),
    )
    answer = said(ChatCall(model="m", messages=(ASKED, message)))["messages"][1]
    assert answer["content"] == [
        {"type": "thinking", "thinking": "Two tools 🛠.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "aGlkZGVu"},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Zürich"}},
        {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
    ]


def test_a_reply_that_is_not_streamed_says_the_same() -> None:
    reply = {
        "type": "message", "role": "assistant", "stop_reason": "tool_use",
        "content": [
            {"type": "thinking", "thinking": "Two tools 🛠.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "aGlkZGVu"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Zürich"}},
            {"type": "tool_use", "id": "toolu_2", "name": "clock", "input": {}},
        ],
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5,
                  "output_tokens": 21, "output_tokens_details": {"thinking_tokens": 9}},
    }  # fmt: skip
    assert collect_turn(read(json.dumps(reply).encode())) == collect_turn(EVENTS)


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_reasons_to_stop_are_told_in_our_words(reason: str, ours: str) -> None:
    assert read(sse(START, *ended(reason)))[-1] == Finish(reason=ours)


def test_a_refusal_is_told_with_its_explanation() -> None:
    details = {"stop_details": {"type": "refusal", "category": "bio", "explanation": "Not that."}}
    events = read(sse(START, *ended("refusal", **details)))
    assert RefusalDelta(text="Not that.") in events
    assert events[-1] == Finish(reason="content_filter")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("overloaded_error", errors.Overloaded),
        ("rate_limit_error", errors.RateLimited),
        ("api_error", errors.CallError),
    ],
)
def test_an_error_in_the_middle_is_the_error_it_names(kind: str, error: type[errors.CallError]) -> None:
    body = sse(START, *block(0, {"type": "text", "text": "a"}))
    body += sse({"type": "error", "error": {"type": kind, "message": "so it is"}})
    end = read(body)[-1]
    assert isinstance(end, Error)
    assert type(end.error) is error


def test_a_stream_without_its_end_was_cut() -> None:
    end = read(sse(START, *block(0, {"type": "text", "text": "a"})))[-1]
    assert isinstance(end, Error)
    assert isinstance(end.error, errors.StreamCut)


def test_a_stream_that_never_said_that_it_began_is_an_answer_without_a_count_of_what_went_in() -> None:
    """As llama-server sent it: ``message_start``, with that count, comes with the first token, and where that is half a
    character (of an emoji), it does not come at all."""
    said = [
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "😎"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": " You"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 8}},
        {"type": "message_stop"},
    ]
    decoder = AnthropicDecoder("box:m", headers={"content-type": "text/event-stream"})
    events = [
        event
        for tree in said
        for event in decoder.feed(f"event: {tree['type']}\ndata: {json.dumps(tree)}\n\n".encode())
    ]
    made = collect_turn([*events, *decoder.close()])
    assert (made.text, made.finish, made.error) == ("😎 You", "length", None)
    assert (made.usage.input_tokens, made.usage.output_tokens) == (None, 8)


def test_a_block_that_is_none_moves_no_other() -> None:
    hidden = {"type": "redacted_thinking", "data": "aGlkZGVu"}
    reply = {"type": "message", "stop_reason": "end_turn", "content": [None, hidden, {"type": "text", "text": "Hi"}]}
    decoder = AnthropicDecoder("h:m")
    events = [*decoder.feed(json.dumps(reply).encode()), *decoder.close()]
    assert OpaqueBlock(wire="anthropic", body=json.dumps(hidden, separators=(",", ":"))) in events
