"""Anthropic's messages passed on to a host of the same wire: their own client before it, a fake vendor behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from tests.gates import upstreams
from tests.gates.faulty_host import HEAD, LAST, FaultyHost, ScriptedReply, chunk
from tests.unit.gateway.apis.test_chat import picture
from tests.unit.gateway.gateway_server import STRONG, GatewayServer, config, until

from intermodal.testing import FakeHost, FakeVendor

pytestmark = pytest.mark.usefixtures("either_way")

ROWS = """
[hosts.vendor]
base_url = "{url}"
protocol = "anthropic"
auth = "x-api-key"
key_env = "VENDOR_KEY"
zone = "internet"
[[hosts.vendor.models]]
id = "vendor/opus"
input = ["text", "image"]
context = 200000
tier = "large"
input_mtok = 3.0
output_mtok = 15.0
"""
TOOL: Any = {"name": "weather", "description": "Weather of a place.", "input_schema": {"type": "object"}}
HELLO: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def vendor() -> Iterator[FakeVendor]:
    with FakeVendor("anthropic", "Four, and no more.", key="secret") as fake:
        yield fake


@pytest.fixture
def house(vendor: FakeVendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayServer]:
    path = tmp_path / "intermodal.toml"
    path.write_text(ROWS.format(url=vendor.base_url))
    monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
    monkeypatch.setenv("VENDOR_KEY", "secret")
    with GatewayServer() as served:
        yield served


@pytest.fixture
def client(house: GatewayServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=house.gateway.url, api_key="none", max_retries=0) as made:
        yield made


def test_a_request_is_forwarded_unchanged_with_its_cache_marks(
    house: GatewayServer, vendor: FakeVendor, client: anthropic.Anthropic
) -> None:
    marked: Any = [{"type": "text", "text": "You count.", "cache_control": {"type": "ephemeral"}}]
    made = client.messages.create(model="vendor/opus", max_tokens=50, system=marked, messages=HELLO)
    assert house.taken == 1
    assert (made.content[0].type, made.stop_reason, made.model) == ("text", "end_turn", "vendor/opus")
    sent = vendor.attempts[-1].json
    assert sent["system"] == marked and sent["messages"] == HELLO and sent["max_tokens"] == 50
    about: Any = made.usage.model_extra
    assert about["intermodal"]["route"] == "vendor:vendor/opus"
    took = made.usage.input_tokens * 3e-6 + made.usage.output_tokens * 15e-6
    assert about["intermodal"]["cost"] == pytest.approx(took)


def test_a_stream_keeps_its_events_and_tells_of_the_run_at_its_end(
    house: GatewayServer, vendor: FakeVendor, client: anthropic.Anthropic
) -> None:
    vendor.thought = "two and two"
    with client.messages.stream(model="vendor/opus", max_tokens=50, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == "Four, and no more."
        made = stream.get_final_message()
    assert house.taken == 1
    assert [block.type for block in made.content] == ["thinking", "text"]
    assert made.usage.output_tokens == vendor.attempts[-1].output_tokens
    said = house.post(
        "/v1/messages", {"model": "vendor/opus", "max_tokens": 50, "stream": True, "messages": HELLO}
    ).text
    events = [json.loads(line[6:]) for line in said.splitlines() if line.startswith("data: ")]
    assert [event["type"] for event in events][-2:] == ["message_delta", "message_stop"]
    assert events[-2]["usage"]["intermodal"]["cost"] > 0
    assert events[0]["message"]["model"] == "vendor/opus"


def test_events_without_names_get_them_as_anthropic_s_client_goes_by_the_name_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("Four", ", and no", " more.")
    unnamed = [event[event.index(b"data:") :] for event in upstreams.events("anthropic", words)]
    played = ScriptedReply((HEAD, *map(chunk, unnamed), LAST), paid=True)
    path = tmp_path / "intermodal.toml"
    with FaultyHost(lambda _model, _number: played) as wall:
        path.write_text(ROWS.format(url=wall.base_url))
        monkeypatch.setenv("INTERMODAL_CONFIG", str(path))
        monkeypatch.setenv("VENDOR_KEY", "secret")
        with (
            GatewayServer() as house,
            anthropic.Anthropic(base_url=house.gateway.url, api_key="none", max_retries=0) as client,
        ):
            with client.messages.stream(model="vendor/opus", max_tokens=50, messages=HELLO) as stream:
                assert "".join(stream.text_stream) == "".join(words)
                assert stream.get_final_message().stop_reason == "end_turn"
            assert house.taken == 1


def test_tools_are_called_and_answered(house: GatewayServer, vendor: FakeVendor, client: anthropic.Anthropic) -> None:
    vendor.calls = (("weather", {"place": "Bonn"}),)
    for ask in ("whole", "streamed"):
        if ask == "whole":
            made = client.messages.create(model="vendor/opus", max_tokens=50, messages=HELLO, tools=[TOOL])
        else:
            with client.messages.stream(model="vendor/opus", max_tokens=50, messages=HELLO, tools=[TOOL]) as stream:
                made = stream.get_final_message()
        [call] = (block for block in made.content if block.type == "tool_use")
        assert (made.stop_reason, call.name, call.input) == ("tool_use", "weather", {"place": "Bonn"})
    result: Any = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    turns: Any = [*HELLO, {"role": "assistant", "content": made.content}, {"role": "user", "content": [result]}]
    vendor.calls = ()
    made = client.messages.create(model="vendor/opus", max_tokens=50, messages=turns, tools=[TOOL])
    assert house.taken == 3
    assert vendor.attempts[-1].json["messages"][-1]["content"] == [result]


def test_a_picture_goes_as_it_is(house: GatewayServer, vendor: FakeVendor, client: anthropic.Anthropic) -> None:
    data = picture().partition(",")[2]
    source: Any = {"type": "base64", "media_type": "image/png", "data": data}
    content: Any = [{"type": "image", "source": source}, {"type": "text", "text": "What colour is this?"}]
    client.messages.create(model="vendor/opus", max_tokens=50, messages=[{"role": "user", "content": content}])
    assert house.taken == 1
    assert vendor.attempts[-1].json["messages"][0]["content"][0]["source"]["data"] == data


def test_a_failure_is_told_in_its_own_words_after_one_attempt(
    house: GatewayServer, vendor: FakeVendor, client: anthropic.Anthropic
) -> None:
    vendor.fails = (400, "invalid_request_error", "messages: no good")
    with pytest.raises(anthropic.APIStatusError, match="no good"):
        client.messages.create(model="vendor/opus", max_tokens=50, messages=HELLO)
    assert len(vendor.attempts) == 1
    until(lambda: house.gateway.client.store.attempts(1))
    [row] = house.gateway.client.store.attempts(10)
    assert (row.state, row.spent) == ("void", 0.0)


def test_a_direct_call_is_recorded_as_an_attempt(house: GatewayServer, client: anthropic.Anthropic) -> None:
    made = client.messages.create(model="vendor/opus", max_tokens=50, messages=HELLO)
    until(lambda: house.gateway.client.store.attempts(1))
    [row] = house.gateway.client.store.attempts(10)
    assert row.state == "settled" and row.outcome is not None
    assert row.outcome.usage.output_tokens == made.usage.output_tokens
    assert row.outcome.cost == pytest.approx(made.usage.input_tokens * 3e-6 + made.usage.output_tokens * 15e-6)
    assert [run.outcome for run in house.gateway.client.store.runs()] == ["finished"]


def test_what_the_direct_path_does_not_take_is_answered_all_the_same(house: GatewayServer, vendor: FakeVendor) -> None:
    tree = {"model": "vendor/opus", "max_tokens": 50, "messages": HELLO, "of_no_client": True}
    found: httpx.Response = house.post("/v1/messages", tree)
    assert found.status_code == 200 and found.headers["x-intermodal-ignored"] == "of_no_client"
    assert house.taken == 0


MARK: Any = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
SAID: Any = {"type": "text", "text": "You count.", **MARK}
ENDING: Any = [{"role": "user", "content": [{"type": "text", "text": "hello there", **MARK}]}]


@pytest.mark.parametrize(
    ("marked", "kept"),
    [
        ({"system": [SAID]}, lambda sent: sent["system"] == [SAID]),
        ({"tools": [{**TOOL, "name": "other"}, {**TOOL, **MARK}]}, lambda sent: sent["tools"][-1] == {**TOOL, **MARK}),
        ({"messages": ENDING}, lambda sent: sent["messages"] == ENDING),
        (MARK, lambda sent: sent["cache_control"] == MARK["cache_control"]),
        ({"system": [SAID], "tools": [{**TOOL, **MARK}], "messages": ENDING, **MARK},
         lambda sent: json.dumps(sent).count("ephemeral") == 4),
    ],
)  # fmt: skip
def test_cache_marks_reach_the_host_on_both_paths(
    house: GatewayServer, vendor: FakeVendor, marked: Any, kept: Any
) -> None:
    tree = {"model": "vendor/opus", "max_tokens": 50, "messages": HELLO, **marked}
    for stream in (False, True):  # buffered, which is the executor's
        found = house.post("/v1/messages", {**tree, "stream": stream}, x_intermodal_stream="buffered")
        assert found.status_code == 200 and house.taken == 1
        assert kept(vendor.attempts[-1].json), vendor.attempts[-1].json
        assert "x-intermodal-ignored" not in found.headers


@pytest.mark.parametrize(
    "marked",
    [
        {"system": [SAID, {"type": "text", "text": "Today is Monday."}]},
        {"tools": [{**TOOL, "name": "other", **MARK}, TOOL]},
        {"messages": [{"role": "user", "content": [SAID, {"type": "text", "text": "there"}]}]},
        {"messages": [{"role": "user", "content": [SAID]}, {"role": "assistant", "content": "Yes."}, *HELLO]},
    ],
)
def test_marks_in_the_middle_of_something_go_with_the_direct_path_and_are_named_else(
    house: GatewayServer, vendor: FakeVendor, marked: Any
) -> None:
    """Moved to its end, a mark would have the host write a cache that nobody reads."""
    tree = {"model": "vendor/opus", "max_tokens": 50, "messages": HELLO, **marked}
    passed = house.post("/v1/messages", tree)
    assert "x-intermodal-ignored" not in passed.headers and "ephemeral" in json.dumps(vendor.attempts[-1].json)
    found = house.post("/v1/messages", {**tree, "stream": True}, x_intermodal_stream="buffered")
    assert found.status_code == 200 and house.taken == 1
    assert found.headers["x-intermodal-ignored"] == "cache_control"
    assert "ephemeral" not in json.dumps(vendor.attempts[-1].json)


def test_a_host_without_words_for_marks_is_not_told_of_them_which_is_said(
    host: FakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INTERMODAL_CONFIG", str(config(tmp_path / "plain.toml", ("cloud", host.base_url, STRONG))))
    with GatewayServer() as plain:
        for marked in ({"system": [SAID]}, {"messages": ENDING}, MARK):
            tree = {"model": "cloud/strong", "max_tokens": 50, "messages": HELLO, **marked}
            found = plain.post("/v1/messages", tree)
            assert found.status_code == 200, found.text
            assert found.headers["x-intermodal-ignored"] == "cache_control"
            assert b"ephemeral" not in host.attempts[-1].body


def test_words_about_marks_are_no_marks(house: GatewayServer) -> None:
    said = json.dumps(MARK)
    tool = {**TOOL, "input_schema": {"type": "object", "properties": {"cache_control": {"type": "string"}}}}
    tree = {"model": "vendor/opus", "max_tokens": 50, "messages": [{"role": "user", "content": said}], "tools": [tool]}
    found = house.post("/v1/messages", {**tree, "stream": True}, x_intermodal_stream="buffered")
    assert found.status_code == 200 and house.taken == 0
    assert "x-intermodal-ignored" not in found.headers


def test_marks_in_a_chat_of_openais_are_named_too(house: GatewayServer) -> None:
    """Some clients write them there for hosts that pass them on."""
    content: Any = [{"type": "text", "text": "hello there", **MARK}]
    found = house.chat(content, model="vendor/opus", max_tokens=50)
    assert found.status_code == 200
    assert found.headers["x-intermodal-ignored"] == "cache_control"
