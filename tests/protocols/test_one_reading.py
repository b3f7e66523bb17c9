"""A reply is read alike by a run and by a direct call, whatever form its host gives it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import pytest
from tests.protocols.reply_readers import read_directly, read_in_run, typed_event, unlike
from tests.unit.gateway.direct.test_both_paths_other_protocols import call, message, no, response, text, thought, told

from intermodal.protocols.framing.json_body import dumps

SEED = 20_261_201
Events = list[Any]  # trees, and bytes as they are

# ---- OpenAI's chat -------------------------------------------------------------------------------------

USED = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}


def delta(reason: str | None = None, **said: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": said, "finish_reason": reason}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def whole(reason: str, **said: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **said}, "finish_reason": reason}
    tree = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return {**tree, "usage": USED}


def piece(number: int, arguments: str, id_: str = "", name: str = "") -> dict[str, Any]:
    begun = {"id": id_, "type": "function"} if id_ else {}
    function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
    return {"index": number, **begun, "function": function}


COUNTED = {**delta(), "choices": [], "usage": USED}
SPOKEN = [delta(role="assistant", content=""), delta(content="Hello"), delta(content=" you"), delta("stop"), COUNTED]
CALLING = [
    delta(role="assistant", content=None), delta(reasoning_content="hm"), delta(content="Yes"),
    delta(tool_calls=[piece(0, "", "c1", "f")]), delta(tool_calls=[piece(0, '{"a":1}')]),
    delta(tool_calls=[piece(1, "{}", "c2", "g")]), {**delta("tool_calls"), "usage": USED},
]  # fmt: skip
REFUSING = [delta(role="assistant"), delta(refusal="No"), delta(refusal=" way"), {**delta("stop"), "usage": USED}]
CALLS = [piece(0, '{"a":1}', "c1", "f"), piece(1, "{}", "c2", "g")]


BOOM = {"error": {"message": "boom", "type": "server_error", "code": 500}}


def with_message(chunks: Sequence[Any]) -> Events:
    """Chunks that also hold the whole answer so far, as Perplexity writes them."""
    found, so_far = [], ""
    for chunk in deepcopy(list(chunks)):
        for choice in chunk["choices"]:
            so_far += choice["delta"].get("content") or ""
            choice["message"] = {"role": "assistant", "content": so_far}
        found.append(chunk)
    return found


def at_one_index(chunks: Sequence[Any]) -> Events:
    """Chunks whose tool calls all have the index 0, as some servers write them."""
    found = deepcopy(list(chunks))
    for chunk in found:
        for choice in chunk["choices"]:
            for each in choice["delta"].get("tool_calls", ()):
                each["index"] = 0
    return found


CHATS: Mapping[str, Events] = {
    "words": SPOKEN,
    "calls": CALLING,
    "a refusal": REFUSING,
    "an answer in every chunk": with_message(SPOKEN),
    "calls at one index": at_one_index(CALLING),
    "pieces of calls at one index": at_one_index(
        [*CALLING[:-1], delta(tool_calls=[piece(0, "", "c3", "h")]), delta(tool_calls=[piece(0, "{}")]), CALLING[-1]]
    ),
    "calls without an index": [
        *CALLING[:3], *(delta(tool_calls=[{k: v for k, v in each.items() if k != "index"}]) for each in CALLS),
        CALLING[-1],
    ],
    "blank thoughts": [delta(reasoning_content="\n"), *SPOKEN],
    "an error without data": [*SPOKEN[:2], b'{"error":{"message":"slow down","code":429}}\n\n'],
    "an error by its type": [*SPOKEN[:2], b'data: {"type":"error","message":"boom"}\n\n'],
    "an error by its name": [*SPOKEN[:2], b'event:error\ndata:{"message":"boom"}\n\n'],
    "blanks after the last word": [*SPOKEN, b"data: [DONE] \n\n"],
    "counts in what is invalid": [SPOKEN[1], {**delta("stop"), "choices": [{"delta": "x"}], "usage": USED}],
    "an invalid piece after the end": [SPOKEN[1], delta("stop"), {**delta(), "choices": [{"delta": "x"}]}],
    "an error after the counts": [*SPOKEN, BOOM],
    "no JSON after the counts": [*SPOKEN, b"data: {\n\n"],
    "an error before the counts": [*SPOKEN[:-1], BOOM],
    "a provider that fails": [SPOKEN[1], {**delta("error"), "usage": USED}],
    "one choice of two": [
        SPOKEN[1], {**delta(), "choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {}}]},
        *SPOKEN[2:],
    ],
}  # fmt: skip
WHOLE_CHATS: Mapping[str, Any] = {
    "words": whole("stop", content="Hello", reasoning_content="hm"),
    "calls": whole("tool_calls", tool_calls=CALLS),
    "calls at one index": whole("tool_calls", tool_calls=[{**each, "index": 0} for each in CALLS]),
    "a refusal": whole("stop", refusal="No"),
    "an empty delta": {**whole("stop"), "choices": [{"message": {"content": "Hi"}, "delta": {}, "finish_reason": "x"}]},
    "no choices, counted": {**whole("stop"), "choices": []},
    "an error by its type": {**whole("stop", content="Hello"), "type": "error"},
    "an error, counted": {**whole("stop"), "error": {"message": "boom"}},
}

# ---- Anthropic's messages ------------------------------------------------------------------------------

COUNTS = {"input_tokens": 5, "output_tokens": 1, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 0}
START = {"type": "message_start", "message": {
    "id": "m1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None,
    "stop_sequence": None, "usage": COUNTS,
}}  # fmt: skip
STOP = {"type": "message_stop"}


def block(number: int, kind: str, *deltas: Mapping[str, Any], **more: Any) -> Events:
    """The events of one block."""
    place = {"index": number}
    return [
        {"type": "content_block_start", **place, "content_block": {"type": kind, **more}},
        *({"type": "content_block_delta", **place, "delta": each} for each in deltas),
        {"type": "content_block_stop", **place},
    ]


def end(reason: str, **more: Any) -> dict[str, Any]:
    stopped = {"stop_reason": reason, "stop_sequence": None, **more}
    return {"type": "message_delta", "delta": stopped, "usage": {"output_tokens": 7}}


def said(*words: str) -> Events:
    return block(0, "text", *({"type": "text_delta", "text": word} for word in words), text="")


USING = [
    START,
    *block(0, "thinking", {"type": "thinking_delta", "thinking": "hm"}, {"type": "signature_delta", "signature": "sg"},
           thinking="", signature=""),
    *block(1, "text", {"type": "text_delta", "text": "Hi"}, text="Oh "),
    *block(2, "tool_use", *({"type": "input_json_delta", "partial_json": half} for half in ('{"a"', ":1}")),
           id="t1", name="f", input={}),
    end("tool_use"), STOP,
]  # fmt: skip
MESSAGES: Mapping[str, Events] = {
    "words": [START, *said("Hello", " you"), end("end_turn"), STOP],
    "tools": USING,
    "an error after the counts": [START, *said("Hello", " you"), end("end_turn"), {"type": "error", **BOOM}],
    "hidden reasoning": [START, *block(0, "redacted_thinking", data="zz"), *said("Hi"), end("max_tokens"), STOP],
    "a refusal": [START, end("refusal", stop_details={"explanation": "No."}), STOP],
    "blank thoughts": [START, *block(0, "thinking", {"type": "thinking_delta", "thinking": "\n"}, thinking=""),
                       *said("Hi"), end("end_turn"), STOP],
    "signed thoughts that are not shown": [
        START, *block(0, "thinking", {"type": "signature_delta", "signature": "sg"}, thinking="", signature=""),
        *said("Hi"), end("end_turn"), STOP,
    ],
    "counts that are none": [{**START, "message": {**START["message"], "usage": "none"}},  # type: ignore[dict-item]
                             *said("Hi"), {**end("end_turn"), "usage": []}, STOP],
    "an error without data": [START, *said("Hi"), b'{"type":"error","error":{"type":"overloaded_error"}}\n\n'],
    "an end as OpenAI's": [START, *said("Hi"), end("end_turn"), b"data: [DONE]\n\n"],
    "a blank reason": [START, *said("Hi"), end(" "), STOP],
    "an error by its name": [START, *said("Hi"), b'event:error\ndata: {"type":"x","message":"boom"}\n\n'],
}  # fmt: skip


def a_message(reason: str, *content: Any, **more: Any) -> dict[str, Any]:
    tree = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": list(content)}
    return {**tree, "stop_reason": reason, "stop_sequence": None, "usage": {**COUNTS, "output_tokens": 7}, **more}


WHOLE_MESSAGES: Mapping[str, Any] = {
    "words": a_message("end_turn", {"type": "text", "text": "Hello"}),
    "tools": a_message(
        "tool_use", {"type": "thinking", "thinking": "hm", "signature": "sg"}, {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
    ),
    "a refusal": a_message("refusal", stop_details={"explanation": "No."}),
    "hidden reasoning": a_message("max_tokens", {"type": "redacted_thinking", "data": "zz"},
                                  {"type": "text", "text": "A"}, {"type": "text", "text": "B"}),
    "an error, counted": a_message("end_turn", error={"message": "boom"}),
}  # fmt: skip

# ---- Ollama's chat -------------------------------------------------------------------------------------


def line(content: str = "", *, done: bool = False, **more: Any) -> dict[str, Any]:
    tree = {"model": "m", "created_at": "2026", "message": {"role": "assistant", "content": content, **more}}
    ended = {"done_reason": "stop", "prompt_eval_count": 5, "eval_count": 7, "total_duration": 5} if done else {}
    return {**tree, "done": done, **ended}


USED_TOOLS = [{"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}}]
LINES: Mapping[str, Events] = {
    "words": [line("Hello"), line(" you"), line(done=True)],
    "tools": [line(thinking="hm"), line("Yes"), line(tool_calls=USED_TOOLS),
              line(tool_calls=[{"function": {"name": "g", "arguments": {}}}]), line(done=True)],
    "blank thoughts": [line(thinking="\n"), line("Hello"), line(done=True)],
    "blank thoughts written anew": [line(thinking="\n", role="x"), line("Hello"), line(done=True)],
}  # fmt: skip
WHOLE_LINES: Mapping[str, Any] = {
    "words": line("Hello", done=True, thinking="hm"),
    "tools": line(done=True, tool_calls=[*USED_TOOLS, *USED_TOOLS]),
}

# ---- OpenAI's responses --------------------------------------------------------------------------------


def trees(*output: Mapping[str, Any], **more: Any) -> Events:
    return [json.loads(event.partition(b"data: ")[2]) for event in told(*output, **more)]


ANSWER = message(text("Paris the capital. "))


def edited(events: Sequence[Any], place: int, **fields: Any) -> Events:
    found = deepcopy(list(events))
    found[place] |= fields
    return found


def without(events: Sequence[Any], place: int, name: str) -> Events:
    found = deepcopy(list(events))
    del found[place][name]
    return found


RESPONSES: Mapping[str, Events] = {
    "words": trees(ANSWER),
    "tools": trees(thought(), ANSWER, call(), call(number=1)),
    "a refusal": trees(message(no("I will not."))),
    "words that are written otherwise": without(trees(ANSWER), 6, "logprobs"),
    "an end without a number": without(trees(ANSWER), -1, "sequence_number"),
    "an end with counts that are none": edited(trees(ANSWER), -1, response=response(ANSWER, usage=1)),
    "an error in an event": edited(trees(ANSWER), 6, error={"message": "boom"}),
    "an error by its name": [*trees(ANSWER)[:6], b'event: error\ndata: {"type":"x","message":"boom"}\n\n'],
    "an error without data": [*trees(ANSWER)[:6], b'{"error":{"message":"slow down","code":429}}\n\n'],
}  # fmt: skip
WHOLE_RESPONSES: Mapping[str, Any] = {
    "words": response(ANSWER),
    "tools": response(thought(), ANSWER, call(), call(number=1)),
    "a refusal": response(message(no("I will not."))),
    "a refusal without words": response(message(no(""))),
    "an unknown end, counted": response(ANSWER, status="x"),
    "an error by its object": response(ANSWER, object="error"),
}

STREAMS: Mapping[str, Mapping[str, Events]] = {
    "openai": CHATS, "anthropic": MESSAGES, "ollama": LINES, "openai-responses": RESPONSES,
}  # fmt: skip
WHOLES: Mapping[str, Mapping[str, Any]] = {
    "openai": WHOLE_CHATS, "anthropic": WHOLE_MESSAGES, "ollama": WHOLE_LINES, "openai-responses": WHOLE_RESPONSES,
}  # fmt: skip


def written(protocol: str, events: Events) -> list[bytes]:
    """Return the events as a host of the protocol writes them."""
    found = []
    for event in events:
        if isinstance(event, bytes):
            found.append(event)
        elif protocol == "ollama":
            found.append(dumps(event) + b"\n")
        else:
            found.append(typed_event(event, named=protocol != "openai"))
    done = protocol == "openai" and not any(isinstance(event, bytes) and b"DONE" in event for event in events)
    return [*found, b"data: [DONE]\n\n"] if done else found


def test_a_message_is_the_whole_answer_and_a_delta_the_piece_of_a_stream() -> None:
    both = {"message": {"content": "Hello you"}, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    reply = [json.dumps({**whole("stop"), "choices": [both]}).encode()]
    stream = written("openai", with_message(SPOKEN))
    for read in (read_in_run, read_directly):
        assert read("openai", reply, stream=False).text == "Hello you"
        assert read("openai", stream, stream=True).text == "Hello you"


@pytest.mark.parametrize(("protocol", "name"), [(key, name) for key, cases in STREAMS.items() for name in cases])
def test_a_stream_is_read_alike_by_a_run_and_by_a_direct_call(protocol: str, name: str) -> None:
    pieces = written(protocol, STREAMS[protocol][name])
    run, passed = read_in_run(protocol, pieces, stream=True), read_directly(protocol, pieces, stream=True)
    assert unlike(run, passed) == {}


WORDS = "".join(f"w{number} " for number in range(40))
OVER: Mapping[str, Events] = {
    "openai": [delta(content="Hi"), delta(tool_calls=[piece(0, "", "c1", "f")]), delta(tool_calls=[piece(0, WORDS)]),
               delta("tool_calls")],
    "anthropic": [START, *said("Hi"), *block(1, "tool_use", id="t1", name="f", input={"a": WORDS}), end("tool_use"),
                  STOP],
    "openai-responses": trees(message(text("Hi there. ")), call(WORDS)),
}  # fmt: skip


@pytest.mark.parametrize("protocol", OVER)
def test_a_tool_call_over_the_limit_is_cut_alike(protocol: str) -> None:
    pieces = written(protocol, OVER[protocol])
    run = read_in_run(protocol, pieces, stream=True, limit=5)
    passed = read_directly(protocol, pieces, stream=True, limit=5)
    assert (passed.text, passed.calls, passed.recorded) == (run.text, run.calls, run.recorded)


@pytest.mark.parametrize(("protocol", "name"), [(key, name) for key, cases in WHOLES.items() for name in cases])
def test_a_whole_reply_is_read_alike_by_a_run_and_by_a_direct_call(protocol: str, name: str) -> None:
    pieces = [json.dumps(WHOLES[protocol][name]).encode()]
    run, passed = read_in_run(protocol, pieces, stream=False), read_directly(protocol, pieces, stream=False)
    assert unlike(run, passed) == {}


# ---- replies that no host was seen to send ---------------------------------------------------------------

ODD: Sequence[Any] = [
    None, "", 0, [], {}, " ", "x", 7, -1, True, False, [None], {"a": 1}, "length", "error", "stop", {"content": "z"},
    "null", 1.5, 10**15, [{"type": "text", "text": "part"}], {"message": "overloaded", "type": "overloaded_error"},
]  # fmt: skip
NAMES = (
    "error", "type", "object", "message", "delta", "usage", "finish_reason", "index", "content", "refusal",
    "reasoning_content", "tool_calls", "logprobs", "text", "thinking", "partial_json", "signature", "stop_reason",
    "done_reason", "done", "id", "name", "arguments", "status", "incomplete_details", "service_tier", "role", "input",
)  # fmt: skip


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container in a tree with a key of it."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, (dict, list)):
            yield from places(value)


def changed(random_: random.Random, tree: Any) -> None:
    """Leave something of a reply out, add something, or put something odd in its place."""
    inside, key = random_.choice(list(places(tree)))
    how = random_.random()
    if how < 0.25 and isinstance(inside, dict):
        del inside[key]
    elif how < 0.5 and isinstance(inside, dict):
        inside[random_.choice(NAMES)] = deepcopy(random_.choice(ODD))
    else:
        inside[key] = deepcopy(random_.choice(ODD))


def odd_stream(random_: random.Random, events: Events) -> Events:
    found = deepcopy(events)
    place = random_.randrange(len(found))
    if random_.random() < 0.1:
        found.insert(place, deepcopy(random_.choice(found)))
    else:
        changed(random_, found[place])
    return found


def held(count: int, run: Callable[[random.Random], tuple[str, dict[str, Any]]]) -> None:
    random_ = random.Random(SEED)
    wrong = [f"{what}\n    {found}" for what, found in (run(random_) for _ in range(count)) if found]
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("protocol", STREAMS)
def test_an_odd_stream_is_read_alike(protocol: str) -> None:
    names = [name for name, case in STREAMS[protocol].items() if not any(isinstance(event, bytes) for event in case)]

    def one(random_: random.Random) -> tuple[str, dict[str, Any]]:
        events = odd_stream(random_, STREAMS[protocol][random_.choice(names)])
        pieces = written(protocol, events)
        run, passed = read_in_run(protocol, pieces, stream=True), read_directly(protocol, pieces, stream=True)
        return b"".join(pieces).decode(), unlike(run, passed)

    held(150, one)


@pytest.mark.parametrize("protocol", WHOLES)
def test_an_odd_whole_reply_is_read_alike(protocol: str) -> None:
    def one(random_: random.Random) -> tuple[str, dict[str, Any]]:
        tree = deepcopy(random_.choice(list(WHOLES[protocol].values())))
        changed(random_, tree)
        pieces = [json.dumps(tree).encode()]
        run, passed = read_in_run(protocol, pieces, stream=False), read_directly(protocol, pieces, stream=False)
        return pieces[0].decode(), unlike(run, passed)

    held(150, one)
