"""OpenAI's responses and Ollama's chat passed on to hosts of the same wire: their own clients, a fake vendor behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ollama
import openai
import pytest
from tests.gates.serve_process import Served
from tests.unit.gateway.gateway_server import VENDOR_SAID as SAID
from tests.unit.gateway.gateway_server import Before, GatewayServer, until

from intermodal.testing.protocols import ENCRYPTED

MODEL = "vendor/opus"
ASKED: Any = {"model": MODEL, "max_output_tokens": 50}
FEW: Any = {"num_predict": 50}
TOOL: Any = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}, "strict": False}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALLS = (("weather", {"place": "Bonn"}),)
HELLO: Any = [{"role": "user", "content": "hello there"}]
Asks = Callable[[GatewayServer], openai.OpenAI]


@pytest.fixture
def asks() -> Iterator[Asks]:
    """OpenAI's client of a gateway; it is closed, and not left to whoever collects what is lost."""
    with ExitStack() as stack:
        yield lambda house: stack.enter_context(openai.OpenAI(base_url=house.base_url, api_key="none", max_retries=0))


def test_openai_s_client_gets_a_response_whole(before: Before, asks: Asks) -> None:
    house, vendor = before("openai-responses")
    made = asks(house).responses.create(**ASKED, input="hello there", instructions="You count.")
    assert house.taken == 1
    assert (made.output_text, made.status, made.model) == (SAID, "completed", MODEL)
    sent = vendor.attempts[-1].json
    assert [(item["role"], item["content"]) for item in sent["input"]] == [
        ("system", "You count."), ("user", "hello there"),
    ]  # fmt: skip
    assert made.usage is not None and made.usage.model_extra is not None
    told = made.usage.model_extra["intermodal"]
    took = made.usage.input_tokens * 3e-6 + made.usage.output_tokens * 15e-6
    assert (told["route"], told["cost"]) == (f"vendor:{MODEL}", pytest.approx(took))
    until(lambda: house.gateway.client.store.attempts(1))
    [row] = house.gateway.client.store.attempts(10)
    assert row.state == "settled" and row.outcome is not None and row.outcome.cost == pytest.approx(took)


