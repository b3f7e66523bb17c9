"""Google's generateContent: what is said in its words, and its streams, which keep signatures where they belong."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from tests.protocols.calls import numbered

from intermodal import errors
from intermodal.catalog.types import Host
from intermodal.core.content import Reasoning, ToolCall, ToolResult
from intermodal.core.request import JsonOutput, Sampling, Tool
from intermodal.protocols.calls import (
    ChatCall,
    Error,
    Finish,
    NotExpressible,
    OpaqueBlock,
    ReasoningDelta,
    TokenLogprobs,
    ToolCallDelta,
    WireAudio,
    WireDocument,
    WireEvent,
    WireImage,
    WireMessage,
    WireText,
    WireTextDelta,
    WireUsage,
    WireVideo,
)
from intermodal.protocols.conversation import collect_turn
from intermodal.protocols.gemini.codec import GeminiDecoder, encode_request

HOST = Host(id="h", forced_json=True)
ASKED = WireMessage(role="user", parts=(WireText(text="hi"),))


def said(call: ChatCall) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(encode_request(call, HOST).segments))
    return tree


def sse(*trees: dict[str, Any]) -> bytes:
    return "".join(f"data: {json.dumps(tree)}\r\n\r\n" for tree in trees).encode()


def chunk(*parts: dict[str, Any], reason: str = "", **more: Any) -> dict[str, Any]:
    finish = {"finishReason": reason} if reason else {}
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **finish}], **more}


TOLD = {
    "promptTokenCount": 300, "candidatesTokenCount": 12, "thoughtsTokenCount": 30, "cachedContentTokenCount": 0,
    "totalTokenCount": 342,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 42}, {"modality": "IMAGE", "tokenCount": 258}],
}  # fmt: skip
STREAM = sse(
    chunk({"text": "Think 🤔", "thought": True}, usageMetadata={"promptTokenCount": 300, "totalTokenCount": 300}),
    chunk({"text": "I "}),
    chunk({"text": "look."}),
    chunk(
        {"functionCall": {"name": "weather", "args": {"city": "Zürich"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "x7", "name": "clock"}},
    ),
    chunk({"text": "", "thoughtSignature": "ZW5k"}, reason="STOP", usageMetadata=TOLD),
)
EVENTS: list[WireEvent] = [
    ReasoningDelta(text="Think 🤔"),
    WireTextDelta(text="I "),
    WireTextDelta(text="look."),
    OpaqueBlock(wire="gemini", body='{"thoughtSignature":"c2ln"}'),
    ToolCallDelta(index=0, id="call_0", name="weather", arguments='{"city":"Zürich"}'),
    ToolCallDelta(index=1, id="x7", name="clock", arguments="{}"),
    OpaqueBlock(wire="gemini", body='{"thoughtSignature":"ZW5k"}'),
    WireUsage(
        input_tokens=300,
        output_tokens=42,
        cached_tokens=0,
        reasoning_tokens=30,
        input_by_modality=(("text", 42), ("image", 258)),
    ),
    Finish(reason="tool_call"),
]


def read(*chunks: bytes) -> list[WireEvent]:
    decoder = GeminiDecoder("h:m")
    found = [event for piece in chunks for event in decoder.feed(piece)]
    return list(map(numbered, found + decoder.close()))


def test_says_every_setting_and_every_kind_of_media_in_google_s_words() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    call = ChatCall(
        model="gemini-x",
        messages=(
            WireMessage(role="system", parts=(WireText(text="be brief"),)),
            WireMessage(
                role="user",
                parts=(
                    WireImage(data=b"i", media_type="image/jpeg"),
                    WireAudio(data=b"a", format="mp3"),
                    WireVideo(data=b"v", media_type="video/webm"),
                    WireDocument(data=b"d", name="a.pdf"),
                    WireText(text="what?"),
                ),
            ),
        ),
        output=JsonOutput(schema=schema),
        sampling=Sampling(max_tokens=9, temperature=0.0, top_p=0.5, stop=("END",), seed=3),
        tools=(Tool(name="f", description="d", schema=schema),),
        tool_choice="required",
        candidates=2,
    )
    media = [("image/jpeg", b"i"), ("audio/mp3", b"a"), ("video/webm", b"v"), ("application/pdf", b"d")]
    assert said(call) == {
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    *(
                        {"inlineData": {"mimeType": kind, "data": b64encode(data).decode()}}
                        for kind, data in media
                    ),
                    {"text": "what?"},
                ],
            }
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": schema}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "maxOutputTokens": 9, "temperature": 0.0, "topP": 0.5, "stopSequences": ["END"], "seed": 3,
            "responseMimeType": "application/json", "responseJsonSchema": schema,
            "responseLogprobs": True, "logprobs": 2,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stream", "path"),
    [(True, "/models/a%2Fb:streamGenerateContent?alt=sse"), (False, "/models/a%2Fb:generateContent")],
)
def test_the_model_stands_in_the_path_and_cannot_leave_it(stream: bool, path: str) -> None:
    encoded = encode_request(ChatCall(model="a/b", messages=(ASKED,), stream=stream), HOST)
    assert encoded.path == path


def test_a_result_names_what_was_called() -> None:
    call = ToolCall(id="7", name="weather", arguments='{"city":"Z"}')
    messages = (
        ASKED,
        WireMessage(role="assistant", parts=(call,)),
        WireMessage(role="tool", parts=(ToolResult(id="7", text="no", is_error=True),)),
    )
    assert said(ChatCall(model="m", messages=messages))["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {
                    "functionCall": {"id": "7", "name": "weather", "args": {"city": "Z"}},
                    "thoughtSignature": "skip_thought_signature_validator",
                }
            ],
        },
        {"role": "user", "parts": [{"functionResponse": {"id": "7", "name": "weather", "response": {"error": "no"}}}]},
    ]
    with pytest.raises(NotExpressible, match="a tool call that is not there"):
        said(ChatCall(model="m", messages=(ASKED, *messages[2:])))


def test_reads_thoughts_calls_and_usage_by_modality() -> None:
    assert read(STREAM) == EVENTS


def test_a_cut_between_any_two_bytes_changes_nothing() -> None:
    for cut in range(len(STREAM)):
        assert read(STREAM[:cut], STREAM[cut:]) == EVENTS


def test_signatures_go_back_on_the_parts_they_came_with() -> None:
    message = WireMessage(role="assistant", parts=collect_turn(read(STREAM)).parts)
    assert message.parts[0] == Reasoning(text="Think 🤔")
    answer = said(ChatCall(model="m", messages=(ASKED, message)))["contents"][1]
    assert answer["parts"] == [
        {"text": "Think 🤔", "thought": True},
        {"text": "I look."},
        {
            "functionCall": {"id": "call_0", "name": "weather", "args": {"city": "Zürich"}},
            "thoughtSignature": "c2ln",
        },
        {"functionCall": {"id": "x7", "name": "clock", "args": {}}},
        {"text": "", "thoughtSignature": "ZW5k"},
    ]


def test_a_list_of_replies_says_the_same_as_a_stream_of_them() -> None:
    replies = [json.loads(line.removeprefix("data: ")) for line in STREAM.decode().split("\r\n\r\n") if line]
    assert read(json.dumps(replies, indent=1).encode()) == EVENTS


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("OTHER", "other"),
    ],
)
def test_reasons_to_stop_are_told_in_our_words(reason: str, ours: str) -> None:
    assert read(sse(chunk({"text": "a"}, reason=reason)))[-1] == Finish(reason=ours)


def test_a_blocked_prompt_is_a_refusal_and_not_an_empty_answer() -> None:
    events = read(sse({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}))
    assert events == [WireUsage(input_tokens=4), Finish(reason="content_filter")]


def test_a_call_that_cannot_be_read_is_an_error() -> None:
    end = read(sse(chunk(reason="MALFORMED_FUNCTION_CALL")))[-1]
    assert isinstance(end, Error)


def test_probabilities_of_words_are_read() -> None:
    top = [{"candidates": [{"token": "yes", "logProbability": -0.1}, {"token": "no", "logProbability": -2.5}]}]
    tree = chunk({"text": "yes"}, reason="STOP")
    tree["candidates"][0]["logprobsResult"] = {"topCandidates": top}
    assert TokenLogprobs(words=(("yes", -0.1), ("no", -2.5))) in read(sse(tree))


def test_an_error_inside_a_stream_is_the_error_it_names() -> None:
    body = sse(chunk({"text": "a"})) + sse({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}})
    end = read(body)[-1]
    assert isinstance(end, Error)
    assert isinstance(end.error, errors.Overloaded)


def test_a_stream_without_its_end_was_cut() -> None:
    end = read(sse(chunk({"text": "a"})))[-1]
    assert isinstance(end, Error)
    assert isinstance(end.error, errors.StreamCut)
