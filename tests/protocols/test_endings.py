"""Where an answer ends, in every protocol: a last word without a reason is a cut, what follows the reason is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from tests.gates import upstreams
from tests.gates.test_streams_by_protocol import TOKENS as OTHER_TOKENS
from tests.gates.test_streams_by_protocol import events_of

from intermodal import errors
from intermodal.protocols.anthropic import codec as anthropic_codec
from intermodal.protocols.calls import Error, Finish, ToolCallDelta, WireEvent, WireTextDelta, WireUsage
from intermodal.protocols.gemini import codec as gemini_codec
from intermodal.protocols.ollama import codec as ollama_codec
from intermodal.protocols.openai_chat import codec as openai_chat_codec
from intermodal.protocols.openai_responses import codec as openai_responses_codec
from intermodal.protocols.reply_decoder import NO_ANSWER, ReplyDecoder

DECODERS: Mapping[str, Callable[[str], ReplyDecoder]] = {
    "anthropic": anthropic_codec.AnthropicDecoder, "gemini": gemini_codec.GeminiDecoder,
    "ollama": ollama_codec.OllamaDecoder,
    "openai": openai_chat_codec.OpenAIChatDecoder,
    "openai-responses": openai_responses_codec.OpenAIResponsesDecoder,
}  # fmt: skip
# What is in the event that says why the answer ended.
REASONS = {
    "anthropic": b"message_delta", "gemini": b"finishReason", "ollama": b'"done_reason"', "openai": b'"stop"',
    "openai-responses": b"response.completed",
}  # fmt: skip
# An answer that is one document.
DOCUMENTS = {
    "anthropic": b'{"type":"message","content":[{"type":"text","text":"Paris"}],"stop_reason":"end_turn"}',
    "gemini": b'{"candidates":[{"content":{"parts":[{"text":"Paris"}]},"finishReason":"STOP"}]}',
    "ollama": b'{"message":{"role":"assistant","content":"Paris"},"done":true,"done_reason":"stop"}',
    "openai": b'{"choices":[{"message":{"role":"assistant","content":"Paris"},"finish_reason":"stop"}]}',
    "openai-responses": (
        b'{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"Paris"}]}]}'
    ),
}
TOKENS = [f"word{number} " for number in range(60)]


def stream(protocol: str) -> tuple[list[bytes], int]:
    """Events of a whole answer, and which of them has the reason for its end."""
    found = upstreams.events(protocol, TOKENS) if protocol == "openai" else events_of(protocol)
    (place,) = [number for number, event in enumerate(found) if REASONS[protocol] in event]
    return found, place


def word_of(protocol: str) -> bytes:
    """One of the words of that stream, as it is written."""
    return json.dumps((TOKENS if protocol == "openai" else OTHER_TOKENS)[3]).encode()


def read(protocol: str, *chunks: bytes) -> list[WireEvent]:
    decoder = DECODERS[protocol]("host:m")
    return [*(event for chunk in chunks for event in decoder.feed(chunk)), *decoder.close()]


def said(events: list[WireEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, WireTextDelta))


@pytest.mark.parametrize("last", [b"data: [DONE]\n\n", b""], ids=["done", "no last word"])
@pytest.mark.parametrize("protocol", DECODERS)
def test_an_answer_that_does_not_say_why_it_ended_is_a_cut(protocol: str, last: bytes) -> None:
    found, place = stream(protocol)
    if protocol == "ollama":
        last = b""
    events = read(protocol, *found[:place], *found[place + 1 :], last)
    assert isinstance(events[-1], Error) and isinstance(events[-1].error, errors.StreamCut)
    assert not any(isinstance(event, Finish) for event in events)


@pytest.mark.parametrize("odd", [b"5", b"true", b'{"a":1}', b"[5]"])
@pytest.mark.parametrize("protocol", DECODERS)
def test_content_of_a_type_that_no_text_has_is_never_left_out_of_an_answer(protocol: str, odd: bytes) -> None:
    found, _ = stream(protocol)
    word = word_of(protocol)
    before = next(number for number, event in enumerate(found) if word in event)
    live = read(protocol, *(event.replace(word, odd) for event in found))
    whole = read(protocol, DOCUMENTS[protocol].replace(b'"Paris"', odd))
    for events in (live, whole):
        assert isinstance(events[-1], Error) and isinstance(events[-1].error, errors.StreamCut), events
        assert NO_ANSWER in str(events[-1].error)
    assert said(live) == said(read(protocol, *found[:before])) and said(whole) == ""
    assert said(read(protocol, DOCUMENTS[protocol])) == "Paris"


@pytest.mark.parametrize("protocol", DECODERS)
def test_content_of_a_wrong_type_after_the_reason_is_left_out_as_words_are(protocol: str) -> None:
    found, place = stream(protocol)
    word = word_of(protocol)
    late = next(event for event in found[:place] if word in event).replace(word, b"5")
    assert read(protocol, *found[: place + 1], late, *found[place + 1 :]) == read(protocol, *found)


@pytest.mark.parametrize("protocol", DECODERS)
def test_words_after_the_reason_are_no_part_of_the_answer(protocol: str) -> None:
    """Nor another reason, nor a call of a tool; what is counted there is."""
    found, place = stream(protocol)
    whole = read(protocol, *found)
    words = [event for event in found[:place] if b"start" not in event and b"created" not in event]
    more = read(protocol, *found[: place + 1], *words, *found[place + 1 :])
    assert more == whole and isinstance(whole[-1], Finish) and isinstance(whole[-2], WireUsage)


def test_a_second_reason_or_a_call_of_a_tool_after_the_first_changes_nothing() -> None:
    found, place = stream("openai")
    late = (
        b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f",'
        b'"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}\n\n'
    )
    events = read("openai", *found[: place + 1], late, *found[place + 1 :])
    assert events == read("openai", *found) and not any(isinstance(event, ToolCallDelta) for event in events)


def test_an_error_after_the_reason_is_an_error() -> None:
    found, place = stream("openai")
    events = read("openai", *found[: place + 1], b'data: {"error":{"message":"no memory","code":500}}\n\n')
    assert isinstance(events[-1], Error)


@pytest.mark.parametrize("late", [b'{"error":{"message":"no memory","code":500}}', b"{"], ids=["error", "no JSON"])
@pytest.mark.parametrize("protocol", ["anthropic", "gemini", "openai"])
def test_an_error_after_the_reason_and_the_counts_ends_a_whole_answer(protocol: str, late: bytes) -> None:
    """Nothing of it is missing, as where the connection breaks there."""
    found, _ = stream(protocol)
    ends = (b"[DONE]", b"message_stop")
    counted = [event for event in found if not any(end in event for end in ends)]
    events = read(protocol, *counted, b"data: " + late + b"\n\n")
    assert events == read(protocol, *found)
    assert isinstance(events[-2], WireUsage) and isinstance(events[-1], Finish)


@pytest.mark.parametrize("state", ["in_progress", "queued", "cancelled", "incomplete"])
def test_a_whole_response_that_is_not_at_its_end_is_none(state: str) -> None:
    item = '{"type":"message","content":[{"type":"output_text","text":"Pa"}]}'
    events = read("openai-responses", f'{{"status":"{state}","output":[{item}]}}'.encode())
    assert said(events) == "Pa" and isinstance(events[-1], Error)
