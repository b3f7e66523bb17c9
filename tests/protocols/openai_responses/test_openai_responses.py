"""OpenAI's responses: items out, typed events back, reasoning that goes back encrypted as it came."""

from __future__ import annotations

import json
from typing import Any

import pytest

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.core.content import Opaque, Refusal, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, Tool
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    NotExpressible,
    OpaqueBlock,
    ReasoningDelta,
    RefusalDelta,
    TokenLogprobs,
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
from intermodal.protocols.openai_responses.codec import OpenAIResponsesDecoder, encode_request
from intermodal.protocols.openai_responses.server import decode_request

HOST = Host(id="h", forced_json=True, quirks=("strict_subset",))
ASKED = WireMessage(role="user", parts=(WireText(text="hi"),))
THOUGHT = {
    "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Two 🛠."}],
    "encrypted_content": "Z0FBQUFB",
}  # fmt: skip
USAGE = {
    "input_tokens": 75, "input_tokens_details": {"cached_tokens": 32, "cache_write_tokens": 0}, "output_tokens": 118,
    "output_tokens_details": {"reasoning_tokens": 64}, "total_tokens": 193,
}  # fmt: skip


def said(call: ChatCall) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(encode_request(call, HOST).segments))
    return tree


def sse(*trees: dict[str, Any]) -> bytes:
    return "".join(f"event: {tree['type']}\ndata: {json.dumps(tree)}\n\n" for tree in trees).encode()


def completed(status: str = "completed", **more: Any) -> dict[str, Any]:
    response = {"object": "response", "status": status, "error": None, "usage": USAGE, "output": [], **more}
    return {"type": f"response.{status}", "response": response}


def call_item(**more: str) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": "", **more}


STREAM = sse(
    {"type": "response.created", "response": {"status": "in_progress"}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1"}},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "Two 🛠."},
    {"type": "response.output_item.done", "output_index": 0, "item": THOUGHT},
    {"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "msg_1"}},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "I ", "logprobs": []},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "look."},
    {"type": "response.output_text.done", "output_index": 1, "content_index": 0, "text": "I look."},
    {"type": "response.output_item.added", "output_index": 2, "item": call_item()},
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": '{"city":'},
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": '"Zürich"}'},
    {"type": "response.output_item.done", "output_index": 2, "item": call_item(arguments='{"city":"Zürich"}')},
    completed(),
)
EVENTS: list[WireEvent] = [
    ReasoningDelta(text="Two 🛠.", summary=True),
    OpaqueBlock(wire="openai_responses", body=json.dumps(THOUGHT, separators=(",", ":"), ensure_ascii=False)),
    WireTextDelta(text="I "),
    WireTextDelta(text="look."),
    ToolCallDelta(index=0, id="call_1", name="weather"),
    ToolCallDelta(index=0, arguments='{"city":'),
    ToolCallDelta(index=0, arguments='"Zürich"}'),
    WireUsage(input_tokens=75, output_tokens=118, cached_tokens=32, cache_write_tokens=0, reasoning_tokens=64),
    Finish(reason="tool_call"),
]


def read(*chunks: bytes) -> list[WireEvent]:
    decoder = OpenAIResponsesDecoder("h:m")
    found = [event for piece in chunks for event in decoder.feed(piece)]
    return found + decoder.close()


def test_says_every_setting_in_openai_s_words_and_has_nothing_kept_there() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    parts = (WireImage(data=b"\0\0\0", detail="low"), WireDocument(data=b"\0\0\0"), WireText(text="what?"))
    call = ChatCall(
        model="m",
        messages=(
            WireMessage(role="system", parts=(WireText(text="be brief"),)),
            WireMessage(role="user", parts=parts),
        ),
        output=JsonOutput(schema=schema),
        sampling=Sampling(max_tokens=9, temperature=0.0, top_p=0.5),
        tools=(Tool(name="f", description="d", schema=schema),),
        parallel_tools=False,
        candidates=3,
    )
    assert said(call) == {
        "model": "m",
        "input": [
            {"type": "message", "role": "system", "content": "be brief"},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_image", "detail": "low", "image_url": "data:image/png;base64,AAAA"},
                    {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                    {"type": "input_text", "text": "what?"},
                ],
            },
        ],
        "max_output_tokens": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "text": {"format": {"type": "json_schema", "name": "answer", "strict": True, "schema": schema}},
        "tools": [{"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": False}],
        "parallel_tool_calls": False,
        "top_logprobs": 3,
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"],
    }


def test_a_conversation_is_items_in_the_order_they_came() -> None:
    messages = (
        ASKED,
        WireMessage(
            role="assistant",
            parts=(
                Opaque(wire="openai_responses", body=json.dumps(THOUGHT)),
                WireText(text="I look."),
                ToolCall(id="call_1", name="weather", arguments="{}"),
            ),
        ),
        WireMessage(role="tool", parts=(ToolResult(id="call_1", text="rain"),)),
        WireMessage(role="assistant", parts=(Refusal(text="No."),)),
    )
    assert said(ChatCall(model="m", messages=messages))["input"][1:] == [
        THOUGHT,
        {"type": "message", "role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
        {
            "type": "message",
            "id": "msg_refused",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "No."}],
        },
    ]