def test_openai_s_client_folds_a_stream(before: Before, asks: Asks) -> None:
    house, vendor = before("openai-responses")
    vendor.thought = "two and two"
    with asks(house).responses.stream(**ASKED, input="hello there") as stream:
        kinds = [event.type for event in stream]
        made = stream.get_final_response()
    assert house.taken == 1
    assert made.output_text == SAID and kinds[-1] == "response.completed"
    assert [item.type for item in made.output] == ["reasoning", "message"]
    assert made.usage is not None and made.usage.model_extra is not None
    assert made.usage.model_extra["intermodal"]["cost"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_thought_and_called_goes_back_to_who_said_it(before: Before, stream: bool, asks: Asks) -> None:
    house, vendor = before("openai-responses")
    vendor.thought, vendor.calls, vendor.answer = "it may rain", CALLS, ""
    client = asks(house)
    if stream:
        with client.responses.stream(**ASKED, input="hello there", tools=[TOOL]) as live:
            live.until_done()
            made: Any = live.get_final_response()
    else:
        made = client.responses.create(**ASKED, input="hello there", tools=[TOOL])
    [call] = (item for item in made.output if item.type == "function_call")
    assert (call.name, call.arguments) == ("weather", '{"place": "Bonn"}')
    vendor.thought, vendor.calls, vendor.answer = "", (), SAID
    turns: Any = [
        *HELLO, *(item.model_dump(exclude_none=True) for item in made.output),
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"},
    ]  # fmt: skip
    assert client.responses.create(**ASKED, input=turns, tools=[TOOL]).output_text == SAID
    assert house.taken == 2
    sent = vendor.attempts[-1].json["input"]
    assert [item["type"] for item in sent] == ["message", "reasoning", "function_call", "function_call_output"]
    assert sent[1]["encrypted_content"] == ENCRYPTED
    assert "id" not in sent[2], "an id that the host never gave"


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_direct_path_answered_may_be_referred_to(before: Before, stream: bool, asks: Asks) -> None:
    house, vendor = before("openai-responses")
    client = asks(house)
    item: Any
    if stream:
        with client.responses.stream(**ASKED, input="hello there") as live:
            live.until_done()
            [item] = live.get_final_response().output
    else:
        [item] = client.responses.create(**ASKED, input="hello there").output
    assert house.taken == 1
    turns: Any = [*HELLO, {"type": "item_reference", "id": item.id}, {"role": "user", "content": "and now?"}]
    client.responses.create(**ASKED, input=turns)
    assert house.taken == 1, "who knows the item is the executor"
    assert [each["content"] for each in vendor.attempts[-1].json["input"]] == ["hello there", SAID, "and now?"]


def test_a_response_with_store_false_is_not_stored(before: Before, asks: Asks) -> None:
    house, _ = before("openai-responses")
    client = asks(house)
    [item] = client.responses.create(**ASKED, input="hello there", store=False).output
    assert house.taken == 1
    reference: Any = [{"type": "item_reference", "id": item.id}]
    with pytest.raises(openai.NotFoundError):
        client.responses.create(**ASKED, input=reference)


def test_how_much_is_thought_goes_on_as_it_was_said(before: Before, asks: Asks) -> None:
    house, vendor = before("openai-responses")
    client, effort = asks(house), {"effort": "low", "summary": None}
    for key in ("one", "two"):
        client.responses.create(**ASKED, input="hello there", reasoning=effort, prompt_cache_key=key)  # type: ignore[call-overload]
        sent = vendor.attempts[-1].json
        assert sent["reasoning"]["effort"] == "low" and sent["prompt_cache_key"] == key
    assert house.taken == 2
    client.responses.create(**ASKED, input="hello there", reasoning=effort | {"mode": "new"})  # type: ignore[call-overload]
    assert vendor.attempts[-1].json["reasoning"] == {"effort": "low"}, "a mode is no word of this host"


def test_ollama_s_client_gets_an_answer_whole(before: Before) -> None:
    house, vendor = before("ollama")
    with ollama.Client(host=house.gateway.url) as client:
        made = client.chat(model=MODEL, messages=HELLO, options={**FEW, "num_ctx": 512})
    assert house.taken == 1
    assert (made.message.content, made.done, made.model) == (SAID, True, MODEL)
    assert made.total_duration == 5, "what only this host says goes through"
    sent = vendor.attempts[-1].json
    assert sent["messages"] == HELLO and sent["stream"] is False and sent["truncate"] is False
    assert sent["options"] == {**FEW, "num_ctx": 4096}, "what the plan says that is asked for"
    until(lambda: house.gateway.client.store.attempts(1))
    [row] = house.gateway.client.store.attempts(10)
    assert row.state == "settled" and row.outcome is not None
    assert row.outcome.usage.output_tokens == made.eval_count


def test_ollama_s_client_gets_an_answer_line_by_line(before: Before) -> None:
    house, vendor = before("ollama")
    vendor.thought = "two and two"
    with ollama.Client(host=house.gateway.url) as client:
        parts = list(client.chat(model=MODEL, messages=HELLO, stream=True, options=FEW))
    assert house.taken == 1
    assert "".join(part.message.content or "" for part in parts) == SAID
    assert "".join(part.message.thinking or "" for part in parts) == "two and two"
    assert [part.done for part in parts] == [*[False] * (len(parts) - 1), True] and len(parts) > 4
    assert parts[-1].eval_count == vendor.attempts[-1].output_tokens
    assert {part.model for part in parts} == {MODEL}
    assert parts[-1].total_duration == 5, "what only this host says goes through"


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_that_ollama_calls_gets_an_id_and_its_result_its_name(before: Before, stream: bool) -> None:
    house, vendor = before("ollama")
    vendor.calls, vendor.answer = CALLS, ""
    with ollama.Client(host=house.gateway.url) as client:
        asked: Any = {"model": MODEL, "messages": HELLO, "tools": [CHAT_TOOL], "options": FEW}
        if stream:
            [message] = [part.message for part in client.chat(**asked, stream=True) if part.message.tool_calls]
        else:
            message = client.chat(**asked).message
        assert message.tool_calls is not None
        assert [(each.function.name, each.function.arguments) for each in message.tool_calls] == [
            ("weather", {"place": "Bonn"})
        ]
        vendor.calls, vendor.answer = (), SAID
        turns: Any = [*HELLO, message, {"role": "tool", "content": "rain", "tool_name": "weather"}]
        assert client.chat(model=MODEL, messages=turns, tools=[CHAT_TOOL], options=FEW).message.content == SAID
    assert house.taken == 2
    assert vendor.attempts[-1].json["messages"][1]["tool_calls"][0]["id"] == "call_0"


def test_a_gateway_that_was_started_by_its_command_passes_them_on(before: Before, tmp_path: Path) -> None:
    """What only the direct path passes on shows that it was there: a key for a cache, and what a host says besides."""
    _, vendor = before("openai-responses")
    served = Served(tmp_path / "log")
    try:
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0) as client:
            made = client.responses.create(**ASKED, input="hello there", prompt_cache_key="mine")
            with client.responses.stream(**ASKED, input="hello there", prompt_cache_key="mine") as stream:
                stream.until_done()
                assert stream.get_final_response().output_text == made.output_text == SAID
            assert [each.json.get("prompt_cache_key") for each in vendor.attempts] == ["mine", "mine"]
    finally:
        served.end()
    before("ollama")
    served = Served(tmp_path / "log")
    try:
        with ollama.Client(host=served.url) as asking:
            whole = asking.chat(model=MODEL, messages=HELLO, options=FEW)
            *_, last = asking.chat(model=MODEL, messages=HELLO, options=FEW, stream=True)
        assert whole.message.content == SAID and (whole.total_duration, last.total_duration) == (5, 5)
    finally:
        served.end()
