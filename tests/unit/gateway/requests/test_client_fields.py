"""Fields of a request go on, or their names are in the answer: none is left out in silence."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.gateway.gateway_server import Before, GatewayServer, through_the_executor

from intermodal.testing import FakeHost

pytestmark = pytest.mark.usefixtures("either_way")

WAYS = pytest.mark.parametrize("direct", [True, False], ids=["direct", "executor"])
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
CALLABLE = {"name": "weather", "parameters": SCHEMA, "strict": True}
TOOLS: dict[str, Any] = {
    "/v1/chat/completions": {"type": "function", "function": CALLABLE},
    "/v1/responses": {"type": "function", **CALLABLE},
    "/v1/messages": {"name": "weather", "input_schema": SCHEMA, "strict": True},
    "/api/chat": {"type": "function", "function": CALLABLE},
}
PROTOCOLS = {"openai": "/v1/chat/completions", "openai-responses": "/v1/responses", "anthropic": "/v1/messages",
             "ollama": "/api/chat"}  # fmt: skip


# Without a limit, a whole answer by a host that was measured on a busy machine may be expected to take minutes: such
# chats are answered by a run.
LIMITS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"max_tokens": 50}, "/v1/responses": {"max_output_tokens": 50},
    "/v1/messages": {"max_tokens": 50}, "/api/chat": {"options": {"num_predict": 50}},
}  # fmt: skip


def asked(path: str, content: Any = "hello there", **more: Any) -> dict[str, Any]:
    said = {"input": content} if path == "/v1/responses" else {"messages": [{"role": "user", "content": content}]}
    return {"model": "vendor/opus", **said, **LIMITS[path], "stream": False} | more


def ignored(found: Any) -> str:
    assert found.status_code == 200, found.text
    return str(found.headers.get("x-intermodal-ignored", ""))


@WAYS
@pytest.mark.parametrize(
    ("protocol", "field", "named"),
    [
        ("anthropic", {"output_config": {"effort": "low"}}, ""),
        ("anthropic", {"output_config": {"mood": "low"}}, "output_config.mood"),
        ("openai-responses", {"text": {"verbosity": "low"}}, ""),
        ("openai-responses", {"text": {"mood": "low"}}, "text.mood"),
        ("openai-responses", {"text": {"format": {"type": "text"}}}, ""),
        ("ollama", {"keep_alive": "5m"}, "keep_alive"),
    ],
)
def test_ignored_values_within_a_field_are_named(
    before: Before, protocol: str, field: dict[str, Any], named: str, direct: bool
) -> None:
    house, _ = before(protocol)
    through_the_executor(house.gateway, every=not direct)
    path = PROTOCOLS[protocol]
    assert ignored(house.post(path, asked(path))) == ""
    assert ignored(house.post(path, asked(path, **field))) == named


def before_one(protocol: str, request: pytest.FixtureRequest) -> tuple[GatewayServer, Any, str]:
    """A gateway before a host of a protocol, and the model there."""
    if protocol == "openai":
        return request.getfixturevalue("house"), request.getfixturevalue("host"), "cloud/strong"
    return *request.getfixturevalue("before")(protocol), "vendor/opus"


@WAYS
@pytest.mark.parametrize("path", TOOLS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_tool_stays_strict_where_its_host_knows_the_word(
    protocol: str, path: str, direct: bool, request: pytest.FixtureRequest
) -> None:
    """The direct path passes tools on as they came where client and host speak alike, Anthropic's words, too."""
    house, vendor, model = before_one(protocol, request)
    through_the_executor(house.gateway, every=not direct)
    found = house.post(path, asked(path, tools=[TOOLS[path]], model=model))
    tool = vendor.attempts[-1].json["tools"][0]
    carried = tool.get("strict") or tool.get("function", {}).get("strict") or False
    says = protocol.startswith("openai") or (house.taken == 1 and protocol == "anthropic")
    assert (ignored(found), carried) == ("" if says else "tools.strict", says)
    loose = {key: value for key, value in TOOLS[path].items() if key != "strict"}
    loose |= {"function": {**CALLABLE, "strict": None}} if "function" in loose else {}
    assert ignored(house.post(path, asked(path, tools=[loose], model=model))) == ""
    tool = vendor.attempts[-1].json["tools"][0]
    assert not (tool.get("strict") or tool.get("function", {}).get("strict"))


PAPER = {"type": "text", "media_type": "text/plain", "data": "It costs 3 euros."}


def test_title_and_context_of_a_document_precede_it(house: GatewayServer, host: FakeHost) -> None:
    block = {"type": "document", "source": PAPER, "title": "Prices", "context": "As of May.",
             "citations": {"enabled": True}}  # fmt: skip
    content = [block, {"type": "text", "text": "What does it cost?"}]
    found = house.post("/v1/messages", {**asked("/v1/messages", content), "model": "cloud/strong"})
    assert ignored(found) == "citations"
    said = " ".join(host.attempts[-1].texts)
    assert said.index("As of May.") < said.index("Prices") < said.index("It costs 3 euros.") < said.index("What does")


@pytest.mark.parametrize("citations", [{"enabled": False}, None])
def test_citations_that_nobody_asked_for_are_not_named(house: GatewayServer, citations: Any) -> None:
    words = 'Say {"citations": {"enabled": true}}.'
    content = [{"type": "document", "source": PAPER, "citations": citations}, {"type": "text", "text": words}]
    assert ignored(house.post("/v1/messages", {**asked("/v1/messages", content), "model": "cloud/strong"})) == ""


@pytest.mark.parametrize("protocol", ["openai", "openai-responses", "ollama"])
@pytest.mark.parametrize(
    ("said", "told"), [("no such city", "Error: no such city"), ("ERROR 404", "ERROR 404"), ("", "Error: ")]
)
def test_that_a_tool_failed_is_said_in_words_where_nothing_else_says_it(
    protocol: str, said: str, told: str, request: pytest.FixtureRequest
) -> None:
    house, vendor, model = before_one(protocol, request)
    use = {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}
    for failed in (True, False):
        result = {"type": "tool_result", "tool_use_id": "c1", "content": said, "is_error": failed}
        turns = [
            {"role": "user", "content": "hello there"},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ]
        tools = [TOOLS["/v1/messages"] | {"strict": None}]
        tree = {"model": model, "max_tokens": 50, "messages": turns, "tools": tools}
        assert house.post("/v1/messages", tree).status_code == 200
        sent = vendor.attempts[-1].json
        last = sent["input" if protocol == "openai-responses" else "messages"][-1]
        assert last.get("output", last.get("content")) == (told if failed else said)
