"""Ollama's own chat: the context that is wanted, the order of images, and its lines of JSON."""

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
    EmbeddingCall,
    Error,
    Finish,
    NotExpressible,
    ReasoningDelta,
    TokenLogprobs,
    ToolCallDelta,
    WireAudio,
    WireEvent,
    WireImage,
    WireMessage,
    WireText,
    WireTextDelta,
    WireUsage,
)
from intermodal.protocols.framing.event_streams import MAX_LINE, LineTooLong, NdjsonReader
from intermodal.protocols.ollama import embeddings as ollama_embeddings
from intermodal.protocols.ollama.codec import OllamaDecoder, encode_request
from intermodal.protocols.ollama.server import OllamaStreamEncoder
from intermodal.protocols.ollama.server_generate import OllamaGenerateStreamEncoder

HOST = Host(id="h", forced_json=True)
ASKED = WireMessage(role="user", parts=(WireText(text="hi"),))
HEAD = {"model": "m", "created_at": "2026-11-25T00:00:00Z"}


def said(call: ChatCall) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(b"".join(encode_request(call, HOST).segments))
    return tree


def line(done: bool = False, **message: Any) -> dict[str, Any]:
    return {**HEAD, "message": {"role": "assistant", "content": "", **message}, "done": done}


def lines(*trees: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(tree, ensure_ascii=False)}\n" for tree in trees).encode()


END = {
    **line(done=True), "done_reason": "stop", "total_duration": 5, "load_duration": 1, "prompt_eval_count": 26,
    "prompt_eval_duration": 2, "eval_count": 9, "eval_duration": 3,
}  # fmt: skip
STREAM = lines(
    line(thinking="Zwei "),
    line(thinking="🛠."),
    line(content="I "),
    line(content="look."),
    line(tool_calls=[{"function": {"name": "weather", "arguments": {"city": "Zürich"}}}]),
    line(tool_calls=[{"id": "x7", "function": {"name": "clock", "arguments": {}}}]),
    END,
)
EVENTS: list[WireEvent] = [
    ReasoningDelta(text="Zwei "),
    ReasoningDelta(text="🛠."),
    WireTextDelta(text="I "),
    WireTextDelta(text="look."),
    ToolCallDelta(index=0, id="call_0", name="weather", arguments='{"city":"Zürich"}'),
    ToolCallDelta(index=1, id="x7", name="clock", arguments="{}"),
    WireUsage(input_tokens=26, output_tokens=9),
    Finish(reason="tool_call"),
]


def read(*chunks: bytes) -> list[WireEvent]:
    decoder = OllamaDecoder("h:m")
    found = [event for piece in chunks for event in decoder.feed(piece)]
    return list(map(numbered, found + decoder.close()))


def test_says_every_setting_in_ollama_s_words() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    call = ChatCall(
        model="m",
        messages=(WireMessage(role="system", parts=(WireText(text="be brief"),)), ASKED),
        output=JsonOutput(schema=schema),
        sampling=Sampling(max_tokens=9, temperature=0.0, top_p=0.5, stop=("END",), seed=7),
        tools=(Tool(name="f", description="d", schema=schema),),
        candidates=2,
        context=8192,
    )
    assert said(call) == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "stream": True,
        "truncate": False,
        "shift": False,
        "format": schema,
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}}],
        "logprobs": True,
        "top_logprobs": 2,
        "options": {
            "num_ctx": 8192, "num_predict": 9, "temperature": 0.0, "top_p": 0.5, "stop": ["END"], "seed": 7,
        },
    }  # fmt: skip


def test_pictures_and_sound_keep_their_place_among_the_words() -> None:
    """The server puts a message's media before its text, so that words before media are a message of their own."""
    one, two, sound = b"\x89PNG1", b"\xff\xd8\xff2", b"RIFF\0\0\0\0WAVE"
    parts = (
        WireText(text="page 1:"), WireImage(data=one), WireText(text="page 2:"), WireImage(data=two),
        WireAudio(data=sound), WireText(text="what?"),
    )  # fmt: skip
    code = [b64encode(data).decode() for data in (one, two, sound)]
    assert said(ChatCall(model="m", messages=(WireMessage(role="user", parts=parts),)))["messages"] == [
        {"role": "user", "content": "page 1:"},
        {"role": "user", "content": "page 2:", "images": code[:1]},
        {"role": "user", "content": "what?", "images": code[1:]},
    ]


