"""Calls of tools as hosts of OpenAI's kind write them, well and badly, and what clients of each wire get."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import httpx
import ollama
import pytest
from tests.gates.faulty_host import FaultyHost, ScriptedReply
from tests.unit.gateway.direct.test_both_paths_host_replies import framed
from tests.unit.gateway.gateway_server import BY_EXECUTOR, STRONG, GatewayServer, config, sse

MODEL = "cloud/strong"
HELLO: Any = [{"role": "user", "content": "hello there"}]
PARAMETERS: Any = {"type": "object", "properties": {}}
USAGE = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
CUT = '{"unit": "celsius", "days": [1, 2], "place":"Bo'
Call = Mapping[str, Any]
Ask = Callable[..., httpx.Response]


def call(arguments: Any, **more: Any) -> Call:
    return {"id": "call_7", "type": "function", "function": {"name": "weather", "arguments": arguments}, **more}


def play(body: Mapping[str, Any], calls: tuple[Call, ...], finish: str) -> ScriptedReply:
    """One reply, whole or in a stream, as it was asked for."""
    about = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    if not body.get("stream"):
        message = {"role": "assistant", "content": None, "tool_calls": list(calls)}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return ScriptedReply([framed(json.dumps({**about, "choices": [choice], "usage": USAGE}))])
    deltas: list[Any] = [{"tool_calls": [{"index": place, **each}]} for place, each in enumerate(calls)]
    choices: list[Any] = [[{"index": 0, "delta": delta}] for delta in deltas]
    choices += [[{"index": 0, "delta": {}, "finish_reason": finish}], []]
    events = [{**about, "object": "chat.completion.chunk", "choices": each} for each in choices]
    events[-1]["usage"] = USAGE
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    return ScriptedReply([framed(text, kind=b"text/event-stream")])


@contextmanager
def before(
    tmp_path: Path, patch: pytest.MonkeyPatch, *calls: Call, finish: str = "tool_calls"
) -> Iterator[tuple[GatewayServer, Ask]]:
    """A gateway before a host that makes these calls, and how to ask it."""
    with FaultyHost(script=lambda *_: ScriptedReply(), reader=lambda body: play(body, calls, finish)) as wall:
        patch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "intermodal.toml", ("cloud", wall.base_url, STRONG))))
        with GatewayServer() as house:

            def ask(path: str, *, stream: bool = False, way: str = "executor") -> httpx.Response:
                tree: dict[str, Any] = {"model": MODEL, "stream": stream}
                if path == "/v1/responses":
                    tree |= {"input": "hello there", "tools": [{"type": "function", "name": "weather"}], "store": False}
                else:
                    tool = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
                    tree |= {"messages": HELLO, "tools": [tool]}
                if path == "/v1/messages":
                    tree |= {"max_tokens": 50, "tools": [{"name": "weather", "input_schema": PARAMETERS}]}
                return house.post(path, tree if way == "direct" else tree | BY_EXECUTOR)

            yield house, ask


def message(house: GatewayServer, *, stream: bool) -> Any:
    """What Anthropic's own client has in the end."""
    tools: Any = [{"name": "weather", "input_schema": PARAMETERS}]
    with anthropic.Anthropic(base_url=house.gateway.url, api_key="none", max_retries=0) as client:
        if not stream:
            return client.messages.create(model=MODEL, messages=HELLO, tools=tools, max_tokens=50)
        with client.messages.stream(model=MODEL, messages=HELLO, tools=tools, max_tokens=50) as live:
            return live.get_final_message()


