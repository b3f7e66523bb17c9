"""Every form of a message is read alike on both paths: what is accepted, what a host gets of it, and what is said of
what is refused.

A form is asked for twice, of a shape that is new and of one that is known, and once more through the executor.
"""

from __future__ import annotations

from typing import Any, Literal

import pytest
from tests.unit.gateway.direct.test_both_paths_openai_chat import picture
from tests.unit.gateway.gateway_server import BY_EXECUTOR, Before, GatewayServer

from intermodal.testing import FakeHost
from intermodal.testing.protocols import SIGNATURE

pytestmark = pytest.mark.usefixtures("either_way")

By = Literal["direct", "executor"]
ASKED = {"role": "user", "content": "What is the weather?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"at": "Bonn"}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "rain"}
SAID = {"role": "assistant", "content": "Rain."}
WORDS = {"type": "text", "text": "What is this?"}
NOTHINGS: dict[str, Any] = {
    "refusal": None, "annotations": [], "audio": None, "function_call": None, "tool_calls": None,
    "reasoning_content": "", "reasoning": None,
}  # fmt: skip


# Messages, by which path they go, and what the host gets where that is not what the client sent.
OPENAI: dict[str, tuple[By, list[dict[str, Any]], list[dict[str, Any]] | None]] = {
    "words": ("direct", [ASKED, SAID, ASKED], None),
    "system": ("direct", [{"role": "system", "content": "Be brief."}, ASKED], None),
    "calls": ("direct", [ASKED, CALLED, RESULT, ASKED], None),
    "calls-and-words": ("direct", [ASKED, {**CALLED, "content": "So."}, RESULT, ASKED], None),
    "picture": ("direct", [{"role": "user", "content": [WORDS, picture()]}], None),
    "picture-detail": ("direct", [{"role": "user", "content": [WORDS, picture(detail="low")]}], None),
    "nothings": ("direct", [ASKED, {**SAID, **NOTHINGS}, ASKED], [ASKED, SAID, ASKED]),
    "calls-and-nothings": (
        "direct", [ASKED, {**CALLED, "refusal": None, "annotations": []}, RESULT, ASKED], [ASKED, CALLED, RESULT, ASKED]
    ),
    "no-calls": ("direct", [ASKED, {**SAID, "tool_calls": []}, ASKED], [ASKED, SAID, ASKED]),
    "empty-text-with-calls": (
        "direct", [ASKED, {**CALLED, "content": ""}, RESULT, ASKED], [ASKED, CALLED, RESULT, ASKED]
    ),
    "developer": ("executor", [{"role": "developer", "content": "Be brief."}, ASKED],
                  [{"role": "system", "content": "Be brief."}, ASKED]),
    "listed-words": ("executor", [{"role": "user", "content": [WORDS]}], [{"role": "user", "content": WORDS["text"]}]),
    "listed-result": ("executor", [ASKED, CALLED, {**RESULT, "content": [{"type": "text", "text": "rain"}]}, ASKED],
                      [ASKED, CALLED, RESULT, ASKED]),
    "name": ("executor", [{**ASKED, "name": "ann"}], [ASKED]),
    "call-of-nobody": ("executor", [{**ASKED, "tool_call_id": "c1"}], [ASKED]),
    "calls-of-the-user": ("executor", [{**ASKED, "tool_calls": [CALL]}], [ASKED]),
    "refusal": ("executor", [ASKED, {"role": "assistant", "refusal": "No."}, ASKED],
                [ASKED, {"role": "assistant", "content": None, "refusal": "No."}, ASKED]),
    "reasoning": ("executor", [ASKED, {**SAID, "reasoning_content": "Hm."}, ASKED], [ASKED, SAID, ASKED]),
    "function": (
        "executor",
        [ASKED, {"role": "assistant", "function_call": CALL["function"]}, {"role": "function", "name": "weather",
                                                                         "content": "rain"}, ASKED],
        [ASKED, {**CALLED, "tool_calls": [{**CALL, "id": "call_0"}]}, {**RESULT, "tool_call_id": "call_0"}, ASKED],
    ),
    "detail-auto": ("executor", [{"role": "user", "content": [WORDS, picture(detail="auto")]}],
                    [{"role": "user", "content": [WORDS, picture()]}]),
    "picture-as-a-string": (
        "executor", [{"role": "user", "content": [WORDS, {**picture(), "image_url": picture()["image_url"]["url"]}]}],
        [{"role": "user", "content": [WORDS, picture()]}],
    ),
}  # fmt: skip


def sorted_parts(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The executor puts images before words."""
    return [
        {**each, "content": sorted(each["content"], key=str)} if isinstance(each.get("content"), list) else each
        for each in messages
    ]


@pytest.mark.parametrize("name", OPENAI)
def test_a_form_of_openai_chat_reaches_its_host_alike_on_both_paths(
    house: GatewayServer, host: FakeHost, name: str
) -> None:
    by, messages, sent = OPENAI[name]
    body = {"model": "cloud/seeing", "messages": messages}
    for asked in (body, body, {**body, **BY_EXECUTOR}):
        before = house.taken
        found = house.post("/v1/chat/completions", asked)
        assert found.status_code == 200, found.text
        assert house.taken - before == (by == "direct" and asked is body)
        got = [{**each, "content": each.get("content")} for each in host.attempts[-1].json["messages"]]
        assert sorted_parts(got) == sorted_parts(messages if sent is None else sent)


FUNCTION = CALL["function"]
REFUSED: dict[str, tuple[list[Any], str]] = {
    "role": ([{"role": "critic", "content": "x"}], "has the role 'critic', which is not one of system, developer"),
    "no-role": ([{"content": "x"}], "'role' is missing in messages[0]"),
    "role-number": ([{"role": 1, "content": "x"}], "messages[0].role must be a string"),
    "no-message": (["x"], "messages[0] must be an object, not a string"),
    "content": ([ASKED, {"role": "user", "content": 3}], "messages[1].content must be a string or an array"),
    "part": ([{"role": "user", "content": [{"type": "x"}]}], "a part of type 'x' is not read here: there are text"),
    "no-text": ([{"role": "user", "content": [{"type": "text"}]}], "'text' is missing in messages[0].content[0]"),
    "text": (
        [{"role": "user", "content": [WORDS, {"type": "text", "text": 3}]}],
        "messages[0].content[1].text must be a string, not a whole number",
    ),
    "result": ([ASKED, CALLED, {"role": "tool", "content": "x"}], "'tool_call_id' is missing in messages[2]"),
    "call": ([ASKED, {**CALLED, "tool_calls": [{"id": "c1"}]}], "'function' is missing in messages[1].tool_calls[0]"),
    "arguments": (
        [ASKED, {**CALLED, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}],
        "messages[1].tool_calls[0].function.arguments must be a string, not an object",
    ),
    "calls": ([ASKED, {**CALLED, "tool_calls": CALL}], "messages[1].tool_calls must be an array, not an object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_message_of_openai_chat_that_is_none_is_refused_with_its_place(
    house: GatewayServer, host: FakeHost, name: str
) -> None:
    messages, said = REFUSED[name]
    for more in ({}, {}, BY_EXECUTOR):
        found = house.post("/v1/chat/completions", {"model": "cloud/strong", "messages": messages, **more})
        assert found.status_code == 400 and said in found.json()["error"]["message"], found.text
    assert host.attempts == []


USE = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"at": "Bonn"}}
USED = {"role": "assistant", "content": [USE]}
THOUGHT = {"type": "thinking", "thinking": "Hm."}
ANSWER = {"type": "tool_result", "tool_use_id": "t1", "content": "rain"}
ANTHROPIC: dict[str, tuple[By, list[dict[str, Any]], list[dict[str, Any]] | None]] = {
    "words": ("direct", [ASKED, SAID, ASKED], None),
    "blocks": ("direct", [{"role": "user", "content": [WORDS]}], None),
    "uses": ("direct", [ASKED, USED, {"role": "user", "content": [ANSWER]}], None),
    "failed": ("direct", [ASKED, USED, {"role": "user", "content": [{**ANSWER, "is_error": True}]}], None),
    "listed-result": (
        "direct", [ASKED, USED, {"role": "user", "content": [{**ANSWER, "content": [{"type": "text", "text": "r"}]}]}],
        None,
    ),
    "thinking": (
        "direct",
        [ASKED, {"role": "assistant", "content": [{**THOUGHT, "signature": SIGNATURE}, USE]},
         {"role": "user", "content": [ANSWER]}],
        None,
    ),
    "hidden-thinking": (
        "executor",
        [ASKED, {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}, USE]},
         {"role": "user", "content": [ANSWER]}],
        None,
    ),
    "neighbours": (
        "executor", [ASKED, ASKED],
        [{"role": "user", "content": f"{ASKED['content']}\n\n{ASKED['content']}"}],
    ),
    "result-of-the-assistant": (
        "executor", [ASKED, USED, {"role": "assistant", "content": [ANSWER]}],
        [ASKED, USED, {"role": "user", "content": [ANSWER]}],
    ),
}  # fmt: skip


def in_blocks(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A text alone is the same as one block of it, and so is that of a result."""

    def block(given: dict[str, Any]) -> dict[str, Any]:
        said = given.get("content")
        return {**given, "content": "".join(each["text"] for each in said)} if isinstance(said, list) else given

    return [
        {**each, "content": [{"type": "text", "text": each["content"]}] if isinstance(each["content"], str)
         else list(map(block, each["content"]))}
        for each in messages
    ]  # fmt: skip


@pytest.mark.parametrize("name", ANTHROPIC)
def test_a_form_of_anthropic_s_messages_reaches_its_host_alike_on_both_paths(before: Before, name: str) -> None:
    by, messages, sent = ANTHROPIC[name]
    house, vendor = before("anthropic")
    body = {"model": "vendor/opus", "max_tokens": 50, "messages": messages}
    for asked in (body, body, {**body, **BY_EXECUTOR}):
        taken = house.taken
        found = house.post("/v1/messages", asked)
        assert found.status_code == 200, found.text
        assert house.taken - taken == (by == "direct" and asked is body)
        assert in_blocks(vendor.attempts[-1].json["messages"]) == in_blocks(messages if sent is None else sent)


def without(block: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != name}


# What is wrong with a message whose shape is that of a right one before it.
WRONG: dict[str, tuple[list[dict[str, Any]], str]] = {
    "result-id": ([ASKED, USED, {"role": "user", "content": [without(ANSWER, "tool_use_id")]}], "'tool_use_id'"),
    "use-id": ([ASKED, {**USED, "content": [without(USE, "id")]}, {"role": "user", "content": [ANSWER]}], "'id'"),
    "use-input": ([ASKED, {**USED, "content": [without(USE, "input")]}, {"role": "user", "content": [ANSWER]}],
                  "'input'"),
    "input-text": ([ASKED, {**USED, "content": [{**USE, "input": "Bonn"}]}, {"role": "user", "content": [ANSWER]}],
                   "arguments are not a JSON object"),
    "block": ([ASKED, USED, {"role": "user", "content": [{"type": "x"}]}], "a block of type 'x' is not read here"),
    "role": ([{"role": "tool", "content": "x"}], "has the role 'tool', which is not one of user, assistant"),
    "content": ([{"role": "user", "content": 3}], "messages[0].content must be a string or an array"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_message_of_anthropic_s_that_is_none_is_refused_after_a_right_one_of_its_shape(
    before: Before, name: str
) -> None:
    messages, said = WRONG[name]
    house, vendor = before("anthropic")
    right = [ASKED, USED, {"role": "user", "content": [ANSWER]}]
    assert house.post("/v1/messages", {"model": "vendor/opus", "max_tokens": 50, "messages": right}).status_code == 200
    for more in ({}, {}, BY_EXECUTOR):
        tree = {"model": "vendor/opus", "max_tokens": 50, "messages": messages, **more}
        found = house.post("/v1/messages", tree)
        assert found.status_code == 400 and said in found.json()["error"]["message"], found.text
    assert len(vendor.attempts) == 1