def test_tools_go_back_with_their_names_for_versions_that_know_no_ids() -> None:
    messages = (
        ASKED,
        WireMessage(
            role="assistant", parts=(Reasoning(text="hm"), ToolCall(id="1", name="weather", arguments='{"a":1}'))
        ),
        WireMessage(role="tool", parts=(ToolResult(id="1", text="rain"),)),
    )
    assert said(ChatCall(model="m", messages=messages))["messages"][1:] == [
        {
            "role": "assistant", "content": "", "thinking": "hm",
            "tool_calls": [{"id": "1", "function": {"name": "weather", "arguments": {"a": 1}}}],
        },
        {"role": "tool", "content": "rain", "tool_call_id": "1", "tool_name": "weather"},
    ]  # fmt: skip


def test_that_a_tool_must_be_called_cannot_be_said() -> None:
    with pytest.raises(NotExpressible, match="a tool must be called"):
        said(ChatCall(model="m", messages=(ASKED,), tools=(Tool(name="f"),), tool_choice="required"))


def test_reads_thoughts_calls_and_counts() -> None:
    assert read(STREAM) == EVENTS


def test_a_cut_between_any_two_bytes_changes_nothing() -> None:
    for cut in range(len(STREAM)):
        assert read(STREAM[:cut], STREAM[cut:]) == EVENTS


def test_a_stream_that_stops_anywhere_before_its_last_line_was_cut() -> None:
    last = STREAM[:-1].rindex(b"\n") + 1
    for at in range(last):
        end = read(STREAM[:at])[-1]
        assert isinstance(end, Error)
        assert isinstance(end.error, errors.StreamCut)


def test_an_error_line_after_the_start_is_the_error_it_says() -> None:
    events = read(
        lines(line(content="I"), {"error": "server busy, please try again.  maximum pending requests exceeded"})
    )
    assert events[0] == WireTextDelta(text="I")
    assert isinstance(events[-1], Error)
    assert "maximum pending requests" in str(events[-1].error)


@pytest.mark.parametrize(("reason", "ours"), [("stop", "stop"), ("length", "length"), ("load", "load")])
def test_reasons_to_stop_are_told_in_our_words(reason: str, ours: str) -> None:
    assert read(lines({**END, "done_reason": reason}))[-1] == Finish(reason=ours)


def test_probabilities_of_words_are_read() -> None:
    top = [{"token": "yes", "logprob": -0.1}, {"token": "no", "logprob": -2.5}]
    told = {**line(content="yes"), "logprobs": [{"token": "yes", "logprob": -0.1, "top_logprobs": top}]}
    assert TokenLogprobs(words=(("yes", -0.1), ("no", -2.5))) in read(lines(told, END))


def test_a_line_without_end_is_not_kept_for_ever() -> None:
    reader = NdjsonReader()
    with pytest.raises(LineTooLong):
        reader.feed(b"x" * (MAX_LINE + 1))


def test_blank_lines_and_a_last_line_without_its_end_are_read_as_people_mean_them() -> None:
    reader = NdjsonReader()
    found = reader.feed(b'\n{"a":1}\r\n\n{"b"') + reader.feed(b":2}") + reader.close()
    assert [event.data for event in found] == ['{"a":1}', '{"b":2}']


def test_vectors_come_back_in_their_order() -> None:
    encoded = ollama_embeddings.encode_request(EmbeddingCall(model="m", texts=("a", "b"), dimensions=2), HOST)
    assert encoded.path == "/api/embed"
    tree = {"model": "m", "input": ["a", "b"], "truncate": False, "dimensions": 2}
    assert json.loads(b"".join(encoded.segments)) == tree
    body = b'{"model":"m","embeddings":[[1,2],[3,4]],"prompt_eval_count":5}'
    reply = ollama_embeddings.decode_reply(body, "h:m", texts=2)
    assert reply.vectors == ((1.0, 2.0), (3.0, 4.0))
    assert reply.usage == WireUsage(input_tokens=5, output_tokens=0)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"embeddings":[[1', errors.StreamCut),
        (b'{"embeddings":[[]]}', errors.CallError),
        (b'{"error":"the input length exceeds the context length"}', errors.CallError),
    ],
)
def test_no_vector_is_an_error(body: bytes, error: type[errors.CallError]) -> None:
    with pytest.raises(error):
        ollama_embeddings.decode_reply(body, "h:m")


@pytest.mark.parametrize("kind", [OllamaStreamEncoder, OllamaGenerateStreamEncoder])
def test_no_character_in_a_line_of_a_stream_ends_it(kind: type[OllamaStreamEncoder]) -> None:
    """Ollama's client splits a stream as ``str.splitlines`` does."""
    words = "".join(map(chr, range(0x300))) + "\u2028\u2029"
    encoder = kind("m", now=lambda: "2026-11-25T00:00:00Z")
    lines = encoder.feed(WireTextDelta(text=words)).decode().splitlines()
    assert len(lines) == 1
    tree = json.loads(lines[0])
    assert words in (tree.get("response"), tree.get("message", {}).get("content"))
