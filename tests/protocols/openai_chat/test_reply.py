"""The chat reply: streams of several servers, cut anywhere, and what counts as a proper end (B1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from intermodal import errors
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
from intermodal.protocols.openai_chat.codec import OpenAIChatDecoder

# As llama.cpp's server sent it (2026-10 build), shortened; one token is an emoji in UTF-8.
LLAMA = (
    'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],"created":1}\n\n'
    'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hello"}}]}\n\n'
    ": ping\n\n"
    "data: \n\n"
    'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" 😀"}}]}\n\n'
    'data: {"choices":[{"finish_reason":"length","index":0,"delta":{}}]}\n\n'
    'data: {"choices":[],"usage":{"completion_tokens":5,"prompt_tokens":32,"total_tokens":37,'
    '"prompt_tokens_details":{"cached_tokens":0}},"timings":{"cache_n":0}}\n\n'
    "data: [DONE]\n\n"
).encode()
LLAMA_EVENTS = [
    WireTextDelta(text="Hello"),
    WireTextDelta(text=" 😀"),
    WireUsage(input_tokens=32, output_tokens=5, cached_tokens=0),
    Finish(reason="length"),
]


def read(*chunks: bytes) -> list[WireEvent]:
    decoder = OpenAIChatDecoder("host:m")
    found = [event for chunk in chunks for event in decoder.feed(chunk)]
    found += decoder.close()
    assert decoder.done
    assert decoder.feed(b"data: more\n\n") == []
    assert decoder.close() == []
    return found


def stream(*events: Any, end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(event)}\n\n" for event in events) + end).encode()


def delta(_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": _reason}]}


def text_of(events: Sequence[WireEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, WireTextDelta))


def error_of(events: Sequence[WireEvent]) -> errors.CallError:
    (found,) = [event for event in events if isinstance(event, (Error, Finish))]
    assert found is events[-1]
    assert isinstance(found, Error)
    return found.error


def test_reads_a_llama_cpp_stream() -> None:
    assert read(LLAMA) == LLAMA_EVENTS


@pytest.mark.slow
@pytest.mark.parametrize("cut", range(len(LLAMA)))
def test_a_cut_between_two_chunks_changes_nothing(cut: int) -> None:
    assert read(LLAMA[:cut], LLAMA[cut:]) == LLAMA_EVENTS


@pytest.mark.slow
@pytest.mark.parametrize("at", range(len(LLAMA)))
def test_B1_a_stream_that_stops_at_any_byte_is_cut_or_whole_never_shorter(at: int) -> None:
    events = read(LLAMA[:at])
    ends = [event for event in events if isinstance(event, (Finish, Error))]
    assert ends == [events[-1]]
    if isinstance(ends[0], Finish):
        assert text_of(events) == "Hello 😀"
    else:
        assert isinstance(ends[0].error, errors.StreamCut)
        assert "Hello 😀".startswith(text_of(events))


@pytest.mark.parametrize("end", ["", "data: [DONE]", "data: [DONE]\n", "data: [DONE]\r\n\r\n"])
def test_B1_a_finish_reason_is_a_proper_end_with_or_without_done(end: str) -> None:
    assert read(stream(delta(content="a"), delta("stop"), end=end)) == [WireTextDelta(text="a"), Finish(reason="stop")]


@pytest.mark.parametrize("reason", [None, "", "null", "None"])
def test_B1_done_without_a_finish_reason_is_a_cut(reason: str | None) -> None:
    events = read(stream(delta(reason, content="a")))
    assert text_of(events) == "a" and "without saying why" in error_of(events).what


def test_B1_done_is_a_proper_end_of_a_host_that_is_known_to_say_no_more() -> None:
    decoder = OpenAIChatDecoder("host:m")
    decoder.reasonless = True
    assert [*decoder.feed(stream(delta(content="a"))), *decoder.close()] == [
        WireTextDelta(text="a"),
        Finish(reason="stop"),
    ]


def test_B1_nothing_at_all_is_a_cut() -> None:
    assert isinstance(error_of(read(b"")), errors.StreamCut)
    assert isinstance(error_of(read(b": ping\n\n")), errors.StreamCut)


@pytest.mark.parametrize("middle", ['data: {"choices":[{"del\n\n', "data: <html>\n\n", "data: {]\n\n"])
def test_B1_broken_json_in_the_middle_ends_it(middle: str) -> None:
    events = read(stream(delta(content="a"), end=middle) + stream(delta(content="b"), delta("stop")))
    assert text_of(events) == "a"
    assert isinstance(error_of(events), errors.StreamCut)


def test_complete_says_that_only_trailers_may_follow() -> None:
    decoder = OpenAIChatDecoder()
    decoder.feed(stream(delta(content="a"), end=""))
    assert not decoder.complete
    decoder.feed(stream(delta("stop"), end=""))
    assert decoder.complete
    assert not decoder.done
    assert decoder.close() == [Finish(reason="stop")]


@pytest.mark.parametrize(
    ("event", "kind", "status"),
    [
        ({"error": {"message": "overloaded", "code": 503}}, errors.Overloaded, 503),
        ({"error": {"message": "slow down", "type": "rate_limit_error"}}, errors.RateLimited, 429),
        ({"error": "The model crashed"}, errors.CallError, 500),
        ({"object": "error", "message": "…maximum context length is 9…", "code": 400}, errors.ContextExceeded, 400),
        ({"error": {"message": "content management policy", "code": "content_filter"}}, errors.ContentRefused, 400),
    ],
)
def test_B3_an_error_inside_a_200_is_classified(
    event: dict[str, Any], kind: type[errors.CallError], status: int
) -> None:
    for reply in (
        stream(delta(content="a"), event),
        stream(delta(content="a"), end=f"event: error\ndata: {json.dumps(event)}\n\n"),
        stream(delta(content="a"), end=json.dumps(event) + "\n"),
        json.dumps(event).encode(),
    ):
        error = error_of(read(reply))
        assert type(error) is kind
        assert error.status == status
        assert error.where == "host:m"


def test_a_named_error_event_without_an_error_field_is_an_error() -> None:
    error = error_of(read(b'event: error\ndata: {"message":"model unloaded"}\n\n'))
    assert "model unloaded" in str(error)


def test_usage_before_an_error_is_not_lost() -> None:
    events = read(
        stream(delta(content="a"), {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}, end="")
    )
    assert events[1] == WireUsage(input_tokens=3, output_tokens=1)
    assert isinstance(error_of(events), errors.StreamCut)


def test_usage_by_modality_is_read_and_nonsense_left_out() -> None:
    usage = {
        "prompt_tokens": 1200,
        "completion_tokens": -1,
        "prompt_tokens_details": {"image_tokens": 1105, "audio_tokens": True, "text_tokens": 95, "cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    assert read(stream(delta("stop"), {"choices": [], "usage": usage}))[0] == WireUsage(
        input_tokens=1200, cached_tokens=64, reasoning_tokens=7, input_by_modality=(("text", 95), ("image", 1105))
    )


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_call"),
        ("STOP", "stop"),
        ("something_new", "something_new"),
    ],
)
def test_finish_reasons_are_opentelemetry_s(said: str, means: str) -> None:
    assert read(stream(delta(said, content="a")))[-1] == Finish(reason=means)


def test_openrouter_s_error_as_a_finish_reason_is_an_error() -> None:
    assert isinstance(error_of(read(stream(delta(content="a"), delta("error")))), errors.StreamCut)


def test_reasoning_refusals_and_tool_calls_are_told_apart() -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
    more = {"index": 0, "function": {"arguments": '":1}'}}
    events = read(
        stream(
            delta(reasoning_content="hm"),
            delta(reasoning="so"),
            delta(tool_calls=[call]),
            delta(tool_calls=[more]),
            delta(refusal="I will not"),
            delta("stop"),
        )
    )
    assert events == [
        ReasoningDelta(text="hm"),
        ReasoningDelta(text="so"),
        ToolCallDelta(index=0, id="c1", name="f", arguments='{"a'),
        ToolCallDelta(index=0, arguments='":1}'),
        RefusalDelta(text="I will not"),
        Finish(reason="content_filter"),
    ]


def test_thoughts_that_come_as_parts_of_the_content_are_thoughts() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm, a bird."}]}
    events = read(
        stream(delta(content=[thinking]), delta(content=[{"type": "text", "text": "A crane."}]), delta("stop"))
    )
    assert [event.text for event in events if isinstance(event, ReasoningDelta)] == ["Hm, a bird."]
    assert text_of(events) == "A crane."


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "b"}]
    assert text_of(read(stream(delta("stop", content=parts)))) == "ab"


DOCUMENT = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello 😀"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    },
    indent=2,
    ensure_ascii=False,
).encode()


@pytest.mark.parametrize("cut", range(0, len(DOCUMENT), 3))
def test_one_document_instead_of_a_stream_is_read_whole(cut: int) -> None:
    assert read(b"\n" + DOCUMENT[:cut], DOCUMENT[cut:]) == [
        WireTextDelta(text="Hello 😀"),
        WireUsage(input_tokens=3, output_tokens=2),
        Finish(reason="stop"),
    ]


@pytest.mark.parametrize("at", range(0, len(DOCUMENT) - 1, 3))
def test_half_a_document_is_a_cut_and_shows_nothing(at: int) -> None:
    events = read(DOCUMENT[:at])
    assert text_of(events) == ""
    assert isinstance(error_of(events), errors.StreamCut)


@pytest.mark.parametrize(
    "event",
    [
        None,
        1,
        "x",
        [],
        {},
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"delta": {"tool_calls": [None, {"index": "x", "function": 3}]}}]},
        {"usage": 7},
    ],
)
def test_odd_events_are_no_reason_to_fail(event: Any) -> None:
    events = read(stream(event, delta(content="a"), delta("stop")))
    assert text_of(events) == "a"
    assert events[-1] == Finish(reason="stop")
