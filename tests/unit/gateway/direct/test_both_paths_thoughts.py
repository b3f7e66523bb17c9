"""Answers with thoughts, refusals and tool calls in unusual places: both paths show, charge and end them alike."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.gates import upstreams
from tests.gates.faulty_host import DONE, LAST, ROLE, Halves, ScriptedReply, chunk, delta, refusal, sse, usage
from tests.unit.gateway.direct.both_paths import ASKED, SECRET, BothPaths, Case, Model, unlike
from tests.unit.gateway.direct.both_paths_protocols import LINES, MESSAGES, RESPONSES
from tests.unit.gateway.direct.test_both_paths_json_and_deadlines import HELD, SCHEMA, VALID
from tests.unit.gateway.direct.test_both_paths_other_protocols import FILTERED, message, text, thought, told

APIS = {"chat": None, "messages": MESSAGES, "responses": RESPONSES, "lines": LINES}
PROTOCOLS = {api: "openai" if wire is None else wire.protocol for api, wire in APIS.items()}
LIMITS: Mapping[str, dict[str, Any]] = {
    "chat": {"max_tokens": 50}, "messages": {"max_tokens": 50}, "responses": {"max_output_tokens": 50},
    "lines": {"options": {"num_predict": 50}},
}  # fmt: skip
BY_SCHEMA: Mapping[str, dict[str, Any]] = {
    "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}},
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "responses": {"text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}}},
    "lines": {"format": SCHEMA},
}
PARAMETERS = {"type": "object", "properties": {}}
FUNCTION = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
TOOLS: Mapping[str, dict[str, Any]] = {
    "chat": {"tools": [FUNCTION]}, "lines": {"tools": [FUNCTION]},
    "messages": {"tools": [{"name": "weather", "input_schema": PARAMETERS}]},
    "responses": {"tools": [{"type": "function", "name": "weather", "parameters": PARAMETERS}]},
}  # fmt: skip
TOO_MANY: Mapping[str, bytes] = {
    "chat": sse({"error": {"message": "slow", "code": 429}}),
    "messages": b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"slow"}}\n\n',
    "responses": b'event: error\ndata: {"type":"error","code":"rate_limit_exceeded","message":"slow"}\n\n',
    "lines": b'{"error":"too many requests","code":429}\n',
}
REPLY = {
    "id": "msg_x", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 50},
}  # fmt: skip


def stream(api: str, events: Sequence[bytes | float]) -> ScriptedReply:
    pieces = [chunk(event) if isinstance(event, bytes) else event for event in events]
    return ScriptedReply((upstreams.head(PROTOCOLS[api]), *pieces, LAST), paid=True)


def named(*events: Mapping[str, Any]) -> list[bytes]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]


def blocks(*deltas: tuple[int, str, str], reason: str = "end_turn", stop: str | None = None) -> list[bytes]:
    """The events of an Anthropic stream; of each delta the place of its block, its kind and its text."""
    kinds = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}}
    places = sorted({place for place, _, _ in deltas})
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**REPLY, "content": [], "stop_reason": None}}]
    for place in places:
        kind = next(kind for at, kind, _ in deltas if at == place)
        events.append({"type": "content_block_start", "index": place, "content_block": {"type": kind, **kinds[kind]}})
        events += [
            {"type": "content_block_delta", "index": place, "delta": {"type": f"{kind}_delta", kind: words}}
            for at, _, words in deltas if at == place
        ]  # fmt: skip
        events.append({"type": "content_block_stop", "index": place})
    ended = {"stop_reason": reason, "stop_sequence": stop}
    return named(
        *events,
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    )


def line(words: str = "", thinking: str = "", **more: Any) -> bytes:
    said = {"role": "assistant", "content": words, **({"thinking": thinking} if thinking else {})}
    tree = {"model": "m", "created_at": "2026-11-26T10:00:00Z", "message": said, "done": False, **more}
    return json.dumps(tree).encode() + b"\n"


HALVES = (VALID[:9], VALID[9:])
COUNTS = {"done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 9}
THINKS: Mapping[str, list[bytes]] = {
    "chat": [
        ROLE, delta(None, None, reasoning_content="Let me "), delta(None, None, reasoning_content="think."),
        *map(delta, HALVES), delta(None, "stop"), usage(9), DONE,
    ],
    "messages": blocks(
        (0, "thinking", "Let me "), (0, "thinking", "think."), (1, "text", HALVES[0]), (1, "text", HALVES[1])
    ),
    "responses": told(thought(), message(text(VALID))),
    "lines": [line(thinking="Let me "), line(thinking="think."), *map(line, HALVES), line(**COUNTS)],
}  # fmt: skip
REFUSES: Mapping[str, tuple[str, list[bytes]]] = {
    "inwords": ("chat", [
        ROLE, delta(None, None, reasoning_content="Let me think."), delta(None, None, refusal="I will not."),
        delta(None, "stop"), usage(5), DONE,
    ]),
    "filtered": ("chat", [
        ROLE, delta(None, None, reasoning_content="Let me think."), delta(None, "content_filter"), usage(5), DONE,
    ]),
    "messages": ("messages", blocks((0, "thinking", "Let me think."), reason="refusal")),
    "responses": ("responses", told(thought(), end="incomplete", **FILTERED)),
}  # fmt: skip
EACH = {"usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}}


def counted(event: bytes) -> bytes:
    """The chunk with counts in it, as hosts write it that count in every chunk."""
    return sse({**json.loads(event[6:]), **EACH})


def case(api: str, *plays: ScriptedReply, live: bool = True, host: str = "", other: bool = False, **body: Any) -> Case:
    protocol = PROTOCOLS[api]
    write = upstreams.whole if live else upstreams.document
    others = [Model([write(protocol, ["the", " other"])], host=host)] if other else []
    return Case(
        [Model(list(plays), host=host), *others], {**LIMITS[api], "stream": live, **body}, wire_protocol=APIS[api]
    )


def whole_message(*content: Mapping[str, Any], reason: str, stop: str | None = None) -> ScriptedReply:
    tree = {**REPLY, "content": list(content), "stop_reason": reason, "stop_sequence": stop}
    return refusal(200, tree, paid=True)


def unended(protocol: str, words: int | None = None) -> ScriptedReply:
    """A stream that no client asked for, and whose connection is closed before its body ends."""
    events = upstreams.events(protocol, ["Paris", " it", " is"])[:words]
    return ScriptedReply((upstreams.head(protocol), *map(chunk, events)), end="fin", paid=True)


CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"at": "Paris"}}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
AFTER_WORDS = {"chat": 3, "messages": 4, "responses": 5, "lines": 2}  # events until words have come
BEGUN = {"responses": 4, "lines": 1}  # events until a tool call has begun
ALIKE: Mapping[str, Case] = {
    **{f"{api}json": case(api, stream(api, THINKS[api]), host=HELD, other=True, **BY_SCHEMA[api]) for api in APIS},
    **{
        f"{api}tool{'twice' if twice else 'once'}": case(
            api,
            stream(api, [*upstreams.besides(PROTOCOLS[api], "", "Paris")[: BEGUN[api]], TOO_MANY[api]]),
            upstreams.whole(PROTOCOLS[api], ["Paris"]),
            intermodal={"pay_twice": twice}, **TOOLS[api],
        )
        for api in ("responses", "lines") for twice in (True, False)
    },
    **{
        f"{api}unended": case(api, unended(PROTOCOLS[api]), live=False, other=True)
        for api in APIS
    },
    **{
        f"{api}brokenoff": case(api, unended(PROTOCOLS[api], 2), live=False, other=True)
        for api in APIS
    },
    **{
        f"{api}error": case(
            api,
            stream(api, [*upstreams.events(PROTOCOLS[api], ["Paris", " it", " is"])[:AFTER_WORDS[api]], TOO_MANY[api]]),
            upstreams.document(PROTOCOLS[api], ["Paris"]),
            live=False,
        )
        for api in APIS
    },
    "countedthoughts": case("chat", stream("chat", [
        counted(ROLE), counted(delta(None, None, reasoning_content="Let me ")),
        counted(delta(None, None, reasoning_content="think.")), counted(delta("Paris")), counted(delta(None, "stop")),
        DONE,
    ])),
    "countedrefusal": case("chat", stream("chat", [
        counted(ROLE), counted(delta("Well. ")), counted(delta(None, None, refusal="I will ")),
        counted(delta(None, None, refusal="not.")), counted(delta(None, "stop")), DONE,
    ])),
    "wholetool": case("messages", whole_message(CALL, reason="tool_use"), **TOOLS["messages"]),
    "emptyjson": case(
        "messages", whole_message(reason="end_turn"), stream("messages", blocks((0, "text", VALID))), host=HELD,
        **BY_SCHEMA["messages"],
    ),
    "orphan": case(
        "responses", upstreams.document("openai-responses", ["Paris"]), live=False,
        input=[{"role": "user", "content": "hi"}, {"type": "function_call_output", "call_id": "c", "output": "rain"}],
    ),
    "thoughtonly": case("messages", whole_message(SIGNED, reason="end_turn"), live=False),
    "thoughtcut": case("messages", whole_message(SIGNED, reason="max_tokens"), live=False),
}  # fmt: skip
ENDS = {"inwords": 4, "filtered": 3, "messages": 2, "responses": 1}  # events after the thoughts


def in_halves(api: str, events: Sequence[bytes], ends: int) -> ScriptedReply:
    """The thoughts, and once they have arrived the refusal."""
    pieces = [*map(chunk, events)]
    thoughts = upstreams.head(PROTOCOLS[api]) + b"".join(pieces[:-ends])
    return ScriptedReply(Halves(thoughts, b"".join(pieces[-ends:]) + LAST), paid=True)


REFUSED = {name: case(api, in_halves(api, events, ENDS[name])) for name, (api, events) in REFUSES.items()}
PAUSES = case("chat", stream("chat", [*THINKS["chat"][:3], 2.5, *THINKS["chat"][3:]]), host=HELD, other=True,
              **BY_SCHEMA["chat"])  # fmt: skip
CASES: Mapping[str, Case] = {**ALIKE, **REFUSED, "pause": PAUSES}


@pytest.mark.parametrize("name", ALIKE)
def test_both_paths_answer_alike(beside: BothPaths, name: str) -> None:
    direct, executor = beside.both(name)
    assert unlike(vars(direct) | {"taken": 0}, vars(executor)) == []


@pytest.mark.parametrize("api", APIS)
def test_thoughts_before_json_are_shown_with_it(beside: BothPaths, api: str) -> None:
    for way in ("direct", "taskless", "executor"):
        beside.ask(way, f"{api}json")
        assert "Let me " in beside.text and "think." in beside.text
        if api == "messages":
            kinds = [line[7:] for line in beside.text.splitlines() if line.startswith("event: ")]
            assert kinds[:2] == ["message_start", "content_block_start"]
            assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 2


def test_a_model_that_thinks_for_longer_than_counts_are_awaited_is_not_cut_off(beside: BothPaths) -> None:
    seen = beside.ask("direct", "pause")
    assert (seen.status, list(seen.hits), seen.taken) == (200, [0], 1)
    assert "think." in beside.text


def exchange(port: int, path: str, body: Mapping[str, Any], halves: Halves) -> bytes:
    """The bytes of a response, and of that to the next request on its connection."""
    raw = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json",
        f"authorization: Bearer {SECRET}", f"content-length: {len(raw)}",
    )  # fmt: skip
    ping = f"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n"
    halves.arrived.clear()
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall("\r\n".join([*head, "", ""]).encode() + raw)
        line.settimeout(60)
        found = piece = line.recv(65536)
        while piece and b"\r\n0\r\n\r\n" not in found:
            if b"think." in found:
                halves.arrived.set()
            piece = line.recv(65536)
            found += piece
        line.sendall(ping.encode())
        while piece := line.recv(65536):
            found += piece
    return found


@pytest.mark.parametrize("way", ["direct", "taskless"])
@pytest.mark.parametrize("name", REFUSES)
def test_a_refusal_after_thoughts_is_the_last_event_of_its_response(beside: BothPaths, way: str, name: str) -> None:
    """Nothing follows the end of a response on its connection but the next response."""
    wire, house = CASES[name].wire_protocol, beside.house(way, name)
    asked = {"messages": ASKED} if wire is None else wire.asked
    path = "/v1/chat/completions" if wire is None else wire.path
    (play,) = CASES[name].models[0].plays
    assert isinstance(play.pieces, Halves)
    body = {"model": f"cloud/{name}", **asked, **CASES[name].body}
    found = exchange(house.gateway.port, path, body, play.pieces)
    response, _, after = found.partition(b"\r\n0\r\n\r\n")
    assert after.startswith(b"HTTP/1.1 200"), after
    assert b"refused to answer" in response.rpartition(b"data: {")[2]
    assert b"Let me think." in response