def test_what_was_thought_goes_back_without_an_id_that_we_gave_it() -> None:
    ours = Opaque(wire="openai_responses", body=json.dumps({**THOUGHT, "id": "resp_0_1"}))
    call = ChatCall(model="m", messages=(ASKED, WireMessage(role="assistant", parts=(ours,))))
    assert said(call)["input"][1:] == [{name: THOUGHT[name] for name in THOUGHT if name != "id"}]


@pytest.mark.parametrize(("sampling", "part"), [(Sampling(stop=("x",)), "stop words"), (Sampling(seed=1), "a seed")])
def test_a_setting_that_responses_cannot_express_is_refused(sampling: Sampling, part: str) -> None:
    with pytest.raises(NotExpressible, match=part):
        said(ChatCall(model="m", messages=(ASKED,), sampling=sampling))


def test_a_client_that_wants_something_kept_is_told_that_nothing_is() -> None:
    with pytest.raises(ValueError, match="previous_response_id"):
        decode_request(b'{"model":"m","input":"hi","previous_response_id":"resp_1"}')


def test_reads_reasoning_calls_and_usage() -> None:
    assert read(STREAM) == EVENTS


def test_a_cut_between_any_two_bytes_changes_nothing() -> None:
    for cut in range(len(STREAM)):
        assert read(STREAM[:cut], STREAM[cut:]) == EVENTS


def test_reasoning_goes_back_as_it_came() -> None:
    message = WireMessage(role="assistant", parts=collect_turn(read(STREAM)).parts)
    assert said(ChatCall(model="m", messages=(ASKED, message)))["input"][1] == THOUGHT


def test_a_reply_that_is_not_streamed_says_the_same() -> None:
    output = [
        THOUGHT,
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        call_item(arguments='{"city":"Zürich"}'),
    ]
    assert collect_turn(read(json.dumps(completed(output=output)["response"]).encode())) == collect_turn(EVENTS)


@pytest.mark.parametrize(
    ("end", "ours"),
    [
        (completed(), "stop"),
        (completed("incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (completed("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
    ],
)
def test_reasons_to_stop_are_told_in_our_words(end: dict[str, Any], ours: str) -> None:
    assert read(sse(end))[-1] == Finish(reason=ours)


def test_a_refusal_is_told_from_an_answer() -> None:
    events = read(sse({"type": "response.refusal.delta", "output_index": 0, "delta": "No."}, completed()))
    assert events[0] == RefusalDelta(text="No.")
    assert events[-1] == Finish(reason="content_filter")


def test_probabilities_of_words_are_read() -> None:
    top = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -2.5}]
    told = [{"token": "yes", "logprob": -0.1, "top_logprobs": top}]
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "yes", "logprobs": told}
    assert TokenLogprobs(words=(("yes", -0.1), ("no", -2.5))) in read(sse(delta, completed()))


@pytest.mark.parametrize(
    "end",
    [
        completed("failed", error={"code": "rate_limit_exceeded", "message": "slow down"}),
        {"type": "error", "code": "rate_limit_exceeded", "message": "slow down", "param": None},
    ],
)
def test_a_failure_in_the_stream_is_the_error_it_names(end: dict[str, Any]) -> None:
    found = read(sse({"type": "response.output_text.delta", "output_index": 0, "delta": "a"}, end))[-1]
    assert isinstance(found, Error)
    assert isinstance(found.error, errors.RateLimited)


def test_a_stream_without_its_end_was_cut() -> None:
    found = read(sse({"type": "response.output_text.delta", "output_index": 0, "delta": "a"}))[-1]
    assert isinstance(found, Error)
    assert isinstance(found.error, errors.StreamCut)