def lines(found: httpx.Response) -> tuple[list[Any], Any]:
    """Calls that Ollama's client gets, and the last line."""
    read = [ollama.ChatResponse.model_validate_json(line) for line in found.text.splitlines()]
    return [one.function.model_dump() for line in read for one in line.message.tool_calls or ()], read[-1]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("arguments", "kept"),
    [(CUT, {"unit": "celsius", "days": [1, 2]}), ('{"place":"Bo', {}), ('{"days": 1', {}), ("", {}), ("[1", {})],
)  # fmt: skip
def test_a_call_that_was_cut_is_told_as_far_as_it_came(
    arguments: str, kept: Any, stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before(tmp_path, monkeypatch, call(arguments), finish="length") as (house, ask):
        made = message(house, stream=stream)
        assert made.stop_reason == "max_tokens"
        (block,) = made.content
        assert (block.type, block.id, block.name) == ("tool_use", "call_7", "weather")
        assert block.input == kept
        for path in ("/v1/messages", "/api/chat"):
            found = ask(path, stream=stream)
            assert found.status_code == 200, found.text
            assert found.headers["x-intermodal-route"] == "cloud:cloud/strong"
            assert stream or float(found.headers["x-intermodal-cost"]) > 0
        calls, last = lines(found)
        assert calls == [{"name": "weather", "arguments": kept}]
        assert last.done_reason == "length"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("arguments", ['{"place":"Bo', "[1]", '"Bonn"', "Bonn"])
def test_a_call_with_what_is_no_object_is_the_upstream_s_mistake(
    arguments: str, stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told as empty, a tool would be called as nobody meant it. OpenAI's clients get what the model wrote."""
    with before(tmp_path, monkeypatch, call(arguments)) as (_, ask):
        for path in ("/v1/messages", "/api/chat"):
            found = ask(path, stream=stream)
            assert found.status_code == 502, found.text
            assert "called 'weather' with arguments that are not a JSON object" in found.text
        said = ask("/v1/chat/completions").json()["choices"][0]["message"]["tool_calls"][0]
        assert said["function"]["arguments"] == arguments


@pytest.mark.parametrize("arguments", ["", " ", "null", "{}"])
def test_a_call_without_arguments_is_one(arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with before(tmp_path, monkeypatch, call(arguments)) as (house, ask):
        for stream in (False, True):
            assert message(house, stream=stream).content[0].input == {}
            assert lines(ask("/api/chat", stream=stream))[0] == [{"name": "weather", "arguments": {}}]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_forced_call_is_tool_use_in_anthropic_s_words_alone(
    stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenAI ends with "stop" where a function was forced; its own clients know that."""
    with before(tmp_path, monkeypatch, call('{"place":"Bonn"}'), finish="stop") as (house, ask):
        made = message(house, stream=stream)
        assert (made.stop_reason, made.content[0].input) == ("tool_use", {"place": "Bonn"})
        for way in ("direct", "executor"):
            said = ask("/v1/chat/completions", stream=stream, way=way)
            tree = sse(said.text).events if stream else [said.json()]
            reasons = [choice.get("finish_reason") for each in tree for choice in each["choices"]]
            assert list(filter(None, reasons)) == ["stop"]
        assert house.taken == 1
        assert lines(ask("/api/chat", stream=stream))[1].done_reason == "stop"


def called(found: httpx.Response, *, stream: bool) -> list[tuple[str, str]]:
    """Ids and arguments of the calls that a client of chat completions gets."""
    if not stream:
        whole = found.json()["choices"][0]["message"]["tool_calls"]
        return [(each["id"], each["function"]["arguments"]) for each in whole]
    told: dict[int, tuple[str, str]] = {}
    for choice in (choice for each in sse(found.text).events for choice in each["choices"]):
        for piece in choice["delta"].get("tool_calls") or ():
            name, arguments = told.get(piece["index"], ("", ""))
            told[piece["index"]] = (name + (piece.get("id") or ""), arguments + piece["function"].get("arguments", ""))
    return [told[index] for index in sorted(told)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("way", ["direct", "executor"])
def test_arguments_that_are_an_object_are_told_as_one(
    way: str, stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before(tmp_path, monkeypatch, call({"place": "Bonn"})) as (house, ask):
        found = ask("/v1/chat/completions", stream=stream, way=way)
        assert called(found, stream=stream) == [("call_7", '{"place":"Bonn"}')]
        assert house.taken == (way == "direct")
        assert message(house, stream=stream).content[0].input == {"place": "Bonn"}
        assert lines(ask("/api/chat", stream=stream))[0] == [{"name": "weather", "arguments": {"place": "Bonn"}}]
        assert '"arguments":"{\\"place\\":\\"Bonn\\"}"' in ask("/v1/responses", stream=stream).text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("way", ["direct", "executor"])
@pytest.mark.parametrize("unnamed", [{"id": None}, {"id": ""}], ids=["null", "empty"])
def test_calls_without_ids_get_some_that_no_other_has(
    unnamed: Any, way: str, stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = (call('{"place":"Bonn"}', **unnamed), call('{"place":"Oslo"}'), call("{}", **unnamed))
    with before(tmp_path, monkeypatch, *calls) as (house, ask):
        found = called(ask("/v1/chat/completions", stream=stream, way=way), stream=stream)
        assert [arguments for _, arguments in found] == ['{"place":"Bonn"}', '{"place":"Oslo"}', "{}"]
        assert house.taken == (way == "direct")
        ids = [name for name, _ in found]
        ids += [block.id for block in message(house, stream=stream).content]
        ids += [item["call_id"] for item in ask("/v1/responses").json()["output"]]
        assert ids.count("call_7") == 3 and len(set(ids)) == 7 and all(ids)


@pytest.mark.parametrize("number", [None, 0], ids=["none", "all 0"])
def test_calls_that_a_stream_does_not_number_are_told_apart_by_their_ids(
    number: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["one", "two", "three"]
    calls = [call(json.dumps({"at": each}), id=f"call_{each}", index=number) for each in places]
    with before(tmp_path, monkeypatch, *calls) as (house, ask):
        made = message(house, stream=True).content
        assert [(block.id, block.input["at"]) for block in made] == [(f"call_{each}", each) for each in places]
        assert [each["arguments"]["at"] for each in lines(ask("/api/chat", stream=True))[0]] == places


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_model_that_is_to_answer_in_json_may_call_a_tool_first(
    stream: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
    forms = ({"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}})
    with before(tmp_path, monkeypatch, call('{"at": "Bonn"}')) as (house, _):
        tool = {"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}
        for form in forms:
            asked = {"model": MODEL, "messages": HELLO, "tools": [tool], "response_format": form, "stream": stream}
            found = house.post("/v1/chat/completions", asked)
            assert found.status_code == 200, found.text
            if stream:
                choices = [event["choices"][0] for event in sse(found.text).events if event["choices"]]
                assert choices[-1]["finish_reason"] == "tool_calls"
                assert any(choice["delta"].get("tool_calls") for choice in choices)
            else:
                (choice,) = found.json()["choices"]
                assert choice["finish_reason"] == "tool_calls"
                assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"at": "Bonn"}'
        house.until_written()
        assert len(house.gateway.client.store.attempts()) == len(forms), "nothing was asked to be repaired"
